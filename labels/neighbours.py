"""Records of other registers near a record."""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from labels.models import SiteRecord

NEAR_M = 1_000
SHOWN = 50

# The box is a short-list by the index, a little wider than the distance at any latitude where people mine; the distance
# is then measured on the ellipsoid.
NEAR = """
SELECT record.uuid, register.name, register.slug, coalesce(nullif(observation.name, ''), record.source_id), away.m
FROM labels_placement here
JOIN labels_placement there
    ON there.reported_point && ST_Expand(
        here.reported_point, %(deg)s / cos(radians(least(85, abs(ST_Y(here.reported_point))))), %(deg)s
    )
    AND there.register_id <> here.register_id
JOIN labels_register register ON register.id = there.register_id AND register.project_id = %(project)s
JOIN labels_siterecord record ON record.id = there.site_record_id
JOIN labels_observation observation ON observation.id = there.observation_id
CROSS JOIN LATERAL (SELECT ST_Distance(here.reported_point::geography, there.reported_point::geography) AS m) AS away
WHERE here.site_record_id = %(record)s AND away.m <= %(near_m)s
ORDER BY away.m, record.id LIMIT %(shown)s
"""


@dataclass(frozen=True)
class Neighbour:
    uuid: UUID
    register: str
    register_slug: str
    # The name it goes by, else its id in the register.
    name: str
    distance_m: float


def neighbours_of(record: SiteRecord) -> list[Neighbour]:
    """Records of the project's other registers within NEAR_M, the nearest first."""
    parameters = {
        "record": record.pk,
        "project": record.register.project_id,
        "near_m": NEAR_M,
        # A degree of latitude has at least 110.57 km.
        "deg": NEAR_M / 110_000,
        "shown": SHOWN,
    }
    with connection.cursor() as cursor:
        cursor.execute(NEAR, parameters)
        return [Neighbour(*row) for row in cursor.fetchall()]
