"""Makes the features of an area's grid cells from an imagery source, or imports them from a file.

The same command again goes on with what was begun; while another process is at it, on whatever machine, it helps.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import transaction

from labels import jobs
from labels.errors import BadInput
from labels.management.progress import printer
from labels.models import ImagerySource, Job, Project, ReferenceArea
from labels.models.areas import AreaKind
from predictions import chunks, featurizing, importing
from predictions.management.queued import QueuedCommand
from predictions.models import FeatureSet

JOIN_S = 60  # how long a helper waits for the work it shall join


class Command(QueuedCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--source", metavar="S", help="short name of the imagery source")
        parser.add_argument("--date", metavar="DATE", help="capture date (YYYY-MM-DD, unknown); default: the newest")
        parser.add_argument("--area", metavar="A", help="name of an area; default: all current top-level ones")
        parser.add_argument("--filters", type=int, metavar="K", help="how many filters; default 1024")
        parser.add_argument("--seed", type=int, help="of the filters; default 0")
        parser.add_argument("--mosaiks", action="store_true", help="one scale and both halves, as MOSAIKS defines them")
        parser.add_argument("--filters-of", metavar="P/F", help="take over the filters of this project's feature set")
        parser.add_argument("--purpose", default="", help="what for, where the source is limited to a purpose")
        parser.add_argument("--import", dest="file", metavar="FILE", help="read features from this file instead")
        parser.add_argument("--name", default="", help="what the feature set is called")
        parser.add_argument(
            "--workers", type=int, default=1, metavar="N", help="processes that compute here; default 1"
        )
        parser.add_argument("--join", metavar="F", help="only help with this feature set (its short name)")

    def work(self, project: Project, options: dict) -> None:
        self.check_waiting(options)
        if options["join"]:
            found = project.feature_sets.select_related("job").filter(slug=options["join"]).first()
            if found is None:
                raise BadInput(f"--join: there is no feature set {options['join']!r} in this project.")
            return self._help(found)
        found = self._import(project, options) if options["file"] else self._make(project, options)
        if found is not None:
            self._say(found)

    # ---- from imagery ----

    def _make(self, project: Project, options: dict) -> FeatureSet | None:
        wanted = featurizing.prepared(
            project,
            source=self._source(project, options["source"]),
            day=options["date"],
            area=self._area(project, options["area"]),
            options=self._options(options),
            filters_of=self._filters_of(options["filters_of"]),
            name=options["name"],
        )
        if options["workers"] < 1:
            raise BadInput("--workers: at least 1.")
        with transaction.atomic():
            Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # two commands make one set
            feature_set = featurizing.unfinished(wanted)
            if feature_set is None:
                feature_set = wanted
                feature_set.save()
        if options["queue"]:
            done = self.watch(self._asked(feature_set), options)
        else:
            done = True
            with self._helpers(feature_set, options["workers"]):
                self._work_here(feature_set)
        feature_set.refresh_from_db()
        return feature_set if done else None

    def _asked(self, feature_set: FeatureSet) -> Job:
        job = feature_set.job
        if job is not None and not job.is_over:
            return job
        if job is not None:
            return featurizing.ask_again(feature_set)
        feature_set.job = jobs.ask(
            project=feature_set.project,
            kind=Job.Kind.FEATURIZE,
            subject=feature_set.name,
            parameters=featurizing.parameters_of(feature_set),
        )
        feature_set.save(update_fields=["job"])
        return feature_set.job

    def _work_here(self, feature_set: FeatureSet) -> None:
        job = feature_set.job
        if job is None or job.is_over:
            parameters = featurizing.parameters_of(feature_set)
            self.run_job(feature_set.project, Job.Kind.FEATURIZE, feature_set.name, parameters)
        elif self.is_alive(job):
            self.stderr.write("Another process is making these features: helping it.")
            self._help(feature_set)
        elif job.is_over:
            self._work_here(FeatureSet.objects.select_related("project", "job").get(pk=feature_set.pk))
        else:
            self.go_on_here(job)

    def _help(self, feature_set: FeatureSet) -> None:
        """Until the job is over; one that is just beginning is waited for."""
        until = time.monotonic() + JOIN_S
        while feature_set.job is None or feature_set.job.is_over:
            if feature_set.is_ready or time.monotonic() > until:
                return
            time.sleep(0.5)
            feature_set = FeatureSet.objects.select_related("job").get(pk=feature_set.pk)
        job = feature_set.job
        self.follow(job, lambda: chunks.help_once(feature_set.pk, job.token))

    @contextmanager
    def _helpers(self, feature_set: FeatureSet, n_workers: int) -> Iterator[None]:
        """Processes beside this one, which take chunks as it does and end when its job does."""
        words = ["featurize", "--project", feature_set.project.slug, "--join", feature_set.slug]
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), *words]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        helpers = [subprocess.Popen(command, **quiet) for _helper in range(n_workers - 1)]  # noqa: S603
        try:
            yield
        finally:
            for helper in helpers:
                helper.terminate()
                helper.wait()

    # ---- from a file ----

    def _import(self, project: Project, options: dict) -> FeatureSet | None:
        feature_set, parameters = importing.prepared(project, file=Path(options["file"]), name=options["name"])
        feature_set.save()
        kind = Job.Kind.IMPORT_FEATURES
        try:
            if options["queue"]:
                job = jobs.ask(project=project, kind=kind, subject=feature_set.name, parameters=parameters)
                if not self.watch(job, options):
                    return None
            else:
                jobs.run_now(
                    project=project,
                    kind=kind,
                    subject=feature_set.name,
                    parameters=parameters,
                    report=printer(self.stderr),
                )
        except BadInput:
            FeatureSet.objects.filter(pk=feature_set.pk, content_sha256="").delete()
            raise
        feature_set.refresh_from_db()
        return feature_set

    # ---- arguments ----

    def _source(self, project: Project, slug: str | None) -> ImagerySource:
        sources = project.imagery_sources.select_related("project")
        found = sources.filter(slug=slug).first() if slug else (sources.first() if sources.count() == 1 else None)
        if found is None:
            known = ", ".join(sources.order_by("slug").values_list("slug", flat=True)) or "none yet"
            raise BadInput(f"--source: name one of this project's imagery sources: {known}.")
        return found

    def _area(self, project: Project, name: str | None) -> ReferenceArea | None:
        if not name:
            return None
        found = list(
            ReferenceArea.objects.filter(layer__project=project, layer__retired_at__isnull=True, name=name)
            .exclude(layer__kind=AreaKind.TERRAIN)  # a name of many polygons
            .select_related("layer")
            .order_by("layer__level", "pk")
        )
        if not found:
            raise BadInput(f"--area: this project has no current area {name!r}.")
        return found[0]

    def _options(self, options: dict) -> dict:
        wanted = {"n_filters": options["filters"], "seed": options["seed"], "purpose": options["purpose"] or None}
        if options["mosaiks"]:
            wanted |= {"scales": [1], "halves": "both"}
        return {name: value for name, value in wanted.items() if value is not None}

    def _filters_of(self, name: str | None) -> FeatureSet | None:
        if not name:
            return None
        project, _sign, slug = name.partition("/")
        found = FeatureSet.objects.filter(project__slug=project, slug=slug).first()
        if found is None:
            raise BadInput(f"--filters-of: there is no feature set {slug!r} in a project {project!r}.")
        return found

    def _say(self, feature_set: FeatureSet) -> None:
        self.stdout.write(
            f"{feature_set.slug}: {feature_set.n_cells} grid cells, {feature_set.n_without_imagery} without imagery,"
            f" {feature_set.n_columns} features each"
        )
        self.stdout.write(f"Content sha256 {feature_set.content_sha256}")
