"""Intervals by drawing whole blocks of cells again: neighbours stay together, so none counts as independent."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predictions.quantities import FEW_BLOCKS, LEVEL, ONE_BLOCK

N_RESAMPLES = 1000
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


def limits(values: ArrayLike, n_blocks: int, level: float = LEVEL) -> tuple[float | None, float | None, str]:
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
