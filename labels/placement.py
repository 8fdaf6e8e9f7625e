"""Where every record lies: its current Observation, the areas that hold its reported point, and the distance to the
nearest commercial mine. The only writer of Placement; every row can be dropped and remade."""

from collections.abc import Sequence

from django.db import connection, transaction
from django.utils.translation import gettext as _

from labels import register_map
from labels.jobs import RunningJob
from labels.models import Project, Register, SiteRecord

BATCH_RECORDS = 20_000
LOCK = 7411  # advisory lock: two placements of one project take turns, batch by batch

# The index ranks mines on the sphere, the distance is then measured on the ellipsoid. The two differ by at most 0.56 %,
# so with more near ties than this in other directions the distance may be too long by that share, never more.
SHORT_LIST = 5

CURRENT_LAYERS = "SELECT id FROM labels_referencelayer WHERE project_id = %s AND retired_at IS NULL ORDER BY id"

# Areas cut into small parts answer "which area holds this point" quickly however long a province's border is.
CUT_AREAS = """
CREATE TEMP TABLE placing_area AS
SELECT area.id, layer.kind, layer.level, area.area_km2, ST_Subdivide(area.geometry, 128) AS part
FROM labels_referencearea area JOIN labels_referencelayer layer ON layer.id = area.layer_id
WHERE layer.id = ANY(%s);
CREATE INDEX ON placing_area USING gist (part);
CREATE TEMP TABLE placing_mine AS
SELECT area.geometry::geography AS shape
FROM labels_referencearea area JOIN labels_referencelayer layer ON layer.id = area.layer_id
WHERE layer.id = ANY(%s) AND layer.kind = 'commercial';
CREATE INDEX ON placing_mine USING gist (shape);
ANALYZE placing_area;
ANALYZE placing_mine
"""

DROP_CUT_AREAS = "DROP TABLE IF EXISTS pg_temp.placing_area, pg_temp.placing_mine"

NEXT_BATCH = """
SELECT count(*), max(id) FROM (
    SELECT id FROM labels_siterecord WHERE register_id = ANY(%s) AND id > %s ORDER BY id LIMIT %s
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
    WHERE record.register_id = ANY(%(registers)s) AND record.id > %(after)s AND record.id <= %(upto)s
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
       CASE WHEN held.commercial IS NULL THEN near.nearest_m
            WHEN current.point IS NOT NULL THEN 0 END,
       now()
FROM current
CROSS JOIN LATERAL (
    SELECT (array_agg(id ORDER BY level DESC, area_km2, id) FILTER (WHERE kind = 'admin'))[1] AS admin,
           (array_agg(id ORDER BY area_km2, id) FILTER (WHERE kind = 'admin' AND level = 1))[1] AS region,
           (array_agg(id ORDER BY area_km2, id) FILTER (WHERE kind = 'commercial'))[1] AS commercial,
           (array_agg(id ORDER BY area_km2, id) FILTER (WHERE kind = 'protected'))[1] AS protected,
           (array_agg(id ORDER BY area_km2, id) FILTER (WHERE kind = 'permit'))[1] AS permit
    FROM placing_area WHERE ST_Covers(part, current.point)
) AS held
CROSS JOIN LATERAL (
    SELECT min(ellipsoid_m) AS nearest_m FROM (
        SELECT ST_Distance(shape, current.point::geography) AS ellipsoid_m
        FROM placing_mine WHERE current.point IS NOT NULL
        ORDER BY shape <-> current.point::geography LIMIT %(short_list)s
    ) AS candidate
) AS near
ORDER BY current.site_record_id
ON CONFLICT (site_record_id) DO UPDATE SET
    observation_id = excluded.observation_id, edition_id = excluded.edition_id,
    reported_point = excluded.reported_point, minerals = excluded.minerals, observed_year = excluded.observed_year,
    legal_status_code = excluded.legal_status_code, trade_status_code = excluded.trade_status_code,
    location_precision = excluded.location_precision,
    admin_area_id = excluded.admin_area_id, region_id = excluded.region_id,
    commercial_area_id = excluded.commercial_area_id, protected_area_id = excluded.protected_area_id,
    permit_area_id = excluded.permit_area_id, commercial_distance_m = excluded.commercial_distance_m,
    placed_at = excluded.placed_at
WHERE (placement.observation_id, placement.edition_id, placement.admin_area_id, placement.region_id,
       placement.commercial_area_id, placement.protected_area_id, placement.permit_area_id,
       placement.commercial_distance_m)
    IS DISTINCT FROM
      (excluded.observation_id, excluded.edition_id, excluded.admin_area_id, excluded.region_id,
       excluded.commercial_area_id, excluded.protected_area_id, excluded.permit_area_id, excluded.commercial_distance_m)
"""

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
    *, register: Register | None = None, project: Project | None = None, job: RunningJob | None = None
) -> int:
    """Place the records of a register, or of all registers of a project; returns how many.

    Call it after each import of a register and of areas. Each batch is its own transaction.
    """
    project = register.project if register else project
    registers = [register.pk] if register else list(project.registers.values_list("pk", flat=True))
    n_total = SiteRecord.objects.filter(register_id__in=registers).count()
    if job:
        job.begin(_("placing records"), n_total)
    n_placed, after, layers = 0, 0, None
    try:
        while n_placed < n_total:
            n_batch, after, layers = _place_batch(project, registers, after, layers)
            if not n_batch:
                break
            n_placed += n_batch
            if job:
                job.progress(n_placed)
    finally:
        if layers is not None:
            _drop_cut_areas()
    register_map.remake(registers)
    return n_placed


@transaction.atomic
def _place_batch(project: Project, registers: list[int], after: int, cut: Sequence[int] | None) -> tuple:
    """Place the next records by id; cuts the areas anew if a layer came or was retired meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, project.pk % 2**31])
        cursor.execute(CURRENT_LAYERS, [project.pk])
        layers = [row[0] for row in cursor.fetchall()]
        if layers != cut:
            cursor.execute(DROP_CUT_AREAS)
            cursor.execute(CUT_AREAS, [layers, layers])
        cursor.execute(NEXT_BATCH, [registers, after, BATCH_RECORDS])
        n_batch, upto = cursor.fetchone()
        if n_batch:
            cursor.execute(PLACE, {"registers": registers, "after": after, "upto": upto, "short_list": SHORT_LIST})
    return n_batch, upto, layers


def _drop_cut_areas() -> None:
    if not connection.needs_rollback:
        with connection.cursor() as cursor:
            cursor.execute(DROP_CUT_AREAS)
