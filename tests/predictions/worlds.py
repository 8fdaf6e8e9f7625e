"""Small countries of grid cells for tests: features that know something, neighbours that are alike."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from predictions.blocks import block_buffers, spatial_blocks
from predictions.validation import Problem


@dataclass(frozen=True)
class World:
    cells: np.ndarray
    truth: np.ndarray  # (n,) 0 or 1
    features: np.ndarray  # (n, p)
    blocks: np.ndarray
    buffers: list


def world(seed: int = 0, side: int = 48, share: float = 0.15, n_noise: int = 6) -> World:
    """A square south of the equator and west of Greenwich; one feature knows something, the others nothing."""
    rng = np.random.default_rng(seed)
    columns, rows = np.meshgrid(np.arange(-1210, -1210 + side), np.arange(-330, -330 + side))
    cells = np.column_stack([columns.ravel(), rows.ravel()])
    belt, ground = (gaussian_filter(rng.normal(size=(side, side)), spread).ravel() for spread in (4, 1))
    lean = belt / belt.std() + ground / ground.std() + rng.normal(size=side**2) * 0.7
    truth = (lean > np.quantile(lean, 1 - share)).astype(float)
    seen = [ground / ground.std() + rng.normal(size=side**2) * 0.3]
    noise = [rng.normal(size=side**2) for _ in range(n_noise)]
    blocks, _ = spatial_blocks(cells)
    return World(cells, truth, np.column_stack(seen + noise), blocks, block_buffers(cells, blocks))


def problem(of: World, seed: int = 0, n_sample: int = 500, n_records: int = 150, **changes) -> Problem:
    """A probability sample of cells, mines known from records, cells that were suggested; the rest is presumed 0."""
    rng = np.random.default_rng(seed + 1000)
    n = len(of.cells)
    sample = rng.permutation(n)[:n_sample]
    mines = rng.permutation(np.flatnonzero(of.truth))[:n_records]
    hard = rng.permutation(np.flatnonzero((of.truth == 0) & (of.features[:, 0] > 0.5)))[:80]
    judged = np.zeros(n, dtype=bool)
    judged[np.concatenate([sample, mines, hard])] = True
    weights = np.zeros(n)
    weights[sample] = n / n_sample
    y = np.where(judged, of.truth, 0.0)
    given = Problem(
        cells=of.cells,
        y=y[:, None],
        is_judged=judged[:, None],
        fit_weights=np.ones(n),
        sample_weights=weights,
        blocks=of.blocks,
        buffers=of.buffers,
        areas=(of.cells[:, 0] - of.cells[:, 0].min()) * 4 // 48,
        is_suggested=np.isin(np.arange(n), hard),
        is_near=np.zeros(n, dtype=bool),
        colours=of.features[:, 1:4],
        n_mapped=n,
        budget=200,
        k=50,
        n_resamples=200,
    )
    return replace(given, **changes)


def ridge(features: np.ndarray, y: np.ndarray, penalty: float = 1.0):
    """A scorer that fits anew for each group."""
    X = np.column_stack([np.ones(len(features)), features])
    y = y[:, None] if y.ndim == 1 else y

    def scorer(groups, buffers):
        scores = np.full(y.shape, np.nan)
        for number, buffer in enumerate(buffers):
            left = groups != number
            left[buffer] = False
            gram = X[left].T @ X[left] + penalty * np.diag([0.0] + [1.0] * features.shape[1])
            scores[groups == number] = X[groups == number] @ np.linalg.solve(gram, X[left].T @ y[left])
        return scores

    return scorer


def neighbours(features: np.ndarray, y: np.ndarray, k: int = 5):
    """A scorer that remembers: the mean label of the nearest rows in features, which leaks where neighbours do."""

    def scorer(groups, buffers):
        scores = np.full((len(y), 1), np.nan)
        for number, buffer in enumerate(buffers):
            left = groups != number
            left[buffer] = False
            near = cKDTree(features[left]).query(features[groups == number], k=k)[1]
            scores[groups == number, 0] = y[left][near].mean(axis=1)
        return scores

    return scorer
