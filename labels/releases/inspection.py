"""How much of each grid cell the reviews together saw at a zoom that shows a 10 m pit, where imagery has data."""

import math
import struct
from collections import defaultdict
from collections.abc import Iterable

from django.contrib.gis.geos import GEOSGeometry, Polygon

from labels import geo, looking, rules

Rectangle = tuple[float, float, float, float]


class Inspection:
    """Collects views of images and answers the share of a cell that they covered.

    Only the cells asked about are followed, and a view is cut to each cell it touches, so that a thousand views of one
    cell are kept as the few different rectangles they make.
    """

    def __init__(self, cells: Iterable[str], footprints: dict[str, GEOSGeometry]):
        self._bounds = {cell: geo.grid_cell_bounds(cell) for cell in cells}
        self._at = {_index(west, south): cell for cell, (west, south, _, _) in self._bounds.items()}
        self._footprints = footprints  # of scenes, by their version (sha256)
        self._seen: dict[str, dict[str, set[Rectangle]]] = defaultdict(lambda: defaultdict(set))

    def add(self, views: list[dict], resolution_m: float | None, scenes: list[str]) -> None:
        """One image as one review looked at it."""
        known = [scene for scene in scenes if scene in self._footprints]
        for view in views if known else []:
            west, south, east, north = view["bounds"]
            on_screen_m = looking.view_resolution_m(view["zoom"], (south + north) / 2)
            if not rules.is_useful_view(on_screen_m, resolution_m):
                continue
            for cell in self._cells_under(west, south, east, north):
                part = _cut((west, south, east, north), self._bounds[cell])
                if part[0] < part[2] and part[1] < part[3]:  # a view that only touches the edge saw nothing
                    for scene in known:
                        self._seen[cell][scene].add(part)

    def share(self, cell: str) -> float | None:
        """0 to 1, four decimals; None where no view of the cell is on record."""
        if cell not in self._seen:
            return None
        extents = [
            _together(rectangles).intersection(self._footprints[scene])
            for scene, rectangles in sorted(self._seen[cell].items())
        ]
        return round(looking.share_of(Polygon.from_bbox(self._bounds[cell]), extents), 4)

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
