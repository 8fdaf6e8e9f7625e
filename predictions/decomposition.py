"""One eigendecomposition of the standardised, weighted features: every penalty and every fit follows from it.

Pure: NumPy and SciPy only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

# Rows at a time are made float64: 2,048 x 4,096 features are 64 MiB.
CHUNK_ROWS = 2048


@dataclass(frozen=True)
class Decomposition:
    """Features of a frame of rows, rotated so that ridge at any penalty is a division.

    With `A = sqrt(W) (X - mean) / scale` of the rows of positive weight, `A'A = V diag(values) V'`. Ridge without a
    penalty on its intercept has coefficients `V diag(1 / (values + penalty)) V' A' sqrt(W) y` in standardised columns.
    """

    # (p,) weighted means and standard deviations of the fitted rows; a column without spread has scale 1.
    mean: np.ndarray
    scale: np.ndarray
    # (n,) as given: 0 for rows that are predicted and not fitted.
    weights: np.ndarray
    # (p, r): orthonormal columns of V with r = min(p, fitted rows - 1) at most.
    vectors: np.ndarray
    # (1 + r,): the sum of weights, for the intercept, then the eigenvalues, descending.
    values: np.ndarray
    # (n, 1 + r): a column of ones, then the rows in standardised columns times V; None where it was not asked for.
    rows: np.ndarray | None

    @classmethod
    def of(cls, features: np.ndarray, weights: np.ndarray | None = None, *, with_rows: bool = True) -> Decomposition:
        """Decompose the features of a frame.

        Parameters
        ----------
        features : array of shape (n, p), float32 or float64
            Finite in every row of positive weight, and in every row to be predicted. float32 (a memory map too) is
            read by chunks and accumulated in float64, so that a large frame is never held in float64 beside it.
        weights : array of shape (n,), optional
            Not negative; ones where not given. Rows of weight 0 take no part in means, scales and fits.
        with_rows : bool
            Whether to keep the rotated rows (n x (1 + r) float64), which leaving blocks out needs.

        Raises
        ------
        ValueError
            Shapes differ, a weight is negative or not finite, fewer than two rows are fitted, or a feature is not
            finite.

        Notes
        -----
        With fewer fitted rows than columns the Gram matrix of the rows (n x n) is decomposed instead, which spans the
        same fits. Directions below 1e-13 of the largest eigenvalue are rounding and are dropped there.
        """
        weights = _checked_weights(features, weights)
        fitted = np.flatnonzero(weights > 0)
        mean, scale = _moments(features, weights, fitted)
        if len(fitted) <= features.shape[1]:
            values, vectors = _by_rows(features, weights, fitted, mean, scale)
        else:
            values, vectors = _by_columns(features, weights, fitted, mean, scale)
        decomposition = cls(mean, scale, weights, vectors, np.concatenate([[weights.sum()], values]), None)
        return decomposition.with_rows(features) if with_rows else decomposition

    def with_rows(self, features: np.ndarray) -> Decomposition:
        """The same with the rotated rows of the frame's features (n, p)."""
        return replace(self, rows=self.rotated(features))

    def without_rows(self) -> Decomposition:
        """The same without them: a small part of its memory. `with_rows` gives the same bits back."""
        return replace(self, rows=None)

    @property
    def n_rows(self) -> int:
        return len(self.weights)

    @property
    def rank(self) -> int:
        return len(self.values) - 1

    def shrinkage(self, penalty: float) -> np.ndarray:
        """(1 + r,): what each rotated direction is multiplied by; the intercept is not penalised."""
        return 1.0 / (self.values + np.concatenate([[0.0], np.full(self.rank, float(penalty))]))

    def rotated(self, features: np.ndarray) -> np.ndarray:
        """(m, 1 + r) float64: these rows as `rows` has those of the frame."""
        rows = np.empty((len(features), 1 + self.rank))
        rows[:, 0] = 1.0
        for start in range(0, len(features), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            rows[part, 1:] = _standardised(features[part], self.mean, self.scale) @ self.vectors
        return rows

    def moments(self, targets: np.ndarray, features: np.ndarray | None = None) -> np.ndarray:
        """(1 + r, heads): rotated rows' weighted sums of the targets (n, heads); all that labels change.

        From `rows`, or from the features of the frame where the rows were not kept.
        """
        weighted = self.weights[:, None] * np.where(self.weights[:, None] > 0, targets, 0.0)
        if self.rows is not None:
            return self.rows.T @ weighted
        sums = np.zeros((len(self.mean), targets.shape[1]))
        for start in range(0, self.n_rows, CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            sums += _standardised(features[part], self.mean, self.scale).T @ weighted[part]
        return np.concatenate([weighted.sum(axis=0)[None], self.vectors.T @ sums])

    def fitted(self, moments: np.ndarray, penalties: np.ndarray, features: np.ndarray | None = None) -> np.ndarray:
        """(n_penalties, n, heads): what the fits at these penalties say of each row of the frame."""
        return self._times([self.shrinkage(penalty) for penalty in penalties], moments, features)

    def residuals(
        self, targets: np.ndarray, fitted: np.ndarray, moments: np.ndarray, penalties: np.ndarray, features=None
    ) -> np.ndarray:
        """(n_penalties, n, heads): sqrt(weight) times target less fitted; 0 in rows of weight 0.

        Where the directions are a basis of all fitted rows, targets are sums over them too, and residuals as small as
        the penalty are computed without subtracting what is nearly equal.
        """
        roots = np.sqrt(self.weights)[:, None]
        if not self.is_complete:
            return roots * np.where(roots > 0, targets - fitted, 0.0)
        return roots * self._times([self.remainder(penalty) for penalty in penalties], moments, features)

    def remainder(self, penalty: float) -> np.ndarray:
        """(1 + r,): 1 / value less `shrinkage`."""
        shrinkage = self.shrinkage(penalty)
        return np.concatenate([[0.0], penalty / self.values[1:] * shrinkage[1:]])

    @property
    def is_complete(self) -> bool:
        """Whether any labels of the fitted rows can be reached without a penalty."""
        return self.rank > 0 and self.rank == (self.weights > 0).sum() - 1 and self.values[-1] > 0

    def _times(self, factors: list[np.ndarray], moments: np.ndarray, features: np.ndarray | None) -> np.ndarray:
        """(len(factors), n, heads): the rotated rows times each factor of the moments."""
        scaled = np.concatenate([factor[:, None] * moments for factor in factors], axis=1)
        if self.rows is not None:
            scores = self.rows @ scaled
        else:
            scores = np.empty((self.n_rows, scaled.shape[1]))
            coefficients = self.vectors @ scaled[1:]
            for start in range(0, self.n_rows, CHUNK_ROWS):
                part = slice(start, start + CHUNK_ROWS)
                scores[part] = _standardised(features[part], self.mean, self.scale) @ coefficients + scaled[0]
        return np.ascontiguousarray(scores.reshape(self.n_rows, len(factors), -1).transpose(1, 0, 2))

    def coefficients(self, moments: np.ndarray, penalty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (p, heads) of unstandardised columns and intercepts (heads,), at penalties (heads,)."""
        shrunk = np.stack([self.shrinkage(each) * moments[:, head] for head, each in enumerate(penalty)], axis=1)
        coefficients = (self.vectors @ shrunk[1:]) / self.scale[:, None]
        return coefficients, shrunk[0] - self.mean @ coefficients

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything but the rows, which follow from the features."""
        names = ("mean", "scale", "weights", "vectors", "values")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], features: np.ndarray | None = None) -> Decomposition:
        """From `to_arrays`; with the frame's features the rotated rows are made again."""
        names = ("mean", "scale", "weights", "vectors", "values")
        decomposition = cls(**{name: np.asarray(arrays[name]) for name in names}, rows=None)
        return decomposition if features is None else decomposition.with_rows(features)


def _checked_weights(features: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    if features.ndim != 2:
        raise ValueError(f"features must be of shape (n, p), not {features.shape}")
    weights = np.ones(len(features)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weights.shape != (len(features),):
        raise ValueError(f"one weight for each of the {len(features)} rows is needed, not {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights must be finite and not negative")
    if (weights > 0).sum() < 2:
        raise ValueError("at least two rows of positive weight are needed")
    return weights


def _moments(features: np.ndarray, weights: np.ndarray, fitted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means and standard deviations of the fitted rows, in two passes."""
    total, sums = weights[fitted].sum(), np.zeros(features.shape[1])
    for start in range(0, len(fitted), CHUNK_ROWS):
        part = fitted[start : start + CHUNK_ROWS]
        sums += weights[part] @ features[part].astype(np.float64)
    mean = sums / total
    if not np.isfinite(mean).all():
        raise ValueError("features are not finite in rows of positive weight")
    squares = np.zeros(features.shape[1])
    for start in range(0, len(fitted), CHUNK_ROWS):
        part = fitted[start : start + CHUNK_ROWS]
        squares += weights[part] @ np.square(features[part].astype(np.float64) - mean)
    scale = np.sqrt(squares / total)
    # A column that only rounding moves says nothing; dividing by that would make noise of it.
    flat = scale <= 1e-9 * np.maximum(np.abs(mean), np.finfo(np.float32).tiny)
    return mean, np.where(flat, 1.0, scale)


def _standardised(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    part = features.astype(np.float64)
    part -= mean
    part /= scale
    return part


def _by_columns(features, weights, fitted, mean, scale) -> tuple[np.ndarray, np.ndarray]:
    p = features.shape[1]
    gram = np.zeros((p, p), order="F")
    for start in range(0, len(fitted), CHUNK_ROWS):
        part = fitted[start : start + CHUNK_ROWS]
        rows = _standardised(features[part], mean, scale)
        rows *= np.sqrt(weights[part])[:, None]
        # A C-ordered array is the transpose BLAS wants; only the lower triangle is computed, in place.
        gram = linalg.blas.dsyrk(1.0, rows.T, beta=1.0, c=gram, lower=1, overwrite_c=1)
    values, vectors = linalg.eigh(gram, lower=True, overwrite_a=True, check_finite=False, driver="evd")
    return np.clip(values[::-1], 0.0, None), np.ascontiguousarray(vectors[:, ::-1])


def _by_rows(features, weights, fitted, mean, scale) -> tuple[np.ndarray, np.ndarray]:
    rows = _standardised(features[fitted], mean, scale)
    rows *= np.sqrt(weights[fitted])[:, None]
    values, left = linalg.eigh(rows @ rows.T, overwrite_a=True, check_finite=False, driver="evd")
    values, left = values[::-1], left[:, ::-1]
    kept = values > 1e-13 * max(values[0], np.finfo(np.float64).tiny)
    values, left = values[kept], left[:, kept]
    return values, (rows.T @ left) / np.sqrt(values)
