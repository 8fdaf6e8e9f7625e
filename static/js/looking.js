// What was really looked at for one unit: which images, which views of them, for how long, how much of the search disc.

import { predates } from 'dating'
import { Disc } from 'disc'

const IDLE_MS = 60_000 // a pause longer than this is no thinking time
const MOST_VIEWS = 200
const MOST_IMAGES = 24 // labels/api.py takes no more with a verdict
const LIMIT_M = 60_000 // labels/api.py refuses farther offsets

/** Metres as they are sent: to the centimetre, within what the server takes. */
export const sendable = (metres) => Math.round(Math.max(-LIMIT_M, Math.min(LIMIT_M, metres)) * 100) / 100

export class Looking {
  constructor(unit) {
    this.unit = unit
    this.shown = [] // index of the image in each pane, or null; an index, since two images may share source and day
    this.disc = new Disc(unit.search_radius_m)
    this.images = new Map() // index of image -> what was seen of it
    this.view = null
    this.startedAt = this.settledAt = this.lastActAt = performance.now()
    this.idle = 0
  }

  image(pane) {
    return this.unit.images[this.shown[pane]] ?? null
  }

  /** Put an image into a pane. */
  show(pane, index) {
    this.shown[pane] = index
    if (index === null) return
    if (!this.images.has(index)) this.images.set(index, { views: [], dwell: 0, sight: '', tiles: new Map(), adjustments: {} })
    this.images.get(index).pane = pane + 1
  }

  /** The next image in that direction which no other pane shows. */
  neighbour(pane, step) {
    const from = this.shown[pane] ?? -1
    for (let index = from + step; index >= 0 && index < this.unit.images.length; index += step)
      if (!this.shown.includes(index)) return index
    return null
  }

  /**
   * A view has come to rest: its zoom, its metres per pixel, and for each pane the boxes of ground that were visible
   * (none where it was covered).
   */
  rest(view) {
    this.leave()
    this.view = view
    this.settledAt = performance.now()
    for (const [pane, boxes] of view.boxes.entries()) {
      const image = this.image(pane)
      if (image) for (const box of boxes) this.disc.look(this.shown[pane], box, view.resolution, image.resolution_m)
    }
  }

  /** Book the time on screen of the view that ends now; without a view nobody is looking. */
  leave() {
    if (!this.view) return
    const ms = Math.min(Math.round(performance.now() - this.settledAt), 3_600_000)
    for (const [pane, boxes] of this.view.boxes.entries()) if (boxes.length) this.book(pane, boxes, ms)
    this.view = null
  }

  book(pane, boxes, ms) {
    const image = this.images.get(this.shown[pane])
    if (!image) return
    image.dwell += ms
    image.zoom = this.view.zoom
    // A pane that is covered in part shows several boxes at once: their time counts once.
    const views = boxes.map((box, nth) => ({ bounds: box.map(sendable), zoom: this.view.zoom, ms: nth ? 0 : ms }))
    const last = image.views.slice(-views.length)
    const isSame = (view, nth) => last[nth]?.zoom === view.zoom && last[nth].bounds.every((metres, side) => metres === view.bounds[side])
    if (views.every(isSame)) last[0].ms += ms
    else if (image.views.length + views.length <= MOST_VIEWS) image.views.push(...views)
  }

  /** A tile of the image was asked, came, was lost, or was dropped before it came: then nobody waited for it. */
  countTile(index, tile, state) {
    const tiles = this.images.get(index)?.tiles
    if (!tiles) return
    const before = tiles.get(tile)
    if (state === 'came' || state === 'lost') tiles.set(tile, state)
    else if (state === 'asked') tiles.set(tile, before ?? state)
    else if (before === 'asked') tiles.delete(tile)
  }

  /** Images that left the panes wait for nothing any more. */
  dropTiles() {
    for (const [index, { tiles }] of this.images) {
      if (this.shown.includes(index)) continue
      for (const [tile, state] of tiles) if (state === 'asked') tiles.delete(tile)
    }
  }

  /** Share of the tiles asked for of an image that did not come; an image of which none was asked for was not shown. */
  shareMissing(index) {
    const { size } = this.images.get(index).tiles
    return size ? this.nMissing(index) / size : 1
  }

  nMissing(index) {
    return [...this.images.get(index).tiles.values()].filter((state) => state !== 'came').length
  }

  /** Note how the images on screen are adjusted; neutral leaves what was used before. */
  noteAdjustments(differences) {
    for (const index of this.shown) {
      const used = index === null ? {} : differences(this.unit.images[index])
      if (Object.keys(used).length) this.images.get(index).adjustments = used
    }
  }

  /** Indexes of the images looked at that can support a reject. */
  supporting() {
    return [...this.images.keys()].filter((index) => this.maySupport(index))
  }

  /** Whether the unit has an image that can support a reject, looked at or not. */
  hasLater() {
    return this.unit.images.some((_, index) => this.maySupport(index))
  }

  maySupport(index) {
    return !predates(this.unit.images[index], this.unit.report.ends)
  }

  /** The images whose views count for the walk over the disc. */
  counting() {
    const supporting = this.supporting()
    return supporting.length ? supporting : this.shown.filter((index) => index !== null)
  }

  /** Share of the disc seen where there is a picture; the server measures it again. */
  share() {
    const covered = this.supporting().reduce((sum, index) => sum + this.unit.images[index].share_covered, 0)
    return Math.min(this.disc.share(this.supporting()), covered)
  }

  /** The person did something: a longer pause before it was no thinking. */
  act() {
    const now = performance.now()
    if (now - this.lastActAt > IDLE_MS) this.idle += now - this.lastActAt - IDLE_MS
    this.lastActAt = now
  }

  thinkTime() {
    return Math.max(0, (performance.now() - this.startedAt - this.idle) / 1000)
  }

  /** The images as a verdict reports them: those on screen, then those looked at longest. */
  report() {
    const isShown = (index) => this.shown.includes(index)
    const seen = [...this.images].sort(([a, one], [b, other]) => isShown(b) - isShown(a) || other.dwell - one.dwell)
    return seen.slice(0, MOST_IMAGES).map(([index, image]) => ({
      pane: image.pane,
      ...this.named(index),
      zoom: image.zoom ?? null,
      views: image.views,
      dwell_ms: Math.min(image.dwell, 86_400_000),
      n_tiles: image.tiles.size,
      n_tiles_missing: this.nMissing(index),
      sight: image.sight,
      adjustments: image.adjustments,
      was_on_screen_at_verdict: isShown(index),
    }))
  }

  named(index) {
    const { source, key, version, captured_on } = this.unit.images[index]
    return { source, key, version, captured_on }
  }
}
