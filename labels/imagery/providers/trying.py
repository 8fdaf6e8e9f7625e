"""One tile of a provider, fetched so that an admin sees whether it works. It is not kept."""

from dataclasses import dataclass
from time import monotonic

from django.contrib.gis.geos import Point
from django.utils.translation import gettext as _

from labels import geo
from labels.imagery import rights
from labels.imagery.providers import serving
from labels.imagery.providers.errors import Refused
from labels.models import ImagerySource, Placement, ProviderDate, ReferenceArea

ZOOM = 14
COARSE_ZOOM = 9  # places of records are not told more exactly than this


@dataclass(frozen=True)
class Tried:
    """What came: `shows` is full, partial or none."""

    date: ProviderDate
    zoom: int
    content: bytes
    content_type: str
    shows: str
    took_s: float


def try_tile(source: ImagerySource) -> Tried:
    """The newest image at a place of the project. Raises a ProviderError with a sentence."""
    if why := rights.why_hidden(source):
        raise Refused(why)
    dates = source.dates.select_related("source__project").order_by("-captured_on", "-published_on", "-pk")
    if source.kind == ImagerySource.Kind.STAC:
        dates = dates.exclude(address="")
    date = next(iter(dates[:1]), None)
    if date is None:
        raise Refused(_("It lists no image that has tiles: refresh its dates, or fetch its pictures."))
    place = place_of(source, date)
    zoom = max(date.min_zoom, min(ZOOM, date.max_zoom))
    began = monotonic()
    picture = serving.ask_tile(date, *geo.tile_of(place.x, place.y, zoom))
    return Tried(date, zoom, picture.content, picture.content_type, picture.shows, monotonic() - began)


def place_of(source: ImagerySource, date: ProviderDate) -> Point:
    """A place that tells nothing: inside the image's footprint and the project's areas, else near a record."""
    areas = ReferenceArea.objects.filter(
        layer__project=source.project, layer__retired_at=None, layer__kind="admin"
    ).order_by("layer__level", "pk")
    if date.footprint is not None:
        area = areas.filter(geometry__intersects=date.footprint).first()
        shared = area.geometry.intersection(date.footprint) if area else date.footprint
        return (date.footprint if shared.empty else shared).point_on_surface
    if area := areas.first():
        return area.geometry.point_on_surface
    placed = Placement.objects.filter(register__project=source.project, reported_point__isnull=False).first()
    if placed is None:
        raise Refused(_("The project has no area and no record yet: there is no place to try."))
    point = placed.reported_point
    west, south, east, north = geo.tile_bounds(*geo.tile_of(point.x, point.y, COARSE_ZOOM))
    return Point((west + east) / 2, (south + north) / 2, srid=4326)
