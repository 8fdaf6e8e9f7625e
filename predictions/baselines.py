"""What can be guessed without features: the share of positives, the neighbours' labels, the mean colour.

Each is fitted on the same held-out groups as the model, so that a rung's figures stand beside each other.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from predictions.blocks import CELL_DEG, KM_PER_DEG

# Beside labels of the cell itself, which never are out of group, half a cell is as near as two places come.
_NEAREST_KM = CELL_DEG * KM_PER_DEG / 2


def prevalence(y: ArrayLike, weights: ArrayLike, groups: ArrayLike, buffers: list[NDArray]) -> NDArray:
    """Share of positives among the training labels of other groups: every cell of a group gets the same.

    Parameters
    ----------
    y : array of shape (n,)
        Labels of the fit, 0 or 1.
    weights : array of shape (n,)
        Weights of the fit; rows of weight 0 are not learned from.
    groups : array of shape (n,)
        What is left out together; -1 is never left out and gets nan.
    buffers : list of arrays of rows
        Left out as well, for each group from 0 up in ascending order.

    Returns
    -------
    array of shape (n,)
        nan where nothing is left to learn from.
    """
    y, weights = np.asarray(y, dtype=float), np.asarray(weights, dtype=float)
    found = np.full(len(y), np.nan)
    total, positive = weights.sum(), (weights * y).sum()
    for inside, out in held_out(groups, buffers):
        left = total - weights[out].sum()
        if left > 1e-9 * max(total, 1):
            found[inside] = (positive - (weights[out] * y[out]).sum()) / left
    return np.clip(found, 0, 1)


def interpolation(
    cells: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike,
    groups: ArrayLike,
    buffers: list[NDArray],
    *,
    n_neighbours: int = 16,
    power: float = 2.0,
) -> NDArray:
    """Mean of the nearest training labels of other groups, weighted by fit weight and inverse distance.

    Parameters
    ----------
    cells : int array of shape (n, 2)
        Column and row of the grid.
    n_neighbours, power
        How many labels count, and how fast they count less with distance.

    Other parameters and the result as for `prevalence`; values lie in [0, 1].

    Notes
    -----
    Shepard (1968), A two-dimensional interpolation function for irregularly-spaced data.
    """
    places, y, weights = places_km(cells), np.asarray(y, dtype=float), np.asarray(weights, dtype=float)
    found = np.full(len(y), np.nan)
    for inside, out in held_out(groups, buffers):
        is_left = weights > 0
        is_left[out] = False
        rows = np.flatnonzero(is_left)
        if not len(rows):
            continue
        many = min(n_neighbours, len(rows))
        distance, near = cKDTree(places[rows]).query(places[inside], k=np.arange(1, many + 1))
        pull = weights[rows[near]] / np.maximum(distance, _NEAREST_KM) ** power
        found[inside] = (pull * y[rows[near]]).sum(axis=1) / pull.sum(axis=1)
    return found


def colour(
    colours: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike,
    groups: ArrayLike,
    buffers: list[NDArray],
    *,
    penalty: float = 1e-3,
) -> NDArray:
    """Scores of a ridge on mean colours (and spreads) and their squares, fitted on other groups.

    Parameters
    ----------
    colours : array of shape (n, columns)
        The three mean colours, with or without three spreads, or 27 mean-patch values. Rows that are not finite are
        not learned from and get nan.
    penalty : float
        As a share of all fit weight, on standardised columns.

    Other parameters and the result as for `prevalence`; scores are no probabilities.
    """
    y, weights = np.asarray(y, dtype=float), np.asarray(weights, dtype=float)
    X, is_seen = _standardised(np.asarray(colours, dtype=float))
    weights = np.where(is_seen, weights, 0.0)
    found = np.full(len(y), np.nan)
    gram, right = _normal(X, y, weights)
    ridge = penalty * weights.sum() * np.eye(X.shape[1])
    ridge[0, 0] = 0
    for inside, out in held_out(groups, buffers):
        less, less_right = _normal(X[out], y[out], weights[out])
        if weights.sum() - weights[out].sum() <= 1e-9 * max(weights.sum(), 1):
            continue
        found[inside] = X[inside] @ np.linalg.lstsq(gram - less + ridge, right - less_right, rcond=None)[0]
    return np.where(is_seen, found, np.nan)


def held_out(groups: ArrayLike, buffers: list[NDArray]) -> Iterator[tuple[NDArray, NDArray]]:
    """For each group from 0 up: its rows, and these with its buffer's."""
    groups = np.asarray(groups)
    names = np.unique(groups[groups >= 0])
    if len(names) != len(buffers):
        raise ValueError(f"{len(names)} groups and {len(buffers)} buffers")
    for name, buffer in zip(names, buffers, strict=True):
        inside = np.flatnonzero(groups == name)
        yield inside, np.concatenate([inside, np.asarray(buffer, dtype=int)])


def places_km(cells: ArrayLike) -> NDArray:
    """Middles of grid cells (column, row), shape (n, 2), as x, y in km on the sinusoidal projection.

    Centred on the cells' mean longitude: distances of some kilometres are right to 1 % within 10 degrees of it.
    """
    middles = (np.asarray(cells, dtype=float).reshape(-1, 2) + 0.5) * CELL_DEG
    if not len(middles):
        return middles
    east = (middles[:, 0] - middles[:, 0].mean()) * np.cos(np.radians(middles[:, 1]))
    return np.column_stack([east, middles[:, 1]]) * KM_PER_DEG


def _standardised(colours: NDArray) -> tuple[NDArray, NDArray]:
    """A column of ones, the columns and their squares, each of mean 0 and spread 1; which rows are finite."""
    is_seen = np.isfinite(colours).all(axis=1)
    known = np.where(is_seen[:, None], colours, 0.0)
    X = np.hstack([known, known**2]) if known.shape[1] <= 6 else known
    if is_seen.any():
        spread = X[is_seen].std(axis=0)
        X = (X - X[is_seen].mean(axis=0)) / np.where(spread > 0, spread, 1)
    return np.hstack([np.ones((len(X), 1)), X]), is_seen


def _normal(X: NDArray, y: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    weighted = X * weights[:, None]
    return weighted.T @ X, weighted.T @ y
