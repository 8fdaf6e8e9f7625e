"""The map of a run: its tiles, and taking it out as a file."""

from http import HTTPStatus

from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import get_object_or_404
from django.utils.cache import cc_delim_re
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from labels import access
from labels.errors import LabelsError
from labels.imagery import grid
from labels.imagery.decoding import PictureMissing
from labels.models import Project
from labels.views.doors import in_project, said
from predictions import exposure, run_tiles
from predictions.mapping import MAP, STYLE
from predictions.models import TrainingRun

# form -> the file, and what it is.
FORMS = {"tif": (MAP, "image/tiff; application=geotiff"), "qml": (STYLE, "application/xml")}
MISSING = {"X-Imagery": "missing", "Cache-Control": "no-store"}


@require_safe
@in_project("view_run")
def run_tile(request: HttpRequest, project: Project, run: int, z: int, x: int, y: int) -> HttpResponse:
    """Scores of a run's cells on a tile (predictions.run_tiles), for whoever is known to have seen its scores.

    Each is asked anew: a lost role closes at once. A browser keeps tiles and asks whether they still hold.
    """
    found = _done(project, run)
    return _tile(request, project, [found], (z, x, y), lambda: run_tiles.tile(found, z, x, y))


@require_safe
@in_project("view_run")
def run_difference_tile(
    request: HttpRequest, project: Project, run: int, other: int, z: int, x: int, y: int
) -> HttpResponse:
    """How far scores moved from the run `other` to `run`."""
    after, before = _done(project, run), _done(project, other)
    return _tile(
        request, project, [before, after], (z, x, y), lambda: run_tiles.difference_tile(before, after, z, x, y)
    )


def _done(project: Project, number: int) -> TrainingRun:
    return get_object_or_404(project.training_runs.exclude(content_sha256=""), number=number)


def _tile(request: HttpRequest, project: Project, runs: list, place: tuple[int, int, int], draw) -> HttpResponse:
    if not grid.holds_tile(*place) or place[0] > run_tiles.MAX_ZOOM:
        raise Http404
    if not exposure.is_recorded(request.user, project):
        raise PermissionDenied
    headers = {
        "Cache-Control": "private, no-cache",
        "Vary": "Cookie",
        "ETag": run_tiles.etag(runs, *place),
    }
    if _matches(request.headers.get("If-None-Match", ""), headers["ETag"]):
        return HttpResponseNotModified(headers=headers)
    try:
        return HttpResponse(draw(), content_type="image/png", headers=headers)
    except PictureMissing as error:
        return HttpResponse(str(error), "text/plain; charset=utf-8", HTTPStatus.NOT_FOUND, headers=MISSING)


def _matches(if_none_match: str, etag: str) -> bool:
    return any(each.removeprefix("W/") in (etag, "*") for each in cc_delim_re.split(if_none_match.strip()))


@require_POST
@in_project("download_map")
def run_map_file(request: HttpRequest, project: Project, run: int, form: str) -> HttpResponse:
    """The map as a GeoTIFF (`tif`), or the style that QGIS takes when it lies beside it (`qml`).

    By POST, because taking the map out is written down and ends the person's own reviewing in the project.
    """
    if form not in FORMS:
        raise Http404
    found = _done(project, run)
    name, content_type = FORMS[form]
    path = found.folder / name
    if not path.is_file():
        missing = LabelsError(_("The map is no longer on the server: start the run again."))
        return said(request, missing, "predictions:run", project.slug, run)
    if form == "tif":
        access.note_access(request.user, project, "download_map", f"run {found.number}", found.figures.get("n_cells"))
        exposure.record(request.user, project)
    response = FileResponse(
        path.open("rb"),
        as_attachment=True,
        filename=f"{project.slug}-run-{found.number}.{form}",
        content_type=content_type,
    )
    response["Cache-Control"] = "private, no-store"
    return response
