"""Views of a map, the squares they are counted in, and the GeoJSON of both: pure shapes and numbers.

The globe is cut into squares of 360°/2^level, counted from the south-west corner of the plate carrée.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _

from labels.errors import BadInput

FINEST = 24
# A square is at least 32 pixels wide: a map's zoom is the level of its tiles of 256 pixels.
LEVELS_UNDER_ZOOM = 3
MAX_ZOOM = 20
MAX_BYTES = 150_000
# What surely fits in MAX_BYTES: squares carry a middle and a count, points an id and the beginning of a name.
MAX_SQUARES = 1_400
MAX_POINTS = 1_000
MAX_FEATURES = 2_000
NAME_LENGTH = 24
POINT_DECIMALS = 5


@dataclass(frozen=True)
class View:
    """What a map shows: degrees, and the zoom of the map."""

    west: float
    south: float
    east: float
    north: float
    zoom: int

    @property
    def level(self) -> int:
        """The level of its squares: 32 pixels wide, or wider where the view would hold too many."""
        return self.level_of(MAX_SQUARES)

    def level_of(self, most: int) -> int:
        """The same for at most so many squares."""
        level = min(self.zoom + LEVELS_UNDER_ZOOM, FINEST)
        while level and self.squares(level).n > most:
            level -= 1
        return level

    def squares(self, level: int) -> "Squares":
        """The squares of a level that the view touches."""
        per_degree = 2**level / 360
        (west, east), (south, north) = (
            (math.floor((low + zero) * per_degree), math.floor((high + zero) * per_degree))
            for low, high, zero in ((self.west, self.east, 180), (self.south, self.north, 90))
        )
        return Squares(level, west, south, east, north)


@dataclass(frozen=True)
class Squares:
    """A block of squares of one level, both ends included."""

    level: int
    west: int
    south: int
    east: int
    north: int

    @property
    def n(self) -> int:
        return (self.east - self.west + 1) * (self.north - self.south + 1)

    @property
    def ends(self) -> tuple[float, float, float, float]:
        """West, south, east and north, in degrees."""
        side = 360 / 2**self.level
        ends = (self.west * side - 180, self.south * side - 90)
        return *ends, (self.east + 1) * side - 180, (self.north + 1) * side - 90

    def at(self, level: int) -> "Squares":
        """The same block in squares of a finer level."""
        finer = level - self.level
        ends = (
            self.west << finer,
            self.south << finer,
            ((self.east + 1) << finer) - 1,
            ((self.north + 1) << finer) - 1,
        )
        return Squares(level, *ends)


def view_of(asked: Mapping[str, str]) -> View:
    """The view an address asks for: `bbox=west,south,east,north` in degrees and `zoom`. BadInput in words."""
    try:
        west, south, east, north = (float(part) for part in asked.get("bbox", "").split(","))
    except ValueError as error:
        raise BadInput(_("bbox: give west, south, east and north in degrees, with commas between them.")) from error
    if not all(map(math.isfinite, (west, south, east, north))):
        raise BadInput(_("bbox: a number of degrees is finite."))
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise BadInput(
            _("bbox: west lies before east within -180 and 180, south below north within -90 and 90 degrees.")
        )
    zoom = asked.get("zoom", "")
    if not (zoom.isascii() and zoom.isdecimal() and len(zoom) <= 2 and int(zoom) <= MAX_ZOOM):
        raise BadInput(_("zoom: give a whole number from 0 to %(most)d.") % {"most": MAX_ZOOM})
    return View(west, south, east, north, int(zoom))


def squares_collection(counted: list[tuple[int, int, int]], level: int) -> dict:
    side = 360 / 2**level
    decimals = max(0, math.ceil(-math.log10(side))) + 2
    features = [
        feature([round((x + 0.5) * side - 180, decimals), round((y + 0.5) * side - 90, decimals)], {"n": n})
        for x, y, n in counted
    ]
    return collection(features, sum(n for _x, _y, n in counted), side)


def feature(where: list[float], properties: dict) -> dict:
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": where}, "properties": properties}


def collection(features: list[dict], n: int, square_deg: float) -> dict:
    return {"type": "FeatureCollection", "n": n, "square_deg": square_deg, "features": features}


def text_of(collection: dict) -> str:
    return json.dumps(collection, ensure_ascii=False, separators=(",", ":"))
