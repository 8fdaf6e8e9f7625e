// One to four synchronised maps of our own imagery. The page's only file that touches the map library; it alone flips
// to (lat, lon). Everything else speaks metres from the reported point.

import { drawGlyph } from 'glyphs'
import { metresAPixel } from 'mercator'
import { bearing, distance, offset, place } from 'plane'
import { TilePane } from 'tile-pane'

const L = window.L
const OPENING_ZOOM = 15 // 4.8 m a pixel at the equator: a 10 m pit shows, and a 1,000 m disc fits the pane
const MAX_ZOOM = 20
const SETTLED_MS = 250
const RANGE_RINGS_M = [100, 250, 500, 1000]

const latLng = ([lon, lat]) => L.latLng(lat, lon)
const lonLat = ({ lat, lng }) => [lng, lat]

export class PairedMaps extends EventTarget {
  /** `visible(pane)` tells which boxes of a pane can be seen: [left, top, right, bottom] in pixels. */
  constructor(elements, { words, store, visible }) {
    super()
    Object.assign(this, { words, store, visible })
    this.elements = elements
    this.maps = elements.map((element) => this.makeMap(element))
    this.tiles = this.maps.map((map, pane) => new TilePane(L, map, store, (name, ...detail) => (name === 'settled' ? this.settle() : this.tell(name, pane, ...detail))))
    this.surroundings = this.maps.map((map) => L.layerGroup().addTo(map))
    this.marks = this.maps.map((map) => L.layerGroup().addTo(map))
    this.rulers = this.maps.map((map) => L.layerGroup().addTo(map))
    this.n = elements.length // panes in use, the first ones
    const resized = new ResizeObserver(() => this.resized())
    for (const element of elements) resized.observe(element)
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
    map.on('move', () => this.follow(map))
    map.on('moveend', () => this.settle())
    map.on('click', (event) => this.tell('click', this.metres(event.latlng)))
    map.on('mousemove', (event) => this.tell('pointed', this.metres(event.latlng)))
    element.addEventListener('pointermove', ({ pointerType, clientX, clientY }) => {
      // Where on the screen, not on the ground: the ground moves under a pointer that rests. A finger does not rest.
      if (pointerType !== 'touch') this.pointer = { map, clientX, clientY }
    })
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

  get inUse() {
    return this.maps.slice(0, this.n)
  }

  // ---- the unit ----

  /** Show a unit: the maps at its point, rings, grid cell, neighbours. */
  show(unit) {
    this.unit = unit
    for (const tiles of this.tiles) tiles.show(null) // the last unit's images are not wanted here
    this.look([latLng(unit.point), OPENING_ZOOM])
    for (const group of [...this.surroundings, ...this.marks, ...this.rulers]) group.clearLayers()
    this.inUse.forEach((_, pane) => this.drawSurroundings(this.surroundings[pane]))
  }

  /** Use the first n panes; those that come into use show what the others show. */
  use(n) {
    this.tiles.forEach((tiles, pane) => pane >= n && tiles.show(null))
    this.n = n
    this.measure()
    if (!this.unit) return
    this.surroundings.forEach((group, pane) => {
      if (pane >= n) [group, this.marks[pane], this.rulers[pane]].forEach((each) => each.clearLayers())
      else if (!group.getLayers().length) this.drawSurroundings(group)
    })
  }

  /** A pane has another size: its middle stays where it was. */
  resized() {
    this.measure()
    this.tell('resized')
  }

  measure() {
    this.following = true // that a pane has another size moves no other
    for (const map of this.inUse) map.invalidateSize({ pan: false })
    this.following = false
    if (this.unit) this.look(this.looksAt)
  }

  drawSurroundings(group) {
    const { unit, words } = this
    const [west, south, east, north] = unit.cell
    this.double(group, L.polyline, [[north, west], [north, east], [south, east], [south, west], [north, west]], { dashArray: '10 6' })
    this.label(group, [north, Math.max(west, place(unit.point, [-unit.search_radius_m, 0])[0])], words.gridCell)
    for (const [radius, text, kind] of this.radii()) {
      this.double(group, L.circle, latLng(unit.point), { radius }, kind)
      this.label(group, this.at([radius * Math.SQRT1_2, -radius * Math.SQRT1_2]), text, kind)
    }
    if (unit.polygon)
      for (const polygon of unit.polygon)
        this.double(group, L.polygon, polygon.map((ring) => ring.map(latLng)), { dashArray: '4 4' })
    for (const neighbour of unit.neighbours) group.addLayer(this.glyph('neighbour', latLng(neighbour), false))
    group.addLayer(this.glyph('crosshair', latLng(unit.point), false))
  }

  /** The tolerance, the search radius, and between them the round distances that lie inside. */
  radii() {
    const { tolerance_m, search_radius_m } = this.unit
    const { words } = this
    const metres = (value) => value.toLocaleString(document.documentElement.lang)
    const ranges = RANGE_RINGS_M.filter((radius) => radius < search_radius_m && radius !== tolerance_m)
    return [
      [tolerance_m, words.tolerance.replace('%s', metres(tolerance_m)), ''],
      [search_radius_m, words.searchRadius.replace('%s', metres(search_radius_m)), ''],
      ...ranges.map((radius) => [radius, words.range.replace('%s', metres(radius)), 'range']),
    ]
  }

  /** A shape in both tones, so that it reads on soil, water and canopy. */
  double(group, make, where, options, kind = '') {
    const still = { interactive: false, ...options }
    group.addLayer(make(where, { ...still, className: `edge ring ${kind}`, weight: 3, fill: false, color: '#000', opacity: 0.6 }))
    group.addLayer(make(where, { ...still, className: `line ring ${kind}`, weight: 1.25, fill: false, color: '#fff' }))
  }

  label(group, where, text, kind = '') {
    const words = document.createElement('span')
    words.textContent = text
    const anchor = kind === 'distance' ? -18 : kind === 'distance west' ? 18 : -6
    const icon = L.divIcon({ className: `ring-label ${kind}`, html: words, iconSize: null, iconAnchor: [anchor, 8] })
    group.addLayer(L.marker(where, { icon, interactive: false, keyboard: false }))
  }

  glyph(kind, where, draggable) {
    const icon = L.divIcon({ className: `mark ${kind}`, html: drawGlyph(kind), iconSize: [40, 40], iconAnchor: [20, 20] })
    return L.marker(where, { icon, draggable, interactive: kind === 'moved' || kind === 'other', keyboard: false, bubblingMouseEvents: false })
  }

  // ---- images ----

  /** Put an image (or none) into a pane; `tileAt` tells what stands at each tile. */
  setImage(pane, image, tileAt) {
    this.tiles[pane].show(image && { tileAt, maxNativeZoom: Math.min(image.max_zoom, MAX_ZOOM), maxZoom: MAX_ZOOM })
  }

  retry(pane) {
    this.tiles[pane].retry()
  }

  /** The CSS filter of every pane's tiles. */
  filter(text) {
    for (const map of this.maps) map.getPane('tilePane').style.filter = text
  }

  /** Tiles of the opening view at a point, just those that the panes will ask for of an image: {z, x, y}. */
  openingTiles(point, maxZoom) {
    const z = Math.min(OPENING_ZOOM, maxZoom)
    const half = this.maps[0].getSize().divideBy(2 ** (OPENING_ZOOM - z) * 2)
    const centre = L.CRS.EPSG3857.latLngToPoint(latLng(point), z).floor() // as the library rounds it
    const first = centre.subtract(half).divideBy(256).floor()
    const last = centre.add(half).divideBy(256).ceil()
    const found = []
    for (let x = first.x; x < last.x; x += 1) for (let y = first.y; y < last.y; y += 1) found.push({ z, x, y })
    return found
  }

  // ---- looking ----

  /** Turn every pane to [centre, zoom]. */
  look(where) {
    this.looksAt = where
    this.following = true
    for (const map of this.inUse) map.setView(...where, { animate: false })
    this.following = false
    this.settle()
  }

  follow(leader) {
    if (this.following || !this.inUse.includes(leader)) return
    this.looksAt = [leader.getCenter(), leader.getZoom()]
    this.following = true
    for (const map of this.inUse) if (map !== leader) map.setView(...this.looksAt, { animate: false })
    this.following = false
  }

  /** Tell the view once it has stood still for a moment. */
  settle() {
    clearTimeout(this.settling)
    this.settling = setTimeout(() => this.unit && this.tell('view', this.view()), SETTLED_MS)
  }

  /** Where a pane's picture has not come, nothing is seen. */
  view() {
    const map = this.maps[0]
    const seen = (pane) => (this.tiles[pane].isSeen ? this.visible(pane) : [])
    return { zoom: map.getZoom(), resolution: metresAPixel(map.getCenter().lat, map.getZoom()), boxes: this.inUse.map((_, pane) => seen(pane).map((box) => this.onGround(pane, box))) }
  }

  /** A box of a pane's pixels as [west, south, east, north] in metres. */
  onGround(pane, [left, top, right, bottom]) {
    const at = (x, y) => this.metres(this.maps[pane].containerPointToLatLng([x, y]))
    return [...at(left, bottom), ...at(right, top)]
  }

  size(pane) {
    const { x, y } = this.maps[pane].getSize()
    return [x, y]
  }

  /** [west, south, east, north] of the whole first pane. */
  extent() {
    return this.onGround(0, [0, 0, ...this.size(0)])
  }

  centre() {
    return this.metres(this.maps[0].getCenter())
  }

  /** Turn the panes so that the place, in metres, stands at a pixel of the pane (its middle unless said). */
  lookAt(metres, { zoom = OPENING_ZOOM, pane = 0, pixel = null } = {}) {
    const map = this.maps[pane]
    const shift = pixel ? map.getSize().divideBy(2).subtract(pixel) : L.point(0, 0)
    this.look([map.unproject(map.project(this.at(metres), zoom).add(shift), zoom), zoom])
  }

  /** Metres a pixel at the zoom at which the disc is walked. */
  walkingResolution() {
    return metresAPixel(this.unit.point[1], OPENING_ZOOM)
  }

  zoomBy(step) {
    this.maps[0].setZoom(this.maps[0].getZoom() + step, { animate: false })
  }

  pan(east, north) {
    this.maps[0].panBy([east, -north], { animate: false })
  }

  reset() {
    this.look([latLng(this.unit.point), OPENING_ZOOM])
  }

  /** Where the pointer was last, else the middle of the view; metres. */
  pointed() {
    const map = this.inUse.includes(this.pointer?.map) ? this.pointer.map : null
    return this.metres(map ? map.mouseEventToLatLng(this.pointer) : this.maps[0].getCenter())
  }

  // ---- marks ----

  /** Draw the mark of a move (or null) and the other mines, all in metres. */
  drawMarks(moved, others) {
    this.marks.slice(0, this.n).forEach((group) => {
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
    this.dotted(group, [latLng(this.unit.point), this.at(moved)])
    const words = this.words.metresAway
      .replace('%(metres)s', Math.round(distance(moved)))
      .replace('%(bearing)s', Math.round(bearing(moved)))
      .replace('%%', '%')
    this.label(group, this.at(moved), words, away(moved, [0, 0]))
    const mark = this.glyph('moved', this.at(moved), true)
    mark.on('dragend', () => this.tell('dragged', this.metres(mark.getLatLng())))
    group.addLayer(mark)
  }

  /** The ruler from one place to another, in metres, with what it reads; nothing without a first place. */
  drawRuler(from, to, words) {
    this.rulers.slice(0, this.n).forEach((group) => {
      group.clearLayers()
      if (!from) return
      for (const end of to ? [from, to] : [from]) group.addLayer(this.glyph('end', this.at(end), false))
      if (!to) return
      this.dotted(group, [this.at(from), this.at(to)])
      this.label(group, this.at(to), words, away(to, from))
    })
  }

  dotted(group, line) {
    group.addLayer(L.polyline(line, { className: 'edge', weight: 4, color: '#000', opacity: 0.6, interactive: false }))
    group.addLayer(L.polyline(line, { className: 'line', weight: 2, color: '#fff', dashArray: '3 4', interactive: false }))
  }
}

/** On which side of an end its label stands: away from the other end. */
const away = ([east], [fromEast]) => (east < fromEast ? 'distance west' : 'distance')
