"""What becomes of reviews when a later import moves records: they carry over, or the unit asks to be judged again."""

from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from labels import access, ground_truth, jobs, progress, reports, workflow
from labels.models import Assignment, Audit, Exposure, Job, Observation, Register, Review, SampleUnit
from labels.releases import gathering, making
from tests.factories import make_record, make_register, make_source
from tests.judging import judge, open_audit, units_of
from tests.registered import load, withdraw, write_list

pytestmark = pytest.mark.django_db

HERE = [("a1", -10.5, 6.25), ("a2", -10.75, 6.5), ("a3", -10.2, 6.1)]
MOVED = [("a1", -10.5, 6.25), ("a2", -10.85, 6.5), ("a3", -10.2, 6.1)]


def unsure() -> workflow.GivenReview:
    return workflow.GivenReview(uuid=uuid4(), verdict="unsure", reason="cloud")


def give(unit: SampleUnit, person) -> Review:
    return workflow.record_review(unit, person, unsure())[0]


@pytest.fixture
def lists(tmp_path):
    return write_list(tmp_path / "here.csv", *HERE), write_list(tmp_path / "moved.csv", *MOVED)


@pytest.fixture
def audit(project, lists):
    """Three records, two looks wanted of each."""
    load(lists[0], project=project.slug)
    return open_audit(Register.objects.get(), reviews_per_unit=2)


@pytest.fixture
def next_edition(project):
    return lambda path: load(path, project=project.slug)


def unit_of(audit: Audit, source_id: str) -> SampleUnit:
    """The unit that counts."""
    return audit.units.current().select_related("observation", "audit").get(site_record__source_id=source_id)


def states(unit: SampleUnit) -> list[str]:
    return sorted(unit.assignments.values_list("state", flat=True))


def test_a_moved_record_asks_to_be_judged_where_it_is_now(audit, lists, next_edition, annotator):
    old = unit_of(audit, "a2")
    review = give(old, annotator)
    lines = next_edition(lists[1])
    assert "1 unit has moved and asks to be judged, 1 of them again." in lines
    new = unit_of(audit, "a2")
    assert new != old and new.observation.point.coords == (-10.85, 6.5)
    assert states(new) == ["open", "open"]
    assert (new.stratum, new.inclusion_probability, new.queue) == ("all", 1.0, "sample")
    old.refresh_from_db()
    assert old.retired_at and states(old) == ["done"]
    assert Review.objects.get() == review
    assert workflow.moved_in(audit) == workflow.Moved(n_again=1)


def test_reviews_carry_over_where_the_position_is_the_same(audit, project, tmp_path, next_edition, annotator):
    """Another name, mineral or date moves nothing; nor does a digit that a file lost on its way."""
    before = {unit.pk for unit in units_of(audit)}
    give(unit_of(audit, "a1"), annotator)
    rows = [("a1", -10.50000004, 6.25), *HERE[1:]]
    lines = next_edition(write_list(tmp_path / "named.csv", *rows, name="Bray", mineral="Or"))
    assert lines[-1].startswith("0 created, 3 updated")
    assert {unit.pk for unit in audit.units.all()} == before
    assert not audit.units.retired().exists()
    assert ground_truth.outcomes(audit)[0].n_reviews == 1


def test_a_b_a_brings_the_first_unit_back_with_its_reviews(audit, lists, next_edition, annotator, second_annotator):
    old = unit_of(audit, "a2")
    give(old, annotator)
    next_edition(lists[1])
    new = unit_of(audit, "a2")
    give(new, second_annotator)
    assert "1 unit is back where it was judged." in next_edition(lists[0])
    assert unit_of(audit, "a2") == old
    assert states(old) == ["done", "open"]
    new.refresh_from_db()
    assert new.retired_at and states(new) == ["done"]
    [outcome] = [each for each in ground_truth.outcomes(audit) if each.source_id == "a2"]
    assert outcome.n_reviews == 1
    assert "1 unit is back where it was judged." in next_edition(lists[1])
    assert unit_of(audit, "a2") == new
    assert audit.units.count() == 4


def test_a_withdrawal_brings_the_first_unit_back(audit, project, lists, next_edition, annotator):
    old = unit_of(audit, "a2")
    give(old, annotator)
    next_edition(lists[1])
    said = withdraw(2, project=project.slug)[-1]
    assert said == "Edition 2 is withdrawn. 1 unit is back where it was judged."
    assert unit_of(audit, "a2") == old


def test_it_does_nothing_the_second_time(audit, lists, next_edition):
    next_edition(lists[1])
    before = list(SampleUnit.objects.order_by("pk").values()), list(Assignment.objects.order_by("pk").values())
    assert workflow.carry_over(audit.register) == workflow.CarriedOver()
    next_edition(lists[1])
    assert before == (
        list(SampleUnit.objects.order_by("pk").values()),
        list(Assignment.objects.order_by("pk").values()),
    )


@pytest.mark.parametrize("killed_at", range(5))
def test_killed_on_the_way_it_is_finished_by_its_job(project, tmp_path, annotator, monkeypatch, killed_at):
    from labels.workflow import carrying_over

    rows = [(f"s{k}", -10 + k / 100, 6.0) for k in range(9)]
    load(write_list(tmp_path / "a.csv", *rows), project=project.slug)
    audit = open_audit(Register.objects.get(), reviews_per_unit=2)
    give(unit_of(audit, "s3"), annotator)
    later = write_list(tmp_path / "b.csv", *[(name, lon, 6.2) for name, lon, _lat in rows])
    monkeypatch.setattr(carrying_over, "BATCH_RECORDS", 2)
    carry, carried = carrying_over._carry_batch, []

    class Killed(BaseException):
        pass

    def until_killed(*arguments):
        if len(carried) == killed_at:
            raise Killed
        carried.append(carry(*arguments))

    with monkeypatch.context() as killing:
        killing.setattr(carrying_over, "_carry_batch", until_killed)
        with pytest.raises(Killed):
            load(later, project=project.slug)
    assert audit.units.retired().count() == 2 * killed_at
    assert load(later, project=project.slug)[-1] == "0 created, 9 updated, 0 unchanged, 0 refused (9 rows)"
    assert audit.units.retired().count() == 9 == audit.units.current().count()
    assert Assignment.objects.filter(unit__in=audit.units.current(), state="open").count() == 18
    assert Job.objects.count() == 2


def test_a_record_without_a_place_leaves_the_audit(audit, tmp_path, project, next_edition, annotator):
    give(unit_of(audit, "a2"), annotator)
    nowhere = write_list(tmp_path / "nowhere.csv", HERE[0], ("a2", None, None), HERE[2])
    assert "1 unit lies nowhere any more and is left out." in next_edition(nowhere)
    assert sorted(u.site_record.source_id for u in audit.units.current()) == ["a1", "a3"]
    assert workflow.moved_in(audit) == workflow.Moved(n_left_out=1)
    # At a third place it is judged as the record of the sample that it is.
    next_edition(write_list(tmp_path / "third.csv", HERE[0], ("a2", -11.0, 6.0), HERE[2]))
    assert unit_of(audit, "a2").observation.point.coords == (-11.0, 6.0)
    assert workflow.moved_in(audit) == workflow.Moved(n_again=1)


def test_a_record_that_stands_in_no_edition_leaves_the_audit(audit, project):
    assert withdraw(1, project=project.slug)[-1].endswith("3 units lie nowhere any more and are left out.")
    assert not audit.units.current().exists()
    assert ground_truth.outcomes(audit) == []


def test_a_record_that_vanished_stays_where_it_was(audit, tmp_path, next_edition):
    next_edition(write_list(tmp_path / "short.csv", *HERE[:2]))
    assert audit.units.current().count() == 3


def test_the_new_unit_is_searched_by_the_rules_for_how_its_place_is_known(audit, project, tmp_path):
    assert unit_of(audit, "a2").search_radius_m == 5000
    path = write_list(tmp_path / "gps.csv", *MOVED, method="GPS")
    load(path, "--map", "location_method=method", project=project.slug)
    unit = unit_of(audit, "a2")
    assert (unit.tolerance_m, unit.search_radius_m) == (100, 1000)


def test_a_licence_with_another_boundary_is_judged_again(project, tmp_path):
    def licences(path, second: str):
        shapes = ["((0 0, 2 0, 2 2, 0 2, 0 0))", second]
        lines = ["id,geom", *(f'{k},"POLYGON {shape}"' for k, shape in enumerate(shapes))]
        path.write_text("\n".join(lines) + "\n")
        return path

    load(licences(tmp_path / "a.csv", "((4 0, 6 0, 6 2, 4 2, 4 0))"), project=project.slug)
    audit = open_audit(Register.objects.get())
    # The same shape with other digits; then the same point inside another boundary.
    load(licences(tmp_path / "b.csv", "((4 0, 6.0000000001 0, 6 2, 4 2, 4 0))"), project=project.slug)
    assert not audit.units.retired().exists()
    point = Observation.objects.filter(site_record__source_id="1").latest("pk").point
    load(licences(tmp_path / "c.csv", "((4 -1, 6 -1, 6 3, 4 3, 4 -1))"), project=project.slug)
    assert Observation.objects.filter(site_record__source_id="1").latest("pk").point.distance(point) < 1e-6
    assert [unit.site_record.source_id for unit in audit.units.retired()] == ["1"]


def test_closed_audits_stay_as_they_are(audit, lists, next_edition, client_of, lead, project):
    Audit.objects.update(closed_at=timezone.now())
    next_edition(lists[1])
    assert not audit.units.retired().exists() and audit.units.count() == 3
    audit.refresh_from_db()
    assert workflow.moved_in(audit) == workflow.Moved(n_moved_since=1)
    page = client_of(lead).get(reverse("labels:audit", args=[project.slug, audit.slug])).content.decode()
    assert "1 record has moved in its register since this audit was closed." in page


def test_an_audit_opened_while_its_records_were_placed_catches_up(project, lists, lead):
    """The import saw no unit of it; the opening looks again when its units are there."""
    load(lists[0], project=project.slug)
    register = Register.objects.get()
    job = jobs.ask(
        project=project,
        kind=Job.Kind.OPEN_AUDIT,
        requested_by=lead,
        parameters={"name": "A", "register": register.pk, "reviews_per_unit": 1, "same_site_m": 250, "seed": 1},
    )
    open_census = workflow.open_census

    def drawn_before(**fields):
        audit = open_census(**fields)
        load(lists[1], project=project.slug)  # ends before the drawing commits
        Assignment.objects.filter(unit__audit=audit).delete()
        audit.units.all().delete()
        old = Observation.objects.get(site_record__source_id="a2", first_edition__number=1)
        SampleUnit.objects.create(
            audit=audit, site_record=old.site_record, observation=old, inclusion_probability=1, tolerance_m=1,
            search_radius_m=1,
        )  # fmt: skip
        return audit

    workflow.open_census = drawn_before
    try:
        done = jobs.run(job.pk)
    finally:
        workflow.open_census = open_census
    assert done.result["units"] == 1
    assert unit_of(Audit.objects.get(), "a2").observation.point.coords == (-10.85, 6.5)


def test_the_suggested_queue_moves_too_and_stays_apart(audit, lists, next_edition):
    SampleUnit.objects.filter(site_record__source_id="a2").update(queue="suggested", inclusion_probability=None)
    Assignment.objects.filter(unit__site_record__source_id="a2").update(queue="suggested")
    next_edition(lists[1])
    unit = unit_of(audit, "a2")
    assert (unit.queue, unit.inclusion_probability) == ("suggested", None)
    assert set(unit.assignments.values_list("queue", flat=True)) == {"suggested"}


# ---- people on their way ----


def test_a_unit_on_somebodys_screen_is_taken_back_and_its_late_verdict_kept(audit, lists, next_edition, annotator):
    units = workflow.hand_out(audit, annotator, n=3)
    [held] = [unit for unit in units if unit.site_record.source_id == "a2"]
    next_edition(lists[1])
    assert not workflow.keep_lease(held, annotator)
    handed = workflow.hand_out(audit, annotator, n=4)
    assert held not in handed and unit_of(audit, "a2") in handed
    held.refresh_from_db()
    late = give(held, annotator)
    assert late.lease_was_lost and late.unit == held
    assert states(held) == ["done"]
    assert progress.queue_of(audit, annotator).n_done == 0
    assert all(outcome.n_reviews == 0 for outcome in ground_truth.outcomes(audit))
    next_edition(lists[0])
    assert [o.n_reviews for o in ground_truth.outcomes(audit) if o.source_id == "a2"] == [1]
    assert states(held) == ["done", "open"]


def test_undoing_a_verdict_on_a_retired_unit_asks_nobody_to_look_there(audit, lists, next_edition, annotator):
    old = unit_of(audit, "a2")
    review = give(old, annotator)
    next_edition(lists[1])
    review.refresh_from_db()
    workflow.retract_review(Review.objects.get(), annotator, uuid=uuid4())
    assert states(old) == []
    assert old not in workflow.hand_out(audit, annotator, n=9)
    next_edition(lists[0])
    assert states(old) == ["open", "open"]


def test_who_judged_the_old_place_may_judge_the_new_one(audit, lists, next_edition, annotator):
    old = unit_of(audit, "a2")
    give(old, annotator)
    next_edition(lists[1])
    new = unit_of(audit, "a2")
    assert new in workflow.hand_out(audit, annotator, n=9)
    assert give(new, annotator).supersedes is None


@pytest.mark.parametrize(("lon", "is_kept_out"), [(-10.7501, True), (-11.5, False)])
def test_who_saw_others_reviews_of_the_old_place_stays_blind_to_a_near_one(
    audit, tmp_path, next_edition, annotator, second_annotator, lon, is_kept_out
):
    old = unit_of(audit, "a2")
    give(old, second_annotator)
    access.expose(annotator, [old.pk], Exposure.What.REVIEWS)
    next_edition(write_list(tmp_path / "b.csv", HERE[0], ("a2", lon, 6.5), HERE[2]))
    new = unit_of(audit, "a2")
    assert (new not in workflow.hand_out(audit, annotator, n=9)) == is_kept_out
    assert progress.n_left_for(audit, annotator) == (2 if is_kept_out else 3)
    # What they see of the new unit returns with the old one.
    access.expose(second_annotator, [new.pk], Exposure.What.REVIEWS)
    next_edition(write_list(tmp_path / "a.csv", *HERE))
    assert Exposure.objects.filter(unit=old, user=second_annotator).exists() == is_kept_out


def test_who_gave_the_gold_answer_of_the_old_place_may_judge_the_new_one(audit, tmp_path, next_edition, annotator):
    given = workflow.GivenJudgement(uuid=uuid4(), verdict="unsure", reason="cloud")
    workflow.set_gold(unit_of(audit, "a2"), annotator, given)
    next_edition(write_list(tmp_path / "b.csv", HERE[0], ("a2", -10.7501, 6.5), HERE[2]))
    new = unit_of(audit, "a2")
    assert new in workflow.hand_out(audit, annotator, n=9)
    assert give(new, annotator).kind_of_check == ""


def test_retired_units_are_neither_settled_nor_given_gold(audit, lists, next_edition, adjudicator, annotator):
    old = unit_of(audit, "a2")
    judge(old, annotator, "confirm")
    judge(old, adjudicator, "reject")
    next_edition(lists[1])
    old.refresh_from_db()
    decision = workflow.GivenDecision(uuid=uuid4(), verdict="unsure", reason="cloud")
    with pytest.raises(workflow.NotInDispute, match="moved this record since"):
        workflow.record_adjudication(old, adjudicator, decision)
    with pytest.raises(Exception, match="moved this record since"):
        workflow.set_gold(old, adjudicator, workflow.GivenJudgement(uuid=uuid4(), verdict="unsure", reason="cloud"))
    assert ground_truth.outcome_of(old).state == "disputed"


# ---- what is counted ----


def test_retired_units_count_nowhere(audit, project, lists, next_edition, annotator, second_annotator, client_of, lead):
    for unit in units_of(audit):
        judge(unit, annotator, "confirm")
        judge(unit, second_annotator, "confirm" if unit.site_record.source_id != "a2" else "reject")
    Assignment.objects.all().delete()
    for review in Review.objects.all():
        Assignment.objects.create(
            unit=review.unit, audit=audit, state="done", annotator=review.annotator, review=review, order_key=0
        )
    before = reports.reliability_of(project)
    assert (before.overall.n_units, before.overall.n_disputed, before.n_double_read) == (3, 1, 3)
    next_edition(lists[1])
    report = reports.reliability_of(project)
    assert (report.overall.n_units, report.overall.n_judged, report.overall.n_disputed) == (3, 2, 0)
    assert (report.n_double_read, report.overall.n_open, report.overall.population) == (2, 1, 3)
    queue = progress.queue_of(audit, annotator)
    assert (queue.n_wanted, queue.n_done, queue.n_mine, queue.n_left_for_me) == (6, 4, 2, 1)
    assert sum(each["n"] for each in progress.people_of(audit)) == 4
    page = client_of(lead).get(reverse("labels:audit", args=[project.slug, audit.slug]))
    assert page.context["n_units"] == 3 and page.context["states"]["open"] == 1
    assert "1 unit asks to be judged again" in page.content.decode()
    mine = client_of(annotator).get(reverse("labels:my_reviews", args=[project.slug, audit.slug])).content.decode()
    assert "moved since" in mine


def test_retired_units_leave_later_releases_and_stay_in_earlier_ones(audit, project, lists, next_edition, lead, admin):
    source = make_source(project, may_derive_labels=True, may_share_labels=True)
    old = unit_of(audit, "a2")
    for unit in units_of(audit):
        judge(unit, lead, "confirm")
    earlier = making.make_release(project, [audit]).release
    next_edition(lists[1])
    snapshot = gathering.gather([audit])
    assert [label["source_id"] for label in snapshot.labels] == ["a1", "a3"]
    assert len(snapshot.cells) == 2
    assert [label["source_id"] for label in making.read_snapshot(earlier).labels] == ["a1", "a2", "a3"]
    assert old.pk in making._units_of(earlier)
    later = making.make_release(project, [audit]).release
    assert later.number == 2 and old.pk not in making._units_of(later)
    assert source.pk


def test_nothing_of_the_old_place_reaches_an_annotators_browser(
    audit, project, lists, next_edition, annotator, second_annotator, client_of
):
    old = unit_of(audit, "a2")
    give(old, second_annotator)
    next_edition(lists[1])
    page = client_of(annotator).get(reverse("labels:review", args=[project.slug, audit.slug]))
    units = page.context["page_data"]["units"]
    assert len(units) == 3 and str(old.uuid) not in page.content.decode()
    assert not {"retired", "moved", "again", "reviews"} & {key for unit in units for key in unit}
    assert [-10.75, 6.5] not in [unit["point"] for unit in units]


def test_cells_and_other_registers_are_left_alone(audit, project, lists, next_edition):
    other = make_register(project)
    make_record(other, at=(-10.0, 6.0))
    beside = open_audit(other, slug="beside")
    cell = SampleUnit.objects.create(
        audit=Audit.objects.create(project=project, slug="cells", name="Cells", frame="cells"),
        grid_cell="lon_-10.505__lat_6.255", inclusion_probability=0.1, tolerance_m=1, search_radius_m=1,
    )  # fmt: skip
    next_edition(lists[1])
    cell.refresh_from_db()
    assert cell.retired_at is None and not beside.units.retired().exists()
