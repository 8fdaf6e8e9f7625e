"""Where requests may go. Pure: knows no settings and makes no request.

A project's admin types the address of a provider, and providers name further addresses in their answers. Neither may
lead a request of our server to a machine that only our server can reach. Every rule refuses; none guesses.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from labels.imagery.providers.errors import Refused

PORTS = {"https": 443, "http": 80}
MAX_LENGTH = 4000
NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
OWN_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa", "onion", "test", "invalid")
# Machines of clouds that answer with credentials under an address that is public by its number.
CLOUD_DOORS = frozenset({ipaddress.ip_address("168.63.129.16")})
# Of version 6 only what is given out to machines of the internet, and nothing that stands for an address of version 4.
GLOBAL_V6 = ipaddress.ip_network("2000::/3")
SPECIAL_V6 = tuple(map(ipaddress.ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# Python's own list of what is global changed over its versions; these are never asked, whatever it says.
SPECIAL_V4 = tuple(
    map(ipaddress.ip_network, ("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15"))
)


@dataclass(frozen=True)
class Target:
    """A checked address: what is asked, of whom."""

    scheme: str
    host: str  # as certificates and the Host header name it; of version 6 without brackets
    port: int
    path: str  # with the query
    is_allowed_by_name: bool  # whether the operator named this host and port

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port


def check(url: str, allowed: Iterable[str] = ()) -> Target:
    """Read an address, or say why nobody is asked there. `allowed` are the operator's host:port entries."""
    parts = _split(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in PORTS:
        raise Refused(_("Only https:// addresses are asked."))
    if "@" in parts.netloc:
        raise Refused(_("The address holds a user name or a password; use the field for the key."))
    port = _port(parts) or PORTS[scheme]
    named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    is_named = named in {entry.lower() for entry in allowed}
    if not is_named:
        _check_unnamed(scheme, host, port)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme, host, port, path, is_named)


def _split(url: str):
    if len(url) > MAX_LENGTH:
        raise Refused(_("The address is too long."))
    if not url.isascii() or not url.isprintable() or any(character in url for character in ' \\"<>^`|'):
        raise Refused(
            _("The address holds characters that do not belong into one; write names of hosts as xn--… and %-escape.")
        )
    try:
        parts = urlsplit(url)
        _port(parts)
    except ValueError:
        raise Refused(_("This is no address.")) from None
    if not parts.hostname:
        raise Refused(_("The address names no host."))
    return parts


def _port(parts) -> int | None:
    if parts.netloc.endswith(":"):
        raise Refused(_("The address names no port after its colon."))
    return parts.port


def _check_unnamed(scheme: str, host: str, port: int) -> None:
    if scheme != "https":
        raise Refused(_("Only https:// addresses are asked."))
    if port != PORTS["https"]:
        raise Refused(
            _("Port %(port)d is not asked; an operator can allow it (IMAGERY_ALLOWED_HOSTS).") % {"port": port}
        )
    if ("." in host and not NAME.fullmatch(host)) or ":" in host:
        check_ip(host)
    elif not NAME.fullmatch(host) or host.rpartition(".")[2] in OWN_NAMES:
        raise Refused(_("%(host)s is no name of a machine on the internet.") % {"host": host[:100]})


def check_ip(text: str, *, is_allowed_by_name: bool = False) -> None:
    """Refuse the number of a machine that is not on the open internet. Numbers in odd spellings are refused, too.

    Behind a name that the operator allowed, machines of our own network may answer; never link-local ones, where clouds
    keep credentials.
    """
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        raise Refused(_("%(host)s is no name of a machine on the internet.") % {"host": text[:100]}) from None
    if is_allowed_by_name and not (ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in CLOUD_DOORS):
        return
    if not _is_on_the_internet(ip):
        raise Refused(_("The address leads into a network of our own; that is never asked."))


def _is_on_the_internet(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if ip.version == 6 and (ip not in GLOBAL_V6 or ip.scope_id):
        return False
    if any(ip in network for network in (SPECIAL_V6 if ip.version == 6 else SPECIAL_V4)):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip in CLOUD_DOORS)
