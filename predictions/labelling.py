"""From labels to grid cells: what a release says of each cell of a feature set, and which cells a fit looks at.

The frame is every cell with a record and its eight neighbours, every searched cell, every cell of a commercial mine,
and a random background that stands for the rest. The background is drawn by a number that each cell keeps for good, so
that new labels hardly change which cells a fit looks at. A release says what is known; registers and areas are read
once each, never cell by cell.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from labels import geo
from labels.models import Release
from labels.releases.making import read_snapshot
from labels.releases.training import Trainable, trainable
from labels.rules import CONFIDENCE_FOR_TRAINING
from predictions import cell_facts, cell_terrain, drawn, storage
from predictions.cell_facts import Area
from predictions.models import FeatureSet
from predictions.storage import Features

HEADS = ("artisanal", "any_mining")
ARTISANAL, ANY_MINING = range(2)
LEAST_INSPECTED = 0.2
BACKGROUND_RATIO = 3.0
LEAST_BACKGROUND = 300
# What the audit changed in the labels, one step after another (`Frame.steps`).
STEPS = ("registered", "kept", "moved", "searched")


class Status(IntEnum):
    """What a cell is to a fit. Only positive and negative ones are ever judged."""

    OUTSIDE = 0  # not in the frame: weight 0
    POSITIVE = 1
    NEGATIVE = 2
    UNLABELLED = 3  # presumed 0 in the fit with its weight, never judged
    WITHHELD = 4  # something is known or claimed of it that may not be used for this head: weight 0


@dataclass
class Frame:
    """Labels, weights and groups of a feature set's cells, row by row the same; n cells, two heads (HEADS)."""

    cells: NDArray[np.int32]  # (n, 2) column and row, as in the feature set
    y: NDArray[np.float64]  # (n, 2) 1 or 0 by head; 0 where unlabelled, withheld or outside
    status: NDArray[np.uint8]  # (n, 2) Status by head
    weights: NDArray[np.float64]  # (n, 2) of the fit: design_weights, 0 where withheld
    # (n,) how many of the country's cells each cell of the frame stands for; 0 outside.
    design_weights: NDArray[np.float64]
    in_frame: NDArray[np.bool_]  # (n,)
    # (n,) 1/pi of the probability sample of cells, 0 for others and where the search came to no answer for either head.
    sample_weights: NDArray[np.float64]
    looked_weights: NDArray[np.float64]  # (n,) the same, also where it came to none
    is_record: NDArray[np.bool_]  # (n,) the label comes from a record
    is_suggested: NDArray[np.bool_]  # (n,) the label comes from a suggestion
    is_near: NDArray[np.bool_]  # (n,) holds or touches a record or a mine
    is_commercial: NDArray[np.bool_]  # (n,) its centre lies in a commercial area, or a commercial mine was marked in it
    # (n,) place in `areas_of` of the top-level admin area that holds the centre; -1: none.
    areas: NDArray[np.int32]
    areas_of: list[Area]
    # By name (region, mineral, formality, size, terrain, distance_to_commercial): (n,) place in `levels[name]`; -1:
    # not known, or a cell that nobody judged, of which the last two are not asked.
    strata: dict[str, NDArray[np.int32]]
    levels: dict[str, list[str]]
    # By STEPS, (n,): 1 or 0; `searched` is nan where nobody searched.
    steps: dict[str, NDArray[np.float64]]
    labels_sha256: str  # of all that a fit depends on
    n_left_out: int = 0  # labels and cells without the right to train
    left_out_by_source: list[dict] = field(default_factory=list)  # as labels.releases.training says
    n_outside_features: int = 0  # labelled cells that the feature set does not hold, or without pictures
    audits_not_weighed: list[str] = field(default_factory=list)  # as drawn.Chances.left_out

    @property
    def rows(self) -> NDArray[np.int64]:
        """Where the frame's cells stand in the feature set."""
        return np.flatnonzero(self.in_frame)

    @property
    def is_sample(self) -> NDArray[np.bool_]:
        """(n,): in the probability sample of cells, with an answer for the first head."""
        return (self.sample_weights > 0) & self.is_judged()

    @property
    def is_unsure(self) -> NDArray[np.bool_]:
        """(n,): drawn with the sample and looked at, without an answer for the first head that may be used."""
        return (self.looked_weights > 0) & self.in_frame & ~self.is_judged()

    def is_judged(self, head: int = ARTISANAL) -> NDArray[np.bool_]:
        """(n,): cells whose label is known, in the frame."""
        return (self.status[:, head] == Status.POSITIVE) | (self.status[:, head] == Status.NEGATIVE)

    def stratum(self, name: str, rows: NDArray | None = None) -> NDArray[np.str_]:
        """The cells' levels in words of the program, "" where not known; of all cells or of some rows."""
        numbers = self.strata[name] if rows is None else self.strata[name][rows]
        return np.array([*self.levels[name], ""])[numbers]

    @classmethod
    def of(
        cls,
        release: Release,
        feature_set: FeatureSet,
        features: Features,
        *,
        purpose: str | None = None,
        background_ratio: float = BACKGROUND_RATIO,
        seed: int = 0,
    ) -> "Frame":
        """The frame of a release over the cells of a feature set.

        Parameters
        ----------
        release : Release
            Of the feature set's project.
        features : Features
            Of the feature set: cells that have none are in no frame.
        purpose : str, optional
            For which models are trained; that of the release.
        background_ratio : float
            Cells of the background for each cell with a record or a search.
        seed : int
            Of the background.
        """
        return _Making(release, feature_set, features, purpose, background_ratio, seed).frame()


def _known(cells: NDArray[np.int32], wanted: NDArray[np.int32]) -> NDArray[np.int64]:
    """Rows of the wanted cells, without those that are not there."""
    at = storage.rows_of(cells, wanted)
    return at[at >= 0]


class _Making:
    def __init__(self, release, feature_set, features, purpose, background_ratio, seed):
        self.release, self.features = release, features
        self.project = feature_set.project
        self.cells, self.n = np.asarray(features.cells), len(features)
        self.background_ratio, self.seed = background_ratio, seed
        self.snapshot = read_snapshot(release)
        self.allowed: Trainable = trainable(release, purpose=purpose)
        self.records = cell_facts.reported_cells(self.project)
        self.searches = cell_facts.searches(release)
        self.status = np.zeros((self.n, 2), np.uint8)
        self.n_outside = 0

    def frame(self) -> Frame:
        areas, areas_of = cell_facts.areas_of_cells(self.project, self.cells)
        commercial = self._rows(cell_facts.commercial_cells(self.project))
        labelled = self._label_cells(commercial)
        reported, searched = self._rows(self.records.cells), self._rows(self.searches.cells)
        is_near = self._near(reported, np.flatnonzero(self.status[:, ARTISANAL] == Status.POSITIVE))
        certain = is_near.copy()
        certain[np.concatenate([searched, commercial, labelled])] = True
        in_frame, design_weights = self._with_background(certain, areas)
        self._fill(in_frame, commercial)
        weights = np.where(self.status == Status.WITHHELD, 0.0, design_weights[:, None])
        y = (self.status == Status.POSITIVE).astype(np.float64)
        is_judged = (self.status == Status.POSITIVE) | (self.status == Status.NEGATIVE)
        strata, levels = self._strata(areas, areas_of, np.flatnonzero(is_judged.any(axis=1)))
        chances = drawn.chances(self.release, self.cells)
        frame = Frame(
            cells=self.cells,
            y=y,
            status=self.status,
            weights=weights,
            design_weights=design_weights,
            in_frame=in_frame,
            sample_weights=np.where(is_judged.any(axis=1), chances.weights, 0.0),
            looked_weights=chances.weights,
            audits_not_weighed=chances.left_out,
            is_record=self._of_type({"record_census", "record_sample", "field"}),
            is_suggested=self._of_type({"suggested"}),
            is_near=is_near,
            is_commercial=self._is_commercial(commercial),
            areas=areas,
            areas_of=areas_of,
            strata=strata,
            levels=levels,
            steps=self._steps(),
            labels_sha256="",
            n_left_out=self.allowed.n_labels_left_out + self.allowed.n_cells_left_out,
            left_out_by_source=self.allowed.left_out_by_source,
            n_outside_features=self.n_outside,
        )
        frame.labels_sha256 = _hash(frame)
        return frame

    def _rows(self, cells: NDArray[np.int32]) -> NDArray[np.int64]:
        """Rows of cells that can be in the frame: the set holds them, with pictures."""
        rows = _known(self.cells, cells)
        return np.unique(rows[self.features.is_known[rows]])

    # ---- what is known ----

    def _label_cells(self, commercial: NDArray[np.int64]) -> NDArray[np.int64]:
        """Write the status of every cell of which the release says something; their rows.

        What weighs least comes first and is overwritten: claims nobody checked, answers that may not be used, then
        labels.
        """
        may_not = self._rows(self._cells_named(row["unique_id"] for row in self.snapshot.cells))
        unsure = self._rows(np.concatenate([self._cells_of_unsure_records(), self.searches.cells]))
        self.status[self._rows(self._cells_of_unaudited_records()), :] = Status.WITHHELD
        self.status[unsure, :] = Status.WITHHELD
        self.status[may_not, :] = Status.WITHHELD
        for row, at in zip(self.allowed.cells, self._rows_of_labels(), strict=True):
            if at >= 0:
                self.status[at] = statuses_of(row)
        self.status[commercial, ANY_MINING] = Status.POSITIVE
        not_searched = commercial[~np.isin(self.status[commercial, ARTISANAL], [Status.POSITIVE, Status.NEGATIVE])]
        self.status[not_searched, ARTISANAL] = Status.WITHHELD
        return np.flatnonzero(self.status.any(axis=1))

    def _rows_of_labels(self) -> NDArray[np.int64]:
        """Of each row of `allowed.cells`, where its cell stands; -1 where it is not there or has no pictures."""
        at = storage.rows_of(self.cells, self._cells_named(row["unique_id"] for row in self.allowed.cells))
        at = np.where((at >= 0) & self.features.is_known[at], at, -1) if self.n else at
        self.n_outside = int((at < 0).sum())
        return at

    @staticmethod
    def _cells_named(names: Iterable[str]) -> NDArray[np.int32]:
        centres = np.array([geo.grid_cell_centre(name) for name in names]).reshape(-1, 2)
        return storage.cells_of(*centres.T)

    def _cells_of_unaudited_records(self) -> NDArray[np.int32]:
        """A register's claim alone is no label; where nobody may use what was found of it, neither."""
        audited = {row["site_record"] for row in self.allowed.labels}
        is_audited = np.array([uuid in audited for uuid in self.records.uuids], dtype=bool)
        return self.records.cells[~is_audited]

    def _cells_of_unsure_records(self) -> NDArray[np.int32]:
        return self._reported([row for row in self.allowed.labels if row["verdict"] == "unsure"])

    @staticmethod
    def _reported(labels: list[dict]) -> NDArray[np.int32]:
        points = np.array([(row["reported_lon"], row["reported_lat"]) for row in labels], dtype=float).reshape(-1, 2)
        return storage.cells_of(*points.T)

    def _of_type(self, types: set[str]) -> NDArray[np.bool_]:
        """Cells whose row in the release speaks of evidence of these types."""
        found = np.zeros(self.n, bool)
        for row, at in zip(self.allowed.cells, self._rows_of_labels(), strict=True):
            found[at] |= at >= 0 and row["sample_type"] in types
        return found

    def _is_commercial(self, commercial: NDArray[np.int64]) -> NDArray[np.bool_]:
        found = np.zeros(self.n, bool)
        found[commercial] = True
        for row, at in zip(self.allowed.cells, self._rows_of_labels(), strict=True):
            found[at] |= at >= 0 and row["mine_type"] in ("commercial", "both")
        return found

    # ---- which cells a fit looks at ----

    def _near(self, *rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,): these cells and their eight neighbours, where they have features."""
        found = np.zeros(self.n, bool)
        here = self.cells[np.unique(np.concatenate(rows))]
        for east in (-1, 0, 1):
            for north in (-1, 0, 1):
                found[self._rows(here + np.array([east, north], np.int32))] = True
        return found

    def _with_background(
        self, certain: NDArray[np.bool_], areas: NDArray[np.int32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """The frame and its weights: certain cells stand for themselves, drawn ones for those of their area."""
        in_frame, weights = certain.copy(), certain.astype(np.float64)
        rest = np.flatnonzero(~certain & self.features.is_known)
        n_seen = len(self._rows(np.concatenate([self.records.cells, self.searches.cells])))
        n_wanted = max(LEAST_BACKGROUND, int(np.ceil(self.background_ratio * n_seen)))
        share = min(1.0, n_wanted / max(len(rest), 1))
        order = _for_good(self.cells[rest], self.seed)
        for area in np.unique(areas[rest]):
            here = rest[areas[rest] == area]
            n_drawn = min(len(here), int(np.ceil(share * len(here))))
            drawn = here[np.argsort(order[areas[rest] == area], kind="stable")[:n_drawn]]
            in_frame[drawn], weights[drawn] = True, len(here) / n_drawn
        return in_frame, weights

    def _fill(self, in_frame: NDArray[np.bool_], commercial: NDArray[np.int64]) -> None:
        """What nothing is known of: presumed 0 in the frame. Outside of it nothing is said."""
        self.status[in_frame[:, None] & (self.status == Status.OUTSIDE)] = Status.UNLABELLED
        self.status[~in_frame] = Status.OUTSIDE

    # ---- in which groups skill is told ----

    def _strata(self, areas, areas_of, judged) -> tuple[dict[str, NDArray[np.int32]], dict[str, list[str]]]:
        strata, levels = {"region": areas}, {"region": [area.name for area in areas_of]}
        for name, of_units in cell_facts.strata_of_units(self.release).items():
            named: dict[int, list[str]] = {}
            with_mine = [row for row in self.allowed.labels if row["grid_cell"]]
            at = storage.rows_of(self.cells, self._cells_named(row["grid_cell"] for row in with_mine))
            for row, place in zip(with_mine, at, strict=True):
                if place >= 0 and (level := of_units.get(row["unit"])):
                    named.setdefault(int(place), []).append(level)
            strata[name], levels[name] = self._numbered({at: _commonest(found) for at, found in named.items()})
        terrain, levels["terrain"] = cell_terrain.terrain_of_cells(self.project, self.cells[judged])
        bands = cell_facts.bands_to_commercial(self.project, self.cells[judged])
        levels["distance_to_commercial"] = list(cell_facts.DISTANCE_LEVELS)
        for name, of_judged in (("terrain", terrain), ("distance_to_commercial", bands)):
            strata[name] = np.full(self.n, -1, np.int32)
            strata[name][judged] = of_judged
        return strata, levels

    def _numbered(self, found: dict[int, str]) -> tuple[NDArray[np.int32], list[str]]:
        levels = sorted(set(found.values()))
        numbers = np.full(self.n, -1, np.int32)
        for at, level in found.items():
            numbers[at] = levels.index(level)
        return numbers, levels

    # ---- what the audit changed ----

    def _steps(self) -> dict[str, NDArray[np.float64]]:
        """Every reported point; without rejected records; moved ones at their mark; where searched, what was found."""
        by_record = {row["site_record"]: row for row in self.allowed.labels}
        rows = [by_record.get(uuid) for uuid in self.records.uuids]
        is_rejected = np.array([row is not None and row["verdict"] == "reject" for row in rows], dtype=bool)
        is_marked = np.array([row is not None and bool(row["grid_cell"]) for row in rows], dtype=bool)
        marks = self._cells_named(row["grid_cell"] for row in rows if row is not None and row["grid_cell"])
        registered, kept = self.records.cells, self.records.cells[~is_rejected]
        moved = np.concatenate([self.records.cells[~is_rejected & ~is_marked], marks])
        steps = {name: np.zeros(self.n) for name in STEPS}
        for name, cells in zip(STEPS, (registered, kept, moved), strict=False):
            steps[name][_known(self.cells, cells)] = 1
        known = np.isin(self.status[:, ARTISANAL], [Status.POSITIVE, Status.NEGATIVE])
        steps["searched"] = np.where(known, self.status[:, ARTISANAL] == Status.POSITIVE, np.nan).astype(np.float64)
        return steps


def statuses_of(row: dict) -> tuple[Status, Status]:
    """Of a labelled cell, by head. Doubtful answers and cells hardly looked at are withheld."""
    label = row["label"]
    if row["confidence"] < CONFIDENCE_FOR_TRAINING:
        return Status.WITHHELD, Status.WITHHELD
    if label is None:  # commercial mines alone say nothing of artisanal ones
        return Status.WITHHELD, Status.POSITIVE
    if label == 1:
        return Status.POSITIVE, Status.POSITIVE
    # Not known where pictures were replaced since; that 80 % was clear is part of the label.
    share = row["proportion_inspected"]
    if share is not None and share < LEAST_INSPECTED:
        return Status.WITHHELD, Status.WITHHELD
    return Status.NEGATIVE, Status.NEGATIVE


def _commonest(levels: list[str]) -> str:
    return min(set(levels), key=lambda level: (-levels.count(level), level))


def _for_good(cells: NDArray[np.int32], seed: int) -> NDArray[np.uint64]:
    """A number of each cell that looks random and never changes: splitmix64 of its place and the seed."""
    with np.errstate(over="ignore"):
        z = storage.cell_keys(cells).astype(np.uint64) + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _hash(frame: Frame) -> str:
    digest = hashlib.sha256()
    rows = frame.rows
    for array in (frame.cells, frame.status, frame.weights, frame.sample_weights, frame.areas):
        digest.update(np.ascontiguousarray(array[rows]).tobytes())
    for name in STEPS:
        digest.update(frame.steps[name][rows].tobytes())
    return digest.hexdigest()
