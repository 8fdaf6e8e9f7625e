"""Jobs: the row is the truth; a message delivered twice, late or never changes nothing of that."""

import json
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from celery.contrib.testing.worker import start_worker
from django.contrib.auth import get_user_model
from django.db import connection, connections
from django.urls import reverse
from django.utils import timezone

from asm_audit.celery import app
from labels import audit_opening, jobs
from labels.errors import BadInput, JobLost
from labels.ingest import areas, registers
from labels.ingest.staging import Staging
from labels.models import Job
from labels.workflow import opening
from tests.factories import make_record, make_register

KIND = "test_kind"
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def work(monkeypatch):
    """A kind of work made for the test: a function of the RunningJob."""

    def register(function):
        monkeypatch.setitem(jobs._work, KIND, function)

    return register


def asked(project, **fields) -> Job:
    return Job.objects.create(project=project, kind=KIND, **fields)


def test_it_runs_once_however_often_it_is_delivered(project, work):
    ran = []
    work(lambda running: ran.append(running.job.pk))
    job = asked(project)
    assert jobs.run(job.pk).state == Job.State.DONE
    assert jobs.run(job.pk) is None
    assert ran == [job.pk]


def test_a_sentence_is_kept_as_the_reason(project, work):
    def fail(running):
        raise BadInput("Row 3 has no latitude.")

    work(fail)
    job = jobs.run(asked(project).pk)
    assert (job.state, job.error) == (Job.State.FAILED, "Row 3 has no latitude.")


def test_a_fault_of_ours_shows_no_trace(project, work):
    work(lambda running: 1 / 0)
    job = jobs.run(asked(project).pk)
    assert job.state == Job.State.FAILED
    assert "Traceback" not in job.error and "division" not in job.error


def test_a_worker_that_was_given_up_on_writes_nothing(project, work):
    """Another worker takes the silent job over while the first one still runs."""

    def slow(running):
        Job.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
        assert jobs.take(running.job.pk) is not None
        running.begin("too late")

    work(slow)
    job = jobs.run(asked(project).pk)
    assert (job.state, job.stage) == (Job.State.RUNNING, "")


def test_a_publication_is_fenced(project):
    job = asked(project)
    first = jobs.RunningJob(jobs.take(job.pk))
    Job.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    jobs.take(job.pk)
    with pytest.raises(JobLost):
        first.still_mine()


def test_a_running_job_is_not_taken_twice(project):
    job = asked(project)
    assert jobs.take(job.pk)
    assert jobs.take(job.pk) is None


def test_after_three_silent_attempts_it_fails(project):
    job = asked(project)
    for _ in range(Job.MAX_ATTEMPTS):
        assert jobs.take(job.pk)
        Job.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert jobs.take(job.pk) is None
    job.refresh_from_db()
    assert job.state == Job.State.FAILED and "3 times" in job.error


def test_cancelling_a_queued_job_ends_it(project, work):
    ran = []
    work(ran.append)
    job = asked(project)
    jobs.cancel(job)
    assert jobs.run(job.pk) is None
    job.refresh_from_db()
    assert (job.state, ran) == (Job.State.CANCELLED, [])


def test_cancelling_a_running_job_stops_it_at_its_next_report(project, work):
    def long(running):
        jobs.cancel(running.job)
        running.begin("second stage")
        raise AssertionError("it went on")

    work(long)
    assert jobs.run(asked(project).pk).state == Job.State.CANCELLED


def test_who_tries_again_is_who_asked(project, admin, client_of):
    """A release tried again by another admin must not be noted under the first one's name."""
    first = get_user_model().objects.create_user("gone")
    job = asked(project, state=Job.State.FAILED, finished_at=timezone.now(), requested_by=first)
    client_of(admin).post(reverse("labels:job_retry", args=[project.slug, job.uuid]))
    assert Job.objects.latest("pk").requested_by == admin


def test_one_name_is_not_two_audits(project):
    """Two people ask for audits of different registers under one name before either is drawn."""
    asked_for = []
    for _ in range(2):
        register = make_register(project)
        make_record(register)
        fields = {"name": "A", "register": register, "reviews_per_unit": 1, "same_site_m": 250, "seed": 1}
        parameters = audit_opening.parameters(**fields)
        asked_for.append(Job.objects.create(project=project, kind=Job.Kind.OPEN_AUDIT, parameters=parameters))
    first, second = [jobs.run(job.pk) for job in asked_for]
    assert (first.state, second.state) == (Job.State.DONE, Job.State.FAILED)


def work_of(kind: str, register, folder: Path) -> dict:
    """Parameters of a job of that kind that has something to do."""
    if kind == Job.Kind.OPEN_AUDIT:
        return audit_opening.parameters(name="A", register=register, reviews_per_unit=1, same_site_m=250, seed=1)
    if kind == Job.Kind.LOAD_REGISTER:
        path = folder / "list.csv"
        path.write_text("id,lon,lat\n1,-10.7,6.4\n")
        mapping = {"source_id": "id", "longitude": "lon", "latitude": "lat"}
        return registers.parameters_of(register, mapping, path=path)
    path = folder / "areas.geojson"
    ring = [[-11, 6], [-10, 6], [-10, 7], [-11, 7], [-11, 6]]
    shape = {"type": "Feature", "properties": {"name": "K"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [shape]}))
    return areas.parameters_of(path=path, kind="admin", layer="L", level=1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("kind", "where", "step"),
    [
        (Job.Kind.OPEN_AUDIT, opening, "_add_units"),
        (Job.Kind.LOAD_REGISTER, Staging, "publish"),
        (Job.Kind.LOAD_AREAS, areas, "_publish"),
    ],
)
def test_cancel_and_heartbeat_do_not_wait_for_a_publication(project, monkeypatch, tmp_path, kind, where, step):
    register = make_register(project)
    make_record(register)
    job = Job.objects.create(project=project, kind=kind, parameters=work_of(kind, register, tmp_path))
    real, waits = getattr(where, step), []

    def cancel():
        jobs.cancel(job)
        connection.close()

    def while_somebody_cancels(*args, **kwargs):
        other = threading.Thread(target=cancel)
        other.start()
        other.join(timeout=5)
        waits.append(other.is_alive())
        return real(*args, **kwargs)

    monkeypatch.setattr(where, step, while_somebody_cancels)
    jobs.run(job.pk)
    assert waits == [False]


def test_progress_is_cheap_and_honest(project, work):
    def count(running):
        running.begin("counting", 10_000)
        for _ in running.counted(range(10_000), 10_000):
            pass
        running.job.refresh_from_db()
        assert running.job.n_total == 10_000

    work(count)
    assert jobs.run(asked(project).pk).state == Job.State.DONE


def test_silent_jobs_are_sent_again(project, monkeypatch):
    sent = []
    monkeypatch.setattr(jobs, "send", lambda job: sent.append(job.pk))
    never_sent = asked(project)
    asked(project, sent_at=timezone.now())
    silent = asked(project, state="running", heartbeat_at=timezone.now() - timedelta(hours=1))
    asked(project, state="running", heartbeat_at=timezone.now())
    jobs.resend_silent()
    assert sorted(sent) == sorted([never_sent.pk, silent.pk])


ASK = """
from labels import jobs
from labels.models import Project
print(jobs.ask(project=Project.objects.get(), kind="load_areas").state)
"""


@pytest.mark.django_db(transaction=True)
def test_asking_works_without_redis(project, tmp_path):
    """A process whose Redis is gone: what it asks for is a row all the same, and waits for beat."""
    environment = os.environ | {
        "DATABASE_NAME": connection.settings_dict["NAME"],
        "REDIS_URL": f"redis+socket://{tmp_path}/gone.sock?virtual_host=0",
    }
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", ASK]
    asked = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert asked.stdout.strip() == "queued", asked.stderr
    assert Job.objects.get().state == Job.State.QUEUED


@pytest.mark.django_db(transaction=True)
def test_a_real_worker_does_it_through_redis(project, work):
    """Asked here, sent through Redis, done by a Celery worker."""
    work(lambda running: {"answer": 42})
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=20):
        job = jobs.ask(project=project, kind=KIND)
        for _ in range(200):
            job.refresh_from_db()
            if job.is_over:
                break
            time.sleep(0.1)
    connections.close_all()
    assert (job.state, job.result) == (Job.State.DONE, {"answer": 42})


def test_a_running_stage_has_an_expected_end_once_it_can_be_told(project):
    now = timezone.now()
    job = Job(project=project, state=Job.State.RUNNING, n_done=25, n_total=100)
    assert job.expected_end is None
    job.stage_started_at = now - timedelta(seconds=1)
    assert job.expected_end is None
    job.stage_started_at = now - timedelta(seconds=10)
    assert abs(job.expected_end - now - timedelta(seconds=30)) < timedelta(seconds=2)
    assert Job(project=project, state=Job.State.RUNNING, n_done=25, stage_started_at=now).expected_end is None
