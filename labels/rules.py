"""The rules of judgement that the program itself applies (docs/judgement.md tells them to annotators)."""

import calendar
from collections.abc import Iterable
from datetime import date

# A 10 m pit is two pixels wide at 5 m: coarser views and coarser images show none.
USEFUL_RESOLUTION_M = 5.0
# A reject says the whole search disc was seen; the rest is left for rounding, clouds' edges and the margins of views.
SHARE_FOR_REJECT = 0.9
# A searched cell is a negative only if this much of it was clear.
SHARE_FOR_CLEAR_CELL = 0.8
# Pages say "never there" only with undisturbed images this close before and after the report.
NEVER_THERE_BEFORE_MONTHS = 12
NEVER_THERE_AFTER_MONTHS = 24
# Labels of lower stated confidence stay in the rates and out of training.
CONFIDENCE_FOR_TRAINING = 3


def report_period(observed_on: date | None, precision: str) -> tuple[date, date] | None:
    """First and last day the report may speak of; None when it is not dated.

    `precision` is day, month, year or unknown.
    """
    if observed_on is None or precision == "unknown":
        return None
    if precision == "year":
        return date(observed_on.year, 1, 1), date(observed_on.year, 12, 31)
    if precision == "month":
        last = calendar.monthrange(observed_on.year, observed_on.month)[1]
        return observed_on.replace(day=1), observed_on.replace(day=last)
    return observed_on, observed_on


def predates_report(captured_on: date | None, period: tuple[date, date] | None) -> bool:
    """Whether the image is known to be no later than the report period; it then cannot support a reject."""
    return captured_on is not None and period is not None and captured_on <= period[1]


def may_support_reject(captured: Iterable[date | None], period: tuple[date, date] | None) -> bool:
    """Whether at least one of the images seen is not known to predate the report."""
    return any(not predates_report(day, period) for day in captured)


def is_useful_view(view_resolution_m: float, image_resolution_m: float | None) -> bool:
    """Whether a 10 m pit would have shown: on the screen, and in the image itself."""
    return max(view_resolution_m, image_resolution_m or 0) <= USEFUL_RESOLUTION_M


def months_between(earlier: date, later: date) -> float:
    """Calendar months from one day to the other, with a fraction for the days; negative when reversed."""
    return (later.year - earlier.year) * 12 + later.month - earlier.month + (later.day - earlier.day) / 31


def was_never_there(undisturbed_on: Iterable[date], period: tuple[date, date] | None) -> bool:
    """Whether undisturbed images stand close before and close after the report; only then say "never there"."""
    if period is None:
        return False
    days = list(undisturbed_on)
    before = any(0 <= months_between(day, period[0]) <= NEVER_THERE_BEFORE_MONTHS and day < period[0] for day in days)
    after = any(0 <= months_between(period[1], day) <= NEVER_THERE_AFTER_MONTHS and day > period[1] for day in days)
    return before and after
