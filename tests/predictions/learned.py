"""A project with features and finished runs, as pages meet them; what a run's files hold is made by its own tests."""

import hashlib
from itertools import count

from django.utils import timezone

from labels.models import Job, Project, Release
from predictions.models import FeatureSet, TrainingRun
from tests.factories import make_source
from tests.predictions.figures import figures

_numbers = count(1)


def sha256(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def make_feature_set(project: Project, *, is_ready: bool = True, **fields) -> FeatureSet:
    """A row without its file."""
    number = next(_numbers)
    values = {
        "project": project,
        "slug": f"features-{number}",
        "name": f"Orbita 2024, {number}",
        "source": fields.get("source") or make_source(project, name="Orbita"),
        "image_date": "2024-01-14",
        "options": {"n_filters": 1024, "scales": [1, 2], "halves": "positive", "seed": 0},
        "filters_sha256": sha256(f"filters {number}"),
        "n_cells": 110_205,
        "n_without_imagery": 14,
        "n_columns": 1078,
    }
    if is_ready:
        values["content_sha256"] = sha256(f"features {number}")
    return FeatureSet.objects.create(**values | fields)


def make_release_row(project: Project, **fields) -> Release:
    number = (project.releases.count()) + 1
    card = {"labels_by_verdict": {}, "labels_by_state": {}, "audits": []}
    values = {"number": number, "content_sha256": sha256(f"{project.pk} {number}"), "n_labels": 1444, "data_card": card}
    return Release.objects.create(**{"project": project} | values | fields)


def make_run(project: Project, *, is_done: bool = True, state: str = Job.State.DONE, by=None, **fields) -> TrainingRun:
    """A run with its job; done runs have the figures of tests.predictions.figures."""
    number = project.training_runs.count() + 1
    over = state in (Job.State.DONE, Job.State.FAILED, Job.State.CANCELLED)
    job = Job.objects.create(
        project=project,
        kind=Job.Kind.TRAIN,
        state=state if not is_done else Job.State.DONE,
        error="The disk of the server is full." if state == Job.State.FAILED else "",
        finished_at=timezone.now() if over or is_done else None,
    )
    values = {"project": project, "number": number, "job": job, "made_by": by, "release": make_release_row(project)}
    if "feature_set" not in fields:
        values["feature_set"] = make_feature_set(project)
    if is_done:
        values |= {
            "figures": figures(),
            "labels_sha256": sha256(f"labels {number}"),
            "features_sha256": sha256("features"),
            "code_version": "0.1.0+3f9a",
            "content_sha256": sha256(f"run {project.pk} {number}"),
            "finished_at": timezone.now(),
        }
    return TrainingRun.objects.create(**values | fields)
