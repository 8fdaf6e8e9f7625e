"""What a reliability report comes to: the parts of the sentence that answers, and what to do next.

Templates put the parts into sentences of each language; only numbers are written here.
"""

from dataclasses import dataclass, field

from django.utils import formats

from labels.reliability import SMALL_SAMPLE
from labels.reports import FIELD_VERIFIED, Estimate, Rate, Report

NO_BREAK = "\u202f"  # narrow no-break space between a number and its unit


def number(value: float, digits: int = 0) -> str:
    return formats.number_format(round(value, digits), digits, use_l10n=True, force_grouping=True)


def bare_percent(share: float) -> str:
    """A percentage without its sign, with a decimal where whole numbers would read none or all."""
    value = share * 100
    is_near_an_end = 0 < value < 1 or 99 < value < 100
    return number(value, 1 if is_near_an_end else 0)


def percent(share: float | None) -> str:
    return "–" if share is None else bare_percent(share) + NO_BREAK + "%"


def interval(rate: Rate) -> str:
    return "–" if rate.low is None else f"{bare_percent(rate.low)}–{bare_percent(rate.high)}"


def metres(value: float | None) -> str:
    return "–" if value is None else number(value) + NO_BREAK + "m"


def metres_interval(estimate: Estimate) -> str:
    return "–".join(number(limit) for limit in estimate.interval) if estimate.interval else ""


def answer(report: Report) -> dict[str, str]:
    """The parts of the answering sentence, written in the active language."""
    every, moved = report.overall, report.overall.displacement
    rates = {"nearby": every.nearby_at_least, "nearby_most": every.nearby_at_most} | dict(every.rates)
    parts = {name: percent(rate.share) for name, rate in rates.items()}
    parts |= {f"{name}_interval": interval(rate) for name, rate in rates.items()}
    return parts | {
        "n": number(every.n_judged),
        "population": number(every.population),
        "n_more": number(max(0, min(SMALL_SAMPLE, every.population) - every.n_judged)),
        "median": metres(moved.median_m.value) if moved.n else "",
        "median_interval": metres_interval(moved.median_m),
        "n_rejects": number(every.reject.k),
        "n_field_verified": number(every.rejects[FIELD_VERIFIED]),
        "n_no_activity": number(every.rejects["no_activity"]),
    }


# ---- what to do next ----


@dataclass(frozen=True)
class Step:
    kind: str  # settle, ask_publisher, judge_small, judge_rest, imagery, positions, read_twice
    n: int = 0
    names: list[str] = field(default_factory=list)
    n_more_names: int = 0


N_NAMES = 3


def next_steps(report: Report) -> list[Step]:
    """What would make the answer better, or follows from it; what matters most comes first."""
    every = report.overall
    steps = [_ask_publisher(report), _judge_small(report)]
    if every.n_disputed:
        steps.append(Step("settle", every.n_disputed))
    if every.n_open:
        steps.append(Step("judge_rest", every.n_open))
    if every.n_wanting_imagery:
        steps.append(Step("imagery", every.n_wanting_imagery))
    if report.n_unlocated:
        steps.append(Step("positions", report.n_unlocated))
    if every.n_judged and not report.n_double_read:
        steps.append(Step("read_twice"))
    return [step for step in steps if step]


def _named(kind: str, n: int, names: list[str]) -> Step:
    return Step(kind, n, names[:N_NAMES], max(0, len(names) - N_NAMES))


def _ask_publisher(report: Report) -> Step | None:
    """Groups whose share of rejects lies above that of all units by more than chance."""
    overall = report.overall.reject.share
    worse = [group for group in report.groups if group.n_judged >= SMALL_SAMPLE and group.reject.low > (overall or 0)]
    worse.sort(key=lambda group: -group.reject.share)
    rejects = sum(group.reject.k for group in worse)
    return _named("ask_publisher", rejects, [", ".join(group.words) for group in worse]) if worse else None


def _judge_small(report: Report) -> Step | None:
    """Units to judge until every group can be told: 30 in each, or all it has."""
    small = [group for group in report.groups if group.n_judged < SMALL_SAMPLE <= group.n_units and group.n_open]
    missing = sum(min(SMALL_SAMPLE - group.n_judged, group.n_open) for group in small)
    # A record with several minerals is in several groups, so the sum may exceed what there is to judge.
    missing = min(missing, report.overall.n_open)
    return _named("judge_small", missing, [", ".join(group.words) for group in small]) if small else None
