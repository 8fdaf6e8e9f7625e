"""Cells in the order of their scores, ties as one step, for one set of weights or a thousand resampled ones."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Ranking:
    """Judged cells from the highest score down; every method takes multiplicities and answers for each row of them.

    Parameters
    ----------
    y : array of shape (n,)
        1 for a cell with a mine, 0 for one without.
    scores : array of shape (n,)
        Higher is likelier. Finite.
    weights : array of shape (n,), optional
        How many cells each stands for, 0 or more; 1 each without.

    Raises
    ------
    ValueError
        If shapes differ, y is not 0 or 1, a score is not finite or a weight is negative.

    Notes
    -----
    `multiplicities` of shape (m, n) say how often each cell counts in each of m resamples; None is once each, m = 1.
    Results have shape (m,), nan where undefined. Cells of equal score are one step of every curve.
    """

    def __init__(self, y: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None):
        y, scores, weights = checked(y, scores, weights)
        self._order = np.argsort(-scores, kind="stable")
        self._weights = weights[self._order]
        ordered = scores[self._order]
        is_end = np.append(ordered[1:] != ordered[:-1], True)[: len(y)]
        self._ends = np.flatnonzero(is_end)  # the last row of each step
        self._step = np.cumsum(is_end) - is_end  # the step of each row
        self._positives = np.flatnonzero(y[self._order])

    def average_precision(self, multiplicities: NDArray | None = None) -> NDArray:
        return self._drawn(multiplicities).average_precision()

    def area_under_curve(self, multiplicities: NDArray | None = None) -> NDArray:
        return self._drawn(multiplicities).area_under_curve()

    def precision_and_area(self, multiplicities: NDArray | None = None) -> NDArray:
        """Average precision and AUC at once: (m, 2)."""
        drawn = self._drawn(multiplicities)
        return np.stack([drawn.average_precision(), drawn.area_under_curve()], axis=1)

    def recall_at_budget(self, budget: float, multiplicities: NDArray | None = None) -> NDArray:
        return self._drawn(multiplicities).recall_within(self._share(budget))

    def precision_at_k(self, k: float, multiplicities: NDArray | None = None) -> NDArray:
        return self._drawn(multiplicities).precision_within(k / max(len(self._order), 1))

    def all_ranked(self, budget: float, k: float, multiplicities: NDArray | None = None) -> NDArray:
        """AP, AUC, recall at the budget and precision at k at once: (m, 4)."""
        drawn = self._drawn(multiplicities)
        return np.stack(
            [
                drawn.average_precision(),
                drawn.area_under_curve(),
                drawn.recall_within(self._share(budget)),
                drawn.precision_within(k / max(len(self._order), 1)),
            ],
            axis=1,
        )

    def _drawn(self, multiplicities: NDArray | None) -> "_Drawn":
        return _Drawn(self, np.ones((1, len(self._order))) if multiplicities is None else multiplicities)

    def _share(self, budget: float) -> float:
        total = self._weights.sum()
        return budget / total if total > 0 else np.nan


class _Drawn:
    """Cumulated weights of a ranking in some resamples: of all rows, and of the positive ones alone (they are few)."""

    def __init__(self, ranking: Ranking, multiplicities: NDArray):
        self._of = ranking
        self._times = np.take(multiplicities, ranking._order, axis=1)
        weights = self._times * ranking._weights.astype(multiplicities.dtype)
        self._every = np.cumsum(weights, axis=1)
        self._positive = np.cumsum(weights[:, ranking._positives], axis=1)
        # The first positive of each step that has one, the rows before that step and at its end.
        steps, first = np.unique(ranking._step[ranking._positives], return_index=True)
        self._last_positive = np.append(first[1:], len(ranking._positives)) - 1 if len(first) else first
        self._ends = ranking._ends[steps]
        self._before = np.where(steps > 0, ranking._ends[steps - 1], -1)
        self._n_positive_upto = np.cumsum(np.bincount(ranking._positives, minlength=len(ranking._order)))

    def average_precision(self) -> NDArray:
        positive, every = self._positive[:, self._last_positive], self.every_upto(self._ends)
        gained = np.diff(positive, axis=1, prepend=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(every > 0, positive / every, 0)
        return (gained * precision).sum(axis=1) / self._total_positive()

    def area_under_curve(self) -> NDArray:
        positive = self._positive[:, self._last_positive]
        before = np.concatenate([np.zeros_like(positive[:, :1]), positive[:, :-1]], axis=1)
        every, every_before = self.every_upto(self._ends), self.every_upto(self._before)
        negative = self._last(self._every) - self._last(self._positive)
        # Negatives above a step lose, those within it tie.
        behind = negative[:, None] - (every - positive + every_before - before) / 2
        area = ((positive - before) * behind).sum(axis=1) / self._total_positive()
        return area / np.where(negative > 1e-6 * self._last(self._every), negative, np.nan)

    def recall_within(self, share: float) -> NDArray:
        """Of positives, in that share of all weight from the top."""
        found = self._interpolated(share * self._last(self._every), self._every)[0]
        return np.clip(found / self._total_positive(), 0, 1)

    def precision_within(self, share: float) -> NDArray:
        """In that share of the number of cells from the top."""
        count = np.cumsum(self._times, axis=1)
        positive, every = self._interpolated(share * self._last(count), count)
        return positive / np.where(every > 0, every, np.nan)

    def every_upto(self, rows: NDArray) -> NDArray:
        return _upto(self._every, rows)

    def _interpolated(self, where: NDArray, along: NDArray) -> tuple[NDArray, NDArray]:
        """Weight of positives and of all at the place `where` of each resample's `along`, ties in proportion."""
        m, n = along.shape
        if not n:
            return np.full(m, np.nan), np.full(m, np.nan)
        row = np.array([np.searchsorted(line, x) for line, x in zip(along, where, strict=True)]).clip(max=n - 1)
        step = self._of._step[row]
        end, before = self._of._ends[step], np.where(step > 0, self._of._ends[step - 1], -1)
        pick = np.arange(m)
        start = _pick(along, pick, before)
        width = along[pick, end] - start
        part = np.clip((where - start) / np.where(width > 0, width, 1), 0, 1)
        found = []
        for amount, at in ((self._positive, self._n_positive_upto - 1), (self._every, np.arange(n))):
            low = _pick(amount, pick, np.where(before >= 0, at[before], -1))
            found.append(low + part * (_pick(amount, pick, at[end]) - low))
        return found[0], found[1]

    def _last(self, cumulated: NDArray) -> NDArray:
        return cumulated[:, -1] if cumulated.shape[1] else np.zeros(len(cumulated))

    def _total_positive(self) -> NDArray:
        total = self._last(self._positive)
        return np.where(total > 0, total, np.nan)


def _upto(cumulated: NDArray, rows: NDArray) -> NDArray:
    """Columns of cumulated sums; 0 for row -1, before the first."""
    if not cumulated.shape[1]:
        return np.zeros((len(cumulated), len(rows)))
    return np.where(rows >= 0, cumulated[:, rows], 0)


def _pick(cumulated: NDArray, lines: NDArray, rows: NDArray) -> NDArray:
    """One column of each line; 0 for row -1."""
    if not cumulated.shape[1]:
        return np.zeros(len(lines))
    return np.where(rows >= 0, cumulated[lines, rows], 0)


def checked(y: ArrayLike, scores: ArrayLike, weights: ArrayLike | None) -> tuple[NDArray, NDArray, NDArray]:
    """The three as arrays of floats, weights 1 each without; raises ValueError as `Ranking` says."""
    y, scores = np.asarray(y, dtype=float), np.asarray(scores, dtype=float)
    weights = np.ones(y.shape) if weights is None else np.asarray(weights, dtype=float)
    if y.ndim != 1 or y.shape != scores.shape or y.shape != weights.shape:
        raise ValueError(f"truth, scores and weights differ in shape: {y.shape}, {scores.shape}, {weights.shape}")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("truth is 0 or 1: leave out cells of which it is not known")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite: leave out cells without one")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError("weights are 0 or more")
    return y, scores, weights
