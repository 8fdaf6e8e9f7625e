"""A tile of a source: its pictures read, the newest on top; sent as JPEG where it is full, as WebP where it is not."""

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from django.conf import settings
from PIL import Image
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.io import Reader

from labels import geo
from labels.errors import LabelsError
from labels.imagery import grid, scenes
from labels.models import ImagerySource

N_READERS = 24  # kept open per thread
MAX_SCENES = 40  # on one tile; a tile of the whole world must not open every file of a country
JPEG_QUALITY = 80
WEBP_QUALITY = 80
# Part of every ETag: raise it when the same pictures give other bytes.
RENDERING = "1"
WEB_MERCATOR = CRS.from_epsg(3857)


class NoSuchTile(LabelsError):
    """The address is outside the world or deeper than we serve."""


class PictureMissing(LabelsError):
    """A picture that belongs on the tile cannot be read; showing what lies below it would pass for it."""


@dataclass(frozen=True)
class Tile:
    content: bytes
    content_type: str
    etag: str
    # How much of the tile shows imagery: none, partial or full.
    imagery: str


def tile(source: ImagerySource, z: int, x: int, y: int, date: scenes.Day = None) -> Tile:
    """The tile of a source as a member sees it. Asks nothing about rights or roles: that is the view's work."""
    check_address(z, x, y)
    rows = scenes.rows_for_tile(ImagerySource.objects.filter(pk=source.pk), z, x, y, date)
    return render(scenes.shown(rows), z, x, y)


def check_address(z: int, x: int, y: int) -> None:
    if not grid.holds_tile(z, x, y):
        raise NoSuchTile("There is no such tile.")


def etag(shown: scenes.Shown, z: int, x: int, y: int) -> str:
    """Known before any pixel is read: which pictures, which shift, which place."""
    text = f"{RENDERING} {shown.version} {z}/{x}/{y}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def render(shown: scenes.Shown, z: int, x: int, y: int) -> Tile:
    pixels, seen = compose(shown, z, x, y)
    if not seen.any():
        return Tile(TRANSPARENT, "image/png", etag(shown, z, x, y), "none")
    if seen.all():
        return Tile(_jpeg(pixels), "image/jpeg", etag(shown, z, x, y), "full")
    return Tile(_webp(pixels, seen), "image/webp", etag(shown, z, x, y), "partial")


def compose(shown: scenes.Shown, z: int, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours (3, 256, 256) and where a picture is (256, 256): each pixel from the first picture that has it."""
    bounds = grid.shifted(geo.tile_bounds_m(z, x, y), -shown.offset_east_m, -shown.offset_north_m)
    is_shifted = bool(shown.offset_east_m or shown.offset_north_m)
    pixels = np.zeros((3, grid.TILE_PX, grid.TILE_PX), dtype="uint8")
    seen = np.zeros((grid.TILE_PX, grid.TILE_PX), dtype=bool)
    for scene in shown.scenes[:MAX_SCENES]:
        found = _read(scene, (z, x, y), bounds if is_shifted else None)
        if found is None:
            continue
        colours, has_data = found
        new = has_data & ~seen
        np.copyto(pixels, colours, where=new)  # a grey picture's one band spreads over the three
        seen |= new
        if seen.all():
            break
    return pixels, seen


def _read(scene: scenes.ShownScene, address: tuple[int, int, int], bounds: grid.Bounds | None):
    """The picture's bands and data mask on the tile, or on shifted bounds; None when it lies elsewhere."""
    try:
        reader, max_zoom = _readers.get(scene)
        z, x, y = address
        smooth = {"resampling_method": "bilinear"} if bounds or z > max_zoom else {}
        if bounds is None:
            image = reader.tile(x, y, z, tilesize=grid.TILE_PX, **smooth)
        else:
            image = reader.part(
                bounds,
                bounds_crs=WEB_MERCATOR,
                dst_crs=WEB_MERCATOR,
                width=grid.TILE_PX,
                height=grid.TILE_PX,
                **smooth,
            )
    except TileOutsideBounds:
        return None
    except (RasterioError, OSError) as error:
        _readers.forget(scene)
        raise PictureMissing("A picture of this place is missing or damaged on the server.") from error
    return image.array.data, ~image.array.mask.all(axis=0)


class _Readers(threading.local):
    """Open files of this thread: opening one costs more than reading a tile of it. GDAL datasets are not shared."""

    def __init__(self):
        self._open: OrderedDict[str, tuple[Reader, int]] = OrderedDict()

    def get(self, scene: scenes.ShownScene) -> tuple[Reader, int]:
        key = f"{settings.MEDIA_ROOT} {scene.path} {scene.sha256}"
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        dataset = rasterio.open(Path(settings.MEDIA_ROOT) / scene.path, driver="GTiff")
        self._open[key] = Reader(None, dataset=dataset), _max_zoom(dataset)
        while len(self._open) > N_READERS:
            self._close(self._open.popitem(last=False)[1])
        return self._open[key]

    def forget(self, scene: scenes.ShownScene) -> None:
        found = self._open.pop(f"{settings.MEDIA_ROOT} {scene.path} {scene.sha256}", None)
        if found:
            self._close(found)

    def _close(self, entry: tuple[Reader, int]) -> None:
        entry[0].dataset.close()


_readers = _Readers()


def _max_zoom(dataset) -> int:
    return round(np.log2(grid.resolution(0) / dataset.res[0]))


def _jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def _webp(pixels: np.ndarray, seen: np.ndarray) -> bytes:
    """Lossy colours, exact edges: a PNG of the same tile is five to ten times larger."""
    colours = np.concatenate([pixels, seen[None] * np.uint8(255)]).transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(colours)).save(file, "WEBP", quality=WEBP_QUALITY, method=2)
    return file.getvalue()


def _transparent() -> bytes:
    file = io.BytesIO()
    Image.new("LA", (grid.TILE_PX, grid.TILE_PX)).save(file, "PNG", optimize=True)
    return file.getvalue()


TRANSPARENT = _transparent()
