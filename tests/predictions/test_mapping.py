"""The map of a run as other programs read it, and which cells belong to which areas."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from django.contrib.gis.geos import LineString, MultiPolygon, Point, Polygon
from rasterio.windows import Window

from labels.errors import BadInput
from predictions import area_cells, mapping, rasters, storage, totals_table
from predictions.drawn import Sample
from predictions.mapping import Scores
from tests.factories import make_area, square
from tests.predictions.maps import NORTH, WEST, grid_cells, make_run, rising, scores_of

pytestmark = pytest.mark.django_db


def read(run):
    with rasterio.open(run.folder / mapping.MAP) as dataset:
        return dataset.read(), dataset.profile, dataset


def test_it_lies_on_the_grid(project):
    run = make_run(project)
    bands, profile, dataset = read(run)
    assert bands.shape == (4, 30, 40)
    assert profile["crs"].to_epsg() == 4326 and profile["dtype"] == "float32" and np.isnan(profile["nodata"])
    assert dataset.bounds == pytest.approx((-10.81, 6.69, -10.41, 6.99), abs=1e-12)
    assert dataset.res == pytest.approx((0.01, 0.01), abs=1e-15)
    expected = rising(grid_cells()).reshape(30, 40)
    assert np.array_equal(bands[0], expected)


def test_each_cell_is_found_by_its_middle(project):
    run = make_run(project)
    with rasterio.open(run.folder / mapping.MAP) as dataset:
        (value,) = dataset.sample([(-10.805 + 0.05, 6.985 - 0.02)])  # five to the east, two to the south
    assert value[0] == pytest.approx(0.102)


def test_its_bands_say_what_they_are(project):
    with rasterio.open(make_run(project).folder / mapping.MAP) as dataset:
        described, tags = dataset.descriptions, dataset.tags(1)
    assert described == mapping.BANDS
    assert float(tags["STATISTICS_MINIMUM"]) == 0 and float(tags["STATISTICS_MAXIMUM"]) == pytest.approx(0.809)


def test_cells_of_the_frame_show_their_score_out_of_block(project):
    cells = grid_cells(3, 2)
    left_out = np.full((6, 2), np.nan, np.float32)
    left_out[1] = 0.125
    run = make_run(project, scores_of(cells, np.full(6, 0.75), out_of_block=left_out))
    bands, _, _ = read(run)
    assert bands[0].ravel().tolist() == [0.75, 0.125, 0.75, 0.75, 0.75, 0.75]
    assert bands[3].ravel().tolist() == [0, 1, 0, 0, 0, 0]


def test_cells_without_imagery_and_gaps_are_no_data(project):
    cells = grid_cells(3, 2)[[0, 1, 2, 3, 5]]  # one is not mapped
    run = make_run(project, scores_of(cells, [0.1, np.nan, 0.3, 0.4, 0.6]))
    bands, _, _ = read(run)
    assert np.isnan(bands[0]).tolist() == [[False, True, False], [False, True, False]]
    assert np.isnan(bands[3]).tolist() == [[False, True, False], [False, True, False]]


def test_equal_scores_are_equal_bytes(project):
    first, second = make_run(project), make_run(project)
    for name in (mapping.MAP, mapping.STYLE):
        hashes = {hashlib.sha256((run.folder / name).read_bytes()).hexdigest() for run in (first, second)}
        assert len(hashes) == 1
    assert not list(first.folder.glob(".*"))


def test_a_run_without_cells_is_told(project):
    run = make_run(project)
    storage.write_arrays(run.folder / mapping.SCORES, **scores_of(np.zeros((0, 2), np.int32), np.zeros(0)))
    with pytest.raises(BadInput, match="no grid cells"):
        mapping.write_map(run)


def test_scores_that_lack_an_array_are_damaged(project):
    run = make_run(project)
    storage.write_arrays(run.folder / mapping.SCORES, cells=grid_cells())
    with pytest.raises(storage.FileDamaged):
        mapping.write_map(run)


def test_cells_far_apart_are_refused():
    with pytest.raises(ValueError, match="too wide"):
        rasters.extent_of(np.array([[-18000, 8999], [17999, -9000]]))


def test_a_million_cells_take_little_memory(tmp_path):
    """Beside its own arrays: at most 64 MiB, whatever the map's size."""
    script = f"""
import numpy as np
from pathlib import Path
from predictions import rasters
from tests.bench._memory import peak_kib
columns, rows = np.meshgrid(np.arange(-1500, -500), np.arange(900, -100, -1))
cells = np.column_stack([columns.ravel(), rows.ravel()]).astype(np.int32)
values = np.linspace(0, 1, len(cells), dtype=np.float32)
bands = [rasters.Band(str(k), values) for k in range(4)]
before = peak_kib()
rasters.write_raster(Path({str(tmp_path / "map.tif")!r}), cells, bands)
print((peak_kib() - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert dataset.read(4, window=Window(999, 999, 1, 1))[0, 0] == 1


def test_the_style_marks_the_threshold():
    text = rasters.qgis_style(-0.2, 0.35, 0.9, ("low", "from here", "high"))
    assert text.startswith("<!DOCTYPE qgis") and text.count("<item ") == 4
    assert 'value="0.35" color="#a8186f"' in text and 'minimumValue="-0.2"' in text


# ---- areas ----


def cells_in(layer, area) -> int:
    return len(layer.held.get(area.pk, []))


def test_a_cell_belongs_to_the_area_of_its_middle(project):
    west = make_area(project, square(-10.81, 6.69, 0.3), name="West")
    # Begins in the middle of a column, a hair west of its cells' middles: they are its own.
    east = make_area(project, MultiPolygon(Polygon.from_bbox((-10.5151, 6.69, -10.41, 6.99)), srid=4326), name="East")
    far = make_area(project, square(3, 3, 1), name="Far")
    (layer,) = area_cells.cells_by_layer(project, grid_cells())
    assert cells_in(layer, west) == 30 * 30
    assert cells_in(layer, east) == 11 * 30
    assert cells_in(layer, far) == 0


def test_border_cells_carry_their_inside_share(project):
    """The square's west edge leaves 0.7 of a column inside, its east edge 0.6, and both their middles."""
    make_area(project, MultiPolygon(Polygon.from_bbox((-10.807, 6.69, -10.414, 6.99)), srid=4326))
    (layer,) = area_cells.cells_by_layer(project, grid_cells())
    inside = layer.inside.reshape(30, 40)
    assert inside[:, 0] == pytest.approx(0.7) and inside[:, -1] == pytest.approx(0.6)
    assert (inside[:, 1:-1] == 1).all()


def test_a_border_between_two_areas_loses_nothing(project):
    make_area(project, MultiPolygon(Polygon.from_bbox((-10.81, 6.69, -10.603, 6.99)), srid=4326), name="West")
    make_area(project, MultiPolygon(Polygon.from_bbox((-10.603, 6.69, -10.41, 6.99)), srid=4326), name="East")
    (layer,) = area_cells.cells_by_layer(project, grid_cells())
    assert layer.inside == pytest.approx(1)
    assert sum(len(rows) for rows in layer.held.values()) == 1200


def test_overlapping_areas_are_each_given_all_their_cells(project):
    one = make_area(project, square(-10.81, 6.69, 0.2), kind="protected", name="One")
    two = make_area(project, square(-10.71, 6.69, 0.2), kind="protected", name="Two")
    (layer,) = area_cells.cells_by_layer(project, grid_cells())
    held = layer.held
    assert set(held) == {one.pk, two.pk}
    assert [len(rows) for rows in held.values()] == [400, 400]


def test_an_outline_crosses_the_cells_that_a_geometry_touches():
    """A ragged outline against every cell of the grid around it, asked of GEOS one by one."""
    rng = np.random.default_rng(5)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 60))
    ring = np.column_stack([np.cos(angles), np.sin(angles)]) * rng.uniform(0.03, 0.09, (60, 1)) + [-10.7, 6.8]
    ring = np.vstack([ring, ring[:1]])
    line, cells = LineString(ring.tolist()), grid_cells()
    expected = {
        tuple(cell)
        for cell in cells.tolist()
        if Polygon.from_bbox((cell[0] / 100, cell[1] / 100, (cell[0] + 1) / 100, (cell[1] + 1) / 100)).intersects(line)
    }
    assert set(map(tuple, area_cells.crossed(ring).tolist())) == expected
    along = area_cells.crossed(np.array([(-10.81, 6.69), (-10.81, 6.72)]))  # on an edge: both sides, and the corners
    assert {tuple(cell) for cell in along.tolist()} == {(x, y) for x in (-1082, -1081) for y in range(668, 673)}


def test_cells_and_their_shares_are_those_of_every_cell_cut_one_by_one(project):
    rng = np.random.default_rng(9)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 80))
    ring = np.column_stack([np.cos(angles), np.sin(angles)]) * rng.uniform(0.08, 0.13, (80, 1)) + [-10.6, 6.84]
    shape = Polygon(np.vstack([ring, ring[:1]]).tolist(), srid=4326)
    area = make_area(project, MultiPolygon(shape, srid=4326))
    (layer,) = area_cells.cells_by_layer(project, grid_cells())
    held, shares = [], []
    for row, (x, y) in enumerate(grid_cells().tolist()):
        cell = Polygon.from_bbox((x / 100, y / 100, (x + 1) / 100, (y + 1) / 100))
        if shape.contains(Point((2 * x + 1) / 200, (2 * y + 1) / 200, srid=4326)):
            held.append(row)
        is_cut = cell.intersects(shape.boundary)
        shares.append(shape.intersection(cell).area / 1e-4 if is_cut else 1.0)
    assert layer.held[area.pk].tolist() == held
    assert layer.inside == pytest.approx(shares, abs=2e-6)


def test_permits_terrain_and_retired_layers_are_left_out(project):
    make_area(project, square(-10.81, 6.69, 0.2), kind="permit")
    make_area(project, square(-10.81, 6.69, 0.2), kind="terrain")
    retired = make_area(project, square(-10.81, 6.69, 0.2), kind="commercial").layer
    retired.retired_at = retired.loaded_at
    retired.save()
    assert area_cells.cells_by_layer(project, grid_cells()) == []


# ---- totals ----


def write_totals(run, share: float = 0.25, seed: int = 1, n_unsure: int = 0) -> int:
    """A simple random sample of the cells, judged; a mine is as likely as its score says."""
    rng = np.random.default_rng(seed)
    n = len(Scores.of(run))
    drawn = rng.choice(n, int(share * n), replace=False)
    searched, unsure = drawn[n_unsure:], drawn[:n_unsure]
    chances = np.clip(Scores.of(run).shown, 0, 1)
    y = (rng.random(n) < chances).astype(float)[searched]
    weights = np.full(len(drawn), 1 / share)
    rows = mapping.totals_of(run, Sample(searched, y, weights[n_unsure:], unsure, weights[:n_unsure]))
    mapping.store_totals(run, rows)
    return len(rows)


def test_each_area_and_the_whole_get_their_total(project):
    west = make_area(project, square(-10.81, 6.69, 0.3), name="West")
    east = make_area(project, MultiPolygon(Polygon.from_bbox((-10.51, 6.69, -10.41, 6.99)), srid=4326), name="East")
    park = make_area(project, square(-10.76, 6.74, 0.2), kind="protected", name="Park")
    run = make_run(project)
    assert write_totals(run) == 4
    found = {total.area_id: total for total in run.area_totals.all()}
    assert {area: total.n_cells for area, total in found.items()} == {
        None: pytest.approx(1200),
        west.pk: pytest.approx(900),
        east.pk: pytest.approx(300),
        park.pk: 400,
    }
    # Mean scores rise from west to east, from 0 to 0.78.
    assert found[west.pk].high < found[east.pk].low
    assert found[None].low < 0.4 < found[None].high
    assert found[None].n_searched == found[west.pk].n_searched + found[east.pk].n_searched == 300


def test_cells_of_the_coast_count_with_their_share(project):
    """0.6 of the last column lies inside: 39.6 columns of 30 cells."""
    coast = make_area(project, MultiPolygon(Polygon.from_bbox((-10.81, 6.69, -10.414, 6.99)), srid=4326))
    run = make_run(project)
    write_totals(run)
    assert {total.area_id: round(total.n_cells, 3) for total in run.area_totals.all()} == {None: 1188, coast.pk: 1188}


def test_unsure_cells_stand_beside_the_total(project):
    make_area(project, square(-10.81, 6.69, 0.3))
    run = make_run(project)
    write_totals(run, n_unsure=60)
    for total in run.area_totals.all():
        assert total.share_if_clear < total.share < total.share_if_mined
        assert total.n_unsure > 0
    whole, areas = totals_table.table(run)
    assert whole.rows[0].total.n_unsure == 60 and "60 unsure are clear" in whole.rows[0].unsure
    assert areas.rows[0].unsure
    run.figures["totals"] = {"n_unsure": 60, "n_read_twice": 12, "reader_variance": None}
    assert "not in these intervals: 12" in totals_table.stands_on(run)[0]
    run.figures["totals"] |= {"n_read_twice": 200, "reader_variance": 0.0}
    run.figures["audits_not_weighed"] = ["north"]
    read, unsure, audits = totals_table.stands_on(run)
    assert "from 200 cells read twice" in read and "as if they were like the others" in unsure and "north" in audits


def test_totals_written_again_replace_those_there_were(project):
    make_area(project, square(-10.81, 6.69, 0.3))
    run = make_run(project)
    write_totals(run)
    assert write_totals(run, seed=2) == run.area_totals.count() == 2


def test_an_area_without_a_sample_says_why_it_has_no_total(project):
    make_area(project, square(-10.81, 6.69, 0.02), name="Corner")
    run = make_run(project)
    none = np.zeros(0, int)
    mapping.store_totals(run, mapping.totals_of(run, Sample(none, np.zeros(0), np.zeros(0), none, np.zeros(0))))
    assert {(total.share, bool(total.reason)) for total in run.area_totals.all()} == {(None, True)}


def test_the_table_puts_most_mining_first(project):
    for name, west in (("Little", -10.81), ("Much", -10.51)):
        make_area(project, MultiPolygon(Polygon.from_bbox((west, 6.69, west + 0.1, 6.99)), srid=4326), name=name)
    run = make_run(project)
    assert totals_table.table(run) == []
    write_totals(run)
    whole, areas = totals_table.table(run)
    assert [row.name for row in areas.rows] == ["Much", "Little"]
    much = areas.rows[0]
    assert much.n_with_mines["share"] == pytest.approx(much.total.share * 300)
    assert 0 <= areas.rows[1].low_x <= areas.rows[1].x < much.x <= much.high_x <= 100
    assert len(whole.rows) == 1


def test_scores_are_read_by_head(project):
    scores = Scores.of(make_run(project))
    assert scores.head("score", 1) == pytest.approx(scores.head("score") / 2)
    assert scores.cells[0].tolist() == [WEST, NORTH]
