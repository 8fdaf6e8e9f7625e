"""A verdict: kept once, never changed, undone by a new row, and held to the rules of judgement."""

from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from labels import ground_truth, looking, unit_payload, workflow
from labels.errors import BadInput, Conflict, NotAllowed
from labels.models import Assignment, Exposure, Review
from labels.workflow import GivenImage, GivenReview
from tests.factories import make_record, make_register, make_scene, make_source, square

POINT = (-10.7, 6.4)  # west of Greenwich, north of the equator, lon unlike lat


@pytest.fixture
def audit(project):
    register = make_register(project)
    make_record(register, at=POINT, observed_on=date(2021, 3, 1))
    return open_audit(project, register)


def open_audit(project, register, **fields):
    return workflow.open_census(project=project, register=register, slug="audit", name="Audit", **fields)


@pytest.fixture
def unit(audit):
    return audit.units.get()


@pytest.fixture
def images(project):
    """The same ground two years before and three years after the report."""
    source = make_source(project)
    for day in (date(2019, 2, 9), date(2024, 1, 14)):
        make_scene(source, footprint=square(-10.8, 6.3, 0.2), captured_on=day)
    return source


def looked(source, day=date(2024, 1, 14), *, zoom=15, half_deg=0.02):
    lon, lat = POINT
    view = {"bounds": [lon - half_deg, lat - half_deg, lon + half_deg, lat + half_deg], "zoom": zoom, "ms": 900}
    return GivenImage(pane=2, source=source.uuid, captured_on=day, zoom=zoom, views=[view], dwell_ms=900)


def given(verdict="confirm", **fields):
    return GivenReview(uuid=uuid4(), verdict=verdict, **fields)


def test_it_keeps_a_confirm_at_the_reported_point(unit, annotator):
    review, is_new = workflow.record_review(unit, annotator, given())
    assert is_new
    assert review.mark.coords == POINT
    assert review.confidence is None
    assert review.mine_type == ""  # not stated, and stored as not stated


def test_resent_it_stays_one_row(unit, annotator):
    verdict = given()
    first, _ = workflow.record_review(unit, annotator, verdict)
    again, is_new = workflow.record_review(unit, annotator, verdict)
    assert (again, is_new) == (first, False)
    assert Review.objects.count() == 1


def test_an_id_of_another_person_is_refused(unit, annotator, second_annotator):
    verdict = given()
    workflow.record_review(unit, annotator, verdict)
    with pytest.raises(Conflict):
        workflow.record_review(unit, second_annotator, verdict)


def test_a_changed_mind_supersedes(unit, annotator):
    first, _ = workflow.record_review(unit, annotator, given())
    second, _ = workflow.record_review(unit, annotator, given("unsure", reason="cloud"))
    assert second.supersedes == first
    [outcome] = ground_truth.outcomes(unit.audit)
    assert (outcome.verdict, outcome.n_reviews) == ("unsure", 1)


@pytest.mark.parametrize("statement", ["UPDATE labels_review SET verdict = 'reject'", "DELETE FROM labels_review"])
def test_the_database_refuses_to_change_it(unit, annotator, statement):
    workflow.record_review(unit, annotator, given())
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_undo_keeps_the_row_and_gives_the_unit_back(unit, annotator):
    workflow.hand_out(unit.audit, annotator)
    review, _ = workflow.record_review(unit, annotator, given())
    workflow.retract_review(review, annotator, uuid=uuid4())
    assert Review.objects.count() == 1
    assert ground_truth.outcomes(unit.audit)[0].state == "open"
    assert workflow.hand_out(unit.audit, annotator) == [unit]


def test_the_time_a_unit_was_held_counts_from_its_hand_out(unit, annotator, time_machine):
    """However often the lease is renewed on the way."""
    time_machine.move_to(timezone.now(), tick=False)
    workflow.hand_out(unit.audit, annotator)
    for _ in range(3):
        time_machine.shift(timedelta(seconds=240))
        assert workflow.keep_lease(unit, annotator)
        workflow.hand_out(unit.audit, annotator)
    review, _ = workflow.record_review(unit, annotator, given())
    assert review.held_time_s == 720


def test_undo_twice_is_one_undo(unit, annotator):
    review, _ = workflow.record_review(unit, annotator, given())
    _, first = workflow.retract_review(review, annotator, uuid=uuid4())
    _, second = workflow.retract_review(review, annotator, uuid=uuid4())
    assert (first, second) == (True, False)


def test_after_an_undo_the_next_verdict_counts(unit, annotator):
    review, _ = workflow.record_review(unit, annotator, given())
    workflow.retract_review(review, annotator, uuid=uuid4())
    workflow.record_review(unit, annotator, given("unsure", reason="cloud"))
    assert ground_truth.outcomes(unit.audit)[0].verdict == "unsure"


def test_only_ones_own_review_is_undone(unit, annotator, second_annotator):
    review, _ = workflow.record_review(unit, annotator, given())
    with pytest.raises(NotAllowed):
        workflow.retract_review(review, second_annotator, uuid=uuid4())


def test_unsure_needs_a_reason(unit, annotator):
    with pytest.raises(BadInput, match="reason"):
        workflow.record_review(unit, annotator, given("unsure"))


@pytest.mark.parametrize("verdict", ["confirm", "move"])
def test_a_mark_lies_in_the_search_disc(unit, annotator, verdict):
    lon, lat = POINT
    with pytest.raises(BadInput, match="outside the search disc"):
        workflow.record_review(unit, annotator, given(verdict, mark=(lon + 0.5, lat)))


def test_a_move_needs_its_mark(unit, annotator):
    with pytest.raises(BadInput, match="place of the mine"):
        workflow.record_review(unit, annotator, given("move"))


def test_a_move_beyond_the_search_disc_is_refused(unit, annotator):
    with pytest.raises(BadInput, match="1000 m"):
        workflow.record_review(unit, annotator, given("move", mark=(POINT[0] + 0.0092, POINT[1])))


def test_a_mark_within_tolerance_counts_as_at_the_point(unit, annotator):
    """93 m east of the point: pressed move, computed confirm; with a 50 m tolerance it is displaced."""
    workflow.record_review(unit, annotator, given("move", mark=(POINT[0] + 0.00084, POINT[1])))
    [outcome] = ground_truth.outcomes(unit.audit)
    assert outcome.displacement_m == pytest.approx(92.9, abs=0.2)
    assert (outcome.given_verdict, outcome.verdict, outcome.verdict_at(50)) == ("move", "confirm", "move")


def test_a_reject_needs_an_image_after_the_report(unit, annotator, images):
    early = looked(images, date(2019, 2, 9))
    with pytest.raises(workflow.RejectNeedsLaterImage):
        workflow.record_review(unit, annotator, given("reject", reason="natural_ground", images=[early]))


def test_a_reject_needs_the_whole_disc(unit, annotator, images):
    part = looked(images, half_deg=0.004)
    with pytest.raises(workflow.RejectNeedsWholeDisc):
        workflow.record_review(unit, annotator, given("reject", reason="natural_ground", images=[part]))


def test_a_reject_needs_a_zoom_that_shows_a_pit(unit, annotator, images):
    far = looked(images, zoom=13)
    with pytest.raises(workflow.RejectNeedsWholeDisc):
        workflow.record_review(unit, annotator, given("reject", reason="natural_ground", images=[far]))


def test_a_reject_of_the_whole_disc_stands(unit, annotator, images):
    review, _ = workflow.record_review(
        unit, annotator, given("reject", reason="natural_ground", images=[looked(images)])
    )
    assert review.share_seen == pytest.approx(1, abs=0.001)
    [image] = review.images.all()
    assert (image.captured_on, image.captured_known_by, image.resolution_m) == (date(2024, 1, 14), "stated", 1.2)


def test_an_image_of_another_project_is_refused(unit, annotator):
    foreign = make_source(make_register().project)
    with pytest.raises(BadInput, match="not one of the project's"):
        workflow.record_review(unit, annotator, given(images=[looked(foreign)]))


def test_an_image_without_the_right_to_labels_is_refused(unit, annotator, images):
    images.may_derive_labels = False
    images.save()
    with pytest.raises(BadInput, match="do not allow labels to be derived"):
        workflow.record_review(unit, annotator, given(images=[looked(images)]))
    assert unit_payload.payload(unit)["images"] == []


def test_who_has_seen_the_reviews_may_not_review(unit, annotator):
    Exposure.objects.create(unit=unit, user=annotator, what="reviews")
    with pytest.raises(workflow.AlreadyExposed):
        workflow.record_review(unit, annotator, given())
    assert workflow.hand_out(unit.audit, annotator) == []


def test_who_saw_scores_is_told_that_it_was_scores(unit, annotator):
    Exposure.objects.create(unit=unit, user=annotator, what=Exposure.What.SCORE)
    with pytest.raises(workflow.AlreadyExposed, match="scores of a training run"):
        workflow.record_review(unit, annotator, given())


def test_a_late_verdict_is_kept(unit, annotator, second_annotator):
    """The lease ran out and the unit went to somebody else: both verdicts count, the late one says so."""
    workflow.hand_out(unit.audit, annotator)
    Assignment.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert workflow.hand_out(unit.audit, second_annotator) == [unit]
    late, _ = workflow.record_review(unit, annotator, given())
    other, _ = workflow.record_review(unit, second_annotator, given())
    assert (late.lease_was_lost, other.lease_was_lost) == (True, False)
    assert ground_truth.outcomes(unit.audit)[0].n_reviews == 2


def test_a_closed_audit_takes_no_verdict(unit, annotator):
    unit.audit.closed_at = timezone.now()
    with pytest.raises(workflow.AuditClosed):
        workflow.record_review(unit, annotator, given())


class TestAgreement:
    @pytest.fixture
    def unit(self, project):
        register = make_register(project)
        make_record(register, at=POINT)
        return open_audit(project, register, reviews_per_unit=2).units.get()

    def judge(self, unit, *verdicts):
        for person, verdict in verdicts:
            workflow.record_review(unit, person, verdict)
        return ground_truth.outcomes(unit.audit)[0]

    def test_marks_within_the_same_site_agree(self, unit, annotator, second_annotator):
        near = given("move", mark=(POINT[0] + 0.0018, POINT[1]))  # 199 m
        outcome = self.judge(unit, (annotator, given(confidence=3)), (second_annotator, near))
        assert outcome.state == "agreed"
        assert outcome.verdict == "confirm"  # the label is the more confident reader's

    def test_marks_farther_apart_are_in_dispute(self, unit, annotator, second_annotator):
        far = given("move", mark=(POINT[0] + 0.0036, POINT[1]))  # 398 m
        outcome = self.judge(unit, (annotator, given()), (second_annotator, far))
        assert (outcome.state, outcome.verdict) == ("disputed", "unsure")

    def test_a_mine_and_an_unsure_are_in_dispute(self, unit, annotator, second_annotator):
        outcome = self.judge(unit, (annotator, given()), (second_annotator, given("unsure", reason="cloud")))
        assert outcome.state == "disputed"

    def test_one_person_fills_one_of_two_wanted_reviews(self, unit, annotator):
        assert workflow.hand_out(unit.audit, annotator, n=2) == [unit]
        self.judge(unit, (annotator, given()))
        assert workflow.hand_out(unit.audit, annotator) == []


def test_the_search_disc_has_the_area_of_its_circle():
    from django.contrib.gis.geos import Point

    disc = looking.search_disc(Point(*POINT, srid=4326), 1000)
    utm = disc.transform(32629, clone=True)
    assert utm.area == pytest.approx(3.14159e6, rel=0.01)
