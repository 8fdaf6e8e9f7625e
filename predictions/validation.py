"""How good a map is: several questions, each with its own held-out cells, the simple ways of guessing beside them.

From the one to quote first: the probability sample (how good is this map?), areas left out (how good where nothing was
audited?), buffered blocks left out (how good between audited places?), random cells left out (optimistic: neighbours
leak into the fit). Negatives of the probability sample and hard ones, suggested or near mines and records, never share
a figure.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predictions import baselines, metrics
from predictions.blocks import block_buffers, random_groups
from predictions.bootstrap import N_RESAMPLES
from predictions.metrics import Metrics
from predictions.quantities import (
    NO_COLOURS,
    NO_HARD_NEGATIVES,
    NO_RANDOM_NEGATIVES,
    NO_SAMPLE,
    NOTHING_JUDGED,
    NOTHING_TO_TRAIN,
    ONE_AREA,
)

# groups (n,) and, for each from 0 up, the further rows left out with it -> scores (n, heads), each by a fit that left
# out its group; nan in rows of a negative group.
Scorer = Callable[[NDArray, list[NDArray]], NDArray]
# Scores (m,), y (m,), weights (m,), groups (m,) -> probabilities (m,), each by a calibration that never saw its group.
Calibrate = Callable[[NDArray, NDArray, NDArray, NDArray], NDArray]

N_RANDOM_GROUPS = 10
BASELINES = ("prevalence", "interpolation", "colour")
NEGATIVES = ("all_searched", "random", "hard")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a run is judged on; arrays have a row for each cell of the training frame."""

    cells: NDArray  # int (n, 2): column, row of the MOSAIKS grid
    y: NDArray  # float (n, heads): labels of the fit, 0 or 1; artisanal first, then any mining
    is_judged: NDArray  # bool (n, heads): positive, or searched and clear; presumed zeros are never judged
    fit_weights: NDArray  # float (n,) or (n, heads): weight in the fit, 0 = withheld
    sample_weights: NDArray  # float (n,): 1/pi of the probability sample of cells; 0 elsewhere
    blocks: NDArray  # int (n,) from 0; -1 for none
    buffers: list[NDArray]  # of each block: rows left out with it
    areas: NDArray | None = None  # int (n,) from 0: top-level admin area, -1 for none
    is_suggested: NDArray | None = None  # bool (n,): judged because a run suggested it
    is_near: NDArray | None = None  # bool (n,): holds or touches a record or a mine (`touching`)
    colours: NDArray | None = None  # float (n, columns): mean colours (and spreads) of the cell
    n_mapped: int = 0  # cells of the map: what weights are scaled to add up to; 0: left as they are
    budget: int | None = None  # inspections, in cells of the map
    k: int = 100  # judged cells for precision at k
    buffer_km: float = 2.0  # around areas
    n_resamples: int = N_RESAMPLES
    seed: int = 0

    def prevalence(self, head: int = 0) -> float | None:
        """Share of cells with mines by the probability sample; None where it holds none, or nothing else."""
        rows = self.is_judged[:, head] & (self.sample_weights > 0)
        total = self.sample_weights[rows].sum()
        share = float(self.sample_weights[rows] @ self.y[rows, head] / total) if total > 0 else 0.0
        return share if 0 < share < 1 else None


class Rung(TypedDict):
    key: str  # sample, areas, blocks, random or elsewhere
    negatives: str  # all_searched (of the sample), random or hard
    is_optimistic: bool
    n_groups: int  # left out one after the other
    weighting: str  # design; prevalence: classes weighted to the sample's; none: mines and hard ones count as one
    metrics: Metrics
    baselines: dict[str, Metrics]
    any_mining: Metrics | None
    reason: str  # why there are no figures; else empty


@dataclass(frozen=True)
class _Split:
    """One way of leaving cells out, and the scores it gives."""

    key: str
    groups: NDArray
    buffers: list[NDArray]
    scores: NDArray  # (n, heads)

    @property
    def n_groups(self) -> int:
        return len(self.buffers)


def ladder(problem: Problem, scorer: Scorer, *, calibrate: Calibrate | None = None) -> list[Rung]:
    """The rungs from the one to quote first to the optimistic one, as `figures["ladder"]` stores them.

    Parameters
    ----------
    problem : Problem
    scorer : callable
        Out-of-group scores of the model (`RidgePath.out_of_group`).
    calibrate : callable, optional
        Makes probabilities of a rung's scores, judged cells alone (`calibration.cross_calibrated`). Without it Brier
        and log loss are given only for scores within [0, 1].

    Returns
    -------
    list of Rung
        sample; then areas, blocks, random, each against random and against hard negatives. A rung that cannot be has
        its figures missing and its reason. Intervals resample blocks on every rung.

    Notes
    -----
    Positives of the last three rungs come from records too and are many; where the probability sample knows the share
    of cells with mines, classes are weighted to it, so that average precision and recall at a budget compare between
    rungs. Roberts et al. (2017), Ecography 40:913-929; Ploton et al. (2020), Nat. Commun. 11:4540, on why cells left
    out at random flatter.
    """
    rungs = []
    for split in _splits(problem, scorer):
        if split.key == "blocks":
            rungs.insert(0, _rung(problem, replace(split, key="sample"), "all_searched", calibrate))
        for negatives in ("random", "hard"):
            rungs.append(_rung(problem, split, negatives, calibrate))
    order = ("sample", "areas", "blocks", "random")
    return sorted(rungs, key=lambda rung: order.index(rung["key"]))


def elsewhere(
    problem: Problem,
    scores: ArrayLike,
    *,
    probabilities: ArrayLike | None = None,
    report: Callable[[int, int], None] = lambda n_done, n_total: None,
) -> list[Rung]:
    """A model of another country on this problem's judged cells.

    Parameters
    ----------
    problem : Problem
        Of the country that is judged; nothing of it went into the fit.
    scores, probabilities : arrays of shape (n, heads)
        Of the other country's run; nan where there is no imagery.
    report : callable, optional
        Told (rungs done, rungs); may raise to stop.

    Returns
    -------
    list of Rung
        On the probability sample if there is one, then against random and hard negatives. Only prevalence, this
        country's own, stands beside them: labels from elsewhere say nothing of these places.
    """
    scores = np.asarray(scores, dtype=float)
    if scores.ndim == 1:
        scores = scores[:, None]
    split = _Split("elsewhere", problem.blocks, problem.buffers, scores)
    rungs: list[Rung] = []
    for negatives in NEGATIVES:
        rung = _rung(problem, split, negatives, None, probabilities=probabilities, only=("prevalence",))
        rungs.append(Rung(**rung | {"n_groups": 0}))
        report(len(rungs), len(NEGATIVES))
    return rungs


def judged_rows(problem: Problem, negatives: str, head: int = 0) -> tuple[NDArray, NDArray, str]:
    """Which rows a figure stands on, what each weighs, and how that came about.

    Parameters
    ----------
    negatives : str
        all_searched: the probability sample alone, weighted by design. random: judged positives and the sample's
        negatives; no mine that only a suggestion found, for it was looked at because its score was high. hard: every
        judged positive, and negatives that were suggested or lie near mines and records, of the sample or not.

    Returns
    -------
    rows, weights : arrays of shape (m,)
    weighting : str
        See `Rung`.
    """
    judged, in_sample = problem.is_judged[:, head], problem.sample_weights > 0
    is_mine = judged & (problem.y[:, head] > 0)
    if negatives == "all_searched":
        rows = np.flatnonzero(judged & in_sample)
        return rows, _scaled(problem.sample_weights[rows], problem.n_mapped), "design"
    if negatives == "random":
        clear = judged & ~is_mine & in_sample
        is_mine &= in_sample | ~_any(problem.is_suggested, None, len(judged))
    else:
        clear = judged & ~is_mine & _any(problem.is_suggested, problem.is_near, len(judged))
    rows = np.flatnonzero(is_mine | clear)
    weights = np.where(clear & in_sample & (negatives == "random"), problem.sample_weights, 1.0)[rows]
    share, mines = problem.prevalence(head), is_mine[rows]
    if share is None or not mines.any() or mines.all():
        return rows, _scaled(weights, problem.n_mapped), "none"
    weights[mines] *= share / weights[mines].sum()
    weights[~mines] *= (1 - share) / weights[~mines].sum()
    return rows, _scaled(weights, problem.n_mapped or len(rows)), "prevalence"


def touching(cells: ArrayLike, marked: ArrayLike) -> NDArray:
    """Whether each grid cell (column, row), shape (n, 2), is one of the marked ones (m, 2) or touches one."""
    cells, marked = np.asarray(cells, dtype=np.int64), np.asarray(marked, dtype=np.int64).reshape(-1, 2)
    around = np.array([(east, north) for east in (-1, 0, 1) for north in (-1, 0, 1)])
    near = (marked[:, None] + around[None]).reshape(-1, 2)
    return np.isin(_codes(cells), _codes(near))


def _codes(cells: NDArray) -> NDArray:
    return cells[:, 1] * 100_000 + cells[:, 0]


def _splits(problem: Problem, scorer: Scorer) -> Iterator[_Split]:
    n = len(problem.cells)
    areas = np.full(n, -1) if problem.areas is None else _numbered(problem.areas)
    if areas.max(initial=-1) >= 1:
        yield _split("areas", areas, block_buffers(problem.cells, areas, buffer_km=problem.buffer_km), scorer)
    else:
        yield _Split("areas", areas, [], np.full(problem.y.shape, np.nan))
    yield _split("blocks", problem.blocks, problem.buffers, scorer)
    groups = random_groups(n, n_groups=N_RANDOM_GROUPS, seed=problem.seed)
    yield _split("random", groups, [np.zeros(0, dtype=int) for _ in range(groups.max(initial=-1) + 1)], scorer)


def _split(key: str, groups: NDArray, buffers: list[NDArray], scorer: Scorer) -> _Split:
    scores = np.asarray(scorer(groups, buffers), dtype=float).reshape(len(groups), -1)
    return _Split(key, groups, buffers, scores)


def _rung(
    problem: Problem,
    split: _Split,
    negatives: str,
    calibrate: Calibrate | None,
    *,
    probabilities: ArrayLike | None = None,
    only: tuple[str, ...] = BASELINES,
) -> Rung:
    judge = _Judge(problem, split, negatives, calibrate)
    found, reason = judge.model(0, _column(probabilities, 0)), judge.reason()
    if reason:
        found = _without_figures(found, reason)
    return Rung(
        key=split.key,
        negatives=negatives,
        is_optimistic=split.key == "random",
        n_groups=split.n_groups,
        weighting=judge.weighting,
        metrics=found,
        baselines={name: found if reason else judge.baseline(name) for name in only},
        any_mining=None
        if reason or problem.y.shape[1] < 2 or split.scores.shape[1] < 2
        else judge.model(1, _column(probabilities, 1)),
        reason=reason,
    )


class _Judge:
    """One rung: its rows and weights, and the figures of any scores on them."""

    def __init__(self, problem: Problem, split: _Split, negatives: str, calibrate: Calibrate | None):
        self.problem, self.split, self.negatives, self.calibrate = problem, split, negatives, calibrate
        self.rows, self.weights, self.weighting = self._rows(0)

    def _rows(self, head: int) -> tuple[NDArray, NDArray, str]:
        """Judged rows that the model could score."""
        unscored = ~np.isfinite(self.split.scores[:, head])
        judged = self.problem.is_judged & ~unscored[:, None]
        return judged_rows(replace(self.problem, is_judged=judged), self.negatives, head)

    def reason(self) -> str:
        """Why this rung has no figures."""
        problem, y = self.problem, self.problem.y[self.rows, 0]
        if not (problem.is_judged[:, 0]).any():
            return NOTHING_JUDGED
        if self.negatives == "all_searched" and not (problem.sample_weights > 0).any():
            return NO_SAMPLE
        if self.split.key == "areas" and self.split.n_groups < 2:
            return ONE_AREA
        if not len(y):
            return NOTHING_JUDGED
        if self.negatives != "all_searched" and y.all():
            return NO_RANDOM_NEGATIVES if self.negatives == "random" else NO_HARD_NEGATIVES
        return ""

    def model(self, head: int, probabilities: NDArray | None) -> Metrics:
        rows, weights, _ = self._rows(head)
        return self._figures(rows, weights, self.split.scores[:, head], head, probabilities)

    def baseline(self, name: str) -> Metrics:
        rows, weights = self.rows, self.weights
        y = self.problem.y[rows, 0]
        if name == "prevalence":
            # All cells tie in rank: the share that the other groups let one expect only matters to probabilities.
            known = np.zeros(len(self.problem.y))
            known[rows] = weights
            share = baselines.prevalence(self.problem.y[:, 0], known, self.split.groups, self._no_buffers())
            return self._summary(rows, weights, np.zeros(len(rows)), 0, share[rows])
        scores = self._guessed(name)
        if scores is None:
            return metrics.absent(NO_COLOURS, y=y, budget=self.problem.budget, k=self.problem.k)
        if not np.isfinite(scores[rows]).any():
            return metrics.absent(NOTHING_TO_TRAIN, y=y, budget=self.problem.budget, k=self.problem.k)
        return self._figures(rows, weights, scores, 0, None)

    def _guessed(self, name: str) -> NDArray | None:
        """Out-of-group guesses of the labels that the model learns from."""
        problem, split = self.problem, self.split
        fit_weights = problem.fit_weights if problem.fit_weights.ndim == 1 else problem.fit_weights[:, 0]
        if name == "interpolation":
            return baselines.interpolation(problem.cells, problem.y[:, 0], fit_weights, split.groups, split.buffers)
        if problem.colours is None:
            return None
        return baselines.colour(problem.colours, problem.y[:, 0], fit_weights, split.groups, split.buffers)

    def _figures(self, rows, weights, scores: NDArray, head: int, probabilities: NDArray | None) -> Metrics:
        # A guess that is missing where the model has a score is the worst guess, not a smaller test.
        given = scores[rows]
        given = np.where(np.isfinite(given), given, np.min(given[np.isfinite(given)], initial=0.0))
        if probabilities is not None:
            return self._summary(rows, weights, given, head, probabilities[rows])
        y, stated = self.problem.y[rows, head], None
        if self.calibrate is not None and 0 < y.sum() < len(y):
            stated = np.asarray(self.calibrate(given, y, weights, self.split.groups[rows]), dtype=float)
        return self._summary(rows, weights, given, head, stated)

    def _summary(self, rows, weights, scores, head: int, probabilities: NDArray | None) -> Metrics:
        problem = self.problem
        if probabilities is not None and not np.isfinite(probabilities).all():
            probabilities = np.full(len(rows), -1.0)  # none: the summary says so
        return metrics.summary(
            problem.y[rows, head],
            scores,
            weights,
            problem.blocks[rows],
            budget=problem.budget,
            k=problem.k,
            probabilities=probabilities,
            n_resamples=problem.n_resamples,
            seed=problem.seed,
        )

    def _no_buffers(self) -> list[NDArray]:
        return [np.zeros(0, dtype=int) for _ in self.split.buffers]


def _without_figures(found: Metrics, reason: str) -> Metrics:
    blank = metrics.absent(reason, budget=found["budget"], k=found["k"])
    return Metrics(**blank | {"n": found["n"], "n_positive": found["n_positive"]})


def _numbered(groups: NDArray) -> NDArray:
    """The same groups numbered 0, 1, ... without gaps; negative ones stay -1."""
    groups = np.asarray(groups)
    names = np.unique(groups[groups >= 0])
    return np.where(groups >= 0, np.searchsorted(names, groups), -1)


def _scaled(weights: NDArray, total: float) -> NDArray:
    return weights * (total / weights.sum()) if total and weights.sum() > 0 else weights


def _any(first: NDArray | None, second: NDArray | None, n: int) -> NDArray:
    found = np.zeros(n, dtype=bool)
    for part in (first, second):
        if part is not None:
            found |= np.asarray(part, dtype=bool)
    return found


def _column(values: ArrayLike | None, head: int) -> NDArray | None:
    if values is None:
        return None
    values = np.asarray(values, dtype=float)
    return values.reshape(len(values), -1)[:, head]
