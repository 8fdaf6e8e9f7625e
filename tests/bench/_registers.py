"""A register of a million generated records, made by SQL: what maps and lists are measured on."""

from django.db import connection

from labels import register_map
from labels.models import Project, ReferenceArea, ReferenceLayer, Register
from tests.factories import make_edition, make_project, make_register, square

WEST, SOUTH, SIDE = 20.0, -10.0, 10.0
PROVINCES_ASIDE = 5

RECORDS = """
INSERT INTO labels_siterecord (uuid, register_id, source_id, first_edition_id)
SELECT gen_random_uuid(), %(register)s, 'CD-' || lpad(k::text, 8, '0'), %(edition)s FROM generate_series(1, %(n)s) AS k
"""

# Half of the sites crowd around two hundred towns, as mines do; the rest lie anywhere. 2 in 100 state no position.
OBSERVATIONS = """
INSERT INTO labels_observation (
    site_record_id, first_edition_id, file_row, row_hash, occurrence, observed_on, date_precision, kind, point,
    location_method, location_precision, name, stated_region, minerals, minerals_original, legal_status, trade_status,
    legal_status_code, trade_status_code, row_flags, attributes
)
SELECT id, %(edition)s, k, decode(md5(k::text) || md5((-k)::text), 'hex'), 1,
       date '2008-01-01' + (a * 5500)::int, 'day', 'on_site',
       CASE WHEN a < 0.98 THEN ST_SetSRID(ST_MakePoint(
           least(29.999, greatest(20.001, CASE WHEN b < 0.5 THEN 20 + 10 * c
                                               ELSE 20 + mod(town * 7919, 1000) / 100.0 + (c - 0.5) * d / 2 END)),
           least(-0.001, greatest(-9.999, CASE WHEN b < 0.5 THEN -10 + 10 * d
                                               ELSE -10 + mod(town * 104729, 1000) / 100.0 + (d - 0.5) * c / 2 END))
       ), 4326) END,
       'GPS', (ARRAY['gps', 'gps', 'gps', 'village', 'digitised', 'approximate', 'unknown'])[1 + (c * 6.99)::int %% 7],
       (ARRAY['Kalimbi', 'Nyabibwe', 'Mukungwe', 'Kamituga', 'Rubaya', 'Bisie', 'Lubutu', 'Shabunda'])
           [1 + (d * 7.99)::int %% 8] || ' ' || to_hex(k),
       'Province ' || (k %% 25),
       CASE WHEN e < 0.15 THEN ARRAY['gold', 'coltan'] WHEN e < 0.6 THEN ARRAY['gold']
            WHEN e < 0.8 THEN ARRAY['cassiterite'] WHEN e < 0.95 THEN ARRAY['coltan']
            WHEN e < 0.99 THEN ARRAY['wolframite'] ELSE ARRAY[]::text[] END,
       ARRAY['Or'], 'permis', 'vert',
       (ARRAY['licensed', 'pending', 'expired', 'unlicensed', 'unknown'])[1 + (f * 4.99)::int %% 5],
       (ARRAY['qualified', 'provisional', 'disqualified', 'not_assessed', 'unknown'])[1 + (a * b * 4.99)::int %% 5],
       ARRAY[]::text[],
       jsonb_build_object('nom', 'Site ' || k, 'province', 'Province ' || (k %% 25), 'note', repeat('x', 200))
FROM (
    SELECT id, row_number() OVER (ORDER BY id) AS k, random() AS a, random() AS b, random() AS c, random() AS d,
           random() AS e, random() AS f, (random() * 200)::int AS town
    FROM labels_siterecord WHERE register_id = %(register)s
) AS drawn
"""

EDITION_ROWS = """
INSERT INTO labels_editionrow (edition_id, observation_id, file_row)
SELECT %(edition)s, id, file_row FROM labels_observation WHERE first_edition_id = %(edition)s
"""

PLACEMENTS = """
INSERT INTO labels_placement (
    site_record_id, register_id, observation_id, edition_id, reported_point, minerals, observed_year,
    legal_status_code, trade_status_code, location_precision, region_id, admin_area_id, commercial_distance_m, placed_at
)
SELECT o.site_record_id, %(register)s, o.id,
       CASE WHEN o.site_record_id %% 50 = 0 THEN %(edition)s ELSE %(latest)s END, o.point,
       o.minerals, extract(year FROM o.observed_on),
       o.legal_status_code, o.trade_status_code, o.location_precision, area.id, area.id, 5000, now()
FROM labels_observation o
LEFT JOIN labels_referencearea area ON area.layer_id = %(layer)s AND area.code =
    floor((ST_X(o.point) - 20) / 2)::int || '-' || floor((ST_Y(o.point) + 10) / 2)::int
WHERE o.first_edition_id = %(edition)s ORDER BY o.site_record_id
"""

FLAGS = """
INSERT INTO labels_recordflag (site_record_id, register_id, code, detail)
SELECT site_record_id, register_id, code, '{}' FROM labels_placement
JOIN (VALUES ('lattice', 10), ('stated_region', 25), ('outside_country', 500)) AS flags (code, every)
    ON site_record_id %% every = 0
WHERE register_id = %(register)s
"""


def generate(n: int, slug: str = "bench-map", *, vacuum: bool = True) -> Register:
    """A project of 25 provinces and a register of `n` records, 1 in 50 not in the latest edition, with flags."""
    project = Project.objects.filter(slug=slug).first() or make_project(slug)
    register = make_register(project, slug=f"r-{n}", name="Generated")
    edition, latest = make_edition(register, n_rows=n, n_created=n), make_edition(register, n_rows=n)
    parameters = {"register": register.pk, "edition": edition.pk, "latest": latest.pk, "n": n}
    parameters["layer"] = _provinces(project).pk
    with connection.cursor() as cursor:
        for statement in (RECORDS, OBSERVATIONS, EDITION_ROWS, PLACEMENTS, FLAGS):
            cursor.execute(statement, parameters)
    register_map.remake([register.pk])
    if vacuum:  # not within a test's transaction
        _vacuum()
    return register


def _provinces(project: Project) -> ReferenceLayer:
    layer, made = ReferenceLayer.objects.get_or_create(
        project=project, kind="admin", name="provinces", level=1, defaults={"file_sha256": "0" * 64}
    )
    side = SIDE / PROVINCES_ASIDE
    for x in range(PROVINCES_ASIDE * made):
        for y in range(PROVINCES_ASIDE):
            shape = square(WEST + x * side, SOUTH + y * side, side)
            ReferenceArea.objects.create(
                layer=layer, name=f"Province {x}{y}", code=f"{x}-{y}", geometry=shape, area_km2=49_000
            )
    return layer


def _vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "VACUUM ANALYZE labels_siterecord, labels_observation, labels_editionrow, labels_placement, "
            "labels_recordflag, labels_mapcell, labels_referencearea"
        )
