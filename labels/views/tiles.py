"""Tiles as Django answers them: with the session, every check, and a pass for the tiles that follow."""

from http import HTTPStatus
from uuid import UUID

from django.contrib.auth.views import LogoutView
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from labels import access
from labels.imagery import index, tile_answers, tile_pass, tiles
from labels.models import ImagerySource


@require_safe
def tile(request: HttpRequest, source: UUID, z: int, x: int, y: int) -> HttpResponse:
    """One tile, for members. The header X-Imagery says how much of it is imagery: none, partial, full; or missing, or
    unavailable where a provider fails.

    Three queries with the session and the person: the role, the rights and the revision come in one. The tiles that
    follow cost none (`labels.imagery.front`).
    """
    asked_at = tile_pass.clock()
    try:
        asked = tile_answers.parse(
            f"{source}/{z}/{x}/{y}", request.META.get("QUERY_STRING", ""), request.headers.get("Accept", "")
        )
    except (tiles.NoSuchTile, ValueError):
        raise Http404 from None
    found = access.with_role(ImagerySource.objects.filter(uuid=source), request.user).select_related("project").first()
    if found is None or not access.role_may(found.role, tile.action):
        raise Http404
    known = index.keep(found, asked_at)
    tile_pass.decisions.remember(request, found.project_id, asked_at)
    if not tile_answers.is_open(known):
        raise Http404
    answer = tile_answers.answer(known, asked, request.headers.get("If-None-Match", ""))
    response = HttpResponse(answer.content, status=answer.status, headers=answer.headers)
    if answer.status == HTTPStatus.NOT_MODIFIED:
        del response.headers["Content-Type"]
    tile_pass.grant(request, response, found.project_id)
    return response


tile.action = "view_tile"


class SignOut(LogoutView):
    """Signing out also takes the tile pass back, and closes this process to it at once."""

    def post(self, request: HttpRequest, *args, **kwargs) -> HttpResponse:
        tile_pass.decisions.forget(request.session.session_key)
        response = super().post(request, *args, **kwargs)
        tile_pass.take_back(response)
        return response
