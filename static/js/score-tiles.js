// Tiles that carry scores (predictions/run_tiles.py): fetched, unpacked to numbers, painted. Knows no map.
//
// A tile is a PNG without filters, unpacked here and not by the browser: browsers that guard against fingerprinting
// change what a script reads from a drawn picture.

const HEAD = 8 // bytes before the first chunk
export const OUTSIDE = 1
export const LEFT_OUT = 2
const NONE = 255
const HATCH_EVERY = 8 // pixels; goes into a tile's side, so that lines meet across tiles

/** The scores at an address: steps and flags of its pixels; null where the map has nothing. */
export async function scoresAt(address, signal) {
  const answer = await fetch(address, { signal, credentials: 'same-origin', headers: { Accept: 'image/png' } })
  if (!answer.ok) throw new Error(`tile ${answer.status}`)
  const file = new Uint8Array(await answer.arrayBuffer())
  const { width, height, packed } = chunksOf(file)
  if (width === 1) return null
  const rows = await inflated(packed)
  return unpacked(rows, width, height)
}

function chunksOf(file) {
  const view = new DataView(file.buffer)
  const packed = []
  let width = 0
  let height = 0
  for (let at = HEAD; at < file.length; ) {
    const length = view.getUint32(at)
    const name = String.fromCharCode(...file.subarray(at + 4, at + 8))
    if (name === 'IHDR') [width, height] = [view.getUint32(at + 8), view.getUint32(at + 12)]
    if (name === 'IDAT') packed.push(file.subarray(at + 8, at + 8 + length))
    at += 12 + length
  }
  return { width, height, packed }
}

async function inflated(parts) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream('deflate'))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

function unpacked(rows, width, height) {
  const steps = new Uint16Array(width * height)
  const flags = new Uint8Array(width * height)
  for (let y = 0, at = 0; y < height; y += 1) {
    let from = y * (1 + 4 * width) + 1 // each row begins with the number of its filter
    for (let x = 0; x < width; x += 1, at += 1, from += 4) {
      steps[at] = (rows[from] << 8) | rows[from + 1]
      flags[at] = rows[from + 3] ? rows[from + 2] : NONE
    }
  }
  return { width, height, steps, flags }
}

/** What lies at a pixel: its step and flags, or null. */
export function valueAt(scores, x, y) {
  const at = y * scores.width + x
  return scores.flags[at] === NONE ? null : { step: scores.steps[at], flags: scores.flags[at] }
}

/** Paint scores: `palette` has a colour for each step, as Palette packs them. */
export function paint(canvas, scores, palette) {
  const { width, height, steps, flags } = scores
  const picture = new ImageData(width, height)
  const pixels = new Uint32Array(picture.data.buffer)
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      const flag = flags[at]
      if (flag === NONE) continue
      if (!(flag & OUTSIDE)) pixels[at] = palette.colours[steps[at]]
      else pixels[at] = ((x + y) % HATCH_EVERY < 2 ? palette.stripes : palette.pale)[steps[at]]
    }
  }
  canvas.getContext('2d').putImageData(picture, 0, 0)
}

/**
 * Colours of all steps: `stops` are [step, [r, g, b]] in ascending order. Outside what may be claimed they are pale under
 * stripes: of the `hatch` colour, from the step `strong` on of their own.
 */
export class Palette {
  constructor(levels, stops, { paper, hatch, strong }) {
    this.colours = new Uint32Array(levels + 1)
    this.pale = new Uint32Array(levels + 1)
    this.stripes = new Uint32Array(levels + 1)
    let next = 1
    for (let step = 0; step <= levels; step += 1) {
      while (next < stops.length - 1 && step >= stops[next][0]) next += 1
      const colour = between(stops[next - 1], stops[next], step)
      this.colours[step] = packedColour(colour)
      this.pale[step] = packedColour(mixed(colour, paper, 0.6))
      this.stripes[step] = packedColour(step < strong ? hatch : colour)
    }
  }
}

function between([from, first], [to, last], step) {
  return mixed(first, last, to > from ? Math.max(0, Math.min(1, (step - from) / (to - from))) : 1)
}

const mixed = (first, last, share) => first.map((part, k) => Math.round(part + (last[k] - part) * share))
const packedColour = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0 // little-endian

/** [r, g, b] of a colour written #rrggbb. */
export const rgb = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16))
