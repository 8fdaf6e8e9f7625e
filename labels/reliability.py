"""How much of a register holds: shares of verdicts and how sure they are. NumPy and SciPy only.

Every interval says what it covers. Sampling intervals cover the share that the readers would report of all units;
`reader_error_interval` covers the share that is true. The figures are explained in docs/statistics.md.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from labels.intervals import (
    Interval,
    check_count,
    clopper_pearson_interval,
    effective_sample_size,
    score_interval,
    wilson_interval,
)

VERDICTS = ("confirm", "move", "reject", "unsure")
MINE_NEARBY = frozenset({"confirm", "move"})
SMALL_SAMPLE = 30  # below it pages grey a sampled share

# --- shares ----------------------------------------------------------------------------------------------------------


class IntervalKind(StrEnum):
    """Where the sampling interval of a share comes from."""

    WILSON = "wilson"
    EXACT = "clopper-pearson"
    DESIGN = "design"  # Wilson with the effective size and the t quantile of a weighted, stratified or clustered sample
    CENSUS = "census"  # every unit was judged: no sampling error
    UNDEFINED = "undefined"  # nothing judged, or one cluster in every stratum


@dataclass(frozen=True)
class Share:
    """A share of units with what is needed to say how sure it is."""

    k: int  # units counted
    n: int  # units judged
    population: int | None  # units they were drawn from; None: not known, or endless
    share: float | None  # 0 to 1: k/n, or its weighted counterpart; None when n = 0
    low: float | None  # limits of the sampling interval; None for a census and where undefined
    high: float | None
    kind: IntervalKind
    n_effective: float | None = (
        None  # size of a simple random sample as informative; None for a census, where undefined
    )
    design_effect: float | None = None  # n / n_effective of a weighted sample; None for the other kinds
    reader_low: float | None = None  # limits of the true share given how often readers disagreed, sampling included
    reader_high: float | None = None  # None without double readings

    @property
    def is_census(self) -> bool:
        return self.kind is IntervalKind.CENSUS

    @property
    def is_small(self) -> bool:
        """Too few units to show in full ink. A census of few units is not small: it is all there is."""
        return self.n < SMALL_SAMPLE and not self.is_census


def share_of(k: int, n: int, population: int | None = None, confidence: float = 0.95) -> Share:
    """The share k of n in a simple random sample, or in a census (n = population).

    Parameters
    ----------
    k, n : int
        Units counted and units judged.
    population : int, optional
        Number of units the sample was drawn from, without replacement.

    Raises
    ------
    ValueError
        If k is outside [0, n] or n exceeds the population.

    Notes
    -----
    Wilson with the effective size of a finite population, Clopper-Pearson where none or all were counted; limits that
    the judged units already rule out are moved to what they leave possible. Undefined (share and limits None) when
    n = 0; without limits, of kind census, when n = population.
    """
    check_count(k, n, confidence)
    size = effective_sample_size(n, population)
    if n == 0:
        return Share(k, n, population, None, None, None, IntervalKind.UNDEFINED)
    if np.isinf(size):
        return Share(k, n, population, k / n, None, None, IntervalKind.CENSUS)
    one_sided = k in (0, n)
    interval = clopper_pearson_interval if one_sided else wilson_interval
    low, high = interval(min(k / n * size, size), size, confidence)
    if population is not None:
        low, high = max(low, k / population), min(high, 1 - (n - k) / population)
    kind = IntervalKind.EXACT if one_sided else IntervalKind.WILSON
    return Share(k, n, population, k / n, low, high, kind, n_effective=size)


@dataclass(frozen=True)
class VerdictShares:
    """What an audit says of a register. The first four shares add up to 1."""

    confirm: Share
    move: Share
    reject: Share
    unsure: Share
    nearby_at_least: Share  # a mine at or near the point: confirm and move, every unsure counted as no mine
    nearby_at_most: Share  # the same, every unsure counted as a mine


def verdict_shares(
    verdicts: Iterable[str] | Mapping[str, int],
    *,
    population: int | None = None,
    design: "Design | None" = None,
    double_read: Sequence[Collection[str]] = (),
    confidence: float = 0.95,
) -> VerdictShares:
    """Shares of confirm, move, reject and unsure, and the bounds of "a mine nearby".

    Parameters
    ----------
    verdicts : iterable of str, or mapping of verdict to number of units
        One verdict per unit. With a design, a sequence in the order of the design's arrays.
    population : int, optional
        Units the judged ones were drawn from; equal to their number for a census.
    design : Design, optional
        How units were drawn, unless at random with equal chances.
    double_read : sequence of collections of verdicts, optional
        The independent verdicts on each unit that was fixed beforehand for more than one reading. Adds the limits of
        `reader_error_interval`; not with a design.
    confidence : float
        Of every interval.

    Raises
    ------
    ValueError
        If a verdict is unknown, a size does not fit, or both a design and double readings are given.
    """
    if design is not None and double_read:
        raise ValueError("reader error is not worked out for weighted designs")
    judged = list(verdicts) if design is not None else []
    counts = Counter(judged or verdicts)
    if unknown := set(counts) - set(VERDICTS):
        raise ValueError(f"not verdicts: {sorted(unknown)}")

    def share(counted: Collection[str]) -> Share:
        if design is not None:
            return design_share([verdict in counted for verdict in judged], design, confidence=confidence)
        k, n = sum(counts[verdict] for verdict in counted), counts.total()
        plain = share_of(k, n, population, confidence)
        limits = reader_error_interval(double_read, counted, k=k, n=n, population=population, confidence=confidence)
        return replace(plain, reader_low=limits[0], reader_high=limits[1]) if limits else plain

    return VerdictShares(
        *(share({verdict}) for verdict in VERDICTS),
        nearby_at_least=share(MINE_NEARBY),
        nearby_at_most=share(MINE_NEARBY | {"unsure"}),
    )


# --- weighted, stratified and clustered samples ----------------------------------------------------------------------


@dataclass(frozen=True)
class Design:
    """How the judged units were drawn; arrays of shape (n_units,)."""

    weights: ArrayLike  # 1 / inclusion probability, above 0
    strata: ArrayLike | None = None  # stratum of each unit; None: one stratum
    clusters: ArrayLike | None = None  # cluster drawn together, numbered within strata; None: each unit by itself
    stratum_sizes: Mapping | None = None  # stratum -> clusters (or units) it holds; None: far more than were drawn


def design_share(
    counted: ArrayLike, design: Design, within: ArrayLike | None = None, confidence: float = 0.95
) -> Share:
    """A share estimated from a weighted, stratified or clustered sample.

    Parameters
    ----------
    counted : array of bool, shape (n_units,)
        Whether each judged unit counts.
    design : Design
        How all units of the sample were drawn.
    within : array of bool, shape (n_units,), optional
        The part of the sample the share is of (a province that cuts across strata). Leave the other units in: they
        say how much the size of that part varies from sample to sample.

    Returns
    -------
    Share
        Weighted share sum(w y) / sum(w), and Wilson's interval at its effective size p (1-p) / v with the t quantile of
        (clusters - strata) degrees of freedom. `population` is the size of the strata judged, where units are drawn one
        by one and no part is asked for. A stratum of which nothing is judged yet is not in the share.

    Raises
    ------
    ValueError
        If shapes differ, a weight is not above 0, or a stratum holds less than was drawn from it or has no size.

    Notes
    -----
    v is the variance of the linearised share between clusters within strata (Särndal et al. 1992, section 5.7), with
    finite-population correction; a stratum with one cluster is compared with the mean of all. Effective size after
    Korn & Graubard (1998), Survey Methodology 24:193-201, here in Wilson's formula; where the units of each stratum
    agree (v = 0) it is Kish's (sum w)² / sum w². Undefined without degrees of freedom. Simulated mean coverage 0.95
    (0.91 to 0.98).
    """
    y, w = np.asarray(counted, dtype=bool), np.asarray(design.weights, dtype=float)
    inside = np.ones(y.shape, dtype=bool) if within is None else np.asarray(within, dtype=bool)
    if not (y.ndim == 1 and y.shape == w.shape == inside.shape):
        raise ValueError("counted, weights and within need one value per unit")
    if not (np.isfinite(w).all() and (w > 0).all()):
        raise ValueError("a weight is not above 0")
    k, n = int((y & inside).sum()), int(inside.sum())
    known = design.stratum_sizes is not None and design.clusters is None and within is None
    strata = np.zeros(n, dtype=int) if design.strata is None else np.asarray(design.strata)
    population = sum(design.stratum_sizes.get(name, 0) for name in set(strata.tolist())) if known else None
    if n == 0:
        return Share(k, n, population, None, None, None, IntervalKind.UNDEFINED)

    total = w[inside].sum()
    p = float(w[inside & y].sum() / total)
    variance, unseen, df = _linearised_variance(np.where(inside, w * (y - p) / total, 0.0), inside, design)
    if unseen == 0:
        return Share(k, n, population, p, None, None, IntervalKind.CENSUS)
    if df < 1:
        return Share(k, n, population, p, None, None, IntervalKind.UNDEFINED)
    kish = total**2 / (w[inside] ** 2).sum()
    agreed = variance < 1e-12  # within strata, but for rounding: no sample is that informative
    size = float(kish / unseen if agreed else p * (1 - p) / variance)
    low, high = score_interval(min(p * size, size), size, special.stdtrit(df, (1 + confidence) / 2))
    return Share(k, n, population, p, low, high, IntervalKind.DESIGN, n_effective=size, design_effect=n / size)


def _linearised_variance(u: NDArray, inside: NDArray, design: Design) -> tuple[float, float, int]:
    """Variance of a total of u over the design; the largest share of a stratum left undrawn; degrees of freedom."""
    strata = np.zeros(u.size, dtype=int) if design.strata is None else np.asarray(design.strata)
    names, stratum = np.unique(strata, return_inverse=True)
    clusters = np.arange(u.size) if design.clusters is None else np.unique(design.clusters, return_inverse=True)[1]
    _, first, cluster = np.unique(stratum * (u.size + 1) + clusters, return_index=True, return_inverse=True)
    of_cluster = stratum[first]  # the stratum of each cluster
    drawn = np.bincount(of_cluster)

    totals = np.bincount(cluster, weights=u)
    means = np.bincount(of_cluster, weights=totals) / drawn
    means = np.where(drawn > 1, means, 0.0)  # u adds up to 0: so does the mean of all clusters
    squares = np.bincount(of_cluster, weights=(totals - means[of_cluster]) ** 2)
    unseen = np.ones(len(names))
    if design.stratum_sizes is not None:
        if missing := set(names.tolist()) - set(design.stratum_sizes):
            raise ValueError(f"strata without a size: {missing}")
        held = np.array([design.stratum_sizes[name] for name in names.tolist()])
        if (held < drawn).any():
            raise ValueError("more was drawn from a stratum than it holds")
        unseen = 1 - drawn / held
    variance = float((unseen * drawn / np.maximum(drawn - 1, 1) * squares).sum())
    asked = np.unique(stratum[inside])
    return variance, float(unseen[asked].max()), int(drawn[asked].sum() - asked.size)


# --- readers err -----------------------------------------------------------------------------------------------------


def reader_error_interval(
    double_read: Sequence[Collection[str]],
    counted: Collection[str],
    *,
    k: int,
    n: int,
    population: int | None = None,
    confidence: float = 0.95,
) -> Interval | None:
    """Limits of the *true* share, given how often independent readers of the same unit disagree.

    Disagreement shows how often readers err, never which way: the same figures arise when all errors are misses (the
    true share is higher) and when all are false alarms (it is lower). The limits are those two extremes. They hold for
    any mixture between, so they are bounds: they cover at least `confidence`, and nearly always where errors are mixed.

    Parameters
    ----------
    double_read : sequence of collections of str
        The verdicts of independent readers on each unit fixed beforehand for more than one reading. Units with a
        single verdict are passed over.
    counted : collection of str
        The verdicts that count: {"confirm", "move"} for a mine nearby.
    k, n : int
        Units counted and judged, one reading each: the share the limits are about.
    population : int, optional
        Units the judged ones were drawn from; n for a census, whose only error is the readers'.

    Returns
    -------
    low, high : float, or None
        None when n = 0, or when the double-read units hold no reading that counts or none that does not: then nothing
        is known of one of the two kinds of error.

    Notes
    -----
    With q = P(yes), A1 = P(second yes | first yes) and A0 = P(second no | first no), readers who err independently and
    do better than chance leave 1 - (1-q) / A0 <= true share <= q / A1: what two readers say of the latent-class model
    of Hui & Walter (1980), Biometrics 36:167-171, whose split into misses and false alarms they cannot identify. A1 and
    A0 are the specific agreements of Cicchetti & Feinstein (1990), doi:10.1016/0895-4356(90)90159-M. Errors that
    readers share (a mine nobody can see under canopy) show in no disagreement and are outside the limits: only field
    visits tell. Simulated coverage: at least 0.95 (at the extremes), 0.99 on average over mixtures; docs/statistics.md.
    """
    check_count(k, n, confidence)
    effective_sample_size(n, population)  # refuses more units than there are
    both, split, neither = _pairs(double_read, counted)
    if n == 0 or both + split == 0 or neither + split == 0:
        return None
    q, disagreement = k / n, split / (both + split + neither)
    low, high = _reading_interval(k, n, population, disagreement, confidence)
    return (
        max(0.0, 1 - _upper_quotient(1 - q, 1 - low, both=neither, split=split, confidence=confidence)),
        min(1.0, _upper_quotient(q, high, both=both, split=split, confidence=confidence)),
    )


def _pairs(readings: Sequence[Collection[str]], counted: Collection[str]) -> tuple[float, float, float]:
    """Units on which a random pair of readers agrees that it counts, differs, or agrees that it does not."""
    both = split = neither = 0.0
    for verdicts, n_units in Counter(map(tuple, readings)).items():  # few combinations, however many units
        r, c = len(verdicts), sum(verdict in counted for verdict in verdicts)
        if r > 1:
            pairs = r * (r - 1) / n_units
            both += c * (c - 1) / pairs
            split += 2 * c * (r - c) / pairs
            neither += (r - c) * (r - c - 1) / pairs
    return both, split, neither


def _upper_quotient(q: float, q_high: float, *, both: float, split: float, confidence: float) -> float:
    """Upper limit of q / A, where A = 2 both / (2 both + split) is the specific agreement.

    A has its Wilson limit through both / (both + split), of which it is an increasing function. The two errors are
    combined on the log scale (MOVER: Zou & Donner 2008, doi:10.1002/sim.3095), or added up where q or A is 0.
    """
    x, _ = wilson_interval(both, both + split, 2 * confidence - 1)
    agreement, agreement_low = 2 * both / (2 * both + split), max(2 * x / (1 + x), 1e-12)
    if q == 0 or agreement == 0:
        return q_high / agreement_low
    return q / agreement * float(np.exp(np.hypot(np.log(q_high / q), np.log(agreement / agreement_low))))


def _reading_interval(k, n, population, disagreement, confidence) -> Interval:
    """Limits of the share expected of one reading of every unit.

    A fraction f of the units is judged: their drawing leaves (1-f) q (1-q) / n, and a reading that might have come out
    otherwise f d / 2n, where d is the probability that two readings of a unit differ.
    """
    q, f = k / n, n / population if population else 0.0
    spread = (1 - f) * q * (1 - q) + f * min(disagreement / 2, q * (1 - q))
    if spread == 0:
        return (q, q) if f == 1 else wilson_interval(k, n, confidence)
    size = n * q * (1 - q) / spread
    return wilson_interval(min(q * size, size), size, confidence)


# --- many small areas ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShrunkenRates:
    """Rates of areas, each drawn towards the common rate as far as its few units allow; arrays of shape (n_areas,)."""

    rate: NDArray[np.float64]  # posterior mean
    low: NDArray[np.float64]  # limits of the equal-tailed posterior interval
    high: NDArray[np.float64]
    among_highest: NDArray[np.float64]  # probability that the area is one of the `top` highest
    common_rate: float  # posterior mean of the rate the areas are drawn to
    concentration: float  # posterior geometric mean of how many units that prior is worth


def shrunken_rates(
    k: ArrayLike, n: ArrayLike, *, top: int = 5, confidence: float = 0.95, seed: int = 0, n_draws: int = 4000
) -> ShrunkenRates | None:
    """Beta-binomial rates of many small areas.

    Parameters
    ----------
    k, n : arrays of int, shape (n_areas,)
        Units counted and judged in each area; an area without units gets the common distribution.

    Returns
    -------
    ShrunkenRates, or None
        None with fewer than three areas that hold units: there is no spread to learn from.

    Raises
    ------
    ValueError
        If the shapes differ or a k is outside [0, n].

    Notes
    -----
    k_i ~ Binomial(n_i, p_i), p_i ~ Beta(mu M, (1 - mu) M), the prior of Gelman et al. (Bayesian Data Analysis, 3rd
    ed., section 5.3): uniform in mu and in M^(-1/2), on a grid. Plugging in the maximum-likelihood mu and M instead
    leaves out that they are estimated: its 95 % intervals covered 0.83 of 16 areas with 10 to 60 units (0.59 where
    areas hardly differ); these cover 0.92 to 0.96 (towards 0.99 where they do not differ at all).
    """
    k, n = np.asarray(k, dtype=float), np.asarray(n, dtype=float)
    if k.ndim != 1 or k.shape != n.shape or ((k < 0) | (k > n)).any():
        raise ValueError("k and n need one pair per area, with 0 <= k <= n")
    if (n > 0).sum() < 3:
        return None
    logit, log_m = (grid.ravel() for grid in np.meshgrid(np.linspace(-7, 7, 71), np.linspace(-0.7, 7.6, 42)))
    mu, m = special.expit(logit), np.exp(log_m)
    a, b = mu * m, (1 - mu) * m
    fit = special.betaln(k[:, None] + a, (n - k)[:, None] + b) - special.betaln(a, b)
    log_posterior = fit.sum(axis=0) + np.log(mu * (1 - mu)) - log_m / 2
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()

    rng = np.random.default_rng(seed)
    node = rng.choice(weight.size, n_draws, p=weight)[:, None]
    draws = rng.beta(k + a[node], n - k + b[node])
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return ShrunkenRates(
        rate=((k[:, None] + a) / (n[:, None] + m)) @ weight,
        low=low,
        high=high,
        among_highest=((-draws).argsort(axis=1).argsort(axis=1) < top).mean(axis=0),
        common_rate=float(mu @ weight),
        concentration=float(np.exp(log_m @ weight)),
    )
