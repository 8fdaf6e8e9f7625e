"""Providers that fail are left alone for a while, so that pages do not wait for them.

After a few failures in a row, or when the provider says "wait" (429, Retry-After), the breaker of that source and host
opens: nobody is asked until its time is over. Then one request tries; its outcome closes the breaker or opens it for
twice as long. Whether it is open is shared between processes through Redis; where that does not answer, each process
keeps its own.
"""

import hashlib
import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic, time

from django.conf import settings
from django.utils.translation import gettext as _

from labels.imagery.providers.errors import Unavailable

log = logging.getLogger(__name__)

OPENS_AFTER = 5
SLOW_WEIGHT = 2  # a timeout costs people seconds
FIRST_REST_S, LONGEST_REST_S = 15, 300
PROBE_S = 10  # how long a trying request may take before another may try
SHARED_FOR_S = 1.0  # how old a shared state may be
REDIS_REST_S = 30


@dataclass
class _State:
    n_failures: int = 0
    rest_s: float = FIRST_REST_S
    open_until: float = 0.0  # by the clock of the machine: shared
    has_opened: bool = False
    probe_until: float = 0.0
    asked_at: float = -1e9
    lock: Lock = field(default_factory=Lock)


_states: dict[str, _State] = {}
_states_lock = Lock()


class Breaker:
    """The breaker of one source at one host."""

    def __init__(self, *name: object):
        self.name = hashlib.sha256("|".join(map(str, name)).encode()).hexdigest()[:32]
        with _states_lock:
            self._state = _states.setdefault(self.name, _State())

    def check(self) -> None:
        """Raises Unavailable while it is open; lets one request through when its time is over."""
        state, now = self._state, time()
        with state.lock:
            self._hear(state)
            if state.open_until > now:
                raise self._closed_door(state.open_until - now)
            if not state.has_opened:
                return
            if state.probe_until > now or not _shared.may_probe(self.name):
                raise self._closed_door(max(1.0, state.probe_until - now))
            state.probe_until = now + PROBE_S

    def succeeded(self) -> None:
        state = self._state
        with state.lock:
            was_open = state.has_opened
            state.n_failures, state.rest_s, state.open_until = 0, FIRST_REST_S, 0.0
            state.has_opened, state.probe_until = False, 0.0
        if was_open:
            _shared.close(self.name)

    def failed(self, *, was_slow: bool = False) -> None:
        state = self._state
        with state.lock:
            state.n_failures += SLOW_WEIGHT if was_slow else 1
            if state.n_failures < OPENS_AFTER and not state.has_opened:
                return
            rest_s = state.rest_s
            state.rest_s = min(LONGEST_REST_S, 2 * state.rest_s)
        self.open(rest_s)

    def open(self, rest_s: float) -> None:
        """Ask nothing for so long."""
        state, until = self._state, time() + min(max(rest_s, 1.0), 3600.0)
        with state.lock:
            state.open_until = max(state.open_until, until)
            state.has_opened, state.probe_until, state.n_failures = True, 0.0, 0
        _shared.open(self.name, until)

    def _hear(self, state: _State) -> None:
        """What other processes know, asked once a second."""
        if monotonic() - state.asked_at < SHARED_FOR_S:
            return
        state.asked_at = monotonic()
        until = _shared.open_until(self.name)
        if until and until > state.open_until:
            state.open_until, state.has_opened = until, True

    def _closed_door(self, left_s: float) -> Unavailable:
        return Unavailable(
            _("The provider is left alone for a moment: it failed."), retry_after_s=max(1, round(left_s))
        )


class _Shared:
    """Open breakers in Redis, which may be away."""

    def __init__(self):
        self._client, self._away_until = None, 0.0

    def open(self, name: str, until: float) -> None:
        with self._asking() as client:
            client.set(_key(name), str(until), px=max(1, int((until - time()) * 1000)))

    def close(self, name: str) -> None:
        with self._asking() as client:
            client.delete(_key(name))

    def open_until(self, name: str) -> float | None:
        found = None
        with self._asking() as client:
            found = client.get(_key(name))
        try:
            return float(found) if found else None
        except ValueError:
            return None

    def may_probe(self, name: str) -> bool:
        is_mine = True
        with self._asking() as client:
            is_mine = bool(client.set(_key(name, "probe"), "1", nx=True, px=PROBE_S * 1000))
        return is_mine

    @contextmanager
    def _asking(self):
        from redis.exceptions import RedisError

        if self._away_until > monotonic():
            yield _Nobody()
            return
        try:
            yield self._connected()
        except (RedisError, OSError, ValueError) as error:
            self._client, self._away_until = None, monotonic() + REDIS_REST_S
            log.warning("Redis does not answer (%s): each process watches providers for itself.", type(error).__name__)

    def _connected(self):
        if self._client is None:
            import redis

            self._client = redis.Redis.from_url(
                _redis_url(settings.REDIS_URL), socket_timeout=1, socket_connect_timeout=1, retry=None
            )
        return self._client


class _Nobody:
    """Answers nothing, and lets each process try for itself."""

    def set(self, *args, **kwargs):
        return True

    def get(self, *args):
        return None

    def delete(self, *args):
        return None


def _key(name: str, what: str = "open") -> str:
    return f"asm_audit:provider:{what}:{name}"


def _redis_url(url: str) -> str:
    """Celery writes a socket in a way of its own."""
    if not url.startswith("redis+socket://"):
        return url
    path, _question, query = url.removeprefix("redis+socket://").partition("?")
    database = dict(part.partition("=")[::2] for part in query.split("&")).get("virtual_host", "0")
    return f"unix://{path}?db={database}"


_shared = _Shared()


def forget_all() -> None:
    """For tests: every process begins like this."""
    with _states_lock:
        _states.clear()
