"""A feature set that nobody wants is taken away with its files; one that something rests on stays."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from labels.errors import BadInput, Conflict, NotAllowed
from labels.jobs import RunningJob
from labels.models import AccessRecord, Job
from predictions import chunks, feature_jobs, rules, training
from predictions.asking_again import ask_again
from predictions.models import FeatureChunk, FeatureSet
from tests.predictions.learned import make_feature_set, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def failed(project) -> FeatureSet:
    """Its job failed when one chunk was there."""
    job = Job.objects.create(
        project=project, kind=Job.Kind.FEATURIZE, state=Job.State.FAILED, error="Full.", finished_at=timezone.now()
    )
    made = make_feature_set(project, is_ready=False, job=job)
    chunk = FeatureChunk.objects.create(feature_set=made, number=0, n_cells=1, token=1, sha256="0" * 64)
    made.folder.mkdir(parents=True)
    for path in (chunks.path_of(chunk, made), made.folder / chunks.PLAN):
        path.write_bytes(b"numbers")
    return made


def address(feature_set: FeatureSet) -> str:
    return reverse("predictions:feature_set_delete", args=[feature_set.project.slug, feature_set.slug])


def aged(path, hours: float):
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


def test_a_failed_set_is_deleted_after_a_question(client_of, admin, failed):
    browser = client_of(admin)
    page = browser.get(reverse("predictions:feature_set", args=[failed.project.slug, failed.slug])).content.decode()
    assert address(failed) in page
    assert "cannot be undone" in browser.get(address(failed)).content.decode()
    assert FeatureSet.objects.filter(pk=failed.pk).exists() and failed.folder.exists()
    answer = browser.post(address(failed), follow=True)
    assert f"The features {failed.name} are deleted." in answer.content.decode()
    assert not FeatureSet.objects.filter(pk=failed.pk).exists() and not FeatureChunk.objects.exists()
    assert not failed.folder.exists()
    noted = AccessRecord.objects.get(action="delete_features")
    assert noted.user == admin and str(failed.uuid) in noted.subject


def test_a_lead_deletes_none(client_of, lead, failed):
    assert client_of(lead).post(address(failed)).status_code == 403
    assert (
        address(failed)
        not in client_of(lead)
        .get(reverse("predictions:feature_set", args=[failed.project.slug, failed.slug]))
        .content.decode()
    )
    with pytest.raises(NotAllowed):
        feature_jobs.delete(failed, by=lead)


def test_what_a_run_learned_from_stays(client_of, admin, project):
    run = make_run(project)
    answer = client_of(admin).post(address(run.feature_set), follow=True)
    assert "1 training run learned from these features" in answer.content.decode()
    assert "Delete it" not in client_of(admin).get(address(run.feature_set)).content.decode()
    assert FeatureSet.objects.filter(pk=run.feature_set_id).exists()


def test_what_the_rule_trains_on_what_is_under_way_and_whose_filters_are_wanted_stay(project, admin, lead, failed):
    features = make_feature_set(project)
    rules.set_rule(project, feature_set=features, by=lead)
    with pytest.raises(Conflict, match="rule"):
        feature_jobs.delete(features, by=admin)
    Job.objects.filter(pk=failed.job_id).update(state=Job.State.RUNNING, finished_at=None)
    with pytest.raises(Conflict, match="stop that first"):
        feature_jobs.delete(failed, by=admin)
    learned = make_feature_set(project)
    make_feature_set(project, is_ready=False, options={"filters_of": str(learned.uuid)})
    with pytest.raises(Conflict, match="filters"):
        feature_jobs.delete(learned, by=admin)


def test_killed_at_any_point_the_set_is_whole_or_gone(failed, admin, monkeypatch):
    """Before the row went: all of it is there. After: the next job clears the folder."""
    real = FeatureSet.delete
    monkeypatch.setattr(FeatureSet, "delete", _killed)
    with pytest.raises(Killed):
        feature_jobs.delete(failed, by=admin)
    feature_jobs.clear_left()
    assert sorted(path.name for path in failed.folder.iterdir()) == ["chunk-000000-1.npz", "going", "plan.npz"]
    aged(failed.folder / feature_jobs.GOING, hours=25)
    feature_jobs.clear_left()
    assert sorted(path.name for path in failed.folder.iterdir()) == ["chunk-000000-1.npz", "plan.npz"]
    monkeypatch.setattr(FeatureSet, "delete", real)
    monkeypatch.setattr(feature_jobs.shutil, "rmtree", _killed)
    with pytest.raises(Killed):
        feature_jobs.delete(failed, by=admin)
    assert failed.folder.exists() and not FeatureSet.objects.exists()
    monkeypatch.undo()
    feature_jobs.clear_left()
    assert not failed.folder.exists()


class Killed(BaseException):
    pass


def _killed(*_which, **_how):
    raise Killed


def test_chunks_of_killed_helpers_are_cleared_once_they_are_old_and_only_those_nobody_reads(project, failed, settings):
    ready = make_feature_set(project)
    ready.folder.mkdir(parents=True)
    for each in (ready, failed):
        for name in ("chunk-000003-7.npz", "features.npz"):
            (each.folder / name).write_bytes(b"numbers")
    feature_jobs.clear_left()
    assert (ready.folder / "chunk-000003-7.npz").exists()  # its helper may be about to mark it
    for each in (ready, failed):
        aged(each.folder / "chunk-000003-7.npz", hours=25)
    gone = failed.folder.with_name("11111111-1111-4111-8111-111111111111")
    gone.mkdir()
    (gone / "chunk-000000-2.npz").write_bytes(b"numbers")
    aged(gone / "chunk-000000-2.npz", hours=25)
    feature_jobs.clear_left()
    assert [path.name for path in ready.folder.iterdir()] == ["features.npz"]
    assert (failed.folder / "chunk-000003-7.npz").exists()
    assert not gone.exists()


# ---- two at once ----


def test_nothing_comes_to_rest_on_a_set_that_is_gone(project, lead, admin):
    """Each was read by its page before somebody else deleted it."""
    read = make_feature_set(project)
    feature_jobs.delete(FeatureSet.objects.get(pk=read.pk), by=admin)
    with pytest.raises(BadInput, match="gone"):
        training.start_run(project, feature_set=read, by=lead)
    with pytest.raises(BadInput, match="gone"):
        rules.set_rule(project, feature_set=read, by=lead)
    with pytest.raises(Conflict, match="gone"):
        ask_again(read, by=admin)


def test_a_button_pressed_twice_deletes_once(failed, admin):
    feature_jobs.delete(FeatureSet.objects.get(pk=failed.pk), by=admin)
    feature_jobs.delete(failed, by=admin)
    assert AccessRecord.objects.filter(action="delete_features").count() == 1


def under_way(project, **parameters) -> Job:
    return Job.objects.create(project=project, kind=Job.Kind.FEATURIZE, state=Job.State.RUNNING, parameters=parameters)


def said_after_waiting(row, job: Job, late) -> str | None:
    """What is said to whoever waits for the row while another gives it the job."""

    def try_it():
        try:
            late()
        except Conflict as error:
            return str(error)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            type(row).objects.select_for_update().get(pk=row.pk)
            type(row).objects.filter(pk=row.pk).update(job=job)
            said = pool.submit(try_it)
            until_somebody_waits()
        return said.result(timeout=20)


@pytest.mark.django_db(transaction=True)
def test_who_waited_for_a_set_sees_the_job_that_took_it_meanwhile(failed, admin):
    first, second = (under_way(failed.project, feature_set=str(failed.uuid)) for _ in range(2))
    assert "stop that first" in said_after_waiting(failed, first, lambda: feature_jobs.delete(failed, by=admin))
    FeatureSet.objects.update(job=under_way(failed.project))
    assert "Another job" in said_after_waiting(failed, first, lambda: feature_jobs.set_of(RunningJob(second)))
    assert FeatureSet.objects.get(pk=failed.pk).job == first


@pytest.mark.django_db(transaction=True)
def test_who_waited_for_a_run_sees_the_job_that_took_it_meanwhile(project):
    run = make_run(project, is_done=False, state=Job.State.FAILED)
    first, second = (under_way(project) for _ in range(2))
    assert "Another job" in said_after_waiting(run, first, lambda: training._take_over(run, second))
    run.refresh_from_db()
    assert run.job == first


def until_somebody_waits():
    for _ in range(400):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
                " WHERE NOT granted AND datname = current_database()"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.05)
    raise AssertionError("nobody waits")
