"""The country's terrain as a map would give it: a few classes, read off the fields that the pictures are drawn by.

Rivers come first, then relief; what is left is told apart by what grows on it. No mine has a part in it.
"""

import numpy as np
from rasterio import features
from rasterio.transform import Affine
from scipy import ndimage
from scipy.spatial import cKDTree

from labels.demonstration.land import UPRIGHT_BELOW_M
from labels.demonstration.noise import NoiseField
from labels.demonstration.outlines import smooth_ring, smoothed_corners
from labels.demonstration.terrain import Area, Country, to_metres

CLASSES = ("river plain", "hills", "forest", "savanna")
STEP_DEG = 0.002
LEAST_PIXELS = 40  # about 2 km²: smaller patches go to their largest neighbour
RIM_PIXELS = 2

RIVER_HALF_WIDTH_M = 6.0  # narrower ones are streams without a plain
PLAIN_M, PLAIN_WIDTHS = 250.0, 35.0  # how far a plain reaches beyond the bank: at least, and in half widths
HILLS_M = 75.0  # relief above the valley floor
FOREST = 0.46  # of the field of trees: where pictures show as much forest as savanna


def landforms(country: Country) -> list[Area]:
    """Polygons named by CLASSES that cover the country and overlap nowhere; several have one name."""
    rim = RIM_PIXELS * STEP_DEG
    west, south, east, north = np.add(country.bounds, (-rim, -rim, rim, rim))
    n_cols, n_rows = round((east - west) / STEP_DEG), round((north - south) / STEP_DEG)
    lon, lat = west + (np.arange(n_cols) + 0.5) * STEP_DEG, north - (np.arange(n_rows) + 0.5) * STEP_DEG
    x, y = to_metres(*np.meshgrid(lon, lat))
    classes = features.sieve(_classes(country, x, y).astype(np.int32), LEAST_PIXELS, connectivity=4)
    classes[~_on_land(country, lon, lat)] = 0
    transform = Affine(STEP_DEG, 0, west, 0, -STEP_DEG, north)
    corners = smoothed_corners(classes)
    areas = []
    for shape, number in features.shapes(classes, mask=classes > 0, connectivity=4):
        rings = [smooth_ring(ring, corners, transform) for ring in shape["coordinates"]]
        areas.append(Area(CLASSES[int(number) - 1], "terrain", rings))
    return areas


def _on_land(country: Country, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """(rows, columns): the country and a rim around it, for smoothing draws the rim in."""
    return ndimage.binary_dilation(country.province_at(*np.meshgrid(lon, lat)) > 0, iterations=RIM_PIXELS)


def _classes(country: Country, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Place in CLASSES, from 1, of each pixel."""
    is_hill = relief_m(country, x, y) > HILLS_M
    return np.select([_on_river_plain(country, x, y), is_hill, _trees(country, x, y) > FOREST], [1, 2, 3], 4)


def _on_river_plain(country: Country, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    points = country.river_points
    wide = points["half_width_m"] >= RIVER_HALF_WIDTH_M
    if not wide.any():
        return np.zeros(x.shape, bool)
    half_width_m = points["half_width_m"][wide]
    away, which = cKDTree(points["xy"][wide]).query(np.stack([x, y], axis=-1))
    return away < PLAIN_M + PLAIN_WIDTHS * half_width_m[which]


def relief_m(country: Country, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Metres above the valleys, as `land` shades it: ridges and spurs, without the slow rise from the coast."""
    ridge = 1 - np.abs(_noise(country, 2, x, y, 5200, 6, 0.5)) * 1.6
    spur = 1 - np.abs(_noise(country, 3, x, y, 1300, 5, 0.55)) * 1.7
    return 80 * ridge + 26 * spur


def _trees(country: Country, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The slow part of `land`'s field of forest: gallery forests and fields are too small for such a map."""
    north = (y - country.y0) / (country.y1 - country.y0)
    return 0.62 - 0.55 * (north - 0.35) + 0.62 * _noise(country, 20, x, y, 9000, 6, 0.55)


def _noise(country: Country, channel: int, x: np.ndarray, y: np.ndarray, *waves) -> np.ndarray:
    return NoiseField(country.seed, channel, upright_below_m=UPRIGHT_BELOW_M)(x, y, *waves)
