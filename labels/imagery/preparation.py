"""Any GeoTIFF becomes a cloud-optimised one aligned with web tiles, 8 bit, one or three bands, with a mask. No Django.

In stages: `make_plan` looks at the header and a sample of pixels, `warp` writes the pixels on the aligned grid by
blocks, `write_cog` adds overviews and compresses, `describe` reads the result back. Memory stays flat: nothing is held
but a block and GDAL's cache.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.features import shapes, sieve
from rasterio.io import DatasetReader
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform
from rasterio.windows import Window

from labels.imagery import grid
from labels.imagery.capture_date import capture_date
from labels.imagery.opening import LON_LAT, ImageRefused, mercator_bounds
from labels.local_plane import metres_per_degree

BLOCK_PX = 512
# Of tiles as they are sent: at 85 a view takes half as many bytes again, and shows no pit more.
JPEG_QUALITY = 75
SAMPLE_PX = 1024  # longest side of the sample that the stretch is taken from, and of the mask for the footprint
STRETCH_PERCENTILES = (2, 98)
# An 8-bit band that never exceeds this (a mask, a class map) would be seen as black.
DARK_MAXIMUM = 15
Report = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Plan:
    """How one picture is to be prepared."""

    target: grid.AlignedGrid
    # The blocks that hold the picture: column, row, width, height in the target's pixels.
    extent: tuple[int, int, int, int]
    # Bands of the original that are shown: one (grey) or three (red, green, blue), counted from 1.
    bands: tuple[int, ...]
    # What hides pixels: "alpha" (declared), "alpha_by_values", "mask", "nodata" or "" (nothing).
    hidden_by: str
    # Original value that becomes 0 and 255 for each shown band; empty when 8-bit values are kept.
    stretch: tuple[tuple[float, float], ...]
    is_palette: bool

    @property
    def transform(self) -> Affine:
        pixel = grid.resolution(self.target.zoom)
        return from_origin(self.target.bounds[0], self.target.bounds[3], pixel, pixel)


def make_plan(dataset: DatasetReader) -> Plan:
    bounds = mercator_bounds(dataset)
    pixel = _mercator_pixel(dataset)
    target = grid.aligned_grid(bounds, grid.zoom_for(pixel))
    bands, hidden_by = _shown_bands(dataset)
    is_palette = len(bands) == 1 and dataset.colorinterp[bands[0] - 1] == ColorInterp.palette
    stretch = () if is_palette else _stretch(dataset, bands)
    return Plan(target, _extent(bounds, target), bands, hidden_by, stretch, is_palette)


def ground_resolution_m(dataset: DatasetReader) -> float:
    """Metres on the ground of one pixel of the original at its centre: the root of the pixel's area."""
    x, y = dataset.width / 2, dataset.height / 2
    corners = [dataset.transform @ place for place in ((x, y), (x + 1, y), (x, y + 1))]
    lons, lats = transform(dataset.crs, LON_LAT, *zip(*corners, strict=True))
    east, north = metres_per_degree(lats[0])
    (ax, ay), (bx, by) = (((lons[k] - lons[0]) * east, (lats[k] - lats[0]) * north) for k in (1, 2))
    return math.sqrt(abs(ax * by - ay * bx))


def _mercator_pixel(dataset: DatasetReader) -> float:
    """Mercator metres of the finer side of a pixel at the picture's centre: no detail is to be lost."""
    x, y = dataset.width / 2, dataset.height / 2
    corners = [dataset.transform @ place for place in ((x, y), (x + 1, y), (x, y + 1))]
    xs, ys = transform(dataset.crs, "EPSG:3857", *zip(*corners, strict=True))
    return min(math.hypot(xs[k] - xs[0], ys[k] - ys[0]) for k in (1, 2))


def _extent(bounds: grid.Bounds, target: grid.AlignedGrid) -> tuple[int, int, int, int]:
    pixel = grid.resolution(target.zoom)
    left = math.floor((bounds[0] - target.bounds[0]) / pixel) // BLOCK_PX * BLOCK_PX
    top = math.floor((target.bounds[3] - bounds[3]) / pixel) // BLOCK_PX * BLOCK_PX
    right = min(target.width, math.ceil((bounds[2] - target.bounds[0]) / pixel))
    bottom = min(target.height, math.ceil((target.bounds[3] - bounds[1]) / pixel))
    return max(0, left), max(0, top), right - max(0, left), bottom - max(0, top)


def _shown_bands(dataset: DatasetReader) -> tuple[tuple[int, ...], str]:
    """The bands to show and what hides pixels."""
    roles = list(dataset.colorinterp)
    hidden_by = _hidden_by(dataset)
    colours = [role for role in range(1, dataset.count + 1) if roles[role - 1] != ColorInterp.alpha]
    if hidden_by == "alpha_by_values":
        colours = colours[:-1]
    if all(role in roles for role in (ColorInterp.red, ColorInterp.green, ColorInterp.blue)):
        wanted = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        return tuple(roles.index(role) + 1 for role in wanted), hidden_by
    return tuple(colours[:3] if len(colours) >= 3 else colours[:1]), hidden_by


def _hidden_by(dataset: DatasetReader) -> str:
    flags = {flag.name for flag in dataset.mask_flag_enums[0]}
    if ColorInterp.alpha in dataset.colorinterp:
        return "alpha"
    if "nodata" in flags:
        return "nodata"
    if "per_dataset" in flags:
        return "mask"
    return "alpha_by_values" if _last_band_is_mask(dataset) else ""


def _last_band_is_mask(dataset: DatasetReader) -> bool:
    """Whether the second or fourth band, which declares nothing, holds only 0 and the type's largest value.

    Many programs write RGBA without saying that the fourth band is alpha; a near-infrared band is never so.
    """
    kind = dataset.dtypes[-1]
    if dataset.count not in (2, 4) or dataset.colorinterp[-1] != ColorInterp.undefined or kind[:4] != "uint":
        return False
    allowed = (0, np.iinfo(kind).max)
    windows = (window for _, window in dataset.block_windows(dataset.count))
    return all(np.isin(dataset.read(dataset.count, window=window), allowed).all() for window in windows)


def _stretch(dataset: DatasetReader, bands: tuple[int, ...]) -> tuple[tuple[float, float], ...]:
    sample = _sample(dataset, bands)
    if sample.mask.all():
        raise ImageRefused("The picture is empty: every pixel is nodata or transparent.")
    if all(dataset.dtypes[band - 1] == "uint8" for band in bands):
        dark = len(bands) == 1 and sample.max() <= DARK_MAXIMUM
        return ((float(sample.min()), float(max(sample.max(), sample.min() + 1))),) if dark else ()
    return tuple(_percentiles(values.compressed()) for values in sample)


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if not values.size:
        raise ImageRefused("A band of the picture is empty.")
    low, high = np.percentile(values, STRETCH_PERCENTILES)
    return (float(low), float(high)) if high > low else (float(low) - 1, float(low) + 1)


def _sample(dataset: DatasetReader, bands: tuple[int, ...]) -> np.ma.MaskedArray:
    shrink = max(1, max(dataset.width, dataset.height) / SAMPLE_PX)
    shape = (len(bands), max(1, int(dataset.height / shrink)), max(1, int(dataset.width / shrink)))
    sample = dataset.read(bands, out_shape=shape, masked=True)
    if _hidden_by(dataset) == "alpha_by_values":
        hidden = dataset.read(dataset.count, out_shape=shape[1:]) == 0
        sample.mask = np.ma.getmaskarray(sample) | hidden
    sample.mask = np.ma.getmaskarray(sample)
    return sample


def warp(dataset: DatasetReader, plan: Plan, path: Path, report: Report) -> None:
    """Write the picture's pixels on the aligned grid: grey or colour, and alpha. Blocks without data are left out."""
    windows = list(_windows(plan.extent))
    is_empty = True
    with WarpedVRT(dataset, **_vrt_options(dataset, plan)) as vrt, _open_warped(path, plan) as out:
        alpha = vrt.count
        palette = _palette(dataset) if plan.is_palette else None
        for number, window in enumerate(windows, start=1):
            pixels = _eight_bit(vrt.read([*plan.bands, alpha], window=window), plan, palette)
            if pixels[-1].any():
                is_empty = False
                out.write(_filled(pixels), window=window)
            report("warp", number, len(windows))
    if is_empty:
        raise ImageRefused("The picture is empty: every pixel is nodata or transparent.")


def _windows(extent: tuple[int, int, int, int]):
    left, top, width, height = extent
    for row in range(top, top + height, 2 * BLOCK_PX):
        for column in range(left, left + width, 2 * BLOCK_PX):
            yield Window(column, row, min(2 * BLOCK_PX, left + width - column), min(2 * BLOCK_PX, top + height - row))


def _vrt_options(dataset: DatasetReader, plan: Plan) -> dict:
    """Every picture is read with an alpha as its last band, made by the warper from whatever hides its pixels."""
    options = {
        "crs": "EPSG:3857",
        "transform": plan.transform,
        "width": plan.target.width,
        "height": plan.target.height,
        # Classes and palettes have no values in between.
        "resampling": Resampling.nearest if plan.is_palette or _is_dark(dataset, plan) else Resampling.cubic,
        # A pixel is nodata when all its bands are: black water next to 0 as nodata stays.
        "UNIFIED_SRC_NODATA": "YES",
        "warp_mem_limit": 64,
    }
    if plan.hidden_by == "alpha_by_values":
        options["src_alpha"] = dataset.count
    if plan.hidden_by != "alpha":
        options["add_alpha"] = True
    return options


def _is_dark(dataset: DatasetReader, plan: Plan) -> bool:
    return bool(plan.stretch) and dataset.dtypes[0] == "uint8"


def _open_warped(path: Path, plan: Plan):
    colours = 3 if plan.is_palette else len(plan.bands)
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=plan.target.width,
        height=plan.target.height,
        count=colours + 1,
        dtype="uint8",
        crs="EPSG:3857",
        transform=plan.transform,
        tiled=True,
        blockxsize=BLOCK_PX,
        blockysize=BLOCK_PX,
        compress="zstd",
        zstd_level=1,
        interleave="pixel",
        photometric="RGB" if colours == 3 else "MINISBLACK",
        alpha="YES",
        sparse_ok=True,
        bigtiff="IF_SAFER",
    )


def _palette(dataset: DatasetReader) -> np.ndarray:
    table = np.zeros((256, 4), dtype="uint8")
    for value, colour in dataset.colormap(1).items():
        if 0 <= value < 256:
            table[value] = colour
    return table


def _eight_bit(pixels: np.ndarray, plan: Plan, palette: np.ndarray | None) -> np.ndarray:
    """Bands and alpha as 8 bits; a pixel is shown or hidden, never half."""
    values, alpha = pixels[:-1], pixels[-1]
    # The warper's alpha of a float or 16-bit picture is scaled to its type.
    shown = alpha > 0
    if palette is not None:
        colours = palette[np.clip(values[0], 0, 255).astype("uint8")].transpose(2, 0, 1)
        return np.concatenate([colours[:3], ((colours[3] > 0) & shown)[None] * np.uint8(255)])
    if plan.stretch:
        shown = shown & np.isfinite(values).all(axis=0)
        bands = zip(values, plan.stretch, strict=True)
        values = np.stack([_stretched(band, low, high) for band, (low, high) in bands])
    return np.concatenate([values.astype("uint8"), shown[None] * np.uint8(255)])


def _stretched(band: np.ndarray, low: float, high: float) -> np.ndarray:
    scaled = (np.nan_to_num(band.astype("float32")) - low) * (255 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype("uint8")


def _filled(pixels: np.ndarray) -> np.ndarray:
    """Beside the picture's edge, hidden pixels take the colour of the nearest shown one in their row or column: JPEG
    bleeds what lies there into it. Tiles without any shown pixel stay empty, so that the file leaves them out."""
    shown = pixels[-1] > 0
    if shown.all():
        return pixels
    filled = pixels.copy()
    for row in range(0, shown.shape[0], grid.TILE_PX):
        for column in range(0, shown.shape[1], grid.TILE_PX):
            here = np.s_[row : row + grid.TILE_PX, column : column + grid.TILE_PX]
            if not shown[here].any():
                filled[(slice(None), *here)] = 0
            elif not shown[here].all():
                filled[(slice(-1), *here)] = _spread(pixels[(slice(-1), *here)], shown[here])
    return filled


def _spread(colours: np.ndarray, shown: np.ndarray) -> np.ndarray:
    columns, in_row = _nearest_in_row(shown)
    colours = np.take_along_axis(colours, columns[None], axis=2)
    rows, _ = _nearest_in_row(in_row.T)
    return np.take_along_axis(colours, rows.T[None], axis=1)


def _nearest_in_row(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel the column of the nearest shown pixel of its row, and whether its row has one."""
    width = shown.shape[1]
    here = np.arange(width)
    left = np.maximum.accumulate(np.where(shown, here, -width), axis=1)
    right = np.minimum.accumulate(np.where(shown, here, 2 * width)[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(here - left <= right - here, left, right)
    has_any = np.broadcast_to(shown.any(axis=1)[:, None], shown.shape)
    return np.where(has_any, nearest, here), has_any


def write_cog(warped: Path, path: Path, plan: Plan) -> None:
    """The aligned file: JPEG blocks of 256 px, a mask from the alpha band, overviews down to the coarsest tile."""
    rasterio.shutil.copy(
        warped,
        path,
        driver="COG",
        tiling_scheme="GoogleMapsCompatible",
        zoom_level=plan.target.zoom,
        aligned_levels=plan.target.n_levels,
        compress="JPEG",
        quality=JPEG_QUALITY,
        resampling="AVERAGE",
        overview_resampling="AVERAGE",
        sparse_ok="YES",  # without it every empty tile of the padding is written as a black one
        bigtiff="IF_SAFER",
        num_threads="1",  # a second one saves a tenth of the time for half as much work again
    )


@dataclass(frozen=True)
class Description:
    """What the parent writes into the scene's row."""

    # Polygons of the pixels that have data, as GeoJSON-like rings in degrees.
    footprint: list
    resolution_m: float
    min_zoom: int
    max_zoom: int
    n_bands: int
    captured_on: str | None
    preparation: dict


def describe(original: DatasetReader, plan: Plan, path: Path) -> Description:
    day = capture_date(_tags(original), date.today())  # noqa: DTZ011  a bound on impossible dates only
    with rasterio.open(path, driver="GTiff") as prepared:
        check_alignment(prepared, plan)
        return Description(
            footprint=footprint(prepared, plan.extent),
            resolution_m=ground_resolution_m(original),
            min_zoom=plan.target.min_zoom,
            max_zoom=plan.target.zoom,
            n_bands=prepared.count,
            captured_on=day.isoformat() if day else None,
            preparation={
                "crs": original.crs.to_string()[:200],
                "size_px": [original.width, original.height],
                "dtype": original.dtypes[0],
                "n_bands": original.count,
                "bands": list(plan.bands),
                "hidden_by": plan.hidden_by,
                "stretch": [list(pair) for pair in plan.stretch],
                "jpeg_quality": JPEG_QUALITY,
            },
        )


def as_json(description: Description) -> dict:
    return asdict(description)


def check_alignment(prepared: DatasetReader, plan: Plan) -> None:
    """A prepared file that GDAL put elsewhere must never be shown."""
    if prepared.shape != (plan.target.height, plan.target.width) or not prepared.transform.almost_equals(
        plan.transform, precision=1e-6
    ):
        raise ImageRefused("The prepared picture does not lie on the tile grid; please report the file.")


def _tags(dataset: DatasetReader) -> dict[str, str]:
    tags = dict(dataset.tags())
    for namespace in ("IMAGERY", "EXIF"):
        tags.update(dataset.tags(ns=namespace))
    return tags


def footprint(prepared: DatasetReader, extent: tuple[int, int, int, int]) -> list:
    """Where the picture has data, as polygons of rings in degrees; traced on the mask at about 1,000 pixels."""
    window = Window(*extent)
    shrink = max(1, math.ceil(max(extent[2:]) / SAMPLE_PX))
    shape = (math.ceil(extent[3] / shrink), math.ceil(extent[2] / shrink))
    mask = (prepared.dataset_mask(window=window, out_shape=shape) > 0).astype("uint8")
    if min(shape) > 8:
        mask = _without_specks(mask)
    corner = prepared.window_transform(window)
    place = corner @ Affine.scale(extent[2] / shape[1], extent[3] / shape[0])
    found = shapes(mask, mask=mask == 1, transform=place)
    return [[[grid.lon_lat(x, y) for x, y in ring] for ring in shape["coordinates"]] for shape, _ in found]


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """Without holes and islands of a few pixels, unless that would leave nothing."""
    cleaned = sieve(mask, size=9)
    return cleaned if cleaned.any() else mask
