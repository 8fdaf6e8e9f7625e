"""Chips: the right ground, whatever the source; the same bytes, whatever the order, thread or process."""

import hashlib
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from django.core.management import call_command
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from labels import geo
from labels.errors import BadInput
from labels.imagery import chip_pixels, chip_worker, chips
from labels.imagery.chip_pixels import ChipUnreadable
from labels.imagery.chips import read_chip, read_chips
from labels.models import Scene
from tests import rasters
from tests.factories import make_source

CLONE = Path(__file__).resolve().parents[2]
CELL = geo.grid_cell_id(rasters.LON + 0.05, rasters.LAT - 0.05)
NEAR = geo.grid_cell_id(rasters.LON + 0.015, rasters.LAT - 0.015)  # within 0.03 degrees of the picture's corner


def ground(folder: Path, name: str = "g.tif", *, size: int = 400, pixel: float = 0.0003, **options) -> Path:
    """A picture of 12 cells a side that looks different everywhere, from a little north-west of its first cell."""
    draw = np.random.default_rng(7)
    rough = draw.integers(20, 235, (3, size // 10 + 1, size // 10 + 1)).astype("uint8")
    bands = rough.repeat(10, axis=1).repeat(10, axis=2)[:, :size, :size]
    place = rasters.geotransform("EPSG:4326", (pixel, pixel))
    return rasters.write(folder / name, options.pop("bands", bands), place=place, pixel=(pixel, pixel), **options)


def load(project, path: Path, acquired: str = ""):
    options = ["--acquired", acquired] if acquired else []
    call_command("load_imagery", str(path), "--project", project.slug, "--name", "Survey", *options)
    return project.imagery_sources.get(name="Survey")


def expected(path: Path, cell: str, px: int = 256) -> np.ndarray:
    """GDAL's own warp of the original to the cell's bounds."""
    west, south, east, north = geo.grid_cell_bounds(cell)
    place = Affine((east - west) / px, 0, west, 0, (south - north) / px, north)
    with (
        rasterio.open(path) as dataset,
        WarpedVRT(
            dataset, crs="EPSG:4326", transform=place, width=px, height=px, resampling=Resampling.bilinear
        ) as vrt,
    ):
        return vrt.read((1, 2, 3))


def digest(chip: chips.Chip) -> str:
    return hashlib.sha256(chip.pixels.tobytes() + repr(chip.share_missing).encode()).hexdigest()


@pytest.mark.parametrize(("pixel", "px"), [(0.00013, 256), (0.00004, 256), (0.00013, 64), (0.00004, 512)])
def test_a_chip_is_the_cell_exactly_north_up(pixel, px, project, tmp_path):
    path = ground(tmp_path, pixel=pixel, size=round(0.03 / pixel))
    chip = read_chip(load(project, path), NEAR, px=px)
    assert (chip.pixels.shape, chip.pixels.dtype, chip.share_missing) == ((3, px, px), np.uint8, 0)
    wanted = expected(path, NEAR, px).astype(float)
    near = np.abs(chip.pixels.astype(float) - wanted).mean()
    flipped = np.abs(chip.pixels[:, ::-1].astype(float) - wanted).mean()
    moved = np.abs(np.roll(chip.pixels, px // 32, axis=2).astype(float) - wanted).mean()
    assert near < 9 and near < flipped / 4 and near < moved / 1.5


def test_no_imagery_is_zeros_and_all_missing(project, tmp_path):
    far = read_chip(load(project, ground(tmp_path)), "lon_10.005__lat_10.005")
    assert far.share_missing == 1 and not far.pixels.any()
    assert read_chip(make_source(project), CELL).share_missing == 1


def test_the_share_missing_is_what_lies_beyond_the_picture(project, tmp_path):
    source = load(project, ground(tmp_path))
    corner = geo.grid_cell_id(rasters.LON + 1e-4, rasters.LAT - 1e-4)
    _, south, east, _ = geo.grid_cell_bounds(corner)
    covered = (east - rasters.LON) * (rasters.LAT - south) / 1e-4
    chip = read_chip(source, corner)
    assert chip.share_missing == pytest.approx(1 - covered, abs=0.01)
    missing = (chip.pixels == 0).all(axis=0)
    assert missing.mean() == pytest.approx(chip.share_missing, abs=0.001)
    assert missing[0].all() and missing[:, 0].all()


def test_hidden_ground_is_missing_and_does_not_darken_its_neighbours(project, tmp_path):
    hole = np.ones((400, 400), dtype=bool)
    hole[165:182, 130:217] = False
    bands = np.where(hole, 200, 0).astype("uint8")[None].repeat(3, axis=0)
    bands[:, ::7, ::7] += np.uint8(20) * (bands[:, ::7, ::7] > 0)
    path = ground(tmp_path, bands=bands, nodata=0)
    source = load(project, path)
    chip = read_chip(source, CELL)
    assert 0.2 < chip.share_missing < 0.8
    assert chip.pixels[:, (chip.pixels > 0).any(axis=0)].min() > 180


def test_the_newest_lies_on_top_and_a_day_is_a_day(project, tmp_path):
    plain = np.full((3, 400, 400), 60, dtype="uint8")
    load(project, ground(tmp_path, "old.tif", bands=plain), "2018-02-01")
    source = load(project, ground(tmp_path, "new.tif", bands=plain + 140), "2022-05-01")
    assert read_chip(source, CELL).pixels.mean() == pytest.approx(200, abs=3)
    assert read_chip(source, CELL, day=date(2018, 2, 1)).pixels.mean() == pytest.approx(60, abs=3)
    assert read_chip(source, CELL, day="unknown").share_missing == 1
    assert read_chip(source, CELL, day=date(2019, 1, 1)).share_missing == 1


def test_the_measured_offset_is_applied(project, tmp_path):
    path = ground(tmp_path)
    source = load(project, path)
    plain = read_chip(source, CELL).pixels.astype(int)
    source.offset_east_m, source.offset_north_m = 130.45, -130.25  # 30 pixels of the chip
    source.save()
    moved = read_chip(source, CELL).pixels.astype(int)
    assert np.abs(moved[:, 40:, 40:] - plain[:, 10:-30, 10:-30]).mean() < 4


def test_a_grey_picture_is_grey_in_three_bands(project, tmp_path):
    bands = np.random.default_rng(1).integers(0, 255, (1, 400, 400), dtype="uint8")
    chip = read_chip(load(project, ground(tmp_path, bands=bands)), CELL)
    assert (chip.pixels[0] == chip.pixels[1]).all() and (chip.pixels[0] == chip.pixels[2]).all()


# Another process, without Django.
ALONE = """
import hashlib, pickle, sys
from labels.imagery import chip_pixels
for one in pickle.load(sys.stdin.buffer):
    print(hashlib.sha256(chip_pixels.compose(one)[0].tobytes()).hexdigest())
print("django" in sys.modules)
"""


def _in_child(answers, work):
    answers.put([hashlib.sha256(chip_pixels.compose(one)[0].tobytes()).hexdigest() for one in work])


def test_the_same_bytes_in_any_order_thread_and_process(project, tmp_path):
    source = load(project, ground(tmp_path))
    cells = geo.cells_in_bounds(Scene.objects.get().footprint.extent)[:60]
    one_by_one = {cell: digest(read_chip(source, cell)) for cell in cells}
    shuffled = random.Random(3).sample(cells, len(cells))
    for workers in (0, 1, 2, 5):
        found = list(read_chips(source, shuffled, workers=workers))
        assert [cell for cell, _ in found] == shuffled
        assert {cell: digest(chip) for cell, chip in found} == one_by_one
    reader = chips._reader(source, None, "", 256)
    work = [reader.work(cell) for cell in cells]
    here = [hashlib.sha256(chip_pixels.compose(one)[0].tobytes()).hexdigest() for one in work]
    fork = multiprocessing.get_context("fork")  # it has this thread's files open
    answers = fork.Queue()
    children = [fork.Process(target=_in_child, args=(answers, work)) for _ in range(2)]
    for child in children:
        child.start()
    assert [chip_pixels.compose(one)[0].shape for one in work[:5]] == [(3, 256, 256)] * 5
    assert [answers.get(timeout=60) for _ in children] == [here, here]
    for child in children:
        child.join()
        assert child.exitcode == 0
    alone = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=CLONE, input=pickle.dumps(work), capture_output=True, check=True
    )
    assert alone.stdout.decode().split() == [*here, "False"]


def test_files_are_opened_anew_after_a_fork(project, tmp_path):
    source = load(project, ground(tmp_path))
    read_chip(source, CELL)
    before = list(chip_pixels._open_files._open.values())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        work = chips.CellWork((0, 0, 1, 1), (), 16)
        file = next(iter(chip_pixels._open_files._open))
        is_new = chip_pixels._open_files.get(file) not in before and work.px == 16
        os.write(writing, b"1" if is_new else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1) == b"1"


def test_the_batch_asks_the_database_once_and_reads_ahead_only_a_little(project, tmp_path, django_assert_num_queries):
    source = load(project, ground(tmp_path))
    taken = []

    def cells():
        for cell in geo.cells_in_bounds(Scene.objects.get().footprint.extent) * 40:
            taken.append(cell)
            yield cell

    names = cells()
    found = read_chips(source, names, workers=2)
    next(found)
    assert len(taken) <= (2 * chips.AHEAD + 1) * chips.RUN
    found.close()
    with django_assert_num_queries(1):
        assert len(list(read_chips(source, taken, workers=2))) == len(taken)


def test_a_chip_that_cannot_be_read_is_an_error_in_its_turn_and_costs_no_other_its_own(project, tmp_path, settings):
    """A process answers for a run of cells: what comes after the damage keeps its place."""
    source = load(project, ground(tmp_path))
    reader = chips._reader(source, None, "", 256)
    lost = chip_pixels.PreparedFile("/nowhere.tif", "0")
    good = [reader.work(cell) for cell in geo.cells_in_bounds(Scene.objects.get().footprint.extent)[:3]]
    worker = chip_worker.Worker()
    try:
        first, broken, second = worker.compose_all([good[0], chips.CellWork(good[1].bounds, (lost,), 256), good[2]])
    finally:
        worker.end()
    assert isinstance(broken, ChipUnreadable)
    assert [first[0].tobytes(), second[0].tobytes()] == [chip_pixels.compose(good[n])[0].tobytes() for n in (0, 2)]


def test_what_cannot_be_read_is_said(project, tmp_path, settings):
    source = load(project, ground(tmp_path))
    with pytest.raises(ValueError, match="not the name of a grid cell"):
        read_chip(source, "lon_1__lat_2")
    with pytest.raises(BadInput, match="16 to 1024"):
        read_chip(source, CELL, px=5000)
    (Path(settings.MEDIA_ROOT) / Scene.objects.get().path).unlink()
    chip_pixels._open_files.forget(next(iter(chip_pixels._open_files._open), None))
    with pytest.raises(ChipUnreadable, match="missing or damaged"):
        list(read_chips(source, [CELL], workers=2))


def children() -> set[int]:
    return {int(child) for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def test_the_processes_of_a_batch_end_with_it_and_one_that_dies_is_an_error(project, tmp_path):
    source = load(project, ground(tmp_path))
    cells = geo.cells_in_bounds(Scene.objects.get().footprint.extent)[:30] * 10
    before = children()
    found = read_chips(source, cells, workers=2)
    next(found)
    started = children() - before
    assert len(started) == 2
    for child in started:
        os.kill(child, signal.SIGKILL)
    with pytest.raises(ChipUnreadable, match="stopped"):
        list(found)
    assert children() == before
