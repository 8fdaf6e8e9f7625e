"""What terrain cells lie in: the classes that the polygons of the project's terrain layers are named by."""

from collections import Counter

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from labels.models import Project, ReferenceLayer
from labels.models.areas import AreaKind
from predictions import storage

# A file may name thousands of classes (of soils, of ecoregions): beyond so many the rarest are told as one.
MOST_CLASSES = 20
OTHER = "other_terrain"

CENTRES = """
CREATE TEMP TABLE terrain_cell ON COMMIT DROP AS
SELECT number, ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS centre
FROM unnest(%s::float8[], %s::float8[]) WITH ORDINALITY AS cell (lon, lat, number);
CREATE INDEX ON terrain_cell USING gist (centre);
ANALYZE terrain_cell
"""
# Polygon by polygon, so that PostGIS prepares each once and not once per cell: a few seconds for millions of corners.
HELD = """
SELECT DISTINCT ON (held.number) held.number, area.name
FROM labels_referencearea area
JOIN labels_referencelayer layer ON layer.id = area.layer_id
CROSS JOIN LATERAL (
    SELECT number FROM terrain_cell WHERE ST_Intersects(area.geometry, centre) OFFSET 0
) AS held
WHERE layer.id = ANY(%s)
ORDER BY held.number, layer.loaded_at DESC, area.area_km2, area.id
"""


def terrain_of_cells(project: Project, cells: NDArray[np.int32]) -> tuple[NDArray[np.int32], list[str]]:
    """Which class of terrain holds each cell's centre, (n,) places in the classes, -1 for none; and the classes.

    Of polygons that overlap, that of the layer loaded last counts, within a layer the smallest. Of more than
    MOST_CLASSES classes the rarest among these cells are one, OTHER, the last.
    """
    layers = ReferenceLayer.objects.filter(project=project, kind=AreaKind.TERRAIN, retired_at__isnull=True)
    asked = list(layers.values_list("pk", flat=True)) if len(cells) else []
    names = _names(asked, storage.centres_of(cells)) if asked else {}
    classes = _classes(names.values())
    found = np.full(len(cells), -1, np.int32)
    place = {name: number for number, name in enumerate(classes)}
    for number, name in names.items():
        found[number - 1] = place.get(name, len(classes) - 1)
    return found, classes


@transaction.atomic
def _names(layers: list[int], centres: NDArray[np.float64]) -> dict[int, str]:
    """By the number of the centre, from 1: the name of the polygon that counts there."""
    with connection.cursor() as cursor:
        cursor.execute(CENTRES, [axis.tolist() for axis in centres.T])
        cursor.execute(HELD, [layers])
        names = dict(cursor.fetchall())
        cursor.execute("DROP TABLE terrain_cell")
    return names


def _classes(names) -> list[str]:
    """In the order of their names; the rarest of too many as OTHER."""
    counted = Counter(names)
    if len(counted) <= MOST_CLASSES:
        return sorted(counted)
    common = sorted(counted, key=lambda name: (-counted[name], name))[: MOST_CLASSES - 1]
    return [*sorted(common), OTHER]
