"""Asking again for work on a feature set or a run that failed or was stopped: a job of its own on the same row."""

from django.db import transaction
from django.utils.translation import gettext as _

from labels import jobs
from labels.errors import Conflict
from labels.models import Job
from predictions.models import FeatureSet, TrainingRun


@transaction.atomic
def ask_again(row: FeatureSet | TrainingRun, *, by) -> Job:
    """The new job, in the name of who asks now; raises Conflict where the work goes on or is done."""
    locked = type(row).objects.select_for_update(of=("self",)).filter(pk=row.pk).first()
    if locked is None:
        raise Conflict(_("This feature set is gone."))
    if locked.content_sha256 or locked.job is None or locked.job.state not in (Job.State.FAILED, Job.State.CANCELLED):
        raise Conflict(_("This is done, or somebody asked for it again already."))
    locked.job = jobs.retry(locked.job, requested_by=by)
    locked.save(update_fields=["job"])
    return locked.job
