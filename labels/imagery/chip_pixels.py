"""Pixels of one grid cell, read from prepared files and resampled to lon/lat. Knows no Django.

Whatever the thread, process or order, the same files give the same bytes: every file is read from its own blocks at
one overview, and resampled by Pillow's whole-number arithmetic.
"""

import math
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from labels.errors import LabelsError
from labels.imagery.grid import Bounds

N_OPEN = 24  # files kept open per thread
MAX_FILES = 40  # under one cell, as on one tile
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class ChipUnreadable(LabelsError):
    """A picture under the cell is missing or damaged on the server; what lies below it must not pass for it."""


@dataclass(frozen=True)
class PreparedFile:
    path: str
    sha256: str


@dataclass(frozen=True)
class CellWork:
    """What a worker needs to know to read one chip, on top first; it asks no database."""

    bounds: Bounds  # of the cell in the files, mercator metres
    files: tuple[PreparedFile, ...]
    px: int


def compose(work: CellWork) -> tuple[np.ndarray, np.ndarray]:
    """Colours (3, px, px), uint8, and where a picture is (px, px): each pixel from the first picture that has it."""
    pixels = np.zeros((3, work.px, work.px), dtype="uint8")
    seen = np.zeros((work.px, work.px), dtype=bool)
    for file in work.files[:MAX_FILES]:
        try:
            found = read_part(_open_files.get(file), work.bounds, work.px)
        except (RasterioError, OSError) as error:
            _open_files.forget(file)
            raise ChipUnreadable("A picture of this cell is missing or damaged on the server.") from error
        if found is None:
            continue
        rows, columns, colours, has_data = found
        new = has_data & ~seen[rows, columns]
        np.copyto(pixels[:, rows, columns], colours, where=new)  # one grey band spreads over the three
        seen[rows, columns] |= new
        if seen.all():
            break
    return pixels, seen


def read_part(dataset: DatasetReader, bounds: Bounds, px: int):
    """The rows and columns of a px by px chip that the file may cover, with its colours and data mask there.

    None where it lies elsewhere. The bounds are divided evenly; see `labels.imagery.chips` for what that means.
    """
    factor = _overview(dataset, (bounds[2] - bounds[0]) / px)
    size = dataset.res[0] * factor
    left, top = (bounds[0] - dataset.bounds.left) / size, (dataset.bounds.top - bounds[3]) / size
    across, down = (bounds[2] - bounds[0]) / size / px, (bounds[3] - bounds[1]) / size / px
    columns, width = _part(left, across, px, dataset.width // factor)
    rows, height = _part(top, down, px, dataset.height // factor)
    if columns.stop <= columns.start or rows.stop <= rows.start:
        return None
    (first_column, last_column), (first_row, last_row) = width, height
    values, shown = _canvas(dataset, factor, (first_column, first_row, last_column, last_row))
    if not shown.any():
        return None
    box = (
        left + columns.start * across - first_column,
        top + rows.start * down - first_row,
        left + columns.stop * across - first_column,
        top + rows.stop * down - first_row,
    )
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    colours, has_data = _resized(values, shown, shape, box)
    return rows, columns, colours, has_data


def resized(values: np.ndarray, shown: np.ndarray, px: int, box: tuple[float, float, float, float]):
    """Colours (bands, px, px) and data mask of a box of an image, by the same arithmetic as files are read."""
    return _resized(values, shown, (px, px), box)


def _overview(dataset: DatasetReader, pixel: float) -> int:
    """The coarsest overview that is at least as fine as the chip."""
    fine = [
        factor
        for factor in dataset.overviews(1)
        if factor * dataset.res[0] <= pixel and dataset.width % factor == dataset.height % factor == 0
    ]
    return max(fine, default=1)


def _part(start: float, step: float, px: int, size: int) -> tuple[slice, tuple[int, int]]:
    """Along one axis: the chip's pixels that the file touches, and the file's pixels that they are made of.

    The latter may reach beyond the file by what the filter looks at.
    """
    first, last = max(0, math.floor(-start / step)), min(px, math.ceil((size - start) / step))
    reach = math.ceil(max(1.0, step)) + 1
    return slice(first, last), (math.floor(start + first * step) - reach, math.ceil(start + last * step) + reach)


def _canvas(dataset: DatasetReader, factor: int, box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The file's pixels of a box at an overview, (bands, height, width), and where it has data; beyond it, nothing."""
    left, top, right, bottom = box
    inside = (max(0, left), max(0, top), min(dataset.width // factor, right), min(dataset.height // factor, bottom))
    shape = (inside[3] - inside[1], inside[2] - inside[0])
    window = Window(inside[0] * factor, inside[1] * factor, shape[1] * factor, shape[0] * factor)
    bands = [band for band in dataset.indexes if dataset.colorinterp[band - 1] != ColorInterp.alpha]
    values = dataset.read(bands, window=window, out_shape=(len(bands), *shape))
    shown = dataset.dataset_mask(window=window, out_shape=shape) > 0
    if inside == box:
        return values, shown
    margin = ((inside[1] - top, bottom - inside[3]), (inside[0] - left, right - inside[2]))
    return np.pad(values, ((0, 0), *margin)), np.pad(shown, margin)


def _resized(values: np.ndarray, shown: np.ndarray, shape: tuple[int, int], box) -> tuple[np.ndarray, np.ndarray]:
    """Hidden pixels take no part; a pixel of the chip has data where at least half of what it is made of has."""
    layers = list(values) if shown.all() else [*values, shown * np.uint8(255)]
    # Pillow weighs the colours of LA and RGBA images with their alpha.
    image = Image.fromarray(layers[0] if len(layers) == 1 else np.dstack(layers), _MODES[len(layers)])
    made = np.asarray(image.resize(shape, Image.Resampling.BILINEAR, box=box)).reshape(*shape[::-1], len(layers))
    made = made.transpose(2, 0, 1)
    if len(layers) == len(values):
        return made, np.ones(shape[::-1], dtype=bool)
    return made[:-1], made[-1] >= 128


class _OpenFiles(threading.local):
    """Files of this thread in this process. GDAL's datasets are shared neither between threads nor over a fork."""

    def __init__(self):
        self._pid, self._open, self._of_parent = os.getpid(), OrderedDict(), []

    def get(self, file: PreparedFile) -> DatasetReader:
        if self._pid != os.getpid():
            # Closing them here could touch what the parent goes on using.
            self._of_parent.append(self._open)
            self._pid, self._open = os.getpid(), OrderedDict()
        if file not in self._open:
            self._open[file] = rasterio.open(file.path, driver="GTiff", sharing=False)
        self._open.move_to_end(file)
        while len(self._open) > N_OPEN:
            self._open.popitem(last=False)[1].close()
        return self._open[file]

    def forget(self, file: PreparedFile) -> None:
        dataset = self._open.pop(file, None)
        if dataset:
            dataset.close()


_open_files = _OpenFiles()
