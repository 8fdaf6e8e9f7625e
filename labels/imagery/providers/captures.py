"""When a release's picture of a place was taken, where its provider can tell.

Releases of a mosaic have a day of publication and are made of older pictures. Their own service is asked for the day of
capture at the middle of a coarse tile, once per release and tile; what it answers is kept. Pages wait a moment at most:
answers that come later are there when the place is opened again, and until then the date is unknown.
"""

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, date, datetime
from threading import Lock
from urllib.parse import quote, urlencode

from django.db import DatabaseError, connection
from django.db.models import Exists, OuterRef

from labels import geo
from labels.imagery import rights
from labels.imagery.providers import addresses
from labels.imagery.providers.asking import Asker
from labels.imagery.providers.breaker import Breaker
from labels.imagery.providers.errors import ProviderError, Unavailable, Unreadable
from labels.imagery.providers.fetching import Limits
from labels.imagery.providers.offers import day_of
from labels.imagery.providers.templates import JSON, parsed
from labels.models import CaptureLookup, Project, ProviderDate
from labels.models.projects import ImageryPolicy

log = logging.getLogger(__name__)

BUDGET_S = 1.0
MOST_AT_ONCE = 200
N_THREADS = 4
LOOKUP = Limits(connect_s=2, silence_s=4, total_s=6, max_bytes=2**20)
# Wayback keeps its metadata in a layer per zoom, from 0 for zoom 23 to 13 for zoom 10 and less.
WAYBACK_ZOOM = 17
WAYBACK_FIELDS = "SRC_DATE2,SAMP_RES"

_threads = ThreadPoolExecutor(max_workers=N_THREADS, thread_name_prefix="captures")
_asked: set[tuple[int, int, int]] = set()
_asked_lock = Lock()


def tile_of(lon: float, lat: float) -> tuple[int, int]:
    """The coarse tile of a place."""
    _z, x, y = geo.tile_of(lon, lat, CaptureLookup.ZOOM)
    return x, y


def look_up(project: Project, places: Iterable[tuple[float, float]], *, budget_s: float = BUDGET_S) -> int:
    """Ask for what is not known of these places (lon, lat) yet, and wait a moment for all of them together.

    The number of answers still to come.
    """
    if project.imagery_policy != ImageryPolicy.THROUGH_SERVER or not _has_releases(project):
        return 0
    wanted = {
        (date.pk, x, y): date for x, y in {tile_of(*place) for place in places} for date in unknown_at(project, x, y)
    }
    with _asked_lock:
        ours = [key for key in wanted if key not in _asked][:MOST_AT_ONCE]
        _asked.update(ours)
    if not ours:
        return len(wanted)
    _done, waiting = wait([_threads.submit(_look_up, wanted[key], *key[1:]) for key in ours], timeout=budget_s)
    return len(waiting)


def _has_releases(project: Project) -> bool:
    return ProviderDate.objects.filter(source__project=project, captured_on=None, options__has_key="metadata").exists()


def unknown_at(project: Project, x: int, y: int) -> list[ProviderDate]:
    """Releases whose capture date in this coarse tile was not asked yet, newest first."""
    return list(
        ProviderDate.objects.filter(
            rights.viewable("source__"), source__project=project, captured_on=None, options__has_key="metadata"
        )
        .filter(~Exists(CaptureLookup.objects.filter(date=OuterRef("pk"), x=x, y=y)))
        .select_related("source__project")
        .order_by("-published_on", "pk")
    )


def _look_up(release: ProviderDate, x: int, y: int) -> None:
    try:
        # As it stands when its turn comes: the policy or a right may have changed while it waited.
        release = (
            ProviderDate.objects.filter(rights.viewable("source__"), pk=release.pk)
            .select_related("source__project")
            .get()
        )
        found = ask(release, x, y)
        CaptureLookup.objects.get_or_create(
            date=release, x=x, y=y, defaults={"captured_on": found[0], "resolution_m": found[1]}
        )
    except ProviderDate.DoesNotExist:
        log.info("A capture date was not asked: nobody may ask its provider any more.")
    except (ProviderError, DatabaseError) as error:
        log.info("A capture date was not learnt: %s.", type(error).__name__)
    finally:
        with _asked_lock:
            _asked.discard((release.pk, x, y))
        connection.close()


def ask(release: ProviderDate, x: int, y: int) -> tuple[date | None, float | None]:
    """Day of capture and resolution at the middle of a coarse tile, as the release's own service tells them."""
    asker = Asker(release.source)
    template = release.options["metadata"]
    breaker = Breaker(release.source.uuid, "captures", addresses.host_of(template))
    breaker.check()
    west, south, east, north = geo.tile_bounds(CaptureLookup.ZOOM, x, y)
    try:
        answer = asker.ask(_question(template, (west + east) / 2, (south + north) / 2), limits=LOOKUP, accept=JSON)
        if answer.status == 429:
            breaker.open(answer.retry_after_s or 60)
        if answer.status != 200:
            raise Unreadable(f"status {answer.status}")
        found = read(answer.content)
    except Unavailable:
        raise
    except ProviderError as error:
        breaker.failed(was_slow=getattr(error, "was_slow", False))
        raise
    breaker.succeeded()
    return found


def _question(template: str, lon: float, lat: float) -> str:
    """An address with {lon} and {lat}, or a map service of ArcGIS."""
    if {"lon", "lat"} & addresses.gaps(template):
        return template.replace("{lon}", f"{lon:.6f}").replace("{lat}", f"{lat:.6f}")
    asked = {
        "f": "json",
        "where": "1=1",
        "outFields": WAYBACK_FIELDS,
        "geometry": f"{lon:.6f},{lat:.6f}",
        "geometryType": "esriGeometryPoint",
        "inSR": "4326",
        "returnGeometry": "false",
    }
    return f"{template.rstrip('/')}/{23 - WAYBACK_ZOOM}/query?{urlencode(asked, quote_via=quote)}"


def read(content: bytes) -> tuple[date | None, float | None]:
    """{captured_on, resolution_m}, or the features of a query of ArcGIS. No date where none is told."""
    told = parsed(content)
    if not isinstance(told, dict) or "error" in told:
        raise Unreadable("no answer")
    if "features" not in told:
        return _not_future(day_of(told.get("captured_on"))), _metres(told.get("resolution_m"))
    features = told["features"] if isinstance(told["features"], list) else []
    values = features[0].get("attributes") if features and isinstance(features[0], dict) else None
    if not isinstance(values, dict):
        return None, None
    moment = values.get("SRC_DATE2")
    try:
        day = datetime.fromtimestamp(moment / 1000, UTC).date() if isinstance(moment, int | float) else None
    except (OverflowError, OSError, ValueError):
        day = None
    return _not_future(day), _metres(values.get("SAMP_RES"))


def _not_future(day: date | None) -> date | None:
    return day if day and day <= rights.today() else None


def _metres(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value < 10_000 else None
