"""How far reported points lie from the mines they stand for: summaries of displacements in metres."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labels.intervals import Interval, quantile_interval
from labels.reliability import Share, share_of

TOLERANCES_M = (50.0, 100.0, 250.0, 500.0, 1000.0)
NEAR_RADIUS = 0.8  # share of the search radius beyond which moves hint at mines outside it
CIRCULAR_NORMAL_TAIL = 1.5175  # CE90 / RMSE where errors are normal and alike in all directions: sqrt(ln 10)
TOO_FEW = "too_few"  # why a quantile has no interval: no two values bracket it with the confidence asked for


@dataclass(frozen=True)
class DisplacementSummary:
    """Displacements of moved (or of all located) records; distances in metres."""

    n: int  # displacements
    median_m: float
    median_interval_m: Interval | None  # None for fewer than 6, see median_reason
    median_reason: str | None  # TOO_FEW, or None
    ce90_m: float  # empirical 90th percentile: the circular error that 9 in 10 stay within
    ce90_interval_m: Interval | None  # None for fewer than 36, see ce90_reason
    ce90_reason: str | None  # TOO_FEW, or None
    rmse_m: float  # root mean square
    tail_ratio: float | None  # CE90 / RMSE, to hold against CIRCULAR_NORMAL_TAIL; None when every displacement is 0
    radius_m: float | None  # how far annotators searched: longer displacements cannot appear; None: not stated
    share_near_radius: float | None  # share beyond NEAR_RADIUS of the radius; None without a radius


def displacement_summary(
    distances_m: ArrayLike, radius_m: float | None = None, confidence: float = 0.95
) -> DisplacementSummary | None:
    """Median, 90th percentile, root mean square and tails of displacements.

    Parameters
    ----------
    distances_m : array of shape (n,)
        Metres, finite, not negative.
    radius_m : float, optional
        Search radius, metres; no distance may exceed it. It truncates on the right: all figures are of displacements
        short enough to be found, and `share_near_radius` says how hard the cut bites.

    Returns
    -------
    DisplacementSummary, or None
        None when n = 0.

    Raises
    ------
    ValueError
        If a distance is negative, not finite or beyond the radius, or the radius is not above 0.

    Notes
    -----
    Percentiles interpolate linearly (Hyndman & Fan's type 7); intervals are `quantile_interval`'s. Circular normal
    errors have CE90 = 1.5175 RMSE (Greenwalt & Shultz 1962, ACIC TR-96); a ratio well below tells of a heavy tail or a
    mixture, such as good coordinates among villages'. A ratio above comes with displacements of much the same length.
    """
    distances = _checked(distances_m)
    if radius_m is not None and not (radius_m > 0 and (distances <= radius_m).all()):
        raise ValueError("the search radius is not above 0, or a displacement lies beyond it")
    if distances.size == 0:
        return None
    median, ce90 = np.quantile(distances, [0.5, 0.9])
    rmse = np.sqrt(np.mean(distances**2))
    median_interval, ce90_interval = (quantile_interval(distances, q, confidence) for q in (0.5, 0.9))
    return DisplacementSummary(
        n=distances.size,
        median_m=float(median),
        median_interval_m=median_interval,
        median_reason=None if median_interval else TOO_FEW,
        ce90_m=float(ce90),
        ce90_interval_m=ce90_interval,
        ce90_reason=None if ce90_interval else TOO_FEW,
        rmse_m=float(rmse),
        tail_ratio=float(ce90 / rmse) if rmse > 0 else None,
        radius_m=radius_m,
        share_near_radius=None if radius_m is None else float(np.mean(distances > NEAR_RADIUS * radius_m)),
    )


def share_within(
    distances_m: ArrayLike,
    n_records: int,
    tolerances: Sequence[float] = TOLERANCES_M,
    *,
    radius_m: float | None = None,
    population: int | None = None,
    confidence: float = 0.95,
) -> dict[float, Share | None]:
    """Cumulative share of *all* judged records with a mine within each tolerance.

    Parameters
    ----------
    distances_m : array of shape (n_located,)
        Distance to the mine of each record that has one (confirm and move), metres.
    n_records : int
        Judged records, those without a mine included.
    radius_m : float, optional
        Search radius, metres. Mines beyond it were not looked for.
    population : int, optional
        Records the judged ones were drawn from; `n_records` for a census.

    Returns
    -------
    dict of tolerance to Share, or to None
        Shares never fall as the tolerance grows. None for a tolerance beyond the radius: the search ends before it
        (right-censoring).

    Raises
    ------
    ValueError
        If a distance is negative or not finite, or there are more distances than records.
    """
    distances = _checked(distances_m)
    if distances.size > n_records:
        raise ValueError(f"{distances.size} displacements of {n_records} records")
    return {
        tolerance: None
        if radius_m is not None and tolerance > radius_m
        else share_of(int((distances <= tolerance).sum()), n_records, population, confidence)
        for tolerance in tolerances
    }


def _checked(distances_m: ArrayLike) -> NDArray[np.float64]:
    distances = np.asarray(distances_m, dtype=float)
    if distances.ndim != 1 or not (np.isfinite(distances).all() and (distances >= 0).all()):
        raise ValueError("displacements are finite and not negative, one per record")
    return distances
