// Metres east and north of a point, and back: the formula of labels/local_plane.py.

const SEMI_MAJOR_M = 6378137
const ECCENTRICITY_2 = 0.00669437999014
const radians = (degrees) => (degrees * Math.PI) / 180

function metresPerDegree(lat) {
  const sine = Math.sin(radians(lat))
  const w = Math.sqrt(1 - ECCENTRICITY_2 * sine * sine)
  const primeVertical = SEMI_MAJOR_M / w
  const meridional = (SEMI_MAJOR_M * (1 - ECCENTRICITY_2)) / w ** 3
  return [radians(1) * primeVertical * Math.cos(radians(lat)), radians(1) * meridional]
}

/** [lon, lat] of the point so many metres east and north of the origin [lon, lat]. */
export function place([lon, lat], [east, north]) {
  const [perLon, perLat] = metresPerDegree(lat)
  return [lon + east / perLon, lat + north / perLat]
}

/** [east, north] metres from the origin to the point, both [lon, lat]. */
export function offset([lon, lat], [toLon, toLat]) {
  const [perLon, perLat] = metresPerDegree(lat)
  return [(toLon - lon) * perLon, (toLat - lat) * perLat]
}

/**
 * Metres on the ground between two places given as [east, north] of an origin [lon, lat]: measured in the plane of the
 * latitude halfway between them, so that it holds far from the origin too (within 0.01 % of the geodesic up to 10 km).
 */
export function ground(origin, from, to) {
  const [lon, lat] = place(origin, from)
  const [toLon, toLat] = place(origin, to)
  const [perLon, perLat] = metresPerDegree((lat + toLat) / 2)
  return Math.hypot((toLon - lon) * perLon, (toLat - lat) * perLat)
}

export const distance = ([east, north]) => Math.hypot(east, north)

/** Degrees clockwise from north, 0 to 360. */
export const bearing = ([east, north]) => ((Math.atan2(east, north) * 180) / Math.PI + 360) % 360
