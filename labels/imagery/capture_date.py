"""When a picture was taken, as its file says it; never guessed. Knows no Django."""

import re
from datetime import date

# Tags that mean the moment of capture. TIFFTAG_DATETIME is left out: most programs write the time of processing there
# (an archive scene exported today would claim to be of today, and a reject could be built on it).
CAPTURE_TAGS = frozenset(
    {
        "ACQUISITIONDATETIME",
        "ACQUISITIONDATE",
        "ACQUISITION_DATE",
        "ACQUISITION_DATETIME",
        "DATE_ACQUIRED",
        "EXIF_DATETIMEORIGINAL",
        "SENSING_TIME",
    }
)
FIRST_AERIAL_PHOTOGRAPHS = date(1900, 1, 1)
_DAY = re.compile(r"\s*(\d{4})[-:/]?(\d{2})[-:/]?(\d{2})")


def capture_date(tags: dict[str, str], today: date) -> date | None:
    """The one capture date the tags agree on; None when there is none, or two, or an impossible one."""
    days = {_day(value, today) for name, value in tags.items() if name.upper() in CAPTURE_TAGS}
    days.discard(None)
    return days.pop() if len(days) == 1 else None


def _day(text: str, today: date) -> date | None:
    found = _DAY.match(text)
    if not found:
        return None
    try:
        day = date(*map(int, found.groups()))
    except ValueError:
        return None
    return day if FIRST_AERIAL_PHOTOGRAPHS <= day <= today else None
