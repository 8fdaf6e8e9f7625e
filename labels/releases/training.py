"""Which labels of a release a model may be trained on, asked when it is trained: a right can have ended since."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from labels.imagery import rights
from labels.imagery.rights import Lack, Use
from labels.models import Project, Release
from labels.releases.gathering import RESTS_ON
from labels.releases.making import read_snapshot
from labels.releases.snapshot import Snapshot


@dataclass
class Trainable:
    # Rows of columns.LABEL_COLUMNS and columns.CELL_COLUMNS.
    labels: list[dict] = field(default_factory=list)
    cells: list[dict] = field(default_factory=list)
    n_labels_left_out: int = 0
    n_cells_left_out: int = 0
    # Each a source for which rows were left out: {"source", "reason", "n_labels", "n_cells"}.
    left_out_by_source: list[dict] = field(default_factory=list)


def trainable(release: Release, *, purpose: str | None = None, on: date | None = None) -> Trainable:
    """The rows of the release that a model may be trained on today, for this purpose (that of the release).

    A row's imagery has the right when, of each review behind it, one image has it: then and now.
    """
    wanted = release.purpose if purpose is None else purpose
    return trainable_rows(read_snapshot(release), release.project, purpose=wanted, on=on)


def trainable_rows(snapshot: Snapshot, project: Project, *, purpose: str = "", on: date | None = None) -> Trainable:
    """The same of labels that nobody released yet (gathering.gather)."""
    sources = project.imagery_sources.select_related("project")
    lacks = {source.slug: rights.lacking(source, Use.TRAIN, on=on, purpose=purpose) for source in sources}
    counts, found = Counter(), Trainable()
    found.labels = _kept(snapshot.labels, lacks, lambda source, lack: counts.update([(source, lack, "n_labels")]))
    found.cells = _kept(snapshot.cells, lacks, lambda source, lack: counts.update([(source, lack, "n_cells")]))
    found.n_labels_left_out = len(snapshot.labels) - len(found.labels)
    found.n_cells_left_out = len(snapshot.cells) - len(found.cells)
    found.left_out_by_source = [
        {
            "source": source,
            "reason": reason,
            "n_labels": counts[source, reason, "n_labels"],
            "n_cells": counts[source, reason, "n_cells"],
        }
        for source, reason in sorted({(source, reason) for source, reason, _ in counts})
    ]
    return found


def _kept(rows: list[dict], lacks: dict[str, Lack | None], count: Callable[[str, str], None]) -> list[dict]:
    kept = []
    for row in rows:
        failing = _failing(row, lacks)
        if not failing and row.get("may_train"):
            kept.append(row)
        for source in failing:
            count(source, str(lacks.get(source, Lack.NO_RIGHT)))
        if not failing and not row.get("may_train"):
            count("", "not_when_released")
    return kept


def _failing(row: dict, lacks: dict[str, Lack | None]) -> set[str]:
    """The sources of the reviews behind the row none of whose images may train."""
    return {
        source
        for sources in row.get(RESTS_ON, [])
        if all(lacks.get(source, Lack.NO_RIGHT) for source in sources)
        for source in sources
    }
