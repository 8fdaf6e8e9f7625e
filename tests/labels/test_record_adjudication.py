"""A decision where reviews disagree: kept once, by somebody who did not review, and what the label then rests on."""

from uuid import uuid4

import pytest
from django.utils import timezone

from labels import ground_truth, workflow
from labels.errors import BadInput, Conflict, NotAllowed
from labels.models import Adjudication, Exposure
from labels.workflow import GivenDecision, GivenReview
from tests.factories import make_record, make_register
from tests.judging import open_audit

POINT = (-10.7, 6.4)
NEAR = (POINT[0] + 0.0018, POINT[1])  # 199 m east


@pytest.fixture
def unit(project):
    register = make_register(project)
    make_record(register, at=POINT)
    make_record(register, at=(-10.9, 6.1))  # another unit, which no decision of the first may touch
    return open_audit(register, reviews_per_unit=2).units.order_by("pk").first()


@pytest.fixture
def disputed(unit, annotator, second_annotator):
    workflow.record_review(
        unit, annotator, review("move", mark=NEAR, mine_type="both", confidence=4, signs=["camp"], note="by the road")
    )
    workflow.record_review(unit, second_annotator, review("unsure", reason="cloud"))
    return unit


def review(verdict="confirm", **fields):
    return GivenReview(uuid=uuid4(), verdict=verdict, **fields)


def decision(verdict="", **fields):
    return GivenDecision(uuid=uuid4(), verdict=verdict, **fields)


def outcome(unit):
    return ground_truth.outcome_of(unit)


def test_the_outcome_follows_the_decision(disputed, adjudicator):
    assert (outcome(disputed).state, outcome(disputed).verdict) == ("disputed", "unsure")
    kept, is_new = workflow.record_adjudication(
        disputed, adjudicator, decision("reject", reason="other_land_use", note=" a brick kiln ")
    )
    assert is_new
    assert (kept.adjudicator, kept.note, kept.tolerance_m) == (adjudicator, "a brick kiln", disputed.tolerance_m)
    settled = outcome(disputed)
    assert (settled.state, settled.verdict, settled.reason) == ("adjudicated", "reject", "other_land_use")
    assert settled.basis_id == kept.pk
    assert settled.n_reviews == 2


def test_the_other_units_stay_as_they_are(disputed, adjudicator):
    workflow.record_adjudication(disputed, adjudicator, decision("confirm"))
    assert sorted(each.state for each in ground_truth.outcomes(disputed.audit)) == ["adjudicated", "open"]


def test_one_unit_is_asked_alone(disputed):
    assert [outcome(disputed)] == [
        each for each in ground_truth.outcomes(disputed.audit) if each.unit_id == disputed.pk
    ]


def test_resent_it_stays_one_row(disputed, adjudicator):
    given = decision("confirm")
    first, _ = workflow.record_adjudication(disputed, adjudicator, given)
    assert workflow.record_adjudication(disputed, adjudicator, given) == (first, False)
    assert Adjudication.objects.count() == 1


def test_an_id_of_another_persons_decision_is_refused(disputed, adjudicator, lead):
    given = decision("confirm")
    workflow.record_adjudication(disputed, adjudicator, given)
    with pytest.raises(Conflict):
        workflow.record_adjudication(disputed, lead, given)


def test_a_later_decision_supersedes_whoever_takes_it(disputed, adjudicator, lead):
    first, _ = workflow.record_adjudication(disputed, adjudicator, decision("confirm"))
    second, _ = workflow.record_adjudication(disputed, lead, decision("unsure", reason="ambiguous_ground"))
    assert second.supersedes == first
    assert outcome(disputed).verdict == "unsure"


def test_nobody_settles_a_dispute_of_their_own(disputed, annotator):
    with pytest.raises(NotAllowed, match="somebody else"):
        workflow.record_adjudication(disputed, annotator, decision("confirm"))


def test_an_undone_review_was_a_review(disputed, annotator):
    mine = disputed.reviews.get(annotator=annotator)
    workflow.retract_review(mine, annotator, uuid=uuid4())
    with pytest.raises(NotAllowed):
        workflow.record_adjudication(disputed, annotator, decision("confirm"))


def test_a_unit_without_reviews_is_not_in_dispute(unit, adjudicator):
    with pytest.raises(workflow.NotInDispute):
        workflow.record_adjudication(unit, adjudicator, decision("confirm"))


def test_a_unit_whose_reviews_agree_is_not_in_dispute(unit, annotator, second_annotator, adjudicator):
    for person in (annotator, second_annotator):
        workflow.record_review(unit, person, review())
    with pytest.raises(workflow.NotInDispute, match="nothing to settle"):
        workflow.record_adjudication(unit, adjudicator, decision("confirm"))
    assert not Exposure.objects.exists()


def test_a_closed_audit_takes_none(disputed, adjudicator):
    disputed.audit.closed_at = timezone.now()
    with pytest.raises(workflow.AuditClosed):
        workflow.record_adjudication(disputed, adjudicator, decision("confirm"))


def test_who_decides_may_not_review_the_unit(disputed, adjudicator):
    workflow.record_adjudication(disputed, adjudicator, decision("confirm"))
    assert Exposure.objects.get(unit=disputed, user=adjudicator).what == "reviews"
    with pytest.raises(workflow.AlreadyExposed):
        workflow.record_review(disputed, adjudicator, review())
    assert disputed not in workflow.hand_out(disputed.audit, adjudicator, n=5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (decision(), "A record is judged"),
        (decision("searched"), "A record is judged"),
        (decision("unsure"), "reason"),
        (decision("reject"), "what is there instead"),
        (decision("confirm", reason="cloud"), "Only reject and unsure"),
        (decision("move"), "place of the mine"),
        (decision("move", mark=(-10.6, 6.4)), "outside the search disc"),
        (decision("move", mark=(-190, 6.4)), "not a place on earth"),
        (decision("confirm", mine_type="unheard of"), "unheard of"),
        (decision("confirm", confidence=6), "confidence"),
    ],
)
def test_it_obeys_the_rules_of_judgement(disputed, adjudicator, given, words):
    with pytest.raises(BadInput, match=words):
        workflow.record_adjudication(disputed, adjudicator, given)
    assert not Adjudication.objects.exists()


class TestSettledWithAReview:
    def test_it_takes_the_reviews_judgement_and_keeps_its_own_note(self, disputed, annotator, adjudicator):
        right = disputed.reviews.get(annotator=annotator)
        kept, _ = workflow.record_adjudication(
            disputed, adjudicator, decision(settled_with=right.uuid, note="agree with this one")
        )
        assert (kept.verdict, kept.mark.coords, kept.mine_type, kept.confidence) == ("move", NEAR, "both", 4)
        assert (kept.signs, kept.settled_with, kept.note) == (["camp"], right, "agree with this one")
        settled = outcome(disputed)
        assert (settled.state, settled.verdict, settled.mine_type) == ("adjudicated", "move", "both")
        assert settled.displacement_m == pytest.approx(199, abs=1)

    @pytest.mark.parametrize("extra", [{"verdict": "move"}, {"mark": NEAR}, {"confidence": 3}, {"is_same_mine": True}])
    def test_nothing_else_may_be_given(self, disputed, annotator, adjudicator, extra):
        right = disputed.reviews.get(annotator=annotator)
        with pytest.raises(BadInput, match="leave the other fields empty"):
            workflow.record_adjudication(disputed, adjudicator, decision(settled_with=right.uuid, **extra))

    def test_a_replaced_or_undone_review_is_refused(self, disputed, annotator, second_annotator, adjudicator):
        old = disputed.reviews.get(annotator=annotator)
        workflow.record_review(disputed, annotator, review("confirm"))
        with pytest.raises(BadInput, match="no longer"):
            workflow.record_adjudication(disputed, adjudicator, decision(settled_with=old.uuid))

    def test_a_review_of_another_unit_is_refused(self, disputed, annotator, adjudicator):
        other, _ = workflow.record_review(disputed.audit.units.order_by("pk").last(), annotator, review())
        with pytest.raises(BadInput, match="of this unit"):
            workflow.record_adjudication(disputed, adjudicator, decision(settled_with=other.uuid))
