"""How well scores rank and foretell cells with mines: weighted, ties handled, undefined where nothing can be said."""

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predictions.bootstrap import N_RESAMPLES, Resamples, limits
from predictions.quantities import (
    NO_BUDGET,
    NO_NEGATIVE,
    NO_POSITIVE,
    NO_PROBABILITIES,
    NOTHING_JUDGED,
    Quantity,
    missing,
    quantity,
)

NAMES = ("ap", "auc", "brier", "log_loss", "recall_at_budget", "precision_at_k")


class Metrics(TypedDict):
    ap: Quantity
    auc: Quantity
    brier: Quantity
    log_loss: Quantity
    recall_at_budget: Quantity
    precision_at_k: Quantity
    budget: int  # inspections, in cells as the weights count them
    k: int  # judged cells
    n: int
    n_positive: int
    prevalence: float | None  # weighted


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
        y, scores, weights = _checked(y, scores, weights)
        self._order = np.argsort(-scores, kind="stable")
        self._y = y[self._order]
        self._weights = weights[self._order]
        ordered = scores[self._order]
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(y) else np.zeros(0, int)
        self.thresholds = ordered[self._ends]

    def curve(self, multiplicities: NDArray | None = None) -> tuple[NDArray, NDArray, NDArray]:
        """Cumulated at each distinct score, descending: positives' weight, all weight, number of cells; (m, steps)."""
        times = np.ones((1, len(self._order))) if multiplicities is None else multiplicities[:, self._order]
        weights = times * self._weights
        return (
            np.cumsum(weights * self._y, axis=1)[:, self._ends],
            np.cumsum(weights, axis=1)[:, self._ends],
            np.cumsum(times, axis=1)[:, self._ends],
        )

    def average_precision(self, multiplicities: NDArray | None = None) -> NDArray:
        return _average_precision(*self.curve(multiplicities)[:2])

    def area_under_curve(self, multiplicities: NDArray | None = None) -> NDArray:
        return _area_under_curve(*self.curve(multiplicities)[:2])

    def recall_at_budget(self, budget: float, multiplicities: NDArray | None = None) -> NDArray:
        return _recall_at_budget(*self.curve(multiplicities)[:2], self._share(budget))

    def precision_at_k(self, k: float, multiplicities: NDArray | None = None) -> NDArray:
        return _precision_at_k(*self.curve(multiplicities), k / max(len(self._order), 1))

    def all_ranked(self, budget: float, k: float, multiplicities: NDArray | None = None) -> NDArray:
        """AP, AUC, recall at the budget and precision at k from one curve: (m, 4)."""
        positive, every, count = self.curve(multiplicities)
        return np.stack(
            [
                _average_precision(positive, every),
                _area_under_curve(positive, every),
                _recall_at_budget(positive, every, self._share(budget)),
                _precision_at_k(positive, every, count, k / max(len(self._order), 1)),
            ],
            axis=1,
        )

    def _share(self, budget: float) -> float:
        total = self._weights.sum()
        return budget / total if total > 0 else np.nan


def average_precision(y: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the precision-recall curve as the sum of precision times gained recall; nan without positives.

    Arguments and errors as for `Ranking`. The definition of scikit-learn's `average_precision_score`: no interpolation
    between points, so it equals prevalence when every score is the same.
    """
    return float(Ranking(y, scores, weights).average_precision()[0])


def area_under_curve(y: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Probability that a cell with a mine scores above one without, ties counting half; nan if either is lacking.

    Arguments and errors as for `Ranking`. Hanley & McNeil (1982), Radiology 143:29-36.
    """
    return float(Ranking(y, scores, weights).area_under_curve()[0])


def recall_at_budget(y: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None, *, budget: float) -> float:
    """Share of the cells with mines found by inspecting the highest-scored ones; nan without positives.

    Parameters
    ----------
    budget : float
        Inspections, in cells as the weights count them: with weights that add up to a country, cells of the country.

    Notes
    -----
    Of cells that tie at the end of the budget the expected part is found: as if inspected in random order.
    """
    return float(Ranking(y, scores, weights).recall_at_budget(budget)[0])


def precision_at_k(y: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None, *, k: float) -> float:
    """Weighted share of cells with mines among the k judged cells that score highest; nan if nothing was judged.

    k counts judged cells, each of which speaks for its weight. Ties at the end count in proportion; k beyond the
    number of cells takes them all.
    """
    return float(Ranking(y, scores, weights).precision_at_k(k)[0])


def brier(y: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Weighted mean squared difference of probability and truth, 0 is best; nan if nothing was judged. Brier (1950)."""
    y, probabilities, weights = _checked(y, probabilities, weights)
    return _mean(_squared(y, probabilities), weights)


def log_loss(y: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Weighted mean of -log of the probability given to what was found, natural logarithm; nan if nothing was judged.

    Probabilities are kept a machine epsilon away from 0 and 1, as scikit-learn does.
    """
    y, probabilities, weights = _checked(y, probabilities, weights)
    return _mean(_surprise(y, probabilities), weights)


def summary(
    y: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None,
    blocks: ArrayLike,
    *,
    budget: float | None,
    k: int,
    probabilities: ArrayLike | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Metrics:
    """Every figure of one ranking, each with its block-bootstrap interval.

    Parameters
    ----------
    y, scores, weights : arrays of shape (n,)
        As for `Ranking`; only judged cells.
    blocks : array of shape (n,)
        Which cells are drawn together.
    budget : float, optional
        As for `recall_at_budget`; None leaves that figure out. In a resample it is the same share of all weight.
    k : int
        As for `precision_at_k`.
    probabilities : array of shape (n,), optional
        For Brier and log loss. Without them the scores are used if all lie in [0, 1], else these two are missing.

    Returns
    -------
    Metrics
        With nothing judged, no positive or no negative, figures without a meaning are None and say why.
    """
    y, scores, weights = _checked(y, scores, weights)
    blocks = np.asarray(blocks)
    resamples = Resamples.of(blocks, n_resamples, seed)
    probabilities = _as_probabilities(scores if probabilities is None else probabilities)
    found = _figures(y, scores, weights, probabilities, budget, k, resamples)
    total = weights.sum()
    return Metrics(
        **found,
        budget=int(round(budget or 0)),
        k=int(k),
        n=len(y),
        n_positive=int(y.sum()),
        prevalence=float(weights @ y / total) if total > 0 else None,
    )


def _figures(y, scores, weights, probabilities, budget, k, resamples: Resamples) -> dict[str, Quantity]:
    if not len(y) or weights.sum() <= 0:
        return {name: missing(len(y), NOTHING_JUDGED) for name in NAMES}
    ranking = Ranking(y, scores, weights)
    inspections = 0.0 if budget is None else budget
    losses = None if probabilities is None else np.stack([_squared(y, probabilities), _surprise(y, probabilities)], 1)

    def statistic(times: NDArray | None) -> NDArray:
        ranked = ranking.all_ranked(inspections, k, times)
        lost = np.full((len(ranked), 2), np.nan) if losses is None else _mean_of_each(losses, weights, times)
        return np.concatenate([ranked[:, :2], lost, ranked[:, 2:]], axis=1)

    values, drawn = statistic(None)[0], resamples.of_statistic(statistic)
    reasons = _reasons(y, weights, probabilities, budget)
    figures = {}
    for column, name in enumerate(NAMES):
        if reasons[name]:
            figures[name] = missing(len(y), reasons[name])
            continue
        low, high, reason = limits(drawn[:, column], resamples.n_blocks)
        figures[name] = quantity(values[column], low, high, n=len(y), reason=reason)
    return figures


def _reasons(y, weights, probabilities, budget) -> dict[str, str]:
    """Why each figure has no meaning; empty where it has."""
    no_positive = "" if (weights @ y) > 0 else NO_POSITIVE
    no_negative = "" if (weights @ (1 - y)) > 0 else NO_NEGATIVE
    unknown = NO_PROBABILITIES if probabilities is None else ""
    return {
        "ap": no_positive,
        "auc": no_positive or no_negative,
        "brier": unknown,
        "log_loss": unknown,
        "recall_at_budget": NO_BUDGET if budget is None else no_positive,
        "precision_at_k": "",
    }


def _average_precision(positive: NDArray, every: NDArray) -> NDArray:
    if not positive.shape[1]:
        return np.full(len(positive), np.nan)
    total = positive[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(every > 0, positive / every, 0.0)
        return (np.diff(positive, axis=1, prepend=0.0) * precision).sum(axis=1) / np.where(total > 0, total, np.nan)


def _area_under_curve(positive: NDArray, every: NDArray) -> NDArray:
    if not positive.shape[1]:
        return np.full(len(positive), np.nan)
    negative = every - positive
    pairs = positive[:, -1] * negative[:, -1]
    before = np.concatenate([np.zeros((len(positive), 1)), positive[:, :-1]], axis=1)
    area = (np.diff(negative, axis=1, prepend=0.0) * (positive + before) / 2).sum(axis=1)
    return area / np.where(pairs > 1e-12, pairs, np.nan)


def _recall_at_budget(positive: NDArray, every: NDArray, share: float) -> NDArray:
    if not positive.shape[1]:
        return np.full(len(positive), np.nan)
    found = _up_to(share * every[:, -1], every, positive)
    return found / np.where(positive[:, -1] > 0, positive[:, -1], np.nan)


def _precision_at_k(positive: NDArray, every: NDArray, count: NDArray, share: float) -> NDArray:
    if not positive.shape[1]:
        return np.full(len(positive), np.nan)
    where = share * count[:, -1]
    looked_at = _up_to(where, count, every)
    return _up_to(where, count, positive) / np.where(looked_at > 0, looked_at, np.nan)


def _up_to(where: NDArray, along: NDArray, amount: NDArray) -> NDArray:
    """`amount` at the place `where` of each row's growing `along`, straight within a step: ties in proportion."""
    rows = np.arange(len(along))
    step = np.minimum((along < where[:, None]).sum(axis=1), along.shape[1] - 1)
    start = np.where(step > 0, along[rows, step - 1], 0.0)
    base = np.where(step > 0, amount[rows, step - 1], 0.0)
    width = along[rows, step] - start
    part = np.clip(np.where(width > 0, (where - start) / np.where(width > 0, width, 1), 1.0), 0.0, 1.0)
    return base + part * (amount[rows, step] - base)


def _mean_of_each(values: NDArray, weights: NDArray, times: NDArray | None) -> NDArray:
    """Weighted means of columns (n, c) in each resample: (m, c)."""
    times = np.ones((1, len(weights))) if times is None else times
    total = times @ weights
    return (times @ (weights[:, None] * values)) / np.where(total > 0, total, np.nan)[:, None]


def _squared(y: NDArray, probabilities: NDArray) -> NDArray:
    return (probabilities - y) ** 2


def _surprise(y: NDArray, probabilities: NDArray) -> NDArray:
    edge = np.finfo(float).eps
    kept = np.clip(probabilities, edge, 1 - edge)
    return -np.where(y > 0, np.log(kept), np.log1p(-kept))


def _mean(values: NDArray, weights: NDArray) -> float:
    total = weights.sum()
    return float(weights @ values / total) if total > 0 else float("nan")


def _as_probabilities(values: ArrayLike) -> NDArray | None:
    values = np.asarray(values, dtype=float)
    return values if np.all((values >= 0) & (values <= 1)) else None


def _checked(y: ArrayLike, scores: ArrayLike, weights: ArrayLike | None) -> tuple[NDArray, NDArray, NDArray]:
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
