"""The grids our prepared files lie on. Tiles are z, x, y; bounds are (west, south, east, north), mercator metres."""

import math
from dataclasses import dataclass

from labels.geo import MERCATOR_HALF_WIDTH_M as HALF_WORLD_M
from labels.geo import tile_bounds_m
from labels.geodesic import EQUATORIAL_RADIUS_M as EARTH_RADIUS_M

Bounds = tuple[float, float, float, float]

TILE_PX = 256
MAX_ZOOM = 22
MAX_LAT = 85.0511
# A file aligned at its seven finest zooms holds at most 64 x 64 tiles per coarsest one (DESIGN section 6).
MAX_ALIGNED_LEVELS = 7
# Tiles of a prepared file, empty ones included, for each tile that the picture touches.
MAX_PADDING = 3
SMALL_FILE = 64  # tiles that any picture may have


def resolution(z: int) -> float:
    """Mercator metres of one pixel."""
    return 2 * HALF_WORLD_M / TILE_PX / 2**z


def holds_tile(z: int, x: int, y: int) -> bool:
    """Whether the address is one of the world's tiles that we serve."""
    return 0 <= z <= MAX_ZOOM and 0 <= x < 2**z and 0 <= y < 2**z


def lon_lat(x: float, y: float) -> tuple[float, float]:
    """Degrees of a mercator position."""
    return math.degrees(x / EARTH_RADIUS_M), math.degrees(2 * math.atan(math.exp(y / EARTH_RADIUS_M)) - math.pi / 2)


def shifted(bounds: Bounds, east_m: float, north_m: float) -> Bounds:
    """Mercator bounds moved by metres on the ground."""
    if not (east_m or north_m):
        return bounds
    lat = lon_lat(0, (bounds[1] + bounds[3]) / 2)[1]
    dx, dy = east_m / math.cos(math.radians(lat)), north_m / math.cos(math.radians(lat))
    return bounds[0] + dx, bounds[1] + dy, bounds[2] + dx, bounds[3] + dy


def zoom_for(resolution_mercator: float) -> int:
    """The zoom that loses no detail of pixels this large; up to 7 % coarser counts as none.

    GDAL's own choice, the nearest zoom, would throw away up to 30 % of the detail.
    """
    exact = math.log2(resolution(0) / resolution_mercator)
    return max(0, min(MAX_ZOOM, math.ceil(exact - 0.1)))


@dataclass(frozen=True)
class AlignedGrid:
    """Pixels of one zoom, starting and ending on tile edges of `n_levels` zooms."""

    zoom: int
    n_levels: int
    bounds: Bounds
    width: int
    height: int

    @property
    def min_zoom(self) -> int:
        """The coarsest zoom whose tiles are blocks of the file."""
        return self.zoom - self.n_levels + 1


def aligned_grid(bounds: Bounds, zoom: int) -> AlignedGrid:
    """A grid around the bounds, aligned at as many zooms as its padding is worth.

    Each further aligned zoom doubles the tile its edges must lie on. Coarser zooms are made from what lies inside, a
    few tiles of decoding; a wide margin costs at every preparation: measured on a scene of 5,500 px, seven levels pad
    it to 16,384 x 32,768 and take 17.5 s of processor time to write, against 2.6 s.
    """
    n_levels, n_picture = 1, _area(_tile_range(bounds, zoom))
    while n_levels < min(MAX_ALIGNED_LEVELS, zoom + 1) and _n_tiles(bounds, zoom - n_levels + 1) > 1:
        n_padded = _area(_tile_range(bounds, zoom - n_levels)) * 4**n_levels
        if n_padded > max(MAX_PADDING * n_picture, SMALL_FILE):
            break
        n_levels += 1
    left, top, right, bottom = _tile_range(bounds, zoom - n_levels + 1)
    west, _, _, north = tile_bounds_m(zoom - n_levels + 1, left, top)
    _, south, east, _ = tile_bounds_m(zoom - n_levels + 1, right, bottom)
    scale = TILE_PX * 2 ** (n_levels - 1)
    return AlignedGrid(
        zoom, n_levels, (west, south, east, north), (right - left + 1) * scale, (bottom - top + 1) * scale
    )


def _area(tiles: tuple[int, int, int, int]) -> int:
    left, top, right, bottom = tiles
    return (right - left + 1) * (bottom - top + 1)


def _tile_range(bounds: Bounds, z: int) -> tuple[int, int, int, int]:
    """First and last column and row of the tiles that the bounds touch: left, top, right, bottom."""
    side, last = 2 * HALF_WORLD_M / 2**z, 2**z - 1
    left, top = math.floor((bounds[0] + HALF_WORLD_M) / side), math.floor((HALF_WORLD_M - bounds[3]) / side)
    right, bottom = math.ceil((bounds[2] + HALF_WORLD_M) / side) - 1, math.ceil((HALF_WORLD_M - bounds[1]) / side) - 1
    clip = [max(0, min(last, value)) for value in (left, top, right, bottom)]
    return clip[0], clip[1], max(clip[0], clip[2]), max(clip[1], clip[3])


def _n_tiles(bounds: Bounds, z: int) -> int:
    left, top, right, bottom = _tile_range(bounds, z)
    return max(right - left, bottom - top) + 1
