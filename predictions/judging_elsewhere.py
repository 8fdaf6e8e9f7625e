"""Judging a run of another project, as people ask for it: a job of this project, whose answer goes on a run's ladder.

Members of this project see the job, so neither its row nor what it says names the other project (predictions.origins
says it to who may know).
"""

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from labels import access, jobs
from labels.errors import BadInput
from labels.jobs import RunningJob
from labels.models import Job
from predictions import elsewhere
from predictions.models import TrainingRun
from predictions.origins import ELSEWHERE, origin_of

# ---- asking ----


def ask(there: TrainingRun, here: TrainingRun, *, by=None) -> Job:
    """Have a run of another project judged on what `here` was judged on; the same already waiting or under way is it.

    Raises as `elsewhere.check` does, in whose words it is said once more when the job begins and when it ends.
    """
    elsewhere.check(by, there, here)
    with transaction.atomic():
        TrainingRun.objects.select_for_update(no_key=True).get(pk=here.pk)  # of a button pressed twice one asks
        if same := under_way(there, here):
            return same
        return jobs.ask(
            project=here.project,
            kind=Job.Kind.JUDGE_ELSEWHERE,
            subject=str(here),
            requested_by=by,
            parameters=parameters_of(there, here),
        )


def under_way(there: TrainingRun, here: TrainingRun) -> Job | None:
    waiting = jobs_of(here).filter(state__in=(Job.State.QUEUED, Job.State.RUNNING))
    return waiting.filter(parameters=parameters_of(there, here)).first()


def jobs_of(here: TrainingRun) -> QuerySet[Job]:
    """All that were asked for on this run, the newest first."""
    return here.project.jobs.filter(kind=Job.Kind.JUDGE_ELSEWHERE, parameters__here=str(here.uuid))


def parameters_of(there: TrainingRun, here: TrainingRun) -> dict:
    return {"here": str(here.uuid), "origin": origin_of(there)}


# ---- the job ----


def work(running: RunningJob) -> dict:
    """Judge what the job names. Returns {"run": number, "sentence", "page"}."""
    here, by = _here(running), running.job.requested_by
    if not _is_published(here, running.job):  # else killed between publishing and saying so
        there = _there(running)
        judgement = elsewhere.judge(there, here, by=by, begin=running.begin, report=running.progress)
        elsewhere.check(by, _there(running), here)  # a role can be lost meanwhile, a run deleted
        publish(running, there, here, judgement)
    return {
        "run": here.number,
        "sentence": _("A model of another project was judged on what training run %(number)d was judged on.")
        % {"number": here.number},
        "page": reverse("predictions:run_elsewhere", args=[here.project.slug, here.number]),
    }


def _here(running: RunningJob) -> TrainingRun:
    runs = TrainingRun.objects.select_related("project", "feature_set__project", "release__project")
    found = runs.filter(project=running.job.project, uuid=running.parameters["here"]).first()
    if found is None:
        raise BadInput(_("This training run has been deleted."))
    return found


def _there(running: RunningJob) -> TrainingRun:
    runs = TrainingRun.objects.select_related("project", "feature_set")
    found = runs.filter(uuid=running.parameters["origin"]["run"]).first()
    if found is None:
        raise BadInput(_("The run to be judged has been deleted."))
    return found


def _is_published(here: TrainingRun, job: Job) -> bool:
    return any(rung.get("job") == str(job.uuid) for rung in here.figures.get("ladder", []))


def publish(running: RunningJob, there: TrainingRun, here: TrainingRun, judgement: elsewhere.Judgement) -> None:
    """Put the rungs on the ladder, in place of earlier ones of the same run, if this worker still holds the job."""
    about = {
        "origin": origin_of(there),
        "job": str(running.job.uuid),
        "judged_at": timezone.now().isoformat(),
    }
    with transaction.atomic():
        kept = TrainingRun.objects.select_for_update(no_key=True).filter(pk=here.pk).first()
        if kept is None:
            raise BadInput(_("This training run has been deleted."))
        earlier = rungs_of(there, kept)
        ladder = [rung for rung in kept.figures.get("ladder", []) if rung not in earlier]
        kept.figures["ladder"] = [*ladder, *({**rung, **about} for rung in judgement.rungs)]
        kept.save(update_fields=["figures"])
        # The other project keeps who made known how good its model is; not where.
        access.note_access(running.job.requested_by, there.project, "judge_elsewhere", f"run {there.number}")
        running.still_mine()
    here.figures = kept.figures


def rungs_of(there: TrainingRun, here: TrainingRun) -> list[dict]:
    """What stands on the ladder of `here` of one run of another project."""
    found = (rung for rung in here.figures.get("ladder", []) if rung["key"] == ELSEWHERE)
    return [rung for rung in found if rung.get("origin", {}).get("run") == str(there.uuid)]
