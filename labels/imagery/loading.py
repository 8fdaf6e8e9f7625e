"""Taking pictures in: the job that checks and prepares each file and adds it to its source."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.gis.geos import GEOSException, MultiPolygon, Polygon
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labels.errors import BadInput
from labels.imagery import rights, sandbox
from labels.imagery.opening import ImageRefused, check_magic, checked_path
from labels.imagery.preparation import SAMPLE_PX
from labels.jobs import RunningJob, work
from labels.models import ImagerySource, Job, Project, Scene

UPLOADS = "uploads"
MAX_CORNERS = 20_000
FREE_BYTES = 256 * 2**20
STAGES = {"check": gettext_lazy("check"), "warp": gettext_lazy("warp"), "write": gettext_lazy("write")}


@dataclass(frozen=True)
class Original:
    """A file as a person gave it."""

    path: Path
    name: str
    sha256: str


def slug_of(name: str) -> str | None:
    """A source's short name; None when the name has no letter or digit."""
    return slugify(name)[:50].strip("-") or None


def source_named(project: Project, name: str, *, attribution: str = "") -> ImagerySource:
    """The project's source of that name or short name; made when there is none."""
    slug = slug_of(name)
    if slug is None:
        raise BadInput(f"{name!r} cannot be the name of a source: use letters or digits.")
    source, made = ImagerySource.objects.get_or_create(
        project=project, slug=slug, defaults={"name": name[:200], "attribution": attribution}
    )
    if attribution and not made and source.attribution != attribution:
        source.attribution = attribution
        source.save(update_fields=["attribution"])
    return source


def new_source(project: Project, source: ImagerySource) -> ImagerySource:
    """Save a source that a person described; its short name must be free."""
    source.project, source.slug = project, slug_of(source.name)
    if ImagerySource.objects.filter(project=project, slug=source.slug).exists():
        raise BadInput(_("There is already a source of that name: choose it in the list."))
    source.save()
    return source


def stated_date(text: str | None) -> date | None:
    """A capture date as a person writes it."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"--acquired {text!r} is not a date: write YYYY-MM-DD, for example 2024-03-31.") from None
    if day > rights.today():
        raise BadInput(f"--acquired {text}: a picture cannot have been taken in the future.")
    return day


def parameters(
    source: ImagerySource, files: list[tuple[str, str]], *, acquired: date | None, are_uploads: bool = False
) -> dict:
    """The parameters of a job that loads files, given as (path, name)."""
    return {
        "source": source.pk,
        "files": [{"path": path, "name": name[:255]} for path, name in files],
        "acquired": acquired.isoformat() if acquired else None,
        "are_uploads": are_uploads,
    }


def keep_upload(file: UploadedFile) -> str:
    """Keep an uploaded picture until its job has read it; the path inside MEDIA_ROOT, made here."""
    return default_storage.save(f"{UPLOADS}/{uuid4().hex}.tif", file)


@work(Job.Kind.LOAD_IMAGERY)
def load_imagery(job: RunningJob) -> dict:
    """Prepare every file of the job. What is refused does not stop the rest, but fails the job at its end."""
    source = ImagerySource.objects.get(pk=job.parameters["source"], project=job.job.project_id)
    acquired = stated_date(job.parameters["acquired"])
    outcomes: dict[str, list[str]] = {"created": [], "dated": [], "unchanged": []}
    refused = []
    for number, file in enumerate(job.parameters["files"], start=1):
        label = f"{number}/{len(job.parameters['files'])} {file['name']}"
        try:
            outcome, scene = _load(job, source, file, acquired, label)
            outcomes[outcome].append(str(scene.uuid))
        except ImageRefused as error:
            refused.append(f"{file['name']}: {error}")
    if refused:
        n_good = len(job.parameters["files"]) - len(refused)
        told = {"loaded": n_good, "files": n_good + len(refused), "refused": " ".join(refused)}
        if n_good:
            raise BadInput(_("%(loaded)d of %(files)d files were loaded. Refused: %(refused)s") % told)
        raise BadInput(_("Refused: %(refused)s") % told)
    _forget_uploads(job)
    return outcomes | {"source": source.slug}


def _load(job: RunningJob, source: ImagerySource, file: dict, acquired: date | None, label: str) -> tuple[str, Scene]:
    """What became of one file (created, dated or unchanged), and its scene."""
    job.begin(f"{label}: {STAGES['check']}"[:100])
    path = Path(settings.MEDIA_ROOT) / file["path"] if job.parameters["are_uploads"] else Path(file["path"])
    roots = _roots(job, file["path"])
    return add_picture(job, source, path, roots, name=file["name"], acquired=acquired, report=reporter(job, label))


def add_picture(
    job: RunningJob,
    source: ImagerySource,
    path: Path,
    roots: list[Path],
    *,
    name: str,
    acquired: date | None,
    report: sandbox.Report,
) -> tuple[str, Scene]:
    """Check, prepare and publish one file that lies in one of the roots: (created, dated or unchanged; its scene).

    `report` hears of the preparation's progress. Raises ImageRefused with the reason.
    """
    path = checked_path(path, roots)
    check_magic(path)
    original = Original(path, name, _sha256(path))
    outcome, scene = _known(source, original, acquired)
    if scene:
        return outcome, scene
    folder = _work_folder(job)
    try:
        answer = sandbox.prepare(path=path, roots=roots, folder=folder, report=report)
        return "created", publish(job, source, original, folder / "prepared.tif", answer, acquired)
    except OSError as error:
        raise BadInput(f"{name} could not be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _roots(job: RunningJob, path: str) -> list[Path]:
    """An upload lies in our own folder; a command's file where its operator keeps it."""
    if job.parameters["are_uploads"]:
        return [Path(settings.MEDIA_ROOT) / UPLOADS]
    return [Path(path).resolve().parent]


def _known(source: ImagerySource, original: Original, acquired: date | None) -> tuple[str, Scene | None]:
    """The scene this very file already made in the source, if any. A picture has one date; it may be stated later."""
    scene = Scene.objects.filter(source=source, original_sha256=original.sha256).first()
    if scene is None or acquired is None or scene.captured_on == acquired:
        return "unchanged", scene
    if scene.captured_on is not None:
        raise ImageRefused(
            f"the same picture is already in the source with the capture date {scene.captured_on}; remove that scene"
            " first if its date is wrong."
        )
    Scene.objects.filter(pk=scene.pk).update(captured_on=acquired, captured_known_by=Scene.DateKnownBy.STATED)
    return "dated", scene


def reporter(job: RunningJob, label: str):
    last = {"stage": None}

    def report(stage: str, n_done: int, n_total: int | None) -> None:
        if stage != last["stage"]:
            last["stage"] = stage
            job.begin(f"{label}: {STAGES.get(stage, stage)}"[:100], n_total)
        job.progress(n_done, n_total)

    return report


def publish(
    job: RunningJob, source: ImagerySource, original: Original, prepared: Path, answer: dict, acquired: date | None
) -> Scene:
    """Move the prepared file to its place, then write the row; without the row the file goes too."""
    scene = _described(source, original, prepared, answer, acquired)
    target = Path(settings.MEDIA_ROOT) / scene.path
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    prepared.chmod(0o600)
    _sync(prepared)
    prepared.replace(target)
    _sync(target.parent)
    try:
        with transaction.atomic():
            job.still_mine()
            scene.job = job.job
            scene.save(force_insert=True)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return scene


def _described(source: ImagerySource, original: Original, prepared: Path, answer: dict, acquired: date | None) -> Scene:
    """The row, from what the reading process answered: its types are checked, nothing else of it is believed."""
    uuid: UUID = uuid4()
    in_file = answer["captured_on"] and date.fromisoformat(answer["captured_on"])
    known_by = (
        Scene.DateKnownBy.STATED if acquired else Scene.DateKnownBy.FILE if in_file else Scene.DateKnownBy.UNKNOWN
    )
    return Scene(
        uuid=uuid,
        source=source,
        path=f"imagery/{source.project_id}/{uuid}.tif",
        original_name=original.name,
        original_sha256=original.sha256,
        sha256=_sha256(prepared),
        footprint=footprint_from(answer["footprint"]),
        captured_on=acquired or in_file or None,
        captured_known_by=known_by,
        resolution_m=float(answer["resolution_m"]),
        min_zoom=int(answer["min_zoom"]),
        max_zoom=int(answer["max_zoom"]),
        n_bands=int(answer["n_bands"]),
        size_bytes=prepared.stat().st_size,
        preparation=dict(answer["preparation"]),
    )


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


def _work_folder(job: RunningJob) -> Path:
    """An empty folder beside the prepared files, so that the last step is a rename. A killed attempt's is cleared."""
    folder = Path(settings.MEDIA_ROOT) / "imagery" / str(job.job.project_id) / f".work-{job.job.uuid}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    if shutil.disk_usage(folder).free < FREE_BYTES:
        raise BadInput(_("The disk is nearly full: free some space and try again."))
    return folder


def _forget_uploads(job: RunningJob) -> None:
    if job.parameters["are_uploads"]:
        for file in job.parameters["files"]:
            default_storage.delete(file["path"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
