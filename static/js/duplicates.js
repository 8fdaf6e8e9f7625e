// Proposed duplicates by keys: M one site, K two sites, N the next pair. htmx sends the forms; the page also works without.

const pairs = () => [...document.querySelectorAll('.pair')]
const current = () => document.activeElement.closest?.('.pair') ?? pairs().find((pair) => !pair.dataset.decided) ?? null

function next(after) {
  const all = pairs()
  const rest = all.slice(all.indexOf(after) + 1)
  const target = rest.find((pair) => !pair.dataset.decided) ?? rest[0]
  if (target) target.focus()
  else document.getElementById('after-pairs')?.focus()
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, select, textarea')) return
  const pair = current()
  const key = event.key.toLowerCase()
  if (!pair) return
  if (key === 'n') next(pair)
  else if (key === 'm' || key === 'k') pair.querySelector(`button[value="${key === 'm' ? 'merge' : 'keep'}"]`)?.click()
  else return
  event.preventDefault()
})

document.body.addEventListener('htmx:afterSwap', (event) => {
  const pair = document.getElementById(event.detail.target.id)
  if (pair) next(pair)
})
