"""Addresses of tiles with gaps to be filled, and keys kept out of what people read. Pure."""

import math
import re
from urllib.parse import quote, unquote, urlsplit

from django.utils.translation import gettext as _

from labels.imagery.providers.errors import Refused

HALF_WORLD_M = math.pi * 6378137.0
GAP = re.compile(r"\{([^{}]*)\}")
# Names under which services take a key: its value belongs into the field that no page shows.
KEY_NAMES = re.compile(
    r"[?&;]((?:api|access|auth|subscription|user|license|x)?[-_.]?(?:key|token|apikey|accesstoken|secret|sig|signature)"
    r"|appid|app_id|password|pwd)=([^&{}]+)",
    re.IGNORECASE,
)
HIDDEN = "…"


def gaps(template: str) -> set[str]:
    return {name.lower() for name in GAP.findall(template)}


def check_template(template: str) -> None:
    """Refuse an address that holds a key in plain sight, or in the name of its host."""
    if KEY_NAMES.search(unquote(template)):
        raise Refused(_("The address holds a key. Write {key} in its place and put the key into its own field."))
    authority = template.partition("://")[2].partition("/")[0]
    if any(name.lower() not in ("s",) and not name.lower().startswith("switch:") for name in GAP.findall(authority)):
        raise Refused(_("Only {s} may stand in the name of the host."))


def host_of(template: str) -> str:
    """Host and port as written, for comparing; gaps stay as they are."""
    return urlsplit(GAP.sub("gap", template)).netloc.lower()


def filled(template: str, z: int, x: int, y: int, *, key: str = "", date: str = "", options: dict | None = None) -> str:
    """The address of one tile. `key` must already be known to belong to the host that is asked."""
    options = options or {}
    row = 2**z - 1 - y if options.get("scheme") == "tms" else y
    words = {
        "z": str(z),
        "x": str(x),
        "y": str(row),
        "-y": str(2**z - 1 - y),
        "q": quadkey(z, x, y),
        "quadkey": quadkey(z, x, y),
        "date": date,
        "time": date,
        "key": key,
        "bbox": bbox(z, x, y),
        "bbox-epsg-3857": bbox(z, x, y),
        "tilematrix": _matrix(options, z),
        "tilerow": str(y),
        "tilecol": str(x),
        "s": _one_of(options.get("subdomains") or "abc", x + y),
        "level": str(z),
        "row": str(y),
        "col": str(x),
        "r": "",
        "ratio": "",
    }

    def word(gap: re.Match) -> str:
        name = gap[1].lower()
        if name.startswith("switch:"):
            return _one_of(name.removeprefix("switch:").split(","), x + y)
        if name not in words:
            raise Refused(_("The address has a gap that nobody can fill: %(gap)s.") % {"gap": gap[0][:40]})
        return quote(words[name], safe=",:" if name.startswith("bbox") else "")

    return GAP.sub(word, template)


def _matrix(options: dict, z: int) -> str:
    names = options.get("matrices")
    if not names:
        return str(z)
    return names[z] if z < len(names) and names[z] is not None else str(z)


def _one_of(choices, number: int) -> str:
    return choices[number % len(choices)]


def quadkey(z: int, x: int, y: int) -> str:
    return "".join(str((x >> level & 1) | (y >> level & 1) << 1) for level in range(z - 1, -1, -1))


def bbox(z: int, x: int, y: int) -> str:
    """West, south, east, north in web mercator metres."""
    side = 2 * HALF_WORLD_M / 2**z
    west, north = x * side - HALF_WORLD_M, HALF_WORLD_M - y * side
    return ",".join(f"{edge:.6f}" for edge in (west, north - side, west + side, north))


def key_as_gap(text: str, key: str) -> str:
    """A provider's own words with its key taken out again: services write it into the addresses they name."""
    for written in dict.fromkeys((key, quote(key, safe=""), quote(key))):
        if written:
            text = text.replace(written, "{key}")
    return text


def hidden(text: str, key: str) -> str:
    """Words for people and logs, without the key."""
    return key_as_gap(text, key).replace("{key}", HIDDEN) if key else text
