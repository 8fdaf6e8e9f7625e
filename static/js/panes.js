// The panes of the page: which image each shows, what its chip says, and what was looked at there.

import { relation } from 'dating'
import { check } from 'detail'
import { Looking } from 'looking'
import { drawTimeline } from 'timeline'

const $ = (id) => document.getElementById(id)

export class Panes {
  constructor({ maps, words, locale, number }) {
    Object.assign(this, { maps, words, locale, number })
    this.elements = [$('pane-1'), $('pane-2')]
    this.look = null // what was seen of the unit on screen
    this.elements.forEach((element, pane) => element.querySelector('.chip').addEventListener('click', (event) => this.pressed(pane, event)))
    maps.addEventListener('view', ({ detail: [view] }) => this.rest(view))
    maps.addEventListener('loading', ({ detail: [pane, isLoading] }) => this.drawLoading(pane, isLoading))
    window.addEventListener('resize', () => this.look && this.drawLine())
  }

  /** Show a unit, or nothing at the end of the queue. */
  show(unit) {
    this.unit = unit
    this.look = unit ? new Looking(unit, [null, null]) : null
    if (!unit) return ($('seen').textContent = '')
    const pair = unit.pair.length === 1 ? [null, unit.pair[0]] : unit.pair
    this.maps.show(unit)
    this.elements.forEach((_, pane) => this.setImage(pane, pair[pane] ?? null))
    $('report').textContent = [this.reportWords(), unit.minerals.join(', '), unit.location_method].filter(Boolean).join(' · ')
    this.describeSeen()
  }

  setImage(pane, index) {
    const { look, maps } = this
    look.leave()
    look.countTiles(pane, maps.counts(pane))
    look.pair[pane] = index
    if (index !== null) look.seen(index)
    maps.setImage(pane, look.image(pane))
    this.elements.forEach((_, each) => this.drawChip(each))
    this.drawLine()
    maps.settle()
  }

  stepDate(pane, step) {
    const index = this.look.neighbour(pane, step)
    if (index !== null) this.setImage(pane, index)
  }

  pressed(pane, { target }) {
    const button = target.closest('button')
    if (!button || !this.look) return
    if (button.dataset.step) this.stepDate(pane, Number(button.dataset.step))
    if (button.dataset.sight) this.setSight(pane, button.dataset.sight)
  }

  setSight(pane, sight) {
    const image = this.look.images.get(this.look.pair[pane])
    if (!image) return
    image.sight = image.sight === sight ? '' : sight
    this.drawChip(pane)
  }

  /** What the panes add to a verdict. */
  report() {
    this.look.leave()
    this.elements.forEach((_, pane) => this.look.countTiles(pane, this.maps.counts(pane)))
    return { images: this.look.report(), think_time_s: this.look.thinkTime() }
  }

  // ---- what the panes say ----

  drawChip(pane) {
    const { look, words, number } = this
    const element = this.elements[pane]
    const image = look.image(pane)
    element.classList.toggle('empty', !image)
    element.querySelector('.no-image').hidden = Boolean(image)
    element.querySelector('.no-image').textContent = words.noImage
    element.querySelector('.date').textContent = image ? this.dateWords(image.captured_on) : '–'
    const resolution = image?.resolution_m ? `${number.format(Math.round(image.resolution_m * 10) / 10)} m` : ''
    const what = image ? [image.name, resolution, relation(image, this.unit.report, words)] : []
    element.querySelector('.what').textContent = what.filter(Boolean).join(' · ')
    element.querySelector('.credit').textContent = image?.attribution ?? ''
    element.querySelector('[data-step="-1"]').disabled = look.neighbour(pane, -1) === null
    element.querySelector('[data-step="1"]').disabled = look.neighbour(pane, 1) === null
    const sight = look.images.get(look.pair[pane])?.sight ?? ''
    element.querySelectorAll('[data-sight]').forEach((button) => check(button, button.dataset.sight === sight))
  }

  drawLoading(pane, isLoading) {
    const element = this.elements[pane]
    clearTimeout(element.timer)
    if (isLoading) element.timer = setTimeout(() => element.classList.add('loading'), 400)
    else element.classList.remove('loading')
  }

  drawLine() {
    const { images, report } = this.unit
    const sentence = [...images.map((image) => this.dateWords(image.captured_on)), this.reportWords()].join(', ')
    drawTimeline($('timeline'), { images, shown: this.look.pair, report, words: this.words, sentence })
  }

  dateWords(iso) {
    if (!iso) return this.words.dateUnknown
    return this.day(iso, { day: 'numeric', month: 'short', year: 'numeric' })
  }

  reportWords() {
    const { date, precision } = this.unit.report
    if (!date) return this.words.reportUndated
    const options = { year: 'numeric' }
    if (precision !== 'year') options.month = 'short'
    if (precision === 'day') options.day = 'numeric'
    const note = this.words.precision[precision]
    return `${this.words.reported} ${this.day(date, options)}${note ? ` (${note})` : ''}`
  }

  day(iso, options) {
    return new Date(`${iso}T00:00:00Z`).toLocaleDateString(this.locale, { ...options, timeZone: 'UTC' })
  }

  // ---- looking ----

  rest(view) {
    if (!this.look) return
    this.look.rest(view)
    this.describeSeen()
  }

  percent(words) {
    return words.replace('%s', Math.floor(this.look.share() * 100)).replace('%%', '%')
  }

  describeSeen() {
    $('seen').textContent = this.percent(this.words.discSeen)
  }

  nextFrame() {
    const target = this.look?.nextFrame(this.maps.centre())
    if (target) this.maps.lookAt(target)
  }
}
