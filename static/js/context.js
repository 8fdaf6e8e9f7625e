// A small picture of the surroundings: the newest image in view about 5 km wide, or as wide as the search disc, with the
// place of the panes and the frames of the walk. A click turns the panes there. Cheap: coarse tiles, one to four of them.

import { boxOf } from 'frames'
import { svg } from 'glyphs'
import { metresAPixel, pixel, TILE_PX } from 'mercator'
import { place } from 'plane'
import { address, fill } from 'tile-store'

const $ = (id) => document.getElementById(id)
const SIZE_PX = 140
const SPAN_M = 5_000
const ROUND_THE_DISC = 2.1 // radii

/** Zoom, left and top pixel of the picture round a unit's point. */
function frameOf(unit) {
  const span = Math.max(SPAN_M, ROUND_THE_DISC * unit.search_radius_m)
  const z = Math.max(0, Math.floor(Math.log2((metresAPixel(unit.point[1], 0) * SIZE_PX) / span)))
  const [x, y] = pixel(unit.point, z)
  return { z, left: Math.round(x - SIZE_PX / 2), top: Math.round(y - SIZE_PX / 2), resolution: metresAPixel(unit.point[1], z) }
}

/** The image itself, or, where its provider has none so coarse, the newest that has; undefined if there is none. */
function coarse(unit, image) {
  const { z } = frameOf(unit)
  const shows = (each) => !each.key || each.min_zoom <= z // our own pictures show at every zoom
  return shows(image) ? image : unit.images.findLast(shows)
}

/** Addresses of the tiles that the picture of a unit takes, with their places. */
export function contextTiles(unit, wanted) {
  const { z, left, top } = frameOf(unit)
  const image = coarse(unit, wanted)
  if (!image) return []
  const found = []
  for (let x = Math.floor(left / TILE_PX); x * TILE_PX < left + SIZE_PX; x += 1)
    for (let y = Math.floor(top / TILE_PX); y * TILE_PX < top + SIZE_PX; y += 1)
      found.push({ url: fill(address(image, { isLight: true }), { z, x, y }), left: x * TILE_PX - left, top: y * TILE_PX - top })
  return found
}

export class Context {
  /** `go(metres)` turns the panes to a place. */
  constructor({ store, words, number, go }) {
    Object.assign(this, { store, words, number })
    this.element = $('context')
    this.picture = $('context-tiles')
    this.marks = $('context-marks')
    this.shownOf = null
    this.element.addEventListener('click', (event) => this.unit && go(this.metres(event)))
  }

  get isOpen() {
    return !this.element.hidden
  }

  /** Show the surroundings of a unit in an image, or nothing. */
  show(unit, image) {
    this.element.hidden = !unit || !image
    if (this.element.hidden) return (this.shownOf = null)
    this.unit = unit
    this.frame = frameOf(unit)
    const wide = Math.round((this.frame.resolution * SIZE_PX) / 100) / 10
    $('context-words').textContent = this.words.wide.replace('%s', this.number.format(wide))
    if (this.shownOf === image) return
    this.shownOf = image
    this.picture.replaceChildren(...contextTiles(unit, image).map((tile) => this.tile(tile)))
  }

  tile({ url, left, top }) {
    const picture = this.store.share(url).cloneNode()
    picture.alt = ''
    picture.style.left = `${left}px`
    picture.style.top = `${top}px`
    picture.onerror = () => (picture.hidden = true)
    return picture
  }

  /** Draw the disc, where the panes look ([west, south, east, north] in metres) and the frames of the walk. */
  draw(extent, walk) {
    if (!this.isOpen) return
    this.marks.replaceChildren()
    const radius = this.unit.search_radius_m / this.frame.resolution
    for (const kind of ['edge', 'line']) svg('circle', { class: kind, cx: SIZE_PX / 2, cy: SIZE_PX / 2, r: radius }, this.marks)
    if (walk && walk.frames.length > 1) for (const frame of walk.frames) this.drawFrame(frame)
    this.box('edge', extent)
    this.box('line here', extent)
    svg('path', { class: 'line', d: `M${SIZE_PX / 2 - 3} ${SIZE_PX / 2}h6M${SIZE_PX / 2} ${SIZE_PX / 2 - 3}v6` }, this.marks)
  }

  drawFrame(frame) {
    this.box(frame.isSeen ? 'frame seen' : 'frame', boxOf(frame))
    if (!frame.isSeen) return
    const [x, y] = this.at([frame.east, frame.north])
    for (const kind of ['tick-edge', 'tick']) svg('path', { class: kind, d: `M${x - 4} ${y}l3 3 5-6` }, this.marks)
  }

  box(kind, [west, south, east, north]) {
    const [left, top] = this.at([west, north])
    const [right, bottom] = this.at([east, south])
    svg('rect', { class: kind, x: left, y: top, width: right - left, height: bottom - top }, this.marks)
  }

  /** Pixel of the picture where a place in metres lies. */
  at(metres) {
    const [x, y] = pixel(place(this.unit.point, metres), this.frame.z)
    return [x - this.frame.left, y - this.frame.top]
  }

  metres({ clientX, clientY }) {
    const box = this.element.getBoundingClientRect()
    const { resolution } = this.frame
    return [(clientX - box.left - SIZE_PX / 2) * resolution, (SIZE_PX / 2 - (clientY - box.top)) * resolution]
  }
}
