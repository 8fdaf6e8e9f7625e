"""GeoJSON, feature by feature: the file is never held in memory whole. Numbers stay the text that was published."""

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.ingest import crs
from labels.ingest.raw import MAX_COLUMNS, Facts, RawRow
from labels.ingest.refusals import Refusal
from labels.ingest.shapes import too_many_corners
from labels.ingest.tables import too_long, unstorable

CHUNK = 1 << 18
MAX_FEATURE = 64 * 1024 * 1024

_decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
_space = re.compile(r"[ \t\r\n]*")


class GeoJsonReader:
    """A FeatureCollection, or a feature a line; positions of another stated coordinate system are moved to WGS 84."""

    def __init__(self, path: Path, head: bytes):
        self.path = path
        self.is_lines = looks_like_lines(head)
        columns: dict[str, None] = {}
        collection = Features(path)
        for feature in islice(lines(path) if self.is_lines else collection, 1000):
            columns.update(dict.fromkeys(map(str, _properties(feature))))
        if len(columns) > MAX_COLUMNS:
            told = {"n": len(columns), "limit": MAX_COLUMNS}
            raise BadInput(_("The features have %(n)d properties; at most %(limit)d can be read.") % told)
        self.facts = Facts(
            "GeoJSON lines" if self.is_lines else "GeoJSON", list(columns), encoding="utf-8", has_geometry=True
        )
        if collection.crs:
            words = _("Positions were moved from the coordinate system %(name).80s to WGS 84.")
            self.facts.notes.append(words % {"name": collection.crs})

    def rows(self) -> Iterator[RawRow]:
        features = Features(self.path)
        for file_row, feature in enumerate(lines(self.path) if self.is_lines else features, start=1):
            values = {str(name): as_text(value) for name, value in _properties(feature).items()}
            geometry = feature.get("geometry") if isinstance(feature, dict) else None
            refusal = _wrong_feature(feature, values)
            if features.move and not refusal:
                geometry = crs.moved_geometry(geometry, features.move)
            refusal = refusal or too_many_corners(geometry)
            yield RawRow(file_row, values, None if refusal else geometry, refusal)

    def count(self) -> int:
        """About how many features are to come."""
        mark = re.compile(rb'"Feature"')
        with self.path.open("rb") as file:
            return sum(len(mark.findall(chunk)) for chunk in iter(lambda: file.read(1 << 20), b""))


def _properties(feature: object) -> dict:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return properties if isinstance(properties, dict) else {}


def _wrong_feature(feature: object, values: dict[str, str]) -> Refusal | None:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return Refusal("", as_text(feature)[:100], _("this is no GeoJSON feature"))
    if not isinstance(feature.get("geometry"), dict | None):
        return Refusal("geometry", as_text(feature["geometry"])[:100], _("this is no geometry"))
    return unstorable(values) or too_long(values)


def looks_like_lines(head: bytes) -> bool:
    """A feature a line, perhaps each behind a record separator (RFC 8142); a single feature is no collection."""
    lines = [line for line in head.removeprefix(b"\xef\xbb\xbf").replace(b"\x1e", b"").split(b"\n", 5) if line.strip()]
    if len(lines) < 2 or not lines[1].lstrip().startswith(b"{"):
        return False
    try:
        first = json.loads(lines[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and first.get("type") == "Feature"


def lines(path: Path) -> Iterator[object]:
    """Each line's feature, whatever it is."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_FEATURE + 1):
            number += 1
            if len(line) > MAX_FEATURE:
                raise BadInput(_("A feature is larger than %(n)d MiB.") % {"n": MAX_FEATURE >> 20})
            try:
                text = line.decode("utf-8-sig").strip("\x1e \t\r\n")
                if text:
                    yield _decoder.decode(text)
            except UnicodeDecodeError as error:
                raise BadInput(_("The file is not UTF-8, as GeoJSON must be.")) from error
            except (json.JSONDecodeError, RecursionError) as error:
                raise BadInput(_("Line %(n)d is no well-formed GeoJSON feature.") % {"n": number}) from error


def as_text(value: object) -> str:
    """A property as the text of a cell; lists and objects as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


class Features:
    """Each member of the collection's `features`, whatever it is. BadInput where the file is no FeatureCollection."""

    def __init__(self, path: Path):
        self.path = path
        # A coordinate system other than WGS 84, and what moves its positions, known before the first feature.
        self.crs = ""
        self.move: crs.ToDegrees | None = None

    def __iter__(self) -> Iterator[object]:
        with self.path.open(encoding="utf-8-sig") as file:
            text = _Text(file)
            try:
                yield from self._members(text)
            except UnicodeDecodeError as error:
                raise BadInput(_("The file is not UTF-8, as GeoJSON must be.")) from error
            except RecursionError as error:
                raise BadInput(_("The file is nested too deeply to be GeoJSON.")) from error

    def _members(self, text: "_Text") -> Iterator[object]:
        text.expect("{")
        found = False
        if text.peek() != "}":
            while True:
                name = text.value()
                text.expect(":")
                if name == "features" and text.peek() == "[":
                    found = True
                    yield from _array(text)
                else:
                    self._note_member(name, text.value(), is_late=found)
                if text.peek() != ",":
                    break
                text.expect(",")
        text.expect("}")
        if text.peek():
            raise BadInput(_("There is more text after the end of the FeatureCollection."))
        if not found:
            raise BadInput(_("The file holds no FeatureCollection: a list called “features” is missing."))

    def _note_member(self, name: object, value: object, is_late: bool) -> None:
        if name == "type" and value != "FeatureCollection":
            raise BadInput(_("The file is a GeoJSON %(type).40s; a FeatureCollection is needed.") % {"type": value})
        if name != "crs" or value is None:
            return
        properties = value.get("properties") if isinstance(value, dict) else None
        stated = str(properties.get("name", "")) if isinstance(properties, dict) else ""
        if crs.is_wgs84(stated):
            return
        if is_late or not crs.epsg_of(stated):
            words = _("The file states the coordinate system %(name).80s; save it in WGS 84 (EPSG:4326).")
            raise BadInput(words % {"name": stated or as_text(value)})
        self.crs, self.move = stated, crs.to_degrees(crs.epsg_of(stated))


def _array(text: "_Text") -> Iterator[object]:
    text.expect("[")
    if text.peek() != "]":
        while True:
            yield text.value()
            if text.peek() != ",":
                break
            text.expect(",")
    text.expect("]")


class _Text:
    """A window on the file that grows until a value fits in it."""

    def __init__(self, file):
        self.file = file
        self.window = ""
        self.at = 0
        self.n_passed = 0
        self.is_over = False

    def peek(self) -> str:
        """The next character that is not white space, or nothing at the end."""
        while True:
            self.at = _space.match(self.window, self.at).end()
            if self.at < len(self.window):
                return self.window[self.at]
            if not self._grow(CHUNK):
                return ""

    def expect(self, mark: str) -> None:
        found = self.peek()
        if found != mark:
            said = f"{found!r} stands" if found else "the file ends"
            words = _("Not well-formed GeoJSON: %(said)s where %(mark)r is needed (character %(position)s).")
            raise BadInput(words % {"said": said, "mark": mark, "position": f"{self._position():,}"})
        self.at += 1

    def value(self) -> object:
        self.peek()
        more = CHUNK
        while True:
            try:
                value, end = _decoder.raw_decode(self.window, self.at)
                # A number at the edge of the window may go on in the next chunk.
                if end < len(self.window) or not self._grow(CHUNK):
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                if len(self.window) - self.at > MAX_FEATURE:
                    raise BadInput(_("A feature is larger than %(n)d MiB.") % {"n": MAX_FEATURE >> 20}) from error
                if not self._grow(more):
                    told = {"said": error.msg, "position": f"{self.n_passed + error.pos:,}"}
                    raise BadInput(_("Not well-formed GeoJSON: %(said)s (character %(position)s).") % told) from error
                more *= 2

    def _grow(self, n: int) -> bool:
        if self.is_over:
            return False
        chunk = self.file.read(n)
        if not chunk:
            self.is_over = True
            return False
        self.n_passed += self.at
        self.window = self.window[self.at :] + chunk
        self.at = 0
        return True

    def _position(self) -> int:
        return self.n_passed + self.at
