"""Records that may be one site are proposed, decided by people, and never merged."""

import random

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from labels import duplicate_pairs, duplicates, jobs
from labels.errors import BadInput
from labels.models import DuplicateDecision, DuplicatePair, Job, SiteRecord
from labels.placement import place_records
from tests.crowds import make_crowd
from tests.factories import make_edition, make_observation, make_project, make_record, make_register

pytestmark = pytest.mark.django_db

# Degrees of latitude per metre there.
M = 1 / 110_600


@pytest.fixture
def register(project):
    return make_register(project)


def at(register, north_m: float, name: str, east_m: float = 0, **fields):
    return make_record(register, at=(28.5 + east_m * M, -3.5 + north_m * M), name=name, **fields)


def found(register) -> dict[tuple[str, str], str]:
    """(first id, second id) -> why."""
    duplicates.find_duplicates(register=register)
    pairs = DuplicatePair.objects.select_related("first_record", "second_record")
    return {(pair.first_record.source_id, pair.second_record.source_id): pair.reason for pair in pairs}


# ---- between records ----


@pytest.mark.parametrize(
    ("north_m", "names", "reason"),
    [
        (250, ("Kamituga", "KAMITUGA "), "same_name"),
        (250, ("Kalehe", "Kaléhé"), "same_name"),
        (250, ("Kamituga", "Kamitugga"), "same_name"),
        (20, ("Kamituga", "Misisi"), "same_place"),
        (20, ("Kamituga", ""), "same_place"),
        (250, ("Kamituga", "Misisi"), "near"),
        (250, ("Kamituga", "inconnu"), "near"),
        (250, ("inconnu", "Inconnu"), "near"),
        (310, ("Kamituga", "Kamituga"), None),
    ],
)
def test_near_records_are_proposed_with_their_reason(register, north_m, names, reason):
    first, second = at(register, 0, names[0]), at(register, north_m, names[1])
    assert found(register) == ({(first.source_id, second.source_id): reason} if reason else {})
    if reason:
        pair = DuplicatePair.objects.get()
        assert pair.distance_m == pytest.approx(north_m, rel=2e-3)
        assert not pair.is_across_registers
        assert (pair.name_similarity is None) == (not names[1] or "nconnu" in names[1])


def test_the_radius_is_the_registers_and_east_counts_as_north(register):
    at(register, 0, "A"), at(register, 0, "B", east_m=290)
    assert len(found(register)) == 1
    register.duplicate_radius_m = 280
    register.save()
    assert found(register) == {}


def test_a_radius_of_nothing_finds_one_point_only(project):
    register = make_register(project, duplicate_radius_m=0)
    make_crowd(register, [(28.5, -3.5)] * 12 + [(28.5, -3.50001)], ["Kala"] * 13)
    assert duplicates.find_duplicates(register=register)["same_name"] == 11


def test_far_from_the_equator_metres_stay_metres(register):
    make_record(register, at=(20.0, 64.0), name="Kiruna")
    make_record(register, at=(20.006, 64.0), name="Kiruna")  # 293 m
    make_record(register, at=(19.993, 64.0), name="Kiruna")  # 342 m from the first
    assert len(found(register)) == 1


def test_records_of_two_registers_meet_within_the_larger_radius(project, register):
    other = make_register(project, duplicate_radius_m=1000)
    at(register, 0, "Kala"), at(other, 900, "Kala")
    assert set(found(register).values()) == {"same_name"}
    assert DuplicatePair.objects.get().is_across_registers
    assert set(found(other).values()) == {"same_name"}
    assert duplicates.find_duplicates(project=project)["across"] == 1


def test_other_projects_are_not_looked_into(register):
    at(register, 0, "Kala"), at(make_register(make_project()), 0, "Kala")
    assert found(register) == {}


def test_a_record_without_a_position_is_near_nothing(register):
    at(register, 0, "Kala"), make_record(register, at=None, name="Kala")
    assert found(register) == {}


# ---- one id twice ----


def test_a_repeated_id_is_proposed_once_for_each_extra_row(register):
    record = at(register, 0, "Bakasida1")
    extra = [make_observation(record, at=(28.5 + 3 * M, -3.5), name="BAKASIDA1  ") for _ in range(2)]
    place_records(register=register)
    said = duplicates.find_duplicates(register=register)
    assert said["repeated_id"] == 2
    pairs = DuplicatePair.objects.order_by("second_observation")
    assert [pair.second_observation for pair in pairs] == extra
    assert {pair.first_observation for pair in pairs} == {record.observations.earliest("pk")}
    assert {(pair.first_record, pair.second_record) for pair in pairs} == {(record, record)}
    assert pairs[0].distance_m == pytest.approx(3, abs=0.1) and pairs[0].name_similarity == 1


# ---- crowds ----


def test_a_clump_on_one_point_is_linked_by_name_only(register):
    """3,000 records on a village's centre, 100 of them of one name: 99 links, not four and a half million pairs."""
    names = [f"{'Kala' if n % 30 == 0 else random.Random(n).randbytes(5).hex()}" for n in range(3000)]
    make_crowd(register, [(28.5, -3.5)] * 3000, names)
    said = duplicates.find_duplicates(register=register)
    assert said["same_name"] == 99 and said["same_place"] == said["near"] == 0
    assert said["crowded"] == 3000


def test_a_dense_camp_proposes_names_and_places_but_not_nearness(register):
    chance = random.Random(1)
    points = [(28.5 + chance.uniform(0, 400) * M, -3.5 + chance.uniform(0, 400) * M) for _ in range(300)]
    make_crowd(register, points, [chance.randbytes(5).hex() for _ in points])
    said = duplicates.find_duplicates(register=register)
    assert said["near"] == 0 and said["crowded"] == 300
    assert 0 < said["same_place"] < 1500
    far = max(pair.distance_m for pair in DuplicatePair.objects.all())
    assert far <= 30


def test_a_namesake_beyond_the_nearest_of_a_crowd_is_found(register):
    chance = random.Random(2)
    points = [(28.5 + chance.uniform(0, 100) * M, -3.5 + chance.uniform(0, 100) * M) for _ in range(40)]
    points += [(28.5, -3.5 - 90 * M), (28.5, -3.5 + 190 * M)]
    make_crowd(register, points, [chance.randbytes(5).hex() for _ in range(40)] + ["Kala", "KALA"])
    duplicates.find_duplicates(register=register)
    assert DuplicatePair.objects.get(reason="same_name").distance_m == pytest.approx(280, rel=1e-2)


def test_a_lattice_does_not_explode(register):
    points = [(28 + x / 100, -3 - y / 100) for x in range(10) for y in range(10)] * 40
    make_crowd(register, points, [f"Site {n}" for n in range(len(points))])
    assert duplicates.find_duplicates(register=register)["crowded"] == 4000
    assert DuplicatePair.objects.count() == 0


# ---- again ----


def everything() -> list:
    return list(
        DuplicatePair.objects.order_by("first_record", "second_record").values_list(
            "first_record", "second_record", "reason", "distance_m", "name_similarity"
        )
    )


def test_a_register_alone_proposes_what_the_whole_project_does(project, register):
    chance = random.Random(5)
    registers = [register, make_register(project)]
    for each in registers:
        points = [(28.5 + chance.gauss(0, 700) * M, -3.5 + chance.gauss(0, 700) * M) for _ in range(150)]
        make_crowd(each, points, [chance.choice(["Kala", "Misisi", "Lugushwa"]) for _ in points])
    for each in registers:
        duplicates.find_duplicates(register=each)
    by_register = everything()
    assert len(by_register) > 100
    said = duplicates.find_duplicates(project=project)
    assert everything() == by_register and said["dropped"] == 0


def test_searching_again_changes_nothing(register):
    at(register, 0, "Kala"), at(register, 100, "Kala")
    duplicates.find_duplicates(register=register)
    before = DuplicatePair.objects.values().get()
    duplicates.find_duplicates(register=register)
    assert DuplicatePair.objects.values().get() == before


def test_undecided_pairs_that_no_longer_hold_are_dropped(register):
    at(register, 0, "Kala")
    second = at(register, 100, "Kala")
    assert found(register)
    make_observation(second, at=(28.6, -3.5), name="Kala", edition=make_edition(register))
    place_records(register=register)
    assert found(register) == {}


def test_decided_pairs_stay_and_are_not_proposed_again(register, lead):
    first, second = at(register, 0, "Kala"), at(register, 100, "Kala")
    found(register)
    pair = DuplicatePair.objects.get()
    duplicates.decide(pair, "keep", lead)
    make_observation(second, at=(28.5, -3.5 + 50 * M), name="Kala", edition=make_edition(register))
    place_records(register=register)
    assert list(found(register)) == [(first.source_id, second.source_id)]
    same = DuplicatePair.objects.get()
    assert (same.pk, same.distance_m) == (pair.pk, pair.distance_m)  # the figures it was decided by
    make_observation(second, at=(29, -3.5), name="Kala", edition=make_edition(register))
    place_records(register=register)
    assert len(found(register)) == 1


# ---- decisions ----


def test_the_latest_decision_holds_and_nothing_is_merged(register, lead, admin):
    at(register, 0, "Kala"), at(register, 100, "Kala")
    found(register)
    pair = DuplicatePair.objects.get()
    assert pair.decisions.count() == 0
    duplicates.decide(pair, "merge", lead)
    kept = duplicates.decide(pair, "keep", admin)
    assert duplicate_pairs.pairs_of(register.project).get().decided == kept.decision
    assert DuplicateDecision.objects.count() == 2 and SiteRecord.objects.count() == 2
    with pytest.raises(BadInput):
        duplicates.decide(pair, "delete", lead)


def test_decisions_cannot_be_changed(register, lead):
    at(register, 0, "Kala"), at(register, 100, "Kala")
    found(register)
    duplicates.decide(DuplicatePair.objects.get(), "merge", lead)
    with pytest.raises(DatabaseError), transaction.atomic():
        DuplicateDecision.objects.update(decision="keep")


def test_a_job_searches_the_whole_project(project, register, django_capture_on_commit_callbacks):
    at(register, 0, "Kala"), at(register, 100, "Kala")
    job = jobs.run(duplicates.ask_search(project).pk)
    assert job.state == Job.State.DONE, job.error
    assert job.result["sentence"] == "1 pair of records may be one site; 0 in two registers."
    assert DuplicatePair.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE classid = %s AND pid = pg_backend_pid()", [duplicates.LOCK])
        assert cursor.fetchone() == (0,)
