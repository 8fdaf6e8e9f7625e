// Brightness, contrast, gamma and false colour. They apply to every pane alike: a stretch of one date only would show a
// change that is not on the ground. They are neutral again on the next unit, and never touch the tiles themselves.

import { check } from 'detail'

const $ = (id) => document.getElementById(id)
const NEUTRAL = { brightness: 1, contrast: 1, gamma: 1, false_colour: 0 }
const RANGES = { brightness: [0.4, 2.5], contrast: [0.4, 3], gamma: [0.4, 2.5] }
const STEP = 0.1

export class Adjust extends EventTarget {
  /** Event: change (detail: whether false colour was switched, so that other tiles are needed). */
  constructor(number) {
    super()
    this.number = number
    this.state = { ...NEUTRAL }
    for (const name of Object.keys(RANGES)) $(`adjust-${name}`).addEventListener('input', ({ target }) => this.set(name, Number(target.value)))
    $('adjust-false_colour').addEventListener('click', () => this.toggleFalseColour())
    $('adjust-reset').addEventListener('click', () => this.reset())
    this.draw()
  }

  set(name, value) {
    const [least, most] = RANGES[name] ?? [0, 1]
    const rounded = Math.round(Math.min(most, Math.max(least, value)) * 100) / 100
    if (rounded === this.state[name]) return
    this.state[name] = rounded
    this.draw()
    this.dispatchEvent(new CustomEvent('change', { detail: name === 'false_colour' }))
  }

  step(name, direction) {
    this.set(name, this.state[name] + direction * STEP)
  }

  toggleFalseColour() {
    if (!$('adjust-false_colour').disabled) this.set('false_colour', 1 - this.state.false_colour)
  }

  reset() {
    const was = this.state
    this.state = { ...NEUTRAL }
    this.draw()
    if (Object.keys(NEUTRAL).some((name) => was[name] !== NEUTRAL[name])) this.dispatchEvent(new CustomEvent('change', { detail: was.false_colour !== 0 }))
  }

  /** Only what differs from the picture as taken; an image without false colour cannot be shown in it. */
  differences(image) {
    const told = Object.entries(this.state).filter(([name, value]) => value !== NEUTRAL[name] && (name !== 'false_colour' || image.has_false_colour))
    return Object.fromEntries(told)
  }

  /** The CSS filter of the tiles. */
  filter() {
    const { brightness, contrast, gamma } = this.state
    const parts = []
    if (brightness !== 1) parts.push(`brightness(${brightness})`)
    if (contrast !== 1) parts.push(`contrast(${contrast})`)
    if (gamma !== 1) parts.push('url(#gamma)')
    return parts.join(' ')
  }

  offerFalseColour(isOffered) {
    $('adjust-false_colour').disabled = !isOffered
  }

  draw() {
    for (const name of Object.keys(RANGES)) {
      $(`adjust-${name}`).value = this.state[name]
      $(`adjust-${name}-value`).textContent = this.number.format(this.state[name])
    }
    check($('adjust-false_colour'), this.state.false_colour === 1)
    for (const channel of document.querySelectorAll('#gamma [exponent]')) channel.setAttribute('exponent', 1 / this.state.gamma)
    const isNeutral = Object.keys(NEUTRAL).every((name) => this.state[name] === NEUTRAL[name])
    $('adjust-open').classList.toggle('on', !isNeutral)
    $('adjust-reset').disabled = isNeutral
  }
}
