"""Recording and undoing reviews."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.gis.geos import Point
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labels import access, rules
from labels.errors import BadInput, Conflict, NotAllowed
from labels.models import (
    Assignment,
    Exposure,
    GoldAnswer,
    Mark,
    Retraction,
    Review,
    ReviewImage,
    SampleUnit,
)
from labels.models.reviews import Verdict
from labels.workflow import judgements
from labels.workflow.errors import (
    AlreadyExposed,
    AuditClosed,
    RejectNeedsLaterImage,
    RejectNeedsTiles,
    RejectNeedsWholeDisc,
)
from labels.workflow.given import GivenReview
from labels.workflow.locks import one_at_a_time
from labels.workflow.seen import Seen, was_shown

# On the review page, whose script counts tiles and says which images it showed.
BY_HAND = frozenset({Review.Input.KEY, Review.Input.MOUSE, Review.Input.TOUCH})
APP_VERSION = "0.1.0"


@transaction.atomic
def record_review(unit: SampleUnit, annotator, given: GivenReview) -> tuple[Review, bool]:
    """Keep one verdict; (review, whether it is new). Resent under its uuid it stays one row.

    A further verdict of the same person on the unit supersedes the earlier one. A verdict that comes after its lease
    ran out is kept all the same, and so is one on a unit that was retired meanwhile: it counts for that unit only.
    Raises BadInput, NotAllowed or Conflict with a sentence.
    """
    one_at_a_time("review", unit.pk, annotator.pk)
    known = Review.objects.filter(uuid=given.uuid).first()
    if known:
        if (known.annotator_id, known.unit_id) != (annotator.pk, unit.pk):
            raise Conflict(_("This verdict's id belongs to another review."))
        return known, False
    if unit.audit.closed_at:
        raise AuditClosed(_("This audit is closed: its verdicts are final."))
    _check_unexposed(unit, annotator)
    seen = Seen(unit, given.images, given.viewport, counts_tiles=given.input in BY_HAND)
    _check(unit, given, seen)
    previous = Review.objects.filter(unit=unit, annotator=annotator, successor__isnull=True).first()
    assignment = _assignment_for(unit, annotator)
    review = _save(unit, annotator, given, seen, previous, assignment)
    assignment.state, assignment.annotator = Assignment.State.DONE, annotator
    assignment.review, assignment.leased_until = review, None
    assignment.save()
    return review, True


def _check_unexposed(unit: SampleUnit, annotator) -> None:
    exposure = Exposure.objects.filter(unit=unit, user=annotator).first()
    if exposure and exposure.what == Exposure.What.GOLD:
        raise AlreadyExposed(_("You gave the gold answer of this unit, so you may not review it."))
    if access.has_seen_scores(annotator, unit.audit.project):
        raise AlreadyExposed(_("You have seen the scores of a training run here, so you may not review this unit."))
    if exposure:
        raise AlreadyExposed(_("You have seen other people's reviews of this unit, so you may not review it."))


def _check(unit: SampleUnit, given: GivenReview, seen: Seen) -> None:
    judgements.check_other_mines(given.other_mines)
    if unit.grid_cell:
        judgements.check_cell(given)
        judgements.check_marks_in_cell(unit, given)
        return
    judgements.check_record(unit, given)
    if given.input in BY_HAND and given.verdict != Verdict.UNSURE and not seen.images:
        raise BadInput(_("No image of this place was shown, so only “unsure: no image” can be said of it."))
    if given.verdict == Verdict.REJECT:
        _check_reject(unit, seen)


def _check_reject(unit: SampleUnit, seen: Seen) -> None:
    period = rules.report_period(unit.observation.observed_on, unit.observation.date_precision)
    later = [image for image in seen.images if not rules.predates_report(image.captured_on, period)]
    if not later:
        raise RejectNeedsLaterImage(
            _(
                "Every image you saw was taken before the report, so it cannot show that no mine was there: "
                "answer unsure."
            )
        )
    if not any(map(was_shown, later)):
        raise RejectNeedsTiles(
            _(
                "More than %(share)d %% of the tiles were missing on every image after the report, so it was not seen: "
                "wait for them, or answer unsure."
            )
            % {"share": rules.MOST_TILES_MISSING * 100}
        )
    share = seen.share(later)
    if share < rules.SHARE_FOR_REJECT:
        raise RejectNeedsWholeDisc(
            _(
                "%(share)d %% of the search disc was seen close enough on an image after the report; "
                "look at the rest, or answer unsure."
            )
            % {"share": share * 100}
        )


def _assignment_for(unit: SampleUnit, annotator) -> Assignment:
    """The Assignment this verdict fills: the annotator's own, else an open one, else a new one."""
    rows = Assignment.objects.select_for_update().filter(unit=unit)
    own = rows.filter(annotator=annotator).first()
    if own:
        return own
    free = rows.filter(state=Assignment.State.OPEN, annotator__isnull=True).first()
    return free or Assignment(unit=unit, audit=unit.audit, queue=unit.queue, order_key=0)


def _save(unit, annotator, given: GivenReview, seen: Seen, previous, assignment) -> Review:
    is_held = assignment.state == Assignment.State.LEASED and assignment.annotator_id == annotator.pk
    held_s = (timezone.now() - assignment.leased_at).total_seconds() if is_held and assignment.leased_at else None
    review = Review(
        **judgements.fields_of(unit, given),
        annotator=annotator,
        queue=unit.queue,
        supersedes=previous,
        share_seen=seen.share(seen.images) if seen.images else None,
        proportion_inspected=seen.proportion_inspected(),
        think_time_s=given.think_time_s,
        held_time_s=held_s,
        shown=given.shown,
        layout=given.layout,
        was_cold=given.was_cold,
        kind_of_check="gold" if GoldAnswer.objects.filter(unit=unit).exists() else "",
        guideline_version=unit.audit.guideline_version,
        app_version=APP_VERSION,
        locale=given.locale,
        input=given.input,
        viewport=given.viewport,
        claimed_at=given.claimed_at,
        lease_was_lost=not assignment.pk or assignment.annotator_id != annotator.pk,
    )
    judgements.keep(review)
    for image in seen.images:
        image.review = review
    ReviewImage.objects.bulk_create(seen.images)
    Mark.objects.bulk_create(
        Mark(review=review, point=Point(lon, lat, srid=4326), mine_type=kind) for lon, lat, kind in given.other_mines
    )
    return review


@transaction.atomic
def retract_review(review: Review, annotator, *, uuid: UUID) -> tuple[Retraction, bool]:
    """Undo one's own review: it stays, counts no more, and the unit comes back to its annotator."""
    one_at_a_time("review", review.unit_id, annotator.pk)
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
    given = Assignment.objects.filter(review=review)
    if review.unit.retired_at:  # nobody is asked to look there any more
        given.delete()
        return retraction, True
    now = timezone.now()
    given.update(
        state=Assignment.State.LEASED,
        review=None,
        leased_at=now,
        leased_until=now + timedelta(seconds=settings.LEASE_S),
        order_key=-1,
    )
    return retraction, True
