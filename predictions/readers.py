"""How far readers lean apart: what units read by several of them, as planned, say of the errors of all."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Units that two or more readers answered, below which a variance between readers says too little to be used.
MIN_READ_TWICE = 50


def reader_variance(readers: ArrayLike, units: ArrayLike, y: ArrayLike) -> float | None:
    """How much readers differ in the share of cells they call a mine: the variance of their mean errors.

    Parameters
    ----------
    readers, units, y : arrays of shape (k,)
        Who read which unit as what (0 or 1); only units fixed beforehand for more than one reading. A reader's second
        answer on a unit is passed over.

    Returns
    -------
    float or None
        0 or more; None where no unit has two readers, or too few to tell readers from single errors.

    Notes
    -----
    Analysis of variance of answers by unit and reader: readers' sum of squares, units taken out, less what errors of
    single readings leave in it, over how often readers were compared (Henderson 1953, Biometrics 9:226-252, method 3).
    Errors that all readers share (what no image shows) are not in it. Errors of single cells are in the residuals of
    the totals already.
    """
    readers, units, y = _once(np.asarray(readers), np.asarray(units), np.asarray(y, dtype=float))
    _, unit, n_readings = np.unique(units, return_inverse=True, return_counts=True)
    several = n_readings[unit] > 1
    if not several.any():
        return None
    _, reader = np.unique(readers[several], return_inverse=True)
    _, unit, n_readings = np.unique(units[several], return_inverse=True, return_counts=True)
    y = y[several]
    away = y - (np.bincount(unit, y) / n_readings)[unit]
    compared = _compared(reader, unit, n_readings)
    lean = np.bincount(reader, away)
    between = float(lean @ np.linalg.pinv(compared, hermitian=True) @ lean)
    rank = int(np.linalg.matrix_rank(compared, hermitian=True))
    left = len(y) - len(n_readings) - rank
    if left < 1:
        return None
    of_one = max(0.0, float(away @ away) - between) / left
    return max(0.0, (between - of_one * rank) / float(np.trace(compared)))


def _once(readers: NDArray, units: NDArray, y: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """The first answer of each reader on each unit."""
    if not len(readers):
        return readers, units, y
    _, who = np.unique(readers, return_inverse=True)
    _, what = np.unique(units, return_inverse=True)
    _, first = np.unique(what * (who.max() + 1) + who, return_index=True)
    return readers[first], units[first], y[first]


def _compared(reader: NDArray, unit: NDArray, n_readings: NDArray) -> NDArray:
    """(r, r): how often readers met on a unit, each unit's mean taken out of their counts."""
    n_readers = reader.max() + 1
    found = np.diag(np.bincount(reader).astype(float))
    order = np.argsort(unit, kind="stable")
    groups = np.split(order, np.cumsum(n_readings)[:-1])
    for group, n in zip(groups, n_readings, strict=True):
        found[np.ix_(reader[group], reader[group])] -= 1 / n
    return found.reshape(n_readers, n_readers)
