"""How far annotators agree: Cohen's kappa, Krippendorff's alpha, Gwet's AC1. Agreement, not accuracy.

Use only verdicts on units that were fixed beforehand for more than one reading: readings added because of an earlier
outcome (a dispute, dynamic stopping) bias all three.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labels.intervals import Interval

MINIMUM_UNITS = 50  # below, the bootstrap of a skewed register falls short of 0.90


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Agreement of two annotators beyond chance, each with their own habits.

    Parameters
    ----------
    first, second : sequences of n_units labels
        What each said of the same units, in the same order.

    Returns
    -------
    float
        At most 1; 0 for chance. NaN when there are no units, or when both used one and the same class throughout:
        chance agreement is then 1 and kappa is 0/0. Annotators who used one class each, but different ones, have 0.

    Raises
    ------
    ValueError
        If the lengths differ.

    Notes
    -----
    Cohen (1960), doi:10.1177/001316446002000104: (p_o - p_e) / (1 - p_e).
    """
    if len(first) != len(second):
        raise ValueError("the annotators judged different numbers of units")
    classes = {label: code for code, label in enumerate(dict.fromkeys([*first, *second]))}
    if len(classes) < 2:
        return np.nan
    a, b = (np.array([classes[label] for label in labels]) for labels in (first, second))
    shares_a, shares_b = (np.bincount(codes, minlength=len(classes)) / len(first) for codes in (a, b))
    expected = shares_a @ shares_b
    return float((np.mean(a == b) - expected) / (1 - expected))


def rating_counts(
    readings: Sequence[Collection[Hashable | None]], classes: Sequence[Hashable] | None = None
) -> NDArray[np.int64]:
    """How many annotators put each unit into each class.

    Parameters
    ----------
    readings : sequence of n_units collections of labels
        None stands for an annotator who gave no label.
    classes : sequence of n_classes labels, optional
        The columns; the labels seen, in order of appearance, if not given.

    Returns
    -------
    array of shape (n_units, n_classes)

    Raises
    ------
    ValueError
        If a label is not among the classes.
    """
    if classes is None:
        classes = list(dict.fromkeys(label for labels in readings for label in labels if label is not None))
    column = {label: code for code, label in enumerate(classes)}
    counts = np.zeros((len(readings), len(column)), dtype=np.int64)
    for row, labels in enumerate(readings):
        for label in labels:
            if label is None:
                continue
            if label not in column:
                raise ValueError(f"not among the classes: {label!r}")
            counts[row, column[label]] += 1
    return counts


def krippendorff_alpha(counts: ArrayLike) -> float:
    """Krippendorff's alpha for nominal labels, any number of annotators, labels missing or not.

    Parameters
    ----------
    counts : array of shape (n_units, n_classes)
        See `rating_counts`. Units with fewer than two labels are passed over.

    Returns
    -------
    float
        At most 1; 0 for chance. NaN when no unit has two labels, or all labels are of one class: without variation
        there is no agreement beyond chance to speak of.

    Notes
    -----
    Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section D: 1 - D_o / D_e from coincidences.
    """
    counts = _paired(counts)
    labels = counts.sum(axis=1)
    n, of_class = labels.sum(), counts.sum(axis=0)
    expected = n**2 - (of_class**2).sum()
    if expected == 0:
        return np.nan
    observed = ((labels**2 - (counts**2).sum(axis=1)) / (labels - 1)).sum()
    return float(1 - (n - 1) * observed / expected)


def gwet_ac1(counts: ArrayLike) -> float:
    """Gwet's AC1, which does not collapse where nearly all units are of one class.

    Parameters
    ----------
    counts : array of shape (n_units, n_classes)
        See `rating_counts`. Columns stand for the classes annotators could choose, used or not: AC1 depends on their
        number.

    Returns
    -------
    float
        At most 1. 1 when all labels are of one class among several; NaN when no unit has two labels or there is only
        one column.

    Notes
    -----
    Gwet (2008), doi:10.1348/000711006X126600: chance agreement sum pi (1 - pi) / (q - 1). Prevalence pi is taken over
    every labelled unit, agreement over those with two labels or more.
    """
    counts = np.asarray(counts, dtype=float)
    labelled, several = counts[counts.sum(axis=1) > 0], _paired(counts)
    if counts.ndim != 2 or counts.shape[1] < 2 or len(several) == 0:
        return np.nan
    labels = several.sum(axis=1)
    agreed = (((several * (several - 1)).sum(axis=1)) / (labels * (labels - 1))).mean()
    prevalence = (labelled / labelled.sum(axis=1, keepdims=True)).mean(axis=0)
    chance = (prevalence * (1 - prevalence)).sum() / (counts.shape[1] - 1)
    return float((agreed - chance) / (1 - chance))


def agreement_interval(
    measure: Callable[[NDArray], float],
    counts: ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Percentile bootstrap over units of `krippendorff_alpha` or `gwet_ac1`.

    Returns
    -------
    low, high : float, or None
        None when fewer than MINIMUM_UNITS units have two labels, or when the
        measure is undefined.

    Notes
    -----
    Resamples in which the measure is undefined are left out. Simulated coverage of the 95 % interval 0.91 to 0.96, the
    lower where nine units in ten are of one class.
    """
    counts = _paired(counts)
    if len(counts) < MINIMUM_UNITS or np.isnan(measure(counts)):
        return None
    rng = np.random.default_rng(seed)
    resampled = [measure(counts[rng.integers(0, len(counts), len(counts))]) for _ in range(n_resamples)]
    low, high = np.nanquantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def share_leaving_out(
    annotators: Sequence[Hashable], verdicts: Sequence[str], counted: Collection[str]
) -> dict[Hashable, float]:
    """The share of readings that count once each annotator's own are left out: does a result hang on one person?

    Parameters
    ----------
    annotators, verdicts : sequences of n_readings
        Who said what, in the same order.
    counted : collection of str
        The verdicts that count.

    Returns
    -------
    dict of annotator to float
        In order of appearance. NaN for an annotator who made all readings.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    if len(annotators) != len(verdicts):
        raise ValueError("each reading needs an annotator and a verdict")
    made, counting = Counter(annotators), Counter(a for a, v in zip(annotators, verdicts, strict=True) if v in counted)
    n, k = made.total(), counting.total()
    return {a: (k - counting[a]) / (n - made[a]) if n > made[a] else np.nan for a in made}


def _paired(counts: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(counts, dtype=float)
    return counts[counts.sum(axis=1) > 1] if counts.size else np.zeros((0, 1))
