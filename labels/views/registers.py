"""Registers as they were published: the list, one register, its editions and refused rows, its records."""

from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from labels import access, claims
from labels.ingest.registers import refused_rows
from labels.ingest.reports import write_report
from labels.minerals import mineral_word
from labels.models import Job, Placement, Project, SiteRecord
from labels.views.doors import in_project

PAGE_ROWS = 50
LISTED_GROUPS = 30


@require_safe
@in_project("view_register")
def registers(request: HttpRequest, project: Project) -> HttpResponse:
    found = project.registers.annotate(
        n_records=Count("placements", distinct=True), n_editions=Count("editions", distinct=True)
    ).order_by("name")
    return render(request, "labels/registers.html", {"registers": found})


@require_safe
@in_project("view_register")
def register(request: HttpRequest, project: Project, register: str) -> HttpResponse:
    """What it claims, its imports and their reports."""
    found = get_object_or_404(project.registers, slug=register)
    running = project.jobs.filter(
        kind=Job.Kind.LOAD_REGISTER,
        state__in=[Job.State.QUEUED, Job.State.RUNNING],
        parameters__register=found.pk,
    )
    context = {
        "register": found,
        "editions": found.editions.all(),
        "running": running.first(),
        "waiting": found.uploads.exclude(uuid__in=[job.parameters.get("upload") for job in running]).first(),
        "totals": claims.totals(found),
        "groups": _groups(found),
    }
    return render(request, "labels/register.html", context)


def _groups(register) -> list[dict]:
    """The tables of the register's page; a table of which nothing is stated is left out."""
    by = {
        "region": claims.by_region(register),
        "mineral": _in_words(claims.by_mineral(register)),
        "legal_status": claims.by_status(register, "legal_status"),
        "trade_status": claims.by_status(register, "trade_status"),
    }
    rows = {name: list(found[: LISTED_GROUPS + 1]) for name, found in by.items()}
    return [
        {"name": name, "rows": found[:LISTED_GROUPS], "has_more": len(found) > LISTED_GROUPS}
        for name, found in rows.items()
        if any(what is not None for what, _ in found)
    ]


def _in_words(minerals: QuerySet) -> list[tuple[str | None, int]]:
    return [(code and mineral_word(code), n) for code, n in minerals[: LISTED_GROUPS + 1]]


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


@require_safe
@in_project("view_register")
def records(request: HttpRequest, project: Project, register: str) -> HttpResponse:
    found = get_object_or_404(project.registers, slug=register)
    searched = request.GET.get("q", "").replace("\0", "").strip()
    placed = claims.records_of(found).order_by("site_record_id")
    if searched:
        placed = claims.named_like(placed, searched)
    page = Paginator(placed, PAGE_ROWS).get_page(request.GET.get("page"))
    return render(request, "labels/records.html", {"register": found, "page": page, "searched": searched})


@require_safe
@in_project("view_register")
def record(request: HttpRequest, project: Project, record: UUID) -> HttpResponse:
    """Everything the register said about one site, latest first."""
    found = get_object_or_404(SiteRecord.objects.select_related("register"), uuid=record, register__project=project)
    observations = found.observations.select_related("first_edition").order_by("-first_edition__number", "-file_row")
    areas = ("region", "admin_area", "commercial_area", "protected_area", "permit_area", "observation")
    placed = Placement.objects.select_related(*areas)
    context = {"record": found, "placement": placed.filter(pk=found.pk).first(), "observations": observations}
    access.note_access(request.user, project, "view_coordinates", f"record {found.uuid}", 1)
    return render(request, "labels/record.html", context)
