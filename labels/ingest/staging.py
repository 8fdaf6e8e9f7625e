"""Rows on their way in: copied in committed batches into a table of the job's own, so that a killed job goes on where
it was, and compared with what the register already holds in a few set-based statements."""

import logging
from collections.abc import Iterable, Iterator
from itertools import islice

import psycopg
from django.db import connection
from django.utils.translation import gettext as _
from psycopg import sql

from labels.errors import BadInput
from labels.ingest.copying import COLUMNS
from labels.ingest.readers import CopyLines
from labels.ingest.tally import Tally
from labels.models import SiteRecord

log = logging.getLogger(__name__)

BATCH_ROWS = 10_000
MAX_OCCURRENCE = 32_767

CREATE = """
CREATE {persistence} TABLE IF NOT EXISTS {table} (
    file_row integer PRIMARY KEY,
    source_id text, content_hash bytea, row_hash bytea,
    observed_on date, date_precision text, kind text,
    lon double precision, lat double precision, polygon geometry(MultiPolygon, 4326),
    location_method text, location_precision text, name text, stated_region text,
    minerals text[], minerals_original text[], legal_status text, trade_status text,
    legal_status_code text, trade_status_code text, row_flags text[], attributes jsonb,
    refused_column text, refused_value text, refused_reason text
)
"""

CROSSING = """
UPDATE {table} SET polygon = NULL, refused_column = 'geometry', refused_value = 'Polygon', refused_reason = %s
WHERE polygon IS NOT NULL AND NOT ST_IsValid(polygon)
"""

# Sorting a register of a million rows on disk, or compiling a statement that runs once, takes longer than it saves.
MEMORY = "SET LOCAL work_mem = '128MB'; SET LOCAL jit = off"

# Identity of each row: the register's id, else the content with its occurrence; equal rows of one id are counted off.
IDENTIFY = """
CREATE TEMP TABLE identified ON COMMIT DROP AS
SELECT file_row, source_id, row_hash,
       row_number() OVER (PARTITION BY source_id, row_hash ORDER BY file_row) AS occurrence
FROM (
    {named}
) AS named;
ANALYZE identified
"""

NAMED_BY_REGISTER = "SELECT file_row, row_hash, source_id FROM {table} WHERE refused_reason IS NULL"

NAMED_BY_CONTENT = """
SELECT file_row, row_hash,
       left(encode(content_hash, 'hex'), 20) || '-' || row_number() OVER (PARTITION BY content_hash ORDER BY file_row)
       AS source_id
FROM {table} WHERE refused_reason IS NULL
"""

TOO_OFTEN = """
UPDATE {table} staged SET refused_column = '', refused_value = '', refused_reason = %s
FROM identified WHERE identified.file_row = staged.file_row AND identified.occurrence > 32767;
DELETE FROM identified WHERE occurrence > 32767
"""

# What of it the register already holds: the records and the very same observations.
COMPARE = """
CREATE TEMP TABLE compared ON COMMIT DROP AS
SELECT i.file_row, i.source_id, i.occurrence::smallint AS occurrence,
       record.id AS record_id, observation.id AS observation_id
FROM identified i
LEFT JOIN labels_siterecord record ON record.register_id = %(register)s AND record.source_id = i.source_id
LEFT JOIN labels_observation observation ON observation.site_record_id = record.id
    AND observation.row_hash = i.row_hash AND observation.occurrence = i.occurrence
"""

COMPARE_WITH_NOTHING = """
CREATE TEMP TABLE compared ON COMMIT DROP AS
SELECT file_row, source_id, occurrence::smallint AS occurrence,
       NULL::bigint AS record_id, NULL::bigint AS observation_id
FROM identified
"""

COUNT = """
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new AND is_told_anew), count(*)
FROM (
    SELECT bool_and(record_id IS NULL) AS is_new, bool_or(observation_id IS NULL) AS is_told_anew
    FROM compared GROUP BY source_id
) AS site
"""

COUNT_ROWS = """
SELECT count(*), count(refused_reason),
       count(*) FILTER (WHERE refused_reason IS NULL AND lon IS NULL AND polygon IS NULL)
FROM {table}
"""

# Ids are given out before the rows are written: looking a million rows up again would cost as much as writing them.
SEQUENCES = """
SELECT pg_get_serial_sequence('labels_siterecord', 'id'), pg_get_serial_sequence('labels_observation', 'id')
"""

ARRIVE = """
CREATE TEMP TABLE arriving_site ON COMMIT DROP AS
SELECT source_id, nextval(%(records)s::regclass) AS record_id
FROM (
    SELECT source_id, min(file_row) AS first_row FROM compared WHERE record_id IS NULL GROUP BY source_id ORDER BY 2
) AS site;
ANALYZE arriving_site;
CREATE TEMP TABLE arriving ON COMMIT DROP AS
SELECT file_row, occurrence, record_id, observation_id IS NULL AS is_new,
       coalesce(observation_id, nextval(%(observations)s::regclass)) AS observation_id
FROM (
    SELECT compared.file_row, compared.occurrence, compared.observation_id,
           coalesce(compared.record_id, arriving_site.record_id) AS record_id
    FROM compared
    LEFT JOIN arriving_site ON compared.record_id IS NULL AND arriving_site.source_id = compared.source_id
    ORDER BY compared.file_row
) AS site;
ANALYZE arriving
"""

RECORDS = """
INSERT INTO labels_siterecord (id, uuid, register_id, source_id, first_edition_id)
SELECT record_id, gen_random_uuid(), %(register)s, source_id, %(edition)s FROM arriving_site ORDER BY record_id
"""

OBSERVATIONS = """
INSERT INTO labels_observation (
    id, site_record_id, first_edition_id, file_row, row_hash, occurrence, observed_on, date_precision, kind, point,
    polygon, location_method, location_precision, name, stated_region, minerals, minerals_original, legal_status,
    trade_status, legal_status_code, trade_status_code, row_flags, attributes
)
SELECT a.observation_id, a.record_id, %(edition)s, s.file_row, s.row_hash, a.occurrence, s.observed_on,
       s.date_precision, s.kind,
       coalesce(ST_SetSRID(ST_MakePoint(s.lon, s.lat), 4326), ST_PointOnSurface(s.polygon)), s.polygon,
       s.location_method, s.location_precision, s.name, s.stated_region, s.minerals, s.minerals_original,
       s.legal_status, s.trade_status, s.legal_status_code, s.trade_status_code, s.row_flags, s.attributes
FROM arriving a
JOIN {table} s ON s.file_row = a.file_row
WHERE a.is_new
ORDER BY s.file_row
"""

EDITION_ROWS = """
INSERT INTO labels_editionrow (edition_id, observation_id, file_row)
SELECT %(edition)s, observation_id, file_row FROM arriving ORDER BY file_row
"""

REFUSED_ROWS = """
INSERT INTO labels_refusedrow (edition_id, file_row, "column", value, reason)
SELECT %(edition)s, file_row, left(refused_column, 200), left(refused_value, 500), left(refused_reason, 300)
FROM {table} WHERE refused_reason IS NOT NULL ORDER BY file_row
"""


class Staging:
    """The staged rows of one import; temporary ones vanish with their transaction's end or the connection."""

    def __init__(self, name: str, *, temporary: bool = False):
        self.name = name
        self.temporary = temporary

    def _run(self, statement: str, parameters: object = None, **names: sql.Composable):
        cursor = connection.cursor()
        query = sql.SQL(statement).format(table=sql.Identifier(self.name), **names)
        cursor.execute(query, parameters)
        return cursor

    def create(self, read_as: str = "") -> None:
        """Make the table, or go on with the one that is there, unless its rows were read in another way."""
        known = self._run("SELECT obj_description(to_regclass(%s), 'pg_class')", [self.name]).fetchone()[0]
        if known not in (None, read_as):
            self.drop()
        self._run(CREATE, persistence=sql.SQL("TEMP" if self.temporary else "UNLOGGED"))
        if read_as:
            self._run("COMMENT ON TABLE {table} IS {read_as}", read_as=sql.Literal(read_as))

    def drop(self) -> None:
        self._run("DROP TABLE IF EXISTS {table}")

    def last_row(self) -> int:
        """The last file row that is already staged; 0 at the beginning."""
        return self._run("SELECT coalesce(max(file_row), 0) FROM {table}").fetchone()[0]

    def n_rows(self) -> int:
        return self._run("SELECT count(*) FROM {table}").fetchone()[0]

    def copy(self, batch: CopyLines) -> None:
        """Stage rows that the reading process made lines of. PostgreSQL checks their types, nothing else is trusted."""
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(self.name), sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
        )
        try:
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write(batch.data)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            log.warning("The reader's lines do not fit the staging table: %s", type(error).__name__)
            raise BadInput(_("The file's reader stopped: the file is damaged or needs too much memory.")) from error

    def _refuse_crossing_polygons(self) -> None:
        """Only PostGIS tells whether a polygon is whole."""
        reason = _("the polygon crosses itself or is not whole")
        self._run(CROSSING, [reason])

    def identify(self, register_id: int | None) -> None:
        """Once per transaction, after the last row: which rows are one site, and what of them the register holds."""
        self._run(MEMORY)
        self._refuse_crossing_polygons()
        self._run("ANALYZE {table} (file_row, source_id)")
        self._run("DROP TABLE IF EXISTS pg_temp.identified, pg_temp.compared, pg_temp.arriving, pg_temp.arriving_site")
        has_ids = self._run("SELECT EXISTS (SELECT FROM {table} WHERE source_id IS NOT NULL)").fetchone()[0]
        named = sql.SQL(NAMED_BY_REGISTER if has_ids else NAMED_BY_CONTENT).format(table=sql.Identifier(self.name))
        self._run(IDENTIFY, named=named)
        if (self._run("SELECT max(occurrence) FROM identified").fetchone()[0] or 0) > MAX_OCCURRENCE:
            self._run(TOO_OFTEN, [_("the very same row stands in the file too often")])
        is_first = not SiteRecord.objects.filter(register_id=register_id).exists()
        self._run(COMPARE_WITH_NOTHING if is_first else COMPARE, {"register": register_id})

    def tally(self) -> Tally:
        """What publishing these rows into the register would do; `identify` first."""
        created, updated, records = self._run(COUNT).fetchone()
        n_rows, refused, unlocated = self._run(COUNT_ROWS).fetchone()
        return Tally(created, updated, records - created - updated, refused, n_rows, unlocated)

    def publish(self, register_id: int, edition_id: int) -> None:
        """Make records, observations and rows of the edition from the staged rows; `identify` first."""
        records, observations = self._run(SEQUENCES).fetchone()
        self._run(ARRIVE, {"records": records, "observations": observations})
        parameters = {"register": register_id, "edition": edition_id}
        for statement in (RECORDS, OBSERVATIONS, EDITION_ROWS, REFUSED_ROWS):
            self._run(statement, parameters)

    def refusals(self) -> list[tuple[int, str, str, str]]:
        """(row, column, value, reason) of every refused row."""
        return self._run(
            "SELECT file_row, refused_column, refused_value, refused_reason FROM {table} "
            "WHERE refused_reason IS NOT NULL ORDER BY file_row"
        ).fetchall()


def refresh_statistics() -> None:
    """Tell the planner what an import has brought: placing follows at once, long before autovacuum looks.

    Only of the columns that tables are joined by; a sample of shapes and attributes takes seconds.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE labels_siterecord (id, register_id), labels_observation (id, site_record_id, observed_on), "
            "labels_editionrow (edition_id, observation_id), labels_edition"
        )


def batches(items: Iterable, size: int) -> Iterator[list]:
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def drop_abandoned() -> int:
    """Drop staging tables whose job is over or gone (a killed command leaves one)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT tablename FROM pg_tables
            WHERE schemaname = current_schema() AND tablename ~ '^staging_register_[0-9]+$' AND NOT EXISTS (
                SELECT FROM labels_job job WHERE job.state IN ('queued', 'running')
                AND job.id = substring(tablename FROM '[0-9]+$')::bigint
            )
            """
        )
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        Staging(name).drop()
    return len(names)
