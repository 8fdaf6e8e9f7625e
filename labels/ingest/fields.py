"""What a column of a register can mean, and guessing it from its header. A doubtful guess is asked, never assumed."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from labels.errors import BadInput
from labels.ingest import crs, dates, utm
from labels.ingest.headers import folded


@dataclass(frozen=True)
class Field:
    name: str
    label: str
    # Headers, folded, in English, French, Portuguese and Spanish, that mean this field beyond doubt.
    synonyms: frozenset[str]
    # What may be chosen besides a column, with its words: the same for every row of the file.
    values: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # Some choices are of values only.
    is_column: bool = True


def _field(name: str, label: str, synonyms: str, values: Mapping[str, str] | None = None) -> Field:
    return Field(name, label, frozenset(word.strip() for word in synonyms.split(",")), values or {})


def _choice(name: str, label: str, values: Mapping[str, str]) -> Field:
    return Field(name, label, frozenset(), values, is_column=False)


FIELDS = [
    # Its values are the file's own: `Facts.sheets`.
    _choice("sheet", _("sheet or layer"), {}),
    _field("source_id", _("id in the register"), "source id"),
    _field(
        "name",
        _("name"),
        "name, site, site name, mine name, mine, name of site, name of mine, nom, nom du site, nom de la mine, "
        "nom site, site minier, denomination, nome, nome do sitio, nome da mina, nome do garimpo, garimpo, "
        "nombre, nombre del sitio, nombre de la mina",
    ),
    _field(
        "longitude",
        _("longitude"),
        "longitude, lon, long, lng, x, longitude x, gps longitude, long dd, lon dd, longitude dd, coord x, "
        "x coord, longitud, coordenada x, easting, utm e, utm x, x utm, utm easting",
    ),
    _field(
        "latitude",
        _("latitude"),
        "latitude, lat, y, latitude y, gps latitude, lat dd, latitude dd, coord y, y coord, latitud, coordenada y, "
        "northing, utm n, utm y, y utm, utm northing",
    ),
    _field(
        "coordinates",
        _("latitude and longitude in one column"),
        "coordinates, coordonnees, coordenadas, coordonnees gps, gps coordinates, coordenadas gps, lat long, lat lon, "
        "latlon, latlong, latitude longitude, longitude latitude, gps, position gps, utm, coordonnees utm, "
        "coordenadas utm, utm coordinates",
    ),
    _choice(
        "coordinate_order",
        _("order in that column, where no letter tells"),
        {"lat_lon": _("latitude, longitude"), "lon_lat": _("longitude, latitude")},
    ),
    _field(
        "utm_zone",
        _("UTM zone of positions in metres"),
        "utm zone, zone utm, zona utm, fuseau, fuseau utm, huso, huso utm, fuso, fuso utm",
        dict(zip(utm.ZONES, utm.ZONES, strict=True)),
    ),
    # Its values are codes such as EPSG:32735.
    _choice("crs", _("coordinate system of x and y, or of the WKT (EPSG code)"), {}),
    _field("geometry", _("position or shape (WKT)"), "geom, geometry, wkt, the geom, geometrie, geometria, shape wkt"),
    _field(
        "observed_on",
        _("date of the report"),
        "date, visit date, date of visit, observed on, observation date, survey date, report date, date visite, "
        "date de visite, date de la visite, date visite terrain, date observation, data, data da visita, "
        "data visita, fecha, fecha de visita, fecha visita",
    ),
    _choice(
        "date_order",
        _("first in dates such as 03/04/2015"),
        {dates.DAY_FIRST: _("the day"), dates.MONTH_FIRST: _("the month")},
    ),
    _choice("january_first", _("what a 1 January means"), {"year": _("the whole year"), "day": _("that day")}),
    _field(
        "date_precision",
        _("precision of the date"),
        "date precision, precision of date, precision date, precision de la date, precisao da data, "
        "precision de la fecha",
    ),
    _field(
        "kind",
        _("kind of observation"),
        "kind, kind of observation, visit onsite, onsite, on site, visit type, type of visit, type visite, "
        "type de visite, visite sur site, sur site, tipo de visita, visita no local, visita in situ",
    ),
    _field(
        "location_method",
        _("location method"),
        "location method, location origin, location source, method of location, positioning method, "
        "origine localisation, origine de la localisation, methode de localisation, source coordonnees, "
        "metodo de localizacao, origem da localizacao, metodo de localizacion, origen de la localizacion",
    ),
    _field(
        "stated_region",
        _("stated region"),
        "region, province, state, stated region, departement, department, provincia, provincie, estado, regiao, "
        "departamento, county, prefecture",
    ),
    _field(
        "mineral",
        _("mineral"),
        "mineral, mineral1, mineral 1, minerals, main mineral, commodity, commodities, mineral type, minerai, "
        "minerai principal, minerais, minerai 1, substance, substances, substance principale, minerio, minerios, "
        "substancia, mineral principal, minerales",
    ),
    _field("mineral_2", _("second mineral"), "mineral2, mineral 2, second mineral, minerai 2, minerai secondaire"),
    _field("mineral_3", _("third mineral"), "mineral3, mineral 3, third mineral, minerai 3"),
    _field(
        "legal_status",
        _("legal status"),
        "legal status, licence status, license status, licence, license, permit status, statut legal, "
        "statut juridique, statut du permis, permis, situacao legal, licenca, situacion legal, licencia",
    ),
    _field(
        "trade_status",
        _("trade status"),
        "trade status, qualification, qualification status, statut de qualification, statut commercial, "
        "qualificacao, calificacion",
    ),
]
# The ways of giving positions; a mapping has one of them at most.
WAYS = [{"longitude", "latitude"}, {"coordinates"}, {"geometry"}]
POSITION = {"longitude", "latitude", "coordinates", "geometry"}
BY_NAME = {field.name: field for field in FIELDS}
FIELD_NAMES = [field.name for field in FIELDS]

# A header with one of these among its words may hold the register's own id.
ID_WORDS = frozenset(
    (
        *("id", "fid", "vid", "cid", "pid", "uid", "gid", "oid", "sid", "uuid", "guid"),
        *("code", "pcode", "codigo", "cod", "ref", "reference", "referencia", "matricule"),
        *("identifiant", "identificador", "identifier", "no", "n", "num", "number", "numero"),
    )
)


@dataclass(frozen=True)
class Guess:
    # Field -> column.
    mapping: dict[str, str]
    # Field -> columns that could all be meant: a person must choose.
    doubts: dict[str, list[str]]


def guess_mapping(columns: Iterable[str], *, has_geometry: bool = False) -> Guess:
    """What the headers say; fields with several candidates are doubts. A format's own geometry comes before columns."""
    mapping, doubts = {}, {}
    columns = list(columns)
    for field in FIELDS:
        candidates = [column for column in columns if folded(column) in field.synonyms]
        candidates = candidates or [column for column in columns if without_units(column) in field.synonyms]
        if field.name == "source_id" and not candidates:
            candidates = [column for column in columns if may_hold_id(column)]
        if len(candidates) == 1:
            mapping[field.name] = candidates[0]
        elif candidates:
            doubts[field.name] = candidates
    if "utm_zone" not in mapping and "utm_zone" not in doubts and (zone := _zone_of_headers(columns, mapping)):
        mapping["utm_zone"] = zone
    for name in _needless_positions(mapping.keys() | doubts.keys(), has_geometry):
        mapping.pop(name, None)
        doubts.pop(name, None)
    return Guess(mapping, doubts)


_IN_BRACKETS = re.compile(r"\([^()]*\)|\[[^][]*\]")
_UNITS = frozenset(
    (
        *("gms", "dms", "dd", "ddm", "dm", "wgs", "84", "wgs84", "utm", "gps", "m", "en", "in", "em"),
        *("decimal", "decimale", "decimales", "degre", "degres", "degrees", "degree", "graus", "grados", "deg"),
    )
)


def without_units(column: str) -> str:
    """`Latitude (GMS)` is a latitude, `X (UTM 36S)` an x: what a header says in brackets or of units is left out."""
    words = folded(_IN_BRACKETS.sub(" ", column)).split()
    return " ".join(word for word in words if word not in _UNITS)


def _zone_of_headers(columns: Iterable[str], mapping: Mapping[str, str]) -> str:
    """The UTM zone that the headers of both coordinates name, such as `X (UTM 36S)`."""
    read = [mapping.get("longitude"), mapping.get("latitude")]
    zones = {zone for column in read if column for zone in _zones_in(column)}
    return zones.pop() if all(read) and len(zones) == 1 else ""


def _zones_in(column: str) -> list[str]:
    found = re.findall(r"\b\d{1,2}\s?[NS]\w*", column) if "UTM" in column.upper() else []
    return [str(zone) for text in found if (zone := utm.zone_of(text))]


def _needless_positions(named: set[str], has_geometry: bool) -> set[str]:
    if has_geometry:
        return POSITION
    found = next((way for way in WAYS if way <= named), POSITION)
    return POSITION - found


def may_hold_id(column: str) -> bool:
    words = folded(column).split()
    return bool(words) and (not ID_WORDS.isdisjoint(words) or words[-1].endswith(("code", "uuid")))


def parse_choices(choices: Iterable[str]) -> dict[str, str]:
    """`["source_id=pcode", "kind="]` of the command line; an empty column means: this field has none."""
    chosen = {}
    for choice in choices:
        name, equals, column = choice.partition("=")
        if not equals:
            raise BadInput(f"--map {choice!r}: write it as field=column, for example --map source_id=pcode.")
        chosen[name.strip()] = column.strip()
    return chosen


def resolve_mapping(
    columns: Iterable[str],
    *,
    chosen: Mapping[str, str],
    saved: Mapping[str, str] | None = None,
    n_distinct: Mapping[str, int] | None = None,
    has_geometry: bool = False,
) -> dict[str, str]:
    """The mapping of an import: what was chosen now, else what the register saved, else the guess.

    `n_distinct` (column -> distinct values) makes the question about the id column answerable. Raises BadInput when a
    choice does not fit the file or a guess is doubtful.
    """
    columns = list(columns)
    chosen = _named_values(chosen, columns)
    _check_choices(columns, chosen)
    if saved:
        read = {column for name, column in saved.items() if name not in chosen and not is_value(name, column)}
        missing = sorted(read - set(columns))
        if missing:
            raise BadInput(
                f"The saved mapping of this register reads the column {missing[0]!r}, which this file does not have. "
                f"Say what to read instead with --map; the file has: {', '.join(columns)}."
            )
        mapping = dict(saved)
    else:
        guess = guess_mapping(columns, has_geometry=has_geometry)
        _ask_doubts({name: found for name, found in guess.doubts.items() if name not in chosen}, n_distinct or {})
        mapping = guess.mapping
    mapping = _without_other_position(mapping, chosen) | dict(chosen)
    mapping = {name: column for name, column in mapping.items() if column}
    check_position(mapping)
    return {name: mapping[name] for name in FIELD_NAMES if name in mapping}


def check_position(mapping: Mapping[str, str]) -> None:
    """Longitude and latitude come together, and not beside a WKT column."""
    has = mapping.keys() & {"longitude", "latitude"}
    if len(has) == 1:
        missing = ({"longitude", "latitude"} - has).pop()
        raise BadInput(f"A column is read as {has.pop()} but none as {missing}: choose one with --map {missing}=….")
    if sum(1 for way in WAYS if way & mapping.keys()) > 1:
        raise BadInput(
            "Positions are read from longitude and latitude, from coordinates or from geometry; not from both."
        )


def is_value(name: str, chosen: str) -> bool:
    """Whether the choice is a value for every row, such as a UTM zone, rather than a column."""
    return name in ("sheet", "crs") or (name in BY_NAME and chosen in BY_NAME[name].values)


def _named_values(chosen: Mapping[str, str], columns: list[str]) -> dict[str, str]:
    """`36 Nord` and `EPSG:32636` are the zone `36N`, unless a column is called so; a system is a code of EPSG."""
    named = dict(chosen)
    zone = named.get("utm_zone", "")
    if zone and zone not in columns and (found := utm.zone_of(zone)):
        named["utm_zone"] = str(found)
    if named.get("crs"):
        if not (code := crs.epsg_of(named["crs"])):
            raise BadInput(_("crs=%(crs)s: write the code as EPSG:32735.") % {"crs": named["crs"]})
        named["crs"] = code
    return named


def _check_choices(columns: list[str], chosen: Mapping[str, str]) -> None:
    for name, column in chosen.items():
        if name not in FIELD_NAMES:
            raise BadInput(f"There is no field {name!r}; the fields are {', '.join(FIELD_NAMES)}.")
        if not column or is_value(name, column):
            continue
        if not BY_NAME[name].is_column:
            raise BadInput(f"{name}={column}: choose one of {', '.join(BY_NAME[name].values)}.")
        if column not in columns:
            raise BadInput(f"{name}={column}: the file has no column {column!r}; it has {', '.join(columns)}.")


def _ask_doubts(doubts: Mapping[str, list[str]], n_distinct: Mapping[str, int]) -> None:
    if not doubts:
        return
    questions = []
    for name, candidates in doubts.items():
        counted = [f"{c} ({n_distinct[c]:,} distinct values)" if c in n_distinct else c for c in candidates]
        questions.append(f"Several columns could be the {name}: {', '.join(counted)}. Choose with --map {name}=….")
    questions.append("An empty choice (for example --map source_id=) says that the file has no such column.")
    raise BadInput(" ".join(questions))


def _without_other_position(mapping: dict[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """A chosen way of giving positions replaces the guessed or saved one."""
    way = next((way for way in WAYS if any(chosen.get(name) for name in way)), None)
    replaced = POSITION - way if way else set()
    return {name: column for name, column in mapping.items() if name not in replaced}
