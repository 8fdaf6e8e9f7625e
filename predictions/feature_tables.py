"""Tables of features as other programs write them, read in batches and laid out by grid cell.

Runs in the confined process (predictions.feature_child). Rows are counted as a spreadsheet shows them: the header is
row 1.
"""

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path

import numpy as np
import pyarrow as pa
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labels.errors import BadInput

CELLS_FILE, FEATURES_FILE = "cells.i4", "features.f4"
MAX_COLUMNS = 16_384
MAX_ROWS = 4_000_000
BATCH_ROWS = 512
CSV_BLOCK_BYTES = 8 * 2**20
# A place may lie this far from its cell's centre, as a share of the cell: 55 m.
OFF_CENTRE = 0.05
CELLS_PER_DEGREE = 100

LAT, LON, IMAGE_ID = ("lat", "latitude"), ("lon", "lng", "long", "longitude"), ("image_id",)
_FEATURE = re.compile(r"(x_?|features?_)(\d{1,6})", re.IGNORECASE)
_IMAGE_ID = re.compile(r"lat_(-?\d{1,2}(?:--|\.)\d{1,9})__lon_(-?\d{1,3}(?:--|\.)\d{1,9})")


@dataclass(frozen=True)
class Header:
    features: tuple[str, ...]  # in the order of their numbers
    lat: str
    lon: str
    image_id: str  # empty where lat and lon say the place
    ignored: tuple[str, ...]

    @property
    def place(self) -> list[str]:
        return [self.image_id] if self.image_id else [self.lat, self.lon]


def written(path: Path, folder: Path, *, expected: tuple | None = None, max_bytes: int = 2**33) -> dict:
    """Lay out a file's features by cell in `folder`; what was found. Errors as of `feature_files.opened`.

    Writes `cells.i4`, int32 (n_rows, 2), and `features.f4`, float32 (n_rows, n_columns), both little-endian.
    """
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    try:
        return _written(_table(path), folder, expected, max_bytes)
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise BadInput(_("The file is damaged: %(why)s") % {"why": str(error)[:200]}) from error
    except OSError as error:
        if error.errno != ENOSPC:
            raise BadInput(_("The file is damaged: %(why)s") % {"why": str(error)[:200]}) from error
        raise BadInput(_("There is no room on the server for the features of this file.")) from error


def _written(table: "Table", folder: Path, expected: tuple | None, max_bytes: int) -> dict:
    header = header_of(table.names)
    cells = _cells(table, header, expected)
    if len(cells) * len(header.features) * 4 > max_bytes:
        raise BadInput(
            _("The file has %(rows)d rows of %(columns)d features, more than %(gib)d GiB. Cut it into parts.")
            % {"rows": len(cells), "columns": len(header.features), "gib": max_bytes // 2**30}
        )
    order = np.lexsort([cells[:, 0], -cells[:, 1]])
    _refuse_duplicates(cells, order)
    (folder / CELLS_FILE).write_bytes(cells[order].astype("<i4").tobytes())
    n_empty = _write_features(table, header, order, folder / FEATURES_FILE)
    names = {"columns": list(header.features), "ignored": list(header.ignored)}
    return {"n_rows": len(cells), "n_without_features": n_empty} | names


def _write_features(table: "Table", header: Header, order: NDArray[np.int64], path: Path) -> int:
    """Each row where its cell stands in the order; how many had no feature at all."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    width, done, n_empty = len(header.features) * 4, 0, 0
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for batch in table.batches(header.features):
            values = _numbers(batch, header.features, done)
            is_empty = np.isnan(values).all(axis=1)
            _refuse_odd(values, is_empty, header.features, done, batch)
            n_empty += int(is_empty.sum())
            values = values.astype("<f4")
            for row, position in enumerate(place[done : done + len(values)]):
                os.pwrite(file, values[row].tobytes(), int(position) * width)
            done += len(values)
    finally:
        os.close(file)
    if done != len(order):
        raise BadInput(_("The file has %(n)d rows the second time it is read, not as before.") % {"n": done})
    if n_empty == done:
        raise BadInput(_("No row of the file has a feature."))
    return n_empty


# ---- what columns are ----


def header_of(names: list[str]) -> Header:
    """Which columns are the place and which the features; BadInput in words where they cannot be told."""
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()
    if twice:
        raise BadInput(_("The column %(name)s is in the file twice.") % {"name": min(twice)})
    lat, lon, image_id = (_one_of(names, known) for known in (LAT, LON, IMAGE_ID))
    if not image_id and not (lat and lon):
        raise BadInput(
            _("The file has no columns lat and lon, nor image_id. Its columns are: %(names)s.")
            % {"names": ", ".join(names[:8]) + ("…" if len(names) > 8 else "")}
        )
    features = _feature_columns(names)
    if lat and lon:
        image_id = ""
    known = {lat, lon, image_id, *features}
    return Header(features, lat, lon, image_id, tuple(name for name in names if name not in known))


def _one_of(names: list[str], known: tuple[str, ...]) -> str:
    found = [name for name in names if name.strip().lower() in known]
    if len(found) > 1:
        words = _("The columns %(names)s mean the same. Leave one of them out.")
        raise BadInput(words % {"names": ", ".join(found)})
    return found[0] if found else ""


def _feature_columns(names: list[str]) -> tuple[str, ...]:
    named = [(match[1].lower(), int(match[2]), name) for name in names if (match := _FEATURE.fullmatch(name.strip()))]
    if not named:
        raise BadInput(_("The file has no columns of features: they are named X_0, X_1 … or feature_0, feature_1 …"))
    if len({prefix for prefix, *_ in named}) > 1:
        words = _("The features are named in two ways, such as %(one)s and %(other)s.")
        one, other = (
            next(name for p, _, name in named if p == prefix) for prefix in sorted({p for p, *_ in named})[:2]
        )
        raise BadInput(words % {"one": one, "other": other})
    if len(named) > MAX_COLUMNS:
        words = _("The file has %(n)d features, more than %(most)d.")
        raise BadInput(words % {"n": len(named), "most": MAX_COLUMNS})
    named.sort(key=lambda each: each[1])
    numbers = [number for _, number, _ in named]
    first = numbers[0]
    for expected, (prefix, number, name) in enumerate(named, start=first if first in (0, 1) else 0):
        if number == expected:
            continue
        if number < expected:
            raise BadInput(_("The feature %(name)s is in the file twice.") % {"name": name})
        words = _("The feature %(missing)s is missing: after it there is %(name)s.")
        raise BadInput(words % {"missing": f"{prefix}{expected}", "name": name})
    return tuple(name for *_, name in named)


# ---- places ----


def _cells(table: "Table", header: Header, expected: tuple | None) -> NDArray[np.int64]:
    """Column and row of each row's cell, (n, 2), in the file's order."""
    parts, done = [], 0
    for batch in table.batches(header.place):
        lat, lon = _places(batch, header, done)
        _refuse_off_globe(lat, lon, header, done)
        parts.append(_aligned(lat, lon, done))
        done += len(lat)
        if done > MAX_ROWS:
            raise BadInput(_("The file has more than %(most)d rows. Cut it into parts.") % {"most": MAX_ROWS})
    if not done:
        raise BadInput(_("The file has no rows."))
    cells = np.concatenate(parts)
    if expected:
        _refuse_elsewhere(cells, expected)
    return cells


def _places(batch: pa.RecordBatch, header: Header, done: int) -> tuple[NDArray, NDArray]:
    if not header.image_id:
        lat, lon = _numbers(batch, [header.lat, header.lon], done).T
        return lat, lon
    found = batch.column(0)
    if pa.types.is_dictionary(found.type):
        found = found.dictionary_decode()
    places = np.empty((batch.num_rows, 2))
    for row, name in enumerate(found.to_pylist()):
        match = _IMAGE_ID.fullmatch(name.strip()) if isinstance(name, str) else None
        if match is None:
            words = _(
                "Row %(row)d, column %(column)s: %(value)s is no place; they are written lat_8--505__lon_-11--995."
            )
            raise BadInput(words % {"row": done + row + 2, "column": header.image_id, "value": repr(name)[:60]})
        places[row] = [float(part.replace("--", ".")) for part in match.groups()]
    return places[:, 0], places[:, 1]


def _refuse_off_globe(lat: NDArray, lon: NDArray, header: Header, done: int) -> None:
    for values, limit, name in ((lat, 90, header.lat or header.image_id), (lon, 180, header.lon or header.image_id)):
        wrong = np.flatnonzero(~(np.abs(values) < limit))
        if not len(wrong):
            continue
        row, value = int(wrong[0]), values[wrong[0]]
        said = {"row": done + row + 2, "column": name, "value": f"{value:g}", "limit": limit}
        if limit == 90 and np.abs(value) < 180 and np.abs(lon[row]) < 90:
            words = _("Row %(row)d, column %(column)s: %(value)s is no latitude. Are lat and lon swapped?")
        else:
            words = _("Row %(row)d, column %(column)s: %(value)s is not between -%(limit)d and %(limit)d degrees.")
        raise BadInput(words % said)


def _aligned(lat: NDArray, lon: NDArray, done: int) -> NDArray[np.int64]:
    """The cells of which these are the centres, near enough."""
    scaled = np.column_stack([lon, lat]) * CELLS_PER_DEGREE
    cells = np.floor(scaled).astype(np.int64)
    wrong = np.flatnonzero((np.abs(scaled - cells - 0.5) > OFF_CENTRE).any(axis=1))
    if len(wrong):
        row = int(wrong[0])
        said = {"row": done + row + 2, "lat": f"{lat[row]:g}", "lon": f"{lon[row]:g}"}
        words = _(
            "Row %(row)d: lat %(lat)s, lon %(lon)s is no centre of a cell of the 0.01 degree grid, such as 8.505, "
            "-11.995. Features of coarser grids or of other places cannot be used."
        )
        raise BadInput(words % said)
    return cells


def _refuse_elsewhere(cells: NDArray[np.int64], expected: tuple) -> None:
    west, south, east, north = expected

    def n_within(lon: NDArray, lat: NDArray) -> int:
        return int(((lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)).sum())

    lon, lat = ((cells + 0.5) / CELLS_PER_DEGREE).T
    if n_within(lon, lat):
        return
    if n_within(lat, lon):
        raise BadInput(_("No row of the file lies in the project's country; with lat and lon swapped they would."))
    words = _(
        "No row of the file lies in the project's country. Its rows reach from lat %(south)s to %(north)s and from "
        "lon %(west)s to %(east)s."
    )
    said = {"south": lat.min(), "north": lat.max(), "west": lon.min(), "east": lon.max()}
    raise BadInput(words % {name: f"{value:.3f}" for name, value in said.items()})


def _refuse_duplicates(cells: NDArray[np.int64], order: NDArray[np.int64]) -> None:
    same = np.flatnonzero((cells[order][1:] == cells[order][:-1]).all(axis=1))
    if not len(same):
        return
    one, other = sorted(int(row) + 2 for row in order[same[0] : same[0] + 2])
    lon, lat = (cells[order[same[0]]] + 0.5) / CELLS_PER_DEGREE
    words = _("Rows %(one)d and %(other)d are of one cell, lat %(lat).3f, lon %(lon).3f. Leave one of them out.")
    if len(same) > 1:
        words = _(
            "Rows %(one)d and %(other)d are of one cell, lat %(lat).3f, lon %(lon).3f, and so are %(n)d pairs in all."
        )
    raise BadInput(words % {"one": one, "other": other, "lat": lat, "lon": lon, "n": len(same)})


# ---- numbers ----


def _numbers(batch: pa.RecordBatch, names, done: int) -> NDArray[np.float64]:
    """Columns as float64 (n_rows, n_columns); nan where there is none."""
    values = np.empty((batch.num_rows, len(names)))
    for number, name in enumerate(names):
        column = batch.column(batch.schema.get_field_index(name))
        kind = column.type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            words = _("The column %(name)s holds %(kind)s, not numbers.")
            raise BadInput(words % {"name": name, "kind": str(kind)[:40]})
        values[:, number] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _refuse_odd(values: NDArray, is_empty: NDArray, names: tuple[str, ...], done: int, batch: pa.RecordBatch) -> None:
    """A row has all its features or none; each goes into four bytes."""
    is_odd = ~(np.abs(values) <= np.finfo(np.float32).max)
    is_odd[is_empty] = False
    if not is_odd.any():
        return
    row, number = (int(index) for index in np.argwhere(is_odd)[0])
    given = batch.column(batch.schema.get_field_index(names[number]))[row].as_py()
    said = {"row": done + row + 2, "column": names[number], "value": given}
    if given is None:
        raise BadInput(_("Row %(row)d, column %(column)s: the feature is missing.") % said)
    raise BadInput(_("Row %(row)d, column %(column)s: %(value)s is no number that can be used.") % said)


# ---- formats ----


class Table:
    """A file as batches of a few rows, each time from its beginning."""

    names: list[str]

    def batches(self, columns) -> Iterator[pa.RecordBatch]:
        raise NotImplementedError


class ParquetTable(Table):
    def __init__(self, path: Path):
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path, memory_map=False, pre_buffer=False)
        self.names = list(self._file.schema_arrow.names)
        _refuse_many(self._file.metadata.num_rows)

    def batches(self, columns):
        return self._file.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False)


class FeatherTable(Table):
    """Feather's second version is Arrow's file of batches."""

    def __init__(self, path: Path):
        self._path = path
        with pa.OSFile(str(path)) as file:
            self.names = list(pa.ipc.open_file(file).schema.names)

    def batches(self, columns):
        wanted = sorted(self.names.index(name) for name in columns)
        options = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
        with pa.OSFile(str(self._path)) as file:
            reader = pa.ipc.open_file(file, options=options)
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    yield batch.slice(start, BATCH_ROWS)


class CsvTable(Table):
    def __init__(self, path: Path):
        self._path = path
        with path.open("rb") as file:
            head = file.readline(CSV_BLOCK_BYTES)
        try:
            text = head.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadInput(_("The file is no CSV in UTF-8, Parquet or Feather.")) from None
        self._delimiter = max(",;\t", key=text.count)
        self.names = [name.strip() for name in next(csv.reader([text], delimiter=self._delimiter), [])]
        if len(self.names) < 2 or "\0" in text:
            raise BadInput(_("The file is no CSV with a header, Parquet or Feather."))

    def batches(self, columns):
        from pyarrow import csv as arrow_csv

        texts = {name for name in columns if name.strip().lower() in IMAGE_ID}
        kinds = {name: pa.string() if name in texts else pa.float64() for name in columns}
        reading = arrow_csv.ReadOptions(
            use_threads=False, block_size=CSV_BLOCK_BYTES, column_names=self.names, skip_rows=1
        )
        parsing = arrow_csv.ParseOptions(delimiter=self._delimiter)
        converting = arrow_csv.ConvertOptions(column_types=kinds, include_columns=list(columns))
        try:
            reader = arrow_csv.open_csv(self._path, reading, parsing, converting)
            for batch in reader:
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    yield batch.slice(start, BATCH_ROWS)
        except pa.ArrowInvalid as error:
            self._refuse_cell(set(columns) - texts)
            raise BadInput(_("The table cannot be read: %(why)s") % {"why": str(error)[:200]}) from error

    def _refuse_cell(self, numbers: set[str]) -> None:
        """Where the table stops being one; goes through it once more, slowly."""
        csv.field_size_limit(CSV_BLOCK_BYTES)
        with self._path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            for row, cells in enumerate(csv.reader(file, delimiter=self._delimiter), start=1):
                if row == 1 or not cells:
                    continue
                if len(cells) != len(self.names):
                    words = _("Row %(row)d has %(n)d columns, the header %(of)d.")
                    raise BadInput(words % {"row": row, "n": len(cells), "of": len(self.names)})
                for name, value in zip(self.names, cells, strict=True):
                    if name in numbers and not _is_number(value):
                        words = _("Row %(row)d, column %(column)s: %(value)s is no number.")
                        raise BadInput(words % {"row": row, "column": name, "value": repr(value)[:60]})


def _table(path: Path) -> Table:
    with path.open("rb") as file:
        head = file.read(8)
    kind = {b"PAR1": ParquetTable, b"ARRO": FeatherTable}.get(head[:4], CsvTable)
    if head[:4] == b"FEA1":
        raise BadInput(_("The file is Feather of version 1. Save it as version 2, Parquet or CSV."))
    if not head:
        raise BadInput(_("The file is empty."))
    return kind(path)


def _refuse_many(n_rows: int) -> None:
    if n_rows > MAX_ROWS:
        raise BadInput(_("The file has more than %(most)d rows. Cut it into parts.") % {"most": MAX_ROWS})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text.strip() or text.strip().lower() in ("na", "null", "n/a")
    return True
