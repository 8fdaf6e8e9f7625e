"""Ridge over a path of penalties from one eigendecomposition, judged by leaving out blocks, without refits.

Pure: NumPy and SciPy only (no Django, no scikit-learn).

    groups, names = spatial_blocks(cells (n, 2), size_km=10)          # (n,) int, 0 .. k-1; names (k, 2)
    near = block_buffers(cells, groups, buffer_km=2)                  # k index arrays: rows near block b, not in it
    model = RidgePath().fit(X, Y, sample_weight=w, blocks=groups, buffers=near, judged=mask)
    model.choice.scores                                               # (n, heads) out-of-block
    model.predict(X), model.out_of_group(groups, buffers)

`model.out_of_group` is the `scorer(groups, buffers)` of predictions.validation.
"""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass

import numpy as np

from predictions.blocks import block_buffers, index_blocks, random_groups, spatial_blocks
from predictions.decomposition import Decomposition
from predictions.leave_out import Buffers, Fold, LeaveOut, folds_of, path_scores
from predictions.penalty import Choice, choose_penalty

__all__ = [
    "Choice",
    "Decomposition",
    "Fold",
    "Kept",
    "LeaveOut",
    "PenaltyAtEdge",
    "RidgePath",
    "block_buffers",
    "choose_penalty",
    "default_penalties",
    "folds_of",
    "index_blocks",
    "path_scores",
    "random_groups",
    "score_cells",
    "spatial_blocks",
]

SCORE_ROWS = 512


class PenaltyAtEdge(UserWarning):
    """The best penalty is the last one of the path, however far the path was extended."""


def default_penalties(n_rows: int) -> np.ndarray:
    """(15,) half a decade apart from 10^-2 to 10^5, in proportion to the rows fitted: 1 at 4,096 of them."""
    return np.logspace(-2, 5, 15) * (n_rows / 4096)


def score_cells(features: np.ndarray, coefficients: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """Scores of grid cells, as fast as memory gives them.

    Parameters
    ----------
    features : float32 array of shape (m, p)
        Read by rows, so a memory map will do. nan features give a nan score.
    coefficients : array of shape (p, heads)
        Of unstandardised columns.
    intercept : array of shape (heads,)

    Returns
    -------
    float32 array of shape (m, heads)
        In float32 throughout, so to some 1e-5; `RidgePath.decomposition_` has them in float64.
    """
    heads = np.ascontiguousarray(np.asarray(coefficients, dtype=np.float32).T)
    scores = np.empty((len(features), len(heads)), dtype=np.float32)
    for start in range(0, len(features), SCORE_ROWS):
        rows = np.asarray(features[start : start + SCORE_ROWS], dtype=np.float32)
        for head, weights in enumerate(heads):
            scores[start : start + SCORE_ROWS, head] = rows @ weights + np.float32(intercept[head])
    return scores


@dataclass(frozen=True)
class Kept:
    """What of a fit no label enters."""

    # `Decomposition.to_arrays`.
    decomposition: dict[str, np.ndarray]
    # `LeaveOut.operators`: by penalty.
    operators: dict[float, np.ndarray]


class RidgePath:
    """Ridge on 0/1 labels whose penalty is chosen by leaving out blocks; any number of heads on the same features.

    Parameters
    ----------
    penalties : array, optional
        The path, ascending; `default_penalties` of the fitted rows where not given.
    criterion : "auto", "average_precision" or "squared"
        See `choose_penalty`.
    n_extensions : int
        How often the path may be extended, four steps each, where the best penalty lies at its end.
    keep_bytes : int
        Room for what makes the next `refit` take no rows: see `LeaveOut`.
    report : callable, optional
        Told (blocks done, blocks) while blocks are left out; may raise to stop.

    Attributes
    ----------
    coefficients_ : (p, heads), of unstandardised columns; intercept_ : (heads,)
    choice_ : Choice; `choice_.scores` are the out-of-block scores
    decomposition_ : Decomposition; leave_out_ : LeaveOut
    """

    def __init__(self, penalties=None, criterion="auto", n_extensions=3, keep_bytes=0, report=None):
        self.penalties = penalties
        self.criterion = criterion
        self.n_extensions = n_extensions
        self.keep_bytes = keep_bytes
        self.report = report

    def get_params(self, deep: bool = True) -> dict:
        return {
            name: getattr(self, name) for name in inspect.signature(type(self).__init__).parameters if name != "self"
        }

    def set_params(self, **params) -> RidgePath:
        for name, value in params.items():
            if name not in self.get_params():
                raise ValueError(f"RidgePath has no parameter {name}")
            setattr(self, name, value)
        return self

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        *,
        blocks: np.ndarray | None = None,
        buffers: Buffers = None,
        judged: np.ndarray | None = None,
        judged_weight: np.ndarray | None = None,
        kept: Kept | None = None,
    ) -> RidgePath:
        """Decompose the features, then `refit`.

        Parameters
        ----------
        X : float32 or float64 array of shape (n, p)
        y : array of shape (n,) or (n, heads)
            0 or 1; anything, nan too, in rows of weight 0.
        sample_weight : array of shape (n,), optional
            Rows of weight 0 get scores and are not fitted. Scaled to a mean of 1 over the fitted rows, so that a
            penalty means the same whatever the weights' unit.
        blocks : int array of shape (n,), optional
            For leaving out; runs of neighbouring rows where not given.
        buffers : k index arrays, a function, or None
        judged : bool array of shape (n,) or (n, heads), optional
            Rows that the choice of the penalty may look at: audited labels. All fitted rows where not given.
        judged_weight : array of shape (n,), optional
            Their weights in the choice; `sample_weight` where not given.
        kept : Kept, optional
            Of an earlier fit of the same features, weights, blocks and buffers: nothing is decomposed then.
        """
        weights = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if (weights > 0).any():
            weights = weights / weights[weights > 0].mean()
        blocks = index_blocks(len(X)) if blocks is None else blocks
        if kept is None:
            self.decomposition_ = Decomposition.of(X, weights)
        else:
            self.decomposition_ = Decomposition.from_arrays(kept.decomposition, X)
        self.leave_out_ = self._leave_out(blocks, buffers, self.keep_bytes)
        self.leave_out_.operators = dict(kept.operators) if kept else {}
        return self.refit(y, blocks=blocks, judged=judged, judged_weight=judged_weight)

    def refit(
        self,
        y: np.ndarray,
        *,
        blocks: np.ndarray,
        judged: np.ndarray | None = None,
        judged_weight: np.ndarray | None = None,
        features: np.ndarray | None = None,
    ) -> RidgePath:
        """New labels on the same rows, weights and blocks: coefficients, choice and out-of-block scores again.

        With the operators of an earlier fit kept (`keep_bytes`) no row is decomposed or left out anew. `features`, of
        the frame, are needed where the decomposition came without its rows.
        """
        self.y_ = _as_columns(y)
        self.blocks_ = np.asarray(blocks)
        weights = self.decomposition_.weights
        self.judged_ = weights > 0 if judged is None else np.asarray(judged, dtype=bool)
        self.judged_weight_ = weights if judged_weight is None else np.asarray(judged_weight, dtype=np.float64)
        self._moments = self.decomposition_.moments(self.y_, features)
        self._features = features
        self.choice_ = self._chosen()
        self.coefficients_, self.intercept_ = self.decomposition_.coefficients(self._moments, self.choice_.penalty)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """float32 scores (m, heads), or (m,) with one head; around 0 to 1, not clipped, no probabilities."""
        scores = score_cells(X, self.coefficients_, self.intercept_)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def out_of_group(self, groups: np.ndarray, buffers: Buffers = None) -> np.ndarray:
        """(n, heads) scores by fits that left out each row's group and its buffer; nan in rows of a negative group.

        The penalty is chosen for each group from the others, among those within a decade of the fit's own.
        """
        groups = np.asarray(groups)
        names = np.unique(groups[groups >= 0])  # the buffers follow them in this order
        groups = np.where(groups >= 0, np.searchsorted(names, groups), -1)
        near = self.choice_.penalty
        penalties = self.choice_.penalties
        penalties = penalties[(penalties >= near.min() / 10.01) & (penalties <= near.max() * 10.01)]
        leave_out = self._leave_out(groups, buffers, 0)
        scores = leave_out.scores(self.y_, penalties, self._moments, self._features)
        return self._choose(scores, penalties, groups).scores

    def kept(self) -> Kept:
        """For the next fit, of other labels of the same rows."""
        return Kept(self.decomposition_.to_arrays(), self.leave_out_.operators)

    @property
    def has_rows(self) -> bool:
        """Whether the rotated rows are in memory: `refit` and `out_of_group` need them."""
        return self.decomposition_.rows is not None

    def let_rows_go(self) -> None:
        """Free the memory of the rotated rows, by far the most of a fit; predictions and choices stay."""
        self.decomposition_ = self.leave_out_.decomposition = self.decomposition_.without_rows()

    def take_rows_up(self, X: np.ndarray) -> None:
        """Rotate the rows of the fit's features (n, p) again, to the same bits."""
        self.decomposition_ = self.leave_out_.decomposition = self.decomposition_.with_rows(X)

    def _leave_out(self, blocks: np.ndarray, buffers: Buffers, keep_bytes: int) -> LeaveOut:
        report = self.report or (lambda n_done, n_total: None)
        return LeaveOut(self.decomposition_, blocks, buffers, keep_bytes=keep_bytes, report=report)

    def _choose(self, scores: np.ndarray, penalties: np.ndarray, blocks: np.ndarray) -> Choice:
        return choose_penalty(
            scores,
            self.y_,
            penalties,
            blocks,
            judged=self.judged_,
            weights=self.judged_weight_,
            criterion=self.criterion,
        )

    def _scores(self, penalties: np.ndarray) -> np.ndarray:
        return self.leave_out_.scores(self.y_, penalties, self._moments, self._features)

    def _chosen(self) -> Choice:
        """Along the path, extended while the best penalty of a head lies at an end of it."""
        n_fitted = self.leave_out_.n_fitted
        given = default_penalties(n_fitted) if self.penalties is None else self.penalties
        penalties = np.sort(np.atleast_1d(np.asarray(given, dtype=np.float64)))
        scores = self._scores(penalties)
        choice = self._choose(scores, penalties, self.blocks_)
        for _ in range(self.n_extensions):
            more = self._beyond(choice)
            if not len(more):
                break
            order = np.argsort(np.concatenate([penalties, more]))
            scores = np.concatenate([scores, self._scores(more)])[order]
            penalties = np.concatenate([penalties, more])[order]
            choice = self._choose(scores, penalties, self.blocks_)
        if choice.at_edge.any() and len(penalties) > 1:
            warnings.warn(
                f"the best penalty lies at the end of the path: {choice.penalty}", PenaltyAtEdge, stacklevel=3
            )
        return choice

    def _beyond(self, choice: Choice) -> np.ndarray:
        """Four more steps at each end of the path that a head's best penalty lies at."""
        penalties = choice.penalties
        if len(penalties) < 2:
            return np.empty(0)
        steps = np.arange(1, 5)
        below = penalties[0] * (penalties[0] / penalties[1]) ** steps
        above = penalties[-1] * (penalties[-1] / penalties[-2]) ** steps
        # Below this, float64 cannot tell the smallest directions from rounding.
        floor = 1e-12 * self.decomposition_.values[1:].max(initial=0.0)
        wanted = [
            below[below > floor] if (choice.penalty == penalties[0]).any() else below[:0],
            above if (choice.penalty == penalties[-1]).any() else above[:0],
        ]
        return np.concatenate(wanted)


def _as_columns(y: np.ndarray) -> np.ndarray:
    y = np.asarray(y, dtype=np.float64)
    return y[:, None] if y.ndim == 1 else y
