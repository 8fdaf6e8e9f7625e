"""Positions and polygons as files state them: finite, on the globe, whole. Heights are dropped."""

import re
from collections.abc import Iterable

from django.contrib.gis.geos import GEOSException, GEOSGeometry, MultiPolygon, Polygon
from django.utils.translation import gettext as _

from labels.ingest.coordinates import Position, checked_position
from labels.ingest.refusals import refuse

MAX_VERTICES = 500_000

_number = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_point = re.compile(
    rf"(?:SRID=4326;)?\s*POINT\s*(?:ZM?|M)?\s*\(\s*{_number}\s+{_number}(?:\s+\S+){{0,2}}\s*\)", re.I | re.A
)


def from_wkt(text: str, column: str) -> Position | MultiPolygon | None:
    """A point or polygon written as WKT; None for an empty one."""
    found = _point.fullmatch(text.strip())
    if found:
        return checked_position(float(found[1]), float(found[2]), column, column)
    try:
        shape = GEOSGeometry(text.strip(), srid=4326)
    except (GEOSException, ValueError):
        raise refuse(column, text, _("this is no WKT point or polygon")) from None
    if shape.empty:
        return None
    if shape.geom_type not in ("Polygon", "MultiPolygon"):
        raise refuse(column, shape.geom_type, _("only points and polygons can be taken in"))
    return _checked_polygons([shape] if shape.geom_type == "Polygon" else list(shape), column)


def from_geojson(geometry: dict | None) -> Position | MultiPolygon | None:
    """A GeoJSON point or polygon; None where the feature has no geometry."""
    if geometry is None:
        return None
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Point":
        return _position(coordinates) if coordinates else None
    return polygons_from_geojson(geometry)


def polygons_from_geojson(geometry: dict | None) -> MultiPolygon:
    """A GeoJSON polygon or multipolygon, perhaps invalid in itself, or a refusal."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    coordinates = geometry.get("coordinates") if kind else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise refuse(
            "geometry", kind or "nothing", _("a polygon is needed, and this is %(kind)s") % {"kind": _named(kind)}
        )
    parts = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(parts, list) or not parts:
        raise refuse("geometry", kind, _("the polygon has no corners"))
    return MultiPolygon([_polygon(part) for part in parts], srid=4326)


def _named(kind: object) -> str:
    return f"a {kind}" if isinstance(kind, str) and kind.isalpha() else "no geometry"


def _polygon(rings: object) -> Polygon:
    if not isinstance(rings, list) or not rings or not all(isinstance(ring, list) for ring in rings):
        raise refuse("geometry", "Polygon", _("the polygon has no corners"))
    if sum(map(len, rings)) > MAX_VERTICES:
        raise refuse("geometry", "Polygon", _("the polygon has more than %(n)s corners") % {"n": f"{MAX_VERTICES:,}"})
    return Polygon(*(_ring(ring) for ring in rings))


def _ring(ring: list) -> list[Position]:
    positions = [_position(corner) for corner in ring]
    if len(positions) < 4 or positions[0] != positions[-1]:
        raise refuse("geometry", "Polygon", _("a ring must have at least four positions and end where it begins"))
    return positions


def _position(corner: object) -> Position:
    """Numbers reach us as the text of the file (labels.ingest.geojson)."""
    if not isinstance(corner, list) or len(corner) < 2 or not all(isinstance(part, str) for part in corner[:2]):
        raise refuse("geometry", corner, _("a position is a longitude and a latitude"))
    try:
        lon, lat = float(corner[0]), float(corner[1])
    except ValueError:
        raise refuse("geometry", corner[:2], _("a position is a longitude and a latitude in numbers")) from None
    return checked_position(lon, lat, "geometry", "geometry")


def _checked_polygons(polygons: Iterable[Polygon], column: str) -> MultiPolygon:
    flat = []
    for polygon in polygons:
        if polygon.num_points > MAX_VERTICES:
            raise refuse(column, "Polygon", _("the polygon has more than %(n)s corners") % {"n": f"{MAX_VERTICES:,}"})
        rings = [[(corner[0], corner[1]) for corner in ring.coords] for ring in polygon]
        for lon, lat in (corner for ring in rings for corner in ring):
            checked_position(lon, lat, column, column)
        flat.append(Polygon(*rings))
    return MultiPolygon(flat, srid=4326)
