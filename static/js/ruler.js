// The ruler: from one click to the next, or from the reported point by the arrow keys.

import { bearing, ground } from 'plane'

export class Ruler {
  /** `draw(from, to, words)` puts it on the maps; `say` tells what it reads; `changed(isOn)` when it is taken or put away. */
  constructor({ draw, say, number, changed }) {
    Object.assign(this, { draw, say, number, changed })
    this.isOn = false
    this.clear()
  }

  clear() {
    this.from = this.to = null
    this.isFixed = true // the second end stands; while it does not, it follows the pointer
  }

  start(unit) {
    this.origin = unit?.point
    this.toggle(false)
  }

  toggle(isOn = !this.isOn) {
    this.isOn = isOn && Boolean(this.origin)
    this.clear()
    if (this.origin) this.draw(null, null, '')
    this.changed(this.isOn)
  }

  /** A click: the first end, then the second, then anew. */
  click(metres) {
    if (this.isFixed) Object.assign(this, { from: metres, to: null, isFixed: false })
    else Object.assign(this, { to: metres, isFixed: true })
    this.show(this.isFixed)
  }

  point(metres) {
    if (this.isFixed || !this.from) return
    this.to = metres
    this.show(false)
  }

  /** Arrow keys move the second end; the first is the reported point unless one was clicked. */
  nudge([east, north], step) {
    this.from ??= [0, 0]
    const [fromEast, fromNorth] = this.to ?? this.from
    this.to = [fromEast + east * step, fromNorth + north * step]
    this.isFixed = true
    this.show(true)
  }

  show(isSaid) {
    const words = this.to ? this.reading() : ''
    this.draw(this.from, this.to, words)
    if (isSaid) this.say(words)
  }

  reading() {
    const metres = ground(this.origin, this.from, this.to)
    const [east, north] = [this.to[0] - this.from[0], this.to[1] - this.from[1]]
    const rounded = metres < 100 ? Math.round(metres * 10) / 10 : Math.round(metres)
    return `${this.number.format(rounded)} m, ${Math.round(bearing([east, north])) % 360}°`
  }
}
