"""Totals of areas as people read them: the country, then each layer's areas, those with most mining first."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from labels.models import ReferenceLayer
from predictions import reasons
from predictions.models import AreaTotal, TrainingRun

SHOWN = 12  # areas of a layer; the others are counted
UNKNOWN = "not_computed"


@dataclass(frozen=True)
class TotalRow:
    name: str
    total: AreaTotal
    # Of the drawing, 0 to 100: the interval, the share, the share drawn towards the scores.
    low_x: float | None
    high_x: float | None
    x: float | None
    shrunk_x: float | None
    reason: str  # in words, where share or interval are missing

    @property
    def n_with_mines(self) -> dict[str, float | None]:
        """Cells with mines: share, low, high and shrunk times the area's cells."""
        parts = {name: getattr(self.total, name) for name in ("share", "low", "high", "shrunk")}
        return {name: None if part is None else part * self.total.n_cells for name, part in parts.items()}


@dataclass(frozen=True)
class TotalGroup:
    name: str
    rows: list[TotalRow]
    n_more: int  # areas that are not shown


def table(run: TrainingRun) -> list[TotalGroup]:
    """The groups of the table, empty before the totals were written. One query."""
    totals = list(run.area_totals.select_related("area__layer"))
    widest = max((limit for each in totals for limit in (each.high, each.share) if limit is not None), default=0) or 1
    groups = []
    for layer, those in _by_layer(totals):
        ranked = sorted(those, key=lambda each: (-_expected(each), each.area.name if each.area else ""))
        rows = [_row(each, widest) for each in ranked[:SHOWN]]
        groups.append(TotalGroup(_name(layer), rows, len(ranked) - len(rows)))
    return groups


def _by_layer(totals: list[AreaTotal]) -> list[tuple[ReferenceLayer | None, list[AreaTotal]]]:
    found: dict[int, tuple[ReferenceLayer | None, list[AreaTotal]]] = {}
    for each in totals:
        layer = each.area.layer if each.area else None
        found.setdefault(layer.pk if layer else 0, (layer, []))[1].append(each)
    kinds = ("admin", "protected", "commercial")
    return sorted(found.values(), key=lambda pair: (kinds.index(pair[0].kind), pair[0].level) if pair[0] else (-1, 0))


def _name(layer: ReferenceLayer | None) -> str:
    return _("All that was mapped") if layer is None else layer.name


def _expected(total: AreaTotal) -> float:
    share = total.share if total.share is not None else total.shrunk
    return (share or 0) * total.n_cells


def _row(total: AreaTotal, widest: float) -> TotalRow:
    drawn = {
        name: None if getattr(total, name) is None else 100 * min(1.0, max(0.0, getattr(total, name)) / widest)
        for name in ("low", "high", "share", "shrunk")
    }
    missing = total.reason or (UNKNOWN if total.share is None else "")
    return TotalRow(
        name=total.area.name if total.area else _("All that was mapped"),
        total=total,
        low_x=drawn["low"],
        high_x=drawn["high"],
        x=drawn["share"],
        shrunk_x=drawn["shrunk"],
        reason=reasons.sentence(missing) if missing else "",
    )
