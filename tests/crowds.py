"""Registers of thousands of placed records, without going through files."""

from django.db import connection

from labels.models import Register
from labels.placement import place_records
from tests.factories import make_edition

RECORDS = """
INSERT INTO labels_siterecord (uuid, register_id, source_id, first_edition_id)
SELECT gen_random_uuid(), %(register)s, 'm' || n, %(edition)s FROM generate_series(1, %(n)s) AS n
"""

OBSERVATIONS = """
INSERT INTO labels_observation (
    site_record_id, first_edition_id, file_row, row_hash, occurrence, date_precision, kind, point, location_method,
    location_precision, name, stated_region, minerals, minerals_original, legal_status, trade_status,
    legal_status_code, trade_status_code, row_flags, attributes
)
SELECT record.id, %(edition)s, stated.n, sha256(stated.n::text::bytea), 1, 'unknown', 'unknown',
       ST_SetSRID(ST_MakePoint(lon, lat), 4326), '', 'unknown', name, '', '{}', '{}', '', '',
       'unknown', 'unknown', '{}', '{}'
FROM unnest(%(lons)s::float8[], %(lats)s::float8[], %(names)s::text[]) WITH ORDINALITY AS stated(lon, lat, name, n)
JOIN labels_siterecord record ON record.register_id = %(register)s AND record.source_id = 'm' || stated.n
"""

ROWS = """
INSERT INTO labels_editionrow (edition_id, observation_id, file_row)
SELECT first_edition_id, id, file_row FROM labels_observation WHERE first_edition_id = %(edition)s
"""


def make_crowd(register: Register, points: list[tuple[float, float]], names: list[str] | None = None) -> None:
    """One record at each (lon, lat), with its name if names are given."""
    told = {"register": register.pk, "edition": make_edition(register).pk, "n": len(points)}
    told |= {"lons": [lon for lon, _ in points], "lats": [lat for _, lat in points]}
    told["names"] = names or [""] * len(points)
    with connection.cursor() as cursor:
        for statement in (RECORDS, OBSERVATIONS, ROWS):
            cursor.execute(statement, told)
        cursor.execute("ANALYZE labels_siterecord, labels_observation, labels_editionrow")
    place_records(register=register)
