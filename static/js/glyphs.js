// The shapes drawn over imagery. Each is drawn twice, dark and light, so that it reads on soil, water and canopy.

const NS = 'http://www.w3.org/2000/svg'
const SHAPES = {
  crosshair: 'M20 9a11 11 0 1 0 .01 0M20-10v15M20 35v15M-10 20h15M35 20h15',
  moved: 'M20 9 31 20 20 31 9 20Z',
  other: 'M20 11 29 28 11 28Z',
  neighbour: 'M20 13a7 7 0 1 0 .01 0',
  end: 'M20 14v12M14 20h12',
}

/** An element of a drawing, put into its parent where one is given. */
export function svg(name, attributes, parent = null) {
  const element = document.createElementNS(NS, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  parent?.append(element)
  return element
}

export function drawGlyph(kind) {
  const drawing = svg('svg', { viewBox: '0 0 40 40', width: 40, height: 40, overflow: 'visible' })
  for (const className of ['edge', 'line body']) svg('path', { d: SHAPES[kind], class: className }, drawing)
  return drawing
}
