"""What the model of another project is worth here: asked by a person who may look at runs of both, done as a job."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from labels import jobs
from labels.errors import LabelsError
from labels.models import Job, Project
from labels.views.doors import in_project, said
from predictions import elsewhere, judging_elsewhere
from predictions.models import TrainingRun
from predictions.origins import ELSEWHERE, UNKNOWN, Origin, Origins, origin_on, origins
from predictions.run_report import Rung, RunReport

N_JOBS = 5


@dataclass(frozen=True)
class Asked:
    """A job as the page shows it to one person."""

    job: Job
    origin: Origin
    again: str  # uuid of the run by which the person may ask for the same once more; empty where not


@dataclass(frozen=True)
class Answer:
    """What one run of another project is worth here."""

    origin: Origin
    judged_at: datetime | None
    rungs: list[Rung]
    prevalence_here: float | None
    prevalence_ratio: float | None  # how many times as common mining is here as there


def _runs(project: Project):
    return project.training_runs.exclude(content_sha256="").select_related("release", "feature_set", "project")


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("start_run")
def run_elsewhere(request: HttpRequest, project: Project, run: int) -> HttpResponse:
    """What was judged and is being judged, live; by POST, one more is asked for."""
    here = get_object_or_404(_runs(project), number=run)
    others = elsewhere.runs_for(request.user, here)
    if request.method == "POST":
        return _asked_for(request, here, others)
    context = _shown(request, here, others) | {"run": here, "others": others}
    template = "predictions/_from_elsewhere.html" if request.htmx else "predictions/run_elsewhere.html"
    return render(request, template, context)


def _asked_for(request: HttpRequest, here: TrainingRun, others: list[TrainingRun]) -> HttpResponse:
    chosen = next((each for each in others if str(each.uuid) == request.POST.get("run")), None)
    if chosen is None:
        raise Http404
    try:
        judging_elsewhere.ask(chosen, here, by=request.user)
    except LabelsError as error:
        return said(request, error, "predictions:run_elsewhere", here.project.slug, here.number)
    return redirect("predictions:run_elsewhere", here.project.slug, here.number)


def _shown(request: HttpRequest, here: TrainingRun, others: list[TrainingRun]) -> dict:
    found = list(judging_elsewhere.jobs_of(here).select_related("requested_by")[:N_JOBS])
    rungs = [rung for rung in here.figures.get("ladder", []) if rung["key"] == ELSEWHERE]
    kept = [job.parameters["origin"] for job in found] + [rung["origin"] for rung in rungs if "origin" in rung]
    known = origins(request.user, kept)
    may_ask = {str(each.uuid) for each in others}
    return {
        "asked": [_asked(job, known, may_ask) for job in found if job.state != Job.State.DONE],
        "answers": _answers(here, rungs, known),
        "is_running": any(not job.is_over for job in found),
    }


def _asked(job: Job, known: Origins, may_ask: set[str]) -> Asked:
    run = job.parameters["origin"]["run"]
    is_to_ask = run in may_ask and job.state in (Job.State.FAILED, Job.State.CANCELLED)
    return Asked(job, known.get(run, UNKNOWN), run if is_to_ask else "")


def _answers(here: TrainingRun, rungs: list[dict], known: Origins) -> list[Answer]:
    """The newest first; a run has one answer of three rungs."""
    told = [rung for rung in RunReport(here, known).ladder if rung.key == ELSEWHERE]
    groups: dict[str, list] = {}
    for stored, rung in zip(rungs, told, strict=True):  # the report keeps the order of rungs of one key
        groups.setdefault(stored.get("origin", {}).get("run", ""), []).append((stored, rung))
    return [_answer(each, known) for each in reversed(groups.values())]


def _answer(both: list[tuple[dict, Rung]], known: Origins) -> Answer:
    stored, origin = both[0][0], origin_on(both[0][0], known)
    at, share = stored.get("judged_at"), stored.get("prevalence_here")
    return Answer(
        origin,
        datetime.fromisoformat(at) if at else None,
        [rung for _, rung in both],
        share,
        elsewhere.prevalence_ratio(origin.prevalence, share),
    )


@require_POST
@in_project("start_run")
def run_elsewhere_cancel(request: HttpRequest, project: Project, run: int, judging: UUID) -> HttpResponse:
    here = get_object_or_404(_runs(project), number=run)
    jobs.cancel(get_object_or_404(judging_elsewhere.jobs_of(here), uuid=judging))
    return redirect("predictions:run_elsewhere", project.slug, run)
