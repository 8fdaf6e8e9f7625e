"""What every page knows: the project it is in, and what the person may do there."""

from django.http import HttpRequest

from labels import access


def project(request: HttpRequest) -> dict:
    """`may` is the set of actions of labels.access that the person's role covers; `section` the tab we are under."""
    found = getattr(request, "project", None)
    if found is None:
        return {}
    return {
        "project": found,
        "role": request.role,
        "section": request.resolver_match.func.__module__.rpartition(".")[2],
        "may": {action for action in access.ACTIONS if access.role_may(request.role, action)},
    }
