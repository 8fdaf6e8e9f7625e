"""Pictures that lie on the server already: listed for their project's admins, chosen by name of ours, never by path."""

from datetime import date
from pathlib import Path

import pytest
from django.urls import reverse

from labels import jobs
from labels.imagery import server_folder
from labels.models import ImagerySource, Job, Scene
from tests import rasters
from tests.factories import make_project, make_source


@pytest.fixture
def folder(project, tmp_path, settings) -> Path:
    settings.IMAGERY_FOLDER = str(tmp_path / "pictures")
    made = tmp_path / "pictures" / project.slug
    made.mkdir(parents=True)
    return made


def address(project) -> str:
    return reverse("labels:imagery_register", args=[project.slug])


def idents(project) -> dict[str, str]:
    return {file.name: file.ident for file in server_folder.listing(project).files}


def fields(project, *names: str, **more) -> dict:
    known = idents(project)
    return {
        "files": [known[name] for name in names],
        "acquired": "2023-04-05",
        "new-name": "Drone",
        "new-may_view": "on",
    } | more


def test_several_files_become_scenes_by_one_job(project, admin, client_of, folder):
    rasters.picture(folder, "a.tif")
    (folder / "2023").mkdir()
    rasters.write(folder / "2023" / "b.TIF", rasters.colours()[::-1])
    rasters.picture(folder, "left.tif")
    response = client_of(admin).post(address(project), fields(project, "a.tif", "2023/b.TIF"))
    job = Job.objects.get()
    assert response["Location"] == reverse("labels:job", args=[project.slug, job.uuid])
    assert [file["path"] for file in job.parameters["files"]] == ["a.tif", "2023/b.TIF"]
    ended = jobs.run(job.pk)
    assert ended.state == Job.State.DONE, ended.error
    assert {scene.captured_on for scene in Scene.objects.all()} == {date(2023, 4, 5)}
    assert Scene.objects.count() == 2
    assert sorted(path.name for path in folder.rglob("*.[tT]*")) == ["a.tif", "b.TIF", "left.tif"]


def test_without_a_day_each_file_is_asked_for_its_own(project, admin, client_of, folder):
    rasters.picture(folder, "a.tif")
    (folder / "a.json").write_text('{"properties": {"datetime": "2021-03-09T10:00:00Z"}}')
    source = make_source(project)
    given = {"acquired": "", "is_undated": "on", "source": source.pk}
    client_of(admin).post(address(project), fields(project, "a.tif", **given))
    assert jobs.run(Job.objects.get().pk).state == Job.State.DONE
    assert Scene.objects.get().captured_on == date(2021, 3, 9)


def test_the_list_shows_names_and_sizes_and_no_path(project, admin, client_of, folder):
    rasters.picture(folder, "a.tif")
    (folder / "notes.txt").write_text("x")
    page = client_of(admin).get(address(project)).content.decode()
    assert "a.tif" in page and "KB" in page
    assert "notes.txt" not in page and str(folder.parent) not in page


@pytest.mark.parametrize(
    ("state", "sentence"),
    [("no folder", "sets IMAGERY_FOLDER"), ("none of the project", "There is no folder"), ("empty", "no GeoTIFF")],
)
def test_an_empty_list_says_why(state, sentence, project, admin, client_of, tmp_path, settings):
    settings.IMAGERY_FOLDER = "" if state == "no folder" else str(tmp_path)
    if state == "empty":
        (tmp_path / project.slug).mkdir()
    response = client_of(admin).get(address(project))
    assert response.status_code == 200
    assert sentence in response.content.decode()


@pytest.mark.parametrize(
    "given", ["../other/x.tif", "/etc/passwd", "0", "", "a.tif", "f" * 32, "<VRTDataset/>", "/vsicurl/http://x"]
)
def test_hostile_choice_that_is_not_in_the_list_is_refused(given, project, admin, client_of, folder):
    rasters.picture(folder, "a.tif")
    response = client_of(admin).post(address(project), fields(project) | {"files": [given]})
    assert "no longer in the folder" in response.content.decode()
    assert not Job.objects.exists() and not ImagerySource.objects.exists()


def test_nothing_chosen_is_said_and_what_was_chosen_stays_chosen(project, admin, client_of, folder):
    rasters.picture(folder, "a.tif")
    assert "Choose at least one file" in client_of(admin).post(address(project), fields(project)).content.decode()
    page = client_of(admin).post(address(project), fields(project, "a.tif", acquired="")).content.decode()
    assert "Give the day, or tick" in page and "checked" in page
    assert not Job.objects.exists()


def test_hostile_links_that_lead_out_are_not_offered_nor_followed_later(project, admin, client_of, folder, tmp_path):
    outside = rasters.picture(tmp_path, "secret.tif")
    (folder / "link.tif").symlink_to(outside)
    (folder / "more").symlink_to(tmp_path, target_is_directory=True)
    inside = rasters.picture(folder, "a.tif")
    page = client_of(admin).get(address(project)).content.decode()
    assert "1 link leads out of the folder" in page and "secret" not in page
    client_of(admin).post(address(project), fields(project, "a.tif"))
    inside.unlink()
    inside.symlink_to(outside)
    ended = jobs.run(Job.objects.get().pk)
    assert "outside the folders" in ended.error
    assert not Scene.objects.exists()


def test_another_projects_files_are_not_told(project, admin, client_of, folder, settings):
    other = make_project()
    (folder.parent / other.slug).mkdir()
    rasters.picture(folder.parent / other.slug, "theirs.tif")
    assert "theirs" not in client_of(admin).get(address(project)).content.decode()
    theirs = idents(other)["theirs.tif"]
    assert (
        "no longer" in client_of(admin).post(address(project), fields(project) | {"files": [theirs]}).content.decode()
    )


def test_wrong_bands_are_said_on_the_page(project, admin, client_of, folder):
    rasters.picture(folder, "a.tif")
    page = client_of(admin).post(address(project), fields(project, "a.tif", bands="x,y")).content.decode()
    assert "does not name bands" in page
    assert not Job.objects.exists()


def test_a_name_that_is_no_text_does_not_break_the_list(project, admin, client_of, folder):
    rasters.picture(folder, "a.tif").rename(folder / b"b\xff.tif".decode("utf-8", "surrogateescape"))
    response = client_of(admin).get(address(project))
    assert response.status_code == 200
    assert "1 file has a name that is no UTF-8" in response.content.decode()
