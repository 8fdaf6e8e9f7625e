"""A source that lies off the ground: its measured offset is never booked as the record's displacement.

A pit is drawn into a picture that lies 120 m too far west and 45 m too far north. With the offset (east 120, south 45)
the pit is shown, marked and counted where it really is.
"""

from datetime import date
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from django.contrib.gis.geos import Point
from PIL import Image

from labels import geo, ground_truth, unit_payload, workflow
from labels.imagery import sandbox
from labels.local_plane import offset, place
from labels.releases.gathering import gather
from labels.workflow import GivenImage, GivenReview
from tests import rasters
from tests.factories import make_record, make_register, make_scene, make_source, square

PIT = (-10.7, 6.4)  # where it truly lies, and where the register has it
SHIFT = (120.0, -45.0)  # what is added to a position read from the picture
DRAWN = place(PIT, -SHIFT[0], -SHIFT[1])
PIXEL = 4e-5
SIDE = 600
AFTER = date(2024, 1, 14)


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    """Dark ground with one bright pit of 5 x 5 pixels, at DRAWN by the picture's own coordinates."""
    folder = tmp_path_factory.mktemp("shifted")
    west, north = DRAWN[0] - (SIDE / 2) * PIXEL, DRAWN[1] + (SIDE / 2) * PIXEL
    bands = np.full((3, SIDE, SIDE), 30, "uint8")
    bands[:, SIDE // 2 - 3 : SIDE // 2 + 3, SIDE // 2 - 3 : SIDE // 2 + 3] = 250
    place_of = rasters.geotransform("EPSG:4326", (PIXEL, PIXEL), west, north)
    original = rasters.write(folder / "a.tif", bands, pixel=(PIXEL, PIXEL), place=place_of)
    sandbox.prepare(path=original, roots=[folder], folder=folder, report=lambda *_: None)
    return folder / "prepared.tif"


@pytest.fixture
def source(project, picture, settings):
    source = make_source(project, name="Orbita", slug="orbita", offset_east_m=SHIFT[0], offset_north_m=SHIFT[1])
    Path(settings.MEDIA_ROOT, "a.tif").write_bytes(picture.read_bytes())
    half = SIDE / 2 * PIXEL
    footprint = square(DRAWN[0] - half, DRAWN[1] - half, 2 * half)
    make_scene(source, footprint=footprint, captured_on=AFTER, path="a.tif", resolution_m=4.4, max_zoom=15)
    return source


@pytest.fixture
def unit(project):
    register = make_register(project)
    make_record(register, at=PIT, observed_on=date(2021, 3, 1))
    return workflow.open_census(project=project, register=register, slug="audit", name="Audit").units.get()


def brightest(client, tiles: str, zoom: int = 16) -> tuple[float, float]:
    """Where an annotator sees the pit: the middle of the bright pixels of the tiles, as a place."""
    x, y = _tile_of(*PIT, zoom)
    found = []
    for tx in (x - 1, x, x + 1):
        for ty in (y - 1, y, y + 1):
            answer = client.get(tiles.format(z=zoom, x=tx, y=ty))
            pixels = np.asarray(Image.open(BytesIO(answer.content)).convert("L")).astype(int)
            rows, columns = np.nonzero(pixels > 170)
            west, south, east, north = geo.tile_bounds(zoom, tx, ty)
            found += [
                (west + (c + 0.5) / 256 * (east - west), north - (r + 0.5) / 256 * (north - south))
                for r, c in zip(rows, columns, strict=True)
            ]
    return tuple(np.mean(found, axis=0))


def _tile_of(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    n, sine = 2**zoom, np.sin(np.radians(lat))
    return int((lon + 180) / 360 * n), int((0.5 - np.log((1 + sine) / (1 - sine)) / (4 * np.pi)) * n)


def test_a_mark_on_a_feature_gives_its_true_place(unit, source, client_of, annotator):
    [image] = unit_payload.payload(unit)["images"]
    assert image["offset_m"] == list(SHIFT)
    spot = brightest(client_of(annotator), image["tiles"])
    assert offset(PIT, spot) == pytest.approx((0, 0), abs=5)  # a pixel is 4.4 m

    given = GivenImage(pane=1, source=source.uuid, captured_on=AFTER)
    verdict = GivenReview(uuid=uuid4(), verdict="confirm", mark=spot, images=[given])
    review, _ = workflow.record_review(unit, annotator, verdict)
    assert geo.displacement_m(PIT, review.mark.coords) < 7
    kept = review.images.get()
    assert (kept.offset_east_m, kept.offset_north_m) == SHIFT


def test_the_displacement_statistics_do_not_hold_the_pictures_shift(unit, source, client_of, annotator):
    spot = brightest(client_of(annotator), unit_payload.payload(unit)["images"][0]["tiles"])
    given = GivenImage(pane=1, source=source.uuid, captured_on=AFTER)
    workflow.record_review(unit, annotator, GivenReview(uuid=uuid4(), verdict="confirm", mark=spot, images=[given]))
    [outcome] = ground_truth.outcomes(unit.audit)
    assert outcome.displacement_m < 7
    shift_m = float(np.hypot(*SHIFT))
    assert shift_m > 100 > outcome.displacement_m  # without the offset the record would look moved


def test_footprints_lie_where_the_ground_is(unit, source):
    [image] = unit_payload.payload(unit)["images"]
    assert image["share_covered"] > 0.5
    from labels.imagery.scenes import footprint_of

    centre = footprint_of(source, AFTER).centroid
    assert offset(PIT, centre.coords) == pytest.approx((0, 0), abs=6)


def test_a_later_offset_leaves_earlier_verdicts_alone(unit, source, annotator):
    given = GivenImage(pane=1, source=source.uuid, captured_on=AFTER)
    review, _ = workflow.record_review(unit, annotator, GivenReview(uuid=uuid4(), verdict="confirm", images=[given]))
    source.offset_east_m = 0
    source.save()
    kept = review.images.get()
    assert (kept.offset_east_m, kept.offset_north_m) == SHIFT
    assert review.mark == Point(*PIT, srid=4326)


def test_releases_say_the_offset(unit, source, annotator):
    given = GivenImage(pane=1, source=source.uuid, captured_on=AFTER)
    workflow.record_review(unit, annotator, GivenReview(uuid=uuid4(), verdict="confirm", images=[given]))
    [row] = gather([unit.audit]).labels
    assert (row["imagery_sources"], row["imagery_offsets_m"]) == (["orbita"], ["120 -45"])
