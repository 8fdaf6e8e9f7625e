"""The reliability page: who sees it, what it says when there is little to say, and its downloads."""

import csv
import json

import pytest
from django.urls import reverse

from labels.models import AccessRecord
from tests.factories import make_area, make_record, make_register, square
from tests.judging import judge_all, make_audit, open_audit, units_of


def page(project) -> str:
    return reverse("labels:reliability", args=[project.slug])


@pytest.fixture
def register(project):
    return make_register(project, slug="cadastre", name="Cadastre")


@pytest.fixture
def judged(project, register, annotator):
    """Forty records in one region: 20 confirmed, 10 moved, 6 rejected, 4 unsure."""
    make_area(project, square(-11, 6, 1), name="Kessou")
    audit = make_audit(register, 40)
    judge_all(units_of(audit), annotator, "c" * 20 + "m" * 10 + "r" * 6 + "u" * 4)
    return audit


def text_of(response) -> str:
    """The page's words, as a person reads them: one blank between words."""
    return " ".join(response.content.decode().replace("\u202f", " ").split())


# ---- who ----


@pytest.mark.parametrize("name", ["reliability", "reliability_csv", "reliability_json"])
@pytest.mark.parametrize(
    ("person", "status"), [("annotator", 403), ("adjudicator", 403), ("lead", 200), ("admin", 200), ("stranger", 404)]
)
def test_only_leads_see_it(project, client_of, request, name, person, status):
    client = client_of(request.getfixturevalue(person))
    assert client.get(reverse(f"labels:{name}", args=[project.slug])).status_code == status


def test_strangers_are_asked_to_sign_in(project, client):
    response = client.get(page(project))
    assert response.status_code == 302
    assert response.url.startswith(reverse("login"))


@pytest.mark.parametrize("name", ["reliability", "reliability_csv", "reliability_json"])
def test_only_reads(project, lead, client_of, name):
    assert client_of(lead).post(reverse(f"labels:{name}", args=[project.slug])).status_code == 405


# ---- what it says ----


def test_answers_in_a_sentence(project, lead, client_of, judged):
    text = text_of(client_of(lead).get(page(project)))
    assert "Of all 40 records with a position, <b>75 %</b> <i>(60–86)</i> point at or near a mine" in text
    assert "At <b>15 %</b> <i>(7–29)</i> no mine is visible" in text
    assert "All 40 units checked: no sampling error." in text


def test_partly_judged_audit_says_how_many(project, lead, client_of, register, annotator):
    judge_all(units_of(make_audit(register, 40)), annotator, "c" * 20 + "r" * 10)
    text = text_of(client_of(lead).get(page(project)))
    assert "About <b>67 %</b>" in text
    assert "From 30 of 40 units, judged in shuffled order and so a random part" in text


def test_few_units_give_no_answer(project, lead, client_of, register, annotator):
    judge_all(units_of(make_audit(register, 40)), annotator, "c" * 12)
    text = text_of(client_of(lead).get(page(project)))
    assert "Only <b>12</b> of 40 units are judged: <b>too few to answer</b>. Judge 18 more." in text
    assert "Fewer than 30 units judged in every group: none is ranked" in text


def test_drawings_have_words(project, lead, client_of, judged):
    text = text_of(client_of(lead).get(page(project)))
    assert 'role="img" aria-label="50 %, 95 % interval 35–65, n 40"' in text
    assert "Histogram of 10 displacements: median 300 m, 90 % within 300 m." in text
    assert " style=" not in text


def test_offers_what_to_do_next(project, lead, client_of, register, judged):
    make_record(register, at=None)
    text = text_of(client_of(lead).get(page(project)))
    assert "Find other images for 4 unsure units" in text
    assert "Have units judged twice" in text


def test_no_audit_offers_to_open_one(project, lead, client_of):
    response = client_of(lead).get(page(project))
    assert "No audit yet" in text_of(response)
    assert reverse("labels:audit_new", args=[project.slug]) in response.content.decode()


def test_no_verdict_says_how_many_wait(project, lead, client_of, register):
    make_audit(register, 3)
    assert "3 units wait for their first review." in text_of(client_of(lead).get(page(project)))


def test_published_words_cannot_become_markup(project, lead, client_of, annotator):
    register = make_register(project, name="<b>list</b>")
    judge_all(units_of(make_audit(register, 2, stated_region="<script>x</script>")), annotator, "cr")
    content = client_of(lead).get(page(project), {"by": "stated_region"}).content.decode()
    assert "<script>x" not in content
    assert "<b>list" not in content


# ---- what the URL asks ----


def test_filters_and_groupings_come_from_the_url(project, lead, client_of, judged):
    client = client_of(lead)
    response = client.get(page(project), {"by": ["mineral", "year"], "region": "Kessou", "tolerance_m": "500"})
    report = response.context["report"]
    assert (report.by, report.where, report.tolerance_m) == (["mineral", "year"], {"region": "Kessou"}, 500)
    assert "Only units of: Region <b>Kessou</b>" in text_of(response)
    assert client.get(page(project), {"by": "mineral,year"}).context["report"].by == ["mineral", "year"]
    assert client.get(page(project), {"by": ""}).context["report"].by == []
    assert "No unit is like that" in text_of(client.get(page(project), {"region": "(none)"}))


@pytest.mark.parametrize(
    "wrong", [{"by": "colour"}, {"audit": "x"}, {"audit": "x\0"}, {"tolerance_m": "far"}, {"tolerance_m": "-1"}]
)
def test_senseless_url_is_said_on_the_page(project, lead, client_of, judged, wrong):
    response = client_of(lead).get(page(project), wrong)
    assert response.status_code == 400
    assert 'role="alert"' in response.content.decode()
    assert client_of(lead).get(reverse("labels:reliability_csv", args=[project.slug]), wrong).status_code == 404


def test_group_leads_to_its_own_page(project, lead, client_of, judged):
    response = client_of(lead).get(page(project))
    (row,) = response.context["rows"]
    narrowed = client_of(lead).get(f"{page(project)}?{row.query}")
    assert narrowed.context["report"].where == {"region": "Kessou"}


def test_costs_the_same_queries_for_any_number_of_units(project, lead, client_of, register, annotator):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = client_of(lead)

    def n_queries():
        with CaptureQueriesContext(connection) as queries:
            client.get(page(project))
        return len(queries)

    judge_all(units_of(make_audit(register, 5)), annotator, "ccmru")
    few = n_queries()
    for _ in range(40):
        make_record(register)
    judge_all(units_of(open_audit(register, "second")), annotator, "ccmru" * 9)
    assert n_queries() == few


# ---- downloads ----


def test_downloads_the_figures_without_positions(project, lead, client_of, judged):
    client = client_of(lead)
    response = client.get(reverse("labels:reliability_csv", args=[project.slug]), {"by": "region"})
    assert response["Content-Disposition"].startswith(f'attachment; filename="reliability-{project.slug}-')
    rows = list(csv.DictReader(response.content.decode().splitlines()))
    assert [(row["group"], row["confirm_k"], row["confirm_n"]) for row in rows] == [
        ("all", "20", "40"),
        ("Kessou", "20", "40"),
    ]
    figures = json.loads(client.get(reverse("labels:reliability_json", args=[project.slug])).content)
    assert figures["overall"]["confirm"]["share"] == 0.5
    assert "-10.7" not in json.dumps(figures)
    assert AccessRecord.objects.filter(project=project, user=lead, action="download_reliability").count() == 2


def test_page_speaks_the_readers_language_and_files_english(project, lead, client_of, judged):
    client = client_of(lead)
    client.cookies.load({"django_language": "fr"})
    assert client.get(page(project)).status_code == 200
    rows = client.get(reverse("labels:reliability_csv", args=[project.slug]), {"by": "legal_status"})
    assert "not stated" in rows.content.decode()


def test_a_group_that_tells_a_single_verdict_closes_its_unit(client_of, lead, annotator, project):
    """One judged unit: its figures are its review. Five: they are not."""
    from labels import workflow
    from labels.models import Exposure
    from tests.labels.test_hand_out import census
    from tests.labels.test_record_review import given

    audit = census(project, 6)
    units = list(audit.units.select_related("audit__project", "observation"))
    workflow.record_review(units[0], annotator, given())
    address = reverse("labels:reliability", args=[project.slug])
    client_of(lead).get(address)
    assert list(Exposure.objects.values_list("unit", "user")) == [(units[0].pk, lead.pk)]
    for unit in units[1:5]:
        workflow.record_review(unit, annotator, given())
    client_of(lead).get(address)
    assert Exposure.objects.count() == 1
