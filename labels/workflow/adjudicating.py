"""Settling units whose reviews disagree."""

from dataclasses import fields

from django.db import transaction
from django.utils.translation import gettext as _

from labels import access, ground_truth
from labels.errors import BadInput, Conflict, NotAllowed
from labels.ground_truth import State
from labels.models import Adjudication, Exposure, Review, SampleUnit
from labels.models.reviews import Verdict
from labels.workflow import judgements
from labels.workflow.errors import AuditClosed, NotInDispute
from labels.workflow.given import GivenDecision, GivenJudgement
from labels.workflow.locks import one_at_a_time

# What is the adjudicator's own even when a review is taken as it is.
OWN = {"uuid", "note", "settled_with"}
COPIED = [each.name for each in fields(GivenJudgement) if each.name not in OWN]


@transaction.atomic
def record_adjudication(unit: SampleUnit, adjudicator, given: GivenDecision) -> tuple[Adjudication, bool]:
    """Settle a unit in dispute; (decision, whether it is new). Resent under its uuid it stays one row.

    A later decision supersedes. Whoever decides has seen the reviews and may not review the unit any more; whoever
    reviewed it may not decide. Raises BadInput, NotAllowed or Conflict with a sentence.
    """
    one_at_a_time("adjudication", unit.pk)
    one_at_a_time("review", unit.pk, adjudicator.pk)
    known = Adjudication.objects.filter(uuid=given.uuid).first()
    if known:
        if (known.adjudicator_id, known.unit_id) != (adjudicator.pk, unit.pk):
            raise Conflict(_("This decision's id belongs to another one."))
        return known, False
    if unit.audit.closed_at:
        raise AuditClosed(_("This audit is closed: its verdicts are final."))
    if unit.retired_at:
        raise NotInDispute(_("The register has moved this record since: its earlier place is not settled any more."))
    if Review.objects.filter(unit=unit, annotator=adjudicator).exists():
        raise NotAllowed(_("You have reviewed this unit yourself: somebody else settles it."))
    asked = ground_truth.cell_outcome_of if unit.grid_cell else ground_truth.outcome_of
    if asked(unit).state not in (State.DISPUTED, State.ADJUDICATED):
        raise NotInDispute(_("This unit is not in dispute: there is nothing to settle."))
    decision = Adjudication(
        **_judgement(unit, given),
        adjudicator=adjudicator,
        supersedes=Adjudication.objects.filter(unit=unit, successor__isnull=True).first(),
    )
    judgements.keep(decision)
    access.expose(adjudicator, [unit.pk], Exposure.What.REVIEWS)
    return decision, True


def _check(unit: SampleUnit, given: GivenDecision) -> None:
    if not unit.grid_cell:
        judgements.check_record(unit, given)
        return
    judgements.check_cell(given)
    if given.verdict == Verdict.SEARCHED:
        raise BadInput(_("What was found in a grid cell is settled with one of its reviews, which hold the marks."))


def _judgement(unit: SampleUnit, given: GivenDecision) -> dict:
    if given.settled_with is None:
        _check(unit, given)
        return judgements.fields_of(unit, given)
    if any(getattr(given, name) for name in COPIED):
        raise BadInput(
            _("A dispute settled with a review takes that review's judgement: leave the other fields empty.")
        )
    review = Review.objects.filter(
        unit=unit, uuid=given.settled_with, successor__isnull=True, retraction__isnull=True
    ).first()
    if review is None:
        raise BadInput(_("The review to settle with is not, or no longer, a current review of this unit."))
    copied = {name: getattr(review, name) for name in COPIED}
    return judgements.fields_of(unit, given) | copied | {"settled_with": review}
