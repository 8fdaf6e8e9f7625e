// Which key does what. Verdicts go by the place on the keyboard, mirrored by digits and letters; all else goes by what is
// printed on the key, and by its place where that is no Latin letter (docs/keyboard.md).

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }
const VERDICTS = { KeyD: 'confirm', KeyF: 'move', KeyJ: 'reject', KeyK: 'unsure', Digit1: 'confirm', Digit2: 'move', Digit3: 'reject', Digit4: 'unsure' }
const VERDICT_LETTERS = { c: 'confirm', m: 'move', x: 'reject', u: 'unsure' }
const REJECT_REASONS = { KeyO: 'other_land_use', KeyI: 'industrial_only' }
const PLACES = ['KeyD', 'KeyF', 'KeyJ', 'KeyK']
const SIGNS = { '[': 'BracketLeft', ']': 'BracketRight', ',': 'Comma', '.': 'Period', '+': 'Equal', '-': 'Minus', 0: 'Digit0' }
const SLIDES = ['Home', 'End', 'PageUp', 'PageDown', ...Object.keys(ARROWS)]

const isTyping = ({ target }) => target.matches?.('input:not([type=range]), textarea, select')
const isSliding = ({ target, code }) => target.matches?.('input[type=range]') && SLIDES.includes(code)
const isControl = (target) => target.matches?.('button, a, summary')

/** The code of the key, named as on a US keyboard, that does what this key says. */
function meaning({ key, code }) {
  if (key in SIGNS) return SIGNS[key]
  if (PLACES.includes(code)) return code
  return /^[a-z]$/i.test(key) ? `Key${key.toUpperCase()}` : code
}

/** Verdicts by place come before; a letter that happens to be D, F, J or K elsewhere gives none. */
const verdictOf = ({ key, code }, meant) => (PLACES.includes(meant) && meant !== code ? null : (VERDICTS[meant] ?? VERDICT_LETTERS[key]))

/**
 * Listen to the keyboard. `does` names what each key is for; by their code, `actions` are further keys, `steps` those
 * that repeat and go the other way with Shift (called with 1 or -1), and `holds` those that last while they are held.
 * `isOn()` tells whether single keys count; `reasons` takes the keys while its list is open.
 */
export function listen({ does, actions, steps, holds, isOn, reasons }) {
  document.addEventListener('keydown', (event) => {
    does.act()
    const isAltGraph = event.getModifierState?.('AltGraph') // on Windows with Ctrl and Alt
    if (isAltGraph && !(event.key in SIGNS)) return
    const code = meaning(event)
    if (isTyping(event) || isSliding(event) || document.querySelector('dialog[open]')) return
    const isCommand = (event.ctrlKey || event.metaKey) && !isAltGraph
    if (isCommand && event.key.toLowerCase() === 'z') return stop(event, () => event.repeat || does.undo())
    if (isCommand) return
    if (event.key === '?') return stop(event, does.help)
    if (!isOn()) return
    does.used()
    if (reasons.isOpen) return void (!event.repeat && reasons.key(event) && event.preventDefault())
    if (event.code in ARROWS) return stop(event, () => does.arrow(ARROWS[event.code], event))
    const isSign = event.key in SIGNS // Shift and AltGr may belong to it
    if (event.shiftKey && !isSign && /^Digit[1-5]$/.test(code)) return stop(event, () => does.confidence(code.at(-1)))
    if (event.altKey && !isAltGraph) return
    if (code === 'BracketLeft' || code === 'BracketRight')
      return stop(event, () => does.stepDate(code === 'BracketLeft' ? -1 : 1, event.shiftKey && !isSign))
    if (code in steps) return stop(event, () => steps[code](event.shiftKey && !isSign ? -1 : 1))
    if (event.shiftKey && !isSign && code !== 'Equal') return
    if (code in holds && !(code === 'Space' && isControl(event.target))) return stop(event, () => holds[code](true))
    if (event.repeat) return
    const verdict = verdictOf(event, code)
    if (verdict) return stop(event, () => does.judge(verdict))
    if (code in REJECT_REASONS) return stop(event, () => does.rejectReason(REJECT_REASONS[code]))
    if (code in actions) stop(event, actions[code])
  })
  document.addEventListener('keyup', (event) => holds[meaning(event)]?.(false))
  window.addEventListener('blur', () => Object.values(holds).forEach((hold) => hold(false)))
}

function stop(event, action) {
  event.preventDefault()
  action()
}
