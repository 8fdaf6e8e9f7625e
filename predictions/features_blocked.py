"""Pooled responses of filters in plain NumPy, block by block: nothing of the size of filters times pixels is made.

The larger of a response z and a threshold t is (z + t + |z - t|) / 2, and the mean of z is the filter times the mean
patch: so only distances are summed, -t is the product's last term, and a block is gone over twice instead of thrice.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

# A block of responses, 512 KB, stays in the processor's caches from product to distance to sum.
STRIP_PX = 512
BLOCK_FILTERS = 256


def prepared(filters: NDArray[np.float32], patch_px: int) -> NDArray[np.float32]:
    """Filters as `pooled` takes them: as they are."""
    return filters


def pooled(
    counts: NDArray[np.float32],
    patches: NDArray[np.bool_] | None,
    filters: NDArray[np.float32],
    thresholds: NDArray[np.float64],
    patch_px: int,
) -> NDArray[np.float64]:
    """Mean over patches of max(filter . patch, threshold).

    Parameters
    ----------
    counts : array of shape (3, height, width)
    patches : bool array of shape (height - patch_px + 1, width - patch_px + 1), or None
        Which patches take part; None: all. At least one.
    filters : array of shape (n_filters, 3 * patch_px**2)
    thresholds : array of shape (n_thresholds, n_filters)

    Returns
    -------
    array of shape (n_thresholds, n_filters)
    """
    columns = _columns(counts, patches, patch_px)
    n_patches = columns.shape[1]
    whole = n_patches - n_patches % STRIP_PX
    sums = np.zeros(thresholds.shape)
    for start in range(0, len(filters), BLOCK_FILTERS):
        block = slice(start, start + BLOCK_FILTERS)
        limits = thresholds[:, block].astype(np.float32)
        weights = np.column_stack([filters[block], -limits[0]])
        for part in (columns[:, :whole], columns[:, whole:]):
            _add_distances(part, weights, limits, sums[:, block])
    mean_response = filters.astype(np.float64) @ (columns[:-1].sum(axis=1, dtype=np.float64) / n_patches)
    return (mean_response + thresholds + sums / n_patches) / 2


def _add_distances(columns: NDArray, weights: NDArray, thresholds: NDArray, sums: NDArray) -> None:
    """To `sums` (n_thresholds, n_filters), the distance of each response from each threshold."""
    width = min(STRIP_PX, columns.shape[1])
    responses, distances = np.empty((2, len(weights), width), np.float32)
    # From each threshold to the next; as large as the responses, for NumPy adds arrays of one shape fastest.
    steps = np.repeat(-np.diff(thresholds, axis=0)[..., None], width, axis=-1)
    ones, last = np.ones(width, np.float32), sums[-1]
    for first in range(0, columns.shape[1], STRIP_PX):
        np.matmul(weights, columns[:, first : first + width], out=responses)
        for number, step in enumerate(steps):
            sums[number] += np.abs(responses, out=distances) @ ones
            responses += step
        last += np.abs(responses, out=responses) @ ones


def _columns(counts: NDArray[np.float32], patches: NDArray[np.bool_] | None, patch_px: int) -> NDArray[np.float32]:
    """A column for each patch that takes part, and 1 below it; 7 MB for a chip of 256 pixels a side."""
    windows = sliding_window_view(counts, (patch_px, patch_px), axis=(1, 2)).transpose(0, 3, 4, 1, 2)
    if patches is not None:
        windows = windows[..., patches]
    n_values = len(counts) * patch_px**2
    columns = np.ones((n_values + 1, windows[0, 0, 0].size), np.float32)
    columns[:-1].reshape(windows.shape)[...] = windows
    return columns
