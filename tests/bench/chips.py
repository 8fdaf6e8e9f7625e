"""Chips of grid cells: one reader beside the batch reader's threads, in interleaved rounds; and beside processes.

./dev bench chips [--side PIXELS] [--chips N] [--rounds N] [--workers N] [--processes] [--json]

Each round reads the same cells, the first of each kind uncounted (it opens files and fills caches). `chips_per_s`
is the batch reader's, `cpu_share` its processor time per time of two cores, `vs_single` its speed over one reader's.
"""

import argparse
import hashlib
import json
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from django.core.management import call_command
from django.test.utils import override_settings

from labels import geo
from labels.imagery import chip_pixels, chips
from labels.models import ImagerySource, Project, Scene
from tests import rasters

# 2 m pixels: a chip is made of about four times as many, as in a country of fine scenes.
PIXEL_DEG = 1.8e-5
CORES = 2


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="chips")
    parser.add_argument("--side", type=int, default=8000)
    parser.add_argument("--chips", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=CORES)
    parser.add_argument("--processes", action="store_true", help="also as many processes, for comparison")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, override_settings(MEDIA_ROOT=folder):
        source = loaded(Path(folder), options.side)
        cells = geo.cells_in_bounds(Scene.objects.get(source=source).footprint.extent)[: options.chips]
        figures = measured(source, cells, options)
        source.project.delete()
    for name, figure in figures.items():
        print(f"{name:<22}{figure:>10,}")
    if options.json:
        print(json.dumps(figures))
    return 0


def loaded(folder: Path, side: int) -> ImagerySource:
    """A source of one scene of rough ground."""
    project, _ = Project.objects.get_or_create(slug="bench-chips", defaults={"name": "Bench", "country": "COD"})
    rough = np.random.default_rng(7).integers(20, 235, (3, side // 4 + 1, side // 4 + 1)).astype("uint8")
    bands = rough.repeat(4, axis=1).repeat(4, axis=2)[:, :side, :side]
    place = rasters.geotransform("EPSG:4326", (PIXEL_DEG, PIXEL_DEG))
    path = rasters.write(folder / "ground.tif", bands, place=place, tiled=True, compress="deflate", zlevel=1)
    call_command("load_imagery", str(path), "--project", project.slug, "--name", "Ground", verbosity=0)
    path.unlink()
    return project.imagery_sources.get()


def measured(source: ImagerySource, cells: list[str], options) -> dict[str, float]:
    kinds = {
        "single": lambda: digest(chip for _, chip in chips.read_chips(source, cells, workers=0)),
        "batch": lambda: digest(chip for _, chip in chips.read_chips(source, cells, workers=options.workers)),
    }
    speeds, shares, seen = {name: [] for name in kinds}, [], set()
    load = os.getloadavg()[0]
    for number in range(options.rounds + 1):
        for name, read in kinds.items():
            began, cpu_before = time.perf_counter(), time.process_time()
            seen.add(read())
            took = time.perf_counter() - began
            if number:
                speeds[name].append(len(cells) / took)
            if number and name == "batch":
                shares.append((time.process_time() - cpu_before) / took / CORES)
    figures = {
        "chips": len(cells),
        "workers": options.workers,
        "load_before": round(load, 2),
        "single_chips_per_s": round(statistics.median(speeds["single"]), 1),
        "chips_per_s": round(statistics.median(speeds["batch"]), 1),
        "cpu_share": round(statistics.median(shares), 2),
        "vs_single": round(statistics.median(b / a for a, b in zip(*speeds.values(), strict=True)), 2),
        "same_bytes": int(len(seen) == 1),
    }
    if options.processes:
        figures["processes_chips_per_s"] = round(in_processes(source, cells, options.workers), 1)
    return figures


def digest(found) -> str:
    total = hashlib.sha256()
    for chip in found:
        total.update(chip.pixels.tobytes())
    return total.hexdigest()


def in_processes(source: ImagerySource, cells: list[str], n_workers: int) -> float:
    """The same by processes that have started already."""
    reader = chips._reader(source, None, "", chips.CHIP_PX)
    work = [reader.work(cell) for cell in cells]
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(chip_pixels.compose, work, chunksize=4))
        began = time.perf_counter()
        list(pool.map(chip_pixels.compose, work, chunksize=4))
        return len(cells) / (time.perf_counter() - began)
