"""Pixels of scenes on a tile: what cannot be sent as a block of the file is read by GDAL, from files kept open.

The pixels are those of rio-tiler (tested). It is not called for what can be said to GDAL in one line: for each tile of
a file in other coordinates rio-tiler asks PROJ for the resolution of the whole file and GDAL for all of its pixels.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import rasterio
from django.conf import settings
from rasterio import windows
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform, transform_bounds
from rio_tiler.errors import RioTilerError
from rio_tiler.io import Reader

from labels import geo
from labels.errors import LabelsError
from labels.imagery import grid, scenes

MAX_IDLE = 100  # files kept open in this process while nobody reads them
# Threads that decode at once; two processes then use every core. More would only hold the same blocks more often, each
# in a reader of its own: eight readers of one file decoded half as many tiles a second as two.
DECODERS = max(1, min(4, len(os.sched_getaffinity(0)) // 2))
MAX_SCENES = 40  # on one tile; a tile of the whole world must not open every file of a country
WEB_MERCATOR = CRS.from_epsg(3857)


class PictureMissing(LabelsError):
    """A picture that belongs on the tile cannot be read; showing what lies below it would pass for it."""


def compose(shown: scenes.Shown, z: int, x: int, y: int, px: int = grid.TILE_PX) -> tuple[np.ndarray, np.ndarray]:
    """Colours (3, px, px) and where a picture is (px, px): each pixel from the first picture that has it."""
    bounds = grid.shifted(geo.tile_bounds_m(z, x, y), -shown.offset_east_m, -shown.offset_north_m)
    is_shifted = bool(shown.offset_east_m or shown.offset_north_m)
    pixels = np.zeros((3, px, px), dtype="uint8")
    seen = np.zeros((px, px), dtype=bool)
    for scene in shown.scenes[:MAX_SCENES]:
        found = _read(scene, bounds, px, is_shifted)
        if found is None:
            continue
        colours, has_data = found
        if not seen.any() and has_data.all():
            return (colours if len(colours) == 3 else colours.repeat(3, axis=0)), has_data
        new = has_data & ~seen
        np.copyto(pixels, colours, where=new)  # a grey picture's one band spreads over the three
        seen |= new
        if seen.all():
            break
    return pixels, seen


def _read(scene: scenes.ShownScene, bounds: grid.Bounds, px: int, is_shifted: bool):
    """The picture's bands and data mask on the bounds; None when it lies elsewhere."""
    try:
        with _pictures.lent(scene) as picture:
            if not picture.touches(bounds):
                return None
            is_smooth = is_shifted or (bounds[2] - bounds[0]) / px < picture.pixel * 0.999
            return picture.read(bounds, px, Resampling.bilinear if is_smooth else Resampling.nearest)
    except (RasterioError, RioTilerError, OSError) as error:
        raise PictureMissing("A picture of this place is missing or damaged on the server.") from error


@dataclass
class _Picture:
    """One open file."""

    dataset: DatasetReader
    # Its overviews, opened as files of their own when first needed.
    overviews: dict[int, DatasetReader] = field(default_factory=dict)

    @cached_property
    def is_mercator(self) -> bool:
        return self.dataset.crs == WEB_MERCATOR

    @cached_property
    def bands(self) -> list[int]:
        roles = enumerate(self.dataset.colorinterp, start=1)
        return [band for band, role in roles if role != ColorInterp.alpha]

    @cached_property
    def grid_step(self) -> tuple[float, float]:
        """Width and height of a pixel in web mercator, as rio-tiler takes it. Asked of PROJ once a file."""
        dataset = self.dataset
        if self.is_mercator:
            return dataset.transform.a, dataset.transform.e
        place, _, _ = calculate_default_transform(
            dataset.crs, WEB_MERCATOR, dataset.width, dataset.height, *dataset.bounds
        )
        return place.a, place.e

    @property
    def pixel(self) -> float:
        return abs(self.grid_step[0])

    @cached_property
    def extent(self) -> grid.Bounds:
        bounds = tuple(self.dataset.bounds)
        return bounds if self.is_mercator else transform_bounds(self.dataset.crs, WEB_MERCATOR, *bounds)

    def touches(self, bounds: grid.Bounds) -> bool:
        west, south, east, north = self.extent
        return bounds[0] < east and bounds[2] > west and bounds[1] < north and bounds[3] > south

    @cached_property
    def is_simple(self) -> bool:
        """Whether its pixels are hidden by a mask of the file or by nothing: what `_window` and `_warped` know."""
        flags = {flag for band in self.dataset.mask_flag_enums for flag in band}
        is_near_a_pole = max(abs(self.extent[1]), abs(self.extent[3])) > grid.HALF_WORLD_M
        return flags <= {MaskFlags.per_dataset, MaskFlags.all_valid} and not is_near_a_pole

    def read(self, bounds: grid.Bounds, px: int, resampling: Resampling) -> tuple[np.ndarray, np.ndarray]:
        if self.is_simple and not self.is_mercator:
            return self._warped(bounds, px)
        window = windows.from_bounds(*bounds, transform=self.dataset.transform) if self.is_mercator else None
        if self.is_simple and window and self._holds(window):
            return self._window(window, px, resampling)
        image = Reader(None, dataset=self.dataset).part(
            bounds,
            bounds_crs=WEB_MERCATOR,
            dst_crs=WEB_MERCATOR,
            width=px,
            height=px,
            resampling_method=resampling.name,
        )
        return image.array.data, ~image.array.mask.all(axis=0)

    def _holds(self, window: windows.Window) -> bool:
        (top, bottom), (left, right) = window.toranges()
        return min(top, left) >= 0 and bottom <= self.dataset.height and right <= self.dataset.width

    def _window(self, window: windows.Window, px: int, resampling: Resampling) -> tuple[np.ndarray, np.ndarray]:
        options = {"window": window, "resampling": resampling}
        pixels = self.dataset.read(self.bands, out_shape=(len(self.bands), px, px), **options)
        if MaskFlags.all_valid in self.dataset.mask_flag_enums[0]:
            return pixels, np.ones((px, px), dtype=bool)
        return pixels, self.dataset.read_masks(1, out_shape=(px, px), **options) > 0

    def _warped(self, bounds: grid.Bounds, px: int) -> tuple[np.ndarray, np.ndarray]:
        """What rio-tiler gets from GDAL's warper: the tile's pixels from the coarsest image of the file that is not
        coarser than they are. Said outright, it takes a tenth of the time."""
        options = {"transform": from_bounds(*bounds, px, px), "width": px, "height": px, "add_alpha": True}
        image = self._image_for((bounds[2] - bounds[0]) / px / self.pixel)
        with WarpedVRT(image, crs=WEB_MERCATOR, dtype=self.dataset.dtypes[0], **options) as warped:
            found = warped.read([*self.bands, warped.count])
        return found[:-1], found[-1] == 255

    def _image_for(self, ratio: float) -> DatasetReader:
        factors = self.dataset.overviews(1)
        level = sum(factor <= ratio for factor in factors) - 1
        if level < 0:
            return self.dataset
        if level not in self.overviews:
            self.overviews[level] = rasterio.open(self.dataset.name, driver="GTiff", overview_level=level)
        return self.overviews[level]

    def close(self) -> None:
        for image in (self.dataset, *self.overviews.values()):
            image.close()


class _Pictures:
    """Open files, lent to one thread at a time: GDAL shares none between threads.

    Opening one costs more than reading a tile of it, and so does decoding a block again that another reader of the file
    still holds. So the one given back last is lent first, and a file has no more readers than work at once.
    """

    def __init__(self):
        # The one given back last at the end.
        self._idle: OrderedDict[tuple[str, str, str], list[_Picture]] = OrderedDict()
        self._n_idle = 0
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(DECODERS)

    @contextmanager
    def lent(self, scene: scenes.ShownScene) -> Iterator[_Picture]:
        """The scene's open file; closed if reading it fails."""
        with self._turns:
            yield from self._lend((settings.MEDIA_ROOT, scene.path, scene.sha256), scene)

    def _lend(self, key: tuple[str, str, str], scene: scenes.ShownScene) -> Iterator[_Picture]:
        picture = self._take(key) or _Picture(rasterio.open(Path(settings.MEDIA_ROOT) / scene.path, driver="GTiff"))
        try:
            yield picture
        except BaseException:
            picture.close()
            raise
        for old in self._give_back(key, picture):
            old.close()

    def _take(self, key: tuple[str, str, str]) -> _Picture | None:
        with self._lock:
            idle = self._idle.get(key)
            if not idle:
                return None
            self._n_idle -= 1
            return idle.pop()

    def _give_back(self, key: tuple[str, str, str], picture: _Picture) -> list[_Picture]:
        """What is to be closed for it: files that nobody has asked for in a while."""
        with self._lock:
            self._idle.setdefault(key, []).append(picture)
            self._idle.move_to_end(key)
            self._n_idle += 1
            gone = []
            while self._n_idle - len(gone) > MAX_IDLE:
                _, pictures = self._idle.popitem(last=False)
                gone += pictures
            self._n_idle -= len(gone)
        return gone


_pictures = _Pictures()
