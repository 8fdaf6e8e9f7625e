"""Providers of imagery: adding, trying, refreshing and removing one, fetching its pictures; whether any is asked."""

from base64 import b64encode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labels.errors import LabelsError
from labels.imagery import rights, sources
from labels.imagery.providers import downloads, listing
from labels.imagery.providers.trying import Tried, try_tile
from labels.models import ImagerySource, Project
from labels.models.projects import ImageryPolicy
from labels.provider_forms import ProviderForm
from labels.views.doors import in_project, said

N_LISTED = 200
NOTED = ("name", "address", "attribution", *sources.OF_RIGHTS)  # never the key


def _provider(project: Project, source: UUID) -> ImagerySource:
    providers = project.imagery_sources.exclude(kind=ImagerySource.Kind.SCENES).select_related("project")
    return get_object_or_404(providers, uuid=source)


def _is_asked(project: Project) -> bool:
    return project.imagery_policy == ImageryPolicy.THROUGH_SERVER


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("import_imagery")
def provider_new(request: HttpRequest, project: Project) -> HttpResponse:
    """Describe a provider; it is asked what it has before anything is kept, unless the project asks nobody."""
    form = ProviderForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                source = form.save()
                if _is_asked(project):
                    listing.refresh(source)
        except LabelsError as error:
            form.add_error(None, str(error))
        else:
            return redirect("labels:provider", project.slug, source.uuid)
    return render(
        request, "labels/provider_new.html", {"section": "imagery", "form": form, "is_asked": _is_asked(project)}
    )


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("import_imagery")
def provider_edit(request: HttpRequest, project: Project, source: UUID) -> HttpResponse:
    found = _provider(project, source)
    form = ProviderForm(request.POST or None, instance=found, project=project)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            # Compared with the row: the form has given its own copy the new values already.
            sources.change(found, {name: form.cleaned_data[name] for name in NOTED}, request.user)
            saved = form.save()
        return (
            _refreshed(request, project, saved)
            if _is_asked(project)
            else redirect("labels:provider", project.slug, saved.uuid)
        )
    context = {"section": "imagery", "form": form, "source": found, "is_asked": _is_asked(project)}
    return render(request, "labels/provider_new.html", context)


@require_safe
@in_project("import_imagery")
def provider(request: HttpRequest, project: Project, source: UUID) -> HttpResponse:
    return _page(request, project, _provider(project, source))


def _page(request: HttpRequest, project: Project, source: ImagerySource, tried: Tried | None = None) -> HttpResponse:
    dates = list(source.dates.defer("footprint").order_by("-captured_on", "-published_on", "key")[:N_LISTED])
    context = {
        "section": "imagery",
        "source": source,
        "dates": dates,
        "n_dates": source.dates.count(),
        "may_fetch": any(date.options.get("asset") for date in dates),
        "is_asked": _is_asked(project),
        "why_hidden": rights.why_hidden(source),
        "tried": tried,
        # Shown once and kept nowhere; a source that may not be kept is looked at all the same.
        "picture": f"data:{tried.content_type};base64,{b64encode(tried.content).decode()}"
        if tried and tried.content
        else "",
    }
    return render(request, "labels/provider.html", context)


@require_POST
@in_project("import_imagery")
def provider_try(request: HttpRequest, project: Project, source: UUID) -> HttpResponse:
    """Fetch one tile of a place of the project and show what came."""
    found = _provider(project, source)
    try:
        return _page(request, project, found, try_tile(found))
    except LabelsError as error:
        return said(request, error, "labels:provider", project.slug, found.uuid)


@require_POST
@in_project("import_imagery")
def provider_refresh(request: HttpRequest, project: Project, source: UUID) -> HttpResponse:
    return _refreshed(request, project, _provider(project, source))


def _refreshed(request: HttpRequest, project: Project, source: ImagerySource) -> HttpResponse:
    try:
        listed = listing.refresh(source)
    except LabelsError as error:
        return said(request, error, "labels:provider", project.slug, source.uuid)
    told = {"new": listed.created, "changed": listed.updated, "same": listed.unchanged, "gone": listed.removed}
    messages.success(request, _("%(new)d new dates, %(changed)d changed, %(same)d as before, %(gone)d gone.") % told)
    return redirect("labels:provider", project.slug, source.uuid)


@require_POST
@in_project("import_imagery")
def provider_remove(request: HttpRequest, project: Project, source: UUID) -> HttpResponse:
    """Remove it; the button behind the question says `sure`."""
    found = _provider(project, source)
    if not request.POST.get("sure"):
        return redirect("labels:provider", project.slug, found.uuid)
    try:
        listing.remove(found)
    except LabelsError as error:
        return said(request, error, "labels:provider", project.slug, source)
    messages.success(request, _("%(name)s is removed, and its kept tiles with it.") % {"name": found.name})
    return redirect("labels:imagery", project.slug)


@require_POST
@in_project("import_imagery")
def provider_fetch(request: HttpRequest, project: Project, source: UUID) -> HttpResponse:
    """Bring chosen pictures of a catalogue into a source of our own, as a job."""
    found = _provider(project, source)
    chosen = [number for number in request.POST.getlist("date") if number.isdigit()][: downloads.MOST + 1]
    try:
        job = downloads.ask(found, list(found.dates.filter(pk__in=chosen)), requested_by=request.user)
    except LabelsError as error:
        return said(request, error, "labels:provider", project.slug, found.uuid)
    return redirect("labels:job", project.slug, job.uuid)


class PolicyForm(forms.ModelForm):
    class Meta:
        model = Project
        fields = ["imagery_policy"]
        widgets = {"imagery_policy": forms.RadioSelect}
        labels = {"imagery_policy": gettext_lazy("This project shows")}


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("import_imagery")
def imagery_policy(request: HttpRequest, project: Project) -> HttpResponse:
    """Local imagery only, or providers through our server."""
    form = PolicyForm(request.POST or None, instance=project)
    if request.method == "POST" and form.is_valid():
        sources.change_policy(project, form.cleaned_data["imagery_policy"], request.user)
        n = project.imagery_sources.exclude(kind=ImagerySource.Kind.SCENES).count()
        if _is_asked(project):
            told = ngettext(
                "%(n)d provider may be asked by our server.", "%(n)d providers may be asked by our server.", n
            )
            messages.success(request, told % {"n": n})
        else:
            messages.success(request, _("No provider is asked any more; their tiles close within seconds."))
        return redirect("labels:imagery", project.slug)
    return render(request, "labels/imagery_policy.html", {"section": "imagery", "form": form})
