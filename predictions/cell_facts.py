"""What the database knows of grid cells, asked once for all of them: records, searches, areas, groups of units."""

from dataclasses import dataclass

import numpy as np
from django.contrib.gis.db.models.functions import GeoFunc
from django.db import connection
from django.db.models import Exists, FloatField, OuterRef, Q, QuerySet
from numpy.typing import NDArray

from labels import geo
from labels.models import Audit, Placement, Project, ReferenceArea, Release, Review, SampleUnit
from labels.models.areas import AreaKind
from labels.models.registers import LegalStatus
from predictions import storage

# Upper limits, metres, of all but the last. As predictions.strata names them.
DISTANCE_LEVELS = ("on", "under_2_km", "2_to_5_km", "over_5_km")
DISTANCE_LIMITS_M = (0, 2_000, 5_000)


class X(GeoFunc):
    function, output_field = "ST_X", FloatField()


class Y(GeoFunc):
    function, output_field = "ST_Y", FloatField()


@dataclass(frozen=True)
class Area:
    pk: int
    name: str


@dataclass(frozen=True)
class Reported:
    """Where records lie, as reported: the cell of each, (n, 2), and the record's uuid."""

    cells: NDArray[np.int32]
    uuids: list[str]


@dataclass(frozen=True)
class Searches:
    """Cells that somebody searched, (n, 2), drawn or suggested."""

    cells: NDArray[np.int32]


def reported_cells(project: Project) -> Reported:
    placed = Placement.objects.filter(register__project=project, reported_point__isnull=False)
    rows = placed.annotate(x=X("reported_point"), y=Y("reported_point")).order_by("site_record_id")
    found = list(rows.values_list("x", "y", "site_record__uuid").iterator(chunk_size=20_000))
    points = np.array([(x, y) for x, y, _uuid in found]).reshape(-1, 2)
    return Reported(storage.cells_of(*points.T), [str(uuid) for *_point, uuid in found])


def searches(release: Release) -> Searches:
    """Units of the release's audits of cells that had been judged when it was made."""
    units = _units_of(release).exclude(grid_cell="")
    found = units.order_by("pk").values_list("grid_cell", flat=True)
    centres = np.array([geo.grid_cell_centre(cell) for cell in found]).reshape(-1, 2)
    return Searches(storage.cells_of(*centres.T))


def _units_of(release: Release):
    """The judged units of the audits in a release. As of then: what came later is in a later release."""
    slugs = [audit["audit"] for audit in release.data_card.get("audits", [])]
    audits = Audit.objects.filter(project=release.project_id, slug__in=slugs)
    judged = reviews_of(release).filter(unit=OuterRef("pk"))
    return SampleUnit.objects.filter(not_yet(release, "retired_at"), Exists(judged), audit__in=audits)


def not_yet(release: Release, happened: str) -> Q:
    """What had not happened when the release was made; it may have since."""
    return Q(**{f"{happened}__isnull": True}) | Q(**{f"{happened}__gt": release.made_at})


def reviews_of(release: Release) -> QuerySet[Review]:
    """Reviews given by then, and not undone by then, of any audit; changed ones are among them."""
    return Review.objects.filter(not_yet(release, "retraction__created_at"), created_at__lte=release.made_at)


def commercial_cells(project: Project) -> NDArray[np.int32]:
    """The cells, (n, 2), whose centre lies in a commercial mine's current area."""
    return storage.cells_of(*geo.cell_centres_in_areas(map(_rings, _areas(project, AreaKind.COMMERCIAL))).T)


def areas_of_cells(project: Project, cells: NDArray[np.int32]) -> tuple[NDArray[np.int32], list[Area]]:
    """Which of the current top-level admin areas holds each cell's centre, (n,), -1 for none; and these areas."""
    found = np.full(len(cells), -1, np.int32)
    areas = _areas(project, AreaKind.ADMIN, level=1)
    for number, area in enumerate(areas):
        at = storage.rows_of(cells, storage.cells_of(*geo.cell_centres_in_areas([_rings(area)]).T))
        at = at[at >= 0]
        found[at[found[at] < 0]] = number
    return found, [Area(area.pk, area.name) for area in areas]


def _areas(project: Project, kind: str, **more) -> list[ReferenceArea]:
    current = {"layer__project": project, "layer__kind": kind, "layer__retired_at__isnull": True}
    current |= {f"layer__{name}": value for name, value in more.items()}
    return list(ReferenceArea.objects.filter(**current).only("name", "geometry").order_by("name", "pk"))


def _rings(area: ReferenceArea) -> list[NDArray[np.float64]]:
    return [np.array(ring) for polygon in area.geometry.coords for ring in polygon]


def strata_of_units(release: Release) -> dict[str, dict[str, str]]:
    """By grouping, the level of each judged record's unit (by its uuid); units without one are left out.

    Mineral and formality are what the record's report says (the first of several minerals), size is what was seen.
    """
    units = _units_of(release).filter(grid_cell="")
    reports = units.values_list("uuid", "observation__minerals", "observation__legal_status_code")
    mineral, formality = {}, {}
    for uuid, minerals, status in reports.iterator(chunk_size=5000):
        if minerals:
            mineral[str(uuid)] = minerals[0]
        if status and status != LegalStatus.UNKNOWN:
            formality[str(uuid)] = status
    seen = reviews_of(release).filter(not_yet(release, "successor__created_at"), unit__in=units)
    sizes = seen.exclude(size_class="").order_by("pk").values_list("unit__uuid", "size_class")
    return {"mineral": mineral, "formality": formality, "size": {str(uuid): size for uuid, size in sizes}}


BANDS = """
SELECT cell.number, nearest.distance_m
FROM unnest(%s::float8[], %s::float8[]) WITH ORDINALITY AS cell (lon, lat, number)
CROSS JOIN LATERAL (
    SELECT min(ST_Distance(near.geometry::geography, ST_SetSRID(ST_MakePoint(lon, lat), 4326)::geography)) AS distance_m
    FROM (
        SELECT geometry FROM labels_referencearea
        WHERE id = ANY(%s) ORDER BY geometry <-> ST_SetSRID(ST_MakePoint(lon, lat), 4326) LIMIT 3
    ) AS near
) AS nearest
"""


def bands_to_commercial(project: Project, cells: NDArray[np.int32]) -> NDArray[np.int32]:
    """Which of DISTANCE_LEVELS each cell's centre is in, (n,); -1 in a project without commercial areas.

    Of the three areas nearest in degrees the one nearest on the ellipsoid.
    """
    bands = np.full(len(cells), -1, np.int32)
    areas = [area.pk for area in _areas(project, AreaKind.COMMERCIAL)]
    if not areas or not len(cells):
        return bands
    with connection.cursor() as cursor:
        cursor.execute(BANDS, [*(axis.tolist() for axis in storage.centres_of(cells).T), areas])
        for number, distance_m in cursor.fetchall():
            bands[number - 1] = np.searchsorted(DISTANCE_LIMITS_M, distance_m, side="left")
    return bands
