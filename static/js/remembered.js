// What the browser keeps of how a person likes to work. One that keeps nothing is no reason to stop.

export function remembered(key) {
  try {
    return localStorage.getItem(key)
  } catch {
    return null
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(key, value)
  } catch {
    // it holds until the page is closed
  }
}
