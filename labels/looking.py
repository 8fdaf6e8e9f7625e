"""What an annotator really saw: views on screen against the search disc, in lon/lat.

Ratios of areas are taken in degrees scaled by the cosine of the latitude, which is exact enough within one disc.
"""

import math
import re
from collections.abc import Iterable

from django.contrib.gis.geos import GEOSGeometry, MultiPolygon, Point, Polygon

from labels import rules

M_PER_DEGREE = 111_195.0
EQUATOR_RESOLUTION_M = 156_543.033928  # web mercator, 256 px tiles, zoom 0
N_CORNERS = 48
SCREEN_MARGIN = 1.05  # for rounding, and bounds measured on another plane
MOST_PX = 8192  # of a screen that is not known
VIEWPORT = re.compile(r"(\d{1,5})x(\d{1,5})(@|$)")


def search_disc(centre: Point, radius_m: float) -> Polygon:
    """The circle of the search radius as a polygon of the same area."""
    # A regular polygon through the circle is smaller; stretch it to the circle's area.
    stretch = math.sqrt(2 * math.pi / (N_CORNERS * math.sin(2 * math.pi / N_CORNERS)))
    dy = stretch * radius_m / M_PER_DEGREE
    dx = dy / math.cos(math.radians(centre.y))
    angles = [2 * math.pi * k / N_CORNERS for k in range(N_CORNERS)]
    ring = [(centre.x + dx * math.cos(a), centre.y + dy * math.sin(a)) for a in angles]
    return Polygon([*ring, ring[0]], srid=4326)


def view_resolution_m(zoom: float, lat: float) -> float:
    """Metres on the ground of one screen pixel."""
    return EQUATOR_RESOLUTION_M * math.cos(math.radians(lat)) / 2**zoom


def on_screen(view: dict, viewport: str) -> dict:
    """The view, cut about its centre to what a screen of this size ("1440x900@2") can show at its zoom.

    A side may be as long as the longer side of the screen: it may have been turned since.
    """
    west, south, east, north = view["bounds"]
    west, east, south, north = min(west, east), max(west, east), min(south, north), max(south, north)
    lat = (south + north) / 2
    longest = SCREEN_MARGIN * _longer_side_px(viewport) * 360 / 256 / 2 ** view["zoom"]
    width, height = min(east - west, longest), min(north - south, longest * math.cos(math.radians(lat)))
    if [width, height] == [east - west, north - south]:
        return view | {"bounds": [west, south, east, north]}
    lon = (west + east) / 2
    cut = [lon - width / 2, lat - height / 2, lon + width / 2, lat + height / 2]
    return view | {"bounds": cut, "is_cut": True}


def _longer_side_px(viewport: str) -> int:
    known = VIEWPORT.match(viewport)
    return min(MOST_PX, max(int(known[1]), int(known[2]))) if known else MOST_PX


def useful_extent(
    views: Iterable[dict], image_resolution_m: float | None, footprint: GEOSGeometry | None
) -> GEOSGeometry:
    """Where these views of one image showed the ground well enough to see a 10 m pit; may be empty.

    Without a footprint the image has no known end.
    """
    boxes = [
        Polygon.from_bbox(view["bounds"])
        for view in views
        if rules.is_useful_view(
            view_resolution_m(view["zoom"], (view["bounds"][1] + view["bounds"][3]) / 2), image_resolution_m
        )
    ]
    if not boxes:
        return MultiPolygon(srid=4326)
    seen = MultiPolygon(boxes, srid=4326).unary_union
    seen.srid = 4326
    return seen if footprint is None else seen.intersection(footprint)


def share_of(target: GEOSGeometry, extents: Iterable[GEOSGeometry]) -> float:
    """Share of the target's area covered by the extents together, 0 to 1."""
    seen = MultiPolygon(srid=4326)
    for extent in extents:
        seen = seen.union(extent)
    return min(1.0, max(0.0, target.intersection(seen).area / target.area))
