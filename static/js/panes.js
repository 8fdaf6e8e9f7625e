// The panes of the page: how many there are, which image each shows, what can be seen of it, and what was looked at.

import { Blink } from 'blink'
import { Chip } from 'chip'
import { contextTiles } from 'context'
import { Walk } from 'frames'
import { Looking } from 'looking'
import { covered, judged, opening, refit, widest } from 'pane-choice'
import { address, addresses } from 'tile-store'
import { drawTimeline } from 'timeline'

const $ = (id) => document.getElementById(id)
const USEFUL_M = 5 // labels/rules.py

export class Panes {
  constructor({ elements, maps, store, settings, divider, adjust, context, words, number, dating, say }) {
    Object.assign(this, { elements, maps, store, settings, divider, adjust, context, words, dating, say })
    this.chips = elements.map((element) => new Chip(element, { words, number, dating }))
    this.tiles = [] // which tiles each pane shows, in a word
    this.active = 0
    this.look = null // what was seen of the unit on screen
    this.blink = new Blink(this)
    elements.forEach((element, pane) => {
      element.addEventListener('click', (event) => this.pressed(pane, event))
      for (const name of ['pointerdown', 'focusin']) element.addEventListener(name, () => this.activate(pane))
    })
    maps.addEventListener('view', ({ detail: [view] }) => this.rest(view))
    maps.addEventListener('loading', ({ detail: [pane, isLoading, isNew] }) => this.chips[pane].setLoading(isLoading, isNew))
    maps.addEventListener('missing', ({ detail: [pane, share] }) => this.chips[pane].setMissing(share))
    maps.addEventListener('tile', ({ detail: [pane, name, state] }) => this.look?.countTile(this.look.shown[pane], name, state))
    maps.addEventListener('resized', () => this.look && this.lay())
    settings.addEventListener('change', () => this.look && this.relayout())
    divider.addEventListener('change', () => maps.settle())
    adjust.addEventListener('change', ({ detail: needsTiles }) => this.adjusted(needsTiles))
  }

  /** Show a unit, or nothing at the end of the queue. */
  show(unit) {
    this.blink.hold(false)
    this.unit = unit
    this.tiles = [] // the maps drop all pictures of the unit before
    this.look?.leave()
    this.look = null
    this.settings.begin()
    this.adjust.reset()
    if (!unit) return ($('seen').textContent = '')
    this.look = new Looking(unit)
    this.arrange()
    this.maps.show(unit)
    this.fill(opening(unit, this.n))
    this.active = this.n - 1
    this.lay()
    this.draw()
    $('report').textContent = [this.dating.ofReport(unit.report), unit.minerals.join(', '), unit.location_method].filter(Boolean).join(' · ')
  }

  // ---- how many panes ----

  arrange() {
    const { n, mode } = this.settings.fit(this.unit.images.length)
    Object.assign(this, { n, mode })
    this.elements.forEach((element, pane) => (element.hidden = pane >= n))
    $('panes').dataset.layout = mode === 'swipe' ? 'swipe' : n
    this.divider.set(mode === 'swipe')
    this.tiles.length = Math.min(this.tiles.length, n)
    this.maps.use(n)
  }

  /** The person chose another layout: the images in view stay as far as they fit. */
  relayout() {
    const kept = this.look.shown[this.active] ?? null
    this.look.leave()
    const shown = this.look.shown
    this.arrange()
    this.fill(refit(this.unit, shown, kept, this.n))
    this.active = Math.max(0, this.look.shown.indexOf(kept))
    this.lay()
    this.draw()
  }

  fill(indexes) {
    this.look.shown = []
    indexes.forEach((index, pane) => this.put(pane, index))
    this.look.dropTiles()
  }

  put(pane, index) {
    const { look } = this
    look.show(pane, index)
    const image = look.image(pane)
    const how = { isLight: this.settings.isLight, isFalseColour: this.adjust.state.false_colour === 1 }
    const shown = image && `${this.unit.unit} ${address(image, how)}`
    look.noteAdjustments((each) => this.adjust.differences(each))
    if (shown && shown === this.tiles[pane]) return
    this.tiles[pane] = shown
    this.maps.setImage(pane, image, image && addresses(this.unit, image, how))
  }

  /** Work out the frames of the walk for panes of this size. */
  lay() {
    const { box } = this.walkedBox()
    const resolution = this.maps.walkingResolution()
    this.walk = new Walk(this.unit.search_radius_m, [(box[2] - box[0]) * resolution, (box[3] - box[1]) * resolution], this.look.disc)
    this.describeSeen()
    this.maps.settle()
  }

  // ---- which image ----

  setImage(pane, index) {
    this.look.leave()
    this.put(pane, index)
    this.look.dropTiles()
    this.draw()
    this.maps.settle()
  }

  /** Step the active pane through the dates, or the pane before it. */
  stepDate(step, isOther = false) {
    const pane = isOther && this.n > 1 ? (this.active + this.n - 1) % this.n : this.active
    this.stepPane(pane, step)
  }

  stepPane(pane, step) {
    const index = this.look.neighbour(pane, step)
    if (index === null) return
    this.setImage(pane, index)
    this.say(this.words.nowShows.replace('%(pane)s', pane + 1).replace('%(date)s', this.dating.ofImage(this.look.image(pane))))
  }

  activate(pane) {
    if (!this.look || pane >= this.n || pane === this.active) return
    this.active = pane
    this.draw()
  }

  /** The next pane becomes the active one; in light mode the first press asks for the other images. */
  nextPane() {
    if (this.settings.isLight && this.n === 1) return this.settings.widen()
    this.activate((this.active + 1) % this.n)
    this.say(this.words.nowActive.replace('%(pane)s', this.active + 1).replace('%(date)s', this.look.image(this.active) ? this.dating.ofImage(this.look.image(this.active)) : ''))
  }

  pressed(pane, { target }) {
    const button = target.closest('button')
    if (!button || !this.look) return
    if (button.dataset.step) this.stepPane(pane, Number(button.dataset.step))
    if (button.dataset.sight) this.setSight(pane, button.dataset.sight)
    if (button.matches('.retry')) this.maps.retry(pane)
    if (button.matches('.widen')) this.settings.widen()
  }

  setSight(pane, sight) {
    const image = this.look.images.get(this.look.shown[pane])
    if (!image) return
    image.sight = image.sight === sight ? '' : sight
    this.draw()
  }

  // ---- brightness and the like ----

  adjusted(needsTiles) {
    this.maps.filter(this.adjust.filter())
    if (!this.look) return
    if (needsTiles) this.look.shown.forEach((index, pane) => this.put(pane, index))
    this.look.noteAdjustments((image) => this.adjust.differences(image))
  }

  // ---- units to come ----

  /** Fetch and decode the opening view of a unit to come: just the tiles that will be shown. */
  prefetch(unit) {
    const { settings } = this
    const { n } = settings.fit(unit.images.length, false)
    const images = opening(unit, n).filter((index) => index !== null).map((index) => unit.images[index])
    const urls = images.flatMap((image) => {
      const tiles = this.maps.openingTiles(unit.point, image.max_zoom)
      return tiles.map(addresses(unit, image, { isLight: settings.isLight })).map(({ url }) => url)
    })
    if (settings.hasContext && widest(unit)) urls.push(...contextTiles(unit, widest(unit)).map(({ url }) => url))
    return this.store.fetch(new Set(urls))
  }

  // ---- what the panes say ----

  draw() {
    const { look, unit } = this
    this.elements.forEach((element, pane) => {
      if (pane >= this.n) return
      const sight = look.images.get(look.shown[pane])?.sight ?? ''
      const steps = [look.neighbour(pane, -1) !== null, look.neighbour(pane, 1) !== null]
      this.chips[pane].draw(look.image(pane), { report: unit.report, steps, sight })
      element.classList.toggle('active', this.n > 1 && pane === this.active)
      element.querySelector('.widen').hidden = !(this.settings.isLight && this.n === 1 && unit.images.length > 1)
    })
    this.adjust.offerFalseColour(look.shown.some((index) => index !== null && unit.images[index].has_false_colour))
    this.context.show(unit, this.settings.hasContext ? widest(unit) : null)
    this.context.draw(this.maps.extent(), this.walk)
    this.drawLine()
  }

  drawLine() {
    const { images, report } = this.unit
    const sentence = [...images.map((image) => this.dating.ofImage(image)), this.dating.ofReport(report)].join(', ')
    drawTimeline($('timeline'), { images, shown: this.look.shown, report, words: this.words, sentence })
  }

  // ---- looking ----

  /** Which boxes of a pane's pixels can be seen: not what lies beyond the divider, under the inset or another pane. */
  visible(pane) {
    const [width, height] = this.maps.size(pane)
    if (this.blink.hides === pane) return []
    const x = this.mode === 'swipe' ? this.divider.x(width) : null
    const whole = x === null ? [0, 0, width, height] : pane ? [x, 0, width, height] : [0, 0, x, height]
    const boxes = this.context.isOpen ? covered(whole, this.insetOver(pane)) : [whole]
    return boxes.filter(([left, top, right, bottom]) => right > left && bottom > top)
  }

  insetOver(pane) {
    const [area, inset] = [this.elements[pane].getBoundingClientRect(), this.context.element.getBoundingClientRect()]
    return [inset.left - area.left, inset.top - area.top, inset.right - area.left, inset.bottom - area.top]
  }

  /** The largest visible box of the pane whose image counts for the walk. */
  walkedBox() {
    const { look } = this
    const counts = look.shown.map((index) => index !== null && look.maySupport(index))
    const pane = Math.max(0, counts.lastIndexOf(true))
    const size = ([left, top, right, bottom]) => (right - left) * (bottom - top)
    const box = this.visible(pane).reduce((most, each) => (size(each) > size(most) ? each : most), [0, 0, 0, 0])
    return { pane, box: size(box) ? box : [0, 0, ...this.maps.size(pane)] }
  }

  /** A view has come to rest; one in the background or under a dialog or list is not looked at. */
  rest(view) {
    if (!this.look || document.visibilityState !== 'visible' || document.querySelector('dialog[open], #view[open], #more[open]')) return
    this.look.rest(this.settings.isLight ? { ...view, boxes: view.boxes.map((boxes) => judged(this.unit, boxes)) } : view)
    this.describeSeen()
  }

  /** Something covers the panes, or went away again. */
  pause(isPaused) {
    if (isPaused) this.look?.leave()
    else this.maps.settle()
  }

  percent(words) {
    return words.replace('%s', Math.floor(this.look.share() * 100)).replace('%%', '%')
  }

  describeSeen() {
    const { look, walk, words } = this
    walk.tick(look.counting())
    const frames = words.framesSeen.replace('%(seen)s', walk.nSeen).replace('%(all)s', walk.frames.length)
    $('seen').textContent = [this.percent(words.discSeen), walk.frames.length > 1 ? frames : ''].filter(Boolean).join(' · ')
    this.context.draw(this.maps.extent(), walk)
  }

  /** Go to the next part of the disc that was not seen. */
  nextFrame() {
    if (!this.look) return
    const frame = this.walk.next()
    if (!frame) return this.say(this.words.allSeen, true)
    const { pane, box } = this.walkedBox()
    this.maps.lookAt([frame.east, frame.north], { pane, pixel: [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] })
    const isCoarse = this.look.counting().every((index) => this.unit.images[index].resolution_m > USEFUL_M)
    this.say(isCoarse ? this.words.tooCoarse : this.words.frame.replace('%(n)s', this.walk.at + 1).replace('%(all)s', this.walk.frames.length), isCoarse)
  }

  /** The reason that an unsure most likely has. */
  suggestion() {
    const shown = this.chips.slice(0, this.n)
    const lacks = shown.some((chip) => chip.image && chip.lacksMuch) || shown.every((chip) => !chip.image)
    return lacks ? 'no_image' : ''
  }

  /** What the panes add to a verdict. */
  report() {
    this.look.leave()
    const { n, mode } = this
    return { images: this.look.report(), think_time_s: this.look.thinkTime(), layout: { panes: n, mode, light: this.settings.isLight } }
  }
}
