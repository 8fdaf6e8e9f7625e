"""Opening a file of rows: its format, encoding and columns, then row by row, without holding the file in memory.

A reader is asked for by the file's content, never by its name. A new format is a function in READERS.
"""

import codecs
import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labels.errors import BadInput
from labels.ingest import confined, geojson
from labels.ingest.refusals import Refusal

MAX_COLUMNS = 1000
MAX_CELL = 100_000
SAMPLE_BYTES = 1_000_000


@dataclass
class RawRow:
    """One row as the file states it."""

    # Row 1 of a table is its header, so the first row of data is 2; features of GeoJSON count from 1.
    file_row: int
    values: dict[str, str]
    # The feature's own geometry, as GeoJSON; tables have none.
    geometry: dict | None = None
    refusal: Refusal | None = None
    # A spreadsheet may write a date as the number of a day.
    is_spreadsheet: bool = False


@dataclass
class Facts:
    """What was found out about a file, as said to people."""

    format: str
    columns: list[str]
    encoding: str = ""
    delimiter: str = ""
    has_geometry: bool = False
    # The tables of a file that has several, and the one that is read.
    sheets: list[str] = field(default_factory=list)
    sheet: str = ""
    # Sentences about guesses and oddities.
    notes: list[str] = field(default_factory=list)


class Reader(Protocol):
    facts: Facts

    def rows(self) -> Iterator[RawRow]: ...


def open_rows(path: Path, sheet: str = "") -> Reader:
    """The reader for this file, of its table `sheet` where it has several; BadInput in words where none can read it."""
    try:
        with path.open("rb") as file:
            head = file.read(SAMPLE_BYTES)
    except OSError as error:
        raise BadInput(f"The file {path.name} cannot be read: {error.strerror}.") from error
    if not head.strip():
        raise BadInput(_("The file is empty."))
    for sees, reader in READERS:
        if sees(head):
            return reader(path, head, sheet)
    raise BadInput(_not_readable(head))


def first_rows(reader: Reader, n: int) -> list[RawRow]:
    return list(islice(reader.rows(), n))


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- tables ----


class CsvReader:
    """A delimited table: encoding and delimiter found out and said, quoted line breaks kept."""

    def __init__(self, path: Path, head: bytes, sheet: str = ""):
        self.path = path
        encoding, note = _encoding(path, head)
        sample = head.decode(encoding, errors="ignore")
        self.delimiter = _delimiter(sample)
        self.encoding = encoding
        self.facts = Facts(
            "CSV", [], encoding=encoding.removesuffix("-sig").removesuffix("-lenient"), delimiter=self.delimiter
        )
        if note:
            self.facts.notes.append(note)
        self.facts.columns = self._columns()

    def rows(self) -> Iterator[RawRow]:
        names = self.facts.columns
        records = self._records()
        next(records)
        for file_row, cells in enumerate(records, start=2):
            if not any(cell.strip() for cell in cells):
                continue  # a line of empty cells is the end of a spreadsheet, not a row of the register
            values = dict(zip(names, cells, strict=False))
            yield RawRow(file_row, values, refusal=_wrong_cells(names, cells))

    def _records(self) -> Iterator[list[str]]:
        with self.path.open(encoding=self.encoding, newline="") as file:
            records = csv.reader(_without_nulls(file), delimiter=self.delimiter)
            try:
                yield from records
            except csv.Error as error:
                words = _(
                    "Line %(line)d cannot be read (%(error)s). Often a quotation mark is not closed: every one that "
                    "opens a cell needs one that closes it."
                )
                raise BadInput(words % {"line": records.line_num, "error": error}) from error
            except UnicodeDecodeError as error:
                told = {"encoding": self.facts.encoding, "reason": error.reason}
                raise BadInput(_("The file is not %(encoding)s throughout: %(reason)s.") % told) from error

    def _columns(self) -> list[str]:
        names = [name.strip() for name in next(self._records(), [])]
        while names and not names[-1]:
            names.pop()
        if not names:
            raise BadInput(_("The first line of the file must name its columns; it is empty."))
        if len(names) > MAX_COLUMNS:
            raise BadInput(
                _("The file has %(n)d columns; at most %(limit)d can be read.")
                % {"n": len(names), "limit": MAX_COLUMNS}
            )
        return _distinct(names, self.facts.notes)


def _looks_like_table(head: bytes) -> bool:
    return head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" not in head


def _encoding(path: Path, head: bytes) -> tuple[str, str]:
    """The encoding to decode with, and what to say about it. UTF-8 is proved over the whole file, else cp1252."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", ""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(SAMPLE_BYTES):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        if _looks_like_dos(head):
            return "cp850", "The file is not UTF-8; its accents tell that it is DOS Western European (cp850)."
        return "cp1252-lenient", "The file is not UTF-8; it was read as Windows Western European (cp1252)."
    return "utf-8-sig", ""


_accented = re.compile(r"(?<=[a-z])[éèêëàâáãäåçôóõöûùúüîïíñ]|(?<=[A-Z])[ÉÈÊËÀÂÁÃÄÅÇÔÓÕÖÛÙÚÜÎÏÍÑ](?![a-z])")


def _looks_like_dos(head: bytes) -> bool:
    """Whether more bytes are an accented letter of the case of its neighbour in cp850 than in cp1252."""
    dos, windows = (len(_accented.findall(head.decode(name, errors="replace"))) for name in ("cp850", "cp1252"))
    return dos > windows


def _cp1252_lenient(name: str) -> codecs.CodecInfo | None:
    """cp1252 with its five undefined bytes read as Latin-1, as browsers do."""
    if name.replace("_", "-") != "cp1252-lenient":
        return None
    table = "".join(bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in range(256))

    class Decoder(codecs.IncrementalDecoder):
        def decode(self, data: bytes, final: bool = False) -> str:
            return codecs.charmap_decode(data, self.errors, table)[0]

    return codecs.CodecInfo(
        lambda text, errors="strict": codecs.lookup("cp1252").encode(text, errors),
        lambda data, errors="strict": codecs.charmap_decode(bytes(data), errors, table),
        incrementaldecoder=Decoder,
        incrementalencoder=codecs.lookup("cp1252").incrementalencoder,
        name="cp1252-lenient",
    )


def _delimiter(sample: str) -> str:
    """The one of , ; tab | that splits the header most often outside quotes."""
    lines = sample.splitlines()
    header = next((line for line in lines if line.strip()), "")
    counts = {mark: len(next(csv.reader([header], delimiter=mark), [])) for mark in ",;\t|"}
    return max(counts, key=counts.get)


def _without_nulls(lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise BadInput(
                _("Line %(n)d holds a null byte: this is no text table. Save it as CSV in UTF-8.") % {"n": number}
            )
        yield line


def _distinct(names: list[str], notes: list[str]) -> list[str]:
    """Columns need names and different ones; what is missing is made up and said."""
    seen: dict[str, int] = {}
    found = []
    for number, name in enumerate(names, start=1):
        if not name:
            name = f"column {number}"
            notes.append(f"Column {number} has no name; it is called {name!r} here.")
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            notes.append(f"Two columns are called {name!r}; the later one is called '{name} ({seen[name]})' here.")
            name = f"{name} ({seen[name]})"
        found.append(name)
    return found


def _wrong_cells(names: list[str], cells: list[str]) -> Refusal | None:
    if len(cells) < len(names) or any(cell.strip() for cell in cells[len(names) :]):
        return Refusal(
            "",
            "",
            _("the row has %(cells)d cells where the header has %(names)d")
            % {"cells": len(cells), "names": len(names)},
        )
    if max(map(len, cells)) > MAX_CELL:
        name, cell = max(zip(names, cells, strict=False), key=lambda pair: len(pair[1]))
        return Refusal(name, cell[:100], _("the text is longer than %(n)s characters") % {"n": f"{MAX_CELL:,}"})
    return None


# ---- GeoJSON ----


class GeoJsonReader:
    """A FeatureCollection, or a feature a line, in WGS 84."""

    def __init__(self, path: Path, head: bytes, sheet: str = ""):
        self.path = path
        is_lines = geojson.looks_like_lines(head)
        self.features = geojson.lines if is_lines else geojson.features
        columns: dict[str, None] = {}
        for feature in islice(self.features(path), 1000):
            columns.update(dict.fromkeys(map(str, _properties(feature))))
        if len(columns) > MAX_COLUMNS:
            told = {"n": len(columns), "limit": MAX_COLUMNS}
            raise BadInput(_("The features have %(n)d properties; at most %(limit)d can be read.") % told)
        self.facts = Facts(
            "GeoJSON lines" if is_lines else "GeoJSON", list(columns), encoding="utf-8", has_geometry=True
        )

    def rows(self) -> Iterator[RawRow]:
        for file_row, feature in enumerate(self.features(self.path), start=1):
            values = {str(name): geojson.as_text(value) for name, value in _properties(feature).items()}
            geometry = feature.get("geometry") if isinstance(feature, dict) else None
            yield RawRow(file_row, values, geometry, _wrong_feature(feature, values))


def _properties(feature: object) -> dict:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return properties if isinstance(properties, dict) else {}


def _wrong_feature(feature: object, values: dict[str, str]) -> Refusal | None:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return Refusal("", geojson.as_text(feature)[:100], _("this is no GeoJSON feature"))
    if not isinstance(feature.get("geometry"), dict | None):
        return Refusal("geometry", geojson.as_text(feature["geometry"])[:100], _("this is no geometry"))
    return _wrong_text(values)


def _wrong_text(values: dict[str, str]) -> Refusal | None:
    for name, value in values.items():
        if not (_is_storable(name) and _is_storable(value)):
            return Refusal(name if _is_storable(name) else "", "", _("the text holds a null or half a character"))
        if len(value) > MAX_CELL:
            return Refusal(name, value[:100], _("the text is longer than %(n)s characters") % {"n": f"{MAX_CELL:,}"})
    return None


def _is_storable(text: str) -> bool:
    """PostgreSQL keeps neither null characters nor lone surrogates, which JSON can write."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


# ---- what a process of its own reads ----


class ConfinedReader:
    """A workbook, zipped shapefile, GeoPackage or KML: opened by a process without network, never by this one."""

    def __init__(self, path: Path, head: bytes, sheet: str = ""):
        self.path, self.kind, self.sheet = path, _confined_kind(head), sheet
        said = next(confined.answers(path, self.kind, sheet, with_rows=False), {}).get("facts")
        if not said:
            raise BadInput(_("The file cannot be read: it says nothing about its table."))
        notes: list[str] = []
        self.names = [str(name) for name in said["columns"]]
        if len(self.names) > MAX_COLUMNS:
            told = {"n": len(self.names), "limit": MAX_COLUMNS}
            raise BadInput(_("The file has %(n)d columns; at most %(limit)d can be read.") % told)
        self.facts = Facts(
            str(said["format"]),
            _distinct([name.strip() for name in self.names], notes),
            encoding=str(said["encoding"]),
            has_geometry=bool(said["has_geometry"]),
            sheets=[str(name) for name in said["sheets"]],
            sheet=sheet if len(said["sheets"]) > 1 else "",
            notes=notes,
        )
        self.is_spreadsheet = self.facts.format == "Excel workbook"

    def rows(self) -> Iterator[RawRow]:
        # Row 1 of a workbook is its header.
        file_row, is_over = int(self.is_spreadsheet), False
        for answer in confined.answers(self.path, self.kind, self.sheet, with_rows=True):
            is_over = is_over or "end" in answer
            for cells, geometry in answer.get("rows", []):
                file_row += 1
                if geometry is None and not any(cell.strip() for cell in cells):
                    continue
                values = dict(zip(self.facts.columns, cells, strict=True))
                yield RawRow(file_row, values, geometry, _wrong_text(values), self.is_spreadsheet)
        if not is_over:
            raise BadInput(_("The file's reader stopped before the end of the table."))


def _confined_kind(head: bytes) -> str:
    """How a file of the formats that GDAL reads begins; empty for any other."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"SQLite format 3\0"):
        return "gpkg"
    return "kml" if _is_xml(head) and b"<kml" in head[:5000] else ""


def _is_xml(head: bytes) -> bool:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head[:1000].decode("utf-16", errors="ignore").lstrip().startswith("<")
    return head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<")


def _not_readable(head: bytes) -> str:
    for magic, name in KNOWN_FORMATS:
        if head.startswith(magic):
            return _("This is %(name)s, which cannot be read yet. Save it as CSV or GeoJSON.") % {"name": name}
    if _is_xml(head):
        return _("This is XML other than KML, which is no register. Save it as CSV or GeoJSON.")
    return _("This is neither a table (CSV) nor GeoJSON: it holds null bytes. Save it as CSV in UTF-8.")


KNOWN_FORMATS = [
    (b"\xd0\xcf\x11\xe0", gettext_lazy("an old Excel workbook")),
    (b"\x00\x00\x27\x0a", gettext_lazy("a shapefile without its other files; zip them together")),
    (b"%PDF", gettext_lazy("a PDF")),
]

READERS: list[tuple[Callable[[bytes], object], Callable[[Path, bytes, str], Reader]]] = [
    (_confined_kind, ConfinedReader),
    (geojson.looks_like, GeoJsonReader),
    (
        lambda head: (
            _looks_like_table(head)
            and not _is_xml(head)
            and not head.startswith(tuple(magic for magic, name in KNOWN_FORMATS))
        ),
        CsvReader,
    ),
]

csv.field_size_limit(10 * MAX_CELL)
codecs.register(_cp1252_lenient)
