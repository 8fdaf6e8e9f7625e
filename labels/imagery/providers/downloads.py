"""Pictures that a STAC catalogue lists, brought into a source of our own by a job one can watch, cancel and resume."""

from dataclasses import replace
from pathlib import Path
from time import monotonic

from django.conf import settings
from django.utils.translation import gettext as _

from labels import jobs
from labels.errors import BadInput
from labels.imagery import loading, rights, sources, uploads
from labels.imagery.opening import ImageRefused
from labels.imagery.providers.asking import Asker, refusal
from labels.imagery.providers.errors import Failed, ProviderError, Refused
from labels.imagery.providers.fetching import Limits, Report
from labels.jobs import RunningJob, work
from labels.models import ImagerySource, Job, Project, ProviderDate, Scene

MOST = 50
WATCH_EVERY_S = 3
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
    _check_kept(source)
    dates = [date for date in dates if date.options.get("asset")]
    if not dates:
        raise BadInput(_("Choose pictures that the catalogue offers as a file."))
    if len(dates) > MOST:
        raise BadInput(_("Choose at most %(n)d pictures at a time.") % {"n": MOST})
    return {"source": source.pk, "dates": [date.pk for date in dates]}


def target_of(source: ImagerySource, user=None) -> ImagerySource:
    """The source of our own that takes the provider's pictures; made if there is none.

    It never has a right that the provider lacks: what was taken from the provider since is taken from it, too, and
    written down.
    """
    ours = source.project.imagery_sources.filter(kind=ImagerySource.Kind.SCENES)
    for target in ours.filter(options__fetched_from=source.pk).order_by("-pk"):
        fields = rights.narrowed(target, source)
        if fields is not None:
            sources.change(target, fields, user)
            return target
    given = {field: getattr(source, field) for field in (*sources.OF_RIGHTS, "attribution")}
    return ImagerySource.objects.create(
        project=source.project,
        slug=_free_slug(source),
        name=_("%(source)s, fetched") % {"source": source.name[:150]},
        options={"fetched_from": source.pk},
        **given,
    )


def _free_slug(source: ImagerySource) -> str:
    taken = set(source.project.imagery_sources.values_list("slug", flat=True))
    slugs = (f"{source.slug[:36]}-fetched{number}" for number in ("", *range(2, 10_000)))
    return next(slug for slug in slugs if slug not in taken)


def _may_be_asked(project: Project, told: dict) -> None:
    """Asking anew, or once more after a failure: rights may have gone since."""
    _check_kept(project.imagery_sources.filter(pk=told["source"]).first())


def _check_kept(source: ImagerySource | None) -> None:
    why = rights.why_not_kept(source) if source else _("The provider was removed.")
    if why:
        raise Refused(why)


class _Watch:
    """Asks every few seconds whether the pictures may still be fetched: one of them may take hours."""

    def __init__(self, source: ImagerySource):
        self._pk, self._asked_at = source.pk, monotonic()

    def look(self) -> None:
        if monotonic() - self._asked_at >= WATCH_EVERY_S:
            _check_kept(_fresh(self._pk))
            self._asked_at = monotonic()

    def reporting(self, report: Report) -> Report:
        def watched(*told) -> None:
            self.look()
            report(*told)

        return watched


def _fresh(source_pk: int) -> ImagerySource | None:
    return ImagerySource.objects.select_related("project").filter(pk=source_pk).first()


@work(Job.Kind.FETCH_IMAGERY, may_be_asked=_may_be_asked)
def fetch_imagery(job: RunningJob) -> dict:
    """Fetch and prepare each picture; those that are there already are left alone, so that a stopped job goes on."""
    source = ImagerySource.objects.select_related("project").get(
        pk=job.parameters["source"], project=job.job.project_id
    )
    dates = list(source.dates.filter(pk__in=job.parameters["dates"]).order_by("pk"))
    into = None
    outcomes: dict[str, list[str]] = {"created": [], "dated": [], "unchanged": []}
    refused = []
    for number, date in enumerate(dates, start=1):
        label = f"{number}/{len(dates)} {date.key}"[:80]
        try:
            # Read again for each picture: rights, policy, address and key are those of this moment.
            _check_kept(now := _fresh(source.pk))
            into = target_of(now, job.job.requested_by)
            outcome, scene = _bring(job, now, date, into, label)
            outcomes[outcome].append(str(scene.uuid))
        except (ImageRefused, ProviderError) as error:
            refused.append(f"{date.key}: {error}")
    if refused:
        told = {"loaded": len(dates) - len(refused), "files": len(dates), "refused": " ".join(refused)}
        raise BadInput(_("%(loaded)d of %(files)d pictures were fetched. Refused: %(refused)s") % told)
    return outcomes | {"source": into.slug if into else ""}


def _bring(job: RunningJob, source: ImagerySource, date: ProviderDate, into: ImagerySource, label: str):
    name = f"{date.key}.tif"[:255]
    there = Scene.objects.filter(source=into, original_name=name, captured_on=date.captured_on).first()
    if there:
        return "unchanged", there
    folder = uploads.folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"fetched-{job.job.uuid.hex}-{date.pk}.tif"
    watch = _Watch(source)
    try:
        _download(job, source, date, path, label, watch)
        report = watch.reporting(loading.reporter(job, label))
        return loading.add_picture(job, into, path, [folder], name=name, acquired=date.captured_on, report=report)
    finally:
        path.unlink(missing_ok=True)


def _download(
    job: RunningJob, source: ImagerySource, date: ProviderDate, path: Path, label: str, watch: _Watch
) -> None:
    asker = Asker(source)
    url = date.options["asset"]
    if url.startswith("s3://"):
        raise Refused(_("The picture is in a private store (s3://); only https addresses are fetched."))
    job.begin(f"{label}: {_('fetch')}"[:100])
    limits = replace(PICTURE, max_bytes=settings.UPLOAD_LIMIT_IMAGERY)
    with path.open("wb") as file:
        path.chmod(0o600)
        answer = asker.ask(url, limits=limits, accept=ACCEPT, into=file, report=watch.reporting(job.progress))
    if answer.status != 200:
        raise Failed(refusal(asker.host, answer.status))
