"""Taking a register in, through the command."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from datetime import date
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from labels import jobs
from labels.ingest import registers, staging
from labels.models import Edition, Job, Observation, Placement, Project, RefusedRow, Register, SiteRecord

pytestmark = pytest.mark.django_db


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def load(path, *options: str, register: str = "list", project: str = "wandara") -> list[str]:
    out = StringIO()
    call_command(
        "load_register",
        str(path),
        "--project",
        project,
        "--country",
        "WDR",
        "--register",
        register,
        *options,
        stdout=out,
        stderr=StringIO(),
    )
    return out.getvalue().splitlines()


def table_of(report: Path) -> list[list[str]]:
    with report.open(newline="") as file:
        return list(csv.reader(file))


def refusal_of(path, *options: str, register: str = "list") -> str:
    with pytest.raises(CommandError) as refused:
        load(path, *options, register=register)
    assert refused.value.returncode == 2
    return str(refused.value)


@pytest.fixture
def ipis(shared_data):
    return shared_data / "asm_records" / "ipis_drc_mine_visits_2009_2020.csv"


IPIS = ("--map", "source_id=pcode", "--map", "stated_region=province_old")

SMALL = """id,name,longitude,latitude,date,mineral
a1,Bray,-10.5,6.25,2021-03-04,Or
a2,Koss,-10.75,6.5,24/03/2021,Cassitérite
a1,Bray,-10.5,6.25,2022-01-01,gold
"""


@pytest.fixture
def small(tmp_path):
    return write(tmp_path / "small.csv", SMALL)


# ---- the real register ----


def test_visits_of_one_site_become_one_record(ipis):
    assert load(ipis, *IPIS)[-1] == "2988 created, 0 updated, 0 unchanged, 0 refused (5071 rows)"
    assert SiteRecord.objects.count() == 2988 == Placement.objects.count()
    assert Observation.objects.count() == 5071
    assert Observation.objects.filter(kind="on_site").count() == 4355
    assert Observation.objects.filter(kind="third_party").count() == 716
    assert Observation.objects.filter(location_precision="gps").count() == 4617
    assert Observation.objects.filter(location_method="Approximation", location_precision="approximate").count() == 279
    assert Observation.objects.filter(location_method="GPS (village)", location_precision="village").count() == 11
    assert (
        Observation.objects.filter(location_method="GPS (4 km du site)", location_precision="approximate").count() == 2
    )
    assert Observation.objects.filter(location_method="Numérisation", location_precision="digitised").count() == 5
    assert Observation.objects.filter(minerals=[]).count() == 8 + 10  # 8 blank, 10 "inconnu"
    assert Observation.objects.filter(stated_region="Katanga").count() == 855


def test_importing_again_changes_nothing(ipis):
    load(ipis, *IPIS)
    before = list(Placement.objects.order_by("pk").values_list())
    assert load(ipis, *IPIS)[-1] == "0 created, 0 updated, 2988 unchanged, 0 refused (5071 rows)"
    assert load(ipis)[-1] == "0 created, 0 updated, 2988 unchanged, 0 refused (5071 rows)"  # the mapping is saved
    assert Edition.objects.count() == 1
    assert list(Placement.objects.order_by("pk").values_list()) == before


def test_doubtful_id_column_is_asked_with_counts(ipis):
    said = refusal_of(ipis)
    assert "pcode (2,988 distinct values)" in said and "id (907 distinct values)" in said
    assert "--map source_id=" in said
    assert not Register.objects.exists()


def test_sites_lie_where_the_data_notes_measured(ipis, shared_data):
    """README: 3 sites outside every province, 127 of 2,949 in another old province than stated."""
    load(ipis, *IPIS)
    provinces = shared_data / "boundaries" / "ne_adm1_cod.geojson"
    call_command(
        "load_areas", str(provinces), "--project", "wandara", "--kind", "admin", stdout=StringIO(), stderr=StringIO()
    )
    assert Placement.objects.filter(region=None).count() == 3
    stated = Placement.objects.exclude(observation__stated_region="").exclude(region=None)
    names = {"orientale": "Orientale", "Tanganyika": "(a new province)"}
    pairs = list(stated.values_list("observation__stated_region", "region__name"))
    assert len(pairs) == 2949
    assert sum(names.get(said, said) != found for said, found in pairs) == 127


def test_other_real_registers_load(shared_data):
    records = shared_data / "asm_records"
    assert load(records / "africa_mining_watch_detection_points_2026.csv", register="amw")[-1].startswith(
        "12874 created, 0 updated, 0 unchanged, 0 refused"
    )
    assert load(shared_data / "audits" / "punino_ecuador_curation_2025_2026.csv", register="punino")[-1].startswith(
        "325 created"
    )


def test_messy_register_is_refused_row_by_row(shared_data):
    """Metres without a zone and glued text are refused with a reason; blanks are kept without a location."""
    path = shared_data / "asm_records" / "derived_messy_registre_cp1252.csv"
    lines = load(path, "--map", "source_id=Code site")
    assert "cp1252" in "\n".join(lines)
    with path.with_name("derived_messy_registre_truth.csv").open() as file:
        kinds = {int(row["row"]) + 1: row["kind"] for row in csv.DictReader(file)}
    refused = {kinds[row] for row in RefusedRow.objects.values_list("file_row", flat=True)}
    assert refused == {"utm35s", "fr_header_text"}
    unlocated = {kinds[row] for row in Observation.objects.filter(point=None).values_list("file_row", flat=True)}
    assert unlocated == {"blank", "zero"}
    assert Observation.objects.filter(name__contains="é").exists()


def test_messy_register_with_its_zone_refuses_glued_text_only(shared_data):
    path = shared_data / "asm_records" / "derived_messy_registre_cp1252.csv"
    lines = load(path, "--map", "source_id=Code site", "--map", "utm_zone=UTM 35 Sud")
    assert lines[-1].endswith("6 refused (300 rows)")
    assert Register.objects.get().column_mapping["utm_zone"] == "35S"
    assert load(path)[-1].startswith("0 created, 0 updated")


# ---- rows ----


def test_order_of_day_and_month_is_told_by_the_column_or_asked(tmp_path):
    dated = "id,longitude,latitude,date\n1,1,2,03/04/2015\n2,1,2,"
    told = write(tmp_path / "told.csv", dated + "04/13/2015\n")
    load(told)
    assert Observation.objects.get(site_record__source_id="1").observed_on == date(2015, 3, 4)
    asked = write(tmp_path / "asked.csv", dated + "05/06/2015\n")
    assert "day from the month (03/04/2015)" in refusal_of(asked, register="other")
    load(asked, "--map", "date_order=day_first", register="other")
    assert Register.objects.get(slug="other").column_mapping["date_order"] == "day_first"
    assert Observation.objects.get(site_record__register__slug="other", file_row=2).observed_on == date(2015, 4, 3)
    assert load(asked, register="other")[-1].startswith("0 created, 0 updated")


def test_one_column_of_coordinates_is_read(tmp_path):
    path = write(tmp_path / "a.csv", 'id,coordonnées GPS\n1,"2°30\'S 28°18\'E"\n2,"-2.5, 28.3"\n3,36S 766134 9813250\n')
    assert load(path, "--dry-run")[-1] == "2 created, 0 updated, 0 unchanged, 1 refused (3 rows)"
    assert load(path, "--map", "coordinate_order=lat_lon")[-1].startswith("3 created")
    assert "choose one of lat_lon, lon_lat" in refusal_of(path, "--map", "coordinate_order=id")


def test_rows_without_coordinates_are_kept(tmp_path):
    path = write(tmp_path / "a.csv", "id,longitude,latitude\n1,,\n2,0,0\n3,N/A,inconnu\n4,12.5,0\n")
    assert load(path)[-1] == "4 created, 0 updated, 0 unchanged, 0 refused (4 rows)"
    assert Placement.objects.filter(reported_point=None).count() == 3


def test_refused_rows_say_row_column_value_and_reason(tmp_path):
    path = write(
        tmp_path / "a.csv",
        "id,longitude,latitude,date\n1,12.5,\n2,200.5,3,2020-01-01\n3,12.5,3.5,31/02/2020\n,12.5,3.5,2020\n5,12.5,95,2020\n",
    )
    report = tmp_path / "report.csv"
    assert load(path, "--report", str(report))[-1] == "0 created, 0 updated, 0 unchanged, 5 refused (5 rows)"
    rows = table_of(report)
    assert rows[0] == ["row", "column", "value", "reason"]
    assert [row[:3] for row in rows[1:]] == [
        ["2", "", ""],
        ["3", "longitude", "200.5"],
        ["4", "date", "31/02/2020"],
        ["5", "id", ""],
        ["6", "latitude", "95"],
    ]
    assert "3 cells where the header has 4" in rows[1][3]


def test_half_a_position_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", "id,longitude,latitude\n1,12.5,\n")
    load(path)
    refused = RefusedRow.objects.get()
    assert (refused.column, refused.reason) == ("latitude", "the row states only one of the two coordinates")


def test_report_cells_are_no_formulas(tmp_path):
    path = write(tmp_path / "a.csv", "id,longitude,latitude\n1,\"=cmd|'/c calc'!A1\",3\n2,-195.5,3\n")
    report = tmp_path / "report.csv"
    load(path, "--report", str(report))
    values = [row[2] for row in table_of(report)]
    assert values == ["value", "'=cmd|'/c calc'!A1", "-195.5"]


def test_decimal_commas_and_other_delimiters_are_read(tmp_path):
    path = write(tmp_path / "a.csv", "Code;Nom;Longitude;Latitude\nà1;Bräy;-10,5;6,25\n", "cp1252")
    load(path)
    assert Placement.objects.get().reported_point.coords == (-10.5, 6.25)
    assert SiteRecord.objects.get().source_id == "à1"


def test_line_breaks_in_quotes_are_kept(tmp_path):
    path = write(tmp_path / "a.csv", 'id,name,longitude,latitude\n1,"two\nlines",1,2\n2,one,1,2\n')
    assert load(path)[-1].startswith("2 created")
    assert list(Observation.objects.order_by("pk").values_list("name", "file_row")) == [("two\nlines", 2), ("one", 3)]


def test_every_column_is_kept_as_published(small):
    load(small)
    first = Observation.objects.order_by("file_row").first()
    assert first.attributes == {
        "id": "a1",
        "name": "Bray",
        "longitude": "-10.5",
        "latitude": "6.25",
        "date": "2021-03-04",
        "mineral": "Or",
    }
    assert (first.observed_on, first.minerals, first.minerals_original) == (date(2021, 3, 4), ["gold"], ["Or"])


def test_records_without_an_id_are_told_apart_by_content(tmp_path):
    path = write(tmp_path / "a.csv", "name,longitude,latitude\nBray,1,2\nKoss,1,3\nBray,1,2\n")
    assert load(path)[-1] == "3 created, 0 updated, 0 unchanged, 0 refused (3 rows)"
    first, second, third = SiteRecord.objects.order_by("pk").values_list("source_id", flat=True)
    assert first.removesuffix("-1") == third.removesuffix("-2") != second
    longer = write(tmp_path / "b.csv", "name,longitude,latitude\nKoss,1,3\nBray,1,2\nBray,1,2\nNew,1,1\n")
    assert load(longer)[-1] == "1 created, 0 updated, 3 unchanged, 0 refused (4 rows)"


def test_identical_rows_of_one_site_are_both_kept(tmp_path):
    path = write(tmp_path / "a.csv", "id,longitude,latitude\n1,1,2\n1,1,2\n")
    assert load(path)[-1] == "1 created, 0 updated, 0 unchanged, 0 refused (2 rows)"
    assert sorted(Observation.objects.values_list("occurrence", flat=True)) == [1, 2]


def test_a_changed_row_updates_its_record_only(small, tmp_path):
    load(small)
    later = write(tmp_path / "later.csv", SMALL.replace("Koss,-10.75", "Koss,-10.80"))
    assert load(later)[-1] == "0 created, 1 updated, 1 unchanged, 0 refused (3 rows)"
    assert SiteRecord.objects.get(source_id="a2").placement.reported_point.x == -10.8
    assert Observation.objects.count() == 4


def test_a_vanished_row_stays_and_leaves_the_edition(small, tmp_path):
    load(small)
    load(write(tmp_path / "later.csv", "\n".join(SMALL.splitlines()[:2]) + "\n"))
    assert SiteRecord.objects.count() == 2
    assert Edition.objects.get(number=2).edition_rows.count() == 1


def test_another_mapping_is_another_reading(tmp_path):
    path = write(tmp_path / "a.csv", "id,longitude,latitude,province,old\n1,1,2,New,Old\n")
    load(path)
    assert load(path, "--map", "stated_region=old")[-1] == "0 created, 1 updated, 0 unchanged, 0 refused (1 rows)"
    assert Placement.objects.get().observation.stated_region == "Old"


def test_wkt_and_polygons_are_read(tmp_path):
    path = write(
        tmp_path / "a.csv",
        'id,geom\n1,POINT (12.5 -3.25)\n2,"POLYGON ((0 0, 2 0, 2 2, 0 2, 0 0))"\n3,LINESTRING (0 0 1 1)\n'
        '4,"POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))"\n5,\n',
    )
    assert load(path)[-1] == "3 created, 0 updated, 0 unchanged, 2 refused (5 rows)"
    licence = Observation.objects.get(site_record__source_id="2")
    assert licence.polygon.contains(licence.point)


def test_geojson_is_read(tmp_path):
    collection = {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"id": 7, "name": "Bray"},
                "geometry": {"type": "Point", "coordinates": [-10.5, 6.25, 400]},
            },
            {"type": "Feature", "properties": {"id": 8, "name": None}, "geometry": None},
            {"type": "Feature", "properties": {"id": 9}, "geometry": {"type": "Point", "coordinates": [-10.5, 96]}},
        ],
    }
    path = write(tmp_path / "a.csv", json.dumps(collection))  # the name says nothing
    assert load(path)[-1] == "2 created, 0 updated, 0 unchanged, 1 refused (3 rows)"
    assert SiteRecord.objects.get(source_id="7").placement.reported_point.coords == (-10.5, 6.25)


def test_geojson_lines_are_read(tmp_path):
    feature = {"type": "Feature", "properties": {"id": 7}, "geometry": {"type": "Point", "coordinates": [-10.5, 6.25]}}
    lines = [json.dumps(feature), json.dumps(feature | {"properties": {"id": 8}}), ""]
    assert load(write(tmp_path / "a", "\n".join(lines)))[-1] == "2 created, 0 updated, 0 unchanged, 0 refused (2 rows)"
    marked = write(tmp_path / "b", "\x1e" + "\n\x1e".join(lines))
    assert load(marked)[-1] == "0 created, 0 updated, 2 unchanged, 0 refused (2 rows)"
    assert "Line 2" in refusal_of(write(tmp_path / "c", lines[0] + "\n{broken\n"))
    assert "Line 3" in refusal_of(write(tmp_path / "d", "\n".join(lines[:2]) + "\n" + "[" * 100_000))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1", "cp850"])
@pytest.mark.parametrize("name", ["Cassitérite à Être", "MINA DE SÃO JOSÉ", "Peña Núñez", "Mwéla"])
def test_usual_encodings_are_found_out(tmp_path, encoding, name):
    path = write(tmp_path / "a.csv", f"id;nom;longitude;latitude\n1;{name};1,5;2,5\n", encoding)
    load(path)
    assert Observation.objects.get().name == name


# ---- the command ----


def test_dry_run_stores_nothing(small):
    assert load(small, "--dry-run")[-1] == "2 created, 0 updated, 0 unchanged, 0 refused (3 rows)"
    for model in (Project, Register, SiteRecord, Observation, Edition, Job):
        assert not model.objects.exists()
    load(small)
    assert load(small, "--dry-run")[-1] == "0 created, 0 updated, 2 unchanged, 0 refused (3 rows)"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--map", "colour=id"], "no field 'colour'"),
        (["--map", "name=nom"], "no column 'nom'"),
        (["--map", "name"], "field=column"),
        (["--map", "latitude="], "none as latitude"),
        (["--map", "geometry=name", "--map", "longitude=longitude", "--map", "latitude=latitude"], "not from both"),
    ],
)
def test_wrong_choices_are_refused_in_words(small, options, said):
    assert said in refusal_of(small, *options)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"id,name\n1,a\0b\n", "null byte"),
        (b"PK\x03\x04 not a table\0", "no zip archive"),
        (b"<?xml version='1.0'?><gpx/>", "XML"),
        (b"\n1,2\n", "name its columns"),
        (b"id,longitude,latitude\n", "no rows"),
        (b'id,name,longitude,latitude\n1,"' + b"x" * 2_000_000, "quotation mark"),
        (b'{"type": "FeatureCollection", "features": [' + b"[" * 100_000, "nested too deeply"),
        (b'{"type": "FeatureCollection", "features": [{"type"', "Not well-formed"),
        (b'{"type": "Feature", "geometry": null}', "FeatureCollection"),
        (b'{"crs": {"type": "name", "properties": {"name": "EPSG:999999"}}, "features": []}', "EPSG:999999"),
        (b"," * 2000 + b"a\n1\n", "columns"),
    ],
)
def test_unusable_files_are_refused_in_words(tmp_path, content, said):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert said in refusal_of(path)


def test_missing_file_is_refused_in_words(tmp_path):
    assert "cannot be read" in refusal_of(tmp_path / "none.csv")


def test_saved_mapping_that_does_not_fit_is_refused(small, tmp_path):
    load(small)
    other = write(tmp_path / "other.csv", "id,name,lon,lat\n1,a,2,3\n")
    assert "saved mapping" in refusal_of(other)


# ---- killed on the way ----


def everything() -> list:
    return [
        list(SiteRecord.objects.order_by("source_id").values_list("source_id", flat=True)),
        list(Observation.objects.order_by("file_row").values_list("file_row", "row_hash", "occurrence", "observed_on")),
        list(Placement.objects.order_by("site_record__source_id").values_list("observation__file_row", flat=True)),
        list(Edition.objects.values_list("n_rows", "n_created", "n_updated", "n_unchanged", "n_refused")),
    ]


def no_staging() -> bool:
    return not [name for name in connection.introspection.table_names() if name.startswith("staging_register")]


class Killed(BaseException):
    """Ends the work as a kill does: no except clause of the product sees it."""


@pytest.mark.parametrize("killed_after", [0, 1, 3])
def test_job_killed_while_staging_goes_on_where_it_was(shared_data, project, monkeypatch, killed_after):
    path = shared_data / "asm_records" / "ipis_drc_mine_visits_sample.csv"
    register = Register.objects.create(project=project, slug="ipis", name="IPIS")
    mapping = {"source_id": "pcode", "longitude": "longitude", "latitude": "latitude", "observed_on": "visit_date"}
    parameters = registers.parameters_of(register, mapping, path=path)
    monkeypatch.setattr(registers, "BATCH_ROWS", 50)
    copied = []
    copy = staging.Staging.copy

    def copy_until_killed(self, batch):
        if len(copied) == killed_after:
            raise Killed
        copied.append(batch)
        copy(self, batch)

    job = jobs.ask(project=project, kind=Job.Kind.LOAD_REGISTER, parameters=parameters)
    with monkeypatch.context() as killing:
        killing.setattr(staging.Staging, "copy", copy_until_killed)
        with pytest.raises(Killed):
            jobs.run(job.pk)
    assert not SiteRecord.objects.exists()
    Job.objects.update(heartbeat_at="2020-01-01T00:00Z")
    done = jobs.run(job.pk)
    assert done.state == Job.State.DONE, done.error
    assert done.result["sentence"].endswith("0 updated, 0 unchanged, 0 refused (232 rows)")
    resumed = everything()
    assert sum(batch.n_rows for batch in copied) == killed_after * 50
    assert no_staging()

    other = Register.objects.create(project=project, slug="clean", name="Clean")
    clean = jobs.run_now(
        project=project,
        kind=Job.Kind.LOAD_REGISTER,
        parameters=parameters | {"register": other.pk},
        report=lambda *_: None,
    )
    assert clean.result["sentence"] == done.result["sentence"]
    own = Observation.objects.filter(site_record__register=other).order_by("file_row")
    assert list(own.values_list("file_row", "row_hash", "occurrence", "observed_on")) == resumed[1]


def test_job_killed_after_publishing_does_not_publish_twice(small, project, monkeypatch):
    register = Register.objects.create(project=project, slug="list", name="List")
    mapping = {"source_id": "id", "longitude": "longitude", "latitude": "latitude"}
    parameters = registers.parameters_of(register, mapping, path=small)
    job = jobs.ask(project=project, kind=Job.Kind.LOAD_REGISTER, parameters=parameters)

    def killed(**_):
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr("labels.placement.place_records", killed)
        with pytest.raises(Killed):
            jobs.run(job.pk)
    Job.objects.update(heartbeat_at="2020-01-01T00:00Z")
    done = jobs.run(job.pk)
    assert done.result["sentence"] == "2 created, 0 updated, 0 unchanged, 0 refused (3 rows)"
    assert Edition.objects.count() == 1 and Placement.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_command_killed_and_run_again_gives_the_clean_result(ipis):
    """A real kill -9 at a random moment of a real process; the second run starts over and leaves nothing behind."""
    arguments = ["load_register", str(ipis), "--project", "wandara", "--country", "WDR", "--register", "list", *IPIS]
    name = connection.settings_dict["NAME"]
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        env=os.environ | {"DATABASE_NAME": name},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[2],
    )
    deadline = time.monotonic() + 60
    while no_staging() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load(ipis, *IPIS)[-1].endswith("0 refused (5071 rows)")
    assert SiteRecord.objects.count() == 2988 == Placement.objects.count()
    assert Observation.objects.count() == 5071
    assert Edition.objects.count() == 1
