"""What must be on the disk before anything is said of it. Knows no Django: confined processes use it too."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Return once a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
