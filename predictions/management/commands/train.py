"""Trains the model on the labels of a release, or as they are now, and judges it.

The same command again goes on with a run that was interrupted or killed.
"""

import json

from django.core.management.base import CommandParser

from labels.errors import BadInput
from labels.models import Job, Project, Release
from labels.models.areas import AreaKind
from predictions import training
from predictions.management.queued import QueuedCommand, area_named
from predictions.models import FeatureSet, TrainingRun


class Command(QueuedCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--features", metavar="F", help="short name of the feature set; default: the newest ready")
        parser.add_argument("--release", type=int, metavar="N", help="its number; default: the labels as they are now")
        parser.add_argument("--area", metavar="A", help="name of an admin area; default: all cells with these features")
        parser.add_argument(
            "--option", action="append", default=[], metavar="NAME=VALUE", help="of the run, such as size_km=20; repeat"
        )

    def work(self, project: Project, options: dict) -> None:
        self.check_waiting(options)
        asked = {
            "feature_set": self._features(project, options["features"]),
            "release": self._release(project, options["release"]),
            "area": area_named(project, options["area"], kind=AreaKind.ADMIN),
            "options": self._options(options["option"]),
        }
        run = self._unfinished(project, asked)
        if options["queue"]:
            job = run.job if run and run.job and not run.job.is_over else training.start_run(project, **asked).job
            if not self.watch(job, options):
                return
            run = TrainingRun.objects.get(job=job)
        else:
            run = run or training.add_run(project, **asked)
            self._work_here(run)
        run.refresh_from_db()
        self._say(run)

    def _work_here(self, run: TrainingRun) -> None:
        job = run.job
        if job is None or job.is_over:
            self.run_job(run.project, Job.Kind.TRAIN, str(run), training.parameters_of(run))
        elif self.is_alive(job):
            self.stderr.write("Another process is at this run: watching it.")
            self.follow(job)
        else:
            self.go_on_here(job)

    def _unfinished(self, project: Project, asked: dict) -> TrainingRun | None:
        """The last run of the project, where it was begun by a command with the same words and is not done."""
        run = project.training_runs.select_related("job", "project").order_by("-number").first()
        if run is None or run.is_done or run.made_by_id or run.is_by_rule:
            return None
        is_same = all(getattr(run, name) == asked[name] for name in ("feature_set", "area", "options"))
        if asked["release"] is not None:
            is_same = is_same and run.release_id == asked["release"].pk
        return run if is_same else None

    def _features(self, project: Project, slug: str | None) -> FeatureSet:
        ready = project.feature_sets.exclude(content_sha256="").select_related("source__project")
        found = ready.filter(slug=slug).first() if slug else ready.order_by("-pk").first()
        if found is None:
            known = ", ".join(ready.order_by("slug").values_list("slug", flat=True)) or "none yet, see featurize"
            raise BadInput(f"--features: name one of this project's feature sets that are ready: {known}.")
        return found

    def _release(self, project: Project, number: int | None) -> Release | None:
        if number is None:
            return None
        found = project.releases.filter(number=number).first()
        if found is None:
            raise BadInput(f"--release: this project has no release {number}.")
        return found

    def _options(self, words: list[str]) -> dict:
        found = {}
        for word in words:
            name, sign, value = word.partition("=")
            if not sign:
                raise BadInput(f"--option {word!r}: write NAME=VALUE.")
            try:
                found[name] = json.loads(value)
            except ValueError:
                found[name] = value
        return found

    def _say(self, run: TrainingRun) -> None:
        figures = run.figures
        self.stdout.write(
            f"Training run {run.number}: {figures['n_labelled']} labelled cells, {figures['n_positive']} with mines"
        )
        for rung in figures["ladder"]:
            ap = rung["metrics"]["ap"]
            if ap["value"] is None:
                said = rung["reason"] or ap["reason"]
            else:
                low, high = ("?" if limit is None else f"{limit:.3f}" for limit in (ap["low"], ap["high"]))
                said = f"average precision {ap['value']:.3f} [{low}, {high}], n {ap['n']}"
            optimistic = ", optimistic" if rung["is_optimistic"] else ""
            self.stdout.write(f"  {rung['key']}, negatives {rung['negatives']}{optimistic}: {said}")
        gain = figures["gain"]["gain_ap"] if figures.get("gain") else None
        if gain and gain["value"] is not None:
            low, high = ("?" if limit is None else f"{limit:+.3f}" for limit in (gain["low"], gain["high"]))
            self.stdout.write(f"  gained by the audit: {gain['value']:+.3f} [{low}, {high}] average precision")
        self.stdout.write(f"Content sha256 {run.content_sha256}")
