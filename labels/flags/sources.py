"""Where the records come from that the rules are asked about: what is placed, or the staged rows of a file that nothing
was stored of yet."""

from dataclasses import dataclass

from psycopg import sql

from labels.flags.repeated import REPEATED, REPEATED_STAGED

# At least two decimals on both axes; both fractions below .60, as those of minutes are.
RECORDS = """
CREATE TEMP TABLE doubt_record AS
SELECT record.*, ST_X(point) AS lon, ST_Y(point) AS lat,
       abs(ST_X(point) * 10 - round(ST_X(point) * 10)) > 1e-6
           AND abs(ST_Y(point) * 10 - round(ST_Y(point) * 10)) > 1e-6 AS has_decimals,
       abs(ST_X(point)) - trunc(abs(ST_X(point))) < 0.6
           AND abs(ST_Y(point)) - trunc(abs(ST_Y(point))) < 0.6 AS is_below_sixty
FROM ({records}) AS record;
ANALYZE doubt_record
"""

PLACED_RECORDS = """
SELECT placement.site_record_id AS id, placement.register_id, placement.observation_id,
       placement.reported_point AS point, placement.region_id, placement.admin_area_id,
       observation.stated_region AS stated, observation.row_flags
FROM labels_placement placement JOIN labels_observation observation ON observation.id = placement.observation_id
WHERE placement.register_id = ANY(%(registers)s)
"""

# Each row counts as a record of its own; the areas that hold it are those that placing would find.
STAGED_RECORDS = """
SELECT staged.file_row::bigint AS id, %(register)s::bigint AS register_id, staged.file_row::bigint AS observation_id,
       staged.point, held.region_id, held.admin_area_id, staged.stated_region AS stated, staged.row_flags
FROM (
    SELECT *, coalesce(ST_SetSRID(ST_MakePoint(lon, lat), 4326), ST_PointOnSurface(polygon)) AS point
    FROM {table} WHERE refused_reason IS NULL
) AS staged
LEFT JOIN LATERAL (
    SELECT (array_agg(area.id ORDER BY area.level DESC, area.area_km2, area.id))[1] AS admin_area_id,
           (array_agg(area.id ORDER BY area.area_km2, area.id) FILTER (WHERE area.level = 1))[1] AS region_id
    FROM doubt_part part JOIN doubt_area area ON area.id = part.area_id WHERE ST_Covers(part.part, staged.point)
) AS held ON true
"""


@dataclass(frozen=True)
class Source:
    # Statements that make doubt_record, the view doubt_row (each row's cells) and doubt_repeated.
    records: sql.Composable
    rows: sql.Composable
    repeated: sql.Composable


PLACED = Source(
    records=sql.SQL(RECORDS).format(records=sql.SQL(PLACED_RECORDS)),
    rows=sql.SQL("CREATE TEMP VIEW doubt_row AS SELECT id, attributes FROM labels_observation"),
    repeated=sql.SQL(REPEATED),
)


def staged(table: str) -> Source:
    """The rows of a table of labels.ingest.staging."""
    name = sql.Identifier(table)
    rows = "CREATE TEMP VIEW doubt_row AS SELECT file_row::bigint AS id, attributes FROM {table}"
    return Source(
        records=sql.SQL(RECORDS).format(records=sql.SQL(STAGED_RECORDS).format(table=name)),
        rows=sql.SQL(rows).format(table=name),
        repeated=sql.SQL(REPEATED_STAGED).format(table=name),
    )
