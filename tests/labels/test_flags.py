"""What looks wrong in a register: each doubt found, said and counted; nothing altered."""

import random

import pytest

from labels import flags, jobs
from labels.errors import JobCancelled
from labels.flags import codes
from labels.models import Observation, Placement, RecordFlag, ReferenceLayer
from labels.placement import place_records
from tests.crowds import make_crowd
from tests.factories import make_area, make_edition, make_observation, make_project, make_record, make_register, square

pytestmark = pytest.mark.django_db

# South and east, so that exchanged axes and turned signs land elsewhere: Haut lies north of Bas.
WEST, SOUTH = 26.0, -4.0


@pytest.fixture
def country(project):
    """Two provinces of one degree, one above the other."""
    haut = make_area(project, square(WEST, SOUTH + 1, 1), name="Haut-Uélé")
    bas = make_area(project, square(WEST, SOUTH, 1), name="Bas Uele")
    return {"haut": haut, "bas": bas}


@pytest.fixture
def register(project, country):
    return make_register(project)


def flagged(record) -> dict[str, dict]:
    flags.flag_records(register=record.register)
    return dict(RecordFlag.objects.filter(site_record=record).values_list("code", "detail"))


def sentence(record, code: str) -> str:
    return next(flag.sentence for flag in flags.flags_of(record) if flag.code == code)


def at(register, lon: float, lat: float, stated: str = "", **fields):
    return make_record(register, at=(lon, lat), stated_region=stated, **fields)


# ---- rules, one by one ----


def test_a_sound_record_has_no_flag(register):
    assert flagged(at(register, 26.123456, -3.654321, "bas uele")) == {}
    assert flags.flag_counts(register) == []


def test_zero_position_comes_from_the_row(register):
    record = make_record(register, at=None, row_flags=["zero_position"])
    assert flagged(record) == {"zero_position": {}}
    assert "0, 0" in sentence(record, codes.ZERO_POSITION)


def test_outside_the_country_says_how_far_from_what(register):
    record = at(register, 27.5, -3.512345)
    assert list(flagged(record)) == ["outside_country"]
    detail = record.flags.get().detail
    assert detail["nearest"] == "Bas Uele"
    assert detail["outside_m"] == pytest.approx(55_560, rel=2e-3)  # half a degree at 3.5 south
    assert sentence(record, codes.OUTSIDE_COUNTRY).endswith("the nearest, Bas Uele, is 55.6 km away.")


def test_without_areas_nothing_is_said_of_regions(project):
    register = make_register(project)
    record = at(register, 126.123456, -3.654321, "Anywhere")
    assert flagged(record) == {}
    assert not flags.can_tell_outside(project)


@pytest.mark.parametrize(
    ("stated", "lands_in"), [("Haut-Uele", "region"), ("HAUT UÉLÉ", "region"), ("Unheard", "country"), ("", "country")]
)
def test_swapped_axes_land_in_the_stated_region_or_the_country(register, stated, lands_in):
    record = at(register, -2.512345, 26.512345, stated)
    found = flagged(record)
    assert found["axes_swapped"]["lands_in"] == lands_in
    assert "outside_country" in found and "region_unlike" not in found
    assert record.placement.reported_point.coords == (-2.512345, 26.512345)


def test_axes_that_fit_in_both_orders_are_left_alone(project):
    make_area(project, square(12, 12, 2), name="Diagonal")
    assert flagged(at(make_register(project), 12.512345, 13.212345, "Diagonal")) == {}


@pytest.mark.parametrize(
    ("lon", "lat", "sign"),
    [(26.512345, 3.512345, "latitude"), (-26.512345, -3.512345, "longitude"), (-26.512345, 3.512345, "both")],
)
def test_a_lost_sign_is_found_on_either_axis(register, lon, lat, sign):
    record = at(register, lon, lat, "Bas-Uele")
    assert flagged(record)["sign_lost"] == {"sign": sign, "lands_in": "region", "stated": "Bas-Uele"}
    assert "Bas-Uele" in sentence(record, codes.SIGN_LOST)


def test_a_lost_sign_in_another_region_of_the_country(project):
    make_area(project, square(26, 0, 2), name="North")
    make_area(project, square(26, -2, 2), name="South")
    register = make_register(project)
    lost = at(register, 26.512345, 1.512345, "South")
    assert set(flagged(lost)) == {"sign_lost", "region_unlike"}
    by_the_border = at(register, 26.512345, 0.012345, "South")  # 1.4 km from it: turning the sign proves nothing
    assert set(flagged(by_the_border)) == {"region_unlike"}
    lost_unheard = at(register, 26.512345, 1.512345, "Unheard")
    assert set(flagged(lost_unheard)) == {"region_unknown"}


@pytest.mark.parametrize(
    ("lon", "lat", "step"),
    [
        (26.12, -3.37, {"step_deg": 0.01}),
        (26.12, -3.38, {"step_deg": 0.02}),
        (26.15, -3.35, {"step_deg": 0.05}),
        (26.1, -3.3, {"step_deg": 0.1}),
        (26.5, -3.5, {"step_deg": 0.5}),
        (26.0, -3.0, {"step_deg": 1}),
        (26.216667, -3.283333, {"step_min": 1}),
        (26.2167, -3.2833, {"step_min": 1}),
        (26.1667, -3.3333, {"step_min": 10}),
        (26.0833, -3.5833, {"step_min": 5}),
        (26.75, -3.25, {"step_min": 15}),
    ],
)
def test_a_rounded_position_names_its_lattice(register, lon, lat, step):
    record = at(register, lon, lat)
    assert flagged(record)["lattice"] == step
    assert "oordinates are" in sentence(record, codes.LATTICE)


@pytest.mark.parametrize(("lon", "lat"), [(26.123, -3.37), (26.216667, -3.2812), (26.21668, -3.28334)])
def test_one_round_axis_or_a_near_minute_is_no_lattice(register, lon, lat):
    assert "lattice" not in flagged(at(register, lon, lat))


@pytest.mark.parametrize("n_decimals", [6, 5, 4])
def test_random_points_are_hardly_ever_on_a_lattice_or_minutes(project, n_decimals):
    """14,000 points at chance level: of 6 decimals none; of 4, one in 36 of 10,000 hits a minute on both axes."""
    chance = random.Random(7)
    points = [
        (round(chance.uniform(13, 31), n_decimals), round(chance.uniform(-13, 5), n_decimals)) for _ in range(14_000)
    ]
    register = make_register(project)
    make_crowd(register, points)
    found = flags.flag_records(register=register)
    assert found.get("lattice", 0) <= {6: 0, 5: 1, 4: 6}[n_decimals]
    assert "minutes_as_decimals" not in found


def minutes(chance, n: int, n_whole: int = 4) -> list[tuple[float, float]]:
    """Degrees and minutes typed with a point between them."""
    return [
        (chance.randrange(26, 26 + n_whole) + chance.randrange(60) / 100 + chance.randrange(100) / 10_000,
         -chance.randrange(1, 1 + n_whole) - chance.randrange(60) / 100 - chance.randrange(100) / 10_000)
        for _ in range(n)
    ]  # fmt: skip


def test_a_register_of_minutes_as_decimals_is_seen(project):
    register = make_register(project)
    make_crowd(register, minutes(random.Random(3), 60))
    found = flags.flag_records(register=register)
    assert found["minutes_as_decimals"] >= 40  # those with two decimals on both axes
    record = register.site_records.filter(flags__code="minutes_as_decimals").first()
    assert "the decimals may be minutes" in sentence(record, codes.MINUTES_AS_DECIMALS)


@pytest.mark.parametrize(
    "points",
    [
        minutes(random.Random(3), 15),  # too few
        [(26 + x / 1000, -3 - y / 1000) for x, y in [(101 + 23 * n, 57 + 19 * n) for n in range(25)]],  # one degree
        minutes(random.Random(3), 60) + [(26.7 + n / 1000, -3.81) for n in range(60)],
    ],
    ids=["few", "one square degree", "half of them decimals"],
)
def test_a_register_of_small_fractions_by_chance_is_not(project, points):
    register = make_register(project)
    make_crowd(register, points)
    assert "minutes_as_decimals" not in flags.flag_records(register=register)


def test_one_row_of_minutes_is_seen_by_its_region(project):
    make_area(project, square(26, -2, 0.4), name="West")
    make_area(project, square(26.4, -2, 0.6), name="East")
    register = make_register(project)
    record = at(register, 26.32, -1.55, "East")  # 26°32' is 26.53, 1°55' is 1.92
    assert flagged(record)["minutes_as_decimals"] == {"stated": "East"}
    assert "minutes_as_decimals" not in flagged(at(register, 26.38, -1.95, "East"))  # 2.2 km from East, and no minutes


def test_the_centre_of_an_area_is_recognised(register, country):
    centre = country["bas"].geometry.centroid
    record = at(register, centre.x + 0.0005, centre.y - 0.00037)
    assert flagged(record)["on_centroid"] == {"area": "Bas Uele"}
    assert "centre of Bas Uele" in sentence(record, codes.ON_CENTROID)
    assert "on_centroid" not in flagged(at(register, centre.x + 0.00091, centre.y))  # 101 m


# ---- the stated region ----


def test_a_region_unlike_is_near_the_border_or_further(register):
    near = at(register, 26.512345, -2.967891, "Bas-Uélé")  # 0.032 degrees north of the border
    far = at(register, 26.512345, -2.512345, "Bas-Uélé")
    assert flagged(near)["region_unlike"]["split"] == "near_border"
    assert near.flags.get().detail["stated_m"] == pytest.approx(3550, rel=5e-3)
    assert flagged(far)["region_unlike"]["split"] == "further"
    assert sentence(near, codes.REGION_UNLIKE) == (
        "The stated region is Bas-Uélé, the position lies in Haut-Uélé, 3.6 km from it."
    )
    assert flags.split_of_region_unlike(register) == {"swapped_columns": 0, "near_border": 1, "further": 1}


def test_swapped_columns_are_recognised_by_the_other_cell(register):
    for _ in range(2):
        at(register, 26.512345, -3.512345, "Bas-Uele")  # so that the column mostly names provinces
    record = at(register, 26.412345, -3.512345, "Wamba", attributes={"territoire": "BAS UÉLÉ", "province": "Wamba"})
    found = flagged(record)
    assert found["region_unlike"] == {"split": "swapped_columns", "stated": "Wamba", "lies_in": "Bas Uele"}
    assert found["region_unknown"] == {"stated": "Wamba"}
    assert flags.unknown_regions(register) == {"Wamba": 1}


def test_a_register_that_states_districts_has_no_swapped_columns(register):
    record = at(register, 26.412345, -3.512345, "Wamba", attributes={"province": "Bas Uele", "territoire": "Wamba"})
    assert set(flagged(record)) == {"region_unknown"}


def test_old_names_are_listed_as_such(project, register):
    old = make_area(project, square(WEST, SOUTH, 2), name="Orientale", level=2)
    ReferenceLayer.objects.filter(pk=old.layer_id).update(retired_at="2020-01-01T00:00Z", name="before 2015")
    record = make_record(register, at=(26.512345, -3.512345), stated_region="ORIENTALE")
    assert flagged(record)["region_unknown"] == {"stated": "ORIENTALE", "old_layer": "before 2015 1"}
    assert "an old name, of the retired layer before 2015" in sentence(record, codes.REGION_UNKNOWN)


def test_words_that_say_nothing_are_no_region(register):
    assert flagged(at(register, 26.512345, -3.512345, "inconnu")) == {}


def test_a_register_maps_its_own_words_to_areas(register):
    record = at(register, 26.512345, -3.512345, "Province du Bas")
    assert set(flagged(record)) == {"region_unknown"}
    register.value_mapping = {"stated_region": {"PROVINCE DU BAS": "Bas-Uele", "Province du Bas": "Bas-Uele"}}
    register.save()
    assert flagged(record) == {}


def test_codes_and_other_names_of_an_area_are_its_own(project, country):
    bas = country["bas"]
    bas.code, bas.attributes = "CD-BU", {"NAME_1": "Bas Uele", "VARNAME_1": "Lower Uele|Unter-Uele"}
    bas.save()
    register = make_register(project)
    for stated in ("cd bu", "LOWER UELE", "unter uele"):
        assert flagged(at(register, 26.512345, -3.512345, stated)) == {}


def test_a_district_may_be_stated_where_districts_are_loaded(project, country):
    make_area(project, square(26, -4, 0.5), name="Poko", level=2)
    make_area(project, square(26.5, -4, 0.5), name="Bambesa", level=2)
    register = make_register(project)
    assert flagged(at(register, 26.212345, -3.712345, "Poko")) == {}
    assert flagged(at(register, 26.212345, -3.712345, "Bas-Uele")) == {}
    assert flagged(at(register, 26.212345, -3.712345, "Bambesa"))["region_unlike"]["lies_in"] == "Poko"


# ---- repeated ids ----


def test_a_repeated_id_needs_one_date_and_another_position_or_spelling(register):
    record = at(register, 26.412345, -3.512345, name="Kala")
    point = Observation.objects.get().point.coords
    make_observation(record, at=point, name="Kala")  # the same again
    make_observation(record, at=(26.5123, -3.5123), name="Other", observed_on="2022-01-01")  # another visit
    assert "repeated_id" not in flagged(record)
    make_observation(record, at=point, name="KALA ")
    assert flagged(record)["repeated_id"] == {"n_rows": 2}


def test_rows_without_a_date_repeat_their_id(register):
    record = at(register, 26.412345, -3.512345, name="Kala", observed_on=None, date_precision="unknown")
    make_observation(record, at=(26.5123, -3.5123), name="Kala", observed_on=None, date_precision="unknown")
    assert flagged(record)["repeated_id"] == {"n_rows": 2}


def test_rows_of_another_edition_repeat_nothing(register):
    record = at(register, 26.412345, -3.512345, name="Kala")
    make_observation(record, at=(26.5123, -3.5123), name="Kala", edition=make_edition(register))
    place_records(register=register)
    assert "repeated_id" not in flagged(record)


# ---- made anew ----


def test_only_differences_are_written(register):
    sound = at(register, 26.112345, -3.612345)
    rounded = at(register, 26.12, -3.37)
    flags.flag_records(register=register)
    before = list(RecordFlag.objects.values_list("pk", "site_record"))
    assert before == [(RecordFlag.objects.get().pk, rounded.pk)]
    RecordFlag.objects.create(site_record=sound, register=register, code="lattice", detail={"step_deg": 1})
    assert flags.flag_records(register=register) == {"lattice": 1}
    assert list(RecordFlag.objects.values_list("pk", "site_record")) == before


def test_a_job_is_told_how_far_it_is_and_can_be_cancelled(register, monkeypatch):
    at(register, 26.12, -3.37)
    asked = jobs.ask(project=register.project, kind="load_areas")
    running = jobs.RunningJob(jobs.take(asked.pk))
    monkeypatch.setattr(jobs.RunningJob, "report_every_s", 0)
    assert flags.flag_records(register=register, job=running) == {"lattice": 1}
    asked.refresh_from_db()
    assert asked.stage == "looking for what seems wrong" and 0 < asked.n_done == asked.n_total
    RecordFlag.objects.all().delete()
    jobs.cancel(asked)
    with pytest.raises(JobCancelled):
        flags.flag_records(register=register, job=running)
    assert not RecordFlag.objects.exists()
    assert flags.flag_records(register=register) == {"lattice": 1}  # and nothing of it is left behind


def test_flags_of_other_registers_stay(project, register):
    other = make_register(project)
    at(other, 26.12, -3.37)
    flags.flag_records(register=other)
    at(register, 26.12, -3.37)
    flags.flag_records(register=register)
    assert RecordFlag.objects.count() == 2
    assert flags.flag_records(project=project) == {"lattice": 2}


def test_new_areas_change_the_flags_of_a_project(project, register, country):
    record = at(register, 27.512345, -3.512345, "East")
    assert set(flagged(record)) == {"outside_country", "region_unknown"}
    make_area(project, square(27, -4, 1), name="East")
    place_records(project=project)
    assert flags.flag_records(project=project) == {}


def test_other_projects_areas_say_nothing(country, register):
    elsewhere = make_project()
    make_area(elsewhere, square(0, 0, 1), name="Far")
    assert set(flagged(at(register, 0.512345, 0.512345, "Far"))) == {"outside_country", "region_unknown"}


def test_nothing_published_is_altered(register):
    record = at(register, -3.512345, 26.512345, "Bas-Uele")
    before = Observation.objects.values().get(), Placement.objects.values().get()
    assert "axes_swapped" in flagged(record)
    assert (Observation.objects.values().get(), Placement.objects.values().get()) == before


def test_no_detail_holds_a_coordinate(register):
    for lon, lat, stated in [(-3.512345, 26.512345, "Bas-Uele"), (26.512345, 3.512345, "Bas-Uele"), (27.9, -3.1, "X")]:
        at(register, lon, lat, stated)
    flags.flag_records(register=register)
    told = str(list(RecordFlag.objects.values_list("detail", flat=True)))
    assert not any(part in told for part in ("512345", "27.9", "-3.1"))


def test_counts_come_in_the_order_of_the_catalogue(register):
    at(register, 26.12, -3.37, "Unheard")
    at(register, -3.512345, 26.512345)
    flags.flag_records(register=register)
    assert [code for code, _, _ in flags.flag_counts(register)] == [
        "outside_country", "axes_swapped", "region_unknown", "lattice",
    ]  # fmt: skip


def test_every_code_has_its_words():
    assert len(set(codes.CODES)) == len(codes.CATALOGUE) == 10
    assert all(str(flag.label) and str(flag.meaning).endswith(".") for flag in codes.CATALOGUE)
