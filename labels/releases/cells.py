"""Labels of grid cells, by the rule of judgement: 1 if a marked artisanal mine has dug ground in the cell; 0 only if
searched (80 % clear) with nothing marked; else unknown, and not written. Knows no database.

A commercial mine alone leaves the artisanal label unknown: its cell is written with an empty label, so that a reader
who forgets to drop `mine_type == commercial` meets a missing value and not a false negative.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from labels import geo
from labels.rules import CONFIDENCE_FOR_TRAINING

ARTISANAL, COMMERCIAL, BOTH = "artisanal", "commercial", "both"


@dataclass(frozen=True, slots=True)
class Mine:
    """One marked mine, of a record or another one seen beside it."""

    cell: str
    # artisanal, commercial, both, or "" when not stated, which counts as artisanal.
    mine_type: str
    # 1 to 5, or None when not stated.
    confidence: int | None
    sample_type: str

    @property
    def is_artisanal(self) -> bool:
        return self.mine_type != COMMERCIAL


@dataclass(frozen=True, slots=True)
class Search:
    """One grid cell that was looked through, as all its current reviews say together."""

    cell: str
    # Whether it is a negative: rules.is_clear_search.
    is_clear: bool
    confidence: int | None
    sample_type: str


def sample_type(frame: str, design: str, queue: str) -> str:
    """Where labels of these units come from, in the words of the MOSAIKS notebooks."""
    if queue == "suggested":
        return "suggested"
    if frame == "records":
        return "record_census" if design == "census" else "record_sample"
    return "stratified_cell" if design == "stratified" else "random_cell"


def word(label: int | None) -> str:
    return "unknown" if label is None else str(label)


def label_cells(
    mines: Iterable[Mine], searches: Iterable[Search], country: str, inspected: Callable[[str], float | None]
) -> list[dict]:
    """One row per cell with anything to say, in the order of their names."""
    found = defaultdict(list)
    for mine in mines:
        found[mine.cell].append(mine)
    clear = defaultdict(list)
    for search in searches:
        if search.is_clear and search.cell not in found:
            clear[search.cell].append(search)
    rows = {cell: _of_mines(those) for cell, those in found.items()}
    rows |= {cell: _of(min(those, key=_rank), "", 0) for cell, those in clear.items()}
    return [_place(cell, country, inspected(cell)) | rows[cell] for cell in sorted(rows)]


def _of_mines(mines: list[Mine]) -> dict:
    """Never two labels for a cell: any artisanal mine makes it 1."""
    artisanal = [mine for mine in mines if mine.is_artisanal]
    best = min(artisanal or mines, key=_rank)
    return _of(best, _mine_type(mines), 1 if artisanal else None)


def _mine_type(mines: list[Mine]) -> str:
    types = {mine.mine_type for mine in mines}
    if BOTH in types or (COMMERCIAL in types and len(types) > 1):
        return BOTH
    return ARTISANAL if ARTISANAL in types else types.pop()


def _rank(evidence: Mine | Search) -> tuple:
    """The evidence a cell's row speaks of: the sample before suggestions, then the surest, then what was stated."""
    return evidence.sample_type == "suggested", -_exported(evidence), evidence.confidence is None, evidence.sample_type


def _exported(evidence: Mine | Search) -> int:
    return CONFIDENCE_FOR_TRAINING if evidence.confidence is None else evidence.confidence


def _of(evidence: Mine | Search, mine_type: str, label: int | None) -> dict:
    return {
        "sample_type": evidence.sample_type,
        "mine_type": mine_type,
        "confidence": _exported(evidence),
        "label": label,
        "confidence_stated": int(evidence.confidence is not None),
    }


def _place(cell: str, country: str, share: float | None) -> dict:
    lon, lat = geo.grid_cell_centre(cell)
    return {
        "lon": lon,
        "lat": lat,
        "unique_id": cell,
        "country": country,
        "proportion_inspected": share,
        "image_id": geo.mosaiks_image_id(cell),
    }
