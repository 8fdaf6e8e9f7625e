"""Asking what is in a file of rows. The file itself is opened by a process without network, never by this one."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.ingest import formats
from labels.ingest.confined import Question
from labels.ingest.raw import Facts, RawRow
from labels.ingest.refusals import Refusal

__all__ = ["CopyLines", "DatesTold", "Facts", "RawRow", "Reader", "file_sha256", "first_rows", "open_rows"]

HEAD_BYTES = 5000


@dataclass(frozen=True)
class CopyLines:
    """Rows that were read, as lines of COPY for the staging table (labels.ingest.copying)."""

    n_rows: int
    data: bytes


@dataclass(frozen=True)
class DatesTold:
    """What a column of dates tells about itself."""

    # As in labels.ingest.dates; empty where no date needs it.
    order: str
    # Dates that do not tell the order, or contradict one another.
    ambiguous: list[str]
    # Dates precise to the day, and those of them that are a 1 January.
    n_dated: int
    n_january_first: int


class Reader:
    """One table of a file. Each question starts a process of its own; the first rows come with the facts."""

    def __init__(self, path: Path, sheet: str = "", *, is_for_gdal: bool = False):
        self._question = Question(path, sheet, is_for_gdal)
        told = next(iter(self._question.ask("facts")), {})
        self.facts = _facts(told.get("facts"))
        self._first_rows = [_raw(plain) for plain in told["first_rows"]]
        self._is_whole = told.get("is_whole") is True

    def rows(self, n_rows: int | None = None) -> Iterator[RawRow]:
        for answer in self._question.ask("rows", n_rows=n_rows):
            for plain in answer["rows"]:
                yield _raw(plain)

    def first_rows(self, n: int) -> list[RawRow]:
        if n <= len(self._first_rows) or self._is_whole:
            return self._first_rows[:n]
        return list(self.rows(n))

    def observations(
        self,
        mapping: Mapping[str, str],
        own_words: Mapping[str, Mapping[str, str]],
        *,
        after: int = 0,
        batch_rows: int,
        n_rows: int | None = None,
    ) -> Iterator[CopyLines | int]:
        """Rows after the given one as the mapping reads them; before them, about how many the file has."""
        asked = {"mapping": dict(mapping), "own_words": dict(own_words), "after": after, "batch_rows": batch_rows}
        for answer in self._question.ask("observations", n_rows=n_rows, **asked):
            if isinstance(answer.get("n_rows"), int):
                yield answer["n_rows"]
            elif "data" in answer:
                yield CopyLines(int(answer["copy_rows"]), answer["data"])

    def distinct_counts(self, columns: list[str], n_rows: int) -> dict[str, int]:
        """Distinct values of each column among the first rows."""
        told = next(iter(self._question.ask("distinct", columns=columns, n_rows=n_rows)))["distinct"]
        return {column: int(told[column]) for column in columns}

    def dates_told(self, column: str, n_rows: int) -> DatesTold:
        told = next(iter(self._question.ask("dates", columns=[column], n_rows=n_rows)))["dates"]
        ambiguous = [str(example) for example in told.get("ambiguous", [])]
        return DatesTold(str(told.get("order", "")), ambiguous, int(told["n_dated"]), int(told["n_january_first"]))


def open_rows(path: Path, sheet: str = "") -> Reader:
    """The reader for this file, of its table `sheet` where it has several; BadInput in words where none can read it."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", "") or _("its name is no file's")
        raise BadInput(
            _("The file %(name)s cannot be read: %(reason)s.") % {"name": path.name, "reason": reason}
        ) from error
    if not head.strip():
        raise BadInput(_("The file is empty."))
    return Reader(path, sheet, is_for_gdal=bool(formats.gdal_kind(head)))


def first_rows(reader: Reader, n: int) -> list[RawRow]:
    return list(islice(reader.first_rows(n), n))


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts(said: object) -> Facts:
    if not isinstance(said, dict) or said.keys() != {field.name for field in fields(Facts)}:
        raise BadInput(_("The file cannot be read: it says nothing about its table."))
    texts = {name: str(said[name]) for name in ("format", "encoding", "delimiter", "sheet")}
    lists = {name: [str(text) for text in said[name]] for name in ("columns", "sheets", "notes")}
    return Facts(**texts, **lists, has_geometry=said["has_geometry"] is True)


def _raw(plain: list) -> RawRow:
    file_row, values, geometry, refusal, is_spreadsheet = plain
    return RawRow(
        int(file_row),
        {str(name): str(value) for name, value in values.items()},
        geometry if isinstance(geometry, dict) else None,
        Refusal(*map(str, refusal)) if refusal else None,
        is_spreadsheet is True,
    )
