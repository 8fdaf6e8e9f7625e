"""When a picture was taken, as its file or the file beside it says it; never guessed. Knows no Django."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

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
# The same in files beside the picture: STAC items, Planet's and Maxar's metadata, Landsat's and Sentinel's texts.
# `created`, `updated` and `published` say something else.
_BESIDE = CAPTURE_TAGS | {
    "DATETIME",
    "START_DATETIME",
    "END_DATETIME",
    "ACQUIRED",
    "ACQUISITION_TIME",
    "CAPTURED_ON",
    "CAPTURE_DATE",
    "IMAGING_DATE",
    "FIRSTLINETIME",
    "EARLIESTACQTIME",
    "DATATAKE_SENSING_START",
}
SIDECAR_BYTES = 2**20
FIRST_AERIAL_PHOTOGRAPHS = date(1900, 1, 1)
_DAY = re.compile(r"\s*(\d{4})[-:/]?(\d{2})[-:/]?(\d{2})")
_LINE = re.compile(r"""^[ \t]{0,40}([A-Za-z_]{4,40})[ \t]{0,40}[=:\t][ \t"']{0,40}([^"';\n]{4,40})""", re.MULTILINE)
_ELEMENT = re.compile(r"<(?:[A-Za-z]{1,20}:)?([A-Za-z_]{4,40})(?: [^<>]{0,200})?>([^<>]{4,40})</")
# After the picture's name without its ending, or before a product's own part of it (Planet).
_ENDINGS = (".json", "_metadata.json", ".txt", "_MTL.txt", ".IMD", ".xml", "_metadata.xml")
_PRODUCT = re.compile(r"_3[AB]_.*$")


@dataclass(frozen=True)
class Statement:
    """A capture date as somebody wrote it."""

    by: str
    text: str


@dataclass(frozen=True)
class Captured:
    """The capture date, who says it, and a sentence where what is said cannot be used."""

    on: date | None
    by: str
    note: str


def capture_date(tags: dict[str, str], today: date) -> date | None:
    """The one capture date the tags agree on; None when there is none, or two, or an impossible one."""
    return agreed(in_tags(tags), today).on


def in_tags(tags: dict[str, str]) -> list[Statement]:
    return [Statement(f"tag {name}", value) for name, value in tags.items() if name.upper() in CAPTURE_TAGS]


def agreed(statements: Iterable[Statement], today: date) -> Captured:
    """What the statements agree on. Statements that name no possible day are passed over; two days give unknown."""
    days: dict[date, str] = {}
    for statement in statements:
        day = _day(statement.text, today)
        if day:
            days.setdefault(day, statement.by)
    if len(days) > 1:
        said = "; ".join(f"{by}: {day}" for day, by in sorted(days.items())[:4])
        return Captured(None, "", f"The capture date is said in more than one way and stays unknown ({said}).")
    return next((Captured(day, by, "") for day, by in days.items()), Captured(None, "", ""))


def sidecars_of(path: Path) -> list[Path]:
    """Files beside a picture that may say when it was taken, in a fixed order."""
    stems = dict.fromkeys((path.stem, _PRODUCT.sub("", path.stem)))
    names = [f"{path.name}.json", *(stem + ending for stem in stems for ending in _ENDINGS)]
    names += [stem + ending for stem in stems for ending in (".JSON", ".TXT", ".imd", ".XML")]
    return [path.with_name(name) for name in dict.fromkeys(names) if path.with_name(name).is_file()]


def sidecar_sha256s(path: Path) -> dict[str, str]:
    """What the files beside a picture are, as far as they are read; empty text for one that cannot be."""
    return {sidecar.name: _sidecar_sha256(sidecar) for sidecar in sidecars_of(path)}


def _sidecar_sha256(path: Path) -> str:
    try:
        return hashlib.sha256(_start_of(path)).hexdigest()
    except OSError:
        return ""


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SIDECAR_BYTES + 1)


def in_sidecar(path: Path) -> list[Statement]:
    """What the file says; ValueError with a sentence where it is too long or is no text or JSON."""
    content = _start_of(path)
    if len(content) > SIDECAR_BYTES:
        raise ValueError(f"{path.name} is too long to be read for a capture date.")
    try:
        text = content.decode("utf-8-sig")
        found = list(_in_json(text) if path.suffix.lower() == ".json" else _in_text(text))
    except (ValueError, RecursionError):
        raise ValueError(f"{path.name} cannot be read and was not used for the capture date.") from None
    return [Statement(f"{path.name[:100]} {name}", value) for name, value in found]


def _in_json(text: str) -> Iterator[tuple[str, str]]:
    """Dates at the top and under `properties` (a STAC item, Planet). Of a name that stands twice both count."""
    top = json.loads(text, object_pairs_hook=list, parse_int=_no_date, parse_float=_no_date)
    if not _is_object(top):
        return
    inner = [pair for name, value in top if name == "properties" and _is_object(value) for pair in value]
    for prefix, pairs in (("", top), ("properties.", inner)):
        for name, value in pairs:
            if isinstance(value, str) and name.upper() in _BESIDE:
                yield prefix + name, value


def _no_date(digits: str) -> None:
    """A number is no date: it may count seconds, days or nothing; nor is a long one worth its arithmetic."""


def _is_object(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(pair, tuple) for pair in value)


def _in_text(text: str) -> Iterator[tuple[str, str]]:
    """NAME = value lines and simple XML elements, found by their form: nothing is expanded or included."""
    for pattern in (_LINE, _ELEMENT):
        for name, value in pattern.findall(text):
            if name.upper() in _BESIDE - {"DATETIME"}:  # any program's log has one
                yield name, value


def _day(text: str, today: date) -> date | None:
    found = _DAY.match(text)
    if not found:
        return None
    try:
        day = date(*map(int, found.groups()))
    except ValueError:
        return None
    return day if FIRST_AERIAL_PHOTOGRAPHS <= day <= today else None
