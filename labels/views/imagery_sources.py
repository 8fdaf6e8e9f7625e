"""One imagery source: what may be done with it and why, how far it lies off the ground, and its pictures."""

from pathlib import Path
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labels.errors import Conflict
from labels.imagery import rights, sources
from labels.imagery.rights import Use
from labels.models import ImagerySource, Project, Scene
from labels.models.imagery import MAX_OFFSET_M
from labels.views.doors import in_project, said
from labels.views.imagery import outline

PAGE_SCENES = 50
MEANINGS = {
    "may_view": gettext_lazy("Members of the project may look at its pictures here."),
    "may_cache": gettext_lazy("Our server and their browsers may keep copies of its tiles."),
    "may_derive_labels": gettext_lazy("Verdicts and marks may rest on it; else annotators are not offered it."),
    "may_share_labels": gettext_lazy("Labels read from it may leave in releases."),
    "may_train": gettext_lazy("Models may be trained on labels read from it."),
}


class SourceForm(forms.ModelForm):
    evidence_file = forms.FileField(
        label=gettext_lazy("Evidence as a file"),
        required=False,
        help_text=gettext_lazy("The licence or a letter, at most 20 MB. It is kept with its hash; an earlier one too."),
    )
    is_reviewed = forms.BooleanField(
        label=gettext_lazy("I have compared these rights with the evidence today"), required=False
    )

    class Meta:
        model = ImagerySource
        fields = [
            "name",
            "attribution",
            *sources.RIGHTS,
            "purpose",
            "evidence",
            "evidence_file",
            "rights_expire_on",
            "is_reviewed",
            "offset_east_m",
            "offset_north_m",
        ]
        widgets = {"rights_expire_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")}
        help_texts = MEANINGS | {
            "purpose": gettext_lazy(
                "Only for this; several with semicolons between. Releases and training for another purpose, or for "
                "none, leave its labels out. Empty: for any purpose."
            ),
            "evidence": gettext_lazy("What says so: the licence, the contract, the letter, with its date."),
            "rights_expire_on": gettext_lazy(
                "The last day. After it the pictures close, units that nothing else shows are not handed out, new "
                "verdicts on it are refused, and releases and training leave its labels out and count them. Verdicts "
                "given before stay."
            ),
            "offset_east_m": gettext_lazy(
                "Metres to add to a place in the picture to get its true place: 12 when the pictures lie 12 m too far "
                "west, −12 when too far east."
            ),
            "offset_north_m": gettext_lazy(
                "The same, northwards: 12 when the pictures lie 12 m too far south. It moves the source in every pane "
                "at once; verdicts given before keep the offset they were given with."
            ),
        }

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name in ("offset_east_m", "offset_north_m"):
            self.fields[name].min_value, self.fields[name].max_value = -MAX_OFFSET_M, MAX_OFFSET_M
            self.fields[name].widget.attrs |= {"min": -MAX_OFFSET_M, "max": MAX_OFFSET_M, "step": "any"}

    def _offset(self, name: str) -> float:
        metres = self.cleaned_data[name]
        if not -MAX_OFFSET_M <= metres <= MAX_OFFSET_M:
            raise forms.ValidationError(
                _("At most %(m)d m in either direction: a picture farther off is in the wrong place.")
                % {"m": MAX_OFFSET_M}
            )
        return metres

    def clean_offset_east_m(self) -> float:
        return self._offset("offset_east_m")

    def clean_offset_north_m(self) -> float:
        return self._offset("offset_north_m")

    def clean_evidence_file(self):
        file = self.cleaned_data["evidence_file"]
        if file and file.size > sources.MOST_EVIDENCE_BYTES:
            raise forms.ValidationError(_("The file is larger than 20 MB: keep the pages that matter."))
        return file


@require_safe
@in_project("view_imagery")
def imagery_source(request: HttpRequest, project: Project, source: UUID) -> HttpResponse:
    found = _source(project, source)
    scenes = found.scenes.order_by("-captured_on", "-pk").defer("preparation")
    page = Paginator(scenes, PAGE_SCENES).get_page(request.GET.get("page"))
    context = {
        "section": "imagery",
        "source": found,
        "rights": [
            (ImagerySource._meta.get_field(name).verbose_name, MEANINGS[name], getattr(found, name))
            for name in sources.RIGHTS
        ],
        "closed": _closed(found),
        "page": page,
        "scenes": [_row(scene) for scene in page],
        "dates": found.dates.order_by("-captured_on", "key")[:PAGE_SCENES],
        "n_dates": found.dates.count(),
        "changes": sources.changes_of(found),
    }
    return render(request, "labels/imagery_source.html", context)


def _row(scene: Scene) -> dict:
    return {
        "scene": scene,
        "outline": outline(scene.footprint),
        "is_missing": not (Path(settings.MEDIA_ROOT) / scene.path).is_file(),
    }


def _closed(source: ImagerySource) -> list[str]:
    """What may not be done with the source today, a sentence each."""
    words = [rights.why_hidden(source)]
    if not words[0]:
        words = [rights.why_not_judged(source)]
    for use, sentence in (
        (Use.SHARE_LABELS, _("Releases leave its labels out.")),
        (Use.TRAIN, _("Training leaves its labels out.")),
    ):
        if rights.lacking(source, use, purpose=source.purpose.split(";")[0]):
            words.append(sentence)
    return [word for word in words if word]


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("import_imagery")
def imagery_source_edit(request: HttpRequest, project: Project, source: UUID) -> HttpResponse:
    """Rights, evidence, attribution and the measured offset."""
    found = _source(project, source)
    form = SourceForm(request.POST or None, request.FILES or None, instance=_source(project, source))
    if request.method == "POST" and form.is_valid():
        given = dict(form.cleaned_data)
        evidence, is_reviewed = given.pop("evidence_file"), given.pop("is_reviewed")
        told = sources.change(found, given, request.user, evidence=evidence, is_reviewed=is_reviewed)
        messages.success(request, _("Saved.") if told else _("Nothing was changed."))
        return redirect("labels:imagery_source", project.slug, found.uuid)
    context = {"section": "imagery", "source": found, "form": form}
    return render(request, "labels/imagery_source_edit.html", context)


@require_safe
@in_project("view_imagery")
def imagery_evidence(request: HttpRequest, project: Project, source: UUID) -> HttpResponse:
    """The evidence as it was given: always a download, whatever it claims to be."""
    found = _source(project, source)
    path = Path(settings.MEDIA_ROOT) / found.evidence_path
    if not found.evidence_path or not path.is_file():
        raise Http404
    file = path.open("rb")
    return FileResponse(file, as_attachment=True, filename=found.evidence_name, content_type="application/octet-stream")


@require_POST
@in_project("import_imagery")
def scene_remove(request: HttpRequest, project: Project, scene: UUID) -> HttpResponse:
    scenes: QuerySet[Scene] = Scene.objects.filter(source__project=project)
    found = get_object_or_404(scenes.select_related("source__project"), uuid=scene)
    to = ("labels:imagery_source", project.slug, found.source.uuid)
    if not request.POST.get("is_meant"):
        messages.error(request, _("Tick that you mean it: the file is deleted for good."))
        return redirect(*to)
    try:
        sources.remove_scene(found, request.user)
    except Conflict as error:
        return said(request, error, *to)
    messages.success(request, _("The picture was removed."))
    return redirect(*to)


def _source(project: Project, source: UUID) -> ImagerySource:
    sources_here = project.imagery_sources.select_related("project", "rights_reviewed_by")
    return get_object_or_404(sources_here, uuid=source)
