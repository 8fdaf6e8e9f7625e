"""What the rules ask, as temporary tables of one connection: the areas and their names, the regions that registers
state, the records, and those of them that lie where they should not.

    doubt_area    current admin areas
    doubt_name    folded name, code or other name -> area
    doubt_old     folded name of a retired layer that no current area has
    doubt_part    areas cut into small parts, which answer "which area holds this point" quickly
    doubt_record  records with their current position and stated region
    doubt_row     every cell of a record's current row (a view)
    doubt_word    each stated region of a register and the current areas of that name
    doubt_astray  records outside every area, or outside the region they state
    doubt_variant where an astray record would lie with its axes, signs or decimals read otherwise
"""

import json
from collections.abc import Iterator

from django.db import connection

from labels.flags.sources import Source
from labels.ingest.headers import BLANKS
from labels.models import Register

TABLES = ("area", "name", "old", "part", "record", "word", "astray", "variant", "found", "repeated")
DROP = "DROP VIEW IF EXISTS pg_temp.doubt_row; DROP TABLE IF EXISTS " + ", ".join(
    f"pg_temp.doubt_{table}" for table in TABLES
)

# Properties of areas that hold another name of theirs.
OTHER_NAMES = (
    r"^((nl|var|alt|other|old|former|local|short|long)_?(name|nom|nome)s?"
    r"|(name|nom|nome)s?_?(nl|var|alt|other|old|local|en|fr|pt|es)|alias(es)?)(_?\d)?$"
)

AREAS = """
CREATE TEMP TABLE doubt_area AS
SELECT area.id, area.name, layer.level, labels_folded(area.name) AS folded, area.code, area.attributes, area.area_km2
FROM labels_referencearea area JOIN labels_referencelayer layer ON layer.id = area.layer_id
WHERE layer.project_id = %(project)s AND layer.kind = 'admin' AND layer.retired_at IS NULL
"""

NAMES = """
CREATE TEMP TABLE doubt_name AS
SELECT DISTINCT folded, area_id FROM (
    SELECT folded, id AS area_id FROM doubt_area
    UNION ALL SELECT labels_folded(code), id FROM doubt_area
    UNION ALL
    SELECT labels_folded(one), area.id
    FROM doubt_area area, jsonb_each_text(area.attributes) AS other(key, said),
         regexp_split_to_table(said, '[|;/]') AS one
    WHERE other.key ~* %(other_names)s
) AS named WHERE folded <> ''
"""

OLD = """
CREATE TEMP TABLE doubt_old AS
SELECT DISTINCT ON (folded) labels_folded(area.name) AS folded, layer.name || ' ' || layer.version AS layer
FROM labels_referencearea area JOIN labels_referencelayer layer ON layer.id = area.layer_id
WHERE layer.project_id = %(project)s AND layer.kind = 'admin' AND layer.retired_at IS NOT NULL
ORDER BY folded, layer.retired_at DESC
"""

# How much the middle latitude shrinks a degree of longitude: with it, nearest in degrees is nearest on the ground.
SHRINKING = """
SELECT cos(radians((ST_YMin(extent) + ST_YMax(extent)) / 2)) FROM (
    SELECT ST_Extent(geometry) AS extent FROM labels_referencearea WHERE id IN (SELECT id FROM doubt_area)
) AS country
"""

PARTS = """
CREATE TEMP TABLE doubt_part AS
SELECT area_id, part, ST_Scale(part, %(shrinking)s, 1) AS flat FROM (
    SELECT id AS area_id, ST_Subdivide(geometry, 128) AS part
    FROM labels_referencearea WHERE id IN (SELECT id FROM doubt_area)
) AS cut;
CREATE INDEX ON doubt_part USING gist (part);
CREATE INDEX ON doubt_part USING gist (flat);
CREATE INDEX ON doubt_part (area_id);
ANALYZE doubt_part
"""

# A register's own words for its regions come before the areas' names.
WORDS = """
CREATE TEMP TABLE doubt_word AS
WITH own AS (
    SELECT DISTINCT ON (register_id, labels_folded(said)) register_id, labels_folded(said) AS said, name
    FROM jsonb_to_recordset(%(own)s::jsonb) AS own(register_id bigint, said text, name text)
), word AS (
    SELECT word.register_id, word.stated, word.n, labels_folded(coalesce(own.name, word.stated)) AS folded
    FROM (SELECT register_id, stated, count(*) AS n FROM doubt_record WHERE stated <> '' GROUP BY 1, 2) AS word
    LEFT JOIN own ON own.register_id = word.register_id AND own.said = labels_folded(word.stated)
)
SELECT word.register_id, word.stated, word.n, named.areas, named.level, old.layer AS old_layer
FROM word
LEFT JOIN LATERAL (
    SELECT array_agg(area.id) AS areas, min(area.level) AS level
    FROM doubt_name name JOIN doubt_area area ON area.id = name.area_id WHERE name.folded = word.folded
) AS named ON true
LEFT JOIN doubt_old old ON old.folded = word.folded
WHERE word.folded <> ALL(%(blanks)s);
CREATE INDEX ON doubt_word (register_id, stated);
ANALYZE doubt_word
"""

# The nearest on the flat plane are measured on the ellipsoid.
ASTRAY = """
CREATE TEMP TABLE doubt_astray AS
WITH astray AS MATERIALIZED (
    SELECT record.*, word.areas, word.level, record.admin_area_id IS NULL AS is_outside
    FROM doubt_record record
    LEFT JOIN doubt_word word ON word.register_id = record.register_id AND word.stated = record.stated
    WHERE record.point IS NOT NULL AND CASE
        WHEN record.admin_area_id IS NULL THEN true
        WHEN word.areas IS NULL OR record.region_id = ANY(word.areas) OR record.admin_area_id = ANY(word.areas)
            THEN false
        ELSE NOT EXISTS (SELECT FROM doubt_part WHERE area_id = ANY(word.areas) AND ST_Covers(part, record.point))
    END
)
SELECT astray.*, nearest.area_id AS nearest_id, nearest.metres AS outside_m, region.metres AS stated_m
FROM astray
LEFT JOIN LATERAL (
    SELECT area_id, ST_Distance(part::geography, astray.point::geography) AS metres FROM (
        SELECT area_id, part FROM doubt_part WHERE astray.is_outside
        ORDER BY flat <-> ST_Scale(astray.point, %(shrinking)s, 1) LIMIT 3
    ) AS candidate ORDER BY metres LIMIT 1
) AS nearest ON true
LEFT JOIN LATERAL (
    SELECT min(ST_Distance(part::geography, astray.point::geography)) AS metres FROM (
        SELECT part FROM doubt_part WHERE area_id = ANY(astray.areas)
        ORDER BY ST_Distance(flat, ST_Scale(astray.point, %(shrinking)s, 1)) LIMIT 3
    ) AS candidate
) AS region ON true;
ANALYZE doubt_astray
"""

VARIANTS = """
CREATE TEMP TABLE doubt_variant AS
SELECT astray.id, variant.kind, hit.in_stated
FROM doubt_astray astray
CROSS JOIN LATERAL (VALUES
    ('axes', lat, lon), ('latitude', lon, -lat), ('longitude', -lon, lat), ('both', -lon, -lat),
    ('minutes', trunc(lon) + (lon - trunc(lon)) / 0.6, trunc(lat) + (lat - trunc(lat)) / 0.6)
) AS variant(kind, lon, lat)
CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(area_id = ANY(astray.areas)), false) AS in_stated FROM doubt_part
    WHERE ST_Covers(part, ST_SetSRID(ST_MakePoint(variant.lon, variant.lat), 4326)) HAVING count(*) > 0
) AS hit
WHERE abs(variant.lat) <= 90
"""


# As many as lay_out yields.
N_STEPS = 10


def lay_out(project_id: int | None, registers: list[Register], source: Source, told: dict) -> Iterator:
    """Make the tables one after the other; yields after each, so that the caller can say how far it is."""
    run(DROP)
    for statement in (AREAS, OLD):
        yield run(statement, {"project": project_id})
    yield run(NAMES, {"other_names": OTHER_NAMES})
    shrinking = run(SHRINKING).fetchone()[0] or 1.0
    yield run(PARTS, {"shrinking": shrinking})
    yield run(source.records, told)
    yield run(source.rows)
    yield run(source.repeated, told)
    yield run(WORDS, {"own": json.dumps(_own_words(registers)), "blanks": sorted(BLANKS)})
    yield run(ASTRAY, {"shrinking": shrinking})
    yield run(VARIANTS)


def _own_words(registers: list[Register]) -> list[dict]:
    return [
        {"register_id": register.pk or 0, "said": said, "name": name}
        for register in registers
        for said, name in register.value_mapping.get("stated_region", {}).items()
    ]


def clear_away() -> None:
    if not connection.needs_rollback:
        run(DROP)


def run(statement: str, parameters: object = None):
    cursor = connection.cursor()
    cursor.execute(statement, parameters)
    return cursor
