"""The review page's imagery without script: tiles laid out on the server, and what was thereby on screen."""

import math
from datetime import date
from uuid import UUID

from django.core import signing
from django.utils.translation import gettext as _

from labels import geo
from labels.errors import BadInput
from labels.models import SampleUnit
from labels.workflow import GivenImage

ZOOM = 15
SIZE_PX = 512
TILE_PX = 256
NAMED = ("source", "key", "version", "captured_on")
SALT = "labels.plain_review"


def _pair(unit: dict) -> list[dict]:
    return [unit["images"][index] for index in unit["pair"]]


def pictures(unit: dict) -> list[dict]:
    """For each image of the pair: its tiles with their place in a SIZE_PX square centred on the reported point."""
    x, y = _pixel(*unit["point"])
    left, top = x - SIZE_PX / 2, y - SIZE_PX / 2
    return [{"image": image, "tiles": _tiles(image, left, top), "size": SIZE_PX} for image in _pair(unit)]


def _tiles(image: dict, left: float, top: float) -> list[dict]:
    columns = range(int(left // TILE_PX), int((left + SIZE_PX) // TILE_PX) + 1)
    rows = range(int(top // TILE_PX), int((top + SIZE_PX) // TILE_PX) + 1)
    return [
        {
            "url": image["tiles"].replace("{z}", str(ZOOM)).replace("{x}", str(x)).replace("{y}", str(y)),
            "x": round(x * TILE_PX - left, 2),
            "y": round(y * TILE_PX - top, 2),
        }
        for y in rows
        for x in columns
    ]


def signed(unit: dict) -> str:
    """Which images `pictures` put on screen, for the form to bring back: another pair may be the default by then."""
    return signing.dumps([unit["unit"], [[image[name] for name in NAMED] for image in _pair(unit)]], salt=SALT)


def images_seen(unit: SampleUnit, shown: str) -> list[GivenImage]:
    """What was on screen of this unit, as `signed` said; BadInput for another unit's or anything else."""
    try:
        of_unit, images = signing.loads(shown, salt=SALT)
    except signing.BadSignature:
        of_unit, images = "", []
    if of_unit != str(unit.uuid):
        raise BadInput(_("The form does not say which images it showed. Load the page again."))
    lon, lat = unit.observation.point.coords
    half_m = geo.ground_resolution_m(lat, ZOOM) * SIZE_PX / 2
    dy, dx = half_m / 111_195, half_m / 111_195 / math.cos(math.radians(lat))
    view = {"bounds": [lon - dx, lat - dy, lon + dx, lat + dy], "zoom": ZOOM, "ms": 0}
    return [
        GivenImage(
            pane=number,
            source=UUID(source),
            key=key,
            version=version,
            captured_on=date.fromisoformat(captured_on) if captured_on else None,
            zoom=ZOOM,
            views=[view],
        )
        for number, (source, key, version, captured_on) in enumerate(images, start=1)
    ]


def _pixel(lon: float, lat: float) -> tuple[float, float]:
    """Web mercator pixel of the place at ZOOM."""
    size = TILE_PX * 2**ZOOM
    sine = math.sin(math.radians(lat))
    return (lon + 180) / 360 * size, (0.5 - math.log((1 + sine) / (1 - sine)) / (4 * math.pi)) * size
