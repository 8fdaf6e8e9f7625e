"""The pages that take pictures in: one uploaded, or several that lie on the server already."""

from pathlib import Path

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from labels import jobs
from labels.errors import BadInput
from labels.imagery import loading, rights, server_folder
from labels.imagery.opening import is_tiff
from labels.imagery.wishes import wish
from labels.models import ImagerySource, Job, Project
from labels.views.doors import in_project


class PicturesForm(forms.Form):
    """What is asked of any pictures: their day, their source, and how they are shown."""

    acquired = forms.DateField(
        label=_("Captured on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
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
    bands = forms.CharField(
        label=_("Bands"),
        required=False,
        max_length=30,
        help_text=_(
            "Left empty, they are found in the file. Otherwise red, green and blue counted from 1, with nir= for a"
            " near-infrared one, for example 3,2,1,nir=4."
        ),
    )
    stretch = forms.CharField(
        label=_("Stretch"),
        required=False,
        max_length=60,
        help_text=_(
            "Left empty, it is chosen. Otherwise the values that become black and white, for example 200,3500."
        ),
    )

    def __init__(self, *args, project: Project, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["source"].queryset = project.imagery_sources.filter(kind=ImagerySource.Kind.SCENES)

    def clean_acquired(self):
        day = self.cleaned_data["acquired"]
        if day and day > rights.today():
            raise forms.ValidationError(_("A picture cannot have been taken in the future."))
        return day

    def clean_bands(self):
        return self._read("bands")

    def clean_stretch(self):
        return self._read("stretch")

    def _read(self, name: str) -> str:
        try:
            wish(**{name: self.cleaned_data[name]})
        except BadInput as error:
            raise forms.ValidationError(str(error)) from None
        return self.cleaned_data[name]

    def clean(self):
        if not self.errors and bool(self.cleaned_data["acquired"]) == self.cleaned_data["is_undated"]:
            self.add_error("acquired", _("Give the day, or tick that it is not known."))
        return self.cleaned_data


class PictureForm(PicturesForm):
    file = forms.FileField(label=_("GeoTIFF"), help_text=_("Any coordinate system, 8 or 16 bit, up to 400 megapixels."))
    field_order = ("file",)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["file"].widget.attrs["accept"] = ".tif,.tiff,image/tiff"

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > settings.UPLOAD_LIMIT_IMAGERY:
            raise forms.ValidationError(_("The file is too large for the page. Ask an operator to run load_imagery."))
        if not is_tiff(file.read(4)):
            raise forms.ValidationError(_("The file is not a GeoTIFF (its first bytes say so)."))
        file.seek(0)
        return file


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
        widgets = {"rights_expire_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")}

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
    return _page(request, project, PictureForm(*posted, project=project), "labels/imagery_new.html", _ask_for_upload)


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("import_imagery")
def imagery_register(request: HttpRequest, project: Project) -> HttpResponse:
    """Register pictures that an operator put into the project's folder on the server, several at once."""
    found = server_folder.listing(project)
    chosen = set(request.POST.getlist("files"))
    rows = [{"file": file, "is_chosen": file.ident in chosen} for file in found.files]
    context = {"rows": rows, "found": found, "max_listed": server_folder.MAX_LISTED}
    form = PicturesForm(*([request.POST] if request.method == "POST" else []), project=project)
    return _page(request, project, form, "labels/imagery_register.html", _ask_for_registered, context)


def _page(request: HttpRequest, project: Project, pictures: PicturesForm, template: str, ask, context=None):
    """The form, or the job that was asked for with it."""
    wants_new = request.method == "POST" and not request.POST.get("source")
    source = SourceForm(request.POST if wants_new else None, prefix="new")
    if pictures.is_bound and pictures.is_valid() and (not wants_new or source.is_valid()):
        try:
            job = ask(request, project, pictures.cleaned_data, source if wants_new else None)
        except BadInput as error:
            messages.error(request, str(error))
        else:
            return redirect("labels:job", project.slug, job.uuid)
    context = {"section": "imagery", "picture": pictures, "new": source} | (context or {})
    return render(request, template, context)


def _ask_for_upload(request: HttpRequest, project: Project, given: dict, new: SourceForm | None) -> Job:
    source = _source(project, given, new)
    path = loading.keep_upload(given["file"])
    files = [(path, Path(given["file"].name).name)]
    return _ask(request, source, given, files, are_uploads=True)


def _ask_for_registered(request: HttpRequest, project: Project, given: dict, new: SourceForm | None) -> Job:
    chosen = server_folder.chosen(project, request.POST.getlist("files"))
    if not chosen:
        raise BadInput(_("Choose at least one file."))
    files = [(file.name, file.name) for file in chosen]
    return _ask(request, _source(project, given, new), given, files, are_registered=True)


def _source(project: Project, given: dict, new: SourceForm | None) -> ImagerySource:
    return loading.new_source(project, new.save(commit=False)) if new else given["source"]


def _ask(request: HttpRequest, source: ImagerySource, given: dict, files: list[tuple[str, str]], **kind: bool) -> Job:
    more = f" + {len(files) - 1}" if len(files) > 1 else ""
    return jobs.ask(
        project=source.project,
        kind=Job.Kind.LOAD_IMAGERY,
        subject=f"{source.name}: {files[0][1]}{more}",
        requested_by=request.user,
        parameters=loading.parameters(
            source, files, acquired=given["acquired"], bands=given["bands"], stretch=given["stretch"], **kind
        ),
    )
