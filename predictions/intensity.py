"""How many cells hold mines, by area: scores of all cells, set right by the searched ones (prediction-powered)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labels.intervals import score_interval
from predictions.quantities import FEW_SEARCHED, NO_SAMPLE
from predictions.shrinking import shrunk

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
    n_unsure: int = 0  # of the probability sample, looked at without an answer
    share_if_clear: float | None = None  # the share, had none of these a mine
    share_if_mined: float | None = None  # had all of them one


def totals(
    scores: ArrayLike,
    areas: ArrayLike | Mapping[int, ArrayLike],
    *,
    searched: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike | None = None,
    inside: ArrayLike | None = None,
    reader_variance: float | None = None,
    readers: ArrayLike | None = None,
    unsure: ArrayLike = (),
    unsure_weights: ArrayLike = (),
    n_bins: int = 10,
) -> list[Total]:
    """The share of cells with mines, everywhere and in each area, with intervals that cover.

    Parameters
    ----------
    scores : array of shape (n,)
        Calibrated probability of every mapped cell, out of block where it was fitted; nan (no imagery) tells nothing.
    areas : int array of shape (n,), or mapping of int to int array
        The area that holds the cell's middle, -1 for none; or of each area the rows of its cells, which may overlap.
    searched : int array of shape (m,)
        Rows of the probability sample of cells that were judged; each once. Never suggested cells.
    y : array of shape (m,)
        1 with a mine, 0 without.
    weights : array of shape (m,), optional
        1 / inclusion probability, at least 1; equal chances without.
    inside : array of shape (n,), optional
        Share of the cell that lies inside the country: weight of border cells. 1 each without.
    reader_variance : float, optional
        `readers.reader_variance` of units read twice. None: not known, and readers' errors are in no interval; 0: they
        do not lean apart.
    readers : int array of shape (m,) or (m, q), optional
        Number of who judged each cell, up to q readers, -1 for none; needed with a reader variance above 0.
    unsure, unsure_weights : arrays of shape (u,)
        Rows of the probability sample that were looked at without an answer, and their weights. They are in no share
        and no interval; `share_if_clear` and `share_if_mined` say how far they could move the share.

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
    the searched cells themselves. `share_if_clear` and `share_if_mined` are the same estimator, L as it is, with every
    unsure cell 0 or 1; never nearer than the share itself. `shrunk`: Fay & Herriot (1979), JASA 74:269-277.
    """
    sample = _Sample.of(scores, searched, y, weights, inside, readers, unsure, unsure_weights)
    if (reader_variance or 0) > 0 and readers is None:
        raise ValueError("the variance between readers says nothing without who judged which cell")
    held = _held(areas, len(sample.f))
    bins = _Bins.of(sample, n_bins)
    everywhere = _everywhere(sample, reader_variance or 0.0)
    place = np.full(len(sample.f), -1)
    place[sample.rows] = np.arange(len(sample.rows))
    is_unsure = np.zeros(len(sample.f), dtype=np.int64)
    is_unsure[sample.unsure] = np.arange(1, len(sample.unsure) + 1)
    found, variances, means = [], [], []
    for area, cells in sorted(held.items()):
        part = _Part.of(sample, cells, place, is_unsure)
        total, variance = _of_area(int(area), sample, part, bins, reader_variance or 0.0)
        found.append(total)
        variances.append(variance)
        means.append(part.said)
    drawn = shrunk(means, [total.share for total in found], variances)
    return [everywhere, *(replace(total, shrunk=share) for total, share in zip(found, drawn, strict=True))]


def _held(areas: ArrayLike | Mapping[int, ArrayLike], n_cells: int) -> dict[int, NDArray]:
    if isinstance(areas, Mapping):
        return {area: np.asarray(rows, dtype=np.int64) for area, rows in areas.items()}
    areas = np.asarray(areas)
    if len(areas) != n_cells:
        raise ValueError(f"cells differ in number: {n_cells}, {len(areas)}")
    order = np.argsort(areas, kind="stable")
    names, starts = np.unique(areas[order], return_index=True)
    return {int(area): rows for area, rows in zip(names, np.split(order, starts[1:]), strict=True) if area >= 0}


@dataclass(frozen=True)
class _Sample:
    """Checked input: f, inside by cell; rows, y, weights, readers by searched cell; unsure cells and their weights."""

    f: NDArray
    inside: NDArray
    rows: NDArray
    y: NDArray
    weights: NDArray
    readers: NDArray | None  # (m, q)
    unsure: NDArray
    unsure_weights: NDArray

    @classmethod
    def of(cls, scores, searched, y, weights, inside, readers, unsure, unsure_weights) -> "_Sample":
        f = np.asarray(scores, dtype=float)
        rows, y = np.asarray(searched, dtype=int), np.asarray(y, dtype=float)
        inside = np.ones(len(f)) if inside is None else np.asarray(inside, dtype=float)
        weights = np.full(len(rows), max(1.0, len(f) / max(len(rows), 1))) if weights is None else np.asarray(weights)
        unsure, unsure_weights = np.asarray(unsure, dtype=int), np.asarray(unsure_weights, dtype=float)
        if f.shape != inside.shape:
            raise ValueError(f"cells differ in number: {f.shape}, {inside.shape}")
        if not rows.shape == y.shape == weights.shape:
            raise ValueError(f"searched cells differ in number: {rows.shape}, {y.shape}, {weights.shape}")
        if unsure.shape != unsure_weights.shape:
            raise ValueError(f"unsure cells differ in number: {unsure.shape}, {unsure_weights.shape}")
        everything = np.concatenate([rows, unsure])
        if len(np.unique(everything)) != len(everything):
            raise ValueError("a cell is searched twice: one label for each")
        if (weights < 1 - 1e-9).any() or (unsure_weights < 1 - 1e-9).any():
            raise ValueError("a weight is below 1: weights are 1 / inclusion probability")
        if np.isfinite(f).any():
            f = np.where(np.isfinite(f), f, f[np.isfinite(f)].mean())
        else:
            f = np.zeros(len(f))
        if readers is not None:
            readers = np.asarray(readers).reshape(len(rows), -1)
        return cls(f, inside, rows, y, weights.astype(float), readers, unsure, unsure_weights)

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
class _Part:
    """An area, or all cells: where they stand, which of the searched and of the unsure ones lie there."""

    f: NDArray
    inside: NDArray
    searched: NDArray  # places in the sample's searched cells
    unsure: NDArray  # places in the sample's unsure cells
    said: float  # mean score; nan without ground

    @classmethod
    def of(cls, sample: _Sample, cells: NDArray, place: NDArray, is_unsure: NDArray) -> "_Part":
        inside, f = sample.inside[cells], sample.f[cells]
        searched, unsure = place[cells], is_unsure[cells]
        total = inside.sum()
        said = float(inside @ f / total) if total > 0 else float("nan")
        return cls(f, inside, np.sort(searched[searched >= 0]), unsure[unsure > 0] - 1, said)

    @classmethod
    def everything(cls, sample: _Sample) -> "_Part":
        total = sample.inside.sum()
        said = float(sample.inside @ sample.f / total) if total > 0 else float("nan")
        return cls(sample.f, sample.inside, np.arange(len(sample.rows)), np.arange(len(sample.unsure)), said)


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

    def held(self, part: _Part) -> tuple[NDArray, NDArray, NDArray]:
        """Of the part's cells in each bin: how many, the sum of what lies inside, and of its square."""
        number, n = np.searchsorted(self.edges, part.f, side="left"), len(self.edges) + 1
        return (
            np.bincount(number, minlength=n),
            np.bincount(number, part.inside, minlength=n),
            np.bincount(number, part.inside**2, minlength=n),
        )


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


def _estimate(sample: _Sample, part: _Part) -> float:
    w, rows = sample.hajek[part.searched], sample.rows[part.searched]
    wrong = np.average(sample.y[part.searched] - sample.slope * sample.f[rows], weights=w)
    return float(sample.slope * part.said + wrong)


def _bounds(sample: _Sample, part: _Part, share: float) -> tuple[float, float]:
    """The share if no unsure cell had a mine, and if all of them had."""
    rows, more = sample.rows[part.searched], sample.unsure[part.unsure]
    w, w_more = sample.hajek[part.searched], sample.unsure_weights[part.unsure] * sample.inside[more]
    known = w @ (sample.y[part.searched] - sample.slope * sample.f[rows]) - w_more @ (sample.slope * sample.f[more])
    total = w.sum() + w_more.sum()
    clear, mined = (float(sample.slope * part.said + (known + k) / total) for k in (0.0, w_more.sum()))
    return min(share, max(0.0, clear)), max(share, min(1.0, mined))


def _everywhere(sample: _Sample, between_readers: float) -> Total:
    part = _Part.everything(sample)
    n_cells, m, w = float(sample.inside.sum()), len(sample.rows), sample.hajek
    if m < MIN_SEARCHED or w.sum() <= 0:
        return _without(EVERYWHERE, part, FEW_SEARCHED if m else NO_SAMPLE)
    share = _estimate(sample, part)
    residual = sample.y - sample.slope * sample.f[sample.rows]
    away = residual - np.average(residual, weights=w)
    not_sure = 1 - _settled(between_readers) / sample.weights
    variance = float((not_sure * (w * away) ** 2).sum() / w.sum() ** 2 * m / (m - 1))
    k = sample.y.sum()
    if min(k, m - k) < MIN_POSITIVE:
        guess = (k + 0.5) / (m + 1)
        size = w.sum() ** 2 / (w**2).sum()
        variance = max(variance, guess * (1 - guess) * float(np.average(not_sure)) / size)
    variance += _of_readers(sample, part, between_readers)
    return _limited(EVERYWHERE, sample, part, n_cells, share, variance, between_readers)


def _of_area(
    area: int, sample: _Sample, part: _Part, bins: _Bins, between_readers: float
) -> tuple[Total, float | None]:
    """An area's total, and the variance of its share: limits that were cut off at 0 or 1 do not tell it any more."""
    m, ground = len(part.searched), float(part.inside.sum())
    if m < MIN_SEARCHED or sample.hajek[part.searched].sum() <= 0:
        return _without(area, part, FEW_SEARCHED), None
    n_held, inside, squared = bins.held(part)
    # Drawn as in the country, by bin, but as many as were drawn here.
    stands_for = np.maximum(1.0, bins.stands_for * (n_held @ bins.chance) / m)
    centre = inside @ bins.mean / ground
    spread = bins.variance + (bins.mean - centre) ** 2
    variance = float((squared * (stands_for - _settled(between_readers)) * spread).sum() / ground**2)
    variance += _of_readers(sample, part, between_readers)
    return _limited(area, sample, part, ground, _estimate(sample, part), variance, between_readers), variance


def _without(area: int, part: _Part, reason: str) -> Total:
    m, n_unsure = len(part.searched), len(part.unsure)
    return Total(area, float(part.inside.sum()), m, None, None, None, None, reason, n_unsure)


def _settled(between_readers: float) -> float:
    """What a searched cell tells of itself: all, unless readers err."""
    return 0.0 if between_readers > 0 else 1.0


def _limited(
    area: int, sample: _Sample, part: _Part, n_cells: float, share: float, variance: float, between_readers: float
) -> Total:
    y, known = sample.y[part.searched], sample.inside[sample.rows[part.searched]]
    mines, clear = known @ y / n_cells, known @ (1 - y) / n_cells
    if between_readers > 0:
        mines = clear = 0.0  # what was found may be wrong
    limits = share - _Z * np.sqrt(variance), share + _Z * np.sqrt(variance)
    # An area that holds the whole sample has no other areas to lend it their cells: it is as sure as the country.
    if len(part.searched) == len(sample.rows) and variance > 0:
        limits = _score_limits(sample, part.searched, float(np.clip(share, 0, 1)), variance)
    low, high = (float(np.clip(limit, mines, 1 - clear)) for limit in limits)
    share = float(np.clip(share, 0, 1))
    if_clear, if_mined = _bounds(sample, part, share) if len(part.unsure) else (share, share)
    return Total(
        area,
        n_cells,
        len(part.searched),
        share,
        min(low, share),
        max(high, share),
        None,
        "",
        len(part.unsure),
        if_clear,
        if_mined,
    )


def _of_readers(sample: _Sample, part: _Part, between_readers: float) -> float:
    return between_readers * _concentration(sample, part.searched) if between_readers > 0 else 0.0


def _score_limits(sample: _Sample, searched, share: float, variance: float) -> tuple[float, float]:
    """Wilson's at the size of a simple random sample that tells as much; of a share of 0 or 1 at Kish's size."""
    w = sample.hajek[searched]
    size = share * (1 - share) / variance if 0 < share < 1 else w.sum() ** 2 / (w**2).sum()
    return score_interval(share * size, size, _Z)


def _concentration(sample: _Sample, searched: NDArray) -> float:
    """Sum of squares of the readers' shares of the searched ground: 1 with a single reader.

    A cell that several read counts for each of them in equal parts; one whose reader is not known is a reader's own.
    """
    who, w = sample.readers[searched], sample.hajek[searched]
    names, numbers = np.unique(who, return_inverse=True)
    is_known = who >= 0
    each = np.where(is_known, (w / np.maximum(is_known.sum(axis=1), 1))[:, None], 0.0)
    parts = np.bincount(numbers.ravel(), each.ravel(), minlength=len(names))
    alone = w[~is_known.any(axis=1)]
    return float(((parts**2).sum() + (alone**2).sum()) / w.sum() ** 2)
