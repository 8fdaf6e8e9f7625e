"""Noise that belongs to places: the same point has the same value, whatever window asks for it.

Nothing here draws from a sequential generator per window. Fields are cubic B-splines over a fixed random table, and
discrete things (a parcel, a roof) take their random numbers from a hash of what they are.
"""

from functools import lru_cache

import numpy as np
from scipy import fft, ndimage

TABLE_SIZE = 256

_MIX = np.uint64(0x9E3779B97F4A7C15)


def hash_uniform(*keys) -> np.ndarray:
    """Uniform numbers in [0, 1) from integer keys, broadcast together; equal keys give equal numbers."""
    state = np.uint64(0x243F6A8885A308D3)
    with np.errstate(over="ignore"):
        for key in keys:
            state = (state ^ np.asarray(key).astype(np.int64).astype(np.uint64)) * _MIX
            state ^= state >> np.uint64(29)
            state = state * np.uint64(0xBF58476D1CE4E5B9)
            state ^= state >> np.uint64(32)
    return (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)


class NoiseField:
    """Fractal noise over the plane, about -1 to 1, with mean 0 and a standard deviation near 0.35.

    Parameters
    ----------
    seed, channel : int
        Together they name the field; two channels of one seed are unrelated.
    upright_below_m : float
        Octaves whose knots lie closer than this stand along the axes instead of turned at random, which makes them
        fifty times cheaper on a lattice. Slower octaves hide it.
    """

    def __init__(self, seed: int, channel: int, *, upright_below_m: float = 0.0):
        rng = np.random.default_rng([seed, channel])
        self._table = rng.uniform(-1, 1, (TABLE_SIZE, TABLE_SIZE)).astype(np.float32)
        self._offsets = rng.uniform(0, TABLE_SIZE, (16, 2))
        self._angles = rng.uniform(0, 2 * np.pi, 16)
        self._upright_below_m = upright_below_m

    def __call__(
        self, x: np.ndarray, y: np.ndarray, wavelength_m: float, octaves: int = 4, gain: float = 0.5
    ) -> np.ndarray:
        """Value at points x, y (metres, any shape); the longest wave is `wavelength_m`, each octave halves it."""
        shape = np.broadcast(x, y).shape
        x, y = (np.atleast_1d(np.broadcast_to(np.asarray(v, float), shape)) for v in (x, y))
        total = np.zeros(x.shape, dtype=np.float32)
        for k in range(octaves):
            total += gain**k * self._octave(k, x, y, wavelength_m / 2.0 ** (k + 1))
        return (total * _norm(octaves, gain)).reshape(shape)

    def on_lattice(self, lattice: "Lattice", wavelength_m: float, octaves: int = 4, gain: float = 0.5) -> np.ndarray:
        """Value at the nodes of a lattice, (rows, columns), to about a thousandth of what calling it gives.

        A slow octave is evaluated on every 2nd, 4th, ... node and brought to the rest by cubic interpolation, so a
        field costs little more than its fastest octaves.
        """
        slow: dict[int, np.ndarray] = {}
        total = np.zeros((lattice.n, lattice.n), np.float32)
        for k in range(octaves):
            knot_m = wavelength_m / 2.0 ** (k + 1)
            if knot_m < self._upright_below_m:
                total += np.float32(gain**k) * self._upright_octave(k, lattice, knot_m)
                continue
            level = lattice.level_for(knot_m)
            part = np.float32(gain**k) * self._octave(k, *lattice.coarse(level), knot_m)
            slow[level] = slow[level] + part if level in slow else part
        for level, values in slow.items():
            total += lattice.refine(values, level)
        return total * _norm(octaves, gain)

    def _octave(self, k: int, x: np.ndarray, y: np.ndarray, knot_m: float) -> np.ndarray:
        angle = 0.0 if knot_m < self._upright_below_m else self._angles[k]
        cos, sin = np.cos(angle) / knot_m, np.sin(angle) / knot_m
        at = np.stack([x * cos - y * sin + self._offsets[k, 0], x * sin + y * cos + self._offsets[k, 1]])
        return ndimage.map_coordinates(self._table, at, order=3, mode="grid-wrap", prefilter=False, output=np.float32)

    def _upright_octave(self, k: int, lattice: "Lattice", knot_m: float) -> np.ndarray:
        first_c, across = _spline_matrix(lattice.x / knot_m + self._offsets[k, 0])
        first_r, down = _spline_matrix(lattice.y / knot_m + self._offsets[k, 1])
        at = np.ix_(
            (first_c + np.arange(across.shape[1])) % TABLE_SIZE, (first_r + np.arange(down.shape[1])) % TABLE_SIZE
        )
        return down @ (across @ self._table[at]).T


def _norm(octaves: int, gain: float) -> np.float32:
    # a cubic B-spline of uniform(-1, 1) values has a standard deviation of about 0.28
    return np.float32(1.25 / np.sqrt(sum(gain ** (2 * k) for k in range(octaves))))


def _spline_matrix(at: np.ndarray) -> tuple[int, np.ndarray]:
    """First knot, and the weights (points, knots) of cubic B-splines at points between knots 1 apart."""
    knot = np.floor(at).astype(int)
    t = at - knot
    first = int(knot.min()) - 1
    weights = np.zeros((len(at), int(knot.max()) + 3 - first), np.float32)
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for k, piece in enumerate(pieces):
        weights[np.arange(len(at)), knot - 1 - first + k] = piece / 6
    return first, weights


class Lattice:
    """Square of n by n nodes of a lattice that covers the world; coarser levels keep every 2nd, 4th, ... node.

    Parameters
    ----------
    first_col, first_row : int
        Numbers of the north-western node, counted from the origin.
    n : int
        Nodes a side.
    step_m : float
        Between nodes.
    origin_m : tuple of float
        x and y of node 0, 0; rows run south.
    """

    MAX_LEVEL = 5
    NODES_PER_KNOT = 3.0

    def __init__(self, first_col: int, first_row: int, n: int, step_m: float, origin_m: tuple[float, float]):
        self.first_col, self.first_row, self.n, self.step_m, self.origin_m = first_col, first_row, n, step_m, origin_m
        self._coarse: dict[int, list[np.ndarray]] = {}
        self.x = origin_m[0] + (first_col + np.arange(n)) * step_m
        self.y = origin_m[1] - (first_row + np.arange(n)) * step_m

    def level_for(self, knot_m: float) -> int:
        """The coarsest level that has enough nodes between knots."""
        level = np.floor(np.log2(knot_m / (self.NODES_PER_KNOT * self.step_m)))
        return int(np.clip(level, 0, self.MAX_LEVEL))

    def coarse(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        """x and y (rows, columns) of the nodes of a level that `refine` asks for."""
        if level not in self._coarse:
            x, y = self.x, self.y
            if level:
                cols, rows = (_coarse_nodes(first, self.n, level) for first in (self.first_col, self.first_row))
                x, y = self.origin_m[0] + cols * self.step_m, self.origin_m[1] - rows * self.step_m
            self._coarse[level] = np.broadcast_arrays(x[None, :], y[:, None])
        return self._coarse[level]

    def refine(self, values: np.ndarray, level: int) -> np.ndarray:
        """Values at every node from those at the nodes of a level."""
        if level == 0:
            return values
        step = 2**level
        across, down = (_cubic_matrix(first % step, self.n, level) for first in (self.first_col, self.first_row))
        return down @ values @ across.T


def _coarse_nodes(first: int, n: int, level: int) -> np.ndarray:
    step = 2**level
    return np.arange(first // step - 1, (first + n - 1) // step + 3) * step


@lru_cache(maxsize=64)
def _cubic_matrix(first: int, n: int, level: int) -> np.ndarray:
    """Weights (nodes, coarse nodes) of cubic interpolation; `first` is the first node's number within its step."""
    step = 2**level
    cell, t = np.divmod((first + np.arange(n)) / step, 1.0)
    weights = np.zeros((n, len(_coarse_nodes(first, n, level))), np.float32)
    before, after, beyond = t + 1, t - 1, t - 2
    pieces = (
        -t * after * beyond / 6, before * after * beyond / 2, -before * t * beyond / 2, before * t * after / 6,
    )  # fmt: skip
    for k, piece in enumerate(pieces):
        weights[np.arange(n), cell.astype(int) + k] = piece
    return weights


def torus_noise(rng: np.random.Generator, size: int, slope: float, low: float = 1.0, high: float = 1e9) -> np.ndarray:
    """A square of noise that repeats seamlessly, mean 0 and standard deviation 1, float32 of shape (size, size).

    The amplitude falls as frequency to the power -`slope`; frequencies (in cycles per tile) outside
    [`low`, `high`] are left out.
    """
    radius, log_radius = _frequencies(size)
    amplitude = np.exp(log_radius * -slope)
    amplitude[(radius < low) | (radius > high)] = 0.0
    amplitude[0, 0] = 0.0
    spectrum = fft.rfft2(rng.standard_normal((size, size)).astype(np.float32)) * amplitude
    field = fft.irfft2(spectrum, s=(size, size))
    return field / field.std()


@lru_cache(maxsize=2)
def _frequencies(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Length of the wave vector in cycles per tile, and its logarithm, for the half plane that `rfft2` gives."""
    radius = np.hypot(np.fft.rfftfreq(size)[None, :] * size, np.fft.fftfreq(size)[:, None] * size).astype(np.float32)
    radius[0, 0] = 1.0
    return radius, np.log(radius)


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth ramp between; `low` may exceed `high`."""
    t = value - low
    t = t / (high - low) if np.ndim(t) == 0 or np.ndim(low) else np.multiply(t, 1.0 / (high - low), out=t)
    if np.ndim(t) == 0:
        t = min(max(t, 0.0), 1.0)
        return t * t * (3 - 2 * t)
    np.maximum(t, 0, out=t)
    np.minimum(t, 1, out=t)
    rise = t * -2
    rise += 3
    t *= t
    t *= rise
    return t


def between(nodes: np.ndarray, j: np.ndarray, fv: np.ndarray, i: np.ndarray, fu: np.ndarray) -> np.ndarray:
    """Linear interpolation of nodes (rows, columns) at fractions `fv` past rows `j` and `fu` past columns `i`."""
    across = nodes[:, i] * (1 - fu) + nodes[:, i + 1] * fu
    return across[j] * (1 - fv)[:, None] + across[j + 1] * fv[:, None]
