"""The dates of a project's providers at a place, as the review page offers them beside pictures of our own."""

from datetime import date
from itertools import groupby

from django.contrib.gis.db.models.functions import Intersection
from django.contrib.gis.geos import GEOSGeometry, Point
from django.db.models import F, FilteredRelation, Q
from django.urls import reverse

from labels import geo, looking
from labels.imagery import rights
from labels.imagery.providers.captures import tile_of
from labels.local_plane import metres_per_degree
from labels.models import CaptureLookup, ImagerySource, Project, ProviderDate
from labels.models.imagery import DateKnownBy
from labels.models.projects import ImageryPolicy

MOST_OF_ONE = 60  # dates of one source at one place; the newest


def dates_at(project: Project, lon: float, lat: float, radius_m: float, wide: GEOSGeometry) -> list[dict]:
    """Dated images of providers at a disc, oldest first and undated last: one query, and nobody is asked.

    `wide` is the disc and the margin by which imagery may lie off. Releases of the same capture date are one image, the
    latest published; of those whose capture date is unknown here only the newest is offered.
    """
    if project.imagery_policy != ImageryPolicy.THROUGH_SERVER:
        return []
    x, y = tile_of(lon, lat)
    found = (
        ProviderDate.objects.filter(rights.judgeable("source__"), source__project=project)
        .filter(Q(footprint__isnull=True) | Q(footprint__intersects=wide))
        .exclude(source__kind=ImagerySource.Kind.STAC, address="")
        .select_related("source")
        .annotate(
            lookup=FilteredRelation("lookups", condition=Q(lookups__x=x, lookups__y=y)),
            found_on=F("lookup__captured_on"),
            found_m=F("lookup__resolution_m"),
            part=Intersection("footprint", wide),
        )
        .defer("footprint")
        .order_by("source__name", "source_id", F("published_on").desc(nulls_last=True), "pk")
    )
    images = [
        image
        for _source, rows in groupby(found, key=lambda row: row.source_id)
        for image in _of_source(list(rows), lon, lat, radius_m)
    ]
    return sorted(images, key=lambda image: (image["captured_on"] is None, image["captured_on"] or ""))


def _of_source(rows: list[ProviderDate], lon: float, lat: float, radius_m: float) -> list[dict]:
    disc = _disc(rows[0].source, lon, lat, radius_m)
    images = [_image(row, lat, disc) for row in _collapsed(rows)]
    images.sort(key=lambda image: image["captured_on"] or "")
    return [image for image in images if image["share_covered"] > 0][-MOST_OF_ONE:]


def _collapsed(rows: list[ProviderDate]) -> list[ProviderDate]:
    """Rows come latest published first; of releases only the first of each capture date is kept."""
    seen, kept = set(), []
    for row in rows:
        if "metadata" in row.options:
            day = row.captured_on or row.found_on
            if day in seen:
                continue
            seen.add(day)
        kept.append(row)
    return kept


def _disc(source: ImagerySource, lon: float, lat: float, radius_m: float) -> GEOSGeometry:
    """The disc where the source's pictures show it: moved against the measured offset."""
    per_lon, per_lat = metres_per_degree(lat)
    centre = Point(lon - source.offset_east_m / per_lon, lat - source.offset_north_m / per_lat, srid=4326)
    return looking.search_disc(centre, radius_m)


def _image(row: ProviderDate, lat: float, disc: GEOSGeometry) -> dict:
    source, captured_on = row.source, row.captured_on or row.found_on
    known_by = (
        row.captured_known_by if row.captured_on else DateKnownBy.PROVIDER if row.found_on else row.captured_known_by
    )
    resolution_m = row.found_m or row.resolution_m or geo.ground_resolution_m(lat, row.max_zoom)
    return {
        "source": str(source.uuid),
        "key": row.key,
        "version": str(source.revision),
        "name": source.name,
        "attribution": source.attribution,
        "captured_on": captured_on.isoformat() if captured_on else None,
        "known_by": str(known_by),
        "resolution_m": round(resolution_m, 3),
        "min_zoom": row.min_zoom,
        "max_zoom": row.max_zoom,
        "share_covered": 1.0 if row.part is None else round(looking.share_of(disc, [row.part]), 4),
        "scene_sha256s": [],
        "has_false_colour": False,
        "offset_m": [source.offset_east_m, source.offset_north_m],
        "tiles": tile_url(source, row),
    }


def tile_url(source: ImagerySource, row: ProviderDate) -> str:
    """The address of a date's tiles, with {z}, {x} and {y}: on our own server."""
    base = reverse("labels:tile", args=[source.uuid, 0, 0, 0]).removesuffix("/0/0/0")
    return f"{base}/{{z}}/{{x}}/{{y}}?image={row.uuid}&v={source.revision}"


def capture_of(row: ProviderDate, lon: float, lat: float) -> tuple[date | None, str, float | None]:
    """When the image of a place was taken, how that is known, and its resolution if told; asks only the database."""
    if row.captured_on:
        return row.captured_on, row.captured_known_by, row.resolution_m
    x, y = tile_of(lon, lat)
    found = CaptureLookup.objects.filter(date=row, x=x, y=y).first()
    if found and found.captured_on:
        return found.captured_on, DateKnownBy.PROVIDER, found.resolution_m or row.resolution_m
    return None, DateKnownBy.UNKNOWN, row.resolution_m
