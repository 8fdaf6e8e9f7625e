// The review loop: one unit on screen, three ready behind it, verdicts kept until the server has answered.

import { Adjust } from 'adjust'
import { Server } from 'api'
import { Context } from 'context'
import { Dating } from 'dating'
import { check, Detail } from 'detail'
import { Divider } from 'divider'
import { listen } from 'keys'
import { Marks } from 'marks'
import { Notices } from 'notices'
import { Outbox } from 'outbox'
import { PairedMaps } from 'paired-maps'
import { Panes } from 'panes'
import { Queue } from 'queue'
import { Reasons } from 'reasons'
import { remember, remembered } from 'remembered'
import { Ruler } from 'ruler'
import { TileStore } from 'tile-store'
import { Verdicts } from 'verdicts'
import { ViewControls } from 'view-controls'
import { ViewSettings } from 'view-settings'

const page = JSON.parse(document.getElementById('review-data').textContent)
const { words, urls } = page
const $ = (id) => document.getElementById(id)
const locale = page.language === 'en' ? 'en-GB' : page.language // day before month, as the product writes dates
const number = new Intl.NumberFormat(locale)

const server = new Server(page.user, urls.session)
const outbox = await Outbox.open(server)
const notices = new Notices(outbox, words, urls)
const say = (text, forEverybody) => notices.say(text, forEverybody)
const detail = new Detail()
const settings = new ViewSettings()
const store = new TileStore()
const elements = [...document.querySelectorAll('.pane')]
const maps = new PairedMaps(elements.map((element) => element.querySelector('.map')), { words, store, visible: (pane) => panes.visible(pane) })
const context = new Context({ store, words, number, go: (metres) => maps.lookAt(metres) })
const adjust = new Adjust(number)
const divider = new Divider(words)
const dating = new Dating(words, locale)
const panes = new Panes({ elements, maps, store, settings, divider, adjust, context, words, number, dating, say })
const marks = new Marks({ maps, words, number, say, mineType: () => detail.fields.mine_type })
const ruler = new Ruler({ draw: (...ends) => maps.drawRuler(...ends), say, number, changed: (isOn) => controls.drawRuler(isOn) })
const controls = new ViewControls({ settings, ruler, panes })
const queue = new Queue({
  page,
  server,
  waiting: () => outbox.waiting(),
  prefetch: (unit) => panes.prefetch(unit),
  nReadyWanted: () => (settings.isLight ? 1 : 3),
})
const verdicts = new Verdicts({ page, server, outbox, queue, panes, marks, detail, say, suggestion: () => panes.suggestion() })
const reasons = new Reasons((reason) => judge('unsure', reason))

let keysOn = remembered('review-keys') !== 'off'

// ---- the unit on screen ----

queue.addEventListener('show', () => {
  if (queue.unit) $('finished').hidden = true
  // What was said of the unit before goes first: whatever happens below, it must never be kept with the next one.
  marks.start(queue.unit)
  detail.clear()
  ruler.start(queue.unit)
  reasons.close()
  document.activeElement?.closest('[data-verdict]')?.blur() // else Space would judge this unit too
  panes.show(queue.unit)
  say(queue.unit ? '' : words.waiting, !queue.unit)
})
queue.addEventListener('finished', ({ detail: nWithoutImagery }) => {
  say('')
  $('finished').hidden = false
  $('without-imagery').hidden = !nWithoutImagery
  $('all-judged').hidden = Boolean(nWithoutImagery)
  $('without-imagery').textContent = words.withoutImagery.replace('%s', number.format(nWithoutImagery))
  $('ready').textContent = ''
})
queue.addEventListener('ready', () => {
  $('ready').replaceChildren(...Array.from({ length: queue.nReady() }, () => document.createElement('i')))
})
queue.addEventListener('progress', drawProgress)
queue.addEventListener('signedOut', () => notices.signedOut())
queue.addEventListener('leaseLost', () => notices.strip(words.leaseLost))
setInterval(() => queue.unit && document.visibilityState === 'visible' && queue.lease(), 240_000)

maps.addEventListener('click', ({ detail: [metres] }) => (ruler.isOn ? ruler.click(metres) : marks.set(metres)))
maps.addEventListener('pointed', ({ detail: [metres] }) => ruler.isOn && ruler.point(metres))
settings.addEventListener('change', () => panes.look && marks.draw())
window.addEventListener('resize', () => panes.look && panes.drawLine())

// ---- verdicts ----

const judge = (verdict, reason = '') => verdicts.judge(verdict, reason, askWhy)

function askWhy(suggested, because = '') {
  reasons.open(suggested)
  if (because) say(because, true)
}

verdicts.addEventListener('count', ({ detail: step }) => {
  for (const key of ['mine', 'today', 'done']) page.progress[key] += step
  drawProgress()
})

function drawProgress() {
  for (const key of ['mine', 'today', 'done', 'wanted']) $(`n-${key}`).textContent = number.format(page.progress[key])
  $('bar').value = page.progress.done
}

// ---- answers of the server ----

outbox.addEventListener('sent', ({ detail: { answer } }) => {
  if (outbox.state !== 'signedOut') notices.strip('')
  if (answer.lease_was_lost) say(words.leaseLost)
  queue.ahead()
})
outbox.addEventListener('refused', ({ detail: { entry } }) => entry.kind === 'review' && verdicts.refused(entry.body))
document.addEventListener('visibilitychange', () => {
  panes.pause(document.visibilityState !== 'visible')
  if (document.visibilityState === 'visible') outbox.flush()
})

// ---- buttons ----

for (const button of document.querySelectorAll('[data-verdict]')) button.addEventListener('click', () => judge(button.dataset.verdict))
$('undo').addEventListener('click', () => verdicts.undo())
$('next-frame').addEventListener('click', () => panes.nextFrame())
$('other').addEventListener('click', () => marks.addOther())
$('help-open').addEventListener('click', () => $('help').showModal())
$('help-close').addEventListener('click', () => $('help').close())
for (const dialog of document.querySelectorAll('dialog'))
  new MutationObserver(() => panes.pause(dialog.open)).observe(dialog, { attributeFilter: ['open'] })
$('keys-switch').addEventListener('click', () => {
  keysOn = !keysOn
  remember('review-keys', keysOn ? 'on' : 'off')
  drawKeysSwitch()
})

function drawKeysSwitch() {
  $('keys-switch').textContent = keysOn ? words.keysOn : words.keysOff
  check($('keys-switch'), keysOn)
}

// ---- keys ----

listen({
  isOn: () => keysOn && Boolean(panes.look),
  reasons,
  does: {
    act: () => panes.look?.act(),
    used: () => (verdicts.input = 'key'),
    help: () => $('help').showModal(),
    judge,
    undo: () => verdicts.undo(),
    arrow: (direction, { altKey, shiftKey }) => {
      if (altKey) maps.pan(direction[0] * 120, direction[1] * 120)
      else if (ruler.isOn) ruler.nudge(direction, shiftKey ? 100 : 10)
      else marks.nudge(direction, shiftKey ? 100 : 10)
    },
    confidence: (value) => detail.set('confidence', value),
    rejectReason: (value) => detail.set('reject_reason', value),
    stepDate: (step, isOther) => panes.stepDate(step, isOther),
  },
  actions: {
    KeyN: () => panes.nextFrame(),
    KeyA: () => marks.addOther(),
    KeyS: () => detail.toggleSameMine(),
    KeyR: () => controls.toggleRings(),
    KeyV: () => settings.next(),
    KeyP: () => panes.nextPane(),
    KeyL: () => controls.toggleLight(),
    KeyE: () => controls.toggleContext(),
    KeyT: () => ruler.toggle(),
    KeyG: () => adjust.reset(),
    Digit9: () => adjust.toggleFalseColour(),
    KeyB: () => verdicts.undo(),
    Backspace: () => verdicts.undo(),
    Escape: () => controls.close() || (ruler.isOn ? ruler.toggle(false) : marks.set(null)),
    Digit0: () => maps.reset(),
    Equal: () => maps.zoomBy(1),
    NumpadAdd: () => maps.zoomBy(1),
    Minus: () => maps.zoomBy(-1),
    NumpadSubtract: () => maps.zoomBy(-1),
  },
  steps: {
    Digit6: (direction) => adjust.step('brightness', direction),
    Digit7: (direction) => adjust.step('contrast', direction),
    Digit8: (direction) => adjust.step('gamma', direction),
    Comma: () => divider.step(-1),
    Period: () => divider.step(1),
  },
  holds: {
    Space: (isHeld) => $('panes').classList.toggle('without-marks', isHeld),
    KeyH: (isHeld) => panes.blink.hold(isHeld),
  },
})

document.addEventListener('pointerdown', (event) => {
  panes.look?.act()
  verdicts.input = event.pointerType === 'touch' ? 'touch' : 'mouse'
})
document.addEventListener('pointermove', () => panes.look?.act(), { passive: true })

// ---- begin ----

drawKeysSwitch()
notices.draw()
for (const { kind, url, body } of await outbox.waiting()) {
  if (kind === 'review') {
    queue.judged.add(body.unit)
    page.undo.push(body.uuid)
  } else page.undo = page.undo.filter((review) => !url.includes(review))
}
outbox.flush()
queue.units = queue.units.filter((each) => !queue.judged.has(each.unit))
$('review').classList.add('js') // all is there: the panes take the place of the plain form
queue.start()
