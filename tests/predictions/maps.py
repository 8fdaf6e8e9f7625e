"""A done run with scores of its own making: what maps, tiles and comparisons are tested on. Coordinates (lon, lat)."""

from itertools import count

import numpy as np
from django.utils import timezone

from predictions import mapping, storage
from predictions.models import FeatureSet, TrainingRun

_numbers = count(1)
WEST, NORTH = -1081, 698  # columns and rows of the grid: -10.81 to -10.41 degrees, 6.99 down to 6.69
N_COLUMNS, N_ROWS = 40, 30  # not square


def grid_cells(n_columns: int = N_COLUMNS, n_rows: int = N_ROWS, west: int = WEST, north: int = NORTH) -> np.ndarray:
    """All cells of a rectangle in a feature set's order."""
    columns, rows = np.meshgrid(np.arange(west, west + n_columns), np.arange(north, north - n_rows, -1))
    return np.column_stack([columns.ravel(), rows.ravel()]).astype(np.int32)


def rising(cells: np.ndarray) -> np.ndarray:
    """Scores that tell every direction: more to the east, and a little more to the south."""
    east, south = cells[:, 0] - cells[:, 0].min(), cells[:, 1].max() - cells[:, 1]
    return (0.02 * east + 0.001 * south).astype(np.float32)


def scores_of(cells: np.ndarray, score: np.ndarray | None = None, **arrays) -> dict[str, np.ndarray]:
    """The arrays of `scores.npz`; two heads, nothing in the frame, nothing unlike training."""
    n = len(cells)
    score = rising(cells) if score is None else np.asarray(score, dtype=np.float32)
    nothing = np.full((n, 2), np.nan, dtype=np.float32)
    return {
        "cells": cells,
        "score": np.column_stack([score, score / 2]).astype(np.float32),
        "probability": np.column_stack([np.clip(score, 0, 1)] * 2).astype(np.float32),
        "out_of_block": nothing,
        "in_frame": np.zeros(n, np.uint8),
        "distance": np.full(n, 0.25, np.float32),
        "outside_applicability": np.zeros(n, np.uint8),
    } | arrays


def make_feature_set(project, **fields) -> FeatureSet:
    number = next(_numbers)
    values = {"slug": f"features-{number}", "name": f"Features {number}", "content_sha256": f"{number:064x}"}
    return FeatureSet.objects.create(project=project, **values | fields)


def make_run(project, scores: dict[str, np.ndarray] | None = None, **fields) -> TrainingRun:
    """A done run with its scores and map on disk."""
    number = next(_numbers)
    values = {
        "number": project.training_runs.count() + 1,
        "content_sha256": f"{number:064x}",
        "finished_at": timezone.now(),
        "figures": {"n_cells": N_COLUMNS * N_ROWS, "applicability": {"threshold": 0.5, "n_outside": 0}},
    }
    if "feature_set" not in fields:
        fields["feature_set"] = make_feature_set(project)
    run = TrainingRun.objects.create(project=project, **values | fields)
    storage.write_arrays(run.folder / mapping.SCORES, **(scores or scores_of(grid_cells())))
    mapping.write_map(run)
    return run
