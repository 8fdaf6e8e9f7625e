"""What reviews and adjudications add up to, asked of them each time and never stored (DESIGN decision 2).

A unit's reviews agree when all see a mine and their marks lie within the audit's `same_site_m`, when all reject, or
when all are unsure. Reviews of a searched grid cell agree when they say the same of "any artisanal mine?". An
adjudication settles a unit whatever its reviews say. Whether a mine is "at the point" (confirm)
or "displaced" (move) is computed from the mark's distance and the tolerance, so that reports can ask with another one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db import connection
from django.db.models import F, QuerySet

from labels import rules
from labels.models import Adjudication, Audit, Review, SampleUnit
from labels.models.audits import Queue
from labels.models.reviews import MineType, Verdict


class State:
    OPEN = "open"  # no current review
    AGREED = "agreed"  # by all its current reviews, be it only one
    DISPUTED = "disputed"
    ADJUDICATED = "adjudicated"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One unit of an audit, what its register says of it, and what it was judged to be."""

    unit: UUID
    unit_id: int
    audit_id: int
    register_id: int
    site_record: UUID
    source_id: str
    stratum: str
    inclusion_probability: float | None
    state: str
    # The reviews' common verdict as given; None while open or disputed.
    given_verdict: str | None
    reason: str
    n_reviews: int
    # Verdicts of the current reviews as given, in the order they came; only these are independent looks.
    verdicts: tuple[str, ...]
    # (lon, lat) published, and of the mine; degrees.
    reported: tuple[float, float]
    corrected: tuple[float, float] | None
    # Metres on the ellipsoid from the reported to the corrected point; None without a mine.
    displacement_m: float | None
    tolerance_m: float
    search_radius_m: float
    mine_type: str
    activity: str
    confidence: int | None
    is_same_mine: bool
    share_seen: float | None
    # The review or adjudication the label is taken from.
    basis_id: int | None
    observed_on: date | None
    date_precision: str
    observation_kind: str
    location_precision: str
    name: str
    minerals: tuple[str, ...]
    stated_region: str
    legal_status: str
    trade_status: str
    region: str
    register: str
    commercial_distance_m: float | None

    @property
    def verdict(self) -> str | None:
        """confirm, move, reject or unsure by this audit's tolerance; a dispute counts as unsure until settled."""
        return self.verdict_at(self.tolerance_m)

    def verdict_at(self, tolerance_m: float) -> str | None:
        """The verdict if a mine within `tolerance_m` counted as at the point; None while nobody has judged."""
        if self.state == State.OPEN:
            return None
        if self.state == State.DISPUTED:
            return Verdict.UNSURE.value
        if self.displacement_m is None:
            return self.given_verdict
        return Verdict.CONFIRM.value if self.displacement_m <= tolerance_m else Verdict.MOVE.value

    @property
    def is_field_verified(self) -> bool:
        """Somebody stood there with a GPS: a reject means "not visible", not "wrong"."""
        return self.observation_kind == "on_site" and self.location_precision == "gps"


OUTCOMES = """
WITH current AS (
    SELECT review.*
    FROM labels_review review JOIN labels_sampleunit unit ON unit.id = review.unit_id
    WHERE unit.audit_id = ANY(%(audits)s) AND review.queue = %(queue)s
      AND (%(unit)s::bigint IS NULL AND unit.retired_at IS NULL OR unit.id = %(unit)s)
      AND NOT EXISTS (SELECT 1 FROM labels_review later WHERE later.supersedes_id = review.id)
      AND NOT EXISTS (SELECT 1 FROM labels_retraction undone WHERE undone.review_id = review.id)
), spread AS (
    SELECT a.unit_id, max(ST_Distance(a.mark::geography, b.mark::geography)) AS spread_m
    FROM current a JOIN current b ON b.unit_id = a.unit_id AND b.id > a.id
    GROUP BY a.unit_id
), agreement AS (
    SELECT unit_id,
           count(*) AS n_reviews,
           count(*) FILTER (WHERE mark IS NOT NULL) AS n_mine,
           count(*) FILTER (WHERE verdict = 'reject') AS n_reject,
           count(*) FILTER (WHERE verdict = 'unsure') AS n_unsure,
           array_agg(verdict::text ORDER BY id) AS verdicts,
           (array_agg(id ORDER BY confidence DESC NULLS LAST, id))[1] AS chosen_id
    FROM current GROUP BY unit_id
), settled AS (
    SELECT decision.* FROM labels_adjudication decision
    WHERE NOT EXISTS (SELECT 1 FROM labels_adjudication later WHERE later.supersedes_id = decision.id)
), judged AS (
    SELECT unit.id AS unit_id,
           CASE WHEN settled.id IS NOT NULL THEN 'adjudicated'
                WHEN agreement.unit_id IS NULL THEN 'open'
                WHEN n_mine = n_reviews AND coalesce(spread_m, 0) <= audit.same_site_m THEN 'agreed'
                WHEN n_reject = n_reviews OR n_unsure = n_reviews THEN 'agreed'
                ELSE 'disputed' END AS state,
           coalesce(n_reviews, 0) AS n_reviews,
           coalesce(verdicts, '{}') AS verdicts,
           chosen_id, settled.id AS settled_id
    FROM labels_sampleunit unit
    JOIN labels_audit audit ON audit.id = unit.audit_id
    LEFT JOIN agreement ON agreement.unit_id = unit.id
    LEFT JOIN spread ON spread.unit_id = unit.id
    LEFT JOIN settled ON settled.unit_id = unit.id
    WHERE unit.audit_id = ANY(%(audits)s) AND unit.queue = %(queue)s AND unit.site_record_id IS NOT NULL
      AND (%(unit)s::bigint IS NULL AND unit.retired_at IS NULL OR unit.id = %(unit)s)
), label AS (
    SELECT judged.unit_id, review.id AS basis_id, review.verdict, review.reason, review.mark, review.mine_type,
           review.activity, review.confidence, review.is_same_mine, review.share_seen
    FROM judged JOIN current review ON review.id = judged.chosen_id WHERE judged.state = 'agreed'
    UNION ALL
    SELECT judged.unit_id, settled.id, settled.verdict, settled.reason, settled.mark, settled.mine_type,
           settled.activity, settled.confidence, settled.is_same_mine, NULL
    FROM judged JOIN settled ON settled.id = judged.settled_id
)
SELECT unit.uuid, unit.id, unit.audit_id, record.register_id, record.uuid, record.source_id, unit.stratum,
       unit.inclusion_probability, judged.state, label.verdict, coalesce(label.reason, ''), judged.n_reviews,
       judged.verdicts, ARRAY[ST_X(told.point), ST_Y(told.point)],
       CASE WHEN label.mark IS NOT NULL THEN ARRAY[ST_X(label.mark), ST_Y(label.mark)] END,
       ST_Distance(told.point::geography, label.mark::geography), unit.tolerance_m, unit.search_radius_m,
       coalesce(label.mine_type, ''), coalesce(label.activity, ''), label.confidence,
       coalesce(label.is_same_mine, false), label.share_seen, label.basis_id,
       told.observed_on, told.date_precision, told.kind, told.location_precision, told.name, told.minerals,
       told.stated_region, told.legal_status, told.trade_status, coalesce(region.name, ''), register.name,
       placement.commercial_distance_m
FROM judged
JOIN labels_sampleunit unit ON unit.id = judged.unit_id
JOIN labels_siterecord record ON record.id = unit.site_record_id
JOIN labels_register register ON register.id = record.register_id
JOIN labels_observation told ON told.id = unit.observation_id
LEFT JOIN labels_placement placement ON placement.site_record_id = record.id
LEFT JOIN labels_referencearea region ON region.id = placement.region_id
LEFT JOIN label ON label.unit_id = unit.id
ORDER BY unit.id
"""


def outcomes(*audits: Audit, queue: str = Queue.SAMPLE) -> list[Outcome]:
    """One Outcome per record of these audits' queue, in the order they were drawn; retired units are left out."""
    return _asked([audit.pk for audit in audits], queue)


def outcome_of(unit: SampleUnit) -> Outcome:
    """The Outcome of one record's unit, be it retired."""
    [outcome] = _asked([unit.audit_id], unit.queue, unit.pk)
    return outcome


def _asked(audits: list[int], queue: str, unit: int | None = None) -> list[Outcome]:
    with connection.cursor() as cursor:
        cursor.execute(OUTCOMES, {"audits": audits, "queue": str(queue), "unit": unit})
        return [Outcome(*(tuple(value) if isinstance(value, list) else value for value in row)) for row in cursor]


# ---- searched grid cells ----


@dataclass(frozen=True, slots=True)
class CellOutcome:
    """One grid cell of an audit, and what was found in it."""

    unit: UUID
    unit_id: int
    audit_id: int
    grid_cell: str
    stratum: str
    inclusion_probability: float | None
    state: str
    # 1: an artisanal mine was marked in it. 0: searched, clear, nothing marked. None: unknown, as every cell is while
    # open or disputed, or with commercial mines only.
    label: int | None
    # searched or unsure; None while open or disputed.
    verdict: str | None
    reason: str
    n_reviews: int
    # The rest is of the reviews that the label rests on: all that agree, or the one a dispute was settled with.
    # (lon, lat, mine type)
    marks: tuple[tuple[float, float, str], ...]
    # The least that any of them saw of the cell, 0 to 1; None when not known.
    share_seen: float | None
    # The highest that any of them stated.
    confidence: int | None


def cell_outcomes(*audits: Audit, queue: str = Queue.SAMPLE) -> list[CellOutcome]:
    """One CellOutcome per grid cell of these audits' queue, in the order they were drawn. Five queries at most."""
    return _cells_asked(SampleUnit.objects.filter(audit__in=audits, queue=queue))


def cell_outcome_of(unit: SampleUnit) -> CellOutcome:
    """The CellOutcome of one cell's unit."""
    [outcome] = _cells_asked(SampleUnit.objects.filter(pk=unit.pk))
    return outcome


def _cells_asked(units: QuerySet[SampleUnit]) -> list[CellOutcome]:
    units = units.exclude(grid_cell="").order_by("pk")
    current = Review.objects.filter(
        unit__in=units, queue=F("unit__queue"), successor__isnull=True, retraction__isnull=True
    )
    reviews = defaultdict(list)
    for review in current.order_by("pk").prefetch_related("marks"):
        reviews[review.unit_id].append(review)
    decisions = Adjudication.objects.filter(unit__in=units, successor__isnull=True)
    settled = {each.unit_id: each for each in decisions.prefetch_related("settled_with__marks")}
    return [_cell_outcome(unit, reviews[unit.pk], settled.get(unit.pk)) for unit in units]


def _cell_outcome(unit: SampleUnit, reviews: list[Review], decision: Adjudication | None) -> CellOutcome:
    state, basis, said = _basis(reviews, decision)
    shares = [review.share_seen for review in basis]
    return CellOutcome(
        unit=unit.uuid,
        unit_id=unit.pk,
        audit_id=unit.audit_id,
        grid_cell=unit.grid_cell,
        stratum=unit.stratum,
        inclusion_probability=unit.inclusion_probability,
        state=state,
        label=_cell_label(basis),
        verdict=said.verdict if said else None,
        reason=said.reason if said else "",
        n_reviews=len(reviews),
        marks=tuple((*mark.point.coords, mark.mine_type) for review in basis for mark in review.marks.all()),
        share_seen=None if None in shares else min(shares, default=None),
        confidence=max((each.confidence for each in basis if each.confidence is not None), default=None),
    )


def _basis(
    reviews: list[Review], decision: Adjudication | None
) -> tuple[str, list[Review], Review | Adjudication | None]:
    """The state, the reviews the label rests on, and the judgement to quote."""
    if decision:
        return State.ADJUDICATED, [decision.settled_with] if decision.settled_with else [], decision
    if not reviews:
        return State.OPEN, [], None
    if len({(review.verdict, _has_artisanal(review)) for review in reviews}) > 1:
        return State.DISPUTED, [], None
    return State.AGREED, reviews, reviews[0]


def _has_artisanal(review: Review) -> bool:
    return any(mark.mine_type != MineType.COMMERCIAL for mark in review.marks.all())


def _cell_label(basis: Sequence[Review]) -> int | None:
    if any(review.verdict != Verdict.SEARCHED for review in basis):
        return None
    if any(_has_artisanal(review) for review in basis):
        return 1
    n_marks = sum(len(review.marks.all()) for review in basis)
    return 0 if rules.is_clear_search([review.share_seen for review in basis], n_marks) else None
