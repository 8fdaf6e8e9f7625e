"""Training runs: asked for by a person or the rule, done as a job, one of them chosen as current by a person.

The job of kind TRAIN gathers labels, reads features, fits along the path of penalties, judges, maps and publishes.
Files are whole or absent and the same inputs give the same bytes, so a run that was killed is done again from the start
and ends in what it would have ended in; its row is written once, at the end, in one transaction.
"""

from dataclasses import dataclass, field
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
from labels.models import Job, Project, ReferenceArea, Release
from labels.releases.making import audits_to_release, make_release
from predictions import feature_jobs, judging, mapping
from predictions.applicability import Applicability
from predictions.drawn import Sample
from predictions.fitting import Heads
from predictions.judging import Judged
from predictions.kept_fits import KeptFits
from predictions.labelling import HEADS, Status
from predictions.models import AreaTotal, FeatureSet, TrainingRun
from predictions.quantities import quantity
from predictions.run_files import MODEL as MODEL
from predictions.run_files import code_version, versions, write_files
from predictions.run_inputs import Material, check_features, features_of, judging_weights, n_changed, problem_of
from predictions.run_options import OPTIONS, checked_options
from predictions.validation import Problem

SCORED_AT_ONCE = 50_000

# ---- asking ----


def start_run(
    project: Project,
    *,
    feature_set: FeatureSet,
    release: Release | None = None,
    area: ReferenceArea | None = None,
    by=None,
    by_rule: bool = False,
    options: dict | None = None,
) -> TrainingRun:
    """Ask for a run: its numbered row, and its job; where the same is waiting or under way already, that one.

    Parameters
    ----------
    feature_set : FeatureSet
        Ready, of the project.
    release : Release, optional
        None: the labels as they are when the job starts are released first; the same labels are one release.
    area : ReferenceArea, optional
        An admin area of the project: only its cells are learned from and mapped. None: all that have these features.
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
        run = add_run(
            project, feature_set=feature_set, release=release, area=area, by=by, by_rule=by_rule, options=options
        )
        if same := _same_under_way(run):
            run.delete()
            return same
        run.job = jobs.ask(
            project=project, kind=Job.Kind.TRAIN, subject=str(run), requested_by=by, parameters=parameters_of(run)
        )
        run.save(update_fields=["job"])
    return run


def _same_under_way(run: TrainingRun) -> TrainingRun | None:
    """What a button pressed twice has asked for before: the same in all, its labels not gathered before `run` asked."""
    waiting = run.project.training_runs.filter(job__state__in=(Job.State.QUEUED, Job.State.RUNNING))
    same = {name: getattr(run, name) for name in ("feature_set", "release", "area", "options")}
    return waiting.filter(**same).first()


def add_run(
    project: Project, *, feature_set, release=None, area=None, by=None, by_rule=False, options=None
) -> TrainingRun:
    """The row of a run without a job, for `jobs.run_now`; arguments and errors as for `start_run`."""
    if by is not None and not access.can(by, "start_run", project):
        raise NotAllowed(_("You may not start training runs in this project."))
    options = checked_options(options or {})
    if feature_set.project_id != project.pk or (release and release.project_id != project.pk):
        raise BadInput(_("Labels and features must be of this project."))
    if area is not None and area.layer.project_id != project.pk:
        raise BadInput(_("The area %(name)s is of another project.") % {"name": area.name})
    if not feature_set.is_ready:
        raise BadInput(_("The features %(name)s are not ready yet.") % {"name": feature_set.name})
    check_features(feature_set, release.purpose if release else options.get("purpose", ""))
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # numbers one by one
        feature_jobs.check_there(feature_set)
        number = (project.training_runs.aggregate(last=Max("number"))["last"] or 0) + 1
        return TrainingRun.objects.create(
            project=project,
            number=number,
            feature_set=feature_set,
            release=release,
            area=area,
            is_by_rule=by_rule,
            options=options,
            made_by=by,
        )


def parameters_of(run: TrainingRun) -> dict:
    return {"run": str(run.uuid)}


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


def train(running: RunningJob) -> dict:
    """Do the run that the job names. Returns {"run": number, "sentence", "page"}."""
    run = _run_of(running)
    if run.is_done:  # killed between publishing and saying so
        return _result(run)
    clock = _Clock()
    material = _gathered(running, run, clock)
    problem = problem_of(material)
    fit = _fitted(running, material, problem)
    clock.lap("fit")
    scores, applicability = _scored(running, material, fit)
    clock.lap("scores")
    running.begin(_("judging"))
    figures = _figures(running, material, fit, scores, applicability)
    clock.lap("validation")
    running.begin(_("drawing the map"))
    content_sha256 = write_files(material, fit, scores, applicability)
    threshold = judging.threshold_of(mapping.Scores(**scores).shown, problem.budget)
    mapping.write_map(run, threshold=threshold, still_mine=lambda: running.progress(0))
    clock.lap("map")
    running.begin(_("totals of areas"))
    sample = Sample.of(material.frame, run.release)
    totals = mapping.totals_of(run, sample, still_mine=lambda: running.progress(0))
    clock.lap("totals")
    figures |= {"durations_s": clock.durations, "versions": versions(), "totals": _totals(totals[0], sample)}
    _publish(running, material, figures, totals, content_sha256)
    return _result(run)


def _run_of(running: RunningJob) -> TrainingRun:
    runs = TrainingRun.objects.select_related(
        "project", "feature_set__source", "release", "made_by", "area__layer__project"
    )
    run = runs.get(uuid=running.parameters["run"], project=running.job.project)
    by = running.job.requested_by
    if by and not access.can(by, "start_run", run.project):
        raise NotAllowed(_("You may no longer start training runs in this project."))
    if run.job_id != running.job.pk:
        _take_over(run, running.job)
    return run


@transaction.atomic
def _take_over(run: TrainingRun, job: Job) -> None:
    """A job that was asked for again is a job of its own. Two at once would release labels twice for one run."""
    # Its job is read after the lock, not joined: who waited would miss one that took the run meanwhile.
    known = TrainingRun.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if known.is_done:
        return
    if known.job is not None and known.job_id != job.pk and not known.job.is_over:
        raise Conflict(_("Another job is doing this run."))
    TrainingRun.objects.filter(pk=run.pk).update(job=job)
    run.job = job


def _result(run: TrainingRun) -> dict:
    return {
        "run": run.number,
        "sentence": _("Training run %(number)d is done.") % {"number": run.number},
        "page": reverse("predictions:run", args=[run.project.slug, run.number]),
    }


def _gathered(running: RunningJob, run: TrainingRun, clock: _Clock) -> Material:
    options = OPTIONS | run.options
    running.begin(_("gathering labels"))
    if run.release is None:
        run.release = _released(running, run, options["purpose"])
    check_features(run.feature_set, run.release.purpose)
    running.begin(_("reading features"))
    features = features_of(run)
    clock.lap("features")
    running.begin(_("gathering labels"))
    material = Material.of(run, options, features)
    clock.lap("labels")
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


def _fitted(running: RunningJob, material: Material, problem: Problem) -> Judged:
    running.begin(_("fitting along the path of penalties"))
    keeper = KeptFits(material, problem)
    heads = Heads(material.options["penalties"], report=running.progress, keeper=keeper)
    X = np.asarray(material.features.features[material.rows])
    heads.fit(
        X,
        problem.y,
        problem.fit_weights,
        blocks=problem.blocks,
        buffers=problem.buffers,
        judged=problem.is_judged,
        judged_weight=judging_weights(problem),
    )
    return judging.judged(problem, heads)


def _scored(running: RunningJob, material: Material, fit: Judged) -> tuple[dict, Applicability | None]:
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
        "probability": fit.probabilities(shown),
        "out_of_block": out_of_block,
        "in_frame": material.frame.in_frame.astype(np.uint8),
        "distance": distance,
        "outside_applicability": outside.astype(np.uint8),
    }
    return arrays, applicability


def _figures(running: RunningJob, material: Material, fit: Judged, scores: dict, applicability) -> dict:
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
        n_changed=n_changed(run.release, frame.cells),
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
        "applicability": {
            "threshold": applicability.threshold if applicability else None,
            "share_outside": n_outside / max(int(known.sum()), 1),
            "n_outside": n_outside,
        },
        "release": run.release.number,
        "audits_not_weighed": frame.audits_not_weighed,
        **found,
    }


# ---- publishing ----


def _publish(
    running: RunningJob, material: Material, figures: dict, totals: list[AreaTotal], content_sha256: str
) -> None:
    """The run's row and its totals of areas, at once and only by the worker that still holds the job."""
    run, frame = material.run, material.frame
    with transaction.atomic():
        mapping.store_totals(run, totals)
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


def _totals(total: AreaTotal, sample: Sample) -> dict:
    """`figures["totals"]`: of all that was mapped, and what its interval does and does not hold."""
    n, reason = total.n_searched, total.reason
    share = quantity(total.share, total.low, total.high, n=n, reason=reason)
    cells = (None if each is None else each * total.n_cells for each in (total.share, total.low, total.high))
    return {
        "n_cells": quantity(*cells, n=n, reason=reason),
        "share": share,
        "n_unsure": total.n_unsure,
        "share_if_clear": total.share_if_clear,
        "share_if_mined": total.share_if_mined,
        "n_read_twice": sample.n_read_twice,
        "reader_variance": sample.reader_variance,
    }


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
