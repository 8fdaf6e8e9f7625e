// The review loop: one unit on screen, three ready behind it, verdicts kept until the server has answered.

import { Server } from 'api'
import { defaultPair, predates, relation } from 'choosing'
import { Disc } from 'disc'
import { Outbox } from 'outbox'
import { PairedMaps } from 'paired-maps'
import { bearing, distance, offset } from 'plane'
import { drawTimeline } from 'timeline'

const N_AHEAD = 4
const N_UNDO = 20
const SHARE_FOR_REJECT = 0.9 // labels/rules.py
const IDLE_MS = 60_000 // a pause longer than this is no thinking time
const REJECT_KEYS = { KeyO: 'other_land_use', KeyI: 'industrial_only' }
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }

const page = JSON.parse(document.getElementById('review-data').textContent)
const { words, urls } = page
const $ = (id) => document.getElementById(id)
const locale = page.language === 'en' ? 'en-GB' : page.language // day before month, as the product writes dates
const number = new Intl.NumberFormat(locale)

$('review').classList.add('js')
const panes = [$('pane-1'), $('pane-2')]
const maps = new PairedMaps([$('map-1'), $('map-2')], words)
const server = new Server(page.user, urls.session)
const outbox = await Outbox.open(server)

let units = page.units // the first is on screen
let done = [] // units judged here, for undo: {unit, review}
const judged = new Set() // ids of all units judged here: an answer on its way may still name one
let look = null // everything about the looking at the unit on screen
let busy = false
let keysOn = localStorage.getItem('review-keys') !== 'off'
let input = 'mouse'

// ---- the unit on screen ----

const unit = () => units[0]

function startLook() {
  look = {
    startedAt: performance.now(),
    idle: 0,
    lastActAt: performance.now(),
    disc: new Disc(unit().search_radius_m),
    pair: defaultPair(unit().images, unit().report.ends),
    mark: null,
    others: [],
    images: new Map(), // index of image -> what was seen of it
    fields: { confidence: null, mine_type: '', activity: '', size_class: '', signs: [], reject_reason: '' },
    sameMine: false,
    settledAt: performance.now(),
    view: null,
  }
}

function show() {
  if (!units.length) return finish()
  $('finished').hidden = true
  startLook()
  closeReasons()
  maps.show(unit())
  panes.forEach((_, pane) => setImage(pane, look.pair[pane]))
  clearDetail()
  describe()
  maps.drawMarks(null, [])
  say('')
  lease()
  ahead()
}

function finish() {
  look = null
  $('finished').hidden = false
  $('ready').textContent = ''
}

/** The images of the unit that are in a pane. */
const shown = () => look.pair.filter((index) => index !== null)

function setImage(pane, index) {
  leaveView()
  if (look.pair[pane] !== null) keepCounts(pane)
  look.pair[pane] = index
  const image = index === null ? null : unit().images[index]
  maps.setImage(pane, image)
  if (image) seen(index)
  drawChip(pane, image)
  drawLine()
  maps.settle()
}

function seen(index) {
  if (!look.images.has(index)) look.images.set(index, { views: [], dwell: 0, sight: '', tiles: 0, missing: 0 })
  return look.images.get(index)
}

function keepCounts(pane) {
  const image = look.images.get(look.pair[pane])
  if (!image) return
  const counts = maps.counts(pane)
  image.tiles += counts.tiles
  image.missing += counts.missing
  counts.tiles = counts.missing = 0
}

function drawChip(pane, image) {
  const element = panes[pane]
  const index = look.pair[pane]
  element.classList.toggle('empty', !image)
  element.querySelector('.no-image').hidden = Boolean(image)
  element.querySelector('.no-image').textContent = words.noImage
  element.querySelector('.date').textContent = image ? dateWords(image.captured_on) : '–'
  const resolution = image?.resolution_m ? `${number.format(Math.round(image.resolution_m * 10) / 10)} m` : ''
  const what = image ? [image.name, resolution, relation(image, unit().report, words)] : []
  element.querySelector('.what').textContent = what.filter(Boolean).join(' · ')
  element.querySelector('.credit').textContent = image?.attribution ?? ''
  element.querySelector('[data-step="-1"]').disabled = neighbour(pane, -1) === null
  element.querySelector('[data-step="1"]').disabled = neighbour(pane, 1) === null
  const sight = look.images.get(index)?.sight ?? ''
  element.querySelectorAll('[data-sight]').forEach((button) => check(button, button.dataset.sight === sight))
}

/** The next image in that direction which the other pane does not show. */
function neighbour(pane, step) {
  const from = look.pair[pane] ?? -1
  for (let index = from + step; index >= 0 && index < unit().images.length; index += step)
    if (index !== look.pair[1 - pane]) return index
  return null
}

function stepDate(pane, step) {
  const index = neighbour(pane, step)
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
  leaveView()
  look.view = view
  look.settledAt = performance.now()
  look.pair.forEach((index, pane) => {
    if (index !== null) look.disc.look(index, view.bounds[pane], view.resolution, unit().images[index].resolution_m)
  })
  describeSeen()
})

/** Book the time on screen of the view that ends now. */
function leaveView() {
  if (!look?.view) return
  const ms = Math.round(performance.now() - look.settledAt)
  look.pair.forEach((index, pane) => {
    if (index === null) return
    const image = seen(index)
    image.dwell += ms
    if (image.views.length < 200) image.views.push({ bounds: look.view.bounds[pane].map(round), zoom: look.view.zoom, ms })
  })
  look.view = null
}

const round = (metres) => Math.round(Math.max(-60000, Math.min(60000, metres)) * 100) / 100

/** Indexes of the images looked at that can support a reject. */
const supporting = () => [...look.images.keys()].filter((index) => !predates(unit().images[index], unit().report.ends))

/** Share of the disc seen where there is a picture; the server measures it again. */
function shareSeen() {
  const covered = supporting().reduce((sum, index) => sum + unit().images[index].share_covered, 0)
  return Math.min(look.disc.share(supporting()), covered)
}

function describeSeen() {
  $('seen').textContent = words.discSeen.replace('%s', Math.floor(shareSeen() * 100)).replace('%%', '%')
}

function nextFrame() {
  const target = look.disc.nextUnseen(supporting().length ? supporting() : shown(), maps.centre())
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
  look.others.splice(index, 1)
  redraw()
})

function setMark(metres) {
  if (!look) return
  if (metres && distance(metres) > unit().search_radius_m) return say(words.outside, true)
  look.mark = metres
  say('')
  redraw()
}

function nudge([east, north], step) {
  const [fromEast, fromNorth] = look.mark ?? [0, 0]
  setMark([fromEast + east * step, fromNorth + north * step])
}

function addOther() {
  look.others.push({ offset_m: maps.pointed(), mine_type: look.fields.mine_type || 'artisanal' })
  redraw()
  say(words.otherMine)
}

function redraw() {
  maps.drawMarks(look.mark, look.others)
  describeMove()
}

function describeMove() {
  if (!look.mark) return ($('move-words').textContent = words.clickFirst)
  const compass = words.compass[Math.round(bearing(look.mark) / 45) % 8]
  $('move-words').textContent = `${number.format(Math.round(distance(look.mark)))} m ${compass}`
}

// ---- verdicts ----

async function judge(verdict, reason = '') {
  if (!look || busy) return
  if (verdict === 'move' && !look.mark) return say(words.clickTheMine, true)
  if (verdict === 'reject') {
    if (!supporting().length) return openReasons('predates_report', words.onlyBefore)
    if (shareSeen() < SHARE_FOR_REJECT) return say(words.lookAtRest.replace('%s', Math.floor(shareSeen() * 100)).replace('%%', '%'), true)
    reason = look.fields.reject_reason || 'natural_ground'
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
  leaveView()
  look.pair.forEach((_, pane) => keepCounts(pane))
  const hasMine = verdict === 'confirm' || verdict === 'move'
  const { reject_reason, ...fields } = look.fields
  if (!hasMine) Object.assign(fields, { mine_type: '', activity: '', size_class: '' })
  const mark = verdict === 'move' ? look.mark : null // a confirm means the cross-hair itself
  return {
    uuid: crypto.randomUUID(),
    unit: unit().unit,
    verdict,
    reason,
    ...fields,
    mark_offset_m: mark ? mark.map(round) : null,
    other_mines: look.others.map((other) => ({ ...other, offset_m: other.offset_m.map(round) })),
    is_same_mine: look.sameMine && hasMine,
    note: $('note').value,
    images: [...look.images].map(([index, image]) => imageBody(index, image)),
    think_time_s: Math.max(0, (performance.now() - look.startedAt - look.idle) / 1000),
    claimed_at: new Date().toISOString(),
    input,
    viewport: `${innerWidth}x${innerHeight}@${Math.round(devicePixelRatio * 100) / 100}`.slice(0, 20),
    shown: page.shown,
  }
}

function imageBody(index, image) {
  const pane = look.pair.indexOf(index)
  return {
    pane: pane < 0 ? 1 : pane + 1,
    source: unit().images[index].source,
    captured_on: unit().images[index].captured_on,
    zoom: image.views.at(-1)?.zoom ?? null,
    views: image.views,
    dwell_ms: Math.min(image.dwell, 86_400_000),
    n_tiles: image.tiles,
    n_tiles_missing: image.missing,
    sight: image.sight,
    was_on_screen_at_verdict: pane >= 0,
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
    const pair = defaultPair(each.images, each.report.ends).filter((index) => index !== null)
    await maps.prefetch(each, pair.map((index) => each.images[index]))
    each.isReady = true
    drawReady()
  }
}

/** Ask for more units once everything before is sent; each answer of the outbox calls again. */
async function handOut() {
  if ((await waiting()).length) return
  const { ok, status, body } = await server.post(urls.handOut, { n: N_AHEAD })
  if (!ok) {
    if (status === 401) signedOut()
    else setTimeout(ahead, 5000)
    return
  }
  const known = new Set([...units.map((each) => each.unit), ...judged])
  const wasEmpty = units.length === 0
  units.push(...body.units.filter((each) => !known.has(each.unit)))
  // One's own counts are kept here: the answer may be older than the last verdict.
  Object.assign(page.progress, { done: body.progress.done, wanted: body.progress.wanted })
  drawProgress()
  if (wasEmpty && units.length) show()
}

/** What the server has not answered yet. */
async function waiting() {
  return (await outbox.entries()).filter((entry) => !entry.refused)
}

function drawReady() {
  const ready = units.slice(1).filter((each) => each.isReady).length
  $('ready').replaceChildren(...Array.from({ length: ready }, () => document.createElement('i')))
}

async function lease() {
  const held = unit().unit
  const { ok, body } = await server.post(urls.lease.replace('UNIT', held), {})
  if (ok && body.held === false && units[0]?.unit === held) strip(words.leaseLost)
}

setInterval(() => look && document.visibilityState === 'visible' && lease(), 240_000)

// ---- what is unsent, refused or lost ----

outbox.addEventListener('change', drawUnsent)
outbox.addEventListener('sent', ({ detail: { answer } }) => {
  if (outbox.state !== 'signedOut') strip('')
  if (answer.lease_was_lost) say(words.leaseLost)
  ahead()
})
outbox.addEventListener('refused', ({ detail: { entry } }) => {
  if (entry.kind !== 'review') return
  done = done.filter((each) => each.review !== entry.body.uuid)
  page.undo = page.undo.filter((review) => review !== entry.body.uuid)
})

async function drawUnsent() {
  const entries = await outbox.entries()
  const refused = entries.filter((entry) => entry.refused)
  const unsent = entries.length - refused.length
  const text = unsent && outbox.state !== 'idle' ? words.unsentKept : words.unsent
  $('unsent').textContent = refused.length ? words.refused.replace('%s', refused.length) : text.replace('%s', unsent)
  $('unsent-open').classList.toggle('waiting', unsent > 0 && outbox.state !== 'idle')
  $('unsent-open').classList.toggle('refused', refused.length > 0)
  if (outbox.state === 'signedOut') signedOut()
  drawRefused(refused)
}

function signedOut() {
  strip(words.signedOut, urls.login)
}

function strip(text, link = '') {
  $('strip').hidden = !text
  $('strip-words').textContent = text
  $('strip-link').hidden = !link
  if (link) $('strip-link').href = link
}

function drawRefused(refused) {
  const items = refused.map((entry) => {
    const item = $('refused-item').content.cloneNode(true)
    item.querySelector('.why').textContent = entry.refused
    item.querySelector('button').addEventListener('click', () => outbox.drop(entry.number))
    return item
  })
  $('refused-list').replaceChildren(...items)
  if (!refused.length && $('refused').open) $('refused').close()
}

$('unsent-open').addEventListener('click', () => ($('unsent-open').classList.contains('refused') ? $('refused').showModal() : outbox.flush()))
$('refused-close').addEventListener('click', () => $('refused').close())
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && outbox.flush())

/** Tell screen readers, and, where the person must act, everybody. */
function say(text, forEverybody = false) {
  $('spoken').textContent = text
  if (outbox.state !== 'signedOut') strip(forEverybody ? text : '')
}

// ---- detail ----

const check = (button, isOn) => button.setAttribute(button.getAttribute('role') === 'radio' ? 'aria-checked' : 'aria-pressed', String(isOn))

function setField(field, value) {
  const { fields } = look
  if (Array.isArray(fields[field]))
    fields[field] = fields[field].includes(value) ? fields[field].filter((each) => each !== value) : [...fields[field], value]
  else {
    const asked = field === 'confidence' ? Number(value) : value
    fields[field] = fields[field] === asked ? (field === 'confidence' ? null : '') : asked
  }
  drawDetail()
}

function drawDetail() {
  const chosen = []
  for (const group of document.querySelectorAll('[data-field]')) {
    const value = look.fields[group.dataset.field]
    for (const button of group.querySelectorAll('button')) {
      const isOn = Array.isArray(value) ? value.includes(button.value) : String(value ?? '') === button.value
      check(button, isOn)
      if (isOn && $('more').contains(group)) chosen.push(button.textContent)
    }
  }
  check($('same-mine'), look.sameMine)
  $('more-words').textContent = chosen.join(' · ')
}

function clearDetail() {
  $('note').value = ''
  $('more').open = false
  drawDetail()
}

for (const group of document.querySelectorAll('[data-field]'))
  group.addEventListener('click', ({ target }) => look && target.closest('button') && setField(group.dataset.field, target.closest('button').value))

function toggleSameMine() {
  look.sameMine = !look.sameMine
  drawDetail()
}

function setSight(pane, sight) {
  const image = look.images.get(look.pair[pane])
  if (!image) return
  image.sight = image.sight === sight ? '' : sight
  drawChip(pane, unit().images[look.pair[pane]])
}

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
$('undo').addEventListener('click', undo)
$('next-frame').addEventListener('click', () => look && nextFrame())
$('other').addEventListener('click', () => look && addOther())
$('same-mine').addEventListener('click', () => look && toggleSameMine())
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
  KeyS: toggleSameMine,
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
  act()
  if (isTyping(event) || document.querySelector('dialog[open]')) return
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'z') return stop(event, undo)
  if (event.ctrlKey || event.metaKey) return
  if (event.key === '?') return stop(event, () => $('help').showModal())
  if (!keysOn || !look) return
  input = 'key'
  if (!$('reasons').hidden) return reasonKey(event)
  if (event.code in ARROWS) return stop(event, () => arrow(event))
  if (event.shiftKey && /^Digit[1-5]$/.test(event.code)) return stop(event, () => setField('confidence', event.code.at(-1)))
  if (event.altKey) return
  if (event.code === 'BracketLeft' || event.code === 'BracketRight')
    return stop(event, () => stepDate(event.shiftKey ? 0 : 1, event.code === 'BracketLeft' ? -1 : 1))
  if (event.shiftKey && event.code !== 'Equal') return
  if (event.code === 'Space' && !isControl(event.target)) return stop(event, () => $('panes').classList.add('without-marks'))
  if (event.repeat) return
  const verdict = VERDICT_KEYS[event.code] ?? VERDICT_LETTERS[event.key]
  if (verdict) return stop(event, () => judge(verdict))
  if (event.code in REJECT_KEYS) return stop(event, () => setField('reject_reason', REJECT_KEYS[event.code]))
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

// ---- time ----

function act() {
  if (!look) return
  const now = performance.now()
  if (now - look.lastActAt > IDLE_MS) look.idle += now - look.lastActAt - IDLE_MS
  look.lastActAt = now
}

document.addEventListener('pointerdown', (event) => {
  act()
  input = event.pointerType === 'touch' ? 'touch' : 'mouse'
})
document.addEventListener('pointermove', act, { passive: true })
window.addEventListener('resize', () => look && drawLine())

drawKeysSwitch()
drawUnsent()
for (const { kind, url, body } of await waiting()) {
  if (kind === 'review') {
    judged.add(body.unit)
    page.undo.push(body.uuid)
  } else page.undo = page.undo.filter((review) => !url.includes(review))
}
outbox.flush()
units = units.filter((each) => !judged.has(each.unit))
if (units.length) show()
else ahead().then(() => units.length || finish())
