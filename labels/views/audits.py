"""Audits: what there is, how far each is, opening one."""

import io
from collections import Counter
from dataclasses import replace

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from labels import access, audit_opening, ground_truth, progress, seen_table, workflow
from labels.models import Assignment, Audit, Exposure, Project, Scene
from labels.views.doors import in_project


class AuditForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=200)
    register = forms.ModelChoiceField(label=_("Register"), queryset=None)
    reviews_per_unit = forms.IntegerField(
        label=_("Reviews per unit"),
        min_value=1,
        max_value=5,
        initial=2,
        help_text=_("Two independent looks show how far readers agree; one is faster."),
    )
    same_site_m = forms.FloatField(
        label=_("Same site within (m)"),
        min_value=1,
        max_value=5000,
        initial=250,
        help_text=_("Marks of two annotators closer than this are not in dispute."),
    )

    def __init__(self, project: Project, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.project = project
        self.fields["register"].queryset = project.registers.filter(placements__isnull=False).distinct()

    def clean_name(self) -> str:
        name = self.cleaned_data["name"].strip()
        if not audit_opening.slug_for(name):
            raise forms.ValidationError(_("Use at least one letter or digit in the name."))
        if Audit.objects.filter(project=self.project, slug=audit_opening.slug_for(name)).exists():
            raise forms.ValidationError(_("An audit of this project already has this name."))
        return name


@require_safe
@in_project("view_audit")
def audits(request: HttpRequest, project: Project) -> HttpResponse:
    found = project.audits.select_related("register")
    return render(request, "labels/audits.html", {"queues": [_queue(audit, request.user) for audit in found]})


def _queue(audit: Audit, user) -> progress.Queue:
    """How far the audit is and, of grid cells, what was found; few enough cells close to whoever reads it of them."""
    queue = progress.queue_of(audit, user)
    if not audit.is_of_cells:
        return queue
    cells = progress.searched_cells(audit)
    access.expose(user, cells.told, Exposure.What.REVIEWS)
    return replace(queue, cells=cells)


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("open_audit")
def audit_new(request: HttpRequest, project: Project) -> HttpResponse:
    """A census of one register, drawn by a job."""
    form = AuditForm(project, request.POST or None)
    if request.method == "POST" and form.is_valid():
        job = audit_opening.ask(project=project, requested_by=request.user, **form.cleaned_data)
        return redirect("labels:job", project.slug, job.uuid)
    return render(
        request,
        "labels/audit_new.html",
        {
            "form": form,
            "has_records": form.fields["register"].queryset.exists(),
            "has_imagery": Scene.objects.filter(source__project=project).exists(),
        },
    )


@require_safe
@in_project("view_audit")
def audit(request: HttpRequest, project: Project, audit: str) -> HttpResponse:
    """How far it is: counts only, so that a lead who looks may still review records."""
    found = get_object_or_404(project.audits.select_related("register", "opened_by"), slug=audit)
    outcomes = ground_truth.cell_outcomes if found.is_of_cells else ground_truth.outcomes
    states = Counter(outcome.state for outcome in outcomes(found))
    context = {
        "audit": found,
        "queue": _queue(found, request.user),
        "states": {name: states[name] for name in ("open", "agreed", "disputed", "adjudicated")},
        "n_units": states.total(),
        "moved": workflow.moved_in(found),
        "people": progress.people_of(found),
        "n_leased": found.assignments.filter(state=Assignment.State.LEASED).count(),
    }
    return render(request, "labels/audit.html", context)


@require_safe
@in_project("view_audit")
def audit_seen(request: HttpRequest, project: Project, audit: str) -> HttpResponse:
    """What the reviews looked at, as CSV: no verdict, no person, no coordinate. That it was taken out is kept."""
    found = get_object_or_404(project.audits, slug=audit)
    file = io.StringIO(newline="")
    n_rows = seen_table.write_csv(found, file)
    access.note_access(request.user, project, "download_seen", f"audit {found.slug}", n_rows)
    response = HttpResponse(file.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{project.slug}-{found.slug}-images-seen.csv"'
    return response
