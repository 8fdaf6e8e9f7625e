"""The folder that a picture is prepared in: beside the prepared files, held by one worker, kept when that is killed."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from uuid import uuid4

from django.conf import settings

from labels.errors import LabelsError

# What a killed worker left is gone on with by a retry, or removed by the next load after this long.
KEPT_S = 3 * 24 * 3600


@contextmanager
def work_folder(project_id: int, key: str) -> Iterator[Path]:
    """The folder for one picture of a project: empty, or as a killed attempt at the same picture left it.

    It goes when the work ends in a way that can be said: done, refused, cancelled, the disk full. It stays when the
    process is killed, interrupted or loses the database, so that finished stages are not lost.
    """
    parent = Path(settings.MEDIA_ROOT) / "imagery" / str(project_id)
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = parent / f".work-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    held = _hold(folder)
    if held is None:  # another worker, perhaps one that was given up on too early, is at it: work apart from it
        folder = parent / f".work-{uuid4().hex}"
        held = _hold(folder)
    _sweep(parent)
    try:
        yield folder
    except (LabelsError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(held)


def _hold(folder: Path, *, is_made: bool = True) -> int | None:
    """A handle that keeps every other process out of the folder until it is closed or its process dies."""
    if is_made:
        folder.mkdir(exist_ok=True, mode=0o700)
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last holder may have removed it between the opening and the lock.
        if folder.stat().st_ino == os.fstat(handle).st_ino:
            return handle
    except OSError:
        pass
    os.close(handle)
    return None


def _sweep(parent: Path) -> None:
    for left in parent.glob(".work-*"):
        try:
            is_old = left.lstat().st_mtime < time() - KEPT_S
        except OSError:
            continue
        held = _hold(left, is_made=False) if is_old else None
        if held is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)
