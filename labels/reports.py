"""How reliable a register is: what judged units add up to, overall and by group.

Only the probability sample enters (DESIGN decision 3). labels.ground_truth asks the database, labels.reliability
holds the formulas; here units are counted, and what a figure means is kept beside it.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from labels import displacement, reliability
from labels.errors import BadInput
from labels.ground_truth import Outcome, State, outcomes
from labels.groupings import GroupKey, check_keys, combinations, keys_for, stands_in
from labels.models import Audit, Project, Review
from labels.models.audits import Queue
from labels.models.reviews import RejectReason, UnsureReason, Verdict

VERDICTS = (Verdict.CONFIRM.value, Verdict.MOVE.value, Verdict.REJECT.value, Verdict.UNSURE.value)
# The groupings a page offers as filters; a URL may filter by any.
FILTERS = ("register", "region", "mineral", "legal_status")
FIELD_VERIFIED = "field_verified"
REJECT_KINDS = (
    FIELD_VERIFIED,
    RejectReason.NATURAL_GROUND.value,
    RejectReason.OTHER_LAND_USE.value,
    RejectReason.INDUSTRIAL_ONLY.value,
    RejectReason.NO_ACTIVITY.value,
)
# Rejects that do not say the record is wrong: somebody stood there, or a licence was never mined.
NOT_WRONG = frozenset({FIELD_VERIFIED, RejectReason.NO_ACTIVITY.value})
# Unsure for these reasons may become a verdict with other imagery.
WANTS_IMAGERY = frozenset(
    {UnsureReason.CLOUD, UnsureReason.NO_IMAGE, UnsureReason.TOO_COARSE, UnsureReason.PREDATES_REPORT}
)


# Figures of fewer judged units than this say what single reviews said.
TELLING = 5


@dataclass(frozen=True)
class Rate:
    """A share of the judged units of a group, never without its n and interval."""

    k: int  # units counted
    n: int  # units judged
    share: float | None  # k / n, 0 to 1; None when nothing is judged
    # 95 % interval, 0 to 1. "sampling": Wilson's at the effective size of a finite population (exact where k is 0 or
    # n), for the share that all units would show. "census": all units are judged and no sampling error is left;
    # Wilson's for n, how far chance alone moves the share in another list made the same way.
    low: float | None
    high: float | None
    interval: str  # sampling, census, or "" when nothing is judged
    # Limits of the true share given how often readers of the same unit disagree; None without planned double readings,
    # and for confirm and move, which the tolerance parts only after the reading.
    reader_low: float | None = None
    reader_high: float | None = None

    @property
    def is_small(self) -> bool:
        """Too few units to show in full ink or to rank. A census of few units is not small: it is all there is."""
        return self.n < reliability.SMALL_SAMPLE and self.interval != "census"


@dataclass(frozen=True)
class Estimate:
    """A quantile of distances with its interval from order statistics."""

    value: float | None = None  # metres; None without distances
    interval: tuple[float, float] | None = None  # 95 %; None where distances are too few to give limits


@dataclass(frozen=True)
class Displacement:
    """How far the mines of moved records lie from the reported points."""

    n: int  # moved units
    median_m: Estimate
    ce90_m: Estimate  # 90 % of the moved records lie within
    near_search_end: Rate  # moves beyond 0.8 of their search radius: longer ones are cut off
    search_radii_m: list[float]  # at which the search for these units ended


@dataclass(frozen=True)
class Within:
    """Share of all judged units with a mine within a distance of the reported point."""

    distance_m: float
    rate: Rate
    n_searched_less: int  # judged units whose search radius is smaller: a mine beyond it would not have been seen


@dataclass(frozen=True)
class Group:
    """The figures of one group of units, or of all of them."""

    key: dict[str, str]  # grouping -> value as stored; empty for all units
    words: list[str]  # the same in words
    n_units: int  # units of the sample in this group
    population: int  # units they stand for: the same number in a census
    n_judged: int
    n_open: int  # nobody has judged them yet
    n_disputed: int  # reviews disagree: counted as unsure until settled
    all_judged: bool  # every unit of the population: no sampling error
    confirm: Rate
    move: Rate
    reject: Rate
    unsure: Rate
    nearby_at_least: Rate  # a mine at or near the point, every unsure counted as none
    nearby_at_most: Rate  # the same, every unsure counted as one
    wrong: Rate  # rejects less those that do not speak against the record: field-verified, licences without activity
    rejects: dict[str, int]  # kind of reject -> units; they add up to the rejects
    unsure_reasons: dict[str, int]  # reason (or "disputed") -> units; they add up to the unsure
    displacement: Displacement
    within: list[Within]

    @property
    def is_small(self) -> bool:
        return self.reject.is_small

    @property
    def rates(self) -> list[tuple[str, Rate]]:
        return [(verdict, getattr(self, verdict)) for verdict in VERDICTS]

    @property
    def n_wanting_imagery(self) -> int:
        return sum(self.unsure_reasons.get(reason, 0) for reason in WANTS_IMAGERY)


@dataclass(frozen=True)
class Choice:
    """A value that units of these audits have, for a filter."""

    value: str
    words: str
    n_units: int


@dataclass(frozen=True)
class Report:
    """The answer to: which share of the register is wrong, where, and how far off."""

    project: str
    audits: list[dict]  # slug, name, register, design, units, records without a position
    by: list[str]
    where: dict[str, str]  # only units with these values
    where_words: dict[str, str]  # the same in words
    tolerance_m: float | None  # a mine within it counts as at the point; None: as each audit says
    computed_at: datetime
    overall: Group
    groups: list[Group]
    n_unlocated: int  # records without a position: in no unit, whatever is asked for
    n_repeated: int  # records that are units of more than one of the audits
    n_double_read: int  # units read at least twice as planned, the source of the reader limits
    distances_m: list[float]  # of the moved units, sorted
    choices: dict[str, list[Choice]]  # grouping -> values to filter by, before any filter
    told: list[int]  # ids of judged units in groups so small that their figures tell single verdicts

    @property
    def is_small(self) -> bool:
        return self.overall.is_small


# ---- choosing audits ----


def audits_of(project: Project, slug: str = "", *, by: Sequence[str] = (), where: Container[str] = ()) -> list[Audit]:
    """The audits of records a report is on: the one named; else the newest that has reviews.

    Divided by audit the report takes all, divided or filtered by register the newest reviewed audit of each. Audits
    judged to different degrees are never added up unasked: together their units are no random part of anything.
    """
    audits = project.audits.filter(frame=Audit.Frame.RECORDS).select_related("register")
    if slug:
        chosen = list(audits.filter(slug=slug))
        if not chosen:
            slugs = ", ".join(sorted(audits.values_list("slug", flat=True))) or "-"
            raise BadInput(
                _("There is no audit “%(slug)s” of records in this project. There are: %(slugs)s.")
                % {"slug": slug, "slugs": slugs}
            )
        return chosen
    if "audit" in by or "audit" in where:
        return list(audits.order_by("register__name", "opened_at", "pk"))
    has_reviews = Exists(Review.objects.filter(unit__audit=OuterRef("pk"), unit__retired_at=None, queue=Queue.SAMPLE))
    newest = audits.alias(has_reviews=has_reviews).order_by("-has_reviews", "-opened_at", "-pk")
    if "register" not in by and "register" not in where:
        return list(newest[:1])
    each = newest.filter(has_reviews=True).order_by("register_id", "-opened_at", "-pk").distinct("register_id")
    return sorted(each, key=lambda audit: audit.register.name) or list(newest[:1])


# ---- reporting ----


def reliability_of(
    project: Project,
    *,
    audit: str = "",
    by: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    tolerance_m: float | None = None,
) -> Report:
    """The reliability report of a project. Three queries however many units. BadInput for unknown names."""
    by, where = check_keys(by), dict(where or {})
    check_keys(where)
    audits = audits_of(project, audit, by=by, where=where)
    return report_on(project, audits, outcomes(*audits) if audits else [], by=by, where=where, tolerance_m=tolerance_m)


def report_on(
    project: Project,
    audits: Sequence[Audit],
    units: Sequence[Outcome],
    *,
    by: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    tolerance_m: float | None = None,
) -> Report:
    """The report on these units; `reliability_of` fetches them."""
    where = dict(where or {})
    if tolerance_m is not None and not 0 < tolerance_m < float("inf"):
        raise BadInput(_("A tolerance is a number of metres above 0."))
    keys = keys_for(audits)
    choices = {name: _choices(units, keys[name]) for name in FILTERS}
    if where:
        units = [unit for unit in units if stands_in(unit, where, keys)]
    _check_equal_chances(units)
    counting = _Counting({audit.pk: audit.reviews_per_unit for audit in audits}, units, tolerance_m)
    overall = counting.group(units)
    return Report(
        project=project.slug,
        audits=[_audit_facts(audit, units) for audit in audits],
        by=list(by),
        where=where,
        where_words={name: keys[name].word(value) for name, value in where.items()},
        tolerance_m=tolerance_m,
        computed_at=timezone.now(),
        overall=overall,
        groups=_groups(units, by, keys, counting) if by else [],
        n_unlocated=sum(audit.n_unlocated for audit in audits),
        n_repeated=sum(n > 1 for n in Counter(unit.site_record for unit in units).values()),
        n_double_read=len(counting.double_read(units)),
        distances_m=sorted(counting.moves(units)),
        choices=choices,
        told=_told(units, by, keys),
    )


def _told(units: Sequence[Outcome], by: Sequence[str], keys: Mapping[str, GroupKey]) -> list[int]:
    """Judged units of every group, the whole included, with fewer than TELLING of them."""
    judged = [unit for unit in units if unit.state != State.OPEN]
    groups = [judged, *_members(judged, [keys[name] for name in by]).values()] if by else [judged]
    return sorted({unit.unit_id for group in groups if len(group) < TELLING for unit in group})


def _members(units: Sequence[Outcome], chosen: Sequence[GroupKey]) -> dict[tuple, list[Outcome]]:
    members = defaultdict(list)
    for unit in units:
        for values in combinations(unit, chosen):
            members[values].append(unit)
    return members


def _choices(units: Sequence[Outcome], key: GroupKey) -> list[Choice]:
    counts = Counter(value for unit in units for value in key.values(unit))
    return [Choice(value, key.word(value), counts[value]) for value in sorted(counts, key=key.rank)]


def _audit_facts(audit: Audit, units: Sequence[Outcome]) -> dict:
    return {
        "slug": audit.slug,
        "name": audit.name,
        "register": audit.register.name,
        "design": audit.design,
        "n_units": sum(unit.audit_id == audit.pk for unit in units),
        "n_unlocated": audit.n_unlocated,
    }


def _check_equal_chances(units: Sequence[Outcome]) -> None:
    if len({unit.inclusion_probability for unit in units}) > 1:
        raise BadInput(
            _("These units were drawn with unequal chances, and weighted reports are not made yet: choose one audit.")
        )


def _groups(
    units: Sequence[Outcome], by: Sequence[str], keys: Mapping[str, GroupKey], counting: "_Counting"
) -> list[Group]:
    chosen = [keys[name] for name in by]
    members = _members(units, chosen)
    in_order = sorted(members, key=lambda values: [key.rank(value) for key, value in zip(chosen, values, strict=True)])
    return [
        counting.group(
            members[values],
            dict(zip(by, values, strict=True)),
            [key.word(value) for key, value in zip(chosen, values, strict=True)],
        )
        for values in in_order
    ]


class _Counting:
    """Counts units under one tolerance. A unit's verdict is worked out once, however many groups it stands in."""

    def __init__(self, readings_planned: Mapping[int, int], units: Sequence[Outcome], tolerance_m: float | None):
        self.readings_planned = readings_planned
        self.verdicts = {
            unit.unit_id: unit.verdict if tolerance_m is None else unit.verdict_at(tolerance_m) for unit in units
        }

    def moves(self, units: Sequence[Outcome]) -> list[float]:
        return [unit.displacement_m for unit in units if self.verdicts[unit.unit_id] == Verdict.MOVE.value]

    def double_read(self, units: Sequence[Outcome]) -> list[tuple[str, ...]]:
        """The planned independent readings of each unit that has two or more of them.

        Readings beyond the plan were asked for because of earlier outcomes and would bias the limits.
        """
        readings = [unit.verdicts[: self.readings_planned[unit.audit_id]] for unit in units]
        return [verdicts for verdicts in readings if len(verdicts) > 1]

    def group(self, units: Sequence[Outcome], key: dict | None = None, words: list | None = None) -> Group:
        judged = [(unit, self.verdicts[unit.unit_id]) for unit in units if unit.state != State.OPEN]
        population = round(len(units) / units[0].inclusion_probability) if units else 0
        counts = Counter(verdict for _, verdict in judged)
        rejects = _reject_kinds(judged)
        n_wrong = sum(n for kind, n in rejects.items() if kind not in NOT_WRONG)
        shares = reliability.verdict_shares(counts, population=population or None, double_read=self.double_read(units))
        return Group(
            key=key or {},
            words=words or [],
            n_units=len(units),
            population=population,
            n_judged=len(judged),
            n_open=len(units) - len(judged),
            n_disputed=sum(unit.state == State.DISPUTED for unit in units),
            all_judged=bool(units) and len(judged) == population,
            confirm=_rate(shares.confirm, with_readers=False),
            move=_rate(shares.move, with_readers=False),
            reject=_rate(shares.reject),
            unsure=_rate(shares.unsure),
            nearby_at_least=_rate(shares.nearby_at_least),
            nearby_at_most=_rate(shares.nearby_at_most),
            wrong=_rate(reliability.share_of(n_wrong, len(judged), population or None)),
            rejects=rejects,
            unsure_reasons=_unsure_reasons(judged),
            displacement=_displacement(judged),
            within=_within(judged, population),
        )


def _rate(share: reliability.Share, *, with_readers: bool = True) -> Rate:
    if share.n == 0:
        return Rate(0, 0, None, None, None, "")
    if share.is_census:
        low, high = reliability.wilson_interval(share.k, share.n)
    else:
        low, high = share.low, share.high
    kind = "census" if share.is_census else "sampling"
    readers = (share.reader_low, share.reader_high) if with_readers else (None, None)
    return Rate(share.k, share.n, share.share, low, high, kind, *readers)


def _reject_kinds(judged) -> dict[str, int]:
    """Field beats picture: a record visited on site with GPS is not visible, whatever else was seen there."""
    kinds = Counter(
        FIELD_VERIFIED if unit.is_field_verified else unit.reason
        for unit, verdict in judged
        if verdict == Verdict.REJECT.value
    )
    return {kind: kinds[kind] for kind in REJECT_KINDS}


def _unsure_reasons(judged) -> dict[str, int]:
    return dict(Counter(unit.reason or State.DISPUTED for unit, verdict in judged if verdict == Verdict.UNSURE.value))


def _displacement(judged) -> Displacement:
    moved = [unit for unit, verdict in judged if verdict == Verdict.MOVE.value]
    summary = displacement.displacement_summary([unit.displacement_m for unit in moved])
    n_far = sum(unit.displacement_m > displacement.NEAR_RADIUS * unit.search_radius_m for unit in moved)
    return Displacement(
        n=len(moved),
        median_m=Estimate(summary.median_m, summary.median_interval_m) if summary else Estimate(),
        ce90_m=Estimate(summary.ce90_m, summary.ce90_interval_m) if summary else Estimate(),
        # How many moves the whole list holds is not known, so no population is given.
        near_search_end=_rate(reliability.share_of(n_far, len(moved))),
        search_radii_m=sorted({unit.search_radius_m for unit in moved}),
    )


def _within(judged, population: int) -> list[Within]:
    distances = [unit.displacement_m for unit, _ in judged if unit.displacement_m is not None]
    shares = displacement.share_within(distances, len(judged), population=population or None)
    radii = Counter(unit.search_radius_m for unit, _ in judged)
    return [
        Within(distance_m, _rate(share), sum(n for radius_m, n in radii.items() if radius_m < distance_m))
        for distance_m, share in shares.items()
    ]
