"""How many cells hold mines, by area: scores of all cells, set right by the searched ones (prediction-powered)."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from labels.intervals import score_interval
from predictions.quantities import FEW_SEARCHED, NO_SAMPLE

EVERYWHERE = -1
MIN_SEARCHED = 10  # cells of an area, below which its total is not given
MIN_POSITIVE = 3  # cells with mines in a bin of scores, so that its variance is not 0 by chance
_Z = 1.959963984540054


@dataclass(frozen=True)
class Total:
    """What is known of one area. Shares are of its cells; None where the sample cannot say."""

    area: int  # its number; -1 for all that was mapped
    n_cells: float  # border cells count with their share inside
    n_searched: int  # of the probability sample
    share: float | None
    low: float | None  # limits of the 95 % interval
    high: float | None
    shrunk: float | None  # drawn towards what the scores say, for display beside the others
    reason: str  # why share or limits are missing; else empty


def totals(
    scores: ArrayLike,
    areas: ArrayLike,
    *,
    searched: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike | None = None,
    inside: ArrayLike | None = None,
    reader_variance: float = 0.0,
    readers: ArrayLike | None = None,
    n_bins: int = 10,
) -> list[Total]:
    """The share of cells with mines, everywhere and in each area, with intervals that cover.

    Parameters
    ----------
    scores : array of shape (n,)
        Calibrated probability of every mapped cell, out of block where it was fitted; nan (no imagery) tells nothing.
    areas : int array of shape (n,)
        The area that holds the cell's middle, -1 for none.
    searched : int array of shape (m,)
        Rows of the probability sample of cells that were judged; each once. Never suggested cells.
    y : array of shape (m,)
        1 with a mine, 0 without.
    weights : array of shape (m,), optional
        1 / inclusion probability, at least 1; equal chances without.
    inside : array of shape (n,), optional
        Share of the cell that lies inside the country: weight of border cells. 1 each without.
    reader_variance : float
        `reader_variance` of units read twice; 0: readers make no errors of their own.
    readers : array of shape (m,), optional
        Who judged each cell; needed with a reader variance.

    Returns
    -------
    list of Total
        That of all cells (area -1), then of each area in ascending order. With fewer than 10 searched cells an area
        has no share and says why; its `shrunk` is then what scores alone say.

    Raises
    ------
    ValueError
        If shapes differ, a row is searched twice, a weight is below 1 or readers are missing.

    Notes
    -----
    share = L mean(f) + mean(y - L f), the second mean over searched cells with Hajek weights: the difference estimator
    of Angelopoulos, Duchi & Zrnic (2023), arXiv 2311.01453, with L = cov(y, f) / var(f) of all searched cells. An
    area's few cells cannot tell their own variance (intervals from it cover 66-87 %): each of its cells takes the
    residual variance of its score bin, pooled over the country, plus the squared distance of its bin's mean residual
    from that of the area, over its chance of being drawn; less the part that was searched. Limits never contradict
    the searched cells themselves. `shrunk`: Fay & Herriot (1979), JASA 74:269-277, on the mean score.
    """
    sample = _Sample.of(scores, areas, searched, y, weights, inside, readers)
    if reader_variance > 0 and readers is None:
        raise ValueError("the variance between readers says nothing without who judged which cell")
    found = [_everywhere(sample, reader_variance)]
    bins = _Bins.of(sample, n_bins)
    for area in np.unique(sample.areas[sample.areas >= 0]):
        found.append(_of_area(int(area), sample, bins, reader_variance))
    return [found[0], *_shrunk(found[1:], sample)]


def reader_variance(readers: ArrayLike, units: ArrayLike, y: ArrayLike) -> float | None:
    """How much readers differ in the share of cells they call a mine: the variance of their mean errors.

    Parameters
    ----------
    readers, units, y : arrays of shape (k,)
        Who read which unit as what (0 or 1); only units fixed beforehand for more than one reading.

    Returns
    -------
    float or None
        0 or more; None where no two readers share two units.

    Notes
    -----
    Of two readers with n common units the squared mean difference is, on average, twice this variance plus the
    variance of single differences over n: the pairs' excess, weighted by n, is halved. Errors that all readers share
    (what no image shows) are not in it. Errors of single cells are in the residuals already.
    """
    readers, units, y = (np.asarray(values) for values in (readers, units, y))
    names = np.unique(readers)
    excess = many = 0.0
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            difference = _differences(readers, units, y, first, second)
            if len(difference) > 1:
                n = len(difference)
                excess += n * (difference.mean() ** 2 - difference.var(ddof=1) / n)
                many += n
    return max(0.0, float(excess / (2 * many))) if many else None


@dataclass(frozen=True)
class _Sample:
    """Checked input: f, areas, inside by cell; rows, y, weights, readers by searched cell."""

    f: NDArray
    areas: NDArray
    inside: NDArray
    rows: NDArray
    y: NDArray
    weights: NDArray
    readers: NDArray | None

    @classmethod
    def of(cls, scores, areas, searched, y, weights, inside, readers) -> "_Sample":
        f, areas = np.asarray(scores, dtype=float), np.asarray(areas)
        rows, y = np.asarray(searched, dtype=int), np.asarray(y, dtype=float)
        inside = np.ones(len(f)) if inside is None else np.asarray(inside, dtype=float)
        weights = np.full(len(rows), max(1.0, len(f) / max(len(rows), 1))) if weights is None else np.asarray(weights)
        if not f.shape == areas.shape == inside.shape:
            raise ValueError(f"cells differ in number: {f.shape}, {areas.shape}, {inside.shape}")
        if not rows.shape == y.shape == weights.shape:
            raise ValueError(f"searched cells differ in number: {rows.shape}, {y.shape}, {weights.shape}")
        if len(np.unique(rows)) != len(rows):
            raise ValueError("a cell is searched twice: one label for each")
        if (weights < 1 - 1e-9).any():
            raise ValueError("a weight is below 1: weights are 1 / inclusion probability")
        if np.isfinite(f).any():
            f = np.where(np.isfinite(f), f, f[np.isfinite(f)].mean())
        else:
            f = np.zeros(len(f))
        return cls(f, areas, inside, rows, y, weights.astype(float), None if readers is None else np.asarray(readers))

    @property
    def hajek(self) -> NDArray:
        """Weights of searched cells in a mean over ground: border cells count with their share inside."""
        return self.weights * self.inside[self.rows]

    @property
    def slope(self) -> float:
        """cov(y, f) / var(f) of all searched cells, 0 where scores do not vary or point the wrong way."""
        w, f = self.hajek, self.f[self.rows]
        if w.sum() <= 0:
            return 0.0
        away = f - np.average(f, weights=w)
        variance = np.average(away**2, weights=w)
        return max(0.0, float(np.average(away * self.y, weights=w) / variance)) if variance > 1e-12 else 0.0


@dataclass(frozen=True)
class _Bins:
    """Bins of scores over the country: mean and variance of residuals, mean chance of being drawn and of 1 / chance."""

    edges: NDArray
    mean: NDArray
    variance: NDArray
    chance: NDArray
    stands_for: NDArray

    @classmethod
    def of(cls, sample: _Sample, n_bins: int) -> "_Bins":
        f, w = sample.f[sample.rows], sample.hajek
        residual = sample.y - sample.slope * f
        edges = _edges(f, sample.y, n_bins)
        of_bin = np.searchsorted(edges, f, side="left")
        mean, variance, chance, stands_for = np.zeros((4, len(edges) + 1))
        for number in range(len(edges) + 1):
            part = of_bin == number
            total = w[part].sum()
            if total <= 0:
                chance[number] = stands_for[number] = 1.0
                continue
            n, k = part.sum(), sample.y[part].sum()
            mean[number] = w[part] @ residual[part] / total
            variance[number] = w[part] @ (residual[part] - mean[number]) ** 2 / total * n / max(n - 1, 1)
            if k < MIN_POSITIVE or n - k < MIN_POSITIVE:  # no searched cell with a mine is no proof that there is none
                share = (k + 0.5) / (n + 1)
                variance[number] = max(variance[number], share * (1 - share))
            chance[number] = n / sample.weights[part].sum()
            stands_for[number] = (sample.weights[part] ** 2).sum() / sample.weights[part].sum()
        return cls(edges, mean, variance, chance, stands_for)

    def number(self, f: NDArray) -> NDArray:
        return np.searchsorted(self.edges, f, side="left")


def _edges(f: NDArray, y: NDArray, n_bins: int) -> NDArray:
    """Upper edges of all bins but the last: equal numbers of searched cells, merged until each holds some mines."""
    if not len(f):
        return np.zeros(0)
    wanted = np.unique(np.quantile(f, np.linspace(0, 1, n_bins + 1)[1:-1], method="lower"))
    edges, last = [], -np.inf
    for edge in wanted:
        below = (f > last) & (f <= edge)
        above = f > edge
        if min(y[below].sum(), y[above].sum()) >= MIN_POSITIVE:
            edges.append(edge)
            last = edge
    return np.array(edges)


def _estimate(sample: _Sample, cells: NDArray, searched: NDArray) -> float:
    w, rows = sample.hajek[searched], sample.rows[searched]
    said = np.average(sample.f[cells], weights=sample.inside[cells])
    wrong = np.average(sample.y[searched] - sample.slope * sample.f[rows], weights=w)
    return float(sample.slope * said + wrong)


def _everywhere(sample: _Sample, between_readers: float) -> Total:
    cells, searched = np.ones(len(sample.f), dtype=bool), np.ones(len(sample.rows), dtype=bool)
    n_cells, m, w = float(sample.inside.sum()), len(sample.rows), sample.hajek
    if m < MIN_SEARCHED or w.sum() <= 0:
        return Total(EVERYWHERE, n_cells, m, None, None, None, None, FEW_SEARCHED if m else NO_SAMPLE)
    share = _estimate(sample, cells, searched)
    residual = sample.y - sample.slope * sample.f[sample.rows]
    away = residual - np.average(residual, weights=w)
    not_sure = 1 - _settled(between_readers) / sample.weights
    variance = float((not_sure * (w * away) ** 2).sum() / w.sum() ** 2 * m / (m - 1))
    k = sample.y.sum()
    if min(k, m - k) < MIN_POSITIVE:
        guess = (k + 0.5) / (m + 1)
        size = w.sum() ** 2 / (w**2).sum()
        variance = max(variance, guess * (1 - guess) * float(np.average(not_sure)) / size)
    return _limited(EVERYWHERE, sample, cells, searched, share, variance, between_readers)


def _of_area(area: int, sample: _Sample, bins: _Bins, between_readers: float) -> Total:
    cells, searched = sample.areas == area, sample.areas[sample.rows] == area
    m, inside = int(searched.sum()), sample.inside[cells]
    if m < MIN_SEARCHED or sample.hajek[searched].sum() <= 0:
        return Total(area, float(inside.sum()), m, None, None, None, None, FEW_SEARCHED)
    number = bins.number(sample.f[cells])
    # Drawn as in the country, by bin, but as many as were drawn here.
    stands_for = np.maximum(1.0, bins.stands_for[number] * bins.chance[number].sum() / m)
    centre = np.average(bins.mean[number], weights=inside)
    spread = bins.variance[number] + (bins.mean[number] - centre) ** 2
    variance = float((inside**2 * (stands_for - _settled(between_readers)) * spread).sum() / inside.sum() ** 2)
    return _limited(area, sample, cells, searched, _estimate(sample, cells, searched), variance, between_readers)


def _settled(between_readers: float) -> float:
    """What a searched cell tells of itself: all, unless readers err."""
    return 0.0 if between_readers > 0 else 1.0


def _limited(area, sample: _Sample, cells, searched, share: float, variance: float, between_readers: float) -> Total:
    n_cells = float(sample.inside[cells].sum())
    known = sample.inside[sample.rows[searched]]
    mines, clear = known @ sample.y[searched] / n_cells, known @ (1 - sample.y[searched]) / n_cells
    if between_readers > 0:
        variance += between_readers * _concentration(sample, searched)
        mines = clear = 0.0  # what was found may be wrong
    limits = share - _Z * np.sqrt(variance), share + _Z * np.sqrt(variance)
    if area == EVERYWHERE and variance > 0:
        limits = _score_limits(sample, searched, float(np.clip(share, 0, 1)), variance)
    low, high = (float(np.clip(limit, mines, 1 - clear)) for limit in limits)
    share = float(np.clip(share, 0, 1))
    return Total(area, n_cells, int(searched.sum()), share, min(low, share), max(high, share), None, "")


def _score_limits(sample: _Sample, searched, share: float, variance: float) -> tuple[float, float]:
    """Wilson's at the size of a simple random sample that tells as much; of a share of 0 or 1 at Kish's size."""
    w = sample.hajek[searched]
    size = share * (1 - share) / variance if 0 < share < 1 else w.sum() ** 2 / (w**2).sum()
    return score_interval(share * size, size, _Z)


def _concentration(sample: _Sample, searched: NDArray) -> float:
    """Sum of squares of the readers' shares of the searched ground: 1 with a single reader."""
    _, who = np.unique(sample.readers[searched], return_inverse=True)
    part = np.bincount(who.ravel(), sample.hajek[searched])
    return float(((part / part.sum()) ** 2).sum())


def _shrunk(found: list[Total], sample: _Sample) -> list[Total]:
    """Each area drawn towards the line of shares on mean scores, the more the less sure it is."""
    means = {
        total.area: float(np.average(sample.f[cells], weights=sample.inside[cells]))
        for total in found
        if (cells := (sample.areas == total.area) & (sample.inside > 0)).any()
    }
    known = [total for total in found if total.share is not None and total.area in means]
    if len(known) < 4:
        return [replace(total, shrunk=total.share) for total in found]
    x = np.array([[1.0, means[total.area]] for total in known])
    share = np.array([total.share for total in known])
    variance = np.array([max(((total.high - total.low) / 2 / _Z) ** 2, 1e-12) for total in known])
    spread = _between(x, share, variance)
    line = _line(x, share, spread + variance)
    drawn = []
    for total in found:
        if total.area not in means:
            drawn.append(total)
            continue
        expected = float(line @ [1.0, means[total.area]])
        if total.share is not None:
            own = max(((total.high - total.low) / 2 / _Z) ** 2, 1e-12)
            trust = spread / (spread + own)
            expected = trust * total.share + (1 - trust) * expected
        drawn.append(replace(total, shrunk=float(np.clip(expected, 0, 1))))
    return drawn


def _between(x: NDArray, share: NDArray, variance: NDArray) -> float:
    """Variance between areas that the line leaves: Fay and Herriot's moment equation, 0 if sampling explains all."""

    def excess(spread: float) -> float:
        away = share - x @ _line(x, share, spread + variance)
        return float((away**2 / (spread + variance)).sum()) - (len(share) - x.shape[1])

    return float(optimize.brentq(excess, 0.0, 10.0)) if excess(0.0) > 0 > excess(10.0) else 0.0


def _line(x: NDArray, share: NDArray, variance: NDArray) -> NDArray:
    root = 1 / np.sqrt(variance)
    return np.linalg.lstsq(x * root[:, None], share * root, rcond=None)[0]


def _differences(readers, units, y, first, second) -> NDArray:
    """First reader's answer less the second's, of each unit that both read (their first answers)."""
    ours, at = np.unique(units[readers == first], return_index=True)
    theirs, there = np.unique(units[readers == second], return_index=True)
    _, left, right = np.intersect1d(ours, theirs, return_indices=True)
    return y[readers == first][at][left].astype(float) - y[readers == second][there][right].astype(float)
