"""The files of a release open in other programs, hold what the snapshot holds, and are the same bytes each time."""

import csv
import json
import sqlite3
import struct

import numpy as np
import pyogrio
import pytest
import time_machine
from pyarrow import parquet

from labels.models import ReleaseFile
from labels.releases import formats
from labels.releases.columns import LABEL_COLUMNS
from labels.releases.gathering import gather
from labels.releases.snapshot import Snapshot
from tests.factories import make_source
from tests.labelled import judge, make_audit, make_unit

HASH = "ab" * 32
NAMES = [column.name for column in LABEL_COLUMNS]


@pytest.fixture
def snapshot(project) -> Snapshot:
    audit = make_audit(project)
    source = make_source(project, name="Été 2022")
    judge(make_unit(audit, at=(-10.7000001, -6.4), source_id="a"), "move", mark=(-10.6951234567, -6.4042), seen=source)
    judge(make_unit(audit, at=(0.25, 6.5), source_id="b", observed_on=None, date_precision="unknown"), "reject")
    judge(make_unit(audit, at=(12.5, -0.0000001), source_id="ç"), "unsure", seen=source, captured_on=None, confidence=2)
    return gather([audit])


def made(format: str, snapshot: Snapshot, folder, name: str = "labels"):
    path = folder / f"{name}.{formats.KINDS[format].extension}"
    formats.write(format, snapshot, HASH, path)
    return path


def by_source(rows: list[dict]) -> dict[str, dict]:
    return {row["source_id"]: row for row in rows}


@pytest.mark.parametrize("format", ReleaseFile.Format.values)
def test_it_is_the_same_bytes_each_time(format, snapshot, tmp_path):
    first, second = made(format, snapshot, tmp_path, "one"), made(format, snapshot, tmp_path, "two")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("format", ReleaseFile.Format.values)
def test_it_holds_no_time_of_its_making(format, snapshot, tmp_path):
    with time_machine.travel("2031-02-03T04:05:06Z"):
        later = made(format, snapshot, tmp_path, "later").read_bytes()
    assert later == made(format, snapshot, tmp_path, "now").read_bytes()


def test_geojson_draws_the_mine_and_else_the_reported_point(snapshot, tmp_path):
    collection = json.loads(made("geojson", snapshot, tmp_path).read_text())
    assert set(collection) == {"type", "features"}
    features = {each["properties"]["source_id"]: each for each in collection["features"]}
    assert features["a"]["geometry"] == {"type": "Point", "coordinates": [-10.6951235, -6.4042]}
    assert features["b"]["geometry"]["coordinates"] == [0.25, 6.5]
    moved = features["a"]["properties"]
    assert list(moved) == NAMES
    assert (moved["reported_lon"], moved["corrected_lon"]) == (-10.7000001, -10.6951235)
    assert (moved["verdict"], moved["imagery"], moved["imagery_dates"]) == ("move", ["Été 2022"], ["2022-05-01"])
    assert moved["content_sha256"] == HASH


def test_csv_has_a_header_and_keeps_numbers_bit_equal(snapshot, tmp_path):
    with made("csv", snapshot, tmp_path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == NAMES
    for row, original in zip(rows, snapshot.labels, strict=True):
        for column in LABEL_COLUMNS:
            if column.type == "number":
                assert (float(row[column.name]) if row[column.name] else None) == original[column.name]
    found = by_source(rows)
    assert found["ç"]["imagery_dates"] == "unknown"
    assert (found["a"]["confidence"], found["a"]["confidence_stated"]) == ("", "0")
    assert (found["ç"]["confidence"], found["ç"]["confidence_stated"]) == ("2", "1")


def test_gpkg_opens_in_gdal_and_in_sqlite(snapshot, tmp_path):
    path = made("gpkg", snapshot, tmp_path)
    meta, _fids, geometry, values = pyogrio.raw.read(path)
    assert (meta["crs"], meta["geometry_type"]) == ("EPSG:4326", "Point")
    assert list(meta["fields"]) == NAMES
    columns = dict(zip(meta["fields"], values, strict=True))
    at = dict(zip(columns["source_id"], (struct.unpack("<dd", wkb[-16:]) for wkb in geometry), strict=True))
    assert at["a"] == (-10.6951235, -6.4042)
    assert at["b"] == (0.25, 6.5)
    with sqlite3.connect(path) as database:
        found = database.execute(
            "SELECT source_id, corrected_lat, confidence, observed_on, imagery FROM labels ORDER BY source_id"
        ).fetchall()
        (changed,) = database.execute("SELECT last_change FROM gpkg_contents").fetchone()
    assert found == [
        ("a", -6.4042, None, "2021-03-01", "Été 2022"),
        ("b", None, None, None, ""),
        ("ç", None, 2, "2021-03-01", "Été 2022"),
    ]
    assert changed.startswith("1970-01-01")


def test_gdal_gets_its_clock_back(snapshot, tmp_path):
    made("gpkg", snapshot, tmp_path)
    assert pyogrio.get_gdal_config_option("OGR_CURRENT_DATE") is None


def test_geoparquet_says_where_its_points_are(snapshot, tmp_path):
    table = parquet.read_table(made("geoparquet", snapshot, tmp_path))
    geo = json.loads(table.schema.metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["Point"])
    assert column["bbox"] == [-10.6951235, -6.4042, 12.5, 6.5]
    rows = by_source(table.to_pylist())
    assert struct.unpack("<BIdd", rows["a"]["geometry"]) == (1, 1, -10.6951235, -6.4042)
    assert rows["a"]["imagery"] == ["Été 2022"]
    assert rows["b"]["observed_on"] is None
    assert rows["a"]["observed_on"].isoformat() == "2021-03-01"


@pytest.mark.parametrize("trigger", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
@pytest.mark.parametrize("format", ["csv", "geojson", "gpkg", "geoparquet"])
def test_text_a_spreadsheet_would_run_is_neutralised_where_spreadsheets_read(format, trigger, project, tmp_path):
    text = f"{trigger}HYPERLINK(A1)"
    audit = make_audit(project)
    source = make_source(project, name=text)
    judge(make_unit(audit, at=(-10.7, -6.4), source_id=text, minerals=[text]), "confirm", seen=source)
    path = made(format, gather([audit]), tmp_path)
    if format == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file)
        assert [row["source_id"], row["minerals"], row["imagery"]] == [f"'{text}"] * 3
        assert (float(row["reported_lon"]), float(row["reported_lat"])) == (-10.7, -6.4)
    elif format == "geojson":
        assert json.loads(path.read_text())["features"][0]["properties"]["source_id"] == text
    elif format == "gpkg":
        with sqlite3.connect(path) as database:
            assert database.execute("SELECT source_id, reported_lat FROM labels").fetchone() == (text, -6.4)
    else:
        assert parquet.read_table(path).to_pylist()[0]["source_id"] == text


def test_ten_thousand_coordinates_survive_csv_bit_equal(tmp_path):
    empty = {column.name: {"text": "", "list": []}.get(column.type) for column in LABEL_COLUMNS[1:]}
    places = np.round(np.random.default_rng(5).uniform((-180, -90), (180, 90), (10_000, 2)), 7).tolist()
    labels = [empty | {"reported_lon": lon, "reported_lat": lat} for lon, lat in places]
    with made("csv", Snapshot(labels, []), tmp_path).open(newline="") as file:
        found = [[float(row["reported_lon"]), float(row["reported_lat"])] for row in csv.DictReader(file)]
    assert found == places
