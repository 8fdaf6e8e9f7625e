"""A tile's address understood and answered, for the view and for the layer before it: same bytes, same headers."""

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from urllib.parse import parse_qs
from uuid import UUID

from django.utils.cache import cc_delim_re

from labels.imagery import grid, index, providers, rights, scenes, tiles
from labels.models import ImagerySource

BANDS = ("", "false_colour")
PLACE = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(\d{1,9})/(\d{1,9})/(\d{1,9})")
MAX_QUERY = 500  # characters


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for."""

    source: UUID
    place: tuple[int, int, int]
    day: scenes.Day
    image: UUID | None
    revision: int | None
    band: str
    wanted: tiles.Wanted


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes


def parse(path: str, query: str, accept: str) -> Asked:
    """Understand `<source>/<z>/<x>/<y>` and its query; NoSuchTile for what no address of ours says."""
    found = PLACE.fullmatch(path)
    if not found or len(query) > MAX_QUERY:
        raise tiles.NoSuchTile("There is no such tile.")
    place = (int(found[2]), int(found[3]), int(found[4]))
    tiles.check_address(*place)
    return Asked(UUID(found[1]), place, *_query(query, _packing(accept)))


@lru_cache(maxsize=1024)
def _query(query: str, packing: str) -> tuple:
    """The same few queries come with every tile of a page."""
    given = {name: values[-1] for name, values in parse_qs(query, max_num_fields=20).items()}
    band, px = given.get("bands", ""), given.get("px", str(grid.TILE_PX))
    if band not in BANDS or px not in map(str, tiles.SIZES_PX):
        raise tiles.NoSuchTile("There is no such tile.")
    try:
        image = UUID(given["image"]) if "image" in given else None
        day = _day(given.get("date"))
    except ValueError:
        raise tiles.NoSuchTile("There is no such tile.") from None
    version = given.get("v", "")
    revision = int(version) if version.isascii() and version.isdigit() and len(version) < 19 else None
    return day, image, revision, band, tiles.Wanted(int(px), given.get("light") == "1", packing)


def _day(text: str | None) -> scenes.Day:
    return text if text is None or text == "unknown" else date.fromisoformat(text)


@lru_cache(maxsize=256)
def _packing(accept: str) -> str:
    """Every browser takes JPEG and WebP; a program that asks for PNG and nothing else gets the exact pixels."""
    kinds = {each.partition(";")[0].strip() for each in accept.split(",")}
    return "lossless" if kinds == {"image/png"} else "any"


def is_open(known: index.Known) -> bool:
    """Whether anybody may look at the source today: its rights, their last day, the project's policy."""
    return not rights.why_hidden(known.source)


def answer(known: index.Known, asked: Asked, if_none_match: str = "") -> Answer:
    """The tile, or that it is unchanged, missing or not to be had now. The asker may look: that was checked."""
    if known.source.kind != ImagerySource.Kind.SCENES:
        return _from_provider(known, asked, if_none_match)
    shown = index.shown(known, *asked.place, asked.day, asked.band)
    etag = tiles.etag(shown, *asked.place, asked.wanted)
    headers = _caching(known, asked, etag)
    if _matches(if_none_match, etag) and "ETag" in headers:
        return Answer(304, headers, b"")
    try:
        found = tiles.render(shown, *asked.place, asked.wanted)
    except tiles.PictureMissing as error:
        return _missing(str(error))
    if not found.is_block and found.imagery != "none":
        headers["Vary"] += ", Accept"
    return Answer(200, headers | {"Content-Type": found.content_type, "X-Imagery": found.imagery}, found.content)


def _caching(known: index.Known, asked: Asked, etag: str) -> dict[str, str]:
    """Only the person's own browser may keep a tile, and only for the session it was asked in.

    An address with the source's revision never changes its pixels and is kept for a day; others ask each time and get
    a 304. A source that may not be cached is not kept at all.
    """
    if not known.source.may_cache:
        return {"Cache-Control": "private, no-store", "Vary": "Cookie"}
    is_current = asked.revision == known.source.revision
    lasting = "private, max-age=86400" if is_current else "private, no-cache"
    return {"Cache-Control": lasting, "Vary": "Cookie", "ETag": etag}


def _matches(if_none_match: str, etag: str) -> bool:
    if not if_none_match:
        return False
    return any(each.removeprefix("W/") in (etag, "*") for each in cc_delim_re.split(if_none_match.strip()))


def _missing(text: str) -> Answer:
    return Answer(404, _PLAIN | {"X-Imagery": "missing"}, text.encode())


_PLAIN = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "Vary": "Cookie"}


def _unavailable(retry_after_s: float) -> Answer:
    headers = _PLAIN | {"X-Imagery": "unavailable", "Retry-After": str(max(1, round(retry_after_s)))}
    return Answer(503, headers, b"The imagery's provider does not answer now.")


def _from_provider(known: index.Known, asked: Asked, if_none_match: str) -> Answer:
    day = known.dates.get(asked.image) if asked.image else None
    if day is None:
        return _missing("The provider has no such image.")
    place = "/".join(map(str, asked.place))
    etag = f'"{known.source.revision}-{day.pk}-{place}"'
    headers = _caching(known, asked, etag)
    if _matches(if_none_match, etag) and "ETag" in headers:
        return Answer(304, headers, b"")
    try:
        found = providers.tile(known.source, day, *asked.place)
    except providers.NoImage:
        return _missing("The provider has no image here.")
    except providers.Unavailable as error:
        return _unavailable(error.retry_after_s)
    return Answer(200, headers | {"Content-Type": found.content_type, "X-Imagery": found.imagery}, found.content)
