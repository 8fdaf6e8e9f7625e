"""Reading one row: coordinates, dates, words, headers."""

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labels.errors import BadInput
from labels.ingest import words
from labels.ingest.coordinates import angle
from labels.ingest.fields import guess_mapping, resolve_mapping
from labels.ingest.headers import folded
from labels.ingest.raw import RawRow
from labels.ingest.refusals import Refusal, RowRefused
from labels.ingest.rows import MAX_LENGTHS, Observed, RowReader
from labels.ingest.words import MINERALS, OTHER, is_blank, kind_in, location_precision_in, minerals_in
from labels.minerals import MINERAL_WORDS
from labels.models import Observation, SiteRecord
from labels.models.registers import LegalStatus, LocationPrecision, TradeStatus

degrees = st.floats(-180, 180, allow_nan=False)


@given(degrees)
def test_decimal_degrees_come_back_exactly(value):
    assert angle(repr(value), "lon").degrees == value
    assert angle(f" {value!r}° ", "lon").degrees == value


@given(degrees)
def test_decimal_commas_come_back_exactly(value):
    assert angle(repr(value).replace(".", ",").replace("-", "−", value < 0), "lon").degrees == value


@given(st.text(max_size=30))
def test_any_text_is_a_coordinate_nothing_or_refused(text):
    try:
        found = angle(text, "lon")
    except RowRefused as refused:
        assert refused.refusal.column == "lon" and refused.refusal.reason
    else:
        assert found is None or math.isfinite(found.degrees) or found.n_parts == 1


@pytest.mark.parametrize(
    "text", ["nan1", "inf", "-Infinity", "1e400", "12.5.3", "12°60'", "1,234.5", "12 N", "0x10", "１２", "2°30'15\"30"]
)
def test_what_is_no_longitude_is_refused(text):
    read = RowReader({"longitude": "x", "latitude": "y"}).read(RawRow(2, {"x": text, "y": "1"}))
    assert isinstance(read, Refusal) and read.column == "x"


@pytest.mark.parametrize("text", ["", " ", "N/A", "inconnu", "-", "?", "NULL", "nan", "desconhecido"])
def test_cells_that_say_nothing_are_blank(text):
    assert is_blank(text) and angle(text, "lon") is None


@pytest.mark.parametrize("text", ["Приморский", "منجم", "0", "no"])
def test_cells_in_any_script_say_something(text):
    assert not is_blank(text)


def test_stated_precision_is_kept_with_the_date():
    reader = RowReader({"observed_on": "d", "date_precision": "p"})
    read = reader.read(RawRow(2, {"d": "01/01/2015", "p": "année"}))
    assert (read.observed_on, read.date_precision) == (date(2015, 1, 1), "year")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Or", [("gold", "Or")]),
        ("ouro", [("gold", "ouro")]),
        ("Cassitérite, Coltan", [("cassiterite", "Cassitérite"), ("coltan", "Coltan")]),
        ("Or et diamant", [("gold", "Or"), ("diamond", "diamant")]),
        ("Tin/Tungsten", [("cassiterite", "Tin"), ("wolframite", "Tungsten")]),
        ("Manvenve", [("other", "Manvenve")]),
        ("inconnu", []),
        ("", []),
    ],
)
def test_minerals_have_a_code_beside_the_word(text, found):
    assert minerals_in(text, {}) == found


def test_registers_own_words_come_first():
    assert minerals_in("Manvenve", {"Manvenve": "manganese"}) == [("manganese", "Manvenve")]
    assert kind_in("0", {"0": "remote"}) == "remote"


@pytest.mark.parametrize(
    ("text", "precision"),
    [
        ("GPS", "gps"),
        ("gps ", "gps"),
        ("GPS (village Kiloza)", "village"),
        ("GPS (4 km du site)", "approximate"),
        ("GPS (Approximation)", "approximate"),
        ("Approximation", "approximate"),
        ("Numérisation", "digitised"),
        ("Landsat ETM+", "digitised"),
        ("Google Earth", "digitised"),
        ("Ancienne base", "unknown"),
        ("", "unknown"),
    ],
)
def test_location_methods_have_a_precision(text, precision):
    assert location_precision_in(text, {}) == precision


@pytest.mark.parametrize(
    ("text", "kind"), [("1", "on_site"), ("0", "third_party"), ("Oui", "on_site"), ("x", "unknown")]
)
def test_kinds_are_told_by_their_words(text, kind):
    assert kind_in(text, {}) == kind


@given(st.dictionaries(st.sampled_from(["id", "x", "y", "d", "m"]), st.text(max_size=20)))
def test_any_row_is_an_observation_or_refused(values):
    reader = RowReader({"source_id": "id", "longitude": "x", "latitude": "y", "observed_on": "d", "mineral": "m"})
    assert isinstance(reader.read(RawRow(2, values)), Observed | Refusal)


_json = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.floats().map(str),
    lambda c: st.lists(c, max_size=4),
    max_leaves=20,
)


@given(st.sampled_from(["Point", "Polygon", "MultiPolygon", "LineString", ""]), _json)
def test_any_geometry_is_read_or_refused(kind, coordinates):
    raw = RawRow(1, {}, {"type": kind, "coordinates": coordinates})
    assert isinstance(RowReader({}).read(raw), Observed | Refusal)


def test_order_of_columns_is_no_difference():
    reader = RowReader({"name": "a"})
    one = reader.read(RawRow(2, {"a": "x", "b": "y"}))
    other = reader.read(RawRow(2, {"b": "y", "c": "", "a": "x"}))
    assert one.row_hash == other.row_hash


@pytest.mark.parametrize(
    ("columns", "field", "column"),
    [
        (["Nom du site", "Province"], "name", "Nom du site"),
        (["Latitude", "Longitude"], "latitude", "Latitude"),
        (["Data da visita"], "observed_on", "Data da visita"),
        (["Fecha_de_visita"], "observed_on", "Fecha_de_visita"),
        (["Minerai principal"], "mineral", "Minerai principal"),
        (["Código", "Minério"], "source_id", "Código"),
        (["Municipio", "Departamento"], "stated_region", "Departamento"),
    ],
)
def test_headers_are_guessed_in_four_languages(columns, field, column):
    assert guess_mapping(columns).mapping[field] == column


def test_doubtful_headers_are_not_guessed():
    guess = guess_mapping(["lat", "latitude", "lon", "N°", "Code site"])
    assert guess.doubts == {"latitude": ["lat", "latitude"], "source_id": ["N°", "Code site"]}
    with pytest.raises(BadInput, match="lat, latitude"):
        resolve_mapping(["lat", "latitude", "lon"], chosen={})


def test_a_choice_settles_a_doubt():
    mapping = resolve_mapping(["lat", "latitude", "lon", "id"], chosen={"latitude": "lat"})
    assert mapping == {"source_id": "id", "longitude": "lon", "latitude": "lat"}


@given(st.text())
def test_folding_twice_is_folding_once(text):
    assert folded(folded(text)) == folded(text)


def test_every_mineral_code_has_a_word():
    assert {*MINERALS.values(), OTHER} == set(MINERAL_WORDS)


def test_codes_and_lengths_are_those_of_the_models():
    """The reading process knows no models, so they are written out there."""
    columns = Observation._meta
    for field, length in MAX_LENGTHS.items():
        where = SiteRecord._meta if field == "source_id" else columns
        assert where.get_field(field).max_length == length
    assert {*words.KINDS.values(), words.UNKNOWN} == set(Observation.Kind.values)
    assert set(words.DATE_PRECISIONS.values()) == set(Observation.DatePrecision.values)
    assert {*words.LEGAL_STATUSES.values(), words.UNKNOWN} == set(LegalStatus.values)
    assert {*words.TRADE_STATUSES.values(), words.UNKNOWN} == set(TradeStatus.values)
    methods = ("GPS", "village", "Google Earth", "approx.", "")
    assert {words.location_precision_in(text, {}) for text in methods} == set(LocationPrecision.values)


def test_zeros_are_flagged_and_blanks_are_not():
    reader = RowReader({"longitude": "x", "latitude": "y"})
    assert reader.read(RawRow(2, {"x": "0", "y": "0,000"})).row_flags == ["zero_position"]
    assert reader.read(RawRow(2, {"x": "0°00'00\"", "y": "0"})).row_flags == ["zero_position"]
    assert reader.read(RawRow(2, {"x": "", "y": "N/A"})).row_flags == []
    point = {"type": "Point", "coordinates": ["0", "0.0"]}
    assert RowReader({}).read(RawRow(1, {}, point)).row_flags == ["zero_position"]
    assert RowReader({"coordinates": "c"}).read(RawRow(2, {"c": "0, 0"})).row_flags == ["zero_position"]


def test_a_line_of_totals_is_no_site():
    reader = RowReader({"longitude": "x", "latitude": "y", "source_id": "id"})
    assert "totals" in reader.read(RawRow(9, {"id": "TOTAL GÉNÉRAL", "x": "", "y": "", "n": "300"})).reason
    assert isinstance(reader.read(RawRow(9, {"id": "Total", "x": "1.5", "y": "2.5"})), Observed)
