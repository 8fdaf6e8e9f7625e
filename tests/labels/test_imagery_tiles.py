import io
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone
from PIL import Image
from rio_tiler.io import Reader

from labels import geo
from labels.imagery import scenes, tiles
from labels.models import Membership, Scene
from tests import rasters
from tests.factories import make_source

# Inside the picture, well away from its edges.
INSIDE = (rasters.LON + 0.02, rasters.LAT - 0.008)
ZOOM = 16  # tiles far smaller than the picture


@pytest.fixture
def load(project, tmp_path):
    """Load a picture into a source by the command; gives the source."""

    def run(path: Path | None = None, *, name: str = "Survey", acquired: str | None = None):
        path = path or rasters.picture(tmp_path)
        options = ["--acquired", acquired] if acquired else []
        call_command("load_imagery", str(path), "--project", project.slug, "--name", name, *options)
        return project.imagery_sources.get(name=name)

    return run


def address(lon: float, lat: float, z: int = ZOOM) -> tuple[int, int, int]:
    return geo.tile_of(lon, lat, z)


def pixel_at(tile: tiles.Tile, lon: float, lat: float, z: int = ZOOM) -> np.ndarray:
    """Red, green, blue and alpha that the tile shows at a place."""
    west, south, east, north = geo.tile_bounds(*address(lon, lat, z))
    column, row = int((lon - west) / (east - west) * 256), int((north - lat) / (north - south) * 256)
    image = Image.open(io.BytesIO(tile.content)).convert("RGBA")
    assert image.size == (256, 256)
    return np.array(image).astype(int)[row, column]


def colour_of_original(lon: float, lat: float) -> np.ndarray:
    column, row = int((lon - rasters.LON) / 0.0007), int((rasters.LAT - lat) / 0.0004)
    return rasters.colours()[:, row, column].astype(int)


def url(source, z: int, x: int, y: int, **query) -> str:
    return reverse("labels:tile", args=[source.uuid, z, x, y], query=query)


@pytest.mark.parametrize("zoom", [11, 13, 16, 18])
def test_a_place_has_its_colour_at_every_zoom(zoom, load):
    source = load()
    shown = pixel_at(tiles.tile(source, *address(*INSIDE, zoom)), *INSIDE, zoom)
    assert np.abs(shown[:3] - colour_of_original(*INSIDE)).max() <= 12
    assert shown[3] == 255


def test_outside_is_one_transparent_picture(load):
    source = load()
    tile = tiles.tile(source, *address(rasters.LON + 3, rasters.LAT))
    assert (tile.imagery, tile.content_type, tile.content) == ("none", "image/png", tiles.TRANSPARENT)
    assert len(tile.content) < 250
    assert np.array(Image.open(io.BytesIO(tile.content)).convert("RGBA"))[..., 3].max() == 0


def test_an_edge_is_transparent_beyond_the_picture(load):
    source = load()
    place = (rasters.LON + 0.001, rasters.LAT - 0.008)
    tile = tiles.tile(source, *address(*place, 12))
    assert (tile.imagery, tile.content_type) == ("partial", "image/webp")
    assert pixel_at(tile, *place, 12)[3] == 255
    image = np.array(Image.open(io.BytesIO(tile.content)).convert("RGBA"))
    assert set(np.unique(image[..., 3])) == {0, 255}


def test_twice_the_pixels_show_the_same_ground_in_more_detail(load):
    source, place = load(), address(*INSIDE, 11)
    content = tiles.tile(source, *place, wanted=tiles.Wanted(px=512)).content
    large = np.array(Image.open(io.BytesIO(content)).convert("RGBA")).astype(int)
    small = np.array(Image.open(io.BytesIO(tiles.tile(source, *place).content)).convert("RGBA")).astype(int)
    assert large.shape == (512, 512, 4)
    shrunk = large.reshape(256, 2, 256, 2, 4).mean(axis=(1, 3))
    both = (shrunk[..., 3] == 255) & (small[..., 3] == 255)
    assert both.sum() > 1000
    assert np.abs(shrunk - small)[both].mean() < 6


def test_a_light_tile_is_smaller_and_has_the_same_edges(load):
    source = load()
    for place, z in ((INSIDE, ZOOM), ((rasters.LON + 0.001, rasters.LAT - 0.008), 12)):
        plain, light = (
            tiles.tile(source, *address(*place, z), wanted=tiles.Wanted(is_light=light)) for light in (False, True)
        )
        assert light.content_type == "image/webp"
        assert (light.imagery, len(light.content) < len(plain.content)) == (plain.imagery, True)
        seen = [np.array(Image.open(io.BytesIO(t.content)).convert("RGBA"))[..., 3] for t in (plain, light)]
        assert (seen[0] == seen[1]).all()


def test_programs_that_ask_for_png_alone_get_the_exact_pixels(load, client_of, annotator):
    source, place = load(), address(*INSIDE)
    response = client_of(annotator).get(url(source, *place), headers={"accept": "image/png"})
    assert response["Content-Type"] == "image/png"
    scene = Scene.objects.get()
    pixels, _ = tiles.compose(scenes.Shown((scenes.ShownScene(scene.path, scene.sha256),)), *place)
    assert (np.array(Image.open(io.BytesIO(response.content))) == pixels.transpose(1, 2, 0)).all()


def test_false_colour_is_another_file_and_another_version(load, client_of, annotator, settings, tmp_path):
    source, place = load(), address(*INSIDE)
    browser = client_of(annotator)
    assert browser.get(url(source, *place, bands="false_colour"))["X-Imagery"] == "none"
    other = load(rasters.write(tmp_path / "grey.tif", rasters.colours()[1:2]), name="Other")
    Scene.objects.filter(source=source).update(
        false_colour_path=other.scenes.get().path, false_colour_sha256=other.scenes.get().sha256
    )
    plain, false = browser.get(url(source, *place)), browser.get(url(source, *place, bands="false_colour"))
    assert plain["X-Imagery"] == false["X-Imagery"] == "full"
    assert plain["ETag"] != false["ETag"] and plain.content != false.content


def test_a_full_tile_is_a_jpeg(load):
    tile = tiles.tile(load(), *address(*INSIDE))
    assert (tile.imagery, tile.content_type) == ("full", "image/jpeg")


def test_the_newest_is_on_top_and_fills_its_holes_from_below(load, tmp_path):
    old = np.full((3, 43, 61), 60, dtype="uint8")
    new = np.where(rasters.with_hole(), 200, 0).astype("uint8")[None].repeat(3, axis=0)
    load(rasters.write(tmp_path / "new.tif", new, nodata=0), acquired="2022-05-01")
    source = load(rasters.write(tmp_path / "old.tif", old), acquired="2018-02-01")
    in_hole = (rasters.LON + 0.006, rasters.LAT - 0.002)
    assert pixel_at(tiles.tile(source, *address(*INSIDE)), *INSIDE)[0] == pytest.approx(200, abs=4)
    assert pixel_at(tiles.tile(source, *address(*in_hole)), *in_hole)[0] == pytest.approx(60, abs=4)
    older = tiles.tile(source, *address(*INSIDE), date=date(2018, 2, 1))
    assert pixel_at(older, *INSIDE)[0] == pytest.approx(60, abs=4)
    assert tiles.tile(source, *address(*INSIDE), date=date(2019, 1, 1)).imagery == "none"
    assert tiles.tile(source, *address(*INSIDE), date="unknown").imagery == "none"


def test_the_sources_offset_moves_its_imagery_onto_the_ground(load):
    source = load()
    source.offset_east_m, source.offset_north_m = 400, -250
    source.save()
    lon, lat = INSIDE
    on_ground = (lon + 400 / 110_860, lat - 250 / 110_580)
    shown = pixel_at(tiles.tile(source, *address(*on_ground, 15)), *on_ground, 15)
    assert np.abs(shown[:3] - colour_of_original(*INSIDE)).max() <= 10
    west = scenes.footprint_of(source, None).extent[0]
    assert west == pytest.approx(rasters.LON + 400 / 110_860, abs=1e-3)


def test_a_missing_file_is_said_and_never_black(load, client_of, annotator, settings):
    source = load()
    (Path(settings.MEDIA_ROOT) / Scene.objects.get().path).unlink()
    response = client_of(annotator).get(url(source, *address(*INSIDE)))
    assert (response.status_code, response["X-Imagery"]) == (404, "missing")
    assert b"missing" in response.content


def test_a_damaged_file_is_said(load, client_of, annotator, settings):
    source = load()
    path = Path(settings.MEDIA_ROOT) / Scene.objects.get().path
    path.write_bytes(b"II*\0" + bytes(500))
    assert client_of(annotator).get(url(source, *address(*INSIDE)))["X-Imagery"] == "missing"


def test_members_see_tiles_and_strangers_do_not_know_of_them(load, client_of, annotator, lead, stranger, client):
    source = load()
    place = address(*INSIDE)
    for member in (annotator, lead):
        response = client_of(member).get(url(source, *place))
        assert (response.status_code, response["X-Imagery"]) == (200, "full")
    assert client_of(stranger).get(url(source, *place)).status_code == 404
    assert client.get(url(source, *place)).status_code == 401
    assert client_of(annotator).post(url(source, *place)).status_code == 405


def test_a_lost_role_closes_the_tiles_at_once(load, client_of, annotator):
    source = load()
    browser = client_of(annotator)
    response = browser.get(url(source, *address(*INSIDE)))
    Membership.objects.filter(user=annotator).delete()
    assert browser.get(url(source, *address(*INSIDE))).status_code == 404
    again = browser.get(url(source, *address(*INSIDE)), headers={"if-none-match": response["ETag"]})
    assert again.status_code == 404


@pytest.mark.parametrize(
    "rights", [{"may_view": False}, {"rights_expire_on": timezone.now().date() - timedelta(days=1)}]
)
def test_nobody_sees_imagery_without_the_right(rights, load, client_of, lead, project):
    source = load()
    type(source).objects.update(**rights)
    assert client_of(lead).get(url(source, *address(*INSIDE))).status_code == 404
    assert scenes.images_at(project, *INSIDE, 500) == []
    page = client_of(lead).get(reverse("labels:imagery", args=[project.slug]))
    assert "Nobody sees these pictures" in page.content.decode()


def test_rights_last_through_their_last_day(load, client_of, annotator):
    source = load()
    type(source).objects.update(rights_expire_on=timezone.now().date())
    assert client_of(annotator).get(url(source, *address(*INSIDE))).status_code == 200


@pytest.mark.parametrize(
    ("place", "query"),
    [
        ((23, 0, 0), {}),
        ((3, 8, 0), {}),
        ((3, 0, 8), {}),
        ((3, 1, 1), {"date": "yesterday"}),
        ((3, 1, 1), {"date": "2020-13-01"}),
        ((3, 1, 1), {"px": "1024"}),
        ((3, 1, 1), {"bands": "thermal"}),
        ((3, 1, 1), {"image": "newest"}),
        ((3, 1, 1), {"date": "2020-01-01", "padding": "y" * 600}),
    ],
)
def test_an_impossible_address_is_404(place, query, load, client_of, annotator):
    assert client_of(annotator).get(url(load(), *place, **query)).status_code == 404


def test_an_unchanged_tile_is_304_without_reading(load, client_of, annotator, monkeypatch):
    source = load()
    browser = client_of(annotator)
    first = browser.get(url(source, *address(*INSIDE)))
    monkeypatch.setattr(tiles, "render", None)
    again = browser.get(url(source, *address(*INSIDE)), headers={"if-none-match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    type(source).objects.update(offset_east_m=30)
    monkeypatch.undo()
    changed = browser.get(url(source, *address(*INSIDE)), headers={"if-none-match": first["ETag"]})
    assert changed.status_code == 200


def test_only_the_persons_browser_may_keep_a_tile(load, client_of, annotator):
    source = load()
    browser = client_of(annotator)
    response = browser.get(url(source, *address(*INSIDE)))
    assert response["Cache-Control"] == "private, no-cache"
    assert "Cookie" in response["Vary"]
    now = type(source).objects.get().revision
    assert "max-age=86400" in browser.get(url(source, *address(*INSIDE), v=now))["Cache-Control"]
    for other in (now - 1, now + 1, "0e1", "x" * 30):
        assert browser.get(url(source, *address(*INSIDE), v=other))["Cache-Control"] == "private, no-cache"
    type(source).objects.update(may_cache=False)
    response = browser.get(url(source, *address(*INSIDE), v=now))
    assert response["Cache-Control"] == "private, no-store"
    assert "ETag" not in response


def test_a_tile_without_a_decision_costs_three_queries(load, client_of, annotator, django_assert_num_queries):
    source = load()
    browser = client_of(annotator)
    browser.get(url(source, *address(*INSIDE)))
    for query in ({}, {"date": "2020-01-01"}, {"date": "unknown"}):
        with django_assert_num_queries(3):
            browser.get(url(source, *address(*INSIDE), **query))


def test_images_at_lists_dates_in_order_with_what_they_cover(load, project, tmp_path, django_assert_max_num_queries):
    load(rasters.picture(tmp_path, "b.tif", tags={"A": "b"}), acquired="2023-01-05")
    load(rasters.picture(tmp_path, "a.tif", tags={"A": "a"}), acquired="2019-06-01", name="Archive")
    load(rasters.picture(tmp_path, "c.tif", tags={"A": "c"}))
    load(rasters.picture(tmp_path, "far.tif", place=rasters.geotransform("EPSG:4326", (0.0007, 0.0004), lon=20)))
    with django_assert_max_num_queries(2):
        found = scenes.images_at(project, *INSIDE, 500)
    assert [(image["captured_on"], image["name"], image["known_by"]) for image in found] == [
        ("2019-06-01", "Archive", "stated"),
        ("2023-01-05", "Survey", "stated"),
        (None, "Survey", "unknown"),
    ]
    assert [image["share_covered"] for image in found] == [1, 1, 1]
    assert all(len(image["scene_sha256s"]) == 1 for image in found)
    (on_edge, *_) = scenes.images_at(project, rasters.LON, rasters.LAT - 0.008, 500)
    assert on_edge["share_covered"] == pytest.approx(0.5, abs=0.04)
    assert scenes.images_at(project, rasters.LON - 0.05, rasters.LAT, 500) == []


def test_the_tile_address_shows_the_image(load, project, client_of, annotator):
    load(acquired="2023-01-05")
    (image,) = scenes.images_at(project, *INSIDE, 500)
    z, x, y = address(*INSIDE)
    response = client_of(annotator).get(image["tiles"].format(z=z, x=x, y=y))
    assert (response.status_code, response["X-Imagery"]) == (200, "full")
    assert "max-age" in response["Cache-Control"]


def test_another_projects_images_are_not_offered(load, project, stranger):
    load()
    other = make_source(type(project).objects.create(slug="other", name="Other", country="OTH"))
    assert scenes.images_at(other.project, *INSIDE, 500) == []


REAL = [
    ("rgb_highres_15cm_colorado_cog.tif", 3),
    ("s2_rgb_punino_ecuador_2024_cog.tif", 3),
    ("s2_rgb_bolivia_yungas_2024_cog.tif", 3),
    ("s2_rgb_bolivar_venezuela_2019_cog.tif", 3),
    ("s2_tci_chile_mina_invierno_3857.tif", 3),
    ("s2_mask_chile_mina_invierno_3857.tif", 1),
]


@pytest.mark.parametrize(("name", "n_bands"), REAL)
def test_every_real_raster_shows_where_rio_tiler_sees_the_original(name, n_bands, load, shared_data):
    original = shared_data / "imagery" / name
    load(original)
    scene = Scene.objects.get()
    assert scene.n_bands == n_bands
    shown = scenes.Shown((scenes.ShownScene(scene.path, scene.sha256),))
    differences, agreements = [], []
    with Reader(str(original)) as reader:
        for z, x, y in _around(scene):
            pixels, seen = tiles.compose(shown, z, x, y)
            image = reader.tile(x, y, z, resampling_method="bilinear", reproject_method="bilinear")
            expected, has_data = _as_shown(image, scene)
            agreements.append((seen == has_data).mean())
            both = seen & has_data
            differences.append(np.abs(pixels[:, both].astype(int) - expected[:, both]).ravel())
    assert min(agreements) > 0.99
    assert np.concatenate(differences).mean() < 9


def _around(scene: Scene) -> list[tuple[int, int, int]]:
    west, south, east, north = scene.footprint.extent
    z, left, top = geo.tile_of(west, north, scene.max_zoom)
    _, right, bottom = geo.tile_of(east, south, scene.max_zoom)
    return [(z, x, y) for x in range(left, right + 1) for y in range(top, bottom + 1)]


def _as_shown(image, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The original's tile in the colours we show: alpha of undeclared bands, the stretch of a class mask."""
    data, has_data = image.array.data.astype(int), ~image.array.mask.all(axis=0)
    if scene.preparation["hidden_by"] == "alpha_by_values":
        data, has_data = data[:3], has_data & (data[3] > 127)
    if scene.preparation["stretch"]:
        data = data * 255
    return np.broadcast_to(data, (3, 256, 256)), has_data
