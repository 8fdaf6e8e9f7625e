// What was really looked at for one unit: which images, which views of them, for how long, how much of the search disc.

import { predates } from 'dating'
import { Disc } from 'disc'

const IDLE_MS = 60_000 // a pause longer than this is no thinking time
const MOST_VIEWS = 200
const LIMIT_M = 60_000 // labels/api.py refuses farther offsets

/** Metres as they are sent: to the centimetre, within what the server takes. */
export const sendable = (metres) => Math.round(Math.max(-LIMIT_M, Math.min(LIMIT_M, metres)) * 100) / 100

export class Looking {
  constructor(unit, pair) {
    this.unit = unit
    this.pair = pair // index of the image in the left and the right pane, or null
    this.disc = new Disc(unit.search_radius_m)
    this.images = new Map() // index of image -> what was seen of it
    this.view = null
    this.startedAt = this.settledAt = this.lastActAt = performance.now()
    this.idle = 0
  }

  image(pane) {
    return this.pair[pane] === null ? null : this.unit.images[this.pair[pane]]
  }

  seen(index) {
    if (!this.images.has(index)) this.images.set(index, { views: [], dwell: 0, sight: '', tiles: 0, missing: 0 })
    return this.images.get(index)
  }

  /** The next image in that direction which the other pane does not show. */
  neighbour(pane, step) {
    const from = this.pair[pane] ?? -1
    for (let index = from + step; index >= 0 && index < this.unit.images.length; index += step)
      if (index !== this.pair[1 - pane]) return index
    return null
  }

  /** A view has come to rest on both panes. */
  rest(view) {
    this.leave()
    this.view = view
    this.settledAt = performance.now()
    this.pair.forEach((index, pane) => {
      if (index !== null) this.disc.look(index, view.bounds[pane], view.resolution, this.unit.images[index].resolution_m)
    })
  }

  /** Book the time on screen of the view that ends now. */
  leave() {
    if (!this.view) return
    const ms = Math.round(performance.now() - this.settledAt)
    this.pair.forEach((index, pane) => {
      if (index === null) return
      const image = this.seen(index)
      image.dwell += ms
      const view = { bounds: this.view.bounds[pane].map(sendable), zoom: this.view.zoom, ms }
      if (image.views.length < MOST_VIEWS) image.views.push(view)
    })
    this.view = null
  }

  /** Take over the counts of a pane's tiles. */
  countTiles(pane, counts) {
    const image = this.images.get(this.pair[pane])
    if (!image) return
    image.tiles += counts.tiles
    image.missing += counts.missing
    counts.tiles = counts.missing = 0
  }

  /** Indexes of the images looked at that can support a reject. */
  supporting() {
    return [...this.images.keys()].filter((index) => !predates(this.unit.images[index], this.unit.report.ends))
  }

  /** Share of the disc seen where there is a picture; the server measures it again. */
  share() {
    const covered = this.supporting().reduce((sum, index) => sum + this.unit.images[index].share_covered, 0)
    return Math.min(this.disc.share(this.supporting()), covered)
  }

  nextFrame(centre) {
    const shown = this.pair.filter((index) => index !== null)
    return this.disc.nextUnseen(this.supporting().length ? this.supporting() : shown, centre)
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

  /** The images as a verdict reports them. */
  report() {
    return [...this.images].map(([index, image]) => {
      const pane = this.pair.indexOf(index)
      return {
        pane: pane < 0 ? 1 : pane + 1,
        source: this.unit.images[index].source,
        captured_on: this.unit.images[index].captured_on,
        zoom: image.views.at(-1)?.zoom ?? null,
        views: image.views,
        dwell_ms: Math.min(image.dwell, 86_400_000),
        n_tiles: image.tiles,
        n_tiles_missing: image.missing,
        sight: image.sight,
        was_on_screen_at_verdict: pane >= 0,
      }
    })
  }
}
