"""How many cells hold mines, by area: scores of all cells, set right by the searched ones (prediction-powered)."""

from dataclasses import dataclass

from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Total:
    """What is known of one area. Shares are of its cells; None where the sample cannot say."""

    area: int  # its number; -1 for all that was mapped
    n_cells: float  # border cells count with their share inside
    n_searched: int  # of the probability sample
    share: float | None
    low: float | None
    high: float | None
    shrunk: float | None  # drawn towards what the scores say, for display beside the others
    reason: str  # why share or limits are missing; else empty


def totals(
    scores: ArrayLike,  # (n,) out-of-block calibrated probability of each mapped cell
    areas: ArrayLike,  # int (n,) area of the cell's middle, -1 for none
    *,
    searched: ArrayLike,  # int (m,) rows of the probability sample that were judged
    y: ArrayLike,  # (m,) 0 or 1
    weights: ArrayLike | None = None,  # (m,) 1/pi
    inside: ArrayLike | None = None,  # (n,) share of the cell inside the country, 1 each without
    reader_variance: float = 0.0,  # variance of the readers' mean errors (`reader_variance`)
    readers: ArrayLike | None = None,  # (m,) who judged each, for that variance
) -> list[Total]:
    """The total of all cells (area -1) and of each area, in ascending order."""
    raise NotImplementedError
