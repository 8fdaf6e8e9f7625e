// The tiles of one pane: taken from those fetched ahead, counted, and asked for again where they could not be had.

const WAITS_MS = [3_000, 8_000, 20_000] // before a failed tile is asked for again by itself; then only on request

export class TilePane {
  /** `tell(name, …)` reports: loading (whether, and whether the image is another), tile (its name, whether it came), missing (share of the view, 0 to 1). */
  constructor(library, map, store, tell) {
    Object.assign(this, { library, map, store, tell })
    this.layer = null
    this.failed = new Set() // tiles on the map that could not be had
  }

  /** Show {tileAt, maxNativeZoom, maxZoom}, where tileAt({z, x, y}) is as `addresses` of tile-store says; or nothing. */
  show(options) {
    this.layer?.remove()
    this.layer = null
    this.failed.clear()
    clearTimeout(this.retrying)
    this.retrying = null // else the next image's failed tiles would wait for a timer that is gone
    this.nTries = 0
    this.tell('loading', false, true)
    this.tell('missing', 0)
    if (options) this.layer = this.makeLayer(options).addTo(this.map)
  }

  makeLayer({ tileAt, ...zooms }) {
    const layer = new this.library.GridLayer({ ...zooms, minZoom: 8, className: 'imagery', keepBuffer: 1, updateWhenIdle: false })
    layer.createTile = (coords, done) => {
      const { url, zoomed } = tileAt(coords)
      return zoomed ? this.createStandIn(url, zoomed, done) : this.createTile(layer, url, coords, done)
    }
    layer.on('loading', () => this.tell('loading', true))
    layer.on('load', () => this.tell('loading', false))
    layer.on('tileunload', ({ tile }) => this.unload(tile))
    return layer
  }

  createTile(layer, url, { z, x, y }, done) {
    const fetched = this.store.take(url)
    const tile = fetched ?? this.library.DomUtil.create('img')
    tile.alt = ''
    tile.ours = { name: `${z}/${x}/${y}`, url, isFetchedAhead: Boolean(fetched) }
    if (tile.complete && tile.naturalWidth) {
      queueMicrotask(() => {
        done(null, tile)
        this.came(layer, tile)
      })
      return tile
    }
    tile.onload = () => {
      if (!this.failed.has(tile)) done(null, tile)
      this.came(layer, tile)
    }
    tile.onerror = () => {
      if (!this.failed.has(tile)) done(new Error('no tile'), tile)
      this.lost(layer, tile)
    }
    if (!fetched || fetched.complete) tile.src = url // one that failed meanwhile is asked for again
    return tile
  }

  /** A part of a coarse picture where nothing is judged; neither counted nor missed. */
  createStandIn(url, { times, left, top }, done) {
    const tile = this.library.DomUtil.create('canvas')
    const picture = this.store.share(url)
    tile.width = tile.height = 256
    picture
      .decode()
      .then(() => tile.getContext('2d').drawImage(picture, left / times, top / times, 256 / times, 256 / times, 0, 0, 256, 256))
      .catch(() => null)
      .finally(() => done(null, tile))
    return tile
  }

  came(layer, tile) {
    if (layer !== this.layer) return
    tile.classList.remove('failed')
    tile.classList.add('leaflet-tile-loaded')
    this.tell('tile', tile.ours.name, true)
    if (this.failed.delete(tile)) this.tellMissing()
  }

  lost(layer, tile) {
    if (layer !== this.layer) return
    tile.classList.add('failed')
    this.failed.add(tile)
    this.tell('tile', tile.ours.name, false)
    this.tellMissing()
    this.later()
  }

  unload(tile) {
    tile.onload = tile.onerror = null
    // What left the view is not fetched to the end, unless the store still waits for it.
    if (!tile.complete && !tile.ours?.isFetchedAhead) tile.removeAttribute('src')
    if (this.failed.delete(tile)) this.tellMissing()
  }

  later() {
    if (this.retrying || this.nTries >= WAITS_MS.length) return
    this.retrying = setTimeout(() => {
      this.nTries += 1
      this.askAgain()
    }, WAITS_MS[this.nTries])
  }

  /** The person asks for the missing tiles again. */
  retry() {
    this.nTries = 0
    this.askAgain()
  }

  askAgain() {
    clearTimeout(this.retrying)
    this.retrying = null
    for (const tile of this.failed) tile.src = tile.ours.url
  }

  /** Which share of the tiles that lie in view could not be had. */
  tellMissing() {
    const view = this.map.getContainer().getBoundingClientRect()
    const inView = (tile) => {
      const box = tile.getBoundingClientRect()
      return box.right > view.left && box.left < view.right && box.bottom > view.top && box.top < view.bottom
    }
    const tiles = [...(this.layer?.getContainer()?.querySelectorAll('img') ?? [])].filter(inView)
    this.tell('missing', tiles.length ? tiles.filter((tile) => this.failed.has(tile)).length / tiles.length : 0)
  }
}
