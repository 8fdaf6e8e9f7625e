"""The card of a run: everything it was made of and what it may be quoted for, to print and put beside its map."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from labels.models import Project
from labels.views.doors import in_project
from predictions import totals_table
from predictions.origins import origins_on
from predictions.run_report import RunReport
from predictions.views.runs import named_sources, runs_of


@require_safe
@in_project("view_run")
def run_card(request: HttpRequest, project: Project, run: int) -> HttpResponse:
    """Figures, hashes and limits; no score of any place, so that reading it keeps nobody from judging."""
    done = runs_of(project).exclude(content_sha256="").select_related("feature_set__source", "feature_set__area")
    found = get_object_or_404(done.defer("area__geometry", "feature_set__area__geometry"), number=run)
    report = RunReport(found, origins_on(request.user, found))
    context = {
        "run": found,
        "report": report,
        "features": found.feature_set,
        "left_out": named_sources(project, report.left_out),
        "figures": found.figures,
        # What is said in words below is no option to read as code.
        "options": {name: value for name, value in found.options.items() if name != "error_rates_from"},
        "country": totals_table.of_all(found),
        "stands_on": totals_table.stands_on(found),
        "rights": _rights(found.feature_set.source),
    }
    return render(request, "predictions/run_card.html", context)


def _rights(source) -> list[tuple[str, bool]]:
    if source is None:
        return []
    names = ("may_view", "may_derive_labels", "may_share_labels", "may_train")
    return [(source._meta.get_field(name).verbose_name, getattr(source, name)) for name in names]
