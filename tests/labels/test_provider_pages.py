"""Admins add, try, refresh and remove providers; no page, log or job tells a key."""

import json
import logging
import os
from datetime import date
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.urls import reverse
from django.utils import translation

from labels import jobs, tasks
from labels.errors import LabelsError
from labels.imagery import rights, sources
from labels.imagery.providers import breaker, cache, downloads, listing
from labels.imagery.providers.pictures import Picture
from labels.models import AccessRecord, ImagerySource, Job, Scene
from labels.provider_forms import ProviderForm
from labels.views.pictures import PictureForm, SourceForm
from tests import rasters
from tests.factories import make_area, make_provider, make_source, square
from tests.labels.test_provider_listing import api, item
from tests.loopback import flat, picture
from tests.loopback import serving as serve

KEY = "s3cret+key/1"


@pytest.fixture
def server(settings):
    breaker.forget_all()
    with serve() as server:
        settings.IMAGERY_ALLOWED_HOSTS = [server.authority]
        yield server


@pytest.fixture
def browser(client_of, admin):
    return client_of(admin)


def page(name, project, *rest) -> str:
    return reverse(f"labels:{name}", args=[project.slug, *rest])


def given(server, **changed) -> dict:
    told = {"kind": "xyz", "name": "Orbita", "address": f"{server.url}/{{z}}/{{x}}/{{y}}?k={{key}}", "access_key": KEY}
    return told | {"may_view": "on"} | changed


def through_server(project) -> None:
    project.imagery_policy = "through_server"
    project.save()


def test_add_try_and_remove(project, server, browser):
    through_server(project)
    make_area(project, square(-11, 6, 1))
    answer = browser.post(page("provider_new", project), given(server, may_cache="on"))
    source = ImagerySource.objects.get(name="Orbita")
    assert answer.url == page("provider", project, source.uuid)
    assert (source.may_cache, source.may_derive_labels, source.may_share_labels, source.may_train) == (
        True,
        *[False] * 3,
    )
    assert "annotators are not offered it" in browser.get(answer.url).content.decode()
    tried = browser.post(page("provider_try", project, source.uuid)).content.decode()
    assert "It works." in tried and "data:image/jpeg;base64," in tried
    assert server.asked[-1][0].endswith("?k=s3cret%2Bkey%2F1")
    server.answer = lambda handler: handler.send(content=flat())
    assert "no imagery there" in browser.post(page("provider_try", project, source.uuid)).content.decode()
    cache.folder_of(source.uuid).mkdir(parents=True)
    browser.post(page("provider_remove", project, source.uuid))
    assert ImagerySource.objects.filter(pk=source.pk).exists()  # nobody was sure
    browser.post(page("provider_remove", project, source.uuid), {"sure": "1"})
    assert not ImagerySource.objects.filter(pk=source.pk).exists()
    assert not cache.folder_of(source.uuid).exists()


def test_rights_start_from_what_is_safe_and_say_what_is_known(project, browser):
    told = browser.get(page("provider_new", project)).content.decode()
    assert "Esri's terms forbid storing" in told.replace("&#x27;", "'")
    for name in ("may_cache", "may_derive_labels", "may_share_labels", "may_train"):
        line = next(line for line in told.splitlines() if f'name="{name}"' in line)
        assert "checked" not in line


@pytest.mark.parametrize(
    "changed",
    [
        {"address": "http://tiles.example.com/{z}/{x}/{y}"},
        {"address": "https://169.254.169.254/{z}/{x}/{y}"},
        {"address": "https://tiles.example.com/{z}/{x}/{y}?key=abc"},
        {"address": "https://tiles.example.com/"},
        {"access_key": ""},
        {"name": "!!!"},
        {"dates": "yesterday"},
        {"bbox": "1,2,3"},
        {"blanks": "zz"},
        {"max_zoom": "99"},
    ],
)
def test_bad_descriptions_are_sentences(project, server, browser, changed):
    through_server(project)
    answer = browser.post(page("provider_new", project), given(server, **changed))
    assert answer.status_code == 200
    assert 'class="errors"' in answer.content.decode()
    assert KEY not in answer.content.decode()
    assert not ImagerySource.objects.exists()
    assert server.asked == []


def test_a_provider_that_cannot_be_asked_is_not_kept(project, server, browser):
    through_server(project)
    server.answer = lambda handler: handler.send(500)
    told = given(server, kind="tilejson", address=f"{server.url}/?k={{key}}")
    answer = browser.post(page("provider_new", project), told).content.decode()
    assert "answers with an error (500)" in answer
    assert not ImagerySource.objects.exists()


def test_local_only_keeps_a_provider_and_asks_nobody(project, server, browser):
    answer = browser.post(page("provider_new", project), given(server), follow=True)
    assert "uses local imagery only" in answer.content.decode()
    source = ImagerySource.objects.get()
    for name in ("provider_try", "provider_refresh"):
        told = browser.post(page(name, project, source.uuid), follow=True).content.decode()
        assert "uses local imagery only" in told
    assert server.asked == []


def test_the_policy_is_a_page_of_admins(project, browser, client_of, lead):
    assert browser.post(page("imagery_policy", project), {"imagery_policy": "through_server"}).status_code == 302
    project.refresh_from_db()
    assert project.imagery_policy == "through_server"
    noted = AccessRecord.objects.get(action="change_imagery_policy")
    assert noted.user and noted.subject == "imagery policy local → through_server"
    assert client_of(lead).post(page("imagery_policy", project), {"imagery_policy": "local"}).status_code == 403


def test_editing_keeps_the_key_but_never_for_another_host(project, server, browser):
    through_server(project)
    source = make_provider(project, f"{server.url}/{{z}}/{{x}}/{{y}}?k={{key}}", key=KEY, name="Orbita")
    listing.refresh(source)
    same = given(server, access_key="", address=f"{server.url}/v2/{{z}}/{{x}}/{{y}}?k={{key}}")
    browser.post(page("provider_edit", project, source.uuid), same)
    source.refresh_from_db()
    assert "/v2/" in source.address and source.access_key == KEY
    other = given(server, access_key="", address="https://thief.example.com/{z}/{x}/{y}?k={key}")
    answer = browser.post(page("provider_edit", project, source.uuid), other)
    assert "give its key" in answer.content.decode()
    source.refresh_from_db()
    assert "thief" not in source.address


def test_scenes_have_no_provider_page(project, browser):
    assert browser.get(page("provider", project, make_source(project).uuid)).status_code == 404


def test_a_key_is_on_no_page_and_in_no_log(project, server, browser, caplog, settings):
    """Every page of the provider, the admin, the jobs, the errors and the log, with a provider that fails."""
    caplog.set_level(logging.DEBUG)
    make_area(project, square(-11, 6, 1))
    source = make_provider(project, f"{server.url}/stac?k={{key}}", kind="stac", key=KEY, name="Orbita")
    documents = api(server)

    def answer(handler):
        told = documents.get(handler.path.partition("?")[0])
        handler.send(200 if told else 500, json.dumps(told).encode(), kind="application/json")

    server.answer = answer
    source.options = {"collection": "scenes"}
    source.save()
    listing.refresh(source)
    seen = [browser.get(page(name, project, source.uuid)) for name in ("provider", "provider_edit")]
    seen += [
        browser.post(page(name, project, source.uuid), follow=True) for name in ("provider_try", "provider_refresh")
    ]
    chosen = [str(date.pk) for date in source.dates.all()]
    seen.append(browser.post(page("provider_fetch", project, source.uuid), {"date": chosen}, follow=True))
    job = Job.objects.get(kind=Job.Kind.FETCH_IMAGERY)
    jobs.run(job.pk)
    seen += [browser.get(page("jobs", project)), browser.get(page("job", project, job.uuid))]
    seen.append(browser.get(page("imagery", project)))
    root = get_user_model().objects.create_superuser("root", password="x")
    browser.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    seen.append(browser.get(reverse("admin:labels_imagerysource_changelist")))
    seen.append(browser.get(reverse("admin:labels_imagerysource_change", args=[source.pk])))
    job.refresh_from_db()
    assert job.state == Job.State.FAILED and "error (500)" in job.error
    assert {answer.status_code for answer in seen} == {200}
    told = "".join(answer.content.decode() for answer in seen) + caplog.text + json.dumps([job.parameters, job.error])
    for written in (KEY, "s3cret", "%2Bkey"):
        assert written not in told
    assert any("s3cret%2Bkey%2F1" in path for path, _ in server.asked)


# Pictures of a catalogue


@pytest.fixture
def catalogue(project, server, tmp_path):
    """One item whose picture is a real GeoTIFF."""
    original = rasters.write(tmp_path / "a.tif", rasters.colours(300, 200))
    content, document = original.read_bytes(), item(server, "a", "2023-02-01T10:00:00Z")

    def answer(handler):
        if handler.path.startswith("/item"):
            handler.send(content=json.dumps(document).encode(), kind="application/json")
        else:
            handler.send(content=content, kind="image/tiff")

    server.answer = answer
    source = make_provider(project, f"{server.url}/item", kind="stac", key=KEY, attribution="© Orbita")
    listing.refresh(source)
    return source


def test_a_picture_is_fetched_prepared_and_dated_by_a_job(project, server, catalogue):
    job = downloads.ask(catalogue, list(catalogue.dates.all()))
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (Job.State.DONE, "")
    scene = Scene.objects.get()
    assert (str(scene.captured_on), scene.original_name) == ("2023-02-01", "a.tif")
    assert (scene.source.kind, scene.source.attribution) == ("scenes", "© Orbita")
    assert KEY not in json.dumps(job.parameters) + json.dumps(job.result)
    n_asked = len(server.asked)
    again = downloads.ask(catalogue, list(catalogue.dates.all()))
    jobs.run(again.pk)
    again.refresh_from_db()
    assert (again.state, len(again.result["unchanged"]), len(server.asked)) == (Job.State.DONE, 1, n_asked)


def test_a_picture_that_may_not_be_kept_is_not_fetched(project, server, catalogue, browser):
    catalogue.may_cache = False
    catalogue.save()
    chosen = {"date": [str(catalogue.dates.get().pk)]}
    told = browser.post(page("provider_fetch", project, catalogue.uuid), chosen, follow=True).content.decode()
    assert "do not allow keeping" in told
    assert not Job.objects.exists()


def test_what_is_no_picture_is_refused_and_leaves_no_file(project, server, catalogue, settings):
    server.answer = lambda handler: handler.send(content=picture(), kind="image/tiff")
    job = downloads.ask(catalogue, list(catalogue.dates.all()))
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED and "a: " in job.error
    assert not list((Path(settings.MEDIA_ROOT) / "uploads").glob("*"))


def test_too_large_a_picture_is_not_fetched(project, server, catalogue, settings):
    settings.UPLOAD_LIMIT_IMAGERY = 1000
    job = downloads.ask(catalogue, list(catalogue.dates.all()))
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED and "too much" in job.error


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_fetch_stops_in_the_middle_and_can_be_asked_again(project, server, catalogue, settings):
    answer, job = server.answer, downloads.ask(catalogue, list(catalogue.dates.all()))

    def cancelled_meanwhile(handler):
        Job.objects.filter(pk=job.pk).update(cancel_requested=True)
        connection.close()
        answer(handler)

    server.answer, jobs.RunningJob.report_every_s = cancelled_meanwhile, 0
    try:
        jobs.run(job.pk)
    finally:
        server.answer, jobs.RunningJob.report_every_s = answer, 0.5
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    assert not Scene.objects.exists()
    assert not list((Path(settings.MEDIA_ROOT) / "uploads").glob("*"))
    again = jobs.retry(job, requested_by=None)
    jobs.run(again.pk)
    assert Scene.objects.count() == 1


def test_going_back_to_local_imagery_stops_a_waiting_job(project, server, catalogue):
    job = downloads.ask(catalogue, list(catalogue.dates.all()))
    project.imagery_policy = "local"
    project.save()
    n_asked = len(server.asked)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED and "local imagery only" in job.error
    assert len(server.asked) == n_asked


@pytest.mark.parametrize("gone", [{"may_view": False}, {"may_cache": False}, {"rights_expire_on": date(2020, 1, 1)}])
def test_pictures_without_the_right_to_keep_them_are_not_asked_for_nor_fetched(project, server, catalogue, gone):
    job = downloads.ask(catalogue, list(catalogue.dates.all()))
    ImagerySource.objects.filter(pk=catalogue.pk).update(**gone)
    catalogue.refresh_from_db()
    n_asked = len(server.asked)
    with pytest.raises(LabelsError):
        downloads.parameters(catalogue, list(catalogue.dates.all()))
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED and len(server.asked) == n_asked
    with pytest.raises(LabelsError):
        jobs.retry(job, requested_by=None)
    assert Job.objects.count() == 1


def test_fetched_pictures_have_no_right_that_their_provider_lacks(project):
    source = make_provider(project, "https://stac.example/", kind="stac")
    target = downloads.target_of(source)
    assert downloads.target_of(source) == target
    assert not AccessRecord.objects.exists()
    source.may_train, source.rights_expire_on, source.purpose = False, date(2030, 1, 1), "atlas; study"
    source.save()
    target = downloads.target_of(source)
    assert (target.may_train, target.rights_expire_on, target.purpose) == (False, date(2030, 1, 1), "atlas; study")
    assert AccessRecord.objects.filter(subject__startswith=f"{target.slug}: ").count() >= 3
    source.may_train, source.rights_expire_on, source.purpose = True, None, ""
    assert not downloads.target_of(source).may_train  # what was given in between came under the narrow rights
    source.purpose = "selling ore"
    other = downloads.target_of(source)
    assert other != target and other.purpose == "selling ore"


def test_each_provider_has_a_source_for_its_pictures(project):
    slugs = [f"{'a' * 45}{number}" for number in (1, 2)]
    first, second = (make_provider(project, "https://stac.example/", kind="stac", slug=slug) for slug in slugs)
    assert downloads.target_of(first) != downloads.target_of(second)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("gone", ["policy", "right"])
def test_a_download_stops_when_it_may_no_longer_go_on(project, server, catalogue, settings, monkeypatch, gone):
    answer, job = server.answer, downloads.ask(catalogue, list(catalogue.dates.all()))

    def taken_meanwhile(handler):
        if gone == "policy":
            type(project).objects.filter(pk=project.pk).update(imagery_policy="local")
        else:
            ImagerySource.objects.filter(pk=catalogue.pk).update(may_cache=False)
        connection.close()
        answer(handler)

    server.answer = taken_meanwhile
    monkeypatch.setattr(downloads, "WATCH_EVERY_S", 0)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert ("local imagery only" if gone == "policy" else "do not allow keeping") in job.error
    assert not Scene.objects.exists()
    assert not list((Path(settings.MEDIA_ROOT) / "uploads").glob("*"))


# Editing


@pytest.mark.parametrize("language", ["en", "fr", "es", "pt"])
def test_dates_are_written_as_browsers_read_them(project, language):
    """Else the field looks empty there, and saving clears the expiry."""
    source = make_provider(project, "https://tiles.example/{z}/{x}/{y}", rights_expire_on=date(2027, 12, 31))
    with translation.override(language):
        forms = ProviderForm(instance=source, project=project), SourceForm(instance=source)
        assert all('value="2027-12-31"' in str(form["rights_expire_on"]) for form in forms)
        day = PictureForm(project=project, initial={"acquired": date(2024, 3, 31)})["acquired"]
        assert 'value="2024-03-31"' in str(day)


def test_editing_keeps_the_options_that_the_form_does_not_show(project, server, browser):
    by_command = {"bounds": [-11, 6, -10, 7], "subdomains": "ab", "format": "image/png", "method": "GET",
                  "max_items": 50, "version": "1.1.1"}  # fmt: skip
    source = make_provider(
        project, f"{server.url}/{{z}}/{{x}}/{{y}}", name="Orbita", options=by_command | {"style": "a"}
    )
    listing.refresh(source)
    browser.post(page("provider_edit", project, source.uuid), given(server, access_key="", address=source.address))
    source.refresh_from_db()
    assert source.options == by_command


def test_rights_changed_on_the_page_are_written_down(project, server, browser, admin):
    source = make_provider(project, f"{server.url}/{{z}}/{{x}}/{{y}}?k={{key}}", key=KEY, name="Orbita", slug="orbita")
    listing.refresh(source)
    told = given(server, access_key="", may_share_labels="on", rights_expire_on="2031-01-31")
    assert browser.post(page("provider_edit", project, source.uuid), told).status_code == 302
    source.refresh_from_db()
    assert (source.may_share_labels, source.may_train, str(source.rights_expire_on)) == (True, False, "2031-01-31")
    assert (source.rights_reviewed_on, source.rights_reviewed_by) == (rights.today(), admin)
    noted = list(AccessRecord.objects.values_list("subject", flat=True))
    assert {"orbita: may_train yes → no", "orbita: rights_expire_on – → 2031-01-31"} <= set(noted)
    assert KEY not in "".join(noted)


def test_a_key_in_the_list_of_releases_is_refused(project, server, browser):
    through_server(project)
    told = given(server, releases=f"{server.url}/r.json?api_key=SECRET123")
    assert "holds a key" in browser.post(page("provider_new", project), told).content.decode()
    assert not ImagerySource.objects.exists()
    source = make_provider(project, "https://tiles.example/{z}/{x}/{y}", options={"releases": told["releases"]})
    with pytest.raises(LabelsError, match="holds a key"):
        listing.check_address(source, frozenset())


# Kept tiles


def kept_tile(source) -> Path:
    cache.keep(source.uuid, cache.name_of("a"), Picture(picture(), "image/jpeg", "full"))
    return cache.folder_of(source.uuid)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("right", ["may_view", "may_cache"])
def test_kept_tiles_go_with_the_right_to_keep_them(project, admin, right):
    source = make_provider(project, "https://tiles.example/{z}/{x}/{y}")
    folder = kept_tile(source)
    sources.change(source, {"may_train": False}, admin)
    assert folder.exists()
    sources.change(source, {right: False}, admin)
    assert not folder.exists()


@pytest.mark.django_db(transaction=True)
def test_kept_tiles_go_when_the_project_goes_back_to_local_imagery(project, browser):
    folder = kept_tile(make_provider(project, "https://tiles.example/{z}/{x}/{y}"))
    browser.post(page("imagery_policy", project), {"imagery_policy": "local"})
    assert not folder.exists()


def test_an_hourly_task_forgets_what_may_not_be_kept_today_and_what_is_old(project):
    good, expired, gone = (make_provider(project, "https://tiles.example/{z}/{x}/{y}") for _ in range(3))
    folders = [kept_tile(source) for source in (good, expired, gone)]
    old = kept_tile(good) / "aa" / "old"
    old.parent.mkdir(exist_ok=True)
    old.write_bytes(b"x")
    os.utime(old, (1, 1))
    ImagerySource.objects.filter(pk=expired.pk).update(rights_expire_on=date(2020, 1, 1))
    gone.delete()
    tasks.clear_kept_tiles()
    assert [folder.exists() for folder in folders] == [True, False, False]
    assert not old.exists()
    assert "labels.tasks.clear_kept_tiles" in {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}


def test_a_full_disk_leaves_no_half_of_a_tile(project, monkeypatch):
    source = make_provider(project, "https://tiles.example/{z}/{x}/{y}")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert not [path for path in kept_tile(source).rglob("*") if path.is_file()]
