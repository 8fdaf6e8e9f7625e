"""A run as its page tells it: the figures that training stored, read once and put in the order they are quoted in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from django.utils.translation import gettext as _

from predictions import run_words
from predictions.models import TrainingRun
from predictions.origins import ELSEWHERE, UNKNOWN, Origin, Origins, origin_on
from predictions.run_quantities import Quantity

# What is quoted first: the sample of the country itself, then what was held furthest from training.
ORDER = {"sample": 0, "areas": 1, "blocks": 2, "elsewhere": 3, "random": 9}
METRICS, BASELINES = tuple(run_words.METRICS), tuple(run_words.BASELINES)


@dataclass(frozen=True)
class Skill:
    """One row of METRICS: of a rung, of its baselines or of the any-mining head."""

    words: str
    ap: Quantity
    auc: Quantity
    brier: Quantity
    log_loss: Quantity
    recall_at_budget: Quantity
    precision_at_k: Quantity
    budget: int
    k: int
    n: int
    n_positive: int
    prevalence: float | None

    @classmethod
    def of(cls, stored: Mapping | None, words: str) -> "Skill":
        stored = stored or {}
        counts = {name: int(stored.get(name) or 0) for name in ("budget", "k", "n", "n_positive")}
        quantities = {name: Quantity.of(stored.get(name)) for name in METRICS}
        return cls(words=words, prevalence=stored.get("prevalence"), **quantities, **counts)

    @property
    def plain_ones(self) -> list[Quantity]:
        """Those that are no shares of anything."""
        return [self.ap, self.auc, self.brier, self.log_loss]


@dataclass(frozen=True)
class Rung:
    key: str
    question: str
    how: str
    negatives: str
    is_optimistic: bool
    reason: str  # why there is no figure, in words
    skill: Skill
    baselines: dict[str, Skill]
    any_mining: Skill | None
    origin: Origin = UNKNOWN  # of a model from elsewhere

    @property
    def is_defined(self) -> bool:
        return self.skill.ap.is_defined

    @property
    def is_small(self) -> bool:
        return self.skill.ap.is_small

    @property
    def rows(self) -> list[Skill]:
        """Of the table: this model, what needs none, and the head for any mining."""
        # Labels from elsewhere say nothing of places here: of such a model prevalence alone stands beside it.
        simple = [self.baselines["prevalence"]] if self.key == ELSEWHERE else self.baselines.values()
        return [self.skill, *simple, *([self.any_mining] if self.any_mining else [])]


@dataclass(frozen=True)
class Stratum:
    level: str
    n: int
    n_positive: int
    recall: Quantity
    fpr: Quantity
    auc: Quantity
    # Whether recall, and the false-positive rate, differ from those of all other levels by more than chance.
    p_value: float | None
    p_value_fpr: float | None

    @property
    def is_small(self) -> bool:
        return self.n < 30


@dataclass(frozen=True)
class Step:
    key: str
    words: str
    what: str
    n_changed: int
    ap: Quantity


@dataclass(frozen=True)
class Gain:
    steps: list[Step]
    gain_ap: Quantity
    is_measurable: bool
    n_judged: int
    n_judged_positive: int
    error_rates_from: str  # in words


@dataclass(frozen=True)
class Bin:
    mean_score: float
    share: Quantity


@dataclass(frozen=True)
class Reliability:
    bins: list[Bin]
    slope: Quantity
    intercept: Quantity
    ece: float | None
    method: str


class RunReport:
    """The figures of a finished run, by section; without `known` models from elsewhere come from another project."""

    def __init__(self, run: TrainingRun, known: Origins = MappingProxyType({})):
        self.run, self.figures = run, run.figures
        self.ladder = _ladder(self.figures.get("ladder", []), self.figures.get("blocks", {}), known)
        self.quoted: Rung | None = quoted(self.ladder)
        self.gain = _gain(self.figures.get("gain", {}))
        self.reliability = _reliability(self.figures.get("reliability", {}))
        self.share = Quantity.of(self.figures.get("totals", {}).get("share"))

    @property
    def regions(self) -> Rung | None:
        """The answer for a region never audited, where that is not what is quoted already."""
        found = next((rung for rung in self.ladder if rung.key == "areas" and rung.is_defined), None)
        return None if found is self.quoted else found

    @property
    def is_worse_in_regions(self) -> bool:
        """By a tenth or more: less is said as it is."""
        there, here = self.regions, self.quoted
        return bool(there and here) and there.skill.ap.value < 0.9 * here.skill.ap.value

    @property
    def duration_s(self) -> float:
        return sum(self.figures.get("durations_s", {}).values())

    @property
    def strata(self) -> list[tuple[str, list[Stratum]]]:
        groups: dict[str, list[Stratum]] = {}
        for stored in self.figures.get("strata", []):
            groups.setdefault(stored["by"], []).append(_stratum(stored))
        return [(str(run_words.STRATA.get(by, by)), levels) for by, levels in groups.items()]

    @property
    def has_terrain(self) -> bool:
        """Whether any judged cell lay in a terrain layer."""
        return any(stored["by"] == "terrain" for stored in self.figures.get("strata", []))

    @property
    def left_out(self) -> list[dict]:
        """Labels and cells without the right to train, by source; the names are put in by the page."""
        return [
            each | {"words": run_words.lack(each.get("reason", ""))}
            for each in self.figures.get("left_out_by_source", [])
        ]

    @property
    def penalties(self) -> list[tuple[float, float]]:
        penalty = self.figures.get("penalty", {})
        return list(zip(penalty.get("path", []), penalty.get("loss", []), strict=False))


def quoted(ladder: list[Rung]) -> Rung | None:
    """The first answer that may be quoted of this run's model: defined, on 30 cells or more, not optimistic."""
    own = (rung for rung in ladder if rung.key != ELSEWHERE and not rung.is_optimistic)
    return next((rung for rung in own if rung.is_defined and not rung.is_small), None)


def best_of(stored: Iterable[Mapping], blocks: Mapping) -> Rung | None:
    """`quoted` of a ladder as figures hold it; of the metrics it needs average precision alone."""
    return quoted(_ladder(stored, blocks))


def _ladder(stored: Iterable[Mapping], blocks: Mapping, known: Origins = MappingProxyType({})) -> list[Rung]:
    return sorted((_rung(each, blocks, known) for each in stored), key=_order)


def _order(rung: Rung) -> tuple:
    return rung.is_optimistic, ORDER.get(rung.key, 5)


def paired(pairs: Iterable, known: Origins = MappingProxyType({})) -> list[tuple[Rung | None, Rung | None]]:
    """The answers of two runs (comparing.SkillPair), in the order they are quoted in."""
    found = [
        tuple(_rung(stored, {}, known) if stored else None for stored in (pair.before, pair.after)) for pair in pairs
    ]
    return sorted(found, key=lambda both: _order(both[1] or both[0]))


def headline(run: TrainingRun) -> Rung | None:
    """The answer to quote of a run; None while it is not done or where there is none."""
    return RunReport(run).quoted if run.is_done else None


def _rung(stored: Mapping, blocks: Mapping, known: Origins) -> Rung:
    origin, is_elsewhere = origin_on(stored, known), stored["key"] == ELSEWHERE
    any_mining = stored.get("any_mining")
    return Rung(
        key=stored["key"],
        question=run_words.question(stored["key"]),
        how=run_words.how(stored, blocks, origin.words, origin.fate),
        negatives=str(run_words.NEGATIVES.get(stored.get("negatives"), "")),
        is_optimistic=bool(stored.get("is_optimistic")),
        reason=run_words.reason_words(stored["reason"]) if stored.get("reason") else "",
        skill=Skill.of(stored.get("metrics"), _("the other model") if is_elsewhere else _("this run")),
        baselines={
            name: Skill.of(stored.get("baselines", {}).get(name), str(words))
            for name, words in run_words.BASELINES.items()
        },
        any_mining=Skill.of(any_mining, _("any mining, the second head")) if any_mining else None,
        origin=origin,
    )


def _stratum(stored: Mapping) -> Stratum:
    recall, fpr, auc = (Quantity.of(stored.get(name)) for name in ("recall", "fpr", "auc"))
    chances = (stored.get("p_value"), stored.get("p_value_fpr"))
    level = run_words.level(stored["by"], str(stored["level"]))
    return Stratum(level, stored["n"], stored.get("n_positive", 0), recall, fpr, auc, *chances)


def _gain(stored: Mapping) -> Gain:
    steps = [
        Step(each["key"], *run_words.step(each["key"]), each.get("n_changed") or 0, Quantity.of(each.get("ap")))
        for each in stored.get("steps", [])
    ]
    return Gain(
        steps,
        Quantity.of(stored.get("gain_ap")),
        bool(stored.get("is_measurable")),
        stored.get("n_judged") or 0,
        stored.get("n_judged_positive") or 0,
        str(run_words.ERROR_RATES.get(stored.get("error_rates_from"), stored.get("error_rates_from", ""))),
    )


def _reliability(stored: Mapping) -> Reliability:
    return Reliability(
        [Bin(each["mean_score"], Quantity.of(each["share"])) for each in stored.get("bins", [])],
        Quantity.of(stored.get("slope")),
        Quantity.of(stored.get("intercept")),
        stored.get("ece"),
        str(run_words.CALIBRATIONS.get(stored.get("method"), "")),
    )
