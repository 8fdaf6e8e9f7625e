"""One tile of a provider: from the disk if it is kept there, else asked for, within a few seconds or not at all."""

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from math import floor
from threading import Lock
from time import monotonic
from uuid import UUID

import numpy as np
from django.utils.translation import gettext as _

from labels import geo
from labels.imagery import rights
from labels.imagery.providers import addresses, cache, fetching, guard, pictures
from labels.imagery.providers.asking import Asker, refusal
from labels.imagery.providers.breaker import Breaker
from labels.imagery.providers.errors import Failed, NoImage, ProviderError, Refused, Unavailable, Unreadable
from labels.imagery.providers.pictures import Picture
from labels.imagery.providers.slots import slot
from labels.imagery.rights import Use
from labels.local_plane import metres_per_degree
from labels.models import ImagerySource, ProviderDate

ACCEPT = "image/webp,image/jpeg,image/png"
EMPTY = (204, 404, 410)
# Some services say so where others say that there is nothing.
WAIT = (429, 503)
RETRY_S = 30
MAX_ZOOM = 24


@dataclass(frozen=True)
class ProviderTile:
    """A tile as it may be sent. `imagery` is full, partial or none; none has no content."""

    content: bytes
    content_type: str
    imagery: str


def tile(source: ImagerySource, date: ProviderDate, z: int, x: int, y: int) -> ProviderTile:
    """One tile, moved by the source's measured offset. Whether it may be looked at was asked before.

    Raises NoImage where the provider shows nothing, Unavailable where it cannot be asked now; never waits longer than
    `fetching.TILE` allows. Nothing but a tile that is not kept asks the database or the provider.
    """
    picture = _on_ground(source, date, z, x, y, monotonic() + fetching.TILE.total_s)
    if picture.shows == "none":
        raise NoImage(_("The provider has no imagery here."))
    return ProviderTile(picture.content, picture.content_type, picture.shows)


def read_pixels(source: ImagerySource, date: ProviderDate, z: int, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """The same tile as pixels: uint8 (3, 256, 256), and bool (256, 256) where it shows something."""
    return pictures.pixels(tile(source, date, z, x, y).content)


def _on_ground(source: ImagerySource, date: ProviderDate, z: int, x: int, y: int, until: float) -> Picture:
    right, down = _shift_px(source, z, x, y)
    if not (right or down):
        return _picture(source, date, z, x, y, until)
    colours, is_there = np.zeros((3, 512, 512), "uint8"), np.zeros((512, 512), bool)
    (first_x, left), (first_y, top) = divmod(x * 256 - right, 256), divmod(y * 256 - down, 256)
    for k, j in ((k, j) for k in (0, 1) for j in (0, 1)):
        found = _pixels_or_nothing(source, date, z, first_x + k, first_y + j, until)
        if found:
            place = np.s_[j * 256 : j * 256 + 256, k * 256 : k * 256 + 256]
            colours[:, *place], is_there[place] = found
    window = np.s_[top : top + 256, left : left + 256]
    return Picture(*pictures.written(colours[:, *window], is_there[window]))


def _shift_px(source: ImagerySource, z: int, x: int, y: int) -> tuple[int, int]:
    """By how many pixels the picture is drawn to the right and down."""
    if not (source.offset_east_m or source.offset_north_m):
        return 0, 0
    west, south, east, north = geo.tile_bounds(z, x, y)
    per_lon, per_lat = metres_per_degree((south + north) / 2)
    right = source.offset_east_m / per_lon / (east - west) * 256
    down = -source.offset_north_m / per_lat / (north - south) * 256
    return floor(right + 0.5), floor(down + 0.5)


def _pixels_or_nothing(source, date, z: int, x: int, y: int, until: float):
    if not (0 <= x < 2**z and 0 <= y < 2**z):
        return None
    try:
        picture = _picture(source, date, z, x, y, until)
    except NoImage:
        return None
    return pictures.pixels(picture.content) if picture.shows != "none" else None


# From the disk, from another thread, or from the provider


def _picture(source: ImagerySource, date: ProviderDate, z: int, x: int, y: int, until: float) -> Picture:
    if not (0 <= z <= MAX_ZOOM and 0 <= x < 2**z and 0 <= y < 2**z):
        raise NoImage(_("There is no such tile."))
    name = _name(source, date, z, x, y)
    kept = cache.recalled(source.uuid, name) if source.may_cache else None
    if kept is not None:
        return kept
    if not source.may_cache and cache.folder_of(source.uuid).exists():
        cache.forget(source.uuid)  # the right was taken back
    with slot(str(source.uuid)):
        return _flights.join((source.uuid, name), lambda: _fetched(source.uuid, date.uuid, z, x, y, until))


def _name(source: ImagerySource, date: ProviderDate, z: int, x: int, y: int) -> str:
    return cache.name_of(source.kind, source.address, _told(source.options), date.uuid, date.key, _told(date.options),
                         date.address, z, x, y)  # fmt: skip


def _told(options: dict) -> str:
    return repr(sorted((options or {}).items(), key=str))


class _Flights:
    """Who asks for a tile that another thread is asking for waits for its answer."""

    def __init__(self):
        self._lock, self._flying = Lock(), {}

    def join(self, name: tuple[UUID, str], ask):
        with self._lock:
            flight = self._flying.get(name)
            is_first = flight is None
            if is_first:
                flight = self._flying[name] = Future()
        if not is_first:
            try:
                return flight.result(timeout=fetching.TILE.total_s)
            except FutureTimeout:
                raise Unavailable(_("The provider takes too long to answer.")) from None
        try:
            flight.set_result(ask())
        except BaseException as error:
            flight.set_exception(error)
        finally:
            with self._lock:
                del self._flying[name]
        return flight.result()


_flights = _Flights()


def _fetched(source_uuid: UUID, date_uuid: UUID, z: int, x: int, y: int, until: float) -> Picture:
    """Ask the provider, and keep what came. The rows are read again: rights, key and address are those of this moment.

    The name to keep it under is theirs, too: the caller's rows may be seconds old and name another address.
    """
    date = (
        ProviderDate.objects.select_related("source__project").filter(uuid=date_uuid, source__uuid=source_uuid).first()
    )
    if date is None:
        raise NoImage(_("There is no such image."))
    if not date.min_zoom <= z <= date.max_zoom or not _reaches(date, z, x, y):
        picture = Picture(b"", "", "none")
    else:
        picture = ask_tile(date, z, x, y, until - monotonic())
    if rights.may(date.source, Use.CACHE):
        cache.keep(source_uuid, _name(date.source, date, z, x, y), picture)
    return picture


def _reaches(date: ProviderDate, z: int, x: int, y: int) -> bool:
    if date.footprint is None:
        return True
    west, south, east, north = geo.tile_bounds(z, x, y)
    left, bottom, right, top = date.footprint.extent
    return west <= right and east >= left and south <= top and north >= bottom


def ask_tile(date: ProviderDate, z: int, x: int, y: int, left_s: float = fetching.TILE.total_s) -> Picture:
    """One tile from the provider itself, past the cache; its breaker is asked and told."""
    if left_s <= 0:
        raise Unavailable(_("The provider takes too long to answer."))
    source = date.source
    try:
        asker = Asker(source)
        template = template_of(date)
        options = {**source.options, **date.options}
        key = asker.key_for(template)
        if "{key}" in template and not key:
            raise Refused(_("The address asks for a key, and none is given for its host."))
        url = addresses.filled(template, z, x, y, key=key, date=date.key, options=options)
    except Refused as error:
        raise Unavailable(str(error), retry_after_s=3600) from error
    breaker = Breaker(source.uuid, addresses.host_of(template))
    breaker.check()
    try:
        answer = asker.ask(url, limits=replace(fetching.TILE, total_s=left_s), accept=ACCEPT)
        picture = _judged(answer, guard.check(url, asker.allowed).host, frozenset(options.get("blanks", ())))
    except Unavailable as error:  # it asked us to wait
        breaker.open(error.retry_after_s)
        raise
    except ProviderError as error:
        breaker.failed(was_slow=isinstance(error, Failed) and error.was_slow)
        raise Unavailable(str(error)) from error
    breaker.succeeded()
    return picture


def template_of(date: ProviderDate) -> str:
    return date.address or date.source.options.get("template") or date.source.address


def _judged(answer: fetching.Answer, host: str, blanks: frozenset[str]) -> Picture:
    if answer.status in EMPTY or (answer.status == 200 and not answer.content):
        return Picture(b"", "", "none")
    if answer.status == 429 or (answer.status in WAIT and answer.retry_after_s):
        raise Unavailable(refusal(host, 429), retry_after_s=answer.retry_after_s or RETRY_S)
    if answer.status != 200:
        raise Failed(refusal(host, answer.status))
    # Stores of files say "binary" of everything; the first bytes decide. What calls itself text is no picture.
    if not (answer.content_type.startswith("image/") or answer.content_type in ("", "application/octet-stream")):
        raise Unreadable(_("%(host)s answered with words, not with a picture.") % {"host": host})
    return pictures.read(answer.content, blanks=blanks)
