// How a person likes to look: how many images, beside each other or under a divider, light or not. Kept by the browser.

import { remember, remembered } from 'remembered'

const KEY = 'review-view'
const LAYOUTS = ['1', '2', '3', '4', 'swipe']
const NARROW = matchMedia('(max-width: 760px)')

function kept() {
  try {
    return JSON.parse(remembered(KEY)) ?? {}
  } catch {
    return {} // something else under our name
  }
}

export class ViewSettings extends EventTarget {
  constructor() {
    super()
    const { layout, isLight, hasContext } = kept()
    this.layout = LAYOUTS.includes(layout) ? layout : NARROW.matches ? '1' : '2'
    this.isLight = typeof isLight === 'boolean' ? isLight : Boolean(navigator.connection?.saveData)
    this.hasContext = typeof hasContext === 'boolean' ? hasContext : !NARROW.matches
    this.isWidened = false // light: the other images of this unit were asked for
    NARROW.addEventListener('change', () => this.dispatchEvent(new Event('change')))
  }

  set(change) {
    Object.assign(this, change)
    const { layout, isLight, hasContext } = this
    remember(KEY, JSON.stringify({ layout, isLight, hasContext }))
    this.dispatchEvent(new Event('change'))
  }

  /** The layouts that fit this window: a phone shows one image, or two under a divider. */
  choices() {
    return NARROW.matches ? ['1', 'swipe'] : LAYOUTS
  }

  /** The next layout, as the key walks them. In light mode the first step shows the layout that was chosen before. */
  next() {
    if (this.isLight && !this.isWidened) return this.widen()
    const choices = this.choices()
    this.set({ layout: choices[(choices.indexOf(this.layout) + 1) % choices.length], isWidened: true })
  }

  choose(layout) {
    this.set({ layout, isWidened: true })
  }

  widen() {
    this.set({ isWidened: true, layout: this.layout === '1' ? (NARROW.matches ? 'swipe' : '2') : this.layout })
  }

  /** A unit begins: light mode shows one image until more are asked for. */
  begin() {
    this.isWidened = false
  }

  /** How many panes to show of so many images, and whether they lie under a divider. */
  fit(nImages, isWidened = this.isWidened) {
    if ((this.isLight && !isWidened) || !this.choices().includes(this.layout)) return { n: 1, mode: 'panes' }
    if (this.layout === 'swipe') return nImages > 1 ? { n: 2, mode: 'swipe' } : { n: 1, mode: 'panes' }
    return { n: Math.min(Number(this.layout), Math.max(2, nImages)), mode: 'panes' }
  }
}
