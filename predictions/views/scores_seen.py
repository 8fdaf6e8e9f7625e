"""Whoever sees scores of places has seen them: warned before, where they may still judge there; kept in any case."""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from labels.models import Project
from predictions import exposure


def warned_of_scores(page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Before a page with scores of places opens: people who judge here are told what they lose, and asked.

    Who judges nothing here is not asked; that they have seen the scores is kept all the same.
    """

    @wraps(page)
    def enter(request: HttpRequest, project: Project, *args, **kwargs) -> HttpResponse:
        if request.method == "POST":
            exposure.record(request.user, project)
            return redirect(request.get_full_path())
        n_lost = exposure.would_lose(request.user, project)
        if n_lost:
            return render(request, "predictions/scores_ahead.html", {"n_lost": n_lost})
        exposure.record(request.user, project)
        return page(request, project, *args, **kwargs)

    return enter
