"""Registers as they were published: the list, one register, its editions and refused rows."""

from django.core.paginator import Paginator
from django.db.models import Count, Model, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from labels import access, editions
from labels.ingest.registers import refused_rows
from labels.ingest.reports import write_report
from labels.models import Edition, Placement, Project, Register
from labels.register_map import bounds_of
from labels.views import register_claims
from labels.views.doors import in_project
from labels.views.register_map import map_data

PAGE_ROWS = 50


@require_safe
@in_project("view_register")
def registers(request: HttpRequest, project: Project) -> HttpResponse:
    found = project.registers.annotate(n_records=_counted(Placement), n_editions=_counted(Edition)).order_by("name")
    n_pairs = project.duplicate_pairs.filter(decisions=None).count()
    return render(request, "labels/registers.html", {"registers": found, "n_pairs": n_pairs})


def _counted(model: type[Model]) -> Coalesce:
    """How many rows of the model each register has; a count of its own, since two joins would multiply them."""
    counts = model.objects.filter(register=OuterRef("pk")).order_by().values("register").annotate(n=Count("pk"))
    return Coalesce(Subquery(counts.values("n")), 0)


@require_safe
@in_project("view_register")
def register(request: HttpRequest, project: Project, register: str) -> HttpResponse:
    """What it claims, its imports and their reports; for htmx only the import on its way."""
    found = get_object_or_404(project.registers, slug=register)
    running = editions.unfinished(found)
    job = running.first()
    context = {"register": found, "running": job}
    if request.htmx:
        response = render(request, "labels/_running_import.html", context)
        if job is None:
            response.headers["HX-Refresh"] = "true"  # it is over: the page has new figures
        return response
    return render(request, "labels/register.html", context | _claims(project, found, running))


def _claims(project: Project, register: Register, running) -> dict:
    listed = list(register.editions.select_related("withdrawn_by"))
    source = reverse("labels:register_map", args=[project.slug, register.slug])
    return {
        "editions": listed,
        "waiting": register.uploads.exclude(uuid__in=[job.parameters.get("upload") for job in running]).first(),
        "map_data": map_data(project, source, bounds_of(register)) if listed else None,
        **(register_claims.of(register) if listed else {}),
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
