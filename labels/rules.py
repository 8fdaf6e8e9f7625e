"""The rules of judgement that the program itself applies (docs/judgement.md tells them to annotators)."""

import calendar
from collections.abc import Iterable
from datetime import date

# A 10 m pit is two pixels wide at 5 m: coarser views and coarser images show none.
USEFUL_RESOLUTION_M = 5.0
# A reject says the whole search disc was seen; the rest is left for rounding, clouds' edges and the margins of views.
SHARE_FOR_REJECT = 0.9
# An image of which more tiles than this did not arrive was not seen: what is missing may be what was looked for.
MOST_TILES_MISSING = 0.2
# A searched cell is a negative only if this much of it was clear.
SHARE_FOR_CLEAR_CELL = 0.8
# Labels of lower stated confidence stay in the rates and out of training.
CONFIDENCE_FOR_TRAINING = 3


def is_clear_search(shares_seen: Iterable[float | None], n_marks: int) -> bool:
    """Whether these searches of one grid cell, or the one there was, make it a negative."""
    shares = list(shares_seen)
    seen = all(share is not None and share >= SHARE_FOR_CLEAR_CELL for share in shares)
    return bool(shares) and seen and n_marks == 0


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


def was_shown(n_tiles: int, n_tiles_missing: int) -> bool:
    """Whether enough of an image's tiles arrived for it to count as seen; where nobody counted them, it does."""
    return n_tiles_missing <= MOST_TILES_MISSING * max(n_tiles, n_tiles_missing)
