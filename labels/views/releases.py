"""Releases: what left the house, making one, taking its files out."""

from django import forms
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labels import jobs
from labels.errors import LabelsError
from labels.models import Audit, Job, Project, Release, ReleaseFile
from labels.models.reviews import Verdict
from labels.releases import formats, making
from labels.views.doors import in_project, said


class ReleaseForm(forms.Form):
    audits = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Audits"),
        queryset=Audit.objects.none(),
        to_field_name="slug",
        widget=forms.CheckboxSelectMultiple,
    )
    formats = forms.MultipleChoiceField(
        label=gettext_lazy("Formats"),
        choices=ReleaseFile.Format.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=ReleaseFile.Format.values,
        help_text=gettext_lazy("Others can be added later: they will hold the same labels."),
    )
    purpose = forms.CharField(
        label=gettext_lazy("Purpose"),
        max_length=300,
        required=False,
        help_text=gettext_lazy(
            "Who asked for it, and what for. Kept with the release and written into its data card. Imagery that is "
            "limited to a purpose gives labels only where its own words stand here."
        ),
    )

    def __init__(self, project: Project, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["audits"].queryset = project.audits.all()
        self.fields["audits"].initial = [audit.slug for audit in project.audits.all()]


@require_safe
@in_project("view_release")
def releases(request: HttpRequest, project: Project) -> HttpResponse:
    found = project.releases.select_related("made_by").prefetch_related("files")
    return render(request, "labels/releases.html", {"releases": found, "has_audits": project.audits.exists()})


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("make_release")
def release_new(request: HttpRequest, project: Project) -> HttpResponse:
    form = ReleaseForm(project, request.POST or None)
    if request.method == "POST" and form.is_valid():
        parameters = {
            "audits": [audit.slug for audit in form.cleaned_data["audits"]],
            "formats": form.cleaned_data["formats"],
            "purpose": form.cleaned_data["purpose"],
        }
        return _ask(request, project, form.cleaned_data["purpose"], parameters)
    return render(request, "labels/release_new.html", {"form": form, "has_audits": project.audits.exists()})


@require_safe
@in_project("view_release")
def release(request: HttpRequest, project: Project, number: int) -> HttpResponse:
    """Counts and hashes only: seeing this page does not keep anybody from reviewing."""
    found = get_object_or_404(project.releases.select_related("made_by", "job"), number=number)
    files = {file.format: file for file in found.files.all()}
    counts = found.data_card["labels_by_verdict"]
    context = {
        "release": found,
        "card": found.data_card,
        "verdicts": [
            {"value": verdict.value, "label": verdict.label, "n": counts.get(verdict.value, 0)}
            for verdict in (Verdict.CONFIRM, Verdict.MOVE, Verdict.REJECT, Verdict.UNSURE)
        ],
        "files": [{"format": format, "file": files.get(format.value)} for format in ReleaseFile.Format],
    }
    return render(request, "labels/release.html", context)


@require_POST
@in_project("make_release")
def release_file_new(request: HttpRequest, project: Project, number: int, format: str) -> HttpResponse:
    """Ask for one more format of a release."""
    found = _format_of(project, number, format)
    subject = f"{found.number}, {ReleaseFile.Format(format).label}"
    return _ask(request, project, subject, {"release": found.number, "formats": [format]})


@require_POST
@in_project("download_release")
def release_file(request: HttpRequest, project: Project, number: int, format: str) -> HttpResponse:
    """The file. By POST, because taking it out is written down and ends the person's own reviewing of these units."""
    found = _format_of(project, number, format)
    file = get_object_or_404(found.files.select_related("release__project"), format=format)
    path = making.path_of(file)
    if not path.is_file():
        missing = LabelsError(_("The file is no longer on the server: make it again."))
        return said(request, missing, "labels:release", project.slug, number)
    making.note_download(request.user, file)
    kind = formats.KINDS[file.format]
    response = FileResponse(
        path.open("rb"), as_attachment=True, filename=making.file_name(file), content_type=kind.content_type
    )
    response["Cache-Control"] = "private, no-store"
    return response


@require_safe
@in_project("view_release")
def release_card(request: HttpRequest, project: Project, number: int) -> HttpResponse:
    """The data card as a file, with the hashes of the files made so far. No coordinates in it."""
    found = get_object_or_404(project.releases, number=number)
    files = [
        {"format": file.format, "sha256": file.sha256, "size_bytes": file.size_bytes, "n_rows": file.n_rows}
        for file in found.files.order_by("format")
    ]
    response = JsonResponse(found.data_card | {"files": files}, json_dumps_params={"indent": 2, "ensure_ascii": False})
    response["Content-Disposition"] = f'attachment; filename="{project.slug}-release-{number}.card.json"'
    response["Cache-Control"] = "private, no-store"
    return response


def _format_of(project: Project, number: int, format: str) -> Release:
    """The release of that number, if the format is one there is."""
    if format not in ReleaseFile.Format:
        raise Http404
    return get_object_or_404(project.releases, number=number)


def _ask(request: HttpRequest, project: Project, subject: str, parameters: dict) -> HttpResponse:
    job = jobs.ask(
        project=project,
        kind=Job.Kind.MAKE_RELEASE,
        subject=subject,
        requested_by=request.user,
        parameters=parameters,
    )
    return redirect(reverse("labels:job", args=[project.slug, job.uuid]))
