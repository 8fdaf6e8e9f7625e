"""Starts the process that opens hostile pictures, listens to it, and ends it (DESIGN decision 8)."""

import json
import logging
import os
import selectors
import signal
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import rasterio

from labels import isolation
from labels.errors import LabelsError
from labels.imagery.opening import ALLOWED_DRIVERS, ImageRefused

log = logging.getLogger(__name__)

MEMORY_MIB = 1536  # of address space; 20,000 x 20,000 pixels took 879, and 619 MiB of memory
CPU_S = 3600
FILE_MIB = 16 * 1024
LONGEST_ANSWER = 32 * 2**20
LISTEN_S = 1.0
STOPPED = "The picture's reader stopped: the file is damaged or needs too much memory."

Report = Callable[[str, int, int | None], None]


class ReaderFailed(LabelsError):
    """The reading process ended without an answer."""


def prepare(*, path: Path, roots: list[Path], folder: Path, report: Report) -> dict:
    """Prepare the picture at `path` as `folder`/prepared.tif and describe it.

    `report` is called at least every second with (stage, done, total); when it raises, the process is killed. Raises
    ImageRefused with the reason when the picture cannot be used.
    """
    request = {
        "path": str(path),
        "roots": [str(root) for root in roots],
        "folder": str(folder),
        "memory_mib": MEMORY_MIB,
        "cpu_s": CPU_S,
        "file_mib": FILE_MIB,
    }
    with tempfile.TemporaryFile() as errors:
        try:
            child = isolation.start("labels.imagery.child", request, environment=_environment(folder), errors=errors)
        except BrokenPipeError:
            raise ImageRefused(STOPPED) from None
        try:
            return _listen(child, report, errors)
        finally:
            isolation.end(child)


def _listen(child: subprocess.Popen, report: Report, errors) -> dict:
    """Pass progress on until the answer comes. What the child writes is not trusted further than its types."""
    os.set_blocking(child.stdout.fileno(), False)
    progress, pending = ("check", 0, None), b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            report(*progress)
            if not selector.select(timeout=LISTEN_S):
                continue
            chunk = os.read(child.stdout.fileno(), 2**16)
            if not chunk:
                raise _failure(child, errors)
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > LONGEST_ANSWER:
                raise ReaderFailed("The picture's reader answered without end.")
            for line in lines:
                answer = json.loads(line)
                if "refused" in answer:
                    raise ImageRefused(str(answer["refused"])[:500])
                if "result" in answer:
                    return answer["result"]
                progress = str(answer["stage"]), int(answer["done"]), answer["total"]
                report(*progress)


def _failure(child: subprocess.Popen, errors) -> LabelsError:
    """Why the process ended without an answer, as a sentence; the details go to the log."""
    code = child.wait(timeout=10)
    errors.seek(0)
    log.warning("The picture's reader ended with %s: %s", code, errors.read()[-2000:].decode(errors="replace"))
    if -code == signal.SIGXCPU or -code == signal.SIGKILL:
        return ImageRefused("The picture took more time or memory than a reader may have. Cut it into parts.")
    if -code == signal.SIGXFSZ:
        return ImageRefused("The prepared picture would be too large. Cut it into parts.")
    return ImageRefused(STOPPED)


def _environment(folder: Path) -> dict[str, str]:
    """Every driver is skipped that is not on the list."""
    return isolation.base_environment(folder) | {"GDAL_SKIP": _skipped_drivers()}


@cache
def _skipped_drivers() -> str:
    """GDAL knows only a list of drivers to leave out; the child checks that nothing else is left."""
    with rasterio.Env() as env:
        return ",".join(sorted(set(env.drivers()) - ALLOWED_DRIVERS))
