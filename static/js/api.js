// Talking to our own server. Every call answers {ok, status, body}; a lost line answers status 0.

const SIGNED_OUT = { ok: false, status: 401, body: {} }

export class Server {
  constructor(person, sessionUrl) {
    this.person = person
    this.sessionUrl = sessionUrl
    this.token = document.querySelector('input[name=csrfmiddlewaretoken]')?.value
  }

  async post(url, body) {
    const answer = await this.send(url, body)
    // Signing in again, here or in another tab, changes the token: fetch the new one and try once more.
    if (answer.status === 403 && answer.body.code === 'csrf') return (await this.renew()) ? this.send(url, body) : SIGNED_OUT
    return answer
  }

  send(url, body) {
    const headers = { 'Content-Type': 'application/json', 'X-CSRFToken': this.token, 'X-Person': String(this.person) }
    return ask(url, { method: 'POST', headers, body: JSON.stringify(body) })
  }

  /** Whether this browser is still signed in as the same person; takes the present token if so. */
  async renew() {
    const { ok, body } = await ask(this.sessionUrl, {})
    if (!ok || body.person !== this.person) return false
    this.token = body.token
    return true
  }
}

async function ask(url, options) {
  try {
    const response = await fetch(url, { ...options, signal: AbortSignal.timeout(60_000) })
    const isJson = response.headers.get('Content-Type')?.includes('json')
    return { ok: response.ok, status: response.status, body: isJson ? await response.json() : {} }
  } catch {
    return { ok: false, status: 0, body: {} }
  }
}
