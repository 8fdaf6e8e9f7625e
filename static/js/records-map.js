// Records on a map of our own areas: squares with their counts, or points. Beside paired-maps.js the only file that
// touches the map library; it alone flips to (lat, lon).

const L = window.L
const SETTLED_MS = 120
const LABELLED_SQUARES = 400
const LABELLED_PX = 24 // a narrower square has no room for its count
const LISTED = 12
const CLASSES = [1, 10, 100, 1000, 10000]

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
const latLng = ([lon, lat]) => L.latLng(lat, lon)
const clamp = (value, most) => Math.max(-most, Math.min(most, value))
const classOf = (n) => CLASSES.filter((least) => n >= least).length - 1

class RecordsMap {
  constructor(section, data) {
    this.section = section
    this.data = data
    this.lang = document.documentElement.lang
    this.shades = CLASSES.map((_, index) => css(`--density-${index + 1}`))
    this.map = L.map(section.querySelector('.map'), {
      attributionControl: false,
      preferCanvas: true,
      zoomAnimation: false,
      fadeAnimation: false,
      inertia: false,
      maxZoom: 18,
      minZoom: 2,
      maxBounds: [[-90, -180], [90, 180]],
      zoomSnap: 1,
    })
    L.control.scale({ imperial: false, maxWidth: 120 }).addTo(this.map)
    this.map.createPane('areas').style.zIndex = 300
    this.map.createPane('names').style.zIndex = 350
    this.shown = L.layerGroup().addTo(this.map)
    this.labels = L.layerGroup().addTo(this.map)
    new ResizeObserver(() => this.map.invalidateSize({ pan: false })).observe(section.querySelector('.map'))
  }

  start() {
    const { bounds, areas, source, features } = this.data
    const [west, south, east, north] = bounds ?? [-20, -35, 55, 38]
    this.map.fitBounds([[south, west], [north, east]], { padding: [18, 18], maxZoom: this.data.maxZoom ?? 14, animate: false })
    if (areas) this.showAreas(areas)
    if (features) this.draw(features)
    this.map.on('zoomend', () => this.labelSquares())
    if (!source) return
    this.map.on('moveend', () => this.settle())
    this.fetchView()
  }

  async showAreas(address) {
    const answer = await fetch(address, { credentials: 'same-origin' })
    if (!answer.ok) return
    const outlines = await answer.json()
    const style = { pane: 'areas', interactive: false, weight: 1, color: css('--line-strong'), fillColor: css('--surface'), fillOpacity: 1 }
    L.geoJSON(outlines, { ...style, renderer: L.canvas({ pane: 'areas', padding: 0.3 }), style: () => style }).addTo(this.map)
    if (outlines.features.length > 40) return
    for (const { properties } of outlines.features) this.text(this.map, properties.at, properties.name, 'area-name', 'names')
  }

  text(group, where, words, className, pane = 'markerPane') {
    const said = document.createElement('span')
    said.textContent = words
    const icon = L.divIcon({ className, html: said, iconSize: null })
    L.marker(latLng(where), { icon, pane, interactive: false, keyboard: false }).addTo(group)
  }

  settle() {
    clearTimeout(this.settling)
    this.settling = setTimeout(() => this.fetchView(), SETTLED_MS)
  }

  async fetchView() {
    this.asking?.abort()
    this.asking = new AbortController()
    try {
      const answer = await fetch(this.addressOfView(), { signal: this.asking.signal, credentials: 'same-origin' })
      if (answer.ok) this.draw(await answer.json())
      else this.say(this.data.words.failed)
    } catch (error) {
      if (error.name !== 'AbortError') this.say(this.data.words.failed)
    }
  }

  addressOfView() {
    const bounds = this.map.getBounds()
    const box = [clamp(bounds.getWest(), 180), clamp(bounds.getSouth(), 90), clamp(bounds.getEast(), 180), clamp(bounds.getNorth(), 90)]
    const address = new URL(this.data.source, window.location.href)
    address.searchParams.set('bbox', box.map((degrees) => degrees.toFixed(5)).join(','))
    address.searchParams.set('zoom', String(this.map.getZoom()))
    return address
  }

  draw(collection) {
    this.shown.clearLayers()
    const isSquares = collection.square_deg > 0
    const features = isSquares ? [...collection.features].sort((a, b) => b.properties.n - a.properties.n) : collection.features
    for (const feature of features) isSquares ? this.square(feature, collection.square_deg) : this.point(feature)
    this.squares = isSquares ? { features, side: collection.square_deg } : null
    this.labelSquares()
    this.legend(isSquares)
    this.list(features, isSquares)
    this.say(this.sentence(collection, isSquares))
  }

  square({ geometry, properties }, side) {
    const [lon, lat] = geometry.coordinates
    const half = side / 2
    const fillColor = this.shades[classOf(properties.n)]
    const box = L.rectangle([[lat - half, lon - half], [lat + half, lon + half]], { weight: 0.5, color: css('--surface'), fillColor, fillOpacity: 0.85 })
    box.bindTooltip(this.records(properties.n), { direction: 'top' })
    box.on('click', () => this.closer(geometry.coordinates))
    this.shown.addLayer(box)
  }

  labelSquares() {
    this.labels.clearLayers()
    const { features, side } = this.squares ?? {}
    if (!features || features.length > LABELLED_SQUARES || (side / 360) * 256 * 2 ** this.map.getZoom() < LABELLED_PX) return
    for (const feature of features) this.count(feature)
  }

  count({ geometry, properties }) {
    const short = new Intl.NumberFormat(this.lang, { notation: 'compact', maximumFractionDigits: 0 }).format(properties.n)
    this.text(this.labels, geometry.coordinates, short, classOf(properties.n) > 1 ? 'count on-dark' : 'count')
  }

  point({ geometry, properties }) {
    const isHere = properties.kind === 'here'
    const color = css('--surface')
    const fillColor = isHere ? css('--ink') : properties.kind === 'other' ? css('--density-3') : css('--density-5')
    const mark = L.circleMarker(latLng(geometry.coordinates), { radius: isHere ? 8 : 5, weight: 1.5, color, fillColor, fillOpacity: 0.95 })
    if (properties.name) mark.bindTooltip(this.said(properties.name), { direction: 'top' })
    if (properties.id && !isHere) mark.on('click', () => window.location.assign(this.pageOf(properties.id)))
    this.shown.addLayer(mark)
  }

  said(words) {
    const element = document.createElement('span')
    element.textContent = words
    return element
  }

  pageOf(id) {
    return this.data.record.replace('RECORD', id)
  }

  closer(where) {
    this.map.setView(latLng(where), this.map.getZoom() + 2, { animate: false })
  }

  // ---- the same in words ----

  records(n) {
    const words = new Intl.PluralRules(this.lang).select(n) === 'one' ? this.data.words.record : this.data.words.records
    return words.replace('%s', n.toLocaleString(this.lang))
  }

  sentence(collection, isSquares) {
    const { words } = this.data
    if (!collection.n) return words.none
    return (isSquares ? words.asSquares : words.asPoints).replace('%s', this.records(collection.n))
  }

  say(words) {
    this.section.querySelector('[role=status]').textContent = words
  }

  legend(isSquares) {
    this.section.querySelector('.density').hidden = !isSquares
  }

  /** What is in view, for who does not point: the fullest squares to go nearer to, or the records. */
  list(features, isSquares) {
    const list = this.section.querySelector('.in-view ul')
    if (!list) return
    list.replaceChildren(...features.slice(0, LISTED).map((feature) => this.entry(feature, isSquares)))
    list.closest('details').hidden = !features.length
  }

  entry({ geometry, properties }, isSquares) {
    const item = document.createElement('li')
    const part = document.createElement(isSquares ? 'button' : 'a')
    if (isSquares) {
      part.type = 'button'
      part.className = 'link'
      part.textContent = this.data.words.nearer.replace('%s', this.records(properties.n))
      part.addEventListener('click', () => this.closer(geometry.coordinates))
    } else {
      part.textContent = properties.name
      if (properties.id) part.href = this.pageOf(properties.id)
    }
    item.append(part)
    return item
  }
}

for (const section of document.querySelectorAll('[data-records-map]')) {
  section.hidden = false
  new RecordsMap(section, JSON.parse(document.getElementById(section.dataset.recordsMap).textContent)).start()
}
