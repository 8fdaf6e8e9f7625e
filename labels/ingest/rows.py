"""What one row of a register says: an observation to be, or a refusal. Nothing is mended."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from django.contrib.gis.geos import MultiPolygon
from django.utils.translation import gettext as _

from labels.ingest import coordinates, dates, row_flags, shapes, utm, words
from labels.ingest.coordinates import Position
from labels.ingest.fields import is_value
from labels.ingest.readers import RawRow
from labels.ingest.refusals import Refusal, RowRefused, refuse
from labels.models import Observation


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


MAX_LENGTHS = {
    field: Observation._meta.get_field(field).max_length
    for field in ("location_method", "name", "stated_region", "legal_status", "trade_status")
} | {"source_id": 200}
MINERAL_FIELDS = ("mineral", "mineral_2", "mineral_3")


class RowReader:
    """Reads rows under one mapping (field -> column) and the register's own words (field -> {word: code})."""

    def __init__(self, mapping: Mapping[str, str], value_mapping: Mapping[str, Mapping[str, str]] | None = None):
        self.mapping = dict(mapping)
        self.own_words = value_mapping or {}

    def read(self, raw: RawRow) -> Observed | Refusal:
        if raw.refusal:
            return raw.refusal
        try:
            return self._read(raw)
        except RowRefused as refused:
            return refused.refusal

    def _read(self, raw: RawRow) -> Observed:
        values = raw.values
        lon, lat, polygon = self._position(raw)
        observed_on, date_precision = self._date(values, raw.is_spreadsheet)
        method = self._text("location_method", values)
        minerals, originals = self._minerals(values)
        source_id = self._source_id(values)
        kind = words.kind_in(self._cell("kind", values), self._own("kind"))
        precision = words.location_precision_in(method, self._own("location_method"))
        name, region = self._text("name", values), self._text("stated_region", values)
        legal, trade = self._text("legal_status", values), self._text("trade_status", values)
        legal_code = words.legal_status_in(legal, self._own("legal_status"))
        trade_code = words.trade_status_in(trade, self._own("trade_status"))
        attributes = _canonical({column: value for column, value in sorted(values.items()) if value})
        content = attributes if raw.geometry is None else attributes + _canonical(raw.geometry)
        where, when = [lon, lat, polygon, method, precision], [observed_on and observed_on.isoformat(), date_precision]
        reading = _canonical(
            [*where, *when, kind, name, region, minerals, originals, legal, trade, legal_code, trade_code]
        )
        return Observed(
            file_row=raw.file_row,
            source_id=source_id,
            content_hash=hashlib.sha256(content.encode()).digest(),
            row_hash=hashlib.sha256(f"{content}\n{reading}".encode()).digest(),
            observed_on=observed_on,
            date_precision=date_precision,
            kind=kind,
            lon=lon,
            lat=lat,
            polygon=polygon,
            location_method=method,
            location_precision=precision,
            name=name,
            stated_region=region,
            minerals=minerals,
            minerals_original=originals,
            legal_status=legal,
            trade_status=trade,
            legal_status_code=legal_code,
            trade_status_code=trade_code,
            row_flags=row_flags.of_row(
                self.mapping, values, raw.geometry, is_located=lon is not None or polygon is not None
            ),
            attributes=attributes,
        )

    def _own(self, field: str) -> Mapping[str, str]:
        return self.own_words.get(field, {})

    def _cell(self, field: str, values: Mapping[str, str]) -> str:
        column = self.mapping.get(field)
        return values.get(column, "") if column else ""

    def _text(self, field: str, values: Mapping[str, str]) -> str:
        text = self._cell(field, values).strip()
        if len(text) > MAX_LENGTHS[field]:
            raise refuse(
                self.mapping[field], text, _("the text is longer than %(n)s characters") % {"n": MAX_LENGTHS[field]}
            )
        return text

    def _source_id(self, values: Mapping[str, str]) -> str | None:
        if "source_id" not in self.mapping:
            return None
        source_id = self._text("source_id", values)
        if not source_id:
            raise refuse(self.mapping["source_id"], "", _("the row has no id"))
        return source_id

    def _date(self, values: Mapping[str, str], is_spreadsheet: bool) -> tuple[date | None, str]:
        observed_on, precision = dates.parse_date(
            self._cell("observed_on", values),
            self.mapping.get("observed_on", ""),
            order=self.mapping.get("date_order", ""),
            is_spreadsheet=is_spreadsheet,
        )
        stated = words.date_precision_in(self._cell("date_precision", values), self._own("date_precision"))
        if observed_on and stated:
            precision = stated
        return observed_on, precision

    def _minerals(self, values: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """Codes and original words, side by side; one mineral named twice counts once."""
        found: list[tuple[str, str]] = []
        for field in MINERAL_FIELDS:
            for code, word in words.minerals_in(self._cell(field, values), self._own("mineral")):
                if len(word) > 200:
                    raise refuse(self.mapping[field], word, _("the text is longer than %(n)s characters") % {"n": 200})
                if code == words.OTHER or code not in (known for known, _ in found):
                    found.append((code, word))
        return [code for code, _ in found], [word for _, word in found]

    def _position(self, raw: RawRow) -> tuple[float | None, float | None, str | None]:
        if "longitude" in self.mapping or "coordinates" in self.mapping:
            return *(self._from_cells(raw.values) or (None, None)), None
        if "geometry" in self.mapping:
            cell = self._cell("geometry", raw.values)
            shape = None if words.is_blank(cell) else shapes.from_wkt(cell, self.mapping["geometry"])
        else:
            shape = shapes.from_geojson(raw.geometry)
        if isinstance(shape, MultiPolygon):
            if not shape.valid:
                raise refuse("geometry", "Polygon", _("the polygon crosses itself or is not whole"))
            return None, None, shape.hexewkb.decode()
        return *(shape if shape and any(shape) else (None, None)), None

    def _from_cells(self, values: Mapping[str, str]) -> Position | None:
        zone = self._zone(values)
        if "coordinates" in self.mapping:
            order, column = self.mapping.get("coordinate_order", ""), self.mapping["coordinates"]
            return coordinates.combined(self._cell("coordinates", values), column, order, zone)
        lon, lat = self._cell("longitude", values), self._cell("latitude", values)
        return coordinates.from_columns(lon, lat, self.mapping["longitude"], self.mapping["latitude"], zone)

    def _zone(self, values: Mapping[str, str]) -> utm.Zone | None:
        chosen = self.mapping.get("utm_zone")
        if not chosen:
            return None
        if is_value("utm_zone", chosen):
            return utm.zone_of(chosen)
        return coordinates.read_zone(values.get(chosen, ""), chosen)


_canonical = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
