"""Ids that a register repeats: rows of one id and date, in one edition, with another position or spelling of the name.

Rows without a date have one date in common: of two places that a register without dates gives one id, only the last
counts, and nobody would hear of the other. One definition for the flag and for the pairs that are proposed.
"""

# Observations of the latest edition that names their record. The first row of an id and date is compared with each
# other row of it, so that every extra row counts once; an exact repeat of the first row is no doubt about it.
REPEATED = """
CREATE TEMP TABLE doubt_repeated AS
WITH several AS (
    SELECT observation.site_record_id, observation.observed_on, placement.edition_id
    FROM labels_placement placement
    JOIN labels_editionrow row ON row.edition_id = placement.edition_id
    JOIN labels_observation observation
        ON observation.id = row.observation_id AND observation.site_record_id = placement.site_record_id
    WHERE placement.register_id = ANY(%(registers)s)
    GROUP BY 1, 2, 3 HAVING count(*) > 1
), stated AS (
    SELECT several.site_record_id, observation.observed_on, observation.id, observation.point,
           btrim(observation.name) AS name,
           first_value(observation.id) OVER first_row AS first_id,
           first_value(observation.point) OVER first_row AS first_point,
           first_value(btrim(observation.name)) OVER first_row AS first_name
    FROM several
    JOIN labels_observation observation
        ON observation.site_record_id = several.site_record_id
        AND observation.observed_on IS NOT DISTINCT FROM several.observed_on
    JOIN labels_editionrow row ON row.observation_id = observation.id AND row.edition_id = several.edition_id
    WINDOW first_row AS (
        PARTITION BY several.site_record_id, observation.observed_on ORDER BY row.file_row, observation.id
    )
)
SELECT site_record_id, observed_on, first_id, id AS second_id,
       ST_Distance(first_point::geography, point::geography) AS metres,
       labels_folded(nullif(first_name, '')) AS first_folded, labels_folded(nullif(name, '')) AS second_folded
FROM stated
WHERE id <> first_id
  AND (NOT point = first_point OR (name <> first_name AND name <> '' AND first_name <> ''))
"""

# The same of staged rows; the first row of an id and date stands for the record.
REPEATED_STAGED = """
CREATE TEMP TABLE doubt_repeated AS
WITH stated AS (
    SELECT file_row, observed_on, point, name, first_value(file_row) OVER first_row AS first_id,
           first_value(point) OVER first_row AS first_point, first_value(name) OVER first_row AS first_name
    FROM (
        SELECT file_row, source_id, observed_on, ST_MakePoint(lon, lat) AS point, btrim(name) AS name
        FROM {table} WHERE refused_reason IS NULL AND source_id IS NOT NULL
    ) AS staged
    WINDOW first_row AS (PARTITION BY source_id, observed_on ORDER BY file_row)
)
SELECT first_id AS site_record_id, observed_on FROM stated
WHERE file_row <> first_id
  AND (NOT point = first_point OR (name <> first_name AND name <> '' AND first_name <> ''))
"""
