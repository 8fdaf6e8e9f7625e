"""What ridge would say of each block had it never seen the block nor its buffer: exactly, and without refitting.

Pure: NumPy and SciPy only.

With residuals `e = sqrt(W) (y - fitted)` and leverages `H = sqrt(W) Z shrinkage Z' sqrt(W)`, the residuals of a fit
without the rows S are `(I - H_SS)^-1 e_S` on S; what that fit says elsewhere is `fitted - Z shrinkage Z_S' sqrt(W_S)`
times them. So the scores of the block B inside S are linear in e_S, by a matrix that no label enters: kept, it makes
the whole validation after new labels two matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from predictions.decomposition import CHUNK_ROWS, Decomposition

Buffers = Sequence[np.ndarray] | Callable[[int], np.ndarray] | None


@dataclass(frozen=True)
class Fold:
    # Rows whose scores are wanted.
    kept: np.ndarray
    # Fitted rows that the fit must not see: those of the block and of its buffer.
    left_out: np.ndarray


def folds_of(blocks: np.ndarray, buffers: Buffers, weights: np.ndarray) -> list[Fold]:
    """A fold for each block 0 .. k-1; rows of a negative block are in none."""
    blocks = np.asarray(blocks)
    n_blocks = int(blocks.max(initial=-1)) + 1
    order = np.argsort(blocks, kind="stable")
    edges = np.searchsorted(blocks[order], np.arange(n_blocks + 1))
    folds = []
    for block in range(n_blocks):
        kept = order[edges[block] : edges[block + 1]]
        near = _buffer_of(buffers, block)
        out = np.union1d(kept, near)
        folds.append(Fold(kept, out[weights[out] > 0]))
    return folds


def _buffer_of(buffers: Buffers, block: int) -> np.ndarray:
    if buffers is None:
        return np.empty(0, dtype=np.int64)
    return np.asarray(buffers(block) if callable(buffers) else buffers[block], dtype=np.int64)


class LeaveOut:
    """Scores of every row by fits that left its block out, for any labels of one decomposition.

    Parameters
    ----------
    decomposition : Decomposition
        With its rows; without them only for penalties whose operators are kept.
    blocks : int array of shape (n,)
        0 .. k-1; rows of a negative block get no score.
    buffers : k index arrays, a function from a block to one, or None
        Rows to leave out together with each block.
    keep_bytes : int
        Up to this size the operators (kept rows x left-out rows, of each block and penalty) stay for the next labels.
    operators : dict, optional
        Of a penalty: the operators of all blocks, one after the other, flat; as another `LeaveOut` of the same
        decomposition, blocks and buffers kept them.
    report : callable, optional
        Told the blocks done and their number as `scores` goes on; may raise to stop it.
    """

    def __init__(
        self,
        decomposition: Decomposition,
        blocks: np.ndarray,
        buffers: Buffers = None,
        *,
        keep_bytes: int = 0,
        operators: dict[float, np.ndarray] | None = None,
        report: Callable[[int, int], None] = lambda n_done, n_total: None,
    ):
        if np.shape(blocks) != (decomposition.n_rows,):
            raise ValueError(f"one block for each of the {decomposition.n_rows} rows is needed, not {np.shape(blocks)}")
        self.decomposition = decomposition
        self.folds = folds_of(blocks, buffers, decomposition.weights)
        self.n_fitted = int((decomposition.weights > 0).sum())
        self.keep_bytes = keep_bytes
        self.report = report
        self.operators = dict(operators or {})
        self._places = self._placed()

    @property
    def operator_size(self) -> int:
        """Numbers of all blocks' operators at one penalty."""
        return max((place.stop for place in self._places if place), default=0)

    def needs_rows(self, penalties: np.ndarray) -> bool:
        """Whether scores at these penalties need the rotated rows, or follow from kept operators and the labels."""
        known = all(float(penalty) in self.operators for penalty in penalties)
        return not known or any(self._has_rest(fold) and place is None for fold, place in self._folds())

    def scores(
        self, targets: np.ndarray, penalties: np.ndarray, moments: np.ndarray, features: np.ndarray | None = None
    ) -> np.ndarray:
        """Out-of-block scores.

        Parameters
        ----------
        targets : array of shape (n, heads)
            Not read in rows of weight 0.
        penalties : array of shape (n_penalties,)
        moments : array of shape (1 + r, heads)
            Those of the decomposition for these targets.
        features : array of shape (n, p), optional
            Of the frame, where the decomposition has no rows.

        Returns
        -------
        float64 array of shape (n_penalties, n, heads)
            nan in rows without a block, and where a block and its buffer leave nothing to fit.
        """
        fitted = self.decomposition.fitted(moments, penalties, features)
        residuals = self.decomposition.residuals(targets, fitted, moments, penalties, features)
        scores = np.full(fitted.shape, np.nan)
        known, new = self._room_for(penalties)
        for n_done, (fold, place) in enumerate(self._folds()):
            self.report(n_done, len(self.folds))
            if not len(fold.kept) or not self._has_rest(fold):
                continue
            if place is None:
                scores[:, fold.kept] = self._refitted(fold, targets, penalties, moments)
                continue
            parts = None
            for number, penalty in enumerate(penalties):
                if float(penalty) in known:
                    operator = known[float(penalty)][place].reshape(len(fold.kept), -1)
                else:
                    parts = parts or self._parts(fold)
                    operator = self._operator(fold, penalty, *parts)
                if float(penalty) in new:
                    new[float(penalty)][place] = operator.ravel()
                scores[number, fold.kept] = fitted[number, fold.kept] - operator @ residuals[number, fold.left_out]
        self.operators |= new
        return scores

    def _folds(self):
        return zip(self.folds, self._places, strict=True)

    def _has_rest(self, fold: Fold) -> bool:
        return len(fold.left_out) < self.n_fitted

    def _placed(self) -> list[slice | None]:
        """Where each block's operator lies; None where leaving out so many rows is cheaper as a fit of the rest."""
        places, start = [], 0
        for fold in self.folds:
            if len(fold.left_out) > self.decomposition.rank + 1:
                places.append(None)
                continue
            places.append(slice(start, start + len(fold.kept) * len(fold.left_out)))
            start = places[-1].stop
        return places

    def _room_for(self, penalties: np.ndarray) -> tuple[dict, dict]:
        """Operators kept of these penalties, and empty ones to fill for as many others as there is room for."""
        known = {float(penalty): self.operators[float(penalty)] for penalty in penalties if penalty in self.operators}
        wanted = [float(penalty) for penalty in penalties if float(penalty) not in known]
        if (len(self.operators) + len(wanted)) * self.operator_size * 8 > self.keep_bytes:
            return known, {}
        return known, {penalty: np.zeros(self.operator_size) for penalty in wanted}

    def _parts(self, fold: Fold) -> tuple[np.ndarray, np.ndarray]:
        """Weighted rows left out, and the kept rows among them that have weight 0 (their own rows are not in it)."""
        d = self.decomposition
        left_out = d.rows[fold.left_out] * np.sqrt(d.weights[fold.left_out])[:, None]
        return left_out, d.rows[fold.kept[d.weights[fold.kept] == 0]]

    def _operator(self, fold: Fold, penalty: float, left_out: np.ndarray, unfitted: np.ndarray) -> np.ndarray:
        """(kept, left out): what is taken off the fitted scores, for each residual of the rows left out."""
        shrinkage, weights = self.decomposition.shrinkage(penalty), self.decomposition.weights
        inverse = _inverse(self._remainder(left_out, penalty))
        operator = np.empty((len(fold.kept), len(fold.left_out)))
        is_fitted = weights[fold.kept] > 0
        own = np.searchsorted(fold.left_out, fold.kept[is_fitted])
        taken = inverse[own]
        # Of a fitted row: y - e_cv = fitted + e - e_cv.
        taken[np.arange(len(own)), own] -= 1.0
        operator[is_fitted] = taken / np.sqrt(weights[fold.kept[is_fitted]])[:, None]
        if len(unfitted):
            operator[~is_fitted] = ((unfitted * shrinkage) @ left_out.T) @ inverse
        return operator

    def _remainder(self, left_out: np.ndarray, penalty: float) -> np.ndarray:
        """I - H of the rows left out."""
        if self.decomposition.is_complete:  # I is a sum over the directions too
            shrunk = left_out * np.sqrt(self.decomposition.remainder(penalty))
            return shrunk @ shrunk.T
        shrunk = left_out * np.sqrt(self.decomposition.shrinkage(penalty))
        return np.eye(len(left_out)) - shrunk @ shrunk.T

    def _refitted(self, fold: Fold, targets: np.ndarray, penalties: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """(n_penalties, kept, heads) from the normal equations of the rest, in rotated directions."""
        d = self.decomposition
        gram, right = np.diag(d.values), moments.copy()
        for rows in _chunks(fold.left_out):  # an area may hold most of the frame: its rows are not copied at once
            roots = np.sqrt(d.weights[rows])[:, None]
            left_out = d.rows[rows]
            left_out *= roots
            gram -= left_out.T @ left_out
            right -= left_out.T @ (roots * targets[rows])
        n_heads = targets.shape[1]
        solutions = np.full((len(gram), len(penalties), n_heads), np.nan)
        for number, penalty in enumerate(penalties):
            penalised = gram.copy()
            penalised[np.diag_indices_from(penalised)] += np.concatenate([[0.0], np.full(d.rank, float(penalty))])
            _, solution, failed = lapack.dposv(penalised, right)
            if not failed:
                solutions[:, number] = solution
        solutions = solutions.reshape(len(gram), -1)
        scores = np.concatenate([d.rows[rows] @ solutions for rows in _chunks(fold.kept)])
        return scores.reshape(len(fold.kept), len(penalties), n_heads).transpose(1, 0, 2)


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[start : start + CHUNK_ROWS] for start in range(0, len(rows), CHUNK_ROWS))


def path_scores(
    decomposition: Decomposition,
    targets: np.ndarray,
    penalties: np.ndarray,
    blocks: np.ndarray,
    buffers: Buffers = None,
) -> np.ndarray:
    """(n_penalties, n, heads) float64: exact out-of-block scores of ridge at each penalty; see `LeaveOut`.

    `targets` is (n, heads), `blocks` (n,) of 0 .. k-1, `buffers` k index arrays or a function from a block to one.
    Columns keep the means and scales of the whole frame in every fold, as they keep no label.
    """
    penalties = np.atleast_1d(np.asarray(penalties, dtype=np.float64))
    moments = decomposition.moments(targets)
    return LeaveOut(decomposition, blocks, buffers).scores(targets, penalties, moments)


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Of a symmetric positive definite matrix; nan where rounding has made it none (a penalty far too small)."""
    factor, failed = lapack.dpotrf(matrix, lower=1, overwrite_a=1)
    if failed:
        return np.full(matrix.shape, np.nan)
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    lower = np.tril(inverse)
    return lower + np.tril(lower, -1).T
