"""torchgeo's random convolutional features, in a process of an environment of its own, asked one chip at a time."""

import json
import os
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
# Where torch comes without the libraries of accelerators, which are gigabytes.
TORCH = ("--extra-index-url", "https://download.pytorch.org/whl/cpu", "torch==2.13.0+cpu", "numpy")
# torchvision, lightning, timm and others that torchgeo wants have no part in the class that is measured, and
# torchvision comes for accelerators only: see _torchgeo_app.
TORCHGEO = ("--no-deps", "torchgeo==0.8.1")


class ReferenceMissing(Exception):
    """What the bench compares with cannot be had."""


class Torchgeo:
    def __init__(self, child: subprocess.Popen):
        self._child = child

    def ask(self, **request) -> dict:
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise ReferenceMissing("torchgeo's process ended; its own words are above.")
        return json.loads(line)


@contextmanager
def torchgeo(folder: Path, chip: np.ndarray) -> Iterator[Torchgeo]:
    """`ask(filters=path)` loads a bank, `ask(forward=True)` times one forward pass of the chip."""
    np.save(folder / "chip.npy", chip)
    child = subprocess.Popen(
        [python(), "-m", "tests.bench._torchgeo_app", str(folder / "chip.npy")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Torchgeo(child)
    finally:
        child.stdin.close()
        child.wait(timeout=60)


def python() -> Path:
    """The environment's interpreter; made when first needed."""
    folder = Path(os.environ.get("TORCHGEO_VENV", ROOT / ".dev" / "torchgeo"))
    found = folder / "bin" / "python"
    if found.exists() and not subprocess.run([found, "-m", "tests.bench._torchgeo_app"], cwd=ROOT).returncode:
        return found
    print("installing torch and torchgeo, once", flush=True)
    venv.create(folder, with_pip=True, clear=folder.exists() and "TORCHGEO_VENV" not in os.environ)
    for packages in (TORCH, TORCHGEO):
        done = subprocess.run([found, "-m", "pip", "install", "--quiet", *packages], capture_output=True, text=True)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise ReferenceMissing(f"torchgeo cannot be installed ({why}); this bench compares with it.")
    return found
