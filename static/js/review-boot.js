// Starts the review page. Where it cannot start (a part that did not load, a browser that keeps no verdicts), the plain
// form stays, with the pictures that a page without script shows.

import('review').catch((error) => {
  stayPlain()
  throw error
})

function stayPlain() {
  const pictures = document.getElementById('plain-images')
  if (!pictures) return // no unit, no form
  // What stands in <noscript> is text to a page with script: our own server's page, parsed as the browser would have.
  const parsed = new DOMParser().parseFromString(pictures.textContent, 'text/html').body
  if (!parsed.querySelector('image')) return claimNothing()
  for (const image of parsed.querySelectorAll('image')) image.addEventListener('error', claimNothing)
  pictures.replaceWith(...parsed.children)
}

/** A verdict must not name pictures that nobody saw; the server asks to load the page again. */
function claimNothing() {
  document.querySelector('#plain [name="shown"]').value = ''
}
