"""Files of arrays: their bytes follow from the arrays, nothing but arrays comes back, and nothing is half there."""

import os
import pickle
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from labels import disk
from labels.errors import BadInput
from labels.whole_file import DiskFull
from predictions import storage
from predictions.models import FeatureSet
from predictions.storage import FileDamaged, Streamed

draw = np.random.default_rng(5)
ARRAYS = {
    "cells": np.arange(14, dtype=np.int32).reshape(7, 2),
    "features": draw.random((7, 5)).astype(np.float32),
    "flags": np.array([True, False]),
    "name": np.array("Wandara, Kessou"),
    "empty": np.zeros((0, 4)),
    "number": np.float64(3.5),
}


def test_what_is_written_is_read_again_and_by_numpy_too(tmp_path):
    digest = storage.write_arrays(tmp_path / "deep" / "a.npz", **ARRAYS)
    found = storage.read_arrays(tmp_path / "deep" / "a.npz", sha256=digest)
    by_numpy = np.load(tmp_path / "deep" / "a.npz", allow_pickle=False)
    for name, array in ARRAYS.items():
        for read in (found[name], by_numpy[name]):
            assert np.array_equal(read, array) and read.dtype == np.asarray(array).dtype, name
    assert set(found) == set(ARRAYS)
    assert oct((tmp_path / "deep" / "a.npz").stat().st_mode & 0o777) == "0o600"


def test_equal_arrays_are_equal_files_whatever_order_layout_and_time(tmp_path):
    one = storage.write_arrays(tmp_path / "a.npz", **ARRAYS)
    turned = dict(reversed(ARRAYS.items())) | {"features": np.asfortranarray(ARRAYS["features"])}
    os.utime(tmp_path / "a.npz", (0, 0))
    other = storage.write_arrays(tmp_path / "b.npz", **turned)
    big_endian = ARRAYS | {"cells": ARRAYS["cells"].astype(">i4")}
    assert one == other == storage.write_arrays(tmp_path / "c.npz", **big_endian)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert one != storage.write_arrays(tmp_path / "d.npz", **ARRAYS | {"number": np.float64(4)})


def test_blocks_one_after_another_make_the_same_file(tmp_path):
    features = ARRAYS["features"]
    streamed = Streamed(features.dtype, features.shape, (features[k : k + 3] for k in range(0, 7, 3)))
    whole = storage.write_arrays(tmp_path / "a.npz", features=features)
    assert storage.write_arrays(tmp_path / "b.npz", features=streamed) == whole


@pytest.mark.parametrize("blocks", [[np.zeros((6, 5))], [np.zeros((7, 4))], [np.zeros(35)]])
def test_blocks_that_do_not_add_up_leave_no_file(tmp_path, blocks):
    with pytest.raises(ValueError, match="features"):
        storage.write_arrays(tmp_path / "a.npz", features=Streamed(np.dtype("f4"), (7, 5), blocks))
    assert not list(tmp_path.iterdir())


def test_python_objects_go_neither_in_nor_out(tmp_path):
    with pytest.raises(ValueError, match="not stored"):
        storage.write_arrays(tmp_path / "a.npz", x=np.array([{}, []], dtype=object))
    np.savez(tmp_path / "b.npz", x=np.array([print], dtype=object))
    (tmp_path / "c.npz").write_bytes(pickle.dumps(print))
    for name in ("b.npz", "c.npz"):
        with pytest.raises(FileDamaged, match="cannot be read"):
            storage.read_arrays(tmp_path / name)


def test_big_arrays_are_mapped_and_aligned(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "BLOCK_BYTES", 100)
    storage.write_arrays(tmp_path / "a.npz", **ARRAYS)
    features = storage.read_arrays(tmp_path / "a.npz")["features"]
    assert isinstance(features, np.memmap) and features.flags.aligned and features.offset % 64 == 0
    assert np.array_equal(features, ARRAYS["features"])
    with pytest.raises(ValueError):
        features[0] = 0


def test_whatever_byte_of_a_directory_changes_the_file_is_read_or_said_to_be_damaged(tmp_path):
    path = tmp_path / "a.npz"
    storage.write_arrays(path, **ARRAYS)
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    for at in range(start, len(content)):
        changed = bytearray(content)
        changed[at] ^= 0x41
        path.write_bytes(changed)
        with suppress(FileDamaged):
            storage.read_arrays(path)


def test_a_file_that_is_lost_cut_or_changed_says_so(tmp_path):
    path = tmp_path / "a.npz"
    digest = storage.write_arrays(path, **ARRAYS)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FileDamaged, match="cannot be read"):
        storage.read_arrays(path)
    path.write_bytes(content.replace(b"Wandara"[:1], b"w"))
    with pytest.raises(FileDamaged, match="changed or damaged"):
        storage.read_arrays(path, sha256=digest)
    with pytest.raises(FileDamaged, match="missing"):
        storage.read_arrays(tmp_path / "b.npz")


def test_a_failed_write_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    storage.write_arrays(path, x=np.ones(3))
    before = path.read_bytes()

    def full(_path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "sync", full)
    with pytest.raises(DiskFull, match="full"):
        storage.write_arrays(path, x=np.zeros(3))
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_writer_left_is_cleared_a_day_later(tmp_path):
    left, young = tmp_path / ".old.a.npz", tmp_path / ".young.a.npz"
    for path in (left, young):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    storage.write_arrays(tmp_path / "a.npz", x=np.ones(3))
    assert not left.exists() and young.exists()


def test_entries_name_no_time_and_no_machine(tmp_path):
    storage.write_arrays(tmp_path / "a.npz", **ARRAYS)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        entries = archive.infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert [entry.filename for entry in entries] == sorted(f"{name}.npy" for name in ARRAYS)


# ---- cells ----


def test_cells_are_ordered_from_north_to_south_then_from_west_to_east():
    cells = np.array([[5, -3], [-5, 2], [4, 2], [-6, -3]], dtype=np.int32)
    ordered = cells[storage.sorted_cells(cells)]
    assert ordered.tolist() == [[-5, 2], [4, 2], [-6, -3], [5, -3]]
    assert (np.diff(storage.cell_keys(ordered)) > 0).all()


def test_cells_and_their_names_and_centres_belong_together():
    cells = storage.cells_of([-0.125, 29.0, 0.29], [11.135, -0.29, -0.001])
    assert cells.tolist() == [[-13, 1113], [2900, -29], [29, -1]]
    assert storage.cell_names(cells)[0] == "lon_-0.125__lat_11.135"
    assert storage.centres_of(cells)[0].tolist() == [-0.125, 11.135]
    assert (storage.cells_of(*storage.centres_of(cells).T) == cells).all()


def test_rows_of_cells_that_are_not_there_are_minus_one():
    cells = np.array([[4, 2], [-6, -3], [5, -3]], dtype=np.int32)
    assert storage.rows_of(cells, np.array([[5, -3], [9, 9], [4, 2]])).tolist() == [2, -1, 0]
    assert storage.rows_of(cells[:0], cells).tolist() == [-1, -1, -1]
    assert storage.rows_of(cells, cells[:0]).tolist() == []


@pytest.mark.django_db
def test_features_that_are_not_ready_are_not_loaded(project):
    with pytest.raises(BadInput, match="not ready"):
        storage.load_features(FeatureSet(project=project, name="Half"))
