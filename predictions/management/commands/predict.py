"""Writes the map of a training run as a GeoTIFF: of its own area, or of other features made with the same filters."""

import os
import shutil
import uuid
from pathlib import Path

import numpy as np
from django.core.management.base import CommandParser

from labels.access import note_access
from labels.errors import BadInput
from labels.management.progress import ProjectCommand, printer
from labels.models import Project
from predictions import elsewhere, mapping, rasters, storage
from predictions.models import FeatureSet, TrainingRun

AT_ONCE = 50_000


class Command(ProjectCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--run", type=int, metavar="N", help="its number; default: the current one, else the last")
        parser.add_argument("--of", metavar="P", help="the project of the run, where it is another one")
        parser.add_argument(
            "--features", metavar="F", help="short name of another feature set of this project to score"
        )
        parser.add_argument("--out", required=True, metavar="FILE", help="where to write; an existing file is replaced")

    def work(self, project: Project, options: dict) -> None:
        out = Path(options["out"])
        if out.is_dir() or not os.access(out.absolute().parent, os.W_OK):
            raise BadInput(f"--out {out}: name a file in a folder that can be written to.")
        run = self._run(project, options)
        features = self._features(project, run, options["features"])
        unfinished = out.with_name(f".{uuid.uuid4().hex}.{out.name}")
        try:
            if features.pk == run.feature_set_id:
                self._own(run, unfinished)
            else:
                self._other(run, features, unfinished)
            unfinished.replace(out)
        except OSError as error:
            raise BadInput(f"--out {out}: {error.strerror}.") from error
        finally:
            unfinished.unlink(missing_ok=True)
        note_access(None, project, "download_map", f"run {run.number} of {run.project.slug}", features.n_cells)
        self.stdout.write(f"{out}: {features.n_cells} grid cells of {features.slug} by training run {run.number}")

    def _own(self, run: TrainingRun, out: Path) -> None:
        path = run.folder / mapping.MAP
        if not path.is_file():
            printer(self.stderr)("drawing the map", 0, None)
            path = mapping.write_map(run, threshold=run.figures.get("threshold"))
        shutil.copyfile(path, out)

    def _other(self, run: TrainingRun, feature_set: FeatureSet, out: Path) -> None:
        """Scores alone: what a score comes to elsewhere is not known, and nothing there was held out."""
        elsewhere.check(None, run, feature_set)
        features, show = storage.load_features(feature_set), printer(self.stderr)
        score = np.full(len(features), np.nan, np.float32)
        known = np.flatnonzero(features.is_known)
        for start in range(0, len(known), AT_ONCE):
            part = known[start : start + AT_ONCE]
            score[part] = elsewhere.scores(run, np.asarray(features.features[part]))[:, mapping.ARTISANAL]
            show("scoring", start + len(part), len(known))
        rasters.write_raster(out, features.cells, [rasters.Band(mapping.BANDS[0].partition(" (")[0], score)])

    def _run(self, project: Project, options: dict) -> TrainingRun:
        of = project
        if options["of"]:
            of = Project.objects.filter(slug=options["of"]).first()
            if of is None:
                raise BadInput(f"--of: there is no project {options['of']!r}.")
        done = of.training_runs.exclude(content_sha256="").select_related("feature_set", "project")
        wanted = done.filter(number=options["run"]) if options["run"] else done.order_by("-is_current", "-number")
        if (run := wanted.first()) is None:
            raise BadInput("--run: no such training run is done; see the command train.")
        return run

    def _features(self, project: Project, run: TrainingRun, slug: str | None) -> FeatureSet:
        if not slug:
            if run.project_id != project.pk:
                raise BadInput("--features: name the feature set of this project that is to be scored.")
            return run.feature_set
        found = project.feature_sets.exclude(content_sha256="").filter(slug=slug).first()
        if found is None:
            raise BadInput(f"--features: this project has no feature set {slug!r} that is ready.")
        return found
