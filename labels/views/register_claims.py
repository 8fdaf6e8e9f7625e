"""The tables of a register's page: each row leads to the records that it counts."""

from dataclasses import dataclass, field

from django.utils.http import urlencode
from django.utils.translation import gettext as _

from labels import charts, claims
from labels.flags import codes as flag_codes
from labels.minerals import mineral_word
from labels.models import Register
from labels.models.registers import LegalStatus, LocationPrecision, TradeStatus
from labels.register_filters import MISSING, NOTHING

LISTED_GROUPS = 30
FIRST_GROUPS = 10


@dataclass
class Row:
    words: str
    n: int
    # The end of the address of its records.
    query: str
    # Of the largest row; a length for SVG.
    share: str = "0%"
    # The register's own words, or a sentence.
    note: str = ""
    is_stated: bool = True
    parts: list["Row"] = field(default_factory=list)


@dataclass
class Group:
    name: str
    heading: str
    rows: list[Row]
    # What stands behind a click.
    more: list[Row] = field(default_factory=list)
    note: str = ""
    has_more: bool = False


def of(register: Register) -> dict:
    """Everything the page says about the claims of a register that has records."""
    return {
        "totals": claims.totals(register),
        "groups": [group for group in _groups(register) if any(row.is_stated for row in group.rows)],
        "flags": _flags(register),
        "unknown_regions": claims.unknown_regions(register)[:LISTED_GROUPS],
        "n_pairs": claims.undecided_duplicates(register).count(),
        "missing": MISSING,
    }


def _groups(register: Register) -> list[Group]:
    counted, said = claims.tables(register), claims.originals(register)
    minerals = [_row("mineral", code, mineral_word(code), n) for code, n in claims.by_mineral(register)]
    return [
        _group("region", _("By region"), _regions(counted.region)),
        _group("mineral", _("By mineral"), minerals, _("A record of two minerals counts in both.")),
        _group("year", _("By year of the latest visit"), _years(counted.year), listed=60),
        *(
            _group(name, heading, _coded(name, getattr(counted, column), said[column], codes))
            for name, column, heading, codes in (
                ("legal_status", "legal_status_code", _("By legal status"), LegalStatus),
                ("trade_status", "trade_status_code", _("By trade status"), TradeStatus),
                ("location", "location_precision", _("By source of the position"), LocationPrecision),
            )
        ),
    ]


def _regions(counted: dict[int | None, int]) -> list[Row]:
    """The largest first; the last are in none."""
    names = claims.region_names(counted)
    largest = sorted(counted.items(), key=lambda each: (each[0] is None, -each[1], names.get(each[0], "")))
    return [_row("region", str(pk or ""), names.get(pk, ""), n, _("in no region")) for pk, n in largest]


def _years(counted: dict[int | None, int]) -> list[Row]:
    """The earliest first; the last state none."""
    earliest = sorted(counted.items(), key=lambda each: (each[0] is None, each[0]))
    return [_row("year", str(year or ""), str(year), n) for year, n in earliest]


def _coded(name: str, counted: dict[str, int], said: dict[str, list[str]], codes) -> list[Row]:
    """Codes, the largest first, with the words that the register itself uses."""
    return [
        Row(
            str(codes(code).label),
            n,
            urlencode({name: code}),
            note=" · ".join(said.get(code, [])),
            is_stated=code != "unknown" or code in said,
        )
        for code, n in sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    ]


def _row(name: str, value: str, words: str, n: int, unstated: str = "") -> Row:
    is_stated = bool(value)
    said = words if is_stated else unstated or _("not stated")
    return Row(said, n, urlencode({name: value or NOTHING}), is_stated=is_stated)


def _group(name: str, heading: str, rows: list[Row], note: str = "", listed: int = LISTED_GROUPS) -> Group:
    shown = _with_shares(rows[:listed])
    at_once = FIRST_GROUPS if len(shown) > FIRST_GROUPS + 2 and name != "year" else listed
    return Group(name, heading, shown[:at_once], shown[at_once:], note, has_more=len(rows) > listed)


def _with_shares(rows: list[Row]) -> list[Row]:
    most = max((row.n for row in rows), default=1)
    for row in rows:
        row.share = charts.percent(row.n / most)
    return rows


def _flags(register: Register) -> list[Row]:
    counted = dict(claims.by_flag(register))
    rows = [
        Row(flag_codes.label_of(code), counted[code], urlencode({"flag": code}), note=flag_codes.meaning_of(code))
        for code in flag_codes.in_order(list(counted))
    ]
    splits = claims.by_split(register)
    for row in rows:
        if row.query == urlencode({"flag": flag_codes.REGION_UNLIKE}):
            row.parts = [
                Row(flag_codes.split_label(split), splits[split], urlencode({"split": split}))
                for split in flag_codes.SPLITS
                if split in splits
            ]
    return rows
