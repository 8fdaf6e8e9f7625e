"""A prepared picture takes its place among the scenes of its source, whole or not at all; and leaves it."""

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.gis.geos import GEOSException, MultiPolygon, Polygon
from django.db import transaction

from labels import disk
from labels.imagery import stages
from labels.imagery.opening import ImageRefused
from labels.imagery.planning import SAMPLE_PX
from labels.imagery.preparation import PREPARED
from labels.jobs import RunningJob
from labels.models import ImagerySource, Scene

MAX_CORNERS = 20_000
UNFINISHED = "scene.uuid"


@dataclass(frozen=True)
class Original:
    """A file as a person gave it, when its content was read."""

    path: Path
    name: str
    sha256: str
    identity: tuple[int, ...]

    def check_unchanged(self) -> None:
        """Refuse what was replaced or written to since: its pixels need not be those of the sha256."""
        try:
            is_same = stages.identity(self.path) == self.identity
        except OSError:
            is_same = False
        if not is_same:
            raise ImageRefused("The file changed while it was read. Load it again when it is complete.")


def publish(
    job: RunningJob, source: ImagerySource, original: Original, folder: Path, answer: dict, acquired: date | None
) -> Scene:
    """Move the prepared files to their places, then write the row; without the row the files go too."""
    scene = _described(source, original, folder, answer, acquired)
    (folder / UNFINISHED).write_text(str(scene.uuid))
    moves = [(folder / PREPARED[0], scene.path)]
    if scene.false_colour_path:
        moves.append((folder / PREPARED[1], scene.false_colour_path))
    targets = [_moved(prepared, Path(settings.MEDIA_ROOT) / path) for prepared, path in moves]
    try:
        with transaction.atomic():
            job.still_mine()
            scene.job = job.job
            scene.save(force_insert=True)
    except BaseException:
        for target in targets:
            target.unlink(missing_ok=True)
        raise
    return scene


def forget_unfinished(source: ImagerySource, folder: Path) -> None:
    """Remove files that an attempt put in their places before it was killed, without the row that would name them."""
    try:
        uuid = UUID((folder / UNFINISHED).read_text())
    except (OSError, ValueError):
        return
    if not Scene.objects.filter(uuid=uuid).exists():
        for path in _paths(source, uuid):
            (Path(settings.MEDIA_ROOT) / path).unlink(missing_ok=True)


def notes(scene: Scene) -> list[str]:
    """Sentences about what the file says of its capture date and could not be used, or was overruled."""
    captured = scene.preparation.get("captured", {})
    found = [captured["note"]] if captured.get("note") else []
    if captured.get("on") and scene.captured_on and scene.captured_on.isoformat() != captured["on"]:
        found.append(f"The file says {captured['on']} ({captured['by']}); the stated {scene.captured_on} was kept.")
    return found


def remove(scene: Scene) -> None:
    """The scene's row, and then its files; call it outside of any transaction that may still be undone."""
    paths = [path for path in (scene.path, scene.false_colour_path) if path]
    scene.delete()
    for path in paths:
        transaction.on_commit(lambda path=path: (Path(settings.MEDIA_ROOT) / path).unlink(missing_ok=True))


def _moved(prepared: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    prepared.chmod(0o600)
    disk.sync(prepared)
    try:
        os.link(prepared, target)  # the work folder keeps its own name of it until the row is there
    except OSError:  # a disk without hard links
        prepared.replace(target)
    disk.sync(target.parent)
    return target


def _described(source: ImagerySource, original: Original, folder: Path, answer: dict, acquired: date | None) -> Scene:
    """The row, from what the reading process answered: its types are checked, nothing else of it is believed."""
    uuid: UUID = uuid4()
    path, false_colour_path = _paths(source, uuid)
    prepared, false_colour = (folder / name for name in PREPARED)
    has_false_colour = "false_colour" in answer["preparation"]
    in_file = answer["captured_on"] and date.fromisoformat(answer["captured_on"])
    known_by = (
        Scene.DateKnownBy.STATED if acquired else Scene.DateKnownBy.FILE if in_file else Scene.DateKnownBy.UNKNOWN
    )
    return Scene(
        uuid=uuid,
        source=source,
        path=path,
        original_name=original.name,
        original_sha256=original.sha256,
        sha256=stages.sha256_of(prepared),
        false_colour_path=false_colour_path if has_false_colour else "",
        false_colour_sha256=stages.sha256_of(false_colour) if has_false_colour else "",
        footprint=footprint_from(answer["footprint"]),
        captured_on=acquired or in_file or None,
        captured_known_by=known_by,
        resolution_m=float(answer["resolution_m"]),
        min_zoom=int(answer["min_zoom"]),
        max_zoom=int(answer["max_zoom"]),
        n_bands=int(answer["n_bands"]),
        size_bytes=prepared.stat().st_size + (false_colour.stat().st_size if has_false_colour else 0),
        preparation=dict(answer["preparation"]),
    )


def _paths(source: ImagerySource, uuid: UUID) -> tuple[str, str]:
    """Of a scene's colours and false colours, inside MEDIA_ROOT."""
    stem = f"imagery/{source.project_id}/{uuid}"
    return f"{stem}.tif", f"{stem}-false-colour.tif"


def footprint_from(polygons: list) -> MultiPolygon:
    """The traced outline without the stairs of its pixels."""
    try:
        traced = MultiPolygon([Polygon(*rings) for rings in polygons], srid=4326)
    except (TypeError, ValueError, GEOSException) as error:
        raise ImageRefused("The picture has no outline that can be kept.") from error
    west, south, east, north = traced.extent
    tolerance = max(east - west, north - south) / SAMPLE_PX
    outline = _simple(traced, tolerance)
    while outline.num_coords > MAX_CORNERS:
        tolerance *= 2
        outline = _simple(traced, tolerance)
    return outline


def _simple(traced: MultiPolygon, tolerance: float) -> MultiPolygon:
    simple = traced.simplify(tolerance, preserve_topology=True)
    simple = simple if simple.valid else simple.buffer(0)
    polygons = [simple] if isinstance(simple, Polygon) else list(simple)
    return MultiPolygon(polygons, srid=4326)
