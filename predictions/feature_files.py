"""Features that people already have, such as those of the MOSAIKS service, from CSV, Parquet and Feather files.

A file of a stranger is opened by a process without network and with limits (`predictions.feature_child`); this side
starts it, checks what it left, and parses no format.
"""

import json
import logging
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labels import isolation
from labels.errors import BadInput
from labels.geo import BBox
from predictions.feature_tables import CELLS_FILE, FEATURES_FILE, MAX_COLUMNS, MAX_ROWS

log = logging.getLogger(__name__)

MEMORY_MIB = 2048  # of address space; a file of 4,000 columns took 600 MiB of memory
CPU_S = 3600
MAX_GIB = 8
ROOM = "asm_features_"
LONGEST_ANSWER, PIPE_BYTES = 2**20, 2**16


@dataclass(frozen=True)
class FeatureTable:
    # Column and row of the MOSAIKS grid, int32 (n, 2), each once, rows from the north, then columns from the west.
    cells: NDArray[np.int32]
    # Of those cells, float32 (n, n_columns), in the order of the columns' numbers; mapped from a file that goes when
    # the table is closed. A row without any feature is nan throughout.
    features: NDArray[np.float32]
    # As the file names them.
    columns: tuple[str, ...]
    # Columns that are neither a place nor a feature.
    ignored: tuple[str, ...]
    n_without_features: int


@contextmanager
def opened(
    path: Path,
    *,
    expected: BBox | None = None,
    folder: Path | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[FeatureTable]:
    """The features in a file, while the context lasts.

    Parameters
    ----------
    path : Path
        CSV, Parquet or Feather (version 2), told by its content. Columns: `lat` and `lon`, centres of 0.01 degree cells
        in degrees, or `image_id` as 'lat_8--505__lon_-11--995'; and features numbered without a gap from 0 or 1 behind
        `X_`, `x`, `feature_` or `features_`.
    expected : west, south, east, north, or None
        Where the project's country is: a file of which no cell lies there is refused.
    folder : Path or None
        Where there is room for the numbers, 4 bytes each; None: the system's folder for temporary files.
    tick : callable
        Called about once a second while the file is read; what it raises ends the reading.

    Raises
    ------
    BadInput
        A sentence with column, row (the header is row 1) and value where a cell is at fault.
    """
    with tempfile.TemporaryDirectory(prefix=ROOM, dir=folder) as room:
        yield _checked(Path(room), _asked(path, Path(room), expected, tick))


def clear_rooms(folder: Path) -> None:
    """Remove what killed workers left in a folder that nobody else reads into."""
    for room in folder.glob(f"{ROOM}*"):
        shutil.rmtree(room, ignore_errors=True)


def _asked(path: Path, room: Path, expected: BBox | None, tick: Callable[[], None]) -> dict:
    request = {
        "path": str(path.resolve()),
        "folder": str(room),
        "expected": expected and list(expected),
        "language": get_language() or settings.LANGUAGE_CODE,
        "memory_mib": MEMORY_MIB,
        "cpu_s": CPU_S,
        "max_bytes": MAX_GIB * 2**30,
    }
    with tempfile.TemporaryFile() as errors:
        environment = isolation.base_environment(room)
        try:
            child = isolation.start("predictions.feature_child", request, environment=environment, errors=errors)
        except BrokenPipeError:
            raise BadInput(_stopped()) from None
        try:
            answer = _answer_of(child, tick)
            if child.returncode:
                errors.seek(0)
                log.warning("The features' reader ended with %s: %r", child.returncode, errors.read()[-2000:])
                if -child.returncode in (signal.SIGXCPU, signal.SIGKILL):
                    raise BadInput(_too_much())
        finally:
            isolation.end(child)
    return _parsed(answer)


def _answer_of(child: subprocess.Popen, tick: Callable[[], None]) -> bytes:
    """Its one answer, read as it comes: with the names of many columns it is more than a pipe holds."""
    until, answer = time.monotonic() + 2 * CPU_S, bytearray()
    while time.monotonic() < until and len(answer) <= LONGEST_ANSWER:
        ready, _writable, _odd = select.select([child.stdout], [], [], 1)
        if not ready:
            tick()
        elif part := os.read(child.stdout.fileno(), PIPE_BYTES):
            answer += part
        else:
            return _ended(child, answer)
    raise BadInput(_too_much())


def _ended(child: subprocess.Popen, answer: bytearray) -> bytes:
    """It closed its answer, and has nothing left to do but end."""
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        raise BadInput(_stopped()) from None
    return bytes(answer)


def _parsed(answer: bytes) -> dict:
    try:
        told = json.loads(answer)
    except (ValueError, RecursionError):
        raise BadInput(_stopped()) from None
    if not isinstance(told, dict):
        raise BadInput(_stopped())
    if "refused" in told:
        raise BadInput(_printable(told["refused"])[:500])
    return told


def _checked(room: Path, told: dict) -> FeatureTable:
    """What the reader left, if it is what a reader in order would leave: only types are trusted."""
    columns, ignored = (tuple(_printable(name) for name in told.get(key) or []) for key in ("columns", "ignored"))
    n_rows = told.get("n_rows")
    if not isinstance(n_rows, int) or not 0 < n_rows <= MAX_ROWS or not 0 < len(columns) <= MAX_COLUMNS:
        raise BadInput(_stopped())
    try:
        cells = np.fromfile(room / CELLS_FILE, dtype="<i4").reshape(n_rows, 2)
        features = np.memmap(room / FEATURES_FILE, dtype="<f4", mode="r", shape=(n_rows, len(columns)))
    except (OSError, ValueError):
        raise BadInput(_stopped()) from None
    return FeatureTable(cells, features, columns, ignored, int(told.get("n_without_features") or 0))


def _printable(text: object) -> str:
    """What a database takes and a page shows: names in a file may hold anything, even NUL."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text))


def _stopped() -> str:
    return _("The file's reader stopped: the file is damaged or needs too much memory.")


def _too_much() -> str:
    return _("The file took more time or memory than a reader may have. Cut it into parts.")
