"""What staged rows would bring, found out before anything is stored: doubts by row, and a map of their positions.

The doubts bear the codes of labels.flags; what only a whole register tells (duplicates, columns swapped) comes with the
import.
"""

import json
from dataclasses import dataclass, field

from django.db import connection
from psycopg import sql

from labels.ingest.meanings import REGION
from labels.map_squares import (
    MAX_POINTS,
    MAX_ZOOM,
    NAME_LENGTH,
    POINT_DECIMALS,
    View,
    collection,
    feature,
    squares_collection,
)
from labels.models import ReferenceLayer, Register
from labels.models.areas import AreaKind

try:
    from labels.flags import preview_flags
except ImportError:  # the flags come by themselves
    preview_flags = None

# Positions that states or provinces are asked about; of a longer file every so-manieth.
MAX_ASKED = 50_000
# Nothing is fetched when this map is moved: squares are drawn once, large enough to read.
SHOWN_SQUARES = 350

PLACES = """
DROP TABLE IF EXISTS pg_temp.trial_place, pg_temp.trial_area;
CREATE TEMP TABLE trial_place ON COMMIT DROP AS
SELECT file_row, trim(stated_region) AS stated, name,
       coalesce(ST_SetSRID(ST_MakePoint(lon, lat), 4326), ST_PointOnSurface(polygon)) AS point
FROM {table} WHERE refused_reason IS NULL AND (lon IS NOT NULL OR polygon IS NOT NULL)
"""

AREAS = """
CREATE TEMP TABLE trial_area ON COMMIT DROP AS
SELECT labels_folded(area.name) AS name, ST_Subdivide(area.geometry, 128) AS part
FROM labels_referencearea area JOIN labels_referencelayer layer ON layer.id = area.layer_id
WHERE layer.project_id = %s AND layer.kind = 'admin' AND layer.retired_at IS NULL;
CREATE INDEX ON trial_area USING gist (part);
ANALYZE trial_area
"""

ROW_FLAGS = "SELECT code, count(*) FROM {table}, unnest(row_flags) AS code WHERE refused_reason IS NULL GROUP BY code"

# Both coordinates are multiples of a hundredth of a degree, or of a minute.
LATTICE = """
SELECT count(*) FROM trial_place
CROSS JOIN LATERAL (SELECT ST_X(point) AS x, ST_Y(point) AS y) AS degrees
WHERE (abs(x * 100 - round(x * 100)) < 1e-6 AND abs(y * 100 - round(y * 100)) < 1e-6)
   OR (abs(x * 60 - round(x * 60)) < 1e-6 AND abs(y * 60 - round(y * 60)) < 1e-6)
"""

SURROUNDINGS = """
WITH placed AS MATERIALIZED (
    SELECT place.*, EXISTS (SELECT FROM trial_area WHERE ST_Covers(part, place.point)) AS is_inside,
           labels_folded(coalesce(%(own)s::jsonb ->> stated, stated)) AS region
    FROM trial_place place WHERE file_row %% %(every)s = 0
), told AS MATERIALIZED (
    SELECT placed.*, nullif(region, '') IS NOT NULL AND EXISTS (SELECT FROM trial_area WHERE name = region) AS is_known,
           EXISTS (SELECT FROM trial_area WHERE name = region AND ST_Covers(part, point)) AS is_there
    FROM placed
)
SELECT count(*) FILTER (WHERE NOT is_inside),
       count(*) FILTER (WHERE NOT is_inside AND abs(ST_X(point)) <= 90 AND EXISTS (
           SELECT FROM trial_area
           WHERE (NOT is_known OR name = region) AND ST_Covers(part, ST_FlipCoordinates(point)))),
       count(*) FILTER (WHERE NOT is_inside AND EXISTS (
           SELECT FROM trial_area WHERE (NOT is_known OR name = region)
               AND (ST_Covers(part, ST_Scale(point, 1, -1)) OR ST_Covers(part, ST_Scale(point, -1, 1))))),
       count(*) FILTER (WHERE is_inside AND is_known AND NOT is_there),
       count(*) FILTER (WHERE region <> '' AND NOT is_known)
FROM told
"""
SURROUNDING_CODES = ("outside_country", "axes_swapped", "sign_lost", "region_unlike", "region_unknown")

EXTENT = """
SELECT ST_XMin(box), ST_YMin(box), ST_XMax(box), ST_YMax(box), n
FROM (SELECT ST_Extent(point) AS box, count(*) AS n FROM trial_place) AS extent
"""

SQUARES = """
SELECT floor((ST_X(point) + 180) * %(per_degree)s)::integer, floor((ST_Y(point) + 90) * %(per_degree)s)::integer,
       count(*)
FROM trial_place GROUP BY 1, 2
"""

JANUARY = """
SELECT count(*) FROM {table} WHERE date_precision = 'day'
    AND extract(month FROM observed_on) = 1 AND extract(day FROM observed_on) = 1
"""


@dataclass
class Trial:
    # Code of labels.flags -> rows.
    flags: dict[str, int] = field(default_factory=dict)
    # Rows dated 1 January to the day: often a year is meant.
    n_january_first: int = 0
    # Whether admin areas are loaded: without them nothing is known of a country's border.
    has_areas: bool = False
    # Every so-manieth row was asked where it lies.
    every: int = 1
    # GeoJSON as labels.register_map draws it, and west, south, east, north.
    features: dict = field(default_factory=dict)
    bounds: list[float] | None = None


def of_rows(name: str, register: Register) -> Trial:
    """Of a staging table, inside the transaction that staged its rows: nothing stays."""
    trial, table = Trial(), sql.Identifier(name)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(PLACES).format(table=table))
        cursor.execute(sql.SQL(JANUARY).format(table=table))
        trial.n_january_first = cursor.fetchone()[0]
        trial.has_areas = _has_areas(register)
        if preview_flags:
            trial.flags = preview_flags(name, project=register.project, register=register)
        else:
            _ask_rules(cursor, table, trial, register)
        trial.bounds, trial.features = _drawn(cursor)
    trial.flags = {code: n for code, n in trial.flags.items() if n}
    return trial


def _has_areas(register: Register) -> bool:
    current = ReferenceLayer.objects.filter(project=register.project_id, kind=AreaKind.ADMIN, retired_at=None)
    return current.exists()


def _ask_rules(cursor, table: sql.Composable, trial: Trial, register: Register) -> None:
    """The plain rules, where the package of flags is not there."""
    cursor.execute(sql.SQL(ROW_FLAGS).format(table=table))
    trial.flags |= dict(cursor.fetchall())
    cursor.execute(LATTICE)
    trial.flags["lattice"] = cursor.fetchone()[0]
    if trial.has_areas:
        cursor.execute(AREAS, [register.project_id])
        cursor.execute("SELECT count(*) FROM trial_place")
        trial.every = 1 + cursor.fetchone()[0] // MAX_ASKED
        own = json.dumps(register.value_mapping.get(REGION, {}))
        cursor.execute(SURROUNDINGS, {"own": own, "every": trial.every})
        trial.flags |= {code: n * trial.every for code, n in zip(SURROUNDING_CODES, cursor.fetchone(), strict=True)}


def _drawn(cursor) -> tuple[list[float] | None, dict]:
    """The bounds of the rows' positions, and the rows on them: points, or squares where they are many."""
    cursor.execute(EXTENT)
    *ends, n = cursor.fetchone()
    if not n:
        return None, collection([], 0, 0)
    if n > MAX_POINTS:
        level = View(*ends, zoom=MAX_ZOOM).level_of(SHOWN_SQUARES)
        cursor.execute(SQUARES, {"per_degree": 2**level / 360})
        return ends, squares_collection(cursor.fetchall(), level)
    cursor.execute("SELECT ST_X(point), ST_Y(point), name FROM trial_place")
    points = [
        feature([round(x, POINT_DECIMALS), round(y, POINT_DECIMALS)], {"name": name[:NAME_LENGTH]})
        for x, y, name in cursor.fetchall()
    ]
    return ends, collection(points, n, 0)
