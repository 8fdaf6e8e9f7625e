// The list of reasons for an unsure: opened by the verdict, answered by a number, a click or Esc.

const $ = (id) => document.getElementById(id)

export class Reasons {
  /** `choose(reason)` is called with the reason that was picked. */
  constructor(choose) {
    this.list = $('reasons')
    this.opener = document.querySelector('[data-verdict="unsure"]')
    this.choose = choose
    this.list.addEventListener('click', ({ target }) => {
      const button = target.closest('button')
      if (button) choose(button.value)
    })
  }

  get isOpen() {
    return !this.list.hidden
  }

  /** Show the list, one reason marked as the likely one. */
  open(suggested = '') {
    this.list.hidden = false
    this.opener.setAttribute('aria-expanded', 'true')
    for (const button of this.list.querySelectorAll('button')) button.classList.toggle('suggested', button.value === suggested)
    ;(this.list.querySelector('.suggested') ?? this.list.querySelector('button')).focus()
  }

  close() {
    if (this.list.contains(document.activeElement)) document.activeElement.blur()
    this.list.hidden = true
    this.opener.setAttribute('aria-expanded', 'false')
  }

  /** A key while the list is open; true where it was one of the list's. */
  key(event) {
    if (event.code === 'Escape') return this.close(), true
    const buttons = this.list.querySelectorAll('button')
    const chosen = /^(Digit|Numpad)[1-9]$/.test(event.code) ? buttons[Number(event.code.at(-1)) - 1] : null
    if (chosen) this.choose(chosen.value)
    return Boolean(chosen)
  }
}
