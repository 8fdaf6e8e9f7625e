"""Dates as registers write them, each with its precision. Days are never guessed from months."""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from django.utils.translation import gettext as _

from labels.ingest.headers import folded, is_blank
from labels.ingest.refusals import RowRefused, refuse

DAY, MONTH, YEAR, UNKNOWN = "day", "month", "year", "unknown"
DAY_FIRST, MONTH_FIRST = "day_first", "month_first"
FIRST_YEAR = 1900
# A 1 January may mean the whole year where at least so many dates of a column are one, and this share of them.
JANUARY_ROWS, JANUARY_SHARE = 10, 0.02
Found = tuple[date | None, str]

_MONTHS = (
    "january, jan, janvier, janv, janeiro, enero, ene",
    "february, feb, fevrier, fevr, fev, fevereiro, febrero",
    "march, mar, mars, marco, marzo",
    "april, apr, avril, avr, abril, abr",
    "may, mai, maio, mayo",
    "june, jun, juin, junho, junio",
    "july, jul, juillet, juil, julho, julio",
    "august, aug, aout, agosto, ago",
    "september, sep, sept, septembre, setembro, set, septiembre, setiembre",
    "october, oct, octobre, outubro, out, octubre",
    "november, nov, novembre, novembro, noviembre",
    "december, dec, decembre, dezembro, dez, diciembre, dic",
)
MONTHS = {name.strip(): number for number, names in enumerate(_MONTHS, 1) for name in names.split(",")}

_clock = r"(?:[T ]\s?\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s?(?:[AaPp][Mm])?\s?(?:Z|[-+]\d{2}:?\d{2})?|Z)?"
_iso = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_clock}", re.ASCII)
_basic = re.compile(r"((?:19|20)\d\d)(\d\d)(\d\d)", re.ASCII)
_numbers = re.compile(rf"(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}}){_clock}", re.ASCII)
_two_digits = re.compile(r"\d{1,2}([/.-])(?:\d{1,2}|[^\W\d]{3,})\1\d\d|\d{1,2} [^\W\d]{3,} \d\d", re.ASCII)
_year_month = re.compile(r"(\d{4})[-/](\d{1,2})", re.ASCII)
_month_year = re.compile(r"(\d{1,2})[/.-](\d{4})", re.ASCII)
_year = re.compile(r"\d{4}", re.ASCII)
_milliseconds = re.compile(r"-?\d{12,13}", re.ASCII)
_serial = re.compile(r"(\d{5})(?:\.\d+)?", re.ASCII)
# Folded: words and numbers parted by one space.
_named_day = re.compile(r"(?:[^\W\d]+ )?(\d{1,2})(?:er|st|nd|rd|th|o|a)? (?:de |of )?([^\W\d]+) (?:de |del )?(\d{4})")
_named_day_after = re.compile(r"(?:[^\W\d]+ )?([^\W\d]+) (\d{1,2})(?:st|nd|rd|th)? (\d{4})")
_named_month = re.compile(r"([^\W\d]+) (?:de |del |of )?(\d{4})")
_year_named_month = re.compile(r"(\d{4}) ([^\W\d]+)(?: (\d{1,2}))?")


def parse_date(text: str, column: str, *, order: str = "", is_spreadsheet: bool = False) -> Found:
    """The date a cell states and how precisely; (None, "unknown") where it says nothing.

    `order` says which of 03/04/2015 is the day (DAY_FIRST or MONTH_FIRST); without it a date that could be either is
    refused. Numbers count days since 1900 in spreadsheets only.
    """
    text = text.strip()
    parts, precision = _parts(text, column, order, is_spreadsheet)
    if parts is None:
        if is_blank(text):
            return None, UNKNOWN
        if _two_digits.fullmatch(text):
            raise refuse(column, text, _("the year has two digits only; it could be of either century"))
        raise refuse(column, text, _("this is no date such as 30/06/2015, 2015-06-30, June 2015, 06/2015 or 2015"))
    return _checked(parts, text, column), precision


def order_of(values: Iterable[str]) -> str:
    """DAY_FIRST or MONTH_FIRST, as the values of one column tell; empty where none needs it.

    Raises AmbiguousOrder where some need it and they do not tell, or contradict one another.
    """
    needed, told = "", {}
    for value in values:
        found = _numbers.fullmatch(value.strip())
        if not found:
            continue
        first, second = int(found[1]), int(found[3])
        if first > 12 >= second:
            told.setdefault(DAY_FIRST, value)
        elif second > 12 >= first:
            told.setdefault(MONTH_FIRST, value)
        elif first != second:
            needed = needed or value
        if len(told) == 2:
            break
    if len(told) == 2 or (needed and not told):
        raise AmbiguousOrder(list(told.values()) if told else [needed])
    return next(iter(told), "")


class Survey:
    """Counts the dates of a column, and those that are a 1 January: many registers write it for a whole year."""

    def __init__(self):
        self.n_dated = self.n_january_first = 0

    def noted(self, value: str, is_spreadsheet: bool) -> str:
        """The value itself, counted."""
        text = value.strip()
        if text and any(letter.isdigit() for letter in text):
            if found := _iso.fullmatch(text):
                self._count(int(found[3]) == 1 == int(found[4]))
            elif found := _numbers.fullmatch(text):
                self._count(int(found[1]) == 1 == int(found[3]))
            else:
                self._count_other(text, is_spreadsheet)
        return value

    def _count_other(self, text: str, is_spreadsheet: bool) -> None:
        with suppress(RowRefused):
            found, precision = parse_date(text, "", is_spreadsheet=is_spreadsheet)
            if found and precision == DAY:
                self._count((found.month, found.day) == (1, 1))

    def _count(self, is_january_first: bool) -> None:
        self.n_dated += 1
        self.n_january_first += is_january_first


def is_january_first_suspicious(n_dated: int, n_january_first: int) -> bool:
    """Far more often than one day in 365."""
    return n_january_first >= JANUARY_ROWS and n_january_first >= JANUARY_SHARE * n_dated


class AmbiguousOrder(ValueError):
    """The day and the month of a column cannot be told apart; `examples` are its values that show it."""

    def __init__(self, examples: list[str]):
        super().__init__(", ".join(examples))
        self.examples = examples


Parts = tuple[int, int, int]


def _parts(text: str, column: str, order: str, is_spreadsheet: bool) -> tuple[Parts | None, str]:
    if found := _iso.fullmatch(text):
        return (int(found[1]), int(found[3]), int(found[4])), DAY
    if found := _numbers.fullmatch(text):
        return _in_order(found, text, column, order), DAY
    if _year.fullmatch(text):
        return (int(text), 1, 1), YEAR
    if found := _year_month.fullmatch(text):
        return (int(found[1]), int(found[2]), 1), MONTH
    if found := _month_year.fullmatch(text):
        return (int(found[2]), int(found[1]), 1), MONTH
    if found := _basic.fullmatch(text):
        return (int(found[1]), int(found[2]), int(found[3])), DAY
    if _milliseconds.fullmatch(text):
        return _ymd(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))), DAY
    if is_spreadsheet and (found := _serial.fullmatch(text)):
        # Day 60 is a 29 February 1900 that never was; five digits lie after it.
        return _ymd(date(1899, 12, 30) + timedelta(days=int(found[1]))), DAY
    return _named(folded(text)) if len(text) <= 60 else (None, "")


def _ymd(day: date) -> Parts:
    return day.year, day.month, day.day


def _in_order(found: re.Match, text: str, column: str, order: str) -> Parts:
    first, second, year = int(found[1]), int(found[3]), int(found[4])
    if not order and first <= 12 and second <= 12 and first != second:
        raise refuse(column, text, _("the day and the month cannot be told apart; say which comes first"))
    is_month_first = order == MONTH_FIRST or (not order and second > 12)
    return (year, first, second) if is_month_first else (year, second, first)


def _named(words: str) -> tuple[Parts | None, str]:
    if (found := _named_day.fullmatch(words)) and found[2] in MONTHS:
        return (int(found[3]), MONTHS[found[2]], int(found[1])), DAY
    if (found := _named_day_after.fullmatch(words)) and found[1] in MONTHS:
        return (int(found[3]), MONTHS[found[1]], int(found[2])), DAY
    if (found := _named_month.fullmatch(words)) and found[1] in MONTHS:
        return (int(found[2]), MONTHS[found[1]], 1), MONTH
    if (found := _year_named_month.fullmatch(words)) and found[2] in MONTHS:
        return (int(found[1]), MONTHS[found[2]], int(found[3] or 1)), DAY if found[3] else MONTH
    return None, ""


def _checked(parts: Parts, text: str, column: str) -> date:
    try:
        found = date(*parts)
    except ValueError:
        raise refuse(column, text, _("there is no such day in the calendar")) from None
    last = datetime.now(UTC).year + 1
    if not FIRST_YEAR <= found.year <= last:
        raise refuse(column, text, _("the year lies outside 1900 to %(last)d") % {"last": last})
    return found
