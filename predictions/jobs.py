"""Imports what registers the kinds of work of this app, so that any worker can do it.

Learning and the demonstration import much that pages have no need of, and are imported when they are done.
"""

import predictions.featurizing
import predictions.importing  # noqa: F401
from labels import jobs
from labels.models import Job


@jobs.work(Job.Kind.TRAIN)
def train(running: jobs.RunningJob) -> dict:
    from predictions import training

    return training.train(running)


@jobs.after(Job.Kind.JUDGE_DEMONSTRATION, Job.Kind.FEATURIZE, Job.Kind.TRAIN)
def go_on_with_demonstration(job: Job) -> None:
    if job.project.jobs.filter(kind=Job.Kind.JUDGE_DEMONSTRATION).exists():
        from predictions import demonstration

        demonstration.follow(job)
