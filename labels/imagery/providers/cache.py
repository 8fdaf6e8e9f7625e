"""Tiles kept on disk, for as long and as many as the settings allow, and only where the rights allow.

A file's modification time is when it was fetched, its access time when it was last used (set by us: file systems need
not keep it). Names are hashes: a listing of the folder tells no place. Several processes share the folder: files appear
by renaming, and one process at a time clears up.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from threading import Lock, Thread
from time import time
from uuid import UUID

from django.conf import settings

from labels.imagery.providers.pictures import FORMATS, Picture

log = logging.getLogger(__name__)

FOLDER = "provider-tiles"
MARK = b"asm1"
BLANK_AGE_S = 24 * 3600  # a place without a picture may have one tomorrow
NOTE_USE_S = 3600
CLEAR_EVERY_BYTES = 64 * 2**20
KEEP_SHARE = 0.9

_written_lock = Lock()
_written_bytes = CLEAR_EVERY_BYTES  # the first tile that a process stores looks how full the folder is


def root() -> Path:
    return Path(settings.MEDIA_ROOT) / FOLDER


def folder_of(source: UUID) -> Path:
    return root() / str(source)


def name_of(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def recalled(source: UUID, name: str) -> Picture | None:
    """The kept tile, unless it is too old."""
    path = _path(source, name)
    try:
        with path.open("rb") as file:
            stat, head, content = os.fstat(file.fileno()), file.readline(100), file.read()
    except OSError:
        return None
    parts = head.decode("ascii", "replace").split()
    if len(parts) != 3 or parts[0] != MARK.decode() or parts[1] not in ("full", "partial", "none"):
        return None
    now = time()
    if now - stat.st_mtime > _age_s(parts[1]):
        return None
    if now - stat.st_atime > NOTE_USE_S:
        _note_use(path, now, stat.st_mtime)
    return Picture(content, parts[2] if parts[2] in FORMATS.values() else "", parts[1])


def keep(source: UUID, name: str, picture: Picture) -> None:
    """Store a tile; a full disk costs us the copy, not the tile."""
    head = b" ".join([MARK, picture.shows.encode(), (picture.content_type or "-").encode()]) + b"\n"
    path = _path(source, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, head + picture.content)
    except OSError as error:
        log.warning("A tile of a provider could not be kept: %s.", error.strerror)
        return
    _count(len(head) + len(picture.content))


def _write(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)  # a full disk is not filled by halves of tiles
        raise


def forget(source: UUID) -> None:
    """Drop every kept tile of a source."""
    shutil.rmtree(folder_of(source), ignore_errors=True)


def forget_all_but(sources: Collection[UUID]) -> int:
    """Drop the tiles of every source that is not among these; the number of folders removed."""
    kept = {str(source) for source in sources}
    gone = [folder for folder in root().glob("*-*-*-*-*") if folder.name not in kept]
    for folder in gone:
        shutil.rmtree(folder, ignore_errors=True)
    return len(gone)


def _path(source: UUID, name: str) -> Path:
    return folder_of(source) / name[:2] / name[2:]


def _age_s(shows: str) -> float:
    longest = settings.PROVIDER_CACHE_DAYS * 86_400
    return min(longest, BLANK_AGE_S) if shows == "none" else longest


def _note_use(path: Path, now: float, fetched: float) -> None:
    try:
        os.utime(path, (now, fetched))
    except OSError:
        return  # cleared meanwhile


def _count(n_bytes: int) -> None:
    global _written_bytes
    with _written_lock:
        _written_bytes += n_bytes
        is_due = _written_bytes >= CLEAR_EVERY_BYTES
        if is_due:
            _written_bytes = 0
    if is_due:
        Thread(target=clear, name="provider-tiles", daemon=True).start()


def clear() -> int:
    """Remove what is too old, then what was used longest ago until the rest fits; the number of files removed."""
    folder = root()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / ".clearing").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return 0  # another process is at it
        return _clear(folder)


def _clear(folder: Path) -> int:
    oldest, files, n_removed = time() - settings.PROVIDER_CACHE_DAYS * 86_400, [], 0
    for path in folder.glob("*/*/*"):
        try:
            stat = path.stat()
        except OSError:
            continue
        if stat.st_mtime < oldest:
            n_removed += _remove(path)
        else:
            files.append((stat.st_atime, stat.st_size, path))
    total = sum(size for _, size, _ in files)
    if total <= settings.PROVIDER_CACHE_BYTES:
        return n_removed
    for _used, size, path in sorted(files, key=lambda file: file[0]):
        if total <= settings.PROVIDER_CACHE_BYTES * KEEP_SHARE:
            break
        total -= size
        n_removed += _remove(path)
    return n_removed


def _remove(path: Path) -> int:
    try:
        path.unlink()
    except OSError:
        return 0
    return 1
