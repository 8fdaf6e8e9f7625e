"""Skill by region, mineral, formality, size, terrain and distance to commercial mines, at one global threshold.

One threshold answers whom the map finds and whom it wrongly names; the AUC within a stratum answers whether it can tell
them apart at all. On commercial mines recall is high because nearly everything is called artisanal: the false-positive
rate beside it says so.
"""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predictions.bootstrap import without_each
from predictions.curves import share_interval
from predictions.metrics import area_limits, stood_on
from predictions.quantities import NO_NEGATIVE, NO_POSITIVE, Quantity, missing, quantity
from predictions.ranking import Ranking, checked

N_PERMUTATIONS = 1000
DISTANCE_LEVELS = ("on", "under_2_km", "2_to_5_km", "over_5_km")


class Row(TypedDict):
    by: str
    level: str
    n: int
    n_positive: int
    recall: Quantity
    fpr: Quantity  # false-positive rate
    auc: Quantity
    p_value: float | None  # of recall, against all other levels
    p_value_fpr: float | None  # the same of the false-positive rate


def by_stratum(
    y: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None,
    blocks: ArrayLike,
    strata: Mapping[str, ArrayLike],
    *,
    threshold: float,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> list[Row]:
    """A row for each level of each stratum, in the order of the mapping, then of the levels.

    Parameters
    ----------
    y, scores, weights, blocks : arrays of shape (n,)
        Truth, out-of-block scores, how many cells each stands for, which lie together; judged cells only.
    strata : mapping of str to array of shape (n,)
        Of each grouping the cell's level, "" where none is stated: such cells are in no row.
    threshold : float
        A cell scoring at least as high is called positive; the same everywhere.

    Returns
    -------
    list of Row
        Recall and false-positive rate with `share_interval`, AUC with `metrics.area_limits`; missing with a reason
        where a level has no positives or no negatives (a mineral is known of cells with mines only). `p_value` as
        `within_blocks`; None where that cannot say.
    """
    y, scores, weights = checked(y, scores, weights)
    blocks, called = np.asarray(blocks), scores >= threshold
    rows = []
    for by, levels in strata.items():
        levels = np.asarray(levels).astype(str)
        stated = levels != ""
        for level in _ordered(by, np.unique(levels[stated])):
            inside = levels == level
            row = _row(y[inside], scores[inside], weights[inside], blocks[inside], called[inside])
            tests = []
            for truth in (1, 0):
                part = stated & (y == truth)
                tests.append(
                    within_blocks(called[part], inside[part], weights[part], blocks[part], n_permutations, seed)
                )
            rows.append(Row(by=by, level=str(level), **row, p_value=tests[0], p_value_fpr=tests[1]))
    return rows


def within_blocks(
    called: ArrayLike,
    inside: ArrayLike,
    weights: ArrayLike,
    blocks: ArrayLike,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> float | None:
    """How often a level's rate would differ as much from the others' if levels were dealt out anew within blocks.

    Parameters
    ----------
    called, inside : bool arrays of shape (n,)
        Whether the cell was called positive, and whether it is of the level.
    weights, blocks : arrays of shape (n,)

    Returns
    -------
    float or None
        Two-sided p-value, at least 1 / (n_permutations + 1). None where no block holds cells both in and out of the
        level: nothing within a block can be exchanged (regions), and no test stands on it.

    Notes
    -----
    The statistic is the sum of weights of called cells inside minus what their blocks' own rates make one expect, so
    that differences between blocks play no part.
    """
    called, inside = np.asarray(called, dtype=float), np.asarray(inside, dtype=bool)
    weights = np.asarray(weights, dtype=float)
    _, rows, sizes = np.unique(np.asarray(blocks), return_inverse=True, return_counts=True)
    rows = rows.ravel()
    many = np.bincount(rows, inside, minlength=len(sizes))
    mixed = ((many > 0) & (many < sizes))[rows]
    if not mixed.any():
        return None
    rows, inside = rows[mixed], inside[mixed]
    values = weights[mixed] * called[mixed]
    centred = values - (np.bincount(rows, values) / np.maximum(np.bincount(rows), 1))[rows]
    if np.allclose(centred, 0):
        return None
    rng = np.random.default_rng(seed)
    order = np.argsort(rows, kind="stable")
    rows, inside, centred = rows[order], inside[order], centred[order]
    observed = abs(centred @ inside)
    drawn = []
    step = max(1, 1_000_000 // len(rows))
    for start in range(0, n_permutations, step):
        # Sorting chance within blocks deals the cells out anew without leaving their block.
        chance = rng.random((min(step, n_permutations - start), len(rows))) + rows
        drawn.append(np.abs(centred[np.argsort(chance, axis=1)] @ inside))
    more = int((np.concatenate(drawn) >= observed - 1e-9 * max(1.0, observed)).sum())
    return (more + 1) / (n_permutations + 1)


def distance_levels(distance_m: ArrayLike) -> NDArray:
    """Words for metres to the nearest commercial mine: on it (0), under 2 km, 2 to 5 km, over 5 km; "" for nan."""
    distance = np.asarray(distance_m, dtype=float)
    level = np.array(DISTANCE_LEVELS)[np.searchsorted([0, 2000, 5000], np.nan_to_num(distance), side="left")]
    return np.where(np.isnan(distance), "", level)


def _row(y, scores, weights, blocks, called) -> dict:
    n, n_positive = len(y), int(y.sum())
    return {
        "n": n,
        "n_positive": n_positive,
        "recall": _rate(called, y == 1, weights, blocks, NO_POSITIVE),
        "fpr": _rate(called, y == 0, weights, blocks, NO_NEGATIVE),
        "auc": _auc(y, scores, weights, blocks),
    }


def _rate(called: NDArray, part: NDArray, weights: NDArray, blocks: NDArray, reason: str) -> Quantity:
    share, low, high = share_interval(called[part], weights[part], blocks[part])
    n = int(part.sum())
    return missing(n, reason) if not np.isfinite(share) else quantity(share, low, high, n=n)


def _auc(y, scores, weights, blocks) -> Quantity:
    ranking = Ranking(y, scores, weights)
    value = float(ranking.area_under_curve()[0])
    if not np.isfinite(value):
        return missing(len(y), NO_NEGATIVE if (weights @ y) > 0 else NO_POSITIVE)
    if value in (0, 1):
        rows = stood_on("auc", y, scores)
        _, low, high = share_interval(np.full(len(rows), value), weights[rows], blocks[rows])
        return quantity(value, low, high, n=len(y))
    left_out = without_each(blocks, ranking.area_under_curve)
    low, high, reason = area_limits(value, left_out, y, weights, blocks)
    return quantity(value, low, high, n=len(y), reason=reason)


def _ordered(by: str, levels: NDArray) -> list:
    if by == "distance_to_commercial":
        return [level for level in DISTANCE_LEVELS if level in levels]
    return list(levels)
