"""The figures of a run, from its fit and what was judged: what its pages show and nothing else.

Pure: NumPy and SciPy only. docs/model.md names each figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from predictions import curves, gains, strata, validation
from predictions.calibration import cox, cross_calibrated
from predictions.fitting import Chances, Heads
from predictions.quantities import NO_SAMPLE, missing
from predictions.validation import Problem

# Inspections, as a share of the mapped cells, where nobody said how many.
BUDGET_SHARE = 0.01


@dataclass(frozen=True)
class Judged:
    """A fit with the probabilities that its scores stand for."""

    problem: Problem
    heads: Heads
    # Of each head; None where its judged cells are all of one class.
    chances: list[Chances | None]

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """float32 (m, heads) of scores (m, heads) of cells; nan where nothing could be calibrated."""
        found = np.full(scores.shape, np.nan)
        for head, chances in enumerate(self.chances):
            if chances is None:
                continue
            found[:, head] = chances.calibration.predict(scores[:, head])
        return found.astype(np.float32)


def judged(problem: Problem, heads: Heads) -> Judged:
    """Calibrate a fit's out-of-block scores.

    On the probability sample's cells and the audited positives, weighted to the sample's prevalence. Without a
    prevalence (no sample, or one that holds cells of one kind alone) on the cells of the fit, presumed zeros among
    them: probabilities are then of a mine being known of in a cell (`Chances.is_of_records`), and nothing corrects
    them for mines that nobody knows of: the share known of could only be told by mines of the sample.
    """
    chances = []
    for head in range(problem.y.shape[1]):
        rows, weights, weighting = validation.judged_rows(problem, "random", head)
        is_of_records = weighting != "prevalence"
        if is_of_records:
            fit_weights = problem.fit_weights[:, head]
            rows = np.flatnonzero((fit_weights > 0) & (problem.blocks >= 0))
            weights = fit_weights[rows]
        scores = heads.out_of_block[:, head]
        y = problem.y[:, head]
        chances.append(Chances.fit(scores, y, rows, weights, problem.blocks, is_of_records=is_of_records))
    return Judged(problem, heads, chances)


def budget(problem: Problem, asked: int | None) -> int:
    """Inspections that figures speak of: as asked, else 1 % of the map's cells, at least one."""
    return min(problem.n_mapped, asked) if asked else max(1, round(BUDGET_SHARE * problem.n_mapped))


def threshold_of(shown: np.ndarray, n_inspections: int) -> float:
    """The score that so many of the mapped cells reach; nan scores aside."""
    known = np.sort(shown[np.isfinite(shown)])[::-1]
    return float(known[min(n_inspections, len(known)) - 1])


def figures(
    fit: Judged,
    *,
    shown: np.ndarray,
    levels: Mapping[str, np.ndarray],
    steps: Mapping[str, np.ndarray],
    n_changed: Mapping[str, int] | None = None,
    error_rates_from: str = "",
    report=lambda n_done, n_total: None,
) -> dict:
    """Ladder, reliability, strata, threshold curve and gain, as docs/model.md names them.

    Parameters
    ----------
    fit : Judged
    shown : array of shape (m,)
        Scores of all mapped cells, out of block in the frame.
    levels : mapping of str to str array of shape (n,)
        Of each grouping, the level of each cell of the frame; "" where it has none.
    steps : mapping of str to array of shape (n,)
        `registered`, `kept`, `moved`, `searched`, as for `gains.steps_of`.
    n_changed : mapping of str to int, optional
        Records that steps of gains.STEPS changed; cells are counted otherwise.
    """
    problem, heads = fit.problem, fit.heads
    parts = {
        "ladder": lambda: validation.ladder(problem, heads.out_of_group, calibrate=cross_calibrated),
        "reliability": lambda: reliability(fit),
        "strata": lambda: _strata(fit, levels, shown),
        "threshold_curve": lambda: _threshold_curve(fit, shown),
        "gain": lambda: _gain(fit, steps, n_changed, error_rates_from),
    }
    found = {}
    for number, (name, part) in enumerate(parts.items()):
        report(number, len(parts))
        found[name] = part()
    return found


def reliability(fit: Judged) -> dict:
    """How far probabilities of the first head can be believed, each by a calibration without the cell's blocks."""
    chances = fit.chances[0]
    if chances is None or chances.is_of_records:
        n = 0 if chances is None else len(chances.rows)
        method = "" if chances is None else chances.calibration.method
        nothing = missing(n, NO_SAMPLE)
        return {"bins": [], "slope": nothing, "intercept": nothing, "ece": None, "method": method}
    seen = np.isfinite(chances.out_of_block)
    rows, stated, weights = chances.rows[seen], chances.out_of_block[seen], chances.weights[seen]
    y, blocks = fit.problem.y[rows, 0], fit.problem.blocks[rows]
    found = cox(stated, y, weights, blocks)
    return curves.reliability(y, stated, weights, blocks) | {
        "slope": found.slope,
        "intercept": found.intercept,
        "method": chances.calibration.method,
    }


def _scored(fit: Judged, *negatives: str) -> tuple[np.ndarray, np.ndarray]:
    """Judged rows with an out-of-block score, and their weights, by the first of these kinds that has both classes."""
    for kind in negatives:
        rows, weights, _ = validation.judged_rows(fit.problem, kind)
        usable = np.isfinite(fit.heads.out_of_block[rows, 0]) & (weights > 0)
        rows, weights = rows[usable], weights[usable]
        if len(np.unique(fit.problem.y[rows, 0])) == 2:
            break
    return rows, weights


def _strata(fit: Judged, levels: Mapping[str, np.ndarray], shown: np.ndarray) -> list[dict]:
    """By each grouping: judged mines and the sample's negatives, each as one, at the threshold of the budget.

    What only a suggestion led to is left out: it scores high by choice, mine or not.
    """
    problem = fit.problem
    scores = fit.heads.out_of_block[:, 0]
    rows, _, _ = validation.judged_rows(problem, "random")
    rows = rows[np.isfinite(scores[rows])]
    if not len(rows):
        return []
    return strata.by_stratum(
        problem.y[rows, 0],
        scores[rows],
        np.ones(len(rows)),
        problem.blocks[rows],
        {name: np.asarray(found)[rows] for name, found in levels.items()},
        threshold=threshold_of(shown, problem.budget),
        seed=problem.seed,
    )


def _threshold_curve(fit: Judged, shown: np.ndarray) -> list[dict]:
    problem = fit.problem
    rows, weights = _scored(fit, "all_searched", "random")
    if not len(rows):
        return []
    known = shown[np.isfinite(shown)].astype(np.float64)
    chosen = threshold_of(shown, problem.budget)
    low, high = np.quantile(known, [0.5, 1.0])
    at = np.unique(np.append(np.round(np.linspace(min(low, chosen), max(high, chosen), 21), 4), chosen))
    return curves.thresholds(
        problem.y[rows, 0],
        fit.heads.out_of_block[rows, 0],
        weights,
        problem.blocks[rows],
        mapped=shown,
        at=at,
    )


def _gain(fit: Judged, steps: Mapping[str, np.ndarray], n_changed: Mapping[str, int] | None, source: str) -> dict:
    """The same model on raw and on cleaned labels, both judged on the same audited cells."""
    problem = fit.problem
    rows, weights = _scored(fit, "all_searched", "random")
    truth, of_truth = np.full(len(problem.y), np.nan), np.zeros(len(problem.y))
    truth[rows], of_truth[rows] = problem.y[rows, 0], weights
    return gains.gain(
        gains.steps_of(steps["registered"] > 0, steps["kept"] > 0, steps["moved"] > 0, steps["searched"]),
        fit.heads.relabelled,
        truth=truth,
        weights=of_truth,
        blocks=problem.blocks,
        n_changed=n_changed,
        error_rates_from=source,
    )
