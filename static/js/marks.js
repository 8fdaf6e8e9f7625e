// Where the person says mines are: the mark of a move and the further mines, in metres from the reported point.

import { bearing, distance } from 'plane'

const $ = (id) => document.getElementById(id)

export class Marks {
  constructor({ maps, words, number, say, mineType }) {
    Object.assign(this, { maps, words, number, say, mineType })
    this.unit = null
    maps.addEventListener('dragged', ({ detail: [metres] }) => this.set(metres))
    maps.addEventListener('removeOther', ({ detail: [index] }) => {
      this.others.splice(index, 1)
      this.draw()
    })
  }

  /** Begin a unit (or none, at the end of the queue) without marks. */
  start(unit) {
    this.unit = unit
    this.moved = null
    this.others = []
    this.describe()
  }

  set(metres) {
    if (!this.unit) return
    if (metres && distance(metres) > this.unit.search_radius_m) return this.say(this.words.outside, true)
    this.moved = metres
    this.say('')
    this.draw()
  }

  nudge([east, north], step) {
    const [fromEast, fromNorth] = this.moved ?? [0, 0]
    this.set([fromEast + east * step, fromNorth + north * step])
  }

  addOther() {
    if (!this.unit) return
    this.others.push({ offset_m: this.maps.pointed(), mine_type: this.mineType() || 'artisanal' })
    this.draw()
    this.say(this.words.otherMine)
  }

  draw() {
    this.maps.drawMarks(this.moved, this.others)
    this.describe()
  }

  describe() {
    $('move-words').textContent = this.moved ? this.away(this.moved) : this.words.clickFirst
  }

  away(metres) {
    const compass = this.words.compass[Math.round(bearing(metres) / 45) % 8]
    return `${this.number.format(Math.round(distance(metres)))} m ${compass}`
  }
}
