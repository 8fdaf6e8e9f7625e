"""Any GeoTIFF becomes a cloud-optimised one aligned with web tiles, 8 bit, one or three bands, with a mask. No Django.

`planning` has looked at the picture. `warp` writes its pixels on the aligned grid by blocks, `write_cog` adds overviews
and compresses, `describe` reads the result back. Memory stays flat: nothing is held but a block and GDAL's cache.
"""

import math
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.features import shapes, sieve
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from labels.imagery import gdal_copy, grid
from labels.imagery.opening import ImageRefused
from labels.imagery.planning import BLOCK_PX, SAMPLE_PX, Layer, Plan, Report, alpha_band

# Of tiles as they are sent: at 85 a view takes half as many bytes again, and shows no pit more.
JPEG_QUALITY = 75
# Files of each layer in the work folder: colours, then false colour.
WARPED = ("warped.tif", "warped-false-colour.tif")
PREPARED = ("prepared.tif", "prepared-false-colour.tif")


def warp(dataset: DatasetReader, plan: Plan, paths: list[Path], report: Report) -> None:
    """Write each layer's pixels on the aligned grid: grey or colour, and alpha. Blocks without data are left out.

    The original is read once for all layers.
    """
    windows = list(_windows(plan.extent))
    bands = tuple(dict.fromkeys(band for layer in plan.layers for band in layer.bands))
    palette = _palette(dataset) if plan.is_palette else None
    is_empty = True
    with ExitStack() as stack:
        vrt = stack.enter_context(WarpedVRT(dataset, **_vrt_options(dataset, plan)))
        alpha = alpha_band(dataset) if plan.hidden_by == "alpha" else vrt.count
        outs = [
            stack.enter_context(_open_warped(path, plan, layer)) for path, layer in zip(paths, plan.layers, strict=True)
        ]
        for number, window in enumerate(windows, start=1):
            values = vrt.read([*bands, alpha], window=window)
            for out, layer in zip(outs, plan.layers, strict=True):
                rows = [*(bands.index(band) for band in layer.bands), -1]
                pixels = _eight_bit(values[rows], layer, palette)
                if pixels[-1].any():
                    is_empty = False
                    out.write(_filled(pixels) if plan.kind == "photograph" else _hidden_as_zero(pixels), window=window)
            report("warp", number, len(windows))
    if is_empty:
        raise ImageRefused("The picture is empty: every pixel is nodata or transparent.")


def _windows(extent: tuple[int, int, int, int]):
    left, top, width, height = extent
    for row in range(top, top + height, 2 * BLOCK_PX):
        for column in range(left, left + width, 2 * BLOCK_PX):
            yield Window(column, row, min(2 * BLOCK_PX, left + width - column), min(2 * BLOCK_PX, top + height - row))


def _vrt_options(dataset: DatasetReader, plan: Plan) -> dict:
    """Every picture is read with an alpha: its own declared one in its place, else one that the warper adds as the last
    band, made from whatever hides its pixels."""
    options = {
        "crs": "EPSG:3857",
        "transform": plan.transform,
        "width": plan.target.width,
        "height": plan.target.height,
        # Classes have no values in between.
        "resampling": Resampling.nearest if plan.kind == "classes" else Resampling.cubic,
        # A pixel is nodata when all its bands are: black water next to 0 as nodata stays.
        "UNIFIED_SRC_NODATA": "YES",
        "warp_mem_limit": 64,
    }
    if plan.hidden_by == "alpha_by_values":
        options["src_alpha"] = dataset.count
    if plan.hidden_by != "alpha":
        options["add_alpha"] = True
    return options


def _open_warped(path: Path, plan: Plan, layer: Layer):
    colours = 3 if plan.is_palette else len(layer.bands)
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


def _eight_bit(pixels: np.ndarray, layer: Layer, palette: np.ndarray | None) -> np.ndarray:
    """Bands and alpha as 8 bits; a pixel is shown or hidden, never half."""
    values, alpha = pixels[:-1], pixels[-1]
    # The warper's alpha of a float or 16-bit picture is scaled to its type.
    shown = alpha > 0
    if palette is not None:
        colours = palette[np.clip(values[0], 0, 255).astype("uint8")].transpose(2, 0, 1)
        return np.concatenate([colours[:3], ((colours[3] > 0) & shown)[None] * np.uint8(255)])
    if layer.stretch:
        shown = shown & np.isfinite(values).all(axis=0)
        bands = zip(values, layer.stretch, strict=True)
        values = np.stack([_stretched(band, low, high) for band, (low, high) in bands])
    return np.concatenate([values.astype("uint8"), shown[None] * np.uint8(255)])


def _stretched(band: np.ndarray, low: float, high: float) -> np.ndarray:
    scaled = (np.nan_to_num(band.astype("float32")) - low) * (255 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype("uint8")


def _hidden_as_zero(pixels: np.ndarray) -> np.ndarray:
    return pixels * (pixels[-1] > 0)


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


def write_cog(warped: Path, path: Path, plan: Plan, report: Report) -> None:
    """The aligned file: blocks of 256 px, overviews down to the coarsest tile; hidden pixels by mask or alpha band.

    Photographs are JPEG with a mask. Classes are deflated as they are, with an alpha band: JPEG would blur their edges
    into values that mean something else, in up to three times the bytes (docs/imagery.md).
    """
    if plan.kind == "classes":
        kind = {"compress": "DEFLATE", "level": "9", "resampling": "NEAREST", "overview_resampling": "NEAREST"}
    else:
        kind = {"compress": "JPEG", "quality": str(JPEG_QUALITY), "resampling": "AVERAGE"}
        kind |= {"overview_resampling": "AVERAGE"}
    gdal_copy.copy(
        warped,
        path,
        driver="COG",
        told=lambda share: report("write", round(100 * share), 100),
        tiling_scheme="GoogleMapsCompatible",
        zoom_level=str(plan.target.zoom),
        aligned_levels=str(plan.target.n_levels),
        sparse_ok="YES",  # without it every empty tile of the padding is written as a black one
        bigtiff="IF_SAFER",
        num_threads="1",  # a second one saves a tenth of the time for half as much work again
        **kind,
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
    note: str
    preparation: dict


def describe(paths: list[Path], plan: Plan, facts: dict) -> dict:
    """What became of the picture; `facts` are those of the original that the check found."""
    for path in paths:
        with rasterio.open(path, driver="GTiff") as prepared:
            check_alignment(prepared, plan)
    with rasterio.open(paths[0], driver="GTiff") as prepared:
        outline = footprint(prepared, plan.extent)
    described = Description(
        footprint=outline,
        resolution_m=facts["resolution_m"],
        min_zoom=plan.target.min_zoom,
        max_zoom=plan.target.zoom,
        n_bands=3 if plan.is_palette else len(plan.colours.bands),
        captured_on=facts["captured"]["on"],
        note=facts["captured"]["note"],
        preparation=facts["original"]
        | {
            "bands": list(plan.colours.bands),
            "hidden_by": plan.hidden_by,
            "kind": plan.kind,
            "stretch": [list(pair) for pair in plan.colours.stretch],
            "captured": facts["captured"],
        }
        | ({"jpeg_quality": JPEG_QUALITY} if plan.kind == "photograph" else {"compression": "deflate"})
        | _false_colour(plan),
    )
    return asdict(described)


def _false_colour(plan: Plan) -> dict:
    if not plan.false_colour:
        return {}
    return {
        "false_colour": {
            "bands": list(plan.false_colour.bands),
            "stretch": [list(pair) for pair in plan.false_colour.stretch],
            "near_infrared_by": plan.near_infrared_by,
        }
    }


def check_alignment(prepared: DatasetReader, plan: Plan) -> None:
    """A prepared file that GDAL put elsewhere must never be shown."""
    if prepared.shape != (plan.target.height, plan.target.width) or not prepared.transform.almost_equals(
        plan.transform, precision=1e-6
    ):
        raise ImageRefused("The prepared picture does not lie on the tile grid; please report the file.")


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
