"""Reference areas: the layers a project has, and taking another one in."""

from collections import defaultdict
from collections.abc import Iterator

from django import forms
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from labels import jobs
from labels.errors import BadInput
from labels.ingest import areas as ingest
from labels.ingest import uploads
from labels.ingest.confined import SheetAsked
from labels.models import Job, Project, ReferenceLayer
from labels.models.areas import AreaKind
from labels.views.doors import in_project


@require_safe
@in_project("view_areas")
def areas(request: HttpRequest, project: Project) -> HttpResponse:
    """Current layers under their parents, what their loading reported, and the versions they replaced."""
    layers = project.reference_layers.select_related("parent").annotate(
        n_areas=Count("areas"), n_orphans=Count("areas", filter=Q(parent__isnull=False, areas__parent__isnull=True))
    )
    layers = list(layers.order_by("kind", "level", "name", "-version"))
    reports = _reports(project)
    for layer in layers:
        layer.report = reports.get(layer.pk)
    context = {
        "layers": _under_parents([layer for layer in layers if not layer.retired_at]),
        "retired": [layer for layer in layers if layer.retired_at],
    }
    return render(request, "labels/areas.html", context)


def _under_parents(layers: list[ReferenceLayer]) -> list[ReferenceLayer]:
    """Each layer followed by those that hang under it, with its depth."""
    current = {layer.pk for layer in layers}
    children = defaultdict(list)
    for layer in layers:
        children[layer.parent_id if layer.parent_id in current else None].append(layer)

    def walk(parent: int | None, depth: int) -> Iterator[ReferenceLayer]:
        for layer in children[parent]:
            layer.depth, layer.indent = depth, "\u2003" * (depth - 1)
            yield layer
            yield from walk(layer.pk, depth + 1)

    return list(walk(None, 0))


def _reports(project: Project) -> dict[int, dict]:
    """Layer -> what its loading mended, named, refused or doubted; the last one that made or found it."""
    done = project.jobs.filter(kind=Job.Kind.LOAD_AREAS, state=Job.State.DONE).order_by("pk")
    told = {}
    for result in done.values_list("result", flat=True):
        n_doubts = result.get("n_doubts", 0)
        if result.get("n_mended") or result.get("n_unnamed") or result.get("n_refused") or n_doubts:
            told[result.get("layer")] = result
    return told


def _day() -> forms.DateInput:
    return forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class LayerForm(forms.Form):
    file = forms.FileField(
        label=_("File"), help_text=_("Polygons as GeoJSON in WGS 84, zipped shapefile, GeoPackage or KML.")
    )
    kind = forms.ChoiceField(
        label=_("Kind"),
        choices=AreaKind.choices,
        help_text=_("Terrain is told by its names: classes such as river plain or hills, shared by many polygons."),
    )
    layer = forms.CharField(
        label=_("Name of the layer"),
        max_length=200,
        help_text=_("A layer of the same name is replaced by a new version; the old one is kept, retired."),
    )
    parent = forms.ModelChoiceField(
        label=_("Hangs under"),
        queryset=ReferenceLayer.objects.none(),
        required=False,
        empty_label=_("(nothing)"),
        help_text=_("The layer whose areas hold these, such as the provinces of districts."),
    )
    parent_field = forms.CharField(
        label=_("Property that names the area above"),
        max_length=200,
        required=False,
        help_text=_("Its name or code. Left empty, the place decides."),
    )
    level = forms.IntegerField(
        label=_("Level"),
        min_value=0,
        max_value=9,
        required=False,
        help_text=_("0 for countries, 1 for provinces, 2 for districts. Left empty, one below what it hangs under."),
    )
    valid_from = forms.DateField(label=_("Boundaries since"), required=False, widget=_day())
    valid_to = forms.DateField(
        label=_("Boundaries until"),
        required=False,
        widget=_day(),
        help_text=_("Boundaries that ended before the current ones of the same name are kept beside them, as history."),
    )
    name_field = forms.CharField(
        label=_("Property that names the areas"),
        max_length=200,
        required=False,
        help_text=_("Left empty, it is guessed."),
    )
    sheet = forms.CharField(
        label=_("Layer of the file"),
        max_length=200,
        required=False,
        help_text=_("Only where the file holds several."),
    )

    def __init__(self, project: Project, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["parent"].queryset = project.reference_layers.filter(retired_at__isnull=True).exclude(
            kind=AreaKind.TERRAIN
        )

    def clean(self) -> dict:
        cleaned = super().clean()
        since, until = cleaned.get("valid_from"), cleaned.get("valid_to")
        if since and until and since > until:
            self.add_error("valid_to", _("These boundaries would end before they begin: exchange the two dates."))
        return cleaned


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("import_areas")
def area_layer_new(request: HttpRequest, project: Project) -> HttpResponse:
    form = LayerForm(project, request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            job = _ask(request, project, form.cleaned_data)
        except SheetAsked as error:
            form.add_error("sheet", _("The file holds several layers: %s.") % ", ".join(error.sheets))
        except ingest.NameAsked as error:
            form.add_error("name_field", str(error))
        except BadInput as error:
            form.add_error(None, str(error))
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
            sheet=given["sheet"],
            parent=given["parent"],
            parent_field=given["parent_field"],
            valid_from=given["valid_from"],
            valid_to=given["valid_to"],
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
