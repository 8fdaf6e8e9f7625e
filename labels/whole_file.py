"""Files that are whole or absent, whatever is killed while they are written."""

import errno
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time

from django.utils.translation import gettext as _

from labels import disk
from labels.errors import LabelsError

ABANDONED_AFTER_S = 24 * 3600


class DiskFull(LabelsError):
    """No room for a file."""


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path to write to; its bytes are on the disk before they get the target's name. Raises DiskFull."""
    unfinished = target.with_name(f".{uuid.uuid4().hex}.{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clear_abandoned(target.parent)
        yield unfinished
        unfinished.chmod(0o600)
        disk.sync(unfinished)
        unfinished.replace(target)
        disk.sync(target.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(_("The disk of the server is full: nothing was kept. Make room and try again.")) from error
        raise
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _clear_abandoned(folder: Path) -> None:
    """Remove what a killed worker left half written: it may hold locations, and nobody will finish it."""
    for path in folder.glob(".*"):
        with suppress(FileNotFoundError):  # another worker has just renamed it
            if time() - path.stat().st_mtime > ABANDONED_AFTER_S:
                path.unlink()
