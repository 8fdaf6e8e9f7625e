"""The rules: each a statement that finds the records of one flag among the tables of labels.flags.surroundings.

It gives (record, register, detail); the sentence of a flag is made of its detail. No detail holds a coordinate.
"""

from labels.flags import codes

# What the statements name as parameters.
THRESHOLDS = {
    # Metres from the stated region within which a mismatch may be the border's and not the point's.
    "near_border_m": 5000,
    "centre_m": 100,
    # Register-level evidence of minutes read as decimals. By chance 36 % of positions have both fractions below .60,
    # and whole clumps do: so squares of 0.1 degrees count once each, and several whole degrees must be among them.
    "least_squares": 20,
    "least_degrees": 4,
    "least_share": 0.95,
    # A register that mostly states names nobody knows states another kind of area.
    "least_known": 0.5,
}

ZERO = """
SELECT id, register_id, '{}'::jsonb FROM doubt_record WHERE 'zero_position' = ANY(row_flags)
"""

OUTSIDE = """
SELECT astray.id, register_id, jsonb_build_object('nearest', area.name, 'outside_m', round(outside_m))
FROM doubt_astray astray JOIN doubt_area area ON area.id = astray.nearest_id
WHERE is_outside
"""

# From outside the country, landing in it is enough: the exchange moves a point far.
AXES = """
SELECT id, register_id,
       jsonb_build_object('lands_in', CASE WHEN in_stated THEN 'region' ELSE 'country' END, 'stated', stated)
FROM doubt_astray JOIN doubt_variant variant USING (id)
WHERE variant.kind = 'axes' AND (in_stated OR is_outside)
"""

# Near a border and the equator, turning a sign round crosses the border by chance.
SIGN = """
SELECT DISTINCT ON (id) id, register_id,
       jsonb_build_object('sign', variant.kind, 'lands_in', CASE WHEN in_stated THEN 'region' ELSE 'country' END,
                          'stated', stated)
FROM doubt_astray JOIN doubt_variant variant USING (id)
WHERE variant.kind IN ('latitude', 'longitude', 'both') AND (in_stated OR is_outside)
  AND coalesce(stated_m, outside_m) > %(near_border_m)s
ORDER BY id, in_stated DESC, variant.kind = 'both', variant.kind
"""

# Steps from coarse to fine: a position is said to lie on the coarsest lattice that holds it. Decimal steps are
# published exactly. Minutes are not: the tolerance is half a unit of the last decimal where there are four or five.
LATTICE = """
SELECT record.id, record.register_id, found.detail
FROM doubt_record record
CROSS JOIN LATERAL (SELECT
    CASE WHEN abs(lon - round(lon * 1e4) / 1e4) < 1e-9 THEN 5.1e-5
         WHEN abs(lon - round(lon * 1e5) / 1e5) < 1e-9 THEN 5.1e-6 ELSE 1e-6 END AS lon_deg,
    CASE WHEN abs(lat - round(lat * 1e4) / 1e4) < 1e-9 THEN 5.1e-5
         WHEN abs(lat - round(lat * 1e5) / 1e5) < 1e-9 THEN 5.1e-6 ELSE 1e-6 END AS lat_deg
) AS tolerance
CROSS JOIN LATERAL (
    SELECT detail FROM (VALUES
        (1, '{"step_deg": 1}'::jsonb, 1.0::float8, false), (2, '{"step_deg": 0.5}', 0.5, false),
        (3, '{"step_min": 15}', 0.25, false), (4, '{"step_min": 10}', 1 / 6.0, true),
        (5, '{"step_deg": 0.1}', 0.1, false), (6, '{"step_min": 5}', 1 / 12.0, true),
        (7, '{"step_deg": 0.05}', 0.05, false), (8, '{"step_deg": 0.02}', 0.02, false),
        (9, '{"step_min": 1}', 1 / 60.0, true), (10, '{"step_deg": 0.01}', 0.01, false)
    ) AS step(rank, detail, deg, is_minutes)
    WHERE abs(lon - round(lon / deg) * deg) <= CASE WHEN is_minutes THEN lon_deg ELSE 1e-6 END
      AND abs(lat - round(lat / deg) * deg) <= CASE WHEN is_minutes THEN lat_deg ELSE 1e-6 END
    ORDER BY rank LIMIT 1
) AS found
WHERE (abs(lon * 60 - round(lon * 60)) <= 3.1e-3 AND abs(lat * 60 - round(lat * 60)) <= 3.1e-3)
   OR (abs(lon * 100 - round(lon * 100)) <= 1.1e-4 AND abs(lat * 100 - round(lat * 100)) <= 1.1e-4)
"""

MINUTES = """
WITH square AS (
    SELECT register_id, trunc(lon * 10) AS across, trunc(lat * 10) AS up, bool_and(is_below_sixty) AS is_below,
           count(*) AS n
    FROM doubt_record WHERE has_decimals GROUP BY 1, 2, 3
), evident AS (
    SELECT register_id, sum(n) AS n_records FROM square GROUP BY 1
    HAVING count(*) >= %(least_squares)s AND avg(is_below::int) >= %(least_share)s
       AND sum(n) FILTER (WHERE is_below) >= %(least_share)s * sum(n)
       AND count(DISTINCT (trunc(across / 10), trunc(up / 10))) >= %(least_degrees)s
       AND trunc(max(across) / 10) > trunc(min(across) / 10) AND trunc(max(up) / 10) > trunc(min(up) / 10)
)
SELECT id, register_id, jsonb_build_object('n_records', n_records)
FROM doubt_record JOIN evident USING (register_id)
WHERE has_decimals AND is_below_sixty
UNION ALL
SELECT id, register_id, jsonb_build_object('stated', stated)
FROM doubt_astray JOIN doubt_variant variant USING (id)
WHERE variant.kind = 'minutes' AND in_stated AND stated_m > %(near_border_m)s AND has_decimals AND is_below_sixty
  AND register_id NOT IN (SELECT register_id FROM evident)
"""

# Few centres, many records: in squares of 0.01 degrees they meet in one pass, and no index of the records is needed.
CENTROID = """
SELECT DISTINCT ON (record.id) record.id, record.register_id, jsonb_build_object('area', centre.name)
FROM (
    SELECT doubt_area.name, level, centre.point,
           floor(ST_X(centre.point) * 100) + step_x.x AS x, floor(ST_Y(centre.point) * 100) + step_y.y AS y
    FROM doubt_area JOIN labels_referencearea area USING (id)
    CROSS JOIN LATERAL (VALUES (ST_Centroid(geometry)), (ST_PointOnSurface(geometry))) AS centre(point)
    CROSS JOIN (VALUES (-1), (0), (1)) AS step_x(x) CROSS JOIN (VALUES (-1), (0), (1)) AS step_y(y)
) AS centre
JOIN doubt_record record ON floor(record.lon * 100) = centre.x AND floor(record.lat * 100) = centre.y
WHERE ST_Distance(record.point::geography, centre.point::geography) <= %(centre_m)s
ORDER BY record.id, centre.level DESC, centre.name
"""

# A stated name that nobody knows counts where another column of the row names the region it lies in: that column and
# the stated one are swapped. Two known names that differ are no swap, they contradict each other. Cells are folded one
# by one only where the region's longest word stands somewhere in the row.
UNLIKE = """
WITH telling AS (
    SELECT register_id FROM doubt_word GROUP BY 1
    HAVING sum(n) FILTER (WHERE areas IS NOT NULL) >= %(least_known)s * sum(n)
), region AS (
    SELECT id, name, folded, (
        SELECT word FROM regexp_split_to_table(folded, ' ') AS word ORDER BY length(word) DESC LIMIT 1
    ) AS longest FROM doubt_area
)
SELECT astray.id, register_id, jsonb_build_object(
    'stated', stated, 'lies_in', area.name, 'stated_m', round(stated_m),
    'split', CASE WHEN stated_m <= %(near_border_m)s THEN 'near_border' ELSE 'further' END
)
FROM doubt_astray astray
JOIN doubt_area area ON area.id = CASE WHEN astray.level = 1 OR admin_area_id IS NULL
    THEN coalesce(region_id, admin_area_id) ELSE admin_area_id END
WHERE NOT is_outside
UNION ALL
SELECT record.id, register_id, jsonb_build_object(
    'stated', stated, 'lies_in', region.name, 'split', 'swapped_columns'
)
FROM doubt_record record
JOIN doubt_word USING (register_id, stated) JOIN telling USING (register_id)
JOIN region ON region.id = coalesce(record.region_id, record.admin_area_id)
JOIN doubt_row AS cells ON cells.id = record.observation_id
WHERE areas IS NULL AND CASE WHEN strpos(lower(public.unaccent(cells.attributes::text)), region.longest) > 0
    THEN EXISTS (
        SELECT FROM jsonb_each_text(cells.attributes) AS cell(key, said)
        WHERE length(said) <= 300 AND labels_folded(said) = region.folded
    ) ELSE false END
"""

UNKNOWN = """
SELECT id, register_id, jsonb_strip_nulls(jsonb_build_object('stated', stated, 'old_layer', old_layer))
FROM doubt_record JOIN doubt_word USING (register_id, stated)
WHERE areas IS NULL AND EXISTS (SELECT FROM doubt_area)
"""

REPEATED_ID = """
SELECT site_record_id, record.register_id, jsonb_build_object(
    'n_rows', count(*) + count(DISTINCT coalesce(observed_on, '-infinity'))
)
FROM doubt_repeated JOIN doubt_record record ON record.id = site_record_id
GROUP BY 1, 2
"""

RULES = {
    codes.ZERO_POSITION: ZERO,
    codes.OUTSIDE_COUNTRY: OUTSIDE,
    codes.AXES_SWAPPED: AXES,
    codes.SIGN_LOST: SIGN,
    codes.LATTICE: LATTICE,
    codes.MINUTES_AS_DECIMALS: MINUTES,
    codes.ON_CENTROID: CENTROID,
    codes.REGION_UNLIKE: UNLIKE,
    codes.REGION_UNKNOWN: UNKNOWN,
    codes.REPEATED_ID: REPEATED_ID,
}
