"""A register on a map: points where few are in view, else squares with their counts, never more than a line can carry.

The globe is cut into squares of 360°/2^level. A placed record knows its square of the finest level, so that a coarser
one is a shift of bits. Of three levels the counts are kept (MapCell), of all records and of those that one filter asks
for: they answer a view of a country or a province at any length of the register. Nearer views, and those of several
filters, count the placed records themselves.
"""

from collections.abc import Sequence

from django.contrib.gis.geos import Polygon
from django.db import connection, transaction
from django.db.models import Aggregate, Count, F, Max, Min, QuerySet, Sum

from labels.map_squares import (
    FINEST,
    MAX_BYTES,
    MAX_POINTS,
    NAME_LENGTH,
    POINT_DECIMALS,
    Squares,
    View,
    collection,
    feature,
    squares_collection,
    text_of,
)
from labels.models import MapCell, Placement, Register
from labels.register_filters import YES, Filters, matching

# Kept of all records and of those that one filter asks for; the finest of all records only.
COARSE_LEVEL, MIDDLE_LEVEL, FINE_LEVEL = 8, 11, 13
FACETS = frozenset(
    (
        *("region", "mineral", "year", "legal_status", "trade_status", "location", "edition", "protected"),
        *("commercial", "flag", "split"),
    )
)
# Of the area in which a register lies: views of more are counted faster without the index of positions.
WIDE = 0.25
LOCK = 7413  # advisory lock: one counting of a register at a time

# One pass over the records: the squares of all of them, and those of each value that an address may filter by.
COUNT_FACETS = """
INSERT INTO labels_mapcell (register_id, level, facet, x, y, n)
SELECT %(register)s, %(level)s,
       CASE WHEN GROUPING(region_id) = 0 THEN 'region=' || coalesce(region_id::text, 'none')
            WHEN GROUPING(observed_year) = 0 THEN 'year=' || coalesce(observed_year::text, 'none')
            WHEN GROUPING(legal_status_code) = 0 THEN 'legal_status=' || legal_status_code
            WHEN GROUPING(trade_status_code) = 0 THEN 'trade_status=' || trade_status_code
            WHEN GROUPING(location_precision) = 0 THEN 'location=' || location_precision
            WHEN GROUPING(is_latest) = 0 THEN 'edition=' || CASE WHEN is_latest THEN 'latest' ELSE 'missing' END
            WHEN GROUPING(is_protected) = 0 THEN 'protected=' || CASE WHEN is_protected THEN 'yes' ELSE 'no' END
            WHEN GROUPING(is_commercial) = 0 THEN 'commercial=' || CASE WHEN is_commercial THEN 'yes' ELSE 'no' END
            ELSE '' END,
       x, y, count(*)
FROM (
    SELECT map_x >> %(shift)s AS x, map_y >> %(shift)s AS y, region_id, observed_year, legal_status_code,
           trade_status_code, location_precision, coalesce(edition_id = %(latest)s, false) AS is_latest,
           protected_area_id IS NOT NULL AS is_protected, commercial_area_id IS NOT NULL AS is_commercial
    FROM labels_placement WHERE register_id = %(register)s AND reported_point IS NOT NULL
) AS placed
GROUP BY GROUPING SETS (
    (x, y), (x, y, region_id), (x, y, observed_year), (x, y, legal_status_code), (x, y, trade_status_code),
    (x, y, location_precision), (x, y, is_latest), (x, y, is_protected), (x, y, is_commercial)
)
"""

COUNT_MINERALS = """
INSERT INTO labels_mapcell (register_id, level, facet, x, y, n)
SELECT register_id, %(level)s, 'mineral=' || mineral, map_x >> %(shift)s, map_y >> %(shift)s, count(*)
FROM labels_placement
CROSS JOIN LATERAL unnest(CASE WHEN minerals = '{}' THEN ARRAY['none'] ELSE minerals END) AS named (mineral)
WHERE register_id = %(register)s AND reported_point IS NOT NULL GROUP BY register_id, mineral, 4, 5
"""

COUNT_FLAGS = """
INSERT INTO labels_mapcell (register_id, level, facet, x, y, n)
SELECT %(register)s, %(level)s, named.facet, map_x >> %(shift)s, map_y >> %(shift)s, count(*)
FROM labels_recordflag flag
JOIN labels_placement placement ON placement.site_record_id = flag.site_record_id
CROSS JOIN LATERAL (VALUES ('flag=' || flag.code), ('split=' || (flag.detail ->> 'split'))) AS named (facet)
WHERE flag.register_id = %(register)s AND reported_point IS NOT NULL AND named.facet IS NOT NULL GROUP BY 3, 4, 5
"""

COUNT_FINE = """
INSERT INTO labels_mapcell (register_id, level, facet, x, y, n)
SELECT register_id, %(level)s, '', map_x >> %(shift)s, map_y >> %(shift)s, count(*)
FROM labels_placement WHERE register_id = %(register)s AND reported_point IS NOT NULL GROUP BY register_id, 4, 5
"""

COUNT_COARSE = """
INSERT INTO labels_mapcell (register_id, level, facet, x, y, n)
SELECT register_id, %(level)s, facet, x >> %(shift)s, y >> %(shift)s, sum(n)
FROM labels_mapcell WHERE register_id = %(register)s AND level = %(finer)s GROUP BY register_id, facet, 4, 5
"""


def remake(registers: Sequence[int]) -> None:
    """Count the squares of these registers anew, each register in one transaction: a map sees the old or the new.

    Call it after every placing of records. A million take some ten seconds, most of them for the facets.
    """
    for register in Register.objects.filter(pk__in=registers):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, register.pk % 2**31])
            cursor.execute("SET LOCAL work_mem = '64MB'")
            cursor.execute("DELETE FROM labels_mapcell WHERE register_id = %s", [register.pk])
            _count(cursor, register)


def _count(cursor, register: Register) -> None:
    latest = register.latest_edition()
    of_register = {"register": register.pk, "latest": latest.pk if latest else None}
    middle = of_register | {"level": MIDDLE_LEVEL, "shift": FINEST - MIDDLE_LEVEL}
    cursor.execute(COUNT_FACETS, middle)
    cursor.execute(COUNT_MINERALS, middle)
    cursor.execute(COUNT_FLAGS, middle)
    coarser = {"level": COARSE_LEVEL, "finer": MIDDLE_LEVEL, "shift": MIDDLE_LEVEL - COARSE_LEVEL}
    cursor.execute(COUNT_COARSE, of_register | coarser)
    cursor.execute(COUNT_FINE, of_register | {"level": FINE_LEVEL, "shift": FINEST - FINE_LEVEL})


def features_in(register: Register, filters: Filters, view: View) -> str:
    """The view as GeoJSON text: its records as points where they are few, else squares as points with `n` records.

    `square_deg` is the side of a square, 0 where the features are records; `n` is how many are shown in all.
    """
    level = view.level
    squares = view.squares(level)
    counted = _kept_counts(register, filters, squares)
    if counted is None or sum(n for _x, _y, n in counted) <= MAX_POINTS:
        points = _points(matching(register, filters), view)
        if points is not None:
            return points
    return text_of(squares_collection(counted or _counts(register, matching(register, filters), squares), level))


def _kept_counts(register: Register, filters: Filters, squares: Squares) -> list[tuple[int, int, int]] | None:
    """(x, y, n) from the counts that are kept; None where these filters or such fine squares are not among them."""
    facet = _facet(filters)
    levels = (COARSE_LEVEL, MIDDLE_LEVEL) if facet else (COARSE_LEVEL, MIDDLE_LEVEL, FINE_LEVEL)
    kept = next((level for level in levels if level >= squares.level), None)
    if kept is None or facet is None:
        return None
    wanted = squares.at(kept)
    cells = MapCell.objects.filter(
        register=register,
        facet=facet,
        level=kept,
        x__range=(wanted.west, wanted.east),
        y__range=(wanted.south, wanted.north),
    )
    return _grouped(cells, F("x"), F("y"), kept - squares.level, Sum("n"))


def _facet(filters: Filters) -> str | None:
    """The name under which counts of these filters are kept; None if they are not."""
    asked = {name: value for name, value in filters.asked.items() if (name, value) != ("position", YES)}
    if not asked:
        return ""
    ((name, value), *others) = asked.items()
    return f"{name}={value}" if name in FACETS and not others else None


def _counts(register: Register, records: QuerySet[Placement], squares: Squares) -> list[tuple[int, int, int]]:
    wanted = squares.at(FINEST)
    within = records.filter(
        reported_point__isnull=False,
        map_x__range=(wanted.west, wanted.east),
        map_y__range=(wanted.south, wanted.north),
    )
    if not _is_wide(register, squares):
        # For the index; a point on an edge is told by its square.
        within = within.filter(reported_point__bboverlaps=_box(*squares.ends))
    return _grouped(within, F("map_x"), F("map_y"), FINEST - squares.level, Count("pk"))


def _is_wide(register: Register, squares: Squares) -> bool:
    """Whether the view holds much of where the register lies."""
    kept = MapCell.objects.filter(register=register, facet="", level=COARSE_LEVEL)
    bounds = _bounds(kept.aggregate(**_ends("x", "y")), COARSE_LEVEL)
    if bounds is None:
        return False
    west, south, east, north = squares.ends
    width = max(0.0, min(east, bounds[2]) - max(west, bounds[0]))
    height = max(0.0, min(north, bounds[3]) - max(south, bounds[1]))
    return width * height >= WIDE * (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])


def _box(*ends: float) -> Polygon:
    box = Polygon.from_bbox(ends)
    box.srid = 4326
    return box


def _grouped(rows: QuerySet, x: F, y: F, shift: int, n: Aggregate) -> list[tuple[int, int, int]]:
    counted = rows.order_by().values(cell_x=x.bitrightshift(shift), cell_y=y.bitrightshift(shift)).annotate(count=n)
    return list(counted.values_list("cell_x", "cell_y", "count"))


def _points(records: QuerySet[Placement], view: View) -> str | None:
    """The records in view, or None where there are too many for points."""
    box = _box(view.west, view.south, view.east, view.north)
    few = records.filter(reported_point__bboverlaps=box).values("pk")[: MAX_POINTS + 1]
    ids = [row["pk"] for row in few]
    if len(ids) > MAX_POINTS:
        return None
    rows = Placement.objects.filter(pk__in=ids).values_list(
        "site_record__uuid", "observation__name", "site_record__source_id", "reported_point"
    )
    features = [_point(uuid, name or source_id, point) for uuid, name, source_id, point in rows]
    text = text_of(collection(features, len(features), 0))
    return text if len(text.encode()) <= MAX_BYTES else text_of(collection(_nameless(features), len(features), 0))


def _point(uuid, name: str, point) -> dict:
    where = [round(point.x, POINT_DECIMALS), round(point.y, POINT_DECIMALS)]
    return feature(where, {"id": str(uuid), "name": name[:NAME_LENGTH]})


def _nameless(features: list[dict]) -> list[dict]:
    """The same records without their names, where those are too long for the line."""
    return [each | {"properties": {"id": each["properties"]["id"]}} for each in features]


def extent(register: Register, filters: Filters) -> tuple[int, list[float] | None]:
    """How many records are asked for, and the bounds of those that lie somewhere."""
    if not filters.asked:
        return register.placements.count(), bounds_of(register)
    found = matching(register, filters).aggregate(n=Count("pk"), **_ends("map_x", "map_y"))
    return found["n"], _bounds(found, FINEST)


def bounds_of(register: Register) -> list[float] | None:
    """West, south, east and north of the register's squares, or None where it has none."""
    kept = MapCell.objects.filter(register=register, facet="", level=FINE_LEVEL)
    return _bounds(kept.aggregate(**_ends("x", "y")), FINE_LEVEL)


def _ends(x: str, y: str) -> dict[str, Aggregate]:
    return {"west": Min(x), "south": Min(y), "east": Max(x), "north": Max(y)}


def _bounds(ends: dict[str, int | None], level: int) -> list[float] | None:
    if ends["west"] is None:
        return None
    squares = Squares(level, ends["west"], ends["south"], ends["east"], ends["north"])
    return [round(end, 4) for end in squares.ends]
