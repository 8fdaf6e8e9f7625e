"""How well scores rank and foretell cells with mines: weighted, ties handled, undefined where nothing can be said."""

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predictions.bootstrap import (
    MIN_OF_EACH,
    N_RESAMPLES,
    Limits,
    Resamples,
    effective_blocks,
    jackknife_limits,
    limits,
    share_limits,
    without_each,
)
from predictions.curves import share_interval
from predictions.quantities import (
    FEW_MINES,
    NO_BUDGET,
    NO_NEGATIVE,
    NO_POSITIVE,
    NO_PROBABILITIES,
    NOTHING_JUDGED,
    Quantity,
    missing,
    quantity,
)
from predictions.ranking import Ranking, checked

NAMES = ("ap", "auc", "brier", "log_loss", "recall_at_budget", "precision_at_k")
RANKED = tuple(name for name in NAMES if name not in ("brier", "log_loss"))


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
    y, probabilities, weights = checked(y, probabilities, weights)
    return _mean(_squared(y, probabilities), weights)


def log_loss(y: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Weighted mean of -log of the probability given to what was found, natural logarithm; nan if nothing was judged.

    Probabilities are kept a machine epsilon away from 0 and 1, as scikit-learn does.
    """
    y, probabilities, weights = checked(y, probabilities, weights)
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
        With nothing judged, no positive or no negative, figures without a meaning are None and say why. Average
        precision, AUC and recall have no interval on fewer than five mines, the AUC none on fewer than five clear
        cells. A figure of a ranking that is 0 or 1 has the interval of a share (`share_interval`) of the cells it
        rests on: draws of blocks differ too little to say how unsure it is.

    Notes
    -----
    Average precision and AUC: `bootstrap.jackknife_limits`; recall: `bootstrap.share_limits`; the others percentiles
    of drawn blocks. docs/model.md has their coverage by number of mines.
    """
    y, scores, weights = checked(y, scores, weights)
    blocks = np.asarray(blocks)
    resamples = Resamples.of(blocks, n_resamples, seed)
    probabilities = _as_probabilities(scores if probabilities is None else probabilities)
    found = _figures(y, scores, weights, blocks, probabilities, budget, k, resamples)
    total = weights.sum()
    return Metrics(
        **found,
        budget=round(budget or 0),
        k=int(k),
        n=len(y),
        n_positive=int(y.sum()),
        prevalence=float(weights @ y / total) if total > 0 else None,
    )


def absent(reason: str, *, y: ArrayLike = (), budget: float | None = None, k: int = 0) -> Metrics:
    """The figures of a ranking that does not exist, and why."""
    y = np.asarray(y, dtype=float)
    return Metrics(
        **{name: missing(len(y), reason) for name in NAMES},
        budget=round(budget or 0),
        k=int(k),
        n=len(y),
        n_positive=int(y.sum()),
        prevalence=None,
    )


def _figures(y, scores, weights, blocks, probabilities, budget, k, resamples: Resamples) -> dict[str, Quantity]:
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
    left_out = without_each(blocks, ranking.precision_and_area)
    reasons = _reasons(y, weights, probabilities, budget)
    figures = {}
    for column, name in enumerate(NAMES):
        if reasons[name]:
            figures[name] = missing(len(y), reasons[name])
            continue
        value, those = values[column], left_out[:, column] if column < 2 else None
        low, high, reason = _limits(name, value, drawn[:, column], those, y, weights, blocks, resamples.n_blocks)
        if name in RANKED and low is not None and value in (0, 1):
            rows = stood_on(name, y, scores, k)
            _, low, high = share_interval(np.full(len(rows), value), weights[rows], blocks[rows])
        figures[name] = quantity(value, low, high, n=len(y), reason=reason)
    return figures


def _limits(name: str, value: float, drawn, left_out, y, weights, blocks, n_blocks: int) -> Limits:
    if name in ("brier", "log_loss", "precision_at_k") or not 0 < value < 1:
        return limits(drawn, n_blocks)
    if name == "recall_at_budget":
        return share_limits(value, drawn, n_blocks) if y.sum() >= MIN_OF_EACH else (None, None, FEW_MINES)
    if name == "auc":
        return area_limits(value, left_out, y, weights, blocks)
    return precision_limits(value, left_out, y, weights, blocks)


def area_limits(value: float, left_out: ArrayLike, y: NDArray, weights: NDArray, blocks: NDArray) -> Limits:
    """The interval of an AUC between 0 and 1 from its values with each block left out (`bootstrap.without_each`)."""
    if min(y.sum(), (1 - y).sum()) < MIN_OF_EACH:
        return None, None, FEW_MINES
    in_blocks = min(effective_blocks(blocks, weights * y), effective_blocks(blocks, weights * (1 - y)))
    return jackknife_limits(value, left_out, in_blocks)


def precision_limits(value: float, left_out: ArrayLike, y: NDArray, weights: NDArray, blocks: NDArray) -> Limits:
    """The same of an average precision; of one of 0 or 1 that of a share of its mines."""
    if y.sum() < MIN_OF_EACH:
        return None, None, FEW_MINES
    if not 0 < value < 1:
        mines = y > 0
        return *share_interval(np.full(int(mines.sum()), value), weights[mines], blocks[mines])[1:], ""
    return jackknife_limits(value, left_out, effective_blocks(blocks, weights * y))


def stood_on(name: str, y: NDArray, scores: NDArray, k: int = 0) -> NDArray:
    """Rows that a figure of 0 or 1 says the same of, each: all resamples are alike then, and would leave no doubt.

    Mines; of the AUC the rarer of mines and clear cells; of precision the k cells that score highest.
    """
    if name == "precision_at_k":
        return np.argsort(-scores, kind="stable")[:k]
    mines, clear = np.flatnonzero(y > 0), np.flatnonzero(y == 0)
    return clear if name == "auc" and len(clear) < len(mines) else mines


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
