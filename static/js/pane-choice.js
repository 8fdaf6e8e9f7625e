// Which images the panes show, by their index in the unit's list (oldest first), and what of a pane can be seen.

import { offset } from 'plane'

const USEFUL_M = 5 // labels/rules.py

/** Images beyond the pair, the ones most worth showing first: fine and covering, then the newest. */
function others({ images, pair }) {
  const worth = ({ resolution_m, share_covered }) => share_covered >= 0.5 && (resolution_m ?? 0) <= USEFUL_M
  const rest = images.map((_, index) => index).filter((index) => !pair.includes(index))
  return rest.sort((a, b) => worth(images[b]) - worth(images[a]) || b - a)
}

const padded = (indexes, n) => [...Array(Math.max(0, n - indexes.length)).fill(null), ...indexes]
const inOrder = (indexes) => indexes.sort((a, b) => a - b)

/** What n panes show first: the pair, filled up in order of time; of one pane the newest of the pair. */
export function opening(unit, n) {
  if (n === 1) return [unit.pair.at(-1) ?? null]
  if (n === 2) return padded(unit.pair, 2)
  return padded(inOrder([...unit.pair, ...others(unit)].slice(0, n)), n)
}

/** What n panes show when there were others: the one kept, the others in view (those of the pair before them), then more. */
export function refit(unit, shown, kept, n) {
  const pair = unit.pair.toReversed()
  const inView = [...pair.filter((index) => shown.includes(index)), ...shown.toReversed()]
  const wanted = [kept, ...inView, ...pair, ...others(unit)].filter((index) => index !== null)
  return padded(inOrder([...new Set(wanted)].slice(0, n)), n)
}

/** The image that shows most of the disc, the newest of equals; null where there is none. */
export function widest({ images }) {
  return images.reduce((best, image) => (best && best.share_covered > image.share_covered ? best : image), null)
}

/** Boxes of ground as far as they lie round the disc and the grid cell: in light mode coarse tiles stand in for the rest. */
export function judged({ point, cell, search_radius_m: radius }, boxes) {
  const [west, south] = offset(point, cell.slice(0, 2))
  const [east, north] = offset(point, cell.slice(2))
  const least = [Math.min(west, -radius), Math.min(south, -radius)]
  const most = [Math.max(east, radius), Math.max(north, radius)]
  const clip = ([w, s, e, n]) => [Math.max(w, least[0]), Math.max(s, least[1]), Math.min(e, most[0]), Math.min(n, most[1])]
  return boxes.map(clip).filter(([w, s, e, n]) => e > w && n > s)
}

/** What is left of a box [left, top, right, bottom] when another lies over it near its foot: above it and on both sides. */
export function covered([left, top, right, bottom], [l, t, r, b]) {
  if (l >= right || r <= left || t >= bottom || b <= top) return [[left, top, right, bottom]]
  return [
    [left, top, right, t],
    [left, Math.max(top, t), l, bottom],
    [r, Math.max(top, t), right, bottom],
  ]
}
