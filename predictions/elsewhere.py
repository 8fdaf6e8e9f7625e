"""A model of one country on another's ground: what its ranking is worth there, where people have audited.

How much of the mining a register records, how common mining is and what the imagery looks like all change between
countries, so a probability learned in one means nothing in another: only the order of cells is judged, unless a
probability sample there can say what a score comes to.
"""

from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labels import access
from labels.errors import BadInput, NotAllowed
from labels.models import Project
from predictions import storage, validation
from predictions.classifier import score_cells
from predictions.models import FeatureSet, TrainingRun

MODEL = "model.npz"
# Cells of a probability sample from which more than the order may be judged (statistics.md: enough for the totals).
ENOUGH_SAMPLED = 200


@dataclass(frozen=True)
class Judgement:
    """What another country's run is worth here."""

    rungs: list[dict]  # as figures["ladder"] keeps them: key "elsewhere", with project and run
    # Only average precision, AUC and what a budget finds: no Brier score, no log loss.
    is_ranking_only: bool
    n_sampled: int  # cells of this country's probability sample that were judged
    # Share of cells with mines by the probability samples of both; None where there is none.
    prevalence_there: float | None  # in the country the model comes from
    prevalence_here: float | None

    @property
    def prevalence_ratio(self) -> float | None:
        """How many times as common mining is here as there; None where one is not known or 0."""
        if not self.prevalence_there or self.prevalence_here is None:
            return None
        return self.prevalence_here / self.prevalence_there


def runs_for(user, project: Project) -> list[TrainingRun]:
    """Done runs of other projects that this person may look at, and whose features this project has: newest first."""
    if not access.can(user, "view_run", project):
        return []
    sets = [each for each in project.feature_sets.exclude(content_sha256="")]
    others = access.projects_of(user).exclude(pk=project.pk)
    runs = (
        TrainingRun.objects.filter(project__in=others)
        .exclude(content_sha256="")
        .select_related("feature_set", "project")
    )
    return [
        run
        for run in runs.defer("figures").order_by("-finished_at", "-pk")
        if access.can(user, "view_run", run.project) and any(is_comparable(run.feature_set, each) for each in sets)
    ]


def check(user, run: TrainingRun, feature_set: FeatureSet) -> None:
    """Raises NotAllowed unless the person may look at runs of both projects, BadInput with a sentence where the run
    cannot be applied to these features."""
    for project in (run.project, feature_set.project):
        if user is not None and not access.can(user, "view_run", project):
            raise NotAllowed(_("You may not look at training runs of both projects."))
    if not run.is_done:
        raise BadInput(_("The run is not done: choose one that is."))
    if not is_comparable(run.feature_set, feature_set):
        raise BadInput(
            _("The features differ: make features here with the filters of %(name)s, then try again.")
            % {"name": run.feature_set.name}
        )


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
    arrays = storage.read_arrays(run.folder / MODEL, sha256=run.content_sha256)
    try:
        return score_cells(features, arrays["coefficients"], arrays["intercept"])
    except (KeyError, ValueError) as error:
        raise storage.FileDamaged(_("The file %(file)s cannot be read.") % {"file": MODEL}) from error


def judge(run: TrainingRun, problem: validation.Problem, features: NDArray[np.float32]) -> Judgement:
    """A run of another project on what is judged in this one.

    Parameters
    ----------
    run : TrainingRun
        Done, of another project; call `check` first.
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
    sampled = np.flatnonzero(problem.is_judged[:, 0] & (problem.sample_weights > 0))
    is_ranking_only = len(sampled) < ENOUGH_SAMPLED or len(np.unique(problem.y[sampled, 0])) < 2
    chances = None if is_ranking_only else _calibrated_here(found, problem, sampled)
    # Out of 0 to 1 on purpose: a raw score of the other country must not be taken for a probability of this one.
    ranked = found if chances is not None else found + 2
    rungs = validation.elsewhere(problem, ranked, project=run.project.slug, run=run.number, probabilities=chances)
    return Judgement(
        rungs=rungs,
        is_ranking_only=is_ranking_only,
        n_sampled=len(sampled),
        prevalence_there=_prevalence_of(run),
        prevalence_here=problem.prevalence(),
    )


def _prevalence_of(run: TrainingRun) -> float | None:
    """Of the country a run comes from, by its own probability sample."""
    rungs = (rung for rung in run.figures.get("ladder", []) if rung["key"] == "sample" and rung.get("metrics"))
    return next((rung["metrics"]["prevalence"] for rung in rungs), None)
