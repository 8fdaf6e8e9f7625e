"""Positions as registers write them: every spelling comes back, everything doubtful is refused."""

import csv
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rasterio.warp import transform

from labels.geodesic import inverse
from labels.ingest import utm
from labels.ingest.coordinates import angle, combined, from_columns
from labels.ingest.raw import RawRow
from labels.ingest.readers import open_rows
from labels.ingest.refusals import Refusal, RowRefused
from labels.ingest.rows import Observed, RowReader

lons = st.floats(-180, 180, allow_nan=False)
lats = st.floats(-90, 90, allow_nan=False)

WEST, EAST, SOUTH, NORTH = (
    ("W", "O", "Ouest", "oeste", "West"),
    ("E", "L", "Est", "leste"),
    ("S", "sud"),
    ("N", "Norte"),
)
DMS = (
    "{d}°{m:02d}'{s:05.2f}\"",
    "{d}º {m}’ {s:.2f}”",
    "{d}d{m:02d}m{s:05.2f}s ",
    "{d} {m:02d} {s:05.2f}",
    "{d}:{m}:{s:.2f}",
)
DMS += ("{d}°{m}′{s:.2f}″", "{d} deg {m} min {s:.2f} sec", "{d}°{m}'{s:.2f}''")
DM = ("{d}° {m:07.4f}'", "{d}º{m:.4f}′", "{d} {m:.4f}", "{d}:{m:.4f}", "{d}d{m:.4f}m")
DEGREES = ("{d:.6f}", "{d:.6f}°", "{d:.6f} °")


def metres_between(one, other) -> float:
    return float(inverse(*one, *other)[0])


@st.composite
def spellings(draw, degrees, positive, negative) -> str:
    """One angle in one of the spellings; the letter before or after, or a sign."""
    size = abs(degrees)
    unit = draw(st.sampled_from([*DMS, *DM, *DEGREES]))
    if unit in DMS:
        hundredths = round(size * 360_000)
        text = unit.format(d=hundredths // 360_000, m=hundredths // 6000 % 60, s=hundredths % 6000 / 100)
    elif unit in DM:
        tenths = round(size * 600_000)
        text = unit.format(d=tenths // 600_000, m=tenths % 600_000 / 10_000)
    else:
        text = unit.format(d=size)
    if draw(st.booleans()):
        text = text.replace(".", ",")
    letter = draw(st.sampled_from(negative if degrees < 0 else positive))
    where = draw(st.sampled_from(["before", "after", "sign"]))
    if where == "sign":
        return ("-" if degrees < 0 else "") + text
    return f"{letter} {text}" if where == "before" else f"{text} {letter}"


@given(st.data(), lons, lats)
def test_every_spelling_comes_back_within_its_precision(data, lon, lat):
    lon_text, lat_text = data.draw(spellings(lon, EAST, WEST)), data.draw(spellings(lat, NORTH, SOUTH))
    found = from_columns(lon_text, lat_text, "lon", "lat") or (0.0, 0.0)
    # A hundredth of a second is 0.31 m.
    assert abs(found[0] - lon) < 3e-6 and abs(found[1] - lat) < 3e-6


@given(st.data(), lons, lats, st.sampled_from([" ", ", ", "; ", " / ", "\n"]), st.booleans())
def test_one_column_with_letters_comes_back_in_both_orders(data, lon, lat, between, is_lon_first):
    unit = data.draw(st.sampled_from(["{d}°{m:02d}'{s:05.2f}\"", "{d} {m:02d} {s:05.2f}", "{d}d{m:02d}m{s:05.2f}s "]))
    texts = []
    for degrees, letters in ((lat, "NS"), (lon, "EW")):
        hundredths = round(abs(degrees) * 360_000)
        parts = {"d": hundredths // 360_000, "m": hundredths // 6000 % 60, "s": hundredths % 6000 / 100}
        texts.append(unit.format(**parts) + " " + letters[degrees < 0])
    text = between.join(reversed(texts) if is_lon_first else texts)
    found = combined(text, "gps") or (0.0, 0.0)
    assert abs(found[0] - lon) < 3e-6 and abs(found[1] - lat) < 3e-6


@given(lons, lats, st.sampled_from([", ", ";", " ", "|"]), st.sampled_from(["lat_lon", "lon_lat"]))
def test_one_column_without_letters_needs_its_order(lon, lat, between, order):
    text = between.join((f"{lat:.6f}", f"{lon:.6f}") if order == "lat_lon" else (f"{lon:.6f}", f"{lat:.6f}"))
    found = combined(text, "gps", order) or (0.0, 0.0)
    assert found == (pytest.approx(lon, abs=1e-6), pytest.approx(lat, abs=1e-6))
    if found != (0, 0):
        with pytest.raises(RowRefused, match="which of the two"):
            combined(text, "gps")


@given(st.floats(-79, 83), st.floats(-2.9, 2.9), st.integers(1, 60))
@example(2.58, 3.5, 35)
def test_utm_comes_back(lat, off, number):
    zone, lon = utm.Zone(number, lat >= 0), 6 * number - 183 + off
    code = f"EPSG:32{6 if zone.is_north else 7}{number:02d}"
    easting, northing = (round(values[0], 2) for values in transform("EPSG:4326", code, [lon], [lat]))
    for text in (
        f"{zone} {easting} {northing}",
        f"{easting}mE {northing}mN {zone}",
        f"UTM {zone}: {easting}; {northing}",
    ):
        assert metres_between(combined(text, "gps"), (lon, lat)) < 0.05
    assert metres_between(from_columns(str(easting), str(northing), "x", "y", zone), (lon, lat)) < 0.05


@given(st.text(max_size=40) | st.from_regex(r"[-NSEO0-9°'\", .dms]{1,30}", fullmatch=True))
def test_any_text_is_a_position_nothing_or_refused(text):
    for read in (lambda: combined(text, "c"), lambda: combined(text, "c", "lat_lon", utm.Zone(35, False))):
        try:
            found = read()
        except RowRefused as refused:
            assert refused.refusal.column == "c" and refused.refusal.reason
        else:
            assert found is None or (abs(found[0]) <= 180 and abs(found[1]) <= 90)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("-0°30'", -0.5),
        ("3d38m30s", 3.641666667),
        ("3d38m30S", -3.641666667),
        ("2 38 50.92 S", -2.647477778),
        ("S1", -1),
    ],
)
def test_signs_and_the_last_s(text, degrees):
    assert angle(text, "lat").degrees == pytest.approx(degrees)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3D38M30.1S", "seconds or south"),
        ("2°38'50s", "seconds or south"),
        ("-2.5 S", "both a minus sign"),
        ("N 2.5 S", "two letters"),
        ("2°75' S", "less than 60"),
        ("2°59'60\"", "less than 60"),
        ("2.5 30 S", "only the last"),
        ("27.154713 (GPS)", "other text"),
        ("inf", "no coordinate"),
        ("1,234.5", "no coordinate"),
    ],
)
def test_doubtful_angles_are_refused(text, reason):
    with pytest.raises(RowRefused, match=reason):
        angle(text, "lat")


@pytest.mark.parametrize(
    ("lon", "lat", "zone", "column", "reason"),
    [
        ("2.5 S", "27 E", "", "x", "this is a latitude"),
        ("27.5", "27.5 E", "", "y", "this is a longitude"),
        ("505497", "9598008", "", "x", "say the UTM zone"),
        ("9598008", "505497", "35S", "x", "easting"),
        ("505497", "9598008", "35N", "y", "northing"),
        ("27.5", "95", "", "y", "between -90"),
        ("1e400", "1", "", "x", "between -180"),
        ("27.5", "", "", "y", "only one"),
        ("0 E", "", "", "y", "only one"),
        ("505497", "9598008", "35", "zone", "no UTM zone"),
        ("505497", "9598008", "61S", "zone", "no UTM zone"),
    ],
)
def test_two_columns_are_refused_in_words(lon, lat, zone, column, reason):
    reader = RowReader({"longitude": "x", "latitude": "y", "utm_zone": "zone"})
    refusal = reader.read(RawRow(2, {"x": lon, "y": lat, "zone": zone}))
    assert isinstance(refusal, Refusal) and (refusal.column == column) and reason in refusal.reason


@pytest.mark.parametrize(
    "text",
    [
        "-2.5",
        "-2,28",
        "1.5 N 30.2",
        "27.5, 28.5, 29.5",
        "766134 9813250",
        "36N 766134 9813250",
        "2 N 3 S",
        "lat 2 S lon 3 N",
    ],
)
def test_doubtful_pairs_are_refused(text):
    with pytest.raises(RowRefused):
        combined(text, "gps", "lat_lon")


@pytest.mark.parametrize(
    "text",
    [
        "Lat: -2.5, Lon: 28.3",
        "lon 28,3 lat -2,5",
        "(2.5S, 28.3E)",
        "S2°30'00\"E28°18'00\"",
        "-2,5 ; 28,3 E",
        "[2°30'S 28°18'E]",
    ],
)
def test_words_and_letters_tell_the_order(text):
    assert combined(text, "gps") == (pytest.approx(28.3), pytest.approx(-2.5))


@pytest.mark.parametrize("text", ["", "N/A", "0,0", "0.0 0.0", "0; 0", "-"])
def test_nothing_and_the_origin_are_no_position(text):
    assert combined(text, "gps") is None


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("35S", "35S"),
        ("WGS 84 / UTM zone 35S", "35S"),
        ("Fuseau 35 Sud", "35S"),
        ("36M", "36S"),
        ("36P", "36N"),
        ("EPSG:32736", "36S"),
        ("zona 18 norte", "18N"),
    ],
)
def test_zones_are_read_in_their_spellings(text, zone):
    assert str(utm.zone_of(text)) == zone


# ---- the messy register ----

READ = ["decimal", "comma", "ddm", "dms0", "dms1", "dms2", "dup"]


def messy(shared_data, **mapping):
    """(kind of damage, what was read, true position) of each row."""
    path = shared_data / "asm_records" / "derived_messy_registre_cp1252.csv"
    reader = RowReader({"longitude": "Longitude", "latitude": "Latitude"} | mapping)
    with path.with_name("derived_messy_registre_truth.csv").open() as file:
        truth = list(csv.DictReader(file))
    for raw, true in zip(open_rows(path).rows(), truth, strict=True):
        yield true["kind"], reader.read(raw), (float(true["true_lon"]), float(true["true_lat"]))


@pytest.mark.parametrize("zone", ["", "35S"])
def test_messy_register_is_read_within_five_metres(shared_data, zone):
    rows = list(messy(shared_data, utm_zone=zone))
    assert len(rows) == 300
    for kind, read, true in rows:
        if kind in READ or (kind == "utm35s" and zone):
            assert isinstance(read, Observed) and metres_between((read.lon, read.lat), true) < 5, (kind, read)
        elif kind in ("blank", "zero"):
            assert isinstance(read, Observed) and read.lon is None
        elif kind == "utm35s":
            assert read.column == "Longitude" and "UTM zone" in read.reason
        elif kind == "fr_header_text":
            assert read.column == "Longitude" and "other text" in read.reason
        else:
            # The axes and the sign stay as they were reported; flags come later.
            assert kind in ("swapped", "sign_lost") and isinstance(read, Observed) and math.isfinite(read.lon)
