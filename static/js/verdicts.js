// Giving a verdict and taking it back. A verdict is kept on disk before the next unit shows (outbox.js).

import { sendable } from 'looking'

const N_UNDO = 20
const SHARE_FOR_REJECT = 0.9 // labels/rules.py
const MOST_TILES_MISSING = 0.2 // labels/rules.py

export class Verdicts extends EventTarget {
  /** Events: count (detail: one more or one less), undone. */
  constructor({ page, server, outbox, queue, panes, marks, detail, say, suggestion }) {
    super()
    Object.assign(this, { page, server, outbox, queue, panes, marks, detail, say, suggestion })
    this.done = [] // judged here, for undo: {unit, review}
    this.isBusy = false
    this.input = 'mouse'
  }

  /** Give the verdict, or say what it lacks. `openReasons(suggested, because)` asks why unsure. */
  async judge(verdict, reason, openReasons) {
    const { look } = this.panes
    const { words } = this.page
    if (!look || this.isBusy) return
    if (verdict === 'move' && !this.marks.moved) return this.say(words.clickTheMine, true)
    if (verdict === 'reject') {
      if (!look.supporting().length) {
        if (look.hasLater()) return this.say(words.stepToLater, true)
        return openReasons('predates_report', words.onlyBefore)
      }
      const missing = Math.min(...look.supporting().map((index) => look.shareMissing(index)))
      if (missing > MOST_TILES_MISSING) return this.say(words.muchMissing.replace('%s', Math.ceil(missing * 100)).replace('%%', '%'), true)
      if (look.share() < SHARE_FOR_REJECT) return this.say(this.panes.percent(words.lookAtRest), true)
      reason = this.detail.fields.reject_reason || 'natural_ground'
    }
    if (verdict === 'unsure' && !reason) return openReasons(this.suggestion())
    await this.alone(() => this.keep(this.body(verdict, reason)))
  }

  async keep(body) {
    const { unit } = this.queue
    await this.outbox.add('review', this.page.urls.reviews, body)
    this.done = [...this.done, { unit, review: body.uuid }].slice(-N_UNDO)
    this.count(1)
    this.queue.judge(body.unit)
  }

  body(verdict, reason) {
    return {
      uuid: crypto.randomUUID(),
      unit: this.queue.unit.unit,
      verdict,
      reason,
      ...this.detail.report(verdict === 'confirm' || verdict === 'move'),
      mark_offset_m: verdict === 'move' ? this.marks.moved.map(sendable) : null, // a confirm means the cross-hair itself
      other_mines: this.marks.others.map((other) => ({ ...other, offset_m: other.offset_m.map(sendable) })),
      ...this.panes.report(),
      claimed_at: new Date().toISOString(),
      input: this.input,
      viewport: `${innerWidth}x${innerHeight}@${Math.round(devicePixelRatio * 100) / 100}`.slice(0, 20),
      shown: this.page.shown,
    }
  }

  undo() {
    return this.alone(async () => {
      const last = this.done.pop()
      const again = last ? await this.takeBack(last) : await this.takeBackEarlier()
      if (!again) return
      this.count(-1)
      this.queue.putBack(again)
      this.say(this.page.words.undone)
    })
  }

  async takeBack({ unit, review }) {
    await this.outbox.add('retract', this.page.urls.retract.replace('REVIEW', review), { uuid: crypto.randomUUID() })
    return unit
  }

  /** A verdict from before this page was opened: only the server knows its unit. Until it answers, nothing older is undone. */
  async takeBackEarlier() {
    const { undo, words, urls } = this.page
    const review = undo.at(-1)
    if (!review) return this.say(words.nothingToUndo, true)
    if ((await this.outbox.waiting()).length) return this.say(words.undoLater, true)
    const { ok, status, body } = await this.server.post(urls.retract.replace('REVIEW', review), { uuid: crypto.randomUUID() })
    if (ok || [403, 404, 409].includes(status)) undo.pop()
    if (!ok) return this.say(body.detail ?? words.undoLater, true)
    return body.unit
  }

  /** The server would not take a verdict: its unit comes back to be judged again. */
  refused(body) {
    this.done = this.done.filter((each) => each.review !== body.uuid)
    this.queue.judged.delete(body.unit)
    this.count(-1)
    this.page.undo = this.page.undo.filter((review) => review !== body.uuid)
  }

  count(step) {
    this.dispatchEvent(new CustomEvent('count', { detail: step }))
  }

  /** One verdict or undo at a time. */
  async alone(work) {
    if (this.isBusy) return
    this.isBusy = true
    try {
      return await work()
    } finally {
      this.isBusy = false
    }
  }
}
