"""Changes of state in the review loop: opening an audit, handing out units, recording and undoing reviews.

Every verb is one transaction. Rules of judgement that need no database are in labels.rules.
"""

import random
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.gis.geos import Point
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from labels import looking, rules
from labels.errors import BadInput, Conflict, NotAllowed
from labels.imagery import rights
from labels.imagery.scenes import on_ground
from labels.models import (
    Assignment,
    Audit,
    Exposure,
    ImagerySource,
    Mark,
    Placement,
    Retraction,
    Review,
    ReviewImage,
    SampleUnit,
    Scene,
)
from labels.models.audits import Queue
from labels.models.reviews import RejectReason, UnsureReason, Verdict

APP_VERSION = "0.1.0"


class RejectNeedsLaterImage(BadInput):
    """Every image seen predates the report: the verdict to give is unsure, image predates the report."""

    code = "predates_report"


class RejectNeedsWholeDisc(BadInput):
    """Part of the search disc was not seen at a useful zoom."""

    code = "disc_not_seen"


class AlreadyExposed(NotAllowed):
    """The person has seen others' reviews of the unit."""

    code = "exposed"


class AuditClosed(Conflict):
    code = "closed"


# ---- opening an audit ----


@transaction.atomic
def open_census(
    *, project, register, slug: str, name: str, opened_by=None, seed: int = 1, reviews_per_unit: int = 1, **rule_fields
) -> Audit:
    """An audit of every located record of a register: each is a unit of inclusion probability 1."""
    audit = Audit(
        project=project,
        register=register,
        slug=slug,
        name=name,
        opened_by=opened_by,
        seed=seed,
        reviews_per_unit=reviews_per_unit,
        design=Audit.Design.CENSUS,
        **rule_fields,
    )
    try:
        audit.full_clean()
    except ValidationError as error:
        raise BadInput(" ".join(error.messages)) from error
    placements = Placement.objects.filter(register=register)
    audit.n_population = placements.count()
    located = placements.filter(reported_point__isnull=False).select_related("observation").order_by("site_record_id")
    audit.n_unlocated = audit.n_population - located.count()
    if audit.n_population == audit.n_unlocated:
        raise BadInput(
            _("%(register)s holds no record with a position: import its records first.") % {"register": register}
        )
    audit.save()
    _add_units(audit, located, inclusion_probability=1.0)
    return audit


def _add_units(audit: Audit, placements, inclusion_probability: float) -> None:
    units = [
        SampleUnit(
            audit=audit,
            site_record_id=placement.site_record_id,
            observation=placement.observation,
            stratum="all",
            inclusion_probability=inclusion_probability,
            **audit.search_rules[placement.observation.location_precision],
        )
        for placement in placements.iterator(chunk_size=5000)
    ]
    SampleUnit.objects.bulk_create(units, batch_size=2000)
    add_assignments(audit, units, random.Random(audit.seed))  # noqa: S311  an order, not a secret


def add_assignments(audit: Audit, units: list[SampleUnit], shuffle: random.Random) -> None:
    """Want `reviews_per_unit` reviews of each unit, in shuffled order: all first looks before the second ones."""
    wanted = [
        Assignment(unit=unit, audit=audit, queue=unit.queue, order_key=look + shuffle.random())
        for look in range(audit.reviews_per_unit)
        for unit in units
    ]
    Assignment.objects.bulk_create(wanted, batch_size=5000)


# ---- handing out ----


@transaction.atomic
def hand_out(audit: Audit, annotator, *, n: int = 1, queue: str = Queue.SAMPLE) -> list[SampleUnit]:
    """Lease up to `n` units to the annotator, the ones already held first.

    Units whose reviews the annotator has seen are left out. Two callers never get one Assignment (SKIP LOCKED).
    """
    if audit.closed_at:
        return []
    _one_at_a_time("hand_out", annotator.pk)
    until = timezone.now() + timedelta(seconds=settings.LEASE_S)
    held = list(
        Assignment.objects.filter(~_seen_by(annotator), audit=audit, queue=queue, annotator=annotator)
        .exclude(state=Assignment.State.DONE)
        .select_for_update(of=("self",))
        .order_by("order_key", "pk")[:n]
    )
    for assignment in held:
        _lease(assignment, annotator, until)
    while len(held) < n:
        assignment = _next_free(audit, annotator, queue)
        if assignment is None:
            break
        _lease(assignment, annotator, until)
        held.append(assignment)
    units = SampleUnit.objects.select_related("observation", "audit").in_bulk([each.unit_id for each in held])
    return [units[each.unit_id] for each in held]


def _next_free(audit: Audit, annotator, queue: str) -> Assignment | None:
    """The next Assignment nobody holds, of a unit new to this person; its row is locked."""
    mine = Assignment.objects.filter(unit=OuterRef("unit"), annotator=annotator)
    open_to_all = Q(state=Assignment.State.OPEN, annotator__isnull=True)
    let_go = Q(leased_until__lt=timezone.now())
    return (
        Assignment.objects.filter(open_to_all | let_go, audit=audit, queue=queue)
        .filter(~Exists(mine), ~_seen_by(annotator))
        .order_by("order_key", "pk")
        .select_for_update(skip_locked=True, of=("self",))
        .first()
    )


def _seen_by(annotator) -> Exists:
    """Whether the person has seen others' reviews of an Assignment's unit: such a lease is left to run out."""
    return Exists(Exposure.objects.filter(unit=OuterRef("unit"), user=annotator))


def _lease(assignment: Assignment, annotator, until: datetime) -> None:
    if assignment.state != Assignment.State.LEASED or assignment.annotator_id != annotator.pk:
        assignment.leased_at = timezone.now()
    assignment.state, assignment.annotator, assignment.leased_until = Assignment.State.LEASED, annotator, until
    assignment.save(update_fields=["state", "annotator", "leased_until", "leased_at"])


def keep_lease(unit: SampleUnit, annotator) -> bool:
    """Hold the unit a while longer; False when somebody else has it by now."""
    until = timezone.now() + timedelta(seconds=settings.LEASE_S)
    mine = Assignment.objects.filter(
        ~_seen_by(annotator), unit=unit, annotator=annotator, state=Assignment.State.LEASED
    )
    return bool(mine.update(leased_until=until))


# ---- recording ----


@dataclass(frozen=True, kw_only=True)
class GivenImage:
    """One image the annotator had on screen, as the browser reports it."""

    pane: int
    source: UUID
    captured_on: date | None
    zoom: float | None = None
    views: list[dict] = field(default_factory=list)  # {"bounds": [w, s, e, n], "zoom": z, "ms": n}
    dwell_ms: int = 0
    n_tiles: int = 0
    n_tiles_missing: int = 0
    sight: str = ""
    was_on_screen_at_verdict: bool = True
    adjustments: dict = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GivenReview:
    """A verdict as it comes from a browser, a form or a program; positions are (lon, lat)."""

    uuid: UUID
    verdict: str
    reason: str = ""
    mark: tuple[float, float] | None = None
    other_mines: list[tuple[float, float, str]] = field(default_factory=list)  # lon, lat, mine type
    mine_type: str = ""
    activity: str = ""
    size_class: str = ""
    signs: list[str] = field(default_factory=list)
    confidence: int | None = None
    is_same_mine: bool = False
    note: str = ""
    images: list[GivenImage] = field(default_factory=list)
    think_time_s: float | None = None
    claimed_at: datetime | None = None
    shown: dict = field(default_factory=dict)
    was_cold: bool = False
    locale: str = ""
    input: str = Review.Input.PROGRAM
    viewport: str = ""


@transaction.atomic
def record_review(unit: SampleUnit, annotator, given: GivenReview) -> tuple[Review, bool]:
    """Keep one verdict; (review, whether it is new). Resent under its uuid it stays one row.

    A further verdict of the same person on the unit supersedes the earlier one. A verdict that comes after its lease
    ran out is kept all the same. Raises BadInput, NotAllowed or Conflict with a sentence.
    """
    _one_at_a_time("review", unit.pk, annotator.pk)
    known = Review.objects.filter(uuid=given.uuid).first()
    if known:
        if (known.annotator_id, known.unit_id) != (annotator.pk, unit.pk):
            raise Conflict(_("This verdict's id belongs to another review."))
        return known, False
    if unit.audit.closed_at:
        raise AuditClosed(_("This audit is closed: its verdicts are final."))
    if Exposure.objects.filter(unit=unit, user=annotator).exists():
        raise AlreadyExposed(_("You have seen other people's reviews of this unit, so you may not review it."))
    images = [_image(unit, image) for image in given.images]
    _check(unit, given, images)
    previous = Review.objects.filter(unit=unit, annotator=annotator, successor__isnull=True).first()
    assignment = _assignment_for(unit, annotator)
    review = _save(unit, annotator, given, images, previous, assignment)
    assignment.state, assignment.annotator = Assignment.State.DONE, annotator
    assignment.review, assignment.leased_until = review, None
    assignment.save()
    return review, True


def _image(unit: SampleUnit, given: GivenImage) -> ReviewImage:
    """The image as our own tables know it: what the browser claims is only which one, and how it was looked at."""
    source = ImagerySource.objects.filter(rights.judgeable(), project=unit.audit.project, uuid=given.source).first()
    if source is None:
        raise BadInput(_("An image of this verdict is not one of the project's, or labels may not be derived from it."))
    scenes = list(
        Scene.objects.filter(source=source, captured_on=given.captured_on, footprint__intersects=_target(unit))
    )
    image = ReviewImage(
        pane=given.pane,
        source=source,
        scene_sha256s=[scene.sha256 for scene in scenes],
        captured_on=given.captured_on,
        captured_known_by=scenes[0].captured_known_by if scenes else Scene.DateKnownBy.UNKNOWN,
        resolution_m=max((scene.resolution_m for scene in scenes), default=None),
        offset_east_m=source.offset_east_m,
        offset_north_m=source.offset_north_m,
        sight=given.sight,
        was_on_screen_at_verdict=given.was_on_screen_at_verdict,
        zoom=given.zoom,
        views=given.views,
        dwell_ms=given.dwell_ms,
        n_tiles=given.n_tiles,
        n_tiles_missing=given.n_tiles_missing,
        adjustments=given.adjustments,
    )
    image.footprints = [on_ground(source, scene.footprint) for scene in scenes]
    return image


def _target(unit: SampleUnit):
    """The search disc of a record; cells come with the searched-cell audits."""
    return looking.search_disc(unit.observation.point, unit.search_radius_m)


def _extents(images: list[ReviewImage]) -> list:
    return [
        looking.useful_extent(image.views, image.resolution_m, footprint)
        for image in images
        for footprint in image.footprints
    ]


def _check(unit: SampleUnit, given: GivenReview, images: list[ReviewImage]) -> None:
    """The rules of judgement, in the order a person would meet them."""
    if given.verdict not in (Verdict.CONFIRM, Verdict.MOVE, Verdict.REJECT, Verdict.UNSURE):
        raise BadInput(_("A record is judged confirm, move, reject or unsure."))
    if given.verdict == Verdict.UNSURE and given.reason not in UnsureReason.values:
        raise BadInput(_("Unsure needs a reason."))
    if given.verdict == Verdict.REJECT and given.reason not in RejectReason.values:
        raise BadInput(_("Reject needs to say what is there instead."))
    if given.verdict in (Verdict.CONFIRM, Verdict.MOVE) and given.reason:
        raise BadInput(_("Only reject and unsure carry a reason."))
    if given.verdict == Verdict.MOVE and given.mark is None:
        raise BadInput(_("Move needs the place of the mine: click it first."))
    if given.verdict in (Verdict.CONFIRM, Verdict.MOVE) and given.mark:
        _check_mark(unit, given.mark)
    if given.verdict == Verdict.REJECT:
        _check_reject(unit, images)


def _check_mark(unit: SampleUnit, mark: tuple[float, float]) -> None:
    if not (-180 <= mark[0] <= 180 and -90 <= mark[1] <= 90):
        raise BadInput(_("The mark is not a place on earth."))
    if not looking.search_disc(unit.observation.point, unit.search_radius_m).contains(Point(*mark, srid=4326)):
        raise BadInput(
            _("The mark lies outside the search disc of %(radius)d m: mines beyond it are marked as another mine.")
            % {"radius": unit.search_radius_m}
        )


def _check_reject(unit: SampleUnit, images: list[ReviewImage]) -> None:
    period = rules.report_period(unit.observation.observed_on, unit.observation.date_precision)
    later = [image for image in images if not rules.predates_report(image.captured_on, period)]
    if not later:
        raise RejectNeedsLaterImage(
            _(
                "Every image you saw was taken before the report, so it cannot show that no mine was there: "
                "answer unsure."
            )
        )
    seen = looking.share_of(_target(unit), _extents(later))
    if seen < rules.SHARE_FOR_REJECT:
        raise RejectNeedsWholeDisc(
            _(
                "%(share)d %% of the search disc was seen close enough on an image after the report; "
                "look at the rest, or answer unsure."
            )
            % {"share": seen * 100}
        )


def _assignment_for(unit: SampleUnit, annotator) -> Assignment:
    """The Assignment this verdict fills: the annotator's own, else an open one, else a new one."""
    rows = Assignment.objects.select_for_update().filter(unit=unit)
    own = rows.filter(annotator=annotator).first()
    if own:
        return own
    free = rows.filter(state=Assignment.State.OPEN, annotator__isnull=True).first()
    return free or Assignment(unit=unit, audit=unit.audit, queue=unit.queue, order_key=0)


def _save(unit, annotator, given: GivenReview, images, previous, assignment) -> Review:
    is_held = assignment.state == Assignment.State.LEASED and assignment.annotator_id == annotator.pk
    held_s = (timezone.now() - assignment.leased_at).total_seconds() if is_held and assignment.leased_at else None
    has_mine = given.verdict in (Verdict.CONFIRM, Verdict.MOVE)
    mark = Point(*given.mark, srid=4326) if given.mark else unit.observation.point
    review = Review(
        uuid=given.uuid,
        unit=unit,
        annotator=annotator,
        queue=unit.queue,
        verdict=given.verdict,
        reason=given.reason,
        mark=mark if has_mine else None,
        mine_type=given.mine_type if has_mine else "",
        activity=given.activity if has_mine else "",
        size_class=given.size_class if has_mine else "",
        signs=given.signs,
        confidence=given.confidence,
        is_same_mine=given.is_same_mine and has_mine,
        note=given.note.strip(),
        tolerance_m=unit.tolerance_m,
        search_radius_m=unit.search_radius_m,
        supersedes=previous,
        share_seen=looking.share_of(_target(unit), _extents(images)) if images else None,
        think_time_s=given.think_time_s,
        held_time_s=held_s,
        shown=given.shown,
        was_cold=given.was_cold,
        guideline_version=unit.audit.guideline_version,
        app_version=APP_VERSION,
        locale=given.locale,
        input=given.input,
        viewport=given.viewport,
        claimed_at=given.claimed_at,
        lease_was_lost=not assignment.pk or assignment.annotator_id != annotator.pk,
    )
    try:
        review.full_clean(validate_unique=False)
    except ValidationError as error:
        raise BadInput(" ".join(error.messages)) from error
    review.save(force_insert=True)
    for image in images:
        image.review = review
    ReviewImage.objects.bulk_create(images)
    Mark.objects.bulk_create(
        Mark(review=review, point=Point(lon, lat, srid=4326), mine_type=kind) for lon, lat, kind in given.other_mines
    )
    return review


# ---- undoing ----


@transaction.atomic
def retract_review(review: Review, annotator, *, uuid: UUID) -> tuple[Retraction, bool]:
    """Undo one's own review: it stays, counts no more, and the unit comes back to its annotator."""
    _one_at_a_time("review", review.unit_id, annotator.pk)
    known = Retraction.objects.filter(uuid=uuid).first() or Retraction.objects.filter(review=review).first()
    if known:
        if known.review_id != review.pk:
            raise Conflict(_("This undo's id belongs to another review."))
        return known, False
    if review.annotator_id != annotator.pk:
        raise NotAllowed(_("Only one's own reviews can be undone."))
    if review.unit.audit.closed_at:
        raise AuditClosed(_("This audit is closed: its verdicts are final."))
    if Review.objects.filter(supersedes=review).exists():
        raise Conflict(_("A later verdict of yours already replaced this one."))
    retraction = Retraction.objects.create(uuid=uuid, review=review)
    now = timezone.now()
    Assignment.objects.filter(review=review).update(
        state=Assignment.State.LEASED,
        review=None,
        leased_at=now,
        leased_until=now + timedelta(seconds=settings.LEASE_S),
        order_key=-1,
    )
    return retraction, True


def _one_at_a_time(*key) -> None:
    """Hold everybody else with the same key until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [":".join(map(str, key))])
