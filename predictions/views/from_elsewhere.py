"""What the model of another country is worth here: asked by a person who may look at runs of both."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from labels.errors import LabelsError
from labels.models import Project
from labels.views.doors import in_project, said
from predictions import elsewhere


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("start_run")
def run_elsewhere(request: HttpRequest, project: Project, run: int) -> HttpResponse:
    """The runs that can be judged; by POST, one is, and its answer is put on this run's ladder."""
    done = project.training_runs.exclude(content_sha256="").select_related("release", "feature_set", "project")
    here = get_object_or_404(done, number=run)
    others = elsewhere.runs_for(request.user, project)
    if request.method != "POST":
        return render(request, "predictions/run_elsewhere.html", {"run": here, "others": others})
    chosen = next((each for each in others if str(each.uuid) == request.POST.get("run")), None)
    if chosen is None:
        raise Http404
    chosen.refresh_from_db(fields=["figures"])
    try:
        elsewhere.keep(here, elsewhere.judge(chosen, here, by=request.user))
    except LabelsError as error:
        return said(request, error, "predictions:run_elsewhere", project.slug, run)
    return redirect("predictions:run", project.slug, run)
