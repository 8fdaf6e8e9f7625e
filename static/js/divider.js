// The divider of two images that lie over each other: dragged, moved by keys and by buttons. Only the part of an image
// on its own side can be seen, and only that part counts as seen.

const $ = (id) => document.getElementById(id)
const STEP = 0.02
const clamp = (share) => Math.min(1, Math.max(0, share))

export class Divider extends EventTarget {
  /** Event: change. */
  constructor(words) {
    super()
    this.words = words
    this.share = 0.5
    this.isOn = false
    this.handle = $('divider')
    this.handle.addEventListener('pointerdown', (event) => this.drag(event))
    this.handle.addEventListener('keydown', (event) => this.key(event))
    for (const button of document.querySelectorAll('[data-divide]')) button.addEventListener('click', () => this.step(Number(button.dataset.divide) * 5))
    new ResizeObserver(() => this.draw()).observe($('panes'))
  }

  set(isOn) {
    this.isOn = isOn
    this.draw()
  }

  move(share) {
    this.share = clamp(share)
    this.draw()
    this.dispatchEvent(new Event('change'))
  }

  step(n) {
    if (this.isOn) this.move(this.share + n * STEP)
  }

  drag(event) {
    const area = $('panes').getBoundingClientRect()
    const ended = new AbortController()
    this.handle.setPointerCapture(event.pointerId)
    this.handle.addEventListener('pointermove', ({ clientX }) => this.move((clientX - area.left) / area.width), ended)
    for (const end of ['pointerup', 'pointercancel']) this.handle.addEventListener(end, () => ended.abort(), ended)
  }

  key(event) {
    const ends = { Home: 0, End: 1 }
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }
    if (event.code in ends) this.move(ends[event.code])
    else if (event.code in steps) this.step(steps[event.code] * (event.shiftKey ? 5 : 1))
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  /** Where it stands, in pixels of an area so wide. */
  x(width) {
    return Math.round(this.share * width)
  }

  draw() {
    const x = this.x($('panes').clientWidth)
    const percent = Math.round(this.share * 100)
    $('divide').hidden = !this.isOn
    $('divide').style.left = `${x}px`
    this.handle.setAttribute('aria-valuenow', percent)
    this.handle.setAttribute('aria-valuetext', this.words.divided.replace('%s', percent).replace('%%', '%'))
    $('map-2').style.clipPath = this.isOn ? `inset(0 0 0 ${x}px)` : ''
  }
}
