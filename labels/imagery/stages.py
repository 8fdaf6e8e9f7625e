"""Finished stages of a preparation, kept so that a killed one is gone on with. Knows no Django.

A mark names its stage's files with their sha256 and what they were made of: the original's content, what was asked
for, the files beside it, and the code and libraries that made them. It is written after the files are on disk, so a
half file never has one; and it is believed only while all of that still holds.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import rasterio

from labels import disk

_HERE = Path(__file__).parent
# What decides a prepared file's bytes.
_CODE = ("capture_date", "child", "gdal_copy", "grid", "opening", "planning", "preparation", "wishes")
CHUNK = 2**22


@cache
def code_version() -> str:
    """Changes with any change of the code and libraries that prepare pictures."""
    digest = hashlib.sha256(f"{rasterio.__version__} {rasterio.__gdal_version__} {np.__version__}".encode())
    for name in _CODE:
        digest.update((_HERE / f"{name}.py").read_bytes())
    return digest.hexdigest()


def sha256_of(path: Path, heard: Callable[[int], None] = lambda n_bytes: None) -> str:
    """The file's content; `heard` learns how many bytes were read, so that a long file can be given up on."""
    digest, n_read = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            n_read += len(chunk)
            heard(n_read)
    return digest.hexdigest()


def identity(path: Path) -> tuple[int, ...]:
    """Changes when a file is written to, replaced or moved: the kernel sets the last of these times, nobody else."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@dataclass(frozen=True)
class Marks:
    """The marks in one work folder, for one original prepared in one way."""

    folder: Path
    original_sha256: str
    wish: dict

    @property
    def _made_of(self) -> dict:
        # Through JSON, as it is compared with what JSON kept.
        return json.loads(json.dumps([self.original_sha256, self.wish, code_version()]))

    def set(self, stage: str, names: Iterable[str], content: dict, heard: Callable[[int], None]) -> None:
        """Mark a stage as finished, its files being on disk."""
        for name in names:
            disk.sync(self.folder / name)
        files = {name: sha256_of(self.folder / name, heard) for name in names}
        unfinished = self.folder / f"{stage}.mark.new"
        unfinished.write_text(json.dumps({"made_of": self._made_of, "files": files, "content": content}))
        disk.sync(unfinished)
        unfinished.replace(self._path(stage))
        disk.sync(self.folder)

    def content(self, stage: str, heard: Callable[[int], None]) -> dict | None:
        """What a finished stage found, if its files are there and as they were; else None."""
        try:
            mark = json.loads(self._path(stage).read_text())
            if mark["made_of"] != self._made_of:
                return None
            for name, sha256 in mark["files"].items():
                path = self.folder / Path(name).name
                if path.is_symlink() or sha256_of(path, heard) != sha256:
                    return None
            return dict(mark["content"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def keep_only(self, names: Iterable[str]) -> None:
        """Remove everything but the named stages' marks and the named files."""
        kept = {kept for name in names for kept in (name, self._path(name).name)}
        for path in self.folder.iterdir():
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def _path(self, stage: str) -> Path:
        return self.folder / f"{stage}.mark"
