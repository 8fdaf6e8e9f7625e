"""The search for records that may be one: set-based, and bounded where thousands lie on one point.

Reasons, of a pair within the larger radius of the two registers: `same_name` where the names, folded, are equal or
their trigrams overlap by half; else `same_place` within 30 m; else `near`. Where more than ten others lie within a
record's radius, being near says nothing, and only the same name or the same place counts; where more than ten lie at
its very place, only the same name does.
"""

from collections.abc import Iterator
from math import cos, radians

from django.db import connection

from labels.flags.repeated import REPEATED
from labels.ingest.headers import BLANKS
from labels.models import Register

BATCH_RECORDS = 50_000

THRESHOLDS = {
    "same_place_m": 30,
    # Overlap of trigrams, of pg_trgm.
    "alike": 0.5,
    # So many of a record's nearest are compared with it.
    "nearest": 10,
    "blanks": sorted(BLANKS),
}

TABLES = ("near_record", "near_stack", "near_side", "near_crowd", "near_pair", "doubt_repeated")
DROP = "DROP VIEW IF EXISTS pg_temp.near_located; DROP TABLE IF EXISTS " + ", ".join(
    f"pg_temp.{name}" for name in TABLES
)

# Of the whole project, so that a register alone is searched in the same plane as all of them.
PLANE = """
SELECT coalesce(cos(radians((south + north) / 2)), 1), coalesce(greatest(abs(south), abs(north)), 0) FROM (
    SELECT ST_YMin(ST_Extent(reported_point)) AS south, ST_YMax(ST_Extent(reported_point)) AS north
    FROM labels_placement WHERE register_id = ANY(%s)
) AS extent
"""

# `spot` is the position in a plane whose longitudes are shrunk by one factor: what is nearest there is nearest on the
# ground, nearly. `up` and `across` are the radius there, with 1 % to spare; across, it grows with latitude.
LOCATED = """
CREATE TEMP VIEW near_located AS
SELECT placement.site_record_id AS id, placement.register_id, placement.observation_id,
       placement.reported_point::geography AS place, register.duplicate_radius_m AS radius_m,
       ST_MakePoint(ST_X(placement.reported_point) * %(shrinking)s, ST_Y(placement.reported_point)) AS spot,
       greatest(1e-9, %(radius_m)s * 1.01 / 110574) AS up,
       %(radius_m)s * 1.01 / 110574 * %(shrinking)s
           / greatest(0.01, cos(radians(least(89.0, abs(ST_Y(placement.reported_point)) + 0.1)))) AS across
FROM labels_placement placement JOIN labels_register register ON register.id = placement.register_id
WHERE placement.reported_point IS NOT NULL
"""

# Of other registers come only those that matter: within two radii of one that was asked about. (Records sorted along a
# curve through the plane were slower: an index filled in that order has pages that overlap.)
RECORDS = """
CREATE TEMP TABLE near_record AS
SELECT located.*, true AS is_asked FROM near_located located WHERE register_id = ANY(%(asked)s);
CREATE INDEX ON near_record USING gist (spot);
CREATE UNIQUE INDEX ON near_record (id);
ANALYZE near_record;
INSERT INTO near_record
SELECT located.*, false FROM near_located located
WHERE register_id = ANY(%(others)s) AND EXISTS (
    SELECT FROM near_record asked WHERE asked.spot && ST_Expand(located.spot, located.across * 2, located.up * 2)
);
ANALYZE near_record;
DROP VIEW near_located
"""

NEXT_BATCH = "SELECT count(*), max(id) FROM (SELECT id FROM near_record WHERE id > %s ORDER BY id LIMIT %s) AS batch"

# Points that hold more records than are compared: of these only the names count, and nobody need look for the nearest.
STACKS = """
CREATE TEMP TABLE near_stack AS
SELECT ST_X(spot) AS x, ST_Y(spot) AS y FROM near_record GROUP BY 1, 2 HAVING count(*) > %(nearest)s + 1;
CREATE INDEX ON near_stack (x, y);
ANALYZE near_stack
"""

SIDE_TABLE = """
CREATE TEMP TABLE near_side (
    record_id bigint, other_id bigint, metres float8, rank int, is_crowded boolean, is_stacked boolean
)
"""

# The index gives the nearest in order and within the box, so that a clump of thousands costs no more than its first
# few. One more than is compared tells a crowd.
SIDES = """
INSERT INTO near_side
SELECT record.id, other.id, other.metres, row_number() OVER (PARTITION BY record.id ORDER BY other.metres, other.id),
       count(*) OVER of_record > %(nearest)s,
       count(*) FILTER (WHERE other.metres <= %(same_place_m)s) OVER of_record > %(nearest)s
FROM near_record record
CROSS JOIN LATERAL (
    SELECT id, radius_m, ST_Distance(place, record.place) AS metres FROM (
        SELECT id, radius_m, place FROM near_record neighbour
        WHERE neighbour.spot && ST_Expand(record.spot, record.across, record.up)
        ORDER BY neighbour.spot <-> record.spot LIMIT %(nearest)s + 2
    ) AS nearest WHERE id <> record.id
) AS other
WHERE record.id > %(after)s AND record.id <= %(upto)s
  AND NOT EXISTS (SELECT FROM near_stack WHERE x = ST_X(record.spot) AND y = ST_Y(record.spot))
  AND other.metres <= greatest(record.radius_m, other.radius_m)
WINDOW of_record AS (PARTITION BY record.id)
"""

# In a crowd each record meets the next of its name, by id, in its own square and in those around it: enough to link all
# of one name, and never more than nine.
CROWD = """
CREATE TEMP TABLE near_crowd AS
SELECT record.id, record.radius_m, record.place, labels_folded(observation.name) AS name,
       floor(ST_X(record.spot) / %(square_across)s)::bigint AS x, floor(ST_Y(record.spot) / record.up)::bigint AS y
FROM (
    SELECT record_id AS id FROM near_side WHERE is_crowded
    UNION SELECT id FROM near_record JOIN near_stack ON x = ST_X(spot) AND y = ST_Y(spot)
) AS crowded
JOIN near_record record ON record.id = crowded.id
JOIN labels_observation observation ON observation.id = record.observation_id;
CREATE INDEX ON near_crowd (name, x, y, id);
ANALYZE near_crowd;
INSERT INTO near_side
SELECT record.id, other.id, other.metres, 0, true, true
FROM near_crowd record JOIN (SELECT name FROM near_crowd GROUP BY name HAVING count(*) > 1) AS shared USING (name)
CROSS JOIN (VALUES (-1), (0), (1)) AS step_x(x) CROSS JOIN (VALUES (-1), (0), (1)) AS step_y(y)
CROSS JOIN LATERAL (
    SELECT id, metres FROM (
        SELECT id, ST_Distance(place, record.place) AS metres, greatest(radius_m, record.radius_m) AS radius_m
        FROM near_crowd next
        WHERE next.name = record.name AND next.x = record.x + step_x.x AND next.y = record.y + step_y.y
          AND next.id > record.id
        ORDER BY next.id OFFSET 0
    ) AS next WHERE metres <= radius_m LIMIT 1
) AS other
WHERE record.name <> ALL(%(blanks)s)
"""

# Some scripts have no trigrams: equal names are alike whatever they are written in. A pair seen from both sides counts
# as from the side that allows more; rank 0 is a namesake in a crowd. A name that says nothing is none.
PAIRS = """
CREATE TEMP TABLE near_pair AS
WITH side AS (
    SELECT least(record_id, other_id) AS first_id, greatest(record_id, other_id) AS second_id, min(metres) AS metres,
           bool_and(is_crowded) AS is_crowded, bool_and(is_stacked) AS is_stacked
    FROM near_side WHERE rank = 0 OR (rank <= %(nearest)s AND NOT is_stacked) GROUP BY 1, 2
), said AS MATERIALIZED (
    SELECT record.id, record.register_id, record.is_asked, CASE WHEN folded <> ALL(%(blanks)s) THEN folded END AS name
    FROM (SELECT first_id AS id FROM side UNION SELECT second_id FROM side) AS of_pair
    JOIN near_record record USING (id)
    JOIN labels_observation observation ON observation.id = record.observation_id
    CROSS JOIN LATERAL (SELECT labels_folded(observation.name) AS folded OFFSET 0) AS folding
), named AS (
    SELECT side.*, first.register_id <> second.register_id AS is_across,
           first.name AS first_name, second.name AS second_name
    FROM side JOIN said first ON first.id = side.first_id JOIN said second ON second.id = side.second_id
    WHERE first.is_asked OR second.is_asked
), compared AS (
    SELECT named.*, CASE WHEN first_name = second_name THEN 1
                         ELSE similarity(first_name, second_name)::float8 END AS likeness
    FROM named
)
SELECT first_id, second_id, NULL::bigint AS first_observation_id, NULL::bigint AS second_observation_id,
       reason, is_across, metres, likeness
FROM compared
CROSS JOIN LATERAL (
    SELECT CASE WHEN likeness >= %(alike)s THEN 'same_name'
                WHEN metres <= %(same_place_m)s THEN 'same_place' ELSE 'near' END AS reason
) AS judged
WHERE CASE WHEN is_stacked THEN first_name = second_name WHEN is_crowded THEN reason <> 'near' ELSE true END
UNION ALL
SELECT site_record_id, site_record_id, first_id, second_id, 'repeated_id', false, metres,
       CASE WHEN first_folded = second_folded THEN 1 ELSE similarity(first_folded, second_folded)::float8 END
FROM doubt_repeated;
CREATE INDEX ON near_pair (first_id, second_id);
ANALYZE near_pair
"""

CROWDED = "SELECT count(*) FROM near_crowd JOIN near_record USING (id) WHERE is_asked"


def search(registers: list[Register], asked: list[int]) -> Iterator[tuple[int, int]]:
    """Fill the temporary table `near_pair` with what may be one among the asked registers and with the others; yields
    how many of the records were compared, and of how many."""
    others = [register.pk for register in registers if register.pk not in asked]
    told = THRESHOLDS | {"asked": asked, "others": others, "registers": asked}
    radius_m = max((register.duplicate_radius_m for register in registers), default=0)
    shrinking, far_lat = run(PLANE, [[register.pk for register in registers]]).fetchone()
    narrowest = max(0.01, cos(radians(min(89.0, far_lat + 0.1))))
    told |= {"radius_m": radius_m, "shrinking": shrinking}
    told["square_across"] = max(radius_m * 1.01 / 110574 * shrinking / narrowest, 1e-9)
    run(DROP)
    for statement in (LOCATED, RECORDS, STACKS, SIDE_TABLE):
        run(statement, told)
    n_total = run("SELECT count(*) FROM near_record").fetchone()[0]
    n_done, after = 0, 0
    while n_done < n_total:
        n_batch, upto = run(NEXT_BATCH, [after, BATCH_RECORDS]).fetchone()
        run(SIDES, told | {"after": after, "upto": upto})
        n_done, after = n_done + n_batch, upto
        yield n_done, n_total
    run("ANALYZE near_side")
    for statement in (CROWD, REPEATED, PAIRS):
        run(statement, told)
        yield n_total, n_total


def n_crowded() -> int:
    """Records of the asked registers with more others within the radius than were compared; after `search`."""
    return run(CROWDED).fetchone()[0]


def run(statement: str, parameters: object = None):
    cursor = connection.cursor()
    cursor.execute(statement, parameters)
    return cursor
