"""What a training run is made of: labels and features of cells, put together and found fit to learn from."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.models import ReferenceArea, Release
from labels.releases.training import trainable
from predictions import judging, storage
from predictions.blocks import block_buffers, spatial_blocks
from predictions.featurizing import cells_in, check_rights
from predictions.labelling import HEADS, Frame, Status
from predictions.models import FeatureSet, TrainingRun
from predictions.storage import Features
from predictions.validation import Problem, judged_rows


@dataclass
class Material:
    """What a run is made of."""

    run: TrainingRun
    options: dict
    features: Features
    frame: Frame
    # Places of the frame's cells among all that are mapped.
    rows: np.ndarray

    @classmethod
    def of(cls, run: TrainingRun, options: dict, features: Features) -> "Material":
        """Of a run whose release is known. Raises BadInput where there is nothing to learn from."""
        frame = Frame.of(
            run.release,
            run.feature_set,
            features,
            background_ratio=options["background_ratio"],
            seed=options["seed"],
        )
        material = cls(run, options, features, frame, frame.rows)
        _check_labels(material)
        return material


def check_features(feature_set: FeatureSet, purpose: str) -> None:
    """A right can end after the features were made."""
    if feature_set.source is not None:
        check_rights(feature_set.source, purpose)


def features_of(run: TrainingRun) -> Features:
    """Of the cells that a run learns from and maps: its feature set's, or those of them in its area.

    Raises BadInput where none of them lies in the area, and as `storage.load_features`.
    """
    features = storage.load_features(run.feature_set)
    if run.area is None:
        return features
    rows = rows_in(run.area, features)
    if not features.is_known[rows].any():
        raise BadInput(
            _("%(area)s holds no grid cell of the features %(name)s: choose another area or other features.")
            % {"area": run.area.name, "name": run.feature_set.name}
        )
    return features.within(rows)


def rows_in(area: ReferenceArea, features: Features) -> np.ndarray:
    """(m,): rows of the cells whose centre lies in the area, ascending."""
    rows = storage.rows_of(features.cells, cells_in(area.layer.project, area))
    return np.sort(rows[rows >= 0])


def n_changed(release: Release, cells: np.ndarray) -> dict[str, int]:
    """Records that steps of predictions.gains changed: those reported or marked in one of the cells (n, 2), in a
    feature set's order."""
    rows = [row for row in trainable(release).labels if row["verdict"] in ("reject", "move")]
    places = np.array(
        [(row[f"{which}_lon"], row[f"{which}_lat"]) for row in rows for which in ("reported", "corrected")], dtype=float
    ).reshape(-1, 2)
    is_stated = np.isfinite(places).all(axis=1)
    is_here = np.zeros(len(places), dtype=bool)
    is_here[is_stated] = storage.rows_of(cells, storage.cells_of(*places[is_stated].T)) >= 0
    is_here = is_here.reshape(-1, 2).any(axis=1)
    verdicts = Counter(row["verdict"] for row, here in zip(rows, is_here, strict=True) if here)
    return {"rejected_dropped": verdicts["reject"], "moved": verdicts["move"]}


def _check_labels(material: Material) -> None:
    frame, rows = material.frame, material.rows
    status = frame.status[rows, 0]
    if not (status == Status.POSITIVE).any():
        raise BadInput(
            _(
                "Nothing to learn: none of the %(n)d grid cells with features holds a marked artisanal mine that "
                "models may be trained on. Judge more units, or look at the rights of the imagery and at the "
                "features' area."
            )
            % {"n": len(frame.cells)}
        )
    if not ((status == Status.NEGATIVE) | (status == Status.UNLABELLED)).any():
        raise BadInput(_("Nothing to learn: there is no grid cell without a mine to compare with."))


def problem_of(material: Material) -> Problem:
    frame, rows, options = material.frame, material.rows, material.options
    cells = frame.cells[rows]
    blocks, _names = spatial_blocks(cells, size_km=options["size_km"])
    if blocks.max() < 1:
        raise BadInput(
            _(
                "All labels lie within one block of %(size)g km: nothing could be left out to judge the model by. "
                "Choose smaller blocks, or wait for labels from elsewhere."
            )
            % {"size": options["size_km"]}
        )
    means, stds = material.features.means[rows], material.features.stds[rows]
    n_mapped = int(material.features.is_known.sum())
    problem = Problem(
        cells=cells,
        y=frame.y[rows],
        is_judged=np.stack([frame.is_judged(head)[rows] for head in range(len(HEADS))], axis=1),
        fit_weights=frame.weights[rows],
        sample_weights=frame.sample_weights[rows],
        blocks=blocks,
        buffers=block_buffers(cells, blocks, buffer_km=options["buffer_km"]),
        areas=frame.areas[rows],
        is_suggested=frame.is_suggested[rows],
        is_near=frame.is_near[rows],
        colours=np.concatenate([means, stds], axis=1) if np.isfinite(means).any() else None,
        n_mapped=n_mapped,
        k=options["k"],
        buffer_km=options["buffer_km"],
        n_resamples=options["n_resamples"],
        seed=options["seed"],
    )
    return _with_budget(problem, options["budget"])


def _with_budget(problem: Problem, asked: int | None) -> Problem:
    return Problem(**(vars(problem) | {"budget": judging.budget(problem, asked)}))


def judging_weights(problem: Problem) -> np.ndarray:
    """(n, heads): what the choice of the penalty counts each audited cell for: as the ladder does, else one each.

    Withheld cells count for nothing.
    """
    # Where only records spoke the choice looks at every cell of a weight: withheld ones are no negatives.
    found = np.where(problem.fit_weights > 0, 1.0, 0.0)
    for head in range(problem.y.shape[1]):
        rows, weights, weighting = judged_rows(problem, "random", head)
        if weighting == "prevalence":
            found[:, head] = 0.0
            found[rows, head] = weights
    return found
