"""Training runs in a real browser: watched, chosen and compared by keyboard, readable, on a phone too."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from labels.models import Job
from predictions.models import TrainingRun
from tests.factories import make_area, square
from tests.predictions.figures import figures, figures_without_a_sample
from tests.predictions.learned import make_feature_set, make_run
from tests.predictions.maps import make_run as make_mapped_run


@pytest.fixture
def runs(project, lead) -> list[TrainingRun]:
    """Two with maps, one of them without a probability sample; one that failed, one that runs."""
    make_area(project, square(-10.81, 6.69, 0.3))
    features = make_feature_set(project)
    shared = {"made_by": lead, "feature_set": features, "content_sha256": "a" * 64}
    found = [make_mapped_run(project, figures=each, **shared) for each in (figures_without_a_sample(), figures())]
    for state in (Job.State.FAILED, Job.State.RUNNING):
        found.append(make_run(project, is_done=False, state=state, by=lead, feature_set=features))
    return found


def address(name: str, project, *args) -> str:
    return reverse(f"predictions:{name}", args=[project.slug, *args])


@pytest.fixture
def pages(project, runs) -> list[str]:
    features = runs[0].feature_set.slug
    return [
        address("runs", project),
        *(address("run", project, number) for number in (1, 2, 3, 4)),
        address("run_card", project, 2),
        address("run_compare", project) + "?run=1&run=2",
        address("run_elsewhere", project, 2),
        address("run_new", project),
        address("retraining_rule", project),
        address("feature_sets", project),
        address("feature_set", project, features),
        address("feature_set_new", project),
        address("feature_set_import", project),
    ]


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_pages_are_accessible_and_nothing_is_wider_than_the_screen(open_page, pages, admin, width, height):
    page = open_page(admin, width=width, height=height)
    wrong = []
    for each in pages:
        response = page.goto(each)
        page.wait_for_load_state("load")
        assert response.status == 200, each
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wrong.append(f"{each} is too wide")
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                wrong.append(f"{each} {violation['id']} {violation['nodes'][0]['html'][:200]}")
    assert not wrong, "\n".join(wrong)
    assert (page.foreign, page.violations, page.errors) == ([], [], [])


def test_two_runs_are_chosen_and_compared_by_keyboard(open_page, project, runs, lead):
    page = open_page(lead)
    page.goto(address("runs", project))
    for number in (1, 2):
        page.get_by_role("checkbox", name=f"Compare run {number}").focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Compare the two chosen").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Run 1 and run 2")
    expect(page.get_by_text("1,200 cells of both maps")).to_be_visible()


def test_the_list_follows_a_run_and_keeps_what_was_chosen(open_page, project, runs, lead):
    page = open_page(lead)
    page.goto(address("runs", project))
    page.get_by_role("checkbox", name="Compare run 1").check()
    row = page.get_by_role("row").filter(has_text="Training run 4")
    expect(row).to_contain_text("running")
    Job.objects.filter(pk=runs[3].job_id).update(state="cancelled", finished_at=timezone.now())
    expect(row).to_contain_text("cancelled")
    expect(page.get_by_role("checkbox", name="Compare run 1")).to_be_checked()


def test_a_watched_run_turns_into_its_figures(open_page, project, runs, lead):
    page = open_page(lead)
    page.goto(address("run", project, 4))
    expect(page.get_by_role("progressbar")).to_be_visible()
    Job.objects.filter(pk=runs[3].job_id).update(state="done", finished_at=timezone.now())
    TrainingRun.objects.filter(pk=runs[3].pk).update(
        content_sha256="b" * 64, figures=figures(), finished_at=timezone.now()
    )
    expect(page.get_by_text("Inspecting the map’s 1,810 highest cells would find")).to_be_visible()


def test_what_features_cost_follows_the_choice(open_page, project, runs, admin):
    page = open_page(admin)
    page.goto(address("feature_set_new", project))
    expect(page.get_by_text("53 ms of CPU a cell")).to_be_visible()
    page.get_by_label("Filters (K)").select_option("4096")
    expect(page.get_by_text("211 ms of CPU a cell")).to_be_visible()
