"""What every page knows: the project it is in, and what the person may do there."""

from labels import access


def project(request) -> dict:
    match = request.resolver_match
    project = getattr(request, "project", None)
    if project is None or match is None:
        return {}
    role = access.role_in(request.user, project)
    return {
        "project": project,
        "role": role,
        "may": {action for action in access.ACTIONS if access.role_may(role, action)},
    }
