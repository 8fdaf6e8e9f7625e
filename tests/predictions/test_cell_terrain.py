"""Which class of terrain a cell lies in: of several polygons one, by a stated rule."""

from datetime import timedelta

import numpy as np
import pytest
from django.contrib.gis.geos import MultiPolygon, Polygon
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labels.models import ReferenceArea, ReferenceLayer
from predictions import cell_terrain
from predictions.cell_terrain import OTHER, terrain_of_cells
from tests.factories import make_area, make_project, square

pytestmark = pytest.mark.django_db

# West of Greenwich, south of the equator; 10 columns of 6 cells.
CELLS = np.array([(column, row) for column in range(-1100, -1090) for row in range(-606, -600)], np.int32)


def layer(project, name: str = "Landforms", days_ago: int = 0, **fields) -> ReferenceLayer:
    loaded_at = timezone.now() - timedelta(days=days_ago)
    values = {"kind": "terrain", "name": name, "file_sha256": "0" * 64, "loaded_at": loaded_at}
    return ReferenceLayer.objects.create(project=project, **values | fields)


def polygon(of: ReferenceLayer, name: str, west: float, south: float, east: float, north: float, *holes) -> None:
    """Its sides in cells from the south west of CELLS; holes likewise."""
    (outer, *inner) = (
        Polygon.from_bbox((-11 + w / 100, -6.06 + s / 100, -11 + e / 100, -6.06 + n / 100))
        for w, s, e, n in ((west, south, east, north), *holes)
    )
    shape = Polygon(outer.exterior_ring.coords, *(ring.exterior_ring.coords for ring in inner))
    area_km2 = (east - west) * (north - south)
    ReferenceArea.objects.create(layer=of, name=name, geometry=MultiPolygon(shape, srid=4326), area_km2=area_km2)


def names(project) -> np.ndarray:
    """(10, 6): the class of each cell, column by column; "" for none."""
    found, classes = terrain_of_cells(project, CELLS)
    return np.array([*classes, ""])[found].reshape(10, 6)


def test_polygons_of_one_name_are_one_class_and_a_hole_is_none(project):
    landforms = layer(project)
    polygon(landforms, "hills", 0, 0, 3, 6, (1, 2, 2, 4))
    polygon(landforms, "hills", 7, 0, 9, 6)
    polygon(landforms, "river plain", 3, 0, 5.4, 6)
    found, classes = terrain_of_cells(project, CELLS)
    assert classes == ["hills", "river plain"] and found.dtype == np.int32
    found = names(project)
    assert (found[[0, 2, 7, 8]] == "hills").all() and (found[3:5] == "river plain").all()
    # The centre decides: of the sixth column 0.4 is in the plain.
    assert (found[[5, 6, 9]] == "").all()
    assert found[1].tolist() == ["hills", "hills", "", "", "hills", "hills"]


def test_of_overlapping_polygons_the_smallest_counts_and_before_it_the_layer_loaded_last(project):
    landforms = layer(project, days_ago=2)
    polygon(landforms, "plain", 0, 0, 10, 6)
    polygon(landforms, "hills", 0, 0, 4, 6)
    polygon(landforms, "terrace", 2, 0, 4, 6)
    assert names(project)[:, 0].tolist() == ["hills"] * 2 + ["terrace"] * 2 + ["plain"] * 6
    polygon(layer(project, "Land cover", days_ago=1), "forest", 3, 0, 9, 6)  # larger, but later
    assert names(project)[:, 0].tolist() == ["hills"] * 2 + ["terrace"] + ["forest"] * 6 + ["plain"]


def test_only_current_layers_of_terrain_in_this_project_are_asked(project):
    polygon(layer(project, retired_at=timezone.now()), "old", 0, 0, 10, 6)
    polygon(layer(make_project()), "elsewhere", 0, 0, 10, 6)
    make_area(project, square(-11, -6.06, 0.1), kind="protected", name="Park")
    found, classes = terrain_of_cells(project, CELLS)
    assert classes == [] and (found == -1).all()
    polygon(layer(project, "New"), "marsh", 20, 20, 30, 30)  # nowhere near
    assert terrain_of_cells(project, CELLS)[1] == []
    assert terrain_of_cells(project, CELLS[:0])[0].shape == (0,)


def test_of_too_many_classes_the_rarest_are_one(project, monkeypatch):
    monkeypatch.setattr(cell_terrain, "MOST_CLASSES", 3)
    soils = layer(project)
    for column, (name, side) in enumerate([("a", 1), ("b", 5), ("c", 2), ("d", 6)]):
        polygon(soils, name, column, 0, column + 1, side)
    found = names(project)
    assert sorted(set(found.ravel())) == ["", "b", "d", OTHER]
    assert (found[0, :1] == OTHER).all() and (found[2, :2] == OTHER).all() and (found == OTHER).sum() == 3
    assert terrain_of_cells(project, CELLS)[1] == ["b", "d", OTHER]


def test_the_number_of_questions_does_not_grow_with_the_polygons(project):
    landforms = layer(project)
    polygon(landforms, "hills", 0, 0, 1, 6)
    with CaptureQueriesContext(connection) as few:
        terrain_of_cells(project, CELLS)
    for column in range(1, 10):
        polygon(landforms, f"class {column}", column, 0, column + 1, 6)
    with CaptureQueriesContext(connection) as many:
        terrain_of_cells(project, CELLS)
    assert len(many) == len(few)
