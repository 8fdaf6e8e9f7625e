"""Opening a raster that somebody else made (DESIGN decision 8). Knows no Django.

Three layers, because each alone was shown to fail (docs/imagery.md): names that GDAL would take for something else
than a file are refused; only the GeoTIFF driver may open it, in a process where no other reader exists; and that
process has no network and little memory (`sandbox`).
"""

import math
from collections.abc import Iterable
from pathlib import Path

import rasterio
from rasterio.crs import CRS
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.warp import transform

from labels.errors import BadInput
from labels.imagery.grid import HALF_WORLD_M, MAX_LAT, Bounds

# All the drivers the process that opens hostile files may have. COG and MEM write; Memory carries polygons.
ALLOWED_DRIVERS = frozenset({"GTiff", "COG", "MEM", "Memory"})
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

MAX_PIXELS = 20_000**2
MAX_BANDS = 64
# A block is decoded whole, of every band: one compressed strip over a large picture would fill the memory, or be
# decoded again for each part of the picture. Less than half of the reading process's cache (sandbox).
MAX_BLOCK_BYTES = 96 * 2**20
# Deflate reaches about 1,000 to 1; beyond this a large picture is mostly holes or a bomb.
MAX_RATIO = 2_000
RATIO_FROM_PIXELS = 20_000_000

WEB_MERCATOR, LON_LAT = CRS.from_epsg(3857), CRS.from_epsg(4326)


class ImageRefused(BadInput):
    """The file is not a picture we can place on the ground; the sentence says why."""


class AlreadyLoaded(ImageRefused):
    """The picture is in the source in another way; it can be loaded when that scene is removed."""


def checked_path(name: str | Path, roots: Iterable[str | Path]) -> Path:
    """The real path of a file inside one of the roots; nothing that GDAL would read as a URL, XML or virtual file."""
    text = str(name)
    if any(mark in text for mark in "<{\0\n") or "://" in text or "/vsi" in text.lower():
        raise ImageRefused("This is not the name of a file on this machine.")
    path = Path(text)
    try:
        path = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise ImageRefused(f"There is no file {path.name!r} here.") from None
    if not any(path.is_relative_to(Path(root).resolve()) for root in roots):
        raise ImageRefused(f"The file {path.name!r} lies outside the folders that may be read.")
    if not path.is_file():
        raise ImageRefused(f"{path.name!r} is not a file.")
    return path


def is_tiff(start: bytes) -> bool:
    """Whether a file with these first bytes is a TIFF or BigTIFF."""
    return start[:4] in MAGIC


def check_magic(path: Path) -> None:
    with path.open("rb") as file:
        if not is_tiff(file.read(4)):
            raise ImageRefused("The file is not a GeoTIFF (its first bytes say so). Export it as GeoTIFF first.")


def open_raster(path: Path) -> DatasetReader:
    """Open a checked path as a GeoTIFF and as nothing else, and hold its header against the limits."""
    check_magic(path)
    try:
        dataset = rasterio.open(path, driver="GTiff", sharing=False)
    except RasterioIOError as error:
        raise ImageRefused(f"The GeoTIFF cannot be read: {_first_line(error)}") from error
    try:
        check_size(dataset, path.stat().st_size)
        check_place(dataset)
    except Exception:
        dataset.close()
        raise
    return dataset


def check_size(dataset: DatasetReader, size_bytes: int) -> None:
    """Refuse by the header alone what would fill memory or disk."""
    n_pixels = dataset.width * dataset.height
    if n_pixels > MAX_PIXELS:
        raise ImageRefused(
            f"The picture is {dataset.width:,} x {dataset.height:,} pixels; at most {MAX_PIXELS // 10**6:,} million are"
            " taken. Cut it into parts and load each."
        )
    if dataset.count > MAX_BANDS:
        raise ImageRefused(f"The picture has {dataset.count} bands; at most {MAX_BANDS} are taken.")
    if any(kind.startswith(("complex", "int64", "uint64")) for kind in dataset.dtypes):
        raise ImageRefused(f"Pixels of the kind {dataset.dtypes[0]} are no picture. Export 8- or 16-bit bands.")
    item = max(_item_bytes(kind) for kind in dataset.dtypes)
    if n_pixels > RATIO_FROM_PIXELS and n_pixels * dataset.count * item > MAX_RATIO * size_bytes:
        raise ImageRefused("The file claims far more pixels than it holds. Cut the picture to where it has data.")
    rows, columns = max(dataset.block_shapes, key=math.prod)
    if rows * columns * item * dataset.count > MAX_BLOCK_BYTES:
        raise ImageRefused("The picture is stored as one huge block. Export it with tiles (TILED=YES).")


def check_place(dataset: DatasetReader) -> None:
    """Refuse what does not say, or cannot mean, a place on the ground."""
    if dataset.crs is None or dataset.transform.is_identity:
        hint = (
            " It has ground control points: warp it first (gdalwarp)."
            if dataset.gcps[0]
            else " Export it as GeoTIFF with its position inside the file; files beside it are not read."
        )
        raise ImageRefused("The picture does not say where on the ground it lies." + hint)
    if dataset.transform.determinant == 0:
        raise ImageRefused("The picture's pixels have no size on the ground.")
    west, south, east, north = lon_lat_bounds(dataset)
    if not (-180 <= west < east <= 180 and -MAX_LAT <= south < north <= MAX_LAT):
        raise ImageRefused(
            f"The picture would lie at longitude {west:.3f} to {east:.3f}, latitude {south:.3f} to {north:.3f}, which"
            " is not on the map (web mercator ends at 85 degrees). Check its coordinate system."
        )
    if mercator_bounds(dataset)[2] - mercator_bounds(dataset)[0] > HALF_WORLD_M:
        raise ImageRefused("The picture spans half the world or crosses the 180th meridian. Cut it in two.")


def lon_lat_bounds(dataset: DatasetReader) -> Bounds:
    return _bounds_in(dataset, LON_LAT)


def mercator_bounds(dataset: DatasetReader) -> Bounds:
    return _bounds_in(dataset, WEB_MERCATOR)


def _bounds_in(dataset: DatasetReader, crs: CRS) -> Bounds:
    """Bounds of the picture's four corners and edges, also where it is rotated."""
    corners = [dataset.transform @ corner for corner in _edge(dataset.width, dataset.height)]
    try:
        xs, ys = transform(dataset.crs, crs, *zip(*corners, strict=True))
    except RasterioError as error:
        raise ImageRefused(f"The picture's coordinate system cannot be used: {_first_line(error)}") from error
    if not all(map(math.isfinite, [*xs, *ys])):
        raise ImageRefused("The picture's position is impossible in its coordinate system.")
    return min(xs), min(ys), max(xs), max(ys)


def _edge(width: int, height: int, n: int = 21) -> list[tuple[float, float]]:
    """Pixel positions along the picture's edge: a straight edge may bow in another coordinate system."""
    steps = [k / (n - 1) for k in range(n)]
    along = [(s * width, y) for s in steps for y in (0, height)]
    return along + [(x, s * height) for s in steps for x in (0, width)]


def _item_bytes(kind: str) -> int:
    return int("".join(filter(str.isdigit, kind)) or 8) // 8


def _first_line(error: Exception) -> str:
    """GDAL's own words without paths, which are ours and not the person's."""
    line = str(error).splitlines()[0] if str(error) else ""
    said = " ".join(word for word in line.split(": ")[-1].split() if "/" not in word)
    return said[:200] or type(error).__name__
