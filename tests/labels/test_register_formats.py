"""Workbooks, shapefiles, GeoPackages and KML as registers."""

import struct
import subprocess
import sys
import zipfile
from datetime import date
from io import StringIO
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from django.core.management import call_command
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


# ---- the process that reads ----


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
