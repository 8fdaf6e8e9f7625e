"""Imports what registers the kinds of work of this app, so that any worker can do it.

Learning imports much that pages have no need of, and is imported when it is done.
"""

import predictions.demonstration
import predictions.featurizing
import predictions.importing  # noqa: F401
from labels import jobs
from labels.models import Job


@jobs.work(Job.Kind.TRAIN)
def train(running: jobs.RunningJob) -> dict:
    from predictions import training

    return training.train(running)


@jobs.work(Job.Kind.JUDGE_ELSEWHERE)
def judge_elsewhere(running: jobs.RunningJob) -> dict:
    from predictions import judging_elsewhere

    return judging_elsewhere.work(running)
