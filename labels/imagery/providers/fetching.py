"""The one function through which every request to a provider passes.

The host is resolved once, here; each of its addresses must be on the open internet, and the connection is made to the
checked number, so that a name cannot mean another machine a moment later. Proxies of the environment are not used: they
would resolve the name themselves. What is sent: the method, the path, the host, a fixed name of our program, what kinds
of answer we take. No cookie, no referrer, nothing of the person who looks.
"""

import http.client
import json
import math
import socket
import ssl
import zlib
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import BinaryIO
from urllib.parse import urljoin

from django.utils.translation import gettext as _

from labels.imagery.providers import guard
from labels.imagery.providers.errors import Failed, Refused
from labels.imagery.providers.guard import Target

USER_AGENT = "asm_audit (audits of mining registers)"
MAX_HOPS = 3
MAX_ADDRESSES = 4
REDIRECTS = (301, 302, 303, 307, 308)
CHUNK = 64 * 1024
MAX_WAIT_S = 3600

Resolve = Callable[[str, int], list[str]]
Report = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Limits:
    """How long and how much one request may take, its redirects included."""

    connect_s: float
    silence_s: float  # between two pieces of an answer
    total_s: float
    max_bytes: int


TILE = Limits(connect_s=2, silence_s=4, total_s=4.5, max_bytes=4 * 2**20)
DESCRIPTION = Limits(connect_s=5, silence_s=10, total_s=20, max_bytes=16 * 2**20)


@dataclass(frozen=True)
class Answer:
    """What came back. The provider's own headers end here, but for these."""

    status: int
    content: bytes
    content_type: str
    retry_after_s: int | None
    url: str  # where it came from, after redirects


def resolve(host: str, port: int) -> list[str]:
    """The numbers of a host; tests put a network of their own in its place."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(entry[4][0] for entry in found))


def fetch(
    url: str,
    *,
    limits: Limits,
    allowed: Collection[str] = (),
    accept: str = "*/*",
    body: dict | None = None,
    into: BinaryIO | None = None,
    report: Report | None = None,
) -> Answer:
    """Ask once; redirects are followed, each checked like the first address.

    With `body` it is a POST of JSON; with `into` the content is written there. Raises Refused where nobody is asked,
    Failed where nothing of use came.
    """
    until = monotonic() + limits.total_s
    target, here = guard.check(url, allowed), url
    for _hop in range(MAX_HOPS + 1):
        with _connected(target, limits, until) as sock, closing(_asked(sock, target, accept, body)) as response:
            location = response.getheader("Location")
            if response.status not in REDIRECTS or not location:
                content = _read(response, target, limits, into, report)
                return _answer(response, content, here)
        target, here = _next_hop(here, location, target, allowed), urljoin(here, location)
        body = None
    raise Failed(_("%(host)s leads from one address to the next.") % {"host": target.host})


def _next_hop(url: str, location: str, came_from: Target, allowed: Collection[str]) -> Target:
    """A redirect is checked like any address; what the operator allowed holds only for who was asked first."""
    target = guard.check(urljoin(url, location), allowed)
    if target.is_allowed_by_name and target.origin != came_from.origin:
        raise Refused(_("%(host)s leads to a machine that it may not lead to.") % {"host": came_from.host})
    return target


# Connecting


class _Timed:
    """A socket whose every step ends by one moment: a server that drips bytes cannot hold us."""

    until = math.inf
    silence_s = 60.0

    def _bound(self) -> None:
        left = self.until - monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(min(left, self.silence_s))

    def recv_into(self, *args, **kwargs):
        self._bound()
        return super().recv_into(*args, **kwargs)

    def send(self, *args, **kwargs):
        self._bound()
        return super().send(*args, **kwargs)

    def sendall(self, *args, **kwargs):
        self._bound()
        return super().sendall(*args, **kwargs)


class _TimedSocket(_Timed, socket.socket):
    pass


class _TimedTLS(_Timed, ssl.SSLSocket):
    pass


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.sslsocket_class = _TimedTLS
    return context


# Asking the system for a host's numbers knows no time limit of its own.
_resolvers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="resolve")


def addresses_of(target: Target, until: float) -> list[str]:
    """The checked numbers of the host: one that may not be asked refuses them all."""
    try:
        left = max(0.0, until - monotonic())
        found = _resolvers.submit(resolve, target.host, target.port).result(timeout=left)
    except FutureTimeout:
        raise Failed(_("The name %(host)s was not found in time.") % {"host": target.host}, was_slow=True) from None
    except (OSError, UnicodeError):
        raise Failed(_("There is no host %(host)s.") % {"host": target.host}) from None
    if not found:
        raise Failed(_("There is no host %(host)s.") % {"host": target.host})
    for number in found:
        guard.check_ip(number, is_allowed_by_name=target.is_allowed_by_name)
    return found[:MAX_ADDRESSES]


def _connected(target: Target, limits: Limits, until: float):
    """A connection to one of the checked numbers; names are not resolved again."""
    for number in addresses_of(target, until):
        left = until - monotonic()
        if left <= 0:
            break
        sock = _TimedSocket(socket.AF_INET6 if ":" in number else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.settimeout(min(limits.connect_s, left))
            sock.connect((number, target.port))
            if target.scheme == "https":
                sock = _tls().wrap_socket(sock, server_hostname=target.host)
        except ssl.SSLError as error:
            sock.close()
            raise Failed(_("%(host)s does not prove that it is %(host)s.") % {"host": target.host}) from error
        except OSError:
            sock.close()
            continue
        sock.until, sock.silence_s = until, limits.silence_s
        return closing(sock)
    raise Failed(_("%(host)s cannot be reached.") % {"host": target.host}, was_slow=True)


# Asking


def _asked(sock, target: Target, accept: str, body: dict | None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock, connection.auto_open = sock, 0
    sent = json.dumps(body).encode() if body is not None else None
    headers = {
        "Host": target.authority,
        "User-Agent": USER_AGENT,
        "Accept": accept,
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    try:
        connection.putrequest("GET" if sent is None else "POST", target.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if sent is not None:
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(sent)))
        connection.endheaders(sent)
        return connection.getresponse()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _gone_wrong(target, error) from None


def _gone_wrong(target: Target, error: Exception) -> Failed:
    """Never the error's own words: they may quote the address."""
    if isinstance(error, TimeoutError):
        return Failed(_("%(host)s takes too long to answer.") % {"host": target.host}, was_slow=True)
    return Failed(_("%(host)s broke off its answer.") % {"host": target.host})


def _read(response, target: Target, limits: Limits, into: BinaryIO | None, report: Report | None) -> bytes:
    too_much = Failed(_("%(host)s answers with too much.") % {"host": target.host})
    declared = response.length
    if declared is not None and declared > limits.max_bytes:
        raise too_much
    encoding = (response.getheader("Content-Encoding") or "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise Failed(_("%(host)s answers in an encoding that was not asked for.") % {"host": target.host})
    unpack = zlib.decompressobj(31) if encoding == "gzip" else None
    pieces, n_bytes = [], 0
    try:
        while piece := response.read1(CHUNK):
            if unpack:
                piece = unpack.decompress(piece, limits.max_bytes + 1)
                if unpack.unconsumed_tail:
                    raise too_much
            n_bytes += len(piece)
            if n_bytes > limits.max_bytes:
                raise too_much
            if into is None:
                pieces.append(piece)
            else:
                into.write(piece)
            if report:
                report(n_bytes, declared)
    except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException, zlib.error) as error:
        raise _gone_wrong(target, error) from None
    if declared is not None and response.length:
        raise _gone_wrong(target, ConnectionError())
    return b"".join(pieces)


def _answer(response, content: bytes, url: str) -> Answer:
    kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    return Answer(response.status, content, kind[:100], _retry_after(response.getheader("Retry-After")), url)


def _retry_after(text: str | None) -> int | None:
    """Seconds; a date is taken as a minute, for the provider's clock is not ours."""
    if not text:
        return None
    return min(int(text), MAX_WAIT_S) if text.isascii() and text.isdigit() and len(text) < 9 else 60
