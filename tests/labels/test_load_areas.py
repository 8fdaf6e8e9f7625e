"""Taking reference polygons in."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from labels import settling
from labels.models import Job, MapCell, Placement, RecordFlag, ReferenceArea, ReferenceLayer
from tests.factories import make_record, make_register

pytestmark = pytest.mark.django_db


def load(path, *options: str, kind: str = "admin", project: str = "wandara") -> list[str]:
    out = StringIO()
    arguments = [str(path), "--project", project, "--country", "WDR", "--kind", kind, *options]
    call_command("load_areas", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().splitlines()


def ring(west: float, south: float, side: float) -> list:
    east, north = west + side, south + side
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def feature(geometry: dict | None, **properties) -> dict:
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def polygon(*rings: list) -> dict:
    return {"type": "Polygon", "coordinates": list(rings)}


@pytest.fixture
def collection(tmp_path):
    def write(*features: dict, name: str = "areas.geojson"):
        path = tmp_path / name
        path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
        return path

    return write


BOW_TIE = polygon([[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]])


@pytest.mark.parametrize("country", ["cod", "sle", "lbr", "gha", "bfa", "gin", "ven", "ecu"])
def test_real_provinces_load(shared_data, country):
    expected = {"cod": 11, "sle": 4, "lbr": 15, "gha": 10, "bfa": 45, "gin": 34, "ven": 26, "ecu": 24}[country]
    lines = load(shared_data / "boundaries" / f"ne_adm1_{country}.geojson")
    assert lines[-1] == f"{expected} areas loaded, 0 unchanged, 0 refused"
    assert ReferenceArea.objects.filter(name__startswith="unnamed").count() == (1 if country == "ven" else 0)
    assert not ReferenceArea.objects.filter(code="").exists()


def test_real_mines_and_territories_load(shared_data):
    lines = load(shared_data / "mine_polygons" / "amw_ghana_mining_footprints_2024.geojson", kind="commercial")
    assert lines[-1] == "685 areas loaded, 0 unchanged, 0 refused"
    assert sum(line.startswith("Mended shape") for line in lines) == 3
    assert "[" not in json.dumps([mended["reason"] for mended in Job.objects.get().result["mended"]])[1:]
    mines = shared_data / "mine_polygons"
    assert load(mines / "maus_chile_industrial_mines.geojson", kind="commercial")[-1].startswith("227 areas loaded")
    assert load(mines / "amw_guinea_mining_footprints_2024.geojson", kind="commercial")[-1].startswith("2411 areas")
    territories = shared_data / "protected_areas" / "amazon_indigenous_territories_ec_ve_bo_gy.geojson"
    assert load(territories, kind="protected")[-1].startswith("160 areas loaded")


def test_points_are_refused_in_words(shared_data):
    with pytest.raises(CommandError) as refused:
        load(shared_data / "mine_polygons" / "amw_amazon_industrial_mine_points.geojson", kind="commercial")
    assert refused.value.returncode == 2
    assert "None of the 177 shapes" in str(refused.value) and "a Point" in str(refused.value)
    assert not ReferenceLayer.objects.exists()


def test_a_point_among_polygons_is_refused_alone(collection):
    path = collection(
        feature(polygon(ring(0, 0, 1)), name="Bray"),
        feature({"type": "Point", "coordinates": [1, 1]}, name="Koss"),
        feature(None, name="nowhere"),
        feature(polygon([[0, 0], [1, 1]]), name="line"),
        feature(polygon(ring(0, 89.5, 1)), name="off the globe"),
    )
    lines = load(path)
    assert lines[-1] == "1 areas loaded, 0 unchanged, 4 refused"
    assert "Refused shape 2: a polygon is needed, and this is a Point." in lines


def test_shapes_that_cross_themselves_are_mended_and_reported(collection):
    lines = load(collection(feature(BOW_TIE, name="Bray")))
    assert "Mended shape 1, Bray: Self-intersection." in lines
    area = ReferenceArea.objects.get()
    assert area.geometry.valid and area.geometry.area == pytest.approx(2)


def test_area_is_measured_in_square_kilometres(collection):
    load(collection(feature(polygon(ring(0, 0, 1)), name="Bray")))
    assert ReferenceArea.objects.get().area_km2 == pytest.approx(12_308.8, abs=1)


def test_same_file_again_changes_nothing(collection):
    path = collection(feature(polygon(ring(0, 0, 1)), name="Bray"))
    load(path)
    assert load(path)[-1] == "0 areas loaded, 1 unchanged, 0 refused"
    assert ReferenceLayer.objects.count() == 1


def test_another_file_is_a_new_version(collection, project):
    record = make_record(make_register(project), at=(0.5, 0.5))
    first = collection(feature(polygon(ring(0, 0, 1)), name="Bray"))
    load(first, "--layer", "provinces", project=project.slug)
    second = collection(feature(polygon(ring(0, 0, 2)), name="Greater Bray"), name="second.geojson")
    load(second, "--layer", "provinces", project=project.slug)
    assert ReferenceLayer.objects.filter(retired_at__isnull=True).count() == 1
    assert ReferenceLayer.objects.count() == 2
    assert Placement.objects.get(pk=record.pk).region.name == "Greater Bray"


def test_other_name_field_is_a_new_version(collection):
    path = collection(feature(polygon(ring(0, 0, 1)), name="Bray", label="B"))
    load(path)
    load(path, "--name-field", "label")
    assert ReferenceArea.objects.get(layer__retired_at__isnull=True).name == "B"


def test_doubtful_names_are_asked(collection):
    path = collection(feature(polygon(ring(0, 0, 1)), name="Bray", nom="Braie"))
    with pytest.raises(CommandError, match="name, nom"):
        load(path)
    with pytest.raises(CommandError, match="no property 'label'"):
        load(path, "--name-field", "label")


def test_unnamed_areas_have_a_stated_placeholder(collection):
    lines = load(collection(feature(polygon(ring(0, 0, 1))), feature(polygon(ring(2, 0, 1)))))
    assert sorted(ReferenceArea.objects.values_list("name", flat=True)) == ["unnamed (shape 1)", "unnamed (shape 2)"]
    assert any("have no name" in line for line in lines)


def test_tables_hold_no_polygons(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("name\nBray\n")
    with pytest.raises(CommandError, match="holds no polygons"):
        load(path)


# ---- terrain ----


def test_terrain_needs_names_and_several_polygons_share_one(collection):
    shapes = [feature(polygon(ring(west, 0, 1)), ECO="hills" if west < 2 else "plain") for west in range(3)]
    path = collection(*shapes, feature(polygon(ring(5, 0, 1)), ECO=" "))
    with pytest.raises(CommandError, match="names the class of each polygon"):
        load(path, kind="terrain")
    lines = load(path, "--name-field", "ECO", kind="terrain")
    assert lines[-1] == "3 areas loaded, 0 unchanged, 1 refused"
    assert "Refused shape 4: it has no name, which is all that terrain says." in lines
    assert sorted(ReferenceArea.objects.values_list("name", flat=True)) == ["hills", "hills", "plain"]


def test_terrain_hangs_under_nothing_and_nothing_under_it(collection):
    load(collection(feature(polygon(ring(0, 0, 1)), name="Bray"), name="provinces.geojson"))
    path = collection(feature(polygon(ring(0, 0, 1)), name="hills"), name="terrain.geojson")
    with pytest.raises(CommandError, match="Terrain hangs under no other areas"):
        load(path, "--parent", "provinces", kind="terrain")
    load(path, kind="terrain")
    with pytest.raises(CommandError, match="Nothing hangs under terrain"):
        load(path, "--layer", "districts", "--parent", "terrain")


def test_terrain_leaves_everything_about_records_as_it_is(collection, project):
    """Placement, flags and counts of the map are not even made anew."""
    provinces = collection(feature(polygon(ring(0, 0, 1)), name="Bray"), name="provinces.geojson")
    load(provinces, project=project.slug)
    register = make_register(project)
    for place in ((0.5, 0.5), (1.5, 0.5)):
        make_record(register, at=place, stated_region="hills")

    def known() -> tuple:
        return tuple(list(model.objects.order_by("pk").values()) for model in (Placement, RecordFlag, MapCell))

    settling.settle_project(project)
    before = known()
    assert {flag["code"] for flag in before[1]} >= {"outside_country", "region_unknown"}
    path = collection(feature(polygon(ring(0, 0, 2)), name="hills"), name="terrain.geojson")
    load(path, kind="terrain", project=project.slug)
    assert known() == before
    settling.settle_project(project)
    after = known()
    for rows in (*before, *after):
        for row in rows:
            row.pop("placed_at", None), row.pop("id", None)
    assert after == before
