"""Wandara, an invented country in the open sea of the Gulf of Guinea: what lies where, and since when.

`Country` is the truth behind the demonstration: coast, rivers, provinces, towns, roads, industrial and artisanal
mines, and things that look like mines. `drawing` shows it, `registers` misreports it. Positions are metres of
EPSG:3857 (which near the equator are metres on the ground to 0.03 %) unless a name says lon and lat.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np
from rasterio import features
from rasterio.transform import Affine
from scipy import ndimage
from scipy.spatial import cKDTree

from labels.demonstration import names
from labels.demonstration.noise import Lattice, NoiseField, smoothstep
from labels.demonstration.outlines import Corners, smooth_ring, smoothed_corners

EARTH_RADIUS_M = 6378137.0
CELL_DEG = 0.01
DEFAULT_BOUNDS = (0.20, 1.00, 0.59, 1.40)  # lon and lat; the nearest coast lies some 400 km away
EPOCH = date(2000, 1, 1)

# raster on which provinces are laid out, degrees; 10 pixels to a grid cell
_LAYOUT_DEG = 0.001


def to_metres(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """EPSG:3857 metres of longitudes and latitudes (degrees, any shape)."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    return EARTH_RADIUS_M * np.radians(lon), EARTH_RADIUS_M * np.arctanh(np.sin(np.radians(lat)))


def to_lonlat(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes (degrees) of EPSG:3857 metres (any shape)."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    return np.degrees(x / EARTH_RADIUS_M), np.degrees(np.arcsin(np.tanh(y / EARTH_RADIUS_M)))


def years_since_epoch(on: date) -> float:
    """Years from 2000-01-01 to a date."""
    return (on - EPOCH).days / 365.25


@dataclass(frozen=True)
class River:
    """A centreline from the source down, with what belongs to each of its points."""

    ident: int
    name: str
    xy: np.ndarray  # (n, 2) metres
    half_width_m: np.ndarray  # (n,)
    bend: np.ndarray  # (n,) curvature times width, positive when turning left; about -1 to 1
    joins: tuple[int, int] | None  # (river, point) it flows into, None at the sea or the border


@dataclass(frozen=True)
class Settlement:
    ident: int
    name: str
    x: float
    y: float
    radius_m: float
    houses: int
    is_town: bool


@dataclass(frozen=True)
class Road:
    xy: np.ndarray  # (n, 2) metres
    half_width_m: float
    opened: float  # years since 2000
    kind: str  # road, track


@dataclass(frozen=True)
class IndustrialMine:
    ident: int
    name: str
    mineral: str
    x: float
    y: float
    length_m: float
    width_m: float
    angle: float  # radians, anticlockwise from east
    opened: float
    footprint: np.ndarray  # (n, 2) ring of the disturbed ground
    concession: np.ndarray  # (n, 2) ring of the licence


@dataclass(frozen=True)
class Mine:
    """A true artisanal mine."""

    ident: int
    x: float
    y: float
    length_m: float
    width_m: float
    angle: float
    opened: float  # years since 2000
    abandoned: float | None  # years since 2000; None while dug
    mineral: str
    formal: bool
    workers: int
    setting: str  # river, fringe, hill, dredge
    name: str
    by_river: tuple[int, int] | None = None
    industrial: int | None = None

    def activity(self, on: date) -> tuple[float, float]:
        """How much of its final extent is open (0..1), and how far it has grown over (0..1), on a date."""
        t = years_since_epoch(on)
        if t <= self.opened:
            return 0.0, 0.0
        end = t if self.abandoned is None else min(t, self.abandoned)
        extent = min(1.0, 0.45 + 0.14 * (end - self.opened))
        regrown = 0.0 if self.abandoned is None or t <= self.abandoned else min(1.0, 0.35 + 0.16 * (t - self.abandoned))
        return extent, regrown

    def is_active(self, on: date) -> bool:
        """It was being dug on that date."""
        t = years_since_epoch(on)
        return self.opened < t and (self.abandoned is None or t < self.abandoned)

    def is_visible(self, on: date) -> bool:
        """Its workings, old or new, show on an image of that date."""
        extent, regrown = self.activity(on)
        return extent > 0 and regrown < 0.95


@dataclass(frozen=True)
class LookAlike:
    ident: int
    kind: str  # kiln, quarry, bare_field, burn
    x: float
    y: float
    size_m: float
    angle: float
    opened: float


@dataclass(frozen=True)
class Area:
    """A named polygon in longitude and latitude: one or more closed rings, the outer first."""

    name: str
    kind: str
    rings: list[np.ndarray]
    parent: str = ""
    attributes: dict = field(default_factory=dict)

    def as_feature(self) -> dict:
        """GeoJSON feature."""
        return {
            "type": "Feature",
            "properties": {"name": self.name, "kind": self.kind, "parent": self.parent, **self.attributes},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[round(float(a), 7), round(float(b), 7)] for a, b in ring] for ring in self.rings],
            },
        }


def feature_collection(areas: list[Area]) -> dict:
    """GeoJSON of areas."""
    return {"type": "FeatureCollection", "features": [area.as_feature() for area in areas]}


class Country:
    """The whole country, made from a seed.

    Parameters
    ----------
    seed : int
        Everything follows from it.
    bounds : tuple of float
        West, south, east, north in degrees. The coast takes part of it, so about nine tenths are land.
    n_mines, n_industrial, n_towns : int, optional
        Numbers of true artisanal mines, industrial mines and provinces (each with its town); by default in
        proportion to the size.
    """

    def __init__(
        self,
        seed: int = 7,
        *,
        bounds: tuple[float, float, float, float] = DEFAULT_BOUNDS,
        n_mines: int | None = None,
        n_industrial: int | None = None,
        n_towns: int | None = None,
    ):
        self.seed = seed
        self.bounds = bounds
        (self.x0, self.x1), (self.y0, self.y1) = to_metres([bounds[0], bounds[2]], [bounds[1], bounds[3]])
        share = ((bounds[2] - bounds[0]) * (bounds[3] - bounds[1])) / (0.39 * 0.40)
        self.n_mines = max(6, round(300 * share)) if n_mines is None else n_mines
        self.n_industrial = max(1, round(9 * share)) if n_industrial is None else n_industrial
        self.n_towns = int(np.clip(round(12 * share), 2, len(names.PROVINCES))) if n_towns is None else n_towns
        self._fields: dict[int, NoiseField] = {}

    # fields ---------------------------------------------------------------------------------------------------------

    def noise(self, channel: int) -> NoiseField:
        """The country's noise field of that number."""
        if channel not in self._fields:
            self._fields[channel] = NoiseField(self.seed, channel)
        return self._fields[channel]

    @property
    def span_m(self) -> float:
        """The longer side of the extent, metres."""
        return max(self.x1 - self.x0, self.y1 - self.y0)

    def shore_m(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance inland from the coast, metres (about); negative in the sea."""
        return self._inland(x, y) + self.noise(1)(x, y, 0.42 * self.span_m, 7, 0.55) * 0.10 * self.span_m

    def shore_on(self, lattice: Lattice) -> np.ndarray:
        """`shore_m` at the nodes of a lattice, (rows, columns)."""
        wave = self.noise(1).on_lattice(lattice, 0.42 * self.span_m, 7, 0.55)
        return self._inland(lattice.x[None, :], lattice.y[:, None]) + wave * 0.10 * self.span_m

    def _inland(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 0.30 * (x - self.x0) + 0.95 * (y - self.y0) - 0.17 * self.span_m

    def belt(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Suitability of the rock for ore, about -1 to 1: long bands running north-east."""
        along, across = 0.8 * x + 0.6 * y, -0.6 * x + 0.8 * y
        return self.noise(4)(along / 3.2, across, 9000, 3, 0.5) * 1.6

    def mineral_at(self, x: float, y: float) -> float:
        """A slow field that decides which mineral a belt carries."""
        return float(self.noise(5)(np.array([x]), np.array([y]), 22000, 2, 0.5)[0])

    # outline and provinces ------------------------------------------------------------------------------------------

    @cached_property
    def _layout(self) -> tuple[np.ndarray, np.ndarray, Affine]:
        """Province and district numbers (0 outside) on the layout raster, and its transform (degrees)."""
        west, south, east, north = self.bounds
        n_cols, n_rows = round((east - west) / _LAYOUT_DEG), round((north - south) / _LAYOUT_DEG)
        lon = west + (np.arange(n_cols) + 0.5) * _LAYOUT_DEG
        lat = north - (np.arange(n_rows) + 0.5) * _LAYOUT_DEG
        x, y = to_metres(*np.meshgrid(lon, lat))
        span = self.span_m
        margin = np.minimum(np.minimum(x - self.x0, self.x1 - x), np.minimum(self.y1 - y, 1e12 * np.ones_like(y)))
        inside = (self.shore_m(x, y) > 0) & (margin + self.noise(6)(x, y, 0.3 * span, 5) * 0.05 * span > 0.035 * span)
        inside &= margin > 0.004 * span
        numbered, _ = ndimage.label(inside)
        inside = numbered == np.argmax(np.bincount(numbered.ravel())[1:]) + 1
        inside = ndimage.binary_fill_holes(inside)

        rng = np.random.default_rng([self.seed, 20])
        land_y, land_x = np.nonzero(inside)

        def spread(n, pool):
            """Seeds that keep apart: the farthest of some candidates, again and again."""
            chosen = [pool[rng.integers(len(pool))]]
            for _ in range(n - 1):
                candidates = pool[rng.integers(len(pool), size=24)]
                gaps = np.min(np.linalg.norm(candidates[:, None] - np.array(chosen)[None], axis=2), axis=1)
                chosen.append(candidates[np.argsort(gaps)[-3]])
            return np.array(chosen, float)

        wx = x + self.noise(7)(x, y, 0.16 * span, 5) * 0.06 * span
        wy = y + self.noise(8)(x, y, 0.16 * span, 5) * 0.06 * span
        column, row = (wx - self.x0) / (self.x1 - self.x0) * n_cols, (self.y1 - wy) / (self.y1 - self.y0) * n_rows
        at = np.stack([row[inside], column[inside]], axis=1)
        pool = np.stack([land_y, land_x], axis=1)
        province = np.zeros(inside.shape, np.int32)
        province[inside] = cKDTree(spread(self.n_towns, pool)).query(at)[1] + 1
        province = _connected(province)
        district = np.zeros_like(province)
        following = 1
        for number in range(1, self.n_towns + 1):
            here = province == number
            own = np.stack(np.nonzero(here), axis=1)
            if not len(own):
                continue
            n = int(np.clip(round(len(own) / (inside.sum() / self.n_towns) * 3), 2, 4))
            local = np.zeros_like(province)
            local[here] = cKDTree(spread(n, own)).query(np.stack([row[here], column[here]], axis=1))[1] + 1
            local = _connected(local)
            district[here] = local[here] + following - 1
            following += n
        return province, district, Affine(_LAYOUT_DEG, 0, west, 0, -_LAYOUT_DEG, north)

    @cached_property
    def provinces(self) -> list[Area]:
        """First-level areas; they tile the country."""
        return self._polygons(self._layout[0], "province")

    @cached_property
    def districts(self) -> list[Area]:
        """Second-level areas; they tile the provinces."""
        return self._polygons(self._layout[1], "district")

    @cached_property
    def outline(self) -> Area:
        """The country."""
        return self._polygons((self._layout[0] > 0).astype(np.int32), "country")[0]

    def _polygons(self, labels: np.ndarray, kind: str) -> list[Area]:
        province, _, transform = self._layout
        rings_of: dict[int, list] = {}
        for shape, value in features.shapes(labels.astype(np.int32), mask=labels > 0, connectivity=4):
            rings_of.setdefault(int(value), []).append(shape["coordinates"])
        areas = []
        for value in sorted(rings_of):
            largest = max(rings_of[value], key=lambda rings: len(rings[0]))
            rings = [smooth_ring(ring, self._smoothed_corners, transform) for ring in largest]
            number = int(province[labels == value][0])
            if kind == "country":
                areas.append(Area(names.COUNTRY, kind, rings))
            elif kind == "province":
                areas.append(Area(names.PROVINCES[value - 1], kind, rings, names.COUNTRY, {"code": f"WD{value:02d}"}))
            else:
                name = names.place_name(self.seed, 3, value)
                areas.append(
                    Area(name, kind, rings, names.PROVINCES[number - 1], {"code": f"WD{number:02d}{value:03d}"})
                )
        return areas

    @cached_property
    def _smoothed_corners(self) -> Corners:
        """Of all layers of areas the same, so that provinces and districts share their borders."""
        return smoothed_corners(self._layout[1])

    def province_at(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Number of the province at each point (1 upwards), 0 outside the country."""
        return self._number_at(self._layout[0], lon, lat)

    def district_at(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Number of the district at each point (1 upwards), 0 outside the country."""
        return self._number_at(self._layout[1], lon, lat)

    def _number_at(self, labels, lon, lat):
        west, _, _, north = self.bounds
        col = np.floor((np.asarray(lon, float) - west) / _LAYOUT_DEG).astype(int)
        row = np.floor((north - np.asarray(lat, float)) / _LAYOUT_DEG).astype(int)
        ok = (row >= 0) & (row < labels.shape[0]) & (col >= 0) & (col < labels.shape[1])
        return np.where(ok, labels[np.clip(row, 0, labels.shape[0] - 1), np.clip(col, 0, labels.shape[1] - 1)], 0)

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """True where points (metres) lie in the country."""
        return self.province_at(*to_lonlat(x, y)) > 0

    @cached_property
    def land_cells(self) -> np.ndarray:
        """Grid cells whose centre lies in the country: (n, 2) integers, floor(lon * 100) and floor(lat * 100)."""
        west, south, east, north = (round(v / CELL_DEG) for v in self.bounds)
        i, j = np.meshgrid(np.arange(west, east), np.arange(south, north))
        keep = self.province_at((i + 0.5) * CELL_DEG, (j + 0.5) * CELL_DEG) > 0
        return np.stack([i[keep], j[keep]], axis=1)

    # rivers ---------------------------------------------------------------------------------------------------------

    @cached_property
    def rivers(self) -> list[River]:
        """Main rivers first, then what flows into them."""
        rng = np.random.default_rng([self.seed, 30])
        area = self.span_m**2 / 1e6
        n_main = max(1, round(4 * self.span_m / 42000))
        rivers: list[River] = []
        for k in range(n_main):
            x = self.x0 + (k + 0.5 + rng.uniform(-0.25, 0.25)) / n_main * (self.x1 - self.x0)
            self._add_river(rivers, rng, (x, self.y1 + 0.02 * self.span_m), (10.0, 34.0), 1500.0)
        for _ in range(round(area / 52)):
            start = rng.uniform([self.x0, self.y0], [self.x1, self.y1])
            self._add_river(rivers, rng, start, (3.5, 11.0), 620.0)
        for _ in range(round(area / 16)):
            start = rng.uniform([self.x0, self.y0], [self.x1, self.y1])
            self._add_river(rivers, rng, start, (1.6, 4.2), 300.0)
        return rivers

    def _add_river(self, rivers, rng, start, half_widths, wavelength) -> None:
        if self.shore_m(np.array([start[0]]), np.array([start[1]]))[0] < 1500:
            return
        existing = cKDTree(np.concatenate([r.xy for r in rivers])) if rivers else None
        firsts = np.cumsum([0] + [len(r.xy) for r in rivers])
        if existing is not None and existing.query(start)[0] < 450:
            return
        step = 12.0
        main = wavelength > 1000
        at, path, joins, heading = np.array(start, float), [np.array(start, float)], None, -1.7
        # meanders: a heading that swings, as sine-generated curves do, with swings of uneven length and width
        phases, swing = rng.uniform(0, 2 * np.pi, 6), rng.uniform(0.75, 1.05)
        length = int(3.2 * self.span_m / step)
        s = np.arange(length) * step
        wobble = sum(
            a * np.sin(2 * np.pi * s / (wavelength * f) + p + 0.9 * np.sin(2 * np.pi * s / (wavelength * 3.7 * f)))
            for a, f, p in zip((0.62, 0.34, 0.34, 0.26), (1.0, 0.57, 2.3, 0.31), phases, strict=False)
        )
        for k in range(length):
            if k % 16 == 0:
                # the country slopes to the sea in the south; valleys swing slowly about that
                south = -1.75 + 1.25 * float(self.noise(12)(at[0], at[1], 0.3 * self.span_m, 2))
                down = np.array([np.cos(south), np.sin(south)])
                if existing is not None and not main:
                    gap, which = existing.query(at)
                    to = existing.data[min(which + 40, existing.n - 1)] - at
                    pull = smoothstep(7000, 600, gap)
                    down = (1 - pull) * down + pull * to / (np.linalg.norm(to) + 1e-9)
                base = np.arctan2(down[1], down[0])
            heading += np.clip((base - heading + np.pi) % (2 * np.pi) - np.pi, -0.03, 0.03)
            angle = heading + swing * wobble[k]
            at = at + step * np.array([np.cos(angle), np.sin(angle)])
            path.append(at)
            if existing is not None and k > 20 and k % 2 == 0:
                gap, which = existing.query(at, distance_upper_bound=30)
                if np.isfinite(gap):
                    owner = int(np.searchsorted(firsts, which, side="right")) - 1
                    joins = (owner, int(which - firsts[owner]))
                    path.append(existing.data[which])
                    break
            if k % 40 == 0:
                out = max(self.x0 - at[0], at[0] - self.x1, self.y0 - at[1])
                if out > 2500 or self.shore_m(at[:1], at[1:])[0] < -1500:
                    break
        xy = np.array(path)
        if len(xy) < 60:
            return
        xy = ndimage.gaussian_filter1d(xy, 2.0, axis=0, mode="nearest")
        grown = np.linspace(0, 1, len(xy)) ** 0.7
        width = half_widths[0] + (half_widths[1] - half_widths[0]) * grown
        ident = len(rivers)
        width = width * (
            1 + 0.22 * self.noise(9)(np.arange(len(xy)) * 12.0, np.full(len(xy), 7e5 + 9e3 * ident), 900, 3)
        )
        tangent = np.gradient(xy, axis=0)
        theta = np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0]))
        bend = ndimage.gaussian_filter1d(np.gradient(theta), 6.0) / step * wavelength / 4.0
        rivers.append(River(ident, names.river_name(self.seed, ident), xy, width, np.clip(bend, -1.5, 1.5), joins))

    @cached_property
    def river_points(self) -> dict[str, np.ndarray]:
        """All river points as columns: xy (n, 2), half_width_m, bend, tangent (n, 2), river, point, tree."""
        rivers = self.rivers
        xy = np.concatenate([r.xy for r in rivers])
        tangent = np.concatenate([np.gradient(r.xy, axis=0) for r in rivers])
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
        return {
            "xy": xy,
            "half_width_m": np.concatenate([r.half_width_m for r in rivers]),
            "bend": np.concatenate([r.bend for r in rivers]),
            "tangent": tangent,
            "river": np.concatenate([np.full(len(r.xy), r.ident) for r in rivers]),
            "point": np.concatenate([np.arange(len(r.xy)) for r in rivers]),
            "tree": cKDTree(xy),
        }

    def turbidity(self, on: date) -> np.ndarray:
        """How muddy each river point is on a date (0..1), in the order of `river_points`: mud travels downstream."""
        load = [np.zeros(len(r.xy), np.float32) for r in self.rivers]
        for mine in self.mines:
            if mine.by_river is None or not mine.is_active(on):
                continue
            river, point = mine.by_river
            load[river][point] += (0.5 + mine.length_m / 300.0) * (1.7 if mine.setting == "dredge" else 1.0)
        decay = np.exp(-12.0 / 4500.0)
        # tributaries come after what they flow into, so going backwards every load arrives in time
        for river in reversed(self.rivers):
            here = load[river.ident]
            dilution = 9.0 / (6.0 + river.half_width_m)
            carried = 0.0
            for k in range(len(here)):
                carried = carried * decay + here[k] * dilution[k]
                here[k] = carried
            if river.joins is not None:
                main, point = river.joins
                load[main][point] += carried * river.half_width_m[-1] / self.rivers[main].half_width_m[point]
        return np.concatenate([1 - np.exp(-1.3 * one) for one in load]).astype(np.float32)

    # settlements and roads ------------------------------------------------------------------------------------------

    @cached_property
    def settlements(self) -> list[Settlement]:
        """A town in each province, then villages."""
        rng = np.random.default_rng([self.seed, 40])
        province = self._layout[0]
        transform = self._layout[2]
        tree = self.river_points["tree"]
        found: list[Settlement] = []

        def place(pool, least_gap):
            for _ in range(60):
                row, col = pool[rng.integers(len(pool))]
                x, y = to_metres(transform.c + (col + 0.5) * transform.a, transform.f + (row + 0.5) * transform.e)
                apart = all(np.hypot(x - s.x, y - s.y) > least_gap for s in found)
                if apart and tree.query((x, y))[0] > 250 and self.shore_m(x, y) > 900:
                    return float(x), float(y)
            return None

        for number in range(1, self.n_towns + 1):
            here = province == number
            depth = ndimage.distance_transform_edt(here)
            pool = np.argwhere(depth > 0.6 * depth.max())
            at = place(pool, 2000) or place(np.argwhere(here), 500)
            if at is None:
                continue
            houses = int(rng.uniform(420, 900))
            name = names.place_name(self.seed, 1, number)
            found.append(Settlement(len(found), name, *at, 12.0 * houses**0.5, houses, True))
        everywhere = np.argwhere(province > 0)
        for k in range(round(len(everywhere) * 0.0124 / 26)):
            at = place(everywhere, 1300)
            if at is None:
                continue
            houses = int(np.clip(rng.lognormal(3.6, 0.55), 14, 140))
            found.append(
                Settlement(len(found), names.place_name(self.seed, 2, k), *at, 13 * houses**0.5, houses, False)
            )
        return found

    @cached_property
    def roads(self) -> list[Road]:
        """Roads between towns, then tracks to villages."""
        towns = [s for s in self.settlements if s.is_town]
        linked, roads = [towns[0]], []
        waiting = towns[1:]
        while waiting:
            a, b = min(
                ((a, b) for a in linked for b in waiting), key=lambda p: np.hypot(p[0].x - p[1].x, p[0].y - p[1].y)
            )
            roads.append(Road(self._wander((a.x, a.y), (b.x, b.y), len(roads), 0.10), 4.2, -50.0, "road"))
            linked.append(b)
            waiting.remove(b)
        for village in (s for s in self.settlements if not s.is_town):
            points = np.concatenate([r.xy for r in roads])
            nearest = points[np.argmin(np.hypot(points[:, 0] - village.x, points[:, 1] - village.y))]
            roads.append(Road(self._wander((village.x, village.y), nearest, len(roads), 0.12), 2.2, -50.0, "track"))
        return roads

    def _wander(self, start, end, ident: int, sway: float) -> np.ndarray:
        """A path from start to end that bends as tracks do: (n, 2), a point every 25 m or so."""
        start, end = np.array(start, float), np.array(end, float)
        length = np.linalg.norm(end - start)
        n = max(3, int(length / 25))
        t = np.linspace(0, 1, n)
        side = np.array([-(end - start)[1], (end - start)[0]]) / max(length, 1e-9)
        line = self.noise(10)(t * length, np.full(n, 1e5 + 7e3 * ident), max(900.0, length / 2), 6, 0.52)
        amount = sway * length * line * np.sin(np.pi * t) ** 0.6
        return start + t[:, None] * (end - start) + amount[:, None] * side

    @cached_property
    def mine_tracks(self) -> list[Road]:
        """A track from each mine to what was the nearest road or track when it opened."""
        network = [r.xy for r in self.roads]
        tracks = []
        for big in self.industrial_mines:
            points = np.concatenate(network)
            nearest = points[np.argmin(np.hypot(points[:, 0] - big.x, points[:, 1] - big.y))]
            tracks.append(Road(self._wander((big.x, big.y), nearest, 9000 + big.ident, 0.08), 5.0, -5.0, "road"))
            network.append(tracks[-1].xy)
        for mine in sorted(self.mines, key=lambda m: m.opened):
            start, points = self._camp(mine), np.concatenate(network)
            away = np.hypot(points[:, 0] - start[0], points[:, 1] - start[1])
            nearest = points[np.argmin(away)]
            if away.min() > 5000:
                continue
            path = self._wander(start, nearest, 5000 + mine.ident, 0.16)
            tracks.append(Road(path, 1.7, mine.opened - 0.1, "track"))
            network.append(path)
        return tracks

    def _camp(self, mine: Mine) -> tuple[float, float]:
        """Where the camp of a mine stands: off its side, away from its river."""
        side = mine.angle + np.pi / 2
        if mine.by_river is not None:
            river, point = mine.by_river
            away = np.array([mine.x, mine.y]) - self.rivers[river].xy[point]
            if away @ np.array([np.cos(side), np.sin(side)]) < 0:
                side += np.pi
        off = 0.55 * mine.width_m + 38
        return mine.x + off * np.cos(side), mine.y + off * np.sin(side)

    # mines ----------------------------------------------------------------------------------------------------------

    @cached_property
    def industrial_mines(self) -> list[IndustrialMine]:
        """Open pits of companies, in the belts."""
        rng = np.random.default_rng([self.seed, 50])
        spots = self._scatter(
            rng,
            self.n_industrial,
            lambda x, y: np.exp(2.2 * self.belt(x, y)),
            gap_m=3500,
            off_river_m=750,
            off_town_m=1800,
        )
        mines = []
        for k, (x, y) in enumerate(spots):
            length, angle = rng.uniform(700, 1250), rng.uniform(0, np.pi)
            width = length * rng.uniform(0.5, 0.75)
            footprint = self._blob(x, y, 0.80 * length, 0.78 * width, angle, 600 + k, 0.10)
            concession = _rectangle(x, y, 2.1 * length, 2.3 * width, angle if k % 3 else 0.0)
            mineral = names.MINERALS[self._mineral(rng, x, y)]
            mines.append(
                IndustrialMine(
                    k, names.company(self.seed, k), mineral, x, y, length, width, angle, 8.0, footprint, concession
                )
            )
        return mines

    def _blob(self, x, y, a, b, angle, ident, rough) -> np.ndarray:
        t = np.linspace(0, 2 * np.pi, 73)
        wave = 1 + rough * 2 * self.noise(11)(400 * np.cos(t), 400 * np.sin(t) + 5e4 * ident, 500, 4)
        u, v = a * wave * np.cos(t), b * wave * np.sin(t)
        return np.stack([x + u * np.cos(angle) - v * np.sin(angle), y + u * np.sin(angle) + v * np.cos(angle)], axis=1)

    def _scatter(self, rng, n, weight: Callable, *, gap_m, off_river_m=0.0, off_town_m=0.0, taken=()) -> list:
        """Up to n points in the country drawn in proportion to a weight, keeping apart from each other."""
        found, rivers = [], self.river_points["tree"]
        towns = np.array([(s.x, s.y, s.radius_m) for s in self.settlements])
        lon0, lat0, lon1, lat1 = self.bounds
        for _ in range(40):
            x, y = to_metres(rng.uniform(lon0, lon1, 800), rng.uniform(lat0, lat1, 800))
            w = weight(x, y)
            keep = (
                (rng.uniform(0, 1, 800) < w / np.quantile(w, 0.995)) & self.inside(x, y) & (self.shore_m(x, y) > 1200)
            )
            for px, py in zip(x[keep], y[keep], strict=True):
                if len(found) == n:
                    return found
                if off_river_m and rivers.query((px, py))[0] < off_river_m:
                    continue
                if off_town_m and np.any(np.hypot(towns[:, 0] - px, towns[:, 1] - py) < towns[:, 2] + off_town_m):
                    continue
                if all(np.hypot(px - q[0], py - q[1]) > gap_m for q in [*found, *taken]):
                    found.append((float(px), float(py)))
        return found

    def _mineral(self, rng, x, y) -> int:
        value = self.mineral_at(x, y) + rng.normal(0, 0.12)
        return int(np.searchsorted([-0.36, -0.16, 0.25, 0.32], value))

    @cached_property
    def mines(self) -> list[Mine]:
        """The true artisanal mines, in groups along the belts."""
        rng = np.random.default_rng([self.seed, 60])
        groups = self._scatter(rng, max(2, self.n_mines // 6), lambda x, y: np.exp(1.9 * self.belt(x, y)), gap_m=1300)
        strength = rng.gamma(2.0, 1.0, len(groups)) + 0.2
        points = self.river_points
        towns = np.array([(s.x, s.y, s.radius_m) for s in self.settlements])
        found: list[Mine] = []
        tries = 0
        while len(found) < self.n_mines and tries < 60 * self.n_mines:
            tries += 1
            setting = rng.choice(["river", "fringe", "hill", "dredge"], p=[0.38, 0.20, 0.36, 0.06])
            centre = groups[rng.choice(len(groups), p=strength / strength.sum())]
            x, y = np.array(centre) + rng.normal(0, 1150, 2)
            length = float(np.clip(rng.lognormal(np.log(165), 0.48), 60, 460))
            width = length * rng.uniform(0.32, 0.7)
            angle, by_river, industrial = rng.uniform(0, np.pi), None, None
            if setting == "fringe" and self.industrial_mines:
                industrial = int(rng.integers(len(self.industrial_mines)))
                big = self.industrial_mines[industrial]
                edge = big.footprint[rng.integers(len(big.footprint) - 1)]
                out = edge - (big.x, big.y)
                out = out / np.linalg.norm(out)
                x, y = edge + out * (0.42 * width + rng.uniform(0, 110))
                angle = np.arctan2(out[1], out[0]) + np.pi / 2
            elif setting in ("river", "dredge"):
                near = points["tree"].query_ball_point((x, y), 1600)
                # gold lies in gravels of running water, not in the big river's mouth
                near = [k for k in near if 2.0 < points["half_width_m"][k] < 30]
                if not near:
                    continue
                which = near[rng.integers(len(near))]
                t = points["tangent"][which]
                side = rng.choice([-1, 1])
                off = 0.0 if setting == "dredge" else points["half_width_m"][which] + 0.42 * width + rng.uniform(0, 25)
                x, y = points["xy"][which] + side * off * np.array([-t[1], t[0]])
                angle = float(np.arctan2(t[1], t[0]))
                by_river = (int(points["river"][which]), int(points["point"][which]))
                if setting == "dredge":
                    length, width = length * 1.4, 2 * points["half_width_m"][which] + 60
            if not self.inside(x, y) or self.shore_m(x, y) < 800:
                continue
            if np.any(np.hypot(towns[:, 0] - x, towns[:, 1] - y) < towns[:, 2] + 200):
                continue
            if any(np.hypot(x - m.x, y - m.y) < 0.5 * (length + m.length_m) + 60 for m in found):
                continue
            if setting != "fringe" and any(
                np.hypot(x - b.x, y - b.y) < 0.9 * b.length_m + 0.5 * length for b in self.industrial_mines
            ):
                continue
            if setting in ("hill", "fringe") and points["tree"].query((x, y))[0] < 0.5 * width + 30:
                continue
            found.append(self._dated(rng, len(found), x, y, length, width, angle, setting, by_river, industrial))
        return found

    def _dated(self, rng, ident, x, y, length, width, angle, setting, by_river, industrial) -> Mine:
        opened = rng.uniform(6.0, 18.4) if rng.uniform() < 0.47 else rng.uniform(19.6, 23.2)
        abandoned = None
        if rng.uniform() < 0.24:
            # some closed before the first image, some between the two
            closed = rng.uniform(13.5, 18.6) if opened < 14 and rng.uniform() < 0.5 else rng.uniform(20.0, 23.0)
            abandoned = closed if closed > opened + 0.7 else None
        mineral = 2 if setting == "dredge" else self._mineral(rng, x, y)
        if setting == "fringe" and industrial is not None:
            mineral = names.MINERALS.index(self.industrial_mines[industrial].mineral)
        workers = int(round(rng.lognormal(np.log(length * 0.55), 0.5), -1)) + 10
        return Mine(
            ident, float(x), float(y), float(length), float(width), float(angle), float(opened), abandoned,
            names.MINERALS[mineral], bool(rng.uniform() < 0.35), workers, str(setting),
            names.place_name(self.seed, 5, ident), by_river, industrial,
        )  # fmt: skip

    @cached_property
    def look_alikes(self) -> list[LookAlike]:
        """What a hurried eye takes for a mine: kilns near towns, quarries by roads, bare fields; some near mines."""
        rng = np.random.default_rng([self.seed, 70])
        found: list[LookAlike] = []
        taken = [(m.x, m.y) for m in self.mines] + [(b.x, b.y) for b in self.industrial_mines]
        tree, water = cKDTree(taken), self.river_points["tree"]
        road = np.concatenate([r.xy for r in self.roads])
        n = max(4, round(0.42 * len(self.mines)))
        for _ in range(30 * n):
            if len(found) == n:
                break
            kind = str(rng.choice(["kiln", "quarry", "bare_field", "burn"], p=[0.24, 0.22, 0.26, 0.28]))
            if kind == "kiln":
                s = self.settlements[rng.integers(len(self.settlements))]
                a = rng.uniform(0, 2 * np.pi)
                x, y = s.x + (s.radius_m + 110) * np.cos(a), s.y + (s.radius_m + 110) * np.sin(a)
                size = rng.uniform(45, 90)
            elif kind == "quarry":
                x, y = road[rng.integers(len(road))] + rng.normal(0, 120, 2)
                size = rng.uniform(70, 150)
            else:
                beside = self.mines[rng.integers(len(self.mines))]
                a = rng.uniform(0, 2 * np.pi)
                away = rng.uniform(300, 900) + 0.5 * beside.length_m
                x, y = beside.x + away * np.cos(a), beside.y + away * np.sin(a)
                size = rng.uniform(50, 130)
            clear = tree.query((x, y))[0] > 260 + size / 2 and water.query((x, y))[0] > size / 2 + 45
            if not clear or not self.inside(x, y) or self.shore_m(x, y) < 500:
                continue
            if any(np.hypot(x - s.x, y - s.y) < s.radius_m + size / 2 for s in self.settlements):
                continue
            if any(np.hypot(x - q.x, y - q.y) < q.size_m + size for q in found):
                continue
            if any(np.hypot(x - b.x, y - b.y) < b.length_m for b in self.industrial_mines):
                continue
            opened = float(rng.uniform(10, 18) if rng.uniform() < 0.6 else rng.uniform(19.5, 23.0))
            found.append(
                LookAlike(len(found), kind, float(x), float(y), float(size), float(rng.uniform(0, np.pi)), opened)
            )
        return found

    # areas ----------------------------------------------------------------------------------------------------------

    @cached_property
    def protected_areas(self) -> list[Area]:
        """Reserves, with some mines inside."""
        rng = np.random.default_rng([self.seed, 80])
        n = max(1, round(3 * self.span_m / 42000))
        size = 0.09 * self.span_m
        spots = self._scatter(rng, n, lambda x, y: np.ones_like(x), gap_m=2.6 * size)
        areas = []
        for k, (x, y) in enumerate(spots):
            ring = self._blob(
                x, y, size * rng.uniform(0.8, 1.2), size * rng.uniform(0.6, 0.9), rng.uniform(0, 3), 700 + k, 0.2
            )
            areas.append(Area(names.RESERVES[k % len(names.RESERVES)], "protected", [_ring(ring)]))
        return areas

    @cached_property
    def commercial_areas(self) -> list[Area]:
        """Ground of the industrial mines."""
        return [
            Area(m.name, "commercial", [_ring(m.footprint)], attributes={"mineral": m.mineral})
            for m in self.industrial_mines
        ]

    @cached_property
    def permit_areas(self) -> list[Area]:
        """Exploration and mining permits, squared to the graticule as cadastres draw them."""
        rng = np.random.default_rng([self.seed, 90])
        areas = [Area(f"{m.name} PE", "permit", [_ring(m.concession)]) for m in self.industrial_mines]
        n = max(2, round(0.12 * len(self.mines)))
        for k, which in enumerate(rng.choice(len(self.mines), n, replace=False)):
            mine = self.mines[which]
            x, y = np.array([mine.x, mine.y]) + rng.normal(0, 350, 2)
            ring = _rectangle(x, y, rng.uniform(500, 1400), rng.uniform(400, 1000), 0.0)
            areas.append(Area(f"ZEA {k + 1:03d}", "permit", [_ring(ring)]))
        return areas

    def region(self, width_m: float = 12000.0, height_m: float = 10000.0) -> tuple[float, float, float, float]:
        """The window of that size (EPSG:3857 bounds) that holds the most mines."""
        at = np.array([(m.x, m.y) for m in self.mines])
        best, chosen = -1, None
        for x in np.arange(self.x0, self.x1 - width_m + 1, 500):
            for y in np.arange(self.y0, self.y1 - height_m + 1, 500):
                inside = (at[:, 0] > x + 800) & (at[:, 0] < x + width_m - 800)
                inside &= (at[:, 1] > y + 800) & (at[:, 1] < y + height_m - 800)
                if inside.sum() > best:
                    best, chosen = int(inside.sum()), (x, y, x + width_m, y + height_m)
        if chosen is None:
            raise ValueError("The country is smaller than the region asked for.")
        return chosen

    def mines_within(self, bounds_m: tuple[float, float, float, float]) -> list[Mine]:
        """True mines whose centre lies in EPSG:3857 bounds."""
        west, south, east, north = bounds_m
        return [m for m in self.mines if west <= m.x < east and south <= m.y < north]


def _ring(xy: np.ndarray) -> np.ndarray:
    lon, lat = to_lonlat(xy[:, 0], xy[:, 1])
    ring = np.stack([lon, lat], axis=1)
    ring[-1] = ring[0]
    return ring


def _rectangle(x, y, length, width, angle) -> np.ndarray:
    u, v = np.array([1, 1, -1, -1, 1]) * length / 2, np.array([-1, 1, 1, -1, -1]) * width / 2
    return np.stack([x + u * np.cos(angle) - v * np.sin(angle), y + u * np.sin(angle) + v * np.cos(angle)], axis=1)


def _connected(labels: np.ndarray) -> np.ndarray:
    """Give stray pieces of each label to a neighbour, so that every label is one piece."""
    stray = np.zeros(labels.shape, bool)
    for value in np.unique(labels[labels > 0]):
        parts, n = ndimage.label(labels == value)
        if n > 1:
            stray |= (parts > 0) & (parts != np.argmax(np.bincount(parts.ravel())[1:]) + 1)
    if not stray.any():
        return labels
    # only labelled ground may grow into the stray pieces
    source = ndimage.distance_transform_edt(stray | (labels == 0), return_distances=False, return_indices=True)
    return np.where(stray, labels[tuple(source)], labels)
