"""Positions as registers write them: decimal degrees, degrees and minutes, UTM, in two columns or in one.

What can be read in one way only is read; the rest is refused with the reason. Nothing is swapped, signed or rounded.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from labels.ingest import utm
from labels.ingest.headers import is_blank
from labels.ingest.refusals import RowRefused, refuse

Position = tuple[float, float]
Move = Callable[[list[Position]], list[Position]]
LON, LAT = "lon", "lat"
ORDERS = ("lat_lon", "lon_lat")


def checked_position(lon: float, lat: float, lon_column: str, lat_column: str) -> Position:
    """The position, or a refusal naming the column whose value lies off the globe."""
    if not (math.isfinite(lon) and -180 <= lon <= 180):
        raise refuse(lon_column, lon, _("a longitude lies between -180 and 180 degrees"))
    if not (math.isfinite(lat) and -90 <= lat <= 90):
        raise refuse(lat_column, lat, _("a latitude lies between -90 and 90 degrees"))
    return lon, lat


# ---- one cell ----


@dataclass(frozen=True)
class Angle:
    degrees: float
    # What a hemisphere letter says the angle is: LON, LAT or nothing.
    axis: str
    # 1 degrees, 2 degrees and minutes, 3 with seconds.
    n_parts: int = 1


_MARKS = str.maketrans(
    dict.fromkeys("\u2212\u2013\u2012\ufe63\uff0d", "-")
    | dict.fromkeys("\u00ba\u02da\u00b0\u2070", "\u00b0")
    | dict.fromkeys("\u2019\u2018\u2032\u00b4\u0060\u02b9\u02bc\u00b9", "'")
    | dict.fromkeys("\u201d\u201c\u2033\u02ba\u00a8", '"')
    | dict.fromkeys("\u00a0\u202f\u2009\u2007\ufeff\t\r\n", " ")
)
_decimal = re.compile(r"[-+]?\s?\d{1,15}(?:[.,]\d{0,30})?(?:[eE][-+]?\d{1,3})?\s?\u00b0?", re.ASCII)
_HEMISPHERES = {"N": (LAT, 1), "S": (LAT, -1), "E": (LON, 1), "L": (LON, 1), "W": (LON, -1), "O": (LON, -1)}
_WORDS = {
    **dict.fromkeys(("north", "nord", "norte"), "N"),
    **dict.fromkeys(("south", "sud", "sul", "sur"), "S"),
    **dict.fromkeys(("east", "est", "este", "leste"), "E"),
    **dict.fromkeys(("west", "ouest", "oeste"), "W"),
}
_hemisphere = rf"(?:{'|'.join(_WORDS)}|[nsewol])"
_number = r"\d{1,2}(?:[.,]\d{1,20})?"
_angle = re.compile(
    rf"""(?:(?P<before>(?i:{_hemisphere}))\.?\s*)? (?P<sign>[-+])?\s?
    (?P<d>\d{{1,3}}(?:[.,]\d{{1,20}})?) \s*
    (?: (?P<d_unit>\u00b0|deg\.?|[dD]|:|(?<=\ )|$|(?=\s*(?i:{_hemisphere})\.?$)) \s*
      (?: (?P<m>{_number}) \s* (?P<m_unit>'|min\.?|[mM]|:|(?<=\ )|$|(?=\s*(?i:{_hemisphere})\.?$)) \s*
        (?: (?P<s>{_number}) \s* (?P<s_unit>"|''|sec\.?|[sS](?=\s*(?:$|(?i:{_hemisphere}))))? )?
      )?
    )? \s*
    (?P<after>(?i:{_hemisphere}))?\.?""",
    re.VERBOSE | re.ASCII,
)


def normal(text: str) -> str:
    """The many dashes, quotes, degree signs and spaces of keyboards as one each."""
    return text.translate(_MARKS).strip()


def angle(text: str, column: str) -> Angle | None:
    """One coordinate in degrees; None where the cell says nothing. Anything that can be read in two ways is refused."""
    plain = normal(text)
    if _decimal.fullmatch(plain):
        return Angle(float(plain.replace(",", ".").rstrip("\u00b0").replace(" ", "")), "")
    if is_blank(plain):
        return None
    found = _angle.fullmatch(plain)
    if not found:
        raise refuse(column, text, _why_no_angle(plain))
    return _angle_of(found, text, column)


def _why_no_angle(plain: str) -> str:
    if re.match(r"[-+]?\d+[.,]\d+\s*\S*[^\W\d]{2}|[-+]?\d+[.,]\d+\s*\(", plain):
        return _("there is other text beside the coordinate")
    return _("this is no coordinate in degrees such as -2.5, 2,5 S, 2°30' S or 2°30'15\" S")


def _angle_of(found: re.Match, text: str, column: str) -> Angle:
    letter = _letter(found, text, column)
    parts = [found[name] for name in "dms" if found[name]]
    if any("." in part or "," in part for part in parts[:-1]):
        raise refuse(column, text, _("only the last of degrees, minutes and seconds may have decimals"))
    numbers = [float(part.replace(",", ".")) for part in parts]
    if any(number >= 60 for number in numbers[1:]):
        raise refuse(column, text, _("minutes and seconds are less than 60"))
    axis, direction = _HEMISPHERES[letter] if letter else ("", 1)
    if found["sign"] == "-":
        if letter:
            raise refuse(column, text, _("it has both a minus sign and a letter for the hemisphere"))
        direction = -1
    degrees = sum(number / 60**power for power, number in enumerate(numbers))
    return Angle(direction * degrees, axis, len(parts))


def _letter(found: re.Match, text: str, column: str) -> str:
    after = found["after"] or _last_s(found, text, column)
    if found["before"] and after:
        raise refuse(column, text, _("it has two letters for the hemisphere"))
    said = (found["before"] or after).lower()
    return _WORDS.get(said, said.upper())


def _last_s(found: re.Match, text: str, column: str) -> str:
    """The S that ends a cell without another letter is south, unless minutes have a letter too: then it is seconds."""
    if found["s_unit"] not in ("s", "S"):
        return ""
    minutes, last = found["m_unit"], found["s_unit"]
    if last == "s" and minutes.startswith("m"):
        return ""
    if last == "S" and minutes != "M":
        return "S"
    raise refuse(column, text, _("the S at the end can mean seconds or south"))


# ---- metres ----

_metres = re.compile(
    r"(?P<number>\d{1,2}(?: \d{3}){2}|\d{3} \d{3}|\d{5,8})(?P<decimals>[.,]\d{1,10})?\s*(?:m\s?[EN]?|m)?"
)


def metres(text: str) -> float | None:
    """A number that can only be metres of a grid: at least five digits before the point."""
    found = _metres.fullmatch(normal(text))
    if not found:
        return None
    return float(found["number"].replace(" ", "") + (found["decimals"] or "").replace(",", "."))


def from_utm(easting: float, northing: float, zone: utm.Zone, x_column: str, y_column: str) -> Position:
    least, most = utm.EASTINGS
    if not least <= easting <= most:
        words = _("a UTM easting lies between %(least)s and %(most)s metres")
        raise refuse(x_column, f"{easting:.10g}", words % {"least": f"{least:,}", "most": f"{most:,}"})
    least, most = utm.NORTHINGS[zone.is_north]
    if not least <= northing <= most:
        words = _("a UTM northing in zone %(zone)s lies between %(least)s and %(most)s metres")
        told = {"zone": zone, "least": f"{least:,}", "most": f"{most:,}"}
        raise refuse(y_column, f"{northing:.10g}", words % told)
    return checked_position(*utm.to_degrees(easting, northing, zone), x_column, y_column)


def read_zone(text: str, column: str) -> utm.Zone | None:
    """The zone a cell states; None where it is blank."""
    if is_blank(text):
        return None
    if zone := utm.zone_of(normal(text)):
        return zone
    raise refuse(column, text, _("this is no UTM zone with its hemisphere, such as 35S or 36 North"))


# ---- two columns ----


_near_equator = re.compile(r"\d{1,4}(?:[.,]\d{1,10})?", re.ASCII)
_plain = re.compile(r"-?\d{1,3}\.\d{1,30}", re.ASCII)


def from_columns(
    lon_text: str, lat_text: str, lon_column: str, lat_column: str, zone: utm.Zone | None = None
) -> Position | None:
    """The position in two cells; None where both say nothing, or both say 0."""
    if _plain.fullmatch(lon_text) and _plain.fullmatch(lat_text):
        return _unless_origin(float(lon_text), float(lat_text), lon_column, lat_column)
    easting, northing = metres(lon_text), metres(lat_text)
    if easting is not None and zone and _near_equator.fullmatch(lat_text.strip()):
        northing = float(lat_text.replace(",", "."))
    if easting is not None and northing is not None:
        if zone is None:
            raise refuse(lon_column, lon_text, _("these are metres of a grid; say the UTM zone, for example 35S"))
        return from_utm(easting, northing, zone, lon_column, lat_column)
    lon, lat = angle(lon_text, lon_column), angle(lat_text, lat_column)
    if not (lon and (lon.degrees or lon.axis)) and not (lat and (lat.degrees or lat.axis)):
        return None
    if lon is None or lat is None:
        missing, said = (lon_column, lon_text) if lon is None else (lat_column, lat_text)
        raise refuse(missing, said, _("the row states only one of the two coordinates"))
    if lon.axis == LAT:
        raise refuse(lon_column, lon_text, _("the letter says that this is a latitude, in the column of longitudes"))
    if lat.axis == LON:
        raise refuse(lat_column, lat_text, _("the letter says that this is a longitude, in the column of latitudes"))
    return _unless_origin(lon.degrees, lat.degrees, lon_column, lat_column)


def _unless_origin(lon: float, lat: float, lon_column: str, lat_column: str) -> Position | None:
    """0, 0 is how forms write that they do not know."""
    return checked_position(lon, lat, lon_column, lat_column) if lon or lat else None


_grid = re.compile(r"[-+]?\d{1,12}(?:[.,]\d{1,12})?", re.ASCII)


def from_grid(x_text: str, y_text: str, x_column: str, y_column: str, move: Move) -> Position | None:
    """The position of x and y in a coordinate system that somebody stated; None where both say nothing, or 0."""
    numbers = []
    for text, column in ((x_text, x_column), (y_text, y_column)):
        plain = normal(text).replace(" ", "")
        if not is_blank(plain) and not _grid.fullmatch(plain):
            raise refuse(column, text, _("this is no number of the coordinate system that was stated"))
        numbers.append(None if is_blank(plain) else float(plain.replace(",", ".")))
    x, y = numbers
    if not x and not y:
        return None
    if x is None or y is None:
        missing, said = (x_column, x_text) if x is None else (y_column, y_text)
        raise refuse(missing, said, _("the row states only one of the two coordinates"))
    lon, lat = move([(x, y)])[0]
    if not (math.isfinite(lon) and math.isfinite(lat)):
        raise refuse(x_column, x_text, _("this lies outside the coordinate system that was stated"))
    return checked_position(lon, lat, x_column, y_column)


# ---- one column ----

_label = re.compile(
    r"\b(?:(?P<lat>latitude|latitud|lat|y)|(?P<lon>longitude|longitud|long|lon|lng|x))\b\.?\s*[:=]?\s*", re.IGNORECASE
)
# A northing has few digits just north of the equator.
_whole_metres = r"(\d{1,8}(?:[.,]\d{1,10})?)\s*(?:m?\s?([EN])\b|m\b)?"
_utm = re.compile(
    rf"(?P<before>(?:[^\d]*\s)?\d{{1,2}}\s*[^\W\d]+\.?)?[\s,;:/]*(?=[^.]*\d{{6}}){_whole_metres}[\s,;/]+{_whole_metres}"
    rf"[\s,;:/]*(?P<after>(?:[^\d]*\s)?\d{{1,2}}\s*[^\W\d]+|\(.+\))?",
    re.IGNORECASE | re.ASCII,
)
_origin = re.compile(r"0(?:[.,]0+)?\s*[\s,;/]\s*0(?:[.,]0+)?")
_strong_cut = re.compile(r"\s*[;/|]\s*|\s*\n\s*")
_weak_cut = re.compile(r"\s*,\s*|\s+|(?<=[NSEWOLnsewol])(?=\d)|(?<=[\"'\d])(?=[NSEWOLnsewol]\s?\d)")


def combined(text: str, column: str, order: str = "", zone: utm.Zone | None = None) -> Position | None:
    """The position in one cell. Letters tell the order of the two, else `order`; without either it is refused."""
    plain = text.strip()
    if is_blank(plain) or _origin.fullmatch(plain):
        return None
    if plain[0] + plain[-1] in ("()", "[]"):
        plain = plain[1:-1].strip()
    if found := _utm.fullmatch(normal(plain)):
        return _combined_utm(found, text, column, zone)
    first, second = _pair(plain, text, column)
    if not first.degrees and not second.degrees:
        return None
    if first.axis and first.axis == second.axis:
        raise refuse(column, text, _("both numbers are said to be on the same axis"))
    if first.axis == LON or second.axis == LAT:
        lon, lat = first, second
    elif first.axis or second.axis:
        lon, lat = second, first
    elif order in ORDERS:
        lon, lat = (first, second) if order == "lon_lat" else (second, first)
    else:
        raise refuse(column, text, _("nothing says which of the two is the latitude; say the order of the column"))
    return checked_position(lon.degrees, lat.degrees, column, column)


def _combined_utm(found: re.Match, text: str, column: str, zone: utm.Zone | None) -> Position:
    stated = found["before"] or found["after"]
    if stated:
        zone = read_zone(stated.strip("() ."), column)
    if zone is None:
        raise refuse(column, text, _("these are metres of a grid; say the UTM zone, for example 35S"))
    first, first_letter, second, second_letter = found.group(2, 3, 4, 5)
    if (first_letter or "").upper() == "N" or (second_letter or "").upper() == "E":
        first, second = second, first
    easting, northing = (float(number.replace(",", ".")) for number in (first, second))
    return from_utm(easting, northing, zone, column, column)


def _pair(plain: str, text: str, column: str) -> tuple[Angle, Angle]:
    """The two angles of a cell that can be cut in one way only."""
    plain, axes = _without_labels(plain)
    strong = [part for part in _strong_cut.split(plain) if part.strip(" ,")]
    if len(strong) == 2:
        pairs = {_angles(strong[0].strip(" ,"), strong[1].strip(" ,"), column)}
    else:
        plain = normal(plain)
        cuts = [] if _decimal.fullmatch(plain) else _weak_cut.finditer(plain)
        pairs = {_angles(plain[: cut.start()], plain[cut.end() :], column) for cut in cuts}
    pairs = {pair for pair in pairs if pair and pair[0].n_parts == pair[1].n_parts}
    if len(pairs) != 1:
        raise refuse(column, text, _("this is no pair of coordinates that can be read in one way only"))
    first, second = (_labelled(*both, text, column) for both in zip(pairs.pop(), axes, strict=True))
    return first, second


def _without_labels(plain: str) -> tuple[str, tuple[str, str]]:
    """`Lat: -2.5, Lon: 28.3` without its words, and what they say of the first and the second number."""
    labels = list(_label.finditer(plain))
    axes = [LAT if label["lat"] else LON for label in labels]
    if not labels or labels[0].start() or len(labels) > 2:
        return plain, ("", "")
    if len(labels) == 1:
        return plain[labels[0].end() :], (axes[0], "")
    first, second = plain[labels[0].end() : labels[1].start()], plain[labels[1].end() :]
    return f"{first} ; {second}", (axes[0], axes[1])


def _labelled(angle: Angle, axis: str, text: str, column: str) -> Angle:
    if axis and angle.axis not in ("", axis):
        raise refuse(column, text, _("the letter says another axis than the word before it"))
    return Angle(angle.degrees, axis or angle.axis, angle.n_parts)


def _angles(first: str, second: str, column: str) -> tuple[Angle, Angle] | None:
    try:
        pair = angle(first, column), angle(second, column)
    except RowRefused:
        return None
    return pair if all(pair) else None
