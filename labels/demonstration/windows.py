"""Windows of pixels of a web-mercator zoom, and the zooms that can be drawn."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

HALF_WORLD_M = 20037508.342789244
MIN_ZOOM, BASE_ZOOM = 13, 17
BASE_M = 2 * HALF_WORLD_M / 256 / 2**BASE_ZOOM
BLOCK_PX = 512


def resolution_m(zoom: int) -> float:
    """Ground size of a pixel at a web-mercator zoom, metres at the equator."""
    return BASE_M * 2.0 ** (BASE_ZOOM - zoom)


def zoom_for(resolution: float) -> int:
    """The zoom whose pixels come nearest to a resolution in metres.

    Raises
    ------
    ValueError
        If it is finer than zoom 17 or coarser than zoom 13 draws.
    """
    zoom = round(BASE_ZOOM - np.log2(resolution / BASE_M))
    if not MIN_ZOOM <= zoom <= BASE_ZOOM:
        raise ValueError(f"Resolutions from {resolution_m(17):.2f} to {resolution_m(13):.1f} m can be drawn.")
    return int(zoom)


@dataclass(frozen=True)
class PixelWindow:
    """Pixels of a web-mercator zoom: first column and row counted from the north-west corner of the world."""

    zoom: int
    col: int
    row: int
    width: int
    height: int

    @classmethod
    def covering(cls, bounds_m: tuple[float, float, float, float], zoom: int) -> "PixelWindow":
        """The pixels whose centres lie within EPSG:3857 bounds."""
        res = resolution_m(zoom)
        col, row = round((bounds_m[0] + HALF_WORLD_M) / res), round((HALF_WORLD_M - bounds_m[3]) / res)
        right, bottom = round((bounds_m[2] + HALF_WORLD_M) / res), round((HALF_WORLD_M - bounds_m[1]) / res)
        return cls(zoom, col, row, max(1, right - col), max(1, bottom - row))

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """EPSG:3857 bounds of the pixels' outer edges."""
        res = resolution_m(self.zoom)
        west, north = self.col * res - HALF_WORLD_M, HALF_WORLD_M - self.row * res
        return west, north - self.height * res, west + self.width * res, north

    @property
    def x(self) -> np.ndarray:
        """Of the pixels' centres, metres, (1, width)."""
        return ((self.col + np.arange(self.width) + 0.5) * resolution_m(self.zoom) - HALF_WORLD_M)[None, :]

    @property
    def y(self) -> np.ndarray:
        """Of the pixels' centres, metres, (height, 1)."""
        return (HALF_WORLD_M - (self.row + np.arange(self.height) + 0.5) * resolution_m(self.zoom))[:, None]

    def grown(self, margin: int) -> "PixelWindow":
        """With so many pixels more on each side."""
        more = 2 * margin
        return PixelWindow(self.zoom, self.col - margin, self.row - margin, self.width + more, self.height + more)

    def blocks(self, size: int) -> Iterator["PixelWindow"]:
        """Yield windows of at most `size` pixels a side that tile this one."""
        for row in range(self.row, self.row + self.height, size):
            for col in range(self.col, self.col + self.width, size):
                width, height = min(size, self.col + self.width - col), min(size, self.row + self.height - row)
                yield PixelWindow(self.zoom, col, row, width, height)

    def within(self, outer: "PixelWindow") -> tuple[slice, slice]:
        """Rows and columns of this window in an array of an outer one."""
        row, col = self.row - outer.row, self.col - outer.col
        return slice(row, row + self.height), slice(col, col + self.width)


def segment_distance(x, y, ax, ay, bx, by) -> np.ndarray:
    """Distance of points (broadcast x, y) to the segment from a to b, metres."""
    dx, dy = bx - ax, by - ay
    length2 = max(dx * dx + dy * dy, 1e-9)
    x, y = x - ax, y - ay
    t = np.clip(x * (dx / length2) + y * (dy / length2), 0, 1)
    x, y = x - t * dx, y - t * dy
    return np.sqrt(x * x + y * y)
