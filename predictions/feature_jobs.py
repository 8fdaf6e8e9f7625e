"""A feature set and whatever is done to it: by a job, which takes it over, and by a person, who takes it away."""

import shutil
from contextlib import suppress
from pathlib import Path
from time import time

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labels import access, jobs
from labels.errors import BadInput, Conflict, NotAllowed
from labels.models import Project
from predictions.models import FeatureSet, RetrainingRule

# In the folder of a set that is being taken away. With its row gone, the folder goes too, whoever comes by next.
GOING = "going"
# What is older than this belongs to nobody who is still at it.
LEFT_AFTER_S = 24 * 3600


@transaction.atomic
def set_of(running: jobs.RunningJob) -> FeatureSet:
    """The set that the job makes or reads, the job's own from here on: asked for again it is another job.

    Raises NotAllowed where who asked may no longer, BadInput where the set is gone, Conflict while another is at it.
    """
    job = running.job
    if job.requested_by and not access.can(job.requested_by, "make_features", job.project):
        raise NotAllowed(_("You may no longer make features in this project."))
    # The job is read after the lock: whoever waited for a row finds nothing joined to it where its job has changed.
    sets = FeatureSet.objects.select_for_update(of=("self",)).select_related("source__project", "area")
    found = sets.filter(project=job.project, uuid=running.parameters["feature_set"]).first()
    if found is None:
        raise BadInput(_("This feature set is gone."))
    before = found.job
    if before is not None and before.pk != job.pk and not before.is_over:
        raise Conflict(_("Another job is making these features."))
    found.job = job
    found.save(update_fields=["job"])
    return found


# ---- taking one away ----


def check_there(feature_set: FeatureSet) -> None:
    """For whoever rests something on a set, with the project's row locked: a set that was read before may be gone."""
    if not FeatureSet.objects.filter(pk=feature_set.pk).exists():
        raise BadInput(_("This feature set is gone."))


def why_kept(feature_set: FeatureSet) -> str:
    """Why a set cannot be taken away, as a sentence; empty where it can."""
    if feature_set.job is not None and not feature_set.job.is_over:
        return _("These features are being made: stop that first.")
    if n_runs := feature_set.runs.count():
        said = ngettext(
            "%(n)d training run learned from these features: they stay as long as it does.",
            "%(n)d training runs learned from these features: they stay as long as those do.",
            n_runs,
        )
        return said % {"n": n_runs}
    if RetrainingRule.objects.filter(feature_set=feature_set).exists():
        return _("The retraining rule trains on these features: give it others first.")
    if FeatureSet.objects.filter(options__filters_of=str(feature_set.uuid), content_sha256="").exists():
        return _("Other features are to be made with the filters of these: finish or delete those first.")
    return ""


def delete(feature_set: FeatureSet, *, by) -> None:
    """Take a set away with its files, in the name of a person.

    The folder is marked, the row goes, the folder goes. Killed before the row went, the set is as it was; killed
    after, `clear_left` ends it.

    Raises NotAllowed where the person may not, Conflict where it is under way or something rests on it.
    """
    if not access.can(by, "make_features", feature_set.project):
        raise NotAllowed(_("You may not make features in this project."))
    with transaction.atomic():
        # Whoever starts a run or sets a rule holds this too, so that nothing comes to rest on what is going.
        Project.objects.select_for_update(no_key=True).get(pk=feature_set.project_id)
        sets = FeatureSet.objects.select_for_update(of=("self",)).select_related("project")  # its job: see `set_of`
        locked = sets.filter(pk=feature_set.pk).first()
        if locked is None:  # of a button pressed twice
            return
        if why := why_kept(locked):
            raise Conflict(why)
        if locked.folder.is_dir():
            (locked.folder / GOING).touch(mode=0o600)
        access.note_access(by, locked.project, "delete_features", f"{locked.name} {locked.uuid}", locked.n_cells)
        locked.delete()
    shutil.rmtree(locked.folder, ignore_errors=True)


def clear_left() -> None:
    """Remove what killed processes left behind: folders of sets that were taken away, chunks nobody puts together."""
    for folder in (Path(settings.MEDIA_ROOT) / "features").glob("*/"):
        with suppress(OSError, ValidationError):  # another worker clears it too; it is no folder of ours
            _clear(folder)


def _clear(folder: Path) -> None:
    marker = folder / GOING
    chunks = [path for path in folder.glob("chunk-*.npz") if _is_left(path)]
    if not marker.exists() and not chunks:
        return
    feature_set = FeatureSet.objects.filter(uuid=folder.name).first()
    if feature_set is None and marker.exists():
        shutil.rmtree(folder, ignore_errors=True)
        return
    if marker.exists() and _is_left(marker):  # killed before its row went: it stays
        marker.unlink(missing_ok=True)
    if feature_set is None or feature_set.is_ready:
        for path in chunks:
            path.unlink(missing_ok=True)
    if feature_set is None:
        folder.rmdir()  # refused where anything else lies there


def _is_left(path: Path) -> bool:
    return time() - path.stat().st_mtime > LEFT_AFTER_S
