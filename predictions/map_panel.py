"""What the page of a run tells its map: where tiles are, what their steps stand for, the figures at each threshold."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from labels import outlines
from labels.imagery.decoding import PictureMissing
from labels.models import Project
from predictions import comparing, exposure, reasons, run_tiles
from predictions.models import TrainingRun
from predictions.storage import FileDamaged

LISTED = 9  # thresholds in the table for who has no script
LEAST_REACH = 0.02  # colours of a difference: where scores hardly moved, the map says so by staying grey
CHART = (100, 60)  # width and height of the drawing of precision and recall, its own units


@dataclass(frozen=True)
class MapPanel:
    """What templates/predictions/_map.html shows. `data` is for static/js/run-map.js."""

    data: dict
    rows: list[dict]  # of the table: threshold, n_above, precision, recall
    chart: dict[str, str] | None  # points of its lines and bands
    n_cells: int
    n_outside: int | None
    with_mines: dict | None  # value, low, high, n: cells with mines in all

    @property
    def last(self) -> int:
        """The highest number of the slider, which counts thresholds."""
        return max(0, len(self.data["curve"]) - 1)


@dataclass(frozen=True)
class DifferencePanel:
    """What templates/predictions/_map_difference.html shows."""

    data: dict
    reach: float  # change from which on colours are the strongest


def panel(run: TrainingRun, user) -> MapPanel | None:
    """The panel of a done run; None where its map is not on this server. Records that the person sees the scores:
    call `exposure.would_lose` before, and ask them where it is not 0."""
    try:
        scale = run_tiles.scale_of(run)
    except PictureMissing:
        return None
    exposure.record(user, run.project)
    curve = sorted(run.figures.get("threshold_curve", []), key=lambda each: each["threshold"])
    data = background(run.project, scale.bounds) | {
        "kind": "scores",
        "tiles": _address("run_tile", run.project.slug, run.number),
        "low": scale.low,
        "high": scale.high,
        "curve": [_told(each) for each in curve],
        "at": _first(run, curve),
        "words": _words(),
    }
    return MapPanel(
        data=data,
        rows=_listed(data["curve"]),
        chart=_chart(data["curve"]),
        n_cells=run.figures.get("n_cells", 0),
        n_outside=run.figures.get("applicability", {}).get("n_outside"),
        with_mines=_with_mines(run.figures.get("totals", {})),
    )


def difference_panel(before: TrainingRun, after: TrainingRun, user) -> DifferencePanel | None:
    """The map of how scores moved from one run to another; None where a map is not on this server.

    Records that the person sees the scores, as `panel` does.
    """
    try:
        scale, _other = run_tiles.scale_of(after), run_tiles.scale_of(before)
        reach = max(comparing.reach_of(before, after) or 0, LEAST_REACH)
    except (PictureMissing, FileDamaged):
        return None
    exposure.record(user, after.project)
    low, high = run_tiles.DIFFERENCES
    data = background(after.project, scale.bounds) | {
        "kind": "difference",
        "tiles": _address("run_difference_tile", after.project.slug, after.number, before.number),
        "low": low,
        "high": high,
        "reach": reach,
        "words": _words() | {"cell": _("Score moved by %s here.")},
    }
    return DifferencePanel(data, reach)


def background(project: Project, bounds: tuple[float, float, float, float]) -> dict:
    """What every map of a run is told."""
    return {
        "bounds": list(bounds),
        "areas": f"{reverse('labels:area_outlines', args=[project.slug])}?v={outlines.version_of(project)}",
        "levels": run_tiles.LEVELS,
        "maxZoom": run_tiles.MAX_ZOOM,
    }


def _address(name: str, *args) -> str:
    return reverse(f"predictions:{name}", args=[*args, 0, 0, 0]).removesuffix("0/0/0") + "Z/X/Y"


def _words() -> dict[str, str]:
    return {
        "cell": _("Score %s here."),
        "outside": _("Unlike any training cell: no claim."),
        "leftOut": _("Scored by a fit that had not seen this cell."),
        "none": _("No cell of the map here."),
        "failed": _("The map could not be fetched. Load the page again."),
        "n": _("n %s"),
    }


def _told(entry: dict) -> dict:
    """One entry of the curve, with the reasons of missing figures in words."""
    quantities = {name: _quantity(entry.get(name)) for name in ("precision", "recall")}
    return {"threshold": entry["threshold"], "n_above": entry["n_above"]} | quantities


def _quantity(stored: dict | None) -> dict:
    stored = stored or {"value": None, "low": None, "high": None, "n": 0, "reason": "not_computed"}
    return stored | {"reason": reasons.sentence(stored["reason"]) if stored.get("reason") else ""}


def _first(run: TrainingRun, curve: list[dict]) -> int:
    """The threshold that marks as many cells as may be inspected; else the highest fiftieth of them."""
    budgets = (rung.get("metrics", {}).get("budget") for rung in run.figures.get("ladder", []) if rung.get("metrics"))
    wanted = next((budget for budget in budgets if budget), None) or run.figures.get("n_cells", 0) * 0.02
    return min(range(len(curve)), key=lambda at: abs(curve[at]["n_above"] - wanted), default=0)


def _listed(curve: list[dict]) -> list[dict]:
    """A few of the thresholds, evenly chosen, the highest first."""
    last = len(curve) - 1
    wanted = {round(last * k / (LISTED - 1)) for k in range(LISTED)} if last >= 0 else set()
    found = [curve[at] for at in sorted(wanted, reverse=True)]
    return [each | {"shares": [each["precision"], each["recall"]]} for each in found]


def _with_mines(totals: dict) -> dict | None:
    found = totals.get("n_cells") or {}
    if found.get("value") is None:
        return None
    rounded = {name: None if found[name] is None else round(found[name]) for name in ("value", "low", "high")}
    return rounded | {"n": found["n"]}


def _chart(curve: list[dict]) -> dict[str, str] | None:
    """Points of precision and recall over the thresholds: lines, and bands of their intervals."""
    if len(curve) < 2 or curve[0]["threshold"] == curve[-1]["threshold"]:
        return None
    drawn = {}
    for name in ("precision", "recall"):
        known = [each for each in curve if each[name]["value"] is not None]
        sure = [each for each in known if each[name]["low"] is not None and each[name]["high"] is not None]
        drawn[name] = _points(curve, known, name, "value")
        drawn[f"{name}_band"] = (
            f"{_points(curve, sure, name, 'low')} {_points(curve, sure[::-1], name, 'high')}".strip()
        )
    return drawn


def _points(curve: list[dict], entries: list[dict], name: str, limit: str) -> str:
    low, high = curve[0]["threshold"], curve[-1]["threshold"]
    width, height = CHART
    return " ".join(
        f"{(each['threshold'] - low) / (high - low) * width:.2f},{(1 - each[name][limit]) * height:.2f}"
        for each in entries
    )
