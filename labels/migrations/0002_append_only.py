"""Guard the tables that hold evidence and judgements: their rows are neither changed nor deleted.

TRUNCATE stays allowed to the owner (the test flush needs it); a web role without ownership cannot use it.
"""

from django.db import migrations

TABLES = [
    "labels_siterecord",
    "labels_observation",
    "labels_review",
    "labels_mark",
    "labels_reviewimage",
    "labels_retraction",
    "labels_adjudication",
    "labels_exposure",
    "labels_accessrecord",
    "labels_release",
    "labels_releasefile",
]

FUNCTION = """
CREATE FUNCTION labels_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: add a row instead of changing one', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$
"""

TRIGGER = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION labels_refuse_change()
"""


class Migration(migrations.Migration):
    dependencies = [("labels", "0001_tables")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION labels_refuse_change()"),
        *(
            migrations.RunSQL(TRIGGER.format(table=table), f"DROP TRIGGER append_only ON {table}")
            for table in TABLES
        ),
    ]
