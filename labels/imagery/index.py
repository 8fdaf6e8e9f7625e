"""What this process knows of the sources that people look at: rights, scenes, dates. Kept for seconds, bounded.

A tile asked with a fresh entry costs no query. An entry is made by the view, which has checked who asks; its row is
read again at each such request, its scenes only when the source's revision has changed.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from django.contrib.gis.db.models.functions import Envelope
from django.db.models import F, FloatField, Func

from labels import geo
from labels.imagery import scenes
from labels.imagery.scenes import Shown, ShownScene
from labels.models import ImagerySource, ProviderDate, Scene

KEPT_S = 8  # under the 10 s after which closed tiles must be closed: a request under way takes its time too
MAX_SOURCES = 200
MAX_KEPT_SCENES = 200_000  # of all sources together, about 100 MB
MAX_SCENES = 50_000  # of one source; larger ones are asked of the database at each tile
# A layer larger than this is first narrowed to a tile this many zooms above, kept for its neighbours.
SMALL, NEAR, MAX_PARTS = 200, 5, 200

clock = time.monotonic


@dataclass(frozen=True, slots=True)
class _Entry:
    """One scene, without its place."""

    path: str
    sha256: str
    false_colour_path: str
    false_colour_sha256: str

    def as_shown(self, band: str) -> ShownScene | None:
        if band == "false_colour":
            return ShownScene(self.false_colour_path, self.false_colour_sha256) if self.false_colour_path else None
        return ShownScene(self.path, self.sha256)


@dataclass(frozen=True, slots=True)
class _Layer:
    """The scenes of one date, or of all: on top first, with west, south, east and north of each."""

    entries: list[_Entry]
    boxes: np.ndarray  # (4, n)
    # Of large layers, the parts that neighbouring tiles share.
    parts: dict[tuple[int, int, int], "_Layer"] = field(default_factory=dict)

    def over(self, z: int, x: int, y: int) -> list[_Entry]:
        """The scenes whose box meets the tile's, in the layer's order."""
        layer = self if len(self.entries) <= SMALL or z < NEAR else self._part(z - NEAR, x >> NEAR, y >> NEAR)
        return [layer.entries[k] for k in layer._hits(scenes.box_around(z, x, y))]

    def _part(self, z: int, x: int, y: int) -> "_Layer":
        part = self.parts.get((z, x, y))
        if part is None:
            hits = self._hits(scenes.box_around(z, x, y))
            part = _Layer([self.entries[k] for k in hits], self.boxes[:, hits])
            if len(self.parts) >= MAX_PARTS:
                self.parts.clear()
            self.parts[(z, x, y)] = part
        return part

    def _hits(self, box: geo.BBox) -> np.ndarray:
        west, south, east, north = self.boxes
        return np.flatnonzero((west <= box[2]) & (east >= box[0]) & (south <= box[3]) & (north >= box[1]))


@dataclass(frozen=True, slots=True)
class Known:
    """A source, its scenes by date, a provider's dates, and when its row was read."""

    source: ImagerySource
    # By capture date, "unknown", or None for all; None where there are too many to keep.
    layers: dict[scenes.Day, _Layer] | None
    dates: dict[UUID, ProviderDate]
    read_at: float

    @property
    def n_scenes(self) -> int:
        return len(self.layers[None].entries) if self.layers else 0

    @property
    def is_fresh(self) -> bool:
        return clock() - self.read_at < KEPT_S


class _Index:
    def __init__(self):
        self._known: OrderedDict[UUID, Known] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[UUID, threading.Lock] = {}

    def get(self, source: UUID) -> Known | None:
        found = self._known.get(source)
        return found if found is not None and found.is_fresh else None

    def put(self, source: ImagerySource, read_at: float) -> Known:
        """Keep a row just read, with the scenes of its revision; one thread at a time reads those of a source."""
        with self._lock:
            turn = self._loading.setdefault(source.uuid, threading.Lock())
        with turn:
            old = self._known.get(source.uuid)
            if old is not None and old.source.pk == source.pk and old.source.revision == source.revision:
                known = Known(source, old.layers, old.dates, read_at)
            else:
                known = Known(source, _layers(source), _dates(source), read_at)
        with self._lock:
            self._known[source.uuid] = known
            self._known.move_to_end(source.uuid)
            self._shrink()
        return known

    def _shrink(self) -> None:
        total = sum(known.n_scenes for known in self._known.values())
        while len(self._known) > 1 and (len(self._known) > MAX_SOURCES or total > MAX_KEPT_SCENES):
            uuid, gone = self._known.popitem(last=False)
            self._loading.pop(uuid, None)
            total -= gone.n_scenes


_index = _Index()
fresh = _index.get
keep = _index.put


def current(source: ImagerySource) -> Known:
    """What the database says of the source now."""
    read_at = clock()
    return keep(ImagerySource.objects.select_related("project").get(pk=source.pk), read_at)


def shown(known: Known, z: int, x: int, y: int, day: scenes.Day, band: str = "") -> Shown:
    """The pictures that may show on a tile, the newest on top."""
    source = known.source
    if known.layers is None:
        found = [_Entry(*row) for row in scenes.rows_for_tile(source, z, x, y, day)]
    else:
        layer = known.layers.get(day)
        found = layer.over(z, x, y) if layer else []
    pictures = (entry.as_shown(band) for entry in found)
    return Shown(tuple(each for each in pictures if each), source.offset_east_m, source.offset_north_m)


def _layers(source: ImagerySource) -> dict[scenes.Day, _Layer] | None:
    corners = {
        name: Func(Envelope("footprint"), function=function, output_field=FloatField())
        for name, function in zip("wsen", ("ST_XMin", "ST_YMin", "ST_XMax", "ST_YMax"), strict=True)
    }
    found = Scene.objects.filter(source=source).order_by(F("captured_on").desc(nulls_last=True), "-pk")
    rows = list(found.annotate(**corners).values_list("captured_on", *scenes.FILES, *"wsen")[: MAX_SCENES + 1])
    if len(rows) > MAX_SCENES:
        return None
    by_day: dict[scenes.Day, list] = {None: rows}
    for row in rows:
        by_day.setdefault(row[0] or "unknown", []).append(row)
    entries = {id(row): _Entry(*row[1:5]) for row in rows}
    return {
        day: _Layer(
            [entries[id(row)] for row in rows], np.array([row[5:] for row in rows], dtype=float).reshape(-1, 4).T
        )
        for day, rows in by_day.items()
    }


def _dates(source: ImagerySource) -> dict[UUID, ProviderDate]:
    if source.kind == ImagerySource.Kind.SCENES:
        return {}
    return {date.uuid: date for date in ProviderDate.objects.filter(source=source)}
