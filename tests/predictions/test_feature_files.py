"""Feature files of strangers, read by the confined process and laid out by grid cell."""

import time

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labels import geo
from labels.errors import BadInput
from predictions import feature_files, feature_tables

# South of the equator and west of Greenwich, lon unlike lat; from the south west, as no file has to be sorted.
PLACES = [(-11.995, -8.505), (-11.985, -8.505), (-11.995, -8.495), (13.205, -8.495)]
CELLS = [(-1200, -850), (1320, -850), (-1200, -851), (-1199, -851)]
ORDER = [2, 3, 0, 1]


def numbers(n_rows: int = 4, n_columns: int = 3) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n_rows, n_columns)).astype(np.float32)


def table(values: np.ndarray, places=PLACES, prefix="X_", **more) -> pa.Table:
    lon, lat = np.array(places).T
    features = {f"{prefix}{number}": column for number, column in enumerate(values.T)}
    return pa.table({"lat": lat, "lon": lon} | features | more)


def as_csv(rows: pa.Table, path, delimiter=","):
    lines = [delimiter.join(rows.column_names)]
    lines += [delimiter.join("" if v is None else str(v) for v in row.values()) for row in rows.to_pylist()]
    path.write_text("\n".join(lines) + "\n")


def as_feather(rows: pa.Table, path):
    feather.write_feather(rows, path, chunksize=3)


def as_parquet(rows: pa.Table, path):
    pq.write_table(rows, path, row_group_size=3)


FORMATS = {"csv": as_csv, "feather": as_feather, "parquet": as_parquet}


def refusal(path, **more) -> str:
    """Asked in this process: starting one for each sentence would take minutes."""
    with pytest.raises(BadInput) as refused:
        feature_tables.written(path, path.parent, **more)
    return str(refused.value)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_of_the_service_is_laid_out_by_cell(kind, tmp_path):
    values = numbers()
    FORMATS[kind](table(values, place_name=["a", "b", "c", "d"]), tmp_path / "features")
    with feature_files.opened(tmp_path / "features") as found:
        assert found.cells.tolist() == [list(cell) for cell in CELLS]
        assert found.cells.dtype == np.int32
        assert found.features.dtype == np.float32
        np.testing.assert_array_equal(found.features, values[ORDER])
        assert found.columns == ("X_0", "X_1", "X_2")
        assert found.ignored == ("place_name",)
        assert found.n_without_features == 0


def test_cells_named_as_the_service_does_are_the_cells_of_the_grid(tmp_path):
    names = [geo.mosaiks_image_id(geo.grid_cell_ids([lon], [lat])[0]) for lon, lat in PLACES]
    assert names[0] == "lat_-8--505__lon_-11--995"
    values = numbers()
    rows = table(values, prefix="feature_", image_id=pa.array(names).dictionary_encode()).drop(["lat", "lon"])
    as_parquet(rows, tmp_path / "features")
    with feature_files.opened(tmp_path / "features") as found:
        assert found.cells.tolist() == [list(cell) for cell in CELLS]
        np.testing.assert_array_equal(found.features, values[ORDER])


def test_columns_stand_in_the_order_of_their_numbers_whatever_the_order_in_the_file(tmp_path):
    values = numbers(4, 12)
    rows = table(values)
    as_csv(
        rows.select(["X_10", "lon", "X_2", *[n for n in rows.column_names if n not in ("X_10", "lon", "X_2")]]),
        tmp_path / "features",
        delimiter=";",
    )
    with feature_files.opened(tmp_path / "features") as found:
        np.testing.assert_allclose(found.features, values[ORDER])


@pytest.mark.parametrize("n_columns", [8192, feature_tables.MAX_COLUMNS])
def test_the_names_of_many_columns_are_more_than_a_pipe_holds(n_columns, tmp_path):
    as_parquet(table(numbers(4, n_columns), prefix="feature_"), tmp_path / "features")
    began = time.monotonic()

    def tick():
        assert time.monotonic() - began < 60, "the reader waits to be read"

    with feature_files.opened(tmp_path / "features", tick=tick) as found:
        assert len(found.columns) == n_columns


def test_names_that_no_database_takes_are_made_harmless(tmp_path):
    more = {"a\0b": [1, 2, 3, 4], "long" * 500_000: [1, 2, 3, 4]}
    as_parquet(table(numbers(), **more), tmp_path / "features")
    with feature_files.opened(tmp_path / "features") as found:
        assert found.ignored == ("a\N{REPLACEMENT CHARACTER}b", "long" * 50)
    as_parquet(pa.table({"a\0b": [1]}), tmp_path / "features")
    with pytest.raises(BadInput) as refused, feature_files.opened(tmp_path / "features"):
        pass
    assert "\0" not in str(refused.value)


def test_a_row_without_any_feature_is_a_cell_without_imagery(tmp_path):
    values = numbers().astype(float)
    rows = table(values)
    for name in ("X_0", "X_1", "X_2"):
        column = [None, *rows[name].to_pylist()[1:]]
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(column, pa.float64()))
    as_csv(rows, tmp_path / "features")
    with feature_files.opened(tmp_path / "features") as found:
        assert found.n_without_features == 1
        assert np.isnan(found.features[2]).all()
        assert np.isfinite(found.features[[0, 1, 3]]).all()


def test_many_rows_come_in_batches(tmp_path):
    n = 3 * feature_tables.BATCH_ROWS + 5
    generator = np.random.default_rng(0)
    cells = generator.permutation(n)
    places = np.column_stack([cells % 50, cells // 50]) / 100 + 0.005
    values = numbers(n, 2)
    as_feather(table(values, places), tmp_path / "features")
    with feature_files.opened(tmp_path / "features") as found:
        order = np.lexsort([found.cells[:, 0], -found.cells[:, 1]])
        np.testing.assert_array_equal(order, np.arange(n))
        back = {tuple(cell): row.tolist() for cell, row in zip(found.cells, found.features, strict=True)}
    for cell, row in zip(cells, values, strict=True):
        assert back[cell % 50, cell // 50] == row.tolist()


def changed(name: str, row: int, value, kind=None) -> pa.Table:
    rows = table(numbers())
    column = rows[name].to_pylist()
    column[row] = value
    return rows.set_column(rows.column_names.index(name), name, pa.array(column, kind))


@pytest.mark.parametrize(
    ("name", "row", "value", "said"),
    [
        ("X_1", 2, None, "Row 4, column X_1: the feature is missing."),
        ("X_1", 2, float("inf"), "Row 4, column X_1: inf is no number that can be used."),
        ("X_2", 0, 1e39, "Row 2, column X_2: 1e+39 is no number that can be used."),
        ("lat", 1, 95.0, "Row 3, column lat: 95 is no latitude. Are lat and lon swapped?"),
        ("lon", 1, 200.0, "Row 3, column lon: 200 is not between -180 and 180 degrees."),
        ("lat", 3, None, "Row 5, column lat: nan is not between -90 and 90 degrees."),
        ("lat", 3, -8.5, "Row 5: lat -8.5, lon 13.205 is no centre of a cell of the 0.01 degree grid"),
        ("lon", 1, -11.995, "Rows 2 and 3 are of one cell, lat -8.505, lon -11.995. Leave one of them out."),
    ],
)
@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_wrong_is_said_with_row_column_and_value(kind, name, row, value, said, tmp_path):
    FORMATS[kind](changed(name, row, value), tmp_path / "features")
    assert refusal(tmp_path / "features").startswith(said)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("a,b,X_0", "The file has no columns lat and lon, nor image_id. Its columns are: a, b, X_0."),
        ("lat,lon,b", "The file has no columns of features"),
        ("lat,lon,X_0,X_2", "The feature x_1 is missing: after it there is X_2."),
        ("lat,lon,X_2,X_3", "The feature x_0 is missing: after it there is X_2."),
        ("lat,lon,X_0,X_00", "The feature X_00 is in the file twice."),
        ("lat,lon,X_0,X_0", "The column X_0 is in the file twice."),
        ("lat,lon,X_0,feature_1", "The features are named in two ways, such as feature_1 and X_0."),
        ("lat,lon,latitude,X_0", "The columns lat, latitude mean the same."),
        ("image_id,X_0", "Row 2, column image_id: '1' is no place"),
    ],
)
def test_columns_that_cannot_be_told_are_refused(header, said, tmp_path):
    path = tmp_path / "features"
    path.write_text(f"{header}\n{','.join('1' for _ in header.split(','))}\n")
    assert refusal(path).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lat,lon,X_0\n8.505,1.005,1\n8.515,1.005,abc\n", "Row 3, column X_0: 'abc' is no number."),
        ("lat,lon,X_0\n8.505,1.005,1\n8.515,1.005\n", "Row 3 has 2 columns, the header 3."),
        ("lat,lon,X_0\n", "The file has no rows."),
        ("lat,lon,X_0\n8.505,1.005,\n", "No row of the file has a feature."),
        ("", "The file is empty."),
        ("nothing\n", "The file is no CSV with a header, Parquet or Feather."),
        ("lat,lon,caf\udce9\n", "The file is no CSV in UTF-8, Parquet or Feather."),
        ("PAR1 and nothing more", "The file is damaged: "),
        ("ARROW1 and nothing more", "The file is damaged: "),
        ("FEA1", "The file is Feather of version 1."),
    ],
)
def test_files_that_are_no_table_are_refused(text, said, tmp_path):
    path = tmp_path / "features"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert refusal(path).startswith(said)


def test_columns_of_words_are_refused(tmp_path):
    as_parquet(table(numbers()).append_column("X_3", pa.array(list("abcd"))), tmp_path / "features")
    assert refusal(tmp_path / "features") == "The column X_3 holds string, not numbers."


def test_a_file_of_another_country_is_refused_and_swapped_places_are_recognised(tmp_path):
    as_csv(table(numbers()), tmp_path / "features")
    swapped = refusal(tmp_path / "features", expected=(-9, -12.5, -8, -11))
    assert swapped == "No row of the file lies in the project's country; with lat and lon swapped they would."
    elsewhere = refusal(tmp_path / "features", expected=(20, 40, 30, 50))
    assert elsewhere.endswith("reach from lat -8.505 to -8.495 and from lon -11.995 to 13.205.")
    assert feature_tables.written(tmp_path / "features", tmp_path, expected=(-13, -9, -11, -8))["n_rows"] == 4


def test_a_file_that_claims_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_files, "MAX_GIB", 0)
    as_csv(table(numbers()), tmp_path / "features")
    with pytest.raises(BadInput, match="more than 0 GiB"), feature_files.opened(tmp_path / "features"):
        pass


def test_cancelling_ends_the_reader(tmp_path):
    """A named pipe nobody writes to: the reader waits for ever."""
    import os

    class CancelledError(Exception):
        pass

    def tick():
        raise CancelledError

    os.mkfifo(tmp_path / "features")
    with pytest.raises(CancelledError), feature_files.opened(tmp_path / "features", tick=tick):
        pass


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(0, 3000), byte=st.integers(0, 255), kind=st.sampled_from(["feather", "parquet"]))
def test_a_damaged_file_is_refused_or_read_never_more(cut, byte, kind, tmp_path_factory):
    """In this process, where a crash would be seen."""
    folder = tmp_path_factory.mktemp("damaged")
    FORMATS[kind](table(numbers()), folder / "whole")
    content = bytearray((folder / "whole").read_bytes())
    content[cut % len(content)] = byte
    (folder / "features").write_bytes(bytes(content))
    try:
        told = feature_tables.written(folder / "features", folder)
    except (BadInput, MemoryError):
        return
    assert told["n_rows"] > 0
