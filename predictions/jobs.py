"""Imports what registers the kinds of work of this app, so that any worker can do it.

Learning and the demonstration import much that pages have no need of, and are imported when they are done.
"""

from django.utils.translation import gettext as _

import predictions.featurizing
import predictions.importing  # noqa: F401
from labels import jobs
from labels.errors import Conflict
from labels.models import Job, Project
from predictions.models import TrainingRun


@jobs.work(Job.Kind.TRAIN)
def train(running: jobs.RunningJob) -> dict:
    from predictions import training

    return training.train(running)


def _is_asked_once(project: Project, parameters: dict) -> None:
    """The page of jobs asks again without knowing what else waits."""
    here = TrainingRun.objects.filter(project=project, uuid=parameters["here"])
    list(here.select_for_update(no_key=True).values_list("pk"))  # of a button pressed twice one asks
    unfinished = project.jobs.filter(state__in=(Job.State.QUEUED, Job.State.RUNNING))
    if unfinished.filter(kind=Job.Kind.JUDGE_ELSEWHERE, parameters=parameters).exists():
        raise Conflict(_("The same waits already, or is under way."))


@jobs.work(Job.Kind.JUDGE_ELSEWHERE, may_be_asked=_is_asked_once)
def judge_elsewhere(running: jobs.RunningJob) -> dict:
    from predictions import judging_elsewhere

    return judging_elsewhere.work(running)


@jobs.after(Job.Kind.JUDGE_DEMONSTRATION, Job.Kind.FEATURIZE, Job.Kind.TRAIN)
def go_on_with_demonstration(job: Job) -> None:
    if job.project.jobs.filter(kind=Job.Kind.JUDGE_DEMONSTRATION).exists():
        from predictions import demonstration

        demonstration.follow(job)
