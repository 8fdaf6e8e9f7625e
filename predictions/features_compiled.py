"""Pooled responses of filters, compiled by numba: the same numbers as `features_blocked`, with nothing kept of them.

Patches are laid out value by value in strips small enough for the processor's first cache, and the filters go over a
strip six at a time (`features_vectors`). Filters of 3 x 3 pixels see four patches side by side at once, for half the
multiplications; what is left over at the ends of rows, and other filters, go one by one.

Every number is multiplied and added in an order that is written down here, so the bytes are those of any processor that
fuses products and sums, however wide its vectors.
"""

from functools import cache
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from predictions import features_vectors
from predictions.features_vectors import GROUP, LANES, POINT, SUM_LANES

STRIP = 12 * LANES  # patches, 27 values each
STRIP_OF_FOURS = 6 * LANES  # fours of patches, 54 values each
ALIGNMENT = 64
# Fours round a little more coarsely. Over this many patches that evens out; a small chip is quick either way.
FOURS_FROM = 4096

# How a filter's rows become six numbers; values become six as `lay_out_fours` says, responses four as
# `features_vectors` does.
FOURS = 4
_A, _B = POINT, 1 / POINT
OF_FILTER = np.array(
    [
        [1, 0, 0],
        [-_A / 1.5, -(_A**2) / 1.5, -(_A**3) / 1.5],
        [-_A / 1.5, _A**2 / 1.5, -(_A**3) / 1.5],
        [_B / 6, _B**2 / 6, _B**3 / 6],
        [_B / 6, -(_B**2) / 6, _B**3 / 6],
        [0, 0, 1],
    ]
)


@cache
def is_available() -> bool:
    return find_spec("numba") is not None


def pooled(
    counts: NDArray[np.float32],
    patches: NDArray[np.bool_] | None,
    weights: tuple[NDArray[np.float32], NDArray[np.float32]],
    thresholds: NDArray[np.float64],
    patch_px: int,
) -> NDArray[np.float64]:
    """Mean over patches of max(filter . patch, threshold).

    `weights` are the filters as `prepared` lays them out; other arguments and result as of `features_blocked.pooled`.
    """
    n_thresholds, n_filters = thresholds.shape
    plain, in_fours = weights
    runs = _runs(counts.shape[1] - patch_px + 1, counts.shape[2] - patch_px + 1, patches)
    n_patches = runs[:, 2].sum()
    if n_patches < FOURS_FROM:
        in_fours = in_fours[:, :0]
    limits = np.zeros((1 + len(plain), n_thresholds, GROUP), np.float32)
    limits[1:] = _grouped(thresholds.T)
    sums = np.zeros((*limits.shape, SUM_LANES))
    loop = _compiled(n_thresholds)
    n_empty = loop(
        np.ascontiguousarray(counts), runs, plain, in_fours, limits, patch_px, *_strips(plain.shape[1]), sums
    )
    total = sum(np.moveaxis(sums[1:], -1, 0))  # one lane after the other: the same order everywhere
    total -= n_empty * np.maximum(limits[1:], 0)  # an empty place of a strip responds with 0
    return total.transpose(1, 0, 2).reshape(n_thresholds, -1)[:, :n_filters] / n_patches


def prepared(filters: NDArray[np.float32], patch_px: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Filters by groups, (n_groups, n_values, GROUP), and transformed, (n_groups, 6, n_rows, GROUP)."""
    plain = _aligned(_grouped(filters))
    if patch_px != len(OF_FILTER[0]):
        return plain, np.zeros((len(plain), 0, 0, GROUP), np.float32)
    rows = filters.astype(np.float64).reshape(len(filters), -1, patch_px)
    six = _grouped(np.einsum("jx,frx->fjr", OF_FILTER, rows).reshape(len(filters), -1))
    return plain, _aligned(six.reshape(len(plain), len(OF_FILTER), -1, GROUP))


def _grouped(of_filters: NDArray) -> NDArray:
    """(n_filters, n) as (n_groups, n, GROUP); zeros fill the last group."""
    n_groups = -(-len(of_filters) // GROUP)
    padded = np.zeros((n_groups * GROUP, of_filters.shape[1]), of_filters.dtype)
    padded[: len(of_filters)] = of_filters
    return padded.reshape(n_groups, GROUP, -1).transpose(0, 2, 1)


def _strips(n_values: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return _aligned(np.zeros((n_values, STRIP))), _aligned(np.zeros((len(OF_FILTER), n_values // 3, STRIP_OF_FOURS)))


def _aligned(array: NDArray) -> NDArray[np.float32]:
    """As float32 that begins where a line of the cache does: a vector never lies over two."""
    raw = np.empty(array.size * 4 + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    room = raw[start : start + array.size * 4].view(np.float32).reshape(array.shape)
    room[:] = array
    return room


def _runs(height: int, width: int, patches: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Patches that take part, as (row, first column, length), row by row."""
    if patches is None:
        return np.column_stack([np.arange(height), np.zeros(height, np.int64), np.full(height, width)])
    steps = np.diff(np.pad(patches.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return np.column_stack([rows, starts, ends - starts])


@cache
def _compiled(n_thresholds: int):
    """The loop over strips for so many thresholds; takes seconds, once in a process."""
    import numba

    direct = features_vectors.direct(n_thresholds, STRIP)
    by_fours = features_vectors.in_fours(n_thresholds, STRIP_OF_FOURS)

    @numba.njit(nogil=True)
    def of_strip(strip, weights, limits, sums):
        direct(strip, weights, limits, sums)

    @numba.njit(nogil=True)
    def of_fours(strip, weights, limits, sums):
        by_fours(strip, weights, limits, sums)

    @numba.njit(nogil=True)
    def lay_out(counts, row, start, n, patch_px, strip, filled):
        value = 0
        for band in range(counts.shape[0]):
            for dy in range(patch_px):
                for dx in range(patch_px):
                    for i in range(n):
                        strip[value, filled + i] = counts[band, row + dy, start + dx + i]
                    value += 1

    @numba.njit(nogil=True)
    def lay_out_fours(counts, row, start, n, strip, filled):
        # Numba makes a whole number times a float32 a float64.
        one, other, half = np.float32(_A), np.float32(_B), np.float32(0.5)
        two, two_and_a_half = np.float32(2.0), np.float32(2.5)
        of_row = 0
        for band in range(counts.shape[0]):
            for dy in range(3):
                line = counts[band, row + dy]
                for i in range(n):
                    at = start + FOURS * i
                    d0, d1, d2 = line[at], line[at + 1], line[at + 2]
                    d3, d4, d5 = line[at + 3], line[at + 4], line[at + 5]
                    place = filled + i
                    even, odd = d4 - two * d2, one * (d3 - two * d1)
                    strip[0, of_row, place] = d0 - two_and_a_half * d2 + d4
                    strip[1, of_row, place] = even + odd
                    strip[2, of_row, place] = even - odd
                    even, odd = d4 - half * d2, other * (d3 - half * d1)
                    strip[3, of_row, place] = even + odd
                    strip[4, of_row, place] = even - odd
                    strip[5, of_row, place] = d1 - two_and_a_half * d3 + d5
                of_row += 1

    @numba.njit(nogil=True)
    def over_runs(counts, runs, weights, in_fours, limits, patch_px, strip, strip_of_fours, sums):
        filled, filled_fours, n_empty = 0, 0, 0
        has_fours = in_fours.shape[1] > 0
        for number in range(len(runs)):
            row, start, left = runs[number, 0], runs[number, 1], runs[number, 2]
            while has_fours and left >= FOURS:
                n = min(left // FOURS, STRIP_OF_FOURS - filled_fours)
                lay_out_fours(counts, row, start, n, strip_of_fours, filled_fours)
                filled_fours, start, left = filled_fours + n, start + FOURS * n, left - FOURS * n
                if filled_fours == STRIP_OF_FOURS:
                    of_fours(strip_of_fours, in_fours, limits, sums)
                    filled_fours = 0
            while left:
                n = min(left, STRIP - filled)
                lay_out(counts, row, start, n, patch_px, strip, filled)
                filled, start, left = filled + n, start + n, left - n
                if filled == STRIP:
                    of_strip(strip, weights, limits, sums)
                    filled = 0
        if filled:
            strip[:, filled:] = 0
            of_strip(strip, weights, limits, sums)
            n_empty += STRIP - filled
        if filled_fours:
            strip_of_fours[:, :, filled_fours:] = 0
            of_fours(strip_of_fours, in_fours, limits, sums)
            n_empty += FOURS * (STRIP_OF_FOURS - filled_fours)
        return n_empty

    return over_runs
