"""Whoever sees scores of places has seen them: warned before, where they may still judge there; kept in any case."""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from labels.models import Project, Review
from predictions import exposure
from predictions.models import TrainingRun


def warned_of_scores(page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Before a page with scores of a run opens: people who judge here are told what they lose and asked.

    Who has never judged in the project is not asked; that they have seen the scores is kept all the same.
    """

    @wraps(page)
    def enter(request: HttpRequest, project: Project, run: TrainingRun, *args, **kwargs) -> HttpResponse:
        n_lost = exposure.would_lose(request.user, run)
        if request.method == "POST":
            exposure.record(request.user, run)
            return redirect(request.get_full_path())
        if n_lost and Review.objects.filter(annotator=request.user, unit__audit__project=project).exists():
            return render(request, "predictions/scores_ahead.html", {"run": run, "n_lost": n_lost})
        if n_lost:
            exposure.record(request.user, run)
        return page(request, project, run, *args, **kwargs)

    return enter
