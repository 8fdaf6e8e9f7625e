// Two synchronised maps of our own imagery. The only file that touches the map library; it alone flips to (lat, lon).

import { bearing, distance, offset, place } from 'plane'

const L = window.L
const OPENING_ZOOM = 15 // 4.8 m a pixel at the equator: a 10 m pit shows, and a 1,000 m disc fits the pane
const MAX_ZOOM = 20
const SETTLED_MS = 250

const latLng = ([lon, lat]) => L.latLng(lat, lon)
const lonLat = ({ lat, lng }) => [lng, lat]

export class PairedMaps extends EventTarget {
  constructor(elements, words) {
    super()
    this.words = words
    this.maps = elements.map((element) => this.makeMap(element))
    this.layers = elements.map(() => null)
    this.rings = elements.map(() => L.layerGroup())
    this.marks = elements.map(() => L.layerGroup())
    this.maps.forEach((map, pane) => {
      this.rings[pane].addTo(map)
      this.marks[pane].addTo(map)
      map.on('move', () => this.follow(map))
      map.on('moveend', () => this.settle())
      map.on('click', (event) => this.tell('click', this.metres(event.latlng), pane))
      map.on('mousemove', (event) => (this.pointer = event.latlng))
    })
    new ResizeObserver(() => this.maps.forEach((map) => map.invalidateSize({ pan: false }))).observe(elements[0])
  }

  makeMap(element) {
    const map = L.map(element, {
      attributionControl: false,
      zoomControl: false,
      keyboard: false,
      fadeAnimation: false,
      zoomAnimation: false,
      inertia: false,
      doubleClickZoom: false,
      boxZoom: false,
      minZoom: 8,
      maxZoom: MAX_ZOOM,
    })
    L.control.scale({ imperial: false, maxWidth: 140 }).addTo(map)
    return map
  }

  tell(name, ...detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }))
  }

  metres(latlng) {
    return offset(this.unit.point, lonLat(latlng))
  }

  at(metres) {
    return latLng(place(this.unit.point, metres))
  }

  // ---- the unit ----

  /** Show a unit: both maps at its point, rings, grid cell, neighbours. */
  show(unit) {
    this.unit = unit
    this.pointer = null
    this.together(() => this.maps.forEach((map) => map.setView(latLng(unit.point), OPENING_ZOOM, { animate: false })))
    this.rings.forEach((group) => this.drawSurroundings(group.clearLayers()))
    this.marks.forEach((group) => group.clearLayers())
  }

  drawSurroundings(group) {
    const { unit, words } = this
    const [west, south, east, north] = unit.cell
    this.double(group, L.polyline, [[north, west], [north, east], [south, east], [south, west], [north, west]], { dashArray: '10 6' })
    this.label(group, [north, Math.max(west, place(unit.point, [-unit.search_radius_m, 0])[0])], words.gridCell)
    for (const [radius, text] of this.radii()) {
      this.double(group, L.circle, latLng(unit.point), { radius })
      this.label(group, this.at([radius * Math.SQRT1_2, -radius * Math.SQRT1_2]), text)
    }
    if (unit.polygon)
      for (const polygon of unit.polygon)
        this.double(group, L.polygon, polygon.map((ring) => ring.map(latLng)), { dashArray: '4 4' })
    for (const neighbour of unit.neighbours) group.addLayer(this.glyph('neighbour', latLng(neighbour), false))
    group.addLayer(this.glyph('crosshair', latLng(unit.point), false))
  }

  radii() {
    const { tolerance_m, search_radius_m } = this.unit
    const { words } = this
    const metres = (value) => value.toLocaleString(document.documentElement.lang)
    return [
      [tolerance_m, words.tolerance.replace('%s', metres(tolerance_m))],
      [search_radius_m, words.searchRadius.replace('%s', metres(search_radius_m))],
    ]
  }

  /** A shape in both tones, so that it reads on soil, water and canopy. */
  double(group, make, where, options) {
    const still = { interactive: false, ...options }
    group.addLayer(make(where, { ...still, className: 'edge ring', weight: 3, fill: false, color: '#000', opacity: 0.6 }))
    group.addLayer(make(where, { ...still, className: 'line ring', weight: 1.25, fill: false, color: '#fff' }))
  }

  label(group, where, text, kind = '') {
    const words = document.createElement('span')
    words.textContent = text
    const icon = L.divIcon({ className: `ring-label ${kind}`, html: words, iconSize: null, iconAnchor: kind ? [-18, 8] : [-6, 8] })
    group.addLayer(L.marker(where, { icon, interactive: false, keyboard: false }))
  }

  glyph(kind, where, draggable) {
    const icon = L.divIcon({ className: `mark ${kind}`, html: drawGlyph(kind), iconSize: [40, 40], iconAnchor: [20, 20] })
    return L.marker(where, { icon, draggable, interactive: kind === 'moved' || kind === 'other', keyboard: false, bubblingMouseEvents: false })
  }

  // ---- images ----

  /** Put an image (or none) into a pane. */
  setImage(pane, image) {
    this.layers[pane]?.remove()
    this.layers[pane] = null
    this.tell('loading', pane, false)
    if (!image) return
    const count = { tiles: 0, missing: 0 }
    const layer = L.tileLayer(image.tiles, { maxNativeZoom: Math.min(image.max_zoom, MAX_ZOOM), maxZoom: MAX_ZOOM, minZoom: 8, className: 'imagery', keepBuffer: 1, updateWhenIdle: false })
    layer.on('tileload', () => (count.tiles += 1))
    layer.on('tileerror', () => ((count.tiles += 1), (count.missing += 1)))
    layer.on('loading', () => this.tell('loading', pane, true))
    layer.on('load', () => this.tell('loading', pane, false))
    layer.counts = count
    this.layers[pane] = layer.addTo(this.maps[pane])
  }

  counts(pane) {
    return this.layers[pane]?.counts ?? { tiles: 0, missing: 0 }
  }

  /** Fetch and decode the opening view of a unit to come. */
  async prefetch(unit, images) {
    const size = this.maps[0].getSize()
    const centre = L.CRS.EPSG3857.latLngToPoint(latLng(unit.point), OPENING_ZOOM)
    const from = centre.subtract(size.divideBy(2)).divideBy(256).floor()
    const to = centre.add(size.divideBy(2)).divideBy(256).floor()
    const fetched = []
    for (const image of images)
      for (let x = from.x; x <= to.x; x += 1)
        for (let y = from.y; y <= to.y; y += 1) {
          const picture = new Image()
          picture.src = L.Util.template(image.tiles, { z: OPENING_ZOOM, x, y })
          fetched.push(picture.decode().catch(() => null))
        }
    await Promise.all(fetched)
  }

  // ---- looking ----

  together(change) {
    this.following = true
    change()
    this.following = false
    this.settle()
  }

  follow(leader) {
    if (this.following) return
    this.following = true
    for (const map of this.maps)
      if (map !== leader) map.setView(leader.getCenter(), leader.getZoom(), { animate: false })
    this.following = false
  }

  /** Tell the view once it has stood still for a moment. */
  settle() {
    clearTimeout(this.settling)
    this.settling = setTimeout(() => this.unit && this.tell('view', this.view()), SETTLED_MS)
  }

  view() {
    const map = this.maps[0]
    return { zoom: map.getZoom(), bounds: this.maps.map((each) => this.boundsOf(each)), resolution: resolution(map) }
  }

  /** [west, south, east, north] in metres from the reported point. */
  boundsOf(map) {
    const bounds = map.getBounds()
    return [...this.metres(bounds.getSouthWest()), ...this.metres(bounds.getNorthEast())]
  }

  centre() {
    return this.metres(this.maps[0].getCenter())
  }

  lookAt(metres, zoom) {
    const map = this.maps[0]
    map.setView(this.at(metres), zoom ?? Math.max(map.getZoom(), OPENING_ZOOM), { animate: false })
  }

  zoomBy(step) {
    this.maps[0].setZoom(this.maps[0].getZoom() + step, { animate: false })
  }

  pan(east, north) {
    this.maps[0].panBy([east, -north], { animate: false })
  }

  reset() {
    this.maps[0].setView(latLng(this.unit.point), OPENING_ZOOM, { animate: false })
  }

  /** Where the pointer was last, else the middle of the view; metres. */
  pointed() {
    return this.metres(this.pointer ?? this.maps[0].getCenter())
  }

  // ---- marks ----

  /** Draw the mark of a move (or null) and the other mines, all in metres. */
  drawMarks(moved, others) {
    this.marks.forEach((group) => {
      group.clearLayers()
      if (moved) this.drawMove(group, moved)
      others.forEach((other, index) => {
        const mark = this.glyph('other', this.at(other.offset_m), false)
        mark.on('click', () => this.tell('removeOther', index))
        group.addLayer(mark)
      })
    })
  }

  drawMove(group, moved) {
    const line = [latLng(this.unit.point), this.at(moved)]
    group.addLayer(L.polyline(line, { className: 'edge', weight: 4, color: '#000', opacity: 0.6, interactive: false }))
    group.addLayer(L.polyline(line, { className: 'line', weight: 2, color: '#fff', dashArray: '3 4', interactive: false }))
    const words = this.words.metresAway
      .replace('%(metres)s', Math.round(distance(moved)))
      .replace('%(bearing)s', Math.round(bearing(moved)))
      .replace('%%', '%')
    this.label(group, this.at(moved), words, 'distance')
    const mark = this.glyph('moved', this.at(moved), true)
    mark.on('dragend', () => this.tell('dragged', this.metres(mark.getLatLng())))
    group.addLayer(mark)
  }
}

function resolution(map) {
  const lat = (map.getCenter().lat * Math.PI) / 180
  return (156543.033928 * Math.cos(lat)) / 2 ** map.getZoom()
}

const SHAPES = {
  crosshair: ['M20 9a11 11 0 1 0 .01 0M20-10v15M20 35v15M-10 20h15M35 20h15'],
  moved: ['M20 9 31 20 20 31 9 20Z'],
  other: ['M20 11 29 28 11 28Z'],
  neighbour: ['M20 13a7 7 0 1 0 .01 0'],
}

function drawGlyph(kind) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('viewBox', '0 0 40 40')
  svg.setAttribute('width', '40')
  svg.setAttribute('height', '40')
  svg.setAttribute('overflow', 'visible')
  for (const className of ['edge', 'line body'])
    for (const d of SHAPES[kind]) {
      const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
      path.setAttribute('d', d)
      path.setAttribute('class', className)
      svg.append(path)
    }
  return svg
}
