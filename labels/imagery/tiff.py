"""The structure of a TIFF file, believed in nothing: where the blocks of each of its images lie. No Django.

GDAL reads pixels; this reads addresses, so that a block can be sent as it is. Every number that a file states is
checked against the file before it is used: a list that leads out of it, or a chain that bites its tail, is `Damaged`.
"""

import os
import struct
import sys
from array import array
from dataclasses import dataclass

MAX_IFDS = 64
MAX_TAGS = 200
MAX_BLOCKS = 4_000_000  # of one image: 32 MB of addresses
MAX_TABLES = 4096  # bytes of JPEG tables
CHEAP = 64 * 1024  # read at once: in a cloud-optimised file the structure comes first

(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR) = (256, 257, 258, 259, 262, 277, 284)
(SUBFILE, PREDICTOR, BLOCK_WIDTH, BLOCK_HEIGHT, OFFSETS, COUNTS) = (254, 317, 322, 323, 324, 325)
(EXTRA_SAMPLES, JPEG_TABLES, PIXEL_SCALE, TIEPOINT, GEO_KEYS, NODATA) = (338, 347, 33550, 33922, 34735, 42113)
WANTED = {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, SUBFILE, PREDICTOR, BLOCK_WIDTH}
WANTED |= {BLOCK_HEIGHT, OFFSETS, COUNTS, EXTRA_SAMPLES, JPEG_TABLES, PIXEL_SCALE, TIEPOINT, GEO_KEYS, NODATA}

# TIFF type -> array type code; what is not here is bytes.
_TYPES = {3: "H", 4: "I", 8: "h", 9: "i", 12: "d", 13: "I", 16: "Q", 18: "Q"}
_SIZES = {"H": 2, "h": 2, "I": 4, "i": 4, "d": 8, "Q": 8}


class Damaged(Exception):
    """The file states something about itself that cannot be."""


class File:
    """An open file; closed when nobody holds it any more, so that no thread reads from a descriptor given anew."""

    def __init__(self, path):
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size
        self._head = os.pread(self._descriptor, CHEAP, 0)

    def __del__(self):
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def read(self, offset: int, size: int) -> bytes:
        """Exactly these bytes; Damaged if the file does not have them."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise Damaged("An address leads out of the file.")
        if offset + size <= len(self._head):
            return self._head[offset : offset + size]
        found = os.pread(self._descriptor, size, offset)
        if len(found) != size:
            raise Damaged("The file is shorter than it was.")
        return found


@dataclass(frozen=True, slots=True)
class Image:
    """One image of the file: the picture, an overview, or a mask of either."""

    tags: dict[int, array | bytes]

    def number(self, tag: int, default: int | None = None) -> int:
        values = self.tags.get(tag)
        if not values:
            if default is None:
                raise Damaged(f"A TIFF image lacks the tag {tag}.")
            return default
        return int(values[0])

    @property
    def size(self) -> tuple[int, int]:
        return self.number(WIDTH), self.number(HEIGHT)

    @property
    def n_blocks(self) -> tuple[int, int]:
        """Columns and rows of blocks."""
        (width, height), across, down = self.size, self.number(BLOCK_WIDTH), self.number(BLOCK_HEIGHT)
        return -(-width // max(1, across)), -(-height // max(1, down))

    @property
    def n_bytes(self) -> int:
        """Memory that it holds."""
        return sum(len(values) * getattr(values, "itemsize", 1) for values in self.tags.values())


def read_images(file: File) -> list[Image]:
    """Every image of the file, in its order."""
    order, is_big, first = _header(file)
    images, seen, offset = [], set(), first
    while offset:
        if offset in seen or len(images) >= MAX_IFDS:
            raise Damaged("The chain of images in the file does not end.")
        seen.add(offset)
        image, offset = _read_ifd(file, offset, order, is_big)
        images.append(image)
    return images


def _header(file: File) -> tuple[str, bool, int]:
    head = file.read(0, 16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        raise Damaged("The file is not a TIFF.")
    magic = struct.unpack(order + "H", head[2:4])[0]
    if magic == 42:
        return order, False, struct.unpack(order + "I", head[4:8])[0]
    if magic == 43 and struct.unpack(order + "HH", head[4:8]) == (8, 0):
        return order, True, struct.unpack(order + "Q", head[8:16])[0]
    raise Damaged("The file is not a TIFF.")


def _read_ifd(file: File, offset: int, order: str, is_big: bool) -> tuple[Image, int]:
    count_form, entry_form, next_form = ("Q", "HHQ8s", "Q") if is_big else ("H", "HHI4s", "I")
    count_size = struct.calcsize(order + count_form)
    n_tags = struct.unpack(order + count_form, file.read(offset, count_size))[0]
    if n_tags > MAX_TAGS:
        raise Damaged("An image of the file has too many tags.")
    entry = struct.Struct(order + entry_form)
    listed = file.read(offset + count_size, n_tags * entry.size)
    tags = {}
    for tag, kind, count, inline in entry.iter_unpack(listed):
        if tag in WANTED:
            tags[tag] = _values(file, tag, kind, count, inline, order)
    after = offset + count_size + n_tags * entry.size
    next_size = struct.calcsize(order + next_form)
    return Image(tags), struct.unpack(order + next_form, file.read(after, next_size))[0]


def _values(file: File, tag: int, kind: int, count: int, inline: bytes, order: str) -> array | bytes:
    code = _TYPES.get(kind)
    if count > (MAX_BLOCKS if tag in (OFFSETS, COUNTS) else MAX_TABLES):
        raise Damaged(f"The tag {tag} has too many values.")
    n_bytes = count * (_SIZES[code] if code else 1)
    if n_bytes <= len(inline):
        data = inline[:n_bytes]
    else:
        data = file.read(struct.unpack(order + ("Q" if len(inline) == 8 else "I"), inline)[0], n_bytes)
    if code is None:
        return data
    values = array(code, data)
    if (order == "<") != (sys.byteorder == "little"):
        values.byteswap()
    return values
