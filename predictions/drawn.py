"""The probability sample of grid cells that a release rests on: with which chance each was judged, who read it.

Several audits of cells speak together only where each one's frame is known: a cell's chance is that any of them drew
it, also those that could have and did not.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from django.db.models import Count, Exists, OuterRef, Q
from numpy.typing import NDArray

from labels import geo, rules
from labels.models import Audit, Mark, ReferenceArea, ReferenceLayer, Release, SampleUnit
from labels.models.areas import AreaKind
from labels.models.audits import Queue
from labels.models.reviews import MineType, Verdict
from predictions import storage
from predictions.cell_facts import not_yet, reviews_of
from predictions.readers import MIN_READ_TWICE, reader_variance

Cells = NDArray[np.int32]


@dataclass(frozen=True)
class Chances:
    """1 / probability of being drawn and judged, of each cell; 0 for others."""

    weights: NDArray[np.float64]  # (n,)
    left_out: list[str]  # audits, by short name, whose cells could not be weighed together with the others'


@dataclass(frozen=True)
class DrawnBy:
    """What one audit drew: the cells that somebody judged, (k, 2), and the chance of each to be drawn."""

    audit: Audit
    cells: Cells
    probabilities: NDArray[np.float64]
    n_drawn: int  # judged or not

    @property
    def chance(self) -> float | None:
        """To be drawn and judged by now, of any cell of its frame: units are handed out in random order. None where
        cells had unequal chances: that of a cell it did not draw is then not known."""
        if not len(self.cells) or np.ptp(self.probabilities) > 1e-12:
            return None
        return float(self.probabilities[0]) * len(self.cells) / self.n_drawn


def chances(release: Release, cells: Cells) -> Chances:
    """How likely each of the cells, (n, 2) in a feature set's order, was to be judged as one of the sample.

    One audit: 1 / (chance of being drawn times the share of its units that were judged). Several: 1 less the product
    of 1 - chance over all audits whose frame holds the cell. Where an audit's frame cannot be told any more (areas it
    was drawn from are gone, or its cells had unequal chances) only the audit with most judged cells is read.
    """
    drawn = [each for each in drawn_by(release) if len(each.cells)]
    weights = np.zeros(len(cells))
    if not drawn:
        return Chances(weights, [])
    frames = [_frame(each) for each in drawn] if len(drawn) > 1 else [None]
    if len(drawn) > 1 and any(frame is None for frame in frames):
        first = max(drawn, key=lambda each: (len(each.cells), -each.audit.pk))
        left_out = sorted(each.audit.slug for each in drawn if each is not first)
        return Chances(_alone(first, cells), left_out)
    if len(drawn) == 1:
        return Chances(_alone(drawn[0], cells), [])
    missed, is_judged = np.ones(len(cells)), np.zeros(len(cells), dtype=bool)
    for each, frame in zip(drawn, frames, strict=True):
        missed[_rows(cells, frame)] *= 1 - each.chance
        is_judged[_rows(cells, each.cells)] = True
    with np.errstate(divide="ignore"):
        return Chances(np.where(is_judged & (missed < 1), 1 / (1 - missed), 0.0), [])


def _alone(drawn: DrawnBy, cells: Cells) -> NDArray[np.float64]:
    weights = np.zeros(len(cells))
    at = storage.rows_of(cells, drawn.cells)
    weights[at[at >= 0]] = drawn.n_drawn / len(drawn.cells) / drawn.probabilities[at >= 0]
    return weights


def _rows(cells: Cells, wanted: Cells) -> NDArray[np.int64]:
    at = storage.rows_of(cells, wanted)
    return at[at >= 0]


def drawn_by(release: Release) -> list[DrawnBy]:
    """Each of the release's audits of cells, with what had been judged of its sample when the release was made."""
    audits = {audit.pk: audit for audit in _audits_of(release).order_by("pk")}
    units = SampleUnit.objects.filter(not_yet(release, "retired_at"), audit__in=audits, queue=Queue.SAMPLE)
    units = units.exclude(grid_cell="")
    n_drawn = dict(units.order_by().values_list("audit").annotate(n=Count("pk")))
    judged = units.filter(Exists(reviews_of(release).filter(unit=OuterRef("pk")))).order_by("pk")
    found = defaultdict(list)
    for audit, cell, probability in judged.values_list("audit", "grid_cell", "inclusion_probability"):
        found[audit].append((*geo.grid_cell_centre(cell), probability))
    drawn = []
    for pk, rows in sorted(found.items()):
        lon, lat, probabilities = np.array(rows).T
        drawn.append(DrawnBy(audits[pk], storage.cells_of(lon, lat), probabilities, n_drawn[pk]))
    return drawn


def _audits_of(release: Release):
    slugs = [audit["audit"] for audit in release.data_card.get("audits", [])]
    return Audit.objects.filter(project=release.project_id, slug__in=slugs, frame=Audit.Frame.CELLS)


def _frame(drawn: DrawnBy) -> Cells | None:
    """The cells it was drawn from: those of the provinces that held when it was opened; None if it cannot be told."""
    audit = drawn.audit
    if drawn.chance is None or not audit.n_population:
        return None
    layers = ReferenceLayer.objects.filter(
        Q(retired_at__isnull=True) | Q(retired_at__gt=audit.opened_at),
        project=audit.project_id,
        kind=AreaKind.ADMIN,
        level=1,
        loaded_at__lte=audit.opened_at,
    )
    areas = ReferenceArea.objects.filter(layer__in=layers).only("geometry").iterator(chunk_size=50)
    rings = ([np.array(ring) for polygon in area.geometry.coords for ring in polygon] for area in areas)
    frame = storage.cells_of(*geo.cell_centres_in_areas(rings).T)
    return frame if len(frame) == audit.n_population else None


# ---- who read what ----


@dataclass(frozen=True)
class Readings:
    """Reviews of the sample's cells that held when the release was made, one of each row, in the order they came."""

    cells: Cells  # (k, 2)
    units: NDArray[np.int64]  # (k,)
    readers: NDArray[np.int64]  # (k,) numbers from 0
    y: NDArray[np.float64]  # (k,) 1 with an artisanal mine, 0 searched and clear, nan for no answer
    is_planned: NDArray[np.bool_]  # (k,) one of the readings that its audit wanted, where it wants several

    @property
    def read_twice(self) -> NDArray[np.bool_]:
        """(k,): planned readings with an answer, of units that have two or more."""
        usable = self.is_planned & np.isfinite(self.y)
        _units, number, n = np.unique(self.units[usable], return_inverse=True, return_counts=True)
        found = np.zeros(len(self.units), dtype=bool)
        found[np.flatnonzero(usable)[n[number] > 1]] = True
        return found

    @property
    def n_read_twice(self) -> int:
        return len(np.unique(self.units[self.read_twice]))

    def variance(self) -> float | None:
        """Between readers; None with fewer than MIN_READ_TWICE units read twice as planned."""
        if self.n_read_twice < MIN_READ_TWICE:
            return None
        twice = self.read_twice
        return reader_variance(self.readers[twice], self.units[twice], self.y[twice])

    def of_cells(self, cells: Cells) -> NDArray[np.int64]:
        """(m, q): who read each of the cells (m, 2), up to q readers; -1 for none."""
        read: dict[tuple[int, int], list[int]] = defaultdict(list)
        for cell, reader in zip(map(tuple, self.cells.tolist()), self.readers.tolist(), strict=True):
            if reader not in read[cell]:
                read[cell].append(reader)
        those = [read.get(tuple(cell), []) for cell in np.asarray(cells).tolist()]
        found = np.full((len(those), max(map(len, those), default=0) or 1), -1)
        for row, readers in enumerate(those):
            found[row, : len(readers)] = readers
        return found


def readings(release: Release) -> Readings:
    """Of the release's audits of cells. Two questions."""
    units = {"unit__audit__in": list(_audits_of(release)), "unit__queue": Queue.SAMPLE, "queue": Queue.SAMPLE}
    still = (not_yet(release, each) for each in ("successor__created_at", "unit__retired_at"))
    current = reviews_of(release).filter(*still, **units)
    marks = Mark.objects.filter(review=OuterRef("pk"))
    artisanal = Exists(marks.exclude(mine_type=MineType.COMMERCIAL))
    current = current.exclude(unit__grid_cell="").annotate(is_mine=artisanal, is_marked=Exists(marks)).order_by("pk")
    columns = ("unit", "unit__grid_cell", "annotator", "verdict", "share_seen", "unit__audit__reviews_per_unit")
    rows = list(current.values_list(*columns, "is_mine", "is_marked"))
    n_before: dict[int, int] = defaultdict(int)
    planned, y = [], []
    for unit, _cell, _reader, verdict, share_seen, wanted, is_mine, is_marked in rows:
        planned.append(wanted > 1 and n_before[unit] < wanted)
        n_before[unit] += 1
        y.append(_answer(verdict, share_seen, is_mine, is_marked))
    centres = np.array([geo.grid_cell_centre(cell) for _unit, cell, *_ in rows]).reshape(-1, 2)
    _, readers = np.unique(np.array([reader for _unit, _cell, reader, *_ in rows], dtype=int), return_inverse=True)
    unit_ids = np.array([unit for unit, *_ in rows], dtype=np.int64)
    return Readings(storage.cells_of(*centres.T), unit_ids, readers, np.array(y, float), np.array(planned, bool))


def _answer(verdict: str, share_seen: float | None, is_mine: bool, is_marked: bool) -> float:
    if verdict != Verdict.SEARCHED:
        return np.nan
    if is_mine:
        return 1.0
    return 0.0 if rules.is_clear_search([share_seen], int(is_marked)) else np.nan


# ---- what totals stand on ----


@dataclass(frozen=True)
class Sample:
    """Judged cells of the probability sample, by their rows among n mapped cells."""

    searched: NDArray[np.int64]  # (m,)
    y: NDArray[np.float64]  # (m,) 1 or 0
    weights: NDArray[np.float64]  # (m,) 1 / chance of being drawn and judged
    unsure: NDArray[np.int64]  # (u,) looked at without an answer
    unsure_weights: NDArray[np.float64]  # (u,)
    readers: NDArray[np.int64] | None = None  # (m, q) who read each, -1 for none
    reader_variance: float | None = None  # None: readers' errors are not known, and in no interval
    n_read_twice: int = 0

    @classmethod
    def of(cls, frame, release: Release) -> "Sample":
        """Of a labelling.Frame and the release it was made of."""
        searched, unsure = np.flatnonzero(frame.is_sample), np.flatnonzero(frame.is_unsure)
        read = readings(release)
        return cls(
            searched=searched,
            y=frame.y[searched, 0],
            weights=frame.sample_weights[searched],
            unsure=unsure,
            unsure_weights=frame.looked_weights[unsure],
            readers=read.of_cells(frame.cells[searched]),
            reader_variance=read.variance(),
            n_read_twice=read.n_read_twice,
        )
