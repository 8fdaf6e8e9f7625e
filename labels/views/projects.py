"""The projects a person belongs to, and a project's first page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from labels import access, progress
from labels.models import Audit, Project
from labels.views.doors import in_project


@require_safe
def projects(request: HttpRequest) -> HttpResponse:
    """Straight to the project of a person who has one only."""
    mine = list(access.projects_of(request.user).order_by("name"))
    if len(mine) == 1:
        return redirect("labels:overview", mine[0].slug)
    return render(request, "labels/projects.html", {"projects": mine})


@require_safe
@in_project("view_project")
def overview(request: HttpRequest, project: Project) -> HttpResponse:
    open_audits = Audit.objects.filter(project=project, closed_at__isnull=True).select_related("register")
    context = {
        "queues": [progress.queue_of(audit, request.user) for audit in open_audits],
        "steps": progress.next_steps(project) if access.role_may(request.role, "view_register") else None,
        "n_jobs": progress.n_unfinished_jobs(project),
    }
    return render(request, "labels/overview.html", context)
