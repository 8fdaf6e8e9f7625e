"""The tile pass: who looks at a project's tiles in which session, signed, so that a tile needs no look at the database.

The pass says who asks; it opens nothing by itself. A tile is answered on it only where this process holds a
*decision*: that `labels.access`, asked with the session not longer than `KEPT_S` ago, let this person look at this
project's tiles. Decisions are made by the view, which checks everything; signing out, a session's end, a lost role or a
person who may no longer sign in are therefore found within that time. A pass fits one session: it is
worth nothing with another cookie.
"""

import threading
import time
from collections import OrderedDict
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix
from django.utils.crypto import constant_time_compare, salted_hmac

KEPT_S = 8  # at most 10: a request under way takes its time too
MAX_DECISIONS = 20_000
MAX_PROJECTS = 30  # in one pass; whoever works in more asks the view now and then
SALT = "labels.imagery.tile_pass"

clock = time.monotonic
wall_clock = time.time


class Pass(NamedTuple):
    """What a pass says of whoever shows it."""

    user: int
    session: str  # a mark of the session's key, which nobody can turn back
    expires: int  # seconds since 1970: when its session ends
    projects: frozenset[int]


def cookie_name() -> str:
    # __Host- would need the path "/", and then every page would carry the pass.
    return "__Secure-tiles" if settings.SESSION_COOKIE_SECURE else "tiles"


def read(value: str | None, session_key: str | None) -> Pass | None:
    """The pass, if it is ours, of this session, and not over."""
    if not value or not session_key:
        return None
    found = _unsigned(value, settings.SECRET_KEY)
    if found is None or found.expires <= wall_clock():
        return None
    return found if constant_time_compare(found.session, _mark(session_key, settings.SECRET_KEY)) else None


@lru_cache(maxsize=4096)
def _unsigned(value: str, _secret: str) -> Pass | None:
    try:
        user, session, expires, projects = signing.Signer(salt=SALT).unsign(value).split("-")
        return Pass(int(user), session, int(expires), frozenset(map(int, projects.split("."))))
    except (signing.BadSignature, ValueError):
        return None


@lru_cache(maxsize=4096)
def _mark(session_key: str, _secret: str) -> str:
    return salted_hmac(SALT, session_key, algorithm="sha256").hexdigest()[:32]


def grant(request: HttpRequest, response: HttpResponse, project: int) -> None:
    """Give the browser a pass for this project too. It ends with the session and is sent with tiles alone."""
    session_key = request.session.session_key
    if not session_key:
        return
    held = read(request.COOKIES.get(cookie_name()), session_key)
    if held and held.user == request.user.pk and project in held.projects:
        return
    others = sorted(held.projects, reverse=True)[: MAX_PROJECTS - 1] if held and held.user == request.user.pk else []
    ends = int(wall_clock()) + _seconds_left(request)
    projects = ".".join(str(each) for each in (project, *others))
    text = f"{request.user.pk}-{_mark(session_key, settings.SECRET_KEY)}-{ends}-{projects}"
    response.set_cookie(
        cookie_name(),
        signing.Signer(salt=SALT).sign(text),
        max_age=ends - int(wall_clock()),
        path=_path(),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
    )


def take_back(response: HttpResponse) -> None:
    response.delete_cookie(cookie_name(), path=_path(), samesite="Strict")


def _path() -> str:
    return f"{get_script_prefix()}imagery/"


def _seconds_left(request: HttpRequest) -> int:
    """Of the session as it is kept: reading one does not make it longer."""
    model = getattr(request.session, "model", None)
    ends = model and model.objects.filter(pk=request.session.session_key).values_list("expire_date", flat=True).first()
    return max(0, int(ends.timestamp() - wall_clock())) if ends else request.session.get_expiry_age()


class _Decisions:
    """Who may look at which project's tiles, by session, and until when this process may believe it."""

    def __init__(self):
        self._until: OrderedDict[tuple[str, int, int], float] = OrderedDict()
        self._lock = threading.Lock()

    def holds(self, held: Pass, project: int) -> bool:
        return project in held.projects and self._until.get((held.session, held.user, project), 0) > clock()

    def remember(self, request: HttpRequest, project: int, asked_at: float) -> None:
        """The view found that the person may look; `asked_at` is the clock before it asked."""
        with self._lock:
            key = (_mark(request.session.session_key or "", settings.SECRET_KEY), request.user.pk, project)
            self._until[key] = asked_at + KEPT_S
            self._until.move_to_end(key)
            while len(self._until) > MAX_DECISIONS:
                self._until.popitem(last=False)

    def forget(self, session_key: str | None) -> None:
        """Close this session's tiles in this process at once; the others follow within KEPT_S."""
        mark = _mark(session_key or "", settings.SECRET_KEY)
        with self._lock:
            for key in [key for key in self._until if key[0] == mark]:
                del self._until[key]


decisions = _Decisions()
