"""What the demonstration holds, in which size: everything follows from a Recipe, and equal recipes give equal bytes."""

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np

from labels.demonstration import textures
from labels.demonstration.registers import Register, draw_register
from labels.demonstration.scenes import DATES, Scene, cloud_cover, cloud_field, plan_scenes
from labels.demonstration.terrain import DEFAULT_BOUNDS, Country

# When most looking is done: the older and the newer picture of a place.
LOOKS = DATES["archive"]


@dataclass(frozen=True)
class Recipe:
    """One demonstration. `RECIPES` names the ones that jobs can ask for.

    Attributes
    ----------
    n_reviewed : dict of str to int
        By register, the units that two annotators have judged; the others are open.
    n_gold : dict of str to int
        By register, the units with an answer that experts agreed on.
    n_cells : int
        Grid cells drawn for the search of unrecorded mines.
    parts : dict of str to int
        By imagery source, the jobs in which the scenes of one date are drawn.
    settle : float
        Share of the disputes that the adjudicator has settled.
    """

    name: str
    seed: int = 7
    bounds: tuple[float, float, float, float] = DEFAULT_BOUNDS
    n_mines: int | None = None
    n_records: dict[str, int] = field(default_factory=dict, hash=False)
    n_reviewed: dict[str, int] = field(default_factory=dict, hash=False)
    n_gold: dict[str, int] = field(default_factory=dict, hash=False)
    n_cells: int = 0
    parts: dict[str, int] = field(default_factory=dict, hash=False)
    settle: float = 0.75

    @cached_property
    def country(self) -> Country:
        return Country(self.seed, bounds=self.bounds, n_mines=self.n_mines)

    @cached_property
    def registers(self) -> dict[str, Register]:
        return {name: draw_register(self.country, name, n_records=n, looks=LOOKS) for name, n in self.n_records.items()}

    @cached_property
    def scenes(self) -> list[Scene]:
        return [s for s in plan_scenes(self.country, list(self.registers.values())) if s.source in self.parts]

    def scenes_of(self, source: str, on: date, part: int) -> list[Scene]:
        """Every so manieth scene of a source and date, so that each part reaches over the whole country."""
        return [scene for scene in self.scenes if (scene.source, scene.on) == (source, on)][part :: self.parts[source]]

    def clouded(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether clouds hide places (metres, one shape) on the newest image that shows a pit around every site."""
        hidden = np.zeros(np.shape(x), bool)
        field = cloud_field(self.country)
        for scene in self.scenes:
            if scene.source == "archive" and scene.on == LOOKS[-1] and scene.clouds:
                west, south, east, north = scene.bounds_m
                inside = (x >= west) & (x < east) & (y >= south) & (y < north)
                if inside.any():
                    hidden |= inside & (cloud_cover(field, scene, x, y) > 0.5)
        return hidden

    def forget(self) -> None:
        """Let go of everything drawn; it is drawn again when it is asked for."""
        for name in ("country", "registers", "scenes"):
            self.__dict__.pop(name, None)
        textures.forget()

    def all_parts(self) -> list[tuple[str, date, int]]:
        """Source, date and number of each part, in the order in which they should arrive."""
        return [
            (source, on, part)
            for source, n_parts in self.parts.items()
            for part in range(n_parts)
            for on in DATES[source]
        ]


WANDARA = Recipe(
    name="wandara",
    n_records={"cadastre": 360, "survey": 120},
    n_reviewed={"cadastre": 130, "survey": 120},
    n_gold={"cadastre": 24, "survey": 8},
    n_cells=340,  # why so many: docs/demonstration.md, under the model
    parts={"regional": 1, "archive": 2, "skyline": 4},
)
# One district: for tests, and to see the whole of it in half a minute.
CORNER = Recipe(
    name="corner",
    bounds=(0.36, 1.16, 0.44, 1.24),
    n_records={"cadastre": 12, "survey": 6},
    n_reviewed={"cadastre": 8, "survey": 6},
    n_gold={"cadastre": 2, "survey": 1},
    n_cells=6,
    parts={"regional": 1, "archive": 1, "skyline": 1},
)
RECIPES = {recipe.name: recipe for recipe in (WANDARA, CORNER)}
