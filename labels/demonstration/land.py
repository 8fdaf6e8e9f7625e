"""The slow fields of a country: what grows, how red the soil is, how far the water; on a lattice, and at pixels."""

from collections import OrderedDict
from itertools import pairwise
from math import floor
from weakref import WeakKeyDictionary, proxy

import numpy as np
from scipy.spatial import cKDTree

from labels.demonstration.noise import Lattice, NoiseField, smoothstep
from labels.demonstration.stamps import StampMaker
from labels.demonstration.terrain import Country
from labels.demonstration.textures import Sun
from labels.demonstration.windows import BASE_M, BASE_ZOOM, HALF_WORLD_M, PixelWindow

LATTICE_M = 16 * BASE_M  # spacing of the nodes
CHUNK = 128  # nodes a side that are computed at once
KEEP_CHUNKS = 360
MARGIN_NODES = 6  # known around a window: a parcel's centre may lie outside
UPRIGHT_BELOW_M = 115.0
OPEN_SEA_M = 400.0

FIELDS = ("forest", "tone", "hue", "red", "shade", "farm", "shore", "river_gap", "patch")


class Land:
    """The fields of a country under one sun, kept in chunks; dates share it."""

    _kept: WeakKeyDictionary = WeakKeyDictionary()

    def __init__(self, country: Country, sun: Sun):
        self.country, self.sun = proxy(country), sun
        settled = country.settlements
        self._settlement_tree = cKDTree([(s.x, s.y) for s in settled])
        self._settlement_radius = np.array([s.radius_m for s in settled])
        self._chunks: OrderedDict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._noises: dict[int, NoiseField] = {}
        self.stamps: dict[int, StampMaker] = {}  # by zoom, of things that do not change with the date

    @classmethod
    def of(cls, country: Country, sun: Sun) -> "Land":
        """The one Land of a country and sun."""
        suns = cls._kept.setdefault(country, {})
        if sun not in suns:
            suns[sun] = cls(country, sun)
        return suns[sun]

    def chunk(self, i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Fields on CHUNK x CHUNK nodes, (field, row, column), and the number of the nearest river point (-1: far)."""
        key = (i, j)
        if key in self._chunks:
            self._chunks.move_to_end(key)
            return self._chunks[key]
        # one node more on each side, for slopes
        lattice = Lattice(i * CHUNK - 1, j * CHUNK - 1, CHUNK + 2, LATTICE_M, (-HALF_WORLD_M, HALF_WORLD_M))
        shore = self.country.shore_on(lattice)
        if shore.max() < -OPEN_SEA_M:
            made = self._sea(lattice, shore)
        else:
            made = self._land(lattice, shore)
        self._chunks[key] = made
        if len(self._chunks) > KEEP_CHUNKS:
            self._chunks.popitem(last=False)
        return made

    def _noise(self, channel: int, lattice: Lattice, *waves) -> np.ndarray:
        if channel not in self._noises:
            self._noises[channel] = NoiseField(self.country.seed, channel, upright_below_m=UPRIGHT_BELOW_M)
        return self._noises[channel].on_lattice(lattice, *waves)

    def _sea(self, lattice: Lattice, shore: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Far out: nothing of the land is seen there."""
        out = np.zeros((len(FIELDS), CHUNK, CHUNK), np.float16)
        out[FIELDS.index("shade")] = 1
        out[FIELDS.index("shore")] = _to_water(shore)[1:-1, 1:-1]
        out[FIELDS.index("river_gap")] = 700
        out[FIELDS.index("patch")] = self._noise(23, lattice, 700, 5, 0.6)[1:-1, 1:-1]
        return out, np.full((CHUNK, CHUNK), -1, np.int32)

    def _land(self, lattice: Lattice, shore: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shade = self._shade(lattice, shore)
        shore = _to_water(shore)
        gap, nearest = self._river_gap(lattice)
        farm = self._farming(lattice, shore)
        north = ((lattice.y - self.country.y0) / (self.country.y1 - self.country.y0))[:, None]
        forest = 0.62 - 0.55 * (north - 0.35) + 0.62 * self._noise(20, lattice, 9000, 6, 0.55)
        forest += 0.55 * np.exp(-np.maximum(gap, 0) / 90.0) * smoothstep(0.75, 0.25, forest)
        forest -= 0.75 * smoothstep(0.25, 0.85, farm)
        fields = (
            forest,
            self._noise(21, lattice, 2600, 6, 0.6),
            self._noise(22, lattice, 3800, 5, 0.55),
            np.clip(0.5 + 0.9 * self._noise(13, lattice, 8000, 3), 0, 1),
            np.clip(shade, 0.7, 1.22),
            farm,
            shore,
            gap,
            self._noise(23, lattice, 700, 5, 0.6),
        )
        out = np.empty((len(FIELDS), CHUNK, CHUNK), np.float16)
        for k, values in enumerate(fields):
            out[k] = values[1:-1, 1:-1]
        return out, nearest[1:-1, 1:-1].copy()

    def _shade(self, lattice: Lattice, shore: np.ndarray) -> np.ndarray:
        """Brightness of slopes under the sun; hills without the river valleys."""
        ridge = 1 - np.abs(self._noise(2, lattice, 5200, 6, 0.5)) * 1.6
        spur = 1 - np.abs(self._noise(3, lattice, 1300, 5, 0.55)) * 1.7
        gy, gx = np.gradient(0.012 * np.maximum(shore, 0) + 80 * ridge + 26 * spur, LATTICE_M)
        sx, sy = self.sun.towards
        return 1 - 1.15 * (gx * sx + gy * sy)

    def _river_gap(self, lattice: Lattice) -> tuple[np.ndarray, np.ndarray]:
        """Metres to the nearest river's bank, at most 700, exact where it matters; and its nearest point."""
        points, level = self.country.river_points, 3

        def ask(x, y):
            away, which = points["tree"].query(np.stack([x, y], axis=-1), distance_upper_bound=700)
            found = np.isfinite(away)
            which = np.where(found, which, 0)
            return np.where(found, away - points["half_width_m"][which], 700), np.where(found, which, -1)

        gap = lattice.refine(ask(*lattice.coarse(level))[0].astype(np.float32), level)
        nearest = np.full(gap.shape, -1, np.int32)
        close = gap < 340
        if close.any():
            x, y = lattice.coarse(0)
            gap[close], nearest[close] = ask(x[close], y[close])
        return gap, nearest

    def _farming(self, lattice: Lattice, shore: np.ndarray) -> np.ndarray:
        """Share of the land under fields, 0..1: around settlements and along roads."""
        level = 2
        gap, which = self._settlement_tree.query(np.stack(lattice.coarse(level), axis=-1))
        gap = np.maximum(gap - self._settlement_radius[which], 0)
        reach = 2.3 * self._settlement_radius[which] + 260
        away = np.maximum(lattice.refine(np.minimum(gap / reach, 40).astype(np.float32), level), 0)
        shifting = self._noise(24, lattice, 2200, 5, 0.65)
        near = np.exp(-(away**1.2) * np.exp(-2.4 * shifting))
        belt = np.clip(1 - shore / 300, 0, 1)
        return np.clip(0.95 * near + 0.35 * shifting * (0.25 + near) + 0.05 - belt, 0, 1)


class SlowFields:
    """The fields in and around a window: at nodes, and spread over the pixels of any part of it."""

    def __init__(self, land: Land, win: PixelWindow):
        self._per = 2.0 ** (BASE_ZOOM - win.zoom) / 16.0  # nodes per pixel
        last_col, last_row = win.col + win.width - 0.5, win.row + win.height - 0.5
        self._i0 = floor((win.col + 0.5) * self._per) - MARGIN_NODES
        self._j0 = floor((win.row + 0.5) * self._per) - MARGIN_NODES
        ni = floor(last_col * self._per) + 2 + MARGIN_NODES - self._i0
        nj = floor(last_row * self._per) + 2 + MARGIN_NODES - self._j0
        nodes = np.empty((len(FIELDS), nj, ni), np.float32)
        self.nearest = np.empty((nj, ni), np.int32)
        for cj in range(self._j0 // CHUNK, (self._j0 + nj - 1) // CHUNK + 1):
            for ci in range(self._i0 // CHUNK, (self._i0 + ni - 1) // CHUNK + 1):
                rows, from_rows = _overlap(self._j0, nj, cj)
                cols, from_cols = _overlap(self._i0, ni, ci)
                fields, nearest = land.chunk(ci, cj)
                nodes[:, rows, cols] = fields[:, from_rows, from_cols]
                self.nearest[rows, cols] = nearest[from_rows, from_cols]
        self.at: dict[str, np.ndarray] = dict(zip(FIELDS, nodes, strict=True))

    def span(self, win: PixelWindow, margin: int = 0) -> tuple[slice, slice]:
        """Rows and columns of the nodes around a part of the window."""
        i = floor((win.col + 0.5) * self._per) - self._i0
        j = floor((win.row + 0.5) * self._per) - self._j0
        i_end = floor((win.col + win.width - 0.5) * self._per) + 2 - self._i0
        j_end = floor((win.row + win.height - 0.5) * self._per) + 2 - self._j0
        return slice(j - margin, j_end + margin), slice(i - margin, i_end + margin)

    def spread(self, stack: np.ndarray, win: PixelWindow) -> np.ndarray:
        """Node values (..., rows, columns) at the pixels of a part of the window, linear between nodes."""
        u = (win.col + np.arange(win.width) + 0.5) * self._per - self._i0
        v = (win.row + np.arange(win.height) + 0.5) * self._per - self._j0
        i, j = u.astype(int), v.astype(int)
        fu, fv = (u - i).astype(np.float32), (v - j).astype(np.float32)
        # rows first, so that each step runs over all fields at once
        part = np.moveaxis(stack[..., j[0] : j[-1] + 2, :], -2, 0)
        across = part[..., i] * (1 - fu)
        across += part[..., i + 1] * fu
        j = j - j[0]
        fv = fv.reshape(-1, *[1] * (across.ndim - 1))
        if self._per > 0.3:
            out = across[j] * (1 - fv)
            out += across[j + 1] * fv
            return np.moveaxis(out, 0, -2)
        out = np.empty((win.height, *across.shape[1:]), np.float32)
        rise = np.diff(across, axis=0)
        starts = [0, *(np.flatnonzero(np.diff(j)) + 1), win.height]
        for k, (first, end) in enumerate(pairwise(starts)):
            np.multiply(rise[k], fv[first:end], out=out[first:end])
            out[first:end] += across[k]
        return np.moveaxis(out, 0, -2)

    def one(self, name: str, win: PixelWindow) -> np.ndarray:
        """A field at the pixels of a part of the window."""
        return self.spread(self.at[name], win)

    def node_of(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of the node nearest to points in metres; points beyond what is known get the last one."""
        row = np.round((HALF_WORLD_M - y) / LATTICE_M).astype(int) - self._j0
        col = np.round((x + HALF_WORLD_M) / LATTICE_M).astype(int) - self._i0
        n_rows, n_cols = self.nearest.shape
        return np.clip(row, 0, n_rows - 1), np.clip(col, 0, n_cols - 1)


def _to_water(shore: np.ndarray) -> np.ndarray:
    """Metres to the water's edge, also where the shore lies flat: the field over its slope, for half precision."""
    gy, gx = np.gradient(shore, LATTICE_M)
    return np.clip(shore / np.maximum(np.hypot(gx, gy), 0.3), -20_000, 20_000)


def _overlap(first: int, n: int, chunk: int) -> tuple[slice, slice]:
    """Where nodes of a chunk lie in a row of n nodes from `first`, and in the chunk."""
    a, b = max(first, chunk * CHUNK), min(first + n, (chunk + 1) * CHUNK)
    return slice(a - first, b - first), slice(a - chunk * CHUNK, b - chunk * CHUNK)
