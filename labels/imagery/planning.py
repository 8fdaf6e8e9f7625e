"""Looks at a picture's header and a sample of its pixels, and plans how it is prepared. Knows no Django."""

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.transform import from_origin
from rasterio.warp import transform

from labels.imagery import grid
from labels.imagery.opening import LON_LAT, ImageRefused, mercator_bounds
from labels.imagery.wishes import Wish
from labels.local_plane import metres_per_degree

BLOCK_PX = 512
SAMPLE_PX = 1024  # longest side of the sample that kind and stretch are taken from, and of the mask for the footprint
STRETCH_PERCENTILES = (2, 98)
# An 8-bit band that never exceeds this (a mask, a class map) would be seen as black.
DARK_MAXIMUM = 15
# A sample with no more colours than this shows classes, not ground.
MAX_CLASSES = 64
Report = Callable[[str, int, int | None], None]
Stretch = tuple[tuple[float, float], ...]

# What a band is, in the words that programs write into its description. Numbers alone differ from sensor to sensor (B4
# is red on Sentinel-2 and near-infrared on Landsat 7); only Sentinel-2's own B8 and its names with a zero are clear.
_NAMED = {
    "red": re.compile(r"red|b04", re.IGNORECASE),
    "green": re.compile(r"green|b03", re.IGNORECASE),
    "blue": re.compile(r"blue|b02", re.IGNORECASE),
    "nir": re.compile(r"nir|nir[ _-]?(1|08)|near[ _-]?infra[ _-]?red|b0?8|b8a", re.IGNORECASE),
}


@dataclass(frozen=True)
class Layer:
    """One file to be made: bands of the original, counted from 1, and the values that become 0 and 255 in each.

    The stretch is empty where 8-bit values are kept.
    """

    bands: tuple[int, ...]
    stretch: Stretch


@dataclass(frozen=True)
class Plan:
    """How one picture is to be prepared."""

    target: grid.AlignedGrid
    # The blocks that hold the picture: column, row, width, height in the target's pixels.
    extent: tuple[int, int, int, int]
    # What hides pixels: "alpha" (declared), "alpha_by_values", "mask", "nodata" or "" (nothing).
    hidden_by: str
    # "photograph", or "classes": values that have no values in between and must stay what they are.
    kind: str
    is_palette: bool
    colours: Layer
    # Near-infrared, red and green, on the same grid; None where no band is known to be near-infrared.
    false_colour: Layer | None
    # How the near-infrared band is known: "asked", "declared", "description" or "fourth_band"; empty without one.
    near_infrared_by: str

    @property
    def transform(self) -> Affine:
        pixel = grid.resolution(self.target.zoom)
        return from_origin(self.target.bounds[0], self.target.bounds[3], pixel, pixel)

    @property
    def layers(self) -> list[Layer]:
        return [self.colours, self.false_colour] if self.false_colour else [self.colours]

    @property
    def n_bytes(self) -> int:
        """Of the warped pixels, not compressed."""
        n_channels = sum((3 if self.is_palette else len(layer.bands)) + 1 for layer in self.layers)
        return self.extent[2] * self.extent[3] * n_channels


def as_json(plan: Plan) -> dict:
    return asdict(plan)


def from_json(fields: dict) -> Plan:
    """The plan that `as_json` wrote down."""
    target = fields["target"] | {"bounds": tuple(fields["target"]["bounds"])}
    layers = {
        name: fields[name] and Layer(tuple(fields[name]["bands"]), tuple(map(tuple, fields[name]["stretch"])))
        for name in ("colours", "false_colour")
    }
    changed = {"target": grid.AlignedGrid(**target), "extent": tuple(fields["extent"])}
    return Plan(**fields | changed | layers)


def make_plan(dataset: DatasetReader, wish: Wish, report: Report) -> Plan:
    bounds = mercator_bounds(dataset)
    target = grid.aligned_grid(bounds, grid.zoom_for(_mercator_pixel(dataset)))
    hidden_by = _hidden_by(dataset, report)
    roles = _roles(dataset, hidden_by)
    bands = _wished(wish, dataset, roles) or _shown(roles)
    near_infrared, known_by = _near_infrared(dataset, wish, roles)
    if wish.near_infrared and len(bands) != 3:
        raise ImageRefused("False colour needs red and green beside the near-infrared band: say which bands they are.")
    is_palette = len(bands) == 1 and dataset.colorinterp[bands[0] - 1] == ColorInterp.palette
    if is_palette and wish.stretch:
        raise ImageRefused("The picture has a palette of colours: it cannot be stretched.")
    infrared = (near_infrared, *bands[:2]) if near_infrared and len(bands) == 3 else ()
    wanted = tuple(dict.fromkeys((*bands, *infrared)))
    sample = _sample(dataset, wanted, hidden_by)
    of = {band: sample[number] for number, band in enumerate(wanted)}
    shown = np.ma.stack([of[band] for band in bands])
    kind = "classes" if is_palette or _has_classes(dataset, shown) else "photograph"
    colours = Layer(bands, () if is_palette else _stretch(dataset, bands, shown, kind, wish))
    false_colour = Layer(infrared, tuple(_percentiles(of[band]) for band in infrared)) if infrared else None
    return Plan(
        target,
        _extent(bounds, target),
        hidden_by,
        kind,
        is_palette,
        colours,
        false_colour,
        known_by if false_colour else "",
    )


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


# ---- which band is what ----


def alpha_band(dataset: DatasetReader) -> int:
    """The band that is declared to be alpha, counted from 1; it may stand anywhere."""
    return dataset.colorinterp.index(ColorInterp.alpha) + 1


def _hidden_by(dataset: DatasetReader, report: Report) -> str:
    flags = {flag.name for flag in dataset.mask_flag_enums[0]}
    if ColorInterp.alpha in dataset.colorinterp:
        return "alpha"
    if "nodata" in flags:
        return "nodata"
    if "per_dataset" in flags:
        return "mask"
    return "alpha_by_values" if _last_band_is_mask(dataset, report) else ""


def _last_band_is_mask(dataset: DatasetReader, report: Report) -> bool:
    """Whether the second or fourth band, which declares nothing, holds only 0 and the type's largest value.

    Many programs write RGBA without saying that the fourth band is alpha; a near-infrared band is never so.
    """
    kind = dataset.dtypes[-1]
    if dataset.count not in (2, 4) or dataset.colorinterp[-1] != ColorInterp.undefined or kind[:4] != "uint":
        return False
    if dataset.descriptions[-1] and any(name.fullmatch(dataset.descriptions[-1]) for name in _NAMED.values()):
        return False
    allowed = (0, np.iinfo(kind).max)
    windows = [window for _, window in dataset.block_windows(dataset.count)]
    for number, window in enumerate(windows, start=1):
        if not np.isin(dataset.read(dataset.count, window=window), allowed).all():
            return False
        report("check", number, len(windows))
    return True


def _roles(dataset: DatasetReader, hidden_by: str) -> dict[int, str]:
    """What each band that may be shown is: red, green, blue, nir or empty; alpha is left out."""
    count = dataset.count - (hidden_by == "alpha_by_values")
    bands = [band for band in range(1, count + 1) if dataset.colorinterp[band - 1] != ColorInterp.alpha]
    declared = {band: dataset.colorinterp[band - 1].name for band in bands}
    described = {band: _described(dataset.descriptions[band - 1]) for band in bands}
    # The description says more: programs call the first three bands red, green and blue by their place alone.
    chosen = described if {"red", "green", "blue"} <= set(described.values()) else declared
    return {band: chosen[band] if chosen[band] in _NAMED else described[band] for band in bands}


def _described(text: str | None) -> str:
    return next((role for role, name in _NAMED.items() if text and name.fullmatch(text.strip())), "")


def _shown(roles: dict[int, str]) -> tuple[int, ...]:
    by_role = {role: band for band, role in reversed(roles.items())}
    if {"red", "green", "blue"} <= set(by_role):
        return by_role["red"], by_role["green"], by_role["blue"]
    bands = tuple(roles)
    return bands[:3] if len(bands) >= 3 else bands[:1]


def _wished(wish: Wish, dataset: DatasetReader, roles: dict[int, str]) -> tuple[int, ...]:
    for band in (*wish.bands, *([wish.near_infrared] if wish.near_infrared else [])):
        if band not in roles:
            raise ImageRefused(
                f"Band {band} was asked for; the picture has {len(roles)} that can be shown"
                + (" (its last one hides pixels)." if len(roles) < dataset.count else ".")
            )
    return wish.bands


def _near_infrared(dataset: DatasetReader, wish: Wish, roles: dict[int, str]) -> tuple[int | None, str]:
    """The near-infrared band and how it is known.

    Four bands of which the first three are, or may be, red, green and blue have it as their fourth by long custom;
    where the fourth hides pixels it is not among the roles.
    """
    if wish.near_infrared:
        return wish.near_infrared, "asked"
    named = [band for band, role in roles.items() if role == "nir"]
    if named:
        return named[0], "declared" if dataset.colorinterp[named[0] - 1].name == "nir" else "description"
    plain = [dataset.colorinterp[band - 1].name in ("gray", "undefined") for band in roles]
    in_order = [roles[band] for band in roles][:3] in (["red", "green", "blue"], ["", "", ""])
    nothing_said = not any(dataset.descriptions)
    if len(roles) == dataset.count == 4 and in_order and plain[3] and nothing_said and not wish.bands:
        return 4, "fourth_band"
    return None, ""


# ---- how its values are shown ----


def _sample(dataset: DatasetReader, bands: tuple[int, ...], hidden_by: str) -> np.ma.MaskedArray:
    shrink = max(1, max(dataset.width, dataset.height) / SAMPLE_PX)
    shape = (len(bands), max(1, int(dataset.height / shrink)), max(1, int(dataset.width / shrink)))
    sample = dataset.read(bands, out_shape=shape, masked=True)
    if hidden_by in ("alpha", "alpha_by_values"):
        # GDAL takes a declared alpha for a mask only where it is the second of two bands or the fourth of four.
        alpha = alpha_band(dataset) if hidden_by == "alpha" else dataset.count
        hidden = dataset.read(alpha, out_shape=shape[1:]) == 0
        sample.mask = np.ma.getmaskarray(sample) | hidden
    sample.mask = np.ma.getmaskarray(sample)
    if sample.mask.all():
        raise ImageRefused("The picture is empty: every pixel is nodata or transparent.")
    return sample


def _has_classes(dataset: DatasetReader, sample: np.ma.MaskedArray) -> bool:
    """Whether the values are few enough to be classes. Floats never are: a slope or a score is a quantity."""
    if any(kind.startswith("float") for kind in dataset.dtypes):
        return False
    colours = sample.data[:, ~sample.mask.any(axis=0)]
    few = colours[:, :: max(1, colours.shape[1] // 5_000)]  # tells nearly every photograph at once
    return colours.size > 0 and all(np.unique(part, axis=1).shape[1] <= MAX_CLASSES for part in (few, colours))


def _stretch(
    dataset: DatasetReader, bands: tuple[int, ...], sample: np.ma.MaskedArray, kind: str, wish: Wish
) -> Stretch:
    if wish.stretch:
        return (wish.stretch,) * len(bands)
    is_eight_bit = all(dataset.dtypes[band - 1] == "uint8" for band in bands)
    if len(bands) == 1 and kind == "classes":
        is_dark = sample.max() <= DARK_MAXIMUM
        low, high = float(sample.min()), float(sample.max())
        whole = (low, high) if high > low else (min(0.0, low), max(1.0, low))
        return (whole,) if is_dark or not is_eight_bit else ()
    return () if is_eight_bit else tuple(_percentiles(values) for values in _without_empty_ground(sample))


def _without_empty_ground(sample: np.ma.MaskedArray) -> np.ma.MaskedArray:
    """Pixels that are 0 in every band are ground that was not seen, also where the file does not say so."""
    empty = (sample.data == 0).all(axis=0)
    if (empty | sample.mask.any(axis=0)).all():
        return sample
    return np.ma.MaskedArray(sample.data, sample.mask | empty)


def _percentiles(band: np.ma.MaskedArray) -> tuple[float, float]:
    """Robust against outliers; the whole range where nearly all values are equal, and mid-grey where all are."""
    values = band.compressed()
    values = values[np.isfinite(values)]
    if not values.size:
        raise ImageRefused("A band of the picture is empty.")
    low, high = map(float, np.percentile(values, STRETCH_PERCENTILES))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 1, low + 1)
