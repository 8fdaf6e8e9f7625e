"""Files of features and models: arrays in npz files whose bytes depend on the arrays alone. No pickle, either way.

An archive's entries are stored, not deflated, in the order of their names, without times, their data on multiples of 64
bytes: equal arrays are equal files, and big ones are mapped into memory instead of read.
"""

import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labels import geo
from labels.errors import BadInput, LabelsError
from labels.whole_file import whole_file
from predictions.models import FeatureSet

FEATURES = "features.npz"
# A cell of which more is hidden is neither learned from nor scored.
MOST_MISSING = 0.2
BLOCK_BYTES = 8 * 1024**2
ALIGNMENT = 64
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment a zip file can name
_ZIP64_FROM = 2**31 - 1  # bytes of an entry, as zipfile decides
# What zipfile and numpy make of a file whose bytes have changed; the middle two of a changed method, flag or version.
_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, KeyError, zipfile.BadZipFile, zlib.error, struct.error)
_PADDING = 0xD935  # the extra field by which others align entries, too


class FileDamaged(LabelsError):
    """A stored file is missing, cannot be read, or is not what its row was written for."""


# ---- arrays as files ----


@dataclass(frozen=True)
class Streamed:
    """An array that is written block by block: `blocks` follow each other along the first axis."""

    dtype: np.dtype
    shape: tuple[int, ...]
    blocks: Iterable[NDArray]


def write_arrays(path: Path, **arrays: NDArray | Streamed) -> str:
    """Write the arrays into one npz file, whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder is made where it is missing. It gets the name only once its bytes are on the disk.
    **arrays : array, or Streamed
        Numbers, booleans or text (dtype U), of any shape. Written little-endian, in C order, sorted by name.

    Returns
    -------
    str
        SHA-256 of the file, which depends on names, dtypes, shapes and values alone.

    Raises
    ------
    DiskFull
        If there is no room.
    ValueError
        If an array holds Python objects, or the blocks of a Streamed do not add up to its shape.
    """
    with whole_file(path) as unfinished:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name in sorted(arrays):
                _write_entry(archive, name, _streamed(arrays[name]))
        return sha256_of(unfinished)


def _streamed(array: NDArray | Streamed) -> Streamed:
    if isinstance(array, Streamed):
        return Streamed(_plain(np.dtype(array.dtype)), tuple(map(int, array.shape)), array.blocks)
    array = np.asarray(array)
    return Streamed(_plain(array.dtype), array.shape, [array])


def _plain(dtype: np.dtype) -> np.dtype:
    if dtype.kind not in "biufU":
        raise ValueError(f"arrays of {dtype} are not stored: numbers, booleans and text are")
    return dtype.newbyteorder("<")


def _write_entry(archive: zipfile.ZipFile, name: str, array: Streamed) -> None:
    header = BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(header, described)
    n_bytes = prod(array.shape) * array.dtype.itemsize
    entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
    entry.create_system, entry.external_attr = 3, 0o600 << 16
    entry.file_size = header.tell() + n_bytes
    is_big = entry.file_size * 1.05 > _ZIP64_FROM
    entry.extra = _padding(archive.fp.tell() + 30 + len(entry.filename) + (20 if is_big else 0))
    n_written = 0
    with archive.open(entry, "w", force_zip64=is_big) as file:
        file.write(header.getvalue())
        for block in array.blocks:
            block = np.asarray(block, dtype=array.dtype, order="C")
            if block.ndim != len(array.shape) or block.shape[1:] != array.shape[1:]:
                raise ValueError(f"a block of {name} has shape {block.shape}, the array {array.shape}")
            n_written += block.nbytes
            file.write(np.atleast_1d(block).reshape(-1).view(np.uint8).data if block.nbytes else b"")
    if n_written != n_bytes:
        raise ValueError(f"the blocks of {name} hold {n_written} bytes; shape {array.shape} needs {n_bytes}")


def _padding(offset: int) -> bytes:
    """An extra field after which the entry's data start on a multiple of ALIGNMENT; an npy header keeps that."""
    length = -(offset + 4) % ALIGNMENT
    return struct.pack("<HH", _PADDING, length) + bytes(length)


def read_arrays(path: Path, *, sha256: str | None = None) -> dict[str, NDArray]:
    """The arrays of an npz file, big ones mapped into memory (read-only); with `sha256` only if the file has it.

    Raises FileDamaged where the file is missing, is no npz file, holds Python objects, or is not the one named.
    """
    try:
        if sha256 is not None and sha256_of(path) != sha256:
            raise FileDamaged(_("The file %(file)s was changed or damaged on the server.") % {"file": path.name})
        return dict(_entries(path))
    except FileNotFoundError as error:
        raise FileDamaged(_("The file %(file)s is missing on the server.") % {"file": path.name}) from error
    except _UNREADABLE as error:
        raise FileDamaged(_("The file %(file)s cannot be read.") % {"file": path.name}) from error


def _entries(path: Path) -> Iterator[tuple[str, NDArray]]:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if entry.compress_type == zipfile.ZIP_STORED and entry.file_size > BLOCK_BYTES:
                yield name, _mapped(path, file, entry)
            else:
                with archive.open(entry) as stream:
                    yield name, np.lib.format.read_array(stream, allow_pickle=False)


def _mapped(path: Path, file, entry: zipfile.ZipInfo) -> NDArray:
    file.seek(entry.header_offset)
    local = file.read(30)
    n_name, n_extra = struct.unpack("<HH", local[26:30])
    file.seek(n_name + n_extra, os.SEEK_CUR)
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, is_fortran, dtype = read_header[version](file)
    if dtype.hasobject:
        raise ValueError("Python objects are not read")
    return np.memmap(path, dtype, "r", file.tell(), shape, "F" if is_fortran else "C")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- features of grid cells ----


@dataclass(frozen=True)
class ChosenRows:
    """Some rows of a large array, read only when they are asked for."""

    array: NDArray
    rows: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.array.shape[1:])

    def __getitem__(self, index: NDArray | slice) -> NDArray:
        return self.array[self.rows[index]]


@dataclass(frozen=True)
class Features:
    """What a feature set holds: one row per grid cell, from north to south, then from west to east."""

    # (n, 2) int32: column and row on the MOSAIKS grid, floor of 100 times longitude and latitude.
    cells: NDArray[np.int32]
    # (n, p) float32; nan where there is no imagery. Mapped into memory where large.
    features: NDArray[np.float32] | ChosenRows
    # (n, 3) float32: mean and standard deviation of red, green and blue, 0 to 255; nan where unknown.
    means: NDArray[np.float32]
    stds: NDArray[np.float32]
    # (n,) float32: share of the cell without imagery, 0 to 1.
    missing: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """(n,): which cells have features to learn from and to be scored by: at most MOST_MISSING of them is hidden."""
        return self.missing <= MOST_MISSING

    def within(self, rows: NDArray[np.int64]) -> "Features":
        """Some of the rows, in ascending order. Features that are mapped into memory stay there."""
        return Features(
            self.cells[rows], ChosenRows(self.features, rows), self.means[rows], self.stds[rows], self.missing[rows]
        )

    def arrays(self) -> dict[str, NDArray]:
        return {name: getattr(self, name) for name in ("cells", "features", "means", "stds", "missing")}


def load_features(feature_set: FeatureSet, *, check: bool = True) -> Features:
    """The features of a set that is ready, as they were hashed (`check` reads the whole file for it).

    Raises BadInput where the set is not ready, FileDamaged where its file is not what it was.
    """
    if not feature_set.is_ready:
        raise BadInput(_("The features %(name)s are not ready yet.") % {"name": feature_set.name})
    sha256 = feature_set.content_sha256 if check else None
    arrays = read_arrays(feature_set.folder / FEATURES, sha256=sha256)
    try:
        found = Features(**{name: arrays[name] for name in ("cells", "features", "means", "stds", "missing")})
    except KeyError as error:
        raise FileDamaged(_("The file %(file)s cannot be read.") % {"file": FEATURES}) from error
    return found


def sorted_cells(cells: NDArray[np.int32]) -> NDArray[np.intp]:
    """The order of a feature set's rows: by row from the north, then by column from the west."""
    cells = np.asarray(cells)
    return np.lexsort([cells[:, 0], -cells[:, 1].astype(np.int64)])


def cell_keys(cells: NDArray[np.int32]) -> NDArray[np.int64]:
    """One number per cell, shape (n,), that rises in the order of a feature set's rows."""
    cells = np.asarray(cells, dtype=np.int64)
    return (90 * geo.CELLS_PER_DEGREE - 1 - cells[..., 1]) * 360 * geo.CELLS_PER_DEGREE + (
        cells[..., 0] + 180 * geo.CELLS_PER_DEGREE
    )


def cells_of(lon: NDArray, lat: NDArray) -> NDArray[np.int32]:
    """Column and row, shape (n, 2), of the cells that hold points; a point on an edge as `labels.geo` says."""
    scaled = np.column_stack([np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)]) * geo.CELLS_PER_DEGREE
    return np.floor(scaled + geo.EDGE_TOLERANCE).astype(np.int32)


def centres_of(cells: NDArray[np.int32]) -> NDArray[np.float64]:
    """Lon and lat of the cells' centres, shape (n, 2): the floats nearest to x.xx5."""
    return (2 * np.asarray(cells, dtype=np.int64) + 1) / (2 * geo.CELLS_PER_DEGREE)


def cell_names(cells: NDArray[np.int32]) -> list[str]:
    """Names of the cells as everywhere else: 'lon_-0.125__lat_11.135'."""
    return geo.grid_cell_ids(*centres_of(cells).T).tolist() if len(cells) else []


def rows_of(cells: NDArray[np.int32], wanted: NDArray[np.int32]) -> NDArray[np.int64]:
    """Where the wanted cells stand among `cells` (in a feature set's order), shape (m,); -1 for those not there."""
    keys, asked = cell_keys(cells), cell_keys(wanted)
    at = np.minimum(np.searchsorted(keys, asked), max(len(keys) - 1, 0))
    return np.where(keys[at] == asked, at, -1) if len(keys) else np.full(len(asked), -1)
