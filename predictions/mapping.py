"""What a run says on the ground: its map as a GeoTIFF, and its totals of areas. Both from `scores.npz` alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from predictions.models import TrainingRun


class Scores:
    """What `scores.npz` of a run holds, aligned to its cells.

    Written by predictions.training through `storage.write_arrays`; n cells, heads in the order of HEADS:

    cells: int32 (n, 2)                 column and row of the MOSAIKS grid
    score: float32 (n, heads)           of the final fit
    probability: float32 (n, heads)     calibrated; nan where nothing could be calibrated
    out_of_block: float32 (n, heads)    score from a fit without the cell's block; nan outside the frame
    in_frame: uint8 (n,)                the cell took part in training
    distance: float32 (n,)              dissimilarity to the training cells (the applicability band)
    outside_applicability: uint8 (n,)   farther than the run's threshold
    """

    cells: np.ndarray
    score: np.ndarray
    probability: np.ndarray
    out_of_block: np.ndarray
    in_frame: np.ndarray
    distance: np.ndarray
    outside_applicability: np.ndarray


def write_map(run: TrainingRun, *, still_mine: Callable[[], None] = lambda: None) -> Path:
    """Write `map.tif` of the run from its `scores.npz`; the same scores give the same bytes. Returns its path."""
    raise NotImplementedError


def write_totals(
    run: TrainingRun,
    *,
    y: np.ndarray,
    is_sampled: np.ndarray,
    weights: np.ndarray,
    seed: int = 0,
    still_mine: Callable[[], None] = lambda: None,
) -> int:
    """Write the run's AreaTotal rows, replacing those it has; returns how many.

    y, is_sampled, weights: aligned to the cells of `scores.npz`; y 1, 0 or nan, judged only where `is_sampled` (the
    probability sample of cells), weights 1 / inclusion probability there. The total of all that was mapped has no area.
    """
    raise NotImplementedError
