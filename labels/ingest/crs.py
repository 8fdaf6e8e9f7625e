"""Positions of any coordinate system to degrees of WGS 84. Only the reading process calls it."""

import re
from collections.abc import Callable

from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.ingest.wkb import Corners

ToDegrees = Callable[[Corners], Corners]

_epsg = re.compile(r"(?:EPSG:*|urn:ogc:def:crs:EPSG:[\d.]*:)(\d{4,6})", re.IGNORECASE)
_degrees = re.compile(r"(CRS:?84|EPSG:+(?:[\d.]*:)?4326)$", re.IGNORECASE)


def epsg_of(text: str) -> str:
    """`EPSG:32735` of the ways of writing it, or nothing."""
    found = _epsg.fullmatch(text.strip())
    return f"EPSG:{int(found[1])}" if found else ""


def is_wgs84(stated: str) -> bool:
    return bool(_degrees.search(stated.strip()))


def to_degrees(stated: str) -> ToDegrees:
    """What moves corners of the stated system, a code or WKT, to WGS 84; BadInput where nobody knows the system."""
    if is_wgs84(stated):
        return lambda corners: corners
    from rasterio.crs import CRS
    from rasterio.errors import CRSError
    from rasterio.warp import transform

    try:
        crs, degrees = CRS.from_wkt(stated) if "[" in stated else CRS.from_string(stated), CRS.from_epsg(4326)
    except CRSError as error:
        raise BadInput(_("The coordinate system %(name).80s is not known.") % {"name": stated}) from error

    def moved(corners: Corners) -> Corners:
        lons, lats = transform(crs, degrees, [x for x, _ in corners], [y for _, y in corners])
        return list(zip(lons, lats, strict=True))

    return moved


def moved_geometry(geometry: dict | None, move: ToDegrees) -> dict | None:
    """A GeoJSON geometry, its numbers as text, with every position moved; one that is not whole is `damaged`."""
    if not isinstance(geometry, dict) or not geometry.get("coordinates"):
        return geometry
    try:
        return geometry | {"coordinates": _moved(geometry["coordinates"], move)}
    except (ValueError, TypeError, IndexError, OverflowError):
        return {"type": "damaged", "coordinates": []}


def _moved(coordinates: list, move: ToDegrees) -> list:
    if isinstance(coordinates[0], str):
        return _texts(move([_corner(coordinates)]))[0]
    if isinstance(coordinates[0][0], str):
        return _texts(move([_corner(corner) for corner in coordinates]))
    return [_moved(part, move) for part in coordinates]


def _corner(corner: list) -> tuple[float, float]:
    return float(corner[0]), float(corner[1])


def _texts(corners: Corners) -> list[list[str]]:
    return [[repr(lon), repr(lat)] for lon, lat in corners]
