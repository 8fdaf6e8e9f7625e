"""What the words of a register mean: each of its values, the code it is read as, and the code a person gives it.

The answers are the register's `value_mapping`, field -> {word: code}: given once, offered again with every edition. The
words themselves are kept as published.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connection
from django.utils.translation import gettext_lazy as _
from psycopg import sql

from labels.errors import BadInput
from labels.ingest import words
from labels.ingest.headers import folded, is_blank
from labels.minerals import MINERAL_WORDS
from labels.models import Observation, Project, ReferenceArea, Register
from labels.models.areas import AreaKind
from labels.models.registers import LegalStatus, LocationPrecision, TradeStatus

# So many words of a field are asked about; a field of more is free text, not codes.
LISTED = 60
MAX_WORD = 200
LIKE_ENOUGH = 0.6


@dataclass(frozen=True)
class Field:
    """A field whose values are read as codes."""

    name: str
    label: str
    # The code of what nobody knows.
    unknown: str
    # Folded word -> code, in the languages of registers.
    known: Mapping[str, str]
    # (code, what it is called); those of stated regions are the project's areas.
    codes: Sequence[tuple[str, str]]


KINDS = [(code, label) for code, label in Observation.Kind.choices if code != Observation.Kind.UNKNOWN]
PRECISIONS = [(c, label) for c, label in Observation.DatePrecision.choices if c != Observation.DatePrecision.UNKNOWN]
METHODS = {
    folded(word): code
    for word, code in (
        *(("gps", "gps"), ("village", "village"), ("localite", "village"), ("approximation", "approximate")),
        *(("numerisation", "digitised"), ("digitised", "digitised"), ("carte", "digitised"), ("image", "digitised")),
    )
}
REGION = "stated_region"
FIELDS = {
    each.name: each
    for each in (
        Field("mineral", _("mineral"), words.OTHER, words.MINERALS, list(MINERAL_WORDS.items())),
        Field("legal_status", _("legal status"), "unknown", words.LEGAL_STATUSES, LegalStatus.choices),
        Field("trade_status", _("trade status"), "unknown", words.TRADE_STATUSES, TradeStatus.choices),
        Field("location_method", _("location method"), "unknown", METHODS, LocationPrecision.choices),
        Field("kind", _("kind of observation"), "unknown", words.KINDS, KINDS),
        Field("date_precision", _("precision of the date"), "", words.DATE_PRECISIONS, PRECISIONS),
        Field(REGION, _("stated region"), "", {}, []),
    )
}

MINERALS = """
SELECT word, code, count(*) FROM {rows} AS rows, unnest(minerals_original, minerals) AS named (word, code)
WHERE refused_reason IS NULL GROUP BY 1, 2 ORDER BY 3 DESC, 1
"""
COLUMNS = """
SELECT {word}, {code}, count(*) FROM {rows} AS rows
WHERE refused_reason IS NULL AND {word} <> '' GROUP BY 1, 2 ORDER BY 3 DESC, 1
"""
# Field -> the column with the code; its word stands in a column of the same name, or in the row as published.
CODED = {"legal_status": "legal_status_code", "trade_status": "trade_status_code", "kind": "kind"}
CODED |= {"location_method": "location_precision", "date_precision": "date_precision", REGION: "stated_region"}
PUBLISHED = ("kind", "date_precision")


@dataclass
class Word:
    text: str
    n: int
    # What it is read as now; the unknown code where nobody knows.
    code: str
    words: str = ""
    is_own: bool = False
    suggested: str = ""


@dataclass
class Meaning:
    """The words of one field of a file: those a person is asked about, and those that are known."""

    name: str
    label: str
    codes: Sequence[tuple[str, str]]
    asked: list[Word] = field(default_factory=list)
    known: list[Word] = field(default_factory=list)
    n_more: int = 0


def of_rows(rows: sql.Composable, mapping: Mapping[str, str], register: Register) -> list[Meaning]:
    """The words of staged rows, field by field; fields that say nothing are left out."""
    found = []
    for name, each in fields_of(register.project).items():
        if not ({name, f"{name}_2", f"{name}_3"} & mapping.keys()):
            continue
        meaning = _meaning(each, _counted(rows, name, mapping), register.value_mapping.get(name, {}))
        if meaning.asked or meaning.known:
            found.append(meaning)
    return found


def fields_of(project: Project) -> dict[str, Field]:
    """The fields, with the project's areas as the codes of stated regions."""
    top = ReferenceArea.objects.filter(
        layer__project=project, layer__kind=AreaKind.ADMIN, layer__retired_at__isnull=True
    ).order_by("layer__level", "name")
    names = list(dict.fromkeys(top.values_list("name", flat=True)[:2000]))
    region = Field(REGION, FIELDS[REGION].label, "", {folded(name): name for name in names}, [(n, n) for n in names])
    return FIELDS | ({REGION: region} if names else {REGION: FIELDS[REGION]})


def _counted(rows: sql.Composable, name: str, mapping: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """(word, code, rows) of a field, the most frequent first."""
    if name == "mineral":
        query = sql.SQL(MINERALS).format(rows=rows)
    else:
        said = sql.SQL("trim(attributes ->> {})").format(sql.Literal(mapping[name]))
        word = said if name in PUBLISHED else sql.SQL("trim({})").format(sql.Identifier(name))
        query = sql.SQL(COLUMNS).format(rows=rows, word=word, code=sql.Identifier(CODED[name]))
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def _meaning(each: Field, counted: list[tuple[str, str, int]], own: Mapping[str, str]) -> Meaning:
    meaning = Meaning(each.name, str(each.label), each.codes)
    labels = {str(code): str(label) for code, label in each.codes}
    for text, code, n in counted:
        if is_blank(text) or len(text) > MAX_WORD:
            continue
        word = Word(text, n, _code(each, text, code, own), is_own=text in own)
        if word.is_own or word.code == each.unknown:
            word.suggested = "" if word.is_own else likely(each, text)
            meaning.asked.append(word)
        else:
            word.words = labels.get(word.code, word.code)
            meaning.known.append(word)
    meaning.n_more = max(0, len(meaning.asked) - LISTED)
    meaning.asked = meaning.asked[:LISTED] if each.codes else []
    return meaning


def _code(each: Field, text: str, code: str, own: Mapping[str, str]) -> str:
    if each.name in ("date_precision", REGION):  # the row carries no code of its own for these
        return own.get(text) or each.known.get(folded(text), each.unknown)
    return code


def likely(each: Field, text: str) -> str:
    """The code of the known word that the text is most like, for a typo; empty where none is."""
    near = difflib.get_close_matches(folded(text), each.known, n=1, cutoff=LIKE_ENOUGH)
    return each.known[near[0]] if near else ""


def keep(register: Register, answers: Iterable[tuple[str, str, str]]) -> None:
    """Keep (field, word, code) answers with the register; an empty code forgets what was said. BadInput on others."""
    kept = {name: dict(own) for name, own in register.value_mapping.items()}
    fields = fields_of(register.project)
    for name, word, code in answers:
        _check(fields, name, word, code)
        kept.setdefault(name, {})[word] = code
    register.value_mapping = {
        name: {word: code for word, code in own.items() if code} for name, own in kept.items() if any(own.values())
    }
    register.save(update_fields=["value_mapping"])


def _check(fields: Mapping[str, Field], name: str, word: str, code: str) -> None:
    if name not in fields:
        raise BadInput(f"There are no words of {name!r}; the fields are {', '.join(fields)}.")
    codes = [str(each) for each, _label in fields[name].codes]
    if code and code not in codes:
        listed = ", ".join(codes[:LISTED]) or "nothing, for no areas are loaded"
        raise BadInput(f"{name}:{word}={code}: choose one of {listed}.")
    if not word or len(word) > MAX_WORD or "\0" in word:
        raise BadInput(f"{name}: give the word as the register writes it, of at most {MAX_WORD} characters.")


def parse_values(values: Iterable[str]) -> list[tuple[str, str, str]]:
    """`["mineral:Manvenve=manganese"]` of the command line; a word may hold colons and equals signs."""
    answers = []
    for value in values:
        name, colon, rest = value.partition(":")
        word, equals, code = rest.rpartition("=")
        if not (colon and equals):
            raise BadInput(f"--value {value!r}: write it as field:word=code, for example mineral:Manvenve=manganese.")
        answers.append((name.strip(), word.strip(), code.strip()))
    return answers
