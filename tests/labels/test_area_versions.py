"""Areas that hold areas, boundaries with dates, names in any encoding, every real file."""

import json
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from django.contrib.gis.geos import GEOSGeometry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError
from django.urls import reverse

from labels import jobs
from labels.models import Job, Placement, ReferenceArea, ReferenceLayer
from tests.factories import make_record, make_register
from tests.labels.test_load_areas import BOW_TIE, feature, load, polygon, ring

pytestmark = pytest.mark.django_db


@pytest.fixture
def collection(tmp_path):
    def write(*features: dict, name: str = "areas.geojson") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
        return path

    return write


@pytest.fixture
def provinces(collection):
    """Two provinces side by side."""
    west = feature(polygon(ring(0, 0, 2)), name="Équateur Ouest", code="W")
    return collection(west, feature(polygon(ring(2, 0, 2)), name="Est", code="E"), name="provinces.geojson")


def parents() -> dict[str, str | None]:
    areas = ReferenceArea.objects.filter(layer__retired_at=None, layer__parent__isnull=False)
    return dict(areas.values_list("name", "parent__name"))


def refusal_of(path: Path, *options: str) -> str:
    with pytest.raises(CommandError) as refused:
        load(path, *options)
    assert refused.value.returncode == 2
    return str(refused.value)


# ---- which holds which ----


def test_districts_hang_under_the_province_they_lie_in(provinces, collection):
    load(provinces)
    districts = collection(
        feature(polygon(ring(0.5, 0.5, 0.5)), name="Bray"),
        feature(polygon(ring(3, 0.5, 0.5)), name="Koss"),
        feature(polygon(ring(9, 9, 0.5)), name="Lom"),
        name="districts.geojson",
    )
    lines = load(districts, "--parent", "provinces")
    assert lines[-1] == "3 areas loaded, 0 unchanged, 0 refused"
    assert "Shape 3, Lom, lies in no parent." in lines and "1 area lies in no parent." in lines
    assert parents() == {"Bray": "Équateur Ouest", "Koss": "Est", "Lom": None}
    layer = ReferenceLayer.objects.get(name="districts")
    assert (layer.level, layer.parent.name) == (2, "provinces")
    assert load(districts, "--parent", "provinces")[-1] == "0 areas loaded, 3 unchanged, 0 refused"


def test_what_a_district_states_beats_where_it_lies_and_is_said(provinces, collection):
    load(provinces)
    districts = collection(
        feature(polygon(ring(0.5, 0.5, 0.5)), name="Bray", prov="EQUATEUR-OUEST"),
        feature(polygon(ring(0.5, 1, 0.5)), name="Dorn", prov="e"),
        feature(polygon(ring(3, 0.5, 0.5)), name="Koss", prov="Ancien"),
        feature(polygon(ring(9, 9, 0.5)), name="Lom", prov="Est"),
        feature(polygon(ring(9, 5, 0.5)), name="Marn", prov="Ancien"),
        feature(polygon(ring(3, 1, 0.5)), name="Nid"),
        name="districts.geojson",
    )
    lines = load(districts, "--parent", "provinces", "--parent-field", "prov")
    west = "Équateur Ouest"
    assert parents() == {"Bray": west, "Dorn": "Est", "Koss": "Est", "Lom": "Est", "Marn": None, "Nid": "Est"}
    assert [line for line in lines if line.startswith("Shape")] == [
        f"Shape 2, Dorn, hangs under Est as stated, and lies in {west}.",
        "Shape 3, Koss, states the parent 'Ancien', which is none; it lies in Est.",
        "Shape 4, Lom, hangs under Est as stated, and lies in no parent.",
        "Shape 5, Marn, lies in no parent and states 'Ancien', which is none.",
    ]


def test_of_two_parents_of_one_name_the_one_around_it_is_meant(collection):
    twins = [feature(polygon(ring(lon, 0, 2)), name="Haut") for lon in (0, 4)]
    load(collection(*twins, name="provinces.geojson"))
    inside = feature(polygon(ring(4.5, 0.5, 0.5)), name="Bray", prov="Haut")
    outside = feature(polygon(ring(9, 9, 0.5)), name="Lom", prov="Haut")
    load(collection(inside, outside), "--parent", "provinces", "--parent-field", "prov", "--layer", "districts")
    bray = ReferenceArea.objects.get(name="Bray")
    assert bray.parent.geometry.contains(bray.geometry)
    assert parents()["Lom"] is None


def test_what_cannot_hang_is_refused_in_words(provinces, collection):
    districts = collection(feature(polygon(ring(0.5, 0.5, 0.5)), name="Bray"))
    assert "no layer “provinces” to hang the areas under. Its layers: none yet." in refusal_of(
        districts, "--parent", "provinces"
    )
    load(provinces)
    assert "no property 'prov'" in refusal_of(districts, "--parent", "provinces", "--parent-field", "prov")
    assert "needs the layer of the parents" in refusal_of(districts, "--parent-field", "name")
    assert "its own parent" in refusal_of(districts, "--parent", "provinces", "--layer", "provinces")
    assert "has level 1" in refusal_of(districts, "--parent", "provinces", "--level", "1")


def test_districts_hang_under_a_new_version_of_their_provinces(provinces, collection):
    load(provinces)
    districts = [feature(polygon(ring(lon, 0.5, 0.4)), name=name) for lon, name in ((0.5, "Bray"), (1.5, "Dorn"))]
    load(collection(*districts, name="districts.geojson"), "--parent", "provinces")
    newer = collection(
        feature(polygon(ring(0, 0, 1)), name="Équateur ouest", code="W"),
        feature(polygon(ring(1, 0, 3)), name="Nouvelle", code="N"),
    )
    load(newer, "--layer", "provinces")
    assert ReferenceLayer.objects.get(name="districts").parent.version == 2
    # By code, name, or where they lie: Dorn lay in the west, which still is there.
    assert parents() == {"Bray": "Équateur ouest", "Dorn": "Équateur ouest"}
    renamed = collection(feature(polygon(ring(0, 0, 1)), name="A"), feature(polygon(ring(1, 0, 3)), name="B"))
    load(renamed, "--layer", "provinces")
    assert parents() == {"Bray": "A", "Dorn": "B"}


def test_records_lie_in_the_deepest_area_and_its_province(provinces, collection, project):
    record = make_record(make_register(project), at=(0.7, 0.7))
    load(provinces, project=project.slug)
    district = collection(feature(polygon(ring(0.5, 0.5, 0.5)), name="Bray"), name="districts.geojson")
    load(district, "--parent", "provinces", project=project.slug)
    placed = Placement.objects.get(pk=record.pk)
    assert (placed.region.name, placed.admin_area.name) == ("Équateur Ouest", "Bray")


# ---- versions ----


def test_versions_count_up_and_have_dates(collection):
    first = collection(feature(polygon(ring(0, 0, 1)), name="Bray"))
    load(first, "--layer", "provinces", "--valid-from", "2015-07-01")
    second = collection(feature(polygon(ring(0, 0, 2)), name="Bray"), name="b.geojson")
    load(second, "--layer", "provinces", "--valid-from", "2020-01-01")
    old, new = ReferenceLayer.objects.order_by("version")
    assert (old.version, old.valid_from, old.retired_at is None) == (1, date(2015, 7, 1), False)
    assert (new.version, new.valid_from, new.retired_at) == (2, date(2020, 1, 1), None)


def test_the_same_boundaries_may_be_dated_later(collection):
    path = collection(feature(polygon(ring(0, 0, 1)), name="Bray"))
    load(path)
    assert load(path, "--valid-from", "2015-07-01")[-1] == "0 areas loaded, 1 unchanged, 0 refused"
    assert ReferenceLayer.objects.get().valid_from == date(2015, 7, 1)
    assert "end before they begin" in refusal_of(path, "--valid-from", "2015-07-01", "--valid-to", "2010-01-01")


def test_older_boundaries_are_kept_as_history(collection, project):
    record = make_record(make_register(project), at=(0.5, 0.5))
    now = collection(feature(polygon(ring(0, 0, 1)), name="Bray"))
    load(now, "--layer", "provinces", "--valid-from", "2015-07-01", project=project.slug)
    then = collection(feature(polygon(ring(0, 0, 3)), name="Katanga"), name="then.geojson")
    options = ("--layer", "provinces", "--valid-from", "1997-05-17", "--valid-to", "2015-06-30")
    lines = load(then, *options, project=project.slug)
    assert lines[-2:] == [
        "These are older boundaries than the current ones, which stay.",
        "1 areas loaded, 0 unchanged, 0 refused",
    ]
    assert Placement.objects.get(pk=record.pk).region.name == "Bray"
    assert list(ReferenceLayer.objects.filter(retired_at=None).values_list("version", flat=True)) == [1]
    assert load(then, *options, project=project.slug)[-1] == "0 areas loaded, 1 unchanged, 0 refused"
    assert ReferenceLayer.objects.count() == 2


# ---- the page ----


@pytest.fixture
def sent(client_of, admin, project):
    def send(path: Path, **fields):
        data = {"file": SimpleUploadedFile(path.name, path.read_bytes()), "kind": "admin", "layer": path.stem}
        return client_of(admin).post(reverse("labels:area_layer_new", args=[project.slug]), data | fields)

    return send


def test_the_page_takes_parents_and_dates(sent, client_of, lead, project, provinces, collection):
    assert sent(provinces, valid_from="2015-07-01").status_code == 302
    assert jobs.run(Job.objects.get().pk).state == Job.State.DONE
    parent = ReferenceLayer.objects.get()
    districts = collection(
        feature(BOW_TIE, name="Bray", prov="E"), feature(polygon(ring(9, 9, 1)), name="<Lom>"), name="districts.geojson"
    )
    refused = sent(districts, parent=parent.pk, parent_field="none").content.decode()
    assert "no property" in refused
    assert sent(districts, parent=parent.pk, parent_field="prov").status_code == 302
    done = jobs.run(Job.objects.order_by("-pk").first().pk)
    assert done.result["sentence"].endswith("1 area lies in no parent.")
    page = client_of(lead).get(reverse("labels:areas", args=[project.slug])).content.decode()
    assert "in provinces" in page and "since 1 Jul 2015" in page and "1 in none of them" in page
    assert "mended: Self-intersection" in page and "&lt;Lom&gt;" in page and "lies in no parent" in page
    assert "hangs under Est as stated, and lies in Équateur Ouest" in page


def test_the_page_refuses_dates_and_properties_in_words(sent, collection):
    path = collection(feature(polygon(ring(0, 0, 1)), name="Bray", nom="Braie"))
    assert "end before they begin" in sent(path, valid_from="2020-01-01", valid_to="2010-01-01").content.decode()
    assert "name, nom" in sent(path).content.decode()
    assert not Job.objects.exists()


def test_the_page_lists_other_versions(client_of, lead, project, collection):
    for side in (1, 2):
        path = collection(feature(polygon(ring(0, 0, side)), name="Bray"), name=f"{side}.geojson")
        load(path, "--layer", "provinces", "--valid-from", f"201{side}-01-01", project=project.slug)
    page = client_of(lead).get(reverse("labels:areas", args=[project.slug])).content.decode()
    assert "since 1 Jan 2012" in page and "Other versions" in page and "since 1 Jan 2011" in page


# ---- formats and encodings ----

SQUARE = bytes(GEOSGeometry("POLYGON ((28 -3, 29 -3, 29 -2, 28 -2, 28 -3))").wkb)
IN_UTM = bytes(GEOSGeometry("POLYGON ((500000 9600000, 510000 9600000, 510000 9610000, 500000 9600000))").wkb)


def written(
    path: Path, *, driver: str, crs: str = "EPSG:4326", shape: bytes = SQUARE, name="Équateur", n=1, **more
) -> Path:
    pyogrio.raw.write(
        path,
        np.array([shape] * n, dtype=object),
        [np.array([name] * n, dtype=object)],
        ["nom"],
        geometry_type="Polygon",
        crs=crs,
        driver=driver,
        **more,
    )
    return path


def shapefile(folder: Path, *, encoding: str, with_cpg: bool, name: str) -> Path:
    path = written(folder / "p.shp", driver="ESRI Shapefile", name=name, encoding=encoding)
    parts = ["shp", "shx", "dbf", "prj"] + (["cpg"] if with_cpg else [])
    with zipfile.ZipFile(folder / "p.zip", "w") as archive:
        for part in parts:
            content = path.with_suffix(f".{part}").read_bytes()
            # Byte 29 of a .dbf may name the code page; the program that made this one left it blank.
            archive.writestr(f"p.{part}", content[:29] + b"\0" + content[30:] if part == "dbf" else content)
    return folder / "p.zip"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("encoding", "with_cpg", "name"),
    [
        ("UTF-8", True, "Équateur"),
        ("CP1252", True, "Équateur"),
        ("CP1252", False, "Équateur à l’Œuvre"),
        ("ISO-8859-1", False, "São João"),
        ("UTF-8", False, "Équateur"),
    ],
)
def test_names_in_any_encoding_of_a_dbf_are_read(tmp_path, encoding, with_cpg, name):
    load(shapefile(tmp_path, encoding=encoding, with_cpg=with_cpg, name=name))
    assert ReferenceArea.objects.get().name == name


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("driver", ["GPKG", "GeoJSON", "GeoJSONSeq"])
def test_areas_come_from_every_format(tmp_path, driver):
    load(written(tmp_path / f"a.{driver.lower()}", driver=driver, n=2))
    area, _twin = ReferenceArea.objects.all()
    assert area.name == "Équateur" and area.geometry.extent == pytest.approx((28, -3, 29, -2))


@pytest.mark.django_db(transaction=True)
def test_areas_come_from_kml(tmp_path):
    place = (
        "<Placemark><name>Équateur</name><Polygon><outerBoundaryIs><LinearRing><coordinates>"
        "28,-3,0 29,-3,0 29,-2,0 28,-2,0 28,-3,0</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>"
    )
    text = f'<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>{place}</Document></kml>'
    (tmp_path / "a.kml").write_text(text)
    load(tmp_path / "a.kml", "--name-field", "Name")
    assert ReferenceArea.objects.get().geometry.extent == pytest.approx((28, -3, 29, -2))


@pytest.mark.django_db(transaction=True)
def test_one_of_several_layers_is_chosen(tmp_path):
    path = written(tmp_path / "a.gpkg", driver="GPKG", layer="old")
    written(path, driver="GPKG", layer="new", name="Tshopo", shape=IN_UTM, crs="EPSG:32735", append=True)
    assert "old, new" in refusal_of(path)
    load(path, "--sheet", "new")
    area = ReferenceArea.objects.get()
    assert area.name == "Tshopo" and area.geometry.extent == pytest.approx((27, -3.62, 27.09, -3.53), abs=0.01)


def test_a_geojson_in_another_system_is_read_or_refused_in_words(tmp_path):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32735"}}
    shape = polygon([[500000, 9600000], [510000, 9600000], [510000, 9610000], [500000, 9600000]])
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature(shape, name="Bray")]}))
    try:
        load(path)
    except CommandError as refused:
        assert "32735" in str(refused)
    else:
        assert ReferenceArea.objects.get().geometry.extent == pytest.approx((27, -3.62, 27.09, -3.53), abs=0.01)


# ---- every real file ----

REAL = [
    # file, kind, areas, mended, without a name, refused
    ("boundaries/ne_adm0_8_countries.geojson", "admin", 8, 0, 0),
    ("boundaries/ne_adm1_bfa.geojson", "admin", 45, 0, 0),
    ("boundaries/ne_adm1_cod.geojson", "admin", 11, 0, 0),
    ("boundaries/ne_adm1_ecu.geojson", "admin", 24, 0, 0),
    ("boundaries/ne_adm1_gha.geojson", "admin", 10, 0, 0),
    ("boundaries/ne_adm1_gin.geojson", "admin", 34, 0, 0),
    ("boundaries/ne_adm1_lbr.geojson", "admin", 15, 0, 0),
    ("boundaries/ne_adm1_sle.geojson", "admin", 4, 0, 0),
    ("boundaries/ne_adm1_ven.geojson", "admin", 26, 0, 1),
    ("mine_polygons/amw_ghana_mining_footprints_2024.geojson", "commercial", 685, 3, 685),
    ("mine_polygons/amw_guinea_mining_footprints_2024.geojson", "commercial", 2411, None, 2411),
    ("mine_polygons/maus_chile_industrial_mines.geojson", "commercial", 227, 0, 227),
    ("protected_areas/amazon_indigenous_territories_ec_ve_bo_gy.geojson", "protected", 160, None, None),
]


@pytest.mark.parametrize(("name", "kind", "n", "n_mended", "n_unnamed"), REAL)
def test_every_real_file_loads(shared_data, name, kind, n, n_mended, n_unnamed):
    assert load(shared_data / name, kind=kind)[-1] == f"{n} areas loaded, 0 unchanged, 0 refused"
    told = Job.objects.get().result
    assert n_mended in (None, told["n_mended"]) and n_unnamed in (None, told["n_unnamed"])
    assert ReferenceArea.objects.count() == n
    assert all(ReferenceArea.objects.values_list("geometry", flat=True)[k].valid for k in range(min(n, 50)))


def test_every_polygon_file_of_the_folder_is_listed_here(shared_data):
    folders = ("boundaries", "mine_polygons", "protected_areas")
    files = {f"{folder}/{path.name}" for folder in folders for path in (shared_data / folder).iterdir()}
    points = {"mine_polygons/amw_amazon_industrial_mine_points.geojson"}  # refused in test_load_areas
    assert files - points == {name for name, *_ in REAL}


def test_territories_keep_their_spellings(shared_data):
    load(shared_data / REAL[-1][0], kind="protected")
    spelt = {text for area in ReferenceArea.objects.all() for text in area.attributes.values()}
    assert {"Tierra Comunitaría", "Tierra Comunitaria"} & spelt, sorted(spelt)[:40]


def test_provinces_of_the_countries_hang_under_them(shared_data):
    load(shared_data / "boundaries" / "ne_adm0_8_countries.geojson", "--layer", "countries", "--level", "0")
    for country in ("cod", "gha"):
        load(shared_data / "boundaries" / f"ne_adm1_{country}.geojson", "--parent", "countries")
    hung = ReferenceArea.objects.filter(layer__parent__name="countries")
    assert hung.filter(parent=None).count() == 0 and hung.count() == 21
    assert set(hung.values_list("layer__level", flat=True)) == {1}
    assert {(name, layer) for name, layer in hung.values_list("parent__name", "layer__name")} == {
        ("Dem. Rep. Congo", "ne_adm1_cod"),
        ("Ghana", "ne_adm1_gha"),
    }


def test_the_page_asks_for_the_classes_of_terrain(sent, client_of, admin, project, provinces, collection):
    path = collection(feature(polygon(ring(0, 0, 1)), ECO="hills"), name="landforms.geojson")
    assert "names the class of each polygon" in sent(path, kind="terrain").content.decode()
    assert sent(path, kind="terrain", name_field="ECO").status_code == 302
    assert jobs.run(Job.objects.get().pk).state == Job.State.DONE
    form = client_of(admin).get(reverse("labels:area_layer_new", args=[project.slug])).content.decode()
    assert ">terrain</option>" in form and ">landforms</option>" not in form  # a kind, and nobody's parent
