"""What was looked at is read back: on one's own reviews, on a record's page, as a table of an audit."""

import csv
import io
from datetime import date
from uuid import uuid4

import pytest

from labels import workflow
from labels.models import AccessRecord, Exposure
from labels.seen_table import SEEN_COLUMNS
from labels.workflow import GivenImage, GivenReview
from tests.factories import make_record, make_register, make_scene, make_source, square

POINT = (-10.6951, 6.4042)
AFTER = date(2024, 1, 14)


@pytest.fixture
def unit(project, annotator):
    register = make_register(project)
    make_record(register, at=POINT, observed_on=date(2021, 3, 1))
    unit = workflow.open_census(project=project, register=register, slug="audit", name="Audit").units.get()
    source = make_source(project, name="Orbita", slug="orbita", offset_east_m=12)
    make_scene(source, footprint=square(-10.8, 6.3, 0.2), captured_on=AFTER, sha256="ab")
    source.refresh_from_db()
    view = {"bounds": [POINT[0] - 0.02, POINT[1] - 0.02, POINT[0] + 0.02, POINT[1] + 0.02], "zoom": 16, "ms": 900}
    image = GivenImage(
        pane=1,
        source=source.uuid,
        captured_on=AFTER,
        version=str(source.revision),
        zoom=16.5,
        views=[view],
        dwell_ms=4200,
        n_tiles=30,
        n_tiles_missing=2,
        adjustments={"gamma": 1.5},
    )
    layout = {"panes": 2, "mode": "swipe", "light": True}
    workflow.record_review(unit, annotator, GivenReview(uuid=uuid4(), verdict="confirm", images=[image], layout=layout))
    return unit


def table(client, unit) -> list[dict]:
    answer = client.get(f"/p/{unit.audit.project.slug}/audits/audit/seen/csv/")
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_the_table_holds_one_row_per_image(client_of, lead, unit):
    [row] = table(client_of(lead), unit)
    assert list(row) == [column.name for column in SEEN_COLUMNS]
    told = {name: row[name] for name in ("source", "version", "captured_on", "zoom", "time_s", "n_tiles_missing")}
    assert told == {
        "source": "orbita",
        "version": row["version"],
        "captured_on": "2024-01-14",
        "zoom": "16.5",
        "time_s": "4.2",
        "n_tiles_missing": "2",
    }
    assert (row["adjustments"], row["mode"], row["is_light"], row["pictures"]) == ('{"gamma": 1.5}', "swipe", "1", "ab")
    assert (row["proportion_inspected"], row["offset_east_m"], row["is_current"]) == ("1.0", "12.0", "current")


def test_the_table_tells_no_verdict_no_person_and_no_place(client_of, lead, unit, annotator):
    text = str(table(client_of(lead), unit))
    assert all(secret not in text for secret in ("confirm", annotator.username, "-10.69", "6.40"))
    assert not Exposure.objects.filter(user=lead).exists()
    assert AccessRecord.objects.get(action="download_seen").n_rows == 1


def test_undone_reviews_are_marked(client_of, lead, unit, annotator):
    workflow.retract_review(unit.reviews.get(), annotator, uuid=uuid4())
    assert [row["is_current"] for row in table(client_of(lead), unit)] == ["undone"]


@pytest.mark.parametrize("page", ["audits/audit/review/mine/", "records/{record}/"])
def test_pages_read_it_back(client_of, annotator, lead, unit, page):
    person = annotator if "mine" in page else lead
    address = f"/p/{unit.audit.project.slug}/{page}".format(record=unit.site_record.uuid)
    told = client_of(person).get(address).content.decode()
    for words in (
        "<b>Orbita</b>",
        "14 Jan 2024",
        "zoom 16.5",
        "4.2 s",
        "2 of 30 tiles missing",
        "gamma 1.5",
        "12 m east",
    ):
        assert words in told, words
    assert "confirm" not in told or person == annotator
