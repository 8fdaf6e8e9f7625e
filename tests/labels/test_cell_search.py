"""Grid cells drawn at random and searched for mines: the draw, the verdict, and what a cell is then known to be."""

import random
from datetime import date
from uuid import uuid4

import pytest
from django.contrib.gis.geos import MultiPolygon, Polygon
from django.core.management import CommandError, call_command
from django.utils import timezone

from labels import geo, ground_truth, progress, workflow
from labels.errors import BadInput, Conflict, NotAllowed
from labels.models import Assignment, Audit, Review
from labels.workflow import GivenDecision, GivenImage, GivenReview
from tests.factories import make_area, make_record, make_register, make_scene, make_source, square

SOUTH_WEST = (-10.8, -3.3)  # west of Greenwich, south of the equator, lon unlike lat


@pytest.fixture
def province(project):
    """Twelve columns and three rows of cells."""
    box = Polygon.from_bbox((SOUTH_WEST[0], SOUTH_WEST[1], -10.68, -3.27))
    return make_area(project, MultiPolygon(box, srid=4326))


def draw(project, slug="cells", n=5, seed=3, **fields) -> Audit:
    return workflow.open_cell_search(project=project, slug=slug, name=slug.title(), n=n, seed=seed, **fields)


def cells(audit) -> list[str]:
    return list(audit.units.order_by("pk").values_list("grid_cell", flat=True))


class TestTheDraw:
    def test_it_is_a_simple_random_sample_of_the_provinces_cells(self, project, province):
        audit = draw(project)
        assert (audit.frame, audit.design, audit.register, audit.n_population, audit.n_unlocated) == (
            "cells",
            "srs",
            None,
            36,
            0,
        )
        assert audit.units.count() == 5
        assert set(audit.units.values_list("inclusion_probability", flat=True)) == {5 / 36}
        frame = geo.cells_in_bounds((*SOUTH_WEST, -10.68, -3.27))
        assert set(cells(audit)) < set(frame)

    def test_the_same_seed_draws_the_same_cells(self, project, province):
        assert cells(draw(project, "a")) == cells(draw(project, "b"))
        assert cells(draw(project, "c", seed=4)) != cells(draw(project, "d"))

    def test_every_cell_has_the_same_chance(self, project, province):
        times = {}
        for seed in range(60):
            for cell in cells(draw(project, f"s{seed}", n=18, seed=seed)):
                times[cell] = times.get(cell, 0) + 1
        assert len(times) == 36
        assert min(times.values()) > 15 and max(times.values()) < 45  # 30 expected, four standard errors either way

    def test_it_wants_the_reviews_it_was_asked_for(self, project, province):
        audit = draw(project, reviews_per_unit=2)
        assert Assignment.objects.filter(audit=audit, state="open").count() == 10

    def test_the_whole_frame_may_be_drawn(self, project, province):
        assert len(set(cells(draw(project, n=36)))) == 36

    def test_cells_of_provinces_that_meet_are_in_the_frame_once(self, project, province):
        make_area(project, MultiPolygon(Polygon.from_bbox((-10.72, -3.3, -10.66, -3.27)), srid=4326), name="Next")
        assert draw(project).n_population == 42

    def test_districts_retired_and_foreign_areas_are_no_frame(self, project, province):
        make_area(project, square(-9, 5, 0.1), level=2, name="District")
        make_area(project, square(-9, 5, 0.1), kind="permit")
        make_area(make_register().project, square(-9, 5, 0.1))
        assert draw(project).n_population == 36
        province.layer.retired_at = timezone.now()
        province.layer.save()
        with pytest.raises(BadInput, match="load its provinces"):
            draw(project, "later")

    @pytest.mark.parametrize("n", [0, -1, 37])
    def test_a_number_outside_the_frame_is_refused(self, project, province, n):
        with pytest.raises(BadInput, match="36 grid cells"):
            draw(project, n=n)
        assert not Audit.objects.exists()

    def test_a_name_that_is_taken_is_refused(self, project, province):
        draw(project)
        with pytest.raises(BadInput):
            draw(project)


class TestTheCommand:
    def run(self, project, *more):
        call_command("draw_sample", "--project", project.slug, "--audit", "Cells 1", *more)

    def test_it_draws_cells_and_drawing_again_changes_nothing(self, project, province, capsys):
        for _ in range(2):
            self.run(project, "--frame", "cells", "--design", "srs", "--n", "7", "--seed", "9")
            assert "7 of 36 grid cells" in capsys.readouterr().out
        audit = Audit.objects.get(slug="cells-1")
        assert cells(audit) == cells(draw(project, n=7, seed=9))

    def test_another_draw_under_the_same_name_is_refused(self, project, province):
        self.run(project, "--frame", "cells", "--n", "7")
        with pytest.raises(CommandError, match="already has this name"):
            self.run(project, "--frame", "cells", "--n", "8")

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            (["--frame", "cells", "--design", "census", "--n", "3"], "simple random sample"),
            (["--frame", "cells", "--design", "srs"], "--n: say how many"),
            (["--frame", "cells", "--n", "3", "--register", "list"], "belong to no register"),
            (["--frame", "cells", "--n", "40"], "36 grid cells"),
            (["--register", "list", "--design", "srs", "--n", "3"], "only a census"),
            ([], "--register: name"),
        ],
    )
    def test_other_combinations_are_refused_in_words(self, project, province, more, words):
        make_register(project, slug="list")
        with pytest.raises(CommandError, match=words) as refused:
            self.run(project, *more)
        assert refused.value.returncode == 2


@pytest.fixture
def unit(project, province):
    return draw(project, reviews_per_unit=2).units.order_by("pk").first()


@pytest.fixture
def imagery(project):
    source = make_source(project)
    make_scene(source, footprint=square(-10.9, -3.4, 0.4), captured_on=date(2024, 1, 14))
    return source


def found(verdict="searched", *marks, **fields) -> GivenReview:
    return GivenReview(uuid=uuid4(), verdict=verdict, other_mines=list(marks), **fields)


def looked(source, unit, *, share=1.0, zoom=15) -> GivenImage:
    west, south, east, north = geo.grid_cell_bounds(unit.grid_cell)
    view = {"bounds": [west, south, west + share * (east - west), north], "zoom": zoom, "ms": 900}
    return GivenImage(pane=1, source=source.uuid, captured_on=date(2024, 1, 14), zoom=zoom, views=[view])


def inside(unit, mine_type="artisanal", east=0.0) -> tuple[float, float, str]:
    lon, lat = geo.grid_cell_centre(unit.grid_cell)
    return lon + east, lat, mine_type


def outcome(unit):
    return ground_truth.cell_outcome_of(unit)


class TestTheVerdict:
    def test_a_searched_cell_keeps_its_marks_and_the_share_seen(self, unit, annotator, imagery):
        review, _ = workflow.record_review(
            unit,
            annotator,
            found("searched", inside(unit), inside(unit, "both", 0.004), images=[looked(imagery, unit, share=0.25)]),
        )
        assert review.share_seen == pytest.approx(0.25, abs=1e-6)
        assert sorted(review.marks.values_list("mine_type", flat=True)) == ["artisanal", "both"]
        assert review.mark is None

    def test_views_from_too_far_out_show_nothing(self, unit, annotator, imagery):
        review, _ = workflow.record_review(unit, annotator, found(images=[looked(imagery, unit, zoom=13)]))
        assert review.share_seen == 0

    def test_unsure_has_a_reason(self, unit, annotator):
        with pytest.raises(BadInput, match="reason"):
            workflow.record_review(unit, annotator, found("unsure"))
        review, _ = workflow.record_review(unit, annotator, found("unsure", reason="cloud"))
        assert review.reason == "cloud"

    def test_a_mark_belongs_inside_the_cell(self, unit, annotator):
        with pytest.raises(BadInput, match="outside the grid cell"):
            workflow.record_review(unit, annotator, found("searched", inside(unit), inside(unit, east=0.0051)))
        assert not Review.objects.exists()

    def test_a_mark_is_never_released_into_the_next_cell(self, unit, annotator):
        """Half a centimetre inside the east edge is on the edge once rounded, and the edge is the next cell's."""
        with pytest.raises(BadInput, match="outside the grid cell"):
            workflow.record_review(unit, annotator, found("searched", inside(unit, east=0.005 - 3e-8)))

    @pytest.mark.parametrize("verdict", ["confirm", "move", "reject", ""])
    def test_what_is_said_of_records_is_refused(self, unit, annotator, verdict):
        with pytest.raises(BadInput, match="searched or unsure"):
            workflow.record_review(unit, annotator, found(verdict, reason="natural_ground", mark=(-10.7, -3.28)))

    @pytest.mark.parametrize("extra", [{"mark": (-10.7, -3.28)}, {"mine_type": "both"}, {"activity": "active"}])
    def test_the_cell_itself_has_no_mine(self, unit, annotator, extra):
        with pytest.raises(BadInput, match="one by one"):
            workflow.record_review(unit, annotator, found(**extra))

    def test_a_searched_cell_has_no_reason(self, unit, annotator):
        with pytest.raises(BadInput, match="reason"):
            workflow.record_review(unit, annotator, found("searched", reason="cloud"))

    def test_who_marks_a_mine_has_searched(self, unit, annotator):
        with pytest.raises(BadInput, match="answer searched"):
            workflow.record_review(unit, annotator, found("unsure", inside(unit), reason="cloud"))

    def test_a_mark_has_a_known_type(self, unit, annotator):
        with pytest.raises(BadInput, match="type"):
            workflow.record_review(unit, annotator, found("searched", inside(unit, "")))

    def test_a_record_is_never_searched(self, project, annotator):
        register = make_register(project)
        make_record(register)
        record = workflow.open_census(project=project, register=register, slug="r", name="R").units.get()
        with pytest.raises(BadInput, match="A record is judged"):
            workflow.record_review(record, annotator, found())

    def test_it_is_undone_and_superseded_like_any_review(self, unit, annotator):
        workflow.record_review(unit, annotator, found("unsure", reason="cloud"))
        second, _ = workflow.record_review(unit, annotator, found())
        assert (outcome(unit).state, outcome(unit).verdict, outcome(unit).n_reviews) == ("agreed", "searched", 1)
        workflow.retract_review(second, annotator, uuid=uuid4())
        assert outcome(unit).state == "open"

    def test_no_cell_is_handed_out_and_none_counts_as_left(self, unit, annotator):
        assert workflow.hand_out(unit.audit, annotator, n=3) == []
        assert progress.queue_of(unit.audit, annotator).n_left_for_me == 0


class TestWhatACellIs:
    def judge(self, unit, *verdicts):
        for person, given in verdicts:
            workflow.record_review(unit, person, given)
        return outcome(unit)

    def test_it_is_unknown_before_anybody_looked(self, unit):
        assert (outcome(unit).state, outcome(unit).label, outcome(unit).n_reviews) == ("open", None, 0)
        assert outcome(unit).inclusion_probability == 5 / 36

    @pytest.mark.parametrize(("mine_type", "label"), [("artisanal", 1), ("both", 1), ("commercial", None)])
    def test_an_artisanal_mine_makes_it_1_and_a_commercial_one_leaves_it_unknown(
        self, unit, annotator, imagery, mine_type, label
    ):
        given = found("searched", inside(unit, mine_type), images=[looked(imagery, unit)])
        result = self.judge(unit, (annotator, given))
        assert (result.label, result.marks) == (label, (inside(unit, mine_type),))

    @pytest.mark.parametrize(("share", "label"), [(0.81, 0), (0.79, None)])
    def test_nothing_marked_makes_it_0_only_if_80_percent_was_seen(self, unit, annotator, imagery, share, label):
        result = self.judge(unit, (annotator, found(images=[looked(imagery, unit, share=share)])))
        assert (result.label, result.share_seen) == (label, pytest.approx(share))

    def test_a_search_without_any_image_on_record_is_unknown(self, unit, annotator):
        result = self.judge(unit, (annotator, found()))
        assert (result.label, result.share_seen) == (None, None)

    def test_unsure_is_unknown(self, unit, annotator):
        assert self.judge(unit, (annotator, found("unsure", reason="cloud"))).label is None

    def test_reviews_agree_on_any_artisanal_mine_wherever_they_mark_it(self, unit, annotator, second_annotator):
        result = self.judge(
            unit,
            (annotator, found("searched", inside(unit), confidence=2)),
            (second_annotator, found("searched", inside(unit, "both", 0.004), confidence=4)),
        )
        assert (result.state, result.label, len(result.marks), result.confidence) == ("agreed", 1, 2, 4)

    def test_the_one_who_saw_least_decides_how_much_was_seen(self, unit, annotator, second_annotator, imagery):
        result = self.judge(
            unit,
            (annotator, found(images=[looked(imagery, unit)])),
            (second_annotator, found(images=[looked(imagery, unit, share=0.5)])),
        )
        assert (result.state, result.label, result.share_seen) == ("agreed", None, pytest.approx(0.5))

    @pytest.mark.parametrize("other", [found(), found("unsure", reason="cloud")])
    def test_a_mine_and_none_are_in_dispute_and_unknown(self, unit, annotator, second_annotator, other):
        result = self.judge(unit, (annotator, found("searched", inside(unit))), (second_annotator, other))
        assert (result.state, result.label, result.verdict, result.marks) == ("disputed", None, None, ())


class TestItsDispute:
    @pytest.fixture
    def disputed(self, unit, annotator, second_annotator, imagery):
        workflow.record_review(unit, annotator, found("searched", inside(unit)))
        workflow.record_review(unit, second_annotator, found(images=[looked(imagery, unit)]))
        return unit

    @pytest.mark.parametrize(("who", "label", "n_marks"), [("alma", 1, 1), ("bruno", 0, 0)])
    def test_it_is_settled_with_one_of_the_reviews(self, disputed, adjudicator, who, label, n_marks):
        right = disputed.reviews.get(annotator__username=who)
        workflow.record_adjudication(disputed, adjudicator, GivenDecision(uuid=uuid4(), settled_with=right.uuid))
        settled = outcome(disputed)
        assert (settled.state, settled.label, len(settled.marks), settled.n_reviews) == (
            "adjudicated",
            label,
            n_marks,
            2,
        )

    def test_or_as_unsure(self, disputed, adjudicator):
        given = GivenDecision(uuid=uuid4(), verdict="unsure", reason="ambiguous_ground")
        workflow.record_adjudication(disputed, adjudicator, given)
        settled = outcome(disputed)
        assert (settled.state, settled.label, settled.reason) == ("adjudicated", None, "ambiguous_ground")

    @pytest.mark.parametrize("verdict", ["searched", "reject", "confirm"])
    def test_but_with_no_other_verdict(self, disputed, adjudicator, verdict):
        with pytest.raises(BadInput):
            workflow.record_adjudication(disputed, adjudicator, GivenDecision(uuid=uuid4(), verdict=verdict))

    def test_by_nobody_who_searched_it(self, disputed, annotator):
        with pytest.raises(NotAllowed):
            workflow.record_adjudication(
                disputed, annotator, GivenDecision(uuid=uuid4(), verdict="unsure", reason="cloud")
            )

    def test_cells_that_agree_have_none(self, unit, annotator, adjudicator):
        workflow.record_review(unit, annotator, found())
        with pytest.raises(Conflict):
            workflow.record_adjudication(
                unit, adjudicator, GivenDecision(uuid=uuid4(), verdict="unsure", reason="cloud")
            )

    def test_gold_answers_are_for_records(self, unit, lead):
        with pytest.raises(BadInput, match="not for grid cells"):
            workflow.set_gold(unit, lead, workflow.GivenJudgement(uuid=uuid4(), verdict="unsure", reason="cloud"))


def test_asking_costs_the_same_however_many_cells(project, province, annotator, django_assert_max_num_queries):
    audit = draw(project, n=12)
    for unit in random.Random(1).sample(list(audit.units.all()), 8):
        workflow.record_review(unit, annotator, found("searched", inside(unit)))
    with django_assert_max_num_queries(5):
        assert sum(each.label == 1 for each in ground_truth.cell_outcomes(audit)) == 8
