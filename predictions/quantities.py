"""A figure as it is stored and shown: its value, its interval, how many cells it stands on, why it may be missing."""

from typing import TypedDict

import numpy as np

# Why a figure or its interval is missing: keys of the sentences in predictions.reasons.
NOTHING_JUDGED = "nothing_judged"
NO_POSITIVE = "no_positives"
NO_NEGATIVE = "no_negatives"
ONE_BLOCK = "one_block"
FEW_BLOCKS = "too_few_blocks"
FEW_MINES = "too_few_mines"
NO_PROBABILITIES = "no_probabilities"
NO_BUDGET = "no_budget"
NO_SAMPLE = "no_sample"
ONE_AREA = "too_few_groups"
NO_HARD_NEGATIVES = "no_hard_negatives"
NO_RANDOM_NEGATIVES = "no_random_negatives"
NO_COLOURS = "no_colours"
FEW_SEARCHED = "too_few_searched"
NOTHING_ABOVE = "nothing_above"
NOTHING_TO_TRAIN = "nothing_to_train"

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
