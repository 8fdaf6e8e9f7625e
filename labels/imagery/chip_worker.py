"""A process that reads chips of scenes: `python -m labels.imagery.chip_worker`. Knows no Django and no database.

It reads a line of JSON for each chip (`CellWork`) and answers with a line of JSON, then, where that says `ok`, the
pixels' bytes and a byte for each place that says whether a picture is there. It ends when its input does.
"""

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict

import numpy as np

from labels import isolation
from labels.imagery.chip_pixels import CellWork, ChipUnreadable, PreparedFile, compose

STOPPED = "The process that reads chips stopped; see the log."


class Worker:
    """The caller's side. One thread asks at a time."""

    def __init__(self):
        # The files are ours, but a process that needs no secret gets none.
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-m", "labels.imagery.chip_worker"],
            cwd=isolation.HOME,
            env=isolation.base_environment(tempfile.gettempdir()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def compose_all(self, works: list[CellWork]) -> list[tuple[np.ndarray, np.ndarray] | ChipUnreadable]:
        """As `chip_pixels.compose` of each, in the process, which is asked for all at once so that it never waits."""
        try:
            self._process.stdin.write(b"".join(json.dumps(asdict(work)).encode() + b"\n" for work in works))
            self._process.stdin.flush()
        except OSError:
            return [ChipUnreadable(STOPPED)] * len(works)
        return [self._answer(work) for work in works]

    def _answer(self, work: CellWork) -> tuple[np.ndarray, np.ndarray] | ChipUnreadable:
        try:
            answer = json.loads(self._process.stdout.readline() or b"{}")
            content = self._process.stdout.read(4 * work.px**2) if "ok" in answer else b""
        except (OSError, ValueError):
            return ChipUnreadable(STOPPED)
        if "ok" not in answer or len(content) != 4 * work.px**2:
            return ChipUnreadable(answer.get("unreadable", STOPPED))
        layers = np.frombuffer(bytearray(content), dtype="uint8").reshape(4, work.px, work.px)
        return layers[:3], layers[3].astype(bool)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with suppress(OSError):  # what a dead process was still to be told
            self._process.stdin.close()


def main() -> int:
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        files = tuple(PreparedFile(**file) for file in asked["files"])
        try:
            pixels, seen = compose(CellWork(tuple(asked["bounds"]), files, asked["px"]))
        except ChipUnreadable as error:
            _write(json.dumps({"unreadable": str(error)}).encode() + b"\n")
        else:
            _write(b'{"ok": true}\n', pixels.tobytes(), seen.astype("uint8").tobytes())
    return 0


def _write(*parts: bytes) -> None:
    for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
