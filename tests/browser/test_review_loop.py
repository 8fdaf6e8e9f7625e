"""The review page in a browser: one key a verdict, the next unit follows, nothing is lost."""

import re

import pytest
from playwright.sync_api import expect

from labels.models import Assignment, Retraction, Review
from tests.browser.conftest import POINT, sign_in


@pytest.fixture
def page(open_page, annotator, audit):
    page = open_page(annotator)
    page.goto(address(audit))
    ready(page)
    return page


def address(audit) -> str:
    return f"/p/{audit.project.slug}/audits/{audit.slug}/review/"


def ready(page) -> None:
    """The opening view has settled: the whole search disc was on screen."""
    expect(page.locator("#seen")).to_have_text(re.compile("^100"))


def judge(page, *keys: str) -> None:
    """Press the keys of one verdict and wait for the next unit's opening view."""
    mine = int(page.locator("#n-mine").inner_text())
    for key in keys:
        page.keyboard.press(key)
    expect(page.locator("#n-mine")).to_have_text(str(mine + 1))
    ready(page)


def sent(page, n: int) -> None:
    """The server has answered for n verdicts."""
    expect(page.locator("#unsent")).to_have_text(re.compile("^0"))
    for _ in range(100):
        if Review.objects.count() >= n:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{Review.objects.count()} of {n} verdicts arrived")


def test_one_key_a_verdict_and_the_next_unit_follows(page, audit):
    judge(page, "d")
    judge(page, "j")
    judge(page, "k", "1")
    sent(page, 3)
    verdicts = list(Review.objects.order_by("pk").values_list("verdict", "reason", "input"))
    assert verdicts == [("confirm", "", "key"), ("reject", "natural_ground", "key"), ("unsure", "cloud", "key")]
    assert Review.objects.values("unit").distinct().count() == 3
    assert page.errors == []


def test_positions_mirror_digits_and_letters(page):
    judge(page, "1")
    judge(page, "c")
    judge(page, "x")
    sent(page, 3)
    assert list(Review.objects.order_by("pk").values_list("verdict", flat=True)) == ["confirm", "confirm", "reject"]


def test_a_click_and_a_key_move(page):
    page.locator("#map-2").click(position={"x": 460, "y": 300})
    assert "m" in page.locator("#move-words").inner_text()
    page.keyboard.press("f")
    ready(page)
    sent(page, 1)
    review = Review.objects.get()
    assert review.verdict == "move"
    assert review.mark.coords != review.unit.observation.point.coords
    assert review.images.count() == 2


def test_arrows_move_without_a_pointer(page):
    """Ten metres a press, a hundred with Shift: 110 m east, 100 m north."""
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("f")
    ready(page)
    sent(page, 1)
    review = Review.objects.get()
    point = review.unit.observation.point
    assert (review.mark.x - point.x) * 110_640 == pytest.approx(110, abs=1)
    assert (review.mark.y - point.y) * 110_578 == pytest.approx(100, abs=1)


def test_the_mark_can_be_dragged(page):
    page.locator("#map-2").click(position={"x": 460, "y": 300})
    before = page.locator("#move-words").inner_text()
    box = page.locator("#map-2 .mark.moved").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 50, steps=5)
    page.mouse.up()
    assert page.locator("#move-words").inner_text() != before


def test_a_move_without_a_mark_says_what_to_do(page):
    page.keyboard.press("f")
    assert "Click the mine" in page.locator("#strip").inner_text()
    assert Review.objects.count() == 0


def test_undo_brings_the_unit_back(page):
    first = page.locator("#n-mine").inner_text()
    judge(page, "d")
    sent(page, 1)
    page.keyboard.press("Control+z")
    ready(page)
    expect(page.locator("#unsent")).to_have_text(re.compile("^0"))
    for _ in range(60):
        if Retraction.objects.exists():
            break
        page.wait_for_timeout(50)
    assert Retraction.objects.count() == 1
    expect(page.locator("#n-mine")).to_have_text(first)
    page.keyboard.press("k")
    page.keyboard.press("6")
    sent(page, 2)
    assert Review.objects.order_by("pk").last().unit_id == Review.objects.order_by("pk").first().unit_id


def test_undo_after_the_last_unit_brings_its_pictures_back(page):
    for _ in range(5):
        judge(page, "d")
    page.keyboard.press("d")
    expect(page.locator("#finished")).to_be_visible()
    page.keyboard.press("Control+z")
    expect(page.locator("#finished")).to_be_hidden()
    ready(page)
    assert page.locator("#map-1 .leaflet-tile-loaded").count() > 4


def retracted(page, n: int) -> list[int]:
    for _ in range(60):
        if Retraction.objects.count() >= n:
            break
        page.wait_for_timeout(50)
    return list(Retraction.objects.values_list("review_id", flat=True))


def test_an_undo_without_a_line_does_not_skip_to_an_older_verdict(page, audit):
    judge(page, "d")
    judge(page, "d")
    sent(page, 2)
    latest = Review.objects.latest("pk")
    page.reload()
    ready(page)
    page.context.set_offline(True)
    page.keyboard.press("Control+z")
    expect(page.locator("#strip")).to_contain_text("undo again")
    page.context.set_offline(False)
    page.keyboard.press("Control+z")
    ready(page)
    assert retracted(page, 1) == [latest.pk]


def test_after_opening_again_undo_begins_with_what_was_unsent(page, audit):
    judge(page, "d")
    sent(page, 1)
    page.context.set_offline(True)
    page.keyboard.press("d")
    expect(page.locator("#unsent")).to_have_text(re.compile("^1"))
    again = page.context.new_page()
    page.close()
    again.context.set_offline(False)
    again.goto(address(audit))
    sent(again, 2)
    ready(again)
    again.keyboard.press("Control+z")
    assert retracted(again, 1) == [Review.objects.latest("pk").pk]


def test_the_panes_move_together(page):
    page.mouse.move(300, 400)
    page.mouse.down()
    page.mouse.move(200, 330, steps=4)
    page.mouse.up()
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(500)
    boxes = [page.locator(f"#map-{pane} .mark.crosshair").bounding_box() for pane in (1, 2)]
    lefts = [page.locator(f"#map-{pane}").bounding_box() for pane in (1, 2)]
    offsets = [(box["x"] - left["x"], box["y"] - left["y"]) for box, left in zip(boxes, lefts, strict=True)]
    assert offsets[0] == pytest.approx(offsets[1], abs=1)


def test_nothing_hidden_reaches_the_browser(page, audit):
    """Names, agency, status and counts are absent from the page and from every answer, not only unseen."""
    told = page.content()
    for observation in (unit.observation for unit in audit.units.select_related("observation")):
        assert observation.name not in told
    assert "Cadastre" not in told


def test_a_verdict_survives_kill_9_of_the_web_process(page, web, audit):
    """The server is dead when the key is pressed; the verdict waits on disk and arrives when it is back, once."""
    web.kill()
    page.keyboard.press("d")
    expect(page.locator("#unsent")).to_have_text(re.compile("^1"))
    assert Review.objects.count() == 0
    web.start()
    sent(page, 1)
    assert Review.objects.count() == 1


def test_a_verdict_survives_closing_the_page(page, web, audit, annotator):
    """Given offline, the tab closed, opened again later by the same person in the same browser."""
    page.context.set_offline(True)
    page.keyboard.press("d")
    expect(page.locator("#unsent")).to_have_text(re.compile("^1"))
    again = page.context.new_page()
    page.close()
    again.context.set_offline(False)
    again.goto(address(audit))
    sent(again, 1)


def test_signed_out_keeps_the_verdict_and_another_person_does_not_send_it(
    page, web, audit, annotator, second_annotator
):
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.keyboard.press("d")
    expect(page.locator("#strip-link")).to_be_visible()
    other = page.context.new_page()
    sign_in(other, second_annotator)
    other.goto(address(audit))
    ready(other)
    page.wait_for_timeout(2500)
    assert Review.objects.count() == 0
    page.context.clear_cookies()
    page.context.add_cookies(cookies)
    sent(page, 1)
    assert Review.objects.get().annotator == annotator


def test_a_reject_with_part_of_the_disc_unseen_is_not_sent(open_page, annotator, audit):
    page = open_page(annotator, width=390, height=500)
    page.goto(address(audit))
    expect(page.locator("#seen")).to_have_text(re.compile("^[1-9]"))
    page.keyboard.press("j")
    assert "Press N" in page.locator("#strip").inner_text()
    for _ in range(12):
        page.keyboard.press("n")
        page.wait_for_timeout(400)
    page.keyboard.press("j")
    sent(page, 1)
    assert Review.objects.get().share_seen > 0.9


def test_the_end_of_the_queue_says_so(page, audit):
    for _ in range(5):
        judge(page, "d")
    page.keyboard.press("d")
    sent(page, 6)
    page.get_by_role("heading", name="Nothing left for you in this queue").wait_for()
    assert not Assignment.objects.exclude(state="done").exists()


def test_without_script_a_form_judges(open_page, annotator, audit):
    page = open_page(annotator, java_script_enabled=False)
    page.goto(address(audit))
    assert page.locator("figure image").count() >= 8
    page.locator("#plain").get_by_label("What do you see?").select_option("move")
    page.get_by_label("Move: metres east").fill("120")
    page.get_by_label("Move: metres north").fill("-50")
    page.get_by_role("button", name="Save the verdict").click()
    review = Review.objects.get()
    point = review.unit.observation.point
    assert (review.verdict, review.input) == ("move", "form")
    assert (review.mark.x - point.x) * 110_640 == pytest.approx(120, abs=1)
    assert review.mark.y < point.y


def test_a_plain_reject_counts_what_was_shown(open_page, annotator, audit):
    page = open_page(annotator, java_script_enabled=False)
    page.goto(address(audit))
    page.locator("#plain").get_by_label("What do you see?").select_option("reject")
    page.get_by_role("button", name="Save the verdict").click()
    assert Review.objects.get().share_seen > 0.9


def test_a_phone_judges_by_touch(open_page, annotator, audit):
    page = open_page(annotator, width=390, height=844, has_touch=True, is_mobile=True)
    page.goto(address(audit))
    expect(page.locator("#seen")).to_have_text(re.compile("^[1-9]"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Confirm").tap()
    sent(page, 1)
    assert Review.objects.get().input == "touch"


def test_point_is_where_it_was_reported(page, audit):
    """The record and the tile under it: neither map is flipped or shifted."""
    points = {unit.observation.point.coords for unit in audit.units.select_related("observation")}
    shown = page.evaluate("JSON.parse(document.getElementById('review-data').textContent).units[0].point")
    assert tuple(shown) in points
    assert POINT in points


def test_a_browser_that_remembers_nothing_is_no_reason_to_stop(open_page, annotator, audit):
    page = open_page(annotator)
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied') }})")
    page.goto(address(audit))
    ready(page)
    for _ in range(4):
        page.keyboard.press("v")
    expect(page.locator("#panes")).to_have_attribute("data-layout", "1")
    judge(page, "d")
    assert page.errors == []


@pytest.mark.parametrize("is_shown", [True, False])
def test_a_part_that_does_not_load_leaves_the_plain_form_with_its_pictures(open_page, annotator, audit, is_shown):
    page = open_page(annotator)
    page.route(re.compile(r"/chip\b.*\.js"), lambda route: route.abort())
    if not is_shown:
        page.route(re.compile("/imagery/"), lambda route: route.abort())
    page.goto(address(audit))
    expect(page.locator("#plain figure")).to_have_count(2)
    shown = page.locator("#plain [name=shown]")
    expect(shown).not_to_have_value("") if is_shown else expect(shown).to_have_value("")
    page.locator("#id_verdict").select_option("confirm")
    page.get_by_role("button", name="Save the verdict").click()
    page.wait_for_load_state()
    assert Review.objects.count() == int(is_shown)
    if not is_shown:
        expect(page.locator("#plain")).to_contain_text("does not say which images it showed")


def test_a_key_that_is_held_judges_and_undoes_once(page):
    judge(page, "d")
    judge(page, "d")
    for _ in range(3):
        page.keyboard.down("4")
    page.keyboard.up("4")
    expect(page.locator("#reasons")).to_be_visible()
    expect(page.locator("#n-mine")).to_have_text("2")
    page.keyboard.press("Escape")
    page.keyboard.down("Control")
    for _ in range(6):
        page.keyboard.down("z")
        page.wait_for_timeout(60)
    page.keyboard.up("z")
    page.keyboard.up("Control")
    expect(page.locator("#n-mine")).to_have_text("1")
    page.locator("[data-verdict=confirm]").click()
    expect(page.locator("#n-mine")).to_have_text("2")
    page.keyboard.press("Space")
    page.wait_for_timeout(300)
    expect(page.locator("#n-mine")).to_have_text("2")


def test_pictures_that_hang_do_not_keep_units_back(page):
    """Four are handed out with the page; tiles that never come neither end the queue nor stop it."""
    page.context.route(re.compile("/imagery/"), lambda route: None)
    for n in range(1, 7):
        expect(page.locator("#seen")).not_to_have_text("")
        page.keyboard.press("d")
        expect(page.locator("#n-mine")).to_have_text(str(n))
    expect(page.locator("#finished")).to_be_visible()
    sent(page, 6)
