// Which key does what. Verdicts go by the place on the keyboard, mirrored by digits and letters (docs/keyboard.md).

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }
const VERDICTS = { KeyD: 'confirm', KeyF: 'move', KeyJ: 'reject', KeyK: 'unsure', Digit1: 'confirm', Digit2: 'move', Digit3: 'reject', Digit4: 'unsure' }
const VERDICT_LETTERS = { c: 'confirm', m: 'move', x: 'reject', u: 'unsure' }
const REJECT_REASONS = { KeyO: 'other_land_use', KeyI: 'industrial_only' }
const SLIDES = ['Home', 'End', 'PageUp', 'PageDown', ...Object.keys(ARROWS)]

const isTyping = ({ target }) => target.matches?.('input:not([type=range]), textarea, select')
const isSliding = ({ target, code }) => target.matches?.('input[type=range]') && SLIDES.includes(code)
const isControl = (target) => target.matches?.('button, a, summary')

/**
 * Listen to the keyboard. `does` names what each key is for; by their code, `actions` are further keys, `steps` those
 * that repeat and go the other way with Shift (called with 1 or -1), and `holds` those that last while they are held.
 * `isOn()` tells whether single keys count; `reasons` takes the keys while its list is open.
 */
export function listen({ does, actions, steps, holds, isOn, reasons }) {
  document.addEventListener('keydown', (event) => {
    does.act()
    if (isTyping(event) || isSliding(event) || document.querySelector('dialog[open]')) return
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'z') return stop(event, () => event.repeat || does.undo())
    if (event.ctrlKey || event.metaKey) return
    if (event.key === '?') return stop(event, does.help)
    if (!isOn()) return
    does.used()
    if (reasons.isOpen) return void (!event.repeat && reasons.key(event) && event.preventDefault())
    if (event.code in ARROWS) return stop(event, () => does.arrow(ARROWS[event.code], event))
    if (event.shiftKey && /^Digit[1-5]$/.test(event.code)) return stop(event, () => does.confidence(event.code.at(-1)))
    if (event.altKey) return
    if (event.code === 'BracketLeft' || event.code === 'BracketRight')
      return stop(event, () => does.stepDate(event.code === 'BracketLeft' ? -1 : 1, event.shiftKey))
    if (event.code in steps) return stop(event, () => steps[event.code](event.shiftKey ? -1 : 1))
    if (event.shiftKey && event.code !== 'Equal') return
    if (event.code in holds && !(event.code === 'Space' && isControl(event.target))) return stop(event, () => holds[event.code](true))
    if (event.repeat) return
    const verdict = VERDICTS[event.code] ?? VERDICT_LETTERS[event.key]
    if (verdict) return stop(event, () => does.judge(verdict))
    if (event.code in REJECT_REASONS) return stop(event, () => does.rejectReason(REJECT_REASONS[event.code]))
    if (event.code in actions) stop(event, actions[event.code])
  })
  document.addEventListener('keyup', (event) => event.code in holds && holds[event.code](false))
  window.addEventListener('blur', () => Object.values(holds).forEach((hold) => hold(false)))
}

function stop(event, action) {
  event.preventDefault()
  action()
}
