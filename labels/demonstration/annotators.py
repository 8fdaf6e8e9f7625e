"""How people of different skill judge what there is: the truth, through the rules of judgement, with mistakes.

A careful annotator misses few mines and takes little else for one; a hasty one misses more, above all those grown over,
and is taken in by kilns, quarries and bare fields. What they answer follows from the generator they are given.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from scipy.spatial import cKDTree

from labels.demonstration.registers import SEARCH_RADIUS_M, Truth, nearest_dug
from labels.demonstration.terrain import CELL_DEG, Country, Mine, to_lonlat, to_metres

Clouded = Callable[[np.ndarray, np.ndarray], np.ndarray]
HIDDEN_FOR_UNSURE = 0.1  # share of the search disc under clouds


@dataclass(frozen=True)
class Skill:
    """Probabilities of one annotator's mistakes.

    Attributes
    ----------
    misses : float
        A mine is there and none is seen; twice as often where it is abandoned.
    imagines : float
        No mine is there and one is marked; four times as often on something that looks like one.
    hesitates : float
        Unsure where the rules give an answer.
    takes_another : float
        Not the nearest mine of the disc is marked, where there is another.
    blur_m : float
        Standard deviation of a mark on each axis.
    states_confidence : float
        Share of verdicts with a stated confidence.
    seconds : float
        Median time for a verdict.
    """

    misses: float
    imagines: float
    hesitates: float
    takes_another: float
    blur_m: float
    states_confidence: float
    seconds: float


# From the middle of a grid cell to the middle of a mine with ground in it.
FARTHEST_M = 2000

CAREFUL = Skill(0.02, 0.01, 0.03, 0.02, 9, 0.95, 17)
USUAL = Skill(0.05, 0.02, 0.04, 0.05, 18, 0.80, 12)
HASTY = Skill(0.11, 0.05, 0.06, 0.12, 40, 0.55, 7)
EXPERT = Skill(0.0, 0.0, 0.0, 0.0, 4, 1.0, 35)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A verdict as given; positions are (lon, lat). Words are those of the rules of judgement."""

    verdict: str
    reason: str = ""
    mark: tuple[float, float] | None = None
    other_mines: tuple[tuple[float, float, str], ...] = ()
    mine_type: str = ""
    activity: str = ""
    size_class: str = ""
    signs: tuple[str, ...] = ()
    confidence: int | None = None
    is_same_mine: bool = False
    note: str = ""
    seconds: float = 10.0
    mine: int | None = None  # number of the mine that was seen


class Annotator:
    """Judges records and cells of one country on its images.

    Parameters
    ----------
    country : Country
    looks : tuple of date
        The images looked at, oldest first.
    skill : Skill
    clouded : callable
        Of places x, y (metres, arrays of one shape): whether clouds hide them on the newest image.
    """

    def __init__(self, country: Country, looks: tuple[date, ...], skill: Skill, clouded: Clouded | None = None):
        self.country, self.looks, self.skill = country, looks, skill
        self._clouded = clouded or (lambda x, y: np.zeros(np.shape(x), bool))
        self._visible = {m.ident: m for m in country.mines if any(m.is_visible(on) for on in looks)}
        self._in_tree = list(self._visible.values())
        self._tree = cKDTree([(m.x, m.y) for m in self._in_tree])

    def judge(
        self, fact: Truth, point: tuple[float, float], rng: np.random.Generator, *, is_licence: bool = False
    ) -> Answer:
        """The verdict on a record whose reported point is `point` (lon, lat)."""
        answer = self._look(fact, point, rng, is_licence)
        seconds = self.skill.seconds * (1.7 if answer.verdict in ("reject", "unsure") else 1.0)
        return replace(answer, seconds=round(float(seconds * rng.lognormal(0, 0.5)), 1), note=_note(answer, rng))

    def _look(self, fact: Truth, point, rng, is_licence: bool) -> Answer:
        skill, chance = self.skill, rng.uniform()
        if fact.expected_verdict == "unsure":
            return Answer(verdict="unsure", reason=fact.expected_reason)
        if self._is_hidden(fact, point):
            return Answer(verdict="unsure", reason="cloud")
        if chance < skill.hesitates:
            return Answer(verdict="unsure", reason=str(rng.choice(["ambiguous_ground", "could_be_hidden"])))
        if fact.expected_verdict == "reject":
            is_taken_in = rng.uniform() < skill.imagines * (4 if fact.on_look_alike is not None else 1)
            return self._imagined(fact, point, rng) if is_taken_in else self._none_seen(fact, is_licence, rng)
        mine = self._visible[fact.expected_mine]
        if rng.uniform() < skill.misses * (1 if fact.expected_active else 2):
            return self._none_seen(fact, is_licence, rng)
        others = self._others(mine, point, SEARCH_RADIUS_M[fact.precision])
        if others and rng.uniform() < skill.takes_another:
            wrong = others[int(rng.integers(len(others)))]
            there = to_lonlat(*nearest_dug(wrong, *to_metres(*point), self._seen_on(wrong)))
            return self._mine_seen("move", wrong, there, point, fact, rng)
        expected = (fact.expected_lon, fact.expected_lat)
        seen = self._mine_seen(fact.expected_verdict, mine, expected, point, fact, rng)
        also = tuple(self._other(m, rng) for m in others if rng.uniform() < 0.12)[:3]
        says_same = fact.expected_same_mine and rng.uniform() >= 2 * skill.takes_another
        return replace(seen, other_mines=also, is_same_mine=says_same)

    def _is_hidden(self, fact: Truth, point) -> bool:
        """Clouds hide what the verdict would stand on: much of an empty disc, or a mine that only the newest shows."""
        x, y = to_metres(*point)
        if fact.expected_verdict == "reject":
            k = np.arange(300) + 0.5  # a sunflower: even over the disc
            away, angle = SEARCH_RADIUS_M[fact.precision] * np.sqrt(k / 300), k * 2.399963
            return bool(self._clouded(x + away * np.cos(angle), y + away * np.sin(angle)).mean() > HIDDEN_FOR_UNSURE)
        mine = self._visible[fact.expected_mine]
        at = to_metres(fact.expected_lon, fact.expected_lat)
        is_new = not any(mine.is_visible(on) for on in self.looks[:-1])
        return is_new and bool(self._clouded(*map(np.atleast_1d, at))[0])

    def _other(self, mine: Mine, rng) -> tuple[float, float, str]:
        x, y = np.array([mine.x, mine.y]) + rng.normal(0, self.skill.blur_m, 2)
        lon, lat = to_lonlat(x, y)
        return round(float(lon), 7), round(float(lat), 7), _type_of(mine)

    def _seen_on(self, mine: Mine) -> date:
        return max(on for on in self.looks if mine.is_visible(on))

    def _others(self, mine: Mine, point, radius_m: float) -> list[Mine]:
        """Other mines of the search disc."""
        near = self._tree.query_ball_point(np.array(to_metres(*point)), 0.9 * radius_m)
        return [self._in_tree[k] for k in sorted(near) if self._in_tree[k].ident != mine.ident]

    def _none_seen(self, fact: Truth, is_licence: bool, rng) -> Answer:
        reason = "natural_ground"
        if is_licence:
            reason = "no_activity"
        elif fact.on_look_alike is not None:
            reason = "other_land_use"
        return Answer(verdict="reject", reason=reason, confidence=self._confidence(4.1, rng))

    def _imagined(self, fact: Truth, point, rng) -> Answer:
        """Something else taken for a mine: at the point if that stands on it, else somewhere near."""
        away, angle = rng.uniform(60, 0.6 * SEARCH_RADIUS_M[fact.precision]), rng.uniform(0, 2 * np.pi)
        is_here = fact.on_look_alike is not None and fact.precision == "gps"
        seen = Answer(
            verdict="confirm" if is_here else "move",
            mine_type="artisanal",
            activity="cannot_tell",
            size_class="under_025",
            signs=("bare_pit",),
            confidence=self._confidence(3.0, rng),
        )
        if is_here:
            return seen
        x, y = to_metres(*point)
        mark = to_lonlat(x + away * np.cos(angle), y + away * np.sin(angle))
        return replace(seen, mark=tuple(round(float(v), 7) for v in mark))

    def _mine_seen(self, verdict: str, mine: Mine, at, point, fact: Truth, rng) -> Answer:
        is_active = mine.is_active(self.looks[-1])
        activity = "active" if is_active else "abandoned"
        if rng.uniform() < 0.06:
            activity = "cannot_tell"
        return Answer(
            verdict=verdict,
            mark=self._marked(at, point, 0.97 * SEARCH_RADIUS_M[fact.precision], rng) if verdict == "move" else None,
            mine_type=_type_of(mine) if rng.uniform() < 0.8 else "artisanal",
            activity=activity,
            size_class=_size_class(mine, self._seen_on(mine)),
            signs=_signs(mine),
            confidence=self._confidence(4.4 if is_active else 3.4, rng, most=self._most_confident(mine)),
            mine=mine.ident,
        )

    def _most_confident(self, mine: Mine) -> int:
        """Unmistakable is what two dates show."""
        return 5 if sum(mine.is_visible(on) for on in self.looks) > 1 else 4

    def _marked(self, at, point, reach_m: float, rng) -> tuple[float, float]:
        """A click on a place: blurred by the hand, and never beyond the search disc."""
        (x, y), (x0, y0) = to_metres(*at), to_metres(*point)
        dx, dy = np.array([x - x0, y - y0]) + rng.normal(0, self.skill.blur_m, 2)
        inside = min(1.0, reach_m / max(float(np.hypot(dx, dy)), 1e-9))
        lon, lat = to_lonlat(x0 + dx * inside, y0 + dy * inside)
        return round(float(lon), 7), round(float(lat), 7)

    def _confidence(self, usual: float, rng, most: int = 5) -> int | None:
        value = int(np.clip(round(rng.normal(usual, 0.6)), 1, most))
        return value if rng.uniform() < self.skill.states_confidence else None

    # cells ----------------------------------------------------------------------------------------------------------

    def search(self, cell: tuple[int, int], rng: np.random.Generator) -> Answer:
        """A grid cell (floor(lon * 100), floor(lat * 100)) looked through: its mines as `other_mines`."""
        seconds = round(float(6 * self.skill.seconds * rng.lognormal(0, 0.4)), 1)
        if rng.uniform() < self.skill.hesitates:
            return Answer(verdict="unsure", reason="ambiguous_ground", seconds=seconds)
        marks = []
        middle = np.array(to_metres((cell[0] + 0.5) * CELL_DEG, (cell[1] + 0.5) * CELL_DEG))
        for k in sorted(self._tree.query_ball_point(middle, FARTHEST_M)):
            mine = self._in_tree[k]
            place = dug_place_in(mine, cell, self._seen_on(mine))
            misses = self.skill.misses * (1 if mine.is_active(self.looks[-1]) else 2)
            if place is not None and rng.uniform() >= misses:
                marks.append((*place, _type_of(mine)))
        if not marks and rng.uniform() < self.skill.imagines:
            lon, lat = ((k + rng.uniform(0.1, 0.9)) * CELL_DEG for k in cell)
            marks.append((round(float(lon), 7), round(float(lat), 7), "artisanal"))
        marks += [(*place, "commercial") for place in self._industrial_in(cell)]
        return Answer(
            verdict="searched", other_mines=tuple(marks), confidence=self._confidence(4.0, rng), seconds=seconds
        )

    def _industrial_in(self, cell: tuple[int, int]) -> list[tuple[float, float]]:
        """A place on each industrial mine with ground in the cell."""
        found = []
        for area in self.country.commercial_areas:
            ring = area.rings[0]
            points = np.concatenate([ring.mean(axis=0) * (1 - k) + ring * k for k in (0.0, 0.35, 0.7, 0.95)])
            inside = (np.floor(points / CELL_DEG) == cell).all(axis=1)
            if inside.any():
                lon, lat = points[np.flatnonzero(inside)[0]]
                found.append((round(float(lon), 7), round(float(lat), 7)))
        return found


def _type_of(mine: Mine) -> str:
    return "both" if mine.setting == "fringe" else "artisanal"


def dug_place_in(mine: Mine, cell: tuple[int, int], on: date) -> tuple[float, float] | None:
    """The dug ground of a mine nearest its middle that lies in a grid cell: (lon, lat), or None."""
    extent, _ = mine.activity(on)
    if extent <= 0:
        return None
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    for reach in (0.0, 0.3, 0.6, 0.85):
        u = reach * 0.5 * mine.length_m * (0.5 + 0.5 * extent) * np.cos(t)
        v = reach * 0.5 * mine.width_m * (0.6 + 0.4 * extent) * np.sin(t)
        c, s = np.cos(mine.angle), np.sin(mine.angle)
        lon, lat = to_lonlat(mine.x + u * c - v * s, mine.y + u * s + v * c)
        inside = (np.floor(lon / CELL_DEG) == cell[0]) & (np.floor(lat / CELL_DEG) == cell[1])
        if inside.any():
            k = int(np.flatnonzero(inside)[0])
            return round(float(lon[k]), 7), round(float(lat[k]), 7)
    return None


def _size_class(mine: Mine, on: date) -> str:
    extent, _ = mine.activity(on)
    hectares = np.pi / 4 * mine.length_m * mine.width_m * (0.5 + 0.5 * extent) * (0.6 + 0.4 * extent) / 10_000
    for name, limit in (("under_025", 0.25), ("under_1", 1.0), ("under_5", 5.0)):
        if hectares < limit:
            return name
    return "over_5"


_SIGNS = {
    "river": ("bare_pit", "turbid_pond", "spoil"),
    "hill": ("bare_pit", "spoil"),
    "fringe": ("bare_pit", "tailings"),
    "dredge": ("dredge", "turbid_pond"),
}


def _signs(mine: Mine) -> tuple[str, ...]:
    return _SIGNS[mine.setting] + (("camp",) if mine.workers >= 60 else ())


_NOTES = {
    "confirm": ("Pits up to the mark.", "Puits ouverts, eau trouble."),
    "move": ("Middle of the pits; the point is forest.", "Le point tombe à côté ; la mine est au bord de l'eau."),
    "natural_ground": ("Looked along the river too.", "Rien dans le disque, forêt intacte."),
    "other_land_use": ("Four à briques, pas de fosse.", "Straight edges: a quarry."),
    "no_activity": ("Whole licence area under trees.",),
    "ambiguous_ground": ("Could be a sand bar.", "Sol nu, peut-être un champ."),
    "could_be_hidden": ("Paths lead under the canopy.",),
    "cloud": ("Cloud over the middle in 2024.",),
    "several_candidates": ("Two pits, equally far.",),
    "no_image": ("No image at this place: are the axes swapped?",),
}


def _note(answer: Answer, rng) -> str:
    """Now and then a remark, more often when in doubt."""
    is_doubtful = answer.verdict == "unsure" or (answer.confidence or 4) < 3
    if rng.uniform() > (0.35 if is_doubtful else 0.08):
        return ""
    notes = _NOTES[answer.reason or answer.verdict]
    return notes[int(rng.integers(len(notes)))]
