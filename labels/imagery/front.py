"""Tiles answered before the middleware chain: the server's first layer (asm_audit/wsgi.py).

Measured: a look at the session alone costs three quarters of the tiles a second. So a tile of somebody with a fresh
decision (`tile_pass`) on a source with a fresh entry (`index`) is answered here, without a query. Everything else, and
everything odd, goes on to Django, which checks all of it and says no in its own words.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus

from django import db
from django.conf import settings
from django.http.cookie import parse_cookie
from django.http.request import split_domain_port, validate_host

from labels.imagery import index, tile_answers, tile_pass, tiles
from labels.models import ImagerySource

PREFIX = "/imagery/"
# What the middlewares say on every page, in the words that hold for a picture.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
REASONS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class TilesFirst:
    """A WSGI application in front of Django's."""

    def __init__(self, application: Callable):
        self.application = application

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        found = _answer(environ) if environ.get("PATH_INFO", "").startswith(PREFIX) else None
        if found is None:
            return self.application(environ, start_response)
        headers = [*found.headers.items(), *_security(environ)]
        if found.status != HTTPStatus.NOT_MODIFIED:
            headers.append(("Content-Length", str(len(found.content))))
        start_response(REASONS[found.status], headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [found.content]


def _answer(environ: dict) -> tile_answers.Answer | None:
    """The tile, if everything that the view would check is known to hold; None if Django is to be asked."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or not _is_ours(environ):
        return None
    cookies = parse_cookie(environ.get("HTTP_COOKIE", ""))
    held = tile_pass.read(cookies.get(tile_pass.cookie_name()), cookies.get(settings.SESSION_COOKIE_NAME))
    if held is None:
        return None
    try:
        asked = tile_answers.parse(
            environ["PATH_INFO"].removeprefix(PREFIX), environ.get("QUERY_STRING", ""), environ.get("HTTP_ACCEPT", "")
        )
    except (tiles.NoSuchTile, ValueError):
        return None
    known = index.fresh(asked.source)
    if known is None or not tile_pass.decisions.holds(held, known.source.project_id):
        return None
    # An address of a revision we do not know yet: the page was told more than this process.
    is_behind = asked.revision is not None and asked.revision > known.source.revision
    if is_behind or known.layers is None or not tile_answers.is_open(known):
        return None
    try:
        found = _answered(known, asked, environ.get("HTTP_IF_NONE_MATCH", ""))
        # A provider may have taken seconds: what was decided before is asked again.
        still_holds = known.is_fresh and tile_pass.decisions.holds(held, known.source.project_id)
        return found if still_holds else None
    except Exception:  # the view will meet it again, and Django says and logs it without the place
        return None


def _answered(known: index.Known, asked: tile_answers.Asked, if_none_match: str) -> tile_answers.Answer:
    if known.source.kind == ImagerySource.Kind.SCENES:
        return tile_answers.answer(known, asked, if_none_match)
    # A provider's limits may be rows: outside Django's request a thread minds its connection itself.
    _mind_connections()
    try:
        return tile_answers.answer(known, asked, if_none_match)
    finally:
        _mind_connections()


def _mind_connections() -> None:
    for connection in db.connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _is_ours(environ: dict) -> bool:
    """The host is one of ours and the line is as safe as it must be, as Django would find."""
    if settings.USE_X_FORWARDED_HOST or (settings.SECURE_SSL_REDIRECT and not _is_secure(environ)):
        return False
    return _is_known_host(environ.get("HTTP_HOST", ""), tuple(settings.ALLOWED_HOSTS))


@lru_cache(maxsize=256)
def _is_known_host(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def _is_secure(environ: dict) -> bool:
    if settings.SECURE_PROXY_SSL_HEADER:
        name, secure = settings.SECURE_PROXY_SSL_HEADER
        said = environ.get(name)
        if said is not None:
            return said.split(",", 1)[0].strip() == secure
    return environ.get("wsgi.url_scheme") == "https"


def _security(environ: dict) -> list[tuple[str, str]]:
    headers = list(SECURITY.items())
    if settings.SECURE_HSTS_SECONDS and _is_secure(environ):
        headers.append(("Strict-Transport-Security", _strict_transport()))
    return headers


def _strict_transport() -> str:
    words = [f"max-age={settings.SECURE_HSTS_SECONDS}"]
    words += ["includeSubDomains"] * settings.SECURE_HSTS_INCLUDE_SUBDOMAINS
    words += ["preload"] * settings.SECURE_HSTS_PRELOAD
    return "; ".join(words)
