"""Geometry of the drawings of a run: positions in percent, so that they fit any screen. Templates draw the SVG."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from labels.charts import Axis, axis_to, percent
from predictions.run_quantities import Quantity
from predictions.run_report import Gain, Reliability, Rung, Step

AXES = {0.2: 4, 0.4: 4, 0.6: 3, 0.8: 4, 1.0: 5}  # end of the axis -> steps


def axis_for(quantities: Iterable[Quantity]) -> Axis:
    """The shortest axis of round steps from 0 that holds every interval."""
    reach = [limit for each in quantities for limit in (each.value, each.high) if limit is not None]
    end = next((end for end in AXES if max(reach, default=1.0) <= end + 1e-9), 1.0)
    return axis_to(end, AXES[end])


@dataclass(frozen=True)
class Mark:
    """A value with its interval on an axis."""

    quantity: Quantity
    x: str
    low: str
    high: str


def mark(axis: Axis, quantity: Quantity) -> Mark | None:
    if not quantity.is_defined:
        return None
    return Mark(quantity, axis.x(quantity.value), axis.x(max(quantity.low, 0)), axis.x(quantity.high))


@dataclass(frozen=True)
class LadderRow:
    rung: Rung
    mark: Mark | None
    prevalence: str  # where the baselines lie; empty where undefined
    interpolation: str
    colour: str


@dataclass(frozen=True)
class Ladder:
    axis: Axis
    rows: list[LadderRow]


def ladder(rungs: list[Rung]) -> Ladder:
    """Average precision of every rung beside what its baselines reach."""
    shown = [rung.skill.ap for rung in rungs] + [base.ap for rung in rungs for base in rung.baselines.values()]
    axis = axis_for(quantity for quantity in shown if quantity.is_defined)
    return Ladder(axis, [_row(axis, rung) for rung in rungs])


def _row(axis: Axis, rung: Rung) -> LadderRow:
    places = {name: axis.x(base.ap.value) if base.ap.is_defined else "" for name, base in rung.baselines.items()}
    if not rung.is_defined:
        places = dict.fromkeys(places, "")
    return LadderRow(rung, mark(axis, rung.skill.ap), **places)


LEAST_APART = 0.09  # of points' scores, for an n to be written between them


@dataclass(frozen=True)
class Point:
    """A bin of scores: right is a higher score, up a larger share with a mine."""

    x: str
    y: str
    low: str
    high: str
    share: Quantity
    mean_score: float
    is_crowded: bool  # its n would lie over the next point: the table below has it


def reliability_points(reliability: Reliability) -> list[Point]:
    bins = [each for each in reliability.bins if each.share.is_defined]
    beyond = [each.mean_score for each in bins[1:]] + [inf] * bool(bins)
    return [
        Point(
            percent(each.mean_score),
            percent(1 - each.share.value),
            percent(1 - each.share.low),
            percent(1 - each.share.high),
            each.share,
            each.mean_score,
            next_score - each.mean_score < LEAST_APART,
        )
        for each, next_score in zip(bins, beyond, strict=True)
    ]


@dataclass(frozen=True)
class StepRow:
    step: Step
    mark: Mark | None
    before: str  # where the step before lies; empty for the first


@dataclass(frozen=True)
class Steps:
    axis: Axis
    rows: list[StepRow]


def steps(gain: Gain) -> Steps:
    """Average precision after each step of the audit, on one axis."""
    axis = axis_for(step.ap for step in gain.steps)
    rows, before = [], ""
    for step in gain.steps:
        placed = mark(axis, step.ap)
        rows.append(StepRow(step, placed, before))
        before = placed.x if placed else ""
    return Steps(axis, rows)


@dataclass(frozen=True)
class PairRow:
    """One answer of two runs, the earlier above the later."""

    before: Rung | None
    after: Rung | None
    marks: list[Mark | None]  # of the earlier, of the later

    @property
    def shown(self) -> Rung:
        """The rung that names the row."""
        return self.after or self.before

    @property
    def rungs(self) -> list[Rung | None]:
        return [self.before, self.after]


@dataclass(frozen=True)
class Pairs:
    axis: Axis
    rows: list[PairRow]


def pairs(found: list[tuple[Rung | None, Rung | None]]) -> Pairs:
    """Average precision of two runs, answer by answer, on one axis."""
    axis = axis_for(rung.skill.ap for both in found for rung in both if rung and rung.is_defined)
    return Pairs(
        axis, [PairRow(*both, [mark(axis, rung.skill.ap) if rung else None for rung in both]) for both in found]
    )
