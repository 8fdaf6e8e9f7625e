import os
import time
from datetime import date
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from labels import jobs
from labels.errors import JobCancelled
from labels.imagery import loading, publishing, sandbox, stages
from labels.models import ImagerySource, Job, Project, Scene
from tests import rasters
from tests.factories import make_scene, make_source, square


def load(project, *paths, **options):
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    call_command("load_imagery", *map(str, paths), "--project", project.slug, "--name", "Survey 2023", *words)


def files_of(settings) -> list[str]:
    return sorted(path.name for path in (Path(settings.MEDIA_ROOT) / "imagery").rglob("*") if path.is_file())


def test_a_file_becomes_a_scene_with_its_facts(project, tmp_path, settings):
    load(project, rasters.picture(tmp_path), acquired="2023-04-05", attribution="© Surveyors")
    scene = Scene.objects.get()
    assert (scene.source.slug, scene.source.attribution) == ("survey-2023", "© Surveyors")
    assert (scene.captured_on, scene.captured_known_by) == (date(2023, 4, 5), "stated")
    assert scene.path == f"imagery/{project.pk}/{scene.uuid}.tif"
    assert files_of(settings) == [f"{scene.uuid}.tif"]
    assert stages.sha256_of(Path(settings.MEDIA_ROOT) / scene.path) == scene.sha256
    assert scene.resolution_m == pytest.approx((77.6 * 44.2) ** 0.5, rel=0.01)
    assert scene.job.state == Job.State.DONE
    assert scene.preparation["size_px"] == [61, 43]


def test_the_same_file_again_changes_nothing(project, tmp_path, settings):
    path = rasters.picture(tmp_path)
    load(project, path, acquired="2023-04-05")
    load(project, path, acquired="2023-04-05")
    load(project, path)
    assert Scene.objects.count() == len(files_of(settings)) == 1


def test_an_undated_picture_is_dated_later_without_a_copy(project, tmp_path, settings):
    path = rasters.picture(tmp_path)
    load(project, path)
    assert Scene.objects.get().captured_known_by == "unknown"
    load(project, path, acquired="2023-04-05")
    assert (Scene.objects.get().captured_on, len(files_of(settings))) == (date(2023, 4, 5), 1)


@pytest.mark.parametrize("wish", [{"bands": "3,2,1"}, {"stretch": "0,10000"}, {"bands": "nir=1"}])
def test_other_bands_or_stretch_of_a_picture_that_is_there_are_refused(wish, project, tmp_path):
    path = rasters.picture(tmp_path)
    load(project, path, acquired="2023-04-05")
    with pytest.raises(CommandError, match="other bands or another stretch; remove that scene first"):
        load(project, path, **wish)
    load(project, path, bands="1,2,3")
    publishing.remove(Scene.objects.get())
    load(project, path, **wish)
    load(project, path, **wish)
    assert Scene.objects.count() == 1


def test_a_picture_cannot_have_two_dates(project, tmp_path):
    path = rasters.picture(tmp_path)
    load(project, path, acquired="2023-04-05")
    with pytest.raises(CommandError, match="already in the source with the capture date 2023-04-05"):
        load(project, path, acquired="2019-01-01")


def test_a_refused_file_fails_the_command_and_the_others_are_kept(project, tmp_path, settings):
    bad = rasters.picture(tmp_path, "nowhere.tif", crs=None)
    with pytest.raises(CommandError, match=r"1 of 2 files were loaded. Refused: nowhere.tif: .* where on the") as error:
        load(project, bad, rasters.picture(tmp_path))
    assert error.value.returncode == 2
    assert Scene.objects.count() == len(files_of(settings)) == 1
    assert Job.objects.get().state == Job.State.FAILED


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"acquired": "05/04/2023"}, "YYYY-MM-DD"),
        ({"acquired": "2123-04-05"}, "future"),
    ],
)
def test_a_wrong_date_is_refused_in_words(options, sentence, project, tmp_path):
    with pytest.raises(CommandError, match=sentence):
        load(project, rasters.picture(tmp_path), **options)
    assert not ImagerySource.objects.exists()


def test_a_file_that_is_not_there_is_refused(project, tmp_path):
    with pytest.raises(CommandError, match="no file"):
        load(project, tmp_path / "none.tif")


def test_a_country_makes_the_project(db, tmp_path):
    call_command("load_imagery", str(rasters.picture(tmp_path)), project="new-land", name="S", country="NLD")
    assert Project.objects.get(slug="new-land").imagery_sources.count() == 1


def test_a_cancelled_job_leaves_nothing(project, tmp_path, settings, monkeypatch):
    def cancelled(**given):
        (given["folder"] / "warped.tif").write_bytes(b"half")
        raise JobCancelled

    monkeypatch.setattr(sandbox, "prepare", cancelled)
    source = make_source(project)
    parameters = loading.parameters(source, [(str(rasters.picture(tmp_path)), "p.tif")], acquired=None)
    job = jobs.ask(project=project, kind=Job.Kind.LOAD_IMAGERY, parameters=parameters)
    assert jobs.run(job.pk).state == Job.State.CANCELLED
    assert files_of(settings) == []


def test_a_job_that_was_taken_over_publishes_nothing(project, tmp_path, settings, monkeypatch):
    real = sandbox.prepare

    def overtaken(**given):
        answer = real(**given)
        Job.objects.update(token=99)
        return answer

    monkeypatch.setattr(sandbox, "prepare", overtaken)
    source = make_source(project)
    parameters = loading.parameters(source, [(str(rasters.picture(tmp_path)), "p.tif")], acquired=None)
    job = jobs.ask(project=project, kind=Job.Kind.LOAD_IMAGERY, parameters=parameters)
    jobs.run(job.pk)
    assert not Scene.objects.exists()
    assert files_of(settings) == []


def upload(project, path: Path, **fields):
    file = SimpleUploadedFile(path.name, path.read_bytes(), content_type="image/tiff")
    rights = {f"new-{name}": "on" for name in ("may_view", "may_cache", "may_derive_labels", "may_share_labels")}
    return {"file": file, "acquired": "2023-04-05", "new-name": "Drone survey"} | rights | fields


def new_page(project) -> str:
    return reverse("labels:imagery_new", args=[project.slug])


def test_an_admin_uploads_a_picture_into_a_new_source_with_its_rights(
    project, admin, client_of, tmp_path, settings, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=False):
        response = client_of(admin).post(new_page(project), upload(project, rasters.picture(tmp_path)))
    job = Job.objects.get()
    assert response["Location"] == reverse("labels:job", args=[project.slug, job.uuid])
    source = ImagerySource.objects.get()
    assert (source.slug, source.may_train, source.may_view) == ("drone-survey", False, True)
    assert jobs.run(job.pk).state == Job.State.DONE
    assert Scene.objects.get().captured_on == date(2023, 4, 5)
    assert Scene.objects.get().original_name == "picture.tif"
    assert list((Path(settings.MEDIA_ROOT) / "uploads").iterdir()) == []


def uploads_left(settings) -> list[str]:
    return sorted(path.name for path in (Path(settings.MEDIA_ROOT) / "uploads").iterdir())


def ask_for_upload(project, content: bytes, **wish) -> Job:
    source = project.imagery_sources.first() or make_source(project)
    path = loading.keep_upload(SimpleUploadedFile("x.tif", content))
    parameters = loading.parameters(source, [(path, "x.tif")], acquired=None, are_uploads=True, **wish)
    return jobs.ask(project=project, kind=Job.Kind.LOAD_IMAGERY, parameters=parameters)


def test_a_refused_upload_is_removed_and_a_retry_says_so(project, settings, admin):
    job = jobs.run(ask_for_upload(project, b"II*\0" + bytes(5000)).pk)
    assert job.state == Job.State.FAILED and "cannot be read" in job.error
    assert str(settings.MEDIA_ROOT) not in job.error and "/" not in job.error
    assert uploads_left(settings) == []
    assert "upload it again" in jobs.run(jobs.retry(job, requested_by=admin).pk).error


def test_an_upload_is_kept_while_a_scene_is_in_its_way(project, settings, admin, tmp_path):
    content = rasters.picture(tmp_path).read_bytes()
    assert jobs.run(ask_for_upload(project, content).pk).state == Job.State.DONE
    job = jobs.run(ask_for_upload(project, content, bands="3,2,1").pk)
    assert "remove that scene first" in job.error
    assert len(uploads_left(settings)) == 1
    publishing.remove(Scene.objects.get())
    assert jobs.run(jobs.retry(job, requested_by=admin).pk).state == Job.State.DONE
    assert Scene.objects.get().preparation["bands"] == [3, 2, 1]
    assert uploads_left(settings) == []


def test_uploads_of_no_open_job_are_swept_when_they_are_old(project, settings, tmp_path):
    waiting = ask_for_upload(project, b"II*\0")
    cancelled = ask_for_upload(project, b"II*\0")
    jobs.cancel(cancelled)
    long_ago = time.time() - 4 * 24 * 3600
    for path in (Path(settings.MEDIA_ROOT) / "uploads").iterdir():
        os.utime(path, (long_ago, long_ago))
    new = ask_for_upload(project, b"II*\0")
    load(project, rasters.picture(tmp_path))
    kept = sorted(Path(job.parameters["files"][0]["path"]).name for job in (waiting, new))
    assert uploads_left(settings) == kept


def test_an_upload_goes_into_an_existing_source(project, admin, client_of, tmp_path):
    source = make_source(project)
    fields = upload(project, rasters.picture(tmp_path), source=source.pk, acquired="", is_undated="on")
    client_of(admin).post(new_page(project), fields)
    assert Job.objects.get().parameters["source"] == source.pk
    assert ImagerySource.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"acquired": ""}, "Give the day, or tick"),
        ({"is_undated": "on"}, "Give the day, or tick"),
        ({"acquired": "2123-01-01"}, "in the future"),
        ({"new-name": "…"}, "Use letters or digits"),
        ({"file": SimpleUploadedFile("x.tif", b"<VRTDataset/>")}, "not a GeoTIFF"),
    ],
)
def test_a_wrong_form_is_said_on_the_page(fields, sentence, project, admin, client_of, tmp_path):
    response = client_of(admin).post(new_page(project), upload(project, rasters.picture(tmp_path), **fields))
    assert sentence in response.content.decode()
    assert not Job.objects.exists()
    assert not ImagerySource.objects.exists()


def test_another_projects_source_cannot_be_chosen(project, admin, client_of, tmp_path):
    foreign = make_source(type(project).objects.create(slug="other", name="Other", country="OTH"))
    client_of(admin).post(new_page(project), upload(project, rasters.picture(tmp_path), source=foreign.pk))
    assert not Job.objects.exists()


def test_who_may_open_the_pages(project, client_of, admin, lead, annotator, stranger):
    listing = reverse("labels:imagery", args=[project.slug])
    statuses = [
        [client_of(person).get(page).status_code for page in (listing, new_page(project))]
        for person in (admin, lead, annotator, stranger)
    ]
    assert statuses == [[200, 200], [200, 403], [403, 403], [404, 404]]


def test_the_list_says_dates_rights_and_missing_files(project, lead, client_of):
    source = make_source(project, name="Old survey", may_train=False)
    make_scene(source, footprint=square(-10.7, 6.1, 0.3), captured_on=date(2019, 2, 3))
    make_scene(source, footprint=square(-10.2, 6.1, 0.3))
    page = client_of(lead).get(reverse("labels:imagery", args=[project.slug])).content.decode()
    for words in ("Old survey", "3 Feb 2019", "unknown", "The prepared file is missing", "2 pictures"):
        assert words in page
    assert "style=" not in page


def test_a_footprint_has_few_corners():
    steps = [(x / 100 + dx, -x / 100) for x in range(1000) for dx in (0, 0.01)]
    stairs = [*steps, (10, -10), (0, -10), (0, 0)]
    outline = publishing.footprint_from([[stairs]])
    assert outline.num_coords < 40
    assert outline.area == pytest.approx(50, rel=0.02)


def test_a_provider_takes_no_pictures_of_ours(project, tmp_path):
    """They would be offered beside its dates, and open to nothing that its address tells."""
    provider = make_source(project, kind="xyz", address="https://tiles.example/{z}/{x}/{y}", slug="survey-2023")
    with pytest.raises(CommandError, match="is a provider"):
        load(project, rasters.picture(tmp_path), acquired="2023-04-05")
    path = rasters.picture(tmp_path)
    told = loading.parameters(provider, [(str(path), path.name)], acquired=None)
    job = jobs.ask(project=project, kind=Job.Kind.LOAD_IMAGERY, parameters=told)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED and "is a provider" in job.error
    assert not Scene.objects.exists()
