"""Which line of a table names its columns. Ministries put titles above it, and sometimes a second line below."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.ingest.fields import BY_NAME, FIELDS, without_units
from labels.ingest.headers import folded
from labels.ingest.raw import MAX_COLUMNS

Cells = Sequence[str]
LOOKED_AT = 30
MAX_NAME = 1000
# So many cells of a line above the header are filled.
MOST_OF_TITLES = 2

KNOWN = frozenset(synonym for each in FIELDS for synonym in each.synonyms)
# What stands below "coordinates" or "latitude", and what they are called: a name that others may divide.
PARTS = frozenset(
    (
        *("n", "s", "e", "w", "o", "nord", "sud", "est", "ouest", "north", "south", "east", "west", "norte", "sul"),
        *("sur", "este", "leste", "oeste", "deg", "min", "sec", "degres", "minutes", "secondes", "degrees", "seconds"),
        *("graus", "minutos", "segundos", "grados"),
    )
)
DIVIDED = frozenset(name for field in ("coordinates", "longitude", "latitude") for name in BY_NAME[field].synonyms)

_numeric = re.compile(r"\s*[-+]?\d[\d\s.,:/°'\"-]*[NSEWO]?\s*")


@dataclass(frozen=True)
class Heading:
    columns: list[str]
    # The last row of the file that belongs to the heading; data begin after it.
    row: int = 1
    notes: list[str] = field(default_factory=list)


def find_heading(first: Sequence[tuple[int, Cells]]) -> Heading:
    """The heading among the first rows of a table, given with their numbers; BadInput where none names columns."""
    filled = [(row, cells) for row, cells in first[:LOOKED_AT] if any(cell.strip() for cell in cells)]
    at = _place(filled)
    if at is None:
        raise BadInput(_("The first line of the file must name its columns; it is empty."))
    row, names = filled[at][0], [cell.strip() for cell in filled[at][1]]
    notes = _told_above(filled[:at])
    if _is_second_line(filled[at : at + 4]):
        row, names = filled[at + 1][0], _joined(names, filled[at + 1][1])
        notes.append(_("The header has two lines; they were joined."))
    while names and not names[-1]:
        names.pop()
    if len(names) > MAX_COLUMNS:
        told = {"n": len(names), "limit": MAX_COLUMNS}
        raise BadInput(_("The file has %(n)d columns; at most %(limit)d can be read.") % told)
    return Heading(distinct(names, notes), row, notes)


def _place(filled: list[tuple[int, Cells]]) -> int | None:
    """The first row, unless it is a title: far fewer cells than a row of words below it, which heads rows as wide.

    A cell too many in one row of a narrow table makes no title of the rows above it.
    """
    if not filled or (filled[0][0] > 1 and not any(_is_words(cells) for _row, cells in filled)):
        return None
    widest = max(_n_filled(cells) for _row, cells in filled)
    for at, (_row, cells) in enumerate(filled[:20]):
        is_title = _n_filled(cells) <= MOST_OF_TITLES < widest and any(
            _may_head(below, widest) and _is_over_wide_rows(filled[under + 1 :])
            for under, (_row, below) in enumerate(filled[at + 1 :], start=at + 1)
        )
        if not is_title:
            return at
    return 0


def _may_head(cells: Cells, widest: int) -> bool:
    return _is_words(cells) and _n_filled(cells) >= max(0.6 * widest, MOST_OF_TITLES + 1)


def _is_over_wide_rows(rows: list[tuple[int, Cells]]) -> bool:
    """Whether there are rows, and at least half of them have more cells than titles have."""
    n_wide = sum(_n_filled(cells) > MOST_OF_TITLES for _row, cells in rows)
    return n_wide > 0 and n_wide >= 0.5 * len(rows)


def _n_filled(cells: Cells) -> int:
    return sum(1 for cell in cells if cell.strip())


def _is_words(cells: Cells) -> bool:
    return not any(_numeric.fullmatch(cell) for cell in cells if cell.strip())


def _is_second_line(rows: list[tuple[int, Cells]]) -> bool:
    """Whether the second of these rows goes on naming: words only, in every gap of the first, over a row of numbers."""
    if len(rows) < 3 or rows[1][0] != rows[0][0] + 1:
        return False
    (_one, names), (_two, below), (_three, data) = rows[:3]
    width = max(_width(names), _width(below))
    gaps = [at for at in range(width) if not _cell(names, at)]
    if not gaps or not _is_words(below) or not all(_cell(below, at) for at in gaps):
        return False
    # A row of data may have the gaps of its header: it says nothing that a header says, or stands below a whole name.
    if not any(map(_may_be_below, below)) or any(
        _is_whole(_cell(names, at)) for at in range(width) if _cell(below, at)
    ):
        return False
    # Names that reach over both lines leave the second empty below them; a row of data would not.
    if all(_cell(below, at) for at in range(width)) and len(gaps) < 0.4 * width:
        return False
    return any(_numeric.fullmatch(_cell(data, at)) for at in range(width) if _cell(below, at))


def _may_be_below(name: str) -> bool:
    said = folded(name)
    return said in KNOWN or without_units(name) in KNOWN or (said != "" and PARTS.issuperset(said.split()))


def _is_whole(name: str) -> bool:
    """Whether the name says all of its column, so that no other name belongs below it."""
    said = folded(name)
    return said in KNOWN and said not in DIVIDED


def _width(cells: Cells) -> int:
    return max((at + 1 for at, cell in enumerate(cells) if cell.strip()), default=0)


def _cell(cells: Cells, at: int) -> str:
    return cells[at].strip() if at < len(cells) else ""


def _joined(names: Cells, below: Cells) -> list[str]:
    """The lower name where there is one: the upper one of merged cells says only what several have in common."""
    return [_cell(below, at) or _cell(names, at) for at in range(max(len(names), len(below)))]


def _told_above(rows: list[tuple[int, Cells]]) -> list[str]:
    if not rows:
        return []
    said = "; ".join(cell.strip() for _row, cells in rows for cell in cells if cell.strip())
    return [_("Lines above the header were left out: %(said)s") % {"said": said[:200]}]


def distinct(names: Sequence[str], notes: list[str]) -> list[str]:
    """Columns need names and different ones; what is missing is made up and said."""
    seen: dict[str, int] = {}
    found: list[str] = []
    for number, name in enumerate(names, start=1):
        if not name:
            name = f"column {number}"
            told = {"n": number, "name": name}
            notes.append(_("Column %(n)d has no name; it is called '%(name)s' here.") % told)
        if len(name) > MAX_NAME:
            told = {"n": number, "limit": MAX_NAME}
            raise BadInput(_("The name of column %(n)d is longer than %(limit)d characters.") % told)
        first = name
        while name in found:
            seen[first] = seen.get(first, 1) + 1
            name = f"{first} ({seen[first]})"
        if name != first:
            told = {"name": first, "new": name}
            notes.append(_("Two columns are called '%(name)s'; the later one is called '%(new)s' here.") % told)
        found.append(name)
    return found
