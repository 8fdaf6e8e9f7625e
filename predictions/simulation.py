"""Small made-up countries whose register is wrong as registers are, and what auditing them buys. Pure and seeded.

The landscape follows the synthetic audits behind this design: a belt of gold, rivers, towns, fields and commercial
mines give every grid cell an appearance; artisanal mines change it by their size, fields and commercial mines look a
little like them, and each acquisition has its own tint. Random features see the appearance and nothing else. Error
rates are not chosen here: the register's are those of the demonstration's cadastre, the annotators' those of its usual
annotator. Accuracies say which way labels push a model, never what a real country gives.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from labels.demonstration.annotators import USUAL
from labels.demonstration.registers import CADASTRE
from predictions import gains
from predictions.blocks import block_buffers, spatial_blocks
from predictions.classifier import RidgePath

ERROR_RATES_FROM = "demonstration"  # the cadastre of its registers.py, the usual annotator of its annotators.py

CELL_M = 1112.0
SEARCH_RADIUS_M = 2000.0
FORMAL = 0.35  # share of mines
FRINGE = 0.25  # share of cells beside a commercial mine with artisanal digging


@dataclass(frozen=True)
class Country:
    """A square of grid cells; places in cells and parts of cells from its corner."""

    side: int
    truth: NDArray  # (n,) 0 or 1: an artisanal mine lies in the cell
    is_formal: NDArray  # bool (n,), of cells with one
    town: NDArray  # (n,) how near to towns, any unit
    features: NDArray  # (n, p)
    mines: NDArray  # (k, 2) column, row of each mine's middle, and
    mine_cells: NDArray  # (k,) its cell

    @property
    def cells(self) -> NDArray:
        """Column and row on the grid of the world, from 12.5 degrees west and 1 north."""
        rows, columns = np.divmod(np.arange(self.side**2), self.side)
        return np.column_stack([columns - 1250, rows + 100])


def country(seed: int, side: int = 48, n_features: int = 400) -> Country:
    """Draw a country of side x side cells of 0.01 degree."""
    rng = np.random.default_rng(seed)
    belt, wet, town, soil, farm = (_field(rng, side, spread) for spread in (6, 3, 3, 5, 4))
    river = (np.abs(_field(rng, side, 4)) < 0.12).astype(float)
    works = np.zeros(side**2)
    works[rng.permutation(side**2)[: side**2 // 100]] = 1
    beside = (gaussian_filter(works.reshape(side, side), 0.8).ravel() > 0.05) & (works == 0)
    chance = 1 / (1 + np.exp(3.6 - 1.3 * belt - 0.5 * wet + 0.4 * town))
    truth = rng.random(side**2) < np.maximum(chance, FRINGE * beside)
    is_formal = rng.random(side**2) < FORMAL
    size = truth * rng.lognormal(0, 0.7, side**2) * np.where(is_formal, 1.5, 1.0)
    bare = (rng.random(side**2) < 0.08).astype(float)
    tint = np.repeat(np.repeat(rng.normal(size=(side // 8 + 1, side // 8 + 1)), 8, 0), 8, 1)[:side, :side].ravel()
    seen = np.minimum(size, 3) * 1.2
    appearance = np.column_stack(
        [
            seen + 1.0 * works + 0.6 * bare,  # disturbed ground
            0.8 * seen + 0.9 * river + 0.5 * works,  # turbid water
            2.5 * works,  # benches and plant
            1.5 * bare + 0.5 * farm,
            soil,
            town,
            wet,
            0.6 * tint,
        ]
    )
    appearance = appearance + 0.3 * rng.normal(size=appearance.shape)
    filters = rng.normal(size=(appearance.shape[1], n_features)) / 2
    features = np.maximum(0, appearance @ filters - rng.uniform(0, 1.5, n_features))
    cells = np.flatnonzero(truth)
    rows, columns = np.divmod(cells, side)
    mines = np.column_stack([columns, rows]) + rng.random((len(cells), 2))
    return Country(side, truth.astype(float), is_formal, town, features, mines, cells)


@dataclass(frozen=True)
class Register:
    """Records of a country: cell of the reported point, and of what an audit makes of it."""

    reported: NDArray  # int (r,) cell
    points: NDArray  # (r, 2) column, row
    verdict: NDArray  # str (r,): kept, moved, rejected or unsure
    marked: NDArray  # int (r,) cell of the mine that was seen; the reported one where none was


def register(of: Country, seed: int) -> Register:
    """Record the mines as the demonstration's cadastre does, and audit every record."""
    rng, rates = np.random.default_rng([seed, 1]), CADASTRE
    is_recorded = rng.random(len(of.mines)) < np.where(
        of.is_formal[of.mine_cells], rates.recorded_formal, rates.recorded_informal
    )
    true = _displaced(of.mines[is_recorded], rng)
    n_false = round(len(true) * rates.never_there / (1 - rates.never_there))
    near_town = np.exp(2 * of.town)
    weight = rates.never_there_near_town * near_town / near_town.sum() + (1 - rates.never_there_near_town) / of.side**2
    rows, columns = np.divmod(rng.choice(of.side**2, size=n_false, p=weight / weight.sum()), of.side)
    points = np.concatenate([true, np.column_stack([columns, rows]) + rng.random((n_false, 2))])
    points = points[((points >= 0) & (points < of.side)).all(axis=1)]
    reported = _cell(points, of.side)
    verdict, marked = _audited(of, points, reported, rng)
    return Register(reported, points, verdict, marked)


def search(of: Country, cells: NDArray, rng: np.random.Generator) -> NDArray:
    """What the usual annotator finds in grid cells: 1, 0, or nan where unsure."""
    found = np.where(
        of.truth[cells] > 0, rng.random(len(cells)) >= USUAL.misses, rng.random(len(cells)) < USUAL.imagines
    )
    return np.where(rng.random(len(cells)) < USUAL.hesitates, np.nan, found)


def gain_of(seed: int, *, side: int = 48, n_sample: int = 900, n_suggested: int = 300):
    """What auditing bought in one country (`gains.Gain`).

    A probability sample of cells is searched and judges every step, by what annotators said, not by the truth that only
    the simulation knows; suggested cells, the highest-scored by then, are searched too and never judge.
    """
    of = country(seed, side)
    recorded, rng = register(of, seed), np.random.default_rng([seed, 2])
    n = side**2
    sample = rng.permutation(n)[:n_sample]
    searched = np.full(n, np.nan)
    searched[sample] = search(of, sample, rng)
    blocks, _ = spatial_blocks(of.cells)
    near = block_buffers(of.cells, blocks)
    model = RidgePath(keep_bytes=2**28).fit(of.features, _marks(n, recorded.reported), blocks=blocks, buffers=near)

    def scorer(labels: NDArray) -> NDArray:
        return model.refit(labels, blocks=blocks).choice_.scores

    judged = searched.copy()
    is_kept, is_moved = recorded.verdict != "rejected", recorded.verdict == "moved"
    places = np.where(is_moved, recorded.marked, recorded.reported)[is_kept]
    scores = scorer(_marks(n, places))[:, 0]
    suggested = [cell for cell in np.argsort(-scores) if np.isnan(searched[cell])][:n_suggested]
    searched[suggested] = search(of, np.array(suggested), rng)
    steps = gains.steps_of(
        _marks(n, recorded.reported), _marks(n, recorded.reported[is_kept]), _marks(n, places), searched
    )
    return gains.gain(
        steps,
        scorer,
        truth=judged,
        weights=np.full(n, n / n_sample),
        blocks=blocks,
        n_changed={
            "register": len(recorded.reported),
            "rejected_dropped": int((~is_kept).sum()),
            "moved": int(is_moved.sum()),
            "searched_added": int(np.isfinite(searched).sum()),
        },
        error_rates_from=ERROR_RATES_FROM,
    )


def _field(rng: np.random.Generator, side: int, spread: float) -> NDArray:
    """A smooth field of mean 0 and spread 1, flattened."""
    field = gaussian_filter(rng.normal(size=(side, side)), spread, mode="wrap")
    return ((field - field.mean()) / field.std()).ravel()


def _displaced(mines: NDArray, rng: np.random.Generator) -> NDArray:
    """Where a cadastre reports mines: near them, some way off, or cut to a lattice."""
    rates, n = CADASTRE, len(mines)
    method = rng.choice(3, size=n, p=[rates.gps, rates.village + rates.digitised, rates.rounded])
    angle, away = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, rates.village_reach_m / CELL_M, n)
    far = mines + away[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    near = mines + rng.normal(0, rates.gps_sigma_m / CELL_M, (n, 2))
    lattice = round(rates.rounded_lattice_deg * 100)
    return np.select([method[:, None] == 0, method[:, None] == 1], [near, far], np.floor(mines / lattice) * lattice)


def _audited(of: Country, points: NDArray, reported: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Verdicts of the usual annotator, who sees the search disc, and the cells of what they mark."""
    away = np.hypot(*(points[:, None] - of.mines[None]).transpose(2, 0, 1)) * CELL_M
    nearest, chance = away.argmin(axis=1), rng.random(len(points))
    is_there = away.min(axis=1) <= SEARCH_RADIUS_M
    sees = np.where(is_there, chance >= USUAL.misses, chance < USUAL.imagines)
    marked = np.where(sees & is_there, of.mine_cells[nearest], reported)
    verdict = np.select(
        [rng.random(len(points)) < USUAL.hesitates, ~sees, marked != reported],
        ["unsure", "rejected", "moved"],
        "kept",
    )
    return verdict, np.where(verdict == "moved", marked, reported)


def _cell(points: NDArray, side: int) -> NDArray:
    columns, rows = np.floor(points).astype(int).T
    return rows * side + columns


def _marks(n: int, cells: NDArray) -> NDArray:
    """1 in the given cells, else 0."""
    found = np.zeros(n)
    found[cells] = 1
    return found
