"""Pooled responses of filters in plain NumPy, block by block: nothing of the size of filters times pixels is made."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

# A block of responses, 256 KB, stays in the processor's second cache between product, comparison and sum.
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
    thresholds = thresholds.astype(np.float32)[..., None]
    n_patches = columns.shape[1]
    sums = np.zeros(thresholds.shape[:2])
    responses = np.empty(BLOCK_FILTERS * STRIP_PX, np.float32)
    cut = np.empty_like(responses)
    ones = np.ones(STRIP_PX, np.float32)
    for first in range(0, n_patches, STRIP_PX):
        strip = columns[:, first : first + STRIP_PX]
        n = strip.shape[1]
        for start in range(0, len(filters), BLOCK_FILTERS):
            block = filters[start : start + BLOCK_FILTERS]
            z = responses[: len(block) * n].reshape(len(block), n)
            np.matmul(block, strip, out=z)
            for number, limits in enumerate(thresholds):
                # The last comparison may overwrite the responses.
                out = z if number + 1 == len(thresholds) else cut[: z.size].reshape(z.shape)
                np.maximum(z, limits[start : start + BLOCK_FILTERS], out=out)
                sums[number, start : start + BLOCK_FILTERS] += out @ ones[:n]
    return sums / n_patches


def _columns(counts: NDArray[np.float32], patches: NDArray[np.bool_] | None, patch_px: int) -> NDArray[np.float32]:
    """A column for each patch that takes part, 7 MB for a chip of 256 pixels a side."""
    windows = sliding_window_view(counts, (patch_px, patch_px), axis=(1, 2)).transpose(0, 3, 4, 1, 2)
    if patches is not None:
        windows = windows[..., patches]
    return np.ascontiguousarray(windows).reshape(len(counts) * patch_px**2, -1)
