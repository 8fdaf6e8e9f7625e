"""Every page, command and file of a project that has an audit of records and a finished audit of grid cells."""

import csv
import json
from datetime import date
from io import StringIO
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.urls import reverse

from labels import geo, workflow
from labels.models import Exposure
from labels.releases import making
from labels.releases.gathering import gather
from labels.workflow import GivenDecision, GivenImage, GivenReview
from tests.factories import make_area, make_record, make_register, make_scene, make_source, square
from tests.judging import judge_all, open_audit, units_of

ROLES = ["annotator", "adjudicator", "lead", "admin"]


@pytest.fixture
def imagery(project):
    source = make_source(project)
    make_scene(source, footprint=square(-10.9, 6.2, 0.5), captured_on=date(2024, 1, 14))
    return source


@pytest.fixture
def census(project, annotator):
    register = make_register(project, name="Visits")
    for k in range(6):
        make_record(register, at=(-10.75 + k / 50, 6.35))
    audit = open_audit(register, "records")
    judge_all(units_of(audit), annotator, "ccmru")
    return audit


def seen(source, unit, share=1.0):
    west, south, east, north = geo.grid_cell_bounds(unit.grid_cell)
    view = {"bounds": [west, south, west + share * (east - west), north], "zoom": 15, "ms": 900}
    return [GivenImage(pane=1, source=source.uuid, captured_on=date(2024, 1, 14), zoom=15, views=[view])]


@pytest.fixture
def searched(project, annotator, second_annotator, adjudicator, imagery):
    """Eight cells: two with a mine (one by decision), three clear, three unknown (in dispute, part seen, unsure)."""
    make_area(project, square(-10.8, 6.3, 0.1))
    audit = workflow.open_cell_search(
        project=project, slug="cells", name="Cells <1>", n=8, seed=5, reviews_per_unit=2, opened_by=annotator
    )
    units = list(audit.units.order_by("pk"))

    def review(unit, person, *, mine="", share=1.0, **fields):
        marks = [(*geo.grid_cell_centre(unit.grid_cell), mine)] if mine else []
        fields = {"verdict": "searched"} | fields
        images = seen(imagery, unit, share)
        given = GivenReview(uuid=uuid4(), other_mines=marks, images=images, **fields)
        return workflow.record_review(unit, person, given)[0]

    for person in (annotator, second_annotator):
        review(units[0], person, mine="artisanal")
        for unit in units[2:5]:
            review(unit, person)
        review(units[6], person, share=0.5)
        review(units[7], person, verdict="unsure", reason="cloud")
    right = review(units[1], annotator, mine="both")
    review(units[1], second_annotator)
    workflow.record_adjudication(units[1], adjudicator, GivenDecision(uuid=uuid4(), settled_with=right.uuid))
    review(units[5], annotator, mine="artisanal")
    review(units[5], second_annotator)
    return audit


@pytest.fixture
def people(annotator, adjudicator, lead, admin):
    return dict(zip(ROLES, (annotator, adjudicator, lead, admin), strict=True))


def text(answer) -> str:
    return " ".join(answer.content.decode().split())


class TestThePages:
    @pytest.fixture
    def lead_opens(self, census, searched, project, lead, client_of):
        client = client_of(lead)
        return lambda name, *rest, **query: client.get(reverse(f"labels:{name}", args=[project.slug, *rest]), query)

    def test_the_list_shows_what_the_cells_show_and_no_way_to_review_them(self, lead_opens):
        page = text(lead_opens("audits"))
        assert "8 of 8" in page and "with an artisanal mine</dt><dd>2<" in page and "unknown</dt><dd>3<" in page
        assert "/audits/records/review" in page and "/audits/cells/review" not in page
        assert "Visits" in page and "Cells &lt;1&gt;" in page

    def test_the_cells_audits_own_page(self, lead_opens):
        page = text(lead_opens("audit", "cells"))
        assert "clear, nothing marked</dt><dd>3<" in page
        assert "8 of 100 grid cells" in page
        assert "simple random sample" in page and "disputed</dt><dd>1<" in page and "adjudicated</dt><dd>1<" in page
        for absent in ("Same site", "/review", "reliability/?audit"):
            assert absent not in page

    def test_the_audit_of_records_stays_as_it_was(self, lead_opens):
        page = text(lead_opens("audit", "records"))
        assert "6 records in the frame" in page and "reliability/?audit=records" in page
        assert "artisanal mine" not in page

    def test_the_project_lists_both(self, lead_opens):
        page = text(lead_opens("overview"))
        assert "Visits" in page and "grid cells" in page
        assert "with an artisanal mine" not in page  # annotators read this page

    def test_reliability_is_of_records(self, lead_opens):
        page = lead_opens("reliability")
        assert page.status_code == 200
        assert [audit.slug for audit in page.context["audits"]] == ["records"]
        assert page.context["report"].overall.n_units == 6
        assert lead_opens("reliability", by="audit").status_code == 200
        refused = lead_opens("reliability", audit="cells")
        assert refused.status_code == 400 and "of records in this project" in text(refused)
        assert lead_opens("reliability_csv", audit="cells").status_code == 404
        assert lead_opens("reliability_json").json()["audits"][0]["slug"] == "records"

    def test_five_searched_cells_or_more_close_nothing_to_a_lead(self, lead_opens, lead):
        lead_opens("audits")
        lead_opens("audit", "cells")
        assert not Exposure.objects.filter(user=lead, unit__audit__slug="cells").exists()

    def test_few_cells_close_to_whoever_reads_what_they_show(self, project, annotator, lead, client_of):
        make_area(project, square(-10.8, 6.3, 0.1))
        audit = workflow.open_cell_search(project=project, slug="few", name="Few", n=2, seed=5)
        first = audit.units.first()
        workflow.record_review(first, annotator, GivenReview(uuid=uuid4(), verdict="searched"))
        client_of(lead).get(reverse("labels:audit", args=[project.slug, "few"]))
        assert list(Exposure.objects.filter(user=lead).values_list("unit", flat=True)) == [first.pk]

    @pytest.mark.parametrize("role", ROLES)
    def test_the_review_page_sends_everybody_back_in_words(self, census, searched, project, people, client_of, role):
        client = client_of(people[role])
        address = reverse("labels:review", args=[project.slug, "cells"])
        unit = searched.units.first()
        body = {"uuid": str(uuid4()), "unit": str(unit.uuid), "verdict": "move", "east_m": 1, "north_m": 1}
        for answer in (client.get(address, follow=True), client.post(address, body, follow=True)):
            assert answer.status_code == 200
            assert "Grid cells are not judged on the review page." in text(answer)
        assert client.get(reverse("labels:review", args=[project.slug, "records"])).status_code == 200

    def test_the_api_hands_out_no_cell_and_takes_no_verdict_of_one(
        self, census, searched, project, annotator, client_of
    ):
        client = client_of(annotator)
        handed = client.post(
            reverse("api:hand_out", args=[project.slug, "cells"]), {"n": 4}, content_type="application/json"
        )
        assert handed.status_code == 200 and handed.json()["units"] == []
        body = {"uuid": str(uuid4()), "unit": str(searched.units.first().uuid), "verdict": "unsure", "reason": "cloud"}
        refused = client.post(reverse("api:reviews", args=[project.slug]), body, content_type="application/json")
        assert refused.status_code == 422

    def test_ones_own_reviews_of_cells_are_listed_and_undone(self, census, searched, project, annotator, client_of):
        client = client_of(annotator)
        mine = reverse("labels:my_reviews", args=[project.slug, "cells"])
        page = text(client.get(mine))
        assert "searched" in page and "8 reviews" in page and "Go on reviewing" not in page
        latest = searched.units.last().reviews.get(annotator=annotator)
        undone = client.post(reverse("labels:review_undo", args=[project.slug, latest.uuid]))
        assert undone.url == mine
        assert "undone" in text(client.get(mine))

    def test_a_project_with_cells_alone_has_no_reliability_and_says_so(self, searched, project, lead, client_of):
        answer = client_of(lead).get(reverse("labels:reliability", args=[project.slug]))
        assert answer.status_code == 200
        assert answer.context["report"].overall.n_units == 0

    def test_the_admin_lists_both(self, census, searched, client_of):
        root = get_user_model().objects.create_superuser("root", password="x")
        client = client_of(root)
        page = client.get(reverse("admin:labels_audit_changelist"))
        assert page.status_code == 200 and "Cells &lt;1&gt;" in page.content.decode()
        assert client.get(reverse("admin:labels_audit_change", args=[searched.pk])).status_code == 200


class TestTheReliabilityCommand:
    def test_it_takes_the_audit_of_records_and_refuses_the_cells_in_words(self, census, searched, project):
        out = StringIO()
        call_command("reliability", "--project", project.slug, "--format", "json", stdout=out)
        assert [audit["slug"] for audit in json.loads(out.getvalue())["audits"]] == ["records"]
        with pytest.raises(CommandError, match="of records") as refused:
            call_command("reliability", "--project", project.slug, "--audit", "cells")
        assert refused.value.returncode == 2


class TestReleases:
    def test_they_hold_the_cells_that_are_known(self, census, searched):
        units = list(searched.units.order_by("pk"))
        snapshot = gather([census, searched])
        labels = {row["unique_id"]: row["label"] for row in snapshot.cells if row["sample_type"] == "random_cell"}
        assert labels == {units[k].grid_cell: label for k, label in enumerate([1, 1, 0, 0, 0])}
        assert snapshot.searched == {"cells": {"1": 2, "0": 3, "unknown": 3}}
        assert {row["audit"] for row in snapshot.labels} == {"records"}
        assert snapshot.left_out == {
            "records": {"n_not_judged": 1, "n_without_rights": 0},
            "cells": {"n_not_judged": 0, "n_without_rights": 0},
        }

    def test_a_search_settled_otherwise_labels_nothing(self, searched, adjudicator):
        unit = searched.units.order_by("pk")[1]
        given = GivenDecision(uuid=uuid4(), verdict="unsure", reason="ambiguous_ground")
        workflow.record_adjudication(unit, adjudicator, given)
        assert unit.grid_cell not in {row["unique_id"] for row in gather([searched]).cells}

    def test_cells_whose_imagery_lets_no_label_leave_are_counted(self, searched, imagery):
        imagery.may_share_labels = False
        imagery.save()
        snapshot = gather([searched])
        assert snapshot.cells == []
        assert snapshot.left_out["cells"] == {"n_not_judged": 0, "n_without_rights": 8}

    def test_the_pages_make_and_show_one(self, census, searched, project, admin, client_of):
        client = client_of(admin)
        form = client.get(reverse("labels:release_new", args=[project.slug]))
        assert form.status_code == 200 and "Cells &lt;1&gt;" in form.content.decode()
        release = making.make_release(project, making.audits_to_release(project), made_by=admin).release
        page = text(client.get(reverse("labels:release", args=[project.slug, release.number])))
        assert "srs of grid cells: 2 with an artisanal mine, 3 clear, 3 unknown, 0 not judged" in page
        assert "census: 5 labels, 1 not judged" in page
        card = client.get(reverse("labels:release_card", args=[project.slug, release.number])).json()
        assert [audit.get("searched_cells") for audit in card["audits"]] == [{"1": 2, "0": 3, "unknown": 3}, None]
        for format in ("csv", "mosaiks", "gpkg"):
            making.file_of(release, format)
        taken = client.post(reverse("labels:release_file", args=[project.slug, release.number, "mosaiks"]))
        assert taken.status_code == 200
        assert Exposure.objects.filter(user=admin, unit__audit=searched).count() == 8

    def test_the_command_writes_cells(self, census, searched, project, tmp_path):
        out = tmp_path / "cells.csv"
        call_command("release", "--project", project.slug, "--format", "mosaiks", "--out", str(out), "--audit", "cells")
        with out.open() as file:
            assert [row["label"] for row in csv.DictReader(file)].count("0") == 3
        with pytest.raises(CommandError, match="labels grid cells only"):
            call_command("release", "--project", project.slug, "--format", "csv", "--out", str(out), "--audit", "cells")


def test_no_page_answers_anybody_with_an_error(census, searched, project, people, client_of):
    """Every page that takes no object but an audit, for every role and both audits."""
    names = ["overview", "audits", "audit_new", "registers", "areas", "imagery", "reliability", "releases"]
    names += ["release_new", "jobs", "people"]
    for person in people.values():
        client = client_of(person)
        for name in names:
            assert client.get(reverse(f"labels:{name}", args=[project.slug])).status_code in (200, 403), name
        for name in ("audit", "review", "my_reviews"):
            for audit in (census, searched):
                answer = client.get(reverse(f"labels:{name}", args=[project.slug, audit.slug]))
                assert answer.status_code in (200, 302, 403), name
