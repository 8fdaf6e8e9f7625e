"""Figures along a score: how often a stated probability comes true, what each threshold finds."""

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labels.intervals import score_interval
from predictions.quantities import NO_POSITIVE, NOTHING_ABOVE, Quantity, missing, quantity
from predictions.ranking import checked

_Z = 1.959963984540054


class Bin(TypedDict):
    mean_score: float
    share: Quantity


class Threshold(TypedDict):
    threshold: float
    n_above: int  # mapped cells that score at least as high
    precision: Quantity
    recall: Quantity


def share_interval(counted: ArrayLike, weights: ArrayLike, blocks: ArrayLike) -> tuple[float, float, float]:
    """A weighted share of cells that lie together in blocks, with its interval.

    Parameters
    ----------
    counted : array of shape (n,)
        1 for a cell that counts, else 0.
    weights, blocks : arrays of shape (n,)
        How many cells each stands for; which ones are alike.

    Returns
    -------
    share, low, high : float
        (nan, 0, 1) without cells.

    Notes
    -----
    Wilson at the effective size p (1-p) / v, v the linearised variance of the weighted share between blocks (Korn &
    Graubard 1998, Survey Methodology 24:193-201), never above Kish's size (sum w)^2 / sum w^2; the latter alone where
    the share is 0 or 1 or one block holds all, so that an interval never has width zero. No bootstrap: resamples of a
    share of 0 or 1 are all alike.
    """
    counted, weights = np.asarray(counted, dtype=float), np.asarray(weights, dtype=float)
    total = weights.sum()
    if total <= 0:
        return float("nan"), 0.0, 1.0
    share = float(weights @ counted / total)
    size = total**2 / (weights**2).sum()
    rows = np.unique(np.asarray(blocks), return_inverse=True)[1].ravel()
    sums = np.bincount(rows, weights * (counted - share) / total)
    n_blocks = len(sums)
    if n_blocks > 1:
        variance = n_blocks / (n_blocks - 1) * (sums**2).sum()
        if variance > 0 and 0 < share < 1:
            size = min(size, share * (1 - share) / variance)
    low, high = score_interval(share * size, size, _Z)
    return share, low, high


def reliability(
    y: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None, blocks: ArrayLike, *, n_bins: int = 10
) -> dict:
    """How often what was said to have a probability has a mine.

    Parameters
    ----------
    y, probabilities, weights, blocks : arrays of shape (n,)
        Truth, out-of-block probabilities, how many cells each stands for, which lie together.
    n_bins : int
        At most so many, of equal numbers of judged cells; equal probabilities stay in one bin.

    Returns
    -------
    dict
        `bins`: mean probability and share with mines (`share_interval`) of each, n of judged cells; `ece`: the mean
        distance of the two, weighted, None if nothing was judged.
    """
    y, probabilities, weights = checked(y, probabilities, weights)
    if not len(y) or weights.sum() <= 0:
        return {"bins": [], "ece": None}
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, n_bins + 1)[1:-1], method="lower"))
    bins = np.searchsorted(edges, probabilities, side="left")
    found, gap = [], 0.0
    for number in np.unique(bins):
        rows = bins == number
        if weights[rows].sum() <= 0:
            continue
        mean = float(np.average(probabilities[rows], weights=weights[rows]))
        share, low, high = share_interval(y[rows], weights[rows], np.asarray(blocks)[rows])
        gap += weights[rows].sum() * abs(mean - share)
        found.append(Bin(mean_score=mean, share=quantity(share, low, high, n=int(rows.sum()))))
    return {"bins": found, "ece": float(gap / weights.sum())}


def thresholds(
    y: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None,
    blocks: ArrayLike,
    *,
    mapped: ArrayLike,
    at: ArrayLike | None = None,
) -> list[Threshold]:
    """Precision and recall of the cells that score at least a threshold, with intervals.

    Parameters
    ----------
    y, scores, weights, blocks : arrays of shape (n,)
        Of the judged cells, best of the probability sample; scores out of block.
    mapped : array
        Scores of all mapped cells, for the number above; nan are left out.
    at : array, optional
        The thresholds; 21 equal steps from 0 to 1 without.

    Notes
    -----
    Both as `share_interval`: percentiles of draws are too narrow where few mines are known. Recall is missing without
    positives, precision where no judged cell scores as high.
    """
    y, scores, weights = checked(y, scores, weights)
    blocks, mapped = np.asarray(blocks), np.sort(np.asarray(mapped, dtype=float))
    mapped = mapped[np.isfinite(mapped)]
    at = np.linspace(0, 1, 21) if at is None else np.sort(np.asarray(at, dtype=float))
    recalls = _recalls(y, scores, weights, blocks, at)
    found = []
    for number, threshold in enumerate(at):
        rows = scores >= threshold
        share, low, high = share_interval(y[rows], weights[rows], blocks[rows])
        precision = quantity(share, low, high, n=int(rows.sum()))
        if not np.isfinite(share):
            precision = missing(0, NOTHING_ABOVE)
        found.append(
            Threshold(
                threshold=float(threshold),
                n_above=int(len(mapped) - np.searchsorted(mapped, threshold, side="left")),
                precision=precision,
                recall=recalls[number],
            )
        )
    return found


def _recalls(y, scores, weights, blocks, at: NDArray) -> list[Quantity]:
    is_mine = y > 0
    n_positive = int(is_mine.sum())
    if not weights[is_mine].sum() > 0:
        return [missing(n_positive, NO_POSITIVE)] * len(at)
    found = (share_interval(scores[is_mine] >= each, weights[is_mine], blocks[is_mine]) for each in at)
    return [quantity(share, low, high, n=n_positive) for share, low, high in found]
