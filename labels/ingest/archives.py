"""Zip archives of strangers: what is inside, and single members unpacked under names of ours.

A name inside an archive is compared and shown, never used as a path. What is unpacked is counted as it comes, since an
archive can lie about its sizes.
"""

import codecs
import stat
import zipfile
from pathlib import Path, PurePosixPath

from django.utils.translation import gettext as _

from labels.errors import BadInput

MIB = 2**20
MAX_MEMBERS = 10_000
CHUNK = 1 << 20
SHAPEFILE = ("shp", "shx", "dbf", "prj", "cpg")
# Those of GDAL that read registers; each process has one of them.
DRIVERS = ("XLSX", "GPKG", "LIBKML", "ESRI Shapefile")


class SheetNeeded(Exception):
    """The file holds several tables; a person must say which."""

    def __init__(self, sheets: list[str]):
        super().__init__(", ".join(sheets))
        self.sheets = sheets


def unpack(path: Path, folder: Path, sheet: str, unpacked_mib: int) -> tuple[Path, str, str, list[str]]:
    """(file of ours, driver, format, names of the shapefiles inside) of a workbook, zipped shapefile or KMZ."""
    budget = _Budget(unpacked_mib)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            if "xl/workbook.xml" in members:
                _check_unpacked(archive, members, budget)
                target = folder / "book.xlsx"
                target.symlink_to(path)
                return target, "XLSX", "Excel workbook", []
            if found := _named(members, "shp"):
                return _shapefile(archive, members, found, folder, sheet, budget)
            if found := _named(members, "kml"):
                _extract(archive, members[sorted(found)[0]], folder / "doc.kml", budget)
                return folder / "doc.kml", "LIBKML", "KML", []
    except OSError as error:
        raise BadInput(_("The archive cannot be unpacked: there is no room for it, or it cannot be read.")) from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:  # as zipfile says so
        raise BadInput(_("The archive is damaged, encrypted or no zip archive.")) from error
    raise BadInput(_("The archive holds no Excel workbook, shapefile or KML. Unpack it and send the table in it."))


class _Budget:
    def __init__(self, mib: int):
        self.mib, self.left = mib, mib * MIB

    def spend(self, n: int) -> None:
        self.left -= n
        if self.left < 0:
            raise BadInput(_("The archive unpacks to more than %(n)s MiB.") % {"n": f"{self.mib:,}"})


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise BadInput(_("The archive holds more than %(n)s files.") % {"n": f"{MAX_MEMBERS:,}"})
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in "".join(parts.parts[:1]):
            raise BadInput(_("The archive holds a file whose name leads out of it."))
        if stat.S_ISLNK(member.external_attr >> 16):
            raise BadInput(_("The archive holds a link instead of a file."))
    return {member.filename: member for member in members if not member.is_dir()}


def _named(members: dict[str, zipfile.ZipInfo], extension: str) -> dict[str, str]:
    """Member name -> stem of the files with this extension, without the shadows that macOS adds."""
    paths = {name: PurePosixPath(name) for name in members if "__MACOSX" not in name}
    return {name: path.stem for name, path in paths.items() if path.suffix.lower() == f".{extension}"}


def _shapefile(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    found: dict[str, str],
    folder: Path,
    sheet: str,
    budget: _Budget,
) -> tuple[Path, str, str, list[str]]:
    by_stem = {stem: name for name, stem in sorted(found.items())}
    if len(by_stem) > 1 and sheet not in by_stem:
        raise SheetNeeded(list(by_stem))
    chosen = by_stem[sheet] if sheet in by_stem else next(iter(by_stem.values()))
    base = chosen[:-4].lower()
    for name, member in members.items():
        extension = name[-3:].lower()
        if name[:-4].lower() == base and extension in SHAPEFILE:
            _extract(archive, member, folder / f"shapes.{extension}", budget)
    if not (folder / "shapes.dbf").exists():
        raise BadInput(_("The shapefile has no .dbf: its table is missing. Zip all files of the shapefile together."))
    _state_encoding(folder)
    return folder / "shapes.shp", "ESRI Shapefile", "Shapefile", list(by_stem) if len(by_stem) > 1 else []


def _state_encoding(folder: Path) -> None:
    """A table without a .cpg and without a code page (byte 29) is UTF-8 where all of it is, else cp1252.

    Unsaid, GDAL hands the bytes on as they are, and accents end the reading.
    """
    dbf, cpg = folder / "shapes.dbf", folder / "shapes.cpg"
    with dbf.open("rb") as file:
        head = file.read(32)
        if cpg.exists() or len(head) < 32 or head[29]:
            return
        # Each field's description is 32 bytes, of which the first 11 are its name; the rows follow.
        length = int.from_bytes(head[8:10], "little")
        described = file.read(max(0, length - 32))
        names = b"".join(described[start : start + 11] for start in range(0, len(described) - 31, 32))
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(names, final=True)
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            cpg.write_text("CP1252")
        else:
            cpg.write_text("UTF-8")


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, budget: _Budget) -> None:
    with archive.open(member) as source, target.open("wb") as file:
        while chunk := source.read(CHUNK):
            budget.spend(len(chunk))
            file.write(chunk)


def _check_unpacked(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], budget: _Budget) -> None:
    """Unpack every member into nothing, so that the reader behind meets no bomb; XML with a DTD is one too."""
    for name, member in members.items():
        with archive.open(member) as source:
            start = True
            while chunk := source.read(CHUNK):
                budget.spend(len(chunk))
                if start and name.endswith((".xml", ".rels")):
                    refuse_dtd(chunk)
                start = False


def refuse_dtd(text: bytes) -> None:
    """Entities can unfold without end or name other files; no register needs them."""
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text or b"\0" in text:
        raise BadInput(_("The XML in the file declares entities or is not in a usual encoding; it is not opened."))


def refuse_entities(path: Path) -> None:
    with path.open("rb") as file:
        tail = b""
        while chunk := file.read(CHUNK):
            refuse_dtd(tail + chunk)
            tail = chunk[-16:]
