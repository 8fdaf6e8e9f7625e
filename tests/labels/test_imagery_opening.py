import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint

from labels import isolation
from labels.errors import JobCancelled
from labels.imagery import opening, sandbox
from labels.imagery.opening import ImageRefused
from tests import rasters


@pytest.fixture
def prepare(tmp_path):
    """Prepare a file in the real child process; gives the answer."""

    def run(path: Path, report=lambda *progress: None) -> dict:
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        return sandbox.prepare(path=path, roots=[path.parent], folder=folder, report=report)

    return run


@pytest.fixture
def listener():
    """A port on loopback and the connections it received."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        stop = threading.Event()

        def listen():
            while not stop.is_set():
                try:
                    calls.append(server.accept()[1])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], calls
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "name",
    [
        "/vsicurl/http://127.0.0.1/x.tif",
        "/vsizip/x.zip/x.tif",
        "/VSIMEM/x.tif",
        "http://127.0.0.1/x.tif",
        "zip://x.zip!x.tif",
        "<VRTDataset/>",
        '{"type": "mosaic"}',
        "MEM:::DATAPOINTER=1",
        "GTIFF_DIR:1:x.tif",
        "WMS:http://127.0.0.1",
        "x\0.tif",
        "",
    ],
)
def test_hostile_name_that_is_no_file_is_refused(name, tmp_path):
    with pytest.raises(ImageRefused):
        opening.checked_path(name, [tmp_path])


def test_hostile_path_may_not_leave_its_root(tmp_path):
    root, outside = tmp_path / "in", rasters.picture(tmp_path, "out.tif")
    root.mkdir()
    (root / "link.tif").symlink_to(outside)
    with pytest.raises(ImageRefused, match="outside"):
        opening.checked_path(root / "link.tif", [root])
    with pytest.raises(ImageRefused, match="outside"):
        opening.checked_path(root / ".." / "out.tif", [root])
    assert opening.checked_path(outside, [tmp_path]) == outside


@pytest.mark.parametrize("start", [b"", b"<VRTDataset", b"\x89PNG\r\n", b"II*"])
def test_what_does_not_start_like_a_tiff_is_refused(start, tmp_path):
    path = tmp_path / "x.tif"
    path.write_bytes(start)
    with pytest.raises(ImageRefused, match="first bytes"):
        opening.open_raster(path)


def disguised(tmp_path, kind: str, port: int) -> Path:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"TOPSECRET" * 20)
    path = tmp_path / f"{kind}.tif"
    if kind == "vrt":
        return rasters.vrt_that_reads(path, secret)
    if kind == "wms":
        return rasters.wms_that_asks(path, port)
    return rasters.mrf_that_writes(path, tmp_path / "made.bin", port)


@pytest.mark.parametrize("kind", ["vrt", "wms", "mrf"])
def test_hostile_disguised_file_is_refused_without_a_request_or_a_file(kind, tmp_path, listener, prepare):
    port, calls = listener
    path = disguised(tmp_path, kind, port)
    before = set(tmp_path.iterdir()) | {tmp_path / "work"}
    with pytest.raises(ImageRefused, match="first bytes"):
        prepare(path)
    assert set(tmp_path.iterdir()) <= before
    assert list((tmp_path / "work").iterdir()) == []
    assert calls == []


@pytest.mark.parametrize("kind", ["vrt", "wms", "mrf"])
def test_hostile_reading_process_has_no_driver_for_disguised_files(kind, tmp_path, listener):
    """The second layer alone: without the look at the first bytes and without naming the driver."""
    port, calls = listener
    path = disguised(tmp_path, kind, port)
    before = set(tmp_path.iterdir())
    program = f"import rasterio; rasterio.open({str(path)!r}).read()"
    ended = subprocess.run(
        [sys.executable, "-c", program], env=sandbox._environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert "not recognized" in ended.stderr
    assert set(tmp_path.iterdir()) == before
    assert calls == []


def test_the_reading_process_has_no_network(listener):
    prefix = isolation.without_network()
    if not prefix:
        pytest.skip("unshare --net does not work on this machine")
    port, calls = listener
    program = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
    ended = subprocess.run([*prefix, sys.executable, "-c", program], capture_output=True, check=False)
    assert ended.returncode != 0
    assert calls == []


def test_the_reading_process_knows_no_secret_and_no_django(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    assert "secret" not in json.dumps(sandbox._environment(tmp_path))
    program = "import sys, labels.imagery.child, labels.imagery.preparation; print('django' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=isolation.HOME, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "False"


def test_hostile_flood_of_pixels_is_refused_by_its_header(tmp_path, prepare):
    path = rasters.flood(tmp_path / "flood.tif")
    with pytest.raises(ImageRefused, match="200,000 x 200,000"):
        prepare(path)


def test_hostile_mostly_empty_large_picture_is_refused(tmp_path, prepare):
    path = tmp_path / "sparse.tif"
    profile = {"width": 15_000, "height": 14_000, "count": 3, "dtype": "uint8", "tiled": True, "sparse_ok": True}
    place = {"crs": "EPSG:4326", "transform": Affine(1e-5, 0, -11, 0, -1e-5, 7)}
    with rasterio.open(path, "w", driver="GTiff", **profile, **place):
        pass
    with pytest.raises(ImageRefused, match="far more pixels than it holds"):
        prepare(path)


def test_hostile_huge_block_is_refused(tmp_path, prepare):
    path = tmp_path / "strip.tif"
    profile = {"width": 6_000, "height": 6_000, "count": 3, "dtype": "uint8", "blockysize": 6_000}
    profile |= {"tiled": True, "blockxsize": 6_000}
    place = {"crs": "EPSG:4326", "transform": Affine(1e-5, 0, -11, 0, -1e-5, 7), "compress": "deflate"}
    with rasterio.open(path, "w", driver="GTiff", **profile, **place) as dataset:
        dataset.write(np.full((3, 6_000, 6_000), 7, dtype="uint8"))
    with pytest.raises(ImageRefused, match="one huge block"):
        prepare(path)


def test_a_picture_without_a_place_is_refused_in_words(tmp_path, prepare):
    with pytest.raises(ImageRefused, match="does not say where on the ground"):
        prepare(rasters.picture(tmp_path, crs=None))


def test_a_world_file_beside_it_is_not_read(tmp_path, prepare):
    path = rasters.picture(tmp_path, crs=None)
    path.with_suffix(".tfw").write_text("0.0007\n0\n0\n-0.0004\n-60.127\n-5.213\n")
    with pytest.raises(ImageRefused, match="files beside it are not read"):
        prepare(path)


def test_control_points_alone_are_refused_with_the_way_out(tmp_path, prepare):
    path = tmp_path / "gcps.tif"
    points = [GroundControlPoint(row=r, col=c, x=-60 + c / 100, y=-5 - r / 100) for r, c in [(0, 0), (0, 60), (42, 0)]]
    rasters.write(path, rasters.colours(), crs=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = points, "EPSG:4326"
    with pytest.raises(ImageRefused, match="gdalwarp"):
        prepare(path)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (Affine(0.001, 0, 500, 0, -0.001, 5), "not on the map"),
        (Affine(0.001, 0, 5, 0, -0.001, 89), "not on the map"),
        (Affine(5.8, 0, -178, 0, -0.1, 5), "half the world"),
    ],
)
def test_an_impossible_place_is_refused_in_words(place, reason, tmp_path, prepare):
    with pytest.raises(ImageRefused, match=reason):
        prepare(rasters.picture(tmp_path, place=place))


def test_complex_pixels_are_refused(tmp_path, prepare):
    with pytest.raises(ImageRefused, match="no picture"):
        prepare(rasters.write(tmp_path / "radar.tif", rasters.colours().astype("complex64")))


def test_a_picture_of_nothing_is_refused(tmp_path, prepare):
    path = rasters.write(tmp_path / "empty.tif", np.zeros((3, 43, 61), dtype="uint8"), nodata=0)
    with pytest.raises(ImageRefused, match="empty"):
        prepare(path)


def test_a_damaged_file_is_refused(tmp_path, prepare):
    noise = np.random.default_rng(1).integers(0, 255, (3, 400, 500), dtype="uint8")
    path = rasters.write(tmp_path / "cut.tif", noise, compress="deflate", pixel=(0.0001, 0.0001))
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(ImageRefused, match=r"damaged|cannot be read"):
        prepare(path)


def test_progress_is_told_and_a_cancelled_child_is_killed(tmp_path, prepare):
    path = rasters.picture(tmp_path)
    told = []
    prepare(path, lambda *progress: told.append(progress))
    assert told[0][0] == "check"
    assert ("warp", 1, 1) in told

    children = []
    real = subprocess.Popen

    class Watched(real):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            children.append(self)

    def cancel(*progress):
        raise JobCancelled

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", Watched)
        with pytest.raises(JobCancelled):
            prepare(path, cancel)
    assert [child.returncode for child in children] == [-9]
