"""What judged units add up to, against figures worked out by hand."""

from datetime import date

import pytest

from labels.errors import BadInput
from labels.groupings import GROUP_KEYS
from labels.models import Adjudication, Placement, SampleUnit
from labels.reports import reliability_of
from tests.factories import make_area, make_record, make_register, square
from tests.judging import judge, judge_all, make_audit, open_audit, units_of


@pytest.fixture
def register(project):
    return make_register(project, slug="cadastre", name="Cadastre")


def shares(group) -> dict[str, tuple[int, int]]:
    return {verdict: (rate.k, rate.n) for verdict, rate in group.rates}


# ---- shares and their intervals ----


def test_counts_each_verdict_of_a_census(project, register, annotator):
    units = units_of(make_audit(register, 10))
    judge_all(units, annotator, "ccccmmrrru")
    every = reliability_of(project).overall
    assert shares(every) == {"confirm": (4, 10), "move": (2, 10), "reject": (3, 10), "unsure": (1, 10)}
    assert (every.n_units, every.n_judged, every.n_open, every.n_disputed) == (10, 10, 0, 0)
    assert every.confirm.share == 0.4
    assert (every.nearby_at_least.share, every.nearby_at_most.share) == (0.6, 0.7)


def test_whole_census_has_no_sampling_error_and_is_never_small(project, register, annotator):
    judge_all(units_of(make_audit(register, 10)), annotator, "ccccmmrrru")
    every = reliability_of(project).overall
    assert every.all_judged
    assert every.confirm.interval == "census"
    # Wilson for 4 of 10, worked out by hand: centre (0.4 + 0.19207) / 1.38415, half width 0.25968.
    assert (every.confirm.low, every.confirm.high) == pytest.approx((0.16818, 0.68733), abs=1e-5)
    assert not every.is_small


def test_partly_judged_census_is_a_random_part_of_it(project, register, annotator):
    judge_all(units_of(make_audit(register, 10)), annotator, "ccmr")
    every = reliability_of(project).overall
    assert (every.n_units, every.n_judged, every.n_open) == (10, 4, 6)
    assert not every.all_judged
    assert every.confirm.interval == "sampling"
    # Effective size 4 * 9 / 6 = 6; Wilson for 3 of 6 by hand.
    assert (every.confirm.low, every.confirm.high) == pytest.approx((0.2, 0.8), abs=0.02)
    assert every.confirm.low == pytest.approx(0.2, abs=1e-9)  # 2 of 10 are confirmed already
    assert every.is_small


def test_nothing_judged_gives_no_share(project, register):
    make_audit(register, 3)
    every = reliability_of(project).overall
    assert every.n_judged == 0
    assert every.confirm.share is None
    assert every.displacement.median_m.value is None


def test_project_without_an_audit_is_an_empty_report(project):
    report = reliability_of(project, by=["region"])
    assert report.audits == []
    assert report.groups == []
    assert report.overall.n_units == 0


# ---- disputes, undo, queues ----


def test_dispute_counts_as_unsure_until_settled(project, register, annotator, second_annotator, adjudicator):
    unit = units_of(make_audit(register, 1))[0]
    judge(unit, annotator, "confirm")
    judge(unit, second_annotator, "reject")
    every = reliability_of(project).overall
    assert (every.n_disputed, every.unsure.k, every.unsure_reasons) == (1, 1, {"disputed": 1})
    Adjudication.objects.create(
        unit=unit,
        adjudicator=adjudicator,
        verdict="reject",
        reason="natural_ground",
        tolerance_m=unit.tolerance_m,
        search_radius_m=unit.search_radius_m,
    )
    every = reliability_of(project).overall
    assert (every.n_disputed, every.unsure.k, every.reject.k) == (0, 0, 1)


def test_suggested_queue_changes_nothing(project, register, annotator):
    audit = make_audit(register, 4)
    judge_all(units_of(audit), annotator, "ccr")
    before = reliability_of(project, by=list(GROUP_KEYS))
    record = make_record(register)
    suggested = SampleUnit.objects.create(
        audit=audit,
        site_record=record,
        observation=record.placement.observation,
        queue="suggested",
        tolerance_m=100,
        search_radius_m=1000,
    )
    judge(suggested, annotator, "reject")
    after = reliability_of(project, by=list(GROUP_KEYS))
    assert (after.overall, after.groups) == (before.overall, before.groups)


def test_readers_who_disagree_give_limits_of_the_true_share(project, register, annotator, second_annotator):
    for _ in range(12):
        make_record(register)
    units = units_of(open_audit(register, reviews_per_unit=2))
    judge_all(units, annotator, "ccccccrrrrrr")
    judge_all(units, second_annotator, "cccccrrrrrrc")
    report = reliability_of(project)
    assert report.n_double_read == 12
    assert report.overall.reject.reader_low < report.overall.reject.share < report.overall.reject.reader_high


def test_readings_beyond_the_plan_say_nothing_of_readers(project, register, annotator, second_annotator):
    units = units_of(make_audit(register, 3))
    judge_all(units, annotator, "crr")
    judge(units[0], second_annotator, "reject")
    report = reliability_of(project)
    assert report.n_double_read == 0
    assert report.overall.reject.reader_low is None


# ---- rejects ----


def test_rejects_visited_on_site_stand_apart(project, register, annotator):
    make_record(register, kind="on_site", location_precision="gps")
    for _ in range(4):
        make_record(register, kind="third_party", location_precision="village")
    units = units_of(open_audit(register))
    for unit, reason in zip(
        units, ["natural_ground", "natural_ground", "industrial_only", "other_land_use", "no_activity"], strict=True
    ):
        judge(unit, annotator, "reject", reason=reason)
    every = reliability_of(project).overall
    assert every.rejects == {
        "field_verified": 1,
        "natural_ground": 1,
        "other_land_use": 1,
        "industrial_only": 1,
        "no_activity": 1,
    }
    assert sum(every.rejects.values()) == every.reject.k
    assert (every.wrong.k, every.wrong.n) == (3, 5)


# ---- displacement ----


def test_displacement_is_of_moved_records(project, register, annotator):
    units = units_of(make_audit(register, 12))
    for unit, metres in zip(units, [150, 200, 250, 300, 350, 400, 450, 500, 550, 600, 900], strict=False):
        judge(unit, annotator, "move", moved_m=metres)
    judge(units[11], annotator, "confirm")
    moved = reliability_of(project).overall.displacement
    assert moved.n == 11
    assert moved.median_m.value == pytest.approx(400, abs=1)
    assert moved.ce90_m.value == pytest.approx(600, abs=1)
    low, high = moved.median_m.interval
    assert low < moved.median_m.value < high
    assert moved.ce90_m.interval is None  # 11 are too few to bracket the 90th percentile
    assert (moved.near_search_end.k, moved.near_search_end.n) == (1, 11)
    assert moved.search_radii_m == [1000]


def test_share_within_a_distance_is_of_all_judged(project, register, annotator):
    units = units_of(make_audit(register, 6))
    judge_all(units, annotator, "ccru")
    judge(units[4], annotator, "move", moved_m=200)
    judge(units[5], annotator, "move", moved_m=700)
    within = reliability_of(project).overall.within
    assert [(item.distance_m, item.rate.k, item.rate.n) for item in within] == [
        (50, 2, 6),
        (100, 2, 6),
        (250, 3, 6),
        (500, 3, 6),
        (1000, 4, 6),
    ]
    assert within[-1].n_searched_less == 0


def test_another_tolerance_turns_moves_into_confirms(project, register, annotator):
    units = units_of(make_audit(register, 3))
    for unit, metres in zip(units, [150, 200, 700], strict=True):
        judge(unit, annotator, "move", moved_m=metres)
    assert shares(reliability_of(project).overall)["move"] == (3, 3)
    assert shares(reliability_of(project, tolerance_m=250).overall) == {
        "confirm": (2, 3),
        "move": (1, 3),
        "reject": (0, 3),
        "unsure": (0, 3),
    }
    assert shares(reliability_of(project, tolerance_m=50).overall)["move"] == (3, 3)


@pytest.mark.parametrize("tolerance_m", [0, -5, float("nan"), float("inf")])
def test_senseless_tolerance_is_refused(project, tolerance_m):
    with pytest.raises(BadInput, match="metres above 0"):
        reliability_of(project, tolerance_m=tolerance_m)


# ---- groups ----


@pytest.fixture
def divided(project, register, annotator):
    """Two records that differ in everything: one rejected, one confirmed."""
    make_area(project, square(-11, 6, 1), name="Kessou")
    make_record(
        register,
        at=(-10.5, 6.5),
        stated_region="Kessou-Nord",
        minerals=["gold", "cassiterite"],
        legal_status="artisanal",
        trade_status="green",
        location_precision="gps",
        kind="on_site",
        observed_on=date(2019, 5, 1),
    )
    make_record(
        register,
        at=(-9.5, 6.5),
        stated_region="",
        minerals=[],
        legal_status="",
        trade_status="",
        location_precision="village",
        kind="third_party",
        observed_on=None,
        date_precision="unknown",
    )
    audit = open_audit(register)
    judge_all(units_of(audit), annotator, "rc")
    first, second = Placement.objects.order_by("site_record_id")
    Placement.objects.filter(pk=first.pk).update(commercial_distance_m=2000)
    Placement.objects.filter(pk=second.pk).update(commercial_distance_m=None)
    return audit


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("region", {"Kessou": 1, "outside every region": 0}),
        ("stated_region", {"Kessou-Nord": 1, "not stated": 0}),
        ("mineral", {"cassiterite": 1, "gold": 1, "not stated": 0}),
        ("register", {"Cadastre": 1}),
        ("legal_status", {"artisanal": 1, "not stated": 0}),
        ("trade_status", {"green": 1, "not stated": 0}),
        ("location_precision", {"GPS at the site": 1, "village or place name": 0}),
        ("observation_kind", {"visited on site": 1, "told by a third party": 0}),
        ("year", {"2019": 1, "not dated": 0}),
        ("commercial_distance", {"0 to 2 km": 1, "not known": 0}),
        ("audit", {"First": 1}),
    ],
)
def test_divides_units_by_each_key(project, divided, key, expected):
    groups = reliability_of(project, by=[key]).groups
    assert {group.words[0]: group.reject.k for group in groups} == expected


def test_every_key_is_tested():
    cases = test_divides_units_by_each_key.pytestmark[0].args[1]
    assert {key for key, _ in cases} == set(GROUP_KEYS)


@pytest.mark.parametrize(
    ("distance_m", "band"),
    [(0, "inside"), (0.1, "0-2"), (2000, "0-2"), (2000.1, "2-5"), (5000, "2-5"), (10000, "5-10"), (10001, "over-10")],
)
def test_distance_bands_hold_their_upper_limit(project, divided, distance_m, band):
    Placement.objects.update(commercial_distance_m=distance_m)
    groups = reliability_of(project, by=["commercial_distance"]).groups
    assert [group.key["commercial_distance"] for group in groups] == [band]


def test_keys_combine(project, divided):
    groups = reliability_of(project, by=["region", "mineral"]).groups
    assert [group.key for group in groups] == [
        {"region": "Kessou", "mineral": "cassiterite"},
        {"region": "Kessou", "mineral": "gold"},
        {"region": "", "mineral": ""},
    ]


def test_filter_keeps_units_with_the_value(project, divided):
    assert shares(reliability_of(project, where={"region": "Kessou"}).overall)["reject"] == (1, 1)
    assert shares(reliability_of(project, where={"region": "", "mineral": ""}).overall)["reject"] == (0, 1)
    assert reliability_of(project, where={"region": "Nowhere"}).overall.n_units == 0


def test_unknown_key_names_the_allowed_ones(project):
    with pytest.raises(BadInput, match=r"colour.*region, stated_region, mineral"):
        reliability_of(project, by=["colour"])


# ---- audits ----


def test_newest_judged_audit_of_a_register_is_reported(project, register, annotator):
    first = make_audit(register, 2)
    judge_all(units_of(first), annotator, "cc")
    second = open_audit(register, "second")
    assert [audit["slug"] for audit in reliability_of(project).audits] == ["first"]
    judge_all(units_of(second), annotator, "r")
    assert [audit["slug"] for audit in reliability_of(project).audits] == ["second"]
    both = reliability_of(project, by=["audit"])
    assert [group.key["audit"] for group in both.groups] == ["first", "second"]
    assert both.n_repeated == 2


def test_unknown_audit_names_those_there_are(project, register):
    make_audit(register, 1)
    with pytest.raises(BadInput, match=r"no audit “x”.*There are: first"):
        reliability_of(project, audit="x")


def test_another_projects_audit_is_unknown(project, register):
    other = make_audit(make_register(), 1)
    with pytest.raises(BadInput):
        reliability_of(project, audit=other.slug)


def test_records_without_a_position_are_told(project, register):
    make_record(register, at=None)
    make_audit(register, 1)
    report = reliability_of(project)
    assert (report.n_unlocated, report.overall.n_units) == (1, 1)


def test_unequal_chances_are_refused(project, register, annotator):
    audit = make_audit(register, 2)
    SampleUnit.objects.filter(pk=units_of(audit)[0].pk).update(inclusion_probability=0.5)
    with pytest.raises(BadInput, match="unequal chances"):
        reliability_of(project)


def test_costs_the_same_queries_for_any_number_of_units(project, register, django_assert_num_queries):
    make_audit(register, 2)
    with django_assert_num_queries(2):
        reliability_of(project, by=["region", "mineral"])
    larger = make_register(project)
    for _ in range(30):
        make_record(larger)
    open_audit(larger, "second")
    with django_assert_num_queries(2):
        reliability_of(project, by=["region", "mineral"])
