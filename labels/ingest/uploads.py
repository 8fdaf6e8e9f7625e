"""Files people send through the browser: stored under a name of ours, thrown away when they have been read."""

from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone
from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.models import Job, Project, Register, Upload

KEPT_FOR = timedelta(days=7)


def store(
    file: UploadedFile,
    *,
    project: Project,
    user,
    register: Register | None = None,
    published_on: date | None = None,
) -> Upload:
    """Keep the file until a job has read it. Old uploads that nobody used are thrown away first."""
    limit = settings.UPLOAD_LIMIT_REGISTER
    if file.size > limit:
        raise BadInput(
            _("The file has %(size)d MiB; at most %(limit)d MiB can be sent here. Use the command load_register.")
            % {"size": file.size >> 20, "limit": limit >> 20}
        )
    discard_forgotten()
    upload = Upload(
        project=project,
        register=register,
        published_on=published_on,
        file_name=Path(file.name).name[:255],
        n_bytes=file.size,
        uploaded_by=user,
    )
    path = path_of(upload)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with path.open("xb") as target:
            path.chmod(0o600)
            for chunk in file.chunks():
                target.write(chunk)
        upload.save()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return upload


def path_of(upload: Upload) -> Path:
    return path_from_uuid(upload.uuid)


def path_from_uuid(uuid: str | UUID) -> Path:
    """Where an upload lies. Only a uuid becomes a path."""
    path = Path(settings.MEDIA_ROOT) / "uploads" / str(UUID(str(uuid)))
    return path


def discard(uuid: str | UUID | None) -> None:
    """Throw the file away; nothing happens where there is none."""
    if uuid:
        path_from_uuid(uuid).unlink(missing_ok=True)
        Upload.objects.filter(uuid=uuid).delete()


def discard_forgotten() -> None:
    """Uploads of last week that no unfinished job reads."""
    waiting = Job.objects.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING]).values_list("parameters__upload")
    in_use = {uuid for (uuid,) in waiting if uuid}
    for upload in Upload.objects.filter(uploaded_at__lt=timezone.now() - KEPT_FOR):
        if str(upload.uuid) not in in_use:
            discard(upload.uuid)
