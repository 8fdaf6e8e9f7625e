// Where tiles are asked for, and those fetched and decoded before they are shown. The very picture that was fetched is
// handed to the map, so that no tile is asked for twice, even where a source may not be kept by the browser.

import { metresAPixel, pixel, TILE_PX } from 'mercator'

const WHOLE_ZOOM = 15
const STAND_IN_ZOOM = 12 // that of the surroundings of a disc of 1,000 m
const MOST_SHARED = 40
const MOST = 400 // pictures waiting; the oldest go first

/** The address of an image's tile, in false colour where it has one, and with fewer bytes where the line is slow. */
export function address(image, { isLight = false, isFalseColour = false } = {}) {
  const bands = isFalseColour && image.has_false_colour ? '&bands=false_colour' : ''
  return `${image.tiles}${bands}${isLight ? '&light=1' : ''}`
}

/**
 * What stands at each tile of an image for a unit: {url, zoomed, isJudged}. At the zoom at which a disc is looked at as a whole,
 * nothing is judged on tiles wholly outside it, and they are half of an opening view's bytes: they are asked light, and
 * in light mode, outside the grid cell too, a coarse tile stands in for them, `zoomed` times as large ({times, left, top}
 * of the part to show). Tiles that touch neither disc nor cell are not `isJudged`: whether they come does not matter.
 */
export function addresses(unit, image, how = {}) {
  const [full, light] = [address(image, how), address(image, { ...how, isLight: true })]
  return (tile) => {
    const isInDisc = touchesDisc(unit, tile)
    const isJudged = isInDisc || touchesCell(unit, tile)
    if (tile.z !== WHOLE_ZOOM || isInDisc) return { url: fill(full, tile), isJudged }
    return how.isLight && !isJudged ? standIn(light, tile) : { url: fill(light, tile), isJudged }
  }
}

function standIn(template, { z, x, y }) {
  const times = 2 ** (z - STAND_IN_ZOOM)
  const [column, row] = [Math.floor(x / times), Math.floor(y / times)]
  const url = fill(template, { z: STAND_IN_ZOOM, x: column, y: row })
  return { url, zoomed: { times, left: (x - column * times) * TILE_PX, top: (y - row * times) * TILE_PX } }
}

function touchesDisc({ point, search_radius_m }, { z, x, y }) {
  const [east, south] = pixel(point, z)
  const away = (at, from) => Math.max(from - at, 0, at - (from + TILE_PX))
  const radius = search_radius_m / metresAPixel(point[1], z)
  return Math.hypot(away(east, x * TILE_PX), away(south, y * TILE_PX)) <= radius
}

function touchesCell({ cell: [west, south, east, north] }, { z, x, y }) {
  const [left, top] = pixel([west, north], z)
  const [right, bottom] = pixel([east, south], z)
  return left < (x + 1) * TILE_PX && right > x * TILE_PX && top < (y + 1) * TILE_PX && bottom > y * TILE_PX
}

export const fill = (template, { z, x, y }) => template.replace('{z}', z).replace('{x}', x).replace('{y}', y)

export class TileStore {
  constructor() {
    this.pictures = new Map() // address -> decoded picture not shown yet
    this.shared = new Map() // address -> picture that stands in several places
  }

  async fetch(urls) {
    await Promise.all([...urls].map((url) => this.pictures.has(url) || this.fetchOne(url)))
    for (const url of this.pictures.keys()) if (this.pictures.size > MOST) this.pictures.delete(url)
  }

  async fetchOne(url) {
    const picture = new Image()
    picture.alt = ''
    picture.src = url
    this.pictures.set(url, picture)
    await picture.decode().catch(() => this.forget(url, picture)) // the map asks again and says so
  }

  forget(url, picture) {
    if (this.pictures.get(url) === picture) this.pictures.delete(url)
  }

  /** The picture of this address, to be drawn in as many places as are wanted. */
  share(url) {
    if (!this.shared.has(url)) {
      const picture = this.take(url) ?? new Image()
      if (!picture.src) picture.src = url
      this.shared.set(url, picture)
      for (const old of this.shared.keys()) if (this.shared.size > MOST_SHARED) this.shared.delete(old)
    }
    return this.shared.get(url)
  }

  /** The picture of this address, for one place on the page; it may still be on its way. */
  take(url) {
    const picture = this.pictures.get(url) ?? null
    this.pictures.delete(url)
    return picture
  }
}
