"""Geodesics on WGS84: Vincenty's formulas, vectorised, with Karney's form of the inverse problem where they fail.

Vincenty (1975), Survey Review 23(176):88-93, with Helmert's expansion parameter (his note of the same year). His
inverse iteration does not settle near the antipode; there the azimuth is found by bisection in the canonical form of
Karney (2013), J. Geodesy 87:43-55, doi:10.1007/s00190-012-0578-z.

`labels.geo` is the door: it checks what comes in. Here longitudes and latitudes are degrees, azimuths radians clockwise
from north, and all arguments are finite arrays that broadcast together.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

EQUATORIAL_RADIUS_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
POLAR_RADIUS_M = EQUATORIAL_RADIUS_M * (1 - FLATTENING)


def inverse(lon1, lat1, lon2, lat2) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance (m) and azimuth at the first point (radians) of the geodesic between two points."""
    start, end = _reduced_latitude(lat1), _reduced_latitude(lat2)
    apart = np.radians(wrapped(lon2 - lon1))
    spherical = apart
    for _ in range(12):
        arc, azimuth = _arc_between(start, end, spherical)
        previous, spherical = spherical, apart + arc.longitude_excess()
        settled = (np.abs(spherical - previous) < 1e-13) & (np.abs(spherical) <= np.pi)
        if settled.all():
            break
    distance = arc.length_m()
    if not settled.all():
        far = ~settled
        distance, azimuth = np.array(distance), np.array(azimuth)
        distance[far], azimuth[far] = _nearly_antipodal(*(x[far] for x in np.broadcast_arrays(*start, *end, apart)))
    return np.maximum(distance, 0.0)[()], azimuth


def direct(lon, lat, azimuth, distance_m) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lon (in [-180, 180)) and lat of the point reached from another by azimuth and distance."""
    sin_u, cos_u = _reduced_latitude(lat)
    sin_az, cos_az = np.sin(azimuth), np.cos(azimuth)
    sin_equator = cos_u * sin_az
    sigma1 = np.arctan2(sin_u, cos_u * cos_az)  # arc from the equator crossing to the origin
    even = distance_m / (POLAR_RADIUS_M * _series(sin_equator)[0])
    sigma = even
    for _ in range(10):  # contracts by a factor of 600 a step: five suffice
        sigma = even + _arc(sin_equator, sigma, 2 * sigma1 + sigma).wobble()
    arc = _arc(sin_equator, sigma, 2 * sigma1 + sigma)

    toward = sin_u * arc.sin_sigma - cos_u * arc.cos_sigma * cos_az
    sin_u2 = sin_u * arc.cos_sigma + cos_u * arc.sin_sigma * cos_az
    lat2 = np.arctan2(sin_u2, (1 - FLATTENING) * np.hypot(sin_equator, toward))
    spherical = np.arctan2(arc.sin_sigma * sin_az, cos_u * arc.cos_sigma - sin_u * arc.sin_sigma * cos_az)
    return wrapped(lon + np.degrees(spherical - arc.longitude_excess())), np.degrees(lat2)


class _Arc(NamedTuple):
    """A geodesic seen on Vincenty's auxiliary sphere: where it crosses the equator, how far it runs."""

    sin_equator: NDArray[np.float64]  # sine of the azimuth at the equator crossing
    sigma: NDArray[np.float64]  # angular length, radians
    sin_sigma: NDArray[np.float64]
    cos_sigma: NDArray[np.float64]
    cos_2m: NDArray[np.float64]  # cosine of twice the arc from the crossing to the middle

    def longitude_excess(self) -> NDArray[np.float64]:
        """Longitude difference on the sphere less that on the ellipsoid, radians."""
        cos2 = 1 - self.sin_equator**2
        c = FLATTENING / 16 * cos2 * (4 + FLATTENING * (4 - 3 * cos2))
        inner = self.cos_2m + c * self.cos_sigma * (2 * self.cos_2m**2 - 1)
        return (1 - c) * FLATTENING * self.sin_equator * (self.sigma + c * self.sin_sigma * inner)

    def wobble(self) -> NDArray[np.float64]:
        """Vincenty's delta sigma: the part of the arc that does not grow evenly with length, radians."""
        b = _series(self.sin_equator)[1]
        m = self.cos_2m
        third = b / 6 * m * (4 * self.sin_sigma**2 - 3) * (4 * m**2 - 3)
        return b * self.sin_sigma * (m + b / 4 * (self.cos_sigma * (2 * m**2 - 1) - third))

    def length_m(self) -> NDArray[np.float64]:
        return POLAR_RADIUS_M * _series(self.sin_equator)[0] * (self.sigma - self.wobble())


def _arc(sin_equator, sigma, twice_middle) -> _Arc:
    return _Arc(sin_equator, sigma, np.sin(sigma), np.cos(sigma), np.cos(twice_middle))


def _series(sin_equator):
    """Vincenty's A and B from Helmert's expansion parameter."""
    u2 = (1 - sin_equator**2) * ((EQUATORIAL_RADIUS_M / POLAR_RADIUS_M) ** 2 - 1)
    root = np.sqrt(1 + u2)
    k = (root - 1) / (root + 1)
    return (1 + k**2 / 4) / (1 - k), k * (1 - 3 / 8 * k**2)


def _arc_between(start, end, spherical) -> tuple[_Arc, NDArray[np.float64]]:
    """The arc joining two reduced latitudes across a longitude difference on the sphere, and its first azimuth."""
    (sin1, cos1), (sin2, cos2) = start, end
    east, north = cos2 * np.sin(spherical), cos1 * sin2 - sin1 * cos2 * np.cos(spherical)
    sin_sigma = np.hypot(east, north)
    cos_sigma = sin1 * sin2 + cos1 * cos2 * np.cos(spherical)
    with np.errstate(invalid="ignore", divide="ignore"):
        sin_equator = np.where(sin_sigma > 0, np.clip(cos1 * east / sin_sigma, -1, 1), 0.0)
        off_equator = 1 - sin_equator**2
        cos_2m = np.where(off_equator > 1e-15, np.clip(cos_sigma - 2 * sin1 * sin2 / off_equator, -1, 1), 0.0)
    sigma = np.arctan2(sin_sigma, cos_sigma)
    return _Arc(sin_equator, sigma, sin_sigma, cos_sigma, cos_2m), np.arctan2(east, north)


def _nearly_antipodal(sin1, cos1, sin2, cos2, apart):
    """`inverse` where Vincenty's iteration does not settle: bisect for the first azimuth.

    Karney's canonical form (start south of the equator, no nearer to it than the end; end to the east) makes the
    longitude reached grow with the first azimuth, so there is one root.
    """
    swapped = np.abs(sin1) < np.abs(sin2)
    cos_a, cos_b = np.where(swapped, (cos2, cos1), (cos1, cos2))
    sin_a, sin_b = np.where(swapped, (sin2, sin1), (sin1, sin2))
    mirror = np.where(sin_a > 0, -1.0, 1.0)
    # On the equator itself, leave a trace of south: otherwise no azimuth but due east reaches any longitude.
    sin_a, sin_b = np.minimum(mirror * sin_a, -1e-200), mirror * sin_b

    low, high = np.zeros_like(apart), np.full_like(apart, np.pi)
    for _ in range(55):
        middle = (low + high) / 2
        short = _reach(sin_a, cos_a, sin_b, cos_b, middle)[0] < np.abs(apart)
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    _, arc, azimuth_b = _reach(sin_a, cos_a, sin_b, cos_b, high)

    azimuth = np.where(swapped, azimuth_b, high)
    east = np.where(apart < 0, -1.0, 1.0) * np.sin(azimuth)
    north = np.where(swapped, -mirror, mirror) * np.cos(azimuth)
    return arc.length_m(), np.arctan2(east, north)


def _reach(sin_a, cos_a, sin_b, cos_b, azimuth):
    """How much longitude the geodesic leaving a at an azimuth covers before it reaches the latitude of b, going up."""
    sin_equator = np.sin(azimuth) * cos_a
    to_north_a = np.cos(azimuth) * cos_a
    to_north_b = np.sqrt(np.maximum(to_north_a**2 + (cos_b - cos_a) * (cos_b + cos_a), 0.0))
    sigma_a, sigma_b = np.arctan2(sin_a, to_north_a), np.arctan2(sin_b, to_north_b)
    spherical = np.arctan2(sin_equator * sin_b, to_north_b) - np.arctan2(sin_equator * sin_a, to_north_a)
    arc = _arc(sin_equator, sigma_b - sigma_a, sigma_a + sigma_b)
    return spherical - arc.longitude_excess(), arc, np.arctan2(sin_equator, to_north_b)


def _reduced_latitude(lat):
    """Sine and cosine of the latitude on the auxiliary sphere."""
    sine, cosine = (1 - FLATTENING) * np.sin(np.radians(lat)), np.cos(np.radians(lat))
    size = np.hypot(sine, cosine)
    return sine / size, cosine / size


def wrapped(lon):
    return (lon + 180) % 360 - 180
