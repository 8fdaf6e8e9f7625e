// The buttons that choose how to look: the View list, the rings, the ruler, and the strip of sliders.

import { check } from 'detail'

const $ = (id) => document.getElementById(id)

export class ViewControls {
  constructor({ settings, ruler, panes }) {
    Object.assign(this, { settings, ruler, panes })
    for (const button of document.querySelectorAll('[data-layout-choice]')) button.addEventListener('click', () => this.choose(button.value))
    $('light').addEventListener('click', () => this.toggleLight())
    $('surroundings').addEventListener('click', () => this.toggleContext())
    $('rings').addEventListener('click', () => this.toggleRings())
    $('ruler').addEventListener('click', () => ruler.toggle())
    $('adjust-open').addEventListener('click', () => this.toggleAdjust())
    $('adjust-close').addEventListener('click', () => this.toggleAdjust())
    // These lists lie over the images: what is under them is not looked at.
    for (const list of [$('view'), $('more')]) list.addEventListener('toggle', () => panes.pause(list.open))
    document.addEventListener('click', (event) => this.closeInstead(event), true)
    settings.addEventListener('change', () => this.draw())
    this.draw()
  }

  draw() {
    const { settings } = this
    const choices = settings.choices()
    for (const button of document.querySelectorAll('[data-layout-choice]')) {
      button.hidden = !choices.includes(button.value)
      check(button, button.value === settings.layout)
    }
    check($('light'), settings.isLight)
    check($('surroundings'), settings.hasContext)
  }

  choose(layout) {
    $('view').open = false
    this.settings.choose(layout)
  }

  /** A click beside the open list closes it, and does nothing else: it must not mark a mine. */
  closeInstead(event) {
    if (!$('view').open || $('view').contains(event.target)) return
    $('view').open = false
    if ($('panes').contains(event.target)) event.stopPropagation()
  }

  toggleLight() {
    this.settings.set({ isLight: !this.settings.isLight, isWidened: false })
  }

  toggleContext() {
    this.settings.set({ hasContext: !this.settings.hasContext })
  }

  toggleRings() {
    check($('rings'), !$('panes').classList.toggle('without-rings'))
  }

  drawRuler(isOn) {
    check($('ruler'), isOn)
    $('panes').classList.toggle('measuring', isOn)
  }

  /** The sliders take the place of the optional strip, so that they neither push nor cover the images. */
  toggleAdjust(isOpen = $('adjust').hidden) {
    $('adjust').hidden = !isOpen
    $('detail').classList.toggle('behind', isOpen)
    $('adjust-open').setAttribute('aria-expanded', String(isOpen))
    if (isOpen) $('adjust-brightness').focus()
    else $('adjust-open').focus()
  }

  /** Close what is open; true where something was. */
  close() {
    if (!$('adjust').hidden) return this.toggleAdjust(false), true
    for (const list of [$('more'), $('view')]) if (list.open) return (list.open = false), true
    return false
  }
}
