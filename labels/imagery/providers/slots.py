"""How many threads of this process may wait for providers, so that one is always free for pages and local tiles."""

from contextlib import contextmanager
from threading import Condition
from time import monotonic

from django.conf import settings
from django.utils.translation import gettext as _

from labels.imagery.providers.errors import Unavailable

QUICK_S = 0.6  # a provider that answers faster may be waited for a little
PATIENCE_S = 0.4

_free = Condition()
_began: dict[object, float] = {}  # of the fetches under way
_usual_s: dict[str, float] = {}


@contextmanager
def slot(name: str):
    """A place among the waiting threads. Raises Unavailable where all are taken, at once if a provider is slow now."""
    mine = object()
    with _free:
        until = monotonic() + PATIENCE_S
        while len(_began) >= settings.PROVIDER_THREADS:
            if not _is_quick(name) or monotonic() >= until:
                raise Unavailable(_("Too many tiles are being fetched."), retry_after_s=1)
            _free.wait(until - monotonic())
        _began[mine] = began = monotonic()
    try:
        yield
    finally:
        with _free:
            _usual_s[name] = 0.7 * _usual_s.get(name, 0.0) + 0.3 * (monotonic() - began)
            del _began[mine]
            _free.notify()


def _is_quick(name: str) -> bool:
    """Whether a place is likely to be free soon: by what is usual, and by how long those under way have taken."""
    return _usual_s.get(name, 0.0) <= QUICK_S and monotonic() - min(_began.values()) <= QUICK_S
