"""Chips of grid cells: one reader beside the batch reader's processes, in interleaved rounds; and beside threads.

./dev bench chips [--side PIXELS] [--chips N] [--rounds N] [--workers N] [--threads] [--json]

Each round reads the same cells with nothing decoded yet; the first of each kind is uncounted (it fills the system's
file cache). Speeds count from the first chip on, which the batch reader has after `start_s`. `chips_per_s` is the batch
reader's, `cpu_share` its processor time per time of two cores, `vs_single` its speed over one reader's.
"""

import argparse
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
    parser.add_argument("--side", type=int, default=12_000)
    parser.add_argument("--chips", type=int, default=440)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=CORES)
    parser.add_argument("--threads", action="store_true", help="also as many threads, for comparison")
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
        "single": lambda: chips.read_chips(source, cells, workers=0),
        "batch": lambda: chips.read_chips(source, cells, workers=options.workers),
    }
    if options.threads:
        kinds["threads"] = lambda: in_threads(source, cells, options.workers)
    speeds, starts, shares, seen = {name: [] for name in kinds}, [], [], set()
    load = os.getloadavg()[0]
    for number in range(options.rounds + 1):
        for name, read in kinds.items():
            forget_open_files()
            began, cpu_before = time.perf_counter(), cpu_s()
            digest, first = taken(read())
            ended = time.perf_counter()
            seen.add(digest)
            if not number:
                continue
            speeds[name].append((len(cells) - 1) / (ended - first))
            if name == "batch":
                starts.append(first - began)
                shares.append((cpu_s() - cpu_before) / (ended - began) / CORES)
    pairs = zip(speeds["single"], speeds["batch"], strict=True)
    figures = {
        "chips": len(cells),
        "workers": options.workers,
        "load_before": round(load, 2),
        "single_chips_per_s": round(statistics.median(speeds["single"]), 1),
        "chips_per_s": round(statistics.median(speeds["batch"]), 1),
        "start_s": round(statistics.median(starts), 2),
        "cpu_share": round(statistics.median(shares), 2),
        "vs_single": round(statistics.median(b / a for a, b in pairs), 2),
        "same_bytes": int(len(seen) == 1),
    }
    if options.threads:
        figures["threads_chips_per_s"] = round(statistics.median(speeds["threads"]), 1)
    return figures


def taken(found: Iterator[tuple[str, chips.Chip]]) -> tuple[str, float]:
    """The digest of all chips, and when the first one was there."""
    total, first = hashlib.sha256(), None
    for _, chip in found:
        first = first or time.perf_counter()
        total.update(chip.pixels.tobytes())
    return total.hexdigest(), first


def cpu_s() -> float:
    """Processor time of this process and of its ended children."""
    return sum(os.times()[:4])


def forget_open_files() -> None:
    for file in list(chip_pixels._open_files._open):
        chip_pixels._open_files.forget(file)


def in_threads(source: ImagerySource, cells: list[str], n_workers: int) -> Iterator[tuple[str, chips.Chip]]:
    reader = chips._reader(source, None, "", chips.CHIP_PX)
    with ThreadPoolExecutor(n_workers) as pool:
        yield from zip(cells, pool.map(reader.read, [reader.work(cell) for cell in cells]), strict=True)
