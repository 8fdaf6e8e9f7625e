"""Training runs: the list, one run with its figures, and what people do with it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labels import jobs
from labels.errors import LabelsError
from labels.models import Project
from labels.views.doors import in_project, said
from predictions import map_panel, readiness, rules, run_charts, run_list, run_report, totals_table, training
from predictions.asking_again import ask_again
from predictions.models import RetrainingRule, TrainingRun
from predictions.origins import origins_on
from predictions.views.scores_seen import warned_of_scores


def runs_of(project: Project):
    found = project.training_runs.select_related("feature_set", "area", "release", "job", "made_by", "chosen_by")
    return found.defer("area__geometry")


@require_safe
@in_project("view_run")
def runs(request: HttpRequest, project: Project) -> HttpResponse:
    """The page, or for htmx only the table. No scores of places in it."""
    page = run_list.page_of(project, request.GET.get("page"))
    context = {
        "page": page,
        "runs": page.object_list,
        "running": any(each.is_under_way for each in page.object_list),
        "n_done": sum(each.run.is_done for each in page.object_list),
    }
    if request.htmx:
        return render(request, "predictions/_runs.html", context)
    context["rule_stopped"] = rules.said_of(RetrainingRule.objects.filter(project=project).first())
    if not page.object_list:
        context["needs"] = readiness.needs(project)
        context["is_ready"] = all(need.is_met for need in context["needs"])
    return render(request, "predictions/runs.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("view_run")
def run(request: HttpRequest, project: Project, run: int) -> HttpResponse:
    """How far it is while it runs; its figures once it is done."""
    found = get_object_or_404(runs_of(project).select_related("feature_set__source"), number=run)
    if not found.is_done:
        return _progress(request, found)
    if request.htmx:  # it was watched while it ran: show all of it now, or first the warning
        return HttpResponse(headers={"HX-Refresh": "true"})
    return _finished(request, project, found)


def _progress(request: HttpRequest, found: TrainingRun) -> HttpResponse:
    template = "predictions/_run_progress.html" if request.htmx else "predictions/run_progress.html"
    return render(request, template, {"run": found, "job": found.job})


@warned_of_scores
def _finished(request: HttpRequest, project: Project, found: TrainingRun) -> HttpResponse:
    report = run_report.RunReport(found, origins_on(request.user, found))
    context = {
        "run": found,
        "report": report,
        "ladder": run_charts.ladder(report.ladder),
        "points": run_charts.reliability_points(report.reliability),
        "steps": run_charts.steps(report.gain),
        "left_out": named_sources(project, report.left_out),
        "map": map_panel.panel(found, request.user),
        "totals": totals_table.table(found),
        "stands_on": totals_table.stands_on(found),
        "before": _done(project).filter(number__lt=found.number).first(),
    }
    return render(request, "predictions/run.html", context)


def _done(project: Project):
    return project.training_runs.exclude(content_sha256="").defer("figures")


def named_sources(project: Project, left_out: list[dict]) -> list[dict]:
    """The rows of what was left out, each with the name of its source."""
    names = dict(project.imagery_sources.values_list("slug", "name")) if left_out else {}
    return [each | {"name": names.get(each["source"], each["source"])} for each in left_out]


@require_POST
@in_project("choose_run")
def run_choose(request: HttpRequest, project: Project, run: int) -> HttpResponse:
    """Make it the run whose map the project goes by."""
    found = get_object_or_404(project.training_runs, number=run)
    try:
        training.choose(found, request.user)
    except LabelsError as error:
        return said(request, error, "predictions:run", project.slug, run)
    return redirect("predictions:run", project.slug, run)


@require_POST
@in_project("start_run")
def run_cancel(request: HttpRequest, project: Project, run: int) -> HttpResponse:
    found = get_object_or_404(project.training_runs.select_related("job"), number=run)
    if found.job:
        jobs.cancel(found.job)
    return redirect("predictions:run", project.slug, run)


@require_POST
@in_project("start_run")
def run_retry(request: HttpRequest, project: Project, run: int) -> HttpResponse:
    """Do it again: the same labels, features and options, in the name of who asks."""
    found = get_object_or_404(project.training_runs, number=run)
    try:
        ask_again(found, by=request.user)
    except LabelsError as error:
        return said(request, error, "predictions:run", project.slug, run)
    return redirect("predictions:run", project.slug, run)
