"""Draws the demonstration's imagery and takes it in, as queued jobs: one for each part of a source and date."""

import ctypes
import gc
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from labels import jobs
from labels.demonstration import loading_work
from labels.demonstration.recipe import RECIPES, Recipe
from labels.demonstration.scenes import SOURCES, SceneWriter
from labels.demonstration.scenes import Scene as PlannedScene
from labels.imagery import loading
from labels.models import ImagerySource, Job, Project, Scene

DRAWN_QUALITY = 92  # of the files given to the preparation, which compresses once more
RIGHTS = {"view": "may_view", "cache": "may_cache", "derive_labels": "may_derive_labels", "train": "may_train"}


def all_parameters(recipe: Recipe) -> list[dict]:
    """The parameters of each job, in the order in which the pictures should arrive."""
    return [
        {"recipe": recipe.name, "source": source, "on": on.isoformat(), "part": part}
        for source, on, part in recipe.all_parts()
    ]


def ask(project: Project, parameters: dict, *, requested_by) -> Job:
    n_parts = RECIPES[parameters["recipe"]].parts[parameters["source"]]
    which = f", {parameters['part'] + 1} of {n_parts}" if n_parts > 1 else ""
    subject = f"{_planned_source(parameters['source']).name}, {parameters['on']}{which}"
    return jobs.ask(
        project=project,
        kind=Job.Kind.DRAW_SCENES,
        subject=subject,
        requested_by=requested_by,
        parameters=parameters,
    )


def draw_scenes(job: jobs.RunningJob) -> dict:
    """Scenes that are there already are left alone, so that a job that was stopped goes on where it stopped."""
    recipe, on = RECIPES[job.parameters["recipe"]], date.fromisoformat(job.parameters["on"])
    planned = recipe.scenes_of(job.parameters["source"], on, job.parameters["part"])
    job.begin(_("drawing, in megapixels"), n_total=round(sum(map(megapixels, planned))))
    n_done = 0.0
    try:
        with _folder(job) as folder:
            for scene in planned:
                _bring(job, recipe, scene, folder, n_done)
                n_done += megapixels(scene)
        loading_work.ask_once_imagery_is_there(job.job.project, recipe)
    finally:
        _forget_if_last(recipe)
    return {"scenes": len(planned)}


def _bring(job: jobs.RunningJob, recipe: Recipe, scene: PlannedScene, folder: Path, n_done: float) -> None:
    """Draw one scene and load it, which takes about as long."""
    source, path = source_of(job.job.project, scene), folder / file_name(scene)
    if Scene.objects.filter(source=source, original_name=path.name).exists():
        return
    half = megapixels(scene) / 2

    def drawn(share: float) -> None:
        job.progress(round(n_done + half * share))

    def prepared(stage: str, n: int, n_total: int | None) -> None:
        job.progress(round(n_done + half + half * n / (n_total or 1)))

    _writer(recipe.name, scene.on).write(scene, path, quality=DRAWN_QUALITY, on_block=drawn)
    loading.add_picture(job, source, path, [folder], name=path.name, acquired=scene.on, report=prepared)
    path.unlink()


def megapixels(scene: PlannedScene) -> float:
    return scene.n_pixels / 1e6


def file_name(scene: PlannedScene) -> str:
    return f"{scene.ident}.tif"


@contextmanager
def _folder(job: jobs.RunningJob) -> Iterator[Path]:
    """An empty folder for this attempt's drawings; what earlier attempts left is cleared."""
    imagery = Path(settings.MEDIA_ROOT) / "imagery"
    for left in imagery.glob(f".drawn-{job.job.uuid}-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = imagery / f".drawn-{job.job.uuid}-{job.token}"
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _planned_source(slug: str):
    return next(source for source in SOURCES if source.slug == slug)


def source_of(project: Project, scene: PlannedScene) -> ImagerySource:
    """The scene's source; one that lies off its place has a source of its own, which carries the measured offset."""
    planned = _planned_source(scene.source)
    is_off = any(scene.offset_m)
    name = f"{planned.name}, displaced sheet" if is_off else planned.name
    may = {RIGHTS[right]: allowed for right, allowed in planned.may.items()}
    # The offset is what is added to a position read from the picture: the way back.
    east, north = (-float(metres) for metres in scene.offset_m)
    described = {"name": name, "attribution": planned.attribution, **may}
    if is_off:
        described |= {"offset_east_m": east, "offset_north_m": north}
    source, _ = ImagerySource.objects.get_or_create(project=project, slug=loading.slug_of(name), defaults=described)
    return source


@lru_cache(maxsize=1)
def _writer(recipe: str, on: date) -> SceneWriter:
    """A process draws one date after another; what a painter has worked out serves the next job too."""
    return SceneWriter(RECIPES[recipe].country)


def _forget_if_last(recipe: Recipe) -> None:
    """A painter holds hundreds of megabytes: no worker keeps it when it may not be asked to draw again."""
    waiting = Job.objects.filter(kind=Job.Kind.DRAW_SCENES, state=Job.State.QUEUED)
    if waiting.count() <= 1:  # another process takes the last
        _writer.cache_clear()
        recipe.forget()
        gc.collect()
        with suppress(OSError, AttributeError):  # only the GNU library keeps freed memory, and can be asked for it
            ctypes.CDLL("libc.so.6").malloc_trim(0)
