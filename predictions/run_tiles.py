"""Tiles of a run's map: PNG whose pixels carry scores, so that a browser colours them anew without asking again.

Red and green are the score in LEVELS steps between the map's lowest and highest (red the high byte), blue are flags,
alpha is 255 where there is a cell and 0 where there is none. Each pixel shows the cell its middle lies in.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from labels import geo
from labels.geodesic import EQUATORIAL_RADIUS_M
from labels.imagery import grid
from labels.imagery.decoding import PictureMissing
from predictions.mapping import DISTANCE, MAP, OUT_OF_BLOCK, SCORE
from predictions.models import TrainingRun

# Finer than any threshold that is offered, and a third smaller than all of two bytes.
LEVELS = 4095
OUTSIDE, LEFT_OUT = 1, 2  # flags: unlike the training cells; scored by a fit that had not seen the cell
# A pixel of zoom 7 is as wide as a cell; beyond this one a browser stretches.
MAX_ZOOM = 12
# Part of every ETag: raise it when the same map gives other bytes.
RENDERING = "1"
# Cells on a side that are read for one tile; of a wider piece only every second, third, ... is.
MAX_READ = 2048
# Of two runs, the score of the second less that of the first.
DIFFERENCES = (-1.0, 1.0)


@dataclass(frozen=True)
class Scale:
    """What the steps of a tile stand for, and where the map lies."""

    low: float
    high: float
    bounds: tuple[float, float, float, float]  # west, south, east, north


def path_of(run: TrainingRun) -> Path:
    return run.folder / MAP


def scale_of(run: TrainingRun) -> Scale:
    """Raises PictureMissing where the run has no map on this server."""
    with _opened(run) as dataset:
        return Scale(*_range(dataset), tuple(dataset.bounds))


def etag(runs: list[TrainingRun], z: int, x: int, y: int) -> str:
    """Known before any pixel is read."""
    parts = [f"{run.content_sha256} {_threshold(run)}" for run in runs]
    text = f"{RENDERING} {'|'.join(parts)} {z}/{x}/{y}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def tile(run: TrainingRun, z: int, x: int, y: int) -> bytes:
    """The scores of a run on a tile. Raises PictureMissing where its map cannot be read."""
    with _opened(run) as dataset:
        score, distance, left_out = _sampled(dataset, z, x, y, (SCORE, DISTANCE, OUT_OF_BLOCK))
        low, high = _range(dataset)
    flags = np.where(_is_like_training(run, distance), 0, OUTSIDE) + np.where(left_out == 1, LEFT_OUT, 0)
    return packed(score, low, high, flags)


def difference_tile(before: TrainingRun, after: TrainingRun, z: int, x: int, y: int) -> bytes:
    """How far the score of each cell moved from one run to another; nothing where only one has the cell."""
    with _opened(before) as dataset:
        (old,) = _sampled(dataset, z, x, y, (SCORE,))
    with _opened(after) as dataset:
        (new,) = _sampled(dataset, z, x, y, (SCORE,))
    return packed(new - old, *DIFFERENCES, np.zeros(new.shape, int))


def _is_like_training(run: TrainingRun, distance: NDArray) -> NDArray[np.bool_]:
    """As predictions.training counts them: without a threshold no cell is."""
    threshold = _threshold(run)
    return distance <= threshold if threshold is not None else np.zeros(distance.shape, dtype=bool)


def _opened(run: TrainingRun):
    try:
        return rasterio.open(path_of(run), driver="GTiff")
    except (RasterioError, OSError) as error:
        raise PictureMissing("The map of this run is missing or damaged on the server.") from error


def _threshold(run: TrainingRun) -> float | None:
    return run.figures.get("applicability", {}).get("threshold")


def _range(dataset) -> tuple[float, float]:
    tags = dataset.tags(SCORE)
    low, high = float(tags.get("STATISTICS_MINIMUM", 0)), float(tags.get("STATISTICS_MAXIMUM", 1))
    return low, high if high > low else low + 1


def _sampled(dataset, z: int, x: int, y: int, bands: tuple[int, ...]) -> NDArray[np.float32]:
    """The bands at the middles of a tile's pixels: (bands, px, px), nan where the map has none."""
    columns, rows = _cells_of_pixels(z, x, y)
    left, top = columns - round(dataset.bounds.left * 100), round(dataset.bounds.top * 100) - 1 - rows
    found = np.full((len(bands), grid.TILE_PX, grid.TILE_PX), np.nan, dtype=np.float32)
    across, down = (left >= 0) & (left < dataset.width), (top >= 0) & (top < dataset.height)
    if not (across.any() and down.any()):
        return found
    left, top = left[across], top[down]
    window = Window(left[0], top[0], left[-1] - left[0] + 1, top[-1] - top[0] + 1)
    shape = tuple(min(side, MAX_READ) for side in (int(window.height), int(window.width)))
    try:
        read = dataset.read(bands, window=window, out_shape=(len(bands), *shape))
    except RasterioError as error:
        raise PictureMissing("The map of this run is missing or damaged on the server.") from error
    at_row = (top - top[0]) * shape[0] // int(window.height)
    at_column = (left - left[0]) * shape[1] // int(window.width)
    found[:, down[:, None] & across] = read[:, at_row[:, None], at_column].reshape(len(bands), -1)
    return found


def _cells_of_pixels(z: int, x: int, y: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns of the grid under a tile's columns of pixels, and rows under its rows."""
    west, _, east, north = geo.tile_bounds_m(z, x, y)
    middles = (np.arange(grid.TILE_PX) + 0.5) * (east - west) / grid.TILE_PX
    lon = np.degrees((west + middles) / EQUATORIAL_RADIUS_M)
    lat = np.degrees(np.arctan(np.sinh((north - middles) / EQUATORIAL_RADIUS_M)))
    return tuple(np.floor(each * geo.CELLS_PER_DEGREE).astype(np.int64) for each in (lon, lat))


def packed(values: NDArray, low: float, high: float, flags: NDArray) -> bytes:
    """Values of shape (px, px), nan for none, as the pixels the top of this file describes."""
    is_cell = np.isfinite(values)
    if not is_cell.any():
        return NOTHING
    steps = np.rint((np.where(is_cell, values, low) - low) / (high - low) * LEVELS)
    steps = np.clip(steps, 0, LEVELS).astype(np.uint16)
    pixels = np.stack([steps >> 8, steps & 255, flags, np.full(values.shape, 255)], axis=-1).astype(np.uint8)
    pixels[~is_cell] = 0
    return _png(pixels)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """RGBA of shape (height, width, 4) as a PNG without filters.

    The page unpacks it itself (static/js/score-tiles.js): browsers that guard against fingerprinting change what a
    script reads from a drawn picture, and then scores would be noise.
    """
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


NOTHING = _png(np.zeros((1, 1, 4), np.uint8))
