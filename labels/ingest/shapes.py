"""Positions and polygons as files state them: finite, on the globe, whole. Heights are dropped."""

import re
import struct
from dataclasses import dataclass

from django.utils.translation import gettext as _

from labels.ingest.coordinates import Position, checked_position
from labels.ingest.raw import MAX_VERTICES
from labels.ingest.refusals import Refusal, refuse
from labels.ingest.wkb import Corners

Ring = list[Position]

_float = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_number = rf"({_float})"
_srid = r"(?:SRID=4326;)?\s*"
_dimensions = r"\s*(?:ZM?|M)?\s*"
_point = re.compile(
    rf"{_srid}POINT{_dimensions}\(\s*{_number}\s+{_number}(?:\s+\S+){{0,2}}\s*\)", re.IGNORECASE | re.ASCII
)
_shape = re.compile(rf"{_srid}([A-Z]+){_dimensions}(EMPTY|\(.*\))", re.IGNORECASE | re.ASCII | re.DOTALL)
_ring = re.compile(r"\(([^()]*)\)")
_corner = re.compile(rf"\s*{_number}\s+{_number}(?:\s+{_float}){{0,2}}\s*", re.ASCII)
_KINDS = {"LINESTRING", "MULTIPOINT", "MULTILINESTRING", "GEOMETRYCOLLECTION", "CIRCULARSTRING", "CURVEPOLYGON", "TIN"}


@dataclass(frozen=True)
class Polygons:
    """Polygons of rings of positions; each ring ends where it begins. Whether they cross themselves PostGIS says."""

    parts: list[list[Ring]]

    @property
    def hexewkb(self) -> bytes:
        """As PostGIS and GEOS write a multipolygon in WGS 84."""
        found = [struct.pack("<BIII", 1, 6 | 0x20000000, 4326, len(self.parts))]
        for rings in self.parts:
            found.append(struct.pack("<BII", 1, 3, len(rings)))
            for ring in rings:
                numbers = [number for corner in ring for number in corner]
                found.append(struct.pack(f"<I{len(numbers)}d", len(ring), *numbers))
        return b"".join(found).hex().upper().encode()


def from_wkt(text: str, column: str, move=None) -> Position | Polygons | None:
    """A point or polygon written as WKT; None for an empty one. `move` takes corners to degrees (labels.ingest.crs)."""
    if found := _point.fullmatch(text.strip()):
        return _degrees([(float(found[1]), float(found[2]))], column, move)[0]
    found = _shape.fullmatch(text.strip())
    kind = found[1].upper() if found else ""
    if kind in _KINDS:
        raise refuse(column, kind, _("only points and polygons can be taken in"))
    if kind not in ("POINT", "POLYGON", "MULTIPOLYGON"):
        raise refuse(column, text, _("this is no WKT point or polygon"))
    if found[2].upper() == "EMPTY":
        return None
    if kind == "POINT":
        raise refuse(column, text, _("this is no WKT point or polygon"))
    parts = [found[2]] if kind == "POLYGON" else _parts(found[2])
    return Polygons([_wkt_polygon(part, text, column, move) for part in parts or [""]])


def _parts(body: str) -> list[str]:
    """The polygons of a multipolygon's text; empty where its brackets are not paired."""
    inner = body[1:-1].strip()
    found = re.findall(r"\(\s*\([^()]*\)(?:\s*,\s*\([^()]*\))*\s*\)", inner)
    rest = inner
    for part in found:
        rest = rest.replace(part, "", 1)
    return found if not rest.replace(",", "").strip() else []


def _wkt_polygon(body: str, text: str, column: str, move) -> list[Ring]:
    rings = _ring.findall(body[1:-1])
    if not rings or _ring.sub("", body[1:-1]).replace(",", "").strip():
        raise refuse(column, text, _("this is no WKT point or polygon"))
    if sum(ring.count(",") + 1 for ring in rings) > MAX_VERTICES:
        raise refuse(column, "Polygon", _("the polygon has more than %(n)s corners") % {"n": f"{MAX_VERTICES:,}"})
    return [_closed(_degrees(_wkt_corners(ring, text, column), column, move), column) for ring in rings]


def _wkt_corners(ring: str, text: str, column: str) -> Corners:
    found = [_corner.fullmatch(corner) for corner in ring.split(",")]
    if not all(found):
        raise refuse(column, text, _("this is no WKT point or polygon"))
    return [(float(corner[1]), float(corner[2])) for corner in found]


def _degrees(corners: Corners, column: str, move) -> Ring:
    return [checked_position(lon, lat, column, column) for lon, lat in (move(corners) if move else corners)]


def _closed(ring: Ring, column: str) -> Ring:
    if len(ring) < 4 or ring[0] != ring[-1]:
        raise refuse(column, "Polygon", _("a ring must have at least four positions and end where it begins"))
    return ring


def from_geojson(geometry: dict | None) -> Position | Polygons | None:
    """A GeoJSON point or polygon; None where the feature has no geometry."""
    if geometry is None:
        return None
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Point":
        return _position(coordinates) if coordinates else None
    return polygons_from_geojson(geometry)


def polygons_from_geojson(geometry: dict | None) -> Polygons:
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
    return Polygons([_polygon(part) for part in parts])


def too_many_corners(geometry: object) -> Refusal | None:
    """Asked before a shape goes anywhere: one of millions of corners would fill the worker's memory."""
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if _n_corners(coordinates) <= MAX_VERTICES:
        return None
    words = _("the polygon has more than %(n)s corners")
    return Refusal("geometry", str(geometry.get("type"))[:100], words % {"n": f"{MAX_VERTICES:,}"})


def _n_corners(coordinates: object, depth: int = 4) -> int:
    """Lists that hold no list are corners; below the depth of a multipolygon nothing is one."""
    if not isinstance(coordinates, list) or not depth:
        return 0
    if depth == 1 or not any(isinstance(part, list) for part in coordinates[:1]):
        return 1
    return sum(_n_corners(part, depth - 1) for part in coordinates)


def _named(kind: object) -> str:
    return f"a {kind}" if isinstance(kind, str) and kind.isalpha() else "no geometry"


def _polygon(rings: object) -> list[Ring]:
    if not isinstance(rings, list) or not rings or not all(isinstance(ring, list) for ring in rings):
        raise refuse("geometry", "Polygon", _("the polygon has no corners"))
    if sum(map(len, rings)) > MAX_VERTICES:
        raise refuse("geometry", "Polygon", _("the polygon has more than %(n)s corners") % {"n": f"{MAX_VERTICES:,}"})
    return [_geojson_ring(ring) for ring in rings]


def _geojson_ring(ring: list) -> Ring:
    return _closed([_position(corner) for corner in ring], "geometry")


def _position(corner: object) -> Position:
    """Numbers reach us as the text of the file (labels.ingest.geojson)."""
    if not isinstance(corner, list) or len(corner) < 2 or not all(isinstance(part, str) for part in corner[:2]):
        raise refuse("geometry", corner, _("a position is a longitude and a latitude"))
    try:
        lon, lat = float(corner[0]), float(corner[1])
    except ValueError:
        raise refuse("geometry", corner[:2], _("a position is a longitude and a latitude in numbers")) from None
    return checked_position(lon, lat, "geometry", "geometry")
