"""The demonstration goes on where `labels.demonstration` ends: features of its country, a run, that run as the current
one. Each step is asked for when the one before is done; asking again for what is there or under way does nothing."""

from django.contrib.auth import get_user_model
from django.db import transaction

from labels.demonstration import loading, loading_work
from labels.demonstration.scenes import DATES, REGIONAL
from labels.models import Job, Project
from predictions import featurizing
from predictions.models import FeatureSet, TrainingRun

# Small enough for a laptop: a quarter of the usual bank, of the one source that covers the whole country.
OPTIONS = {"n_filters": 256}
NAME = "Demonstration, K = 256"
RECIPE = "wandara"
# Visits, one cell in ten. The usual 1 % are thirteen, in a country where one cell in five holds a mine: nearly every
# group of cells would have no mine found and no false alarm.
BUDGET = 130
ERROR_RATES_FROM = "demonstration"  # a key of run_words.ERROR_RATES


def go_on(project: Project) -> str:
    """Ask for the next step of the demonstration, if it is due; in a sentence, how far it is."""
    with transaction.atomic():
        loading_work.one_at_a_time(project)
        if not project.jobs.filter(kind=Job.Kind.JUDGE_DEMONSTRATION, state=Job.State.DONE).exists():
            return "The model comes once the reviews are there."
        feature_set = _features(project)
        if not feature_set.is_ready:
            return "Features of the grid cells are being made, then the model learns."
        run = _run(feature_set)
        if not run.is_done:
            return "The model learns."
        _choose(run)
        return f"Training run {run.number} is there."


def _features(project: Project) -> FeatureSet:
    known = project.feature_sets.filter(name=NAME).order_by("pk").select_related("job").first()
    if known is None:
        return featurizing.ask(
            project,
            source=project.imagery_sources.get(name=REGIONAL.name),
            day=DATES[REGIONAL.slug][-1],
            options=OPTIONS,
            name=NAME,
            by=_person("admin"),
        )
    return known


def _run(feature_set: FeatureSet) -> TrainingRun:
    from predictions import training  # imports what learning needs

    known = feature_set.runs.order_by("number").first()
    if known is not None:
        return known
    options = {"budget": BUDGET, "error_rates_from": ERROR_RATES_FROM}
    return training.start_run(feature_set.project, feature_set=feature_set, by=_person("lead"), options=options)


def _choose(run: TrainingRun) -> None:
    """As the lead would: only the first time, so that a person's own choice stands."""
    from predictions import training

    if not TrainingRun.objects.filter(project=run.project_id, chosen_at__isnull=False).exists():
        training.choose(run, _person("lead"))


def _person(username: str):
    return get_user_model().objects.get(username=username)


def follow(job: Job) -> None:
    """After a job in the demonstration's own project (predictions.jobs); elsewhere people decide."""
    project = job.project
    if project.slug != loading.PROJECT["slug"]:
        return
    judged = project.jobs.filter(kind=Job.Kind.JUDGE_DEMONSTRATION, parameters__recipe=RECIPE)
    if judged.exists():
        go_on(project)
