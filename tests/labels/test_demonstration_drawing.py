"""The demonstration country: drawn the same twice, the same in any window, wrong at the asked rates."""

import io
import itertools
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from django.contrib.gis.geos import Point, Polygon
from PIL import Image

from labels.demonstration.answers import cell_rows, dug_cells, production_rows
from labels.demonstration.drawing import Painter, render, resolution_m, write_scene, zoom_for
from labels.demonstration.landforms import CLASSES, landforms
from labels.demonstration.registers import RATES, csv_bytes, draw_register, drawn_rates, register_rows, truth_rows
from labels.demonstration.scenes import REGISTRATION_OFFSET_M, Scene, SceneWriter, plan_scenes
from labels.demonstration.terrain import Country, feature_collection, to_lonlat

BEFORE, AFTER = date(2019, 2, 9), date(2024, 1, 14)
HAMLET = {"bounds": (0.30, 1.10, 0.36, 1.18), "n_mines": 6, "n_industrial": 1, "n_towns": 2}
SMALL = (0.30, 1.10, 0.44, 1.25)  # not square, west unlike south


@pytest.fixture(scope="module")
def country():
    return Country(seed=11, bounds=SMALL, n_mines=60, n_industrial=1, n_towns=4)


@pytest.fixture(scope="module")
def whole():
    """The country of the demonstration."""
    return Country(seed=7)


@pytest.fixture(scope="module")
def painter(country):
    return Painter(country, AFTER)


def around(thing, half_m):
    return thing.x - half_m, thing.y - half_m, thing.x + half_m, thing.y + half_m


def a_new_mine(country):
    """A mine that opened between the two dates and is still dug."""
    new = [m for m in country.mines if m.activity(BEFORE)[0] == 0 and m.is_active(AFTER) and m.setting != "fringe"]
    return max(new, key=lambda m: m.length_m)


def test_it_is_the_same_country_for_the_same_seed(country):
    again = Country(seed=11, bounds=SMALL, n_mines=60, n_industrial=1, n_towns=4)
    assert again.mines == country.mines
    assert [p.as_feature() for p in again.provinces] == [p.as_feature() for p in country.provinces]
    assert Country(seed=12, bounds=SMALL, n_mines=60, n_industrial=1, n_towns=4).mines != country.mines


@pytest.mark.parametrize("zoom", [17, 16, 14])
def test_a_pixel_does_not_depend_on_the_window(country, painter, zoom):
    mine, res = a_new_mine(country), resolution_m(zoom)
    west, south = mine.x - 150 * res, mine.y - 110 * res
    wide, _ = render(country, (west, south, west + 300 * res, south + 220 * res), res, AFTER, painter=painter)
    shift_x, shift_y = 37, 53
    part_bounds = (west + shift_x * res, south, west + (shift_x + 140) * res, south + (220 - shift_y) * res)
    part, _ = render(country, part_bounds, res, AFTER, painter=Painter(country, AFTER))
    np.testing.assert_array_equal(part, wide[:, shift_y:, shift_x : shift_x + 140])


def test_scenes_written_twice_are_equal_bytes(country, tmp_path):
    bounds = around(a_new_mine(country), 400)
    for name in ("a.tif", "b.tif"):
        write_scene(tmp_path / name, country, bounds, 2.4, AFTER)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    with rasterio.open(tmp_path / "a.tif") as scene:
        assert scene.crs.to_epsg() == 3857
        assert scene.dataset_mask().min() == 255
        assert scene.res[0] == pytest.approx(resolution_m(16))


@pytest.fixture(scope="module")
def hamlet():
    """A country of a few minutes' walk."""
    return Country(seed=5, **HAMLET)


def two_scenes(country):
    """Two small scenes of one date, with clouds and discs, over different ground."""
    scenes = []
    for k, (thing, source, zoom) in enumerate(
        ((country.mines[0], "archive", 16), (country.settlements[0], "skyline", 17))
    ):
        disc = np.array([[thing.x, thing.y, 420.0]])
        scenes.append(Scene(f"scene-{k}", source, AFTER, zoom, around(thing, 450), disc, clouds=0.1 * k))
    return scenes


def test_scenes_are_equal_bytes_in_any_order_and_process(hamlet, tmp_path):
    first, second = two_scenes(hamlet)
    alone = SceneWriter(hamlet)
    alone.write(second, tmp_path / "alone.tif")
    together = SceneWriter(Country(seed=5, **HAMLET))
    together.write(first, tmp_path / "first.tif")
    together.write(second, tmp_path / "after.tif")
    wanted = (tmp_path / "alone.tif").read_bytes()
    assert (tmp_path / "after.tif").read_bytes() == wanted
    program = (
        "import sys; from pathlib import Path; from tests.labels.test_demonstration_drawing import *\n"
        "country = Country(seed=5, **HAMLET)\n"
        "SceneWriter(country).write(two_scenes(country)[1], Path(sys.argv[1]))"
    )
    for name in ("one.tif", "two.tif"):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], check=True, cwd=Path(__file__).parents[2])
        assert (tmp_path / name).read_bytes() == wanted


@pytest.mark.parametrize("seed", [3, 4])
def test_a_small_country_of_any_seed_is_drawn_within_seconds(seed, tmp_path):
    started = time.process_time()
    small = Country(seed=seed, bounds=(0.30, 1.10, 0.38, 1.18), n_mines=8)
    assert len(small.mines) == 8
    scene = Scene("small", "skyline", AFTER, 17, around(small.mines[0], 300))
    SceneWriter(small).write(scene, tmp_path / "small.tif")
    assert time.process_time() - started < 12  # 3 on an idle core
    with rasterio.open(tmp_path / "small.tif") as written:
        assert written.read().std() > 15


def test_a_mine_is_absent_before_it_opened(country, painter):
    mine = a_new_mine(country)
    bounds = around(mine, 0.2 * mine.width_m)
    bare, _ = render(country, bounds, 1.2, AFTER, painter=painter)
    green, _ = render(country, bounds, 1.2, BEFORE)
    # dug ground is brighter than vegetation
    assert bare.mean() > green.mean() + 25


def test_a_mine_has_no_extent_before_it_opened_and_grows_over_afterwards(country):
    mine = next(m for m in country.mines if m.abandoned is not None)
    assert mine.activity(date(2000, 1, 1)) == (0.0, 0.0)
    far = date(2040, 1, 1)
    assert mine.activity(far)[1] == 1.0
    assert not mine.is_visible(far)


@pytest.mark.parametrize(("resolution", "size"), [(1.2, 1024), (2.4, 1024), (9.6, 512)])
def test_tiles_are_textured_like_land(country, painter, resolution, size):
    half = size * resolution_m(zoom_for(resolution)) / 2
    rgb, _ = render(country, around(country.settlements[0], half), resolution, AFTER, painter=painter)
    sizes = []
    for row in range(0, size, 256):
        for col in range(0, size, 256):
            tile = io.BytesIO()
            Image.fromarray(rgb[:, row : row + 256, col : col + 256].transpose(1, 2, 0)).save(tile, "JPEG", quality=75)
            sizes.append(len(tile.getvalue()))
    assert np.median(sizes) >= 8 * 1024


def test_resolutions_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="can be drawn"):
        zoom_for(0.3)


def test_the_whole_country_lies_in_the_open_sea_and_is_small_enough(whole):
    west, south, east, north = whole.bounds
    # the Gulf of Guinea's coast: Cape Three Points, Accra, Cotonou, the Niger delta, Principe, Sao Tome, Annobon
    coast = np.array(
        [(-2.1, 4.7), (-0.2, 5.5), (2.4, 6.3), (5.3, 4.9), (6.0, 4.2), (7.3, 1.5), (6.5, 0.0), (5.6, -1.4)]
    )
    nearest = np.clip(coast, [west, south], [east, north])
    assert np.hypot(*(coast - nearest).T).min() * 111 > 350
    assert 1000 <= len(whole.land_cells) <= 1500


def test_provinces_tile_the_country_without_overlap(country):
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(SMALL[0], SMALL[2], 4000), rng.uniform(SMALL[1], SMALL[3], 4000)

    def hits(areas):
        return sum(contains(area.rings, lon, lat).astype(int) for area in areas)

    outline = contains(country.outline.rings, lon, lat)
    for areas in (country.provinces, country.districts):
        np.testing.assert_array_equal(hits(areas), outline.astype(int))


def contains(rings, lon, lat):
    """Even-odd rule over all rings."""
    inside = np.zeros(len(lon), bool)
    for ring in rings:
        for (x0, y0), (x1, y1) in itertools.pairwise(ring):
            crosses = (y0 > lat) != (y1 > lat)
            if crosses.any():
                at = x0 + (lat - y0) / (y1 - y0 if y1 != y0 else 1.0) * (x1 - x0)
                inside ^= crosses & (lon < at)
    return inside


@pytest.mark.parametrize("name", ["cadastre", "survey"])
def test_error_rates_are_drawn_as_asked(whole, name):
    register = draw_register(whole, name)
    drawn, asked = drawn_rates(register), RATES[name]
    is_true = {fact.source_id: fact.mine is not None for fact in register.truth}
    n_true_visits = sum(is_true[visit.source_id] for visit in register.visits)
    n_thrown = {
        "not_on_site": n_true_visits,
        "never_there_on_site": len(register.visits) - n_true_visits,
        "several_visits": sum(not fact.is_duplicate_of for fact in register.truth),
    }
    for rate, value in drawn.items():
        expected = getattr(asked, rate)
        # Flags are drawn in exactly the share asked; what a visit or site throws for itself varies by chance.
        tolerance = 4 * np.sqrt(expected * (1 - expected) / n_thrown[rate]) if rate in n_thrown else 0.02
        assert value == pytest.approx(expected, abs=tolerance), rate
    gps = [f.displacement_m for f in register.truth if f.precision == "gps" and f.mine is not None and f.displacement_m]
    assert 40 < np.median(gps) < 100


def test_a_register_written_twice_is_equal_and_keeps_its_truth_apart(country):
    first, second = (draw_register(country, n_records=50) for _ in range(2))
    assert csv_bytes(register_rows(first)) == csv_bytes(register_rows(second))
    assert not {"mine", "true_lon", "expected_verdict", "kind"} & set(register_rows(first)[0])
    sites = {row["code_site"] for row in register_rows(first)}
    assert sites == {row["source_id"] for row in truth_rows(first)}
    assert len(sites) == 50


def test_a_true_point_is_where_the_mine_is(country):
    for fact in draw_register(country, n_records=50).truth:
        if fact.mine is not None:
            mine = country.mines[fact.mine]
            assert (fact.true_lon, fact.true_lat) == pytest.approx(
                tuple(map(float, to_lonlat(mine.x, mine.y))), abs=1e-6
            )


def test_scenes_cover_every_site_before_and_after(whole):
    registers = [draw_register(whole, name) for name in ("cadastre", "survey")]
    scenes = plan_scenes(whole, registers)
    assert len({s.ident for s in scenes}) == len(scenes)
    assert sum(s.missing_corner for s in scenes) == 1
    assert [s.offset_m for s in scenes if any(s.offset_m)] == [REGISTRATION_OFFSET_M]
    assert any(s.clouds for s in scenes)
    for source in ("regional", "archive", "skyline"):
        assert {s.on.year < 2020 for s in scenes if s.source == source} == {True, False}


def test_a_scene_has_data_only_where_it_was_ordered(country, tmp_path):
    mine = a_new_mine(country)
    disc = np.array([[mine.x, mine.y, 300.0]])
    asked = {
        "ident": "one",
        "source": "skyline",
        "on": AFTER,
        "zoom": 17,
        "bounds_m": around(mine, 420),
        "around_m": disc,
    }
    writer = SceneWriter(country)
    writer.write(Scene(**asked), tmp_path / "one.tif")
    writer.write(Scene(**asked, offset_m=(12.0, 0.0)), tmp_path / "off.tif")
    writer.write(Scene(**asked | {"around_m": None}, missing_corner=True), tmp_path / "corner.tif")
    with rasterio.open(tmp_path / "one.tif") as scene, rasterio.open(tmp_path / "off.tif") as off:
        mask, picture, shifted = scene.dataset_mask(), scene.read(), off.read()
    share = (mask > 0).mean()
    assert share == pytest.approx(np.pi * 300**2 / 840**2, rel=0.06)
    # what the offset scene shows ten pixels east, the true one shows here
    h, w = mask.shape
    here, there = picture[:, h // 2 - 80 : h // 2 + 80, w // 2 - 80 : w // 2 + 80], slice(w // 2 - 70, w // 2 + 90)
    assert np.abs(here.astype(int) - shifted[:, h // 2 - 80 : h // 2 + 80, there]).mean() < 8
    with rasterio.open(tmp_path / "corner.tif") as corner:
        mask = corner.dataset_mask()
    assert mask[-1, -1] == 0
    assert mask[0, 0] == mask[0, -1] == mask[-1, 0] == 255


def test_cells_say_where_the_mines_are(whole):
    rows = cell_rows(whole, AFTER)
    assert len(rows) == len(whole.land_cells)
    assert 0.08 < np.mean([row["label"] for row in rows]) < 0.30
    in_cells = {number for row in rows for number in row["mines"]}
    for mine in whole.mines:
        if not mine.is_visible(AFTER):
            assert mine.ident not in in_cells
    mine = whole.mines[0]
    lon, lat = (float(v) for v in to_lonlat(mine.x, mine.y))
    assert (int(np.floor(lon * 100)), int(np.floor(lat * 100))) in dug_cells(mine, date(2024, 1, 14))


def test_production_agrees_imperfectly(whole):
    rows = production_rows(whole)
    assert rows == production_rows(whole)
    for year in {row["period"] for row in rows}:
        gold = [row["share_pct"] for row in rows if row["period"] == year and row["mineral"] == "gold"]
        assert sum(gold) == pytest.approx(100, abs=1)


def test_terrain_covers_every_cell_once_and_names_what_the_fields_say(whole):
    areas = landforms(whole)
    assert {area.name for area in areas} == set(CLASSES) and len(areas) < 200
    shapes = [(area.name, Polygon(*(ring.tolist() for ring in area.rings)).prepared) for area in areas]
    found = []
    for column, row in whole.land_cells.tolist():
        centre = Point((column + 0.5) / 100, (row + 0.5) / 100)
        found.append([name for name, shape in shapes if shape.contains(centre)])
    assert {len(names) for names in found} == {1}
    shares = {name: np.mean([names == [name] for names in found]) for name in CLASSES}
    assert all(0.1 < share < 0.4 for share in shares.values()), shares
    river = max(whole.rivers, key=lambda river: river.half_width_m.mean())
    lon, lat = to_lonlat(*river.xy[:: len(river.xy) // 40].T)
    inside = whole.province_at(lon, lat) > 0
    on_plain = [
        any(name == "river plain" and shape.contains(Point(*at)) for name, shape in shapes)
        for at in zip(lon[inside].tolist(), lat[inside].tolist(), strict=True)
    ]
    assert inside.sum() > 10 and np.mean(on_plain) > 0.9


def test_terrain_is_the_same_for_the_same_seed(country):
    again = Country(seed=11, bounds=SMALL, n_mines=60, n_industrial=1, n_towns=4)
    assert feature_collection(landforms(again)) == feature_collection(landforms(country))
    assert landforms(Country(seed=11, **HAMLET))
