"""XYZ and TMS addresses, TileJSON, and releases like those of Esri's Wayback: tiles at z, x, y."""

import json
import re
from datetime import date
from urllib.parse import urljoin

from django.utils.translation import gettext as _

from labels.imagery.providers import addresses
from labels.imagery.providers.asking import Asker
from labels.imagery.providers.errors import Unreadable
from labels.imagery.providers.offers import ONLY, Description, Offered, box, day_of, plain, stated, zoom
from labels.models import ImagerySource

JSON = "application/json"
DAY_INSIDE = re.compile(r"\b(\d{4}-\d{2}-\d{2})\b")


def parsed(content: bytes) -> object:
    """JSON of somebody else: any depth or number is a sentence."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise Unreadable(_("The provider answered with something that is no JSON.")) from None


def of_tiles(source: ImagerySource, asker: Asker) -> Description:
    """An XYZ or TMS address: nothing is asked, unless it names a list of releases."""
    scheme = {"scheme": "tms"} if source.kind == ImagerySource.Kind.TMS else {}
    if source.options.get("releases"):
        return releases(source, asker)
    addresses.filled(source.address, 1, 0, 0, key="key", date="date", options=source.options)
    return Description(_dated(source, source.address, {}), scheme)


def of_tilejson(source: ImagerySource, asker: Asker) -> Description:
    answer = asker.describe(source.address, accept=JSON)
    return read_tilejson(source, asker.without_key(answer.content.decode("utf-8", "replace")), answer.url)


def read_tilejson(source: ImagerySource, text: str, url: str) -> Description:
    """TileJSON 2 or 3, with the `dates` that the demonstration's provider adds. `text` holds the key as a gap."""
    told = parsed(text.encode())
    tiles = told.get("tiles") if isinstance(told, dict) else None
    if not (isinstance(tiles, list) and tiles and isinstance(tiles[0], str)):
        raise Unreadable(_("This is no TileJSON: it names no tiles."))
    if told.get("format") in ("pbf", "mvt"):
        raise Unreadable(_("These are vector tiles; pictures are needed."))
    template = urljoin(url, tiles[0]) if "://" not in tiles[0] else tiles[0]
    addresses.filled(template, 1, 0, 0, key="key", date="date", options=source.options)
    options = {"template": template} | ({"scheme": "tms"} if told.get("scheme") == "tms" else {"scheme": "xyz"})
    dates = _dated(source, template, told)
    return Description(dates, options, plain(told.get("attribution")))


def _dated(source: ImagerySource, template: str, told: dict) -> list[Offered]:
    """The dates that a person stated, or else the provider's own; one image of unknown date where there are none."""
    by_us, theirs = source.options.get("dates") or [], told.get("dates")
    listed = stated(by_us or (theirs if isinstance(theirs, list) else []))
    common = {
        "footprint": box(told.get("bounds") or source.options.get("bounds")),
        "min_zoom": zoom(told.get("minzoom", source.options.get("min_zoom")), 0),
        "max_zoom": zoom(told.get("maxzoom", source.options.get("max_zoom")), 19),
    }
    if addresses.gaps(template) & {"date", "time"}:
        if not listed:
            raise Unreadable(_("The address asks for a date: list the dates there are."))
        return [Offered(key, day, is_stated=bool(by_us), **common) for key, day in listed]
    day = listed[0][1] if len(listed) == 1 else None
    return [Offered(ONLY, day, is_stated=bool(by_us), **common)]


# Releases


def releases(source: ImagerySource, asker: Asker) -> Description:
    """A list of releases: their day of publication, where their tiles are, and who knows the day of capture.

    Either a JSON list of {key, published, tiles, metadata}, or a dictionary as Wayback publishes it.
    """
    answer = asker.describe(source.options["releases"], accept=JSON)
    told = parsed(asker.without_key(answer.content.decode("utf-8", "replace")).encode())
    entries = _wayback(told) if isinstance(told, dict) else told
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Unreadable(_("This is no list of releases."))
    found = [_release(source, entry, answer.url) for entry in entries[-400:]]
    return Description([offered for offered in found if offered], {})


def _wayback(told: dict) -> list[dict]:
    return [
        {
            "key": number,
            "published": (DAY_INSIDE.search(str(entry.get("itemTitle"))) or [None, None])[1],
            "tiles": entry.get("itemURL"),
            "metadata": entry.get("metadataLayerUrl"),
        }
        for number, entry in told.items()
        if isinstance(entry, dict)
    ]


def _release(source: ImagerySource, entry: dict, url: str) -> Offered | None:
    key, tiles, metadata = str(entry.get("key") or "")[:200], entry.get("tiles"), entry.get("metadata")
    if not key or not (isinstance(tiles, str) or addresses.gaps(source.address) & {"date"}):
        return None
    address = urljoin(url, tiles) if isinstance(tiles, str) else ""
    addresses.filled(address or source.address, 1, 0, 0, key="key", date=key, options=source.options)
    options = {"metadata": urljoin(url, metadata)} if isinstance(metadata, str) and metadata else {}
    published: date | None = day_of(entry.get("published"))
    return Offered(
        key,
        published_on=published,
        address=address[:1000],
        options=options,
        min_zoom=zoom(source.options.get("min_zoom"), 0),
        max_zoom=zoom(source.options.get("max_zoom"), 19),
        footprint=box(source.options.get("bounds")),
    )
