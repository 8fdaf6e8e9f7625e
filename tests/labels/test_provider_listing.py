"""What providers say of themselves becomes dates to step through; what cannot be shown is refused in words."""

import json
from datetime import date

import pytest
from django.core.management import CommandError, call_command

from labels.imagery.providers import listing, offers, serving
from labels.imagery.providers.breaker import forget_all
from labels.imagery.providers.errors import ProviderError, Refused, Unreadable
from labels.models import ImagerySource, ProviderDate
from tests.factories import make_area, make_provider, square
from tests.loopback import picture
from tests.loopback import serving as serve

KEY = "s3cret+key/1"


@pytest.fixture
def server(settings):
    forget_all()
    with serve() as server:
        settings.IMAGERY_ALLOWED_HOSTS = [server.authority]
        yield server


def answers(server, documents: dict[str, object]) -> None:
    """JSON or XML by path without query; pictures for the rest."""

    def answer(handler):
        told = documents.get(handler.path.partition("?")[0])
        if told is None:
            handler.send(content=picture())
        elif isinstance(told, str):
            handler.send(content=told.encode(), kind="application/xml")
        else:
            handler.send(content=json.dumps(told).encode(), kind="application/json")

    server.answer = answer


def rows(source) -> list[tuple]:
    return list(source.dates.values_list("key", "captured_on", "captured_known_by").order_by("key"))


def asked_tile(server, source, key=None, at=(14, 7705, 7900)) -> str:
    server.asked.clear()
    row = source.dates.get(key=key) if key else source.dates.get()
    serving.ask_tile(row, *at)
    ((path, _headers),) = server.asked
    return path


def test_xyz_with_stated_dates(project, server):
    source = make_provider(project, f"{server.url}/{{date}}/{{z}}/{{x}}/{{y}}.jpg?k={{key}}", key=KEY)
    source.options = {"dates": ["2019-02-09", {"key": "late 2024", "captured_on": "2024-11-30"}]}
    source.save()
    listing.refresh(source)
    assert server.asked == []
    assert rows(source) == [("2019-02-09", date(2019, 2, 9), "stated"), ("late 2024", date(2024, 11, 30), "stated")]
    assert asked_tile(server, source, "late 2024") == "/late%202024/14/7705/7900.jpg?k=s3cret%2Bkey%2F1"


def test_one_image_of_unknown_date(project, server):
    source = make_provider(project, f"{server.url}/{{z}}/{{x}}/{{y}}")
    listing.refresh(source)
    assert rows(source) == [(offers.ONLY, None, "unknown")]


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/{z}/{x}/{-y}", "/14/7705/8483"),
        ("/{s}/{z}/{x}/{y}", "/c/14/7705/7900"),
        ("/{switch:m,n}/{z}/{x}/{y}", "/n/14/7705/7900"),
    ],
)
def test_gaps_of_addresses(project, server, template, path):
    source = make_provider(project, server.url + template)
    listing.refresh(source)
    assert asked_tile(server, source) == path


def test_quadkey_of_the_published_example():
    from labels.imagery.providers.addresses import quadkey

    assert quadkey(3, 3, 5) == "213"  # Bing Maps Tile System


def test_tms_counts_rows_from_the_south(project, server):
    source = make_provider(project, f"{server.url}/{{z}}/{{x}}/{{y}}.png", kind="tms")
    listing.refresh(source)
    assert asked_tile(server, source) == f"/14/7705/{2**14 - 1 - 7900}.png"


def test_tilejson(project, server):
    told = {
        "tilejson": "3.0.0",
        "attribution": "<a href='x'>© Orbita</a> &amp; friends",
        "tiles": [f"{server.url}/{{date}}/{{z}}/{{x}}/{{y}}.jpg?token={KEY}"],
        "dates": ["2017-02-03", "2024-01-14"],
        "minzoom": 13,
        "maxzoom": 17,
        "bounds": [-11, 6, -10, 7],
    }
    answers(server, {"/": told})
    source = make_provider(project, f"{server.url}/?token={{key}}", kind="tilejson", key=KEY, attribution="")
    listing.refresh(source)
    assert rows(source) == [
        ("2017-02-03", date(2017, 2, 3), "provider"),
        ("2024-01-14", date(2024, 1, 14), "provider"),
    ]
    row = source.dates.first()
    assert (row.min_zoom, row.max_zoom, row.footprint.extent) == (13, 17, (-11, 6, -10, 7))
    assert source.attribution == "© Orbita & friends"
    assert KEY not in json.dumps(source.options)  # the provider wrote it into its addresses
    assert asked_tile(server, source, "2017-02-03").endswith("?token=s3cret%2Bkey%2F1")


def test_a_key_in_the_path_is_taken_out_of_what_is_relative_to_it(project, server):
    answers(server, {"/abc123/": {"tiles": ["tiles/{z}/{x}/{y}.jpg"]}})
    source = make_provider(project, f"{server.url}/{{key}}/", kind="tilejson", key="abc123")
    listing.refresh(source)
    assert source.options["template"] == f"{server.url}/{{key}}/tiles/{{z}}/{{x}}/{{y}}.jpg"
    assert asked_tile(server, source) == "/abc123/tiles/14/7705/7900.jpg"


def test_a_second_refresh_changes_nothing_and_a_vanished_date_goes(project, server):
    told = {"tiles": [f"{server.url}/{{date}}/{{z}}/{{x}}/{{y}}"], "dates": ["2017-02-03", "2024-01-14"]}
    told |= {"bounds": [-11, 6, -10, 7]}
    answers(server, {"/": told})
    source = make_provider(project, f"{server.url}/", kind="tilejson")
    listing.refresh(source)
    revision = ImagerySource.objects.get(pk=source.pk).revision
    assert listing.refresh(source) == listing.Listed(0, 0, 2, 0)
    assert ImagerySource.objects.get(pk=source.pk).revision == revision
    told["dates"] = ["2024-01-14", "2025-01-01"]
    assert listing.refresh(source) == listing.Listed(1, 0, 1, 1)


@pytest.mark.parametrize(
    "told",
    [
        [],
        {},
        {"tiles": []},
        {"tiles": [3]},
        {"tiles": ["x"], "format": "pbf"},
        {"tiles": ["https://h/{z}/{x}/{huh}"]},
        {"tiles": ["https://h/{date}/{z}/{x}/{y}"]},
        "<xml/>",
        {"tiles": "https://h/{z}"},
    ],
)
def test_a_poor_tilejson_is_a_sentence(project, server, told):
    answers(server, {"/": told})
    source = make_provider(project, f"{server.url}/", kind="tilejson")
    with pytest.raises(ProviderError) as wrong:
        listing.refresh(source)
    assert str(wrong.value)
    assert not source.dates.exists()


def test_a_provider_may_not_lead_the_key_elsewhere(project, server):
    answers(server, {"/": {"tiles": ["https://thief.example.com/{z}/{x}/{y}?k={key}"]}})
    source = make_provider(project, f"{server.url}/", kind="tilejson", key=KEY)
    listing.refresh(source)
    with pytest.raises(ProviderError) as wrong:
        serving.ask_tile(source.dates.get(), 1, 0, 0)
    assert "key" in str(wrong.value)


# WMTS


def wmts(server, *, crs="urn:ogc:def:crs:EPSG::3857", rest=True, corner="-20037508.3427892 20037508.3427892") -> str:
    levels = "".join(
        f"<TileMatrix><ows:Identifier>L{z:02}</ows:Identifier>"
        f"<ScaleDenominator>{559082264.0287178 / 2**z}</ScaleDenominator><TopLeftCorner>{corner}</TopLeftCorner>"
        f"<TileWidth>256</TileWidth><TileHeight>256</TileHeight><MatrixWidth>{2**z}</MatrixWidth>"
        f"<MatrixHeight>{2**z}</MatrixHeight></TileMatrix>"
        for z in range(3, 17)
    )
    resource = (
        f'<ResourceURL format="image/jpeg" resourceType="tile" template="{server.url}/rest/{{Style}}/{{Time}}/'
        f'{{TileMatrixSet}}/{{TileMatrix}}/{{TileRow}}/{{TileCol}}.jpg"/>'
        if rest
        else ""
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Capabilities xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1"
 xmlns:xlink="http://www.w3.org/1999/xlink" version="1.0.0">
<ows:ServiceProvider><ows:ProviderName>Survey of Wandara</ows:ProviderName></ows:ServiceProvider>
<ows:OperationsMetadata><ows:Operation name="GetTile"><ows:DCP><ows:HTTP>
 <ows:Get xlink:href="{server.url}/kvp?map=1"/></ows:HTTP></ows:DCP></ows:Operation></ows:OperationsMetadata>
<Contents><Layer><ows:Title>Ortho</ows:Title><ows:WGS84BoundingBox><ows:LowerCorner>-11 6</ows:LowerCorner>
 <ows:UpperCorner>-10 7</ows:UpperCorner></ows:WGS84BoundingBox><ows:Identifier>ortho</ows:Identifier>
 <Style isDefault="true"><ows:Identifier>plain</ows:Identifier></Style><Format>image/jpeg</Format>
 <Dimension><ows:Identifier>Time</ows:Identifier><Default>2021-05-01</Default>
  <Value>2020-05-01/2022-05-01/P1Y</Value></Dimension>
 <TileMatrixSetLink><TileMatrixSet>web</TileMatrixSet></TileMatrixSetLink>{resource}</Layer>
<TileMatrixSet><ows:Identifier>web</ows:Identifier><ows:SupportedCRS>{crs}</ows:SupportedCRS>{levels}</TileMatrixSet>
</Contents></Capabilities>"""


def test_wmts_by_address(project, server):
    answers(server, {"/wmts": wmts(server)})
    source = make_provider(project, f"{server.url}/wmts", kind="wmts", attribution="")
    listing.refresh(source)
    assert server.asked[0][0].startswith("/wmts?SERVICE=WMTS&REQUEST=GetCapabilities")
    assert [key for key, *_ in rows(source)] == ["2020-05-01", "2021-05-01", "2022-05-01"]
    row = source.dates.first()
    assert (row.min_zoom, row.max_zoom, row.captured_known_by) == (3, 16, "provider")
    assert source.attribution == "Survey of Wandara"
    assert asked_tile(server, source, "2021-05-01") == "/rest/plain/2021-05-01/web/L14/7900/7705.jpg"


def test_wmts_by_query(project, server):
    answers(server, {"/wmts": wmts(server, rest=False)})
    source = make_provider(project, f"{server.url}/wmts?token={{key}}", kind="wmts", key=KEY)
    listing.refresh(source)
    path = asked_tile(server, source, "2021-05-01")
    assert path.startswith("/kvp?map=1&SERVICE=WMTS&REQUEST=GetTile")
    assert "&TILEMATRIX=L14&TILEROW=7900&TILECOL=7705" in path and "&TIME=2021-05-01" in path


@pytest.mark.parametrize(
    "changed",
    [{"crs": "urn:ogc:def:crs:EPSG::4326"}, {"crs": "urn:ogc:def:crs:EPSG::32629"}, {"corner": "-20037508 0"}],
)
def test_other_grids_are_refused_in_words(project, server, changed):
    answers(server, {"/wmts": wmts(server, **changed)})
    source = make_provider(project, f"{server.url}/wmts", kind="wmts")
    with pytest.raises(Unreadable, match="web mercator"):
        listing.refresh(source)


def test_xml_with_entities_is_not_read(project, server):
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b SYSTEM "file:///etc/passwd">]>' + wmts(server).partition("?>")[2]
    answers(server, {"/wmts": bomb.replace("Survey of Wandara", "&b;")})
    source = make_provider(project, f"{server.url}/wmts", kind="wmts")
    with pytest.raises(Unreadable):
        listing.refresh(source)


# WMS


def wms(server, version: str) -> str:
    is_old = version == "1.1.1"
    word, root = ("SRS", "WMT_MS_Capabilities") if is_old else ("CRS", "WMS_Capabilities")
    name_space = "" if is_old else ' xmlns="http://www.opengis.net/wms" xmlns:xlink="http://www.w3.org/1999/xlink"'
    name_space = name_space or ' xmlns:xlink="http://www.w3.org/1999/xlink"'
    doctype = '<!DOCTYPE WMT_MS_Capabilities SYSTEM "http://schemas.example.com/wms.dtd">' if is_old else ""
    resource = f'<DCPType><HTTP><Get><OnlineResource xlink:href="{server.url}/map"/></Get></HTTP></DCPType>'
    place = (
        '<LatLonBoundingBox minx="-11" miny="6" maxx="-10" maxy="7"/>'
        if is_old
        else "<EX_GeographicBoundingBox><westBoundLongitude>-11</westBoundLongitude><eastBoundLongitude>-10"
        "</eastBoundLongitude><southBoundLatitude>6</southBoundLatitude><northBoundLatitude>7</northBoundLatitude>"
        "</EX_GeographicBoundingBox>"
    )
    return f"""<?xml version="1.0"?>{doctype}<{root} version="{version}"{name_space}>
<Service><Name>WMS</Name><Title>x</Title><OnlineResource xlink:href="{server.url}/map"/></Service>
<Capability><Request><GetMap><Format>image/png</Format><Format>image/jpeg</Format>{resource}</GetMap></Request>
<Layer><Title>all</Title><{word}>EPSG:4326</{word}><{word}>EPSG:3857</{word}>
<Layer><Name>ortho</Name><Title>Ortho</Title>{place}</Layer></Layer></Capability></{root}>"""


@pytest.mark.parametrize(("version", "word"), [("1.1.1", "SRS"), ("1.3.0", "CRS")])
def test_wms_asks_x_before_y(project, server, version, word):
    answers(server, {"/map": wms(server, version)})
    source = make_provider(project, f"{server.url}/map", kind="wms", options={"layer": "ortho", "version": version})
    listing.refresh(source)
    answers(server, {})
    path = asked_tile(server, source, at=(1, 0, 0))
    assert f"&{word}=EPSG:3857" in path and f"&VERSION={version}" in path and "&FORMAT=image/jpeg" in path
    assert path.endswith("&BBOX=-20037508.342789,0.000000,0.000000,20037508.342789")
    assert source.dates.get().footprint.extent == (-11, 6, -10, 7)


def test_wms_without_a_layer_lists_them(project, server):
    both = wms(server, "1.3.0").replace(
        "</Layer></Layer>", "</Layer><Layer><Name>b</Name><Title>b</Title></Layer></Layer>"
    )
    answers(server, {"/map": both})
    source = make_provider(project, f"{server.url}/map", kind="wms")
    with pytest.raises(Unreadable, match="ortho"):
        listing.refresh(source)


def test_wms_in_other_projections_is_refused_in_words(project, server):
    answers(server, {"/map": wms(server, "1.3.0").replace("EPSG:3857", "EPSG:32629")})
    source = make_provider(project, f"{server.url}/map", kind="wms", options={"layer": "ortho"})
    with pytest.raises(Unreadable, match="web mercator"):
        listing.refresh(source)


# STAC


def item(server, name: str, on: str, west=-10.8, **properties) -> dict:
    ring = [[west, 6.3], [west + 0.2, 6.3], [west + 0.2, 6.5], [west, 6.5], [west, 6.3]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, 6.3, west + 0.2, 6.5],
        "properties": {"datetime": on, "gsd": 0.5} | properties,
        "links": [],
        "collection": "scenes",
        "assets": {
            "thumbnail": {"href": "t.png", "type": "image/png", "roles": ["thumbnail"]},
            "visual": {
                "href": f"{server.url}/files/{name}.tif?k={KEY}",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["visual"],
            },
        },
    }


def api(server) -> dict[str, object]:
    links = [
        {"rel": "self", "href": f"{server.url}/stac"},
        {"rel": "root", "href": f"{server.url}/stac"},
        {"rel": "search", "href": f"{server.url}/stac/search", "method": "POST", "type": "application/geo+json"},
        {"rel": "data", "href": f"{server.url}/stac/collections"},
    ]
    root = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "api",
        "description": "x",
        "links": links,
        "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
    }
    found = [item(server, "a", "2023-02-01T10:00:00Z"), item(server, "b", "2024-02-01T23:30:00Z")]
    found.append(
        item(server, "mosaic", None, start_datetime="2020-01-01T00:00:00Z", end_datetime="2020-12-31T00:00:00Z")
    )
    return {"/stac": root, "/stac/search": {"type": "FeatureCollection", "features": found, "links": []}}


def test_stac_search_lists_items_of_the_projects_area(project, server):
    make_area(project, square(-11, 6, 1))
    answers(server, api(server))
    source = make_provider(project, f"{server.url}/stac", kind="stac", key=KEY, options={"collection": "scenes"})
    bodies, answer = [], server.answer
    server.answer = lambda handler: (bodies.append(handler.body), answer(handler))
    listing.refresh(source)
    assert json.loads(bodies[-1])["bbox"] == [-11, 6, -10, 7]
    assert json.loads(bodies[-1])["collections"] == ["scenes"]
    assert rows(source) == [
        ("a", date(2023, 2, 1), "provider"),
        ("b", date(2024, 2, 1), "provider"),
        ("mosaic", None, "unknown"),
    ]
    row = source.dates.get(key="a")
    assert row.resolution_m == 0.5
    assert row.footprint.extent == pytest.approx((-10.8, 6.3, -10.6, 6.5))
    assert row.options == {"asset": f"{server.url}/files/a.tif?k={{key}}"}


def test_stac_single_item_and_collection_of_items(project, server):
    answers(server, {"/item": item(server, "a", "2023-02-01T10:00:00Z")})
    source = make_provider(project, f"{server.url}/item", kind="stac")
    listing.refresh(source)
    assert rows(source) == [("a", date(2023, 2, 1), "provider")]


def test_stac_static_catalogue(project, server):
    links = [{"rel": "item", "href": f"./{name}.json"} for name in ("a", "far")]
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "x", "links": links}
    documents = {"/c/catalog.json": root, "/c/a.json": item(server, "a", "2023-02-01T10:00:00Z")}
    answers(server, documents | {"/c/far.json": item(server, "far", "2023-02-01T10:00:00Z", west=30)})
    source = make_provider(project, f"{server.url}/c/catalog.json", kind="stac", options={"bbox": [-11, 6, -10, 7]})
    listing.refresh(source)
    assert [key for key, *_ in rows(source)] == ["a"]


@pytest.mark.parametrize("href", ["/etc/passwd", "file:///etc/passwd", "https://169.254.169.254/item.json"])
def test_stac_links_lead_nowhere_else(project, server, href):
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "x"}
    root["links"] = [{"rel": "item", "href": href}, {"rel": "self", "href": f"{server.url}/c/catalog.json"}]
    answers(server, {"/c/catalog.json": root})
    source = make_provider(project, f"{server.url}/c/catalog.json", kind="stac", options={"bbox": [-11, 6, -10, 7]})
    with pytest.raises(ProviderError):
        listing.refresh(source)
    assert not ProviderDate.objects.exists()


# Addresses, keys, commands


@pytest.mark.parametrize(
    "address",
    [
        "https://a.example.com/{z}/{x}/{y}?key=abc",
        "https://a.example.com/{z}/{x}/{y}?access_token=abc",
        "https://a.example.com/{z}/{x}/{y}?apikey=abc",
        "https://a.example.com/{z}/{x}/{y}?x=1&API_KEY=abc",
        "https://{key}.example.com/{z}/{x}/{y}",
        "https://{z}.example.com/{x}/{y}",
    ],
)
def test_keys_in_plain_sight_are_refused(project, address):
    with pytest.raises(Refused):
        listing.check_address(ImagerySource(project=project, kind="xyz", address=address), frozenset())


@pytest.mark.parametrize(
    "address",
    ["https://a.example.com/map", "https://a.example.com/{z}/{x}/{y}/{what}", "http://a.example.com/{z}/{x}/{y}"],
)
def test_addresses_that_cannot_work_are_refused(project, address):
    from labels.errors import LabelsError

    with pytest.raises(LabelsError):
        listing.check_address(ImagerySource(project=project, kind="xyz", address=address), frozenset())


def test_commands(project, server, tmp_path, capsys):
    told = {"tiles": [f"{server.url}/{{date}}/{{z}}/{{x}}/{{y}}"], "dates": ["2017-02-03"]}
    answers(server, {"/": told})
    key = tmp_path / "key"
    key.write_text(KEY + "\n")
    given = {"project": project.slug, "kind": "tilejson", "name": "Orbita", "key_file": key}
    with pytest.raises(CommandError, match="local imagery only"):
        call_command("add_provider", f"{server.url}/?k={{key}}", **given)
    assert server.asked == []
    call_command("add_provider", f"{server.url}/?k={{key}}", through_server=True, may="view,cache", **given)
    call_command("refresh_provider", "orbita", project=project.slug)
    out = capsys.readouterr().out
    assert "orbita: 1 dates" in out and "0 created, 0 updated, 1 unchanged, 0 removed" in out
    source = ImagerySource.objects.get(slug="orbita")
    assert (source.may_cache, source.may_train, source.may_derive_labels) == (True, False, False)
    server.answer = lambda handler: handler.send(500)
    with pytest.raises(CommandError) as wrong:
        call_command("refresh_provider", "orbita", project=project.slug)
    assert KEY not in str(wrong.value) + out
