"""Workbooks, shapefiles, GeoPackages and KML, read by a process without network and with limits (DESIGN decision 8)."""

import json
import logging
import os
import selectors
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

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


def answers(path: Path, kind: str, sheet: str, *, with_rows: bool) -> Iterator[dict]:
    """What `labels.ingest.child` says about the file; its process ends when this generator does."""
    with tempfile.TemporaryDirectory(prefix="asm_register_") as folder, tempfile.TemporaryFile() as errors:
        request = {
            "path": str(path.resolve()),
            "kind": kind,
            "sheet": sheet,
            "with_rows": with_rows,
            "folder": folder,
            "drivers": _drivers(),
            "memory_mib": MEMORY_MIB,
            "cpu_s": CPU_S,
            "file_mib": MAX_UNPACKED_MIB,
            "unpacked_mib": MAX_UNPACKED_MIB,
        }
        try:
            child = isolation.start(
                "labels.ingest.child", request, environment=isolation.base_environment(Path(folder)), errors=errors
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
    """Each line of the child. It is not trusted further than its types."""
    os.set_blocking(child.stdout.fileno(), False)
    pending = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(timeout=SILENCE_S):
                raise BadInput(_("The file took more time or memory than a reader may have. Cut it into parts."))
            chunk = os.read(child.stdout.fileno(), 2**18)
            if not chunk:
                _check_end(child, errors)
                return
            pending += chunk
            if len(pending) > LONGEST_ANSWER:
                raise BadInput(_stopped())
            if b"\n" not in chunk:
                continue
            *lines, rest = pending.split(b"\n")
            pending = bytearray(rest)
            for line in lines:
                yield _checked(_parsed(line))


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
