"""The map of a training run in a real browser: cells coloured by score, a threshold that recolours them by itself."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from labels.models import Exposure
from tests.factories import make_area, square
from tests.labelled import make_audit, make_unit
from tests.predictions.figures import figures, quantity
from tests.predictions.maps import grid_cells, make_run, rising, scores_of

pytestmark = pytest.mark.django_db(transaction=True)
THRESHOLDS = [0.1, 0.3, 0.5, 0.7]


def curve(score: np.ndarray) -> list[dict]:
    return [
        {
            "threshold": threshold,
            "n_above": int((score >= threshold).sum()),
            "precision": quantity(0.2 + threshold, 0.1 + threshold, 0.3 + threshold, 40),
            "recall": quantity(1 - threshold, 0.8 - threshold, 1, 88),
        }
        for threshold in THRESHOLDS
    ]


@pytest.fixture
def run(project):
    make_area(project, square(-10.81, 6.69, 0.3))
    make_unit(make_audit(project), at=(-10.7, 6.8))
    cells = grid_cells()
    score = rising(cells)
    distance = np.where(cells[:, 1] < cells[:, 1].min() + 10, 0.9, 0.1).astype(np.float32)  # the southern third
    told = figures() | {
        "n_cells": len(cells),
        "applicability": {"threshold": 0.5, "share_outside": 1 / 3, "n_outside": 400},
        "threshold_curve": curve(score),
    }
    told["ladder"][0]["metrics"]["budget"] = curve(score)[1]["n_above"]
    return make_run(project, scores_of(cells, score, distance=distance), figures=told)


def wait_until_drawn(page) -> None:
    """Polled from here: the page's policy lets nobody poll inside it."""
    for _ in range(200):
        if page.evaluate("() => document.querySelector('[data-run-map]')?.runMap?.layer.isLoading() === false"):
            return
        page.wait_for_timeout(50)
    raise AssertionError("the map was not drawn")


@pytest.fixture
def page(run, lead, open_page):
    page = open_page(lead)
    page.tiles = []
    page.on("request", lambda request: "/tiles/" in request.url and page.tiles.append(request.url))
    page.goto(f"/p/{run.project.slug}/runs/{run.number}/")
    wait_until_drawn(page)
    yield page
    assert page.foreign == [] and page.violations == [] and page.errors == []


# How many pixels of the map's tiles are above the threshold (magenta), below it (blue-grey), or hatched.
COUNT = """() => {
  const found = { above: 0, below: 0, hatch: 0, none: 0 }
  for (const canvas of document.querySelectorAll('[data-run-map] canvas.leaflet-tile')) {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    for (let at = 0; at < data.length; at += 4) {
      const [red, green, blue, alpha] = data.subarray(at, at + 4)
      if (!alpha) found.none += 1
      else if (red === 0x86 && green === 0x8d && blue === 0x95) found.hatch += 1
      else if (red > green + 40) found.above += 1
      else found.below += 1
    }
  }
  return found
}"""


def counted(page) -> dict:
    page.wait_for_timeout(100)  # a frame is drawn
    return page.evaluate(COUNT)


def test_cells_are_coloured_and_those_unlike_training_hatched(page):
    found = counted(page)
    assert min(found.values()) > 0
    n_cells = found["above"] + found["below"] + found["hatch"]
    # Two pixels of eight, in the southern third, of the 440 cells below the threshold; above it stripes are magenta.
    assert found["hatch"] / n_cells == pytest.approx(1 / 3 / 4 * 440 / 1200, abs=0.008)


def test_the_first_threshold_is_that_of_the_budget(page):
    expect(page.get_by_label("Threshold", exact=True)).to_have_value("1")
    expect(page.locator("[data-figure=n_above]")).to_have_text("760")


def test_a_moved_threshold_recolours_without_asking_again(page):
    slider, before, n_tiles = page.get_by_label("Threshold", exact=True), counted(page), len(page.tiles)
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    after = counted(page)
    assert after["above"] < before["above"] / 2 and after["none"] == before["none"]
    assert len(page.tiles) == n_tiles
    expect(slider).to_have_attribute("aria-valuetext", "0.700")
    expect(page.get_by_label("Threshold, as a score")).to_have_value("0.700")
    expect(page.locator("[data-figure=precision]")).to_have_text("90 %")
    expect(page.locator("[data-figure=precision-how]")).to_have_text("(80–100) n 40")
    expect(page.locator("[data-figure=recall]")).to_have_text("30 %")


def test_a_typed_threshold_goes_to_the_nearest_that_was_worked_out(page):
    box = page.get_by_label("Threshold, as a score")
    box.fill("0.52")
    box.press("Enter")
    expect(box).to_have_value("0.500")
    expect(page.get_by_label("Threshold", exact=True)).to_have_value("2")


def test_a_cell_says_its_score(page):
    page.locator("[data-run-map] .map").click()  # in its middle
    expect(page.locator("[data-run-map] [role=status]")).to_have_text(re.compile(r"Score 0\.(39|4\d) here\."))


def test_whoever_sees_it_is_remembered(page, run, lead):
    assert Exposure.objects.filter(user=lead, what=Exposure.What.SCORE, unit__audit__project=run.project).count() == 1


def test_a_phone_shows_all_of_it_without_scrolling_sideways(run, lead, open_page):
    page = open_page(lead, width=390, height=844)
    page.goto(f"/p/{run.project.slug}/runs/{run.number}/")
    wait_until_drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    slider = page.get_by_label("Threshold", exact=True).bounding_box()
    assert slider["height"] >= 44 and slider["x"] + slider["width"] <= 390


def test_without_script_the_table_says_the_same(run, lead, open_page):
    page = open_page(lead, java_script_enabled=False)
    page.goto(f"/p/{run.project.slug}/runs/{run.number}/")
    expect(page.locator("#map table tbody tr")).to_have_count(4)
    expect(page.locator("#map table")).to_contain_text("760")
    expect(page.locator("[data-run-map] .map")).to_be_hidden()
