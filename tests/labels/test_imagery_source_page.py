"""The page of an imagery source: read by leads, changed by admins, every change written down."""

from datetime import date
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from labels.imagery import rights, sources
from labels.models import AccessRecord, ProviderDate, Scene
from tests.factories import make_scene, make_source, square
from tests.labelled import judge, make_audit, make_unit

FORM = {
    "name": "Orbita",
    "attribution": "© Orbita",
    "may_view": "on",
    "may_cache": "on",
    "may_derive_labels": "on",
    "may_share_labels": "on",
    "may_train": "on",
    "offset_east_m": "0",
    "offset_north_m": "0",
}


@pytest.fixture
def source(project):
    return make_source(project, name="Orbita", attribution="© Orbita")


def page_of(source, name="imagery_source"):
    return reverse(f"labels:{name}", args=[source.project.slug, source.uuid])


@pytest.fixture
def edit(client_of, admin, source):
    def post(**fields):
        given = {name: value for name, value in (FORM | fields).items() if value is not None}
        answer = client_of(admin).post(page_of(source, "imagery_source_edit"), given)
        source.refresh_from_db()
        return answer

    return post


def test_leads_read_it_and_change_nothing(client_of, lead, source):
    page = client_of(lead).get(page_of(source)).content.decode()
    assert "Labels read from it may leave in releases." in page
    assert "imagery/sources" not in page.replace(page_of(source), "") or "edit" not in page
    assert client_of(lead).post(page_of(source, "imagery_source_edit"), FORM).status_code == 403


def test_an_admin_changes_rights_and_it_is_written_down(client_of, admin, edit, source):
    assert edit(may_share_labels=None, purpose="atlas", rights_expire_on="2030-01-31").status_code == 302
    assert (source.may_share_labels, source.purpose, source.rights_expire_on) == (False, "atlas", date(2030, 1, 31))
    assert (source.rights_reviewed_on, source.rights_reviewed_by) == (rights.today(), admin)
    told = [record.subject for record in sources.changes_of(source)]
    assert f"{source.slug}: may_share_labels yes → no" in told
    assert f"{source.slug}: rights_expire_on – → 2030-01-31" in told
    page = client_of(admin).get(page_of(source)).content.decode()
    assert "may_share_labels yes → no" in page and "Releases leave its labels out." in page
    assert 'value="2030-01-31"' in client_of(admin).get(page_of(source, "imagery_source_edit")).content.decode()


def test_saving_without_a_change_writes_nothing(edit):
    edit()
    assert not AccessRecord.objects.filter(action=sources.CHANGED).exists()


def test_expired_rights_are_said_on_the_page(client_of, lead, edit, source):
    edit(rights_expire_on="2020-01-31")
    assert "Its rights expired on 31 Jan 2020." in client_of(lead).get(page_of(source)).content.decode()


@pytest.mark.parametrize("metres", ["1000.5", "-1001", "nan", "inf", "far"])
def test_an_offset_that_cannot_be_is_refused(edit, source, metres):
    answer = edit(offset_east_m=metres)
    assert answer.status_code == 200 and 'class="errors"' in answer.content.decode()
    assert source.offset_east_m == 0


def test_the_offset_moves_what_tiles_show(edit, source):
    before = source.revision
    edit(offset_east_m="-12.5", offset_north_m="3")
    assert (source.offset_east_m, source.offset_north_m) == (-12.5, 3)
    assert source.revision > before


def test_evidence_is_kept_with_its_hash_and_always_downloaded(client_of, lead, edit, source):
    edit(evidence_file=SimpleUploadedFile("licence.html", b"<script>alert(1)</script>", "text/html"))
    assert len(source.evidence_sha256) == 64
    answer = client_of(lead).get(page_of(source, "imagery_evidence"))
    assert answer["Content-Type"] == "application/octet-stream"
    assert "attachment" in answer["Content-Disposition"] and "licence.html" in answer["Content-Disposition"]
    assert b"".join(answer.streaming_content) == b"<script>alert(1)</script>"


def test_evidence_is_not_public(client_of, annotator, stranger, edit, source):
    edit(evidence_file=SimpleUploadedFile("licence.txt", b"yes"))
    assert client_of(annotator).get(page_of(source, "imagery_evidence")).status_code == 403
    assert client_of(stranger).get(page_of(source, "imagery_evidence")).status_code == 404


# ---- pictures ----


@pytest.fixture
def scene(source, settings):
    path = Path(settings.MEDIA_ROOT) / "imagery" / "a.tif"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"picture")
    return make_scene(source, footprint=square(-10.8, 6.3, 0.2), captured_on=date(2022, 5, 1), path="imagery/a.tif")


def remove(client_of, user, scene, **fields):
    address = reverse("labels:scene_remove", args=[scene.source.project.slug, scene.uuid])
    return client_of(user).post(address, fields, follow=True).content.decode()


def test_a_picture_is_removed_once_it_is_meant(client_of, admin, scene, settings, django_capture_on_commit_callbacks):
    path = Path(settings.MEDIA_ROOT) / scene.path
    assert "Tick that you mean it" in remove(client_of, admin, scene)
    with django_capture_on_commit_callbacks(execute=True):
        assert "The picture was removed." in remove(client_of, admin, scene, is_meant="on")
    assert not Scene.objects.exists() and not path.exists()
    assert AccessRecord.objects.get(action=sources.REMOVED).user == admin


def test_a_picture_that_verdicts_rest_on_stays(client_of, admin, scene, project):
    audit = make_audit(project)
    judge(make_unit(audit), "confirm", seen=scene.source, scenes=[scene.sha256])
    assert "1 verdict rests on this picture, so it stays." in remove(client_of, admin, scene, is_meant="on")
    assert Scene.objects.exists()


# ---- the list ----


def test_the_list_names_pictures_and_providers_alike(client_of, lead, scene, project):
    make_scene(scene.source, footprint=square(-10.8, 6.3, 0.2))
    provider = make_source(project, name="Far", kind="xyz", address="https://tiles.example/{z}/{x}/{y}")
    for key in ("2019", "2024"):
        ProviderDate.objects.create(source=provider, key=key)
    page = client_of(lead).get(reverse("labels:imagery", args=[project.slug])).content.decode()
    assert "2 pictures" in page and "2 dates" in page
    assert page_of(provider) in page and "tiles.example" not in page
    assert "The project uses local imagery only." in page


def test_a_provider_shows_its_dates_and_not_its_address(client_of, admin, project):
    provider = make_source(project, name="Far", kind="wmts", address="https://tiles.example/", access_key="hush")
    ProviderDate.objects.create(
        source=provider, key="release 12", captured_on=date(2023, 4, 5), captured_known_by="provider"
    )
    page = client_of(admin).get(page_of(provider)).content.decode()
    assert "release 12" in page and "5 Apr 2023" in page
    assert "tiles.example" not in page and "hush" not in page
