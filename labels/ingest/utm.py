"""UTM metres to degrees, and zones as registers write them. WGS 84."""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

EASTINGS = (100_000, 1_000_000)
# From the false northing at the pole's side to 1,000 km over the equator: some registers keep one zone across it.
NORTHINGS = {True: (-1_000_000, 9_400_000), False: (1_100_000, 11_000_000)}
BANDS = "CDEFGHJKLMNPQRSTUVWX"

_SCALE, _FALSE_EASTING, _FALSE_NORTHING = 0.9996, 500_000, 10_000_000
_F = 1 / 298.257223563
_N = _F / (2 - _F)
_RADIUS = 6_378_137 / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
_BETA = (
    _N / 2 - 2 / 3 * _N**2 + 37 / 96 * _N**3 - _N**4 / 360,
    _N**2 / 48 + _N**3 / 15 - 437 / 1440 * _N**4,
    17 / 480 * _N**3 - 37 / 840 * _N**4,
    4397 / 161_280 * _N**4,
)
_DELTA = (
    2 * _N - 2 / 3 * _N**2 - 2 * _N**3 + 116 / 45 * _N**4,
    7 / 3 * _N**2 - 8 / 5 * _N**3 - 227 / 45 * _N**4,
    56 / 15 * _N**3 - 136 / 35 * _N**4,
    4279 / 630 * _N**4,
)


@dataclass(frozen=True)
class Zone:
    number: int
    is_north: bool

    def __str__(self) -> str:
        return f"{self.number}{'N' if self.is_north else 'S'}"


ZONES = tuple(str(Zone(number, is_north)) for is_north in (True, False) for number in range(1, 61))

_zone = re.compile(
    r"(?:wgs[ _-]?84\s*[/,-]?\s*)?(?:utm\s*)?(?:(?:zone|zona|fuseau|huso|fuso)\s*)?(?P<number>\d{1,2})\s*"
    r"(?P<letter>north|nord|norte|south|sud|sul|sur|[c-hj-np-x])",
    re.IGNORECASE | re.ASCII,
)
_epsg = re.compile(r"(?:epsg:)?32([67])(\d\d)", re.IGNORECASE | re.ASCII)


@lru_cache(maxsize=1000)
def zone_of(text: str) -> Zone | None:
    """`35S`, `UTM zone 35 Sud`, `36M` (a latitude band), `EPSG:32735`; None where the text is no whole zone.

    A lone N or S is the hemisphere, as registers mean it, although S is also a band of the north.
    """
    text = text.strip()
    if found := _epsg.fullmatch(text):
        number, is_north = int(found[2]), found[1] == "6"
    elif found := _zone.fullmatch(text):
        letter = found["letter"].upper()
        number = int(found["number"])
        is_north = letter[0] == "N" if letter[0] in "NS" and (len(letter) > 1 or letter in "NS") else letter >= "N"
    else:
        return None
    return Zone(number, is_north) if 1 <= number <= 60 else None


def to_degrees(easting: float, northing: float, zone: Zone) -> tuple[float, float]:
    """Longitude and latitude of a UTM position.

    Notes
    -----
    Krüger's series to the fourth order as in Karney (2011), doi:10.1007/s00190-011-0445-3: within a millimetre for the
    eastings and northings above.
    """
    xi = (northing - (0 if zone.is_north else _FALSE_NORTHING)) / (_SCALE * _RADIUS)
    eta = (easting - _FALSE_EASTING) / (_SCALE * _RADIUS)
    xi_sphere = xi - sum(b * math.sin(2 * j * xi) * math.cosh(2 * j * eta) for j, b in enumerate(_BETA, 1))
    eta_sphere = eta - sum(b * math.cos(2 * j * xi) * math.sinh(2 * j * eta) for j, b in enumerate(_BETA, 1))
    chi = math.asin(math.sin(xi_sphere) / math.cosh(eta_sphere))
    latitude = chi + sum(d * math.sin(2 * j * chi) for j, d in enumerate(_DELTA, 1))
    longitude = math.atan2(math.sinh(eta_sphere), math.cos(xi_sphere))
    return 6 * zone.number - 183 + math.degrees(longitude), math.degrees(latitude)
