"""What a file, or a file beside it, says of its day and its bands; what a person says instead; false colour."""

import json
import os
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from django.core.management import CommandError, call_command
from rasterio.enums import ColorInterp
from rasterio.warp import transform

from labels.errors import BadInput
from labels.imagery import publishing, stages
from labels.imagery.capture_date import Statement, agreed, in_sidecar, sidecars_of
from labels.imagery.wishes import Wish, wish
from labels.models import Scene
from tests import rasters

TODAY = date(2026, 1, 1)


def load(project, *paths, **options) -> Scene:
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    call_command("load_imagery", *map(str, paths), "--project", project.slug, "--name", "Survey", *words)
    return Scene.objects.order_by("-pk").first()


# ---- the day ----

SIDECARS = {
    "STAC item": ("picture.json", {"type": "Feature", "properties": {"datetime": "2021-03-09T10:00:00Z"}}),
    "after the whole name": ("picture.tif.json", {"acquisition_date": "2021-03-09"}),
    "Planet": (
        "picture_metadata.json",
        {"properties": {"acquired": "2021-03-09T10:11:12.5Z", "published": "2022-01-01"}},
    ),
    "Maxar": ("picture.IMD", "BEGIN_GROUP = IMAGE_1\n\tfirstLineTime = 2021-03-09T10:20:30.123456Z;\n"),
    "Landsat": ("picture_MTL.txt", "    DATE_ACQUIRED = 2021-03-09\n    FILE_DATE = 2022-05-06\n"),
    "XML": ("picture.xml", "<a><eop:acquisitionDate>2021-03-09T10:00:00Z</eop:acquisitionDate></a>"),
    "a day with two ends": (
        "picture.json",
        {
            "properties": {
                "datetime": None,
                "start_datetime": "2021-03-09T01:00:00Z",
                "end_datetime": "2021-03-09T02:00:00Z",
            }
        },
    ),
}


@pytest.mark.parametrize("kind", SIDECARS)
def test_a_file_beside_the_picture_says_its_day(kind, project, tmp_path):
    name, content = SIDECARS[kind]
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    scene = load(project, rasters.picture(tmp_path))
    assert (scene.captured_on, scene.captured_known_by) == (date(2021, 3, 9), "file")
    assert scene.preparation["captured"]["by"].startswith(name)


UNCLEAR = {
    "a span": {"properties": {"start_datetime": "2021-03-01T00:00:00Z", "end_datetime": "2021-03-31T00:00:00Z"}},
    "a name twice": '{"acquired": "2021-03-09", "acquired": "2020-01-01"}',
    "a mosaic with a nominal day": {
        "properties": {"datetime": "2021-03-15T00:00:00Z", "start_datetime": "2021-03-01T00:00:00Z"}
    },
    "only its making": {"properties": {"created": "2021-03-09", "updated": "2021-03-09", "published": "2021-03-09"}},
    "the future": {"acquired": "2190-01-01"},
    "a number": {"acquired": 20210309},
    "a list": ["acquired", "2021-03-09"],
    "deep": {"properties": {"more": {"acquired": "2021-03-09"}}},
}


@pytest.mark.parametrize("kind", UNCLEAR)
def test_what_is_not_clear_stays_unknown(kind, project, tmp_path):
    content = UNCLEAR[kind]
    (tmp_path / "picture.json").write_text(content if isinstance(content, str) else json.dumps(content))
    scene = load(project, rasters.picture(tmp_path))
    assert (scene.captured_on, scene.captured_known_by) == (None, "unknown")


def test_a_tag_and_a_sidecar_that_disagree_give_unknown_and_a_sentence(project, tmp_path, capsys):
    (tmp_path / "picture.json").write_text('{"acquired": "2021-03-09"}')
    path = rasters.picture(tmp_path, tags={"ACQUISITIONDATETIME": "2019-07-04T14:31:00Z"})
    scene = load(project, path)
    assert scene.captured_on is None
    told = capsys.readouterr().out
    assert "more than one way" in told and "2019-07-04" in told and "2021-03-09" in told
    assert "stays unknown" in scene.job.result["notes"][0]


def test_the_stated_day_wins_and_the_other_is_said(project, tmp_path, capsys):
    (tmp_path / "picture.json").write_text('{"acquired": "2021-03-09"}')
    scene = load(project, rasters.picture(tmp_path), acquired="2021-03-10")
    assert (scene.captured_on, scene.captured_known_by) == (date(2021, 3, 10), "stated")
    assert (
        "The file says 2021-03-09 (picture.json acquired); the stated 2021-03-10 was kept." in capsys.readouterr().out
    )


BOMBS = {
    "deep": b"[" * 900_000,
    "deep objects": b'{"a":' * 150_000,
    "long": b'{"acquired": "2021-03-09", "x": "' + b"x" * 2**20 + b'"}',
    "digits": b'{"acquired": "2021-03-09", "x": ' + b"9" * 1_000_000 + b"}",
    "no text": bytes(range(256)) * 100,
    "cut": b'{"acquired": "2021-03',
    "nothing": b"",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_hostile_sidecars_are_passed_over_and_said(kind, project, tmp_path, capsys):
    (tmp_path / "picture.json").write_bytes(BOMBS[kind])
    scene = load(project, rasters.picture(tmp_path))
    is_harmless = kind == "digits"  # numbers are never made of their digits
    assert scene.captured_on == (date(2021, 3, 9) if is_harmless else None)
    assert ("picture.json" in capsys.readouterr().out.replace("picture.tif", "")) != is_harmless


def test_hostile_xml_is_not_expanded(tmp_path):
    path = tmp_path / "p.xml"
    path.write_text(
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY d "2021-03-09">]>'
        "<a><acquisitionDate>&d;</acquisitionDate></a>"
    )
    assert agreed(in_sidecar(path), TODAY).on is None


def test_hostile_link_beside_the_picture_is_not_followed_out_of_its_folder(project, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.json").write_text('{"acquired": "2021-03-09"}')
    (folder / "picture.json").symlink_to(tmp_path / "secret.json")
    assert load(project, rasters.picture(folder)).captured_on is None
    assert "leads out of the folder" in capsys.readouterr().out


def test_a_pipe_beside_the_picture_does_not_hang(project, tmp_path):
    os.mkfifo(tmp_path / "picture.json")
    assert sidecars_of(tmp_path / "picture.tif") == []


def test_two_sidecars_of_one_day_agree():
    assert agreed([Statement("a", "2021-03-09"), Statement("b", "20210309T101112")], TODAY).on == date(2021, 3, 9)


# ---- the bands ----


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("", ""), Wish()),
        (("3,2,1", ""), Wish((3, 2, 1))),
        (("3, 2, 1, NIR=4", "200,3500"), Wish((3, 2, 1), 4, (200, 3500))),
        (("nir=5", "-1.5,2e3"), Wish((), 5, (-1.5, 2000))),
        (("2", ""), Wish((2,))),
    ],
)
def test_wishes_are_read(words, expected):
    assert wish(*words) == expected


@pytest.mark.parametrize(
    "words",
    [("1,2", ""), ("0,1,2", ""), ("r,g,b", ""), ("1;2;3", ""), ("", "5"), ("", "9,3"), ("", "nan,3"), ("", "a,b")],
)
def test_wishes_that_mean_nothing_are_refused_in_words(words):
    with pytest.raises(BadInput, match=r"write"):
        wish(*words)


def four_bands(kind: str = "uint16", factor: int = 17) -> np.ndarray:
    """Blue, green, red, near-infrared: each grows in its own direction."""
    red, green, blue = rasters.colours().astype(int)
    infrared = np.linspace(220, 20, rasters.WIDTH)[None] + np.linspace(0, 30, rasters.HEIGHT)[:, None]
    return (np.stack([blue + green // 9, green, red, infrared]) * factor).astype(kind)


def with_words(path: Path, words: list[str]) -> Path:
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = words
    return path


@pytest.mark.parametrize(
    ("words", "options", "known_by", "bands"),
    [
        (["blue", "green", "red", "nir"], {}, "description", (4, 3, 2)),
        (["B02", "B03", "B04", "B8A"], {}, "description", (4, 3, 2)),
        (["Blue", "Green", "Red", "Near Infrared"], {}, "description", (4, 3, 2)),
        ([], {"bands": "3,2,1,nir=4"}, "asked", (4, 3, 2)),
        ([], {}, "fourth_band", (4, 1, 2)),
    ],
)
def test_a_near_infrared_band_gives_false_colours_on_the_same_grid(
    words, options, known_by, bands, project, tmp_path, settings
):
    original = four_bands()
    path = rasters.write(tmp_path / "n.tif", original, photometric="MINISBLACK")
    scene = load(project, with_words(path, words) if words else path, **options)
    recorded = scene.preparation["false_colour"]
    assert (recorded["near_infrared_by"], tuple(recorded["bands"])) == (known_by, bands)
    assert len(recorded["stretch"]) == 3
    media = Path(settings.MEDIA_ROOT)
    assert stages.sha256_of(media / scene.false_colour_path) == scene.false_colour_sha256
    assert scene.size_bytes == sum((media / name).stat().st_size for name in (scene.path, scene.false_colour_path))
    with rasterio.open(media / scene.path) as colours, rasterio.open(media / scene.false_colour_path) as false:
        assert (colours.transform, colours.shape, colours.overviews(1)) == (
            false.transform,
            false.shape,
            false.overviews(1),
        )
        assert colours.block_shapes == false.block_shapes
        assert (colours.dataset_mask() == false.dataset_mask()).all()
        for column, row in [(8, 5), (50, 9), (12, 37)]:
            with rasterio.open(path) as dataset:
                xs, ys = transform(
                    dataset.crs, false.crs, *([v] for v in dataset.transform @ (column + 0.5, row + 0.5))
                )
            at = false.index(xs[0], ys[0])
            shown = false.read(window=((at[0], at[0] + 1), (at[1], at[1] + 1)))[:, 0, 0].astype(float)
            for band, (low, high), value in zip(bands, recorded["stretch"], shown, strict=True):
                expected = np.clip((original[band - 1, row, column] - low) / (high - low) * 255, 0, 255)
                assert value == pytest.approx(expected, abs=16)


def test_no_near_infrared_is_invented(project, tmp_path):
    bands = four_bands("uint8", 1)
    alpha = rasters.write(tmp_path / "rgba.tif", np.where(bands, bands, 1), roles=rasters.RGBA)
    swir = with_words(rasters.write(tmp_path / "s.tif", bands, photometric="MINISBLACK"), ["b1", "b2", "b3", "swir"])
    five = rasters.write(tmp_path / "five.tif", np.concatenate([bands, bands[:1]]), photometric="MINISBLACK")
    for path in (alpha, swir, five):
        scene = load(project, path)
        assert (scene.false_colour_path, scene.false_colour_sha256) == ("", "")
        assert "false_colour" not in scene.preparation


def test_the_colours_that_are_declared_are_shown_whatever_their_order(project, tmp_path, settings):
    path = rasters.write(tmp_path / "bgr.tif", rasters.colours()[::-1], photometric="MINISBLACK")
    scene = load(project, with_words(path, ["blue", "green", "red"]))
    assert scene.preparation["bands"] == [3, 2, 1]
    roles = [ColorInterp.blue, ColorInterp.green, ColorInterp.red]
    path = rasters.write(tmp_path / "roles.tif", rasters.colours()[::-1] // 2, photometric="MINISBLACK", roles=roles)
    assert load(project, path).preparation["bands"] == [3, 2, 1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"bands": "1,2,9"}, "Band 9 was asked for"),
        ({"bands": "1,2,4"}, "hides pixels"),
        ({"bands": "2,nir=3"}, "False colour needs red and green"),
    ],
)
def test_bands_that_are_not_there_are_refused_in_words(options, sentence, project, tmp_path):
    bands = np.concatenate([rasters.colours(), np.full((1, 43, 61), 255, "uint8")])
    with pytest.raises(CommandError, match=sentence):
        load(project, rasters.write(tmp_path / "a.tif", bands, roles=rasters.RGBA), **options)


def test_a_scene_leaves_with_both_its_files(project, tmp_path, settings, django_capture_on_commit_callbacks):
    scene = load(project, rasters.write(tmp_path / "n.tif", four_bands(), photometric="MINISBLACK"))
    files = [Path(settings.MEDIA_ROOT) / name for name in (scene.path, scene.false_colour_path)]
    assert all(path.is_file() for path in files)
    with django_capture_on_commit_callbacks(execute=True):
        publishing.remove(scene)
    assert not any(path.exists() for path in files)
    assert not Scene.objects.exists()


# ---- the stretch ----


def stretch_of(project, folder: Path, values: np.ndarray, **options) -> list:
    words = {name: options.pop(name) for name in ("stretch",) if name in options}
    return load(project, rasters.write(folder / "deep.tif", values, **options), **words).preparation["stretch"]


def ground(low: int = 400, high: int = 3000) -> np.ndarray:
    draw = np.random.default_rng(4)
    return draw.integers(low, high, (3, rasters.HEIGHT, rasters.WIDTH)).astype("uint16")


def test_outliers_do_not_darken_the_picture(project, tmp_path):
    values = ground()
    values[:, 3, 3:9] = 65535
    for low, high in stretch_of(project, tmp_path, values):
        assert 400 <= low < 500 and 2900 < high <= 3000


def test_ground_that_was_not_seen_does_not_count_also_where_the_file_does_not_say_so(project, tmp_path):
    values = ground()
    values[:, :30] = 0
    for low, _ in stretch_of(project, tmp_path, values):
        assert low >= 400


def test_nodata_does_not_count(project, tmp_path):
    values = ground()
    values[:, :30] = 60000
    for _, high in stretch_of(project, tmp_path, values, nodata=60000):
        assert high <= 3000


def test_equal_bands_are_mid_grey_and_nearly_equal_ones_keep_what_differs(project, tmp_path, settings):
    values = ground()
    values[1] = 700
    values[2] = 700
    values[2, 10, 10:13] = 900
    stretch = stretch_of(project, tmp_path, values)
    assert stretch[1:] == [[699, 701], [700, 900]]


def test_the_asked_stretch_is_used_and_recorded(project, tmp_path):
    assert stretch_of(project, tmp_path, ground(), stretch="0,10000") == [[0, 10000]] * 3


def test_few_colours_are_classes_and_stay_what_they_are(project, tmp_path, settings):
    table = np.random.default_rng(1).integers(0, 255, (12, 3)).astype("uint8")
    classes = np.random.default_rng(2).integers(0, 12, (43, 61))
    scene = load(project, rasters.write(tmp_path / "c.tif", table[classes].transpose(2, 0, 1)))
    assert (scene.preparation["kind"], scene.n_bands) == ("classes", 3)
    with rasterio.open(Path(settings.MEDIA_ROOT) / scene.path) as dataset:
        shown = dataset.dataset_mask() > 0
        found = np.unique(dataset.read((1, 2, 3))[:, shown].T, axis=0)
    assert {tuple(colour) for colour in found} == {tuple(colour) for colour in table}
