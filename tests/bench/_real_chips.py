"""Real chips of mines and of other ground in Amazonia (the data folder's README says where from): features, ridge,
and how well they tell the two apart beside mean colours alone.

Positives have places and are held out by groups within a kilometre of each other; negatives have none and are held out
by runs of neighbouring numbers. Neighbours among the negatives may therefore stand on both sides, the two classes come
from different searches, and there are two negatives to three chips where a country has dozens: the figures flatter.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from predictions import metrics
from predictions.classifier import RidgePath
from predictions.features import RandomConvolutionalFeatures

FILE = Path("imagery/s2_asm_chips_amazon_dev.npz")
GROUP_M = 1000
EARTH_M = 6_371_000
N_FOLDS = 20
RUN = 20  # negatives that are drawn together for the intervals


@dataclass(frozen=True)
class Chips:
    images: NDArray[np.uint8]  # (n, 3, 48, 48)
    y: NDArray[np.float64]  # (n,)
    # (n,) chips that stay together: positives within a kilometre of each other, runs of negatives.
    groups: NDArray[np.int64]
    # (n,) what is held out together: groups of positives and a run of negatives, so that no fit lacks one class.
    folds: NDArray[np.int64]


def read(shared: Path) -> Chips:
    with np.load(shared / FILE, allow_pickle=False) as file:
        images, y = file["images"], file["label"].astype(float)
        lon, lat = file["lon"], file["lat"]
    mines, others = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    groups = np.empty(len(y), dtype=np.int64)
    groups[mines] = within(lon[mines], lat[mines], GROUP_M)
    groups[others] = groups[mines].max() + 1 + np.arange(len(others)) // RUN
    folds = np.empty(len(y), dtype=np.int64)
    for rows in (mines, others):
        _, first, own = np.unique(groups[rows], return_index=True, return_inverse=True)
        in_order = np.argsort(np.argsort(first))[own]  # groups by their first chip: those of one search stay near
        folds[rows] = in_order * N_FOLDS // len(first)
    return Chips(np.ascontiguousarray(images.transpose(0, 3, 1, 2)), y, groups, folds)


def within(lon: NDArray, lat: NDArray, reach_m: float) -> NDArray[np.int64]:
    """Numbers of groups, shape (n,): points that a chain of steps of at most `reach_m` joins."""
    lon, lat = np.radians(lon), np.radians(lat)
    on_sphere = EARTH_M * np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    near = cKDTree(on_sphere).sparse_distance_matrix(cKDTree(on_sphere), reach_m)
    near.setdiag(1)
    return connected_components(near)[1].astype(np.int64)


def colours(chips: Chips) -> NDArray[np.float32]:
    """(n, 6): mean and spread of each band, the baseline."""
    pixels = chips.images.reshape(len(chips.y), 3, -1).astype(np.float32)
    return np.concatenate([pixels.mean(axis=2), pixels.std(axis=2)], axis=1)


def convolutional(chips: Chips, n_filters: int, **more) -> NDArray[np.float32]:
    return RandomConvolutionalFeatures(n_filters, seed=1, **more).fit(chips.images).transform(chips.images)


def judged(features: NDArray[np.float32], chips: Chips, *, n_resamples: int = 1000) -> metrics.Metrics:
    """Scores of fits that left out each chip's fold, judged by all of them; intervals draw groups."""
    model = RidgePath(n_extensions=1).fit(features, chips.y, blocks=chips.folds)
    scores = model.choice_.scores[:, 0]
    return metrics.summary(chips.y, scores, None, chips.groups, budget=None, k=100, n_resamples=n_resamples, seed=1)
