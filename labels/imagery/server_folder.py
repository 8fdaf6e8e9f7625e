"""Pictures that an operator put on the server: listed for the admins of one project, chosen by a name made here."""

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labels.errors import BadInput
from labels.imagery.opening import ImageRefused, checked_path
from labels.models import Project

ENDINGS = (".tif", ".tiff")
MAX_LISTED = 1000


@dataclass(frozen=True)
class Waiting:
    """A file that may be registered. `ident` is what a page sends back: never a path."""

    ident: str
    name: str  # inside the project's folder
    size_bytes: int
    changed_at: datetime


@dataclass(frozen=True)
class Listing:
    files: list[Waiting]
    is_cut: bool = False
    # Sentences about files that are not offered.
    notes: tuple[str, ...] = ()
    # Why there is nothing to list, as a sentence; else empty.
    why_empty: str = ""


def folder_of(project: Project) -> Path | None:
    """Where the operator puts a project's files; None where the server has no such folder.

    Each project has its own inside IMAGERY_FOLDER: the admins of one are not told what others have.
    """
    return Path(settings.IMAGERY_FOLDER) / project.slug if settings.IMAGERY_FOLDER else None


def listing(project: Project) -> Listing:
    folder = folder_of(project)
    if folder is None:
        return Listing([], why_empty=_("This server has no folder for pictures: its operator sets IMAGERY_FOLDER."))
    if not folder.is_dir():
        missing = _("There is no folder “%(name)s” in the server's folder for pictures; its operator makes it.")
        return Listing([], why_empty=missing % {"name": project.slug})
    files, n_outside, n_nameless = [], 0, 0
    for path in _rasters(folder):
        name = path.relative_to(folder).as_posix()
        try:
            name.encode()
            checked_path(path, [folder])
            found = path.stat()
        except UnicodeEncodeError:
            n_nameless += 1
            continue
        except ImageRefused:
            n_outside += path.is_symlink()
            continue
        except OSError:
            continue
        files.append(Waiting(_ident(project, name), name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC)))
        if len(files) > MAX_LISTED:
            break
    why_empty = "" if files else _("There is no GeoTIFF in the project's folder on the server.")
    return Listing(files[:MAX_LISTED], len(files) > MAX_LISTED, _notes(n_outside, n_nameless), why_empty)


def _notes(n_outside: int, n_nameless: int) -> tuple[str, ...]:
    outside = ngettext(
        "%(n)d link leads out of the folder and is not offered.",
        "%(n)d links lead out of the folder and are not offered.",
        n_outside,
    )
    nameless = ngettext(
        "%(n)d file has a name that is no UTF-8 and is not offered: rename it.",
        "%(n)d files have names that are no UTF-8 and are not offered: rename them.",
        n_nameless,
    )
    return tuple(words % {"n": n} for words, n in ((outside, n_outside), (nameless, n_nameless)) if n)


def chosen(project: Project, idents: list[str]) -> list[Waiting]:
    """The listed files of these idents, in the listing's order."""
    files = {file.ident: file for file in listing(project).files}
    if not set(idents) <= set(files):
        raise BadInput(_("A file that you chose is no longer in the folder. Choose again."))
    return [file for ident, file in files.items() if ident in set(idents)]


def _rasters(folder: Path):
    """By name, without following links to folders."""
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                yield Path(at) / name


def _ident(project: Project, name: str) -> str:
    return hashlib.sha256(f"{project.pk}/{name}".encode()).hexdigest()[:32]
