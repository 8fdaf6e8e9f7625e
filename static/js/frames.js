// A search disc too large for one view is walked in frames of the pane's size. Where they lie, and which were seen.

const OVERLAP = 0.04 // of a frame, so that nothing falls between two
const ENOUGH = 0.98 // of a frame's part of the disc; the rest is rounding

/**
 * Rows of frames that cover a disc, each as wide as the disc is there: [east, north] of their centres, in metres, in the
 * order of the walk (to and fro, from the north). A disc that fits has one frame.
 */
export function framesOf(radius, [width, height]) {
  const [w, h] = [width * (1 - OVERLAP), height * (1 - OVERLAP)]
  const nRows = width && height ? Math.ceil((2 * radius) / h) : 0
  const frames = []
  for (let row = 0; row < nRows; row += 1) {
    const north = ((nRows - 1) / 2 - row) * h
    const nearest = Math.max(0, Math.abs(north) - h / 2) // where the disc is widest within the row
    const nColumns = Math.max(1, Math.ceil((2 * Math.sqrt(Math.max(0, radius ** 2 - nearest ** 2))) / w))
    const across = Array.from({ length: nColumns }, (_, column) => (column - (nColumns - 1) / 2) * w)
    if (row % 2) across.reverse()
    for (const east of across) frames.push({ east, north, width, height })
  }
  return frames
}

export class Walk {
  constructor(radius, size, disc) {
    this.frames = framesOf(radius, size)
    this.disc = disc
    this.at = -1 // the frame N went to last
    for (const frame of this.frames) frame.points = disc.within(boxOf(frame))
  }

  /** Tick each frame whose part of the disc was on screen on one of the images. */
  tick(keys) {
    for (const frame of this.frames) {
      const seen = frame.points.filter((point) => keys.some((key) => point.seen.has(key))).length
      frame.isSeen = seen >= frame.points.length * ENOUGH
    }
  }

  get nSeen() {
    return this.frames.filter((frame) => frame.isSeen).length
  }

  /** The frame to look at next: the first after the last one that is neither seen nor visited; null when all were seen. */
  next() {
    const unseen = this.frames.filter((frame) => !frame.isSeen)
    if (unseen.every((frame) => frame.wasVisited)) for (const frame of unseen) frame.wasVisited = false // left too soon
    for (let step = 1; step <= this.frames.length; step += 1) {
      const index = (this.at + step) % this.frames.length
      const frame = this.frames[index]
      if (frame.isSeen || frame.wasVisited) continue
      frame.wasVisited = true
      this.at = index
      return frame
    }
    return null
  }
}

/** [west, south, east, north] of a frame. */
export const boxOf = ({ east, north, width, height }) => [east - width / 2, north - height / 2, east + width / 2, north + height / 2]
