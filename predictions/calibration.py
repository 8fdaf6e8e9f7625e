"""From scores to probabilities: isotonic or Platt, how far they can be believed, and what records alone leave out.

Pure: NumPy and SciPy only. Scores are out-of-block scores of judged cells; weights are inverse inclusion probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """A monotone map from scores to probabilities.

    `Calibration.fit(scores (n,), y (n,) of 0/1, weights=None (n,), rule="auto"|"isotonic"|"platt") -> Calibration`
    `.predict(scores (m,)) -> float64 (m,)`; `.method`; `.to_arrays() -> dict`, `Calibration.from_arrays(arrays)`.
    """

    method: Literal["isotonic", "platt"]

    @classmethod
    def fit(cls, scores: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, rule: str = "auto"):
        raise NotImplementedError

    def predict(self, scores: np.ndarray) -> np.ndarray:
        raise NotImplementedError


@dataclass(frozen=True)
class Recalibration:
    """Cox: logit P(y) = intercept + slope logit p. Each {"value", "low", "high", "n", "reason"}."""

    slope: dict
    intercept: dict


def cox(probabilities, y, weights=None, blocks=None) -> Recalibration:
    raise NotImplementedError


def cross_calibrated(scores, y, weights, blocks, *, rule: str = "auto", n_folds: int = 10) -> np.ndarray:
    """Probabilities (n,) of each judged cell by a calibration that never saw its block."""
    raise NotImplementedError


def recording_shares(recorded, strata, weights=None) -> dict:
    """c of each stratum: the share of cells with a mine that the register records, shrunk (statistics.md 11)."""
    raise NotImplementedError


def corrected(probabilities, shares) -> np.ndarray:
    """min(1, p / c)."""
    raise NotImplementedError
