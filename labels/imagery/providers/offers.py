"""What a provider offers, as every protocol tells it to `listing`. Pure but for the shapes of GEOS."""

import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from html import unescape

from django.contrib.gis.geos import GEOSException, GEOSGeometry, MultiPolygon, Polygon
from django.utils.translation import gettext as _

from labels.imagery.providers.errors import Unreadable

MAX_DATES = 500
MAX_ZOOM = 22
ONLY = "latest"  # how we call the one image of a provider that names none
ISO_DAY = re.compile(r"^(\d{4}-\d{2}-\d{2})(?:[T ].*)?$")
TAG = re.compile(r"<[^<>]*>")


@dataclass
class Offered:
    """One date or release."""

    key: str
    captured_on: date | None = None
    is_stated: bool = False  # by a person of ours; otherwise the provider tells the date
    published_on: date | None = None
    footprint: MultiPolygon | None = None
    resolution_m: float | None = None
    min_zoom: int = 0
    max_zoom: int = 19
    address: str = ""
    options: dict = field(default_factory=dict)


@dataclass
class Description:
    """Everything a provider said of itself."""

    dates: list[Offered]
    options: dict = field(default_factory=dict)  # to be kept with the source: template, matrices, scheme
    attribution: str = ""


def day_of(text: object) -> date | None:
    """The day of an ISO date or moment; None for anything else."""
    found = ISO_DAY.match(text.strip()) if isinstance(text, str) else None
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def stated(dates: list) -> list[tuple[str, date | None]]:
    """What a list of dates says: each an ISO date, or {"key": …, "captured_on": …}."""
    found = []
    for entry in dates:
        key = entry.get("key", "") if isinstance(entry, dict) else entry
        day = day_of(entry.get("captured_on")) if isinstance(entry, dict) else day_of(entry)
        if isinstance(key, str) and 0 < len(key.strip()) <= 200:
            found.append((key.strip(), day))
    if len(found) > MAX_DATES:
        raise Unreadable(_("The provider lists more than %(n)d dates; choose among them.") % {"n": MAX_DATES})
    return list(dict(found).items())


def instants(values: list[str]) -> list[str]:
    """The instants of a time dimension, with its intervals (begin/end/period of days) written out, newest last."""
    found: list[str] = []
    for value in (piece.strip() for text in values for piece in text.split(",")):
        parts = value.split("/")
        if len(parts) == 3:
            found += _interval(*parts)
        elif value and len(parts) == 1:
            found.append(value)
    return list(dict.fromkeys(found))[-MAX_DATES:]


def _interval(begin: str, end: str, period: str) -> list[str]:
    days = re.fullmatch(r"P(?:(\d{1,4})Y)?(?:(\d{1,3})M)?(?:(\d{1,4})D)?", period)
    first, last = day_of(begin), day_of(end)
    if not (days and first and last) or not any(days.groups()):
        return [begin]
    years, months, n_days = (int(part or 0) for part in days.groups())
    suffix, found, day = begin.strip()[10:], [], first
    while day <= last and len(found) < 20_000:
        found.append(day.isoformat() + suffix)
        day = _later(first, years, months, n_days, len(found))
    return found[-MAX_DATES:]


def _later(first: date, years: int, months: int, n_days: int, n_steps: int) -> date:
    month = first.month - 1 + n_steps * (12 * years + months)
    year = min(9998, first.year + month // 12)
    last_of_month = (date(year + (month % 12 == 11), (month % 12 + 1) % 12 + 1, 1) - timedelta(days=1)).day
    return date(year, month % 12 + 1, min(first.day, last_of_month)) + timedelta(days=n_steps * n_days)


def box(bounds: object) -> MultiPolygon | None:
    """A box of west, south, east, north; None where the provider says nothing we can use."""
    try:
        west, south, east, north = (float(edge) for edge in bounds)
    except (TypeError, ValueError):
        return None
    west, east, south, north = max(-180, west), min(180, east), max(-90, south), min(90, north)
    if not (west < east and south < north):
        return None
    return MultiPolygon(Polygon.from_bbox((west, south, east, north)), srid=4326)


def outline(geometry: str) -> MultiPolygon | None:
    """A footprint in GeoJSON."""
    try:
        shape = GEOSGeometry(geometry)
    except (GEOSException, ValueError, TypeError):
        return None
    if shape.geom_type == "Polygon":
        shape = MultiPolygon(shape)
    if shape.geom_type != "MultiPolygon" or shape.empty or shape.num_coords > 20_000:
        return None
    if not shape.valid:
        shape = shape.buffer(0)
        shape = MultiPolygon(shape) if shape.geom_type == "Polygon" else shape
    shape.srid = 4326
    west, south, east, north = shape.extent
    return shape if -180 <= west <= east <= 180 and -90 <= south <= north <= 90 else None


def plain(text: object) -> str:
    """Attribution as words: providers send HTML."""
    words = unescape(TAG.sub(" ", text)) if isinstance(text, str) else ""
    return " ".join(words.replace("\x00", "").split())[:300]


def zoom(value: object, otherwise: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return otherwise
    return max(0, min(MAX_ZOOM, int(value)))


def moment_day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None
