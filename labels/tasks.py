"""Celery tasks: each takes an id and calls one function."""

from celery import shared_task

from labels import jobs
from labels.imagery import sources


@shared_task
def run_job(job_id: int) -> None:
    jobs.run(job_id)


@shared_task
def clear_kept_tiles() -> None:
    sources.clear_kept_tiles()


@shared_task
def resend_silent_jobs() -> None:
    jobs.resend_silent()
