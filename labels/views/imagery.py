"""Tiles of imagery sources, and the list of sources."""

from datetime import date
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.decorators.http import require_safe

from labels import access
from labels.imagery import rights, scenes, tiles
from labels.models import ImagerySource, Project, Scene
from labels.views.doors import in_project

N_LISTED = 100  # scenes of one source on the page


@require_safe
def tile(request: HttpRequest, source: UUID, z: int, x: int, y: int) -> HttpResponse:
    """One tile, for members. The header X-Imagery says how much of it is imagery: none, partial, full; or missing.

    Three queries with the session and the person: the role, the rights and the pictures come in one.
    """
    day = _day(request.GET.get("date"))
    try:
        tiles.check_address(z, x, y)
    except tiles.NoSuchTile:
        raise Http404 from None
    mine = access.with_role(ImagerySource.objects.filter(uuid=source), request.user)
    rows = scenes.rows_for_tile(mine, z, x, y, day)
    if not rows or not access.role_may(rows[0]["role"], tile.action):
        raise Http404
    if not rights.is_viewable(rows[0]["may_view"], rows[0]["rights_expire_on"]):
        raise Http404
    return _answer(request, scenes.shown(rows), (z, x, y), may_keep=rows[0]["may_cache"])


tile.action = "view_tile"


def _day(text: str | None) -> scenes.Day:
    if text is None or text == "unknown":
        return text
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Http404 from None


def _answer(request: HttpRequest, shown: scenes.Shown, address: tuple[int, int, int], may_keep: bool) -> HttpResponse:
    etag = tiles.etag(shown, *address)
    unchanged = get_conditional_response(request, etag=etag)
    response = _with_caching(unchanged, request, etag, may_keep) if unchanged else None
    if response:
        return response
    try:
        found = tiles.render(shown, *address)
    except tiles.PictureMissing as error:
        gone = HttpResponse(str(error), status=404, content_type="text/plain")
        gone.headers["X-Imagery"], gone.headers["Cache-Control"] = "missing", "no-store"
        return gone
    response = HttpResponse(found.content, content_type=found.content_type)
    response.headers["X-Imagery"] = found.imagery
    return _with_caching(response, request, etag, may_keep)


def _with_caching(response: HttpResponse, request: HttpRequest, etag: str, may_keep: bool) -> HttpResponse:
    """Only the person's own browser may keep a tile, and only for the session it was asked in.

    An address with a version (scenes.tile_url) never changes its pixels and is kept for a day; others ask each time
    and get a 304. A source that may not be cached is not kept at all.
    """
    lasting = "private, max-age=86400" if "v" in request.GET else "private, no-cache"
    response.headers["Cache-Control"] = lasting if may_keep else "private, no-store"
    if may_keep:
        response.headers["ETag"] = etag
    patch_vary_headers(response, ["Cookie"])
    return response


@require_safe
@in_project("view_imagery")
def imagery(request: HttpRequest, project: Project) -> HttpResponse:
    """The project's sources with their scenes, dates and rights."""
    sources = project.imagery_sources.annotate(n_scenes=Count("scenes"), size_bytes=Sum("scenes__size_bytes"))
    listed = [_listed(source) for source in sources]
    return render(request, "labels/imagery.html", {"section": "imagery", "sources": listed})


def _listed(source: ImagerySource) -> dict:
    newest = source.scenes.order_by("-captured_on", "-pk").defer("preparation")[:N_LISTED]
    rows = [
        {"scene": scene, "outline": outline(scene.footprint), "is_missing": not _file_of(scene).is_file()}
        for scene in newest
    ]
    return {"source": source, "scenes": rows, "why_hidden": rights.why_hidden(source), "rights": _rights(source)}


def _rights(source: ImagerySource) -> list[tuple[str, bool]]:
    names = ("may_view", "may_cache", "may_derive_labels", "may_share_labels", "may_train")
    return [(ImagerySource._meta.get_field(name).verbose_name, getattr(source, name)) for name in names]


def _file_of(scene: Scene) -> Path:
    return Path(settings.MEDIA_ROOT) / scene.path


def outline(footprint, side: int = 40) -> str:
    """The footprint as the path of a small drawing, north up."""
    west, south, east, north = footprint.extent
    scale = side / max(east - west, north - south, 1e-9)
    drawn = footprint.simplify(1 / scale, preserve_topology=True)
    polygons = [drawn] if drawn.geom_type == "Polygon" else drawn
    rings = [ring for polygon in polygons for ring in polygon.coords]
    return "".join(
        "M" + "L".join(f"{(x - west) * scale:.1f} {(north - y) * scale:.1f}" for x, y in ring) + "Z" for ring in rings
    )
