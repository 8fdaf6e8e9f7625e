"""Registers as they were published: the list, one register, its editions and refused rows."""

from datetime import datetime

from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from labels import access
from labels.ingest.registers import refused_rows
from labels.ingest.reports import write_report
from labels.models import Job, Project, Register
from labels.register_map import bounds_of
from labels.views import register_claims
from labels.views.doors import in_project
from labels.views.register_map import map_data

PAGE_ROWS = 50


@require_safe
@in_project("view_register")
def registers(request: HttpRequest, project: Project) -> HttpResponse:
    found = project.registers.annotate(
        n_records=Count("placements", distinct=True), n_editions=Count("editions", distinct=True)
    ).order_by("name")
    n_pairs = project.duplicate_pairs.filter(decisions=None).count()
    return render(request, "labels/registers.html", {"registers": found, "n_pairs": n_pairs})


@require_safe
@in_project("view_register")
def register(request: HttpRequest, project: Project, register: str) -> HttpResponse:
    """What it claims, its imports and their reports; for htmx only the import on its way."""
    found = get_object_or_404(project.registers, slug=register)
    running = project.jobs.filter(
        kind=Job.Kind.LOAD_REGISTER,
        state__in=[Job.State.QUEUED, Job.State.RUNNING],
        parameters__register=found.pk,
    )
    job = running.first()
    context = {"register": found, "running": job, "expected_end": expected_end(job) if job else None}
    if request.htmx:
        response = render(request, "labels/_running_import.html", context)
        if job is None:
            response.headers["HX-Refresh"] = "true"  # it is over: the page has new figures
        return response
    return render(request, "labels/register.html", context | _claims(project, found, running))


def expected_end(job: Job) -> datetime | None:
    """When the stage under way will be over if it goes on as it went; None before anything can be said."""
    if job.state != Job.State.RUNNING or not (job.n_total and job.n_done and job.stage_started_at):
        return None
    took = timezone.now() - job.stage_started_at
    return job.stage_started_at + took * (job.n_total / job.n_done)


def _claims(project: Project, register: Register, running) -> dict:
    editions = list(register.editions.select_related("withdrawn_by"))
    source = reverse("labels:register_map", args=[project.slug, register.slug])
    return {
        "editions": editions,
        "waiting": register.uploads.exclude(uuid__in=[job.parameters.get("upload") for job in running]).first(),
        "map_data": map_data(project, source, bounds_of(register)) if editions else None,
        **(register_claims.of(register) if editions else {}),
    }


@require_safe
@in_project("view_register")
def edition(request: HttpRequest, project: Project, register: str, number: int) -> HttpResponse:
    """One import: its tally, the words nobody knew, the refused rows."""
    found = _edition(project, register, number)
    page = Paginator(found.refused_rows.order_by("file_row", "pk"), PAGE_ROWS).get_page(request.GET.get("page"))
    context = {"register": found.register, "edition": found, "page": page, "job": found.job}
    return render(request, "labels/edition.html", context)


@require_safe
@in_project("view_register")
def refused_csv(request: HttpRequest, project: Project, register: str, number: int) -> HttpResponse:
    """The row report. A refused value may be a coordinate, so who takes it is written down."""
    found = _edition(project, register, number)
    access.note_access(request.user, project, "download_refused_rows", found, found.n_refused)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="refused-{found.register.slug}-{number}.csv"'
    write_report(refused_rows(found).iterator(), response)
    return response


def _edition(project: Project, register: str, number: int):
    return get_object_or_404(get_object_or_404(project.registers, slug=register).editions, number=number)
