"""Taking turns."""

from django.db import connection


def one_at_a_time(*key) -> None:
    """Hold everybody else with the same key until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [":".join(map(str, key))])
