"""What auditing bought: one model, one set of judged cells, the labels cleaned step by step.

Only the labels of the fit differ between steps. All are judged on the same audited cells by scores out of their blocks,
so what a step adds is what its labels add.
"""

from collections.abc import Callable, Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predictions.bootstrap import MIN_OF_EACH, effective_blocks, jackknife_limits, without_each
from predictions.metrics import precision_limits
from predictions.quantities import FEW_MINES, NO_NEGATIVE, NO_POSITIVE, NOTHING_JUDGED, Quantity, missing, quantity
from predictions.ranking import Ranking

STEPS = ("register", "rejected_dropped", "moved", "searched_added")


class Step(TypedDict):
    key: str
    n_changed: int  # records or cells that this step changed; of the register, cells that hold a record
    ap: Quantity


class Gain(TypedDict):
    steps: list[Step]
    gain_ap: Quantity  # of the last step over the first, paired: without the same blocks
    is_measurable: bool  # the interval of the gain lies above 0
    n_judged: int
    n_judged_positive: int
    error_rates_from: str  # of made-up registers: where their errors come from, a key of run_words.ERROR_RATES


def steps_of(
    registered: ArrayLike, kept: ArrayLike, moved: ArrayLike, searched: ArrayLike
) -> dict[str, NDArray[np.float64]]:
    """Labels of the fit at each step.

    Parameters
    ----------
    registered : bool array of shape (n,)
        Whether a reported point lies in the cell: the register as published, every record a mine.
    kept : bool array of shape (n,)
        The same without the records that were rejected.
    moved : bool array of shape (n,)
        The same with the moved ones in the cell of their mark.
    searched : array of shape (n,)
        1 with a mine, 0 without where the cell was searched; nan elsewhere.

    Returns
    -------
    dict of str to array of shape (n,)
        0 and 1, in the order of `STEPS`; each step keeps the ones before it, a search overrules what records say.
    """
    registered, kept, moved = (np.asarray(mask, dtype=bool).astype(float) for mask in (registered, kept, moved))
    searched = np.asarray(searched, dtype=float)
    added = np.where(np.isfinite(searched), searched, moved)
    return dict(zip(STEPS, (registered, kept, moved, added), strict=True))


def gain(
    steps: Mapping[str, ArrayLike],
    scorer: Callable[[NDArray], NDArray],
    *,
    truth: ArrayLike,
    weights: ArrayLike,
    blocks: ArrayLike,
    n_changed: Mapping[str, int] | None = None,
    error_rates_from: str = "",
) -> Gain:
    """Average precision at each step, and what the last has over the first.

    Parameters
    ----------
    steps : mapping of str to array of shape (n,)
        Labels of the fit, first to last.
    scorer : callable
        Labels (n, steps) to out-of-block scores (n, steps), by the same model and cells (`Heads.relabelled`).
    truth : array of shape (n,)
        Audited: 1 or 0, nan where not judged.
    weights, blocks : arrays of shape (n,)
        Of judged cells: how many each stands for; which lie together.
    n_changed : mapping of str to int, optional
        Records or cells that each step changed; counted in cells otherwise.

    Returns
    -------
    Gain
        Each average precision with its interval, the gain with that of differences, both from leaving out the same
        blocks (`bootstrap.jackknife_limits`). Without judged mines, or judged cells that are clear, all are missing
        and say why, and nothing is measurable; nor is a gain whose interval is missing or reaches down to 0.
    """
    keys = list(steps)
    labels = np.column_stack([np.asarray(steps[key], dtype=float) for key in keys])
    truth, weights = np.asarray(truth, dtype=float), np.asarray(weights, dtype=float)
    scores = np.asarray(scorer(labels), dtype=float)
    rows = np.flatnonzero(np.isfinite(truth) & (weights > 0) & np.isfinite(scores).all(axis=1))
    y = truth[rows]
    figures = _paired(y, scores[rows], weights[rows], np.asarray(blocks)[rows])
    changed = _changed(keys, labels) | dict(n_changed or {})
    return Gain(
        steps=[Step(key=key, n_changed=int(changed[key]), ap=ap) for key, ap in zip(keys, figures, strict=False)],
        gain_ap=figures[-1],
        is_measurable=(figures[-1]["low"] or 0.0) > 0,
        n_judged=len(rows),
        n_judged_positive=int(y.sum()),
        error_rates_from=error_rates_from,
    )


def _paired(y, scores, weights, blocks) -> list[Quantity]:
    """Average precision of each column of scores, then the last less the first."""
    n, n_steps = len(y), scores.shape[1]
    if not 0 < y.sum() < n:  # among mines alone every ranking is perfect
        reason = NO_POSITIVE if not y.sum() else NO_NEGATIVE
        return [missing(n, reason if n else NOTHING_JUDGED)] * (n_steps + 1)
    rankings = [Ranking(y, column, weights) for column in scores.T]

    def statistic(times: NDArray | None) -> NDArray:
        ap = np.stack([ranking.average_precision(times) for ranking in rankings], axis=1)
        return np.column_stack([ap, ap[:, -1] - ap[:, 0]])

    values, left_out = statistic(None)[0], without_each(blocks, statistic)
    *steps, gained = range(n_steps + 1)
    found = [(values[at], *precision_limits(values[at], left_out[:, at], y, weights, blocks)) for at in steps]
    in_blocks = effective_blocks(blocks, weights * y)
    low, high, reason = jackknife_limits(values[gained], left_out[:, gained], in_blocks, bounded=False)
    if y.sum() < MIN_OF_EACH:
        low, high, reason = None, None, FEW_MINES
    found.append((values[gained], low, high, reason))
    return [quantity(value, low, high, n=n, reason=reason) for value, low, high, reason in found]


def _changed(keys: list[str], labels: NDArray) -> dict[str, int]:
    """Cells whose label a step changed; of the first, cells labelled 1."""
    changes = (np.diff(labels, axis=1, prepend=0) != 0).sum(axis=0)
    return dict(zip(keys, changes.tolist(), strict=True))
