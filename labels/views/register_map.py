"""What maps of records ask for: the records in view, and the outlines behind them."""

import gzip

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from labels import access, outlines
from labels.errors import BadInput
from labels.map_squares import view_of
from labels.models import Project, Register
from labels.register_filters import filters_of
from labels.register_map import features_in
from labels.views.doors import in_project

BLANK = "00000000-0000-0000-0000-000000000000"
KEPT_S = 3600


@require_safe
@in_project("view_coordinates")
def register_map(request: HttpRequest, project: Project, register: str) -> HttpResponse:
    """The records in view as GeoJSON. 400 with a sentence for an address that asks for nothing we know."""
    found = get_object_or_404(project.registers, slug=register)
    try:
        text = features_in(found, filters_of(request.GET, found), view_of(request.GET))
    except BadInput as error:
        return JsonResponse({"error": str(error)}, status=400)
    _note_once(request, project, found)
    return _geojson(request, text)


@require_safe
@in_project("view_areas")
def area_outlines(request: HttpRequest, project: Project) -> HttpResponse:
    """The provinces. Their address names the version, so a browser may keep them for an hour."""
    response = _geojson(request, outlines.outlines(project))
    response.headers["Cache-Control"] = f"private, max-age={KEPT_S}"
    return response


def _note_once(request: HttpRequest, project: Project, register: Register) -> None:
    """Write down who looks at a register's map: once a sign-in, for a line at each move of the map would bury the
    others and tell where somebody looked."""
    key = f"map-{register.pk}"
    if key not in request.session:
        request.session[key] = True
        access.note_access(request.user, project, "view_map", f"register {register.slug}")


def _geojson(request: HttpRequest, text: str) -> HttpResponse:
    content = text.encode()
    response = HttpResponse(content, content_type="application/geo+json")
    if "gzip" in request.headers.get("Accept-Encoding", "") and len(content) > 1000:
        response.content = gzip.compress(content, 5, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
    patch_vary_headers(response, ["Accept-Encoding"])
    return response


def map_data(project: Project, source: str, bounds: list[float] | None) -> dict:
    """What the page tells its map (static/js/records-map.js)."""
    return {"source": source, "bounds": bounds} | background(project)


def background(project: Project, **words: str) -> dict:
    """What every map of a project is told: its outlines, where records have their pages, what it says.

    `words` are said instead of those for records of a register.
    """
    return {
        "areas": f"{reverse('labels:area_outlines', args=[project.slug])}?v={outlines.version_of(project)}",
        "record": reverse("labels:record", args=[project.slug, BLANK]).replace(BLANK, "RECORD"),
        "words": {
            "record": _("%s record"),
            "records": _("%s records"),
            "asSquares": _("%s in view, counted in squares. Go nearer to see them one by one."),
            "asPoints": _("%s in view, each a point."),
            "none": _("No record in view."),
            "nearer": _("%s: go nearer"),
            "failed": _("The map could not be fetched; move it to try again."),
        }
        | words,
    }
