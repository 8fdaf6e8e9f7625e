"""How much of each grid cell reviews saw at a zoom that shows a 10 m pit, where imagery has data.

One review when it is recorded, all reviews together in a release: one and the same count.
"""

import math
import struct
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from django.contrib.gis.geos import GEOSGeometry, Polygon

from labels import geo, looking, rules
from labels.imagery.scenes import on_ground
from labels.models import ProviderDate, ReviewImage, Scene

Rectangle = tuple[float, float, float, float]
# Fields of ReviewImage that say what was on screen, in the order of `Look`.
LOOK_FIELDS = (
    "source_id",
    "key",
    "scene_sha256s",
    "offset_east_m",
    "offset_north_m",
    "resolution_m",
    "views",
    "n_tiles",
    "n_tiles_missing",
)


@dataclass(frozen=True, slots=True)
class Look:
    """One image as one review looked at it."""

    source_id: int
    key: str
    scene_sha256s: list[str]
    offset_east_m: float
    offset_north_m: float
    resolution_m: float | None
    views: list[dict]
    n_tiles: int
    n_tiles_missing: int

    @classmethod
    def at(cls, image: ReviewImage) -> "Look":
        return cls(*(getattr(image, name) for name in LOOK_FIELDS))

    @property
    def pictures(self) -> list[Hashable]:
        """What was shown: scenes by their version, else the provider's date."""
        return list(self.scene_sha256s) or [(self.source_id, self.key)]


class Footprints:
    """Where the pictures of looks show something, on the ground as their source's offset then was."""

    def __init__(self, scenes: dict[str, GEOSGeometry], dates: dict[tuple[int, str], GEOSGeometry | None]):
        self._known = {**scenes, **dates}
        self._on_ground: dict[tuple, GEOSGeometry | None] = {}

    @classmethod
    def of_sources(cls, **where) -> "Footprints":
        """All pictures of the sources that these clauses name."""
        clauses = {f"source__{name}": value for name, value in where.items()}
        scenes = Scene.objects.filter(**clauses).values_list("sha256", "footprint")
        dates = ProviderDate.objects.filter(**clauses).values_list("source_id", "key", "footprint")
        return cls(dict(scenes), {(source, key): footprint for source, key, footprint in dates})

    def under(self, look: Look) -> list[tuple[Hashable, GEOSGeometry | None]]:
        """The look's pictures that are known, each with a name and its ground: None where it has no known end."""
        return [self._placed(picture, look) for picture in look.pictures if picture in self._known]

    def _placed(self, picture: Hashable, look: Look) -> tuple[Hashable, GEOSGeometry | None]:
        name = (picture, look.offset_east_m, look.offset_north_m)
        if name not in self._on_ground:
            footprint = self._known[picture]
            self._on_ground[name] = footprint and on_ground(look, footprint)
        return name, self._on_ground[name]


class Inspection:
    """Collects looks and answers the share of a cell that they covered.

    Only the cells asked about are followed, and a view is cut to each cell it touches, so that a thousand views of one
    cell are kept as the few different rectangles they make.
    """

    def __init__(self, cells: Iterable[str], footprints: Footprints):
        self._bounds = {cell: geo.grid_cell_bounds(cell) for cell in cells}
        self._at = {_index(west, south): cell for cell, (west, south, _, _) in self._bounds.items()}
        self._footprints = footprints
        self._ground: dict[Hashable, GEOSGeometry | None] = {}
        self._seen: dict[str, dict[Hashable, set[Rectangle]]] = defaultdict(lambda: defaultdict(set))

    def add(self, look: Look) -> None:
        if not rules.was_shown(look.n_tiles, look.n_tiles_missing):
            return
        known = dict(self._footprints.under(look)) if self._at else {}
        self._ground |= known
        for view in look.views if known else []:
            west, south, east, north = view["bounds"]
            on_screen_m = looking.view_resolution_m(view["zoom"], (south + north) / 2)
            if not rules.is_useful_view(on_screen_m, look.resolution_m):
                continue
            for cell in self._cells_under(west, south, east, north):
                part = _cut((west, south, east, north), self._bounds[cell])
                if part[0] < part[2] and part[1] < part[3]:  # a view that only touches the edge saw nothing
                    for picture in known:
                        self._seen[cell][picture].add(part)

    def share(self, cell: str) -> float | None:
        """0 to 1, four decimals; None where no view of the cell is on record."""
        if cell not in self._seen:
            return None
        extents = [
            self._clipped(_together(rectangles), picture)
            for picture, rectangles in sorted(self._seen[cell].items(), key=lambda item: str(item[0]))
        ]
        return round(looking.share_of(Polygon.from_bbox(self._bounds[cell]), extents), 4)

    def _clipped(self, seen: GEOSGeometry, picture: Hashable) -> GEOSGeometry:
        footprint = self._ground[picture]
        return seen if footprint is None else seen.intersection(footprint)

    def _cells_under(self, west: float, south: float, east: float, north: float) -> list[str]:
        first, last = _index(west, south), _index(east, north)
        columns, rows = range(first[0], last[0] + 1), range(first[1], last[1] + 1)
        if len(columns) * len(rows) > len(self._at):
            return [cell for (x, y), cell in self._at.items() if x in columns and y in rows]
        return [self._at[x, y] for x in columns for y in rows if (x, y) in self._at]


def _index(lon: float, lat: float) -> tuple[int, int]:
    return math.floor(lon * geo.CELLS_PER_DEGREE + 1e-7), math.floor(lat * geo.CELLS_PER_DEGREE + 1e-7)


def _cut(view: Rectangle, cell: Rectangle) -> Rectangle:
    return max(view[0], cell[0]), max(view[1], cell[1]), min(view[2], cell[2]), min(view[3], cell[3])


def _together(rectangles: set[Rectangle]) -> GEOSGeometry:
    """Their union. Handed over as one binary: making polygons one by one took most of a release's time."""
    parts = [
        struct.pack("<BIII10d", 1, 3, 1, 5, west, south, east, south, east, north, west, north, west, south)
        for west, south, east, north in sorted(rectangles)
    ]
    wkb = struct.pack("<BII", 1, 6, len(parts)) + b"".join(parts)
    return GEOSGeometry(memoryview(wkb), srid=4326).unary_union
