// Verdicts wait here until the server has answered. They are written to disk before the page shows the next unit, hold no
// coordinates (offsets in metres only), and belong to the person who gave them: another login neither sees nor sends them.

const STORE = 'entries'
const WAITS_MS = [1000, 2000, 5000, 10000, 20000, 30000]

function openDatabase() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('asm-audit-outbox', 1)
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'number', autoIncrement: true })
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

export class Outbox extends EventTarget {
  static async open(server) {
    return new Outbox(await openDatabase(), server)
  }

  constructor(database, server) {
    super()
    this.database = database
    this.server = server
    this.owner = server.person
    this.failures = 0
    this.state = 'idle' // idle, waiting (line lost), signedOut
    window.addEventListener('online', () => this.flush())
  }

  /** Keep one call; resolves once it is on disk. */
  async add(kind, url, body) {
    await this.run('readwrite', (store) => store.add({ owner: this.owner, kind, url, body, refused: null }))
    this.changed()
    this.flush()
  }

  async entries() {
    const all = await this.run('readonly', (store) => store.getAll())
    return all.filter((entry) => entry.owner === this.owner)
  }

  /** What the server has not answered yet. */
  async waiting() {
    return (await this.entries()).filter((entry) => !entry.refused)
  }

  async drop(number) {
    await this.run('readwrite', (store) => store.delete(number))
    this.changed()
  }

  /** Send what waits, oldest first, one at a time; only an answer of the server takes an entry out. */
  async flush() {
    if (this.sending) return
    this.sending = true
    clearTimeout(this.timer)
    try {
      for (;;) {
        const entry = (await this.waiting())[0]
        if (!entry) break
        if (!(await this.send(entry))) return
      }
      this.to('idle')
    } finally {
      this.sending = false
    }
  }

  async send(entry) {
    const answer = await this.server.post(entry.url, entry.body)
    if (answer.ok) {
      this.failures = 0
      await this.drop(entry.number)
      this.dispatchEvent(new CustomEvent('sent', { detail: { entry, answer: answer.body } }))
      return true
    }
    if (answer.status === 401) {
      this.to('signedOut')
      this.later()
      return false
    }
    if (answer.status >= 400 && answer.status < 500 && ![408, 425, 429].includes(answer.status)) {
      entry.refused = answer.body.detail ?? String(answer.status)
      if (typeof entry.refused !== 'string') entry.refused = String(answer.status)
      await this.run('readwrite', (store) => store.put(entry))
      this.dispatchEvent(new CustomEvent('refused', { detail: { entry, answer: answer.body } }))
      this.changed()
      return true
    }
    this.to('waiting')
    this.later()
    return false
  }

  later() {
    this.timer = setTimeout(() => this.flush(), WAITS_MS[Math.min(this.failures++, WAITS_MS.length - 1)])
  }

  to(state) {
    this.state = state
    this.changed()
  }

  changed() {
    this.dispatchEvent(new Event('change'))
  }

  run(mode, work) {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction(STORE, mode, { durability: 'strict' })
      const request = work(transaction.objectStore(STORE))
      transaction.oncomplete = () => resolve(request.result)
      transaction.onerror = () => reject(transaction.error)
      transaction.onabort = () => reject(transaction.error)
    })
  }
}
