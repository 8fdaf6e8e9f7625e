"""The pages of releases: who sees, makes and takes out; what a download leaves behind."""

import pytest
from django.urls import reverse

from labels.models import AccessRecord, Exposure, Job
from labels.releases import making
from tests.factories import make_project
from tests.labelled import judge, make_audit, make_unit, somebody


@pytest.fixture
def release(project):
    audit = make_audit(project)
    judge(make_unit(audit, source_id="a"), "confirm")
    judge(make_unit(audit, source_id="b"), "reject", by="bruno")
    make_unit(audit, source_id="c")
    release = making.make_release(project, [audit], purpose="Journal article").release
    making.file_of(release, "csv")
    return release


def page(name: str, project, *args) -> str:
    return reverse(f"labels:{name}", args=[project.slug, *args])


def taken(response) -> bytes:
    """Everything the browser gets, to the end of a file."""
    return b"".join(response.streaming_content) if response.streaming else response.content


def urls(project) -> dict[str, tuple[str, str]]:
    """name: (method, address)"""
    return {
        "releases": ("get", page("releases", project)),
        "release": ("get", page("release", project, 1)),
        "release_card": ("get", page("release_card", project, 1)),
        "release_new": ("get", page("release_new", project)),
        "make": ("post", page("release_new", project)),
        "release_file": ("post", page("release_file", project, 1, "csv")),
        "release_file_new": ("post", page("release_file_new", project, 1, "gpkg")),
    }


FOR_LEADS = {"releases", "release", "release_card"}


@pytest.mark.parametrize("name", list(urls(type("P", (), {"slug": "p"}))))
def test_each_role_gets_what_it_may(name, release, project, client_of, admin, lead, adjudicator, stranger):
    method, url = urls(project)[name]
    people = (admin, lead, adjudicator, stranger)
    answers = {who: getattr(client_of(who), method)(url) for who in people}
    status = {who: answer.status_code for who, answer in answers.items()}
    taken(answers[admin])
    assert status[admin] in (200, 302)
    assert status[lead] == (200 if name in FOR_LEADS else 403)
    assert status[adjudicator] == 403
    assert status[stranger] == 404


@pytest.mark.parametrize("name", ["release_file", "release_file_new"])
def test_nothing_is_taken_out_or_made_by_a_link(name, release, project, client_of, admin):
    assert client_of(admin).get(urls(project)[name][1]).status_code == 405


def test_a_download_is_the_file_and_is_kept_by_nobody_between(release, project, client_of, admin):
    response = client_of(admin).post(page("release_file", project, 1, "csv"))
    file = release.files.get()
    assert taken(response) == making.path_of(file).read_bytes()
    assert response["Cache-Control"] == "private, no-store"
    assert response["Content-Disposition"] == f'attachment; filename="{project.slug}-release-1.csv"'
    assert response["Content-Type"] == "text/csv; charset=utf-8"


def test_a_download_is_written_down_and_ends_the_persons_own_reviewing(release, project, client_of, admin):
    taken(client_of(admin).post(page("release_file", project, 1, "csv")))
    record = AccessRecord.objects.get(action="download_release")
    assert (record.user, record.subject, record.n_rows) == (admin, "release 1 csv", 2)
    seen = Exposure.objects.filter(user=admin, what="release")
    assert set(seen.values_list("unit__site_record__source_id", flat=True)) == {"a", "b"}


def test_seeing_the_page_or_the_card_exposes_nobody(release, project, client_of, lead):
    client_of(lead).get(page("release", project, 1))
    client_of(lead).get(page("release_card", project, 1))
    assert Exposure.objects.count() == 0


@pytest.mark.parametrize(
    "address",
    [
        ("release", 9),
        ("release_card", 9),
        ("release_file", 1, "gpkg"),
        ("release_file", 1, "panel"),
        ("release_file", 9, "csv"),
    ],
)
def test_what_is_not_there_is_404(address, release, project, client_of, admin):
    name, *args = address
    client, url = client_of(admin), page(name, project, *args)
    assert (client.post(url) if name == "release_file" else client.get(url)).status_code == 404


def test_a_release_of_another_project_is_404(release, client_of, admin):
    other = make_project()
    assert client_of(admin).post(page("release_file", other, 1, "csv")).status_code == 404


def test_a_file_that_is_gone_is_said(release, project, client_of, admin):
    making.path_of(release.files.get()).unlink()
    response = client_of(admin).post(page("release_file", project, 1, "csv"), follow=True)
    assert "no longer on the server" in response.content.decode()
    assert not Exposure.objects.exists()


def test_the_page_holds_counts_and_hashes_and_no_position(release, project, client_of, lead):
    text = client_of(lead).get(page("release", project, 1)).content.decode()
    assert release.content_sha256 in text
    assert release.files.get().sha256 in text
    assert "Journal article" in text
    assert "exact locations" in text
    assert "-10.7" not in text and "6.4" not in text.replace("6.4 KB", "")
    assert "Download" not in text


def test_the_card_downloads_with_the_hashes_of_the_files(release, project, client_of, lead):
    response = client_of(lead).get(page("release_card", project, 1))
    card = response.json()
    assert card["content_sha256"] == release.content_sha256
    assert card["files"][0]["sha256"] == release.files.get().sha256
    assert response["Content-Disposition"].endswith('release-1.card.json"')


def test_making_one_asks_for_a_job(release, project, client_of, admin, django_capture_on_commit_callbacks):
    data = {"audits": ["census"], "formats": ["csv", "gpkg"], "purpose": "why"}
    response = client_of(admin).post(page("release_new", project), data)
    job = Job.objects.get()
    assert response.url == page("job", project, job.uuid)
    assert job.parameters == {"audits": ["census"], "formats": ["csv", "gpkg"], "purpose": "why"}
    assert job.requested_by == admin


@pytest.mark.parametrize(
    "wrong", [{"audits": []}, {"formats": []}, {"formats": ["exe"]}, {"audits": ["foreign"]}, {"purpose": "x" * 301}]
)
def test_a_wrong_form_comes_back_and_asks_for_nothing(wrong, release, project, client_of, admin):
    make_audit(make_project(), "foreign")
    data = {"audits": ["census"], "formats": ["csv"], "purpose": ""} | wrong
    assert client_of(admin).post(page("release_new", project), data).status_code == 200
    assert not Job.objects.exists()


def test_one_more_format_asks_for_a_job_on_that_release(release, project, client_of, admin):
    client_of(admin).post(page("release_file_new", project, 1, "gpkg"))
    assert Job.objects.get().parameters == {"release": 1, "formats": ["gpkg"]}


def test_an_empty_project_says_what_comes_first(project, client_of, admin):
    assert "Open an audit" in client_of(admin).get(page("releases", project)).content.decode()
    assert "Open an audit" in client_of(admin).get(page("release_new", project)).content.decode()


def test_the_annotators_names_are_in_no_file(release, project):
    for format in ("csv", "geojson"):
        text = making.path_of(making.file_of(release, format)).read_text()
        assert somebody("bruno").username not in text and "alma" not in text
