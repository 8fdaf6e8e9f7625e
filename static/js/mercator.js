// Web mercator: where places lie among the tiles.

export const TILE_PX = 256
const EQUATOR_M = 156543.033928 // metres a pixel at zoom 0

/** Metres on the ground of a pixel at a latitude and a zoom. */
export const metresAPixel = (lat, z) => (EQUATOR_M * Math.cos((lat * Math.PI) / 180)) / 2 ** z

/** [x, y] in pixels of the whole map at a zoom. */
export function pixel([lon, lat], z) {
  const size = TILE_PX * 2 ** z
  const sine = Math.sin((lat * Math.PI) / 180)
  return [((lon + 180) / 360) * size, (0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)) * size]
}
