"""Pictures to measure tiles on: noise and structure of several sizes, as dense as real imagery in JPEG bytes."""

from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine

from labels.imagery import planning, preparation
from labels.imagery.wishes import wish

SIDE_PX, PIXEL_M = 8192, 1.0
CRS = "EPSG:32721"  # metres, south of the equator
EAST, NORTH = 450_000.0, 9_400_000.0
STRIP_PX = 512
CELLS_PX = (1024, 128, 24)  # sizes of what is drawn: valleys, clearings, crowns


def draw(path: Path, side: int = SIDE_PX, seed: int = 5) -> Path:
    """A colour picture in UTM: forest, clearings, rivers of bare ground; the same bytes for the same seed."""
    random = np.random.default_rng(seed)
    fields = [random.random((side // cell + 2, side // cell + 2), dtype="float32") for cell in CELLS_PX]
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": CRS}
    profile |= {"transform": Affine(PIXEL_M, 0, EAST, 0, -PIXEL_M, NORTH), "tiled": True, "interleave": "pixel"}
    with rasterio.open(path, "w", blockxsize=512, blockysize=512, **profile) as out:
        for top in range(0, side, STRIP_PX):
            rows = min(STRIP_PX, side - top)
            out.write(_strip(fields, random, top, rows, side), window=((top, top + rows), (0, side)))
    return path


def _strip(fields: list[np.ndarray], random: np.random.Generator, top: int, rows: int, side: int) -> np.ndarray:
    wide, middle, fine = (_smooth(field, cell, top, rows, side) for field, cell in zip(fields, CELLS_PX, strict=True))
    is_bare = (wide * 0.6 + middle * 0.4) > 0.62
    grain = random.normal(0, 1, (rows, side)).astype("float32")
    light = 60 + 70 * fine + np.where(is_bare, 70, 0) + 9 * grain
    tints = np.stack([np.where(is_bare, 1.1, 0.75), np.where(is_bare, 0.95, 1.0), np.where(is_bare, 0.75, 0.6)])
    return np.clip(light * tints, 0, 255).astype("uint8")


def _smooth(field: np.ndarray, cell: int, top: int, rows: int, side: int) -> np.ndarray:
    """The field between its points, linearly."""
    y, x = (np.arange(rows) + top) / cell, np.arange(side) / cell
    y0, x0 = y.astype(int), x.astype(int)
    dy, dx = (y - y0).astype("float32")[:, None], (x - x0).astype("float32")[None]
    upper = field[y0][:, x0] * (1 - dx) + field[y0][:, x0 + 1] * dx
    lower = field[y0 + 1][:, x0] * (1 - dx) + field[y0 + 1][:, x0 + 1] * dx
    return upper * (1 - dy) + lower * dy


def aligned(original: Path, path: Path) -> dict:
    """The picture as the product prepares it, and its description."""
    warped = path.with_suffix(".warped.tif")
    with rasterio.open(original) as dataset:
        plan = planning.make_plan(dataset, wish(), _nobody)
        preparation.warp(dataset, plan, [warped], _nobody)
        facts = {"resolution_m": planning.ground_resolution_m(dataset), "original": {}}
    preparation.write_cog(warped, path, plan, _nobody)
    warped.unlink()
    return preparation.describe([path], plan, facts | {"captured": {"on": None, "note": ""}})


def _nobody(*_progress) -> None:
    """Hears of the preparation's progress."""


def ordinary(original: Path, path: Path) -> None:
    """The picture as most people make a cloud-optimised file: its own coordinates, 512 px blocks, JPEG."""
    rasterio.shutil.copy(original, path, driver="COG", compress="JPEG", quality=75, num_threads="1")
