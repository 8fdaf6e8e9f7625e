// The review loop: one unit on screen, three ready behind it, verdicts kept until the server has answered.

import { Server } from 'api'
import { check, Detail } from 'detail'
import { listen } from 'keys'
import { Marks } from 'marks'
import { Notices } from 'notices'
import { Outbox } from 'outbox'
import { PairedMaps } from 'paired-maps'
import { Panes } from 'panes'
import { Queue } from 'queue'
import { Reasons } from 'reasons'
import { Verdicts } from 'verdicts'

const page = JSON.parse(document.getElementById('review-data').textContent)
const { words, urls } = page
const $ = (id) => document.getElementById(id)
const locale = page.language === 'en' ? 'en-GB' : page.language // day before month, as the product writes dates
const number = new Intl.NumberFormat(locale)

const server = new Server(page.user, urls.session)
const outbox = await Outbox.open(server) // where it cannot be opened, the plain form stays
$('review').classList.add('js')
const notices = new Notices(outbox, words, urls)
const say = (text, forEverybody) => notices.say(text, forEverybody)
const detail = new Detail()
const maps = new PairedMaps([$('map-1'), $('map-2')], words)
const panes = new Panes({ maps, words, locale, number })
const marks = new Marks({ maps, words, number, say, mineType: () => detail.fields.mine_type })
const prefetch = (unit) => maps.prefetch(unit, unit.pair.map((index) => unit.images[index]))
const queue = new Queue({ page, server, waiting: () => outbox.waiting(), prefetch })
const verdicts = new Verdicts({ page, server, outbox, queue, panes, marks, detail, say, suggestion: () => '' })
const reasons = new Reasons((reason) => judge('unsure', reason))

let keysOn = localStorage.getItem('review-keys') !== 'off'

// ---- the unit on screen ----

queue.addEventListener('show', () => {
  if (queue.unit) $('finished').hidden = true
  panes.show(queue.unit)
  marks.start(queue.unit)
  reasons.close()
  if (!queue.unit) return
  detail.clear()
  say('')
})
queue.addEventListener('finished', () => {
  $('finished').hidden = false
  $('ready').textContent = ''
})
queue.addEventListener('ready', () => {
  $('ready').replaceChildren(...Array.from({ length: queue.nReady() }, () => document.createElement('i')))
})
queue.addEventListener('progress', drawProgress)
queue.addEventListener('signedOut', () => notices.signedOut())
queue.addEventListener('leaseLost', () => notices.strip(words.leaseLost))
setInterval(() => queue.unit && document.visibilityState === 'visible' && queue.lease(), 240_000)

maps.addEventListener('click', ({ detail: [metres] }) => marks.set(metres))

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
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && outbox.flush())

// ---- buttons ----

for (const button of document.querySelectorAll('[data-verdict]')) button.addEventListener('click', () => judge(button.dataset.verdict))
$('undo').addEventListener('click', () => verdicts.undo())
$('next-frame').addEventListener('click', () => panes.nextFrame())
$('other').addEventListener('click', () => marks.addOther())
$('rings').addEventListener('click', toggleRings)
$('help-open').addEventListener('click', () => $('help').showModal())
$('help-close').addEventListener('click', () => $('help').close())
$('keys-switch').addEventListener('click', () => {
  keysOn = !keysOn
  localStorage.setItem('review-keys', keysOn ? 'on' : 'off')
  drawKeysSwitch()
})

function toggleRings() {
  const off = $('panes').classList.toggle('without-rings')
  check($('rings'), !off)
}

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
      else marks.nudge(direction, shiftKey ? 100 : 10)
    },
    confidence: (value) => detail.set('confidence', value),
    rejectReason: (value) => detail.set('reject_reason', value),
    stepDate: (step, isOther) => panes.stepDate(isOther ? 0 : 1, step),
    hideMarks: (areHidden) => $('panes').classList.toggle('without-marks', areHidden),
  },
  actions: {
    KeyN: () => panes.nextFrame(),
    KeyA: () => marks.addOther(),
    KeyS: () => detail.toggleSameMine(),
    KeyR: toggleRings,
    KeyB: () => verdicts.undo(),
    Backspace: () => verdicts.undo(),
    Escape: () => ($('more').open ? ($('more').open = false) : marks.set(null)),
    Digit0: () => maps.reset(),
    Equal: () => maps.zoomBy(1),
    NumpadAdd: () => maps.zoomBy(1),
    Minus: () => maps.zoomBy(-1),
    NumpadSubtract: () => maps.zoomBy(-1),
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
queue.start()
