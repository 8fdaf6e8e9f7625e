"""Feature sets from files that people have: kept in a private place until a job has read them."""

import hashlib
from pathlib import Path
from time import time

import numpy as np
from django.conf import settings
from django.contrib.gis.db.models import Extent
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labels import jobs
from labels.errors import BadInput
from labels.geo import BBox
from labels.models import Job, Project, ReferenceArea
from labels.models.areas import AreaKind
from labels.whole_file import whole_file
from predictions import feature_files, feature_jobs, storage
from predictions.models import FeatureSet
from predictions.storage import Streamed

UPLOAD = "upload"
RESERVED = {"new", "import"}  # pages beside those of feature sets (predictions.urls)
KEPT_S = 7 * 24 * 3600
ROWS_AT_ONCE = 2048


def ask_import(project: Project, *, file: UploadedFile | Path, name: str = "", by=None) -> FeatureSet:
    """A feature set from a file of features by grid cell, and the job that reads it.

    `file` comes from a browser, and is kept under a name of ours until it has been read; or is a path on the server,
    which stays where it is. BadInput where it is too large or not there.
    """
    feature_set, parameters = prepared(project, file=file, name=name, by=by)
    with transaction.atomic():
        save_named(feature_set)
        feature_set.job = jobs.ask(
            project=project,
            kind=Job.Kind.IMPORT_FEATURES,
            subject=feature_set.name,
            requested_by=by,
            parameters=parameters,
        )
        feature_set.save(update_fields=["job"])
    return feature_set


def prepared(project: Project, *, file: UploadedFile | Path, name: str = "", by=None) -> tuple[FeatureSet, dict]:
    """The row of a feature set, not saved, and its job's parameters; an upload is kept by now."""
    is_upload = not isinstance(file, Path)
    original = Path(file.name).name[:200]
    name = (name or Path(original).stem)[:120]
    feature_set = FeatureSet(
        project=project,
        slug=free_slug(project, name),
        name=name,
        kind=FeatureSet.Kind.IMPORTED,
        original_name=original,
        made_by=by,
    )
    parameters = {"feature_set": str(feature_set.uuid)}
    if is_upload:
        _keep(file, feature_set)
    elif file.is_file():
        parameters["path"] = str(file.resolve())
    else:
        raise BadInput(_("There is no file %(file)s.") % {"file": file})
    return feature_set, parameters


def save_named(feature_set: FeatureSet) -> None:
    """Save a new set, under another short name where somebody has taken its own since it was prepared."""
    Project.objects.select_for_update(no_key=True).get(pk=feature_set.project_id)
    feature_set.slug = free_slug(feature_set.project, feature_set.name)
    feature_set.save()


def free_slug(project: Project, name: str) -> str:
    """A short name that no other feature set of the project has."""
    base = slugify(name)[:50] or "features"
    taken = RESERVED | set(project.feature_sets.filter(slug__startswith=base).values_list("slug", flat=True))
    return next(slug for slug in (base, *(f"{base}-{n}" for n in range(2, len(taken) + 3))) if slug not in taken)


def _keep(file: UploadedFile, feature_set: FeatureSet) -> None:
    limit = settings.UPLOAD_LIMIT_IMAGERY
    if file.size > limit:
        raise BadInput(
            _("The file has %(size)d MiB; at most %(limit)d MiB can be sent here. Use the command featurize --import.")
            % {"size": file.size >> 20, "limit": limit >> 20}
        )
    _discard_forgotten()
    with whole_file(feature_set.folder / UPLOAD) as path, path.open("xb") as target:
        for chunk in file.chunks():
            target.write(chunk)


def _discard_forgotten() -> None:
    """Uploads of last week that no unfinished job reads."""
    waiting = Job.objects.filter(kind=Job.Kind.IMPORT_FEATURES, state__in=[Job.State.QUEUED, Job.State.RUNNING])
    in_use = {str(uuid) for uuid in waiting.values_list("parameters__feature_set", flat=True)}
    for path in (Path(settings.MEDIA_ROOT) / "features").glob(f"*/{UPLOAD}"):
        if path.parent.name not in in_use and path.stat().st_mtime < time() - KEPT_S:
            path.unlink(missing_ok=True)


@jobs.work(Job.Kind.IMPORT_FEATURES)
def read(running: jobs.RunningJob) -> dict:
    """Parameters: `feature_set`, its uuid, and `path` where the file was not sent by a browser."""
    feature_set = feature_jobs.set_of(running)
    if not feature_set.is_ready:
        running.begin(_("reading the file"))
        path = Path(running.parameters.get("path") or feature_set.folder / UPLOAD)
        if not path.is_file():
            raise BadInput(_("The file is gone: send it again."))
        feature_set.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        feature_files.clear_rooms(feature_set.folder)
        expected = _extent_of(feature_set.project)
        tick = lambda: running.progress(0)  # noqa: E731  raises where somebody cancelled
        with feature_files.opened(path, expected=expected, folder=feature_set.folder, tick=tick) as table:
            _publish(running, feature_set, table)
    (feature_set.folder / UPLOAD).unlink(missing_ok=True)
    return {"feature_set": feature_set.slug, "n_cells": feature_set.n_cells, "sentence": _said(feature_set)}


def _extent_of(project: Project) -> BBox | None:
    """Where the project's areas are; None before any are loaded."""
    areas = ReferenceArea.objects.filter(
        layer__project=project, layer__kind=AreaKind.ADMIN, layer__retired_at__isnull=True
    )
    return areas.aggregate(extent=Extent("geometry"))["extent"]


def _publish(running: jobs.RunningJob, feature_set: FeatureSet, table: feature_files.FeatureTable) -> None:
    n, n_columns = table.features.shape
    running.begin(_("putting features together"), n_total=n)
    missing = np.zeros(n, np.float32)

    def blocks():
        for start in range(0, n, ROWS_AT_ONCE):
            block = np.asarray(table.features[start : start + ROWS_AT_ONCE])
            # A cell of which one number is missing can be neither learned from nor scored.
            missing[start : start + ROWS_AT_ONCE] = ~np.isfinite(block).all(axis=1)
            running.progress(start)
            yield block

    nothing = np.full((n, 3), np.nan, np.float32)
    sha256 = storage.write_arrays(
        feature_set.folder / storage.FEATURES,
        cells=table.cells,
        features=Streamed(np.dtype(np.float32), (n, n_columns), blocks()),
        means=nothing,
        missing=missing,  # filled by then: entries are written in the order of their names
        stds=nothing,
    )
    with transaction.atomic():
        running.still_mine()
        feature_set.content_sha256, feature_set.n_cells, feature_set.n_columns = sha256, n, n_columns
        feature_set.n_without_imagery = int(missing.sum())
        # Sets of the same columns can be scored by one model.
        columns = hashlib.sha256("\n".join(table.columns).encode()).hexdigest()
        feature_set.options = {"columns": columns}
        if table.ignored:
            feature_set.note = _("Columns that were not read: %(columns)s.") % {"columns": ", ".join(table.ignored)}
        feature_set.save()


def _said(feature_set: FeatureSet) -> str:
    n = feature_set.n_cells
    said = ngettext("Features of %(n)d grid cell were read.", "Features of %(n)d grid cells were read.", n) % {"n": n}
    if feature_set.n_without_imagery:
        without = ngettext("%(n)d has none.", "%(n)d have none.", feature_set.n_without_imagery)
        said += " " + without % {"n": feature_set.n_without_imagery}
    return said
