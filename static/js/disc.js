// Which part of the search disc was on screen close enough to see a 10 m pit: sample points in metres from its centre.
// The server computes the share again from the views; this copy only guides the eye.

const SPACING = 16 // points along the radius
const USEFUL_M = 5 // labels/rules.py, USEFUL_RESOLUTION_M

export class Disc {
  constructor(radius) {
    this.points = []
    const step = radius / SPACING
    for (let east = -radius; east <= radius; east += step)
      for (let north = -radius; north <= radius; north += step)
        if (Math.hypot(east, north) <= radius) this.points.push({ east, north, seen: new Set() })
  }

  /** Note a settled view of one image: bounds [west, south, east, north] in metres. */
  look(key, bounds, resolution, imageResolution) {
    if (Math.max(resolution, imageResolution ?? 0) > USEFUL_M) return
    for (const point of this.within(bounds)) point.seen.add(key)
  }

  /** The points inside [west, south, east, north]. */
  within([west, south, east, north]) {
    return this.points.filter((point) => point.east >= west && point.east <= east && point.north >= south && point.north <= north)
  }

  /** Share seen on any of the images named, 0 to 1. */
  share(keys) {
    const seen = this.points.filter((point) => keys.some((key) => point.seen.has(key)))
    return seen.length / this.points.length
  }
}
