"""What staged rows would bring, found out before anything is stored: doubts by row, and a map of their positions.

Duplicates are looked for when the records are there.
"""

from dataclasses import dataclass, field

from django.db import connection
from psycopg import sql

from labels import flags
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
from labels.models import Register

# Nothing is fetched when this map is moved: squares are drawn once, large enough to read.
SHOWN_SQUARES = 350

PLACES = """
DROP TABLE IF EXISTS pg_temp.trial_place;
CREATE TEMP TABLE trial_place ON COMMIT DROP AS
SELECT name,
       coalesce(ST_SetSRID(ST_MakePoint(lon, lat), 4326), ST_PointOnSurface(polygon)) AS point
FROM {table} WHERE refused_reason IS NULL AND (lon IS NOT NULL OR polygon IS NOT NULL)
"""

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
    # GeoJSON as labels.register_map draws it, and west, south, east, north.
    features: dict = field(default_factory=dict)
    bounds: list[float] | None = None


def of_rows(table: str, register: Register) -> Trial:
    """Inside the transaction that staged the rows: nothing of it stays."""
    trial = Trial(
        flags=flags.preview_flags(table, project=register.project, register=register),
        has_areas=flags.can_tell_outside(register.project),
    )
    staged = sql.Identifier(table)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(PLACES).format(table=staged))
        cursor.execute(sql.SQL(JANUARY).format(table=staged))
        trial.n_january_first = cursor.fetchone()[0]
        trial.bounds, trial.features = _drawn(cursor)
    return trial


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
