"""Tables of texts, row by row: delimited files, and what the rows of any table have in common."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.ingest.headings import LOOKED_AT, Cells, Heading, find_heading
from labels.ingest.raw import MAX_CELL, Facts, RawRow
from labels.ingest.refusals import Refusal
from labels.ingest.texts import delimiter_of, encoding_of

CHUNK = 1 << 20


class CsvReader:
    """A delimited table: encoding and delimiter found out and said, quoted line breaks kept."""

    def __init__(self, path: Path, head: bytes):
        self.path = path
        self.encoding, note = encoding_of(path, head)
        self.delimiter = delimiter_of(head.decode(self.encoding, errors="ignore"))
        said = self.encoding.removesuffix("-sig").removesuffix("-lenient")
        self.facts = Facts("CSV", [], encoding=said, delimiter=self.delimiter, notes=[note] if note else [])
        self.heading = find_heading(list(islice(self._numbered(), LOOKED_AT)))
        self.facts.columns = self.heading.columns
        self.facts.notes += self.heading.notes

    def rows(self) -> Iterator[RawRow]:
        return rows_under(self.heading, self._numbered())

    def count(self) -> int:
        """About how many rows are to come: the lines of the file."""
        with self.path.open("rb") as file:
            n_lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(CHUNK), b""))
        return max(0, n_lines - self.heading.row)

    def _numbered(self) -> Iterator[tuple[int, list[str]]]:
        with self.path.open(encoding=self.encoding, newline="") as file:
            records = csv.reader(_without_nulls(file), delimiter=self.delimiter)
            try:
                yield from enumerate(records, start=1)
            except csv.Error as error:
                words = _(
                    "Line %(line)d cannot be read (%(error)s). Often a quotation mark is not closed: every one that "
                    "opens a cell needs one that closes it."
                )
                raise BadInput(words % {"line": records.line_num, "error": error}) from error
            except UnicodeError as error:
                told = {"encoding": self.facts.encoding, "reason": getattr(error, "reason", error)}
                raise BadInput(_("The file is not %(encoding)s throughout: %(reason)s.") % told) from error


def rows_under(heading: Heading, numbered: Iterator[tuple[int, Cells]], *, is_spreadsheet=False) -> Iterator[RawRow]:
    """The rows below a heading; a line of empty cells is the end of a spreadsheet, not a row of the register."""
    names, n_names = heading.columns, len(heading.columns)
    for file_row, cells in numbered:
        if file_row <= heading.row or not any(map(str.strip, cells)):
            continue
        refusal = None
        if len(cells) != n_names or max(map(len, cells)) > MAX_CELL:
            refusal = _wrong_cells(names, cells)
        values = dict(zip(names, cells, strict=False))
        if is_spreadsheet:
            refusal = refusal or unstorable(values)
        yield RawRow(file_row, values, None, refusal, is_spreadsheet)


def _wrong_cells(names: list[str], cells: Cells) -> Refusal | None:
    if len(cells) < len(names) or any(cell.strip() for cell in cells[len(names) :]):
        words = _("the row has %(cells)d cells where the header has %(names)d")
        return Refusal("", "", words % {"cells": len(cells), "names": len(names)})
    return too_long(dict(zip(names, cells, strict=False)))


def too_long(values: dict[str, str]) -> Refusal | None:
    for name, value in values.items():
        if len(value) > MAX_CELL:
            return Refusal(name, value[:100], _("the text is longer than %(n)s characters") % {"n": f"{MAX_CELL:,}"})
    return None


def unstorable(values: dict[str, str]) -> Refusal | None:
    """PostgreSQL keeps neither null characters nor lone surrogates, which JSON can write."""
    for name, value in values.items():
        if not (_is_storable(name) and _is_storable(value)):
            return Refusal(name if _is_storable(name) else "", "", _("the text holds a null or half a character"))
    return None


def _is_storable(text: str) -> bool:
    return "\0" not in text and (text.isascii() or _is_encodable(text))


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_nulls(lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise BadInput(
                _("Line %(n)d holds a null byte: this is no text table. Save it as CSV in UTF-8.") % {"n": number}
            )
        yield line


csv.field_size_limit(10 * MAX_CELL)
