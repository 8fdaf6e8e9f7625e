"""Who has seen scores of places judges none of them, in audits opened later either: through no door."""

import json
import random
from uuid import uuid4

import pytest
from django.urls import reverse

from labels import access, plain_review, progress, unit_payload, workflow
from labels.models import Assignment, Exposure, Membership, Review
from labels.models.audits import Queue
from labels.workflow import AlreadyExposed
from predictions import exposure
from tests.factories import make_project, make_record, make_register
from tests.labels.test_record_review import given
from tests.predictions.learned import make_run

pytestmark = pytest.mark.django_db


def open_audit(project, slug: str, n: int = 3):
    register = make_register(project)
    for k in range(n):
        make_record(register, at=(-10.7 + k * 0.01, 6.4))
    return workflow.open_census(project=project, register=register, slug=slug, name=slug)


@pytest.fixture
def later(project, lead, client_of):
    """An audit opened after the lead saw a run's map."""
    first = open_audit(project, "first")
    run = make_run(project)
    assert client_of(lead).get(reverse("predictions:run", args=[project.slug, run.number])).status_code == 200
    assert Exposure.objects.filter(user=lead, unit__audit=first, what=Exposure.What.SCORE).count() == 3
    return open_audit(project, "later")


def post(client, name: str, args: list, **body):
    return client.post(reverse(f"api:{name}", args=args), json.dumps(body), content_type="application/json")


def test_no_unit_is_handed_out(later, lead, annotator, client_of):
    assert workflow.hand_out(later, lead, n=3) == []
    answer = post(client_of(lead), "hand_out", [later.project.slug, later.slug], n=4)
    assert answer.json()["units"] == [] and answer.json()["progress"]["left_for_me"] == 0
    assert not Assignment.objects.filter(annotator=lead).exists()
    assert len(workflow.hand_out(later, annotator, n=3)) == 3


def test_no_verdict_is_taken_by_a_direct_address(later, lead, client_of):
    browser, unit = client_of(lead), later.units.first()
    verdict = {"uuid": str(uuid4()), "unit": str(unit.uuid), "verdict": "unsure", "reason": "cloud"}
    answer = post(browser, "reviews", [later.project.slug], **verdict)
    assert answer.status_code == 403 and "seen the scores" in answer.json()["detail"]
    shown = plain_review.signed(unit_payload.payloads([unit])[0])
    form = {"uuid": str(uuid4()), "unit": str(unit.uuid), "shown": shown, "verdict": "unsure", "reason": "cloud"}
    said = browser.post(reverse("labels:review", args=[later.project.slug, later.slug]), form, follow=True)
    assert "seen the scores" in said.content.decode()
    with pytest.raises(AlreadyExposed):
        workflow.record_review(unit, lead, given())
    assert not Review.objects.exists()


def test_a_lease_from_before_is_not_held_on(project, lead, client_of):
    audit = open_audit(project, "audit")
    [unit] = workflow.hand_out(audit, lead)
    assert workflow.keep_lease(unit, lead)
    exposure.record(lead, project)
    assert not workflow.keep_lease(unit, lead)
    assert workflow.hand_out(audit, lead) == []


def test_a_unit_added_to_an_open_audit_is_no_exception(later, lead):
    """A record that moves, or a suggestion, makes a unit anew."""
    old = later.units.first()
    old.pk, old.uuid, old.queue, old.inclusion_probability = None, uuid4(), Queue.SUGGESTED, None
    old.site_record = make_record(later.register)
    old.save()
    workflow.add_assignments(later, [old], random.Random(1))
    assert workflow.hand_out(later, lead, queue=Queue.SUGGESTED) == []
    with pytest.raises(AlreadyExposed):
        workflow.record_review(old, lead, given())


def test_pages_say_why_nothing_is_left(later, lead, client_of):
    browser = client_of(lead)
    queue = progress.queue_of(later, lead)
    assert (queue.n_left_for_me, queue.has_seen_scores) == (0, True)
    overview = browser.get(reverse("labels:overview", args=[later.project.slug])).content.decode()
    assert "You have seen scores of this project" in overview
    review = browser.get(reverse("labels:review", args=[later.project.slug, later.slug])).content.decode()
    assert "You have seen what a model thinks of places" in review


def test_other_projects_and_people_are_not_touched(later, lead, second_annotator):
    assert len(workflow.hand_out(later, second_annotator)) == 1
    elsewhere = make_project()
    Membership.objects.create(project=elsewhere, user=lead, role="lead")
    assert len(workflow.hand_out(open_audit(elsewhere, "there"), lead)) == 1


def test_who_knew_all_units_by_a_release_is_remembered_to_have_seen_scores(project, lead):
    """Their exposures say "release" and stay so: a unit is exposed to a person once."""
    audit = open_audit(project, "audit")
    access.expose(lead, audit.units.values_list("pk", flat=True), Exposure.What.RELEASE)
    assert not exposure.is_recorded(lead, project)
    exposure.record(lead, project)
    assert exposure.is_recorded(lead, project)
    assert workflow.hand_out(open_audit(project, "later"), lead) == []


def test_maps_seen_before_it_was_noted_count(project, lead):
    audit = open_audit(project, "audit")
    access.expose(lead, [audit.units.first().pk], Exposure.What.SCORE)
    assert workflow.hand_out(open_audit(project, "later"), lead) == []


def test_the_warning_says_that_it_holds_for_later_audits(project, lead, client_of):
    audit = open_audit(project, "audit")
    workflow.hand_out(audit, lead)
    run = make_run(project)
    text = client_of(lead).get(reverse("predictions:run", args=[project.slug, run.number])).content.decode()
    assert "nor any unit of an audit opened later in this project" in text
