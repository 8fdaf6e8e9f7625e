"""Two runs side by side."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from labels.errors import BadInput, LabelsError
from labels.models import Project
from labels.views.doors import in_project, said
from predictions import comparing, map_panel, run_charts
from predictions.comparing import Change
from predictions.models import TrainingRun
from predictions.origins import origins_on
from predictions.run_report import headline, paired
from predictions.run_words import label
from predictions.views.runs import runs_of
from predictions.views.scores_seen import warned_of_scores


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("view_run")
def run_compare(request: HttpRequest, project: Project) -> HttpResponse:
    """The earlier run first, whatever order they were chosen in."""
    try:
        before, after = _chosen(request, project)
    except BadInput as error:
        return said(request, error, "predictions:runs", project.slug)
    return _compared(request, project, before, after)


def _chosen(request: HttpRequest, project: Project) -> list[TrainingRun]:
    numbers = {int(given) for given in request.GET.getlist("run") if given.isdecimal() and len(given) < 9}
    done = runs_of(project).exclude(content_sha256="").filter(number__in=numbers).order_by("number")
    found = list(done[:3]) if len(numbers) == 2 else []
    if len(found) != 2:
        raise BadInput(_("Choose two finished runs to compare."))
    return found


@warned_of_scores
def _compared(request: HttpRequest, project: Project, before: TrainingRun, after: TrainingRun) -> HttpResponse:
    try:
        found = comparing.compare(before, after)
    except LabelsError as error:
        return said(request, error, "predictions:runs", project.slug)
    context = {
        "before": before,
        "after": after,
        "sides": [{"run": each, "quoted": headline(each)} for each in (before, after)],
        "found": found,
        "pairs": run_charts.pairs(paired(found.skill, origins_on(request.user, before, after))),
        "changes": [_worded(found.labels.cells), _worded(found.labels.records)],
        "map": map_panel.difference_panel(before, after, request.user),
    }
    return render(request, "predictions/run_compare.html", context)


def _worded(changes: list[Change] | None) -> list[dict] | None:
    """Rows of a table of changed labels; None where they are not at hand."""
    if changes is None:
        return None
    return [{"before": label(each.before), "after": label(each.after), "n": each.n} for each in changes]
