"""Geometry of the drawings on report pages: positions in percent of a drawing's width, so that it fits any screen
while its text keeps its size. Templates draw the SVG."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from labels.reports import Group, Rate, Report

N_FOREST = 16  # groups drawn; the table holds them all
N_FOREST_SMALL = 8
SHARE_AXES = {0.04: 4, 0.1: 5, 0.2: 4, 0.4: 4, 0.6: 3, 0.8: 4, 1.0: 4}  # end of the axis -> steps
BIN_WIDTHS_M = (10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 2500, 5000)
MAX_BINS = 24
BARS_HEIGHT_PX = 150


def percent(share: float) -> str:
    """An SVG length, the same in every language."""
    return f"{share * 100:.2f}%"


@dataclass(frozen=True)
class Tick:
    x: str
    value: float


@dataclass(frozen=True)
class Axis:
    """A scale from 0 to `end`."""

    end: float
    ticks: list[Tick]

    def x(self, value: float) -> str:
        return percent(min(value, self.end) / self.end)


def axis_to(end: float, n_steps: int = 4) -> Axis:
    return Axis(end, [Tick(percent(i / n_steps), end * i / n_steps) for i in range(n_steps + 1)])


def share_axis(rates: Sequence[Rate]) -> Axis:
    """The shortest axis of round steps that holds every interval."""
    highest = max((rate.high for rate in rates if rate.high is not None), default=1.0)
    end = next((end for end in SHARE_AXES if highest <= end + 1e-9), 1.0)
    return axis_to(end, SHARE_AXES[end])


@dataclass(frozen=True)
class Mark:
    """One share with its interval on an axis."""

    glyph: str  # a verdict, or nearby
    rate: Rate
    x: str
    low: str
    high: str
    limit: str = ""  # where it would reach if every unsure counted
    group: Group | None = None
    row_class: str = field(init=False)

    def __post_init__(self):
        kind = "small" if self.rate.is_small else self.rate.interval
        object.__setattr__(self, "row_class", kind)


def _mark(axis: Axis, glyph: str, rate: Rate, **more) -> Mark:
    return Mark(glyph, rate, axis.x(rate.share), axis.x(rate.low), axis.x(rate.high), **more)


@dataclass(frozen=True)
class SharesPlot:
    axis: Axis
    nearby: Mark
    verdicts: list[Mark]


def shares_plot(group: Group) -> SharesPlot:
    """The four shares, and the share with a mine nearby with its bounds."""
    axis = share_axis([*(rate for _, rate in group.rates), group.nearby_at_least, group.nearby_at_most])
    nearby = _mark(axis, "nearby", group.nearby_at_least, limit=axis.x(group.nearby_at_most.share))
    return SharesPlot(axis, nearby, [_mark(axis, verdict, rate) for verdict, rate in group.rates])


@dataclass(frozen=True)
class ForestPlot:
    axis: Axis
    overall: str  # where the share of all units lies
    ranked: list[Mark]  # highest share of rejects first
    small: list[Mark]  # too few units to rank, in the order of their names
    n_left_out: int  # groups drawn nowhere; the table holds them


def forest_plot(report: Report) -> ForestPlot | None:
    """The share of rejects of every group. Groups under 30 units are never ranked, checked to the last one or not."""
    groups = [group for group in report.groups if group.n_judged]
    if not groups:
        return None
    many = [group for group in groups if group.n_judged >= 30]
    few = [group for group in groups if group.n_judged < 30]
    many = sorted(many, key=lambda group: -group.reject.share)
    shown = many[:N_FOREST], few[:N_FOREST_SMALL]
    axis = share_axis([group.reject for part in shown for group in part] + [report.overall.reject])
    ranked, small = ([_mark(axis, "reject", group.reject, group=group) for group in part] for part in shown)
    return ForestPlot(axis, axis.x(report.overall.reject.share), ranked, small, len(groups) - len(ranked) - len(small))


@dataclass(frozen=True)
class Bar:
    x: str
    width: str
    y: float  # px from the top of the bars
    height: float
    first_m: float
    last_m: float
    n: int


@dataclass(frozen=True)
class Flag:
    """A vertical line with words on it, which stand at the side where there is room."""

    x: str
    anchor: str  # start, middle or end
    value: float


@dataclass(frozen=True)
class Histogram:
    axis: Axis
    bars: list[Bar]
    bin_m: float
    n_highest: int
    median: Flag
    ce90: Flag
    median_band: tuple[str, str] | None  # x and width of the interval
    ce90_band: tuple[str, str] | None
    search_ends: list[Flag]


def histogram(report: Report) -> Histogram | None:
    """How far moved records were off; None without any."""
    distances, moved = report.distances_m, report.overall.displacement
    if not distances:
        return None
    reach = max([*moved.search_radii_m, distances[-1]])
    bin_m = next((width for width in BIN_WIDTHS_M if reach / width <= MAX_BINS), reach / MAX_BINS)
    n_bins = max(1, -int(-reach // bin_m))
    axis = axis_to(_round_end(n_bins * bin_m))
    counts = [0] * n_bins
    for distance in distances:
        counts[min(int(distance // bin_m), n_bins - 1)] += 1
    return Histogram(
        axis=axis,
        bars=[_bar(axis, i * bin_m, bin_m, n, max(counts)) for i, n in enumerate(counts)],
        bin_m=bin_m,
        n_highest=max(counts),
        median=_flag(axis, moved.median_m.value),
        ce90=_flag(axis, moved.ce90_m.value),
        median_band=_band(axis, moved.median_m),
        ce90_band=_band(axis, moved.ce90_m),
        search_ends=[_flag(axis, radius_m) for radius_m in moved.search_radii_m],
    )


def _round_end(reach: float) -> float:
    """An end whose quarters are round numbers."""
    step = next((step for step in (10, 20, 40, 100, 200, 400, 1000, 2000, 4000) if reach / step <= 10), 10_000)
    return -(-reach // step) * step


def _bar(axis: Axis, first_m: float, width_m: float, n: int, highest: int) -> Bar:
    height = BARS_HEIGHT_PX * n / highest
    return Bar(
        axis.x(first_m), percent(width_m / axis.end * 0.94), BARS_HEIGHT_PX - height, height, first_m,
        first_m + width_m, n,
    )  # fmt: skip


def _flag(axis: Axis, value: float) -> Flag:
    share = value / axis.end
    return Flag(axis.x(value), "start" if share < 0.2 else "end" if share > 0.8 else "middle", value)


def _band(axis: Axis, estimate) -> tuple[str, str] | None:
    if estimate.interval is None:
        return None
    low, high = estimate.interval
    return axis.x(low), percent((min(high, axis.end) - low) / axis.end)
