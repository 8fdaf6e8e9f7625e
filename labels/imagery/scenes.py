"""Which pictures cover a place: the questions that tiles and the review page ask the database."""

import hashlib
import math
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import groupby
from typing import Literal, TypedDict

from django.contrib.gis.db.models.functions import Intersection
from django.contrib.gis.geos import GEOSGeometry, MultiPolygon, Point, Polygon
from django.db.models import F, Q
from django.urls import reverse

from labels import geo, looking
from labels.imagery import rights
from labels.imagery.providers.dated import dates_at
from labels.local_plane import metres_per_degree
from labels.models import ImagerySource, Project, Scene
from labels.models.imagery import MAX_OFFSET_M

# A capture date, "unknown" for pictures without one, None for whatever is newest.
Day = date | Literal["unknown"] | None
MAX_ROWS = 200  # pictures asked of the database for one tile; it shows the uppermost 40


@dataclass(frozen=True)
class ShownScene:
    """A picture's file as a tile needs it."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Shown:
    """What a tile is made of: pictures on top first, and how far the imagery lies off the ground."""

    scenes: tuple[ShownScene, ...] = ()
    offset_east_m: float = 0
    offset_north_m: float = 0

    @cached_property
    def version(self) -> str:
        """Changes whenever the pixels may."""
        parts = [scene.sha256 for scene in self.scenes] + [f"{self.offset_east_m} {self.offset_north_m}"]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


# Columns of a scene that say where its pixels are.
FILES = ("path", "sha256", "false_colour_path", "false_colour_sha256")


def rows_for_tile(source: ImagerySource, z: int, x: int, y: int, day: Day) -> list[tuple]:
    """`FILES` of the scenes that may show on a tile, the newest on top: for sources too large for `index`."""
    box = Polygon.from_bbox(box_around(z, x, y))
    box.srid = 4326
    found = Scene.objects.filter(_of_day(day), source=source, footprint__bboverlaps=box)
    found = found.order_by(F("captured_on").desc(nulls_last=True), "-pk")
    return list(found.values_list(*FILES)[:MAX_ROWS])


def _of_day(day: Day) -> Q:
    if day is None:
        return Q()
    return Q(captured_on__isnull=True) if day == "unknown" else Q(captured_on=day)


def box_around(z: int, x: int, y: int) -> geo.BBox:
    """The tile and a margin: its pictures may lie off the ground by the largest offset a source can have."""
    west, south, east, north = geo.tile_bounds(z, x, y)
    per_lon, per_lat = metres_per_degree(max(abs(south), abs(north)))
    dx, dy = MAX_OFFSET_M / per_lon, MAX_OFFSET_M / per_lat
    return max(-180, west - dx), max(-90, south - dy), min(180, east + dx), min(90, north + dy)


class DatedImage(TypedDict):
    """One source at one capture date, as the review page offers it for a place. Ready for JSON."""

    source: str  # uuid
    key: str  # a provider's name for its date; empty for scenes, which the capture date names
    version: str  # the source's revision
    name: str
    attribution: str
    captured_on: str | None  # ISO, null when unknown
    known_by: str  # stated, file, provider or unknown
    resolution_m: float  # of the coarsest picture that takes part
    min_zoom: int
    max_zoom: int
    share_covered: float  # share of the disc that the pictures cover, 0 to 1
    scene_sha256s: list[str]
    has_false_colour: bool  # whether the tiles may be asked in near-infrared, red and green
    offset_m: list[float]  # measured shift of the source, east and north; already applied to its tiles
    tiles: str  # address with {z}, {x} and {y} to be filled in


def images_at(project: Project, lon: float, lat: float, radius_m: float) -> list[DatedImage]:
    """The images that show some of the disc, oldest first and undated last: of our scenes and of providers' dates.

    One query for each of both. Of one day and one share, pictures of our own come last, where `default_pair` prefers
    them. Nobody is asked: `providers.captures.look_up` learns capture dates before.
    """
    wide = looking.search_disc(Point(lon, lat, srid=4326), radius_m + math.sqrt(2) * MAX_OFFSET_M)
    images = [*dates_at(project, lon, lat, radius_m, wide), *_scenes_at(project, lon, lat, radius_m, wide)]
    return sorted(images, key=lambda image: (image["captured_on"] is None, image["captured_on"] or ""))


def _scenes_at(project: Project, lon: float, lat: float, radius_m: float, wide: Polygon) -> list[DatedImage]:
    found = (
        Scene.objects.filter(rights.judgeable("source__"), source__project=project, footprint__intersects=wide)
        .select_related("source")
        .annotate(part=Intersection("footprint", wide))
        .defer("footprint", "preparation")
        .order_by(F("captured_on").asc(nulls_last=True), "source__name", "source_id", "-pk")
    )
    groups = groupby(found, key=lambda scene: (scene.captured_on, scene.source_id))
    images = [_dated_image(list(scenes), lon, lat, radius_m) for _, scenes in groups]
    return [image for image in images if image["share_covered"] > 0]


def _dated_image(scenes: list[Scene], lon: float, lat: float, radius_m: float) -> DatedImage:
    source, first = scenes[0].source, scenes[0]
    dx, dy = _offset_deg(source, lat)
    disc = looking.search_disc(Point(lon - dx, lat - dy, srid=4326), radius_m)
    scenes = [scene for scene in scenes if scene.part.intersects(disc)]
    return DatedImage(
        source=str(source.uuid),
        key="",
        version=str(source.revision),
        name=source.name,
        attribution=source.attribution,
        captured_on=first.captured_on.isoformat() if first.captured_on else None,
        known_by=first.captured_known_by,
        resolution_m=max((scene.resolution_m for scene in scenes), default=0),
        min_zoom=min((scene.min_zoom for scene in scenes), default=0),
        max_zoom=max((scene.max_zoom for scene in scenes), default=0),
        share_covered=round(looking.share_of(disc, [scene.part for scene in scenes]), 4),
        scene_sha256s=[scene.sha256 for scene in scenes],
        has_false_colour=bool(scenes) and all(scene.false_colour_path for scene in scenes),
        offset_m=[source.offset_east_m, source.offset_north_m],
        tiles=tile_url(source, first.captured_on or "unknown"),
    )


def tile_url(source: ImagerySource, day: Day) -> str:
    """The address of the source's tiles at a date, with {z}, {x} and {y}. Its revision lets browsers keep tiles."""
    base = reverse("labels:tile", args=[source.uuid, 0, 0, 0]).removesuffix("/0/0/0")
    wanted = f"date={day}&" if day else ""
    return f"{base}/{{z}}/{{x}}/{{y}}?{wanted}v={source.revision}"


def footprint_of(source: ImagerySource, day: Day) -> MultiPolygon:
    """Where on the ground the source's pictures of the date show something; empty when it has none."""
    footprints = list(Scene.objects.filter(_of_day(day), source=source).values_list("footprint", flat=True))
    if not footprints:
        return MultiPolygon(srid=4326)
    return on_ground(source, footprints[0] if len(footprints) == 1 else _union(footprints))


def on_ground(source: ImagerySource, footprint: MultiPolygon) -> MultiPolygon:
    """The footprint of one of the source's pictures where it really lies: its measured offset applied."""
    dx, dy = _offset_deg(source, footprint.centroid.y)
    return _moved(footprint, dx, dy) if dx or dy else footprint


def _union(footprints: list[MultiPolygon]) -> MultiPolygon:
    polygons = [polygon for footprint in footprints for polygon in footprint]
    return _as_multipolygon(MultiPolygon(polygons, srid=4326).unary_union)


def _as_multipolygon(geometry: GEOSGeometry) -> MultiPolygon:
    polygons = [geometry] if isinstance(geometry, Polygon) else [part for part in geometry if isinstance(part, Polygon)]
    return MultiPolygon(polygons, srid=4326)


def _offset_deg(source: ImagerySource, lat: float) -> tuple[float, float]:
    """How far the ground lies from the picture: what is read from the picture plus this is the place."""
    per_lon, per_lat = metres_per_degree(lat)
    return source.offset_east_m / per_lon, source.offset_north_m / per_lat


def _moved(footprint: MultiPolygon, dx: float, dy: float) -> MultiPolygon:
    def ring(coordinates):
        return [(x + dx, y + dy) for x, y in coordinates]

    return MultiPolygon([Polygon(*map(ring, polygon.coords)) for polygon in footprint], srid=4326)
