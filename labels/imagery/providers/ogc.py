"""WMTS and WMS: their capabilities are read by OWSLib from bytes that we fetched ourselves."""

import math
import warnings
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.utils.translation import gettext as _

from labels.imagery.providers import addresses
from labels.imagery.providers.asking import Asker
from labels.imagery.providers.errors import Unreadable
from labels.imagery.providers.offers import ONLY, Description, Offered, box, day_of, instants, plain, stated, zoom
from labels.models import ImagerySource

XML = "application/xml, text/xml"
FORMATS = ("image/jpeg", "image/jpgpng", "image/png", "image/png8", "image/webp")
MERCATOR = ("EPSG:3857", "EPSG:900913", "EPSG:102100", "EPSG:102113")
WORLD_DENOMINATOR = 559_082_264.0287178  # of zoom 0 with tiles of 256 pixels
CLOSE = 1e-4


def of_wmts(source: ImagerySource, asker: Asker) -> Description:
    """RESTful where the layer names an address of its tiles, else by query; web mercator only."""
    url = _with(source.address, {"SERVICE": "WMTS", "REQUEST": "GetCapabilities", "VERSION": "1.0.0"})
    url = source.address if source.address.partition("?")[0].lower().endswith(".xml") else url
    answer = asker.describe(url, accept=XML)
    return read_wmts(source, asker.without_key(answer.content.decode("utf-8", "replace")).encode())


def read_wmts(source: ImagerySource, xml: bytes) -> Description:
    from owslib.wmts import WebMapTileService

    service = _read(WebMapTileService, xml, "1.0.0")
    layer = _layer(service, source.options.get("layer", ""))
    matrix_set, matrices = _web_mercator(service, layer)
    image_format = _format(layer.formats, source)
    style = source.options.get("style") or _default_style(layer)
    time_name, times, default = _time(layer)
    template = _rest_template(layer, image_format) or _kvp_template(service, layer, image_format, time_name)
    fixed = {"Style": style, "TileMatrixSet": matrix_set, "Layer": layer.id, "Format": image_format}
    template = _fixed(template, fixed | _other_dimensions(layer, time_name), time_name)
    addresses.filled(template, 1, 0, 0, key="key", date="date", options={"matrices": matrices})
    levels = [z for z, name in enumerate(matrices) if name is not None]
    common = {
        "footprint": box(getattr(layer, "boundingBoxWGS84", None)),
        "min_zoom": min(levels),
        "max_zoom": min(max(levels), zoom(source.options.get("max_zoom"), 22)),
    }
    dates = _dated(source, template, times or ([default] if default else []), common)
    provider = getattr(service, "provider", None)
    return Description(dates, {"template": template, "matrices": matrices}, plain(getattr(provider, "name", "")))


def of_wms(source: ImagerySource, asker: Asker) -> Description:
    version = "1.1.1" if source.options.get("version") == "1.1.1" else "1.3.0"
    url = _with(source.address, {"SERVICE": "WMS", "REQUEST": "GetCapabilities", "VERSION": version})
    answer = asker.describe(url, accept=XML)
    return read_wms(source, asker.without_key(answer.content.decode("utf-8", "replace")).encode())


def read_wms(source: ImagerySource, xml: bytes) -> Description:
    from owslib.wms import WebMapService

    version = "1.1.1" if b"WMT_MS_Capabilities" in xml[:5000] else "1.3.0"
    service = _read(WebMapService, xml, version)
    layer = _layer(service, source.options.get("layer", ""))
    crs = next((name for name in MERCATOR if name in {str(option).upper() for option in layer.crsOptions or []}), None)
    if crs is None:
        raise Unreadable(
            _("The layer is not offered in web mercator (EPSG:3857), and other projections are not asked.")
        )
    operation = service.getOperationByName("GetMap")
    image_format = _format(operation.formatOptions, source)
    times = instants([str(text) for text in layer.timepositions or []])
    asked = {
        "SERVICE": "WMS",
        "REQUEST": "GetMap",
        "VERSION": version,
        "LAYERS": layer.name,
        "STYLES": source.options.get("style", ""),
        # Both are asked x before y: EPSG:3857 has its axes that way also where version 1.3.0 asks for the axes' order.
        "SRS" if version == "1.1.1" else "CRS": crs,
        "WIDTH": "256",
        "HEIGHT": "256",
        "FORMAT": image_format,
        "TRANSPARENT": "FALSE" if "jpeg" in image_format else "TRUE",
    }
    template = _with(source.address, asked) + "&BBOX={bbox}" + ("&TIME={date}" if times else "")
    footprint = box(getattr(layer, "boundingBoxWGS84", None))
    common = {"footprint": footprint, "min_zoom": 0, "max_zoom": zoom(source.options.get("max_zoom"), 19)}
    return Description(_dated(source, template, times, common), {"template": template}, plain(_credit(layer)))


def _read(service, xml: bytes, version: str):
    """Capabilities as OWSLib reads them; it gets no address that it could ask."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        # Entities could grow or read files; a DOCTYPE without any is what version 1.1.1 prescribes.
        fromstring(xml, forbid_dtd=False, forbid_entities=True, forbid_external=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return service("http://nobody.invalid/", version=version, xml=xml)
    except DefusedXmlException:
        raise Unreadable(_("The description holds XML entities; such files are not read.")) from None
    except Exception:
        # OWSLib raises what it stumbles over: attribute errors, key errors, its own, its parser's.
        raise Unreadable(_("The provider's description (its capabilities) cannot be read.")) from None


def _layer(service, wanted: str):
    if wanted in service.contents:
        return service.contents[wanted]
    names = list(service.contents)
    if len(names) == 1 and not wanted:
        return service.contents[names[0]]
    shown = ", ".join(names[:30])[:1500]
    if wanted:
        raise Unreadable(_("There is no layer “%(layer)s”; there are: %(names)s.") % {"layer": wanted, "names": shown})
    raise Unreadable(_("Name the layer; there are: %(names)s.") % {"names": shown or "–"})


def _format(offered: list, source: ImagerySource) -> str:
    wanted = source.options.get("format")
    known = [name for name in FORMATS if name in (offered or [])]
    if wanted in (offered or []) and wanted in FORMATS:
        return wanted
    if not known:
        raise Unreadable(_("The layer is offered neither as JPEG nor as PNG nor as WebP."))
    return known[0]


def _web_mercator(service, layer) -> tuple[str, list[str | None]]:
    """The layer's tile matrix set on the grid of web tiles: its name, and by zoom the names of its levels."""
    for name in layer.tilematrixsetlinks:
        matrix_set = service.tilematrixsets.get(name)
        levels = _levels(matrix_set) if matrix_set else None
        if levels:
            return name, levels
    offered = ", ".join(sorted({str(service.tilematrixsets[n].crs) for n in layer.tilematrixsetlinks
                                if n in service.tilematrixsets}))  # fmt: skip
    told = _("The layer's tiles are not those of web mercator (it offers %(crs)s); other grids cannot be shown.")
    raise Unreadable(told % {"crs": offered[:300] or "–"})


def _levels(matrix_set) -> list[str | None] | None:
    if not any(number in str(matrix_set.crs) for number in ("3857", "900913", "102100", "102113")):
        return None
    found: dict[int, str] = {}
    for name, matrix in matrix_set.tilematrix.items():
        exact = math.log2(WORLD_DENOMINATOR * 256 / (matrix.scaledenominator * matrix.tilewidth))
        left, top = matrix.topleftcorner
        is_world = max(abs(left + addresses.HALF_WORLD_M), abs(top - addresses.HALF_WORLD_M)) < 10
        if abs(exact - round(exact)) < CLOSE * 100 and is_world and 0 <= round(exact) <= 22:
            found[round(exact)] = name
    return [found.get(z) for z in range(max(found) + 1)] if found else None


def _default_style(layer) -> str:
    return next((name for name, style in layer.styles.items() if style["isDefault"]), next(iter(layer.styles), ""))


def _time(layer) -> tuple[str, list[str], str]:
    for name, dimension in layer.dimensions.items():
        if name.lower() == "time":
            return name, instants([value for value in dimension["values"] if value]), dimension["default"] or ""
    return "", [], ""


def _other_dimensions(layer, time_name: str) -> dict[str, str]:
    return {name: dim["default"] or "" for name, dim in layer.dimensions.items() if name != time_name}


def _rest_template(layer, image_format: str) -> str:
    found = [entry for entry in layer.resourceURLs if entry["resourceType"] == "tile"]
    return next((entry["template"] for entry in found if entry["format"] == image_format), "")


def _kvp_template(service, layer, image_format: str, time_name: str) -> str:
    asked = {
        "SERVICE": "WMTS",
        "REQUEST": "GetTile",
        "VERSION": "1.0.0",
        "LAYER": layer.id,
        "STYLE": "{Style}",
        "FORMAT": image_format,
        "TILEMATRIXSET": "{TileMatrixSet}",
        "TILEMATRIX": "{TileMatrix}",
        "TILEROW": "{TileRow}",
        "TILECOL": "{TileCol}",
    }
    if time_name:
        asked[time_name.upper()] = "{date}"
    base = next((method["url"] for operation in service.operations if operation.name == "GetTile"
                 for method in operation.methods if method["type"] == "Get"), None)  # fmt: skip
    if not base:
        raise Unreadable(_("The service does not say where its tiles are."))
    return _with(base, asked)


def _fixed(template: str, words: dict[str, str], time_name: str) -> str:
    """The template with everything filled that is the same for all tiles."""
    from urllib.parse import quote

    known = {name.lower(): value for name, value in words.items()}

    def word(gap):
        name = gap[1].lower()
        if time_name and name == time_name.lower():
            return "{date}"
        return quote(known[name], safe="") if name in known else gap[0]

    return addresses.GAP.sub(word, template)


def _dated(source: ImagerySource, template: str, times: list[str], common: dict) -> list[Offered]:
    by_us = source.options.get("dates") or []
    if "{date}" in template:
        listed = stated(by_us) if by_us else [(time, day_of(time)) for time in times]
        return [Offered(key, day, is_stated=bool(by_us), **common) for key, day in listed]
    listed = stated(by_us)
    return [Offered(ONLY, listed[0][1] if len(listed) == 1 else None, is_stated=bool(by_us), **common)]


def _credit(layer) -> str:
    return (getattr(layer, "attribution", None) or {}).get("title") or ""


def _with(url: str, asked: dict[str, str]) -> str:
    """The address with a query; what it asked before under these names is replaced, gaps stay."""
    parts = urlsplit(url)
    names = {name.lower() for name in asked}
    kept = [
        (name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name.lower() not in names
    ]
    query = urlencode([*kept, *asked.items()], safe="{}/:")
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
