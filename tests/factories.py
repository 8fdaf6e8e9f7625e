"""Valid rows without arguments; a test names only what it is about. Coordinates are (lon, lat)."""

import hashlib
from datetime import date
from itertools import count

from django.contrib.gis.geos import MultiPolygon, Point, Polygon
from django.utils import timezone

from labels import placement
from labels.models import (
    Edition,
    EditionRow,
    ImagerySource,
    Observation,
    Project,
    ReferenceArea,
    ReferenceLayer,
    Register,
    Scene,
    SiteRecord,
)

_numbers = count(1)


def make_project(slug: str | None = None, **fields) -> Project:
    number = next(_numbers)
    return Project.objects.create(
        **{"slug": slug or f"wandara-{number}", "name": f"Wandara {number}", "country": "WDR"} | fields
    )


def make_register(project: Project | None = None, **fields) -> Register:
    number = next(_numbers)
    values = {"project": project or make_project(), "slug": f"register-{number}", "name": f"Register {number}"}
    return Register.objects.create(**values | fields)


def make_edition(register: Register, **fields) -> Edition:
    number = next(_numbers)
    values = {
        "register": register,
        "number": register.editions.count() + 1,
        "file_name": "list.csv",
        "file_sha256": f"{number:064d}",
        "mapping_sha256": "0" * 64,
        "completed_at": timezone.now(),
    }
    return Edition.objects.create(**values | fields)


def make_record(
    register: Register | None = None,
    *,
    at: tuple[float, float] | None = (-10.7, 6.4),
    source_id: str | None = None,
    **observation,
) -> SiteRecord:
    """A record with one observation, placed. Give `at=None` for a record without a position."""
    register = register or make_register()
    number = next(_numbers)
    edition = register.editions.first() or make_edition(register)
    record = SiteRecord.objects.create(
        register=register, source_id=source_id or f"site-{number}", first_edition=edition
    )
    make_observation(record, at=at, edition=edition, **observation)
    placement.place_records(register=register)
    record.refresh_from_db()
    return record


def make_observation(
    record: SiteRecord, *, at: tuple[float, float] | None = (-10.7, 6.4), edition: Edition | None = None, **fields
) -> Observation:
    number = next(_numbers)
    edition = edition or record.first_edition
    values = {
        "site_record": record,
        "first_edition": edition,
        "file_row": number,
        "row_hash": hashlib.sha256(str(number).encode()).digest(),
        "observed_on": date(2021, 3, 1),
        "date_precision": "day",
        "kind": "on_site",
        "location_method": "GPS",
        "location_precision": "gps",
        "name": f"Site {number}",
        "minerals": ["gold"],
        "minerals_original": ["Or"],
        "attributes": {"name": f"Site {number}"},
        "point": Point(*at, srid=4326) if at else None,
    }
    observation = Observation.objects.create(**values | fields)
    EditionRow.objects.create(edition=edition, observation=observation, file_row=observation.file_row)
    return observation


def square(lon: float, lat: float, side_deg: float) -> MultiPolygon:
    """A square whose south-west corner is (lon, lat)."""
    return MultiPolygon(Polygon.from_bbox((lon, lat, lon + side_deg, lat + side_deg)), srid=4326)


def make_area(project: Project, geometry: MultiPolygon, *, kind: str = "admin", name: str = "Kessou", level: int = 1):
    layer, _ = ReferenceLayer.objects.get_or_create(
        project=project, kind=kind, name=f"{kind} {level}", level=level, defaults={"file_sha256": "0" * 64}
    )
    return ReferenceArea.objects.create(layer=layer, name=name, geometry=geometry, area_km2=1.0)


def make_source(project: Project, **fields) -> ImagerySource:
    number = next(_numbers)
    values = {"project": project, "slug": f"source-{number}", "name": f"Source {number}", "attribution": "© Nobody"}
    return ImagerySource.objects.create(**values | fields)


def make_scene(source: ImagerySource, *, footprint: MultiPolygon, captured_on: date | None = None, **fields) -> Scene:
    """A scene row without a file: enough for everything but its pixels."""
    number = next(_numbers)
    values = {
        "source": source,
        "path": f"imagery/none/{number}.tif",
        "original_name": "scene.tif",
        "original_sha256": f"{number:064d}",
        "sha256": f"{number:064x}",
        "footprint": footprint,
        "captured_on": captured_on,
        "captured_known_by": "stated" if captured_on else "unknown",
        "resolution_m": 1.2,
        "min_zoom": 10,
        "max_zoom": 17,
        "n_bands": 3,
        "size_bytes": 1000,
    }
    return Scene.objects.create(**values | fields)


def make_provider(project: Project, address: str, *, kind: str = "xyz", key: str = "", **fields) -> ImagerySource:
    """A provider's source in a project that lets our server ask; what it offers is not asked yet."""
    project.imagery_policy = "through_server"
    project.save(update_fields=["imagery_policy"])
    return make_source(project, kind=kind, address=address, access_key=key, **fields)
