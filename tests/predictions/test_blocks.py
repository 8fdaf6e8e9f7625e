"""Blocks are the same ground in every run, and buffers hold whatever lies near to them."""

import numpy as np
import pytest

from predictions.blocks import CELL_DEG, KM_PER_DEG, block_buffers, index_blocks, random_groups, spatial_blocks


def grid(west: int, south: int, side: int) -> np.ndarray:
    return np.array([(column, row) for row in range(south, south + side) for column in range(west, west + side)])


def gap_km(one, other) -> float:
    """Between the nearest edges of two cells, by hand."""
    height = CELL_DEG * KM_PER_DEG
    lat = (one[1] + other[1] + 1) / 2 * CELL_DEG
    east = max(abs(one[0] - other[0]) - 1, 0) * height * np.cos(np.radians(lat))
    return float(np.hypot(east, max(abs(one[1] - other[1]) - 1, 0) * height))


@pytest.mark.parametrize(("west", "south"), [(-1090, 640), (2950, -1210), (-20, -20), (900, 4990)])
def test_blocks_are_about_as_large_as_said_and_hold_neighbours(west, south):
    cells = grid(west, south, 60)
    blocks, names = spatial_blocks(cells, size_km=10)
    assert len(names) == blocks.max() + 1
    for block in range(len(names)):
        inside = cells[blocks == block]
        height, width = np.ptp(inside, axis=0)[::-1] + 1
        lat = inside[:, 1].mean() * CELL_DEG
        assert height * 1.112 <= 11.2
        assert width * 1.112 * np.cos(np.radians(lat)) <= 11.3
    # Far from the grid's rim a block is a full square.
    assert np.median(np.bincount(blocks)) == pytest.approx(100 / (1.112**2 * np.cos(np.radians(south / 100))), rel=0.35)


def test_a_block_is_the_same_ground_whatever_else_there_is():
    cells = grid(-1090, 640, 50)
    some = np.random.default_rng(0).permutation(len(cells))[:300]
    blocks, names = spatial_blocks(cells)
    fewer, fewer_names = spatial_blocks(cells[some])
    assert np.array_equal(names[blocks[some]], fewer_names[fewer])


def test_buffers_hold_exactly_what_comes_nearer():
    rng = np.random.default_rng(1)
    cells = rng.permutation(grid(-8, 3995, 22))[:300]
    blocks, _ = spatial_blocks(cells, size_km=6)
    for buffer_km in (0.5, 2.0, 3.3):
        near = block_buffers(cells, blocks, buffer_km=buffer_km)
        for block in range(blocks.max() + 1):
            inside = cells[blocks == block]
            expected = [
                row
                for row in np.flatnonzero(blocks != block)
                if min(gap_km(cells[row], each) for each in inside) < buffer_km
            ]
            assert near[block].tolist() == expected


def test_without_a_distance_buffers_are_empty():
    cells = grid(0, 0, 20)
    blocks, _ = spatial_blocks(cells)
    assert all(len(rows) == 0 for rows in block_buffers(cells, blocks, buffer_km=0))


def test_rows_of_no_group_are_left_out_near_groups_and_have_no_buffer():
    cells = np.array([(0, 0), (1, 0), (30, 0)])
    near = block_buffers(cells, np.array([0, -1, -1]), buffer_km=2)
    assert [rows.tolist() for rows in near] == [[1]]


def test_bad_cells_are_named():
    for wrong in (np.zeros(3), np.zeros((3, 3))):
        with pytest.raises(ValueError, match="shape"):
            spatial_blocks(wrong)
    with pytest.raises(ValueError, match="positive"):
        spatial_blocks(np.zeros((1, 2)), size_km=0)


def test_groups_without_ground_are_even():
    assert np.bincount(index_blocks(47, n_blocks=5)).tolist() == [10, 9, 10, 9, 9]
    assert (np.diff(index_blocks(47)) >= 0).all()
    found = random_groups(103, n_groups=10, seed=4)
    assert sorted(np.bincount(found).tolist()) == [10] * 7 + [11] * 3
    assert np.array_equal(found, random_groups(103, n_groups=10, seed=4))
