// The units in hand: one on screen, three ready behind it, and the lease on the first.

const N_AHEAD = 4
const PREFETCH_MS = 15_000 // then the next unit is got ready, whatever hangs
const N_ASKED = 6 // in one go, so that a slow line answers every third verdict only

export class Queue extends EventTarget {
  /**
   * `page` is what the server wrote into the page. `prefetch(unit)` gets a unit's opening view ready. `waiting()` tells
   * what the server has not answered yet, `nReadyWanted()` how many units to get ready. Events:
   * show (another unit is first), ready, progress, finished (detail: how many units wait for imagery), signedOut, leaseLost.
   */
  constructor({ page, server, waiting, prefetch, nReadyWanted }) {
    super()
    Object.assign(this, { page, server, waiting, prefetch, nReadyWanted })
    this.units = page.units // the first is on screen
    this.judged = new Set() // ids of all units judged here: an answer on its way may still name one
    this.fetching = null
    this.isAskedAgain = false
  }

  get unit() {
    return this.units[0]
  }

  /** The first unit was judged; tell whoever draws the next. */
  judge(id) {
    this.judged.add(id)
    this.units = this.units.filter((each) => each.unit !== id)
    this.start()
  }

  /** A unit comes back to be judged now. */
  putBack(unit) {
    this.judged.delete(unit.unit)
    this.units = [unit, ...this.units.filter((each) => each.unit !== unit.unit)]
    this.start()
  }

  start() {
    this.tell('show')
    if (this.unit) this.lease()
    this.ahead()
  }

  /** Keep units in hand behind the one on screen. One run at a time; getting them ready keeps none from being asked for. */
  async ahead() {
    this.isAskedAgain = true
    this.fetching ??= (async () => {
      await null // so that it is known as running before it ends
      try {
        while (this.isAskedAgain) {
          this.isAskedAgain = false
          if (this.units.length < N_AHEAD) await this.handOut()
          this.makeReady()
        }
      } finally {
        this.fetching = null
      }
    })()
    return this.fetching
  }

  /** Decode the opening views of the units to come, one unit after the other, each for a while at most. */
  async makeReady() {
    this.tell('ready')
    if (this.isPreparing) return
    this.isPreparing = true
    const next = () => this.units.slice(1, 1 + this.nReadyWanted()).find((each) => !each.wasAsked)
    try {
      for (let unit = next(); unit; unit = next()) {
        unit.wasAsked = true
        await Promise.race([this.prepare(unit), new Promise((resolve) => setTimeout(resolve, PREFETCH_MS))])
      }
    } finally {
      this.isPreparing = false
    }
  }

  async prepare(unit) {
    await this.prefetch(unit)
    unit.isReady = true
    this.tell('ready')
  }

  nReady() {
    return this.units.slice(1, N_AHEAD).filter((each) => each.isReady).length
  }

  /** Ask for more units once everything before is sent; each answer of the outbox calls again. */
  async handOut() {
    if ((await this.waiting()).length) return
    const { ok, status, body } = await this.server.post(this.page.urls.handOut, { n: N_ASKED })
    if (!ok) {
      if (status === 401) this.tell('signedOut')
      else setTimeout(() => this.ahead(), 5000)
      return
    }
    const known = new Set([...this.units.map((each) => each.unit), ...this.judged])
    const wasEmpty = this.units.length === 0
    this.units.push(...body.units.filter((each) => !known.has(each.unit)))
    // One's own counts are kept here: the answer may be older than the last verdict.
    Object.assign(this.page.progress, { done: body.progress.done, wanted: body.progress.wanted })
    this.tell('progress')
    if (!wasEmpty) return
    if (this.unit) this.start()
    else this.dispatchEvent(new CustomEvent('finished', { detail: body.n_without_imagery ?? 0 }))
  }

  /** Hold the unit on screen a while longer. */
  async lease() {
    const held = this.unit.unit
    const { ok, body } = await this.server.post(this.page.urls.lease.replace('UNIT', held), {})
    if (ok && body.held === false && this.unit?.unit === held) this.tell('leaseLost')
  }

  tell(name) {
    this.dispatchEvent(new Event(name))
  }
}
