"""Pictures that a STAC catalogue lists, brought into a source of our own by a job one can watch, cancel and resume."""

from dataclasses import replace
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from labels import jobs
from labels.errors import BadInput
from labels.imagery import loading, uploads
from labels.imagery.opening import ImageRefused
from labels.imagery.providers.asking import Asker, refusal
from labels.imagery.providers.errors import Failed, ProviderError, Refused
from labels.imagery.providers.fetching import Limits
from labels.jobs import RunningJob, work
from labels.models import ImagerySource, Job, ProviderDate, Scene

MOST = 50
PICTURE = Limits(connect_s=10, silence_s=60, total_s=6 * 3600, max_bytes=0)  # the size is the setting for uploads
ACCEPT = "image/tiff, application/octet-stream;q=0.9, */*;q=0.1"


def ask(source: ImagerySource, dates: list[ProviderDate], *, requested_by=None) -> Job:
    """Ask for a job that fetches these dates' pictures."""
    return jobs.ask(
        project=source.project,
        kind=Job.Kind.FETCH_IMAGERY,
        subject=f"{source.name}: {len(dates)}",
        requested_by=requested_by,
        parameters=parameters(source, dates),
    )


def parameters(source: ImagerySource, dates: list[ProviderDate]) -> dict:
    """Numbers only: the address and the key are read when the job runs."""
    if not source.may_cache:
        raise BadInput(_("The rights of this source do not allow keeping its pictures."))
    dates = [date for date in dates if date.options.get("asset")]
    if not dates:
        raise BadInput(_("Choose pictures that the catalogue offers as a file."))
    if len(dates) > MOST:
        raise BadInput(_("Choose at most %(n)d pictures at a time.") % {"n": MOST})
    return {"source": source.pk, "dates": [date.pk for date in dates]}


def target_of(source: ImagerySource) -> ImagerySource:
    """The source of our own that takes the provider's pictures, with the same rights; made if there is none."""
    name = _("%(source)s, fetched") % {"source": source.name[:150]}
    slug = loading.slug_of(f"{source.slug[:40]}-fetched") or "fetched"
    rights = ("may_view", "may_cache", "may_derive_labels", "may_share_labels", "may_train", "purpose", "evidence",
              "rights_expire_on", "attribution")  # fmt: skip
    given = {field: getattr(source, field) for field in rights}
    return ImagerySource.objects.get_or_create(
        project=source.project, slug=slug, kind=ImagerySource.Kind.SCENES, defaults={"name": name, **given}
    )[0]


@work(Job.Kind.FETCH_IMAGERY)
def fetch_imagery(job: RunningJob) -> dict:
    """Fetch and prepare each picture; those that are there already are left alone, so that a stopped job goes on."""
    source = ImagerySource.objects.select_related("project").get(
        pk=job.parameters["source"], project=job.job.project_id
    )
    dates = list(source.dates.filter(pk__in=job.parameters["dates"]).order_by("pk"))
    into = target_of(source)
    outcomes: dict[str, list[str]] = {"created": [], "dated": [], "unchanged": []}
    refused = []
    for number, date in enumerate(dates, start=1):
        label = f"{number}/{len(dates)} {date.key}"[:80]
        try:
            outcome, scene = _bring(job, source, date, into, label)
            outcomes[outcome].append(str(scene.uuid))
        except (ImageRefused, ProviderError) as error:
            refused.append(f"{date.key}: {error}")
    if refused:
        told = {"loaded": len(dates) - len(refused), "files": len(dates), "refused": " ".join(refused)}
        raise BadInput(_("%(loaded)d of %(files)d pictures were fetched. Refused: %(refused)s") % told)
    return outcomes | {"source": into.slug}


def _bring(job: RunningJob, source: ImagerySource, date: ProviderDate, into: ImagerySource, label: str):
    name = f"{date.key}.tif"[:255]
    there = Scene.objects.filter(source=into, original_name=name, captured_on=date.captured_on).first()
    if there:
        return "unchanged", there
    folder = uploads.folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"fetched-{job.job.uuid.hex}-{date.pk}.tif"
    try:
        _download(job, source, date, path, label)
        report = loading.reporter(job, label)
        return loading.add_picture(job, into, path, [folder], name=name, acquired=date.captured_on, report=report)
    finally:
        path.unlink(missing_ok=True)


def _download(job: RunningJob, source: ImagerySource, date: ProviderDate, path: Path, label: str) -> None:
    """The policy is asked again for each picture: a project that went back to local imagery fetches no more."""
    source.project.refresh_from_db()
    asker = Asker(source)
    url = date.options["asset"]
    if url.startswith("s3://"):
        raise Refused(_("The picture is in a private store (s3://); only https addresses are fetched."))
    job.begin(f"{label}: {_('fetch')}"[:100])
    limits = replace(PICTURE, max_bytes=settings.UPLOAD_LIMIT_IMAGERY)
    with path.open("wb") as file:
        path.chmod(0o600)
        answer = asker.ask(url, limits=limits, accept=ACCEPT, into=file, report=job.progress)
    if answer.status != 200:
        raise Failed(refusal(asker.host, answer.status))
