"""The list of imagery sources."""

from pathlib import Path

from django.conf import settings
from django.db.models import Count, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from labels.imagery import rights
from labels.models import ImagerySource, Project, ProviderDate, Scene
from labels.views.doors import in_project

N_LISTED = 100  # scenes of one source on the page


@require_safe
@in_project("view_imagery")
def imagery(request: HttpRequest, project: Project) -> HttpResponse:
    """The project's sources with their scenes, dates and rights."""
    pictures = Scene.objects.filter(source=OuterRef("pk")).order_by().values("source")
    dates = ProviderDate.objects.filter(source=OuterRef("pk")).order_by().values("source")
    sources = project.imagery_sources.select_related("project").annotate(
        n_scenes=Coalesce(Subquery(pictures.values(n=Count("pk"))), 0),
        size_bytes=Subquery(pictures.values(n=Sum("size_bytes"))),
        n_dates=Coalesce(Subquery(dates.values(n=Count("pk"))), 0),
    )
    context = {
        "section": "imagery",
        "sources": [_listed(source) for source in sources],
    }
    return render(request, "labels/imagery.html", context)


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
