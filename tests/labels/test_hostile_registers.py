"""Files that only look like registers, or would do harm: each is refused, nothing is fetched, nothing is written."""

import json
import socket
import sqlite3
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from django.core.management import CommandError

from labels import isolation
from labels.errors import BadInput
from labels.ingest import confined, registers, uploads
from labels.ingest.readers import CopyLines, open_rows
from labels.ingest.staging import Staging
from labels.models import Observation, RefusedRow
from tests import rasters
from tests.labels.test_load_register import load, refusal_of, write
from tests.labels.test_register_formats import kml, point, shapefile, shapes, workbook, zipped

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A listener that must hear nothing and a folder in which nothing must appear; (address, a file to steal)."""
    heard = []
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    secret = tmp_path / "secret.csv"
    secret.write_text("id,longitude,latitude\nSTOLEN,1,2\n")
    before: set[Path] = set()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    heard.append(server.accept()[1])

        thread = threading.Thread(target=listen)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x", secret, before
        stop.set()
        thread.join()
    assert heard == []
    if before:
        assert {found for found in tmp_path.parent.rglob("*") if not found.is_socket()} == before
    assert not list(own.iterdir())


def refused(path: Path, before: set[Path]) -> str:
    """How the file is refused, by the readers and by the command; nothing may be stored."""
    before.update(found for found in path.parent.parent.rglob("*") if not found.is_socket())
    with pytest.raises(BadInput) as error:
        list(open_rows(path).rows())
    with pytest.raises(CommandError):
        load(path)
    assert not Observation.objects.exists()
    return str(error.value)


def refused_rows(path: Path, *options: str) -> list[tuple[int, str]]:
    """(row, reason) of the rows that were not taken in, of a file that is read."""
    load(path, *options)
    return list(RefusedRow.objects.order_by("file_row").values_list("file_row", "reason"))


# ---- archives ----


def test_hostile_zip_bomb_is_refused(tmp_path, watched, monkeypatch):
    monkeypatch.setattr(confined, "MAX_UNPACKED_MIB", 8)
    path = zipped(tmp_path / "a.zip", shapefile(tmp_path) | {"dossier é/Sites.dbf": bytes(40 << 20)})
    assert "more than 8 MiB" in refused(path, watched[2])


def test_hostile_workbook_bomb_is_refused(tmp_path, watched, monkeypatch):
    monkeypatch.setattr(confined, "MAX_UNPACKED_MIB", 8)
    path = workbook(tmp_path / "a.xlsx", "Sites")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet9.xml", b"<c>" + b" " * (40 << 20))
    assert "more than 8 MiB" in refused(path, watched[2])


@pytest.mark.parametrize(
    "name", ["../../evil.shp", "/tmp/evil.shp", "..\\..\\evil.shp", "C:\\evil.shp", "a/../../evil.shp"]
)
def test_hostile_zip_slip_is_refused(tmp_path, watched, name):
    path = zipped(tmp_path / "a.zip", shapefile(tmp_path) | {name: b"evil"})
    assert "leads out of it" in refused(path, watched[2])


def test_hostile_link_in_a_zip_is_refused(tmp_path, watched):
    path = zipped(tmp_path / "a.zip", {})
    link = zipfile.ZipInfo("Sites.shp")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(watched[1]))
    assert "a link instead" in refused(path, watched[2])


BOMB = (
    "<!DOCTYPE kml [<!ENTITY a0 'ha'>" + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10)) + "]>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("is_zipped", [False, True])
def test_hostile_entities_in_kml_are_refused(tmp_path, watched, encoding, is_zipped):
    address, secret, before = watched
    stealing = f'<!DOCTYPE kml [<!ENTITY a SYSTEM "file://{secret}"><!ENTITY b SYSTEM "{address}">]>'
    for number, text in enumerate((kml("&a9;", BOMB), kml("&a;&b;", stealing))):
        path = tmp_path / f"{number}.kml"
        path.write_bytes(text.encode(encoding))
        path = zipped(tmp_path / f"{number}.kmz", {"doc.kml": path}) if is_zipped else path
        before.clear()
        assert "STOLEN" not in refused(path, before)


def test_hostile_entities_in_a_workbook_are_refused(tmp_path, watched):
    path = workbook(tmp_path / "a.xlsx", "Sites")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/extra.xml", BOMB)
    assert "declares entities" in refused(path, watched[2])


VRT = '<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'


@pytest.mark.parametrize("name", ["a.geojson", "a.csv", "a.kml", "a.png", "a.gpkg"])
@pytest.mark.parametrize("to", ["address", "secret"])
def test_hostile_vrt_under_another_name_is_refused(tmp_path, watched, name, to):
    address, secret, before = watched
    source = f"/vsicurl/{address}" if to == "address" else str(secret)
    assert "XML" in refused(write(tmp_path / name, VRT.format(source)), before)


def test_hostile_vrt_inside_a_zip_or_posing_as_kml_is_refused(tmp_path, watched):
    _address, secret, before = watched
    text = VRT.format(secret) + "<!-- <kml> -->"
    assert "damaged" in refused(write(tmp_path / "a.kml", text), before)
    before.clear()
    assert "damaged" in refused(zipped(tmp_path / "a.kmz", {"doc.kml": text.encode()}), before)
    before.clear()
    assert "holds no Excel" in refused(zipped(tmp_path / "b.zip", {"a.vrt": text.encode()}), before)


@pytest.mark.parametrize(
    "name", ["/vsicurl/http://127.0.0.1:9/a.csv", "/vsizip//etc/a.zip", "http://127.0.0.1:9/a.geojson"]
)
def test_hostile_names_are_no_paths(name):
    with pytest.raises(BadInput, match="cannot be read"):
        open_rows(Path(name))


@pytest.mark.parametrize("head", [b"PK\3\4", b"PK\5\6", b"SQLite format 3\0", b"<kml "])
def test_hostile_rests_of_files_are_refused(tmp_path, watched, head):
    path = tmp_path / "a"
    path.write_bytes(head + b"\0\1\2 rest" * 500)
    assert refused(path, watched[2])


def test_hostile_file_that_needs_too_much_memory_is_refused(tmp_path, watched, monkeypatch):
    monkeypatch.setattr(confined, "MEMORY_MIB", 250)
    path = workbook(tmp_path / "a.xlsx", "Sites")
    assert "memory" in refused(path, watched[2])


# ---- what GDAL would follow ----


def test_hostile_wms_and_mrf_descriptions_are_refused(tmp_path, watched):
    address, _secret, before = watched
    port = int(address.split(":")[2].split("/")[0])
    wms = rasters.wms_that_asks(tmp_path / "a.png", port)
    mrf = rasters.mrf_that_writes(tmp_path / "a.geojson", tmp_path / "made.bin", port)
    vrt = rasters.vrt_that_reads(tmp_path / "a.tif", watched[1])
    for path in (wms, mrf, vrt):
        before.clear()
        assert "XML" in refused(path, before)


@pytest.mark.parametrize("name", ["/vsicurl/{}/a.shp", "{}/a.shp", "/vsizip//etc/a.shp", "vsicurl/../../a.shp"])
def test_hostile_names_inside_a_zip_are_no_paths(tmp_path, watched, name):
    address, _secret, before = watched
    path = zipped(tmp_path / "a.zip", shapefile(tmp_path) | {name.format(address): b"evil"})
    assert "leads out of it" in refused(path, before)


def test_hostile_sheet_names_are_no_paths(tmp_path, watched):
    address, secret, before = watched
    for sheet in (f"/vsicurl/{address}", str(secret), "../secret.csv", "SELECT * FROM sqlite_master"):
        path = workbook(tmp_path / f"{len(sheet)}.xlsx", "Sites")
        before.clear()
        before.update(found for found in tmp_path.parent.rglob("*") if not found.is_socket())
        with pytest.raises(BadInput, match="several tables"):
            open_rows(path, sheet)


def test_hostile_parameters_of_a_job_are_no_paths(watched):
    for upload in (str(watched[1]), "../../secret.csv", "/vsicurl/http://127.0.0.1/a"):
        with pytest.raises(ValueError, match="UUID"):
            registers.file_of({"upload": upload, "file_name": "a.csv"})
        with pytest.raises(ValueError, match="UUID"):
            uploads.path_from_uuid(upload)


def test_hostile_geopackage_does_not_read_another_file(tmp_path, watched):
    """A virtual table of GDAL's own SQL module names a file to open."""
    _address, secret, before = watched
    path = shapes(tmp_path / "a.gpkg", point(27, -3), driver="GPKG", crs="EPSG:4326")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA writable_schema = ON")
        virtual = f"CREATE VIRTUAL TABLE stolen USING VirtualOGR('{secret}')"
        database.execute("INSERT INTO sqlite_master VALUES ('table', 'stolen', 'stolen', 0, ?)", [virtual])
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('stolen', 'attributes', 'stolen')"
        )
    before.update(found for found in tmp_path.parent.rglob("*") if not found.is_socket())
    for sheet in ("", "stolen"):
        with suppress(BadInput):
            assert "STOLEN" not in str(list(open_rows(path, sheet).rows()))


def test_hostile_symbolic_link_beside_a_geopackage_is_not_followed(tmp_path, watched):
    """A journal that lies beside the file must not be played back into another one."""
    path = shapes(tmp_path / "a.gpkg", point(27, -3), driver="GPKG", crs="EPSG:4326")
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tmp_path / "a.gpkg-journal").symlink_to(victim)
    with suppress(BadInput):
        list(open_rows(path).rows())
    assert victim.read_bytes() == b"untouched"


# ---- what would fill memory or time ----

DEEP = 100_000
COLLECTION = '{"type": "FeatureCollection", "features": [%s]}'
FEATURE = '{"type": "Feature", "properties": %s, "geometry": %s}'


@pytest.mark.parametrize(
    "feature",
    [
        FEATURE % ("{}", '{"type": "Polygon", "coordinates": ' + "[" * DEEP + "]" * DEEP + "}"),
        FEATURE % ('{"a": ' * DEEP + "1" + "}" * DEEP, "null"),
        FEATURE % ('{"a": ' + "[" * 900 + "]" * 900 + "}", "null"),
        "[" * DEEP + "]" * DEEP,
    ],
    ids=["geometry", "properties", "just below the limit", "array"],
)
@pytest.mark.parametrize("is_lines", [False, True])
def test_hostile_deep_geojson_is_refused_in_words(tmp_path, watched, feature, is_lines):
    flat = FEATURE % ("{}", "null")
    text = f"{flat}\n{feature}\n{flat}\n" if is_lines else COLLECTION % f"{flat},{feature}"
    path = write(tmp_path / "a.geojson", text)
    try:
        rows = list(open_rows(path).rows())
    except BadInput as error:
        assert any(word in str(error) for word in ("deep", "well-formed", "FeatureCollection"))
    else:
        assert len(rows) == 2 + is_lines


def test_hostile_polygon_of_a_million_corners_is_refused(tmp_path, watched):
    ring = "[0.1234,0.5678],[0.25,0.75]," * 500_000 + "[0.1234,0.5678]"
    polygon = '{"type": "Polygon", "coordinates": [[' + ring + "]]}"
    path = write(tmp_path / "a.geojson", COLLECTION % (FEATURE % ('{"id": 1}', polygon)))
    began = time.monotonic()
    assert refused_rows(path) == [(1, "the polygon has more than 500,000 corners")]
    assert time.monotonic() - began < 120


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e308", "1e400", "-1e-400"])
def test_hostile_numbers_are_refused_row_by_row(tmp_path, watched, number):
    place = '{"type": "Point", "coordinates": [' + number + ", 5]}"
    path = write(tmp_path / "a.geojson", COLLECTION % (FEATURE % ('{"id": 1}', place)))
    load(path, register="shapes")
    table = write(tmp_path / "a.csv", f"id,longitude,latitude\n1,{number},5\n")
    load(table, register="table")
    is_zero = number == "-1e-400"
    assert RefusedRow.objects.count() == (0 if is_zero else 2)
    assert Observation.objects.count() == (2 if is_zero else 0)


def test_hostile_null_bytes_are_refused(tmp_path, watched):
    assert "null byte" in refused(write(tmp_path / "a.csv", "id,name\n1,a\0b\n"), set())
    assert "null bytes" in refused(write(tmp_path / "b.csv", "\0" * 5000 + "id\n"), set())
    named = COLLECTION % (FEATURE % ('{"id": "a\\u0000b"}', "null") + "," + FEATURE % ('{"\\ud800": 1}', "null"))
    rows = refused_rows(write(tmp_path / "c.geojson", named))
    assert [reason for _row, reason in rows] == ["the text holds a null or half a character"] * 2


def test_hostile_cell_of_ten_megabytes_is_refused(tmp_path, watched):
    table = write(tmp_path / "a.csv", "id,name,longitude,latitude\n1," + "x" * 10_000_000 + ",1,2\n")
    assert "Line 2 cannot be read" in refused(table, set())
    path = write(tmp_path / "a.geojson", COLLECTION % (FEATURE % (json.dumps({"name": "x" * 10_000_000}), "null")))
    assert refused_rows(path) == [(1, "the text is longer than 100,000 characters")]


def test_hostile_cell_of_a_workbook_is_refused(tmp_path, watched):
    path = workbook(tmp_path / "a.xlsx", "Sites")
    large = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(large, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member, old.read(member).replace(b"-10.5", b"7" * 10_000_000))
    assert [reason for _row, reason in refused_rows(large)] == ["the text is longer than 100,000 characters"]


def test_hostile_table_of_many_columns_is_refused(tmp_path, watched):
    assert "columns" in refused(write(tmp_path / "a.csv", "a," * 1_000_000 + "a\n1\n"), watched[2])


def test_hostile_heading_is_refused(tmp_path, watched):
    assert "longer than 1000" in refused(write(tmp_path / "a.csv", "x" * 50_000 + ",b\n1,2\n"), watched[2])


def test_hostile_row_that_repeats_too_often_is_refused(tmp_path, watched):
    path = write(tmp_path / "a.csv", "id,longitude,latitude\n" + "1,2,3\n" * 32_770)
    assert len(refused_rows(path)) == 3


def test_hostile_file_that_takes_too_long_is_refused(tmp_path, watched, monkeypatch):
    monkeypatch.setattr(confined, "CPU_S", 1)
    row = "1,2°30'15.2\" S,28°18'01\" E," + ",".join(f"cell {n}" for n in range(40)) + "\n"
    header = "id,latitude,longitude," + ",".join(f"c{n}" for n in range(40)) + "\n"
    path = write(tmp_path / "a.csv", header + row * 200_000)
    assert "time or memory" in refusal_of(path)


def test_hostile_line_without_an_end_is_refused(tmp_path, watched, monkeypatch):
    monkeypatch.setattr(confined, "MEMORY_MIB", 200)
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(b"id,longitude,latitude\n")
        for _ in range(200):
            file.write(b'"' + b"x" * (1 << 20))
    assert any(word in refused(path, watched[2]) for word in ("memory", "cannot be read"))


# ---- layers ----


def test_hostile_reader_that_answers_nonsense_is_not_believed(tmp_path, monkeypatch):
    """The worker trusts the reading process no further than types, even if a file has taken it over."""
    path = write(tmp_path / "a.csv", "id,longitude,latitude\n1,2,3\n")
    for said in (b"nonsense", b'{"bytes": -1}', b'{"bytes": 99999999999}', b'{"bytes": 5, "copy_rows": 1}', b"[]"):
        program = f"import sys; sys.stdin.read(); sys.stdout.buffer.write({said!r} + b'\\n')"
        monkeypatch.setattr(isolation, "without_network", lambda program=program: (sys.executable, "-c", program))
        with pytest.raises(BadInput):
            open_rows(path)


def test_hostile_lines_do_not_reach_the_tables(tmp_path, monkeypatch):
    staging = Staging("staging_hostile", temporary=True)
    staging.create()
    for data in (b"\\.\n", b"1\n", b"x\tx\n", b"\xff\xfe\n", struct.pack("<Q", 1) * 100):
        with suppress(BadInput):
            staging.copy(CopyLines(1, data))
    assert staging.n_rows() == 0
    staging.drop()


def test_hostile_file_meets_a_process_without_network(tmp_path):
    if not isolation.without_network():
        pytest.skip("unshare --net does not work on this machine")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(1)
        program = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2)"
        prefix = isolation.without_network()
        ended = subprocess.run([*prefix, sys.executable, "-c", program], capture_output=True, check=False)
        assert ended.returncode != 0
        with pytest.raises(TimeoutError):
            server.accept()
