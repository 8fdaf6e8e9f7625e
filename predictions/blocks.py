"""Squares of the ground for spatial validation, and what lies so near to one that it is left out with it.

Pure functions of the grid cells: NumPy only, nothing drawn at random, so that a block is the same in every run.
"""

from __future__ import annotations

import numpy as np

CELL_DEG = 0.01
KM_PER_DEG = 111.195  # of a sphere of 6,371 km


def spatial_blocks(cells: np.ndarray, *, size_km: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    """The square of `size_km` that holds each grid cell's centre.

    Parameters
    ----------
    cells : int array of shape (n, 2)
        (column, row) of the 0.01 degree grid: floor(lon * 100), floor(lat * 100).
    size_km : float
        Side of a square. Squares lie in bands of latitude from the equator; within a band they are counted from
        Greenwich at the width that the middle of the band has.

    Returns
    -------
    blocks : int array of shape (n,)
        Row of `names` for each cell.
    names : int array of shape (n_blocks, 2)
        (band, square) of each block, sorted: the same ground has the same name whatever else is there.

    Raises
    ------
    ValueError
        `cells` is not of shape (n, 2), or the size is not positive.
    """
    cells = _checked_cells(cells)
    if not size_km > 0:
        raise ValueError("the size of a block must be positive")
    lon, lat = _centres(cells)
    band = np.floor(lat * KM_PER_DEG / size_km).astype(np.int64)
    middle = np.clip((band + 0.5) * size_km / KM_PER_DEG, -89.9, 89.9)
    square = np.floor(lon * KM_PER_DEG * np.cos(np.radians(middle)) / size_km).astype(np.int64)
    names, blocks = np.unique(np.stack([band, square], axis=1), axis=0, return_inverse=True)
    return blocks.reshape(-1), names


def block_buffers(cells: np.ndarray, blocks: np.ndarray, *, buffer_km: float = 2.0) -> list[np.ndarray]:
    """Rows outside a block whose cell comes nearer than `buffer_km` to a cell of the block.

    Parameters
    ----------
    cells : int array of shape (n, 2)
        As for `spatial_blocks`.
    blocks : int array of shape (n,)
        Any grouping of the rows into 0 .. k-1: squares, regions, folds. Rows of a negative group have no buffer, and
        are in those of groups they are near to.
    buffer_km : float
        Between the nearest edges of two cells: a point of one may be as far as this from a point of the other. 0 gives
        empty buffers.

    Returns
    -------
    list of k int arrays
        Sorted row numbers; never a row of the block itself.
    """
    cells, blocks = _checked_cells(cells), np.asarray(blocks)
    n_blocks = int(blocks.max(initial=-1)) + 1
    if buffer_km <= 0 or not len(cells):
        return [np.empty(0, dtype=np.int64) for _ in range(n_blocks)]
    order, codes = _sorted_codes(cells)
    pairs = [np.empty(0, dtype=np.int64)]
    for east, north in _offsets(cells, buffer_km):
        near = _gap_km(cells, east, north) < buffer_km
        wanted = _codes(cells + np.array([east, north]))
        # The same cell may be there twice; its rows are neighbours in sorted order.
        first, last = np.searchsorted(codes, wanted), np.searchsorted(codes, wanted, side="right")
        for step in range(int((last - first).max(initial=0))):
            rows = np.flatnonzero(near & (blocks >= 0) & (first + step < last))
            other = order[first[rows] + step]
            crossing = blocks[other] != blocks[rows]
            pairs.append(np.unique(blocks[rows][crossing].astype(np.int64) * len(cells) + other[crossing]))
    found = np.unique(np.concatenate(pairs))
    groups, rows = np.divmod(found, len(cells))
    edges = np.searchsorted(groups, np.arange(n_blocks + 1))
    return [rows[edges[block] : edges[block + 1]] for block in range(n_blocks)]


def random_groups(n: int, *, n_groups: int = 10, seed: int = 0) -> np.ndarray:
    """(n,) group 0 .. n_groups-1 of each row, of sizes that differ by one at most. Neighbours leak: optimistic."""
    return np.random.default_rng(seed).permutation(np.arange(n) % n_groups)


def index_blocks(n: int, *, n_blocks: int = 20) -> np.ndarray:
    """(n,) block of each row: runs of neighbouring rows, for rows that have no place."""
    return (np.arange(n) * min(n_blocks, n)) // max(n, 1)


def _checked_cells(cells: np.ndarray) -> np.ndarray:
    cells = np.asarray(cells)
    if cells.ndim != 2 or cells.shape[1] != 2:
        raise ValueError(f"cells must be of shape (n, 2), not {cells.shape}")
    return cells.astype(np.int64)


def _centres(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (cells[:, 0] + 0.5) * CELL_DEG, (cells[:, 1] + 0.5) * CELL_DEG


def _codes(cells: np.ndarray) -> np.ndarray:
    return cells[:, 1] * 100_000 + cells[:, 0]


def _sorted_codes(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    codes = _codes(cells)
    order = np.argsort(codes, kind="stable")
    return order, codes[order]


def _gap_km(cells: np.ndarray, east: int, north: int) -> np.ndarray:
    """From the nearest edge of each cell to that of the cell so many columns east and rows north."""
    height = CELL_DEG * KM_PER_DEG
    lat = np.clip(np.abs((cells[:, 1] + 0.5 + north / 2) * CELL_DEG), 0, 89.9)
    width = height * np.cos(np.radians(lat))
    return np.hypot(max(abs(east) - 1, 0) * width, max(abs(north) - 1, 0) * height)


def _offsets(cells: np.ndarray, buffer_km: float) -> list[tuple[int, int]]:
    height = CELL_DEG * KM_PER_DEG
    narrowest = height * np.cos(np.radians(min(np.abs(cells[:, 1]).max() * CELL_DEG + 0.5, 89.9)))
    columns, rows = int(buffer_km / narrowest) + 2, int(buffer_km / height) + 2
    return [(east, north) for east in range(-columns, columns + 1) for north in range(-rows, rows + 1)]
