"""The panes of the review page: how many, in step, adjusted, measured, walked, light, and what is missing in them."""

import json
import re
from datetime import date

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from labels import geo
from labels.models import Review
from tests.browser.conftest import POINT
from tests.browser.test_review_loop import address, judge, ready, sent
from tests.factories import make_scene, square


@pytest.fixture
def four_dates(imagery, prepared_scenes, media):
    """Two more dates of the same ground."""
    for day in (date(2020, 3, 1), date(2022, 5, 1)):
        (media / f"{day}.cog.tif").write_bytes(prepared_scenes[0][1].read_bytes())
        make_scene(
            imagery,
            footprint=square(POINT[0] - 0.03, POINT[1] - 0.03, 0.06),
            captured_on=day,
            path=f"{day}.cog.tif",
            resolution_m=4.4,
            max_zoom=15,
        )


@pytest.fixture
def opened(open_page, annotator, audit):
    """A function that opens the review page; what it sent as verdicts and which tiles it asked for are on the page."""
    pages = []

    def open_review(width=1366, height=768, settings=None, until=ready, **options):
        page = open_page(annotator, width=width, height=height, **options)
        page.verdicts, page.tiles = [], []
        page.on("request", lambda request: _note(page, request))
        if settings:
            page.add_init_script(f"localStorage.setItem('review-view', {json.dumps(json.dumps(settings))})")
        page.goto(address(audit))
        until(page)
        pages.append(page)
        return page

    yield open_review
    for page in pages:
        assert (page.foreign, page.violations, page.errors) == ([], [], [])


def _note(page, request) -> None:
    if request.url.endswith("/reviews"):
        page.verdicts.append(json.loads(request.post_data))
    if "/imagery/" in request.url:
        page.tiles.append(request.url)


def anything(page) -> None:
    """Some of the disc was seen."""
    expect(page.locator("#seen")).to_have_text(re.compile("^[1-9]"))


def settled(page) -> None:
    page.wait_for_timeout(450)


def unsure(page) -> dict:
    """Judge the unit unsure, and what was sent."""
    n = len(page.verdicts)
    judge(page, "k", "6")
    for _ in range(60):
        if len(page.verdicts) > n:
            return page.verdicts[n]
        page.wait_for_timeout(50)
    raise AssertionError("no verdict was sent")


def change_units(page, change) -> None:
    """Let the page, loaded again, have other units than the server would give it."""

    def changed(route):
        answer = route.fetch()
        head, data, tail = re.split(r'(?<=id="review-data" type="application/json">)(.*?)(?=</script>)', answer.text())
        page_data = json.loads(data)
        for unit in page_data["units"]:
            change(unit)
        route.fulfill(response=answer, body=head + json.dumps(page_data) + tail)

    page.route(re.compile("/review/$"), changed)


def layout(page) -> str:
    return page.locator("#panes").get_attribute("data-layout")


def crosshairs(page) -> list[tuple[float, float]]:
    """Where the cross-hair stands in each visible pane, from the pane's middle."""
    places = []
    for map_ in page.locator(".pane:not([hidden]) .map").all():
        mark, area = map_.locator(".mark.crosshair").bounding_box(), map_.bounding_box()
        places.append(
            (
                mark["x"] + mark["width"] / 2 - area["x"] - area["width"] / 2,
                mark["y"] + mark["height"] / 2 - area["y"] - area["height"] / 2,
            )
        )
    return places


def test_one_to_four_panes_stay_in_step(opened, four_dates):
    page = opened()
    for n in ("3", "4", "swipe", "1", "2"):
        page.keyboard.press("v")
        assert layout(page) == n
        page.mouse.move(300, 500)
        page.mouse.down()
        page.mouse.move(280, 470, steps=3)
        page.mouse.up()
        page.keyboard.press("Equal" if n in "3 1" else "Minus")
        places = crosshairs(page)
        assert len(places) == {"swipe": 2}.get(n) or int(n)
        assert all(place == pytest.approx(places[0], abs=1) for place in places), (n, places)
    page.keyboard.press("v")
    settled(page)
    told = unsure(page)
    assert told["layout"] == {"panes": 3, "mode": "panes", "light": False}
    on_screen = [image for image in told["images"] if image["was_on_screen_at_verdict"]]
    dates = [image["captured_on"] for image in sorted(on_screen, key=lambda image: image["pane"])]
    assert len(dates) == 3 and dates == sorted(dates)


def test_the_layout_is_remembered_by_the_browser(opened):
    page = opened(settings={"layout": "swipe"}, until=anything)
    assert layout(page) == "swipe"


def test_the_active_pane_steps_through_the_dates(opened, four_dates):
    page = opened()
    dates = page.locator(".pane:not([hidden]) .date")
    expect(dates).to_have_text(["1 Mar 2020", "14 Jan 2024"])
    page.keyboard.press("[")
    expect(dates).to_have_text(["1 Mar 2020", "1 May 2022"])
    page.keyboard.press("p")
    expect(page.locator("#pane-1")).to_have_class(re.compile("active"))
    page.keyboard.press("[")
    expect(dates).to_have_text(["9 Feb 2019", "1 May 2022"])
    page.keyboard.press("Shift+BracketRight")
    expect(dates).to_have_text(["9 Feb 2019", "14 Jan 2024"])


def test_two_images_of_one_source_and_day_are_two(opened):
    """A provider may publish two releases with one capture date: each keeps its own key, views and answer."""

    def two_releases(unit):
        unit["images"] = [{**unit["images"][1], "key": key} for key in ("r1", "r2")]
        unit["pair"] = [0, 1]

    page = opened()
    change_units(page, two_releases)
    page.reload()
    ready(page)
    page.locator("#pane-2").get_by_role("radio", name="mine").click()
    told = unsure(page)["images"]
    assert [(image["key"], image["pane"], image["sight"]) for image in told] == [("r1", 1, ""), ("r2", 2, "seen")]
    assert told[0]["captured_on"] == told[1]["captured_on"]


@pytest.mark.parametrize("n_images", [0, 1])
def test_a_unit_with_fewer_images_than_panes(opened, n_images):
    def fewer(unit):
        unit["images"] = unit["images"][:n_images]
        unit["pair"] = list(range(n_images))

    page = opened()
    change_units(page, fewer)
    page.reload()
    said = page.locator("#pane-1 .no-image-words")
    expect(said).to_have_text("No image of this place")
    for n, keys in enumerate(("ak6", "k6"), start=1):
        for key in keys:
            page.keyboard.press(key)
        expect(page.locator("#n-mine")).to_have_text(str(n))
        expect(said).to_be_visible()
    sent(page, 2)
    marks = [len(told["other_mines"]) for told in page.verdicts]
    assert marks == [1, 0], "marks belong to the unit they were set on"


def test_keys_do_what_is_printed_on_them(opened, four_dates):
    """As French and Portuguese keyboards send them; verdicts stay by place."""
    page = opened(settings={"layout": "2", "hasContext": False})

    def press(code, key, **more):
        page.evaluate(
            "(event) => document.body.dispatchEvent(new KeyboardEvent('keydown', {bubbles: true, ...event}))",
            {"code": code, "key": key} | more,
        )

    dates = page.locator(".pane:not([hidden]) .date")
    scale = page.locator("#map-1 .leaflet-control-scale-line")
    opening = scale.inner_text()
    press("BracketLeft", "+")
    expect(scale).not_to_have_text(opening)
    press("Digit6", "-")
    expect(scale).to_have_text(opening)
    expect(page.locator("#adjust-brightness-value")).to_have_text("1")
    press("KeyA", "q")
    assert page.locator("#map-1 .mark.other").count() == 0
    press("KeyQ", "a")
    assert page.locator("#map-1 .mark.other").count() == 1
    press("BracketRight", "[")
    expect(dates).to_have_text(["1 Mar 2020", "1 May 2022"])
    press("Digit9", "]", modifierAltGraph=True, ctrlKey=True, altKey=True)
    expect(dates).to_have_text(["1 Mar 2020", "14 Jan 2024"])
    press("Digit8", "{", modifierAltGraph=True)
    expect(page.locator("#adjust-gamma-value")).to_have_text("1")
    press("KeyD", "e")
    expect(page.locator("#n-mine")).to_have_text("1")


def test_under_a_divider_only_the_visible_part_is_booked(opened):
    page = opened(settings={"layout": "swipe", "hasContext": False}, until=anything)
    divider = page.get_by_role("slider", name="Divider of the two images")
    divider.press("End")
    divider.press("PageDown")
    divider.press("ArrowLeft")
    expect(divider).to_have_attribute("aria-valuenow", "78")
    page.keyboard.press(",")
    expect(divider).to_have_attribute("aria-valuenow", "76")
    page.get_by_role("button", name="Divider to the left").click()
    expect(divider).to_have_attribute("aria-valuenow", "66")
    box = divider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(400, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", str(round(400 / 13.66)))
    settled(page)
    page.keyboard.press("k")
    page.keyboard.press("6")
    sent(page, 1)
    told = page.verdicts[0]
    assert told["layout"]["mode"] == "swipe"
    left, right = (image["views"][-1]["bounds"] for image in sorted(told["images"], key=lambda image: image["pane"]))
    assert left[2] == pytest.approx(right[0], abs=0.1)
    assert (left[2] - left[0]) / (right[2] - left[0]) == pytest.approx(400 / 1366, abs=0.01)


def test_adjustments_are_kept_with_the_images_and_gone_on_the_next_unit(opened):
    page = opened()
    filter_of = "document.querySelector('#map-1 .leaflet-tile-pane').style.filter"
    for key in ("6", "6", "Shift+7", "8"):
        page.keyboard.press(key)
    assert page.evaluate(filter_of) == 'brightness(1.2) contrast(0.9) url("#gamma")'
    told = unsure(page)
    assert [image["adjustments"] for image in told["images"]] == [
        {"brightness": 1.2, "contrast": 0.9, "gamma": 1.1}
    ] * 2
    assert page.evaluate(filter_of) == ""
    page.get_by_role("button", name="Adjust", exact=True).click()
    page.get_by_label(re.compile("^Brightness")).press("End")
    assert page.evaluate(filter_of) == "brightness(2.5)"
    page.keyboard.press("g")
    assert page.evaluate(filter_of) == ""
    assert {json.dumps(image["adjustments"]) for image in unsure(page)["images"]} == {'{"brightness": 2.5}'}
    assert {json.dumps(image["adjustments"]) for image in unsure(page)["images"]} == {"{}"}


def test_gamma_changes_what_is_seen(opened):
    page = opened()
    page.wait_for_load_state("networkidle")
    settled(page)
    before = picture(page)
    for _ in range(8):
        page.keyboard.press("8")
    wait_until(page, lambda: picture(page) != before)
    page.keyboard.press("g")
    wait_until(page, lambda: picture(page) == before)


def picture(page) -> bytes:
    """A patch of the left image where no mark lies."""
    return page.screenshot(clip={"x": 200, "y": 350, "width": 40, "height": 40})


def wait_until(page, holds) -> None:
    for _ in range(40):
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not happen")


def test_false_colour_asks_for_other_bands(opened, imagery):
    imagery.scenes.update(false_colour_path="none.tif")
    page = opened()
    assert not any("bands" in url for url in page.tiles)
    page.keyboard.press("9")
    expect(page.locator("#adjust-false_colour")).to_have_attribute("aria-pressed", "true")
    settled(page)
    assert sum("bands=false_colour" in url for url in page.tiles) > 8
    assert unsure(page)["images"][0]["adjustments"] == {"false_colour": 1}


def test_the_ruler_is_within_one_percent_of_the_geodesic(opened):
    """At lengths from 10 m to 5 km, in every direction, near the reported point and 20 km from it."""
    page = opened()
    cases = [
        ([-10.7, lat], [far, -far], [far + length * np.sin(angle), -far + length * np.cos(angle)])
        for lat in (0, 6.4, -23.5, 45, 60)
        for far in (0, 20_000)
        for length in (10, 100, 1_000, 5_000)
        for angle in (0, 0.8, 1.57, 4)
    ]
    read = page.evaluate(
        """async (cases) => {
            const { ground, place } = await import('plane')
            return cases.map(([origin, from, to]) => [ground(origin, from, to), place(origin, from), place(origin, to)])
        }""",
        cases,
    )
    for metres, start, end in read:
        assert metres == pytest.approx(geo.displacement_m([start], [end])[0], rel=0.001)


def test_the_ruler_reads_between_two_clicks(opened):
    page = opened()
    page.keyboard.press("t")
    area = page.locator("#map-1").bounding_box()
    for x, y in ((100, 300), (400, 200)):
        page.mouse.click(area["x"] + x, area["y"] + y)
    words = page.locator("#map-1 .ring-label.distance").inner_text()
    resolution = geo.ground_resolution_m(POINT[1], 15)
    assert float(words.split(" m")[0].replace(",", "")) == pytest.approx(np.hypot(300, 100) * resolution, rel=0.01)
    assert page.locator("#map-2 .ring-label.distance").inner_text() == words
    assert page.locator(".mark.moved").count() == 0, "a click measures, it does not mark"
    page.keyboard.press("Escape")
    assert page.locator(".ring-label.distance").count() == 0


def test_the_ruler_works_by_keys_alone(opened):
    page = opened()
    page.keyboard.press("t")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#map-1 .ring-label.distance").inner_text() == "110 m, 90°"
    assert page.locator("#spoken").inner_text() == "110 m, 90°"


def test_range_rings_inside_the_search_radius(opened, audit):
    audit.units.update(tolerance_m=150, search_radius_m=800)
    page = opened()
    labels = page.locator("#map-1 .ring-label")
    told = ["grid cell", "150 m tolerance", "search radius 800 m", "100 m", "250 m", "500 m"]
    expect(labels).to_have_text(told)
    page.keyboard.press("r")
    expect(labels.first).to_be_hidden()
    expect(page.locator("#map-1 .mark.crosshair")).to_be_visible()


def test_another_mine_stands_where_the_pointer_rests(opened):
    """After the next unit has come and the view has moved under it."""
    page = opened()
    page.mouse.move(400, 300)
    judge(page, "d")
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("a")
    box = page.locator("#map-1 .mark.other").bounding_box()
    assert (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) == pytest.approx((400, 300), abs=1.5)


def test_a_large_disc_is_walked_in_frames(opened, audit):
    """N goes to each frame once; then the whole disc was seen, by the page's count and by the server's."""
    audit.units.update(search_radius_m=2800)
    page = opened(until=anything)
    n_frames = int(re.search(r"of (\d+) frames", page.locator("#seen").inner_text()).group(1))
    assert n_frames > 3
    for n_seen in range(1, n_frames + 1):
        page.keyboard.press("n")
        expect(page.locator("#seen")).to_have_text(re.compile(rf"{n_seen} of {n_frames} frames"), timeout=20_000)
    assert page.locator("#context-marks .frame.seen").count() == n_frames
    page.keyboard.press("j")
    sent(page, 1)
    assert Review.objects.get().share_seen > 0.9


def test_light_mode_shows_one_image_first(opened):
    page = opened(settings={"layout": "2", "isLight": True, "hasContext": True})
    assert layout(page) == "1"
    assert page.locator("#pane-1 .date").inner_text() == "14 Jan 2024"
    assert page.tiles and all("light=1" in url and "date=2024-01-14" in url for url in page.tiles)
    page.keyboard.press("p")
    assert layout(page) == "2"
    settled(page)
    assert any("date=2019-02-09" in url for url in page.tiles)
    told = unsure(page)
    assert told["layout"] == {"panes": 2, "mode": "panes", "light": True}
    assert layout(page) == "1", "the next unit begins with one"


def test_light_mode_books_no_ground_that_a_coarse_tile_stands_in_for(opened, audit):
    audit.units.update(search_radius_m=250, tolerance_m=100)
    page = opened(settings={"layout": "1", "isLight": True, "hasContext": False})
    unit = json.loads(page.locator("#review-data").text_content())["units"][0]
    (lon, lat), (west, _, east, _) = unit["point"], unit["cell"]
    sides = [geo.displacement_m([(lon, lat)], [(side, lat)])[0] for side in (west, east)]
    image = unsure(page)["images"][0]
    seen = image["views"][0]["bounds"]
    assert seen[0] == pytest.approx(-max(250, sides[0]), abs=5)
    assert seen[2] == pytest.approx(max(250, sides[1]), abs=5)
    assert image["n_tiles"] > 1


def test_no_tile_is_asked_for_twice(opened):
    page = opened()
    for _ in range(3):
        page.wait_for_timeout(1200)
        judge(page, "d")
    assert len(page.tiles) == len(set(page.tiles))


def test_missing_tiles_are_said_counted_and_asked_again(opened):
    def fail(route):
        route.fulfill(status=503, headers={"Retry-After": "5", "X-Imagery": "unavailable"})

    page = opened(settings={"layout": "2", "hasContext": False})
    page.context.route(re.compile("date=2024-01-14"), fail)
    page.reload()
    said = page.locator("#pane-2 .no-image-words")
    expect(said).to_have_text(re.compile(r"^No image: 100 % of the tiles in view are missing"))
    expect(page.locator("#pane-1 .no-image")).to_be_hidden()
    page.keyboard.press("k")
    expect(page.locator("#reasons .suggested")).to_have_attribute("value", "no_image")
    page.keyboard.press("Escape")
    page.context.unroute_all()
    page.locator("#pane-2").get_by_role("button", name="Try again").click()
    expect(said).to_be_hidden()
    assert [image["n_tiles_missing"] for image in unsure(page)["images"]] == [0, 0]


def test_what_has_not_come_was_not_seen(opened):
    """Tiles of the later image stay on their way: nothing of the disc counts, and a reject does not leave the unit."""
    page = opened(settings={"layout": "2", "hasContext": False})
    held, is_open = [], []
    page.context.route(
        re.compile("date=2024-01-14"), lambda route: route.continue_() if is_open else held.append(route)
    )
    page.reload()
    expect(page.locator("#map-1 .leaflet-tile-loaded").first).to_be_visible()
    settled(page)
    expect(page.locator("#seen")).to_have_text(re.compile("^0 "))
    page.keyboard.press("j")
    expect(page.locator("#strip")).to_contain_text("100 % of the tiles in view are missing")
    expect(page.locator("#n-mine")).to_have_text("0")
    is_open.append(True)
    for route in held:
        route.continue_()
    ready(page)
    page.keyboard.press("j")
    sent(page, 1)
    later = next(image for image in page.verdicts[0]["images"] if image["captured_on"] == "2024-01-14")
    assert later["n_tiles_missing"] == 0 < later["n_tiles"]
    assert later["dwell_ms"] < page.verdicts[0]["think_time_s"] * 1000 - 400


def test_missing_tiles_go_with_the_verdict(opened, imagery):
    """The file of the later picture is gone: its tiles answer 404."""
    imagery.scenes.filter(captured_on__year=2024).update(path="gone.tif")
    page = opened(until=lambda page: None)
    expect(page.locator("#pane-2 .no-image-words")).to_contain_text("100 %")
    page.keyboard.press("k")
    page.keyboard.press("6")
    sent(page, 1)
    told = {image["captured_on"]: image for image in page.verdicts[0]["images"]}
    assert told["2024-01-14"]["n_tiles_missing"] == told["2024-01-14"]["n_tiles"] > 3
    assert told["2024-01-14"]["views"] == [], "nothing was seen of it"
    assert told["2019-02-09"]["n_tiles_missing"] == 0 < told["2019-02-09"]["n_tiles"]
    imagery.refresh_from_db()
    assert told["2024-01-14"]["version"] == str(imagery.revision)


def test_a_measured_offset_is_said_and_moves_no_mark(opened, imagery):
    type(imagery).objects.filter(pk=imagery.pk).update(offset_east_m=12, offset_north_m=0)
    page = opened()
    expect(page.locator("#pane-1 .what")).to_contain_text("measured offset of 12 m applied")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("f")
    sent(page, 1)
    review = Review.objects.get()
    assert review.mark.x == pytest.approx(review.unit.observation.point.x, abs=1e-9)


@pytest.mark.parametrize("chosen", ["1", "2", "swipe"])
def test_held_the_key_shows_the_other_image_in_the_same_place(opened, chosen):
    page = opened(settings={"layout": chosen, "hasContext": False}, until=anything)
    page.wait_for_load_state("networkidle")
    settled(page)
    right = {"x": 1366 - 230, "y": 350, "width": 30, "height": 30}
    before = page.screenshot(clip=right)
    page.keyboard.down("h")
    wait_until(page, lambda: page.screenshot(clip=right) != before)
    page.keyboard.up("h")
    wait_until(page, lambda: page.screenshot(clip=right) == before)


def test_behind_a_dialog_nobody_looks(opened):
    page = opened()
    page.keyboard.press("?")
    page.wait_for_timeout(1500)
    page.locator("#help-close").click()
    settled(page)
    told = unsure(page)
    assert all(image["dwell_ms"] < 1400 for image in told["images"])


def test_the_inset_hides_what_lies_under_it(opened):
    page = opened()
    assert page.locator("#context").is_visible()
    left = next(image for image in unsure(page)["images"] if image["pane"] == 1)
    assert len(left["views"]) > 1
    page.keyboard.press("e")
    expect(page.locator("#context")).to_be_hidden()
    settled(page)
    left = next(image for image in unsure(page)["images"] if image["pane"] == 1)
    assert len(left["views"]) == 1 or left["views"][-1]["bounds"][1] < left["views"][0]["bounds"][1]


def test_every_layout_is_accessible_and_has_large_targets(opened, four_dates):
    page = opened()
    page.get_by_role("button", name="Adjust", exact=True).click()
    for n in ("2", "3", "4", "swipe", "1"):
        assert layout(page) == n
        found = [v["id"] for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        assert found == [], n
        page.keyboard.press("v")
    small = page.evaluate(
        """[...document.querySelectorAll('button, summary, [role=slider], input')]
           .map((e) => [e.outerHTML.slice(0, 120), e.getBoundingClientRect()])
           .filter(([, { width, height }]) => width && (width < 24 || height < 24)).map(([html]) => html)"""
    )
    assert small == []


def test_a_phone_shows_one_image_or_two_under_a_divider(opened):
    page = opened(width=390, height=844, until=anything, has_touch=True, is_mobile=True)
    assert layout(page) == "1"
    page.locator("#view summary").tap()
    expect(page.locator("[data-layout-choice][value='4']")).to_be_hidden()
    page.get_by_role("radio", name="Swipe").tap()
    assert layout(page) == "swipe"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_help_button_stays_on_a_small_phone_in_portuguese(opened):
    page = opened(width=360, height=740, until=anything, has_touch=True, is_mobile=True, locale="pt-PT")
    page.evaluate("document.getElementById('unsent').textContent = '1 por enviar, guardado neste computador'")
    expect(page.locator("html")).to_have_attribute("lang", "pt")
    box = page.locator("#help-open").bounding_box()
    assert box["x"] + box["width"] <= 360 and box["width"] >= 24
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_under_the_open_detail_list_nobody_looks(opened):
    page = opened()
    page.locator("#more summary").click()
    page.wait_for_timeout(1500)
    page.locator("#more summary").click()
    settled(page)
    assert all(image["dwell_ms"] < 1400 for image in unsure(page)["images"])
