"""The files of a run. Their bytes follow from labels, features, options and code alone."""

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

from predictions import mapping, storage
from predictions.applicability import Applicability
from predictions.judging import Judged
from predictions.labelling import HEADS
from predictions.run_inputs import Material

MODEL = "model.npz"
# What a run's bytes follow from, beside its inputs.
CODE = (
    "applicability", "baselines", "blocks", "bootstrap", "calibration", "cell_facts", "cell_terrain", "classifier",
    "curves", "decomposition", "fitting", "gains", "judging", "labelling", "leave_out", "metrics", "penalty",
    "quantities", "ranking", "run_files", "run_inputs", "storage", "strata", "training", "validation",
)  # fmt: skip


def write_files(material: Material, fit: Judged, scores: dict, applicability: Applicability | None) -> str:
    """Write scores.npz and model.npz; the hash of the latter, whose bytes follow from the inputs alone."""
    run = material.run
    scores_sha256 = storage.write_arrays(run.folder / mapping.SCORES, **scores)
    heads = fit.heads
    arrays: dict[str, np.ndarray] = {
        "coefficients": heads.coefficients,
        "intercept": heads.intercept,
        "penalty": np.array([heads.penalty(head)["chosen"] for head in range(len(HEADS))]),
        "provenance": np.array(json.dumps(_provenance(material) | {"scores_sha256": scores_sha256}, sort_keys=True)),
    }
    for head, name in enumerate(HEADS):
        path = heads.penalty(head)
        arrays[f"path_{name}"] = np.array([path["path"], [np.nan if x is None else x for x in path["loss"]]])
        if fit.chances[head] is not None:
            kept = fit.chances[head].calibration.to_arrays()
            arrays |= {f"calibration_{name}_{key}": value for key, value in kept.items()}
    if applicability is not None:
        arrays |= {f"applicability_{key}": value for key, value in applicability.to_arrays().items()}
    return storage.write_arrays(run.folder / MODEL, **arrays)


def _provenance(material: Material) -> dict:
    run = material.run
    return {
        "format": 1,
        "heads": list(HEADS),
        "labels_sha256": material.frame.labels_sha256,
        "release_sha256": run.release.content_sha256,
        "features_sha256": run.feature_set.content_sha256,
        "filters_sha256": run.feature_set.filters_sha256,
        "code_version": code_version(),
        "seed": material.options["seed"],
        "options": material.options,
        "versions": versions(),
    }


def code_version() -> str:
    """SHA-256 of the sources that a run's bytes follow from."""
    digest = hashlib.sha256()
    for name in CODE:
        path = Path(__file__).with_name(f"{name}.py")
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": version("numpy"), "scipy": version("scipy")}
