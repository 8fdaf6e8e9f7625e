"""Outlines of the numbered patches of a raster, smoothed alike on both sides of every border, so that they tile."""

import itertools

import numpy as np
from rasterio.transform import Affine

Corners = dict[tuple[int, int], tuple[float, float]]


def smoothed_corners(labels: np.ndarray) -> Corners:
    """Where each corner that lies on a border of the numbered raster goes, (row, column) to (row, column).

    Each is drawn half-way to the mean of its neighbours along the borders, six times.
    """
    labels = np.pad(labels, 1)
    n_rows, n_cols = labels.shape
    across = labels[:, 1:] != labels[:, :-1]  # vertical edges
    along = labels[1:, :] != labels[:-1, :]  # horizontal edges
    number = np.full((n_rows + 1, n_cols + 1), -1)
    vertical, horizontal = np.argwhere(across), np.argwhere(along)
    pairs = [
        (np.add(vertical, (0, 1)), np.add(vertical, (1, 1))),
        (np.add(horizontal, (1, 0)), np.add(horizontal, (1, 1))),
    ]
    ends = np.concatenate([np.concatenate(pair) for pair in pairs])
    nodes = np.unique(ends, axis=0)
    number[nodes[:, 0], nodes[:, 1]] = np.arange(len(nodes))
    a = np.concatenate([number[p[0][:, 0], p[0][:, 1]] for p in pairs])
    b = np.concatenate([number[p[1][:, 0], p[1][:, 1]] for p in pairs])
    at = nodes.astype(float)
    degree = np.bincount(np.concatenate([a, b]), minlength=len(nodes))[:, None]
    for _ in range(6):
        total = np.zeros_like(at)
        for k in (0, 1):
            total[:, k] = np.bincount(a, at[b, k], len(nodes)) + np.bincount(b, at[a, k], len(nodes))
        at = 0.5 * at + 0.5 * total / degree
    return {(r - 1, c - 1): (row - 1, col - 1) for (r, c), (row, col) in zip(nodes.tolist(), at, strict=True)}


def smooth_ring(ring: list, corners: Corners, transform: Affine) -> np.ndarray:
    """A ring of rasterio.features.shapes (columns and rows) in the transform's coordinates, (n, 2), closed."""
    passed = []
    for (c0, r0), (c1, r1) in itertools.pairwise(ring):
        n = int(max(abs(c1 - c0), abs(r1 - r0)))
        passed += [(round(r0 + (r1 - r0) * k / n), round(c0 + (c1 - c0) * k / n)) for k in range(n)]
    moved = np.array([corners[corner] for corner in passed])
    placed = np.stack([transform.c + moved[:, 1] * transform.a, transform.f + moved[:, 0] * transform.e], axis=1)
    return np.concatenate([placed, placed[:1]])
