"""The fit of a run: heads on the same features, each with its own cells, penalties and probabilities.

Pure: NumPy and SciPy only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from predictions.calibration import Calibration, cross_calibrated
from predictions.classifier import Kept, PenaltyAtEdge, RidgePath, score_cells
from predictions.leave_out import Buffers

Report = Callable[[int, int], None]
# Room for what makes a fit of new labels quick, of each set of weights.
KEEP_BYTES = 512 * 1024**2
# Up to here the rotated rows of all sets of weights stay in memory; beyond it, those of one at a time.
ROWS_BYTES = 1024**3


class Keeper(Protocol):
    """Where what no label enters is kept from one fit to the next; weights (n,) are those of the fit."""

    def load(self, weights: np.ndarray) -> Kept | None: ...

    def save(self, weights: np.ndarray, kept: Kept) -> None: ...


@dataclass
class Heads:
    """RidgePath for several heads; those whose cells and weights are the same share one decomposition.

    Of a large frame the rotated rows (n x (1 + r) float64) of one decomposition are held at a time; those of another
    are made again of the features when they are asked for, to the same bits.

    Parameters
    ----------
    penalties, criterion
        As for `RidgePath`.
    report : callable, optional
        Told (blocks done, blocks) of all that is left out for the path.
    keeper : Keeper, optional
        Knows the features, blocks and buffers; a fit found there differs in labels alone.

    Attributes
    ----------
    out_of_block : (n, heads) scores of the frame's cells by fits without their blocks
    coefficients : (p, heads); intercept : (heads,)
    """

    penalties: list[float] | None = None
    criterion: str = "auto"
    report: Report | None = None
    keeper: Keeper | None = None
    models: list[RidgePath] = field(default_factory=list)
    columns: list[np.ndarray] = field(default_factory=list)
    # The features, kept where rows are made again of them.
    _features: np.ndarray | None = field(default=None, init=False, repr=False)

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray,
        *,
        blocks: np.ndarray,
        buffers: Buffers,
        judged: np.ndarray,
        judged_weight: np.ndarray,
    ) -> Heads:
        """X (n, p); blocks (n,); y, weights, judged and its weights of (n, heads), as for `RidgePath.fit`."""
        self.models, self.columns = [], _same_columns(weights)
        self._features = X if len(self.columns) * _rows_bytes(X) > ROWS_BYTES else None
        for columns in self.columns:
            self._make_room()
            own = weights[:, columns[0]]
            kept = self.keeper.load(own) if self.keeper else None
            room = KEEP_BYTES if self.keeper else 0
            model = RidgePath(self.penalties, self.criterion, keep_bytes=room, report=self.report)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PenaltyAtEdge)  # the figures say it
                model.fit(
                    X,
                    y[:, columns],
                    own,
                    blocks=blocks,
                    buffers=buffers,
                    judged=judged[:, columns],
                    judged_weight=judged_weight[:, columns[0]],
                    kept=kept,
                )
            if self.keeper and kept is None:
                self.keeper.save(own, model.kept())
            if self.models:  # only labels of the first head are ever changed: see `relabelled`
                model.leave_out_.operators = {}
            self.models.append(model)
        self.out_of_block = self._gathered([model.choice_.scores for model in self.models])
        self.coefficients = self._gathered([model.coefficients_ for model in self.models])
        self.intercept = self._gathered([model.intercept_[None] for model in self.models])[0]
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """float32 (m, heads) scores."""
        return score_cells(X, self.coefficients, self.intercept)

    def out_of_group(self, groups: np.ndarray, buffers: Buffers) -> np.ndarray:
        """(n, heads): the scorer of predictions.validation."""
        parts: list = [None] * len(self.models)
        # Whichever has its rows at hand comes first, so that each call makes rows again once less.
        for number in sorted(range(len(parts)), key=lambda number: not self.models[number].has_rows):
            parts[number] = self._with_rows(number).out_of_group(groups, buffers)
        return self._gathered(parts)

    def relabelled(self, labels: np.ndarray) -> np.ndarray:
        """(n, m) out-of-block scores of the same model and cells fitted to other labels (n, m) of the first head."""
        first = self._with_rows(0)
        other = RidgePath(first.choice_.penalties, self.criterion, n_extensions=0)
        other.decomposition_, other.leave_out_ = first.decomposition_, first.leave_out_
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PenaltyAtEdge)
            return other.refit(labels, blocks=first.blocks_).choice_.scores

    def importance(self, head: int = 0) -> np.ndarray:
        """(p,): size of the coefficients of standardised columns."""
        model, column = self._model_of(head)
        return np.abs(model.coefficients_[:, column]) * model.decomposition_.scale

    def penalty(self, head: int = 0) -> dict:
        """`figures["penalty"]` of a head."""
        model, column = self._model_of(head)
        choice = model.choice_
        losses = choice.losses[:, column]
        return {
            "path": choice.penalties.tolist(),
            "loss": [float(each) if np.isfinite(each) else None for each in losses],
            "chosen": float(choice.penalty[column]),
            "at_edge": bool(choice.at_edge[column]),
            "criterion": choice.criterion[column],
        }

    def _with_rows(self, number: int) -> RidgePath:
        model = self.models[number]
        if not model.has_rows:
            self._make_room()
            model.take_rows_up(self._features)
        return model

    def _make_room(self) -> None:
        if self._features is not None:
            for model in self.models:
                model.let_rows_go()

    def _model_of(self, head: int) -> tuple[RidgePath, int]:
        for model, columns in zip(self.models, self.columns, strict=True):
            if head in columns:
                return model, int(np.flatnonzero(columns == head)[0])
        raise IndexError(head)

    def _gathered(self, parts: list[np.ndarray]) -> np.ndarray:
        gathered = np.empty((len(parts[0]), sum(map(len, self.columns))))
        for columns, part in zip(self.columns, parts, strict=True):
            gathered[:, columns] = part
        return gathered


@dataclass(frozen=True)
class Chances:
    """How scores of one head become probabilities, and on what that stands."""

    calibration: Calibration
    # Rows that it was fitted on, their weights, and the probabilities that calibrations without their blocks give.
    rows: np.ndarray
    weights: np.ndarray
    out_of_block: np.ndarray
    # Whether no sample told how common mines are: probabilities are then of a mine being known of.
    is_of_records: bool

    @classmethod
    def fit(
        cls, scores: np.ndarray, y: np.ndarray, rows: np.ndarray, weights: np.ndarray, blocks: np.ndarray, **about
    ) -> Chances | None:
        """From out-of-block scores and labels (n,), on these rows (m,) with weights (m,); None without both classes."""
        usable = np.isfinite(scores[rows]) & (weights > 0)
        rows, weights = rows[usable], weights[usable]
        if len(np.unique(y[rows])) < 2:
            return None
        calibration = Calibration.fit(scores[rows], y[rows], weights)
        held_out = cross_calibrated(scores[rows], y[rows], weights, blocks[rows], rule=calibration.method)
        return cls(calibration, rows, weights, held_out, **about)


def _rows_bytes(X: np.ndarray) -> int:
    """Of the rotated rows of one decomposition, at most."""
    n, p = X.shape
    return n * (1 + min(n, p)) * 8


def _same_columns(weights: np.ndarray) -> list[np.ndarray]:
    """Column numbers, those of equal columns together."""
    groups: list[list[int]] = []
    for column in range(weights.shape[1]):
        same = [group for group in groups if np.array_equal(weights[:, group[0]], weights[:, column])]
        same[0].append(column) if same else groups.append([column])
    return [np.array(group) for group in groups]
