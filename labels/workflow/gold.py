"""Gold answers: what units are known to be, from somebody who does not review them."""

from django.db import transaction
from django.utils.translation import gettext as _

from labels import access
from labels.errors import BadInput, Conflict, NotAllowed
from labels.models import Exposure, GoldAnswer, Review, SampleUnit
from labels.workflow import judgements
from labels.workflow.errors import AuditClosed
from labels.workflow.given import GivenJudgement
from labels.workflow.locks import one_at_a_time


@transaction.atomic
def set_gold(unit: SampleUnit, given_by, given: GivenJudgement) -> GoldAnswer:
    """Keep the gold answer of a record's unit; resent under its uuid it stays one row, a later one supersedes it.

    Who gives it may not review the unit. Reviews that come after it say that they were a check; those before do not.
    """
    one_at_a_time("gold", unit.pk)
    one_at_a_time("review", unit.pk, given_by.pk)
    known = GoldAnswer.objects.filter(uuid=given.uuid).first()
    if known:
        if (known.given_by_id, known.unit_id) != (given_by.pk, unit.pk):
            raise Conflict(_("This gold answer's id belongs to another one."))
        return known
    if unit.audit.closed_at:
        raise AuditClosed(_("This audit is closed: its verdicts are final."))
    if unit.retired_at:
        raise Conflict(_("The register has moved this record since: give the gold answer of its present place."))
    if unit.grid_cell:
        raise BadInput(_("Gold answers are given for records, not for grid cells."))
    if Review.objects.filter(unit=unit, annotator=given_by).exists():
        raise NotAllowed(_("You have reviewed this unit: somebody else gives its gold answer."))
    judgements.check_record(unit, given)
    previous = GoldAnswer.objects.filter(unit=unit, successor__isnull=True).first()
    answer = GoldAnswer(**judgements.fields_of(unit, given), given_by=given_by, supersedes=previous)
    judgements.keep(answer)
    access.expose(given_by, [unit.pk], Exposure.What.GOLD)
    return answer
