"""What a model of one country is worth in another, judged on the audited cells there.

The same command again goes on with what was interrupted or killed, and takes the place of an earlier answer.
"""

from django.core.management.base import CommandParser

from labels.errors import BadInput
from labels.models import Job, Project
from predictions import elsewhere, judging_elsewhere
from predictions.management.queued import QueuedCommand
from predictions.models import TrainingRun


class Command(QueuedCommand):
    help = (
        "Judge a run of one project on what a run of another was judged on, and put the figures on its ladder. "
        "The features of both must have been made with the same filters."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--run", type=int, required=True, help="its run, whose labels and features are used")
        parser.add_argument("--from-project", required=True, help="slug of the project the model comes from")
        parser.add_argument("--from-run", type=int, required=True, help="the run whose model is judged")

    def work(self, project: Project, options: dict) -> None:
        self.check_waiting(options)
        here = _run(project.slug, options["run"])
        there = _run(options["from_project"], options["from_run"])
        elsewhere.check(None, there, here)
        if options["queue"]:
            if not self.watch(judging_elsewhere.ask(there, here), options):
                return
        else:
            self._work_here(there, here)
        here.refresh_from_db()
        self._say(there, here)

    def _work_here(self, there: TrainingRun, here: TrainingRun) -> None:
        job = judging_elsewhere.under_way(there, here)
        if job is None:
            parameters = judging_elsewhere.parameters_of(there, here)
            self.run_job(here.project, Job.Kind.JUDGE_ELSEWHERE, str(here), parameters)
        elif self.is_alive(job):
            self.stderr.write("Another process is at this: watching it.")
            self.follow(job)
        else:
            self.go_on_here(job)

    def _say(self, there: TrainingRun, here: TrainingRun) -> None:
        rungs = judging_elsewhere.rungs_of(there, here)
        for rung in rungs:
            self.stdout.write(_line(rung))
        self.stdout.write(_shift(there, rungs[0]))


def _run(project: str, number: int) -> TrainingRun:
    runs = TrainingRun.objects.select_related("project", "feature_set__project", "release__project")
    found = runs.filter(project__slug=project, number=number).first()
    if found is None:
        raise BadInput(f"The project {project} has no run {number}.")
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


def _shift(run: TrainingRun, rung: dict) -> str:
    there, here = (
        "unknown" if share is None else f"{share:.4f}"
        for share in (elsewhere.prevalence_of(run), rung["prevalence_here"])
    )
    only = "; ranking only: too few cells of a probability sample to calibrate" if rung["is_ranking_only"] else ""
    return f"prevalence {there} where it was trained, {here} here{only}"
