"""Blocks of aligned files sent as they are: the same pixels as rio-tiler's, and nothing from a file that lies."""

import io
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image
from rasterio.io import MemoryFile
from rio_tiler.io import Reader

from labels import geo
from labels.imagery import blocks, decoding, scenes, tiff, tiles
from tests import rasters
from tests.bench import _pictures

PIXEL = (4e-5, 3e-5)
WIDTH, HEIGHT = 1400, 900


@dataclass(frozen=True)
class Prepared:
    path: Path
    max_zoom: int
    min_zoom: int

    def places(self, z: int) -> list[tuple[int, int, int]]:
        """Every tile of the zoom that the picture touches, and those around them."""
        west, north = rasters.LON, rasters.LAT
        _, left, top = geo.tile_of(west, north, z)
        _, right, bottom = geo.tile_of(west + WIDTH * PIXEL[0], north - HEIGHT * PIXEL[1], z)
        return [(z, x, y) for x in range(left - 1, right + 2) for y in range(top - 1, bottom + 2)]

    @property
    def full(self) -> tuple[int, int, int]:
        file = blocks.AlignedFile(str(self.path))
        return next(place for place in self.places(self.max_zoom) if file.coverage(*place) == "full")


def prepare(folder: Path, bands: np.ndarray, **options) -> Prepared:
    original = rasters.write(folder / "original.tif", bands, pixel=PIXEL, **options)
    description = _pictures.aligned(original, folder / "prepared.tif")
    return Prepared(folder / "prepared.tif", description["max_zoom"], description["min_zoom"])


def ground(n_bands: int = 3) -> np.ndarray:
    noise = np.random.default_rng(4).integers(0, 30, (n_bands, HEIGHT, WIDTH))
    return (rasters.colours(WIDTH, HEIGHT)[:n_bands] * 0.8 + noise).astype("uint8")


@pytest.fixture(scope="module")
def colour(tmp_path_factory) -> Prepared:
    """A picture with a hole, so that masks cross its middle."""
    shown = np.full((HEIGHT, WIDTH), 255, dtype="uint8")
    shown[300:500, 400:800] = 0
    return prepare(tmp_path_factory.mktemp("colour"), ground(), mask=shown)


@pytest.fixture(scope="module")
def grey(tmp_path_factory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("grey"), ground(1))


def gdal_pixels(content: bytes) -> np.ndarray:
    with MemoryFile(content) as file, file.open() as dataset:
        return dataset.read()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("name", ["colour", "grey"])
def test_a_block_is_what_rio_tiler_reads_and_what_pillow_decodes(name, request):
    picture = request.getfixturevalue(name)
    file, told = blocks.AlignedFile(str(picture.path)), {"none": 0, "partial": 0, "full": 0}
    assert file.zooms == list(range(picture.min_zoom, picture.max_zoom + 1))
    with Reader(str(picture.path)) as reader:
        for place in (place for z in file.zooms for place in picture.places(z)):
            z, x, y = place
            coverage = file.coverage(*place)
            told[coverage] += 1
            image = reader.tile(x, y, z).array if reader.tile_exists(x, y, z) else None
            shown = ~image.mask.all(axis=0) if image is not None else np.zeros((256, 256), dtype=bool)
            assert coverage == ("full" if shown.all() else "partial" if shown.any() else "none"), place
            if coverage == "full":
                content = file.jpeg(*place)
                assert (gdal_pixels(content) == image.data).all()
                decoded = np.asarray(Image.open(io.BytesIO(content)))
                # Another decoder rounds and blurs colours its own way; it must not take them for other colours.
                assert np.abs(decoded.astype(int) - image.data.transpose(1, 2, 0).squeeze()).mean() < 1
    assert min(told.values()) > 0


def test_a_block_says_its_colours_so_that_browsers_need_not_guess(colour):
    content = blocks.AlignedFile(str(colour.path)).jpeg(*colour.full)
    assert content[:4] == b"\xff\xd8\xff\xe0" and content[6:11] == b"JFIF\0" and content.endswith(b"\xff\xd9")
    picture = Image.open(io.BytesIO(content))
    assert (picture.mode, picture.size, "adobe" in picture.info) == ("RGB", (256, 256), False)


def test_files_that_are_not_aligned_are_decoded(tmp_path):
    plain = rasters.picture(tmp_path)
    assert blocks.AlignedFile(str(plain)).zooms == []
    shifted = tmp_path / "shifted.tif"
    rasters.write(
        shifted, ground(), crs="EPSG:3857", place=rasters.geotransform("EPSG:3857", (4.7773, 4.7773)), tiled=True,
        blockxsize=256, blockysize=256, compress="jpeg", photometric="ycbcr",
    )  # fmt: skip
    assert blocks.AlignedFile(str(shifted)).zooms == []


@pytest.mark.parametrize("px", [256, 512])
@pytest.mark.parametrize("step", [-5, -2, 0, 2])
@pytest.mark.parametrize("form", ["aligned", "ordinary"])
def test_decoded_pixels_are_rio_tilers(form, step, px, colour, tmp_path, settings):
    path = colour.path
    if form == "ordinary":
        path = tmp_path / "ordinary.tif"
        rasterio.shutil.copy(colour.path.with_name("original.tif"), path, driver="COG", compress="JPEG")
    settings.MEDIA_ROOT = str(path.parent)
    shown = scenes.Shown((scenes.ShownScene(path.name, "x"),))
    is_finer = 2 ** max(0, step) * px > 256
    options = {"resampling_method": "bilinear"} if is_finer and form == "aligned" else {}
    with Reader(str(path)) as reader:
        for z, x, y in colour.places(colour.max_zoom + step)[:40:3]:
            if not reader.tile_exists(x, y, z):
                continue
            image = reader.tile(x, y, z, tilesize=px, **options).array
            pixels, seen = decoding.compose(shown, z, x, y, px)
            assert (seen == ~image.mask.all(axis=0)).all()
            assert (pixels == image.data)[:, seen].all()


# --- files that lie --------------------------------------------------------------------------------------------------


def entry_of(data: bytearray, tag: int, nth: int = 0) -> int:
    """Where the nth image of a small-endian classic TIFF describes the tag."""
    (offset,) = struct.unpack_from("<I", data, 4)
    while offset:
        (n_tags,) = struct.unpack_from("<H", data, offset)
        for k in range(n_tags):
            at = offset + 2 + 12 * k
            if struct.unpack_from("<H", data, at)[0] == tag:
                if nth == 0:
                    return at
                nth -= 1
        (offset,) = struct.unpack_from("<I", data, offset + 2 + 12 * n_tags)
    raise AssertionError(f"no tag {tag}")


def set_list(data: bytearray, tag: int, value: int) -> None:
    """Every value of a list of 4-byte numbers of the first image."""
    at = entry_of(data, tag)
    kind, count, offset = struct.unpack_from("<HII", data, at + 2)
    assert kind == 4 and count > 1
    struct.pack_into(f"<{count}I", data, offset, *[value] * count)


def offsets_beyond(data):
    set_list(data, tiff.OFFSETS, len(data) + 10)


def offsets_at_the_end(data):
    set_list(data, tiff.OFFSETS, len(data) - 6)


def offsets_into_the_header(data):
    set_list(data, tiff.OFFSETS, 0)


def offsets_of_another_block(data):
    """A place in the file that is a JPEG of another size: the tables."""
    at = entry_of(data, tiff.JPEG_TABLES)
    count, offset = struct.unpack_from("<II", data, at + 4)
    set_list(data, tiff.OFFSETS, offset)
    set_list(data, tiff.COUNTS, count)


def sizes_beyond(data):
    set_list(data, tiff.COUNTS, 2**31)


def too_few_offsets(data):
    struct.pack_into("<I", data, entry_of(data, tiff.OFFSETS) + 4, 3)


def too_many_offsets(data):
    struct.pack_into("<I", data, entry_of(data, tiff.OFFSETS) + 4, 2**30)


def lists_beyond(data):
    struct.pack_into("<I", data, entry_of(data, tiff.OFFSETS) + 8, len(data) - 2)


def ifd_in_a_circle(data):
    (first,) = struct.unpack_from("<I", data, 4)
    (n_tags,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * n_tags, first)


def ifd_beyond(data):
    struct.pack_into("<I", data, 4, len(data) + 1)


def tables_that_are_none(data):
    at = entry_of(data, tiff.JPEG_TABLES)
    (offset,) = struct.unpack_from("<I", data, at + 8)
    data[offset : offset + 2] = b"no"


def mask_that_is_none(data):
    at = entry_of(data, tiff.OFFSETS, 1)
    count, offset = struct.unpack_from("<II", data, at + 4)
    for (place,) in struct.iter_unpack("<I", bytes(data[offset : offset + 4 * count])):
        if place:
            data[place : place + 2] = b"no"


def cut_short(data):
    del data[len(data) // 3 :]


LIES = [
    offsets_beyond,
    offsets_at_the_end,
    offsets_into_the_header,
    offsets_of_another_block,
    sizes_beyond,
    too_few_offsets,
    too_many_offsets,
    lists_beyond,
    ifd_in_a_circle,
    ifd_beyond,
    tables_that_are_none,
    mask_that_is_none,
    cut_short,
]


@pytest.mark.parametrize("lie", LIES)
def test_hostile_structure_is_a_missing_picture(lie, colour, tmp_path, settings):
    data = bytearray(colour.path.read_bytes())
    lie(data)
    settings.MEDIA_ROOT = str(tmp_path)
    (tmp_path / "lie.tif").write_bytes(data)
    shown = scenes.Shown((scenes.ShownScene("lie.tif", lie.__name__),))
    with pytest.raises(tiles.PictureMissing):
        tiles.render(shown, *colour.full)


def test_hostile_bytes_anywhere_never_crash(colour, tmp_path):
    """A thousand files with wrong bytes in their structure: a tile of the file, or an error of ours."""
    whole, draw = colour.path.read_bytes(), np.random.default_rng(11)
    path, place = tmp_path / "noisy.tif", colour.full
    outcomes = set()
    for _ in range(1000):
        data = bytearray(whole[:200_000])
        for at in draw.integers(0, 5000, 3):
            data[at] = draw.integers(0, 256)
        path.write_bytes(data)
        try:
            file = blocks.AlignedFile(str(path))
            coverage = file.coverage(*place)
            if coverage == "full":
                content = file.jpeg(*place)
                assert content[:2] == b"\xff\xd8" and content[-2:] == b"\xff\xd9"
            outcomes.add(coverage)
        except (tiff.Damaged, struct.error, OverflowError) as error:
            outcomes.add(type(error).__name__)
    assert outcomes <= {"none", "partial", "full", "decode", "Damaged"}, outcomes


def test_a_file_that_shrinks_while_open_is_missing(colour, tmp_path):
    path = tmp_path / "shrinks.tif"
    path.write_bytes(colour.path.read_bytes())
    file = blocks.AlignedFile(str(path))
    assert file.coverage(*colour.full) == "full"
    path.write_bytes(b"II*\0")
    with pytest.raises(tiff.Damaged):
        file.jpeg(*colour.full)


def test_kept_files_are_bounded_and_never_closed_under_a_reader(colour, tmp_path):
    paths = [tmp_path / f"{k}.tif" for k in range(6)]
    for path in paths:
        path.symlink_to(colour.path)
    kept = blocks.Kept(max_files=2)
    first = kept.get(str(paths[0]), "x")
    for path in paths:
        kept.get(str(path), "x")
    assert len(kept._files) == 2
    assert first.jpeg(*colour.full)[:2] == b"\xff\xd8"
    small = blocks.Kept(max_bytes=1)
    for path in paths:
        small.get(str(path), "x")
    assert len(small._files) == 1


def test_threads_share_a_file(colour):
    file, expected, wrong = blocks.AlignedFile(str(colour.path)), {}, []
    places = [place for place in colour.places(colour.max_zoom) if file.coverage(*place) == "full"]
    expected = {place: file.jpeg(*place) for place in places}
    shared = blocks.AlignedFile(str(colour.path))

    def read() -> None:
        for place in places * 20:
            if shared.coverage(*place) != "full" or shared.jpeg(*place) != expected[place]:
                wrong.append(place)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_block_costs_a_small_part_of_decoding(colour, settings):
    """A ratio in one process; `./dev bench tiles` measures the servers."""
    settings.MEDIA_ROOT = str(colour.path.parent)
    shown = scenes.Shown((scenes.ShownScene(colour.path.name, "x"),))

    def best_of(*wanted) -> float:
        times = []
        for _ in range(20):
            began = time.perf_counter()
            tiles.render(shown, *colour.full, *wanted)
            times.append(time.perf_counter() - began)
        return min(times)

    assert best_of() * 4 < best_of(tiles.Wanted(packing="lossless"))
