"""Files as a ministry sends them: they load, or a sentence says what to do."""

import json
import zipfile
from datetime import date

import pytest

from labels.ingest import registers
from labels.ingest.readers import open_rows
from labels.models import Observation, Placement, RefusedRow, Register
from tests.labels.test_load_register import load, refusal_of, write
from tests.labels.test_register_formats import workbook

pytestmark = pytest.mark.django_db


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def sheet(path, rows: list[list[str | float]], merged: str = ""):
    """A workbook of one sheet with these cells, as Excel writes it: numbers are numbers, a gap is no cell at all."""
    lines = []
    for number, cells in enumerate(rows, start=1):
        written = "".join(_cell(f"{chr(65 + at)}{number}", cell) for at, cell in enumerate(cells) if cell != "")
        lines.append(f'<row r="{number}">{written}</row>' if written else "")
    joined = f'<mergeCells count="1"><mergeCell ref="{merged}"/></mergeCells>' if merged else ""
    text = f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(lines)}</sheetData>{joined}</worksheet>'
    with zipfile.ZipFile(workbook(path.with_suffix(".0.xlsx"), "Sites")) as like, zipfile.ZipFile(path, "w") as made:
        for member in like.infolist():
            made.writestr(member, text if member.filename == "xl/worksheets/sheet1.xml" else like.read(member))
    return path


def _cell(name: str, value: str | float) -> str:
    if isinstance(value, str):
        return f'<c r="{name}" t="inlineStr"><is><t>{value}</t></is></c>'
    return f'<c r="{name}"><v>{value}</v></c>'


def near(found, lon: float, lat: float) -> bool:
    return found.coords == (pytest.approx(lon, abs=1e-4), pytest.approx(lat, abs=1e-4))


TITLED = (
    "MINISTÈRE DES MINES;;;;\nListe des sites, province du Sud-Kivu;;;;\n;;;;\n"
    "N°;Nom du site;Longitude;Latitude;Creuseurs\n1;Bray;28,5;-2,5;100\n2;Koss;28,6;-2,6;250\nTOTAL;;;;350\n"
)


def test_titles_above_the_header_and_totals_below_are_told(tmp_path):
    path = write(tmp_path / "a.csv", TITLED, "cp1252")
    said = "\n".join(load(path))
    assert "Lines above the header were left out: MINISTÈRE DES MINES; Liste des sites" in said
    assert said.endswith("2 created, 0 updated, 0 unchanged, 1 refused (3 rows)")
    assert list(Observation.objects.values_list("file_row", "name")) == [(5, "Bray"), (6, "Koss")]
    refused = RefusedRow.objects.get()
    assert (refused.file_row, refused.column, refused.reason) == (7, "N°", "this is a line of totals, not a site")


def test_a_header_of_two_lines_is_joined(tmp_path):
    text = "Code,Nom,Coordonnées,,Minerai\n,,Longitude,Latitude,\n1,Bray,28.5,-2.5,Or\n2,Koss,28.6,-2.6,Or\n"
    path = write(tmp_path / "a.csv", text.replace("Code,Nom,Coordonnées,,", "Code,Nom,Coordonnées,,"))
    reader = open_rows(path)
    assert reader.facts.columns == ["Code", "Nom", "Longitude", "Latitude", "Minerai"]
    assert "two lines" in " ".join(reader.facts.notes)
    load(path)
    assert near(Placement.objects.get(site_record__source_id="1").reported_point, 28.5, -2.5)


def test_a_first_row_with_the_gaps_of_its_header_stays_a_row(tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_text("name,,lat,lon\nMwenga,north,,\nAlpha,12,1.5,2.5\n")
    reader = open_rows(path)
    assert reader.facts.columns[0] == "name" and len(list(reader.rows())) == 2


def test_an_ordinary_header_is_never_joined(tmp_path):
    path = write(tmp_path / "a.csv", "id,name,,longitude,latitude\na,Bray,x,y,z\n1,Koss,x,28.5,-2.5\n")
    assert open_rows(path).facts.columns == ["id", "name", "column 3", "longitude", "latitude"]


def test_a_workbook_with_titles_merged_cells_and_numbered_dates_is_read(tmp_path):
    rows = [
        ["Registre des sites 2015", "", "", "", ""],
        ["", "", "", "", ""],
        ["Code", "Coordonnées", "", "Date visite", "Minerai"],
        ["", "Longitude", "Latitude", "", ""],
        ["A1", 28.5, -2.5, 42185, "Or"],
        ["A2", "28,6", "2°36' S", "30/06/2015", ""],
        ["Total", "", "", 2, ""],
    ]
    path = sheet(tmp_path / "a.xlsx", rows, merged="B3:C3")
    facts = open_rows(path).facts
    assert facts.columns == ["Code", "Longitude", "Latitude", "Date visite", "Minerai"]
    assert load(path)[-1] == "2 created, 0 updated, 0 unchanged, 1 refused (3 rows)"
    found = Observation.objects.order_by("file_row")
    assert [(row.file_row, row.observed_on) for row in found] == [(5, date(2015, 6, 30)), (6, date(2015, 6, 30))]
    assert all(near(row.point, lon, lat) for row, lon, lat in zip(found, (28.5, 28.6), (-2.5, -2.6), strict=True))


def test_trailing_empty_columns_and_rows_are_nothing(tmp_path):
    path = write(tmp_path / "a.csv", "id;longitude;latitude;;;\n1;28,5;-2,5;;;\n;;;;;\n;;;;;\n")
    assert open_rows(path).facts.columns == ["id", "longitude", "latitude"]
    assert load(path)[-1] == "1 created, 0 updated, 0 unchanged, 0 refused (1 rows)"


def test_a_title_of_commas_does_not_hide_the_semicolons(tmp_path):
    path = write(tmp_path / "a.csv", "Sites, mines, permis, 2015\nid;longitude;latitude\n1;28,5;-2,5\n2;28,6;-2,6\n")
    assert open_rows(path).facts.delimiter == ";"
    assert load(path)[-1].startswith("2 created")


def test_epoch_milliseconds_are_dates(tmp_path):
    load(write(tmp_path / "a.csv", "id,longitude,latitude,date\n1,28.5,-2.5,1435622400000\n"))
    assert Observation.objects.get().observed_on == date(2015, 6, 30)


# ---- coordinate systems ----


def test_a_table_in_a_stated_coordinate_system_is_moved(tmp_path):
    path = write(tmp_path / "a.csv", "id,x,y\n1,505497,9598008\n2,,\n3,abc,5\n4,505497,\n")
    assert "UTM zone" in str(load(path, register="none"))
    assert load(path, "--crs", "EPSG:32735")[-1] == "2 created, 0 updated, 0 unchanged, 2 refused (4 rows)"
    place = Placement.objects.get(site_record__register__slug="list", site_record__source_id="1")
    assert near(place.reported_point, 27.0495, -3.6369)
    assert Register.objects.get(slug="list").column_mapping["crs"] == "EPSG:32735"
    assert load(path)[-1].startswith("0 created, 0 updated, 2 unchanged")


def test_a_coordinate_system_that_nobody_knows_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", "id,x,y\n1,505497,9598008\n")
    assert "EPSG:32735" in refusal_of(path, "--crs", "Lambert")
    assert "not known" in refusal_of(path, "--crs", "EPSG:999999")


def test_wkt_is_moved_too_and_its_heights_are_dropped(tmp_path):
    path = write(
        tmp_path / "a.csv",
        'id,geom\n1,POINT Z (505497 9598008 900)\n2,"POLYGON Z ((500000 9600000 1, 510000 9600000 1, 510000 9610000 1, '
        '500000 9600000 1))"\n3,"MULTIPOLYGON (((500000 9600000, 510000 9600000, 510000 9610000, 500000 9600000)))"\n'
        "4,POINT EMPTY\n",
    )
    assert load(path, "--crs", "EPSG:32735")[-1].startswith("4 created")
    assert near(Placement.objects.get(site_record__source_id="1").reported_point, 27.0495, -3.6369)
    for number in "23":
        licence = Observation.objects.get(site_record__source_id=number)
        assert licence.polygon.contains(licence.point) and not licence.polygon.hasz
    assert Placement.objects.get(site_record__source_id="4").reported_point is None


def test_geojson_in_another_coordinate_system_is_moved(tmp_path):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32735"}}
    place = {"type": "Point", "coordinates": [505497, 9598008, 5]}
    feature = {"type": "Feature", "properties": {"id": 7}, "geometry": place}
    path = write(tmp_path / "a.geojson", json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    assert any("were moved from" in line for line in load(path))
    assert near(Placement.objects.get().reported_point, 27.0495, -3.6369)
    late = write(tmp_path / "b.geojson", json.dumps({"features": [feature], "crs": crs}))
    assert "save it in WGS 84" in refusal_of(late, register="late")


# ---- a 1 January ----


def dated(tmp_path, n_january: int, n_other: int):
    days = ["2015-01-01"] * n_january + [f"2015-{1 + n % 12:02d}-{2 + n % 27:02d}" for n in range(n_other)]
    rows = "".join(f"{n},28.5,-2.5,{day}\n" for n, day in enumerate(days))
    return write(tmp_path / f"{n_january}.csv", "id,longitude,latitude,date\n" + rows)


def test_a_1_january_far_too_frequent_is_a_year(tmp_path):
    said = "\n".join(load(dated(tmp_path, 20, 400)))
    assert "20 of 420 dates in date are a 1 January" in said and "january_first=day" in said
    years = Observation.objects.filter(date_precision="year")
    assert years.count() == 20 and set(years.values_list("observed_on", flat=True)) == {date(2015, 1, 1)}
    assert Observation.objects.filter(date_precision="day").count() == 400
    assert Register.objects.get().column_mapping["january_first"] == "year"


def test_a_person_can_say_that_they_are_days(tmp_path):
    path = dated(tmp_path, 20, 400)
    load(path, "--map", "january_first=day")
    assert not Observation.objects.filter(date_precision="year").exists()
    assert load(path)[-1].startswith("0 created, 0 updated, 420 unchanged")


@pytest.mark.parametrize(("n_january", "n_other"), [(9, 100), (10, 1000)])
def test_a_few_1_januaries_are_days(tmp_path, n_january, n_other):
    load(dated(tmp_path, n_january, n_other))
    assert not Observation.objects.filter(date_precision="year").exists()


def test_the_visits_of_1_january_in_the_real_register_are_years(shared_data):
    path = shared_data / "asm_records" / "ipis_drc_mine_visits_2009_2020.csv"
    reader = open_rows(path)
    mapping = registers.choose_mapping(reader, None, {"source_id": "pcode", "stated_region": "province_old"})
    assert mapping["january_first"] == "year"
    assert any("984 of 5,071 dates" in note for note in reader.facts.notes), reader.facts.notes


def test_a_company_called_total_is_not_a_line_of_totals(tmp_path):
    text = "company,site,longitude,latitude,n\nTotal Mining SA,Bray,,,12\nKoss Ltd,Koss,28.6,-2.6,5\nTotal,,,,17\n"
    assert load(write(tmp_path / "a.csv", text))[-1] == "2 created, 0 updated, 0 unchanged, 1 refused (3 rows)"
    assert RefusedRow.objects.get().file_row == 4
    assert Observation.objects.get(point=None).attributes["company"] == "Total Mining SA"


@pytest.mark.parametrize("stray", [3, 5])
def test_a_cell_too_many_makes_no_title_of_the_rows_above_it(tmp_path, stray):
    lines = ["id;wkt", *(f"{name};POINT(28.5 -2.{n})" for n, name in enumerate(("A", "B", "C", "D"), start=1))]
    lines[stray - 1] += ";near the river"
    path = write(tmp_path / "a.csv", "\n".join(lines) + "\n")
    assert open_rows(path).facts.columns == ["id", "wkt"]
    load(path, "--map", "source_id=id", "--map", "geometry=wkt")
    assert RefusedRow.objects.get().file_row == stray
    assert Observation.objects.count() == 3


def test_a_dry_run_counts_what_rows_alone_tell(tmp_path):
    path = write(tmp_path / "a.csv", "id,longitude,latitude\n1,0,0\n2,,\n3,28.5,-2.5\n4,0.0,0\n")
    assert "Would be flagged zero_position: 2 rows." in load(path, "--dry-run")
    load(path)
    assert Observation.objects.filter(row_flags=["zero_position"], point=None).count() == 2
