"""The rule by which a run is started without anybody pressing a button."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from labels.errors import LabelsError
from labels.models import Project
from labels.views.doors import in_project
from predictions import rules
from predictions.models import FeatureSet, RetrainingRule
from predictions.views.starting import FeaturesField


class RuleForm(forms.Form):
    is_on = forms.BooleanField(label=gettext_lazy("Start runs by this rule"), required=False)
    every_n_labels = forms.IntegerField(
        label=gettext_lazy("After this many new labels"), min_value=1, max_value=1_000_000, initial=200
    )
    feature_set = FeaturesField(
        label=gettext_lazy("Features and their area"),
        queryset=FeatureSet.objects.none(),
        to_field_name="slug",
        empty_label=None,
    )

    def __init__(self, project: Project, *args, **kwargs):
        super().__init__(*args, **kwargs)
        ready = (
            FeatureSet.objects.filter(project=project)
            .exclude(content_sha256="")
            .select_related("area")
            .defer("area__geometry")
        )
        self.fields["feature_set"].queryset = ready


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("start_run")
def retraining_rule(request: HttpRequest, project: Project) -> HttpResponse:
    rule = RetrainingRule.objects.filter(project=project).select_related("feature_set", "set_by").first()
    form = RuleForm(project, request.POST or None, initial=_as_form(rule))
    if request.method == "POST" and form.is_valid():
        try:
            rules.set_rule(project, by=request.user, **form.cleaned_data)
        except LabelsError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("The rule is kept."))
            return redirect("predictions:retraining_rule", project.slug)
    context = {"form": form, "rule": rule, "has_features": form.fields["feature_set"].queryset.exists()}
    if rule and rule.is_on:
        context |= {"n_new": rules.n_new_labels(rule), "stopped": rules.said_of(rule)}
    return render(request, "predictions/retraining_rule.html", context)


def _as_form(rule: RetrainingRule | None) -> dict:
    if rule is None:
        return {"is_on": True}
    return {"is_on": rule.is_on, "every_n_labels": rule.every_n_labels, "feature_set": rule.feature_set.slug}
