"""What is kept of the images of a verdict: from our own tables, as far as a screen can have shown it."""

import json
from datetime import date
from uuid import uuid4

import pytest

from labels import geo, workflow
from labels.errors import BadInput
from labels.inspection import Footprints, Inspection, Look
from labels.local_plane import offset
from labels.models import ImagerySource, Project, ProviderDate, Review, ReviewImage
from labels.releases.gathering import gather
from labels.workflow import GivenImage, GivenReview
from tests.factories import make_record, make_register, make_scene, make_source, square

POINT = (-10.6951, 6.4042)
CELL = "lon_-10.695__lat_6.405"
AFTER = date(2024, 1, 14)


@pytest.fixture
def unit(project):
    register = make_register(project)
    make_record(register, at=POINT, observed_on=date(2021, 3, 1))
    return workflow.open_census(project=project, register=register, slug="audit", name="Audit").units.get()


@pytest.fixture
def source(project):
    source = make_source(project, name="Orbita")
    make_scene(source, footprint=square(-10.8, 6.3, 0.2), captured_on=AFTER)
    return source


@pytest.fixture
def provider(project):
    Project.objects.filter(pk=project.pk).update(imagery_policy="through_server")
    provider = make_source(project, name="Far", kind="xyz", address="https://tiles.example/{z}/{x}/{y}/{date}")
    dated = {"captured_on": AFTER, "captured_known_by": "provider", "resolution_m": 0.5}
    ProviderDate.objects.create(source=provider, key="r7", **dated)
    return provider


def around(half_deg=0.02, zoom=15, at=POINT):
    return {"bounds": [at[0] - half_deg, at[1] - half_deg, at[0] + half_deg, at[1] + half_deg], "zoom": zoom, "ms": 900}


def image(source, **fields):
    return GivenImage(**{"pane": 1, "source": source.uuid, "captured_on": AFTER, "views": [around()]} | fields)


def record(unit, annotator, *images, verdict="confirm", **fields) -> Review:
    reason = {"reject": "natural_ground"}.get(verdict, "")
    given = GivenReview(uuid=uuid4(), verdict=verdict, reason=reason, images=list(images), **fields)
    return workflow.record_review(unit, annotator, given)[0]


def seen(unit, annotator, *images, **fields) -> ReviewImage:
    return record(unit, annotator, *images, **fields).images.get()


# ---- which image ----


def test_a_scene_is_kept_with_what_our_tables_know(unit, source, annotator):
    source.refresh_from_db()
    kept = seen(unit, annotator, image(source, version=str(source.revision), adjustments={"gamma": 1.2}))
    scene = source.scenes.get()
    assert (kept.scene_sha256s, kept.captured_on, kept.captured_known_by) == ([scene.sha256], AFTER, "stated")
    assert (kept.resolution_m, kept.key, kept.version) == (1.2, "", str(source.revision))
    assert kept.adjustments == {"gamma": 1.2}


def test_a_date_no_picture_has_is_refused(unit, source, annotator):
    with pytest.raises(BadInput, match="“Orbita” holds no picture of 1 Jan 2030"):
        record(unit, annotator, image(source, captured_on=date(2030, 1, 1)))


def test_a_providers_image_is_dated_by_our_table_alone(unit, provider, annotator):
    kept = seen(unit, annotator, image(provider, key="r7", captured_on=date(2030, 1, 1)))
    assert (kept.key, kept.captured_on, kept.captured_known_by, kept.resolution_m) == ("r7", AFTER, "provider", 0.5)
    assert kept.scene_sha256s == []


@pytest.mark.parametrize("key", ["", "r8"])
def test_an_image_the_provider_does_not_offer_is_refused(unit, provider, annotator, key):
    with pytest.raises(BadInput, match="“Far” offers no image named"):
        record(unit, annotator, image(provider, key=key))


def test_a_scene_has_no_key(unit, source, annotator):
    with pytest.raises(BadInput, match="pictures by their date"):
        record(unit, annotator, image(source, key="r7"))


def test_a_provider_of_a_local_project_is_refused(unit, provider, annotator, project):
    Project.objects.filter(pk=project.pk).update(imagery_policy="local")
    with pytest.raises(BadInput, match="local imagery only"):
        record(unit, annotator, image(provider, key="r7"))


@pytest.mark.parametrize("claimed", ["99999", "0", "-1", "٣", "x"])
def test_a_version_that_never_was_is_not_believed(unit, source, annotator, claimed):
    assert seen(unit, annotator, image(source, version=claimed)).version == ""


def test_a_provider_that_gives_no_resolution_is_as_fine_as_its_tiles(unit, provider, annotator):
    ProviderDate.objects.update(resolution_m=None, max_zoom=14)
    review = record(unit, annotator, image(provider, key="r7"))
    assert review.images.get().resolution_m == pytest.approx(geo.ground_resolution_m(POINT[1], 14), abs=0.1)
    assert review.share_seen == 0  # 9.5 m to a pixel show no pit


# ---- missing tiles ----


def test_a_provider_without_footprint_shows_the_whole_disc(unit, provider, annotator):
    review = record(unit, annotator, image(provider, key="r7"), verdict="reject")
    assert (review.share_seen, review.proportion_inspected) == (pytest.approx(1), 1)


def test_an_image_whose_tiles_did_not_come_is_not_seen(unit, source, annotator):
    with pytest.raises(workflow.RejectNeedsTiles, match="20 % of the tiles were missing"):
        record(unit, annotator, image(source, n_tiles=100, n_tiles_missing=21), verdict="reject")
    assert record(unit, annotator, image(source, n_tiles=100, n_tiles_missing=20), verdict="reject").share_seen > 0.99


@pytest.mark.parametrize("by", ["key", "mouse", "touch"])
def test_a_view_on_which_no_tile_came_showed_nothing(unit, source, annotator, by):
    """The page says how many tiles came: none is a black pane, however long it was looked at."""
    with pytest.raises(workflow.errors.RejectNeedsWholeDisc):
        record(unit, annotator, image(source, n_tiles=0), verdict="reject", input=by)
    review = record(unit, annotator, image(source, n_tiles=0), input=by)
    assert not review.share_seen and not review.proportion_inspected
    assert record(unit, annotator, image(source, n_tiles=12), verdict="reject", input=by).share_seen == 1


def test_only_unsure_can_be_said_of_a_place_without_an_image(unit, annotator):
    with pytest.raises(BadInput, match="No image of this place was shown"):
        record(unit, annotator, input="key")
    given = GivenReview(uuid=uuid4(), verdict="unsure", reason="no_image", input="key")
    assert workflow.record_review(unit, annotator, given)[1]


def test_missing_tiles_are_kept_where_nothing_rests_on_them(unit, source, annotator):
    review = record(unit, annotator, image(source, n_tiles=10, n_tiles_missing=9))
    assert (review.share_seen, review.proportion_inspected) == (0, None)
    assert (review.images.get().n_tiles, review.images.get().n_tiles_missing) == (10, 9)


# ---- proportion inspected ----


def test_the_proportion_is_of_the_cell_the_point_lies_in(unit, source, annotator):
    west, south, east, north = geo.grid_cell_bounds(CELL)
    half = {"bounds": [west - 0.001, south - 0.001, (west + east) / 2, north + 0.001], "zoom": 16, "ms": 10}
    assert record(unit, annotator, image(source, views=[half])).proportion_inspected == 0.5


@pytest.mark.parametrize("shift", [(0, 0), (300, -150)])
def test_a_release_gives_the_same_number_for_one_review(unit, source, provider, annotator, shift):
    ImagerySource.objects.filter(pk=source.pk).update(offset_east_m=shift[0], offset_north_m=shift[1])
    source.scenes.update(footprint=square(-10.71, 6.395, 0.0142))
    ProviderDate.objects.update(footprint=square(-10.6945, 6.4, 0.002))
    views = [around(0.003, 16), around(0.002, 17, (POINT[0] + 0.003, POINT[1] - 0.002)), around(0.5, 10)]
    review = record(unit, annotator, image(source, views=views), image(provider, key="r7", pane=2, views=views))
    [row] = gather([unit.audit]).cells
    assert row["unique_id"] == CELL
    assert 0.05 < review.proportion_inspected == row["proportion_inspected"] < 0.9


def test_an_offset_moves_the_footprint_in_the_count(unit, source, annotator):
    """The picture ends in the middle of the cell; 0.0025 degrees of offset make it end a quarter farther east."""
    west, south, *_ = geo.grid_cell_bounds(CELL)
    source.scenes.update(footprint=square(west - 0.195, south - 0.1, 0.2))
    all_of_it = around(0.012)
    assert record(unit, annotator, image(source, views=[all_of_it])).proportion_inspected == 0.5
    east_m = offset((west, south), (west + 0.0025, south))[0]
    ImagerySource.objects.filter(pk=source.pk).update(offset_east_m=east_m)
    assert record(unit, annotator, image(source, views=[all_of_it])).proportion_inspected == pytest.approx(
        0.75, abs=1e-3
    )


def test_a_later_offset_does_not_change_what_was_counted(unit, source, annotator):
    source.scenes.update(footprint=square(-10.895, 6.3, 0.2))
    review = record(unit, annotator, image(source, views=[around(0.012)]))
    ImagerySource.objects.filter(pk=source.pk).update(offset_east_m=500)
    inspection = Inspection([CELL], Footprints.of_sources(pk=source.pk))
    inspection.add(Look.at(review.images.get()))
    assert inspection.share(CELL) == review.proportion_inspected == 0.5


# ---- what a screen can show ----


def test_one_coarse_view_cannot_claim_the_whole_disc(unit, source, annotator):
    """At zoom 18 a window of 1,440 pixels is 854 m wide; the disc is 2,000 m."""
    with pytest.raises(workflow.RejectNeedsWholeDisc):
        record(unit, annotator, image(source, views=[around(0.02, 19)]), verdict="reject", viewport="1440x900@2")
    kept = seen(unit, annotator, image(source, views=[around(0.02, 19)]), viewport="1440x900@2").views[0]
    assert kept["is_cut"] is True
    width, height = offset(kept["bounds"][:2], kept["bounds"][2:])
    assert width == pytest.approx(1.05 * 1440 * geo.ground_resolution_m(POINT[1], 19), rel=0.01)
    assert height == pytest.approx(width, rel=0.02)


def test_what_fits_the_screen_is_kept_as_it_was(unit, source, annotator):
    view = around(0.004, 16)
    assert seen(unit, annotator, image(source, views=[view]), viewport="1440x900@1").views == [view]


@pytest.mark.parametrize("viewport", ["", "wide", "1x", "99999x99999@1"])
def test_without_a_known_screen_the_largest_there_is_bounds_the_view(unit, source, annotator, viewport):
    kept = seen(unit, annotator, image(source, views=[around(1, 18)]), viewport=viewport).views[0]
    width = offset(kept["bounds"][:2], kept["bounds"][2:])[0]
    assert width == pytest.approx(1.05 * 8192 * geo.ground_resolution_m(POINT[1], 18), rel=0.01)


# ---- as a browser sends it ----


@pytest.fixture
def send(client_of, annotator, unit):
    client = client_of(annotator)

    def post(**fields):
        body = {"uuid": str(uuid4()), "unit": str(unit.uuid), "verdict": "confirm"} | fields
        return client.post(
            f"/api/p/{unit.audit.project.slug}/reviews", json.dumps(body), content_type="application/json"
        )

    return post


def test_a_browser_sends_all_of_it(send, source, provider):
    source.refresh_from_db()
    one = {"pane": 1, "source": str(source.uuid), "version": str(source.revision), "captured_on": AFTER.isoformat()}
    one |= {
        "adjustments": {"brightness": 1.2, "false_colour": 1},
        "n_tiles": 20,
        "n_tiles_missing": 1,
        "dwell_ms": 4200,
    }
    two = {"pane": 2, "source": str(provider.uuid), "key": "r7", "zoom": 16.5}
    answer = send(images=[one, two], layout={"panes": 2, "mode": "swipe", "light": True})
    assert answer.status_code == 201, answer.content
    review = Review.objects.get()
    assert review.layout == {"panes": 2, "mode": "swipe", "light": True}
    first, second = review.images.order_by("pane")
    assert (first.version, first.adjustments) == (one["version"], {"brightness": 1.2, "false_colour": 1})
    assert (second.key, second.captured_on, second.zoom) == ("r7", AFTER, 16.5)


@pytest.mark.parametrize(
    "layout", [{"panes": 0}, {"panes": 5}, {"panes": 2, "mode": "film"}, {"panes": 2, "light": "perhaps"}, {}, [2]]
)
def test_a_layout_that_cannot_be_is_refused(send, layout):
    assert send(layout=layout).status_code == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "x" * 201},
        {"key": "a\x00"},
        {"version": "latest"},
        {"version": "1" * 65},
        {"adjustments": {"sharpness": 2}},
        {"adjustments": {"gamma": -1}},
        {"adjustments": {"gamma": "NaN"}},
        {"pane": 0},
        {"n_tiles_missing": -1},
    ],
)
def test_an_image_that_cannot_be_is_refused(send, source, wrong):
    told = {"pane": 1, "source": str(source.uuid), "captured_on": AFTER.isoformat()}
    assert send(images=[told]).status_code == 201
    assert send(images=[told | wrong]).status_code == 422
