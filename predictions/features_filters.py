"""Patches of chips, and the filters they make: a sample of all patches, whitened."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

# Added to the variances of patches before they are evened out; the paper's value.
WHITENING = 1e-3
N_BANDS = 3


class Pool:
    """A sample without replacement of the patches of any number of chips, in one pass.

    Every patch with contrast and without hidden pixels gets a random number; those with the smallest are kept, in the
    order of their numbers: the first of them are draws without replacement from the rest.
    """

    def __init__(self, size: int, patch_px: int, generator: np.random.Generator):
        self._size, self._patch_px, self._generator = size, patch_px, generator
        self._limit = np.inf
        self._keys = [np.empty(0)]
        self._patches = [np.empty((0, N_BANDS * patch_px**2), np.float32)]
        self._n = 0

    def add(self, counts: NDArray[np.float32], known: NDArray[np.bool_] | None) -> None:
        """Of a chip at one scale, (3, height, width)."""
        windows = sliding_window_view(counts, (self._patch_px, self._patch_px), axis=(1, 2))
        keys = self._generator.random(windows.shape[1:3])
        taken = keys < self._limit
        whole = whole_patches(known, self._patch_px)
        if whole is not None:
            taken &= whole
        rows, columns = np.nonzero(taken)
        patches = windows[:, rows, columns].transpose(1, 0, 2, 3).reshape(len(rows), N_BANDS * self._patch_px**2)
        has_contrast = np.ptp(patches, axis=1) > 0
        self._keys.append(keys[rows, columns][has_contrast])
        self._patches.append(patches[has_contrast])
        self._n += int(has_contrast.sum())
        if self._n > 2 * self._size:
            self._shrink()

    def patches(self) -> NDArray[np.float32]:
        """(n_patches, values), in random order; fewer than the size where the chips have no more."""
        self._shrink()
        return self._patches[0]

    def _shrink(self) -> None:
        keys, patches = np.concatenate(self._keys), np.concatenate(self._patches)
        order = np.argsort(keys, kind="stable")[: self._size]
        self._keys, self._patches, self._n = [keys[order]], [patches[order]], len(order)
        if len(order) == self._size:
            self._limit = keys[order[-1]]


def drawn(patches: NDArray[np.float32], n_filters: int) -> NDArray[np.float32]:
    """Filters: the first patches, made comparable and whitened by all of them.

    Parameters
    ----------
    patches : array of shape (n_patches, n_values)
        In random order, in any unit: their scale is divided out. None is of one value throughout.

    Returns
    -------
    float32 array of shape (n_filters, n_values)

    Raises
    ------
    ValueError
        If there are fewer patches than filters.

    Notes
    -----
    Each patch less its mean, of length 1; with C the mean of their outer products, W = C plus 1e-3 to the power -1/2
    along C's axes. W is applied twice, once for the patch and once for the images it will be laid on, which saves
    whitening these.
    """
    if len(patches) < n_filters:
        raise ValueError(
            f"the chips have {len(patches)} patches with contrast, fewer than the {n_filters} filters wanted"
        )
    normal = patches - patches.mean(axis=1, keepdims=True, dtype=np.float64)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    variances, axes = np.linalg.eigh(normal.T @ normal / len(normal))
    whitening = axes @ np.diag((variances + WHITENING) ** -0.5) @ axes.T
    return (normal[:n_filters] @ whitening @ whitening.T).astype(np.float32)


def whole_patches(known: NDArray[np.bool_] | None, patch_px: int) -> NDArray[np.bool_] | None:
    """Which patches, by their north west corner, have no hidden pixel; None where none is hidden."""
    if known is None or known.all():
        return None
    return sliding_window_view(known, (patch_px, patch_px)).all(axis=(2, 3))


def mean_patch(counts: NDArray[np.float32], patches: NDArray[np.bool_] | None, patch_px: int) -> NDArray[np.float64]:
    """Mean of each of a patch's values over the patches that take part, (n_values,); the sums are exact."""
    windows = sliding_window_view(counts, (patch_px, patch_px), axis=(1, 2))
    if patches is not None:
        # Sums of whole numbers in float64 are exact in any order.
        return np.stack([layer[patches].sum(dtype=np.float64) for layer in _layers(windows)]) / patches.sum()
    return _sums_of_windows(counts, patch_px) / (windows.shape[1] * windows.shape[2])


def _layers(windows):
    values = windows.transpose(0, 3, 4, 1, 2)
    return values.reshape(-1, *values.shape[-2:])


def _sums_of_windows(counts: NDArray[np.float32], patch_px: int) -> NDArray[np.float64]:
    """Sum of each value over all patches: everything, less the rows and columns that it never stands on."""
    whole = counts.sum(axis=1, dtype=np.float64)
    total = np.empty((N_BANDS, patch_px, patch_px))
    for row in range(patch_px):
        above, below = counts[:, :row], counts[:, counts.shape[1] - patch_px + 1 + row :]
        of_columns = whole - above.sum(axis=1, dtype=np.float64) - below.sum(axis=1, dtype=np.float64)
        for column in range(patch_px):
            total[:, row, column] = of_columns[:, column : counts.shape[2] - patch_px + 1 + column].sum(axis=1)
    return total.ravel()
