"""A figure as it is stored and shown: its value, its interval, how many cells it stands on, why it may be missing."""

from typing import TypedDict

import numpy as np

# Why a figure or its interval is missing. English keys; pages translate them (predictions.reasons).
NOTHING_JUDGED = "no cells judged"
NO_POSITIVE = "no cells with mines among those judged"
NO_NEGATIVE = "no cells without mines among those judged"
ONE_BLOCK = "all judged cells lie in one block"
FEW_BLOCKS = "judged cells lie in too few blocks for an interval"
NO_PROBABILITIES = "scores are not probabilities"
NO_BUDGET = "no number of inspections given"
NO_SAMPLE = "no probability sample of grid cells"
ONE_AREA = "all labels lie in one area"
NO_HARD_NEGATIVES = "no searched cells without mines that were suggested or lie near mines"
NO_RANDOM_NEGATIVES = "no searched cells without mines in the probability sample"
NO_COLOURS = "no mean colours in these features"
FEW_SEARCHED = "too few cells of the probability sample here"
NO_VARIATION = "does not vary within blocks"
ONLY_MINES = "known of cells with mines only"
NOTHING_ABOVE = "no judged cell scores as high"
NOTHING_TO_TRAIN = "no labels to train on"
NOT_SIMULATED = "not worked out"

REASONS = tuple(value for name, value in dict(vars()).items() if name.isupper() and isinstance(value, str))

LEVEL = 0.95  # of every interval


class Quantity(TypedDict):
    value: float | None
    low: float | None  # limits of the 95 % interval
    high: float | None
    n: int  # cells it stands on
    reason: str  # why the value, or its interval, is missing; else empty


def quantity(
    value: float | None, low: float | None = None, high: float | None = None, *, n: int, reason: str = ""
) -> Quantity:
    """A figure fit for JSON: whatever is not a finite number becomes None."""
    return Quantity(value=_number(value), low=_number(low), high=_number(high), n=int(n), reason=reason)


def missing(n: int, reason: str) -> Quantity:
    """A figure that does not exist, and why."""
    return quantity(None, n=n, reason=reason)


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
