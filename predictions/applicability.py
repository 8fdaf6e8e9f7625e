"""Where the map can be trusted: cells as near to the training cells, in features, as these are to each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_PROJECTIONS = 64
_ROWS = 1024  # whose distances to every training cell are held at once
_PAIRED = 2000  # training cells whose pairs tell the mean distance


@dataclass(frozen=True)
class Applicability:
    """The area of applicability of one fit.

    Attributes
    ----------
    threshold : float
        Cells of a greater dissimilarity lie outside: no claim is made of them.
    mean_distance : float
        Of pairs of training cells, the unit of dissimilarity.
    projection, offset : float32 arrays of shape (p, q) and (q,)
        From features to the space that distances are taken in.
    reference : float32 array of shape (n, q)
        The training cells in it.

    Notes
    -----
    Meyer & Pebesma (2021), Methods in Ecology and Evolution 12:1620-1633: dissimilarity is the distance to the nearest
    training cell, in standardised features weighted by importance, over the mean distance between training cells; the
    threshold is the largest one among training cells, each compared with those of other groups, outliers (beyond 1.5
    interquartile ranges above the third quartile) removed. Departure: above 64 features distances are taken between
    random projections, which keep them to about a tenth (Johnson & Lindenstrauss) at a small part of the cost.
    """

    threshold: float
    mean_distance: float
    projection: NDArray[np.float32]
    offset: NDArray[np.float32]
    reference: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        X: ArrayLike,
        importance: ArrayLike,
        groups: ArrayLike,
        *,
        n_projections: int = N_PROJECTIONS,
        seed: int = 0,
    ) -> "Applicability":
        """Learn what the training cells are like.

        Parameters
        ----------
        X : array of shape (n, p)
            Features of the rows that were fitted (weight above 0); rows that are not finite are left out.
        importance : array of shape (p,)
            Weight of each standardised column, as |coefficient|; any scale, not all 0.
        groups : array of shape (n,)
            The blocks of cross-validation. With one group alone each row is compared with all others.

        Raises
        ------
        ValueError
            With fewer than two rows, or if no column has both spread and importance: distances have no unit then.
        """
        X, groups = np.asarray(X), np.asarray(groups)
        is_seen = np.isfinite(X).all(axis=1)
        X, groups = X[is_seen], groups[is_seen]
        if len(X) < 2:
            raise ValueError("an area of applicability needs at least two training cells with features")
        projection, offset = _projection(X, np.asarray(importance, dtype=np.float64), n_projections, seed)
        reference = X.astype(np.float32) @ projection - offset
        unit = _mean_distance(reference, seed)
        if not unit > 0:
            raise ValueError("all training cells are alike in the features that matter")
        own = _nearest(reference, reference, groups, groups) / unit
        return cls(_whisker(own[np.isfinite(own)]), unit, projection, offset, reference)

    def distance(self, X: ArrayLike) -> NDArray[np.float32]:
        """Dissimilarity of cells (m, p) from the training cells: (m,), 0 or more, nan where features are missing."""
        X, found = np.asarray(X), []
        for start in range(0, len(X), _ROWS):
            rows = np.asarray(X[start : start + _ROWS], dtype=np.float32)
            is_seen = np.isfinite(rows).all(axis=1)
            part = np.full(len(rows), np.nan, dtype=np.float32)
            part[is_seen] = _nearest(rows[is_seen] @ self.projection - self.offset, self.reference) / self.mean_distance
            found.append(part)
        return np.concatenate(found) if found else np.zeros(0, dtype=np.float32)

    def is_outside(self, distance: ArrayLike) -> NDArray[np.bool_]:
        """Which cells lie outside, of their dissimilarities; those without features do."""
        return ~(np.asarray(distance) <= self.threshold)

    def to_arrays(self) -> dict[str, NDArray]:
        """For `storage.write_arrays`."""
        return {
            "threshold": np.array(self.threshold),
            "mean_distance": np.array(self.mean_distance),
            "projection": self.projection,
            "offset": self.offset,
            "reference": self.reference,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray]) -> "Applicability":
        """The same again from `to_arrays`."""
        return cls(
            float(arrays["threshold"]),
            float(arrays["mean_distance"]),
            *(np.asarray(arrays[name], dtype=np.float32) for name in ("projection", "offset", "reference")),
        )


def _projection(X: NDArray, importance: NDArray, n_projections: int, seed: int) -> tuple[NDArray, NDArray]:
    mean, spread = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    if importance.shape != mean.shape:
        raise ValueError(f"{len(mean)} features and importance of {len(importance)}")
    # A column that is all but constant has no scale of its own.
    pull = np.where(spread > 1e-9 * np.maximum(np.abs(mean), 1e-30), np.abs(importance) / np.maximum(spread, 1e-30), 0)
    if not pull.any():
        raise ValueError("no feature both varies between training cells and matters to the fit")
    pull /= np.sqrt(((pull * spread) ** 2).sum())
    if len(pull) <= n_projections:
        projection = np.diag(pull)
    else:
        directions = np.random.default_rng(seed).standard_normal((len(pull), n_projections))
        projection = pull[:, None] * directions / np.sqrt(n_projections)
    return projection.astype(np.float32), (mean @ projection).astype(np.float32)


def _nearest(
    rows: NDArray, reference: NDArray, groups: NDArray | None = None, reference_groups: NDArray | None = None
) -> NDArray:
    """Distance to the nearest reference row, with groups to the nearest of another one (inf where there is none)."""
    many_groups = groups is not None and len(np.unique(groups)) > 1
    lengths, found = (reference**2).sum(axis=1), np.empty(len(rows))
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        squared = part @ reference.T
        squared *= -2
        squared += lengths
        if many_groups:
            squared[groups[start : start + _ROWS, None] == reference_groups] = np.inf
        elif groups is not None:
            squared[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        found[start : start + _ROWS] = squared.min(axis=1) + (part**2).sum(axis=1)
    return np.sqrt(np.maximum(found, 0))


def _mean_distance(reference: NDArray, seed: int) -> float:
    some = reference.astype(np.float64)
    if len(some) > _PAIRED:
        some = some[np.random.default_rng(seed).permutation(len(some))[:_PAIRED]]
    lengths = (some**2).sum(axis=1)
    squared = lengths[:, None] + lengths - 2 * some @ some.T
    return float(np.sqrt(np.maximum(squared[np.triu_indices(len(some), 1)], 0)).mean())


def _whisker(values: NDArray) -> float:
    low, high = np.quantile(values, [0.25, 0.75])
    return float(values[values <= high + 1.5 * (high - low)].max())
