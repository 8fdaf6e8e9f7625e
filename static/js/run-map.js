// The map of a training run: cells coloured by score from tiles that carry numbers, a threshold that recolours them at
// once, and the figures at it. With paired-maps.js and records-map.js the only files that touch the map library.

import { LEFT_OUT, OUTSIDE, Palette, paint, rgb, scoresAt, valueAt } from 'score-tiles'

const L = window.L
const TILE_PX = 256

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** Tiles that are painted here: each keeps its numbers, so that they can be coloured again. */
const ScoreLayer = L.GridLayer.extend({
  initialize(address, palette, options) {
    L.GridLayer.prototype.initialize.call(this, options)
    this.address = address
    this.palette = palette
    this.tiles = new Map() // canvas -> { asking, scores }
    this.on('tileunload', ({ tile }) => this.forget(tile))
  },

  createTile({ x, y, z }, done) {
    const canvas = document.createElement('canvas')
    canvas.width = TILE_PX
    canvas.height = TILE_PX
    const entry = { asking: new AbortController(), scores: null }
    this.tiles.set(canvas, entry)
    scoresAt(this.address.replace('Z', z).replace('X', x).replace('Y', y), entry.asking.signal)
      .then((scores) => {
        entry.scores = scores
        if (scores) paint(canvas, scores, this.palette)
        done(null, canvas)
      })
      .catch((error) => done(error, canvas))
    return canvas
  },

  forget(canvas) {
    this.tiles.get(canvas)?.asking.abort()
    this.tiles.delete(canvas)
  },

  recolour(palette) {
    this.palette = palette
    for (const [canvas, { scores }] of this.tiles) if (scores) paint(canvas, scores, palette)
  },

  /** The step and flags under a pixel of the world at the tiles' zoom: null off the map, undefined where not there yet. */
  under({ x, y }) {
    const column = Math.floor(x / TILE_PX)
    const row = Math.floor(y / TILE_PX)
    const tile = this._tiles[`${column}:${row}:${this._tileZoom}`]
    const entry = tile && this.tiles.get(tile.el)
    if (!entry) return undefined
    return entry.scores ? valueAt(entry.scores, Math.floor(x) - column * TILE_PX, Math.floor(y) - row * TILE_PX) : null
  },
})

class RunMap {
  constructor(section, data) {
    this.section = section
    this.data = data
    this.lang = document.documentElement.lang
    this.layer = new ScoreLayer(data.tiles, this.palette(), { minZoom: 2, maxZoom: data.maxZoom, keepBuffer: 1, updateWhenZooming: false })
    this.layer.on('tileerror', ({ error }) => error?.name !== 'AbortError' && this.say(data.words.failed))
    this.map = this.drawn(section.querySelector('.map'))
    this.map.on('click', ({ latlng }) => this.tell(latlng))
    this.showAreas(data.areas)
    if (data.curve?.length) this.watchThreshold()
  }

  drawn(element) {
    const [west, south, east, north] = this.data.bounds
    const map = L.map(element, {
      attributionControl: false,
      zoomAnimation: false,
      fadeAnimation: false,
      inertia: false,
      minZoom: 2,
      maxZoom: this.data.maxZoom,
      zoomSnap: 0.25,
      zoomDelta: 1,
      maxBounds: [[-90, -180], [90, 180]],
    })
    L.control.scale({ imperial: false, maxWidth: 120 }).addTo(map)
    map.createPane('areas').style.zIndex = 450
    map.fitBounds([[south, west], [north, east]], { padding: [12, 12], animate: false })
    this.layer.addTo(map)
    new ResizeObserver(() => map.invalidateSize({ pan: false })).observe(element)
    return map
  }

  async showAreas(address) {
    const answer = await fetch(address, { credentials: 'same-origin' })
    if (!answer.ok) return
    const style = { pane: 'areas', interactive: false, weight: 1, color: css('--line-strong'), fill: false }
    const renderer = L.canvas({ pane: 'areas', padding: 0.3 })
    L.geoJSON(await answer.json(), { ...style, renderer, style: () => style }).addTo(this.map)
  }

  // ---- colours ----

  step(score) {
    const { low, high, levels } = this.data
    return Math.max(0, Math.min(levels, Math.round(((score - low) / (high - low)) * levels)))
  }

  palette() {
    const colour = (name) => rgb(css(name))
    const { levels } = this.data
    const outside = { paper: colour('--surface'), hatch: colour('--line-strong'), strong: levels + 1 }
    if (this.data.kind === 'difference') {
      const { reach } = this.data
      const stops = [[this.step(-reach), colour('--density-5')], [this.step(-reach / 10), colour('--score-low')], [this.step(reach / 10), colour('--score-low')], [this.step(reach), colour('--score-above')]]
      return new Palette(levels, stops, outside)
    }
    const at = this.data.curve.length ? this.step(this.threshold()) : levels
    const stops = [[0, colour('--score-low')], [at, colour('--score-mid')], [at, colour('--score-above')], [levels, colour('--score-high')]]
    return new Palette(levels, stops, { ...outside, strong: at })
  }

  // ---- the threshold ----

  threshold() {
    return this.data.curve[this.data.at].threshold
  }

  watchThreshold() {
    this.slider = this.section.querySelector('input[type=range]')
    this.box = this.section.querySelector('input[type=number]')
    this.slider.addEventListener('input', () => this.choose(Number(this.slider.value)))
    this.box.addEventListener('change', () => this.choose(this.nearest(Number(this.box.value))))
    this.choose(this.data.at)
  }

  nearest(threshold) {
    const away = this.data.curve.map((entry) => Math.abs(entry.threshold - threshold))
    return away.indexOf(Math.min(...away))
  }

  choose(at) {
    this.data.at = at
    const entry = this.data.curve[at]
    this.slider.value = at
    this.slider.setAttribute('aria-valuetext', this.number(entry.threshold, 3))
    this.slider.style.setProperty('--share', String(at / Math.max(1, this.data.curve.length - 1)))
    this.box.value = entry.threshold.toFixed(3)
    this.fill('n_above', entry.n_above.toLocaleString(this.lang))
    this.quantity('precision', entry.precision)
    this.quantity('recall', entry.recall)
    for (const element of this.section.querySelectorAll('[data-threshold]')) element.textContent = this.number(entry.threshold, 2)
    this.markChart(entry.threshold)
    cancelAnimationFrame(this.painting)
    this.painting = requestAnimationFrame(() => this.layer.recolour(this.palette()))
  }

  markChart(threshold) {
    const line = this.section.querySelector('.curves .at')
    if (!line) return
    const { curve } = this.data
    const first = curve[0].threshold
    const x = ((threshold - first) / (curve.at(-1).threshold - first)) * 100
    line.setAttribute('x1', x)
    line.setAttribute('x2', x)
  }

  fill(name, words) {
    this.section.querySelector(`[data-figure=${name}]`).textContent = words
  }

  quantity(name, { value, low, high, n, reason }) {
    const percent = (share) => Math.round(100 * share).toLocaleString(this.lang)
    this.fill(name, value === null ? '–' : `${percent(value)} %`)
    const parts = [low !== null && high !== null ? `(${percent(low)}–${percent(high)})` : '', value === null ? reason : this.data.words.n.replace('%s', n.toLocaleString(this.lang))]
    this.fill(`${name}-how`, parts.filter(Boolean).join(' '))
  }

  number(value, digits) {
    return value.toLocaleString(this.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits })
  }

  // ---- one cell ----

  tell(latlng) {
    const { words, low, high, levels } = this.data
    const found = this.layer.under(this.map.project(latlng, this.layer._tileZoom))
    if (found === undefined) return
    if (!found) return this.say(words.none)
    const score = low + (found.step / levels) * (high - low)
    const said = [words.cell.replace('%s', this.number(score, 2))]
    if (found.flags & OUTSIDE) said.push(words.outside)
    if (found.flags & LEFT_OUT) said.push(words.leftOut)
    this.say(said.join(' '))
  }

  say(words) {
    this.section.querySelector('[role=status]').textContent = words
  }
}

for (const section of document.querySelectorAll('[data-run-map]')) {
  section.classList.add('has-script')
  for (const part of section.querySelectorAll('.with-script')) part.hidden = false
  for (const table of section.querySelectorAll('details.as-table')) table.open = false
  section.runMap = new RunMap(section, JSON.parse(document.getElementById(section.dataset.runMap).textContent))
}
