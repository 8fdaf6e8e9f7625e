"""How good a map is: several questions, each with its own held-out cells, the simple ways of guessing beside them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from numpy.typing import NDArray

from predictions.bootstrap import N_RESAMPLES

# groups (n,) and, for each group in ascending order, the further rows left out with it -> scores (n, heads), each from
# a fit without its own group. A row whose group is -1 is never left out and needs no score.
Scorer = Callable[[NDArray, list[NDArray]], NDArray]
# scores (m,), y (m,), weights (m,) -> what turns scores into probabilities
Calibrate = Callable[[NDArray, NDArray, NDArray], Callable[[NDArray], NDArray]]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a run is judged on; arrays have a row for each cell of the training frame."""

    cells: NDArray  # int (n, 2): column, row of the MOSAIKS grid
    y: NDArray  # float (n, heads): labels of the fit, 0 or 1; artisanal first, then any mining
    is_judged: NDArray  # bool (n, heads): positive, or searched and clear; presumed zeros are never judged
    fit_weights: NDArray  # float (n,): weight in the fit, 0 = withheld
    sample_weights: NDArray  # float (n,): 1/pi of the probability sample of cells; 0 elsewhere
    blocks: NDArray  # int (n,)
    buffers: list  # of each block in ascending order: rows left out with it
    areas: NDArray | None = None  # int (n,): top-level admin area, -1 for none
    is_suggested: NDArray | None = None  # bool (n,): judged because a run suggested it
    is_near: NDArray | None = None  # bool (n,): holds a record or touches a cell with a record or a mine
    colours: NDArray | None = None  # float (n, columns): mean colours (and spreads) of the cell
    n_mapped: int = 0  # cells of the map: what the sample's weights add up to
    budget: int = 0  # inspections, in cells of the map; 0: none given
    k: int = 100  # judged cells for precision at k
    seed: int = 0
    n_resamples: int = N_RESAMPLES
    names: dict = field(default_factory=dict)


def ladder(problem: Problem, scorer: Scorer, *, calibrate: Calibrate | None = None) -> list[dict]:
    """The rungs from the one to quote first to the optimistic one, as `figures["ladder"]` stores them."""
    raise NotImplementedError


def elsewhere(
    problem: Problem, scores: NDArray, *, probabilities: NDArray | None = None, project: str, run: int
) -> list[dict]:
    """The rungs of another country's model on this problem's judged cells: key "elsewhere"."""
    raise NotImplementedError
