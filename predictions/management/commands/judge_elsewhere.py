"""What a model of one country is worth in another, judged on the audited cells there."""

from django.core.management.base import BaseCommand, CommandError

from labels.errors import LabelsError
from predictions import elsewhere
from predictions.models import TrainingRun


class Command(BaseCommand):
    help = (
        "Judge a run of one project on what a run of another was judged on, and put the figures on its ladder. "
        "The features of both must have been made with the same filters."
    )

    def add_arguments(self, parser):
        parser.add_argument("--project", required=True, help="slug of the project that is judged")
        parser.add_argument("--run", type=int, required=True, help="its run, whose labels and features are used")
        parser.add_argument("--from-project", required=True, help="slug of the project the model comes from")
        parser.add_argument("--from-run", type=int, required=True, help="the run whose model is judged")

    def handle(self, **options):
        here = _run(options["project"], options["run"])
        there = _run(options["from_project"], options["from_run"])
        try:
            found = elsewhere.judge(there, here)
        except LabelsError as error:
            raise CommandError(str(error), returncode=2) from error
        elsewhere.keep(here, found)
        for rung in found.rungs:
            self.stdout.write(_line(rung))
        self.stdout.write(_shift(found))


def _run(project: str, number: int) -> TrainingRun:
    runs = TrainingRun.objects.select_related("project", "feature_set__project", "release__project")
    found = runs.filter(project__slug=project, number=number).first()
    if found is None:
        raise CommandError(f"The project {project} has no run {number}.", returncode=2)
    return found


def _line(rung: dict) -> str:
    if rung["reason"]:
        return f"{rung['negatives']}: {rung['reason']}"
    return f"{rung['negatives']}: n {rung['metrics']['n']}, " + ", ".join(
        f"{name.upper()} {_text(rung['metrics'][name])}" for name in ("ap", "auc", "recall_at_budget")
    )


def _text(quantity: dict) -> str:
    if quantity["value"] is None:
        return f"- ({quantity['reason']})"
    limits = "" if quantity["low"] is None else f" ({quantity['low']:.3f}-{quantity['high']:.3f})"
    return f"{quantity['value']:.3f}{limits}"


def _shift(found: elsewhere.Judgement) -> str:
    there, here = (
        "unknown" if share is None else f"{share:.4f}" for share in (found.prevalence_there, found.prevalence_here)
    )
    only = "; ranking only: too few cells of a probability sample to calibrate" if found.is_ranking_only else ""
    return f"prevalence {there} where it was trained, {here} here{only}"
