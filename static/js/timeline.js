// One line with every image of the unit, those in view, and the report.

const NS = 'http://www.w3.org/2000/svg'
const DAY = 86400000

function draw(parent, name, attributes, text) {
  const element = document.createElementNS(NS, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  if (text !== undefined) element.textContent = text
  parent.append(element)
}

/** Redraw. `shown` holds the index in each pane. */
export function drawTimeline(svg, { images, shown, report, words, sentence }) {
  svg.replaceChildren()
  draw(svg, 'title', { id: 'timeline-words' }, sentence)
  const days = images.filter((image) => image.captured_on).map((image) => Date.parse(image.captured_on))
  if (report.date) days.push(Date.parse(report.date))
  if (!days.length) return
  const width = svg.clientWidth || 320
  const [first, last] = [Math.min(...days) - 200 * DAY, Math.max(...days) + 200 * DAY]
  const at = (day) => 10 + ((Date.parse(day) - first) / (last - first)) * (width - 20)
  draw(svg, 'path', { class: 'axis', d: `M4 13H${width - 4}` })
  const years = new Date(last).getUTCFullYear() - new Date(first).getUTCFullYear()
  const every = Math.ceil((years + 1) / Math.max(2, Math.floor(width / 70)))
  for (let year = new Date(first).getUTCFullYear() + 1; year <= new Date(last).getUTCFullYear(); year += 1) {
    const x = at(`${year}-01-01`)
    draw(svg, 'path', { class: 'tick', d: `M${x} 10v6` })
    if (year % every === 0 && !nearReport(x)) draw(svg, 'text', { x, y: 31, 'text-anchor': 'middle' }, year)
  }
  // Those in view last, so that none of the same day lies over them.
  const order = images.map((_, index) => index).sort((a, b) => shown.includes(a) - shown.includes(b))
  order.forEach((index) => {
    const image = images[index]
    if (!image.captured_on) return
    const x = at(image.captured_on)
    const pane = shown.indexOf(index)
    draw(svg, 'circle', pane < 0 ? { class: 'image', cx: x, cy: 13, r: 4 } : { class: 'shown', cx: x, cy: 13, r: 9 })
    if (pane >= 0) draw(svg, 'text', { class: 'hand', x, y: 17, 'text-anchor': 'middle' }, pane + 1)
  })
  if (report.date) {
    const x = at(report.date)
    draw(svg, 'path', { class: 'report', d: `M${x} 3v20M${x} 3h9l-2.5 3.5 2.5 3.5h-9Z` })
    draw(svg, 'text', { class: 'report-words', x, y: 33, 'text-anchor': 'middle' }, words.reported)
  }

  function nearReport(x) {
    return report.date && Math.abs(at(report.date) - x) < 46
  }
}
