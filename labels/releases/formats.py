"""Files made from a snapshot. The same labels give the same bytes, today and later: no clock, no order of ours.

Text that a spreadsheet would run as a formula is neutralised in CSV only, and only in text columns: other formats are
not opened by spreadsheets, and a quote before a negative latitude would break it.

Libraries of single formats are imported when such a file is written: together they take half a second of each start.
"""

import csv
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labels.models import ReleaseFile
from labels.releases.columns import CELL_COLUMNS, LABEL_COLUMNS, Column
from labels.releases.snapshot import Snapshot
from labels.spreadsheets import safe_text

if TYPE_CHECKING:
    import pyarrow as pa

Format = ReleaseFile.Format

LIST_SEPARATOR = "; "
# Written where a format insists on a time: files say what the labels are, the data card says when they were made.
NO_TIME = "1970-01-01T00:00:00.000Z"
GEOPARQUET_VERSION = "1.1.0"


@dataclass(frozen=True, slots=True)
class FileKind:
    extension: str
    content_type: str
    write: Callable[[Snapshot, str, Path], None]
    # Whether a row is a grid cell rather than a record.
    has_cells: bool = False


def write(format: str, snapshot: Snapshot, content_sha256: str, path: Path) -> int:
    """Write the snapshot to a file of this format; the number of its rows."""
    kind = KINDS[Format(format)]
    kind.write(snapshot, content_sha256, path)
    return n_rows(format, snapshot)


def n_rows(format: str, snapshot: Snapshot) -> int:
    return len(snapshot.cells if KINDS[Format(format)].has_cells else snapshot.labels)


def _label_rows(snapshot: Snapshot, content_sha256: str) -> Iterator[dict]:
    for row in snapshot.labels:
        yield {"content_sha256": content_sha256, **row}


def position(row: dict) -> tuple[float, float] | None:
    """Where the label is drawn: at the mine if there is one, else at the reported point."""
    for point in ("corrected", "reported"):
        if row[f"{point}_lon"] is not None:
            return row[f"{point}_lon"], row[f"{point}_lat"]
    return None


def _columns(columns: list[Column], rows: list[dict]) -> list[Column]:
    """Those the snapshot holds: one of an earlier version has fewer, and its files must come out as they did."""
    return [column for column in columns if not rows or column.name in rows[0]]


# ---- CSV ----


def _cell_of_csv(column: Column, value) -> str:
    if value is None:
        return ""
    if column.type == "list":
        return safe_text(LIST_SEPARATOR.join(value))
    if column.type == "text":
        return safe_text(value)
    return value if column.type == "date" else repr(value)


def _write_table(all_columns: list[Column], rows: list[dict], path: Path) -> None:
    columns = _columns(all_columns, rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")  # as RFC 4180; with "\n" alone a CR in a text is not quoted
        writer.writerow([column.name for column in columns])
        writer.writerows([_cell_of_csv(column, row[column.name]) for column in columns] for row in rows)


def _write_csv(snapshot: Snapshot, content_sha256: str, path: Path) -> None:
    _write_table(LABEL_COLUMNS, list(_label_rows(snapshot, content_sha256)), path)


def _write_mosaiks(snapshot: Snapshot, content_sha256: str, path: Path) -> None:
    _write_table(CELL_COLUMNS, snapshot.cells, path)


# ---- GeoJSON ----


def _write_geojson(snapshot: Snapshot, content_sha256: str, path: Path) -> None:
    """RFC 7946, one feature per line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write('{"type":"FeatureCollection","features":[')
        rows = list(_label_rows(snapshot, content_sha256))
        columns = _columns(LABEL_COLUMNS, rows)
        for number, row in enumerate(rows):
            file.write(",\n" if number else "\n")
            json.dump(_feature(row, columns), file, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        file.write("\n]}\n")


def _feature(row: dict, columns: list[Column]) -> dict:
    at = position(row)
    return {
        "type": "Feature",
        "id": row["unit"],
        "geometry": {"type": "Point", "coordinates": list(at)} if at else None,
        "properties": {column.name: row[column.name] for column in columns},
    }


# ---- GeoPackage ----


def _write_gpkg(snapshot: Snapshot, content_sha256: str, path: Path) -> None:
    import pyogrio

    rows = list(_label_rows(snapshot, content_sha256))
    columns = _columns(LABEL_COLUMNS, rows)
    values, missing = zip(*(_ogr_column(column, rows) for column in columns), strict=True)
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": NO_TIME})
    try:
        pyogrio.raw.write(
            path,
            geometry=np.array([_wkb(position(row)) for row in rows], dtype=object),
            field_data=list(values),
            fields=[column.name for column in columns],
            field_mask=list(missing),
            geometry_type="Point",
            crs="EPSG:4326",
            driver="GPKG",
            layer="labels",
        )
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _ogr_column(column: Column, rows: list[dict]) -> tuple[np.ndarray, np.ndarray | None]:
    """A column as arrays of values and of what is missing (numbers only: text and dates carry their own)."""
    values = [row[column.name] for row in rows]
    if column.type == "list":
        return np.array([LIST_SEPARATOR.join(value) for value in values], dtype=object), None
    if column.type == "text":
        return np.array(values, dtype=object), None
    if column.type == "date":
        return np.array([value or "NaT" for value in values], dtype="datetime64[D]"), None
    missing = np.array([value is None for value in values], dtype=bool)
    dtype = np.float64 if column.type == "number" else np.int32
    return np.array([0 if value is None else value for value in values], dtype=dtype), missing


def _wkb(point: tuple[float, float] | None) -> bytes | None:
    """A point as little-endian well-known binary."""
    return None if point is None else struct.pack("<BIdd", 1, 1, *point)


# ---- GeoParquet ----


def _write_geoparquet(snapshot: Snapshot, content_sha256: str, path: Path) -> None:
    """GDAL's wheel has no Parquet driver: the `geo` metadata of GeoParquet 1.1 is written here (CRS84 by default)."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = list(_label_rows(snapshot, content_sha256))
    columns = _columns(LABEL_COLUMNS, rows)
    points = [position(row) for row in rows]
    arrays = [_arrow_column(column, rows) for column in columns] + [pa.array(map(_wkb, points), pa.binary())]
    names = [*(column.name for column in columns), "geometry"]
    table = pa.Table.from_arrays(arrays, names=names)
    metadata = {"geo": json.dumps(_geo_metadata(points), sort_keys=True)}
    parquet.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def _arrow_column(column: Column, rows: list[dict]) -> "pa.Array":
    import pyarrow as pa

    types = {"text": pa.string(), "number": pa.float64(), "integer": pa.int32(), "list": pa.list_(pa.string())}
    values = [row[column.name] for row in rows]
    if column.type == "date":
        return pa.array(np.array([value or "NaT" for value in values], dtype="datetime64[D]"), pa.date32())
    return pa.array(values, types[column.type])


def _geo_metadata(points: list[tuple[float, float] | None]) -> dict:
    geometry = {"encoding": "WKB", "geometry_types": ["Point"]}
    known = np.array([point for point in points if point])
    if len(known):
        geometry["bbox"] = [*known.min(axis=0).tolist(), *known.max(axis=0).tolist()]
    return {"version": GEOPARQUET_VERSION, "primary_column": "geometry", "columns": {"geometry": geometry}}


KINDS = {
    Format.GEOJSON: FileKind("geojson", "application/geo+json", _write_geojson),
    Format.CSV: FileKind("csv", "text/csv; charset=utf-8", _write_csv),
    Format.GPKG: FileKind("gpkg", "application/geopackage+sqlite3", _write_gpkg),
    Format.GEOPARQUET: FileKind("parquet", "application/vnd.apache.parquet", _write_geoparquet),
    Format.MOSAIKS: FileKind("mosaiks.csv", "text/csv; charset=utf-8", _write_mosaiks, has_cells=True),
}
