"""Where every record lies: its current Observation, the areas that hold its reported point, and then the distance to
the nearest commercial mine. The only writer of Placement; every row can be dropped and remade."""

from collections.abc import Callable, Sequence
from functools import partial

from django.db import connection, transaction
from django.utils.translation import gettext as _

from labels.jobs import RunningJob
from labels.models import Project, Register, SiteRecord

BATCH_RECORDS = 20_000
LOCK = 7411  # advisory lock: two placements of one project take turns, batch by batch

# Records are placed in all kinds of areas but terrain, which says something of grid cells alone and may be large.
CURRENT_LAYERS = """
SELECT id FROM labels_referencelayer
WHERE project_id = %s AND retired_at IS NULL AND kind <> 'terrain' ORDER BY id
"""

# Areas cut into small parts answer "which area holds this point" quickly however long a province's border is; smaller
# parts take longer to cut and pay for themselves where many points are asked about.
MANY_RECORDS, PART_VERTICES, MANY_PART_VERTICES = 20_000, 128, 32

CUT_AREAS = """
CREATE TEMP TABLE placing_area AS
SELECT area.id, layer.kind, layer.level, area.area_km2, ST_Subdivide(area.geometry, %(part_vertices)s) AS part
FROM labels_referencearea area JOIN labels_referencelayer layer ON layer.id = area.layer_id
WHERE layer.id = ANY(%(layers)s);
CREATE INDEX ON placing_area USING gist (part);
ANALYZE placing_area
"""

# Each mine lies in a circle, and distances between points are quick: circles tell which few mines can be the nearest to
# a point, cell by cell first and then point by point, and only those are measured. A cell is an eighth as wide as mines
# are apart.
CUT_MINES = """
CREATE TEMP TABLE placing_mine AS
SELECT area.id, area.geometry::geography AS shape, circle.centre, circle.radius_m
FROM labels_referencearea area JOIN labels_referencelayer layer ON layer.id = area.layer_id
CROSS JOIN LATERAL (SELECT ST_Centroid(area.geometry)::geography AS centre) AS middle
CROSS JOIN LATERAL (
    SELECT middle.centre, max(ST_Distance(corner.geom::geography, middle.centre, false)) AS radius_m
    FROM ST_DumpPoints(area.geometry) AS corner
    GROUP BY middle.centre
) AS circle
WHERE layer.id = ANY(%(layers)s) AND layer.kind = 'commercial'
ORDER BY area.id;
CREATE INDEX ON placing_mine USING gist (centre);
CREATE TEMP TABLE placing_cell AS
SELECT greatest(0.005, least(0.25, sqrt(
    (ST_XMax(extent) - ST_XMin(extent)) * (ST_YMax(extent) - ST_YMin(extent)) / greatest(n_mines, 1)
) / 8)) AS size, largest_m
FROM (
    SELECT ST_Extent(centre::geometry) AS extent, count(*) AS n_mines, max(radius_m) AS largest_m FROM placing_mine
) AS mines;
CREATE TEMP TABLE placing_near (x integer, y integer, mine bigint, centre geography, radius_m double precision);
CREATE INDEX ON placing_near (x, y);
ANALYZE placing_mine
"""

DROP = "DROP TABLE IF EXISTS pg_temp.placing_area, pg_temp.placing_mine, pg_temp.placing_cell, pg_temp.placing_near"

# By id and never by the index on registers: each batch would read all of a large register.
FIRST = "SELECT min(id) FROM labels_siterecord WHERE register_id = ANY(%s)"

NEXT_BATCH = """
SELECT count(*), max(id) FROM (
    SELECT id FROM labels_siterecord WHERE register_id + 0 = ANY(%s) AND id > %s ORDER BY id LIMIT %s
) AS batch
"""

# Sorting by edition first keeps only the latest edition in which the record appears. Asked record by record: a join of
# whole tables depends on statistics, which a first import has just made wrong.
PLACE = """
WITH current AS MATERIALIZED (
    SELECT record.id AS site_record_id, record.register_id, latest.observation_id, latest.edition_id, latest.point,
           latest.minerals, latest.observed_year, latest.legal_status_code, latest.trade_status_code,
           latest.location_precision
    FROM labels_siterecord record
    CROSS JOIN LATERAL (
        SELECT observation.id AS observation_id, row.edition_id, observation.point,
               observation.minerals, extract(year FROM observation.observed_on)::smallint AS observed_year,
               observation.legal_status_code, observation.trade_status_code, observation.location_precision
        FROM labels_observation observation
        JOIN labels_editionrow row ON row.observation_id = observation.id
        JOIN labels_edition edition ON edition.id = row.edition_id
            AND edition.completed_at IS NOT NULL AND edition.withdrawn_at IS NULL
        WHERE observation.site_record_id = record.id
        ORDER BY edition.number DESC, observation.point IS NOT NULL DESC, observation.observed_on DESC NULLS LAST,
                 row.file_row DESC, observation.id DESC
        LIMIT 1
    ) AS latest
    WHERE record.register_id + 0 = ANY(%(registers)s) AND record.id > %(after)s AND record.id <= %(upto)s
)
INSERT INTO labels_placement AS placement (
    site_record_id, register_id, observation_id, edition_id, reported_point,
    minerals, observed_year, legal_status_code, trade_status_code, location_precision,
    admin_area_id, region_id, commercial_area_id, protected_area_id, permit_area_id, commercial_distance_m, placed_at
)
SELECT current.site_record_id, current.register_id, current.observation_id, current.edition_id, current.point,
       current.minerals, current.observed_year, current.legal_status_code, current.trade_status_code,
       current.location_precision,
       held.admin, held.region, held.commercial, held.protected, held.permit,
       CASE WHEN held.commercial IS NOT NULL THEN 0 END,
       now()
FROM current
CROSS JOIN LATERAL (
    SELECT (array_agg(id ORDER BY level DESC, area_km2, id) FILTER (WHERE kind = 'admin'))[1] AS admin,
           (array_agg(id ORDER BY area_km2, id) FILTER (WHERE kind = 'admin' AND level = 1))[1] AS region,
           (array_agg(id ORDER BY area_km2, id) FILTER (WHERE kind = 'commercial'))[1] AS commercial,
           (array_agg(id ORDER BY area_km2, id) FILTER (WHERE kind = 'protected'))[1] AS protected,
           (array_agg(id ORDER BY area_km2, id) FILTER (WHERE kind = 'permit'))[1] AS permit
    FROM placing_area WHERE ST_Intersects(part, current.point)
) AS held
ORDER BY current.site_record_id
ON CONFLICT (site_record_id) DO UPDATE SET
    observation_id = excluded.observation_id, edition_id = excluded.edition_id,
    reported_point = excluded.reported_point, minerals = excluded.minerals, observed_year = excluded.observed_year,
    legal_status_code = excluded.legal_status_code, trade_status_code = excluded.trade_status_code,
    location_precision = excluded.location_precision,
    admin_area_id = excluded.admin_area_id, region_id = excluded.region_id,
    commercial_area_id = excluded.commercial_area_id, protected_area_id = excluded.protected_area_id,
    permit_area_id = excluded.permit_area_id, placed_at = excluded.placed_at,
    -- A distance holds as long as the position; where that changed it is measured in the next stage.
    commercial_distance_m = CASE
        WHEN excluded.commercial_area_id IS NOT NULL THEN 0
        WHEN placement.commercial_area_id IS NULL AND placement.reported_point = excluded.reported_point
        THEN placement.commercial_distance_m END
WHERE (placement.observation_id, placement.edition_id, placement.admin_area_id, placement.region_id,
       placement.commercial_area_id, placement.protected_area_id, placement.permit_area_id)
    IS DISTINCT FROM
      (excluded.observation_id, excluded.edition_id, excluded.admin_area_id, excluded.region_id,
       excluded.commercial_area_id, excluded.protected_area_id, excluded.permit_area_id)
"""

# Records inside a mine are at 0 already. The sphere and the ellipsoid differ by at most 0.56 percent.
ASKED = """
CREATE TEMP TABLE placing_asked ON COMMIT DROP AS
SELECT site_record_id, reported_point::geography AS point,
       floor(ST_X(reported_point) / size)::integer AS x, floor(ST_Y(reported_point) / size)::integer AS y
FROM labels_placement, placing_cell
WHERE register_id + 0 = ANY(%(registers)s) AND site_record_id > %(after)s AND site_record_id <= %(upto)s
  AND reported_point IS NOT NULL AND commercial_area_id IS NULL
  AND (%(anew)s OR commercial_distance_m IS NULL);
ANALYZE placing_asked
"""

NEAR = """
INSERT INTO placing_near
SELECT cell.x, cell.y, mine.id, mine.centre, mine.radius_m
FROM (
    SELECT circle.*, (
        SELECT ST_Distance(centre, middle, false) + radius_m FROM placing_mine ORDER BY centre <-> middle LIMIT 1
    ) AS most_m
    FROM (
        SELECT x, y, largest_m, middle::geography AS middle,
               ST_Distance(middle::geography, ST_Translate(middle, size / 2, -sign(y) * size / 2)::geography, false)
               AS half_m
        FROM (
            SELECT x, y, size, largest_m, ST_SetSRID(ST_MakePoint((x + 0.5) * size, (y + 0.5) * size), 4326) AS middle
            FROM (SELECT DISTINCT x, y FROM placing_asked EXCEPT SELECT x, y FROM placing_near) AS new, placing_cell
        ) AS square
    ) AS circle
) AS cell
JOIN placing_mine mine
    ON ST_DWithin(mine.centre, cell.middle, 1.0113 * (cell.most_m + 2 * cell.half_m) + cell.largest_m + 1, false)
    AND ST_Distance(mine.centre, cell.middle, false) - mine.radius_m <= 1.0113 * (cell.most_m + 2 * cell.half_m) + 1;
ANALYZE placing_near
"""

CANDIDATES = """
CREATE TEMP TABLE placing_candidate ON COMMIT DROP AS
SELECT site_record_id, point, mine
FROM (
    SELECT site_record_id, point, mine, away_m - radius_m AS least_m,
           min(away_m + radius_m) OVER (PARTITION BY site_record_id) AS most_m
    FROM (
        SELECT asked.site_record_id, asked.point, near.mine, near.radius_m,
               ST_Distance(near.centre, asked.point, false) AS away_m
        FROM placing_asked asked JOIN placing_near near ON near.x = asked.x AND near.y = asked.y
    ) AS pair
) AS pair
WHERE least_m <= 1.0113 * most_m + 1
"""

# Mine by mine, so that PostGIS prepares each once and not once per record.
MEASURE = """
CREATE INDEX ON placing_candidate (mine);
ANALYZE placing_candidate;
WITH measured AS MATERIALIZED (
    SELECT candidate.site_record_id, min(candidate.ellipsoid_m) AS nearest_m
    FROM placing_mine mine
    CROSS JOIN LATERAL (
        SELECT site_record_id, ST_Distance(mine.shape, point) AS ellipsoid_m
        FROM placing_candidate WHERE placing_candidate.mine = mine.id OFFSET 0
    ) AS candidate
    GROUP BY candidate.site_record_id
)
UPDATE labels_placement placement SET commercial_distance_m = measured.nearest_m, placed_at = now()
FROM placing_asked asked LEFT JOIN measured ON measured.site_record_id = asked.site_record_id
WHERE placement.site_record_id = asked.site_record_id
  AND placement.commercial_distance_m IS DISTINCT FROM measured.nearest_m
"""

FORGET = "DROP TABLE pg_temp.placing_asked, pg_temp.placing_candidate"

# A record whose every edition was withdrawn lies nowhere.
UNPLACE = """
DELETE FROM labels_placement placement
WHERE register_id = ANY(%s) AND NOT EXISTS (
    SELECT FROM labels_observation observation
    JOIN labels_editionrow row ON row.observation_id = observation.id
    JOIN labels_edition edition ON edition.id = row.edition_id
        AND edition.completed_at IS NOT NULL AND edition.withdrawn_at IS NULL
    WHERE observation.site_record_id = placement.site_record_id
)
"""


def place_records(
    *,
    register: Register | None = None,
    project: Project | None = None,
    job: RunningJob | None = None,
    between: Callable[[], object] | None = None,
) -> int:
    """Place the records of a register, or of all registers of a project; returns how many.

    Call it after each import of a register and of areas. Areas come first, for all records; `between` is called when
    they are known, then distances are measured: of a register's new positions, or of a whole project anew. Each batch
    is its own transaction.
    """
    anew = register is None
    project = register.project if register else project
    registers = [register.pk] if register else list(project.registers.values_list("pk", flat=True))
    n_placed = _in_batches(project, registers, job, _("placing records"), _AreaStage)
    if between:
        between()
    _in_batches(project, registers, job, _("measuring distances"), partial(_DistanceStage, anew=anew))
    return n_placed


@transaction.atomic
def unplace_records(register: Register) -> int:
    """Drop the placement of the register's records that no standing edition names; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, register.project_id % 2**31])
        cursor.execute(UNPLACE, [[register.pk]])
        return cursor.rowcount


def _in_batches(project: Project, registers: list[int], job: RunningJob | None, name: str, make_stage) -> int:
    n_total = SiteRecord.objects.filter(register_id__in=registers).count()
    if job:
        job.begin(name, n_total)
    n_done, stage = 0, make_stage(project, registers, n_total)
    after = stage.begin()
    try:
        while n_done < n_total:
            n_batch, after = stage.next(after)
            if not n_batch:
                break
            n_done += n_batch
            if job:
                job.progress(n_done)
    finally:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute(DROP)
    return n_done


class _Stage:
    """A pass over the records in the order of their ids; cuts the areas anew if a layer came or went meanwhile."""

    cut = ""
    steps: Sequence[str] = ()

    def __init__(self, project: Project, registers: list[int], **parameters: object):
        self.project, self.registers, self.parameters = project, registers, parameters
        self.layers: Sequence[int] | None = None

    def begin(self) -> int:
        """The id before the first record's."""
        with connection.cursor() as cursor:
            cursor.execute(FIRST, [self.registers])
            return (cursor.fetchone()[0] or 1) - 1

    @transaction.atomic
    def next(self, after: int) -> tuple[int, int]:
        """(number, last id) of the records that were done."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, self.project.pk % 2**31])
            cursor.execute("SET LOCAL jit = off")  # compiling takes longer than a batch
            cursor.execute(CURRENT_LAYERS, [self.project.pk])
            layers = [row[0] for row in cursor.fetchall()]
            if layers != self.layers:
                cursor.execute(DROP)
                cursor.execute(self.cut, {"layers": layers} | self.parameters)
                self.layers = layers
            cursor.execute(NEXT_BATCH, [self.registers, after, BATCH_RECORDS])
            n_batch, upto = cursor.fetchone()
            if n_batch:
                asked = {"registers": self.registers, "after": after, "upto": upto}
                for step in self.steps:
                    cursor.execute(step, asked | self.parameters)
        return n_batch, upto


class _AreaStage(_Stage):
    cut, steps = CUT_AREAS, (PLACE,)

    def __init__(self, project: Project, registers: list[int], n_records: int):
        vertices = PART_VERTICES if n_records < MANY_RECORDS else MANY_PART_VERTICES
        super().__init__(project, registers, part_vertices=vertices)


class _DistanceStage(_Stage):
    cut, steps = CUT_MINES, (ASKED, NEAR, CANDIDATES, MEASURE, FORGET)

    def __init__(self, project: Project, registers: list[int], _n_records: int, *, anew: bool):
        super().__init__(project, registers, anew=anew)
