"""STAC items, collections, catalogues and searches, read by pystac and pystac-client through our own requests."""

import json
import warnings
from datetime import timedelta
from itertools import islice
from urllib.parse import urlencode, urljoin

from django.contrib.gis.db.models import Extent
from django.utils.translation import gettext as _

from labels.imagery.providers import addresses, fetching
from labels.imagery.providers.asking import Asker, refusal
from labels.imagery.providers.errors import Failed, ProviderError, Refused, Unreadable
from labels.imagery.providers.offers import MAX_DATES, Description, Offered, day_of, moment_day, outline, zoom
from labels.imagery.providers.templates import parsed
from labels.models import ImagerySource, Project, ReferenceArea

GEO_JSON = "application/geo+json, application/json"
TIFFS = ("image/tiff", "image/geotiff", "image/vnd.stac.geotiff", "application/geotiff")
TILE_LINKS = ("xyz", "tilejson-xyz")
MAX_REQUESTS = 60


def of_stac(source: ImagerySource, asker: Asker) -> Description:
    """The items of the project's area, each with its footprint, its moment and its picture."""
    answer = asker.describe(source.address, accept=GEO_JSON)
    told = parsed(asker.without_key(answer.content.decode("utf-8", "replace")).encode())
    if not isinstance(told, dict):
        raise Unreadable(_("This is no STAC catalogue, collection or item."))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of catalogues without a search, which are read link by link
            items = list(islice(_items(source, asker, told, answer.url), _most(source)))
    except ProviderError:
        raise
    except Exception:
        # pystac raises what it stumbles over in documents of others.
        raise Unreadable(_("The STAC catalogue cannot be read.")) from None
    found = [_offered(source, item) for item in items]
    return Description([offered for offered in found if offered], {})


def _most(source: ImagerySource) -> int:
    wanted = source.options.get("max_items")
    return min(MAX_DATES, wanted) if isinstance(wanted, int) and wanted > 0 else 200


def _items(source: ImagerySource, asker: Asker, told: dict, url: str):
    import pystac

    if told.get("type") == "Feature":
        yield pystac.Item.from_dict(_absolute(told, url))
    elif told.get("type") == "FeatureCollection":
        for feature in told.get("features") or []:
            yield pystac.Item.from_dict(_absolute(feature, url))
    elif told.get("type") in ("Catalog", "Collection"):
        yield from _searched(source, asker, told, url)
    else:
        raise Unreadable(_("This is no STAC catalogue, collection or item."))


def _absolute(item: dict, url: str) -> dict:
    for asset in (item.get("assets") or {}).values():
        if isinstance(asset, dict) and isinstance(asset.get("href"), str):
            asset["href"] = urljoin(url, asset["href"])
    return item


def _searched(source: ImagerySource, asker: Asker, told: dict, url: str):
    """By search where the service can, else the items that the collection names."""
    from pystac_client import Client

    io = _our_io(asker)
    root_url = url
    if told["type"] == "Collection":
        root_url = next(
            (urljoin(url, link["href"]) for link in told.get("links", []) if link.get("rel") == "root"), url
        )
    collections = [told["id"]] if told["type"] == "Collection" else _collections(source)
    client = Client.open(root_url, stac_io=io)
    if client.conforms_to("ITEM_SEARCH"):
        if not collections:
            raise Unreadable(_("Name the collection; otherwise everything would be searched."))
        search = client.search(
            collections=collections,
            bbox=_bbox(source),
            datetime=source.options.get("datetime") or None,
            max_items=_most(source),
            limit=100,
            method="GET" if source.options.get("method") == "GET" else "POST",
        )
        yield from search.items()
    else:
        import pystac

        wanted = outline(json.dumps(_as_polygon(_bbox(source))))
        for item in pystac.read_file(url, stac_io=io).get_items(recursive=True):
            shape = outline(json.dumps(item.geometry)) if item.geometry else None
            if shape is None or wanted is None or shape.intersects(wanted):
                yield item


def _collections(source: ImagerySource) -> list[str]:
    named = source.options.get("collection") or ""
    return [name.strip() for name in named.split(",") if name.strip()]


def _bbox(source: ImagerySource) -> list[float]:
    """What is searched: a box that a person gave, or the project's areas. Never the place of a site."""
    given = source.options.get("bbox")
    if isinstance(given, list) and len(given) == 4:
        return given
    return list(area_of(source.project))


def area_of(project: Project) -> tuple[float, float, float, float]:
    areas = ReferenceArea.objects.filter(layer__project=project, layer__retired_at=None, layer__kind="admin")
    found = areas.aggregate(extent=Extent("geometry"))["extent"]
    if found is None:
        raise Refused(_("Say which area to search (west, south, east, north), or import the country's areas first."))
    return found


def _as_polygon(bbox: list[float]) -> dict:
    west, south, east, north = bbox
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _our_io(asker: Asker):
    """How pystac reads: through our guarded requests, never a file, never a session of its own."""
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO

    class OurIO(StacApiIO):
        n_requests = 0

        def request(self, href, method=None, headers=None, parameters=None) -> str:
            self.n_requests += 1
            if self.n_requests > MAX_REQUESTS:
                raise Failed(_("The STAC catalogue needs too many requests; name one collection."))
            is_post = (method or "GET").upper() == "POST"
            if not is_post and parameters:
                words = {
                    name: value if isinstance(value, str | int | float) else json.dumps(value)
                    for name, value in parameters.items()
                }
                href += ("&" if "?" in href else "?") + urlencode(words)
            answer = asker.ask(
                href, limits=fetching.DESCRIPTION, accept=GEO_JSON, body=(parameters or {}) if is_post else None
            )
            if answer.status == 404:
                raise APIError("404")
            if answer.status != 200:
                raise Failed(refusal(addresses.host_of(answer.url), answer.status))
            return asker.without_key(answer.content.decode("utf-8", "replace"))

        def read_text(self, source, *args, **kwargs) -> str:
            href = source if isinstance(source, str) else getattr(source, "href", None) or str(source)
            if not href.lower().startswith(("https://", "http://")):
                raise Refused(_("The STAC catalogue leads to something that is no https address."))
            return super().read_text(source, *args, **kwargs)

        def write_text(self, *args, **kwargs) -> None:
            raise Refused(_("Nothing is written to a provider."))

    return OurIO(max_retries=None)


def _offered(source: ImagerySource, item) -> Offered | None:
    """An item, if it has a picture we can fetch or tiles we can ask."""
    asset, template = _picture(source, item), _tiles(item)
    footprint = outline(json.dumps(item.geometry)) if item.geometry else None
    if footprint is None or not (asset or template) or not item.id:
        return None
    options = {}
    if asset:
        options["asset"] = addresses.key_as_gap(asset.get_absolute_href() or asset.href, source.access_key)
    return Offered(
        item.id[:200],
        _captured_on(item),
        footprint=footprint,
        resolution_m=_resolution(item, asset),
        min_zoom=zoom(source.options.get("min_zoom"), 0),
        max_zoom=zoom(source.options.get("max_zoom"), 19),
        address=template[:1000],
        options=options,
    )


def _captured_on(item):
    """The item's moment; of a span only where it is of one day or two: a mosaic of a year has no capture date."""
    begin, end = item.common_metadata.start_datetime, item.common_metadata.end_datetime
    if begin and end:
        return moment_day(begin) if end - begin <= timedelta(days=1) else None
    return moment_day(item.datetime) or day_of(item.properties.get("datetime"))


def _picture(source: ImagerySource, item):
    """The asset a person named, or the one that is a GeoTIFF to look at."""
    wanted = source.options.get("asset")
    if wanted:
        return item.assets.get(wanted)
    tiffs = {
        key: asset
        for key, asset in item.assets.items()
        if (asset.media_type or "").partition(";")[0].strip().lower() in TIFFS
        or (not asset.media_type and asset.href.lower().partition("?")[0].endswith((".tif", ".tiff")))
    }
    by_role = next((asset for asset in tiffs.values() if "visual" in (asset.roles or [])), None)
    if by_role is not None:
        return by_role
    return next((tiffs[key] for key in ("visual", "rgb", "image", "data", "analytic") if key in tiffs), None) or (
        next(iter(tiffs.values())) if len(tiffs) == 1 else None
    )


def _tiles(item) -> str:
    """An address of tiles that the item names (web map links)."""
    for link in item.links:
        if link.rel in TILE_LINKS and isinstance(link.target, str) and "{z}" in link.target:
            addresses.filled(link.target, 1, 0, 0, key="key", date="date")
            return link.target
    return ""


def _resolution(item, asset) -> float | None:
    for told in (asset.extra_fields if asset else {}, item.properties):
        if isinstance(told.get("gsd"), int | float) and told["gsd"] > 0:
            return float(told["gsd"])
    return None
