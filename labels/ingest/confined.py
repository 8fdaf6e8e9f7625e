"""Files of strangers, read by a process of its own without network and with limits (docs/security.md).

No format is parsed here: this side starts `labels.ingest.child`, listens to it and ends it.
"""

import json
import logging
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from labels import isolation
from labels.errors import BadInput

log = logging.getLogger(__name__)

MEMORY_MIB = 2048  # of address space; a workbook or GeoPackage of 50,000 rows took 270 MiB of memory
CPU_S = 1800
MAX_UNPACKED_MIB = 1024
SILENCE_S = 300
LONGEST_ANSWER = 64 * 2**20


class SheetAsked(BadInput):
    """The file holds several tables: one has to be chosen."""

    def __init__(self, sheets: list[str]):
        words = _("The file holds several tables: %(names)s. Say which one (sheet=…).")
        super().__init__(words % {"names": ", ".join(sheets)})
        self.sheets = sheets


@dataclass(frozen=True)
class Question:
    """What is asked of the reading process about a file; see labels.ingest.child for the tasks."""

    path: Path
    sheet: str = ""
    # The head of the file tells whether GDAL is needed.
    is_for_gdal: bool = False

    def ask(self, task: str, *, n_rows: int | None = None, **more: object) -> Iterator[dict]:
        """Each answer of a process of its own, which ends when this generator does."""
        with tempfile.TemporaryDirectory(prefix="asm_register_") as folder, tempfile.TemporaryFile() as errors:
            request = {
                "task": task,
                "path": str(self.path.resolve()),
                "sheet": self.sheet,
                "n_rows": n_rows,
                "language": get_language() or settings.LANGUAGE_CODE,
                "folder": folder,
                "drivers": _drivers() if self.is_for_gdal else [],
                "memory_mib": MEMORY_MIB,
                "cpu_s": CPU_S,
                "file_mib": MAX_UNPACKED_MIB,
                "unpacked_mib": MAX_UNPACKED_MIB,
            }
            try:
                child = isolation.start(
                    "labels.ingest.child",
                    request | more,
                    environment=isolation.base_environment(Path(folder)),
                    errors=errors,
                )
            except BrokenPipeError:
                raise BadInput(_stopped()) from None
            try:
                yield from _listen(child, errors)
            finally:
                isolation.end(child)


@cache
def _drivers() -> list[str]:
    import pyogrio

    return sorted(pyogrio.list_drivers())


def _listen(child: subprocess.Popen, errors) -> Iterator[dict]:
    """Each answer of the child: a line of JSON, and the bytes it announces. Only its types are trusted."""
    pipe = _Pipe(child)
    is_over = False
    while (line := pipe.line()) is not None:
        answer = _checked(_parsed(line))
        is_over = "end" in answer
        if is_over:
            break
        if "bytes" in answer:
            answer["data"] = pipe.exactly(answer["bytes"])
        yield answer
    _check_end(child, errors)
    if not is_over:
        raise BadInput(_("The file's reader stopped before the end of the table."))


class _Pipe:
    """The child's output with limits on silence and on size."""

    def __init__(self, child: subprocess.Popen):
        self.file = child.stdout.fileno()
        self.pending = bytearray()
        os.set_blocking(self.file, False)

    def line(self) -> bytes | None:
        """The next line without its end; None where the child has nothing more to say."""
        looked = 0
        while (end := self.pending.find(b"\n", looked)) < 0:
            looked = len(self.pending)
            if looked > LONGEST_ANSWER:
                raise BadInput(_stopped())
            if not self._read():
                if self.pending:
                    self.pending.clear()
                return None
        line = bytes(self.pending[:end])
        del self.pending[: end + 1]
        return line

    def exactly(self, n: object) -> bytes:
        if not isinstance(n, int) or not 0 <= n <= LONGEST_ANSWER:
            raise BadInput(_stopped())
        while len(self.pending) < n:
            if not self._read():
                raise BadInput(_stopped())
        data = bytes(self.pending[:n])
        del self.pending[:n]
        return data

    def _read(self) -> bool:
        if not select.select([self.file], [], [], SILENCE_S)[0]:
            raise BadInput(_("The file took more time or memory than a reader may have. Cut it into parts."))
        chunk = os.read(self.file, 2**20)
        self.pending += chunk
        return bool(chunk)


def _parsed(line: bytes) -> dict:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(_stopped()) from error
    if not isinstance(answer, dict):
        raise BadInput(_stopped())
    return answer


def _checked(answer: dict) -> dict:
    if "refused" in answer:
        raise BadInput(str(answer["refused"])[:500])
    if "sheets" in answer:
        raise SheetAsked([str(sheet) for sheet in answer["sheets"]][:100])
    return answer


def _check_end(child: subprocess.Popen, errors) -> None:
    code = child.wait(timeout=10)
    if code == 0:
        return
    errors.seek(0)
    log.warning("The register's reader ended with %s: %s", code, errors.read()[-2000:].decode(errors="replace"))
    if -code in (signal.SIGXCPU, signal.SIGKILL):
        raise BadInput(_("The file took more time or memory than a reader may have. Cut it into parts."))
    raise BadInput(_stopped())


def _stopped() -> str:
    return _("The file's reader stopped: the file is damaged or needs too much memory.")
