"""Training runs: asked for by a person or the rule, done as a job, one of them chosen as current by a person.

The job of kind TRAIN gathers labels, reads features, fits along the path of penalties, judges, maps and publishes.
Files are whole or absent and the same inputs give the same bytes, so a run that was killed is done again from the start
and ends in what it would have ended in; its row is written once, at the end, in one transaction.
"""

import hashlib
import json
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import monotonic

import numpy as np
from django.db import transaction
from django.db.models import Max
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from labels import access, jobs
from labels.errors import BadInput, Conflict, NotAllowed
from labels.jobs import RunningJob
from labels.models import Job, Project, Release
from labels.releases.making import audits_to_release, make_release
from predictions import judging, mapping, storage
from predictions.applicability import Applicability
from predictions.blocks import block_buffers, spatial_blocks
from predictions.featurizing import check_rights
from predictions.fitting import Heads
from predictions.judging import Judged
from predictions.labelling import HEADS, Frame, Status
from predictions.models import AreaTotal, FeatureSet, TrainingRun
from predictions.quantities import quantity
from predictions.storage import Features
from predictions.validation import Problem, judged_rows

MODEL = "model.npz"
OPTIONS = {
    "penalties": None,  # the path; by default 15 in proportion to the cells fitted
    "size_km": 10.0,
    "buffer_km": 2.0,
    "budget": None,  # inspections; by default 1 % of the mapped cells
    "k": 100,
    "n_resamples": 1000,
    "seed": 0,
    "purpose": "",
    "background_ratio": 3.0,
    "error_rates_from": "",  # of made-up registers: where their error rates come from
}
# What a run's bytes follow from, beside its inputs.
CODE = (
    "applicability", "baselines", "blocks", "bootstrap", "calibration", "cell_facts", "classifier", "curves",
    "decomposition", "fitting", "gains", "judging", "labelling", "leave_out", "metrics", "penalty", "quantities",
    "ranking", "storage", "strata", "training", "validation",
)  # fmt: skip
SCORED_AT_ONCE = 50_000

# ---- asking ----


def start_run(
    project: Project,
    *,
    feature_set: FeatureSet,
    release: Release | None = None,
    by=None,
    by_rule: bool = False,
    options: dict | None = None,
) -> TrainingRun:
    """Ask for a run: its numbered row, and its job.

    Parameters
    ----------
    feature_set : FeatureSet
        Ready, of the project.
    release : Release, optional
        None: the labels as they are when the job starts are released first; the same labels are one release.
    by : user, optional
        Who asks, lead or admin; None for the rule and for commands.
    options : dict, optional
        Over OPTIONS; `purpose` is that of a release made for the run, and says for which models labels may be used.

    Raises
    ------
    BadInput
        An option is unknown or wrong, the features are not ready, or something is of another project.
    NotAllowed
        The person may not start runs, or the features' imagery may not be learned from.
    """
    with transaction.atomic():
        run = add_run(project, feature_set=feature_set, release=release, by=by, by_rule=by_rule, options=options)
        run.job = jobs.ask(
            project=project, kind=Job.Kind.TRAIN, subject=str(run), requested_by=by, parameters=parameters_of(run)
        )
        run.save(update_fields=["job"])
    return run


def add_run(project: Project, *, feature_set, release=None, by=None, by_rule=False, options=None) -> TrainingRun:
    """The row of a run without a job, for `jobs.run_now`; arguments and errors as for `start_run`."""
    if by is not None and not access.can(by, "start_run", project):
        raise NotAllowed(_("You may not start training runs in this project."))
    options = checked_options(options or {})
    if feature_set.project_id != project.pk or (release and release.project_id != project.pk):
        raise BadInput(_("Labels and features must be of this project."))
    if not feature_set.is_ready:
        raise BadInput(_("The features %(name)s are not ready yet.") % {"name": feature_set.name})
    _check_features(feature_set, release.purpose if release else options.get("purpose", ""))
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # numbers one by one
        number = (project.training_runs.aggregate(last=Max("number"))["last"] or 0) + 1
        return TrainingRun.objects.create(
            project=project,
            number=number,
            feature_set=feature_set,
            release=release,
            is_by_rule=by_rule,
            options=options,
            made_by=by,
        )


def parameters_of(run: TrainingRun) -> dict:
    return {"run": str(run.uuid)}


def checked_options(options: dict) -> dict:
    """The given options, each of its kind and range; BadInput names the one that is wrong."""
    for name, value in options.items():
        if name not in OPTIONS:
            raise BadInput(
                _("There is no option %(name)s. Options: %(names)s.") % {"name": name, "names": ", ".join(OPTIONS)}
            )
        if not _is_fit(name, value):
            raise BadInput(_("The option %(name)s cannot be %(value)s.") % {"name": name, "value": value})
    return options


def _is_fit(name: str, value) -> bool:
    if name in ("purpose", "error_rates_from"):
        return isinstance(value, str)
    if name == "penalties":
        rising = isinstance(value, list) and len(value) > 1 and all(isinstance(each, int | float) for each in value)
        return value is None or (rising and value[0] > 0 and all(np.diff(value) > 0))
    if value is None:
        return name == "budget"
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if name == "seed":
        return is_whole and value >= 0
    if name in ("budget", "k", "n_resamples"):
        return is_whole and value >= 1
    lowest = {"size_km": 1.0, "buffer_km": 0.0, "background_ratio": 0.0}[name]
    return isinstance(value, int | float) and not isinstance(value, bool) and lowest <= value <= 1000


def _check_features(feature_set: FeatureSet, purpose: str) -> None:
    """A right can end after the features were made."""
    if feature_set.source is not None:
        check_rights(feature_set.source, purpose)


# ---- the job ----


@dataclass
class _Clock:
    """Seconds of each stage."""

    started: float = field(default_factory=monotonic)
    durations: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str) -> None:
        now = monotonic()
        self.durations[name] = round(now - self.started, 2)
        self.started = now


@dataclass
class _Material:
    """What a run is made of."""

    run: TrainingRun
    options: dict
    features: Features
    frame: Frame
    # Places of the frame's cells among all of the feature set.
    rows: np.ndarray


def train(running: RunningJob) -> dict:
    """Do the run that the job names. Returns {"run": number, "sentence", "page"}."""
    run = _run_of(running)
    if run.is_done:  # killed between publishing and saying so
        return _result(run)
    clock = _Clock()
    material = _gathered(running, run, clock)
    problem = _problem(material)
    fit = _fitted(running, material, problem)
    clock.lap("fit")
    scores, applicability = _scored(running, material, fit)
    clock.lap("scores")
    running.begin(_("judging"))
    figures = _figures(running, material, fit, scores, applicability)
    clock.lap("validation")
    running.begin(_("drawing the map"))
    content_sha256 = _write_files(material, fit, scores, applicability)
    threshold = judging.threshold_of(mapping.Scores(**scores).shown, problem.budget)
    mapping.write_map(run, threshold=threshold, still_mine=lambda: running.progress(0))
    clock.lap("map")
    figures |= {"durations_s": clock.durations, "versions": _versions()}
    _publish(running, material, figures, content_sha256)
    return _result(run)


def _run_of(running: RunningJob) -> TrainingRun:
    runs = TrainingRun.objects.select_related("project", "feature_set__source", "release", "made_by")
    run = runs.get(uuid=running.parameters["run"], project=running.job.project)
    by = running.job.requested_by
    if by and not access.can(by, "start_run", run.project):
        raise NotAllowed(_("You may no longer start training runs in this project."))
    if run.job_id != running.job.pk:
        TrainingRun.objects.filter(pk=run.pk, content_sha256="").update(job=running.job)
        run.job = running.job
    return run


def _result(run: TrainingRun) -> dict:
    return {
        "run": run.number,
        "sentence": _("Training run %(number)d is done.") % {"number": run.number},
        "page": reverse("predictions:run", args=[run.project.slug, run.number]),
    }


def _gathered(running: RunningJob, run: TrainingRun, clock: _Clock) -> _Material:
    options = OPTIONS | run.options
    running.begin(_("gathering labels"))
    if run.release is None:
        run.release = _released(running, run, options["purpose"])
    _check_features(run.feature_set, run.release.purpose)
    running.begin(_("reading features"))
    features = storage.load_features(run.feature_set)
    clock.lap("features")
    running.begin(_("gathering labels"))
    frame = Frame.of(
        run.release,
        run.feature_set,
        features,
        background_ratio=options["background_ratio"],
        seed=options["seed"],
    )
    clock.lap("labels")
    material = _Material(run, options, features, frame, frame.rows)
    _check_labels(material)
    return material


def _released(running: RunningJob, run: TrainingRun, purpose: str) -> Release:
    """The labels as they are now; after a kill, those that the earlier attempt had released."""
    release = Release.objects.filter(job=running.job).first()
    if release is None:
        audits = audits_to_release(run.project)
        release = make_release(run.project, audits, purpose=purpose, made_by=run.made_by, job=running).release
    with transaction.atomic():
        TrainingRun.objects.filter(pk=run.pk).update(release=release)
        running.still_mine()
    return release


def _check_labels(material: _Material) -> None:
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


def _problem(material: _Material) -> Problem:
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


def _fitted(running: RunningJob, material: _Material, problem: Problem) -> Judged:
    running.begin(_("fitting along the path of penalties"))
    heads = Heads(material.options["penalties"], report=running.progress)
    X = np.asarray(material.features.features[material.rows])
    heads.fit(
        X,
        problem.y,
        problem.fit_weights,
        blocks=problem.blocks,
        buffers=problem.buffers,
        judged=problem.is_judged,
        judged_weight=_judging_weights(problem),
    )
    return judging.judged(problem, heads, has_record=material.frame.steps["registered"][material.rows] > 0)


def _judging_weights(problem: Problem) -> np.ndarray:
    """(n,): what the choice of the penalty counts each audited cell for: as the ladder does, else one each."""
    rows, weights, weighting = judged_rows(problem, "random")
    found = np.zeros(len(problem.y))
    if weighting == "prevalence":
        found[rows] = weights
        return found
    return np.ones(len(problem.y))


def _scored(running: RunningJob, material: _Material, fit: Judged) -> tuple[dict, Applicability | None]:
    """The arrays of scores.npz, and what tells cells that are like the training cells."""
    features, rows, problem = material.features, material.rows, fit.problem
    n = len(features)
    fitted = (problem.fit_weights > 0).any(axis=1)
    X = np.asarray(features.features[rows[fitted]])
    try:
        importance = fit.heads.importance()
        applicability = Applicability.fit(X, importance, problem.blocks[fitted], seed=problem.seed)
    except ValueError:  # no feature matters to the fit, or all cells are alike
        applicability = None
    running.begin(_("scoring all cells"), n)
    score = np.full((n, len(HEADS)), np.nan, dtype=np.float32)
    distance = np.full(n, np.nan, dtype=np.float32)
    known = np.flatnonzero(features.is_known)
    for start in range(0, len(known), SCORED_AT_ONCE):
        part = known[start : start + SCORED_AT_ONCE]
        X = np.asarray(features.features[part])
        score[part] = fit.heads.predict(X)
        if applicability is not None:
            distance[part] = applicability.distance(X)
        running.progress(start + len(part), n)
    out_of_block = np.full((n, len(HEADS)), np.nan, dtype=np.float32)
    out_of_block[rows] = fit.heads.out_of_block
    shown = np.where(np.isfinite(out_of_block), out_of_block, score).astype(np.float64)
    outside = ~(distance <= applicability.threshold) if applicability else np.ones(n, dtype=bool)
    arrays = {
        "cells": np.asarray(features.cells),
        "score": score,
        "probability": fit.probabilities(shown, material.frame.areas),
        "out_of_block": out_of_block,
        "in_frame": material.frame.in_frame.astype(np.uint8),
        "distance": distance,
        "outside_applicability": outside.astype(np.uint8),
    }
    return arrays, applicability


def _figures(running: RunningJob, material: _Material, fit: Judged, scores: dict, applicability) -> dict:
    run, frame, rows, problem = material.run, material.frame, material.rows, fit.problem
    status = frame.status[rows, 0]
    counts = {each: int((status == each).sum()) for each in Status}
    known = material.features.is_known
    n_outside = int((scores["outside_applicability"] > 0)[known].sum())
    found = judging.figures(
        fit,
        shown=mapping.Scores(**scores).shown,
        levels={name: frame.stratum(name, rows) for name in frame.strata},
        steps={name: step[rows] for name, step in frame.steps.items()},
        error_rates_from=material.options["error_rates_from"],
        report=running.progress,
    )
    return {
        "n_cells": problem.n_mapped,
        "n_labelled": counts[Status.POSITIVE] + counts[Status.NEGATIVE],
        "n_positive": counts[Status.POSITIVE],
        "n_negative": counts[Status.NEGATIVE],
        "n_unlabelled": counts[Status.UNLABELLED],
        "n_withheld": counts[Status.WITHHELD],
        "n_left_out": frame.n_left_out,
        "left_out_by_source": frame.left_out_by_source,
        "n_outside_features": frame.n_outside_features,
        "penalty": fit.heads.penalty(0),
        "blocks": {
            "size_km": material.options["size_km"],
            "buffer_km": material.options["buffer_km"],
            "n": len(problem.buffers),
        },
        "heads": list(HEADS),
        "threshold": judging.threshold_of(mapping.Scores(**scores).shown, problem.budget),
        "is_of_records": fit.chances[0] is None or fit.chances[0].is_of_records,
        "recording": [
            {"area": area, "share": quantity(share, low, high, n=problem.sample_weights.astype(bool).sum())}
            for area, (share, low, high) in fit.recording.items()
        ],
        "applicability": {
            "threshold": applicability.threshold if applicability else None,
            "share_outside": n_outside / max(int(known.sum()), 1),
            "n_outside": n_outside,
        },
        "release": run.release.number,
        **found,
    }


# ---- files ----


def _write_files(material: _Material, fit: Judged, scores: dict, applicability: Applicability | None) -> str:
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


def _provenance(material: _Material) -> dict:
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
        "versions": _versions(),
    }


def code_version() -> str:
    """SHA-256 of the sources that a run's bytes follow from."""
    digest = hashlib.sha256()
    for name in CODE:
        path = Path(__file__).with_name(f"{name}.py")
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": version("numpy"), "scipy": version("scipy")}


# ---- publishing ----


def _publish(running: RunningJob, material: _Material, figures: dict, content_sha256: str) -> None:
    """The run's row and its totals of areas, at once and only by the worker that still holds the job."""
    run, frame = material.run, material.frame
    with transaction.atomic():
        mapping.write_totals(run, y=frame.y[:, 0], is_sampled=frame.is_sample, weights=frame.sample_weights)
        figures["totals"] = _totals(run, figures["n_cells"])
        run.labels_sha256 = frame.labels_sha256
        run.features_sha256 = run.feature_set.content_sha256
        run.code_version = code_version()
        run.content_sha256 = content_sha256
        run.figures = figures
        run.finished_at = timezone.now()
        run.save(
            update_fields=[
                "labels_sha256", "features_sha256", "code_version", "content_sha256", "figures", "finished_at",
            ]
        )  # fmt: skip
        running.still_mine()


def _totals(run: TrainingRun, n_mapped: int) -> dict:
    """`figures["totals"]`: of all that was mapped."""
    total = AreaTotal.objects.filter(run=run, area=None).first()
    if total is None:
        return {}
    n, reason = total.n_searched, total.reason
    share = quantity(total.share, total.low, total.high, n=n, reason=reason)
    cells = (None if each is None else each * total.n_cells for each in (total.share, total.low, total.high))
    return {"n_cells": quantity(*cells, n=n, reason=reason), "share": share}


# ---- the current run ----


def choose(run: TrainingRun, by) -> TrainingRun:
    """Make a done run the one whose map the project goes by, in the name of a person.

    Raises
    ------
    NotAllowed
        The person may not, or nobody chooses.
    Conflict
        The run is not done.
    """
    if by is None or not access.can(by, "choose_run", run.project):
        raise NotAllowed(_("You may not choose the current training run of this project."))
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=run.project_id)  # one choice after the other
        run.refresh_from_db()
        if not run.is_done:
            raise Conflict(
                _("Training run %(number)d is not done, so it has no map to go by.") % {"number": run.number}
            )
        if run.is_current:
            return run
        TrainingRun.objects.filter(project=run.project_id, is_current=True).update(is_current=False)
        run.is_current, run.chosen_by, run.chosen_at = True, by, timezone.now()
        run.save(update_fields=["is_current", "chosen_by", "chosen_at"])
        access.note_access(by, run.project, "choose_run", f"run {run.number}")
    return run
