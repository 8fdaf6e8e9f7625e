"""Well-known binary to GeoJSON with numbers as text, as the GeoJSON reader gives them. Z and M are dropped."""

import struct
from collections.abc import Callable

KINDS = {1: "Point", 2: "LineString", 3: "Polygon", 4: "MultiPoint", 5: "MultiLineString", 6: "MultiPolygon"}
Corners = list[tuple[float, float]]


class NoShape(ValueError):
    """The bytes are no whole geometry of a kind that is known."""


def as_geojson(wkb: bytes, to_degrees: Callable[[Corners], Corners]) -> dict | None:
    """The geometry in degrees; None for an empty point. Of other kinds than points and polygons only the name."""
    try:
        return _Reader(wkb, to_degrees).geometry()
    except struct.error as error:
        raise NoShape(str(error)) from error


class _Reader:
    def __init__(self, wkb: bytes, to_degrees: Callable[[Corners], Corners]):
        self.wkb, self.at, self.to_degrees = wkb, 0, to_degrees

    def geometry(self) -> dict | None:
        kind, n_values = self._header()
        if kind == 1:
            corner = self._corners(1, n_values)
            return {"type": "Point", "coordinates": corner[0]} if corner[0][0] != "nan" else None
        if kind == 3:
            return {"type": "Polygon", "coordinates": self._rings(n_values)}
        if kind == 6:
            return {"type": "MultiPolygon", "coordinates": [self._part() for _ in range(self._count())]}
        return {"type": KINDS.get(kind, "GeometryCollection"), "coordinates": []}

    def _part(self) -> list:
        kind, n_values = self._header()
        if kind != 3:
            raise NoShape("a part that is no polygon")
        return self._rings(n_values)

    def _header(self) -> tuple[int, int]:
        self.order = "<" if self.wkb[self.at : self.at + 1] == b"\1" else ">"
        self.at += 1
        kind = self._count()
        # ISO adds 1000 for Z and 2000 for M; PostGIS and old GDAL set bits.
        n_values = 2 + bool(kind & 0x80000000) + bool(kind & 0x40000000)
        kind &= 0x0FFFFFFF
        n_values += (0, 1, 1, 2)[kind // 1000 % 4]
        return kind % 1000, n_values

    def _count(self) -> int:
        (number,) = struct.unpack_from(self.order + "I", self.wkb, self.at)
        self.at += 4
        return number

    def _rings(self, n_values: int) -> list:
        return [self._corners(self._count(), n_values) for _ in range(self._count())]

    def _corners(self, n: int, n_values: int) -> list[list[str]]:
        size = n * n_values * 8
        if self.at + size > len(self.wkb):
            raise NoShape("fewer bytes than positions")
        numbers = struct.unpack_from(f"{self.order}{n * n_values}d", self.wkb, self.at)
        self.at += size
        corners = list(zip(numbers[::n_values], numbers[1::n_values], strict=True))
        return [[repr(lon), repr(lat)] for lon, lat in self.to_degrees(corners)]
