"""Uploaded pictures wait here until their job has read them."""

from pathlib import Path
from time import time

from django.conf import settings

from labels.imagery.work_folder import KEPT_S
from labels.models import Job

FOLDER = "uploads"


def folder() -> Path:
    return Path(settings.MEDIA_ROOT) / FOLDER


def sweep() -> None:
    """Remove what no queued or running job names and nobody retried for as long as work folders are kept."""
    old = [path for path in folder().glob("*") if _is_old(path)]
    if not old:
        return
    open_jobs = Job.objects.filter(kind=Job.Kind.LOAD_IMAGERY, state__in=(Job.State.QUEUED, Job.State.RUNNING))
    waiting = {file["path"] for job in open_jobs for file in job.parameters.get("files", [])}
    for path in old:
        if f"{FOLDER}/{path.name}" not in waiting:
            path.unlink(missing_ok=True)


def _is_old(path: Path) -> bool:
    try:
        return path.is_file() and path.lstat().st_mtime < time() - KEPT_S
    except OSError:
        return False
