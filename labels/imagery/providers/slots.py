"""How many threads of this process may wait for providers, so that one is always free for pages and local tiles."""

from contextlib import contextmanager
from threading import Condition
from time import monotonic

from django.conf import settings
from django.utils.translation import gettext as _

from labels.imagery.providers.errors import Unavailable

QUICK_S = 0.6  # a provider that answers faster may be waited for a little
PATIENCE_S = 0.5

_free = Condition()
_taken = 0
_usual_s: dict[str, float] = {}


@contextmanager
def slot(name: str):
    """A place among the waiting threads. Raises Unavailable where all are taken, at once if the provider is slow."""
    global _taken
    with _free:
        patience = PATIENCE_S if _usual_s.get(name, QUICK_S) <= QUICK_S else 0
        until = monotonic() + patience
        while _taken >= settings.PROVIDER_THREADS:
            if not _free.wait(max(0.0, until - monotonic())) and monotonic() >= until:
                raise Unavailable(_("Too many tiles are being fetched."), retry_after_s=1)
        _taken += 1
    began = monotonic()
    try:
        yield
    finally:
        with _free:
            _usual_s[name] = 0.7 * _usual_s.get(name, 0.0) + 0.3 * (monotonic() - began)
            _taken -= 1
            _free.notify()
