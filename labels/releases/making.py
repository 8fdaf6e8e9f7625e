"""Making releases and their files: what pages, jobs and commands call.

A release's folder is named for its content, and its files are written whole under a temporary name, flushed and renamed
before their row is added. Whatever is killed in between leaves no row; doing it again writes the same bytes.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from labels import access
from labels.errors import BadInput, NotAllowed
from labels.jobs import RunningJob, work
from labels.models import Audit, Exposure, Job, Project, Release, ReleaseFile, Review, SampleUnit
from labels.releases import formats
from labels.releases import snapshot as snapshots
from labels.releases.card import data_card, n_without_rights
from labels.releases.gathering import gather
from labels.releases.snapshot import Snapshot, SnapshotDamaged
from labels.whole_file import whole_file

NAMESPACE = uuid.UUID("6f5d2f0e-53a0-4f6e-9d0f-6f6f3f0d6c11")
SNAPSHOT = "snapshot.jsonl.gz"

Check = Callable[[], None]


class NothingToRelease(BadInput):
    """There is no label yet."""


@dataclass(frozen=True, slots=True)
class Made:
    release: Release
    # False when the same labels had been released before: that release is returned.
    is_new: bool


def audits_to_release(project: Project, slugs: Iterable[str] = ()) -> list[Audit]:
    """The named audits of the project, or all of them, by short name; BadInput names the one that does not exist."""
    audits = {audit.slug: audit for audit in project.audits.select_related("project", "register").order_by("slug")}
    unknown = [slug for slug in slugs if slug not in audits]
    if unknown:
        raise BadInput(
            _("There is no audit %(audit)s in this project. Its audits: %(audits)s.")
            % {"audit": unknown[0], "audits": ", ".join(audits) or _("none yet")}
        )
    chosen = [audits[slug] for slug in sorted(set(slugs))] or list(audits.values())
    if not chosen:
        raise NothingToRelease(_("This project has no audit yet: open one and review its units first."))
    return chosen


def make_release(
    project: Project, audits: list[Audit], *, purpose: str = "", made_by=None, job: RunningJob | None = None
) -> Made:
    """Release the labels of these audits as they are now; the same labels are the same release."""
    snapshot = gather(audits, purpose)
    if not snapshot.labels and not snapshot.cells:
        raise NothingToRelease(_nothing(snapshot))
    content_sha256 = snapshot.content_sha256
    known = Release.objects.filter(project=project, content_sha256=content_sha256).first()
    if known:
        return Made(known, is_new=False)
    release = Release(
        uuid=uuid.uuid5(NAMESPACE, f"{project.slug} {content_sha256}"),
        project=project,
        purpose=purpose,
        content_sha256=content_sha256,
        n_labels=len(snapshot.labels),
        n_left_out=n_without_rights(snapshot),
        job=job.job if job else None,
        made_by=made_by,
        made_at=timezone.now(),
    )
    with whole_file(_folder(release) / SNAPSHOT) as path:
        snapshots.write(snapshot, path)
    return _publish(release, audits, snapshot, job.still_mine if job else lambda: None)


def _publish(release: Release, audits: list[Audit], snapshot: Snapshot, check: Check) -> Made:
    try:
        with transaction.atomic():
            check()
            project = Project.objects.select_for_update(no_key=True).get(pk=release.project_id)  # numbers one by one
            release.number = (project.releases.aggregate(last=Max("number"))["last"] or 0) + 1
            release.data_card = data_card(
                project, audits, snapshot, number=release.number, purpose=release.purpose, made_at=release.made_at
            )
            release.save(force_insert=True)
            access.note_access(
                release.made_by, project, "make_release", f"release {release.number}", len(snapshot.labels)
            )
    except IntegrityError:
        # Somebody released the same labels in the meantime; anything else wrong is raised by get().
        known = Release.objects.get(project=release.project_id, content_sha256=release.content_sha256)
        return Made(known, is_new=False)
    return Made(release, is_new=True)


def _nothing(snapshot: Snapshot) -> str:
    without_rights = n_without_rights(snapshot)
    if without_rights:
        return _(
            "Nothing to release: the imagery of all %(n)d judged units lets no label be shared for this purpose. "
            "See the rights of the imagery sources."
        ) % {"n": without_rights}
    return _("Nothing to release: no unit has been judged yet.")


# ---- files ----


def file_of(release: Release, format: str, check: Check = lambda: None) -> ReleaseFile:
    """The release as a file of this format, made from the stored snapshot if it is not there yet."""
    known = release.files.filter(format=format).first()
    if known and path_of(known).is_file():
        return known
    snapshot = read_snapshot(release)
    if not formats.n_rows(format, snapshot):
        raise NothingToRelease(_no_rows(release, format))
    target = _folder(release) / f"labels.{formats.KINDS[format].extension}"
    with whole_file(target) as path:
        rows = formats.write(format, snapshot, release.content_sha256, path)
        digest, size = sha256_of(path), path.stat().st_size
        if known and known.sha256 != digest:
            raise SnapshotDamaged(
                _("The file was lost, and making it again gave other bytes: restore it from a backup.")
            )
    return known or _add_file(release, format, target, digest, size, rows, check)


def _no_rows(release: Release, format: str) -> str:
    if formats.KINDS[format].has_cells:
        reason = _("Nothing to write: release %(number)d marks no mine, and a reject alone makes no cell a negative.")
    else:
        reason = _("Nothing to write: release %(number)d labels grid cells only; take the MOSAIKS format.")
    return reason % {"number": release.number}


def _add_file(
    release: Release, format: str, target: Path, digest: str, size: int, rows: int, check: Check
) -> ReleaseFile:
    with transaction.atomic():
        check()
        file, _is_new = ReleaseFile.objects.get_or_create(
            release=release,
            format=format,
            defaults={
                "path": str(target.relative_to(settings.MEDIA_ROOT)),
                "sha256": digest,
                "size_bytes": size,
                "n_rows": rows,
            },
        )
    return file


def read_snapshot(release: Release) -> Snapshot:
    return snapshots.read(_folder(release) / SNAPSHOT, release.content_sha256)


def path_of(file: ReleaseFile) -> Path:
    return Path(settings.MEDIA_ROOT) / file.path


def file_name(file: ReleaseFile) -> str:
    """What a person's copy is called."""
    project, extension = file.release.project.slug, formats.KINDS[file.format].extension
    return f"{project}-release-{file.release.number}.{extension}"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder(release: Release) -> Path:
    return Path(settings.MEDIA_ROOT) / "releases" / str(release.uuid)


# ---- taking files out ----


def note_download(user, file: ReleaseFile) -> None:
    """Before a person gets the file: keep who took it, and that they have now seen these units' verdicts."""
    release = file.release
    with transaction.atomic():
        access.note_access(
            user, release.project, "download_release", f"release {release.number} {file.format}", file.n_rows
        )
        if user is not None:  # the command line knows nobody
            access.expose(user, _units_of(release).iterator(), Exposure.What.RELEASE)


def _units_of(release: Release) -> QuerySet:
    """Ids of the units that had been judged when the release was made, some of them perhaps retired since."""
    audits = [audit["audit"] for audit in release.data_card["audits"]]
    units = SampleUnit.objects.filter(audit__project=release.project, audit__slug__in=audits)
    units = units.filter(Q(retired_at__isnull=True) | Q(retired_at__gt=release.made_at))
    judged = Review.objects.filter(unit=OuterRef("pk"), created_at__lte=release.made_at)
    return units.filter(Exists(judged)).values_list("pk", flat=True)


# ---- as a job ----


@work(Job.Kind.MAKE_RELEASE)
def make_release_job(running: RunningJob) -> dict:
    """Parameters: `formats`; and `release` (its number) to add files to it, or `audits` (short names) and `purpose`."""
    job, parameters = running.job, running.parameters
    if job.requested_by and not access.can(job.requested_by, "make_release", job.project):
        raise NotAllowed(_("You may no longer make releases in this project."))
    made = _release_for(running)
    release, wanted = made.release, parameters["formats"]
    unwritten = []
    for format in wanted:
        running.begin(_("writing %(format)s") % {"format": format})
        try:
            file_of(release, format, running.still_mine)
        except NothingToRelease as reason:
            if len(wanted) == 1:
                raise
            unwritten.append(str(reason))
    return {
        "release": release.number,
        "is_new": made.is_new,
        "sentence": " ".join([_said(made, is_addition="release" in parameters), *unwritten]),
        "page": reverse("labels:release", args=[job.project.slug, release.number]),
    }


def _said(made: Made, is_addition: bool) -> str:
    values = {"number": made.release.number, "n": made.release.n_labels}
    if is_addition:
        return _("The file of release %(number)d is ready.") % values
    if made.is_new:
        return _("Release %(number)d was made: %(n)d labels.") % values
    return _("Nothing has changed since release %(number)d: it holds these same %(n)d labels.") % values


def _release_for(running: RunningJob) -> Made:
    job, parameters = running.job, running.parameters
    if parameters.get("release"):
        return Made(Release.objects.get(project=job.project, number=parameters["release"]), is_new=False)
    begun = Release.objects.filter(job=job).first()
    if begun:  # an earlier attempt got as far as the release: its labels stand
        return Made(begun, is_new=True)
    running.begin(_("gathering labels"))
    audits = audits_to_release(job.project, parameters.get("audits", []))
    return make_release(
        job.project, audits, purpose=parameters.get("purpose", ""), made_by=job.requested_by, job=running
    )
