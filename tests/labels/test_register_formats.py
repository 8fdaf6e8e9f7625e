"""Workbooks, shapefiles, GeoPackages and KML as registers, and files that only look like them."""

import http.server
import stat
import struct
import subprocess
import sys
import threading
import zipfile
from datetime import date
from io import StringIO
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from labels import isolation
from labels.errors import BadInput
from labels.ingest import confined
from labels.ingest.readers import open_rows
from labels.ingest.wkb import NoShape, as_geojson
from labels.models import Observation, Placement, ReferenceArea, RefusedRow, Register
from tests.labels.test_load_register import load, refusal_of, write

pytestmark = pytest.mark.django_db(transaction=True)

KML = '<?xml version="1.0"?>{dtd}<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{places}</Document></kml>'
PLACE = (
    '<Placemark><name>{name}</name><ExtendedData><Data name="code"><value>A1</value></Data></ExtendedData>'
    "<Point><coordinates>-10.5,6.25,400</coordinates></Point></Placemark>"
)


def kml(name: str = "Bray", dtd: str = "") -> str:
    return KML.format(dtd=dtd, places=PLACE.format(name=name))


def shapes(
    path: Path, *points: bytes | None, driver: str, crs: str | None = "EPSG:32735", kind: str = "Point", **more
) -> Path:
    ids = np.array([str(n) for n, _ in enumerate(points, 1)], dtype=object)
    names = np.array(["Bräy"] * len(points), dtype=object)
    given = np.array(points, dtype=object)
    pyogrio.raw.write(
        path, given, [ids, names], ["id", "nom"], geometry_type=kind, crs=crs, driver=driver, encoding="UTF-8", **more
    )
    return path


def point(x: float, y: float, z: float | None = None) -> bytes:
    return struct.pack("<BIdd", 1, 1, x, y) if z is None else struct.pack("<BIddd", 1, 1001, x, y, z)


def square(x: float, y: float, size: float) -> bytes:
    corners = [(x, y), (x + size, y), (x + size, y + size), (x, y + size), (x, y)]
    return struct.pack("<BIII", 1, 3, 1, 5) + b"".join(struct.pack("<dd", *corner) for corner in corners)


def zipped(path: Path, members: dict[str, bytes | Path]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content.read_bytes() if isinstance(content, Path) else content)
    return path


def shapefile(tmp_path: Path, *, parts=("shp", "shx", "dbf", "prj", "cpg"), stem="Sites", **more) -> dict[str, Path]:
    path = shapes(tmp_path / f"{stem}.shp", point(505497, 9598008), None, driver="ESRI Shapefile", **more)
    return {f"dossier é/{stem}.{part}": path.with_suffix(f".{part}") for part in parts}


def workbook(path: Path, *sheets: str) -> Path:
    data = [
        np.array(["1", "2"], dtype=object),
        np.array(["-10.5", "10°30' O"], dtype=object),
        np.array(["6.25", "6,5"], dtype=object),
        np.array(["2015-06-30", "2016-07-31"], dtype="datetime64[D]"),
    ]
    fields = ["id", "Longitude", "Latitude", "Date visite"]
    for number, sheet in enumerate(sheets):
        pyogrio.raw.write(
            path, None, data, fields, layer=sheet, driver="XLSX", geometry_type=None, crs=None, append=bool(number)
        )
    return path


# ---- formats ----


def test_a_workbook_is_read_with_its_dates(tmp_path):
    path = workbook(tmp_path / "a.xlsx", "Sites").rename(tmp_path / "upload")
    assert load(path)[-1] == "2 created, 0 updated, 0 unchanged, 0 refused (2 rows)"
    found = Observation.objects.order_by("file_row")
    assert [(row.file_row, row.observed_on, row.point.coords) for row in found] == [
        (2, date(2015, 6, 30), (-10.5, 6.25)),
        (3, date(2016, 7, 31), (-10.5, 6.5)),
    ]


def test_a_workbook_of_several_sheets_asks_which(tmp_path):
    path = workbook(tmp_path / "a.xlsx", "Sites", "Notes")
    assert "Sites, Notes" in refusal_of(path)
    assert "Sites, Notes" in refusal_of(path, "--sheet", "Other")
    assert load(path, "--sheet", "Notes")[-1].startswith("2 created")
    assert Register.objects.get().column_mapping["sheet"] == "Notes"
    assert load(path)[-1].startswith("0 created, 0 updated, 2 unchanged")


def test_a_zipped_shapefile_is_read_in_its_coordinate_system(tmp_path):
    path = zipped(tmp_path / "a.zip", shapefile(tmp_path))
    assert load(path)[-1] == "2 created, 0 updated, 0 unchanged, 0 refused (2 rows)"
    place = Placement.objects.get(site_record__source_id="1")
    assert place.reported_point.coords == (pytest.approx(27.0495, abs=1e-5), pytest.approx(-3.6369, abs=1e-5))
    assert place.observation.name == "Bräy"


def test_several_shapefiles_in_a_zip_are_asked(tmp_path):
    path = zipped(tmp_path / "a.zip", shapefile(tmp_path) | shapefile(tmp_path, stem="Routes"))
    assert "Routes, Sites" in refusal_of(path)
    assert load(path, "--sheet", "Sites")[-1].startswith("2 created")


def test_a_geopackage_keeps_its_polygons_and_drops_heights(tmp_path):
    polygons = shapes(tmp_path / "p.gpkg", square(27, -3, 0.1), driver="GPKG", crs="EPSG:4326", kind="Polygon")
    load(polygons)
    licence = Observation.objects.get()
    assert licence.polygon.contains(licence.point) and licence.polygon.area == pytest.approx(0.01)
    points = shapes(
        tmp_path / "q.gpkg",
        point(27, -3, 900),
        point(float("inf"), 1, 0),
        driver="GPKG",
        crs="EPSG:4326",
        kind="Point Z",
    )
    assert load(points, register="other")[-1] == "1 created, 0 updated, 0 unchanged, 1 refused (2 rows)"
    assert RefusedRow.objects.get().file_row == 2


def test_areas_come_from_the_same_files(tmp_path):
    path = tmp_path / "p.shp"
    shapes(path, square(500_000, 9_600_000, 10_000), driver="ESRI Shapefile", kind="Polygon")
    members = {f"p.{part}": path.with_suffix(f".{part}") for part in ("shp", "shx", "dbf", "prj", "cpg")}
    zipped(tmp_path / "p.zip", members)
    call_command(
        *("load_areas", str(tmp_path / "p.zip"), "--project", "wandara", "--country", "WDR"),
        *("--kind", "admin", "--level", "1", "--name-field", "nom"),
        stdout=StringIO(),
    )
    area = ReferenceArea.objects.get()
    assert area.name == "Bräy" and area.geometry.extent == pytest.approx((27, -3.618, 27.09, -3.528), abs=0.01)


@pytest.mark.parametrize("is_zipped", [False, True])
def test_kml_is_read_with_its_data(tmp_path, is_zipped):
    path = write(tmp_path / "a.kml", kml())
    path = zipped(tmp_path / "a.kmz", {"doc.kml": path}) if is_zipped else path
    load(path)
    found = Observation.objects.get()
    assert (found.name, found.site_record.source_id, found.point.coords) == ("Bray", "A1", (-10.5, 6.25))


@pytest.mark.parametrize(
    ("parts", "crs", "said"),
    [(("shp", "shx", "prj"), "EPSG:32735", "no .dbf"), (("shp", "shx", "dbf"), "EPSG:32735", "coordinate system")],
)
def test_half_a_shapefile_is_refused_in_words(tmp_path, parts, crs, said):
    path = zipped(tmp_path / "a.zip", shapefile(tmp_path, parts=parts, crs=crs))
    assert said in refusal_of(path)


# ---- hostile ----


@pytest.fixture
def watched(tmp_path):
    """A server that must hear nothing and a folder in which nothing must appear; (address, a file to steal)."""
    heard = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(self.path)

        do_HEAD = do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secret = tmp_path / "secret.csv"
    secret.write_text("id,longitude,latitude\nSTOLEN,1,2\n")
    before: set[Path] = set()
    yield f"http://127.0.0.1:{server.server_port}/x", secret, before
    server.shutdown()
    server.server_close()
    assert heard == []
    if before:
        assert {found for found in tmp_path.parent.rglob("*") if not found.is_socket()} == before
    assert not list(Path("/tmp").glob("asm_register_*"))


def refused(path: Path, before: set[Path]) -> str:
    """How the file is refused, by the readers and by the command; nothing may be stored."""
    before.update(path.parent.parent.rglob("*"))
    with pytest.raises(BadInput) as error:
        list(open_rows(path).rows())
    with pytest.raises(CommandError):
        load(path)
    assert not Observation.objects.exists()
    return str(error.value)


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


def test_the_reading_process_knows_no_secret_and_no_database(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    assert "secret" not in str(isolation.base_environment(tmp_path))
    program = "import sys, labels.ingest.child, labels.ingest.rows; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=isolation.HOME, capture_output=True, text=True, check=True
    )
    loaded = set(ended.stdout.split())
    assert loaded.isdisjoint({"django.db", "psycopg", "labels.models", "asm_audit.settings", "pyogrio"})


def test_the_reading_process_refuses_to_work_with_another_driver(tmp_path, monkeypatch):
    monkeypatch.setattr(confined, "_drivers", lambda: ["GPKG"])
    with pytest.raises(BadInput, match="cannot be opened safely"):
        open_rows(write(tmp_path / "a.kml", kml()))


@given(
    st.binary(max_size=200)
    | st.builds(lambda kind, rest: struct.pack("<BI", 1, kind) + rest, st.integers(0, 3010), st.binary(max_size=200))
)
def test_any_bytes_are_a_shape_or_none(wkb):
    try:
        found = as_geojson(wkb, lambda corners: corners)
    except NoShape:
        return
    assert found is None or found["type"]
