"""How reliable the registers are: the page, and the same figures as files."""

from dataclasses import dataclass

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.http import require_safe

from labels import access, charts, report_formats, report_words
from labels.errors import BadInput
from labels.groupings import GROUP_KEYS
from labels.models import Audit, Exposure, Project
from labels.reports import FILTERS, Group, Report, reliability_of
from labels.views.doors import in_project

NONE = "(none)"  # a filter for the missing value; an empty parameter is no filter
DEFAULT_BY = ["region"]


def question(parameters: QueryDict) -> dict:
    """What the URL asks for, as arguments of reliability_of."""
    by = [name for given in parameters.getlist("by") for name in given.split(",") if name]
    where = {name: parameters[name] for name in GROUP_KEYS if name != "audit" and parameters.get(name)}
    return {
        "audit": parameters.get("audit", "").replace("\0", ""),
        "by": by if "by" in parameters else DEFAULT_BY,
        "where": {name: "" if value == NONE else value for name, value in where.items()},
        "tolerance_m": _tolerance(parameters.get("tolerance_m", "")),
    }


def _tolerance(given: str) -> float | None:
    try:
        return float(given) if given else None
    except ValueError:
        raise BadInput(_("A tolerance is a number of metres above 0.")) from None


@dataclass(frozen=True)
class Row:
    group: Group
    query: str  # of the page on this group alone


class Filter:
    """A select of the page: the values to choose from, and the one chosen."""

    def __init__(self, name: str, heading: str, report: Report, chosen: str):
        self.name, self.heading, self.chosen = name, heading, chosen
        self.choices = report.choices[name]


def rows(report: Report, parameters: QueryDict) -> list[Row]:
    return [Row(group, _narrowed(group, parameters)) for group in report.groups]


def _narrowed(group: Group, parameters: QueryDict) -> str:
    query = parameters.copy()
    query["by"] = ""
    for name, value in group.key.items():
        query[name] = value or NONE
    return query.urlencode()


def _report(request: HttpRequest, project: Project, asked: dict) -> Report:
    """The report; whoever reads single verdicts out of a very small group may not review those units any more."""
    report = reliability_of(project, **asked)
    access.expose(request.user, report.told, Exposure.What.REVIEWS)
    return report


@require_safe
@in_project("view_reliability")
def reliability(request: HttpRequest, project: Project) -> HttpResponse:
    audits = project.audits.filter(frame=Audit.Frame.RECORDS)
    context = {"audits": audits, "keys": GROUP_KEYS, "tolerances": [50, 100, 250, 500, 1000], "none": NONE}
    try:
        asked = question(request.GET)
        report = _report(request, project, asked)
    except BadInput as error:
        return render(request, "labels/reliability.html", context | {"error": error}, status=400)
    context |= {
        "report": report,
        "asked": asked | {"by": [*report.by, "", ""][:2]},
        "filters": [Filter(name, GROUP_KEYS[name].heading, report, request.GET.get(name, "")) for name in FILTERS],
        "other_filters": [(name, request.GET[name]) for name in report.where if name not in FILTERS],
        "where_words": [(GROUP_KEYS[name].heading, report.where_words[name]) for name in report.where],
        "by_words": ", ".join(str(GROUP_KEYS[name].heading) for name in report.by),
        "query": request.GET.urlencode(),
    }
    if report.overall.n_judged:
        context |= {
            "answer": report_words.answer(report),
            "shares": charts.shares_plot(report.overall),
            "forest": charts.forest_plot(report),
            "histogram": charts.histogram(report),
            "rows": rows(report, request.GET),
            "steps": report_words.next_steps(report),
            "n_searched_less": report.overall.within[-1].n_searched_less,
        }
    return render(request, "labels/reliability.html", context)


@require_safe
@in_project("view_reliability")
def download(request: HttpRequest, project: Project, form: str) -> HttpResponse:
    """The page's figures as a file, in English whatever the page speaks. Holds no coordinates; that it was taken
    out is kept."""
    with override(settings.LANGUAGE_CODE):
        return _download(request, project, form)


def _download(request: HttpRequest, project: Project, form: str) -> HttpResponse:
    try:
        report = _report(request, project, question(request.GET))
    except BadInput as error:
        raise Http404(str(error)) from error
    name = f"reliability-{project.slug}-{report.computed_at:%Y%m%d-%H%M}.{form}"
    if form == "csv":
        response = HttpResponse(report_formats.as_csv(report), content_type="text/csv; charset=utf-8")
    else:
        response = JsonResponse(report_formats.as_json(report), json_dumps_params={"ensure_ascii": False})
    access.note_access(request.user, project, "download_reliability", name, len(report.groups) + 1)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
