"""Noise that belongs to places: the same point has the same value, whatever window asks for it.

Nothing here draws from a sequential generator per window. Fields are cubic B-splines over a fixed random table, and
discrete things (a parcel, a roof) take their random numbers from a hash of what they are.
"""

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
    """

    def __init__(self, seed: int, channel: int):
        rng = np.random.default_rng([seed, channel])
        self._table = rng.uniform(-1, 1, (TABLE_SIZE, TABLE_SIZE)).astype(np.float32)
        self._offsets = rng.uniform(0, TABLE_SIZE, (16, 2))
        self._angles = rng.uniform(0, 2 * np.pi, 16)

    def __call__(
        self, x: np.ndarray, y: np.ndarray, wavelength_m: float, octaves: int = 4, gain: float = 0.5
    ) -> np.ndarray:
        """Value at points x, y (metres, any shape); the longest wave is `wavelength_m`, each octave halves it."""
        shape = np.broadcast(x, y).shape
        x, y = (np.atleast_1d(np.broadcast_to(np.asarray(v, float), shape)) for v in (x, y))
        total = np.zeros(x.shape, dtype=np.float32)
        norm, amplitude, frequency = 0.0, 1.0, 2.0 / wavelength_m
        for k in range(octaves):
            cos, sin = np.cos(self._angles[k]) * frequency, np.sin(self._angles[k]) * frequency
            at = np.stack([x * cos - y * sin + self._offsets[k, 0], x * sin + y * cos + self._offsets[k, 1]])
            total += amplitude * ndimage.map_coordinates(
                self._table, at, order=3, mode="grid-wrap", prefilter=False, output=np.float32
            )
            norm += amplitude**2
            amplitude *= gain
            frequency *= 2.0
        # a cubic B-spline of uniform(-1, 1) values has a standard deviation of about 0.28
        return (total * np.float32(1.25 / np.sqrt(norm))).reshape(shape)


def torus_noise(rng: np.random.Generator, size: int, slope: float, low: float = 1.0, high: float = 1e9) -> np.ndarray:
    """A square of noise that repeats seamlessly, mean 0 and standard deviation 1, float32 of shape (size, size).

    The amplitude falls as frequency to the power -`slope`; frequencies (in cycles per tile) outside
    [`low`, `high`] are left out.
    """
    fy = np.fft.fftfreq(size)[:, None] * size
    fx = np.fft.rfftfreq(size)[None, :] * size
    radius = np.hypot(fx, fy)
    radius[0, 0] = 1.0
    amplitude = radius**-slope
    amplitude[(radius < low) | (radius > high)] = 0.0
    amplitude[0, 0] = 0.0
    spectrum = fft.rfft2(rng.standard_normal((size, size))) * amplitude
    field = fft.irfft2(spectrum, s=(size, size))
    return (field / field.std()).astype(np.float32)


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth ramp between; `low` may exceed `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
