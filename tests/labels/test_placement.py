"""Where records lie."""

import random
from datetime import date

import pytest
from django.contrib.gis.geos import MultiPolygon, Polygon
from django.db import connection
from django.utils import timezone

from labels import placement
from labels.models import Placement, ReferenceArea, ReferenceLayer
from tests.factories import make_area, make_edition, make_observation, make_project, make_record, make_register, square

pytestmark = pytest.mark.django_db


@pytest.fixture
def register(project):
    return make_register(project)


def test_record_knows_its_province_and_district(project, register):
    province = make_area(project, square(-11, 6, 2), name="Kessou")
    district = make_area(project, square(-11, 6, 0.5), name="Bray", level=2)
    placed = make_record(register, at=(-10.7, 6.4)).placement
    assert (placed.region, placed.admin_area) == (province, district)


def test_smallest_area_of_a_kind_holds_the_record(project, register):
    make_area(project, square(-11, 6, 2), kind="protected", name="Park")
    core = make_area(project, square(-10.8, 6.3, 0.3), kind="protected", name="Core")
    ReferenceArea.objects.filter(name="Park").update(area_km2=40_000)
    placed = make_record(register, at=(-10.7, 6.4)).placement
    assert placed.protected_area == core
    assert placed.region is None


def test_record_outside_every_area_has_none(project, register):
    make_area(project, square(-11, 6, 0.1))
    placed = make_record(register, at=(-10.7, 6.4)).placement
    assert placed.admin_area is None and placed.commercial_distance_m is None


def test_record_without_a_position_is_placed_nowhere(project, register):
    make_area(project, square(-11, 6, 2), kind="commercial")
    placed = make_record(register, at=None).placement
    assert placed.reported_point is None
    assert placed.commercial_area is None and placed.commercial_distance_m is None


def test_distance_is_zero_inside_a_commercial_mine(project, register):
    mine = make_area(project, square(-11, 6, 2), kind="commercial")
    placed = make_record(register, at=(-10.7, 6.4)).placement
    assert placed.commercial_area == mine and placed.commercial_distance_m == 0


def test_distance_along_the_equator_is_the_ellipsoids(project, register):
    """One degree of the equator is a * pi / 180 = 111,319.4908 m on WGS 84."""
    make_area(project, square(11, -0.5, 1), kind="commercial")
    make_area(project, square(40, -0.5, 1), kind="commercial", name="farther")
    placed = make_record(register, at=(10, 0)).placement
    assert placed.commercial_distance_m == pytest.approx(111_319.4908, abs=0.01)


def test_distance_agrees_with_measuring_every_mine(project, register):
    """A few hundred mines around, some in near ties north and east, measured one by one without the index."""
    numbers = random.Random(4)
    for number in range(300):
        corner = numbers.uniform(-13, -8), numbers.uniform(4, 9)
        make_area(project, square(*corner, numbers.uniform(0.001, 0.05)), kind="commercial", name=str(number))
    for _ in range(20):
        make_record(register, at=(numbers.uniform(-13, -8), numbers.uniform(4, 9)))
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.commercial_distance_m,
                      (SELECT min(ST_Distance(a.geometry::geography, p.reported_point::geography))
                       FROM labels_referencearea a) FROM labels_placement p"""
        )
        rows = cursor.fetchall()
    assert len(rows) == 20
    assert [found for found, _ in rows] == pytest.approx([measured for _, measured in rows], abs=1e-3)


def test_large_crooked_mines_far_away_are_measured_exactly(project, register):
    """Circles around large shapes say little: which is nearest must still be found, from near and from far."""
    numbers = random.Random(9)
    for number in range(8):
        x, y, size = numbers.uniform(-40, 40), numbers.uniform(-50, 50), numbers.uniform(0.5, 6)
        arm = size / 10
        corners = [(x, y), (x + size, y), (x + size, y + arm), (x + arm, y + arm), (x + arm, y + size), (x, y + size)]
        make_area(project, MultiPolygon(Polygon([*corners, corners[0]])), kind="commercial", name=str(number))
    for _ in range(40):
        make_record(register, at=(numbers.uniform(-60, 60), numbers.uniform(-60, 60)))
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.commercial_distance_m,
                      (SELECT min(ST_Distance(a.geometry::geography, p.reported_point::geography))
                       FROM labels_referencearea a) FROM labels_placement p"""
        )
        rows = cursor.fetchall()
    assert len(rows) == 40
    assert [found for found, _ in rows] == pytest.approx([measured for _, measured in rows], abs=1e-3)


def test_a_moved_record_is_measured_anew(project, register):
    make_area(project, square(11, -0.5, 1), kind="commercial")
    record = make_record(register, at=(10, 0), observed_on=date(2019, 1, 1))
    make_observation(record, at=(10.5, 0), observed_on=date(2020, 1, 1))
    placement.place_records(register=register)
    assert Placement.objects.get().commercial_distance_m == pytest.approx(111_319.4908 / 2, abs=0.01)


def test_distances_vanish_with_the_mines(project, register):
    make_area(project, square(11, -0.5, 1), kind="commercial")
    make_record(register, at=(10, 0))
    ReferenceLayer.objects.update(retired_at=timezone.now())
    placement.place_records(project=project)
    assert Placement.objects.get().commercial_distance_m is None


def test_what_looks_at_places_is_called_between_areas_and_distances(project, register):
    make_area(project, square(11, -0.5, 1), kind="commercial")
    make_record(register, at=(10, 0))
    Placement.objects.all().delete()
    seen = []
    placement.place_records(
        register=register, between=lambda: seen.append(Placement.objects.get().commercial_distance_m)
    )
    assert seen == [None] and Placement.objects.get().commercial_distance_m > 0


def test_latest_observation_by_date_is_current(register):
    record = make_record(register, at=(-10, 6), observed_on=date(2019, 1, 1))
    later = make_observation(record, at=(-10.2, 6), observed_on=date(2020, 1, 1))
    make_observation(record, at=(-10.4, 6), observed_on=None, date_precision="unknown")
    placement.place_records(register=register)
    assert Placement.objects.get().observation == later


def test_ties_go_to_the_later_row(register):
    record = make_record(register, at=(-10, 6), file_row=9)
    make_observation(record, at=(-10.2, 6), file_row=3)
    placement.place_records(register=register)
    assert Placement.objects.get().observation.file_row == 9


def test_observation_that_states_a_position_is_preferred(register):
    record = make_record(register, at=(-10, 6), observed_on=date(2019, 1, 1))
    make_observation(record, at=None, observed_on=date(2022, 1, 1))
    placement.place_records(register=register)
    assert Placement.objects.get().reported_point.x == -10


def test_latest_edition_of_the_record_counts(register):
    record = make_record(register, at=(-10, 6), observed_on=date(2022, 1, 1))
    corrected = make_observation(record, at=(-10.2, 6), observed_on=date(2021, 1, 1), edition=make_edition(register))
    placement.place_records(register=register)
    assert Placement.objects.get().observation == corrected


def test_retired_layers_hold_nothing(project, register):
    make_area(project, square(-11, 6, 2))
    record = make_record(register, at=(-10.7, 6.4))
    assert record.placement.region
    ReferenceLayer.objects.update(retired_at=timezone.now())
    placement.place_records(project=project)
    record.placement.refresh_from_db()
    assert record.placement.region is None


def test_other_projects_areas_hold_nothing(register):
    make_area(make_project(), square(-11, 6, 2))
    assert make_record(register, at=(-10.7, 6.4)).placement.region is None


def test_placing_again_changes_nothing(project, register):
    make_area(project, square(-11, 6, 2))
    before = make_record(register, at=(-10.7, 6.4)).placement.placed_at
    assert placement.place_records(project=project) == 1
    assert Placement.objects.get().placed_at == before


def test_batches_cover_every_record(project, register, monkeypatch):
    for _ in range(5):
        make_record(register)
    Placement.objects.all().delete()
    monkeypatch.setattr(placement, "BATCH_RECORDS", 2)
    assert placement.place_records(project=project) == 5
    assert Placement.objects.count() == 5
