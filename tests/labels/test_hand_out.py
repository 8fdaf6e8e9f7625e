"""Handing out: no unit twice to one person, none to two at once, nothing lost when a lease runs out."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from labels import access, workflow
from labels.models import Assignment, Exposure
from labels.workflow import handing_out
from tests.factories import make_record, make_register


def census(project, n, **fields):
    register = make_register(project)
    for k in range(n):
        make_record(register, at=(-10.7 + k / 100, 6.4))
    return workflow.open_census(project=project, register=register, slug="a", name="A", **fields)


def test_it_gives_the_same_units_until_they_are_judged(project, annotator):
    audit = census(project, 5)
    first = workflow.hand_out(audit, annotator, n=3)
    assert len(set(first)) == 3
    assert workflow.hand_out(audit, annotator, n=3) == first


def test_the_next_unit_comes_from_the_index_of_what_is_not_done(project, annotator):
    """Sorting all open rows at each hand-out made an audit of 50,000 units wait half a second."""
    audit = census(project, 3)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
    assert "assignment_open" in handing_out._free(audit, annotator, "sample")[:1].explain()


def test_two_people_get_different_units(project, annotator, second_annotator):
    audit = census(project, 4)
    assert not set(workflow.hand_out(audit, annotator, n=2)) & set(workflow.hand_out(audit, second_annotator, n=4))


def test_a_lease_that_ran_out_is_given_on(project, annotator, second_annotator):
    audit = census(project, 1)
    [unit] = workflow.hand_out(audit, annotator)
    assert workflow.hand_out(audit, second_annotator) == []
    Assignment.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert workflow.hand_out(audit, second_annotator) == [unit]
    assert not workflow.keep_lease(unit, annotator)


def test_a_held_unit_goes_to_others_once_its_holder_saw_reviews_of_it(project, annotator, second_annotator):
    audit = census(project, 1)
    [unit] = workflow.hand_out(audit, annotator)
    access.expose(annotator, [unit.pk], Exposure.What.RELEASE)
    assert workflow.hand_out(audit, annotator) == []
    assert not workflow.keep_lease(unit, annotator)
    Assignment.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert workflow.hand_out(audit, second_annotator) == [unit]


def test_records_without_a_position_are_counted_not_handed_out(project, annotator):
    register = make_register(project)
    make_record(register)
    make_record(register, at=None)
    audit = workflow.open_census(project=project, register=register, slug="a", name="A")
    assert (audit.n_population, audit.n_unlocated, audit.units.count()) == (2, 1, 1)


def test_precision_decides_the_search(project):
    register = make_register(project)
    make_record(register, location_precision="gps")
    make_record(register, location_precision="village")
    audit = workflow.open_census(project=project, register=register, slug="a", name="A")
    rules = set(audit.units.values_list("tolerance_m", "search_radius_m"))
    assert rules == {(100, 1000), (1000, 5000)}


@pytest.mark.django_db(transaction=True)
def test_many_at_once_never_share_an_assignment(project):
    """Sixteen people ask at the same moment for units of which each is wanted once."""
    audit = census(project, 40)
    people = [get_user_model().objects.create_user(f"person-{k}") for k in range(16)]
    got, barrier = {}, threading.Barrier(len(people))

    def ask(person):
        barrier.wait()
        got[person.pk] = workflow.hand_out(audit, person, n=3)
        connection.close()

    threads = [threading.Thread(target=ask, args=[person]) for person in people]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    handed = [unit.pk for units in got.values() for unit in units]
    assert len(handed) == len(set(handed)) == 40
