"""The JSON API of the review loop."""

import json
from datetime import date
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from labels import workflow
from labels.local_plane import offset, place
from labels.models import Exposure, Review
from tests.factories import make_record, make_register, make_scene, make_source, square

POINT = (-10.7, 6.4)
HIDDEN = {
    "name": "Kalimbi pit seven",
    "stated_region": "Old Province",
    "legal_status": "licence revoked",
    "trade_status": "itsci suspended",
}


@pytest.fixture
def audit(project):
    register = make_register(project, name="Ministry list", publisher="Ministry of pits")
    told = {"agency": "SAESSCAM", "workers": "450 diggers"}
    make_record(register, at=POINT, attributes=told, source_id="pit-7", **HIDDEN)
    make_record(register, at=(POINT[0] + 0.003, POINT[1]), name="Second pit")
    source = make_source(project, name="Orbita")
    make_scene(source, footprint=square(-10.8, 6.3, 0.2), captured_on=date(2024, 1, 14))
    return workflow.open_census(project=project, register=register, slug="audit", name="Audit")


@pytest.fixture
def unit(audit):
    return audit.units.get(site_record__source_id="pit-7")


@pytest.fixture
def browser(client_of, annotator, project):
    return Asker(client_of(annotator), project)


class Asker:
    def __init__(self, client: Client, project):
        self.client, self.project = client, project

    def post(self, name: str, body: dict, *args, **headers):
        address = reverse(f"api:{name}", args=[self.project.slug, *args])
        return self.client.post(address, json.dumps(body), content_type="application/json", headers=headers)


def verdict(unit, **fields) -> dict:
    return {"uuid": str(uuid4()), "unit": str(unit.uuid), "verdict": "confirm", **fields}


def test_what_is_hidden_is_absent(browser, audit):
    """Not in the hand-out, and not on the page, for all units."""
    told = browser.post("hand_out", {"n": 4}, audit.slug).content.decode()
    page = browser.client.get(reverse("labels:review", args=[audit.project.slug, audit.slug])).content.decode()
    others = ["SAESSCAM", "450 diggers", "Ministry list", "Ministry of pits", "pit-7", "Second pit"]
    for secret in [*HIDDEN.values(), *others]:
        assert secret not in told, secret
        assert secret not in page, secret
    assert "Or" in told and "GPS" in told


def test_neighbours_are_nameless_places(browser, audit):
    [first, second] = browser.post("hand_out", {"n": 4}, audit.slug).json()["units"]
    assert first["neighbours"] == [second["point"]]


def test_a_verdict_is_201_and_resent_200(browser, unit):
    body = verdict(unit)
    first, again = browser.post("reviews", body), browser.post("reviews", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["is_new"], again.json()["is_new"]) == (True, False)
    assert Review.objects.count() == 1


def test_marks_travel_as_metres(browser, unit):
    browser.post("reviews", verdict(unit, verdict="move", mark_offset_m=[150.0, -80.0]))
    mark = Review.objects.get().mark.coords
    assert offset(POINT, mark) == pytest.approx((150, -80), abs=0.001)
    assert mark == pytest.approx(place(POINT, 150, -80))


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "maybe"},
        {"verdict": "searched"},
        {"confidence": 6},
        {"mark_offset_m": [1e9, 0]},
        {"mark_offset_m": ["NaN", 0]},
        {"signs": ["gold bars"]},
        {"uuid": "1"},
        {"note": "x" * 2001},
        {"images": [{"pane": 9, "source": str(uuid4())}]},
    ],
)
def test_what_cannot_be_a_verdict_is_refused(browser, unit, wrong):
    answer = browser.post("reviews", verdict(unit) | wrong)
    assert answer.status_code == 422
    assert Review.objects.count() == 0


def test_fields_that_are_not_asked_for_change_nothing(browser, unit, second_annotator):
    extra = {"annotator": second_annotator.pk, "queue": "suggested", "kind_of_check": "gold", "tolerance_m": 1}
    browser.post("reviews", verdict(unit, **extra))
    review = Review.objects.get()
    assert (review.annotator.username, review.queue, review.kind_of_check, review.tolerance_m) == (
        "alma",
        "sample",
        "",
        100,
    )


def test_a_sentence_and_a_code_come_back(browser, unit):
    answer = browser.post("reviews", verdict(unit, verdict="reject", reason="natural_ground"))
    assert (answer.status_code, answer.json()["code"]) == (422, "predates_report")


def test_exposed_is_403(browser, unit, annotator):
    Exposure.objects.create(unit=unit, user=annotator, what="release")
    assert browser.post("reviews", verdict(unit)).status_code == 403


def test_a_page_made_for_somebody_else_is_signed_out(browser, unit, second_annotator):
    answer = browser.post("reviews", verdict(unit), **{"X-Person": str(second_annotator.pk)})
    assert answer.status_code == 401
    assert Review.objects.count() == 0


def test_a_call_without_the_token_is_refused_with_its_code(annotator, project, unit):
    client = Client(enforce_csrf_checks=True)
    client.force_login(annotator, backend="django.contrib.auth.backends.ModelBackend")
    answer = Asker(client, project).post("reviews", verdict(unit))
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
    token = client.get(reverse("api:session")).json()["token"]
    answer = Asker(client, project).post("reviews", verdict(unit), **{"X-CSRFToken": token})
    assert answer.status_code == 201


def test_retracting_gives_the_unit_back(browser, unit, audit):
    body = verdict(unit)
    browser.post("reviews", body)
    answer = browser.post("retract", {"uuid": str(uuid4())}, body["uuid"])
    assert answer.json()["unit"]["unit"] == str(unit.uuid)


def test_anothers_review_cannot_be_retracted(browser, unit, client_of, second_annotator, project):
    body = verdict(unit)
    browser.post("reviews", body)
    other = Asker(client_of(second_annotator), project)
    assert other.post("retract", {"uuid": str(uuid4())}, body["uuid"]).status_code == 404


def test_handing_out_costs_the_same_for_any_audit(browser, audit, django_assert_max_num_queries):
    with django_assert_max_num_queries(34):
        browser.post("hand_out", {"n": 4}, audit.slug)
