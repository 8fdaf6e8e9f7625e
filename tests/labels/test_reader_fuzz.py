"""Whatever bytes a file holds, its readers give rows, refusals or a sentence, and never another error."""

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labels.errors import BadInput
from labels.ingest import child
from labels.ingest.archives import SheetNeeded
from labels.ingest.copying import COLUMNS, line_of
from labels.ingest.fields import resolve_mapping
from labels.ingest.readers import open_rows
from labels.ingest.rows import RowReader
from tests.labels.test_register_formats import kml, workbook

TABLE = (
    "Ministère des mines\n\nCode;Nom;Longitude;Latitude;Date visite;Minerai;geom\n"
    "à1;Bräy;-10,5;6,25;01/02/2015;Or, étain;POINT (1 2)\n"
    '2;"two\nlines";2°30\'S;28°18\'01"E;1422748800000;;"POLYGON ((0 0, 2 0, 2 2, 0 0))"\n;;;;;;\nTOTAL;;;;;3;\n'
)
COLLECTION = json.dumps(
    {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32735"}},
        "features": [
            {
                "type": "Feature",
                "properties": {"id": 7, "name": "Bräy", "date": "2015-01-01", "list": [1, {"a": None}]},
                "geometry": {"type": "Point", "coordinates": [500000.5, 9600000, 400]},
            },
            {
                "type": "Feature",
                "properties": {"id": 8},
                "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 0]]]},
            },
        ],
    }
)


@st.composite
def mutated(draw, good: bytes, n: int = 6) -> bytes:
    """The file with some stretches overwritten, cut out, doubled or filled with strange bytes."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, n))):
        at, length = draw(st.integers(0, len(content))), draw(st.integers(0, 40))
        strange = draw(st.sampled_from([b"", b"\0", b"\xff\xfe", b'"', b"\n", b"\r", b";" * 50, b"[", b"1e999", b"{}"]))
        content[at : at + length] = strange if draw(st.booleans()) else bytes(content[at : at + length]) * 2
    return bytes(content)


def read_here(content: bytes) -> None:
    """Read as the process of its own does, in this one."""
    handle, name = tempfile.mkstemp()
    try:
        os.write(handle, content)
        os.close(handle)
        read_all(Path(name))
    finally:
        Path(name).unlink()


def read_all(path: Path) -> None:
    try:
        reader = child.open_file(
            {"path": str(path), "sheet": "", "folder": "/nowhere", "drivers": [], "unpacked_mib": 1}
        )
        facts = reader.facts
        guess = resolve_mapping(facts.columns, chosen={"source_id": ""}, has_geometry=facts.has_geometry)
        for mapping in (guess, {"crs": "EPSG:32735"} | guess, {}):
            read = RowReader(mapping).read
            for raw in reader.rows():
                line = line_of(raw.file_row, read(raw))
                assert line.endswith("\n") and line.count("\n") == 1 and line.count("\t") == len(COLUMNS) - 1
                line.encode()
    except (BadInput, SheetNeeded) as error:
        assert str(error)
    except RecursionError:
        pass  # the process says in words that the file is nested too deeply


quick = settings(max_examples=100, deadline=None)


def not_for_gdal(content: bytes) -> bool:
    return not content.startswith((b"PK", b"SQLite")) and b"<kml" not in content


@quick
@given(st.binary(max_size=400).filter(not_for_gdal) | st.text(max_size=200).map(str.encode).filter(not_for_gdal))
def test_any_bytes_are_rows_or_refused(content):
    read_here(content)


@quick
@given(st.sampled_from(["utf-8", "cp1252", "utf-16"]).flatmap(lambda name: mutated(TABLE.encode(name))))
def test_any_table_is_rows_or_refused(content):
    read_here(content)


@quick
@given(mutated(COLLECTION.encode()))
def test_any_geojson_is_rows_or_refused(content):
    read_here(content)


def confined_read(path: Path) -> None:
    """Through the real process: GDAL reads these."""
    try:
        list(open_rows(path).rows())
    except BadInput as error:
        assert str(error)


slow = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def book(tmp_path) -> bytes:
    return workbook(tmp_path / "a.xlsx", "Sites").read_bytes()


@slow
@given(st.data())
def test_any_workbook_is_rows_or_refused(tmp_path, book, data):
    path = tmp_path / "b.xlsx"
    path.write_bytes(data.draw(mutated(book, 3)))
    confined_read(path)


@slow
@given(mutated(kml().encode(), 4))
def test_any_kml_is_rows_or_refused(tmp_path, content):
    path = tmp_path / "b.kml"
    path.write_bytes(content)
    confined_read(path)
