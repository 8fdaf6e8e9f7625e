"""Reference areas: the layers a project has, and taking another one in."""

from django import forms
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from labels import jobs
from labels.errors import BadInput
from labels.ingest import areas as ingest
from labels.ingest import uploads
from labels.models import Job, Project
from labels.models.areas import AreaKind
from labels.views.doors import in_project


@require_safe
@in_project("view_areas")
def areas(request: HttpRequest, project: Project) -> HttpResponse:
    """Current layers, and the versions they replaced."""
    layers = project.reference_layers.annotate(n_areas=Count("areas")).order_by("kind", "level", "name")
    context = {
        "layers": layers.filter(retired_at__isnull=True),
        "retired": layers.filter(retired_at__isnull=False).order_by("-retired_at"),
    }
    return render(request, "labels/areas.html", context)


class LayerForm(forms.Form):
    file = forms.FileField(
        label=_("File"), help_text=_("Polygons as GeoJSON in WGS 84, zipped shapefile, GeoPackage or KML.")
    )
    kind = forms.ChoiceField(label=_("Kind"), choices=AreaKind.choices)
    layer = forms.CharField(
        label=_("Name of the layer"),
        max_length=200,
        help_text=_("A layer of the same name is replaced by a new version; the old one is kept, retired."),
    )
    level = forms.IntegerField(
        label=_("Level"), min_value=1, max_value=9, initial=1, help_text=_("1 for provinces, 2 for districts.")
    )
    name_field = forms.CharField(
        label=_("Property that names the areas"),
        max_length=200,
        required=False,
        help_text=_("Left empty, it is guessed."),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("import_areas")
def area_layer_new(request: HttpRequest, project: Project) -> HttpResponse:
    form = LayerForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            job = _ask(request, project, form.cleaned_data)
        except BadInput as error:
            form.add_error("name_field" if "--name-field" in str(error) else "file", str(error))
        else:
            return redirect("labels:job", project.slug, job.uuid)
    return render(request, "labels/area_layer_new.html", {"form": form})


def _ask(request: HttpRequest, project: Project, given: dict) -> Job:
    upload = uploads.store(given["file"], project=project, user=request.user)
    try:
        parameters = ingest.parameters_of(
            upload=upload,
            kind=given["kind"],
            layer=given["layer"],
            level=given["level"],
            name_field=given["name_field"] or None,
        )
    except BadInput:
        uploads.discard(upload.uuid)
        raise
    return jobs.ask(
        project=project,
        kind=Job.Kind.LOAD_AREAS,
        subject=given["layer"],
        requested_by=request.user,
        parameters=parameters,
    )
