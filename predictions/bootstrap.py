"""Intervals by drawing whole blocks of cells again, or leaving each out: neighbours stay together, none counts alone.

Percentiles of draws are too narrow where a figure hangs on a handful of mines (an AUC of eight mines: 81 %). What
ranks mines therefore takes the jackknife on the logit scale with Student's t, whose degrees of freedom are the blocks
that the rarer kind of cell effectively lies in.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from labels.intervals import score_interval
from predictions.quantities import FEW_BLOCKS, LEVEL, ONE_BLOCK

Limits = tuple[float | None, float | None, str]  # low, high, why there are none

N_RESAMPLES = 1000
MIN_OF_EACH = 5  # mines (and clear cells) below which no interval of a ranking is given: even t covers less
MIN_BLOCKS = 5  # below it the resamples are too alike to say how sure a figure is
MAX_UNDEFINED = 0.01  # share of resamples without, say, a single positive; above it no interval is given
_CHUNK = 2_000_000  # weights held at once

# Of multiplicities (n_resamples, n_rows): one number, or several in a last axis, for each resample; nan if undefined.
Statistic = Callable[[NDArray], NDArray]


@dataclass(frozen=True)
class Resamples:
    """Blocks drawn with replacement, as many as there are.

    Attributes
    ----------
    counts : array of shape (n_resamples, n_blocks)
        How often each block was drawn.
    rows : array of shape (n_rows,)
        The block of each row, numbered from 0.
    """

    counts: NDArray
    rows: NDArray

    @classmethod
    def of(cls, blocks: ArrayLike, n_resamples: int = N_RESAMPLES, seed: int = 0) -> "Resamples":
        """Draw the blocks that occur in `blocks` (shape (n_rows,), any integers or strings)."""
        names, rows = np.unique(np.asarray(blocks), return_inverse=True)
        rng = np.random.default_rng(seed)
        share = np.full(len(names), 1 / max(len(names), 1))
        counts = rng.multinomial(len(names), share, size=n_resamples) if len(names) else np.zeros((n_resamples, 0), int)
        # Half the memory and time; limits need no more digits.
        return cls(counts.astype(np.float32), rows.ravel())

    @property
    def n_blocks(self) -> int:
        return self.counts.shape[1]

    def chunks(self) -> Iterator[NDArray]:
        """Multiplicities of the rows (some resamples, n_rows), in order."""
        step = max(1, _CHUNK // max(len(self.rows), 1))
        for start in range(0, len(self.counts), step):
            yield self.counts[start : start + step][:, self.rows]

    def of_statistic(self, statistic: Statistic) -> NDArray:
        """The statistic in each resample: (n_resamples,) or (n_resamples, n_numbers)."""
        return np.concatenate([np.asarray(statistic(chunk)) for chunk in self.chunks()])


def limits(values: ArrayLike, n_blocks: int, level: float = LEVEL) -> Limits:
    """The percentile interval of resampled values.

    Parameters
    ----------
    values : array of shape (n_resamples,)
        The statistic in each resample, nan where undefined there.
    n_blocks : int
        Blocks that were drawn from.

    Returns
    -------
    low, high, reason
        (None, None, why) with one block, fewer than 5, or where more than 1 % of the resamples leave the statistic
        undefined (a handful of blocks hold all positives): an interval would be too narrow there.

    Notes
    -----
    Percentile bootstrap of clusters: Davison & Hinkley (1997), Bootstrap Methods and their Application, section 3.8.
    """
    values = np.asarray(values, dtype=float)
    if n_blocks <= 1:
        return None, None, ONE_BLOCK
    defined = np.isfinite(values)
    if n_blocks < MIN_BLOCKS or not values.size or (~defined).mean() > MAX_UNDEFINED:
        return None, None, FEW_BLOCKS
    tail = (1 - level) / 2
    low, high = np.quantile(values[defined], [tail, 1 - tail])
    return float(low), float(high), ""


def without_each(blocks: ArrayLike, statistic: Statistic) -> NDArray:
    """The statistic with each block left out: (n_blocks,) or (n_blocks, n_numbers), nan where it is undefined then."""
    _, rows = np.unique(np.asarray(blocks), return_inverse=True)
    rows, n_blocks = rows.ravel(), int(rows.max(initial=-1)) + 1
    step, found = max(1, _CHUNK // max(len(rows), 1)), []
    for start in range(0, n_blocks, step):
        left_out = np.arange(start, min(start + step, n_blocks))
        found.append(np.asarray(statistic((rows[None, :] != left_out[:, None]).astype(float))))
    return np.concatenate(found) if found else np.zeros(0)


def effective_blocks(blocks: ArrayLike, weights: ArrayLike) -> float:
    """In how many blocks as good as alike the weight lies: (sum m)^2 / sum m^2, m the weight of each block."""
    _, rows = np.unique(np.asarray(blocks), return_inverse=True)
    mass = np.bincount(rows.ravel(), np.asarray(weights, dtype=float))
    return float(mass.sum() ** 2 / np.square(mass).sum()) if mass.any() else 0.0


def jackknife_limits(
    value: float, left_out: ArrayLike, in_blocks: float, *, bounded: bool = True, level: float = LEVEL
) -> Limits:
    """The interval of a figure from its values with each block left out.

    Parameters
    ----------
    value : float
        Of all cells; strictly between 0 and 1 where `bounded`.
    left_out : array of shape (n_blocks,)
        `without_each`.
    in_blocks : float
        `effective_blocks` of the rarer kind of cell: one more than the degrees of freedom, of which there is one at
        least.
    bounded : bool
        Whether the figure lies between 0 and 1: limits are then symmetric on the logit scale.

    Returns
    -------
    low, high, reason
        (None, None, why) with one block, fewer than five, or where leaving one out leaves the figure undefined.

    Notes
    -----
    Delete-one-group jackknife (Davison & Hinkley 1997, section 2.7.3), logit and delta method, Student's t.
    """
    left_out = np.asarray(left_out, dtype=float)
    n_blocks = len(left_out)
    if n_blocks <= 1:
        return None, None, ONE_BLOCK
    if n_blocks < MIN_BLOCKS or not np.isfinite(left_out).all():
        return None, None, FEW_BLOCKS
    spread = np.sqrt((n_blocks - 1) * left_out.var())
    reach = stats.t.ppf((1 + level) / 2, max(1.0, in_blocks - 1)) * spread
    if not bounded:
        return float(value - reach), float(value + reach), ""
    centre, reach = special.logit(value), reach / (value * (1 - value))
    return float(special.expit(centre - reach)), float(special.expit(centre + reach)), ""


def share_limits(value: float, drawn: ArrayLike, n_blocks: int, level: float = LEVEL) -> Limits:
    """The interval of a share of mines, strictly between 0 and 1, from draws of blocks.

    Wilson's at the size of a simple sample whose share would vary as much: percentiles of a handful of mines jump
    between few values. Reasons as for `limits`.
    """
    low, high, reason = limits(drawn, n_blocks, level)
    variance = float(np.nanvar(drawn)) if low is not None else 0.0
    if variance <= 0:
        return low, high, reason
    size = value * (1 - value) / variance
    return *score_interval(value * size, size, special.ndtri((1 + level) / 2)), ""
