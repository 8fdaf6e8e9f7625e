"""What an annotator's browser is told of a unit: enough to judge it, and nothing that is hidden until after.

Hidden (absent, not only unseen): name, agency, worker count, status, qualification, scores, others' verdicts.
"""

from labels import geo, rules
from labels.imagery.choosing import default_pair
from labels.imagery.providers import captures
from labels.imagery.scenes import images_at
from labels.models import Placement, SampleUnit

N_NEIGHBOURS = 50


def payloads(units: list[SampleUnit]) -> list[dict]:
    """The payloads of units of one project; capture dates of all their places are learnt within one moment before."""
    if units:
        places = [unit.observation.point.coords for unit in units if unit.observation]
        captures.look_up(units[0].audit.project, places)
    return [payload(unit) for unit in units]


def payload(unit: SampleUnit) -> dict:
    """JSON-ready. Positions are [lon, lat]; distances metres; dates ISO or null."""
    told, audit = unit.observation, unit.audit
    lon, lat = told.point.x, told.point.y
    period = rules.report_period(told.observed_on, told.date_precision)
    ends = period[1].isoformat() if period else None
    images = images_at(audit.project, lon, lat, unit.search_radius_m)
    return {
        "unit": str(unit.uuid),
        "point": [lon, lat],
        "tolerance_m": unit.tolerance_m,
        "search_radius_m": unit.search_radius_m,
        "report": {
            "date": told.observed_on.isoformat() if told.observed_on else None,
            "precision": told.date_precision,
            "ends": ends,
        },
        "minerals": told.minerals_original,
        "location_method": told.location_method,
        "location_precision": told.location_precision,
        "cell": list(geo.grid_cell_bounds(geo.grid_cell_id(lon, lat))),
        "polygon": told.polygon.coords if told.polygon else None,
        "neighbours": neighbours(unit),
        "images": images,
        # Indexes of the images to show first, the earlier one first.
        "pair": default_pair(images, ends),
    }


def neighbours(unit: SampleUnit) -> list[list[float]]:
    """Nameless places of other records within the search radius (for "same mine")."""
    near = (
        Placement.objects.filter(
            register__project=unit.audit.project,
            reported_point__dwithin=(unit.observation.point, unit.search_radius_m / 100_000),
        )
        .exclude(site_record=unit.site_record_id)
        .values_list("reported_point", flat=True)[:N_NEIGHBOURS]
    )
    return [[point.x, point.y] for point in near]
