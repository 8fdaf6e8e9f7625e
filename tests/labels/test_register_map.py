"""Records on a map: points where they are few, squares where they are many, never more than a line can carry."""

import json
from collections import Counter

import pytest
from django.urls import reverse

from labels import outlines, register_map, settling
from labels.map_squares import MAX_BYTES, MAX_FEATURES, MAX_POINTS, MAX_SQUARES, View
from labels.models import AccessRecord, MapCell, Placement, RecordFlag
from labels.register_filters import Filters
from tests.bench._registers import generate
from tests.factories import make_area, make_edition, make_record, make_register, square

pytestmark = pytest.mark.django_db


def ask(client, register, bbox="20,-10,30,0", zoom=5, **filters):
    address = reverse("labels:register_map", args=[register.project.slug, register.slug])
    return client.get(address, {"bbox": bbox, "zoom": zoom} | filters)


def shown(client, register, **asked) -> dict:
    answer = ask(client, register, **asked)
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


@pytest.fixture
def crowded(project):
    """3,000 generated records over ten degrees."""
    register = generate(3_000, slug=project.slug, vacuum=False)
    assert register.project == project
    return register


def test_many_records_are_squares_with_their_counts(client_of, lead, crowded):
    collection = shown(client_of(lead), crowded)
    located = Placement.objects.filter(register=crowded, reported_point__isnull=False).count()
    assert collection["square_deg"] > 0
    assert sum(each["properties"]["n"] for each in collection["features"]) == collection["n"] == located


@pytest.mark.parametrize("zoom", [2, 5, 6, 7, 8, 9, 11, 14])
def test_squares_count_what_lies_in_them(zoom, client_of, lead, crowded):
    collection = shown(client_of(lead), crowded, zoom=zoom, bbox="22.3,-7.7,27.9,-1.2")
    assert 0 < len(collection["features"]) <= MAX_FEATURES
    if not collection["square_deg"]:
        return
    side = collection["square_deg"]
    located = Placement.objects.filter(register=crowded, reported_point__isnull=False)
    squares = Counter(
        (int((x + 180) // side), int((y + 90) // side))
        for x, y in (point.coords for point in located.values_list("reported_point", flat=True))
    )
    for each in collection["features"]:
        lon, lat = each["geometry"]["coordinates"]
        assert each["properties"].get("n", 1) == squares[int((lon + 180) // side), int((lat + 90) // side)]


def test_every_view_is_small_and_cheap(client_of, lead, crowded, django_assert_max_num_queries):
    """At any zoom, filtered or not: at most 2,000 features, 150 kB and a handful of questions."""
    client = client_of(lead)
    ask(client, crowded)  # the first view of a sign-in writes down that somebody looks
    for filters in ({}, {"mineral": "gold"}, {"year": "2015", "legal_status": "expired"}, {"flag": "lattice"}):
        for zoom, bbox in ((0, "-180,-90,180,90"), (5, "20,-10,30,0"), (9, "24,-5,27,-3"), (16, "24,-5,24.02,-4.99")):
            with django_assert_max_num_queries(12):
                answer = ask(client, crowded, bbox=bbox, zoom=zoom, **filters)
            assert len(answer.content) <= MAX_BYTES
            assert len(json.loads(answer.content)["features"]) <= MAX_FEATURES


@pytest.mark.parametrize("zoom", range(0, 21))
@pytest.mark.parametrize("box", [(-180, -90, 180, 90), (20, -10, 30, 0), (29.9, -1.1, 30.2, -0.9)])
def test_no_view_has_too_many_squares(zoom, box):
    view = View(*box, zoom)
    assert view.squares(view.level).n <= MAX_SQUARES


def test_few_records_are_points_with_their_names(client_of, lead, project):
    register = make_register(project)
    record = make_record(register, at=(-10.712345678, 6.4), name="Bray" * 20)
    make_record(register, at=None)
    collection = shown(client_of(lead), register, bbox="-11,6,-10,7", zoom=9)
    (point,) = collection["features"]
    assert collection["square_deg"] == 0
    assert point["geometry"]["coordinates"] == [-10.71235, 6.4]
    assert point["properties"] == {"id": str(record.uuid), "name": ("Bray" * 20)[:24]}


def test_points_and_squares_change_at_the_limit(client_of, lead, project):
    register = generate(MAX_POINTS + 200, slug=project.slug, vacuum=False)
    Placement.objects.filter(register=register).exclude(
        pk__in=Placement.objects.filter(register=register, reported_point__isnull=False).values("pk")[:MAX_POINTS]
    ).delete()
    register_map.remake([register.pk])
    client = client_of(lead)
    answer = ask(client, register)
    assert json.loads(answer.content)["square_deg"] == 0
    assert json.loads(answer.content)["n"] == MAX_POINTS
    assert len(answer.content) <= MAX_BYTES


def test_names_are_left_out_before_the_line_is_full(client_of, lead, project, monkeypatch):
    register = make_register(project)
    make_record(register, name="Bray")
    monkeypatch.setattr("labels.register_map.MAX_BYTES", 200)
    collection = shown(client_of(lead), register, bbox="-11,6,-10,7", zoom=9)
    assert set(collection["features"][0]["properties"]) == {"id"}


ONE_FILTER = [
    *({"mineral": value} for value in ("gold", "none")),
    *({"year": value} for value in ("2012", "none")),
    *({"legal_status": "licensed"}, {"trade_status": "qualified"}, {"location": "village"}),
    *({"edition": value} for value in ("latest", "missing")),
    *({"protected": "no"}, {"commercial": "yes"}, {"region": "none"}, {"position": "yes"}),
]


@pytest.mark.parametrize("asked", ONE_FILTER, ids=str)
def test_kept_counts_are_those_of_the_records(asked, crowded):
    """Counting squares from what is kept and from the records themselves gives the same."""
    filters, squares = Filters(**asked), View(20, -10, 30, 0, 6).squares(9)
    kept = register_map._kept_counts(crowded, filters, squares)
    fresh = register_map._counts(crowded, register_map.matching(crowded, filters), squares)
    assert sorted(kept) == sorted(fresh)


def test_map_follows_the_filters_of_the_list(client_of, lead, project):
    register = make_register(project)
    make_record(register, at=(-10.7, 6.4), minerals=["gold"])
    tin = make_record(register, at=(-10.6, 6.4), minerals=["cassiterite"])
    RecordFlag.objects.create(site_record=tin, register=register, code="lattice")
    client = client_of(lead)
    for filters in ({"mineral": "cassiterite"}, {"flag": "lattice"}, {"q": tin.source_id}):
        collection = shown(client, register, bbox="-11,6,-10,7", zoom=9, **filters)
        assert [each["properties"]["id"] for each in collection["features"]] == [str(tin.uuid)]
    assert shown(client, register, bbox="-11,6,-10,7", zoom=9, q="nobody")["features"] == []


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"bbox": "1,2,3"}, "west, south, east and north"),
        ({"bbox": "a,b,c,d"}, "west, south, east and north"),
        ({"bbox": "nan,0,1,1"}, "finite"),
        ({"bbox": "inf,0,1,1"}, "finite"),
        ({"bbox": "10,0,5,1"}, "west lies before east"),
        ({"bbox": "0,0,1,91"}, "south below north"),
        ({"zoom": "21"}, "from 0 to 20"),
        ({"zoom": "-1"}, "from 0 to 20"),
        ({"zoom": "x"}, "from 0 to 20"),
        ({"legal_status": "nonsense"}, "legal_status"),
        ({"region": "1 OR 1=1"}, "region"),
        ({"region": "99999999999999999999"}, "region"),
    ],
)
def test_nonsense_is_refused_in_words(asked, says, client_of, lead, project):
    register = make_register(project)
    answer = ask(client_of(lead), register, **({"bbox": "0,0,1,1", "zoom": 5} | asked))
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_unknown_names_in_an_address_are_nobodys(client_of, lead, project):
    register = make_register(project)
    make_record(register)
    assert shown(client_of(lead), register, bbox="-11,6,-10,7", observation__name="x", site_record_id="0")["n"] == 1


def test_looking_is_written_down_once_a_sign_in(client_of, lead, project):
    register = make_register(project)
    make_record(register)
    for client in (client_of(lead), client_of(lead)):
        for zoom in (5, 6, 7):
            assert ask(client, register, zoom=zoom).headers["Cache-Control"] == "private, no-store"
    assert list(AccessRecord.objects.values_list("action", "user")) == [("view_map", lead.pk)] * 2


def test_strangers_and_annotators_see_no_map(client_of, annotator, stranger, project):
    register = make_register(project)
    assert ask(client_of(stranger), register).status_code == 404
    assert ask(client_of(annotator), register).status_code == 403


def test_squares_of_a_flag_are_kept(project):
    register = make_register(project)
    for at in ((-10.7, 6.4), (-10.7, 6.4001), (-10.2, 6.1)):
        make_record(register, at=at)
    flagged = register.placements.order_by("pk").first()
    RecordFlag.objects.create(
        site_record=flagged.site_record, register=register, code="region_unlike", detail={"split": "further"}
    )
    register_map.remake([register.pk])
    kept = MapCell.objects.filter(register=register, level=11).exclude(facet="")
    assert set(kept.filter(facet__startswith="flag").values_list("facet", "n")) == {("flag=region_unlike", 1)}
    assert set(kept.filter(facet__startswith="split").values_list("facet", "n")) == {("split=further", 1)}


def test_squares_follow_the_records(project):
    register = make_register(project)
    make_record(register)
    settling.settle_register(register)
    assert MapCell.objects.filter(register=register, facet="", level=13).count() == 1
    make_record(register, at=(-10.6, 6.4))
    settling.settle_register(register)
    assert MapCell.objects.filter(register=register, facet="", level=13).count() == 2
    Placement.objects.filter(register=register).delete()
    register_map.remake([register.pk])
    assert not MapCell.objects.filter(register=register).exists()


def test_the_line_carries_it_packed_where_the_browser_can_unpack(client_of, lead, crowded):
    address = reverse("labels:register_map", args=[crowded.project.slug, crowded.slug])
    answer = client_of(lead).get(address, {"bbox": "20,-10,30,0", "zoom": 6}, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.content) < 20_000


def test_outlines_are_small_and_kept(client_of, lead, project):
    make_area(project, square(-11, 6, 2), name="Kessou")
    address = reverse("labels:area_outlines", args=[project.slug])
    answer = client_of(lead).get(address)
    (area,) = answer.json()["features"]
    assert area["properties"]["name"] == "Kessou" and area["geometry"]["type"] == "Polygon"
    assert answer.headers["Cache-Control"] == "private, max-age=3600"


def test_long_outlines_are_made_coarser(project, monkeypatch):
    from django.contrib.gis.geos import GEOSGeometry, MultiPolygon

    round_area = GEOSGeometry("POINT(0 0)", 4326).buffer(5, quadsegs=9000)
    make_area(project, MultiPolygon(round_area, srid=4326), name="Round")
    text = outlines.outlines(project)
    assert 100 < len(text) <= outlines.MAX_BYTES


def test_another_layer_is_another_version(project):
    before = outlines.version_of(project)
    make_area(project, square(-11, 6, 2))
    assert outlines.version_of(project) != before
    make_edition(make_register(project))
