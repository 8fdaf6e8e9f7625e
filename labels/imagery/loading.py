"""Taking pictures in: the job that checks and prepares each file and adds it to its source."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labels.errors import BadInput
from labels.imagery import publishing, rights, sandbox, server_folder, stages, uploads
from labels.imagery.capture_date import sidecar_sha256s
from labels.imagery.opening import AlreadyLoaded, ImageRefused, check_magic, checked_path
from labels.imagery.publishing import Original, publish
from labels.imagery.stages import Marks
from labels.imagery.wishes import Wish, wish
from labels.imagery.work_folder import work_folder
from labels.jobs import RunningJob, work
from labels.models import ImagerySource, Job, Project, Scene

STAGES = {"check": gettext_lazy("check"), "warp": gettext_lazy("warp"), "write": gettext_lazy("write")}


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
    _check_takes_pictures(source)
    if attribution and not made and source.attribution != attribution:
        source.attribution = attribution
        source.save(update_fields=["attribution"])
    return source


def _check_takes_pictures(source: ImagerySource) -> None:
    if source.kind != ImagerySource.Kind.SCENES:
        raise BadInput(
            _("“%(name)s” is a provider, which takes no pictures of ours: choose another name.") % {"name": source.name}
        )


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
    source: ImagerySource,
    files: list[tuple[str, str]],
    *,
    acquired: date | None,
    are_uploads: bool = False,
    are_registered: bool = False,
    bands: str = "",
    stretch: str = "",
) -> dict:
    """The parameters of a job that loads files, given as (path, name).

    Paths of uploads are inside MEDIA_ROOT, those of registered files inside the project's folder on the server.
    `bands` and `stretch` are words as `wishes.wish` reads them; BadInput where it cannot.
    """
    wish(bands, stretch)
    return {
        "source": source.pk,
        "files": [{"path": path, "name": name[:255]} for path, name in files],
        "acquired": acquired.isoformat() if acquired else None,
        "are_uploads": are_uploads,
        "are_registered": are_registered,
        "bands": bands,
        "stretch": stretch,
    }


def keep_upload(file: UploadedFile) -> str:
    """Keep an uploaded picture until its job has read it; the path inside MEDIA_ROOT, made here."""
    return default_storage.save(f"{uploads.FOLDER}/{uuid4().hex}.tif", file)


@work(Job.Kind.LOAD_IMAGERY)
def load_imagery(job: RunningJob) -> dict:
    """Prepare every file of the job. What is refused does not stop the rest, but fails the job at its end."""
    source = ImagerySource.objects.get(pk=job.parameters["source"], project=job.job.project_id)
    _check_takes_pictures(source)
    acquired = stated_date(job.parameters["acquired"])
    outcomes: dict[str, list[str]] = {"created": [], "dated": [], "unchanged": []}
    refused, notes, is_for_good = [], [], True
    uploads.sweep()
    for number, file in enumerate(job.parameters["files"], start=1):
        label = f"{number}/{len(job.parameters['files'])} {file['name']}"
        try:
            outcome, scene = _load(job, source, file, acquired, label)
            outcomes[outcome].append(str(scene.uuid))
            notes += [f"{file['name']}: {note}" for note in publishing.notes(scene)]
        except ImageRefused as error:
            refused.append(f"{file['name']}: {error}")
            is_for_good &= not isinstance(error, AlreadyLoaded)
    if is_for_good:  # else a retry can use the files, when the scene in their way is removed
        _forget_uploads(job)
    if refused:
        n_good = len(job.parameters["files"]) - len(refused)
        told = {"loaded": n_good, "files": n_good + len(refused), "refused": " ".join(refused)}
        if n_good:
            raise BadInput(_("%(loaded)d of %(files)d files were loaded. Refused: %(refused)s") % told)
        raise BadInput(_("Refused: %(refused)s") % told)
    return outcomes | {"source": source.slug, "notes": notes}


def _load(job: RunningJob, source: ImagerySource, file: dict, acquired: date | None, label: str) -> tuple[str, Scene]:
    """What became of one file (created, dated or unchanged), and its scene."""
    job.begin(f"{label}: {STAGES['check']}"[:100])
    root = _root(job, file["path"])
    if job.parameters["are_uploads"] and not default_storage.exists(file["path"]):
        raise ImageRefused("The uploaded file is no longer kept; upload it again.")
    return add_picture(
        job,
        source,
        (Path(settings.MEDIA_ROOT) if job.parameters["are_uploads"] else root) / file["path"],
        [root],
        name=file["name"],
        acquired=acquired,
        report=reporter(job, label),
        wish=wish(job.parameters.get("bands", ""), job.parameters.get("stretch", "")),
        has_sidecars=not job.parameters["are_uploads"],
    )


def _root(job: RunningJob, path: str) -> Path:
    """The folder that a file must lie in: an upload in our own, a command's where its operator keeps it."""
    if job.parameters["are_uploads"]:
        return uploads.folder()
    if job.parameters.get("are_registered"):
        folder = server_folder.folder_of(job.job.project)
        if folder is None:
            raise BadInput(_("This server has no folder for pictures: its operator sets IMAGERY_FOLDER."))
        return folder
    return Path(path).resolve().parent


def add_picture(
    job: RunningJob,
    source: ImagerySource,
    path: Path,
    roots: list[Path],
    *,
    name: str,
    acquired: date | None,
    report: sandbox.Report,
    wish: Wish = Wish(),  # noqa: B008  frozen
    has_sidecars: bool = False,
) -> tuple[str, Scene]:
    """Check, prepare and publish one file that lies in one of the roots: (created, dated or unchanged; its scene).

    `report` hears of the preparation's progress. With `has_sidecars`, files beside it may say its capture date. Raises
    ImageRefused with the reason.
    """
    path = checked_path(path, roots)
    check_magic(path)
    original = _read(path, name, report)
    outcome, scene = _known(source, original, acquired, wish)
    if scene:
        return outcome, scene
    with _room_said(name), work_folder(source.project_id, f"{source.pk} {original.sha256}") as folder:
        publishing.forget_unfinished(source, folder)
        answer = sandbox.prepare(
            path=path,
            roots=roots,
            folder=folder,
            report=report,
            wish=wish,
            has_sidecars=has_sidecars,
            marks=Marks(folder, original.sha256, _asked(wish, path, has_sidecars)),
            check_original=original.check_unchanged,
        )
        return "created", publish(job, source, original, folder, answer, acquired)


def _asked(wish: Wish, path: Path, has_sidecars: bool) -> dict:
    """What a preparation is made of beside the picture: a finished check also holds what the files beside it say."""
    beside = sidecar_sha256s(path) if has_sidecars else {}
    return asdict(wish) | {"has_sidecars": has_sidecars, "name": path.name, "sidecars": beside}


def _read(path: Path, name: str, report: sandbox.Report) -> Original:
    n_bytes, before = path.stat().st_size, stages.identity(path)
    sha256 = stages.sha256_of(path, lambda n_read: report("check", n_read, n_bytes))
    original = Original(path, name, sha256, before)
    original.check_unchanged()
    return original


@contextmanager
def _room_said(name: str) -> Iterator[None]:
    """A full disk as a sentence, before and while it is written to."""
    try:
        yield
    except sandbox.NoRoom as error:
        told = {"name": name, "needed": f"{error.needed / 1e9:.1f}", "free": f"{error.free / 1e9:.1f}"}
        raise BadInput(
            _("%(name)s needs %(needed)s GB of disk and %(free)s GB are free: free some space and try again.") % told
        ) from error
    except OSError as error:
        raise BadInput(f"{name} could not be written: {error.strerror}.") from error


def _known(source: ImagerySource, original: Original, acquired: date | None, wish: Wish) -> tuple[str, Scene | None]:
    """The scene this very file already made in the source, if any. A picture has one date; it may be stated later."""
    scene = Scene.objects.filter(source=source, original_sha256=original.sha256).first()
    if scene and not wish.is_met_by(scene.preparation):
        raise AlreadyLoaded(
            "the same picture is already in the source with other bands or another stretch; remove that scene first to"
            " prepare it anew."
        )
    if scene is None or acquired is None or scene.captured_on == acquired:
        return "unchanged", scene
    if scene.captured_on is not None:
        raise AlreadyLoaded(
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


def _forget_uploads(job: RunningJob) -> None:
    if job.parameters["are_uploads"]:
        with transaction.atomic():
            job.still_mine()  # a worker that took over still reads them
        for file in job.parameters["files"]:
            default_storage.delete(file["path"])
