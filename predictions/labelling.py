"""From labels to grid cells: what a release says of each cell of a feature set, and which cells a fit looks at."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from labels.models import Release
from labels.releases.training import Trainable
from predictions.models import FeatureSet
from predictions.storage import Features

HEADS = ("artisanal", "any_mining")
ARTISANAL, ANY_MINING = range(2)


class Status(IntEnum):
    """What a cell is to a fit. Only positive and negative ones are ever judged."""

    OUTSIDE = 0  # not in the frame: weight 0
    POSITIVE = 1
    NEGATIVE = 2
    UNLABELLED = 3  # presumed 0 in the fit with its weight, never judged
    WITHHELD = 4  # something is known of it that may not be used for this head: weight 0


@dataclass
class Frame:
    """Labels, weights and groups of a feature set's cells, row by row the same; n cells, two heads."""

    cells: NDArray[np.int32]  # (n, 2) column and row, as in the feature set
    y: NDArray[np.float64]  # (n, 2) 1 or 0 by head; 0 where unlabelled, withheld or outside
    status: NDArray[np.uint8]  # (n, 2) Status by head
    weights: NDArray[np.float64]  # (n, 2) of the fit; 0 where withheld or outside. Mean 1 over the frame
    in_frame: NDArray[np.bool_]  # (n,)
    sample_weights: NDArray[np.float64]  # (n,) 1/pi of the probability sample of cells, 0 for others
    is_sample: NDArray[np.bool_]  # (n,) in the probability sample of cells (random_cell, stratified_cell), judged
    is_record: NDArray[np.bool_]  # (n,) labelled from records
    is_suggested: NDArray[np.bool_]  # (n,) labelled from suggestions only
    is_commercial: NDArray[np.bool_]  # (n,) commercial mark, or centre in a commercial reference area
    # (n,) top-level admin area of the centre: number in `area_names`, -1 outside any.
    areas: NDArray[np.int32]
    area_names: list[str]
    area_ids: list[int]
    # Name -> (n,) numbers of levels, -1 where not known; levels in `strata_levels`.
    strata: dict[str, NDArray[np.int32]]
    strata_levels: dict[str, list[str]]
    distance_to_commercial_m: NDArray[np.float64]  # (n,) inf without any such area
    labels_sha256: str  # of everything above that a fit depends on
    n_left_out: int = 0  # labels and cells without the right to train
    left_out_by_source: list[dict] = field(default_factory=list)
    n_outside_features: int = 0  # labelled cells that the feature set does not hold

    def judged(self, head: int = ARTISANAL) -> NDArray[np.bool_]:
        """(n,): cells whose label is known, in the frame."""
        return (self.status[:, head] == Status.POSITIVE) | (self.status[:, head] == Status.NEGATIVE)

    @classmethod
    def of(cls, release: Release | Trainable, feature_set: FeatureSet, features: Features, *, seed: int = 0) -> "Frame":
        """The frame of a release (or of what may be trained on of it) over the cells of a feature set."""
        raise NotImplementedError


def raw_register_labels(feature_set: FeatureSet, cells: NDArray[np.int32]) -> NDArray[np.float64]:
    """(n,): 1 in every cell that holds the reported point of a record, else 0."""
    raise NotImplementedError
