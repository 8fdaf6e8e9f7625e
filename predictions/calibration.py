"""From scores to probabilities: isotonic or Platt, and how far they can be believed.

Pure: NumPy and SciPy only. Scores are out-of-block scores of judged cells; weights are inverse inclusion probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize, special

from predictions.quantities import FEW_BLOCKS, Quantity, missing, quantity

# Keys of predictions.reasons.
TOO_FEW, NO_SPREAD = "too_few", "no_variation"

ISOTONIC_FROM_JUDGED = 1000
ISOTONIC_FROM_POSITIVES = 200
LEAST_OF_EACH = 10  # positives and negatives for a slope and an intercept
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Calibration:
    """A monotone map from scores to probabilities.

    Attributes
    ----------
    method : "isotonic" or "platt"
    knots : array of shape (m, 2)
        isotonic: scores, ascending, and their probabilities, linear in between and constant outside.
        platt: one row, intercept and slope of the logit in the score.
    """

    method: Literal["isotonic", "platt"]
    knots: np.ndarray

    @classmethod
    def fit(
        cls, scores: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, rule: str = "auto"
    ) -> Calibration:
        """Fit on judged cells.

        Parameters
        ----------
        scores : array of shape (n,)
            Out-of-block, finite.
        y : array of shape (n,)
            0 or 1.
        weights : array of shape (n,), optional
            Inverse inclusion probabilities; cells of weight 0 are not read.
        rule : "auto", "isotonic" or "platt"
            auto: isotonic from 1,000 cells with 200 positives on, else Platt.

        Raises
        ------
        ValueError
            Nothing to fit, shapes differ, or a score is not finite.

        Notes
        -----
        Isotonic: pool adjacent violators; probabilities are kept half a cell away from 0 and 1, of the cells pooled, so
        that no cell is certain. Platt (1999): logistic in the score with his smoothed targets, which keep it finite
        where scores part the classes. One class alone gives its smoothed share everywhere; the slope is never negative.
        """
        scores, y, weights = _checked(scores, y, weights)
        if rule == "auto":
            enough = len(y) >= ISOTONIC_FROM_JUDGED and y.sum() >= ISOTONIC_FROM_POSITIVES
            rule = "isotonic" if enough else "platt"
        if rule == "isotonic":
            return cls("isotonic", _isotonic(scores, y, weights))
        if rule == "platt":
            return cls("platt", _platt(scores, y, weights)[None])
        raise ValueError(f"no rule {rule}: auto, isotonic or platt")

    def predict(self, scores: np.ndarray) -> np.ndarray:
        """float64 probabilities, of the shape of the scores; nan for nan."""
        scores = np.asarray(scores, dtype=np.float64)
        if self.method == "platt":
            intercept, slope = self.knots[0]
            return special.expit(intercept + slope * scores)
        return np.where(np.isnan(scores), np.nan, np.interp(scores, self.knots[:, 0], self.knots[:, 1]))

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {"method": np.array(self.method), "knots": self.knots}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Calibration:
        return cls(str(arrays["method"]), np.asarray(arrays["knots"], dtype=np.float64))


@dataclass(frozen=True)
class Recalibration:
    """logit P(y) = intercept + slope logit p: 0 and 1 where probabilities mean what they say."""

    slope: Quantity
    intercept: Quantity


def cox(
    probabilities: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, blocks: np.ndarray | None = None
) -> Recalibration:
    """Slope and intercept of the logit recalibration of cells that the calibration has not seen.

    Parameters
    ----------
    probabilities : array of shape (n,)
        In 0 to 1; kept 1e-6 away from both.
    y, weights : arrays of shape (n,)
    blocks : array of shape (n,), optional
        Cells of one block are taken to err together.

    Returns
    -------
    Recalibration
        With 95 % intervals of Student's t, blocks less two degrees of freedom. Missing, with a reason, below ten cells
        of either class, without variation of the probabilities, or in fewer than five blocks.

    Notes
    -----
    Cox (1958), Two further applications of a model for binary regression. Variance: sandwich over blocks, scaled by
    k / (k - 1) (Liang & Zeger 1986).
    """
    p, y, weights = _checked(probabilities, y, weights, keep_all=True)
    blocks = np.arange(len(y)) if blocks is None else np.asarray(blocks)
    used = weights > 0
    p, y, weights, blocks = p[used], y[used], weights[used], blocks[used]
    n = len(y)
    logits = special.logit(np.clip(p, 1e-6, 1 - 1e-6))
    if min(y.sum(), n - y.sum()) < LEAST_OF_EACH:
        return Recalibration(missing(n, TOO_FEW), missing(n, TOO_FEW))
    if np.ptp(logits) < 1e-9:
        return Recalibration(missing(n, NO_SPREAD), missing(n, NO_SPREAD))
    design = np.stack([np.ones(n), logits], axis=1)
    fit = _logistic(design, y, weights)
    names, rows = np.unique(blocks, return_inverse=True)
    if fit is None or len(names) < 5:
        reason = NO_SPREAD if fit is None else FEW_BLOCKS
        return Recalibration(missing(n, reason), missing(n, reason))
    spread = _sandwich(design, y, weights, fit, rows, len(names))
    reach = special.stdtrit(len(names) - 2, (1 + CONFIDENCE) / 2) * np.sqrt(np.diag(spread))
    intercept, slope = (quantity(fit[i], fit[i] - reach[i], fit[i] + reach[i], n=n) for i in range(2))
    return Recalibration(slope, intercept)


def cross_calibrated(
    scores: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None,
    blocks: np.ndarray,
    *,
    rule: str = "auto",
    n_folds: int = 10,
) -> np.ndarray:
    """(n,) probabilities of judged cells, each by a calibration that never saw its block.

    Blocks are dealt into `n_folds` in turn, in the order of their numbers. The rule is settled on all cells, so that
    every fold is calibrated in the same way. nan where the other folds hold nothing.
    """
    scores, y, weights = _checked(scores, y, weights, keep_all=True)
    method = Calibration.fit(scores, y, weights, rule).method
    _, rows = np.unique(np.asarray(blocks), return_inverse=True)
    folds = rows % n_folds
    found = np.full(len(y), np.nan)
    for fold in np.unique(folds):
        others = (folds != fold) & (weights > 0)
        if others.any():
            held_out = folds == fold
            found[held_out] = Calibration.fit(scores[others], y[others], weights[others], method).predict(
                scores[held_out]
            )
    return found


def _checked(scores, y, weights, keep_all: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, y = np.asarray(scores, dtype=np.float64), np.asarray(y, dtype=np.float64)
    weights = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not scores.shape == y.shape == weights.shape or scores.ndim != 1:
        raise ValueError(f"scores, labels and weights differ in shape: {scores.shape}, {y.shape}, {weights.shape}")
    used = weights > 0
    if not used.any():
        raise ValueError("there is no judged cell to calibrate on")
    if not np.isfinite(scores[used]).all():
        raise ValueError("a judged cell has no finite score")
    if not np.isin(y[used], (0, 1)).all():
        raise ValueError("labels are 0 or 1")
    return (scores, y, weights) if keep_all else (scores[used], y[used], weights[used])


def _isotonic(scores: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    levels, rows = np.unique(scores, return_inverse=True)
    mass = np.bincount(rows, weights=weights)
    cells = np.bincount(rows)
    pooled = optimize.isotonic_regression(np.bincount(rows, weights=weights * y) / mass, weights=mass)
    starts = pooled.blocks[:-1]
    half = 0.5 / np.repeat(np.add.reduceat(cells, starts), np.diff(pooled.blocks))
    kept = np.minimum(0.5, half)
    # Pools of few cells at the ends must not reach beyond larger ones beside them.
    chances = np.maximum.accumulate(np.clip(pooled.x, kept, 1 - kept))
    ends = np.unique(np.concatenate([starts, pooled.blocks[1:] - 1]))
    return np.stack([levels[ends], chances[ends]], axis=1)


def _platt(scores: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    n, n_positive = len(y), y.sum()
    # His targets: a positive is one of N+ + 2 that was seen N+ + 1 times.
    high, low = (n_positive + 1) / (n_positive + 2), 1 / (n - n_positive + 2)
    known = float(np.average(y, weights=weights))
    if 0 < known < 1:
        # Counted in cells, his low target can outweigh mines that are rare by weight: no more than the high one gives.
        low = min(low, known * (1 - high) / (1 - known))
    targets = np.where(y == 1, high, low)
    mean, spread = np.average(scores, weights=weights), scores.std()
    share = float(np.average(targets, weights=weights))
    level = np.array([special.logit(share), 0.0])
    if spread < 1e-12 or n_positive in (0, n):
        return level
    design = np.stack([np.ones(n), (scores - mean) / spread], axis=1)
    fit = _logistic(design, targets, weights)
    if fit is None or fit[1] < 0:
        return level
    return np.array([fit[0] - fit[1] * mean / spread, fit[1] / spread])


def _logistic(design: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Weighted maximum likelihood by Newton's method with halved steps; None where it does not end (parted classes)."""
    weights = weights / weights.mean()
    share = np.clip(np.average(targets, weights=weights), 1e-9, 1 - 1e-9)
    found = np.concatenate([[special.logit(share)], np.zeros(design.shape[1] - 1)])
    value = _likelihood(design, targets, weights, found)
    for _ in range(100):
        chances = special.expit(design @ found)
        gradient = design.T @ (weights * (targets - chances))
        curvature = (design.T * (weights * chances * (1 - chances))) @ design
        try:
            step = np.linalg.solve(curvature, gradient)
        except np.linalg.LinAlgError:
            return None
        while (new := _likelihood(design, targets, weights, found + step)) < value - 1e-12 * abs(value):
            step = step / 2
            if np.abs(step).max() < 1e-12:
                break
        found, value = found + step, new
        if np.abs(found).max() > 1e3:
            return None
        if np.abs(step).max() < 1e-10 * (1 + np.abs(found).max()):
            return found
    return None


def _likelihood(design, targets, weights, found) -> float:
    logits = design @ found
    return float(weights @ (targets * logits - np.logaddexp(0.0, logits)))


def _sandwich(design, y, weights, fit, rows, n_blocks) -> np.ndarray:
    chances = special.expit(design @ fit)
    bread = np.linalg.inv((design.T * (weights * chances * (1 - chances))) @ design)
    parts = design * (weights * (y - chances))[:, None]
    sums = np.stack([np.bincount(rows, weights=column, minlength=n_blocks) for column in parts.T], axis=1)
    return bread @ (sums.T @ sums) @ bread * n_blocks / (n_blocks - 1)
