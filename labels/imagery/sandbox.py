"""Starts the process that opens hostile pictures, listens to it, and ends it (DESIGN decision 8)."""

import json
import logging
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path

import rasterio

from labels import isolation
from labels.errors import LabelsError
from labels.imagery.opening import ALLOWED_DRIVERS, ImageRefused
from labels.imagery.preparation import PREPARED, WARPED
from labels.imagery.stages import Marks
from labels.imagery.wishes import Wish

log = logging.getLogger(__name__)

MEMORY_MIB = 1536  # of address space; 20,000 x 20,000 pixels took 879, and 619 MiB of memory
CPU_S = 3600
FILE_MIB = 16 * 1024
LONGEST_ANSWER = 32 * 2**20
LISTEN_S = 1.0
FREE_BYTES = 256 * 2**20  # left on the disk beside what a stage may need
STOPPED = "The picture's reader stopped: the file is damaged or needs too much memory."

Report = Callable[[str, int, int | None], None]


class ReaderFailed(LabelsError):
    """The reading process ended without an answer."""


class NoRoom(LabelsError):
    """The disk has less free space than the next stage may need."""

    def __init__(self, stage: str, needed: int, free: int):
        super().__init__(f"The stage {stage} needs {needed / 1e9:.1f} GB of disk; {free / 1e9:.1f} GB are free.")
        self.needed, self.free = needed, free


def prepare(
    *,
    path: Path,
    roots: list[Path],
    folder: Path,
    report: Report,
    wish: Wish = Wish(),  # noqa: B008  frozen
    has_sidecars: bool = False,
    marks: Marks | None = None,
    check_original: Callable[[], None] = lambda: None,
) -> dict:
    """Prepare the picture at `path` as `folder`/prepared.tif (and its false colours) and describe it.

    With `marks`, stages that an earlier attempt finished are not done again, and those finished now are marked;
    `check_original` is asked before that and raises where the original is no longer what the marks say. `report` is
    called at least every second with (stage, done, total); when it raises, the process is killed. Raises ImageRefused
    with the reason when the picture cannot be used, NoRoom when the disk is too full for the next stage.
    """

    def alive(n_bytes: int) -> None:
        report("check", 0, None)

    written = marks and marks.content("write", alive)
    if written:
        return written
    checked, is_warped = None, False
    if marks:
        checked = marks.content("warp", alive)
        is_warped = checked is not None
        checked = checked or marks.content("check", alive)
        marks.keep_only(("check", "warp", *WARPED) if is_warped else ("check",) if checked else ())
    request = {
        "path": str(path),
        "roots": [str(root) for root in roots],
        "folder": str(folder),
        "wish": asdict(wish),
        "has_sidecars": has_sidecars,
        "checked": checked,
        "is_warped": is_warped,
        "memory_mib": MEMORY_MIB,
        "cpu_s": CPU_S,
        "file_mib": FILE_MIB,
    }
    stages = _Stages(folder, marks, check_original, checked)
    if checked:
        stages.check_room("write" if is_warped else "warp")
    answer = _ask(request, folder, report, stages)
    for name in WARPED:
        (folder / name).unlink(missing_ok=True)
    if marks:
        made = [name for name in PREPARED if (folder / name).exists()]
        marks.set("write", made, answer, lambda n_bytes: report("write", 1, 1))
    return answer


def _ask(request: dict, folder: Path, report: Report, stages: "_Stages") -> dict:
    with tempfile.TemporaryFile() as errors:
        try:
            child = isolation.start("labels.imagery.child", request, environment=_environment(folder), errors=errors)
        except BrokenPipeError:
            raise ImageRefused(STOPPED) from None
        try:
            return _listen(child, report, stages, errors)
        finally:
            isolation.end(child)


class _Stages:
    """What the parent does when the child has finished a stage and goes on with the next."""

    def __init__(self, folder: Path, marks: Marks | None, check_original: Callable[[], None], checked: dict | None):
        self.folder, self.marks, self.check_original, self.checked = folder, marks, check_original, checked

    def finished(self, answer: dict, alive: Callable[[int], None]) -> None:
        if answer["finished"] == "check":
            self.checked = {name: answer[name] for name in ("plan", "facts", "n_bytes")}
            self.check_room("warp")
            if self.marks:
                self.marks.set("check", [], self.checked, alive)
            return
        self.check_original()
        self.check_room("write")
        if self.marks:
            self.marks.set("warp", [name for name in answer["files"] if name in WARPED], self.checked, alive)

    def check_room(self, stage: str) -> None:
        """Room for the stage at its worst, beside what is there: measured in docs/imagery.md."""
        if stage == "warp":
            needed = int(self.checked["n_bytes"])
        else:
            warped = sum(path.stat().st_size for path in self.folder.glob("warped*.tif"))
            needed = warped if self.checked["plan"]["kind"] == "photograph" else 2 * warped
        free = shutil.disk_usage(self.folder).free
        if free < needed + FREE_BYTES:
            raise NoRoom(stage, needed + FREE_BYTES, free)


def _listen(child: subprocess.Popen, report: Report, stages: _Stages, errors) -> dict:
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
                if "finished" in answer:
                    stages.finished(answer, lambda n_bytes, progress=progress: report(*progress))
                    continue
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
