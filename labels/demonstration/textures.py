"""Seamless ground textures at zoom 17, with coarser copies made by averaging.

The textures are made once per sun position and repeat every 1.2 km; the fields of `terrain` (tone, cover, soil) vary
over them, so that the repetition does not show. Averaging a texture halves its resolution exactly as averaging the
picture would, so scenes of 1.2, 2.4 and 10 m show one landscape.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from labels.demonstration.noise import torus_noise
from labels.demonstration.windows import BASE_ZOOM

TILE_PX = 1024
OPTICS_BLUR_PX = 1.3
STRIP_PX = 64  # rows that are worked on at once


@dataclass(frozen=True)
class Sun:
    """Where the light comes from."""

    azimuth_deg: float  # clockwise from north
    elevation_deg: float

    @property
    def towards(self) -> tuple[float, float]:
        """Unit step towards the sun in picture axes (columns to the right, rows downward)."""
        a = np.radians(self.azimuth_deg)
        return float(np.sin(a)), float(-np.cos(a))


class Mip:
    """One texture channel of shape (size, size) and its averages, cut at any place by global pixel index."""

    def __init__(self, base: np.ndarray, blur_px: float = 0.0, levels: int = 5):
        sharp = [np.ascontiguousarray(base, dtype=np.float32)]
        for _ in range(levels - 1):
            sharp.append(halve(sharp[-1]))
        # optics blur by a share of a pixel whatever its size
        blurs = [blur_px if k == 0 else 1.25 * blur_px for k in range(levels)]
        self.levels = [
            ndimage.gaussian_filter(a, b, mode="wrap") if b else a for a, b in zip(sharp, blurs, strict=True)
        ]

    def cut(self, zoom: int, col: int, row: int, width: int, height: int) -> np.ndarray:
        """Values (height, width) for the window whose first pixel is (col, row) of the web-mercator zoom."""
        return cut_torus(self.levels[BASE_ZOOM - zoom], col, row, width, height)


def cut_torus(torus: np.ndarray, col: int, row: int, width: int, height: int) -> np.ndarray:
    """Part (height, width) of a square that repeats, from any place; a view where it lies within one, so read only."""
    size = torus.shape[0]
    col, row = col % size, row % size
    if col + width <= size and row + height <= size:
        return torus[row : row + height, col : col + width]
    out = np.empty((height, width), torus.dtype)
    for r in range(-row, height, size):
        for c in range(-col, width, size):
            r0, c0 = max(r, 0), max(c, 0)
            out[r0 : r + size, c0 : c + size] = torus[r0 - r : height - r, c0 - c : width - c]
    return out


def halve(array: np.ndarray) -> np.ndarray:
    """Average 2 by 2 pixels of the last two axes (both of even length)."""
    return 0.25 * (array[..., ::2, ::2] + array[..., 1::2, ::2] + array[..., ::2, 1::2] + array[..., 1::2, 1::2])


def _crowns(rng, size: int, cell: int, radius: tuple[float, float], keep: float, floor_px: float, warp):
    """Height of the highest crown and its tone on a torus, in pixels; one candidate tree per cell of `cell` pixels."""
    n = size // cell
    cy, cx = rng.uniform(0, 1, (2, n, n)).astype(np.float32) * cell
    r = (radius[0] + (radius[1] - radius[0]) * rng.beta(1.6, 2.4, (n, n))).astype(np.float32)
    r = np.where(rng.uniform(0, 1, (n, n)) < keep, r, 0.01)
    lift = (floor_px * rng.uniform(0.75, 1.25, (n, n))).astype(np.float32)
    tone = rng.normal(0, 1, (n, n)).astype(np.float32)
    squash = rng.uniform(0.85, 1.2, (n, n)).astype(np.float32)

    best = np.zeros((size, size), np.float32)
    best_tone = np.zeros((size, size), np.float32)
    column = np.arange(size, dtype=np.float32)
    for first in range(0, size, STRIP_PX):
        rows = slice(first, first + STRIP_PX)
        py = (column[rows] % cell)[:, None] + warp[0][rows]
        px = column % cell + warp[1][rows]
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):

                def near(values, dy=dy, dx=dx, rows=rows):
                    return _enlarged(values, dy, dx, rows, cell)

                rr = near(r)
                dist2 = ((py - near(cy) - dy * cell) * near(squash)) ** 2 + (px - near(cx) - dx * cell) ** 2
                dome = 1 - dist2 / (rr * rr)
                height = np.where(dome > 0, near(lift) + 1.15 * rr * np.sqrt(np.maximum(dome, 0)), 0)
                higher = height > best[rows]
                best[rows] = np.where(higher, height, best[rows])
                best_tone[rows] = np.where(higher, near(tone), best_tone[rows])
    return best, best_tone


def _enlarged(values: np.ndarray, dy: int, dx: int, rows: slice, cell: int) -> np.ndarray:
    """Values of cells, moved by whole cells on the torus, at the pixels of some rows."""
    cells = (np.arange(rows.start // cell, rows.stop // cell) + dy) % len(values)
    return np.repeat(np.repeat(np.roll(values[cells], -dx, 1), cell, 1), cell, 0)


def _light(height: np.ndarray, sun: Sun, reach_px: int, relief: float) -> tuple[np.ndarray, np.ndarray]:
    """Brightness by slope (mean 1) and share of direct light (0..1) of a height field in pixels, on a torus."""
    gy = (np.roll(height, -1, 0) - np.roll(height, 1, 0)) / 2 * relief
    gx = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) / 2 * relief
    sx, sy = sun.towards
    el = np.radians(sun.elevation_deg)
    slope = (np.sin(el) - (gx * sx + gy * sy) * np.cos(el)) / np.sqrt(1 + gx * gx + gy * gy)
    lit = np.ones_like(height)
    for k in range(1, reach_px + 1):
        shifted = np.roll(height, (-round(sy * k), -round(sx * k)), (0, 1))
        lit = np.minimum(lit, np.clip(1 - (shifted - height - k * np.tan(el)) / 1.5, 0, 1))
    return slope / np.sin(el), lit


@dataclass
class TreeTexture:
    """Trees of one density over open ground; cover and shades are 0..1 or factors near 1."""

    cover: Mip  # share of the pixel under crowns
    shade: Mip  # brightness of the crowns, times cover
    tone: Mip  # species tone, times cover
    ground: Mip  # light reaching the ground, times (1 - cover)


@dataclass
class Textures:
    """All ground textures under one sun."""

    forest: TreeTexture
    woodland: TreeTexture
    parkland: TreeTexture
    grass: Mip  # fine structure of grass and bare ground, standard deviation 1
    clump: Mip  # patches of some tens of metres, standard deviation 1
    grain: Mip  # sensor noise, standard deviation 1
    ripple: Mip  # water surface, standard deviation 1
    parcel_id: np.ndarray  # int32 (TILE_PX, TILE_PX): which parcel of the torus
    parcel_edge_px: np.ndarray  # float32: distance to the parcel's edge
    parcel_centre_px: np.ndarray  # (n_parcels, 2): row, column
    parcel_home: np.ndarray  # int8 (2, TILE_PX, TILE_PX): tiles down and right to the one its centre lies in

    def __post_init__(self):
        self._parcels: dict[int, tuple[np.ndarray, ...]] = {}

    def parcels_at(self, zoom: int) -> tuple[np.ndarray, ...]:
        """Parcel number, home tiles down and right, and distance to the edge, at the pixels of a zoom."""
        if zoom not in self._parcels:
            step = 2 ** (BASE_ZOOM - zoom)
            layers = self.parcel_id, *self.parcel_home, self.parcel_edge_px
            self._parcels[zoom] = tuple(np.ascontiguousarray(a[step // 2 :: step, step // 2 :: step]) for a in layers)
        return self._parcels[zoom]


@lru_cache(maxsize=8)
def _stand(seed: int, kind: int, size: int, keep: tuple[float, float, float], closed: bool):
    """Crowns of one density: height and tone (pixels), stand and leaf noise; the same under every sun."""
    rng = np.random.default_rng([seed, kind])
    warp = [torus_noise(rng, size, 0.6, 60, 500) * 0.75 for _ in range(2)]
    small = _crowns(rng, size, 4, (1.7, 3.4), keep[0], 5.0 if closed else 0.8, warp)
    medium = _crowns(rng, size, 8, (3.0, 5.6), keep[1], 6.5 if closed else 1.4, warp)
    large = _crowns(rng, size, 16, (5.2, 9.0), keep[2], 9.0 if closed else 2.2, warp)
    height, tone = small
    for other, other_tone in (medium, large):
        tone = np.where(other > height, other_tone, tone)
        height = np.maximum(height, other)
    return height, tone, torus_noise(rng, size, 1.1, 24, 180), torus_noise(rng, size, 0.35, 250, 1400)


def _trees(seed: int, kind: int, sun: Sun, *, keep: tuple[float, float, float], closed: bool) -> TreeTexture:
    height, tone, stand, leaves = _stand(seed, kind, TILE_PX, keep, closed)
    covered = height > 0.4
    rough = height + np.where(covered, 0.28 * leaves + (1.2 * stand if closed else 0), 0)
    slope, lit = _light(rough, sun, 12 if closed else 10, 0.72)
    shade = 0.52 + 0.48 * np.clip(slope, 0.05, 2.0)
    shade *= 0.66 + 0.34 * lit
    occlusion = (rough - ndimage.gaussian_filter(rough, 5, mode="wrap")) / 6
    shade *= np.clip(1 + 0.38 * occlusion, 0.5, 1.35)
    shade *= 1 + 0.08 * stand * closed + 0.02 * leaves
    cover = ndimage.gaussian_filter(covered.astype(np.float32), 0.45, mode="wrap")
    if closed:
        shade = shade / shade.mean()
        cover = np.maximum(cover, 0.97)
    else:
        shade = 0.9 * shade / max(shade[covered].mean(), 1e-6)
    ground = (1 - cover) * (0.5 + 0.5 * ndimage.gaussian_filter(lit, 0.6, mode="wrap"))
    return TreeTexture(*(Mip(part, OPTICS_BLUR_PX) for part in (cover, shade * cover, tone * cover, ground)))


def _parcels(rng, size: int, cell: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Warped Voronoi parcels on a torus: id, distance to the edge in pixels, centres, home tiles."""
    n = size // cell
    jitter = rng.uniform(0.12, 0.88, (2, n, n)).astype(np.float32) * cell
    cy = jitter[0] + (np.arange(n) * cell)[:, None]
    cx = jitter[1] + (np.arange(n) * cell)[None, :]
    warp = [torus_noise(rng, size, 1.8, 8, 60) * 4.0 + torus_noise(rng, size, 1.0, 120, 300) * 0.5 for _ in range(2)]
    first = np.full((size, size), 1e9, np.float32)
    second = first.copy()
    ident = np.zeros((size, size), np.int32)
    ids = np.arange(n * n, dtype=np.int32).reshape(n, n)
    column = np.arange(size, dtype=np.float32)

    def gap(p, c):
        d = np.abs(p - c)
        return np.minimum(d, size - d)

    for start in range(0, size, STRIP_PX):
        rows = slice(start, start + STRIP_PX)
        y, x = (column[rows][:, None] + warp[0][rows]) % size, (column + warp[1][rows]) % size
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                # a mix of city-block and straight distance: parcels with corners, not honeycombs
                a = gap(y, _enlarged(cy, dy, dx, rows, cell))
                b = gap(x, _enlarged(cx, dy, dx, rows, cell))
                d = 0.6 * np.maximum(a, b) + 0.4 * np.sqrt(a * a + b * b)
                nearer = d < first[rows]
                second[rows] = np.where(nearer, first[rows], np.minimum(second[rows], d))
                ident[rows] = np.where(nearer, _enlarged(ids, dy, dx, rows, cell), ident[rows])
                first[rows] = np.where(nearer, d, first[rows])
    yy, xx = column[:, None], column[None, :]
    centre = np.stack([cy.ravel(), cx.ravel()], axis=1)
    home = np.stack([np.round((yy - centre[ident, 0]) / size), np.round((xx - centre[ident, 1]) / size)])
    return ident, second - first, centre, home.astype(np.int8)


@lru_cache(maxsize=3)
def _shared(seed: int):
    rng = np.random.default_rng([seed, 4711])
    return (
        Mip(torus_noise(rng, TILE_PX, 0.95, 6), OPTICS_BLUR_PX),
        Mip(torus_noise(rng, TILE_PX, 1.35, 12, 260)),
        Mip(torus_noise(rng, TILE_PX, 0.25, 40)),
        Mip(ndimage.gaussian_filter(torus_noise(rng, TILE_PX, 0.9, 20), (0.4, 1.2), mode="wrap")),
        *_parcels(rng, TILE_PX, 32),
    )


@lru_cache(maxsize=3)
def ground_textures(seed: int, sun: Sun) -> Textures:
    """The textures of a country under one sun (a few seconds; kept for the next call)."""
    return Textures(
        _trees(seed, 1, sun, keep=(0.97, 0.75, 0.34), closed=True),
        _trees(seed, 2, sun, keep=(0.30, 0.34, 0.05), closed=False),
        _trees(seed, 3, sun, keep=(0.075, 0.05, 0.012), closed=False),
        *_shared(seed),
    )


def forget() -> None:
    """Let go of all textures; they are made again when they are asked for."""
    for made in (ground_textures, _shared, _stand):
        made.cache_clear()
