"""Taking a register in through the pages, and looking at it."""

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from labels import jobs
from labels.ingest import uploads
from labels.models import AccessRecord, Edition, Job, Observation, Register, SiteRecord, Upload
from tests.factories import make_area, make_project, make_record, make_register, square

pytestmark = pytest.mark.django_db

SMALL = b"id,name,longitude,latitude,mineral\na1,Bray,-10.5,6.25,Or\na2,Koss,200,6.5,tin\na3,Lom,,,\n"


def url(name: str, project, *args) -> str:
    return reverse(f"labels:{name}", args=[project.slug, *args])


def send(client, project, content: bytes = SMALL, *, file_name: str = "list.csv", **fields):
    data = {"file": SimpleUploadedFile(file_name, content), "name": "Mine list", "publisher": "Ministry"} | fields
    return client.post(url("register_new", project), data)


def fields_of(page) -> dict[str, str]:
    """The form of the mapping page as it would be sent."""
    return {f"field-{field['name']}": field["chosen"] for field in page.context["fields"]}


def run_last_job() -> Job:
    return jobs.run(Job.objects.first().pk)


@pytest.fixture
def imported(client_of, admin, project):
    client = client_of(admin)
    page = client.get(send(client, project).url)
    client.post(page.request["PATH_INFO"], fields_of(page) | {"action": "import"})
    assert run_last_job().state == Job.State.DONE
    return Register.objects.get()


def test_ipis_comes_in_through_the_pages(client_of, admin, lead, project, shared_data):
    """The same 2,988 records as through the command."""
    client = client_of(admin)
    content = (shared_data / "asm_records" / "ipis_drc_mine_visits_2009_2020.csv").read_bytes()
    sent = send(client, project, content, file_name="ipis.csv", name="IPIS")
    page = client.get(sent.url)
    assert dict(page.context["doubts"]) == {"FID": 5071, "vid": 5071, "cid": 3714, "id": 907, "pcode": 2988}
    assert "preview" not in page.context
    chosen = fields_of(page) | {"field-source_id": "pcode", "field-stated_region": "province_old"}
    page = client.post(sent.url, chosen | {"action": "check"})
    assert page.context["preview"].tally.n_created == 2988
    assert not SiteRecord.objects.exists() and not Job.objects.exists()
    asked = client.post(sent.url, chosen | {"action": "import"})
    job = run_last_job()
    assert asked.url == url("job", project, job.uuid)
    assert job.result["sentence"] == "2988 created, 0 updated, 0 unchanged, 0 refused (5071 rows)"
    shown = client_of(lead).get(job.result["page"])
    assert shown.context["totals"]["n_records"] == 2988
    assert "2,988" in shown.content.decode()
    assert list(Path(uploads.path_of(Upload(uuid=job.parameters["upload"]))).parent.iterdir()) == []
    # the same file again: the mapping is offered, the page says that nothing will change
    register = Register.objects.get()
    again = send(client, project, content, file_name="ipis.csv", register=register.slug, name="")
    page = client.get(again.url)
    assert fields_of(page)["field-source_id"] == "pcode"
    assert page.context["known"].number == 1
    client.post(again.url, fields_of(page) | {"action": "import"})
    assert run_last_job().result["sentence"] == "0 created, 0 updated, 2988 unchanged, 0 refused (5071 rows)"


def test_nothing_is_stored_before_the_import_is_confirmed(client_of, admin, project):
    client = client_of(admin)
    page = client.get(send(client, project).url)
    assert page.context["preview"].tally.n_refused == 1
    assert page.context["preview"].tally.n_unlocated == 1
    assert not Edition.objects.exists()


def test_file_keeps_its_name_only_as_text(client_of, admin, project):
    send(client_of(admin), project, file_name="../../etc/passwd.csv")
    upload = Upload.objects.get()
    assert upload.file_name == "passwd.csv"
    assert uploads.path_of(upload).name == str(upload.uuid)


def test_file_stays_when_the_job_fails_and_goes_when_it_is_done(client_of, admin, project, monkeypatch):
    client = client_of(admin)
    sent = send(client, project)
    page = client.get(sent.url)
    client.post(sent.url, fields_of(page) | {"action": "import"})
    with monkeypatch.context() as broken:
        broken.setattr("labels.placement.place_records", lambda **_: 1 / 0)
        assert run_last_job().state == Job.State.FAILED
    path = uploads.path_of(Upload.objects.get())
    assert path.is_file()
    assert jobs.run(jobs.retry(Job.objects.first(), requested_by=admin).pk).state == Job.State.DONE
    assert not path.exists() and not Upload.objects.exists()


def test_forgotten_uploads_are_thrown_away(client_of, admin, project):
    client = client_of(admin)
    send(client, project)
    old = Upload.objects.get()
    Upload.objects.update(uploaded_at=timezone.now() - uploads.KEPT_FOR * 2)
    send(client, project, name="Another list")
    assert not uploads.path_of(old).exists()
    assert Upload.objects.count() == 1


def test_too_large_files_are_refused_in_words(client_of, admin, project, settings):
    settings.UPLOAD_LIMIT_REGISTER = 10
    answer = send(client_of(admin), project)
    assert "load_register" in answer.content.decode()
    assert not Upload.objects.exists() and not Register.objects.exists()


def test_unreadable_files_are_refused_in_words(client_of, admin, project):
    client = client_of(admin)
    page = client.get(send(client, project, b"\xd0\xcf\x11\xe0\0\0").url)
    assert "old Excel workbook" in page.content.decode()


def test_choices_that_do_not_fit_are_said(client_of, admin, project):
    client = client_of(admin)
    sent = send(client, project)
    page = client.post(sent.url, {"field-longitude": "longitude", "action": "import"})
    assert "latitude" in page.context["problem"]
    page = client.post(sent.url, {"field-name": "no such column", "action": "import"})
    assert "no such column" in page.context["problem"]
    assert not Job.objects.exists()


def test_sheet_zone_and_order_of_dates_are_chosen_on_the_page(client_of, admin, project, tmp_path):
    data = [np.array(column, dtype=object) for column in (["1"], ["505497"], ["9598008"], ["03/04/2015"])]
    fields = ["id", "Longitude", "Latitude", "Date visite"]
    for sheet in ("Notes", "Sites"):
        pyogrio.raw.write(
            tmp_path / "a.xlsx",
            None,
            data,
            fields,
            layer=sheet,
            driver="XLSX",
            geometry_type=None,
            crs=None,
            append=sheet == "Sites",
        )
    client = client_of(admin)
    sent = send(client, project, (tmp_path / "a.xlsx").read_bytes())
    assert client.get(sent.url).context["sheets"] == ["Notes", "Sites"]
    page = client.post(sent.url, {"field-sheet": "Sites", "action": "check"})
    chosen = fields_of(page)
    assert (chosen["field-sheet"], chosen["field-longitude"]) == ("Sites", "Longitude")
    assert "day from the month" in page.context["problem"]
    page = client.post(sent.url, chosen | {"field-date_order": "month_first", "action": "check"})
    assert "UTM zone" in page.content.decode() and page.context["preview"].tally.n_refused == 1
    settled = fields_of(page) | {"field-utm_zone": "35S"}
    client.post(sent.url, settled | {"action": "import"})
    assert run_last_job().state == Job.State.DONE
    read = Observation.objects.get()
    assert (read.observed_on.isoformat(), round(read.point.x, 4)) == ("2015-03-04", 27.0495)
    offered = fields_of(client.get(send(client, project, (tmp_path / "a.xlsx").read_bytes(), register="mine-list").url))
    assert (offered["field-sheet"], offered["field-utm_zone"]) == ("Sites", "35S")


def test_register_names_are_not_taken_twice(client_of, admin, project):
    client = client_of(admin)
    send(client, project)
    assert b"already has this name" in send(client, project).content


def test_pages_escape_what_a_file_says(client_of, admin, project):
    client = client_of(admin)
    page = client.get(send(client, project, b"id,<script>x</script>\n1,<img src=x>\n").url)
    assert b"<script>x" not in page.content and b"<img src=x" not in page.content


def test_refused_rows_are_shown_and_downloaded(imported, client_of, lead, project):
    client = client_of(lead)
    page = client.get(url("edition", project, imported.slug, 1))
    assert "a longitude lies between" in page.content.decode()
    response = client.get(url("refused_csv", project, imported.slug, 1))
    rows = list(csv.reader(StringIO(response.content.decode())))
    assert rows[0] == ["row", "column", "value", "reason"] and rows[1][:2] == ["3", "longitude"]
    assert AccessRecord.objects.get().n_rows == 1


def test_register_page_counts_what_it_claims(client_of, lead, project):
    register = make_register(project)
    make_area(project, square(-11, 6, 2), name="Kessou")
    make_record(
        register, at=(-10.7, 6.4), minerals=["gold", "coltan"], trade_status="Vert", trade_status_code="qualified"
    )
    make_record(register, at=None, minerals=["gold"])
    from tests.factories import make_edition

    make_edition(register)
    page = client_of(lead).get(url("register", project, register.slug))
    groups = {group.name: {row.words: row.n for row in group.rows} for group in page.context["groups"]}
    assert groups["region"] == {"Kessou": 1, "in no region": 1}
    assert groups["mineral"] == {"gold": 2, "coltan": 1}
    assert groups["trade_status"] == {"qualified (green)": 1, "not stated": 1}
    assert groups["year"] == {"2021": 2}
    assert "legal_status" not in groups
    assert page.context["totals"]["n_unlocated"] == 1


def test_records_are_found_by_name_or_id(imported, client_of, lead, project):
    client = client_of(lead)
    address = url("records", project, imported.slug)
    assert client.get(address).context["page"].paginator.count == 2
    assert client.get(address, {"q": "bra"}).context["page"].paginator.count == 1
    assert client.get(address, {"q": "A3"}).context["page"].paginator.count == 1
    assert client.get(address, {"q": "%"}).context["page"].paginator.count == 0


def test_a_search_with_what_the_database_cannot_hold_still_finds(imported, client_of, lead, project):
    assert client_of(lead).get(url("records", project, imported.slug), {"q": "br\0ay"}).context["page"].object_list


def test_record_page_shows_everything_the_register_said(imported, client_of, lead, project):
    record = SiteRecord.objects.get(source_id="a1")
    page = client_of(lead).get(url("record", project, record.uuid)).content.decode()
    for said in ("Bray", "-10.5", "6.25", "Or"):
        assert said in page


READING = ["registers", "register", "edition", "refused_csv", "records", "record", "areas"]
IMPORTING = ["register_new", "mapping", "area_layer_new"]


def address_of(name: str, project, register, upload) -> str:
    args = {
        "register": [register.slug],
        "records": [register.slug],
        "edition": [register.slug, 1],
        "refused_csv": [register.slug, 1],
        "record": [SiteRecord.objects.first().uuid],
        "mapping": [upload.uuid],
    }
    return url(name, project, *args.get(name, []))


@pytest.mark.parametrize("name", READING + IMPORTING)
def test_roles_open_what_they_may(name, imported, client_of, annotator, lead, admin, stranger, project):
    send(client_of(admin), project, name="Second")
    address = address_of(name, project, imported, Upload.objects.first())
    reads = 200 if name in READING else 403
    expected = {stranger: 404, annotator: 403, lead: reads, admin: 200}
    assert {user: client_of(user).get(address).status_code for user in expected} == expected


@pytest.mark.parametrize("name", ["register", "edition", "records", "record", "mapping", "refused_csv"])
def test_things_of_another_project_are_not_found(name, imported, client_of, admin, project):
    client = client_of(admin)
    send(client, project, name="Second")
    other = make_project()
    other.memberships.create(user=admin, role="admin")
    assert client.get(address_of(name, other, imported, Upload.objects.first())).status_code == 404


def test_areas_come_in_through_the_page(client_of, admin, project):
    client = client_of(admin)
    assert b"No areas yet" in client.get(url("areas", project)).content
    ring = b"[[0,0],[1,0],[1,1],[0,1],[0,0]]"
    content = (
        b'{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"name":"Bray","nom":"B"},'
        b'"geometry":{"type":"Polygon","coordinates":[' + ring + b"]}}]}"
    )
    form = {"kind": "admin", "layer": "provinces", "level": 1}
    asked = client.post(url("area_layer_new", project), form | {"file": SimpleUploadedFile("a.geojson", content)})
    assert "name, nom" in asked.content.decode() and not Upload.objects.exists()
    form["name_field"] = "nom"
    asked = client.post(url("area_layer_new", project), form | {"file": SimpleUploadedFile("a.geojson", content)})
    job = run_last_job()
    assert asked.url == url("job", project, job.uuid) and job.state == Job.State.DONE
    assert b"provinces" in client.get(url("areas", project)).content
    assert not Upload.objects.exists()


def test_empty_pages_offer_one_way_on(client_of, admin, lead, project):
    page = client_of(admin).get(url("registers", project)).content.decode()
    assert page.count(url("register_new", project)) == 1
    assert url("register_new", project) not in client_of(lead).get(url("registers", project)).content.decode()
