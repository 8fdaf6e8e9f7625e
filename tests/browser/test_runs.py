"""Training runs in a real browser: watched, chosen and compared by keyboard, readable, on a phone too."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from labels.models import Job
from predictions import storage
from predictions.models import TrainingRun
from tests.browser.conftest import ROOT
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
        address("feature_set_delete", project, features),
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


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_card_fits_a_sheet_of_paper(open_page, project, runs, lead, language):
    """A4 less its margins is 184 mm, 695 pixels: no table is cut, and only the card is printed."""
    page = open_page(lead, width=695, height=1000, extra_http_headers={"Accept-Language": language})
    page.goto(address("run_card", project, 2))
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 695
    cut = "table => table.scrollWidth > table.parentElement.clientWidth + 1 || table.offsetWidth > 695"
    assert page.evaluate(f"() => [...document.querySelectorAll('table')].filter({cut}).length") == 0
    for hidden in (".crumbs", ".site", ".skip"):
        expect(page.locator(hidden)).to_be_hidden()
    assert page.pdf(format="A4").count(b"/Type /Page\n") <= 8


# A worker that has just been started imports for half a minute where the machine is busy.
BY_A_WORKER_MS = 180_000


# ---- a file of somebody's features, from choosing it to the set being ready ----


@pytest.fixture(scope="module")
def worker(running_web):
    """A Celery worker of its own process, as in production, on the queues that pages send to."""
    command = [sys.executable, "-m", "celery", "--app", "asm_audit", "worker", "--pool", "solo", "--loglevel", "ERROR"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    process = subprocess.Popen(command, cwd=ROOT, env=running_web.environment, start_new_session=True)
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def service_csv(path: Path, *, odd: str = "") -> Path:
    """As the MOSAIKS API gives features: `image_id`, then X_0, X_1 …; 30 cells of Kessou."""
    lines = ["image_id,X_0,X_1,X_2,X_3"]
    for k in range(30):
        lat, lon = 6.705 + (k % 5) / 100, -10.795 + (k // 5) / 100
        named = f"lat_{lat:.3f}__lon_{lon:.3f}".replace(".", "--")
        values = [f"{np.sin(k + column):.5f}" for column in range(4)]
        if odd and k == 17:
            values[2] = odd
        lines.append(",".join([named, *values]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_csv_of_the_service_is_chosen_read_by_a_worker_and_ready(open_page, worker, project, admin, tmp_path):
    make_area(project, square(-10.81, 6.69, 0.3))
    page = open_page(admin)
    page.goto(address("feature_sets", project))
    page.get_by_role("link", name="Import features").click()
    page.get_by_label("File").set_input_files(service_csv(tmp_path / "mosaiks.csv"))
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("mosaiks")
    expect(page.get_by_text("Features of 30 grid cells were read.")).to_be_visible(timeout=BY_A_WORKER_MS)
    expect(page.get_by_text("ready", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Start a run on these")).to_be_visible()
    found = storage.load_features(project.feature_sets.get())
    assert found.features.shape == (30, 4) and found.cells[0].tolist() == [-1080, 674]
    assert found.features[0] == pytest.approx(np.sin([4, 5, 6, 7]), abs=1e-5)
    assert (page.foreign, page.violations, page.errors) == ([], [], [])


def test_a_wrong_value_of_a_file_is_named_by_row_and_column_and_the_set_can_go(
    open_page, worker, project, admin, tmp_path, media
):
    page = open_page(admin)
    page.goto(address("feature_set_import", project))
    page.get_by_label("File").set_input_files(service_csv(tmp_path / "mosaiks.csv", odd="n.a!"))
    page.get_by_role("button", name="Upload and check").click()
    said = page.get_by_role("alert")
    expect(said).to_have_text("Row 19, column X_2: 'n.a!' is no number.", timeout=BY_A_WORKER_MS)
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("The features mosaiks are deleted.")).to_be_visible()
    assert not project.feature_sets.exists()
    assert not list((media / "features").glob("*/upload"))
