"""Tiles of a run: the numbers they carry, who gets them, and what is remembered of who saw them."""

import io
from uuid import uuid4

import numpy as np
import pytest
from django.core.cache import cache
from django.urls import reverse
from PIL import Image

from asm_audit.logs import Discreet
from labels import access, geo, workflow
from labels.models import AccessRecord, Exposure, Membership
from predictions import exposure, map_panel, mapping, run_tiles
from tests.factories import make_project, make_record, make_register
from tests.predictions.maps import NORTH, WEST, grid_cells, make_run, rising, scores_of

pytestmark = pytest.mark.django_db

MIDDLE = (-10.605, 6.845)  # the middle of a cell: 20 columns from the west, 14 rows from the north


@pytest.fixture(autouse=True)
def nothing_kept():
    cache.clear()


@pytest.fixture
def run(project):
    return make_run(project)


@pytest.fixture
def units(project):
    register = make_register(project)
    for _ in range(3):
        make_record(register)
    return workflow.open_census(project=project, register=register, slug="audit", name="Audit").units.all()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def decoded(content: bytes, low: float, high: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, flags, and where there is a cell."""
    picture = pixels(content).astype(int)
    return (
        low + (picture[..., 0] * 256 + picture[..., 1]) / run_tiles.LEVELS * (high - low),
        picture[..., 2],
        picture[..., 3] == 255,
    )


def address(run, z=12, x=None, y=None) -> str:
    z, x, y = (z, x, y) if x is not None else geo.tile_of(*MIDDLE, z)
    return reverse("predictions:run_tile", args=[run.project.slug, run.number, z, x, y])


# ---- what they carry ----


@pytest.mark.parametrize("z", [5, 7, 9, 12])
def test_each_pixel_has_the_score_of_the_cell_under_its_middle(run, z):
    place = geo.tile_of(*MIDDLE, z)
    scale = run_tiles.scale_of(run)
    score, _, is_cell = decoded(run_tiles.tile(run, *place), scale.low, scale.high)
    west, south, east, north = geo.tile_bounds_m(*place)
    for column, row in ((3, 200), (128, 128), (250, 17)):
        lon = np.degrees((west + (column + 0.5) / 256 * (east - west)) / geo.EQUATORIAL_RADIUS_M)
        lat = np.degrees(np.arctan(np.sinh((north - (row + 0.5) / 256 * (north - south)) / geo.EQUATORIAL_RADIUS_M)))
        across, down = np.floor(lon * 100) - WEST, NORTH - np.floor(lat * 100)
        is_inside = 0 <= across < 40 and 0 <= down < 30
        assert is_cell[row, column] == is_inside
        if is_inside:
            assert score[row, column] == pytest.approx(0.02 * across + 0.001 * down, abs=0.0002)


def test_it_is_transparent_off_the_map(run):
    z, x, y = geo.tile_of(*MIDDLE, 7)
    assert run_tiles.tile(run, z, x + 2, y) == run_tiles.NOTHING
    picture = pixels(run_tiles.tile(run, z, x, y))
    assert 0 < (picture[..., 3] == 255).mean() < 1
    assert (picture[picture[..., 3] == 0] == 0).all()


def test_its_flags_say_what_is_unlike_training_and_what_was_left_out(project):
    cells = grid_cells()
    distance = np.where(cells[:, 0] < WEST + 20, 0.25, 0.75).astype(np.float32)
    left_out = np.full((len(cells), 2), np.nan, np.float32)
    left_out[cells[:, 1] > NORTH - 15] = 0.5
    run = make_run(project, scores_of(cells, distance=distance, out_of_block=left_out))
    scale = run_tiles.scale_of(run)
    place = geo.tile_of(*MIDDLE, 9)
    _, flags, is_cell = decoded(run_tiles.tile(run, *place), scale.low, scale.high)
    assert set(np.unique(flags[is_cell])) == {0, run_tiles.OUTSIDE, run_tiles.LEFT_OUT, 3}


def test_a_wide_map_is_read_sparsely_and_still_shows_its_own_values(project, monkeypatch):
    monkeypatch.setattr(run_tiles, "MAX_READ", 16)
    run = make_run(project)
    scale = run_tiles.scale_of(run)
    score, _, is_cell = decoded(run_tiles.tile(run, *geo.tile_of(*MIDDLE, 7)), scale.low, scale.high)
    own = np.unique(np.round(rising(grid_cells()), 3))
    assert np.abs(score[is_cell][:, None] - own).min(axis=1).max() < 0.0002


def test_a_difference_says_how_far_each_cell_moved(project):
    cells = grid_cells()
    before, after = make_run(project), make_run(project, scores_of(cells, rising(cells) - 0.25))
    moved, _, is_cell = decoded(run_tiles.difference_tile(before, after, *geo.tile_of(*MIDDLE, 9)), -1, 1)
    assert is_cell.any() and moved[is_cell] == pytest.approx(-0.25, abs=0.0005)


# ---- who gets them ----


def test_a_lead_gets_it_privately(run, lead, client_of):
    exposure.record(lead, run.project)
    answer = client_of(lead).get(address(run))
    assert answer.status_code == 200 and answer["Content-Type"] == "image/png"
    assert answer["Cache-Control"] == "private, no-cache" and "Cookie" in answer["Vary"]


def test_what_a_browser_has_is_not_sent_again(run, lead, client_of):
    exposure.record(lead, run.project)
    browser = client_of(lead)
    first = browser.get(address(run))
    again = browser.get(address(run), headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304 and again.content == b""
    run.content_sha256 = "f" * 64
    run.save()
    assert browser.get(address(run), headers={"If-None-Match": first["ETag"]}).status_code == 200


def test_others_do_not(run, annotator, adjudicator, stranger, client_of, client):
    assert client_of(stranger).get(address(run)).status_code == 404
    assert client_of(annotator).get(address(run)).status_code == 403
    assert client_of(adjudicator).get(address(run)).status_code == 403
    assert client.get(address(run)).status_code in (302, 401)


def test_a_lost_role_closes_at_once(run, lead, client_of):
    exposure.record(lead, run.project)
    browser = client_of(lead)
    etag = browser.get(address(run))["ETag"]
    Membership.objects.filter(user=lead).delete()
    assert browser.get(address(run)).status_code == 404
    assert browser.get(address(run), headers={"If-None-Match": etag}).status_code == 404


def test_another_projects_run_is_not_found(run, lead, client_of):
    other = make_project()
    path = reverse("predictions:run_tile", args=[other.slug, run.number, *geo.tile_of(*MIDDLE, 9)])
    assert client_of(lead).get(path).status_code == 404


@pytest.mark.parametrize(("z", "x", "y"), [(3, 8, 0), (13, 0, 0), (30, 0, 0), (2, 0, 4)])
def test_a_tile_there_is_not_is_not_found(run, lead, client_of, z, x, y):
    assert client_of(lead).get(address(run, z, x, y)).status_code == 404


def test_a_map_that_is_gone_is_said_to_be_missing(run, lead, client_of):
    exposure.record(lead, run.project)
    (run.folder / mapping.MAP).unlink()
    answer = client_of(lead).get(address(run))
    assert answer.status_code == 404 and answer["X-Imagery"] == "missing"


# ---- what is remembered ----


def test_no_score_is_sent_to_who_is_not_known_to_see_it(run, units, lead, client_of):
    browser = client_of(lead)
    assert browser.get(address(run)).status_code == 403
    exposure.record(lead, run.project)
    assert browser.get(address(run)).status_code == 200


def test_who_saw_the_reviews_of_one_unit_is_not_taken_for_one_who_saw_scores(run, units, lead, client_of):
    access.expose(lead, [units.order_by("-pk")[0].pk], Exposure.What.REVIEWS)
    browser = client_of(lead)
    assert browser.get(address(run)).status_code == 403
    map_panel.panel(run, lead)
    assert browser.get(address(run)).status_code == 200


def test_which_places_are_looked_at_stays_out_of_logs(run, units, lead, client_of, caplog):
    path = address(run)
    other = path.replace("/tiles/", "/since/1/tiles/")
    for each in (path, other):
        assert client_of(lead).get(each).status_code == 403
    lines = [Discreet("%(message)s").format(record) for record in caplog.records]
    place = path.split("/tiles/")[1]
    assert any("/tiles/…" in line for line in lines)
    assert not any(place in line for line in lines)


def test_who_sees_the_map_has_seen_every_unit(run, units, lead):
    other = make_record(make_register())
    elsewhere = workflow.open_census(project=other.register.project, register=other.register, slug="a", name="A")
    map_panel.panel(run, lead)
    seen = Exposure.objects.filter(user=lead, what=Exposure.What.SCORE).values_list("unit", flat=True)
    assert set(seen) == {unit.pk for unit in units}
    assert not elsewhere.units.filter(exposures__user=lead).exists()


def test_it_is_recorded_in_one_statement_and_once(run, units, lead, django_assert_num_queries):
    access.expose(lead, [units[0].pk], Exposure.What.REVIEWS)
    with django_assert_num_queries(1):
        assert access.expose_project(lead, run.project, Exposure.What.SCORE) == 2
    assert access.expose_project(lead, run.project, Exposure.What.SCORE) == 0
    assert Exposure.objects.get(user=lead, unit=units[0]).what == Exposure.What.REVIEWS


def test_who_reviews_here_is_told_what_they_would_lose(run, units, lead, admin):
    verdict = workflow.GivenReview(uuid=uuid4(), verdict="unsure", reason="cloud")
    workflow.record_review(units[0], lead, verdict)
    assert exposure.would_lose(lead, run.project) == 2  # one of three is done
    assert exposure.would_lose(admin, run.project) == 0  # has reviewed nothing
    exposure.record(lead, run.project)
    assert exposure.would_lose(lead, run.project) == 0


def test_nothing_is_lost_of_a_closed_audit(run, units, lead):
    workflow.hand_out(units[0].audit, lead)
    assert exposure.would_lose(lead, run.project) == 3
    audit = units[0].audit
    audit.closed_at = audit.opened_at
    audit.save()
    assert exposure.would_lose(lead, run.project) == 0


# ---- taking it out ----


def test_an_admin_takes_the_map_out_and_it_is_written_down(run, units, admin, client_of):
    answer = client_of(admin).post(reverse("predictions:run_map_file", args=[run.project.slug, run.number, "tif"]))
    assert b"".join(answer.streaming_content) == (run.folder / mapping.MAP).read_bytes()
    assert answer["Cache-Control"] == "private, no-store" and f"run-{run.number}.tif" in answer["Content-Disposition"]
    noted = AccessRecord.objects.get(action="download_map")
    assert (noted.user, noted.subject, noted.n_rows) == (admin, f"run {run.number}", 1200)
    assert Exposure.objects.filter(user=admin, what=Exposure.What.SCORE).count() == 3


def test_a_lead_may_not_take_it_out(run, lead, client_of):
    path = reverse("predictions:run_map_file", args=[run.project.slug, run.number, "tif"])
    assert client_of(lead).post(path).status_code == 403
    assert not AccessRecord.objects.exists()


def test_it_is_taken_out_by_post_alone_and_in_the_forms_there_are(run, admin, client_of):
    path = reverse("predictions:run_map_file", args=[run.project.slug, run.number, "tif"])
    assert client_of(admin).get(path).status_code == 405
    assert client_of(admin).post(path.replace("tif", "vrt")).status_code == 404
