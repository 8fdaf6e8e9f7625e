"""Long work as people see it: a list, one job with live progress, cancel and retry."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from labels import jobs as labels_jobs
from labels.errors import LabelsError
from labels.models import Job, Project
from labels.views.doors import in_project, said


@require_safe
@in_project("view_job")
def jobs(request: HttpRequest, project: Project) -> HttpResponse:
    """The page, or for htmx only the list."""
    recent = project.jobs.select_related("requested_by")[:100]
    template = "labels/_jobs.html" if request.htmx else "labels/jobs.html"
    return render(request, template, {"jobs": recent, "running": any(not job.is_over for job in recent)})


@require_safe
@in_project("view_job")
def job(request: HttpRequest, project: Project, job) -> HttpResponse:
    """The page, or for htmx only its changing part."""
    found = get_object_or_404(project.jobs, uuid=job)
    template = "labels/_job.html" if request.htmx else "labels/job.html"
    return render(request, template, {"job": found, "outcome": outcome_page(found)})


@require_POST
@in_project("cancel_job")
def cancel(request: HttpRequest, project: Project, job) -> HttpResponse:
    found = get_object_or_404(project.jobs, uuid=job)
    labels_jobs.cancel(found)
    return redirect("labels:job", project.slug, found.uuid)


@require_POST
@in_project("cancel_job")
def retry(request: HttpRequest, project: Project, job) -> HttpResponse:
    failed = get_object_or_404(project.jobs, uuid=job, state__in=[Job.State.FAILED, Job.State.CANCELLED])
    try:
        again = labels_jobs.retry(failed, requested_by=request.user)
    except LabelsError as error:
        return said(request, error, "labels:job", project.slug, failed.uuid)
    return redirect("labels:job", project.slug, again.uuid)


def outcome_page(job: Job) -> str:
    """Where to look at what the job made: its work may leave `page` (an URL path) in the result."""
    return job.result.get("page", "") if job.state == Job.State.DONE else ""
