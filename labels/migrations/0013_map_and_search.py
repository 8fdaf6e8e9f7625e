import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

# The square of the finest map that holds the point (labels.register_map): generated, so that nothing can forget it.
SQUARES = """
ALTER TABLE labels_placement
    ADD COLUMN map_x integer
        GENERATED ALWAYS AS (floor((ST_X(reported_point) + 180) * (16777216 / 360.0::float8))::integer) STORED,
    ADD COLUMN map_y integer
        GENERATED ALWAYS AS (floor((ST_Y(reported_point) + 90) * (16777216 / 360.0::float8))::integer) STORED
"""

FILL = """
UPDATE labels_placement placement SET
    minerals = observation.minerals,
    observed_year = extract(year FROM observation.observed_on)::smallint,
    legal_status_code = observation.legal_status_code,
    trade_status_code = observation.trade_status_code,
    location_precision = observation.location_precision
FROM labels_observation observation WHERE observation.id = placement.observation_id
"""

# The squares of the registers that are there; what one filter asks for is counted when their records are placed next.
CELLS = """
INSERT INTO labels_mapcell (register_id, level, facet, x, y, n)
SELECT register_id, level, '', map_x >> (24 - level), map_y >> (24 - level), count(*)
FROM labels_placement, (VALUES (8), (11), (13)) AS kept (level)
WHERE reported_point IS NOT NULL GROUP BY 1, 2, 4, 5
"""

# What `icontains` asks, at any length of the register.
SEARCH = """
CREATE INDEX observation_name_like ON labels_observation USING gin (upper(name::text) gin_trgm_ops);
CREATE INDEX source_id_like ON labels_siterecord USING gin (upper(source_id::text) gin_trgm_ops)
"""
UNSEARCH = "DROP INDEX observation_name_like; DROP INDEX source_id_like"



def _square(axis, to_zero):
    return models.GeneratedField(
        db_persist=True,
        expression=models.Func(
            "reported_point",
            template=f"floor(({axis}(%(expressions)s) + {to_zero}) * (16777216 / 360.0::float8))::integer",
        ),
        null=True,
        output_field=models.IntegerField(null=True),
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("labels", "0012_dated_uploads")]

    operations = [
        migrations.AddField(
            "placement",
            "minerals",
            django.contrib.postgres.fields.ArrayField(models.CharField(max_length=40), default=list, size=None),
        ),
        migrations.AddField("placement", "observed_year", models.PositiveSmallIntegerField(null=True)),
        migrations.AddField(
            "placement",
            "legal_status_code",
            models.CharField(
                choices=[
                    ("licensed", "licensed"),
                    ("pending", "licence applied for"),
                    ("expired", "licence expired or withdrawn"),
                    ("unlicensed", "without licence"),
                    ("unknown", "not stated"),
                ],
                default="unknown",
                max_length=20,
            ),
        ),
        migrations.AddField(
            "placement",
            "trade_status_code",
            models.CharField(
                choices=[
                    ("qualified", "qualified (green)"),
                    ("provisional", "provisional (yellow)"),
                    ("disqualified", "disqualified (red)"),
                    ("not_assessed", "not assessed"),
                    ("unknown", "not stated"),
                ],
                default="unknown",
                max_length=20,
            ),
        ),
        migrations.AddField(
            "placement",
            "location_precision",
            models.CharField(
                choices=[
                    ("gps", "GPS at the site"),
                    ("village", "village or place name"),
                    ("digitised", "digitised from a map or image"),
                    ("approximate", "approximation"),
                    ("unknown", "not stated"),
                ],
                default="unknown",
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="MapCell",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("level", models.PositiveSmallIntegerField()),
                ("facet", models.CharField(default="", max_length=80)),
                ("x", models.PositiveIntegerField()),
                ("y", models.PositiveIntegerField()),
                ("n", models.PositiveIntegerField()),
                (
                    "register",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="map_cells",
                        to="labels.register",
                    ),
                ),
            ],
            options={"verbose_name": "cell of a map", "verbose_name_plural": "cells of a map"},
        ),
        migrations.AddConstraint(
            "mapcell", models.UniqueConstraint(fields=("register", "facet", "level", "x", "y"), name="map_cell_once")
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            # Both columns in one rewrite of the table.
            [migrations.RunSQL(SQUARES, "ALTER TABLE labels_placement DROP COLUMN map_x, DROP COLUMN map_y")],
            [
                migrations.AddField("placement", "map_x", _square("ST_X", 180)),
                migrations.AddField("placement", "map_y", _square("ST_Y", 90)),
            ],
        ),
        migrations.RunSQL(CELLS, migrations.RunSQL.noop),
        migrations.RunSQL(SEARCH, UNSEARCH),
    ]
