// The tiles of one pane: taken from those fetched ahead, counted, and asked for again where they could not be had.

const WAITS_MS = [3_000, 8_000, 20_000] // before a failed tile is asked for again by itself; then only on request
const OVERDUE_MS = 10_000 // a tile that takes longer is missing until it comes
const MUCH = 0.2 // labels/rules.py, MOST_TILES_MISSING

export class TilePane {
  /**
   * `tell(name, …)` reports: loading (whether, and whether the image is another), tile (its name, and that it was asked,
   * came, was lost or dropped), missing (share of the judged tiles in view, 0 to 1), settled (more may be seen than before).
   */
  constructor(library, map, store, tell) {
    Object.assign(this, { library, map, store, tell })
    this.layer = null
    this.failed = new Set() // tiles on the map that could not be had
    this.pending = new Set() // tiles on the map that were asked for and not answered
  }

  /** Show {tileAt, maxNativeZoom, maxZoom}, where tileAt({z, x, y}) is as `addresses` of tile-store says; or nothing. */
  show(options) {
    const before = this.layer
    this.layer = null // what the layer before still tells is of another image
    before?.remove()
    this.failed.clear()
    this.pending.clear()
    clearTimeout(this.waiting)
    this.isOverdue = false
    clearTimeout(this.retrying)
    this.retrying = null // else the next image's failed tiles would wait for a timer that is gone
    this.nTries = 0
    this.tell('loading', false, true)
    this.tell('missing', 0)
    if (!options) return
    this.layer = this.makeLayer(options)
    this.layer.addTo(this.map)
  }

  makeLayer({ tileAt, ...zooms }) {
    const layer = new this.library.GridLayer({ ...zooms, minZoom: 8, className: 'imagery', keepBuffer: 1, updateWhenIdle: false })
    layer.createTile = (coords, done) => {
      const { url, zoomed, isJudged } = tileAt(coords)
      return zoomed ? this.createStandIn(url, zoomed, done) : this.createTile(layer, { url, isJudged }, coords, done)
    }
    layer.on('loading', () => this.tell('loading', true))
    layer.on('load', () => this.tell('loading', false))
    layer.on('tileunload', ({ tile }) => this.unload(layer, tile))
    return layer
  }

  createTile(layer, { url, isJudged }, { z, x, y }, done) {
    const fetched = this.store.take(url)
    const tile = fetched ?? this.library.DomUtil.create('img')
    tile.alt = ''
    tile.ours = { name: `${z}/${x}/${y}`, url, isJudged, isFetchedAhead: Boolean(fetched) }
    this.asked(tile)
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

  /** A tile is missing from when it is asked for until it comes. */
  asked(tile) {
    if (!this.pending.size) this.waitFor()
    this.pending.add(tile)
    this.note(tile, 'asked')
  }

  waitFor() {
    clearTimeout(this.waiting)
    this.isOverdue = false
    this.waiting = setTimeout(() => {
      this.isOverdue = true
      this.tellMissing()
      this.tell('settled')
    }, OVERDUE_MS)
  }

  answered(tile) {
    if (!this.pending.delete(tile)) return
    if (!this.pending.size) clearTimeout(this.waiting)
    if (this.isOverdue) this.tellMissing()
    if (this.isOverdue || !this.pending.size) this.tell('settled')
  }

  note(tile, state) {
    if (tile.ours?.isJudged) this.tell('tile', tile.ours.name, state)
  }

  came(layer, tile) {
    if (layer !== this.layer) return
    tile.classList.remove('failed')
    tile.classList.add('leaflet-tile-loaded')
    this.note(tile, 'came')
    this.answered(tile)
    if (!this.failed.delete(tile)) return
    this.tellMissing()
    this.tell('settled')
  }

  lost(layer, tile) {
    if (layer !== this.layer) return
    tile.classList.add('failed')
    this.failed.add(tile)
    this.note(tile, 'lost')
    this.tellMissing()
    this.answered(tile)
    this.later()
  }

  unload(layer, tile) {
    tile.onload = tile.onerror = null
    // What left the view is not fetched to the end, unless the store still waits for it.
    if (!tile.complete && !tile.ours?.isFetchedAhead) tile.removeAttribute('src')
    if (layer !== this.layer) return
    if (this.pending.has(tile)) this.note(tile, 'dropped')
    this.answered(tile)
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

  tellMissing() {
    this.tell('missing', this.share((tile) => this.failed.has(tile) || (this.isOverdue && this.pending.has(tile))))
  }

  /** Whether what lies in view can be looked at: its tiles are answered or overdue, and most of them came. */
  get isSeen() {
    if (!this.layer || (this.pending.size && !this.isOverdue)) return false
    return this.share((tile) => this.failed.has(tile) || this.pending.has(tile)) <= MUCH
  }

  /** Which share of the tiles in view on which something is judged is so. */
  share(isSo) {
    const view = this.map.getContainer().getBoundingClientRect()
    const inView = (tile) => {
      const box = tile.getBoundingClientRect()
      return box.right > view.left && box.left < view.right && box.bottom > view.top && box.top < view.bottom
    }
    const all = [...(this.layer?.getContainer()?.querySelectorAll('img') ?? [])]
    const tiles = all.filter((tile) => tile.ours.isJudged && inView(tile))
    return tiles.length ? tiles.filter(isSo).length / tiles.length : 0
  }
}
