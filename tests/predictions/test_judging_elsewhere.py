"""A run of another project is judged by a job: once, by whom may, to the end whatever is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from labels import jobs
from labels.errors import BadInput, Conflict, JobLost, NotAllowed
from labels.models import AccessRecord, Job, Membership
from labels.models.projects import Role
from predictions import judging_elsewhere, training
from predictions.models import TrainingRun
from predictions.origins import origin_of
from tests.factories import make_project
from tests.predictions.two_countries import audited, model_for, paired

pytestmark = pytest.mark.django_db

CLONE = Path(__file__).resolve().parents[2]

# A real worker that says a line at each point where it could be killed, and goes on when a line comes back.
WORKER = """
import sys
import django
django.setup()
import predictions.jobs
from labels import jobs
from predictions import elsewhere, judging_elsewhere
def stepping(module, name):
    function = getattr(module, name)
    def stepped(*args, **options):
        result = function(*args, **options)
        print(name, flush=True)
        sys.stdin.readline()
        return result
    setattr(module, name, stepped)
stepping(elsewhere, "judge")
stepping(judging_elsewhere, "publish")
jobs.run(int(sys.argv[1]))
"""


@pytest.fixture
def both(project, lead) -> tuple[TrainingRun, TrainingRun]:
    """A model of one country and the country it can be judged in; the lead leads in both."""
    here = audited()
    Membership.objects.create(project=here.project, user=lead, role=Role.LEAD)
    return model_for(here, project), here


@pytest.fixture
def asked(project, lead) -> tuple[TrainingRun, TrainingRun, Job]:
    """The same, of runs without labels and features behind them: judging them would fail."""
    there, here = paired(project)
    Membership.objects.create(project=here.project, user=lead, role=Role.LEAD)
    return there, here, judging_elsewhere.ask(there, here, by=lead)


def rungs(here: TrainingRun) -> list[dict]:
    here.refresh_from_db()
    return [rung for rung in here.figures.get("ladder", []) if rung["key"] == "elsewhere"]


def test_it_is_asked_for_and_done_by_a_worker(both, lead):
    there, here = both
    job = judging_elsewhere.ask(there, here, by=lead)
    assert (str(job.state), job.requested_by, rungs(here)) == ("queued", lead, [])
    job = jobs.run(job.pk)
    assert (str(job.state), job.error) == ("done", "")
    found = rungs(here)
    assert [rung["negatives"] for rung in found] == ["all_searched", "random", "hard"]
    assert found[0]["metrics"]["auc"]["low"] > 0.6
    assert [rung["origin"] for rung in found] == [origin_of(there)] * 3
    assert found[0]["job"] == str(job.uuid)
    # Kept there, without a word of where.
    noted = AccessRecord.objects.get(project=there.project)
    assert (noted.user, noted.action, noted.subject) == (lead, "judge_elsewhere", f"run {there.number}")
    # Again: in place of the first, beside those of other runs.
    other = model_for(here, make_project())
    jobs.run(judging_elsewhere.ask(other, here).pk)
    again = jobs.run(judging_elsewhere.ask(there, here, by=lead).pk)
    assert again.pk != job.pk
    assert [rung["origin"]["project"] for rung in rungs(here)] == [other.project_id] * 3 + [there.project_id] * 3
    assert [rung["job"] for rung in judging_elsewhere.rungs_of(there, here)] == [str(again.uuid)] * 3
    # Once its files are gone: the answer stays, another cannot be had.
    (there.folder / training.MODEL).unlink()
    ended = jobs.run(judging_elsewhere.ask(there, here, by=lead).pk)
    assert str(ended.state) == "failed"
    assert ended.error == "The files of the run to be judged are missing or damaged: it cannot be judged any more."
    assert len(rungs(here)) == 6


def test_the_same_asked_while_it_waits_is_one_job(asked, lead, project):
    there, here, job = asked
    assert judging_elsewhere.ask(there, here, by=lead) == job
    jobs.take(job.pk)
    assert judging_elsewhere.ask(there, here, by=lead) == job
    other, _ = paired(project, here=make_project())
    assert judging_elsewhere.ask(other, here, by=lead) != job
    failed = Job.objects.get(pk=job.pk)
    jobs.give_up(failed, "Killed.")
    assert judging_elsewhere.ask(there, here, by=lead) != job
    with pytest.raises(Conflict, match="waits already"):
        jobs.retry(failed, requested_by=lead)  # from the page of jobs


@pytest.mark.parametrize("which", ["there", "here"])
def test_who_has_lost_the_right_gets_no_answer(asked, lead, which):
    there, here, job = asked
    lost = {"there": there, "here": here}[which].project
    Membership.objects.filter(project=lost, user=lead).update(role=Role.ADJUDICATOR)
    ended = jobs.run(job.pk)
    assert (str(ended.state), ended.error) == ("failed", "You may not look at training runs of both projects.")
    with pytest.raises(NotAllowed):
        judging_elsewhere.ask(there, here, by=lead)


def test_what_is_lost_while_it_was_judged_counts(both, lead):
    """The job itself, then the right to look."""
    there, here = both
    running = jobs.RunningJob(jobs.take(judging_elsewhere.ask(there, here, by=lead).pk))
    running._write = lambda **fields: None  # it does not learn of it before the end
    Job.objects.filter(pk=running.job.pk).update(token=running.token + 1)
    with pytest.raises(JobLost):
        judging_elsewhere.work(running)

    def lose(stage, n_total=None):
        if stage == "judging":
            Membership.objects.filter(project=there.project, user=lead).delete()

    running.begin = lose
    with pytest.raises(NotAllowed):
        judging_elsewhere.work(running)
    assert rungs(here) == [] and not AccessRecord.objects.filter(action="judge_elsewhere").exists()


def test_who_asks_again_for_it_does_so_in_the_own_name(asked, admin):
    """An admin here who does not know the other project tries a failed job again, on the page of jobs."""
    _there, here, job = asked
    Membership.objects.filter(user=admin).update(project=here.project)
    jobs.give_up(job, "Killed.")
    again = jobs.run(jobs.retry(job, requested_by=admin).pk)
    assert again.error == "You may not look at training runs of both projects."


def test_a_run_deleted_before_its_turn_fails_it_with_a_reason(asked):
    there, here, job = asked
    there.delete()
    assert jobs.run(job.pk).error == "The run to be judged has been deleted."
    other = judging_elsewhere.ask(paired(make_project(), here=make_project())[0], here)
    here.delete()
    assert jobs.run(other.pk).error == "This training run has been deleted."


def test_a_cancelled_one_leaves_no_answer(asked):
    _there, here, job = asked
    jobs.cancel(job)
    assert jobs.run(job.pk) is None and rungs(here) == []
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED


def worker(job: Job, settings) -> subprocess.Popen:
    environment = os.environ | {
        "DATABASE_NAME": connection.settings_dict["NAME"],
        "DJANGO_SETTINGS_MODULE": "asm_audit.settings",
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
    }
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(job.pk)],
        cwd=CLONE, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def killed_after(step: str, job: Job, settings) -> None:
    process = worker(job, settings)
    while (line := process.stdout.readline().strip()) != step:
        assert line, f"it never came to {step}"
        process.stdin.write("\n")
        process.stdin.flush()
    process.kill()
    process.communicate()
    Job.objects.filter(pk=job.pk).update(heartbeat_at="2020-01-01T00:00Z")  # what silence would do in a minute


@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_leaves_nothing_half_and_nothing_twice(both, settings):
    there, here = both
    job = judging_elsewhere.ask(there, here)
    killed_after("judge", job, settings)
    assert rungs(here) == []
    killed_after("publish", job, settings)  # between publishing and saying so
    published = rungs(here)
    assert len(published) == 3
    job.refresh_from_db()
    assert str(job.state) == "running"
    assert str(jobs.run(job.pk).state) == "done"
    assert rungs(here) == published  # to the second it was judged in
    assert AccessRecord.objects.filter(action="judge_elsewhere").count() == 1


def test_a_run_of_the_own_project_is_no_other(asked):
    _there, here, _job = asked
    with pytest.raises(BadInput, match="another project"):
        judging_elsewhere.ask(here, here)
