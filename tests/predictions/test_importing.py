"""Feature sets from files: from the form to the job that reads them."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError
from django.urls import reverse

from labels import jobs
from labels.models import Job
from predictions import feature_files, importing
from predictions.models import FeatureSet
from tests.predictions.test_feature_files import as_parquet, numbers, table

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(tmp_path):
    as_parquet(table(numbers()), tmp_path / "features.parquet")
    return tmp_path / "features.parquet"


def sent(client, project, path, name: str) -> FeatureSet:
    file = SimpleUploadedFile(path.name, path.read_bytes())
    answer = client.post(reverse("predictions:feature_set_import", args=[project.slug]), {"file": file, "name": name})
    made = project.feature_sets.first()
    assert answer.url == reverse("predictions:feature_set", args=[project.slug, made.slug])
    return made


@pytest.mark.parametrize("name", ["New", "Import", ""])
def test_a_file_that_was_sent_becomes_features_with_a_page_of_their_own(project, admin, client_of, path, name):
    browser = client_of(admin)
    made = sent(browser, project, path, name)
    assert jobs.run(made.job_id).state == Job.State.DONE
    made.refresh_from_db()
    assert (made.is_ready, made.n_cells, made.n_columns, made.original_name) == (True, 4, 3, "features.parquet")
    assert not (made.folder / importing.UPLOAD).exists()
    page = browser.get(reverse("predictions:feature_set", args=[project.slug, made.slug]))
    assert page.context["features"] == made


def test_two_people_who_send_the_same_name_at_once_make_two_sets(project, path):
    first, _parameters = importing.prepared(project, file=path)
    second, _parameters = importing.prepared(project, file=path)
    assert first.slug == second.slug
    for each in (first, second):
        try:
            importing.save_named(each)
        except IntegrityError:
            pytest.fail("the second sees an error of the server")
    assert (first.slug, second.slug) == ("features", "features-2")


def test_what_a_killed_worker_laid_out_goes_when_the_file_is_read_again(project, path):
    made = importing.ask_import(project, file=path)
    left = made.folder / f"{feature_files.ROOM}abc"
    left.mkdir(parents=True)
    (left / "features.f4").write_bytes(b"\0" * 100)
    assert jobs.run(made.job_id).state == Job.State.DONE
    assert sorted(each.name for each in made.folder.iterdir()) == ["features.npz"]


def test_names_of_columns_that_no_database_takes_do_not_fail_the_job(project, tmp_path):
    as_parquet(table(numbers(), **{"a\0b": [1, 2, 3, 4]}), tmp_path / "features")
    made = importing.ask_import(project, file=tmp_path / "features")
    done = jobs.run(made.job_id)
    assert done.state == Job.State.DONE, done.error


def test_of_two_jobs_that_read_one_file_one_does(project, path, admin):
    made = importing.ask_import(project, file=path, by=admin)
    jobs.give_up(made.job, "Killed.")
    first, second = (jobs.retry(made.job, requested_by=admin) for _time in range(2))
    FeatureSet.objects.filter(pk=made.pk).update(job=first)
    assert jobs.run(second.pk).error == "Another job is making these features."
    assert jobs.run(first.pk).state == Job.State.DONE
