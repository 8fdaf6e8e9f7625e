"""Which mapped cells belong to which reference areas, and how much of those on a border lies inside.

Middles of cells are told by the rule by which audits draw them (labels.geo); only the few cells that an outline
crosses go to PostGIS, which cuts them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from labels import geo
from labels.models import Project, ReferenceArea, ReferenceLayer
from labels.models.areas import AreaKind
from predictions import storage

KINDS = (AreaKind.ADMIN, AreaKind.PROTECTED, AreaKind.COMMERCIAL)
_TOUCHING = 1e-7  # in cells: an outline so near an edge may touch the cell beyond

# A part of an area is a small polygon: PostGIS then cuts each cell with a few corners. A piece of a border is the same
# of its outline.
CELLS = """
CREATE TEMP TABLE border_cell ON COMMIT DROP AS
    SELECT at, ST_SetSRID(ST_MakePoint((2 * x + 1) / 200.0, (2 * y + 1) / 200.0), 4326) AS centre
    FROM unnest(%s::integer[], %s::integer[], %s::integer[]) AS cell (at, x, y);
"""
INDEX = "CREATE INDEX ON border_cell USING gist (centre); ANALYZE border_cell"
PARTS = """
CREATE TEMP TABLE mapped_part ON COMMIT DROP AS
    SELECT area.id AS area, ST_Subdivide(area.geometry, 64) AS part
    FROM labels_referencearea area WHERE area.layer_id = %(layer)s;
CREATE INDEX ON mapped_part USING gist (part);
ANALYZE mapped_part
"""
# Only cells on a border can lie partly outside; of those, the share that any area of the layer holds, to a millionth:
# parts do not add up to the last digit. Degrees do: the ground under one cell is as good as even.
INSIDE = """
WITH edge AS (
    SELECT ST_Subdivide(ST_Boundary(area.geometry), 64) AS piece
    FROM labels_referencearea area WHERE area.layer_id = %(layer)s
), on_border AS (
    SELECT DISTINCT cell.at, box.box
    FROM edge
    JOIN border_cell cell ON cell.centre && ST_Expand(edge.piece, 0.005)
    CROSS JOIN LATERAL (SELECT ST_Expand(cell.centre, 0.005) AS box) AS box
    WHERE ST_Intersects(box.box, edge.piece)
)
SELECT on_border.at,
       least(1, round(sum(ST_Area(ST_Intersection(part.part, on_border.box)) / 0.0001)::numeric, 6))::float
FROM on_border JOIN mapped_part part ON part.part && on_border.box
GROUP BY on_border.at
"""


@dataclass(frozen=True)
class LayerCells:
    """What a layer's areas hold of n mapped cells."""

    layer: ReferenceLayer
    # Area -> rows of the cells whose centre it holds, ascending; areas may overlap. Areas without cells are missing.
    held: dict[int, NDArray[np.int64]]
    # (n,) share of each cell inside any of the layer's areas; 1 for cells that no border crosses.
    inside: NDArray[np.float64]


def cells_by_layer(
    project: Project, cells: NDArray[np.int32], *, check: Callable[[], None] = lambda: None
) -> list[LayerCells]:
    """What each current layer of admin, protected and commercial areas holds of the cells, shape (n, 2), in a feature
    set's order.

    A cell belongs to the area of its centre; where areas meet on a centre, to the one east or north of it. `check` is
    called before each area.
    """
    layers = ReferenceLayer.objects.filter(project=project, retired_at__isnull=True, kind__in=KINDS)
    return [_of_layer(layer, cells, check) for layer in layers.order_by("kind", "level", "pk")]


def _of_layer(layer: ReferenceLayer, cells: NDArray[np.int32], check: Callable[[], None]) -> LayerCells:
    held, on_border = {}, np.zeros(len(cells), dtype=bool)
    areas = ReferenceArea.objects.filter(layer=layer).only("geometry").order_by("pk")
    for area in areas.iterator(chunk_size=50):
        check()
        rings = [np.array(ring) for polygon in area.geometry.coords for ring in polygon]
        rows = _rows(cells, storage.cells_of(*geo.cell_centres_in_areas([rings]).T))
        if len(rows):
            held[area.pk] = np.sort(rows)
        for ring in rings:
            on_border[_rows(cells, crossed(ring))] = True
    return LayerCells(layer, held, _inside(layer, cells, np.flatnonzero(on_border)))


def _rows(cells: NDArray[np.int32], wanted: NDArray[np.int32]) -> NDArray[np.int64]:
    at = storage.rows_of(cells, wanted)
    return at[at >= 0]


def crossed(outline: NDArray[np.float64]) -> NDArray[np.int32]:
    """The grid cells, (k, 2), that a line through these points (m, 2), lon and lat in degrees, crosses or touches."""
    points = np.asarray(outline, dtype=float) * geo.CELLS_PER_DEGREE
    start, end = points[:-1], points[1:]
    segments, along = [np.arange(len(start))] * 2, [np.zeros(len(start)), np.ones(len(start))]
    for axis in (0, 1):
        low, high = np.sort([start[:, axis], end[:, axis]], axis=0)
        first, last = np.ceil(low).astype(np.int64), np.floor(high).astype(np.int64)
        n = np.where(end[:, axis] == start[:, axis], 0, np.maximum(last - first + 1, 0))
        segment = np.repeat(np.arange(len(start)), n)
        edge = first[segment] + np.arange(len(segment)) - np.repeat(np.cumsum(n) - n, n)
        segments.append(segment)
        along.append((edge - start[segment, axis]) / (end[segment, axis] - start[segment, axis]))
    segment, part = np.concatenate(segments), np.concatenate(along)
    order = np.lexsort([part, segment])
    segment, part = segment[order], part[order]
    # Between two edges of the grid a line lies in one cell: that of its middle. Corners and edges touch more.
    middle = np.where(segment[1:] == segment[:-1], (part[1:] + part[:-1]) / 2, part[:-1])
    at, parts = np.append(segment[:-1], segment), np.append(middle, part)
    places = start[at] + parts[:, None] * (end - start)[at]
    reach = np.array([(east, north) for east in (-_TOUCHING, _TOUCHING) for north in (-_TOUCHING, _TOUCHING)])
    return np.unique(np.floor(places[:, None] + reach).astype(np.int32).reshape(-1, 2), axis=0)


@transaction.atomic
def _inside(layer: ReferenceLayer, cells: NDArray[np.int32], on_border: NDArray[np.int64]) -> NDArray[np.float64]:
    inside = np.ones(len(cells))
    if not len(on_border):
        return inside
    with connection.cursor() as cursor:
        cursor.execute(CELLS, [on_border.tolist(), *cells[on_border].T.tolist()])
        cursor.execute(INDEX)
        cursor.execute(PARTS, {"layer": layer.pk})
        cursor.execute(INSIDE, {"layer": layer.pk})
        if border := cursor.fetchall():
            rows, shares = zip(*border, strict=True)
            inside[list(rows)] = shares
        cursor.execute("DROP TABLE mapped_part; DROP TABLE border_cell")
    return inside
