"""The demonstration's kinds of work. Only a process that draws imports what draws: pages need none of it."""

from labels import jobs
from labels.models import Job


@jobs.work(Job.Kind.DRAW_SCENES)
def draw_scenes(job: jobs.RunningJob) -> dict:
    from labels.demonstration import loading_imagery

    return loading_imagery.draw_scenes(job)


@jobs.work(Job.Kind.JUDGE_DEMONSTRATION)
def judge(job: jobs.RunningJob) -> dict:
    from labels.demonstration import loading_work

    return loading_work.judge(job)
