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
from predictions.run_report import Rung, RunReport, Skill

N_JOBS = 20
# Which rung of this run's own model asks the same: blocks are left out in both.
SAME = {"all_searched": "sample", "random": "blocks", "hard": "blocks"}


@dataclass(frozen=True)
class Asked:
    """A job as the page shows it to one person."""

    job: Job
    origin: Origin
    again: str  # uuid of the run by which the person may ask for the same once more; empty where not


@dataclass(frozen=True)
class Pair:
    """The other model, and this run's own where it was asked the same."""

    rung: Rung
    own: Rung | None

    @property
    def rows(self) -> list[Skill]:
        own = [self.own.skill] if self.own else []
        return [self.rung.skill, *own, self.rung.baselines["prevalence"]]


@dataclass(frozen=True)
class Answer:
    """What one run of another project is worth here."""

    origin: Origin
    judged_at: datetime | None
    pairs: list[Pair]
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
        "asked": [_asked(job, known, may_ask) for job in _last_of_each(found) if job.state != Job.State.DONE],
        "answers": _answers(here, rungs, known),
        "is_running": any(not job.is_over for job in found),
    }


def _last_of_each(found: list[Job]) -> list[Job]:
    """The newest of each other run: what failed before it is past."""
    newest: dict[str, Job] = {}
    for job in found:
        newest.setdefault(job.parameters["origin"]["run"], job)
    return list(newest.values())


def _asked(job: Job, known: Origins, may_ask: set[str]) -> Asked:
    run = job.parameters["origin"]["run"]
    is_to_ask = run in may_ask and job.state in (Job.State.FAILED, Job.State.CANCELLED)
    return Asked(job, known.get(run, UNKNOWN), run if is_to_ask else "")


def _answers(here: TrainingRun, rungs: list[dict], known: Origins) -> list[Answer]:
    """The newest first; a run has one answer of three rungs."""
    ladder = RunReport(here, known).ladder
    own = {(rung.key, rung.negatives): rung for rung in ladder if rung.key != ELSEWHERE}
    told = (rung for rung in ladder if rung.key == ELSEWHERE)  # the report keeps the order of rungs of one key
    groups: dict[str, list[tuple[dict, Pair]]] = {}
    for stored, rung in zip(rungs, told, strict=True):
        pair = Pair(rung, own.get((SAME[stored["negatives"]], rung.negatives)))
        groups.setdefault(stored.get("origin", {}).get("run", ""), []).append((stored, pair))
    return [_answer(each, known) for each in reversed(groups.values())]


def _answer(both: list[tuple[dict, Pair]], known: Origins) -> Answer:
    stored, origin = both[0][0], origin_on(both[0][0], known)
    at, share = stored.get("judged_at"), stored.get("prevalence_here")
    ratio = elsewhere.prevalence_ratio(origin.prevalence, share)
    return Answer(origin, datetime.fromisoformat(at) if at else None, [pair for _, pair in both], share, ratio)


@require_POST
@in_project("start_run")
def run_elsewhere_cancel(request: HttpRequest, project: Project, run: int, judging: UUID) -> HttpResponse:
    here = get_object_or_404(_runs(project), number=run)
    jobs.cancel(get_object_or_404(judging_elsewhere.jobs_of(here), uuid=judging))
    return redirect("predictions:run_elsewhere", project.slug, run)
