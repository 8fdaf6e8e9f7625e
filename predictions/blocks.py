"""Which cells are left out together: squares of some kilometres, a buffer around each, groups at random."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

CELL_KM = 1.11195  # a hundredth of a degree of latitude, on a sphere of 6,371 km
BLOCK_KM = 10.0
BUFFER_KM = 2.0  # as far as a displaced record may lie from its mine


def places_km(cells: ArrayLike) -> NDArray:
    """Middles of grid cells (column, row), shape (n, 2), on a plane true to scale at each latitude: x, y in km.

    The sinusoidal projection: distances of a few kilometres are right to 1 % within 10 degrees of the cells' mean
    longitude, which is what blocks and buffers need.
    """
    cells = np.asarray(cells, dtype=float) + 0.5
    if not len(cells):
        return np.zeros((0, 2))
    latitude = np.radians(cells[:, 1] / 100)
    return np.column_stack([(cells[:, 0] - cells[:, 0].mean()) * np.cos(latitude), cells[:, 1]]) * CELL_KM


def spatial_blocks(cells: ArrayLike, size_km: float = BLOCK_KM) -> NDArray:
    """The number of each cell's square block, from 0; shape (n,).

    Blocks are whole rows and columns of cells, as many as come nearest to `size_km`, counted from the grid's own
    origin: a cell's block does not depend on which other cells there are, its number does.
    """
    cells = np.asarray(cells)
    high = max(1, round(size_km / CELL_KM))
    band = np.floor_divide(cells[:, 1], high)
    middle = np.radians((band + 0.5) * high / 100)
    wide = np.maximum(1, np.round(size_km / (CELL_KM * np.cos(middle)))).astype(int)
    column = np.floor_divide(cells[:, 0], wide)
    return np.unique(np.column_stack([band, column]), axis=0, return_inverse=True)[1].ravel()


def buffers(cells: ArrayLike, groups: ArrayLike, buffer_km: float = BUFFER_KM) -> list[NDArray]:
    """For each group in ascending order, the rows of other groups within `buffer_km` of one of its cells."""
    places, groups = places_km(cells), np.asarray(groups)
    if not len(groups):
        return []
    tree, found = cKDTree(places), []
    for group in np.unique(groups):
        near = tree.query_ball_point(places[groups == group], buffer_km)
        rows = np.unique(np.concatenate([np.asarray(k, dtype=int) for k in near]))
        found.append(rows[groups[rows] != group])
    return found


def no_buffers(groups: ArrayLike) -> list[NDArray]:
    """An empty buffer for each group."""
    return [np.zeros(0, dtype=int) for _ in np.unique(np.asarray(groups))]


def random_groups(n: int, n_groups: int = 10, seed: int = 0) -> NDArray:
    """n rows dealt out at random into groups of equal size: neighbours part, so scores are optimistic."""
    return np.random.default_rng(seed).permutation(np.arange(n) % max(1, min(n_groups, n)))
