// The optional strip below the images: confidence, type, activity, signs and the rest. Nothing is remembered between units.

const $ = (id) => document.getElementById(id)

/** Show a toggle or a radio button as on or off. */
export const check = (button, isOn) =>
  button.setAttribute(button.getAttribute('role') === 'radio' ? 'aria-checked' : 'aria-pressed', String(isOn))

const nothing = () => ({ confidence: null, mine_type: '', activity: '', size_class: '', signs: [], reject_reason: '' })

export class Detail {
  constructor() {
    this.groups = [...document.querySelectorAll('[data-field]')]
    for (const group of this.groups)
      group.addEventListener('click', ({ target }) => {
        const button = target.closest('button')
        if (button) this.set(group.dataset.field, button.value)
      })
    $('same-mine').addEventListener('click', () => this.toggleSameMine())
    this.clear()
  }

  clear() {
    this.fields = nothing()
    this.isSameMine = false
    $('note').value = ''
    $('more').open = false
    this.draw()
  }

  /** Choose a value; chosen again it is taken back. */
  set(field, value) {
    const now = this.fields[field]
    if (Array.isArray(now)) this.fields[field] = now.includes(value) ? now.filter((each) => each !== value) : [...now, value]
    else this.fields[field] = String(now ?? '') === value ? nothing()[field] : field === 'confidence' ? Number(value) : value
    this.draw()
  }

  toggleSameMine() {
    this.isSameMine = !this.isSameMine
    this.draw()
  }

  draw() {
    const hidden = []
    for (const group of this.groups) {
      const value = this.fields[group.dataset.field]
      for (const button of group.querySelectorAll('button')) {
        const isOn = Array.isArray(value) ? value.includes(button.value) : String(value ?? '') === button.value
        check(button, isOn)
        if (isOn && $('more').contains(group)) hidden.push(button.textContent)
      }
    }
    check($('same-mine'), this.isSameMine)
    $('more-words').textContent = hidden.join(' · ')
  }

  /** The fields as a verdict sends them; what belongs to a mine only goes with one. */
  report(hasMine) {
    const { reject_reason, ...fields } = this.fields
    if (!hasMine) Object.assign(fields, { mine_type: '', activity: '', size_class: '' })
    return { ...fields, is_same_mine: this.isSameMine && hasMine, note: $('note').value }
  }
}
