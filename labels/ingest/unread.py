"""Words of a register that no table knows: counted and shown, so that a person can say what they mean."""

from django.db import connection
from psycopg import sql

from labels.models import Edition

MINERALS = """
SELECT word, count(*) FROM {rows} AS rows, unnest(minerals, minerals_original) AS named (code, word)
WHERE code = 'other' GROUP BY word ORDER BY count(*) DESC, word LIMIT 50
"""

WORDS = """
SELECT trim(attributes ->> {column}), count(*) FROM {rows} AS rows
WHERE {field} = 'unknown' AND trim(attributes ->> {column}) <> '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50
"""

OF_EDITION = """(
    SELECT observation.* FROM labels_observation observation
    JOIN labels_editionrow row ON row.observation_id = observation.id WHERE row.edition_id = {edition}
)"""

# Field -> the column of the row that says `unknown` where its word was not understood.
UNDERSTOOD = {"kind": "kind", "location_method": "location_precision"}

Unread = dict[str, dict[str, int]]


def of_edition(edition: Edition, mapping: dict[str, str]) -> Unread:
    """Field -> {word: rows of the edition}."""
    return of_rows(sql.SQL(OF_EDITION).format(edition=sql.Literal(edition.pk)), mapping)


def of_rows(rows: sql.Composable, mapping: dict[str, str]) -> Unread:
    """The same for any rows that have an observation's columns."""
    unread = {"mineral": _counts(sql.SQL(MINERALS).format(rows=rows))}
    for field, understood in UNDERSTOOD.items():
        if field in mapping:
            column, known = sql.Literal(mapping[field]), sql.Identifier(understood)
            unread[field] = _counts(sql.SQL(WORDS).format(rows=rows, column=column, field=known))
    return {field: words for field, words in unread.items() if words}


def _counts(query: sql.Composable) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return dict(cursor.fetchall())
