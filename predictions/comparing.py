"""Two runs side by side: which labels changed between them, what that did to skill, and whose score moved."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from django.db.models import FloatField, Func
from numpy.typing import NDArray

from labels.errors import BadInput, LabelsError
from labels.models import Placement, Project, Release, SiteRecord
from labels.releases import cells as cell_labels
from labels.releases import making
from predictions import storage
from predictions.mapping import Scores
from predictions.models import TrainingRun

N_MOVED = 20
BATCH = 50_000
ABSENT = ""  # before it was labelled, or after it no longer is


@dataclass(frozen=True)
class Change:
    """So many labels went from one word to another; an empty word: there was none, or is none any more."""

    before: str
    after: str
    n: int


@dataclass(frozen=True)
class LabelChanges:
    # None where the labels of a run are not at hand: it has no release, or its snapshot cannot be read.
    records: list[Change] | None
    cells: list[Change] | None
    n_same_records: int = 0
    n_same_cells: int = 0

    @property
    def n_changed(self) -> int:
        return sum(change.n for change in [*(self.records or []), *(self.cells or [])])


@dataclass(frozen=True)
class SkillPair:
    """One rung of the ladder in both runs, as stored in their figures; None where a run has not climbed it.

    Each is judged on its own run's labels: where those changed, a part of the difference is theirs.
    """

    key: str
    negatives: str
    before: dict | None
    after: dict | None


@dataclass(frozen=True)
class MovedRecord:
    record: SiteRecord  # with its placement, observation and register
    before: float
    after: float
    # Among all records that both maps cover: 1 is the highest score; ties share the best rank.
    rank_before: int
    rank_after: int

    @property
    def change(self) -> float:
        return self.after - self.before

    @property
    def rank_change(self) -> int:
        """Places won; negative when it fell."""
        return self.rank_before - self.rank_after


@dataclass(frozen=True)
class Moves:
    """How the scores of the cells that both maps cover moved."""

    n_cells: int
    n_only_before: int
    n_only_after: int
    # Of the absolute change: its median and its 99th percentile; None without a common cell.
    median: float | None
    largest: float | None
    # Spearman's, of the two orders; None where one is constant or there is no common cell.
    correlation: float | None


@dataclass(frozen=True)
class Comparison:
    before: TrainingRun
    after: TrainingRun
    labels: LabelChanges
    skill: list[SkillPair]
    moves: Moves
    n_records: int
    moved: list[MovedRecord] = field(default_factory=list)


def compare(before: TrainingRun, after: TrainingRun, *, n: int = N_MOVED) -> Comparison:
    """Everything about two done runs of one project. Shows scores: call `exposure.record` for the person first.

    Raises BadInput for runs of two projects, storage.FileDamaged where the scores of one cannot be read.
    """
    if before.project_id != after.project_id:
        raise BadInput("Runs of two projects have no map in common: compare runs of one project.")
    old, new = Scores.of(before), Scores.of(after)
    n_records, moved = _moved_records(after.project, old, new, n)
    return Comparison(
        before=before,
        after=after,
        labels=label_changes(before.release, after.release),
        skill=skill_pairs(before.figures, after.figures),
        moves=_moves(old, new),
        n_records=n_records,
        moved=moved,
    )


# ---- labels ----


def label_changes(before: Release | None, after: Release | None) -> LabelChanges:
    """What is said of records (by unit) and of grid cells in two releases, counted by from what to what."""
    try:
        old, new = (making.read_snapshot(release) if release else None for release in (before, after))
    except LabelsError:
        old = new = None
    if old is None or new is None:
        return LabelChanges(None, None)
    records, n_same_records = _changes(*({row["unit"]: row["verdict"] for row in each.labels} for each in (old, new)))
    cells, n_same_cells = _changes(*({row["unique_id"]: _word(row) for row in each.cells} for each in (old, new)))
    return LabelChanges(records, cells, n_same_records, n_same_cells)


def _word(row: dict) -> str:
    return cell_labels.word(row["label"])


def _changes(before: dict[str, str], after: dict[str, str]) -> tuple[list[Change], int]:
    found = Counter((before.get(key, ABSENT), after.get(key, ABSENT)) for key in before.keys() | after.keys())
    n_same = sum(n for (old, new), n in found.items() if old == new)
    changes = [Change(old, new, n) for (old, new), n in found.items() if old != new]
    return sorted(changes, key=lambda each: (-each.n, each.before, each.after)), n_same


# ---- skill ----


def skill_pairs(before: dict, after: dict) -> list[SkillPair]:
    """The rungs of both ladders in the order of the later run, those that only the earlier has at the end."""
    old, new = ({_which(rung): rung for rung in each.get("ladder", [])} for each in (before, after))
    return [SkillPair(*which[:2], old.get(which), new.get(which)) for which in dict.fromkeys([*new, *old])]


def _which(rung: dict) -> tuple[str, str, str]:
    """The question a rung answers: of several models from elsewhere each is its own."""
    return rung["key"], rung["negatives"], rung.get("origin", {}).get("run", "")


# ---- scores ----


def reach_of(before: TrainingRun, after: TrainingRun) -> float | None:
    """How far scores moved, as a scale of colours needs it: the 99th percentile of the absolute change."""
    return _moves(Scores.of(before), Scores.of(after)).largest


def _moves(old: Scores, new: Scores) -> Moves:
    from scipy.stats import rankdata  # slow to import, and only for this

    before, after = _in_common(old, new)
    n_both = len(before)
    change = np.abs(after - before)
    varies = n_both > 1 and np.ptp(before) > 0 and np.ptp(after) > 0
    return Moves(
        n_cells=n_both,
        n_only_before=int(np.isfinite(old.shown).sum()) - n_both,
        n_only_after=int(np.isfinite(new.shown).sum()) - n_both,
        median=float(np.median(change)) if n_both else None,
        largest=float(np.quantile(change, 0.99)) if n_both else None,
        correlation=float(np.corrcoef(rankdata(before), rankdata(after))[0, 1]) if varies else None,
    )


def _in_common(old: Scores, new: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of the cells that both have, in the same order."""
    before = _scores_in(old, new.cells)
    after = new.shown.astype(np.float64)
    both = np.isfinite(before) & np.isfinite(after)
    return before[both], after[both]


def _scores_in(scores: Scores, cells: NDArray[np.int32]) -> NDArray[np.float64]:
    """(m,): the shown scores of cells; nan where the run has none."""
    at = storage.rows_of(scores.cells, cells)
    found = np.full(len(at), np.nan)
    found[at >= 0] = scores.shown[at[at >= 0]]
    return found


def _moved_records(project: Project, old: Scores, new: Scores, n: int) -> tuple[int, list[MovedRecord]]:
    """How many records both maps cover, and those whose score moved most."""
    from scipy.stats import rankdata  # slow to import, and only for this

    ids, points = _located(project)
    cells = storage.cells_of(points[:, 0], points[:, 1])
    before, after = _scores_in(old, cells), _scores_in(new, cells)
    both = np.isfinite(before) & np.isfinite(after)
    ids, before, after = ids[both], before[both], after[both]
    ranks = [rankdata(-each, method="min").astype(int) for each in (before, after)]
    most = np.lexsort([ids, -np.abs(after - before)])[:n]
    records = SiteRecord.objects.select_related("placement__observation", "register").in_bulk(ids[most].tolist())
    moved = [
        MovedRecord(records[ids[k]], float(before[k]), float(after[k]), int(ranks[0][k]), int(ranks[1][k]))
        for k in most
        if after[k] != before[k]
    ]
    return len(ids), moved


def _located(project: Project) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ids (m,) and reported points (m, 2) of the project's records that state a position."""
    corners = {
        name: Func("reported_point", function=function, output_field=FloatField())
        for name, function in (("lon", "ST_X"), ("lat", "ST_Y"))
    }
    rows: Iterable = (
        Placement.objects.filter(register__project=project, reported_point__isnull=False)
        .annotate(**corners)
        .order_by("pk")
        .values_list("pk", "lon", "lat")
        .iterator(chunk_size=BATCH)
    )
    found = np.fromiter(rows, dtype=np.dtype((float, 3)))
    return found[:, 0].astype(np.int64), found[:, 1:]
