"""The demonstration goes on by itself: features after the reviews, then a run, then the choice of it. Each once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone

from labels import jobs
from labels.demonstration.scenes import REGIONAL
from labels.models import Job, Membership
from predictions import demonstration, run_words
from predictions.models import TrainingRun
from tests.factories import make_project, make_source
from tests.predictions.countries import make_province

pytestmark = pytest.mark.django_db

CLONE = Path(__file__).resolve().parents[2]


@pytest.fixture
def wandara():
    project = make_project("wandara")
    for name in ("lead", "admin"):
        user = get_user_model().objects.create_user(name)
        Membership.objects.create(project=project, user=user, role=name)
    make_source(project, name=REGIONAL.name)
    make_province(project)
    return project


def judged(project) -> Job:
    return Job.objects.create(
        project=project,
        kind=Job.Kind.JUDGE_DEMONSTRATION,
        state=Job.State.DONE,
        finished_at=timezone.now(),
        parameters={"recipe": "wandara"},
    )


def test_nothing_comes_before_the_reviews(wandara):
    assert "once the reviews are there" in demonstration.go_on(wandara)
    assert not wandara.feature_sets.exists()


def test_each_step_is_asked_for_once(wandara):
    demonstration.follow(judged(wandara))
    demonstration.go_on(wandara)
    features = wandara.feature_sets.get()
    assert features.job.state == Job.State.QUEUED and features.options["n_filters"] == 256
    assert features.made_by.username == "admin" and features.image_date == "2023-12-28"
    Job.objects.filter(pk=features.job_id).update(state=Job.State.DONE, finished_at=timezone.now())
    features.content_sha256 = "0" * 64
    features.save()
    call_command("demonstrate_model")
    demonstration.go_on(wandara)
    run = wandara.training_runs.get()
    assert run.made_by.username == "lead" and run.options["error_rates_from"] in run_words.ERROR_RATES
    TrainingRun.objects.filter(pk=run.pk).update(content_sha256="1" * 64)
    assert "Training run 1 is there" in demonstration.go_on(wandara)
    run.refresh_from_db()
    assert run.is_current and run.chosen_by.username == "lead"


def test_other_projects_are_left_alone(project):
    demonstration.follow(judged(project))
    assert not project.feature_sets.exists() and project.jobs.count() == 1


def test_what_follows_a_job_follows_it_once_done_and_cannot_undo_it(project, monkeypatch):
    called = []

    def follower(job):
        called.append(job.pk)
        raise RuntimeError("what follows is wrong")

    monkeypatch.setattr(jobs, "_work", jobs._work | {Job.Kind.FIND_DUPLICATES: lambda running: {}})
    monkeypatch.setattr(jobs, "_followers", {Job.Kind.FIND_DUPLICATES: [follower]})
    asked = jobs.ask(project=project, kind=Job.Kind.FIND_DUPLICATES)
    assert jobs.run(asked.pk).state == Job.State.DONE and called == [asked.pk]
    assert jobs.run(asked.pk) is None and called == [asked.pk]


def test_a_workers_process_has_one_thread_of_the_matrix_library():
    code = (
        "import asm_audit.celery, django; django.setup()\n"
        "import predictions.jobs, numpy, scipy.linalg\n"
        "from threadpoolctl import threadpool_info\n"
        "print({pool['num_threads'] for pool in threadpool_info() if pool['user_api'] == 'blas'})"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, cwd=CLONE, capture_output=True, text=True)
    assert said.stdout.strip() == "{1}", said.stderr
