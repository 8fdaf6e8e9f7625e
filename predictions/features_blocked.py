"""Pooled responses of filters in plain NumPy, block by block: nothing of the size of filters times pixels is made."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

# A block of responses, 256 KB, stays in the processor's second cache from product to comparison to sum.
STRIP_PX = 128
BLOCK_FILTERS = 512


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
    sums = np.zeros(thresholds.shape)
    for start in range(0, len(filters), BLOCK_FILTERS):
        block = slice(start, start + BLOCK_FILTERS)
        _add_maxima(columns, filters[block], thresholds[:, block].astype(np.float32), sums[:, block])
    return sums / columns.shape[1]


def _add_maxima(columns: NDArray, filters: NDArray, thresholds: NDArray, sums: NDArray) -> None:
    # As large as the responses: NumPy compares arrays of one shape four times as fast as an array and a number.
    limits = np.repeat(thresholds[..., None], STRIP_PX, axis=-1)
    responses = np.empty((len(filters), STRIP_PX), np.float32)
    cut = np.empty_like(responses)
    ones = np.ones(STRIP_PX, np.float32)
    for first in range(0, columns.shape[1], STRIP_PX):
        strip = columns[:, first : first + STRIP_PX]
        n = strip.shape[1]
        if n < STRIP_PX:
            responses, cut = (
                responses.ravel()[: len(filters) * n].reshape(-1, n),
                np.empty((len(filters), n), np.float32),
            )
            limits = np.ascontiguousarray(limits[..., :n])
        np.matmul(filters, strip, out=responses)
        for number, limit in enumerate(limits):
            # The last comparison may overwrite the responses.
            out = responses if number + 1 == len(limits) else cut
            np.maximum(responses, limit, out=out)
            sums[number] += out @ ones[:n]


def _columns(counts: NDArray[np.float32], patches: NDArray[np.bool_] | None, patch_px: int) -> NDArray[np.float32]:
    """A column for each patch that takes part, 7 MB for a chip of 256 pixels a side."""
    windows = sliding_window_view(counts, (patch_px, patch_px), axis=(1, 2)).transpose(0, 3, 4, 1, 2)
    if patches is not None:
        windows = windows[..., patches]
    return np.ascontiguousarray(windows).reshape(len(counts) * patch_px**2, -1)
