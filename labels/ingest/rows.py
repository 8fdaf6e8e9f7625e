"""What one row of a register says: an observation to be, or a refusal. Nothing is mended.

The reading process runs this; it knows no models and no database.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from json.encoder import JSONEncoder, encode_basestring

from django.utils.translation import gettext as _

from labels.ingest import coordinates, crs, dates, shapes, utm, words
from labels.ingest.coordinates import Position
from labels.ingest.fields import is_value
from labels.ingest.headers import folded, is_blank
from labels.ingest.raw import RawRow
from labels.ingest.refusals import Refusal, RowRefused, refuse
from labels.ingest.shapes import Polygons


@dataclass(slots=True)
class Observed:
    """An observation to be. Fields are those of Observation unless said."""

    file_row: int
    # None where the register has no id column: the row's content is its identity then.
    source_id: str | None
    # sha256 of what the row states, alone and together with how it was read.
    content_hash: bytes
    row_hash: bytes
    observed_on: date | None
    date_precision: str
    kind: str
    lon: float | None
    lat: float | None
    # Hexadecimal EWKB.
    polygon: str | None
    location_method: str
    location_precision: str
    name: str
    stated_region: str
    minerals: list[str]
    minerals_original: list[str]
    legal_status: str
    trade_status: str
    legal_status_code: str
    trade_status_code: str
    row_flags: list[str]
    # JSON text.
    attributes: str


# Those of the models' columns.
MAX_LENGTHS = {
    "source_id": 200,
    "location_method": 200,
    "name": 300,
    "stated_region": 300,
    "legal_status": 200,
    "trade_status": 200,
}
ZERO_POSITION = "zero_position"
# How the line under a table begins, folded.
TOTALS = ("total", "totaux", "sous total", "grand total", "subtotal", "totais", "totales", "soma", "suma", "somme")
# Of a refused value.
SHOWN_LENGTH = 200
MINERAL_FIELDS = ("mineral", "mineral_2", "mineral_3")


# So many different readings are kept, of cells that are together no longer than this.
KEPT_WORDS, KEPT_LENGTH = 50_000, 300
Reading = Callable[..., tuple]


class RowReader:
    """Reads rows under one mapping (field -> column) and the register's own words (field -> {word: code})."""

    def __init__(self, mapping: Mapping[str, str], value_mapping: Mapping[str, Mapping[str, str]] | None = None):
        self.mapping = dict(mapping)
        self.own_words = value_mapping or {}
        self._move = crs.to_degrees(self.mapping["crs"]) if self.mapping.get("crs") else None
        self._quoted_columns: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        self._kept: dict[tuple, tuple] = {}
        self._coded = {name: self.mapping.get(name) for name in ("kind", "stated_region", "location_method")}
        self._statuses = self.mapping.get("legal_status"), self.mapping.get("trade_status")
        self._dates = self.mapping.get("observed_on"), self.mapping.get("date_precision")
        self._is_january_a_year = self.mapping.get("january_first") == "year"
        self._mineral_columns = [(name, self.mapping[name]) for name in MINERAL_FIELDS if self.mapping.get(name)]

    def read(self, raw: RawRow) -> Observed | Refusal:
        if raw.refusal:
            return raw.refusal
        try:
            return self._read(raw)
        except RowRefused as refused:
            # As the file writes it: 91 is not 91.0 to who looks for it there.
            said = raw.values.get(refused.refusal.column)
            return refused.refusal if said is None else replace(refused.refusal, value=said.strip()[:SHOWN_LENGTH])

    def _read(self, raw: RawRow) -> Observed:
        """Each reading ends with its JSON, which together make the row's hash: what was read, in one fixed order."""
        values = raw.values
        get = values.get
        lon, lat, polygon = self._position(raw)
        row_flags = self._row_flags(raw) if lon is None and polygon is None else []
        if lon is None and polygon is None and not row_flags:
            _refuse_totals(values)
        observed_on, date_precision, when = self._once(
            _READ_DATE, get(self._dates[0], ""), get(self._dates[1], ""), raw.is_spreadsheet
        )
        method, precision, method_said = self._once(_READ_METHOD, get(self._coded["location_method"], ""))
        minerals, originals, minerals_said = self._once(
            _READ_MINERALS, *(get(column, "") for _field, column in self._mineral_columns)
        )
        source_id = self._source_id(values)
        kind, kind_said = self._once(_READ_KIND, get(self._coded["kind"], ""))
        name = self._text("name", get(self.mapping.get("name"), ""))
        region, region_said = self._once(_READ_REGION, get(self._coded["stated_region"], ""))
        legal, trade, legal_code, trade_code, statuses_said = self._once(
            _READ_STATUSES, get(self._statuses[0], ""), get(self._statuses[1], "")
        )
        attributes = self._attributes(values)
        content = attributes if raw.geometry is None else attributes + _canonical(raw.geometry)
        where = "null,null" if lon is None else f"{lon!r},{lat!r}"
        where += ",null" if polygon is None else f',"{polygon}"'
        reading = (
            f"[{where},{method_said},{when},{kind_said},{_quoted(name)},{region_said},{minerals_said},{statuses_said}]"
        )
        stated = content.encode()
        return Observed(
            raw.file_row,
            source_id,
            hashlib.sha256(stated).digest(),
            hashlib.sha256(b"%b\n%b" % (stated, reading.encode())).digest(),
            observed_on,
            date_precision,
            kind,
            lon,
            lat,
            polygon,
            method,
            precision,
            name,
            region,
            minerals,
            originals,
            legal,
            trade,
            legal_code,
            trade_code,
            row_flags,
            attributes,
        )

    def _once(self, reading: Reading, *cells: object) -> tuple:
        """What the cells mean. Registers say the same few words in millions of rows: they are read once."""
        key = (reading, *cells)
        found = self._kept.get(key)
        if found is None:
            found = reading(self, *cells)
            if len(self._kept) >= KEPT_WORDS:
                self._kept.clear()
            if sum(len(cell) for cell in cells if isinstance(cell, str)) <= KEPT_LENGTH:
                self._kept[key] = found
        return found

    def _attributes(self, values: Mapping[str, str]) -> str:
        """Every column that says something as JSON, by name: the order of columns is no difference."""
        names = tuple(values)
        columns = self._quoted_columns.get(names)
        if columns is None:
            if len(self._quoted_columns) > 100:  # features may each have properties of their own
                self._quoted_columns.clear()
            columns = self._quoted_columns[names] = [(name, f"{_quoted(name)}:") for name in sorted(names)]
        said = [quoted + _quoted(values[name]) for name, quoted in columns if values[name]]
        return "{" + ",".join(said) + "}"

    def _own(self, field: str) -> Mapping[str, str]:
        return self.own_words.get(field, {})

    def _text(self, field: str, cell: str) -> str:
        text = cell.strip()
        if len(text) > MAX_LENGTHS[field]:
            raise refuse(
                self.mapping[field], text, _("the text is longer than %(n)s characters") % {"n": MAX_LENGTHS[field]}
            )
        return text

    def _source_id(self, values: Mapping[str, str]) -> str | None:
        column = self.mapping.get("source_id")
        if column is None:
            return None
        source_id = self._text("source_id", values.get(column, ""))
        if not source_id:
            raise refuse(column, "", _("the row has no id"))
        return source_id

    def _method(self, cell: str) -> tuple[str, str, str]:
        method = self._text("location_method", cell)
        precision = words.location_precision_in(method, self._own("location_method"))
        return method, precision, _said(method, precision)

    def _region(self, cell: str) -> tuple[str, str]:
        region = self._text("stated_region", cell)
        return region, _said(region)

    def _kind(self, cell: str) -> tuple[str, str]:
        kind = words.kind_in(cell, self._own("kind"))
        return kind, _said(kind)

    def _both_statuses(self, legal_cell: str, trade_cell: str) -> tuple[str, str, str, str, str]:
        legal, trade = self._text("legal_status", legal_cell), self._text("trade_status", trade_cell)
        legal_code = words.legal_status_in(legal, self._own("legal_status"))
        trade_code = words.trade_status_in(trade, self._own("trade_status"))
        return legal, trade, legal_code, trade_code, _said(legal, trade, legal_code, trade_code)

    def _date(self, cell: str, stated_precision: str, is_spreadsheet: bool) -> tuple[date | None, str, str]:
        observed_on, precision = dates.parse_date(
            cell,
            self.mapping.get("observed_on", ""),
            order=self.mapping.get("date_order", ""),
            is_spreadsheet=is_spreadsheet,
        )
        if self._is_january_a_year and precision == dates.DAY and (observed_on.month, observed_on.day) == (1, 1):
            precision = dates.YEAR
        stated = words.date_precision_in(stated_precision, self._own("date_precision"))
        if observed_on and stated:
            precision = stated
        return observed_on, precision, _said(observed_on and observed_on.isoformat(), precision)

    def _minerals(self, *cells: str) -> tuple[list[str], list[str], str]:
        """Codes and original words, side by side; one mineral named twice counts once."""
        found: list[tuple[str, str]] = []
        for (_field, column), cell in zip(self._mineral_columns, cells, strict=True):
            for code, word in words.minerals_in(cell, self._own("mineral")):
                if len(word) > 200:
                    raise refuse(column, word, _("the text is longer than %(n)s characters") % {"n": 200})
                if code == words.OTHER or code not in (known for known, _word in found):
                    found.append((code, word))
        codes, originals = [code for code, _word in found], [word for _code, word in found]
        return codes, originals, _said(codes, originals)

    def _position(self, raw: RawRow) -> tuple[float | None, float | None, str | None]:
        if "longitude" in self.mapping or "coordinates" in self.mapping:
            return *(self._from_cells(raw.values) or (None, None)), None
        shape = self._shape(raw)
        if isinstance(shape, Polygons):
            return None, None, shape.hexewkb.decode()
        return *(shape if shape and any(shape) else (None, None)), None

    def _row_flags(self, raw: RawRow) -> list[str]:
        """What the row alone tells of its doubts, where it has no position: whether it states 0, 0 or says nothing."""
        if "longitude" in self.mapping or "coordinates" in self.mapping:
            fields = ("coordinates",) if "coordinates" in self.mapping else ("longitude", "latitude")
            stated = [coordinates.normal(raw.values.get(self.mapping[field], "")) for field in fields]
            return [] if any(map(is_blank, stated)) else [ZERO_POSITION]
        return [ZERO_POSITION] if self._shape(raw) else []

    def _shape(self, raw: RawRow) -> Position | Polygons | None:
        if "geometry" not in self.mapping:
            return shapes.from_geojson(raw.geometry)
        cell = raw.values.get(self.mapping["geometry"], "")
        return None if is_blank(cell) else shapes.from_wkt(cell, self.mapping["geometry"], self._move)

    def _from_cells(self, values: Mapping[str, str]) -> Position | None:
        if "coordinates" in self.mapping:
            zone = self._zone(values)
            order, column = self.mapping.get("coordinate_order", ""), self.mapping["coordinates"]
            return coordinates.combined(values.get(column, ""), column, order, zone)
        x_column, y_column = self.mapping["longitude"], self.mapping["latitude"]
        x, y = values.get(x_column, ""), values.get(y_column, "")
        if self._move:
            return coordinates.from_grid(x, y, x_column, y_column, self._move)
        return coordinates.from_columns(x, y, x_column, y_column, self._zone(values))

    def _zone(self, values: Mapping[str, str]) -> utm.Zone | None:
        chosen = self.mapping.get("utm_zone")
        if not chosen:
            return None
        if is_value("utm_zone", chosen):
            return utm.zone_of(chosen)
        return coordinates.read_zone(values.get(chosen, ""), chosen)


def _refuse_totals(values: Mapping[str, str]) -> None:
    """The line of totals under a table is no site; asked only of rows without a position.

    It holds nothing but numbers besides: a row that has more to say is of a site, or of a company, of such a name.
    """
    (column, first), *others = [(name, value) for name, value in values.items() if value.strip()] or [("", "")]
    said = folded(first[:60])
    if any(_says_total(said, word) for word in TOTALS) and not any(map(_has_letter, (value for _n, value in others))):
        raise refuse(column, first, _("this is a line of totals, not a site"))


def _says_total(said: str, word: str) -> bool:
    return said == word or said.startswith((f"{word} ", f"{word}s "))


def _has_letter(cell: str) -> bool:
    return any(map(str.isalpha, cell))


_canonical = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_quoted = encode_basestring


def _said(*values: object) -> str:
    """The values as members of a JSON list."""
    return _canonical(values)[1:-1]


_READ_DATE, _READ_METHOD, _READ_MINERALS = RowReader._date, RowReader._method, RowReader._minerals
_READ_KIND, _READ_REGION, _READ_STATUSES = RowReader._kind, RowReader._region, RowReader._both_statuses
