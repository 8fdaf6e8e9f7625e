"""A model of one country on another's ground: what its ranking is worth there, where people have audited.

How much of the mining a register records, how common mining is and what the imagery looks like all change between
countries, so a probability learned in one means nothing in another: only the order of cells is judged, unless a
probability sample there can say what a score comes to.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labels import access
from labels.errors import BadInput, NotAllowed
from predictions import judging, mapping, storage, training, validation
from predictions.blocks import block_buffers, spatial_blocks
from predictions.calibration import Calibration, cross_calibrated
from predictions.classifier import score_cells
from predictions.labelling import HEADS, Frame
from predictions.models import FeatureSet, TrainingRun
from predictions.run_inputs import features_of
from predictions.validation import Problem

# Is told a stage of the judging, then how far it is: `begin` and `progress` of a job.
Begin = Callable[[str], None]
Report = Callable[[int, int], None]

# Cells of a probability sample from which more than the order may be judged (statistics.md: enough for the totals).
ENOUGH_SAMPLED = 200


@dataclass(frozen=True)
class Judgement:
    """What another country's run is worth here."""

    rungs: list[dict]  # of the key "elsewhere"; where the model comes from is added when they are kept
    # Only average precision, AUC and what a budget finds: no Brier score, no log loss.
    is_ranking_only: bool
    n_sampled: int  # cells of this country's probability sample that were judged
    # Share of cells with mines by this country's sample; None where there is none. That of the country the model comes
    # from is no business of this one's (`prevalence_of` has it).
    prevalence_here: float | None


def runs_for(user, here: TrainingRun) -> list[TrainingRun]:
    """Done runs of other projects that this person may look at, with features like those of `here`: newest first."""
    if not access.can(user, "start_run", here.project):
        return []
    projects = access.projects_of(user).exclude(pk=here.project_id)
    others = [each for each in projects if access.can(user, "view_run", each)]
    runs = (
        TrainingRun.objects.filter(project__in=others)
        .exclude(content_sha256="")
        .select_related("feature_set", "project", "area")
    )
    newest = runs.defer("figures", "area__geometry").order_by("-finished_at", "-pk")
    return [run for run in newest if is_comparable(run.feature_set, here.feature_set)]


def check(user, run: TrainingRun, here: TrainingRun) -> None:
    """Whether a run of another project may be judged on what `here` was judged on, and can be.

    Raises NotAllowed unless the person may look at runs there and start them here (None: a command), BadInput with a
    sentence where it cannot be. Whoever sees the job reads the sentence, so it names nothing of the other project.
    """
    project = here.project
    if user is not None and not (access.can(user, "view_run", run.project) and access.can(user, "start_run", project)):
        raise NotAllowed(_("You may not look at training runs of both projects."))
    if run.project_id == here.project_id:
        raise BadInput(_("Choose a run of another project: this one's own stand on the ladder already."))
    if not (run.is_done and here.is_done):
        raise BadInput(_("The run is not done: choose one that is."))
    if here.release is None:
        raise BadInput(_("This run has no labels of its own to judge by."))
    if not is_comparable(run.feature_set, here.feature_set):
        raise BadInput(_("The features differ: make features here with the filters of that run, then try again."))


def is_comparable(learned: FeatureSet, here: FeatureSet) -> bool:
    """Whether the columns of two sets mean the same: the same filters, or the same columns of files imported."""
    if learned.kind != here.kind or learned.n_columns != here.n_columns:
        return False
    if learned.kind == FeatureSet.Kind.COMPUTED:
        return bool(learned.filters_sha256) and learned.filters_sha256 == here.filters_sha256
    return learned.options.get("columns") == here.options.get("columns")


def scores(run: TrainingRun, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (n, heads) of a run's model for features (n, p) of any place; nan rows stay nan.

    Raises storage.FileDamaged where its artefact is missing or is not the one it was.
    """
    with _files_of_the_other():
        arrays = storage.read_arrays(run.folder / training.MODEL, sha256=run.content_sha256)
        return score_cells(features, arrays["coefficients"], arrays["intercept"])


@contextmanager
def _files_of_the_other() -> Iterator[None]:
    """Says whose files are damaged: the reason stands among this project's jobs."""
    try:
        yield
    except (storage.FileDamaged, KeyError, ValueError) as error:
        raise storage.FileDamaged(
            _("The files of the run to be judged are missing or damaged: it cannot be judged any more.")
        ) from error


def judge(
    run: TrainingRun,
    here: TrainingRun,
    *,
    by=None,
    begin: Begin = lambda stage: None,
    report: Report = lambda n_done, n_total: None,
) -> Judgement:
    """A run of another project on what a run of this one was judged on: its labels, its features.

    Cells that the other run learned from, or nearer to one than the buffer of blocks, are not judged: projects may lie
    on the same ground. `by` is the person who asks; None for commands. Raises as `check` does, and storage.FileDamaged
    where files of either run are missing or are not what they were.
    """
    check(by, run, here)
    begin(_("reading features"))
    features = features_of(here)
    begin(_("gathering labels"))
    frame = Frame.of(here.release, here.feature_set, features, seed=here.options.get("seed", 0))
    judged = np.stack([frame.is_judged(head) for head in range(len(HEADS))], axis=1)
    rows = np.flatnonzero(judged.any(axis=1) & features.is_known)
    buffer_km = (training.OPTIONS | here.options)["buffer_km"]
    rows = rows[~_is_near(frame.cells[rows], _learned_cells(run), buffer_km)]
    problem = _problem(here, frame, judged, rows, int(features.is_known.sum()))
    begin(_("judging"))
    return judge_problem(run, problem, np.asarray(features.features[rows]), report=report)


def _learned_cells(run: TrainingRun) -> NDArray[np.int32]:
    """(m, 2): the cells of a run's frame. Raises storage.FileDamaged where its scores are not there."""
    with _files_of_the_other():
        arrays = storage.read_arrays(run.folder / mapping.SCORES)
        return arrays["cells"][arrays["in_frame"] > 0]


def _is_near(cells: NDArray, learned: NDArray, buffer_km: float) -> NDArray[np.bool_]:
    """(n,): cells that a run learned from, or so near that it all but did."""
    if not len(learned):
        return np.zeros(len(cells), dtype=bool)
    of_run = np.concatenate([np.zeros(len(learned), dtype=np.int64), np.ones(len(cells), dtype=np.int64)])
    # Cells that touch are 0 km apart.
    near = block_buffers(np.concatenate([learned, cells]), of_run, buffer_km=max(buffer_km, 1e-3))[0]
    return np.isin(np.arange(len(cells)), near - len(learned))


def _problem(here: TrainingRun, frame: Frame, judged: NDArray, rows: NDArray, n_mapped: int) -> Problem:
    """Only what is judged: nothing is fitted here."""
    options = training.OPTIONS | here.options
    cells = frame.cells[rows]
    blocks = spatial_blocks(cells, size_km=options["size_km"])[0] if len(rows) else np.zeros(0, dtype=np.int64)
    problem = Problem(
        cells=cells,
        y=frame.y[rows],
        is_judged=judged[rows],
        fit_weights=np.zeros((len(rows), len(HEADS))),
        sample_weights=frame.sample_weights[rows],
        blocks=blocks,
        buffers=block_buffers(cells, blocks, buffer_km=options["buffer_km"]),
        areas=frame.areas[rows],
        is_suggested=frame.is_suggested[rows],
        is_near=frame.is_near[rows],
        n_mapped=n_mapped,
        k=options["k"],
        n_resamples=options["n_resamples"],
        seed=options["seed"],
    )
    return replace(problem, budget=judging.budget(problem, options["budget"]))


def judge_problem(
    run: TrainingRun,
    problem: Problem,
    features: NDArray[np.float32],
    *,
    report: Report = lambda n_done, n_total: None,
) -> Judgement:
    """A run of another project on what is judged in this one.

    Parameters
    ----------
    run : TrainingRun
        Done, of another project; `check` was called.
    problem : validation.Problem
        What is judged here; nothing of it went into the run.
    features : array of shape (n, p)
        Of the problem's cells, made with the run's filters.

    Notes
    -----
    With at least ENOUGH_SAMPLED cells of a probability sample scores also become probabilities, by a calibration on
    these cells that has not seen a cell's block. Without them Brier score and log loss are missing.
    """
    found = scores(run, features).astype(np.float64)
    sampled = np.flatnonzero(problem.is_judged[:, 0] & (problem.sample_weights > 0) & np.isfinite(found[:, 0]))
    is_ranking_only = len(sampled) < ENOUGH_SAMPLED or len(np.unique(problem.y[sampled, 0])) < 2
    chances = None if is_ranking_only else _calibrated_here(found, problem, sampled)
    # A score of the other country must not pass for a probability of this one: the order is all that stays of it.
    shown = _order(found) if is_ranking_only else found
    rungs = validation.elsewhere(problem, shown, probabilities=chances, report=report)
    share = problem.prevalence()
    about = {"is_ranking_only": is_ranking_only, "n_sampled": len(sampled), "prevalence_here": share}
    return Judgement([{**rung, **about} for rung in rungs], **about)


def _order(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1 up in each column, ties alike; nan stays."""
    from scipy.stats import rankdata  # slow to import, and only for this

    return rankdata(found, axis=0, nan_policy="omit") + 1


def _calibrated_here(found: NDArray[np.float64], problem: Problem, sampled: NDArray) -> NDArray[np.float64]:
    """Probabilities of the first head, (n, heads): on the sample's cells by calibrations without their block, on the
    others by one of all; nan for further heads."""
    y, weights = problem.y[sampled, 0], problem.sample_weights[sampled]
    chances = np.full(found.shape, np.nan)
    known = np.isfinite(found[:, 0])
    chances[known, 0] = Calibration.fit(found[sampled, 0], y, weights).predict(found[known, 0])
    chances[sampled, 0] = cross_calibrated(found[sampled, 0], y, weights, problem.blocks[sampled])
    return chances


def prevalence_ratio(there: float | None, here: float | None) -> float | None:
    """How many times as common mining is here as there; None where one is not known or 0."""
    return here / there if there and here is not None else None


def prevalence_of(run: TrainingRun) -> float | None:
    """Of the country a run comes from, by its own probability sample."""
    rungs = (rung for rung in run.figures.get("ladder", []) if rung["key"] == "sample" and rung.get("metrics"))
    return next((rung["metrics"]["prevalence"] for rung in rungs), None)
