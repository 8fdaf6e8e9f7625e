// The review loop: one unit on screen, three ready behind it, verdicts kept until the server has answered.

import { Server } from 'api'
import { relation } from 'dating'
import { check, Detail } from 'detail'
import { Looking, sendable } from 'looking'
import { Notices } from 'notices'
import { Outbox } from 'outbox'
import { PairedMaps } from 'paired-maps'
import { bearing, distance } from 'plane'
import { drawTimeline } from 'timeline'

const N_AHEAD = 4
const N_UNDO = 20
const SHARE_FOR_REJECT = 0.9 // labels/rules.py
const REJECT_KEYS = { KeyO: 'other_land_use', KeyI: 'industrial_only' }
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }

const page = JSON.parse(document.getElementById('review-data').textContent)
const { words, urls } = page
const $ = (id) => document.getElementById(id)
const locale = page.language === 'en' ? 'en-GB' : page.language // day before month, as the product writes dates
const number = new Intl.NumberFormat(locale)

const server = new Server(page.user, urls.session)
const outbox = await Outbox.open(server) // where it cannot be opened, the plain form stays
$('review').classList.add('js')
const panes = [$('pane-1'), $('pane-2')]
const maps = new PairedMaps([$('map-1'), $('map-2')], words)
const notices = new Notices(outbox, words, urls)
const detail = new Detail()
const say = (text, forEverybody) => notices.say(text, forEverybody)

let units = page.units // the first is on screen
let done = [] // units judged here, for undo: {unit, review}
const judged = new Set() // ids of all units judged here: an answer on its way may still name one
let look = null // what was seen of the unit on screen
let mark = null // the place of a move, metres from the reported point
let others = [] // further mines
let busy = false
let keysOn = localStorage.getItem('review-keys') !== 'off'
let input = 'mouse'

// ---- the unit on screen ----

const unit = () => units[0]

function show() {
  if (!units.length) return waitForUnits()
  $('finished').hidden = true
  const pair = unit().pair.length === 1 ? [null, unit().pair[0]] : unit().pair
  look = new Looking(unit(), [null, null])
  mark = null
  others = []
  closeReasons()
  maps.show(unit())
  panes.forEach((_, pane) => setImage(pane, pair[pane] ?? null))
  detail.clear()
  describe()
  say('')
  lease()
  ahead()
}

/** Nothing is in hand: only the server knows whether that is the end of the queue. */
function waitForUnits() {
  look = null
  $('seen').textContent = ''
  ahead()
}

function finish() {
  $('finished').hidden = false
  $('ready').textContent = ''
}

function setImage(pane, index) {
  look.leave()
  look.countTiles(pane, maps.counts(pane))
  look.pair[pane] = index
  if (index !== null) look.seen(index)
  maps.setImage(pane, look.image(pane))
  panes.forEach((_, each) => drawChip(each))
  drawLine()
  maps.settle()
}

function drawChip(pane) {
  const element = panes[pane]
  const image = look.image(pane)
  element.classList.toggle('empty', !image)
  element.querySelector('.no-image').hidden = Boolean(image)
  element.querySelector('.no-image').textContent = words.noImage
  element.querySelector('.date').textContent = image ? dateWords(image.captured_on) : '–'
  const resolution = image?.resolution_m ? `${number.format(Math.round(image.resolution_m * 10) / 10)} m` : ''
  const what = image ? [image.name, resolution, relation(image, unit().report, words)] : []
  element.querySelector('.what').textContent = what.filter(Boolean).join(' · ')
  element.querySelector('.credit').textContent = image?.attribution ?? ''
  element.querySelector('[data-step="-1"]').disabled = look.neighbour(pane, -1) === null
  element.querySelector('[data-step="1"]').disabled = look.neighbour(pane, 1) === null
  const sight = look.images.get(look.pair[pane])?.sight ?? ''
  element.querySelectorAll('[data-sight]').forEach((button) => check(button, button.dataset.sight === sight))
}

function stepDate(pane, step) {
  const index = look.neighbour(pane, step)
  if (index !== null) setImage(pane, index)
}

function dateWords(iso) {
  if (!iso) return words.dateUnknown
  return new Date(`${iso}T00:00:00Z`).toLocaleDateString(locale, { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' })
}

function reportWords() {
  const { date, precision } = unit().report
  if (!date) return words.reportUndated
  const options = { year: 'numeric', timeZone: 'UTC' }
  if (precision !== 'year') options.month = 'short'
  if (precision === 'day') options.day = 'numeric'
  const note = words.precision[precision]
  return `${words.reported} ${new Date(`${date}T00:00:00Z`).toLocaleDateString(locale, options)}${note ? ` (${note})` : ''}`
}

function describe() {
  $('report').textContent = [reportWords(), unit().minerals.join(', '), unit().location_method].filter(Boolean).join(' · ')
  describeMove()
  describeSeen()
}

function drawLine() {
  const sentence = [...unit().images.map((image) => dateWords(image.captured_on)), reportWords()].join(', ')
  drawTimeline($('timeline'), { images: unit().images, shown: look.pair, report: unit().report, words, sentence })
}

// ---- looking ----

maps.addEventListener('view', ({ detail: [view] }) => {
  if (!look) return
  look.rest(view)
  describeSeen()
})

const percent = (words) => words.replace('%s', Math.floor(look.share() * 100)).replace('%%', '%')

function describeSeen() {
  $('seen').textContent = percent(words.discSeen)
}

function nextFrame() {
  const target = look.nextFrame(maps.centre())
  if (target) maps.lookAt(target)
}

maps.addEventListener('loading', ({ detail: [pane, isLoading] }) => {
  clearTimeout(panes[pane].timer)
  if (isLoading) panes[pane].timer = setTimeout(() => panes[pane].classList.add('loading'), 400)
  else panes[pane].classList.remove('loading')
})

// ---- marks ----

maps.addEventListener('click', ({ detail: [metres] }) => setMark(metres))
maps.addEventListener('dragged', ({ detail: [metres] }) => setMark(metres))
maps.addEventListener('removeOther', ({ detail: [index] }) => {
  others.splice(index, 1)
  redraw()
})

function setMark(metres) {
  if (!look) return
  if (metres && distance(metres) > unit().search_radius_m) return say(words.outside, true)
  mark = metres
  say('')
  redraw()
}

function nudge([east, north], step) {
  const [fromEast, fromNorth] = mark ?? [0, 0]
  setMark([fromEast + east * step, fromNorth + north * step])
}

function addOther() {
  others.push({ offset_m: maps.pointed(), mine_type: detail.fields.mine_type || 'artisanal' })
  redraw()
  say(words.otherMine)
}

function redraw() {
  maps.drawMarks(mark, others)
  describeMove()
}

function describeMove() {
  if (!mark) return ($('move-words').textContent = words.clickFirst)
  const compass = words.compass[Math.round(bearing(mark) / 45) % 8]
  $('move-words').textContent = `${number.format(Math.round(distance(mark)))} m ${compass}`
}

// ---- verdicts ----

async function judge(verdict, reason = '') {
  if (!look || busy) return
  if (verdict === 'move' && !mark) return say(words.clickTheMine, true)
  if (verdict === 'reject') {
    if (!look.supporting().length) return openReasons('predates_report', words.onlyBefore)
    if (look.share() < SHARE_FOR_REJECT) return say(percent(words.lookAtRest), true)
    reason = detail.fields.reject_reason || 'natural_ground'
  }
  if (verdict === 'unsure' && !reason) return openReasons()
  busy = true
  try {
    const body = verdictBody(verdict, reason)
    await outbox.add('review', urls.reviews, body)
    done = [...done, { unit: unit(), review: body.uuid }].slice(-N_UNDO)
    judged.add(body.unit)
    count(1)
    units = units.slice(1)
    show()
  } finally {
    busy = false
  }
}

function verdictBody(verdict, reason) {
  look.leave()
  panes.forEach((_, pane) => look.countTiles(pane, maps.counts(pane)))
  return {
    uuid: crypto.randomUUID(),
    unit: unit().unit,
    verdict,
    reason,
    ...detail.report(verdict === 'confirm' || verdict === 'move'),
    mark_offset_m: verdict === 'move' ? mark.map(sendable) : null, // a confirm means the cross-hair itself
    other_mines: others.map((other) => ({ ...other, offset_m: other.offset_m.map(sendable) })),
    images: look.report(),
    think_time_s: look.thinkTime(),
    claimed_at: new Date().toISOString(),
    input,
    viewport: `${innerWidth}x${innerHeight}@${Math.round(devicePixelRatio * 100) / 100}`.slice(0, 20),
    shown: page.shown,
  }
}

async function undo() {
  if (busy) return
  busy = true
  try {
    const last = done.pop()
    const again = last ? await takeBack(last) : await takeBackEarlier()
    if (!again) return
    units = [again, ...units.filter((each) => each.unit !== again.unit)]
    judged.delete(again.unit)
    count(-1)
    show()
    say(words.undone)
  } finally {
    busy = false
  }
}

async function takeBack({ unit, review }) {
  await outbox.add('retract', urls.retract.replace('REVIEW', review), { uuid: crypto.randomUUID() })
  return unit
}

/** A verdict from before this page was opened: only the server knows its unit. Until it answers, nothing older is undone. */
async function takeBackEarlier() {
  const review = page.undo.at(-1)
  if (!review) return say(words.nothingToUndo, true)
  if ((await waiting()).length) return say(words.undoLater, true)
  const { ok, status, body } = await server.post(urls.retract.replace('REVIEW', review), { uuid: crypto.randomUUID() })
  if (ok || [403, 404, 409].includes(status)) page.undo.pop()
  if (!ok) return say(body.detail ?? words.undoLater, true)
  return body.unit
}

function count(step) {
  for (const key of ['mine', 'today', 'done']) page.progress[key] += step
  drawProgress()
}

function drawProgress() {
  $('n-mine').textContent = number.format(page.progress.mine)
  $('n-today').textContent = number.format(page.progress.today)
  $('n-done').textContent = number.format(page.progress.done)
  $('n-wanted').textContent = number.format(page.progress.wanted)
  $('bar').value = page.progress.done
}

// ---- reasons ----

function openReasons(suggested = '', because = '') {
  $('reasons').hidden = false
  document.querySelector('[data-verdict="unsure"]').setAttribute('aria-expanded', 'true')
  for (const button of $('reasons').querySelectorAll('button')) button.classList.toggle('suggested', button.value === suggested)
  ;($('reasons').querySelector('.suggested') ?? $('reasons').querySelector('button')).focus()
  if (because) say(because, true)
}

function closeReasons() {
  if ($('reasons').contains(document.activeElement)) document.activeElement.blur()
  $('reasons').hidden = true
  document.querySelector('[data-verdict="unsure"]').setAttribute('aria-expanded', 'false')
}

$('reasons').addEventListener('click', ({ target }) => {
  const button = target.closest('button')
  if (button) judge('unsure', button.value)
})

// ---- units to come ----

let fetching = null
let askedAgain = false

/** Keep three units ready behind the one on screen, their opening views decoded. One run at a time. */
async function ahead() {
  askedAgain = true
  fetching ??= (async () => {
    while (askedAgain) {
      askedAgain = false
      if (units.length < N_AHEAD) await handOut()
      await prefetch()
    }
    fetching = null
  })()
  return fetching
}

async function prefetch() {
  drawReady()
  for (const each of units.slice(1, N_AHEAD)) {
    if (each.isReady) continue
    await maps.prefetch(each, each.pair.map((index) => each.images[index]))
    each.isReady = true
    drawReady()
  }
}

/** Ask for more units once everything before is sent; each answer of the outbox calls again. */
async function handOut() {
  if ((await waiting()).length) return
  const { ok, status, body } = await server.post(urls.handOut, { n: N_AHEAD })
  if (!ok) {
    if (status === 401) notices.signedOut()
    else setTimeout(ahead, 5000)
    return
  }
  const known = new Set([...units.map((each) => each.unit), ...judged])
  const wasEmpty = units.length === 0
  units.push(...body.units.filter((each) => !known.has(each.unit)))
  // One's own counts are kept here: the answer may be older than the last verdict.
  Object.assign(page.progress, { done: body.progress.done, wanted: body.progress.wanted })
  drawProgress()
  if (wasEmpty) units.length ? show() : finish()
}

/** What the server has not answered yet. */
async function waiting() {
  return (await outbox.entries()).filter((entry) => !entry.refused)
}

function drawReady() {
  const ready = units.slice(1, N_AHEAD).filter((each) => each.isReady).length
  $('ready').replaceChildren(...Array.from({ length: ready }, () => document.createElement('i')))
}

async function lease() {
  const held = unit().unit
  const { ok, body } = await server.post(urls.lease.replace('UNIT', held), {})
  if (ok && body.held === false && units[0]?.unit === held) notices.strip(words.leaseLost)
}

setInterval(() => look && document.visibilityState === 'visible' && lease(), 240_000)

// ---- answers of the server ----

outbox.addEventListener('sent', ({ detail: { answer } }) => {
  if (outbox.state !== 'signedOut') notices.strip('')
  if (answer.lease_was_lost) say(words.leaseLost)
  ahead()
})
outbox.addEventListener('refused', ({ detail: { entry } }) => {
  if (entry.kind !== 'review') return
  done = done.filter((each) => each.review !== entry.body.uuid)
  judged.delete(entry.body.unit) // it comes back to be judged again
  count(-1)
  page.undo = page.undo.filter((review) => review !== entry.body.uuid)
})
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && outbox.flush())

// ---- buttons ----

for (const button of document.querySelectorAll('[data-verdict]')) button.addEventListener('click', () => judge(button.dataset.verdict))
panes.forEach((element, pane) =>
  element.querySelector('.chip').addEventListener('click', ({ target }) => {
    const button = target.closest('button')
    if (!button || !look) return
    if (button.dataset.step) stepDate(pane, Number(button.dataset.step))
    if (button.dataset.sight) setSight(pane, button.dataset.sight)
  }),
)
function setSight(pane, sight) {
  const image = look.images.get(look.pair[pane])
  if (!image) return
  image.sight = image.sight === sight ? '' : sight
  drawChip(pane)
}

$('undo').addEventListener('click', undo)
$('next-frame').addEventListener('click', () => look && nextFrame())
$('other').addEventListener('click', () => look && addOther())
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

const VERDICT_KEYS = { KeyD: 'confirm', KeyF: 'move', KeyJ: 'reject', KeyK: 'unsure', Digit1: 'confirm', Digit2: 'move', Digit3: 'reject', Digit4: 'unsure' }
const VERDICT_LETTERS = { c: 'confirm', m: 'move', x: 'reject', u: 'unsure' }

const ACTIONS = {
  KeyN: nextFrame,
  KeyA: addOther,
  KeyS: () => detail.toggleSameMine(),
  KeyR: toggleRings,
  KeyB: undo,
  Backspace: undo,
  Escape: () => ($('more').open ? ($('more').open = false) : setMark(null)),
  Digit0: () => maps.reset(),
  Equal: () => maps.zoomBy(1),
  NumpadAdd: () => maps.zoomBy(1),
  Minus: () => maps.zoomBy(-1),
  NumpadSubtract: () => maps.zoomBy(-1),
}

document.addEventListener('keydown', (event) => {
  look?.act()
  if (isTyping(event) || document.querySelector('dialog[open]')) return
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'z') return stop(event, undo)
  if (event.ctrlKey || event.metaKey) return
  if (event.key === '?') return stop(event, () => $('help').showModal())
  if (!keysOn || !look) return
  input = 'key'
  if (!$('reasons').hidden) return reasonKey(event)
  if (event.code in ARROWS) return stop(event, () => arrow(event))
  if (event.shiftKey && /^Digit[1-5]$/.test(event.code)) return stop(event, () => detail.set('confidence', event.code.at(-1)))
  if (event.altKey) return
  if (event.code === 'BracketLeft' || event.code === 'BracketRight')
    return stop(event, () => stepDate(event.shiftKey ? 0 : 1, event.code === 'BracketLeft' ? -1 : 1))
  if (event.shiftKey && event.code !== 'Equal') return
  if (event.code === 'Space' && !isControl(event.target)) return stop(event, () => $('panes').classList.add('without-marks'))
  if (event.repeat) return
  const verdict = VERDICT_KEYS[event.code] ?? VERDICT_LETTERS[event.key]
  if (verdict) return stop(event, () => judge(verdict))
  if (event.code in REJECT_KEYS) return stop(event, () => detail.set('reject_reason', REJECT_KEYS[event.code]))
  if (event.code in ACTIONS) stop(event, ACTIONS[event.code])
})
document.addEventListener('keyup', (event) => event.code === 'Space' && $('panes').classList.remove('without-marks'))

function arrow(event) {
  if (event.altKey) return maps.pan(ARROWS[event.code][0] * 120, ARROWS[event.code][1] * 120)
  nudge(ARROWS[event.code], event.shiftKey ? 100 : 10)
}

function reasonKey(event) {
  if (event.code === 'Escape') return stop(event, closeReasons)
  const buttons = $('reasons').querySelectorAll('button')
  const chosen = /^(Digit|Numpad)[1-9]$/.test(event.code) ? buttons[Number(event.code.at(-1)) - 1] : null
  if (chosen) stop(event, () => judge('unsure', chosen.value))
}

function stop(event, action) {
  event.preventDefault()
  action()
}

const isTyping = ({ target }) => target.matches?.('input, textarea, select')
const isControl = (target) => target.matches?.('button, a, summary')

document.addEventListener('pointerdown', (event) => {
  look?.act()
  input = event.pointerType === 'touch' ? 'touch' : 'mouse'
})
document.addEventListener('pointermove', () => look?.act(), { passive: true })
window.addEventListener('resize', () => look && drawLine())

drawKeysSwitch()
notices.draw()
for (const { kind, url, body } of await waiting()) {
  if (kind === 'review') {
    judged.add(body.unit)
    page.undo.push(body.uuid)
  } else page.undo = page.undo.filter((review) => !url.includes(review))
}
outbox.flush()
units = units.filter((each) => !judged.has(each.unit))
show()
