"""Who is asked for a source, with what key, and whether at all."""

import math
from collections.abc import Collection
from dataclasses import replace
from time import monotonic
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from labels.imagery.providers import addresses, fetching, guard
from labels.imagery.providers.errors import Failed, ProviderError, Refused
from labels.imagery.providers.fetching import Answer, Limits, Report
from labels.models import ImagerySource
from labels.models.projects import ImageryPolicy


class Asker:
    """Requests on behalf of one source; there is none while its project uses local imagery only."""

    def __init__(self, source: ImagerySource, *, budget_s: float = math.inf):
        """`budget_s` bounds all its requests together."""
        if source.project.imagery_policy != ImageryPolicy.THROUGH_SERVER:
            raise Refused(_("The project uses local imagery only."))
        self.source = source
        self.key = source.access_key
        self.host = addresses.host_of(source.address)
        self.allowed = self._allowed()
        self._until = monotonic() + budget_s

    def _allowed(self) -> Collection[str]:
        """What the operator allowed serves a source that names it, not one whose provider points there."""
        listed = frozenset(entry.lower() for entry in settings.IMAGERY_ALLOWED_HOSTS)
        return {_with_port(self.source.address, self.host)} & listed

    def knows(self, template: str) -> bool:
        """Whether the key may be sent there: only to the host that the admin named."""
        return addresses.host_of(template) == self.host

    def key_for(self, template: str) -> str:
        return self.key if self.knows(template) else ""

    def ask(
        self,
        url: str,
        *,
        limits: Limits,
        accept: str = "*/*",
        body: dict | None = None,
        into: BinaryIO | None = None,
        report: Report | None = None,
    ) -> Answer:
        """Ask an address whose gaps are filled but for {key}."""
        if "{key}" in url:
            if not self.key:
                raise Refused(_("The address asks for a key, and none is given."))
            if not self.knows(url):
                raise Refused(_("The provider points to another host; the key is not sent there."))
            url = url.replace("{key}", quote(self.key, safe=""))
        left = self._until - monotonic()
        if left <= 0:
            raise Failed(_("The provider takes too long to describe itself."), was_slow=True)
        limits = replace(limits, total_s=min(limits.total_s, left))
        try:
            answer = fetching.fetch(
                url, limits=limits, allowed=self.allowed, accept=accept, body=body, into=into, report=report
            )
        except ProviderError as error:
            error.args = (addresses.hidden(str(error), self.key),)
            raise
        return replace(answer, url=self.without_key(answer.url))

    def describe(self, url: str, *, accept: str) -> Answer:
        """A description: an answer that must be there."""
        answer = self.ask(url, limits=fetching.DESCRIPTION, accept=accept)
        if answer.status != 200:
            raise Failed(refusal(guard.check(self._plain(url), self.allowed).host, answer.status))
        return answer

    def _plain(self, url: str) -> str:
        return url.replace("{key}", "key")

    def without_key(self, text: str) -> str:
        return addresses.key_as_gap(text, self.key)


def _with_port(address: str, host: str) -> str:
    """Host and port as the operator names them; an address need not write the port that its scheme implies."""
    port = guard.PORTS.get(urlsplit(address).scheme.lower())
    has_port = ":" in host.rpartition("]")[2]
    return host if has_port or port is None else f"{host}:{port}"


def refusal(host: str, status: int) -> str:
    """A status that is no answer, in words."""
    told = {"host": host, "status": status}
    if status in (401, 403):
        return _("%(host)s refuses the key, or our server (%(status)d).") % told
    if status == 404:
        return _("%(host)s has nothing at this address (404).") % told
    if status == 429:
        return _("%(host)s asks us to wait (429).") % told
    return _("%(host)s answers with an error (%(status)d).") % told
