"""The list of a register's records with its filters, and one record with everything known of it."""

from datetime import date

import pytest
from django.urls import reverse

from labels import workflow
from labels.models import DuplicateDecision, DuplicatePair, RecordFlag
from labels.placement import place_records
from labels.register_filters import MOST_FOUND, Filters, searched
from tests.factories import make_area, make_edition, make_observation, make_project, make_record, make_register, square
from tests.labels.test_record_review import given

pytestmark = pytest.mark.django_db


@pytest.fixture
def register(project):
    make_area(project, square(-11, 6, 2), name="Kessou")
    make_area(project, square(-10.71, 6.39, 0.02), kind="protected", name="Lom forest")
    return make_register(project, name="Cadastre")


@pytest.fixture
def records(register):
    """One plain record, and one for each thing that can be asked."""
    made = {
        "plain": make_record(register, at=(-10.5, 6.5), source_id="a1", name="Bray"),
        "nowhere": make_record(register, at=None, source_id="a2", name="Koss"),
        "abroad": make_record(register, at=(3.0, 4.0), source_id="a3", name="Lom"),
        "tin": make_record(register, at=(-10.5, 6.6), source_id="b4", minerals=["cassiterite"]),
        "old": make_record(register, at=(-10.5, 6.7), observed_on=date(2009, 1, 1), date_precision="year"),
        "licensed": make_record(register, at=(-10.5, 6.8), legal_status="Permis", legal_status_code="licensed"),
        "green": make_record(register, at=(-10.5, 6.9), trade_status="Vert", trade_status_code="qualified"),
        "village": make_record(register, at=(-10.5, 7.0), location_precision="village"),
        "protected": make_record(register, at=(-10.7, 6.4)),
        "flagged": make_record(register, at=(-10.5, 7.1)),
    }
    RecordFlag.objects.create(site_record=made["flagged"], register=register, code="lattice")
    detail = {"split": "near_border", "stated": "Lom", "lies_in": "Kessou", "stated_m": 900}
    RecordFlag.objects.create(site_record=made["plain"], register=register, code="region_unlike", detail=detail)
    return made


def page_of(client, register, **asked):
    return client.get(reverse("labels:records", args=[register.project.slug, register.slug]), asked)


def found(client, register, records, **asked) -> set[str]:
    page = page_of(client, register, **asked)
    assert page.status_code == 200
    shown = {placed.site_record_id for placed in page.context["page"].object_list}
    assert page.context["page"].paginator.count == len(shown)
    return {name for name, record in records.items() if record.pk in shown}


def test_every_filter_finds_its_record(client_of, lead, register, records):
    client = client_of(lead)
    kessou = register.project.reference_layers.get(kind="admin").areas.get()
    expected = {
        ("q", "bra"): {"plain"},
        ("q", "B4"): {"tin"},
        ("region", "none"): {"nowhere", "abroad"},
        ("region", str(kessou.pk)): set(records) - {"nowhere", "abroad"},
        ("mineral", "cassiterite"): {"tin"},
        ("year", "2009"): {"old"},
        ("legal_status", "licensed"): {"licensed"},
        ("trade_status", "qualified"): {"green"},
        ("location", "village"): {"village"},
        ("flag", "lattice"): {"flagged"},
        ("split", "near_border"): {"plain"},
        ("position", "no"): {"nowhere"},
        ("protected", "yes"): {"protected"},
        ("commercial", "yes"): set(),
        ("commercial", "no"): set(records),
        ("edition", "latest"): set(records),
        ("edition", "missing"): set(),
    }
    for (name, value), names in expected.items():
        assert found(client, register, records, **{name: value}) == names, (name, value)


def test_filters_are_asked_together(client_of, lead, register, records):
    client = client_of(lead)
    assert found(client, register, records, mineral="gold", year="2009") == {"old"}
    assert found(client, register, records, mineral="cassiterite", year="2009") == set()
    page = page_of(client, register, mineral="cassiterite", year="2009").content.decode()
    assert "Leave out one of the filters" in page
    assert "?mineral=cassiterite" in page and "?year=2009" in page  # each chip leaves the other in


def test_records_that_vanished_are_listed(client_of, lead, register, records):
    make_observation(records["plain"], at=(-10.5, 6.5), edition=make_edition(register), name="Bray")
    place_records(register=register)
    missing = found(client_of(lead), register, records, edition="missing")
    assert missing == set(records) - {"plain"}
    page = client_of(lead).get(reverse("labels:register", args=[register.project.slug, register.slug]))
    assert page.context["totals"]["n_vanished"] == len(records) - 1


@pytest.mark.parametrize("asked", [{"legal_status": "x"}, {"region": "x"}, {"year": "20x5"}, {"split": "x"}])
def test_values_that_are_none_are_refused_in_words(asked, client_of, lead, register):
    page = page_of(client_of(lead), register, **asked)
    assert page.status_code == 400
    assert "Leave that out of the address" in page.content.decode()


def test_names_that_are_no_filters_are_nobodys(client_of, lead, register, records):
    assert found(client_of(lead), register, records, observation__attributes="x", order="y") == set(records)


def test_list_asks_the_same_few_questions_at_any_length(
    client_of, lead, register, records, django_assert_max_num_queries
):
    client = client_of(lead)
    with django_assert_max_num_queries(22):
        page_of(client, register, mineral="gold")


def test_a_word_that_names_too_many_is_said(register, monkeypatch):
    for number in range(4):
        make_record(register, name=f"Site {number}")
    monkeypatch.setattr("labels.register_filters.MOST_FOUND", 2)
    assert searched(register, Filters(q="site")).is_cut is True
    assert MOST_FOUND > 2


def test_numbers_of_the_register_page_lead_to_their_records(client_of, lead, register, records):
    client = client_of(lead)
    page = client.get(reverse("labels:register", args=[register.project.slug, register.slug]))
    rows = [row for group in page.context["groups"] for row in group.rows] + page.context["flags"]
    rows += [part for row in rows for part in row.parts]
    assert len(rows) > 12
    address = reverse("labels:records", args=[register.project.slug, register.slug])
    for row in rows:
        assert client.get(f"{address}?{row.query}").context["page"].paginator.count == row.n, row
    words = page.content.decode()
    assert "Permis" in words and "licensed" in words  # the code, and the register's own word


def record_page(client, record):
    return client.get(reverse("labels:record", args=[record.register.project.slug, record.uuid]))


def test_record_page_shows_neighbours_in_other_registers(client_of, lead, register, records):
    other, foreign = make_register(register.project, name="Other list"), make_register(make_project())
    near = make_record(other, at=(-10.5045, 6.5), name="Near one")
    make_record(other, at=(-10.4, 6.5), name="Far one")
    make_record(foreign, at=(-10.5, 6.5), name="Foreign one")
    page = record_page(client_of(lead), records["plain"])
    (neighbour,) = page.context["neighbours"]
    assert (neighbour.uuid, neighbour.register) == (near.uuid, "Other list")
    assert neighbour.distance_m == pytest.approx(497.5, abs=1)
    shown = page.context["map_data"]["features"]["features"]
    assert [each["properties"]["kind"] for each in shown] == ["other", "here"]
    assert "Foreign one" not in page.content.decode() and "Far one" not in page.content.decode()


def test_record_page_shows_flags_pairs_and_editions(client_of, lead, register, records):
    first, second = sorted((records["plain"], records["tin"]), key=lambda record: record.pk)
    pair = DuplicatePair.objects.create(
        project=register.project, first_record=first, second_record=second, reason="near", distance_m=90
    )
    make_observation(records["tin"], at=(-10.5, 6.6), edition=make_edition(register))
    page = record_page(client_of(lead), records["plain"])
    assert len(page.context["flags"]) == 1
    assert [pair.other["record"] for pair in page.context["pairs"]] == [records["tin"]]
    assert [bool(each["rows"]) for each in page.context["editions"]] == [False, True]
    assert "not decided" in page.content.decode()
    DuplicateDecision.objects.create(pair=pair, decision="keep", decided_by=lead)
    assert "two sites" in record_page(client_of(lead), records["plain"]).content.decode()


def test_record_without_a_position_has_a_page(client_of, lead, records):
    page = record_page(client_of(lead), records["nowhere"])
    assert page.status_code == 200 and page.context["map_data"] is None
    assert "records-map" not in page.content.decode()


def test_record_page_says_that_it_is_audited_and_never_how_it_was_judged(client_of, lead, annotator, register, records):
    audit = workflow.open_census(project=register.project, register=register, slug="audit", name="Audit one")
    unit = audit.units.select_related("observation", "audit__project", "site_record").get(site_record=records["plain"])
    before = record_page(client_of(lead), records["plain"]).content.decode()
    review, _made = workflow.record_review(
        unit, annotator, given(verdict="unsure", reason="cloud", note="Nothing seen")
    )
    after = record_page(client_of(lead), records["plain"]).content.decode()
    assert "waits to be judged" in before and "0 of 1 reviews" in before
    assert "judged" in after and "1 of 1 reviews" in after
    for hidden in ("unsure", "cloud", "Nothing seen", annotator.username, str(review.uuid)):
        assert hidden not in after.lower() and hidden not in after, hidden
