"""How a view is entered: the project of the URL, asked of labels.access, and errors said in one place."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from labels import access
from labels.models import Project


def in_project(action: str) -> Callable:
    """Open the view to members who may do `action`; it receives the project instead of its slug, in its time zone.

    A stranger gets 404, a member whose role does not cover the action 403.
    """

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def enter(request: HttpRequest, project: str, *args, **kwargs) -> HttpResponse:
            found = get_object_or_404(Project, slug=project)
            request.role = access.require(request.user, action, found)
            request.project = found
            with timezone.override(found.time_zone):
                response = view(request, found, *args, **kwargs)
            response.headers.setdefault("Cache-Control", "private, no-store")
            return response

        enter.action = action
        return enter

    return decorate


def said(request: HttpRequest, error: Exception, to: str, *args) -> HttpResponse:
    """Say the error's sentence on the page the person came from."""
    messages.error(request, str(error))
    return redirect(to, *args)
