// What a pane says of its image: date, source, resolution, how it lies to the report, rights, and what is missing.

import { relation } from 'dating'
import { check } from 'detail'
import { distance } from 'plane'

const MUCH = 0.2 // of the view without tiles: the pane says so, and "unsure: no image" is suggested

export class Chip {
  constructor(element, { words, number, dating }) {
    Object.assign(this, { element, words, number, dating })
    this.missing = 0 // share of the view's tiles that could not be had
    this.image = null
  }

  find(selector) {
    return this.element.querySelector(selector)
  }

  /** `steps` tells whether there is an earlier and a later image; `sight` what was said of this one. */
  draw(image, { report, steps, sight }) {
    this.image = image
    this.find('.date').textContent = image ? this.dating.ofImage(image) : '–'
    this.find('.what').textContent = image ? this.what(image, report) : ''
    this.find('.credit').textContent = image?.attribution ?? ''
    this.find('[data-step="-1"]').disabled = !steps[0]
    this.find('[data-step="1"]').disabled = !steps[1]
    this.element.querySelectorAll('[data-sight]').forEach((button) => {
      check(button, button.dataset.sight === sight)
      button.disabled = !image
    })
    this.drawMissing()
  }

  what(image, report) {
    const { number, words } = this
    const resolution = image.resolution_m ? `${number.format(Math.round(image.resolution_m * 10) / 10)} m` : ''
    const metres = Math.round(distance(image.offset_m ?? [0, 0]))
    const shifted = metres ? words.shifted.replace('%s', number.format(metres)) : ''
    return [image.name, resolution, relation(image, report, words), shifted].filter(Boolean).join(' · ')
  }

  setMissing(share) {
    this.missing = share
    this.drawMissing()
  }

  get lacksMuch() {
    return !this.image || this.missing > MUCH
  }

  drawMissing() {
    const share = Math.round(this.missing * 100)
    this.element.classList.toggle('empty', !this.image)
    this.find('.no-image').hidden = Boolean(this.image) && !this.missing
    this.find('.retry').hidden = !this.image
    this.find('.no-image-words').textContent = !this.image
      ? this.words.noImage
      : (this.lacksMuch ? this.words.muchMissing : this.words.someMissing).replace('%s', share).replace('%%', '%')
  }

  /** Once an image is there, what it does not cover is hatched. */
  setLoading(isLoading, isNew) {
    if (isNew) this.element.classList.remove('hatched')
    else if (!isLoading) this.element.classList.add('hatched')
    clearTimeout(this.timer)
    if (isLoading) this.timer = setTimeout(() => this.element.classList.add('loading'), 400)
    else this.element.classList.remove('loading')
  }
}
