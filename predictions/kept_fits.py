"""Fits from one run to the next: what no label enters lies beside the features it was made of.

A run whose cells, weights and blocks are those of an earlier one decomposes nothing and leaves nothing out anew.
Whatever is missing or damaged here is made again: the folder may be emptied at any time.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from labels.whole_file import DiskFull
from predictions import storage
from predictions.classifier import Kept
from predictions.run_files import code_version
from predictions.run_inputs import Material
from predictions.storage import Streamed
from predictions.validation import Problem

FOLDER = "fits"
# Two runs of two heads.
MOST_FILES = 4


class KeptFits:
    """The Keeper (predictions.fitting) of a run."""

    def __init__(self, material: Material, problem: Problem):
        self.folder: Path = material.run.feature_set.folder / FOLDER
        self._inputs = hashlib.sha256(material.run.feature_set.content_sha256.encode() + code_version().encode())
        for array in (problem.cells, problem.blocks, *problem.buffers):
            self._inputs.update(np.ascontiguousarray(array).tobytes() + b"\0")

    def load(self, weights: np.ndarray) -> Kept | None:
        path = self._path(weights)
        if not path.is_file():
            return None
        try:
            arrays = storage.read_arrays(path)
            operators = dict(zip(arrays.pop("penalties").tolist(), arrays.pop("operators"), strict=True))
        except (storage.FileDamaged, KeyError, ValueError):
            return None
        return Kept(arrays, operators)

    def save(self, weights: np.ndarray, kept: Kept) -> None:
        penalties = sorted(kept.operators)
        size = len(kept.operators[penalties[0]]) if penalties else 0
        # One after the other: all of them at once would be in memory twice.
        operators = Streamed(
            np.dtype(np.float64), (len(penalties), size), (kept.operators[each][None] for each in penalties)
        )
        # It only saves time: a full disk must not end the run here.
        with suppress(DiskFull):
            storage.write_arrays(
                self._path(weights), **kept.decomposition, penalties=np.array(penalties), operators=operators
            )
            self._clear()

    def _path(self, weights: np.ndarray) -> Path:
        digest = self._inputs.copy()
        digest.update(np.ascontiguousarray(weights).tobytes())
        return self.folder / f"{digest.hexdigest()}.npz"

    def _clear(self) -> None:
        """Keep the newest."""
        with suppress(FileNotFoundError):  # another worker clears it too
            newest = sorted(self.folder.glob("*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in newest[MOST_FILES:]:
                path.unlink(missing_ok=True)
