"""Features of grid cells: the list, one set with its progress, making one, importing one."""

from datetime import date

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labels import jobs
from labels.errors import LabelsError
from labels.imagery import rights
from labels.imagery.rights import Use
from labels.models import ImagerySource, Project, ReferenceArea, Scene
from labels.views.doors import in_project, said
from predictions import feature_costs, feature_jobs, featurizing
from predictions.asking_again import ask_again

N_DATES = 60  # dates of one source to choose from, the newest
NEWEST = ""


def sets_of(project: Project):
    return project.feature_sets.select_related("source", "area", "job", "made_by").defer("area__geometry")


@require_safe
@in_project("view_run")
def feature_sets(request: HttpRequest, project: Project) -> HttpResponse:
    """The page, or for htmx only the table."""
    found = list(sets_of(project))
    context = {
        "feature_sets": found,
        "running": any(each.job and not each.job.is_over for each in found),
        "has_imagery": any(rights.lacking(source, Use.TRAIN) is None for source in project.imagery_sources.all()),
    }
    template = "predictions/_feature_sets.html" if request.htmx else "predictions/feature_sets.html"
    return render(request, template, context)


@require_safe
@in_project("view_run")
def feature_set(request: HttpRequest, project: Project, feature_set: str) -> HttpResponse:
    found = get_object_or_404(sets_of(project), slug=feature_set)
    template = "predictions/_feature_set.html" if request.htmx else "predictions/feature_set.html"
    return render(request, template, {"features": found, "job": found.job, "runs": found.runs.defer("figures")[:20]})


@require_POST
@in_project("make_features")
def feature_set_cancel(request: HttpRequest, project: Project, feature_set: str) -> HttpResponse:
    found = get_object_or_404(sets_of(project), slug=feature_set)
    if found.job:
        jobs.cancel(found.job)
    return redirect("predictions:feature_set", project.slug, found.slug)


@require_POST
@in_project("make_features")
def feature_set_retry(request: HttpRequest, project: Project, feature_set: str) -> HttpResponse:
    """Go on with one that failed or was stopped."""
    found = get_object_or_404(sets_of(project), slug=feature_set)
    try:
        ask_again(found, by=request.user)
    except LabelsError as error:
        return said(request, error, "predictions:feature_set", project.slug, found.slug)
    return redirect("predictions:feature_set", project.slug, found.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("make_features")
def feature_set_delete(request: HttpRequest, project: Project, feature_set: str) -> HttpResponse:
    """What would go, or why it stays; by POST it goes."""
    found = get_object_or_404(sets_of(project), slug=feature_set)
    if request.method != "POST":
        context = {"features": found, "why_kept": feature_jobs.why_kept(found)}
        return render(request, "predictions/feature_set_delete.html", context)
    try:
        feature_jobs.delete(found, by=request.user)
    except LabelsError as error:
        return said(request, error, "predictions:feature_set", project.slug, found.slug)
    messages.success(request, gettext("The features %(name)s are deleted.") % {"name": found.name})
    return redirect("predictions:feature_sets", project.slug)


class MakeForm(forms.Form):
    imagery = forms.ChoiceField(
        label=_("Imagery"), help_text=_("Only sources with the right to train models are listed.")
    )
    area = forms.ModelChoiceField(
        label=_("Area"),
        queryset=ReferenceArea.objects.none(),
        required=False,
        empty_label=_("All top-level admin areas"),
    )
    n_filters = forms.TypedChoiceField(
        label=_("Filters (K)"),
        coerce=int,
        initial=1024,
        choices=[
            (256, _("256: for a trial")),
            (1024, _("1,024: the usual choice")),
            (4096, _("4,096: somewhat better, four times as long")),
        ],
    )
    scales = forms.ChoiceField(
        label=_("Scales"),
        initial="two",
        choices=[
            ("two", _("Two: full and half resolution, which measured better")),
            ("one", _("One: as MOSAIKS defines them")),
        ],
    )
    name = forms.CharField(label=_("Name"), max_length=120, required=False, help_text=_("Empty: named by its imagery."))

    def __init__(self, project: Project, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.project = project
        self.fields["imagery"].choices = imagery_choices(project)
        self.fields["area"].queryset = feature_costs.areas(project)

    def options(self) -> dict:
        """Parameters of predictions.features.RandomConvolutionalFeatures."""
        two = self.cleaned_data["scales"] == "two"
        shape = {"scales": [1, 2], "halves": "positive"} if two else {"scales": [1], "halves": "both"}
        return {"n_filters": self.cleaned_data["n_filters"]} | shape

    def source_and_day(self) -> tuple[ImagerySource, date | str | None]:
        uuid, _sign, day = self.cleaned_data["imagery"].partition("|")
        if day not in (NEWEST, "unknown"):
            day = date.fromisoformat(day)
        return self.project.imagery_sources.get(uuid=uuid), day or None


def imagery_choices(project: Project) -> list[tuple[str, str]]:
    """Each source that may train, as the newest picture of each place and by capture date."""
    choices = []
    for source in project.imagery_sources.select_related("project"):
        if rights.lacking(source, Use.TRAIN) is not None:
            continue
        choices.append((f"{source.uuid}|", _("%(source)s: the newest of each place") % {"source": source.name}))
        choices += [(f"{source.uuid}|{day}", f"{source.name}: {words}") for day, words in _dates(source)]
    return choices


def _dates(source: ImagerySource) -> list[tuple[str, str]]:
    if source.kind != ImagerySource.Kind.SCENES:
        days = source.dates.order_by("-captured_on").values_list("captured_on", flat=True)
    else:
        days = Scene.objects.filter(source=source).order_by("-captured_on").values_list("captured_on", flat=True)
    found = list(dict.fromkeys(days[: N_DATES * 20]))[:N_DATES]
    return [(day.isoformat(), day.isoformat()) if day else ("unknown", _("date unknown")) for day in found]


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("make_features")
def feature_set_new(request: HttpRequest, project: Project) -> HttpResponse:
    """The form with what it would cost; for htmx only the latter, of what is chosen so far."""
    form = MakeForm(project, request.POST if request.method == "POST" else request.GET or None)
    if not form.is_bound and form.fields["imagery"].choices:
        first = form.fields["imagery"].choices[0][0]
        form = MakeForm(project, {"imagery": first, "n_filters": 1024, "scales": "two"})
    context = {"form": form, "has_imagery": bool(form.fields["imagery"].choices)}
    if form.is_bound and form.is_valid():
        if request.method == "POST":
            try:
                return _make(request, project, form)
            except LabelsError as error:
                form.add_error(None, str(error))
        cells = feature_costs.n_cells(project, form.cleaned_data["area"])
        context["cost"] = feature_costs.cost(cells, form.cleaned_data["n_filters"])
    template = "predictions/_cost.html" if request.htmx else "predictions/feature_set_new.html"
    return render(request, template, context)


def _make(request: HttpRequest, project: Project, form: MakeForm) -> HttpResponse:
    source, day = form.source_and_day()
    made = featurizing.ask(
        project,
        source=source,
        day=day,
        area=form.cleaned_data["area"],
        options=form.options(),
        name=form.cleaned_data["name"],
        by=request.user,
    )
    return redirect("predictions:feature_set", project.slug, made.slug)


class ImportForm(forms.Form):
    file = forms.FileField(
        label=_("File"),
        help_text=_(
            "CSV, Parquet or Feather: columns lat, lon and X_0, X_1 … as the MOSAIKS API gives them, or image_id and "
            "feature_0, feature_1 …"
        ),
    )
    name = forms.CharField(label=_("Name"), max_length=120, required=False, help_text=_("Empty: the name of the file."))


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("make_features")
def feature_set_import(request: HttpRequest, project: Project) -> HttpResponse:
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = featurizing.ask_import(
                project, file=form.cleaned_data["file"], name=form.cleaned_data["name"], by=request.user
            )
        except LabelsError as error:
            form.add_error("file", str(error))
        else:
            return redirect("predictions:feature_set", project.slug, made.slug)
    return render(request, "predictions/feature_set_import.html", {"form": form})
