"""A tile of a source: a block of the file as it is where that can be, else pixels read and packed anew."""

import hashlib
import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from django.conf import settings
from PIL import Image

from labels.errors import LabelsError
from labels.imagery import blocks, decoding, grid, index, scenes
from labels.imagery.decoding import PictureMissing, compose
from labels.models import ImagerySource

__all__ = ["NoSuchTile", "PictureMissing", "Tile", "Wanted", "check_address", "compose", "etag", "render", "tile"]

JPEG_QUALITY = 80
WEBP_QUALITY = 80
# Measured: 4 kB where a JPEG of the same tile has 10.
LIGHT_QUALITY = 45
# 0 to 6: more takes two to four times as long and saves no byte (docs/tiles.md).
WEBP_EFFORT = 0
SIZES_PX = (grid.TILE_PX, 2 * grid.TILE_PX)
# Part of every ETag: raise it when the same pictures give other bytes.
RENDERING = "2"


class NoSuchTile(LabelsError):
    """The address is outside the world or deeper than we serve."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a tile is to be packed."""

    px: int = grid.TILE_PX
    is_light: bool = False
    # "lossless" for programs that ask for PNG alone; browsers take what is smallest.
    packing: Literal["any", "lossless"] = "any"


@dataclass(frozen=True, slots=True)
class Tile:
    content: bytes
    content_type: str
    # How much of the tile shows imagery: none, partial or full.
    imagery: str
    # Whether the bytes are the file's own.
    is_block: bool = False


PLAIN = Wanted()


def tile(
    source: ImagerySource, z: int, x: int, y: int, date: scenes.Day = None, wanted: Wanted = PLAIN, band: str = ""
) -> Tile:
    """The tile of a source as a member sees it. Asks nothing about rights or roles: that is the view's work."""
    check_address(z, x, y)
    return render(index.shown(index.current(source), z, x, y, date, band), z, x, y, wanted)


def check_address(z: int, x: int, y: int) -> None:
    if not grid.holds_tile(z, x, y):
        raise NoSuchTile("There is no such tile.")


def etag(shown: scenes.Shown, z: int, x: int, y: int, wanted: Wanted = PLAIN) -> str:
    """Known before any pixel is read: which pictures, which shift, which place, which packing."""
    text = f"{RENDERING} {shown.version} {z}/{x}/{y} {wanted.px} {wanted.is_light} {wanted.packing}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def render(shown: scenes.Shown, z: int, x: int, y: int, wanted: Wanted = PLAIN) -> Tile:
    found = _from_blocks(shown, z, x, y, wanted)
    if found is not None:
        return found
    pixels, seen = compose(shown, z, x, y, wanted.px)
    if not seen.any():
        return NOTHING
    return _packed(pixels, seen, wanted)


def _from_blocks(shown: scenes.Shown, z: int, x: int, y: int, wanted: Wanted) -> Tile | None:
    """The block of the first picture that shows something here, if it shows it all; None if pixels must be read.

    A picture whose mask is empty here is passed over without being decoded.
    """
    if shown.offset_east_m or shown.offset_north_m:
        return None
    for scene in shown.scenes[: decoding.MAX_SCENES]:
        path = f"{settings.MEDIA_ROOT}/{scene.path}"
        try:
            file = blocks.kept.get(path, scene.sha256)
            coverage = file.coverage(z, x, y)
            if coverage == "full" and wanted == PLAIN:
                return Tile(file.jpeg(z, x, y), "image/jpeg", "full", is_block=True)
        except (blocks.Damaged, OSError) as error:
            blocks.kept.forget(path, scene.sha256)
            raise PictureMissing("A picture of this place is missing or damaged on the server.") from error
        if coverage != "none":
            return None
    return NOTHING


def _packed(pixels: np.ndarray, seen: np.ndarray, wanted: Wanted) -> Tile:
    """JPEG where the tile is full, WebP where it is not or is to be light."""
    is_full = bool(seen.all())
    imagery = "full" if is_full else "partial"
    bands = pixels if is_full else np.concatenate([pixels, seen[None] * np.uint8(255)])
    picture = Image.fromarray(np.ascontiguousarray(bands.transpose(1, 2, 0)))
    if wanted.packing == "lossless":
        return Tile(_saved(picture, "PNG", compress_level=3), "image/png", imagery)
    if is_full and not wanted.is_light:
        return Tile(_saved(picture, "JPEG", quality=JPEG_QUALITY), "image/jpeg", imagery)
    # Lossy colours, exact edges: a PNG of the same tile is five to ten times larger.
    quality = LIGHT_QUALITY if wanted.is_light else WEBP_QUALITY
    return Tile(_saved(picture, "WEBP", quality=quality, method=WEBP_EFFORT), "image/webp", imagery)


def _saved(picture: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


# Of 256 px for both sizes: browsers stretch a tile to its place, and there is nothing to see.
TRANSPARENT = _saved(Image.new("LA", (grid.TILE_PX, grid.TILE_PX)), "PNG", optimize=True)
NOTHING = Tile(TRANSPARENT, "image/png", "none")
