"""Which mapped cells belong to which reference areas: asked of PostGIS for all of them at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from labels.models import Project, ReferenceLayer
from labels.models.areas import AreaKind

KINDS = (AreaKind.ADMIN, AreaKind.PROTECTED, AreaKind.COMMERCIAL)
COPIED = 100_000  # cells in one piece of text

# A part of an area is a small polygon: PostGIS then finds the few cells around each by index, and tests them against a
# few corners. A piece of a border is the same of its outline.
CELLS = """
CREATE TEMP TABLE mapped_cell ON COMMIT DROP AS
    SELECT at, ST_SetSRID(ST_MakePoint((2 * x + 1) / 200.0, (2 * y + 1) / 200.0), 4326) AS centre FROM mapped_grid;
DROP TABLE mapped_grid;
CREATE INDEX ON mapped_cell USING gist (centre);
ANALYZE mapped_cell
"""
PARTS = """
CREATE TEMP TABLE mapped_part ON COMMIT DROP AS
    SELECT area.id AS area, ST_Subdivide(area.geometry, 64) AS part
    FROM labels_referencearea area WHERE area.layer_id = %(layer)s;
CREATE INDEX ON mapped_part USING gist (part);
ANALYZE mapped_part
"""
# A centre on the edge between two parts of an area is found twice.
HELD = """
SELECT part.area, array_agg(DISTINCT cell.at ORDER BY cell.at)
FROM mapped_part part JOIN mapped_cell cell ON ST_Intersects(part.part, cell.centre)
GROUP BY part.area ORDER BY part.area
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
    JOIN mapped_cell cell ON cell.centre && ST_Expand(edge.piece, 0.005)
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

    def apart(self, n_cells: int) -> Iterator[NDArray[np.int64]]:
        """Areas of the cells, (n,) ids or -1, in as many rounds as it takes until no two areas share a cell."""
        waiting = dict(self.held)
        while waiting:
            of = np.full(n_cells, -1, dtype=np.int64)
            for area, rows in list(waiting.items()):
                if (of[rows] == -1).all():
                    of[rows] = area
                    del waiting[area]
            yield of


@transaction.atomic
def cells_by_layer(
    project: Project, cells: NDArray[np.int32], *, check: Callable[[], None] = lambda: None
) -> list[LayerCells]:
    """What each current layer of admin, protected and commercial areas holds of the cells, shape (n, 2).

    A cell belongs to the area of its centre. `check` is called before each layer.
    """
    layers = ReferenceLayer.objects.filter(project=project, retired_at__isnull=True, kind__in=KINDS)
    found = []
    with connection.cursor() as cursor:
        _fill(cursor, cells)
        for layer in layers.order_by("kind", "level", "pk"):
            check()
            found.append(_of_layer(cursor, layer, len(cells)))
        cursor.execute("DROP TABLE mapped_cell")
    return found


def _fill(cursor, cells: NDArray[np.int32]) -> None:
    cursor.execute("CREATE TEMP TABLE mapped_grid (at integer, x integer, y integer) ON COMMIT DROP")
    with cursor.copy("COPY mapped_grid FROM STDIN") as copy:
        for first in range(0, len(cells), COPIED):
            rows = cells[first : first + COPIED].tolist()
            copy.write("".join(f"{at}\t{x}\t{y}\n" for at, (x, y) in enumerate(rows, start=first)))
    cursor.execute(CELLS)


def _of_layer(cursor, layer: ReferenceLayer, n_cells: int) -> LayerCells:
    cursor.execute(PARTS, {"layer": layer.pk})
    cursor.execute(HELD)
    held = {area: np.array(rows, dtype=np.int64) for area, rows in cursor.fetchall()}
    inside = np.ones(n_cells)
    cursor.execute(INSIDE, {"layer": layer.pk})
    if border := cursor.fetchall():
        rows, shares = zip(*border, strict=True)
        inside[list(rows)] = shares
    cursor.execute("DROP TABLE mapped_part")
    return LayerCells(layer, held, inside)
