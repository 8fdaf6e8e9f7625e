"""Blocks of an aligned file as the tiles they are: a slice of the file with the JPEG tables in front, nothing decoded.

Prepared files (`preparation`, `grid`) hold web tiles as JPEG blocks of 256 px and say in a mask which pixels are shown.
Where the mask of a block is full, the block is the tile. Everything else is said to be `decode`. No Django.
"""

import math
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

from labels.imagery import grid, tiff
from labels.imagery.tiff import Damaged

# How much of a tile a file shows; "decode" where its blocks do not tell.
Coverage = Literal["none", "partial", "full", "decode"]

MAX_KEPT_FILES = 200  # open at once in this process
MAX_KEPT_BYTES = 64 * 1024 * 1024  # of addresses
MAX_BLOCK_BYTES = 1024 * 1024  # 256 x 256 pixels of three bytes, and then as much again five times

JPEG, DEFLATE, OLD_DEFLATE = 7, 8, 32946
GREY, YCBCR, MASK = 1, 6, 4  # photometric interpretations
OVERVIEW = 1  # kind of subfile
SOI, EOI = b"\xff\xd8", b"\xff\xd9"
# Says that three components are YCbCr as TIFF means it, so that no browser has to guess.
JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
FRAMES = {0xC0, 0xC1, 0xC2}
STATES: tuple[Coverage, ...] = ("decode", "none", "partial", "full")


@dataclass(frozen=True, slots=True)
class _Level:
    """The blocks of one zoom: column and row of the first one among the world's tiles, and how many there are."""

    left: int
    top: int
    columns: int
    rows: int
    offsets: object
    counts: object
    # SOI, markers and tables that go before the block's own bytes.
    head: bytes
    n_bands: int
    mask: tiff.Image | None
    # What is known of each block's mask: 0 nothing yet, else one more than the index in STATES.
    states: bytearray = field(repr=False)

    def number_of(self, x: int, y: int) -> int | None:
        column, row = x - self.left, y - self.top
        return row * self.columns + column if 0 <= column < self.columns and 0 <= row < self.rows else None


class AlignedFile:
    """The structure of one file, read once. Threads share it: it only ever reads."""

    def __init__(self, path: str):
        self._file = tiff.File(path)
        images = tiff.read_images(self._file)
        self._levels = _levels(images)
        self.n_bytes = sum(image.n_bytes for image in images) + sum(len(each.states) for each in self._levels.values())

    @property
    def zooms(self) -> list[int]:
        """Zooms whose tiles are blocks of the file; none when it is not aligned."""
        return sorted(self._levels)

    def coverage(self, z: int, x: int, y: int) -> Coverage:
        level = self._levels.get(z)
        if level is None:
            return "decode"
        number = level.number_of(x, y)
        if number is None:
            return "none"
        if not level.states[number]:
            level.states[number] = STATES.index(self._look(level, number)) + 1
        return STATES[level.states[number] - 1]

    def jpeg(self, z: int, x: int, y: int) -> bytes:
        """The tile, to be asked only where the coverage is full."""
        level = self._levels[z]
        number = level.number_of(x, y)
        block = self._block(level, number)
        return level.head + block[2:]

    def _block(self, level: _Level, number: int) -> bytes:
        count = level.counts[number]
        if not 4 < count <= MAX_BLOCK_BYTES:
            raise Damaged("A block of the file has an impossible size.")
        block = self._file.read(level.offsets[number], count)
        if not (block.startswith(SOI) and block.endswith(EOI)):
            raise Damaged("A block of the file is not a JPEG.")
        _check_frame(block, level.n_bands)
        return block

    def _look(self, level: _Level, number: int) -> Coverage:
        """What the mask says of a block. Left-out blocks are hidden ones: that is how preparation writes them."""
        if level.mask is None:
            return "full" if level.counts[number] else "decode"
        offset, count = level.mask.tags[tiff.OFFSETS][number], level.mask.tags[tiff.COUNTS][number]
        if not count:
            return "none"
        side = grid.TILE_PX
        n_bytes = side * side // 8 * level.mask.number(tiff.BITS, 1)
        if count > 2 * n_bytes + 1024:
            raise Damaged("A block of the mask has an impossible size.")
        mask = _inflated(self._file.read(offset, count), n_bytes)
        if mask.count(b"\0") == n_bytes:
            return "none"
        is_full = mask.count(b"\xff") == n_bytes
        return "partial" if not is_full else "full" if level.counts[number] else "decode"


def _inflated(data: bytes, n_bytes: int) -> bytes:
    try:
        found = zlib.decompressobj().decompress(data, n_bytes + 1)
    except zlib.error as error:
        raise Damaged("A block of the mask is damaged.") from error
    if len(found) != n_bytes:
        raise Damaged("A block of the mask has another size than stated.")
    return found


def _check_frame(block: bytes, n_bands: int) -> None:
    """The block is a picture of the tile's size and bands: an address that leads elsewhere in the file is not sent."""
    at, end = 2, len(block)
    while at + 9 < end and block[at] == 0xFF:
        if block[at + 1] in FRAMES:
            height, width = int.from_bytes(block[at + 5 : at + 7]), int.from_bytes(block[at + 7 : at + 9])
            if (width, height, block[at + 9]) == (grid.TILE_PX, grid.TILE_PX, n_bands):
                return
            break
        at += 2 + int.from_bytes(block[at + 2 : at + 4])
    raise Damaged("A block of the file is not a tile.")


def _levels(images: list[tiff.Image]) -> dict[int, _Level]:
    """Zoom -> blocks, for the images that lie on the tile grid; empty for a file that does not."""
    if not images:
        raise Damaged("The file holds no image.")
    place = _place(images[0])
    if place is None:
        return {}
    zoom, left, top = place
    masks = {image.size: image for image in images if _is_mask(image)}
    full_size, found = images[0].size, {}
    for image in [images[0], *(each for each in images[1:] if each.number(tiff.SUBFILE, 0) == OVERVIEW)]:
        shrink = _shrink(image.size, full_size)
        if shrink is None or shrink > zoom or zoom - shrink in found or left % 2**shrink or top % 2**shrink:
            continue
        level = _level(image, masks.get(image.size), left >> shrink, top >> shrink, bool(masks))
        if level is not None:
            found[zoom - shrink] = level
    return found


def _is_mask(image: tiff.Image) -> bool:
    return bool(image.number(tiff.SUBFILE, 0) & 4)


def _shrink(size: tuple[int, int], full: tuple[int, int]) -> int | None:
    """How many times the image was halved; None for a size that halving does not give."""
    for times in range(grid.MAX_ZOOM + 1):
        if size == (-(-full[0] // 2**times), -(-full[1] // 2**times)):
            return times
    return None


def _place(image: tiff.Image) -> tuple[int, int, int] | None:
    """Zoom, column and row of the image's first block, if it lies on the grid of web tiles."""
    scale, tie = image.tags.get(tiff.PIXEL_SCALE), image.tags.get(tiff.TIEPOINT)
    if not scale or not tie or len(scale) < 2 or len(tie) != 6 or any(tie[:2]) or not _is_web_mercator(image):
        return None
    if not (scale[0] > 0 and math.isclose(scale[0], scale[1], rel_tol=1e-9)):
        return None
    zoom = round(math.log2(grid.resolution(0) / scale[0]))
    if not 0 <= zoom <= grid.MAX_ZOOM:
        return None
    pixel = grid.resolution(zoom)
    column, row = (
        (tie[3] + grid.HALF_WORLD_M) / pixel / grid.TILE_PX,
        (grid.HALF_WORLD_M - tie[4]) / pixel / grid.TILE_PX,
    )
    drift = abs(scale[0] / pixel - 1) * max(image.size)
    if max(abs(column - round(column)), abs(row - round(row))) * grid.TILE_PX > 0.01 or drift > 0.01:
        return None
    return zoom, round(column), round(row)


def _is_web_mercator(image: tiff.Image) -> bool:
    keys = image.tags.get(tiff.GEO_KEYS)
    if not keys or len(keys) < 4 or len(keys) < 4 + 4 * keys[3]:
        return False
    values = {keys[4 * k]: keys[4 * k + 3] for k in range(1, keys[3] + 1) if keys[4 * k + 1] == 0}
    return values.get(1024) == 1 and values.get(1025, 1) == 1 and values.get(3072) == 3857


def _level(image: tiff.Image, mask: tiff.Image | None, left: int, top: int, has_masks: bool) -> _Level | None:
    """The image's blocks if they can be sent as they are; None if they must be decoded."""
    n_bands = image.number(tiff.SAMPLES, 1)
    is_plain = image.number(tiff.COMPRESSION, 1) == JPEG and image.number(tiff.PLANAR, 1) == 1
    is_colour = (n_bands, image.number(tiff.PHOTOMETRIC, -1)) in ((1, GREY), (3, YCBCR))
    hides_elsehow = tiff.NODATA in image.tags or tiff.EXTRA_SAMPLES in image.tags or (has_masks and mask is None)
    if not (is_plain and is_colour and _has_tiles(image)) or hides_elsehow:
        return None
    if mask is not None and not _is_readable(mask):
        return None
    _check_lists(image)
    columns, rows = image.n_blocks
    head = SOI + JFIF + _tables(image)
    lists = image.tags[tiff.OFFSETS], image.tags[tiff.COUNTS]
    return _Level(left, top, columns, rows, *lists, head, n_bands, mask, bytearray(columns * rows))


def _has_tiles(image: tiff.Image) -> bool:
    """Blocks of a tile's size, none of which reaches beyond the image."""
    side = (image.number(tiff.BLOCK_WIDTH, 0), image.number(tiff.BLOCK_HEIGHT, 0))
    bits = image.tags.get(tiff.BITS)
    is_whole = not any(length % grid.TILE_PX for length in image.size)
    return side == (grid.TILE_PX, grid.TILE_PX) and is_whole and bool(bits) and set(bits) == {8}


def _is_readable(mask: tiff.Image) -> bool:
    side = (mask.number(tiff.BLOCK_WIDTH, 0), mask.number(tiff.BLOCK_HEIGHT, 0))
    is_packed = mask.number(tiff.COMPRESSION, 1) in (DEFLATE, OLD_DEFLATE) and mask.number(tiff.PREDICTOR, 1) == 1
    bits = mask.number(tiff.BITS, 1)
    if not (
        side == (grid.TILE_PX, grid.TILE_PX) and is_packed and bits in (1, 8) and mask.number(tiff.SAMPLES, 1) == 1
    ):
        return False
    _check_lists(mask)
    return mask.number(tiff.PHOTOMETRIC, -1) == MASK


def _check_lists(image: tiff.Image) -> None:
    columns, rows = image.n_blocks
    if {len(image.tags.get(tag, b"")) for tag in (tiff.OFFSETS, tiff.COUNTS)} != {columns * rows}:
        raise Damaged("The file lists more or fewer blocks than it has.")


def _tables(image: tiff.Image) -> bytes:
    """The tables that the image's blocks share, without their frame."""
    tables = bytes(image.tags.get(tiff.JPEG_TABLES, b""))
    if not tables:
        return b""
    if not (tables.startswith(SOI) and tables.endswith(EOI)):
        raise Damaged("The JPEG tables of the file are damaged.")
    return tables[2:-2]


class Kept:
    """Files whose structure is known in this process, the latest used last; bounded in number and in memory."""

    def __init__(self, max_files: int = MAX_KEPT_FILES, max_bytes: int = MAX_KEPT_BYTES):
        self._files: OrderedDict[tuple[str, str], AlignedFile] = OrderedDict()
        self._lock = threading.Lock()
        self._max_files, self._max_bytes, self._n_bytes = max_files, max_bytes, 0

    def get(self, path: str, sha256: str) -> AlignedFile:
        key = (path, sha256)
        with self._lock:
            found = self._files.get(key)
            if found is not None:
                self._files.move_to_end(key)
                return found
        found = AlignedFile(path)  # outside the lock: two threads may read one file, none waits for another's disk
        with self._lock:
            self._forget(key)
            self._files[key], self._n_bytes = found, self._n_bytes + found.n_bytes
            while len(self._files) > 1 and (len(self._files) > self._max_files or self._n_bytes > self._max_bytes):
                self._forget(next(iter(self._files)))
        return found

    def forget(self, path: str, sha256: str) -> None:
        with self._lock:
            self._forget((path, sha256))

    def _forget(self, key: tuple[str, str]) -> None:
        old = self._files.pop(key, None)
        if old is not None:
            self._n_bytes -= old.n_bytes


kept = Kept()
