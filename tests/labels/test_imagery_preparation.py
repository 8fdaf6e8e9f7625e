import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.warp import transform

from labels import geo
from labels.imagery import grid, opening, planning, sandbox
from labels.imagery.capture_date import capture_date
from labels.imagery.publishing import footprint_from
from tests import rasters

HOLE = rasters.with_hole()


@pytest.fixture
def prepared(tmp_path):
    """Prepare a file in the real child process; gives the answer and the open result."""
    opened = []

    def run(path: Path) -> tuple[dict, rasterio.DatasetReader]:
        folder = tmp_path / f"work{len(opened)}"
        folder.mkdir()
        answer = sandbox.prepare(path=path, roots=[path.parent], folder=folder, report=lambda *progress: None)
        opened.append(rasterio.open(folder / "prepared.tif"))
        return answer, opened[-1]

    yield run
    for dataset in opened:
        dataset.close()


def position(original: Path, column: float, row: float) -> tuple[float, float]:
    """(lon, lat) of a pixel position of the original."""
    with rasterio.open(original) as dataset:
        (lon,), (lat,) = transform(
            dataset.crs, CRS.from_epsg(4326), *([value] for value in dataset.transform @ (column, row))
        )
    return lon, lat


def mercator(lon: float, lat: float) -> tuple[float, float]:
    (x,), (y,) = transform(CRS.from_epsg(4326), CRS.from_epsg(3857), [lon], [lat])
    return x, y


def pixel_at(dataset, lon: float, lat: float) -> tuple[np.ndarray, bool]:
    """Colours of the prepared picture at a place, and whether it has data there."""
    x, y = mercator(lon, lat)
    row, column = dataset.index(x, y)
    window = ((row, row + 1), (column, column + 1))
    colours = [band for band in dataset.indexes if dataset.colorinterp[band - 1] != ColorInterp.alpha]
    return dataset.read(colours, window=window)[:, 0, 0].astype(int), bool(dataset.dataset_mask(window=window)[0, 0])


mercator_west, mercator_south = mercator(rasters.LON, rasters.LAT)
KINDS = {
    "4326, pixels not square": {"crs": "EPSG:4326", "pixel": (0.0007, 0.0004)},
    "UTM south": {"crs": "EPSG:32720", "pixel": (60.0, 45.0)},
    "3857, pixels not square": {"crs": "EPSG:3857", "pixel": (50.0, 81.0)},
    "south-up": {"crs": "EPSG:3857", "place": Affine(60, 0, mercator_west, 0, 45, mercator_south)},
    "tiled, with inner blocks": {
        "crs": "EPSG:32720",
        "pixel": (30.0, 30.0),
        "tiled": True,
        "blockxsize": 16,
        "blockysize": 16,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pixel_lies_where_the_original_has_it(kind, tmp_path, prepared):
    path = rasters.picture(tmp_path, **KINDS[kind])
    _, dataset = prepared(path)
    colours = rasters.colours()
    for column, row in [(8, 5), (50, 9), (12, 37), (55, 35)]:
        shown, has_data = pixel_at(dataset, *position(path, column + 0.5, row + 0.5))
        assert has_data
        assert np.abs(shown - colours[:, row, column]).max() <= 12, (column, row)  # JPEG of quality 75


def test_a_rotated_picture_lies_where_it_is(tmp_path, prepared):
    north_west = rasters.geotransform("EPSG:32720", (1, 1))
    turned = Affine.translation(north_west.c, north_west.f) @ Affine.rotation(-25) @ Affine.scale(40, -40)
    path = rasters.picture(tmp_path, crs="EPSG:32720", place=turned)
    answer, dataset = prepared(path)
    for column, row in [(8, 5), (50, 9), (12, 37)]:
        shown, has_data = pixel_at(dataset, *position(path, column + 0.5, row + 0.5))
        assert has_data and np.abs(shown - rasters.colours()[:, row, column]).max() <= 12
    outline = footprint_from(answer["footprint"])
    assert 0.4 < outline.area / outline.envelope.area < 0.75


def test_blocks_are_web_tiles_at_every_aligned_level(tmp_path, prepared):
    path = rasters.write(tmp_path / "large.tif", rasters.colours(700, 500), crs="EPSG:32720", pixel=(30.0, 30.0))
    answer, dataset = prepared(path)
    levels = [1, *dataset.overviews(1)]
    n_aligned = answer["max_zoom"] - answer["min_zoom"] + 1
    assert len(levels) >= n_aligned >= 2
    assert dataset.block_shapes == [(256, 256)] * 3
    for level, factor in enumerate(levels[:n_aligned]):
        zoom = answer["max_zoom"] - level
        side = 256 * grid.resolution(zoom)
        assert dataset.res[0] * factor == pytest.approx(grid.resolution(zoom), rel=1e-12)
        column = (dataset.bounds.left + grid.HALF_WORLD_M) / side
        row = (grid.HALF_WORLD_M - dataset.bounds.top) / side
        assert column == pytest.approx(round(column), abs=1e-7)
        assert row == pytest.approx(round(row), abs=1e-7)
    assert dataset.compression.name == "jpeg"


def test_a_large_picture_is_aligned_at_seven_levels_and_a_small_one_not_padded():
    corner = mercator(rasters.LON, rasters.LAT)
    large = (corner[0], corner[1] - 200_000, corner[0] + 200_000, corner[1])
    assert grid.aligned_grid(large, 14).n_levels == 7
    small = (corner[0], corner[1] - 480, corner[0] + 480, corner[1])
    assert grid.aligned_grid(small, 14).width <= 2 * 256


@pytest.mark.parametrize(("width_px", "height_px"), [(5492, 5348), (3074, 19265), (9000, 300), (1000, 1000)])
@pytest.mark.parametrize("west", [44_950, 39_136 - 300, -2500])
def test_the_margin_of_alignment_costs_little(width_px, height_px, west):
    pixel = grid.resolution(17)
    bounds = (west, 118_000, west + width_px * pixel, 118_000 + height_px * pixel)
    target = grid.aligned_grid(bounds, 17)
    tiles = math.ceil(width_px / 256 + 1) * math.ceil(height_px / 256 + 1)
    assert target.width * target.height <= max(3 * tiles, 64) * 256**2
    assert target.n_levels >= 2


@pytest.mark.parametrize(
    ("resolution", "zoom"),
    [(9.554, 14), (10.0, 14), (16.56, 14), (17.0, 14), (19.0, 13), (20.3, 13), (0.149, 20), (1e-4, 22)],
)
def test_the_zoom_keeps_the_detail(resolution, zoom):
    assert grid.zoom_for(resolution) == zoom


def hidden_by_alpha(folder: Path) -> Path:
    bands = np.concatenate([rasters.colours(), (HOLE * 255).astype("uint8")[None]])
    return rasters.write(folder / "alpha.tif", bands, roles=rasters.RGBA)


def hidden_by_undeclared_alpha(folder: Path) -> Path:
    bands = np.concatenate([rasters.colours(), (HOLE * 255).astype("uint8")[None]])
    roles = [ColorInterp.gray, ColorInterp.undefined, ColorInterp.undefined, ColorInterp.undefined]
    return rasters.write(folder / "undeclared.tif", bands, roles=roles, photometric="MINISBLACK")


def hidden_by_nodata(folder: Path) -> Path:
    return rasters.write(folder / "nodata.tif", np.where(HOLE, rasters.colours(), 0).astype("uint8"), nodata=0)


def hidden_by_mask(folder: Path) -> Path:
    return rasters.write(folder / "mask.tif", rasters.colours(), mask=HOLE)


@pytest.mark.parametrize(
    ("make", "hidden_by"),
    [
        (hidden_by_alpha, "alpha"),
        (hidden_by_undeclared_alpha, "alpha_by_values"),
        (hidden_by_nodata, "nodata"),
        (hidden_by_mask, "mask"),
    ],
)
def test_what_the_original_hides_stays_hidden(make, hidden_by, tmp_path, prepared):
    path = make(tmp_path)
    answer, dataset = prepared(path)
    assert answer["preparation"]["hidden_by"] == hidden_by
    assert answer["n_bands"] == 3
    assert not pixel_at(dataset, *position(path, 8, 5))[1]
    for column, row in [(24, 5), (8, 16), (50, 30)]:
        shown, has_data = pixel_at(dataset, *position(path, column + 0.5, row + 0.5))
        assert has_data and np.abs(shown - rasters.colours()[:, row, column]).max() <= 12
    outline = footprint_from(answer["footprint"])
    assert outline.area / outline.envelope.area == pytest.approx(HOLE.mean(), abs=0.02)
    west, south, east, north = outline.extent
    pixel = (east - west) / 61
    assert west == pytest.approx(rasters.LON, abs=pixel)
    assert north == pytest.approx(rasters.LAT, abs=pixel)
    assert east == pytest.approx(rasters.LON + 61 * 0.0007, abs=pixel)
    assert south == pytest.approx(rasters.LAT - 43 * 0.0004, abs=pixel)


def test_one_black_band_is_not_nodata(tmp_path, prepared):
    bands = rasters.colours()
    bands[2] = 0
    path = rasters.write(tmp_path / "water.tif", bands, nodata=0)
    _, dataset = prepared(path)
    assert pixel_at(dataset, *position(path, 30, 20))[1]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_declared_alpha_hides_in_whatever_place_it_stands(dtype, tmp_path, prepared):
    bands = (rasters.colours().astype(dtype) * (1 if dtype == "uint8" else 20)).astype(dtype)
    alpha = np.where(HOLE, np.iinfo(dtype).max, 0).astype(dtype)
    near_infrared = np.full(HOLE.shape, 70, dtype)
    near_infrared[20:35, 25:45] = 0  # water
    bands[:, ~HOLE] = np.iinfo(dtype).max
    roles = [*rasters.RGBA, ColorInterp.undefined]
    path = rasters.write(tmp_path / "five.tif", np.stack([*bands, alpha, near_infrared]), roles=roles)
    answer, dataset = prepared(path)
    assert (answer["preparation"]["hidden_by"], answer["preparation"]["bands"]) == ("alpha", [1, 2, 3])
    assert pixel_at(dataset, *position(path, 35, 28))[1]
    assert not pixel_at(dataset, *position(path, 8, 5))[1]
    assert all(high < np.iinfo(dtype).max for _, high in answer["preparation"]["stretch"])


def test_a_near_infrared_band_is_no_alpha(tmp_path, prepared):
    infrared = np.tile(np.linspace(0, 255, 61), (43, 1)).astype("uint8")[None]
    path = rasters.write(tmp_path / "rgbn.tif", np.concatenate([rasters.colours(), infrared]), photometric="MINISBLACK")
    answer, dataset = prepared(path)
    assert answer["preparation"]["hidden_by"] == ""
    assert answer["preparation"]["n_bands"] == 4
    assert pixel_at(dataset, *position(path, 1.5, 20))[1]


def test_sixteen_bits_are_stretched_and_the_stretch_is_recorded(tmp_path, prepared):
    values = rasters.colours().astype("uint16") * 13 + 200
    path = rasters.write(tmp_path / "deep.tif", values)
    answer, dataset = prepared(path)
    low, high = answer["preparation"]["stretch"][0]
    assert (low, high) == pytest.approx(tuple(np.percentile(values[0], (2, 98))))
    for column, row in [(10, 20), (30, 7), (50, 33)]:
        shown, _ = pixel_at(dataset, *position(path, column + 0.5, row + 0.5))
        expected = (values[0, row, column] - low) / (high - low) * 255
        assert shown[0] == pytest.approx(expected, abs=9)


def test_float_nan_is_hidden(tmp_path, prepared):
    values = np.where(HOLE, rasters.colours() / 255, np.nan).astype("float32")
    path = rasters.write(tmp_path / "float.tif", values)
    _, dataset = prepared(path)
    assert not pixel_at(dataset, *position(path, 8, 5))[1]
    assert pixel_at(dataset, *position(path, 40, 30))[1]


def test_one_band_is_grey_and_a_class_mask_is_not_black(tmp_path, prepared):
    path = rasters.write(tmp_path / "classes.tif", HOLE.astype("uint8")[None])
    answer, dataset = prepared(path)
    assert (answer["n_bands"], answer["preparation"]["kind"], dataset.compression.name) == (1, "classes", "deflate")
    assert answer["preparation"]["stretch"] == [[0, 1]]
    assert pixel_at(dataset, *position(path, 40, 30)) == (255, True)
    assert pixel_at(dataset, *position(path, 8, 5)) == (0, True)
    assert set(np.unique(dataset.read(1, out_shape=(40, 40)))) <= {0, 255}


def test_a_palette_is_shown_in_its_colours(tmp_path, prepared):
    path = rasters.write(tmp_path / "palette.tif", HOLE.astype("uint8")[None], photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (200, 30, 10, 255), 1: (10, 160, 90, 255)})
    answer, dataset = prepared(path)
    assert answer["n_bands"] == 3
    assert pixel_at(dataset, *position(path, 8, 5))[0].tolist() == [200, 30, 10]
    assert pixel_at(dataset, *position(path, 45, 35))[0].tolist() == [10, 160, 90]


def test_the_edge_is_not_darkened_by_what_is_hidden(tmp_path, prepared):
    bright = np.full((3, 43, 61), 240, dtype="uint8")
    path = rasters.write(tmp_path / "bright.tif", np.where(HOLE, bright, 0).astype("uint8"), nodata=0)
    _, dataset = prepared(path)
    shown = dataset.dataset_mask() > 0
    assert dataset.read()[:, shown].min() > 232


@pytest.mark.parametrize(("crs", "pixel"), [("EPSG:3857", (50.0, 81.0)), ("EPSG:4326", (0.0007, 0.0004))])
def test_the_resolution_is_metres_on_the_ground(crs, pixel, tmp_path):
    lat = 53.4  # where a mercator metre is 0.6 of a metre
    place = rasters.geotransform(crs, pixel, lon=-72.3, lat=-lat)
    path = rasters.picture(tmp_path, crs=crs, place=place)
    with rasterio.open(path) as dataset:
        found = planning.ground_resolution_m(dataset)
    corners = [position(path, *place) for place in [(30, 21), (31, 21), (30, 22)]]
    width, height = (float(geo.displacement_m(corners[0], corner)) for corner in corners[1:])
    assert found == pytest.approx((width * height) ** 0.5, rel=0.001)


TODAY = date(2026, 1, 1)


@pytest.mark.parametrize(
    ("tags", "day"),
    [
        ({"ACQUISITIONDATETIME": "2019-07-04T14:31:00Z"}, date(2019, 7, 4)),
        ({"EXIF_DateTimeOriginal": "2021:03:09 10:00:00"}, date(2021, 3, 9)),
        ({"DATE_ACQUIRED": "20180311"}, date(2018, 3, 11)),
        ({"TIFFTAG_DATETIME": "2019:07:04 14:31:00"}, None),
        ({"ACQUISITIONDATE": "2019-07-04", "DATE_ACQUIRED": "2019-07-05"}, None),
        ({"ACQUISITIONDATE": "2019-13-04"}, None),
        ({"ACQUISITIONDATE": "2030-01-01"}, None),
        ({"ACQUISITIONDATE": "0001-01-01"}, None),
        ({"ACQUISITIONDATE": "sometime in 2019"}, None),
        ({}, None),
    ],
)
def test_only_a_clear_capture_date_is_taken_from_the_file(tags, day):
    assert capture_date(tags, TODAY) == day


def test_the_files_own_capture_date_is_found(tmp_path, prepared):
    answer, _ = prepared(rasters.picture(tmp_path, tags={"ACQUISITIONDATETIME": "2019-07-04T14:31:00Z"}))
    assert answer["captured_on"] == "2019-07-04"


def test_opening_knows_bounds_of_bowed_edges(tmp_path):
    path = rasters.picture(tmp_path, crs="EPSG:32720", pixel=(3000.0, 3000.0))
    with rasterio.open(path) as dataset:
        west, south, east, north = opening.mercator_bounds(dataset)
    assert west < east and south < north


def of_place(dataset, xs, ys) -> np.ndarray:
    """Mean colour of the prepared picture at mercator positions; NaN where it is hidden."""
    size = dataset.res[0]
    columns = ((np.array(xs) - dataset.bounds.left) / size).astype(int)
    rows = ((dataset.bounds.top - np.array(ys)) / size).astype(int)
    inside = (columns >= 0) & (columns < dataset.width) & (rows >= 0) & (rows < dataset.height)
    columns, rows = columns.clip(0, dataset.width - 1), rows.clip(0, dataset.height - 1)
    colours = [band for band in dataset.indexes if dataset.colorinterp[band - 1] != ColorInterp.alpha]
    values = dataset.read(colours).mean(axis=0)[rows, columns]
    return np.where(inside & (dataset.dataset_mask()[rows, columns] > 0), values, np.nan)


def fit(path: Path, dataset, right: float = 0, down: float = 0) -> tuple[float, float]:
    """How well the prepared picture shows the original's pattern, moved by pixels of it: correlation, share shown."""
    with rasterio.open(path) as original:
        bands = original.read()
        pattern = (bands[:3].mean(axis=0) if len(bands) >= 3 else bands[0]).astype(float)
        shown = bands[3] > 0 if len(bands) == 4 else np.ones(pattern.shape, dtype=bool)
        rows, columns = np.nonzero(shown)
        at = original.transform @ (columns + 0.5 + right, rows + 0.5 + down)
        there = of_place(dataset, *transform(original.crs, dataset.crs, *at))
    both = np.isfinite(there)
    return np.corrcoef(there[both], pattern[shown][both])[0, 1], both.mean()


def test_every_real_raster_shows_its_features_where_they_are(shared_data, prepared):
    """Moved by half a pixel of the original in any direction, its pattern fits the prepared picture worse."""
    folder = shared_data / "imagery"
    for path in [*sorted(folder.glob("*.tif")), *sorted(folder.glob("chips_*/*.tif"))[:3]]:
        _, dataset = prepared(path)
        here, share_shown = fit(path, dataset)
        assert here > 0.9 and share_shown > 0.98, path.name
        for move in [(0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)]:
            assert fit(path, dataset, *move)[0] < here, (path.name, move)
