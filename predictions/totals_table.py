"""Totals of areas as people read them: the country, then each layer's areas, those with most mining first."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labels.models import ReferenceLayer
from labels.report_words import number, percent
from predictions import reasons
from predictions.models import AreaTotal, TrainingRun
from predictions.readers import MIN_READ_TWICE
from predictions.run_quantities import Quantity

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
    unsure: str  # how far the unsure cells could move the share; empty without any

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
    totals = list(run.area_totals.select_related("area__layer").defer("area__geometry", "area__attributes"))
    widest = max((limit for each in totals for limit in (each.high, each.share) if limit is not None), default=0) or 1
    groups = []
    for layer, those in _by_layer(totals):
        ranked = sorted(those, key=lambda each: (-_expected(each), each.area.name if each.area else ""))
        rows = [_row(each, widest) for each in ranked[:SHOWN]]
        groups.append(TotalGroup(_name(layer), rows, len(ranked) - len(rows)))
    return groups


@dataclass(frozen=True)
class Country:
    """The total of all that was mapped, as the card tells it."""

    n_cells: Quantity
    share: Quantity
    unsure: str


def of_all(run: TrainingRun) -> Country:
    stored = run.figures.get("totals", {})
    bounds = (stored.get("n_unsure", 0), stored.get("share_if_clear"), stored.get("share_if_mined"))
    return Country(Quantity.of(stored.get("n_cells")), Quantity.of(stored.get("share")), unsure(*bounds))


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
        unsure=unsure(total.n_unsure, total.share_if_clear, total.share_if_mined),
    )


def unsure(n: int, if_clear: float | None, if_mined: float | None) -> str:
    """How far cells without an answer could move a share; empty without such cells."""
    if not n:
        return ""
    if if_clear is None or if_mined is None:
        return ngettext("%(n)s unsure", "%(n)s unsure", n) % {"n": number(n)}
    told = {"n": number(n), "low": percent(if_clear), "high": percent(if_mined)}
    return (
        ngettext(
            "%(low)s if the %(n)s unsure is clear, %(high)s if it has a mine",
            "%(low)s if all %(n)s unsure are clear, %(high)s if all have mines",
            n,
        )
        % told
    )


def stands_on(run: TrainingRun) -> list[str]:
    """What intervals of the totals hold and do not hold, in sentences; empty where no total was worked out."""
    stored = run.figures.get("totals", {})
    if "n_read_twice" not in stored:
        return []
    n = stored["n_read_twice"]
    if stored["reader_variance"] is None:
        told = _(
            "Readers' errors are not in these intervals: %(n)s of the drawn cells were read twice as planned, and at "
            "least %(least)s are needed to tell how far readers lean apart."
        )
    else:
        told = _(
            "How far readers lean apart is in these intervals, from %(n)s cells read twice as planned. What all "
            "readers miss is not."
        )
    sentences = [told % {"n": number(n), "least": number(MIN_READ_TWICE)}]
    if stored.get("n_unsure"):
        sentences.append(
            _(
                "Drawn cells without an answer (unsure, in dispute, seen too little) are left out of shares and "
                "intervals, as if they were like the others. With a share stands what it would be if none of them, or "
                "all of them, had a mine."
            )
        )
    if left_out := run.figures.get("audits_not_weighed"):
        sentences.append(
            _(
                "Cells of these audits are not in the sample, for it cannot be told which cells they could have drawn: "
                "%(audits)s."
            )
            % {"audits": ", ".join(left_out)}
        )
    if run.area is not None:
        sentences.append(
            _("Only %(area)s was mapped: of areas that reach beyond it the part inside is told.")
            % {"area": run.area.name}
        )
    return sentences
