"""Starting a run: which labels and features, what it would use and leave out."""

from datetime import date

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from labels.errors import LabelsError
from labels.models import Project, ReferenceArea, Release
from labels.report_words import number
from labels.views.doors import in_project
from predictions import feature_costs, readiness, training
from predictions.forecast import Forecast, forecast
from predictions.models import FeatureSet
from predictions.views.runs import named_sources


class ReleaseField(forms.ModelChoiceField):
    def label_from_instance(self, release: Release) -> str:
        return _("Release %(number)s: %(n)s labels, %(day)s") % {
            "number": release.number,
            "n": number(release.n_labels),
            "day": release.made_at.date().isoformat(),
        }


class FeaturesField(forms.ModelChoiceField):
    """Feature sets by what a run on them would map: which area, from pictures of when, how many cells."""

    def label_from_instance(self, feature_set: FeatureSet) -> str:
        return _("%(name)s: %(area)s, %(date)s, %(n)s cells") % {
            "name": feature_set.name,
            "area": area_of(feature_set),
            "date": date_of(feature_set),
            "n": number(feature_set.n_cells or 0),
        }


def area_of(feature_set: FeatureSet) -> str:
    if feature_set.area:
        return feature_set.area.name
    return gettext("the whole country") if feature_set.source_id else gettext("the cells of its file")


def date_of(feature_set: FeatureSet) -> str:
    """Of its pictures; of a file, which says nothing of them, when it was imported."""
    if not feature_set.source_id:
        return gettext("imported %(day)s") % {"day": date_format(feature_set.asked_at, "DATE_FORMAT")}
    if feature_set.image_date == "unknown":
        return gettext("pictures of an unknown date")
    if not feature_set.image_date:
        return gettext("newest pictures of each place")
    return gettext("pictures of %(day)s") % {
        "day": date_format(date.fromisoformat(feature_set.image_date), "DATE_FORMAT")
    }


class StartForm(forms.Form):
    release = ReleaseField(
        label=_("Labels"),
        queryset=Release.objects.none(),
        to_field_name="number",
        required=False,
        empty_label=_("As they are now: a release of them is made first"),
    )
    feature_set = FeaturesField(
        label=_("Features"),
        queryset=FeatureSet.objects.none(),
        to_field_name="slug",
        empty_label=None,
    )
    area = forms.ModelChoiceField(
        label=_("Area"),
        queryset=ReferenceArea.objects.none(),
        required=False,
        empty_label=_("All cells that have these features"),
        help_text=_("Only cells in this area are learned from and mapped."),
    )
    purpose = forms.CharField(
        label=_("Purpose"),
        max_length=300,
        required=False,
        help_text=_(
            "Kept with the release of the labels as they are now. Imagery that is limited to a purpose gives labels "
            "only where its own words stand here."
        ),
    )
    budget = forms.IntegerField(
        label=_("Places you could inspect"),
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text=_(
            "The run says how many of the cells with mines that many visits would find. Empty: 1 % of the cells."
        ),
    )
    size_km = forms.FloatField(
        label=_("Size of the blocks left out (km)"),
        min_value=2,
        max_value=200,
        initial=10,
        help_text=_("Every figure is measured on cells whose block was left out of the training."),
    )
    buffer_km = forms.FloatField(
        label=_("Buffer around a block (km)"),
        min_value=0,
        max_value=50,
        initial=2,
        help_text=_("Cells this near to a block left out are left out with it, so that neighbours tell nothing."),
    )

    def __init__(self, project: Project, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["release"].queryset = project.releases.order_by("-number")
        ready = (
            FeatureSet.objects.filter(project=project)
            .exclude(content_sha256="")
            .select_related("area")
            .defer("area__geometry")
        )
        self.fields["feature_set"].queryset = ready
        newest = ready.first()
        self.fields["feature_set"].initial = newest.slug if newest else None
        self.fields["area"].queryset = feature_costs.areas(project)

    def options(self) -> dict:
        """What was said otherwise than by default."""
        given = {name: self.cleaned_data.get(name) for name in ("size_km", "buffer_km", "budget", "purpose")}
        return {name: value for name, value in given.items() if value not in (None, "")}


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("start_run")
def run_new(request: HttpRequest, project: Project) -> HttpResponse:
    """The form with what a run would use; for htmx only the latter, of what is chosen so far."""
    needs = readiness.needs(project)
    if not all(need.is_met for need in needs if need.key != "imagery"):
        return render(request, "predictions/run_new.html", {"needs": needs})
    form = StartForm(project, request.POST if request.method == "POST" else request.GET or None)
    if not form.is_bound:
        form = StartForm(project, _defaults(form))
    found, refusal = _forecast(project, form)
    if request.method == "POST" and form.is_valid() and not refusal:
        try:
            return _start(request, project, form)
        except LabelsError as error:
            refusal = str(error)
    context = {"form": form, "forecast": found, "refusal": refusal}
    if found:
        context["left_out"] = named_sources(project, found.left_out)
    template = "predictions/_forecast.html" if request.htmx else "predictions/run_new.html"
    return render(request, template, context)


def _defaults(form: StartForm) -> dict:
    return {name: form.get_initial_for_field(field, name) or "" for name, field in form.fields.items()}


def _forecast(project: Project, form: StartForm) -> tuple[Forecast | None, str]:
    """What a run would use, or the sentence why there can be none."""
    if not form.is_valid():
        return None, ""
    chosen = form.cleaned_data
    try:
        found = forecast(
            project, chosen["release"], chosen["feature_set"], area=chosen["area"], purpose=chosen["purpose"]
        )
    except LabelsError as error:
        return None, str(error)
    return found, found.refusal


def _start(request: HttpRequest, project: Project, form: StartForm) -> HttpResponse:
    chosen = form.cleaned_data
    run = training.start_run(
        project,
        feature_set=chosen["feature_set"],
        release=chosen["release"],
        area=chosen["area"],
        by=request.user,
        options=form.options(),
    )
    return redirect("predictions:run", project.slug, run.number)
