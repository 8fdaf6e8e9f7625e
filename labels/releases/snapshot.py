"""The canonical form of a release: one JSON object per line, whose bytes depend on the labels alone.

Rows come sorted by what they are (register, id in the register, audit; cell), keys sorted, coordinates rounded to seven
decimals. The hash over these bytes is the release's name, whatever the machine, the time or the order of our tables.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labels.errors import LabelsError

COORDINATE_DECIMALS = 7


class SnapshotDamaged(LabelsError):
    """The stored snapshot is not what its release was named for."""


@dataclass
class Snapshot:
    # Labels of records and of grid cells, as in columns.LABEL_COLUMNS (less the hash) and columns.CELL_COLUMNS.
    labels: list[dict]
    cells: list[dict]
    # What was left out, by audit: {"slug": {"n_not_judged": 3, "n_without_rights": 0}}.
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    # Labels left out for lack of the right to share them, by reason (rights.Lack), and by source and reason.
    without_rights: dict[str, int] = field(default_factory=dict)
    without_rights_of: list[dict] = field(default_factory=list)
    # Grid cells that are not written as searched and clear, because a mine in them may not be told of.
    n_cells_left_out: int = 0
    # What is known of the cells of searched-cell audits: {"slug": {"1": 3, "0": 20, "unknown": 7}}.
    searched: dict[str, dict[str, int]] = field(default_factory=dict)
    # Primary keys of the imagery sources the labels were read from.
    source_ids: set[int] = field(default_factory=set)

    def lines(self) -> Iterator[bytes]:
        for kind, rows in (("label", self.labels), ("cell", self.cells)):
            for row in rows:
                yield canonical({"kind": kind, **row})

    @property
    def content_sha256(self) -> str:
        digest = hashlib.sha256()
        for line in self.lines():
            digest.update(line)
        return digest.hexdigest()


def canonical(row: dict) -> bytes:
    return json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def coordinate(degrees: float) -> float:
    """Seven decimals (1 cm); no negative zero, which would hash differently from zero."""
    return round(degrees, COORDINATE_DECIMALS) + 0.0


def write(snapshot: Snapshot, path: Path) -> None:
    """Compressed without name and time, so that equal snapshots are equal files."""
    with path.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.writelines(snapshot.lines())


def read(path: Path, content_sha256: str) -> Snapshot:
    """The labels and cells of a stored release; raises SnapshotDamaged unless they are those it was named for."""
    snapshot = Snapshot(labels=[], cells=[])
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rb") as lines:
            for line in lines:
                digest.update(line)
                row = json.loads(line)
                (snapshot.labels if row.pop("kind") == "label" else snapshot.cells).append(row)
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise SnapshotDamaged(f"The stored snapshot cannot be read: {path.name}. Restore it from a backup.") from error
    if digest.hexdigest() != content_sha256:
        raise SnapshotDamaged(f"The stored snapshot was changed: {path.name}. Restore it from a backup.")
    return snapshot
