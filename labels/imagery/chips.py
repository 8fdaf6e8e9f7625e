"""Chips: what the model looks at. The pixels of one grid cell, from any source, always the same bytes.

A chip is a cell of the MOSAIKS grid (0.01 degrees, `labels.geo`) cut exactly: north up, its rows and columns even in
latitude and longitude, as MOSAIKS cuts its images. So a pixel is 4.35 m high with 256 of them, and as wide times the
cosine of the latitude. Rows are read evenly in web mercator, which is off by at most 0.0056 tan(latitude) pixels.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from django.conf import settings
from django.contrib.gis.db.models.functions import Envelope
from django.contrib.gis.geos import Polygon
from django.db import connection
from django.db.models import F

from labels import geo
from labels.errors import BadInput
from labels.geodesic import EQUATORIAL_RADIUS_M
from labels.imagery import chip_pixels, grid, scenes
from labels.imagery.chip_pixels import CellWork, ChipUnreadable, PreparedFile
from labels.imagery.chip_worker import Worker
from labels.local_plane import metres_per_degree
from labels.models import ImagerySource, ProviderDate, Scene
from labels.models.imagery import MAX_OFFSET_M

CHIP_PX = 256
# Neighbouring cells share blocks of a file, which the process that read them keeps decoded: a worker is given so many
# cells in a row, and so many such runs ahead keep it busy.
RUN = 16
AHEAD = 2


@dataclass(frozen=True)
class Chip:
    """Red, green and blue, uint8, (3, px, px), row 0 in the north; 0 where nothing is known, grey in all three.

    `share_missing` is the share of pixels without imagery, 0 to 1; 1 where no picture covers the cell.
    """

    pixels: np.ndarray
    share_missing: float


def read_chip(source: ImagerySource, cell: str, *, day: scenes.Day = None, key: str = "", px: int = CHIP_PX) -> Chip:
    """The pixels of one grid cell.

    Parameters
    ----------
    source : ImagerySource
        Its measured offset is applied: the chip shows the ground of the cell.
    cell : str
        Name of a grid cell, such as 'lon_-0.125__lat_11.135'.
    day : date, "unknown" or None
        Of which capture date pictures are used; None: of any, the newest on top. For sources of scenes.
    key : str
        Which of a provider's dates; empty: its newest. For providers.
    px : int
        Rows and columns, 16 to 1024.

    Raises
    ------
    ValueError
        If the cell is none of the grid's.
    BadInput
        If the provider has no such date, or px is out of range.
    ChipUnreadable
        If a picture under the cell is missing or damaged on the server.
    providers.Unavailable
        If the provider does not answer: a chip is never made of what is missing for now.
    """
    reader = _reader(source, day, key, px, around=cell)
    return reader.read(reader.work(cell))


def read_chips(
    source: ImagerySource,
    cells: Iterable[str],
    *,
    workers: int = 0,
    day: scenes.Day = None,
    key: str = "",
    px: int = CHIP_PX,
) -> Iterator[tuple[str, Chip]]:
    """The chips of many cells, in their order; arguments and errors as for `read_chip`.

    `workers` processes read (0: this one alone), each a run of neighbouring cells at a time, and a few runs ahead, so
    memory does not grow with the number of cells. Give cells in the order of places. Providers are asked by as many
    threads instead, which wait for the network. Safe in any number of processes, a Celery worker's among them; the
    database is asked once, here. See `./dev bench chips`.
    """
    reader = _reader(source, day, key, px)
    if workers < 1:
        return ((cell, reader.read(reader.work(cell))) for cell in cells)
    return _ahead(reader, cells, workers)


def _reader(source: ImagerySource, day: scenes.Day, key: str, px: int, around: str | None = None):
    if not 16 <= px <= 1024:
        raise BadInput(f"A chip of {px} pixels cannot be read: 16 to 1024.")
    if source.kind == source.Kind.SCENES:
        return _SceneReader(source, day, px, around)
    return _ProviderReader(source, key, px)


def _ahead(reader: "_SceneReader | _ProviderReader", cells: Iterable[str], workers: int):
    waiting = deque()
    with ExitStack() as ends, ThreadPoolExecutor(workers, thread_name_prefix="chips") as pool:
        read = reader.parallel(ends, workers)
        try:
            for run in _in_runs(cells, reader.run):
                waiting.append((run, pool.submit(read, [reader.work(cell) for cell in run])))
                if len(waiting) > workers * AHEAD:
                    yield from _read_run(*waiting.popleft())
            while waiting:
                yield from _read_run(*waiting.popleft())
        finally:
            for _, chips in waiting:
                chips.cancel()


def _in_runs(cells: Iterable[str], n: int) -> Iterator[tuple[str, ...]]:
    rest = iter(cells)
    while run := tuple(islice(rest, n)):
        yield run


def _read_run(cells: tuple[str, ...], chips: Future) -> Iterator[tuple[str, Chip]]:
    """The chips of a run; what could not be read is raised in its turn."""
    for cell, chip in zip(cells, chips.result(), strict=True):
        if isinstance(chip, Exception):
            raise chip
        yield cell, chip


def _chip(pixels: np.ndarray, seen: np.ndarray) -> Chip:
    return Chip(pixels, 1 - int(seen.sum()) / seen.size)


class _SceneReader:
    """Chips of a source of scenes. The scenes are asked for once; a cell's are found by their outlines' boxes."""

    run = RUN

    def __init__(self, source: ImagerySource, day: scenes.Day, px: int, around: str | None):
        self.source, self.px = source, px
        found = Scene.objects.filter(source=source)
        if day is not None:
            found = found.filter(captured_on=None if day == "unknown" else day)
        if around:
            found = found.filter(footprint__bboverlaps=_box_around(around))
        rows = list(
            found.order_by(F("captured_on").desc(nulls_last=True), "-pk")
            .annotate(box=Envelope("footprint"))
            .values_list("path", "sha256", "box")
        )
        self.files = [PreparedFile(str(Path(settings.MEDIA_ROOT) / path), sha256) for path, sha256, _ in rows]
        # Outlines are simplified: a file may reach a little beyond its own.
        margins = [max(box.extent[2] - box.extent[0], box.extent[3] - box.extent[1]) / 100 for *_, box in rows]
        boxes = [_mercator(box.extent) for *_, box in rows]
        wide = np.radians(margins)[:, None] * EQUATORIAL_RADIUS_M * [[-1, -1, 1, 1]] if rows else 0
        self.boxes = np.array(boxes).reshape(-1, 4) + wide

    def work(self, cell: str) -> CellWork:
        bounds = _mercator(geo.grid_cell_bounds(cell))
        bounds = grid.shifted(bounds, -self.source.offset_east_m, -self.source.offset_north_m)
        west, south, east, north = self.boxes.T
        touching = (west < bounds[2]) & (east > bounds[0]) & (south < bounds[3]) & (north > bounds[1])
        return CellWork(bounds, tuple(self.files[number] for number in np.nonzero(touching)[0]), self.px)

    def read(self, work: CellWork) -> Chip:
        return _chip(*chip_pixels.compose(work))

    def parallel(self, ends: ExitStack, n: int) -> Callable[[list[CellWork]], list[Chip | ChipUnreadable]]:
        """Reads runs for n threads, each of which waits for a process of its own; they end with `ends`."""
        idle = SimpleQueue()
        for _ in range(n):
            idle.put(worker := Worker())
            ends.callback(worker.end)

        def read(works: list[CellWork]) -> list[Chip | ChipUnreadable]:
            worker = idle.get()
            try:
                found = worker.compose_all(works)
            finally:
                idle.put(worker)
            return [each if isinstance(each, ChipUnreadable) else _chip(*each) for each in found]

        return read


class _ProviderReader:
    """Chips of a provider, from the tiles of the first zoom that is at least as fine, as far as it has them."""

    run = 1

    def __init__(self, source: ImagerySource, key: str, px: int):
        dates = ProviderDate.objects.filter(source=source)
        dates = dates.filter(key=key) if key else dates.order_by(F("captured_on").desc(nulls_last=True), "-pk")
        self.source, self.px, self.date = source, px, dates.first()
        if self.date is None:
            raise BadInput(f"The provider {source.name} offers no date {key!r}." if key else "It offers no date yet.")
        fine = grid.zoom_for(_mercator((0, 0, 1 / geo.CELLS_PER_DEGREE, 0))[2] / px)
        self.zoom = max(self.date.min_zoom, min(self.date.max_zoom, fine))

    def work(self, cell: str) -> grid.Bounds:
        return _mercator(geo.grid_cell_bounds(cell))  # its pixels come with the source's offset applied

    def read(self, bounds: grid.Bounds) -> Chip:
        from labels.imagery import providers

        size = grid.resolution(self.zoom)
        left, top = (bounds[0] + grid.HALF_WORLD_M) / size, (grid.HALF_WORLD_M - bounds[3]) / size
        right, bottom = (bounds[2] + grid.HALF_WORLD_M) / size, (grid.HALF_WORLD_M - bounds[1]) / size
        first, last = (int(left - 1) // 256, int(top - 1) // 256), (int(right + 1) // 256, int(bottom + 1) // 256)
        shape = ((last[1] - first[1] + 1) * 256, (last[0] - first[0] + 1) * 256)
        values, shown = np.zeros((3, *shape), dtype="uint8"), np.zeros(shape, dtype=bool)
        for y, x in product(range(first[1], last[1] + 1), range(first[0], last[0] + 1)):
            row, column = (y - first[1]) * 256, (x - first[0]) * 256
            at = np.s_[row : row + 256, column : column + 256]
            try:
                values[:, *at], shown[at] = providers.read_pixels(self.source, self.date, self.zoom, x, y)
            except providers.NoImage:
                continue
        box = (left - first[0] * 256, top - first[1] * 256, right - first[0] * 256, bottom - first[1] * 256)
        colours, seen = chip_pixels.resized(values, shown, self.px, box)
        return _chip(np.where(seen, colours, 0).astype("uint8"), seen)

    def parallel(self, ends: ExitStack, n: int) -> Callable[[list[grid.Bounds]], list[Chip]]:
        """Reads for threads, which mostly wait for the provider."""

        def read(run: list[grid.Bounds]) -> list[Chip]:
            try:
                return [self.read(bounds) for bounds in run]
            finally:
                connection.close()  # this thread's

        return read


def _box_around(cell: str) -> Polygon:
    """The cell and what an offset and a simplified outline may add to it."""
    west, south, east, north = geo.grid_cell_bounds(cell)
    per_lon, per_lat = metres_per_degree(max(abs(south), abs(north)))
    dx, dy = 2 * MAX_OFFSET_M / per_lon, 2 * MAX_OFFSET_M / per_lat
    box = Polygon.from_bbox((max(-180, west - dx), max(-90, south - dy), min(180, east + dx), min(90, north + dy)))
    box.srid = 4326
    return box


def _mercator(bounds: geo.BBox) -> grid.Bounds:
    west, south, east, north = bounds
    x = np.radians([west, east]) * EQUATORIAL_RADIUS_M
    y = np.arctanh(np.sin(np.radians([south, north]))) * EQUATORIAL_RADIUS_M
    return float(x[0]), float(y[0]), float(x[1]), float(y[1])
