// What the page tells the person: the strip over the images, the unsent counter, the list of verdicts not accepted.

const $ = (id) => document.getElementById(id)

export class Notices {
  constructor(outbox, words, urls) {
    this.outbox = outbox
    this.words = words
    this.urls = urls
    outbox.addEventListener('change', () => this.draw())
    $('unsent-open').addEventListener('click', () => this.open())
    $('refused-close').addEventListener('click', () => $('refused').close())
  }

  /** Tell screen readers, and, where the person must act, everybody. */
  say(text, forEverybody = false) {
    $('spoken').textContent = text
    if (this.outbox.state !== 'signedOut') this.strip(forEverybody ? text : '')
  }

  strip(text, link = '') {
    $('strip').hidden = !text
    $('strip-words').textContent = text
    $('strip-link').hidden = !link
    if (link) $('strip-link').href = link
  }

  signedOut() {
    this.strip(this.words.signedOut, this.urls.login)
  }

  async draw() {
    const entries = await this.outbox.entries()
    const refused = entries.filter((entry) => entry.refused)
    const unsent = entries.length - refused.length
    const isHeld = unsent > 0 && this.outbox.state !== 'idle'
    const text = refused.length ? this.words.refused : isHeld ? this.words.unsentKept : this.words.unsent
    $('unsent').textContent = text.replace('%s', refused.length || unsent)
    $('unsent-open').classList.toggle('waiting', isHeld)
    $('unsent-open').classList.toggle('refused', refused.length > 0)
    if (this.outbox.state === 'signedOut') this.signedOut()
    this.drawRefused(refused)
  }

  drawRefused(refused) {
    const items = refused.map((entry) => {
      const item = $('refused-item').content.cloneNode(true)
      item.querySelector('.why').textContent = entry.refused
      item.querySelector('button').addEventListener('click', () => this.outbox.drop(entry.number))
      return item
    })
    $('refused-list').replaceChildren(...items)
    if (!refused.length && $('refused').open) $('refused').close()
  }

  open() {
    if ($('unsent-open').classList.contains('refused')) $('refused').showModal()
    else this.outbox.flush()
  }
}
