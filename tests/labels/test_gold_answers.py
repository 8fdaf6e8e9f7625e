"""A gold answer: what a unit is known to be. It measures annotators, so it reaches none of them."""

import json
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from labels import ground_truth, unit_payload, workflow
from labels.errors import BadInput, Conflict, NotAllowed
from labels.models import Exposure, GoldAnswer
from labels.workflow import GivenJudgement, GivenReview
from tests.factories import make_record, make_register
from tests.judging import open_audit

POINT = (-10.7, 6.4)


@pytest.fixture
def unit(project):
    register = make_register(project)
    make_record(register, at=POINT, minerals=["tin"], minerals_original=["Zinn"])
    return open_audit(register).units.get()


def answer(verdict="confirm", **fields):
    return GivenJudgement(uuid=uuid4(), verdict=verdict, **fields)


def verdict(word="confirm", **fields):
    return GivenReview(uuid=uuid4(), verdict=word, **fields)


def test_it_keeps_what_the_unit_is(unit, lead):
    gold = workflow.set_gold(unit, lead, answer(mine_type="both", confidence=5, note=" seen on foot "))
    assert (gold.given_by, gold.mark.coords, gold.mine_type, gold.note) == (lead, POINT, "both", "seen on foot")


def test_resent_it_stays_one_row(unit, lead):
    given = answer()
    assert workflow.set_gold(unit, lead, given) == workflow.set_gold(unit, lead, given)
    assert GoldAnswer.objects.count() == 1


def test_an_id_of_another_answer_is_refused(unit, lead, admin):
    given = answer()
    workflow.set_gold(unit, lead, given)
    with pytest.raises(Conflict):
        workflow.set_gold(unit, admin, given)


def test_a_later_answer_supersedes_whoever_gives_it(unit, lead, admin):
    first = workflow.set_gold(unit, lead, answer())
    second = workflow.set_gold(unit, admin, answer("unsure", reason="cloud"))
    assert second.supersedes == first
    assert GoldAnswer.objects.get(unit=unit, successor__isnull=True) == second


def test_the_database_knows_one_current_answer(unit, lead):
    gold = workflow.set_gold(unit, lead, answer())
    fields = {"unit": unit, "given_by": lead, "verdict": "searched", "tolerance_m": 1, "search_radius_m": 1}
    with pytest.raises(IntegrityError, match="one_first_gold_answer"), transaction.atomic():
        GoldAnswer.objects.create(**fields)
    GoldAnswer.objects.create(**fields, supersedes=gold)
    with pytest.raises(IntegrityError, match="supersedes"), transaction.atomic():
        GoldAnswer.objects.create(**fields, supersedes=gold)


@pytest.mark.parametrize(
    "statement", ["UPDATE labels_goldanswer SET verdict = 'reject'", "DELETE FROM labels_goldanswer"]
)
def test_the_database_refuses_to_change_it(unit, lead, statement):
    workflow.set_gold(unit, lead, answer())
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_who_gave_it_may_not_review_the_unit(unit, lead):
    workflow.set_gold(unit, lead, answer())
    assert Exposure.objects.get(unit=unit, user=lead).what == "gold"
    assert workflow.hand_out(unit.audit, lead) == []
    with pytest.raises(workflow.AlreadyExposed, match="gold answer"):
        workflow.record_review(unit, lead, verdict())


def test_who_reviewed_the_unit_may_not_give_it(unit, annotator):
    review, _ = workflow.record_review(unit, annotator, verdict())
    workflow.retract_review(review, annotator, uuid=uuid4())
    with pytest.raises(NotAllowed, match="somebody else"):
        workflow.set_gold(unit, annotator, answer())
    assert not GoldAnswer.objects.exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (answer("unsure"), "reason"),
        (answer("reject", reason="cloud"), "what is there instead"),
        (answer("move"), "place of the mine"),
        (answer("move", mark=(-10.2, 6.4)), "outside the search disc"),
        (answer("searched"), "A record is judged"),
        (answer("confirm", confidence=9), "confidence"),
    ],
)
def test_it_obeys_the_rules_of_judgement(unit, lead, given, words):
    with pytest.raises(BadInput, match=words):
        workflow.set_gold(unit, lead, given)


def test_a_closed_audit_takes_none(unit, lead):
    unit.audit.closed_at = timezone.now()
    with pytest.raises(workflow.AuditClosed):
        workflow.set_gold(unit, lead, answer())


def test_reviews_after_it_say_that_they_were_a_check(unit, annotator, second_annotator, lead):
    before, _ = workflow.record_review(unit, annotator, verdict())
    workflow.set_gold(unit, lead, answer())
    after, _ = workflow.record_review(unit, second_annotator, verdict())
    assert (before.kind_of_check, after.kind_of_check) == ("", "gold")


def test_it_is_no_review_and_settles_nothing(unit, lead):
    workflow.set_gold(unit, lead, answer())
    assert ground_truth.outcomes(unit.audit)[0].state == "open"


class TestWhatAnAnnotatorsBrowserGets:
    """The same bytes with a gold answer as without, and no word of it in what is kept."""

    @pytest.fixture
    def browser(self, annotator, client_of):
        return client_of(annotator)

    def test_the_unit_is_told_as_before(self, unit, lead):
        before = unit_payload.payload(unit)
        workflow.set_gold(unit, lead, answer())
        assert unit_payload.payload(unit) == before

    def test_handing_out_says_nothing_of_it(self, unit, lead, browser):
        address = reverse("api:hand_out", args=[unit.audit.project.slug, unit.audit.slug])
        before = browser.post(address, {"n": 1}, content_type="application/json").json()
        workflow.set_gold(unit, lead, answer(note="brass"))
        assert browser.post(address, {"n": 1}, content_type="application/json").json() == before

    def test_no_page_of_an_annotator_shows_it(self, unit, lead, browser):
        project, audit = unit.audit.project.slug, unit.audit.slug
        workflow.set_gold(unit, lead, answer(note="brass"))
        body = json.dumps({"uuid": str(uuid4()), "unit": str(unit.uuid), "verdict": "unsure", "reason": "cloud"})
        answers = [
            browser.get(reverse("labels:review", args=[project, audit])),
            browser.post(reverse("api:reviews", args=[project]), body, content_type="application/json"),
            browser.get(reverse("labels:my_reviews", args=[project, audit])),
            browser.get(reverse("labels:overview", args=[project])),
        ]
        assert [each.status_code for each in answers] == [200, 201, 200, 200]
        for each in answers:
            assert not any(word in each.content.decode().lower() for word in ("gold", "brass", 'check"'))
