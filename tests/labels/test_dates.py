"""Dates as registers write them: each with its precision, none guessed."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labels.ingest.dates import DAY_FIRST, MONTH_FIRST, AmbiguousOrder, order_of, parse_date
from labels.ingest.raw import RawRow
from labels.ingest.refusals import Refusal, RowRefused
from labels.ingest.rows import RowReader

days = st.dates(date(1900, 1, 1), datetime.now(UTC).date())
NAMES = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}


@given(days)
def test_dates_come_back_in_each_spelling(day):
    for text in (day.isoformat(), day.strftime("%Y/%m/%d"), day.strftime("%Y%m%d"), f"{day.isoformat()}T00:00:00Z"):
        assert parse_date(text, "date") == (day, "day")
    for form in ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y 10:30"):
        assert parse_date(day.strftime(form), "date", order=DAY_FIRST) == (day, "day")
    assert parse_date(day.strftime("%m/%d/%Y 9:05 PM"), "date", order=MONTH_FIRST) == (day, "day")
    for text in (day.strftime("%Y-%m"), day.strftime("%m/%Y")):
        assert parse_date(text, "date") == (day.replace(day=1), "month")
    assert parse_date(day.strftime("%Y"), "date") == (day.replace(month=1, day=1), "year")


@given(days, st.sampled_from(list(NAMES)))
def test_month_names_of_four_languages_come_back(day, language):
    name = NAMES[language].split()[day.month - 1]
    for text in (
        f"{day.day} {name} {day.year}",
        f"{day.day} de {name.upper()} de {day.year}",
        f"{name} {day.day}, {day.year}",
    ):
        assert parse_date(text, "date") == (day, "day")
    for text in (f"{name} {day.year}", f"{name.capitalize()} de {day.year}", f"{day.year} {name}"):
        assert parse_date(text, "date") == (day.replace(day=1), "month")


@given(st.dates(date(1975, 1, 1), datetime.now(UTC).date()))
def test_milliseconds_of_the_epoch_come_back(day):
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    assert parse_date(str(int(noon.timestamp() * 1000)), "date") == (day, "day")


@given(st.dates(date(1927, 6, 1), datetime.now(UTC).date()))
def test_numbers_are_days_in_spreadsheets_only(day):
    serial = str((day - date(1899, 12, 30)).days)
    assert parse_date(serial, "date", is_spreadsheet=True) == (day, "day")
    with pytest.raises(RowRefused):
        parse_date(serial, "date")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1er mars 2014", date(2014, 3, 1)),
        ("3-Jun-2013", date(2013, 6, 3)),
        ("Sept. 3rd, 2013", date(2013, 9, 3)),
        ("lundi 3 août 2015", date(2015, 8, 3)),
        ("2015-01-01", date(2015, 1, 1)),
        ("05/05/2015", date(2015, 5, 5)),
        ("30/06/2015", date(2015, 6, 30)),
        ("06/30/2015", date(2015, 6, 30)),
    ],
)
def test_dates_that_can_be_meant_in_one_way_are_days(text, found):
    assert parse_date(text, "date") == (found, "day")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("03/04/2015", "cannot be told apart"),
        ("03/04/15", "two digits"),
        ("3 mai 15", "two digits"),
        ("31/02/2020", "no such day"),
        ("2020-13-01", "no such day"),
        ("99/99/2020", "no such day"),
        ("1066", "outside 1900"),
        ("2999-01-01", "outside 1900"),
        ("0000", "no such day"),
        ("yesterday", "no date"),
        ("3 brumaire 2015", "no date"),
        ("1435708800", "no date"),
        ("9" * 13, "outside 1900"),
    ],
)
def test_doubtful_and_impossible_dates_are_refused(text, reason):
    with pytest.raises(RowRefused, match=reason):
        parse_date(text, "date")


def test_a_date_of_the_other_order_is_refused():
    with pytest.raises(RowRefused):
        parse_date("06/30/2015", "date", order=DAY_FIRST)


@given(
    st.text(max_size=30) | st.from_regex(r"[0-9/. -]{1,14}", fullmatch=True),
    st.sampled_from(["", DAY_FIRST, MONTH_FIRST]),
)
def test_any_text_is_a_date_nothing_or_refused(text, order):
    try:
        found, precision = parse_date(text, "date", order=order, is_spreadsheet=True)
    except RowRefused as refused:
        assert refused.refusal.column == "date"
    else:
        assert (found is None) == (precision == "unknown")


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["03/04/2015", "13/04/2015", "2016"], DAY_FIRST),
        (["03/04/2015", "04/13/2015"], MONTH_FIRST),
        (["2015-03-04", "", "05/05/2015"], ""),
    ],
)
def test_the_values_of_a_column_tell_its_order(values, order):
    assert order_of(values) == order


@pytest.mark.parametrize("values", [["03/04/2015"], ["13/04/2015", "04/13/2015"]])
def test_a_column_that_does_not_tell_its_order_is_asked(values):
    with pytest.raises(AmbiguousOrder, match="2015"):
        order_of(values)


@given(st.lists(days, min_size=1), st.sampled_from(["%d/%m/%Y", "%m/%d/%Y"]))
def test_an_order_that_is_told_reads_every_date(several, form):
    texts = [day.strftime(form) for day in several]
    try:
        order = order_of(texts)
    except AmbiguousOrder:
        return
    assert [parse_date(text, "date", order=order)[0] for text in texts] == several


def test_a_row_of_a_table_takes_no_number_for_a_date():
    reader = RowReader({"observed_on": "d"})
    assert isinstance(reader.read(RawRow(2, {"d": "42185"})), Refusal)
    assert reader.read(RawRow(2, {"d": "42185"}, is_spreadsheet=True)).observed_on == date(2015, 6, 30)
