"""Tiles of imagery sources, the list of sources, and the page that takes pictures in."""

from datetime import date
from pathlib import Path
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from labels import access, jobs
from labels.errors import BadInput
from labels.imagery import loading, rights, scenes, tiles
from labels.imagery.opening import is_tiff
from labels.models import ImagerySource, Job, Project, Scene
from labels.views import provider_tiles
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
    if "image" in request.GET:
        return provider_tiles.tile(request, source, z, x, y)
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


class PictureForm(forms.Form):
    file = forms.FileField(label=_("GeoTIFF"), help_text=_("Any coordinate system, 8 or 16 bit, up to 400 megapixels."))
    acquired = forms.DateField(
        label=_("Captured on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("The day the picture was taken, not the day it was made or bought."),
    )
    is_undated = forms.BooleanField(
        label=_("The date is not known"),
        required=False,
        help_text=_("If the file states its capture date it is used; otherwise the picture is shown as undated."),
    )
    source = forms.ModelChoiceField(
        label=_("Source"), queryset=ImagerySource.objects.none(), required=False, empty_label=_("A new source")
    )

    def __init__(self, *args, project: Project, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["source"].queryset = project.imagery_sources.all()
        self.fields["file"].widget.attrs["accept"] = ".tif,.tiff,image/tiff"

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > settings.UPLOAD_LIMIT_IMAGERY:
            raise forms.ValidationError(_("The file is too large for the page. Ask an operator to run load_imagery."))
        if not is_tiff(file.read(4)):
            raise forms.ValidationError(_("The file is not a GeoTIFF (its first bytes say so)."))
        file.seek(0)
        return file

    def clean_acquired(self):
        day = self.cleaned_data["acquired"]
        if day and day > rights.today():
            raise forms.ValidationError(_("A picture cannot have been taken in the future."))
        return day

    def clean(self):
        if not self.errors and bool(self.cleaned_data["acquired"]) == self.cleaned_data["is_undated"]:
            self.add_error("acquired", _("Give the day, or tick that it is not known."))
        return self.cleaned_data


class SourceForm(forms.ModelForm):
    class Meta:
        model = ImagerySource
        fields = [
            "name",
            "attribution",
            "may_view",
            "may_cache",
            "may_derive_labels",
            "may_share_labels",
            "may_train",
            "purpose",
            "evidence",
            "rights_expire_on",
        ]
        widgets = {"rights_expire_on": forms.DateInput(attrs={"type": "date"})}

    def clean_name(self):
        name = self.cleaned_data["name"]
        if loading.slug_of(name) is None:
            raise forms.ValidationError(_("Use letters or digits."))
        return name


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("import_imagery")
def imagery_new(request: HttpRequest, project: Project) -> HttpResponse:
    """Upload one picture into a source, or into a new one with its rights."""
    posted = (request.POST, request.FILES) if request.method == "POST" else ()
    picture = PictureForm(*posted, project=project)
    wants_new = request.method == "POST" and not request.POST.get("source")
    source = SourceForm(request.POST if wants_new else None, prefix="new")
    if posted and picture.is_valid() and (not wants_new or source.is_valid()):
        try:
            job = _ask(request, project, picture.cleaned_data, source if wants_new else None)
        except BadInput as error:
            messages.error(request, str(error))
        else:
            return redirect("labels:job", project.slug, job.uuid)
    return render(request, "labels/imagery_new.html", {"section": "imagery", "picture": picture, "new": source})


def _ask(request: HttpRequest, project: Project, given: dict, new: SourceForm | None) -> Job:
    source = loading.new_source(project, new.save(commit=False)) if new else given["source"]
    path = loading.keep_upload(given["file"])
    files = [(path, Path(given["file"].name).name)]
    return jobs.ask(
        project=project,
        kind=Job.Kind.LOAD_IMAGERY,
        subject=f"{source.name}: {files[0][1]}",
        requested_by=request.user,
        parameters=loading.parameters(source, files, acquired=given["acquired"], are_uploads=True),
    )
