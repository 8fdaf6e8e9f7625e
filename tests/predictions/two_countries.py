"""Runs of two projects: a model of one, and an audited country that it can be judged in."""

import numpy as np
from numpy.linalg import solve

from labels.models import Project
from labels.releases.making import audits_to_release, make_release
from predictions import mapping, storage, training
from predictions.models import TrainingRun
from tests.factories import make_project
from tests.predictions.maps import make_feature_set
from tests.predictions.trained import make_country

QUICK = {"n_resamples": 100, "size_km": 5.0}
SAMPLE = {"key": "sample", "negatives": "all_searched", "metrics": {"prevalence": 0.0713}}
FAR_AWAY = np.array([[3000, 100]], np.int32)


def learned(features: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """A model's arrays: ridge on one country, two heads."""
    X = np.column_stack([np.ones(len(features)), features])
    found = solve(X.T @ X + np.diag([0.0] + [1.0] * features.shape[1]), X.T @ truth)
    return {"coefficients": np.column_stack([found[1:]] * 2), "intercept": np.array([found[0]] * 2)}


def run_with(project: Project, arrays: dict[str, np.ndarray], **fields) -> TrainingRun:
    """A done run with a model."""
    values = {"number": project.training_runs.count() + 1, "figures": {}} | fields
    if "feature_set" not in values:
        values["feature_set"] = make_feature_set(project, kind="imported", n_columns=len(arrays["coefficients"]))
    run = TrainingRun(project=project, **values)
    run.content_sha256 = storage.write_arrays(run.folder / training.MODEL, **arrays)
    run.save()
    return run


def audited(seed: int = 1) -> TrainingRun:
    """A run of an audited country; nothing of it is used but its labels and features."""
    country = make_country(seed=seed, n_records=30)
    release = make_release(country.project, audits_to_release(country.project)).release
    arrays = {"coefficients": np.zeros((24, 2)), "intercept": np.zeros(2)}
    return run_with(country.project, arrays, feature_set=country.feature_set, release=release, options=QUICK)


def model_for(here: TrainingRun, project: Project) -> TrainingRun:
    """A run of another project whose model knows the ground of `here`, which it has learned nothing from."""
    features = storage.load_features(here.feature_set).features
    belt = features[:, 3:9].sum(axis=1)
    arrays = learned(features.astype(float), (belt > np.quantile(belt, 0.85)).astype(float))
    run = run_with(project, arrays, figures={"ladder": [SAMPLE]})
    write_scores(run, FAR_AWAY, np.ones(1))
    return run


def write_scores(run: TrainingRun, cells: np.ndarray, in_frame: np.ndarray) -> None:
    storage.write_arrays(run.folder / mapping.SCORES, cells=cells, in_frame=in_frame.astype(np.uint8))


def paired(there: Project, here: Project | None = None, **fields) -> tuple[TrainingRun, TrainingRun]:
    """A run of each of two projects that may be asked about, without labels behind them: (there, here)."""
    arrays = {"coefficients": np.zeros((7, 2)), "intercept": np.zeros(2)}
    here = here or make_project()
    release = here.releases.create(number=1, content_sha256="5" * 64, n_labels=1)
    fields = {"figures": {"ladder": [SAMPLE]}} | fields
    return run_with(there, arrays, **fields), run_with(here, arrays, release=release)
