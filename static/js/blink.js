// While a key is held, the other image stands in the place of the active one, so that a change flickers.

export class Blink {
  constructor(panes) {
    this.panes = panes
    this.hides = null // the pane that another one covers: nobody sees it
    this.back = null // what puts everything back
  }

  hold(isHeld) {
    const { look, mode, n } = this.panes
    if (!isHeld) return this.release()
    if (!look || this.back) return
    if (mode === 'swipe') this.moveDivider()
    else if (n > 1) this.cover()
    else this.exchange()
  }

  release() {
    this.back?.()
    this.back = null
  }

  moveDivider() {
    const { active, divider } = this.panes
    const { share } = divider
    this.back = () => divider.move(share)
    divider.move(active ? 1 : 0)
  }

  /** The pane before the active one is drawn over it; both show the same place, so it fits. */
  cover() {
    const { active, elements, maps, n } = this.panes
    const [over, under] = [elements[(active + n - 1) % n], elements[active]]
    const [from, to] = [over.getBoundingClientRect(), under.getBoundingClientRect()]
    this.hides = active
    over.style.transform = `translate(${to.left - from.left}px, ${to.top - from.top}px)`
    over.style.zIndex = 900 // above all that the panes draw
    this.back = () => {
      this.hides = null
      over.style.transform = over.style.zIndex = ''
      maps.settle()
    }
    maps.settle()
  }

  exchange() {
    const { look, unit } = this.panes
    const now = look.shown[0]
    const other = unit.pair.find((index) => index !== now)
    if (other === undefined) return
    this.back = () => this.panes.look === look && this.panes.setImage(0, now)
    this.panes.setImage(0, other)
  }
}
