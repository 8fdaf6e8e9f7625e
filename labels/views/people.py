"""Who is in a project: members, roles, and joining by a one-time link (no mail server needed)."""

from django import forms
from django.contrib import messages
from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import UserCreationForm
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from labels import membership as members
from labels.errors import LabelsError
from labels.models import Invitation, Membership, Project
from labels.models.projects import Role
from labels.views.doors import in_project, said


class InviteForm(forms.ModelForm):
    class Meta:
        model = Invitation
        fields = ["role", "note"]
        help_texts = {"note": gettext_lazy("A name or a reminder for yourself; the person is not written to.")}


class JoinForm(UserCreationForm):
    class Meta(UserCreationForm.Meta):
        model = get_user_model()
        fields = ["username"]


@require_safe
@in_project("manage_people")
def people(request: HttpRequest, project: Project) -> HttpResponse:
    context = {
        "memberships": project.memberships.select_related("user").order_by("user__username"),
        "invitations": [each for each in project.invitations.select_related("invited_by") if each.is_open],
        "form": InviteForm(),
        "roles": Role,
    }
    return render(request, "labels/people.html", context)


@require_POST
@in_project("manage_people")
def invite(request: HttpRequest, project: Project) -> HttpResponse:
    """Shows the link once: only its hash is kept."""
    form = InviteForm(request.POST)
    if not form.is_valid():
        return redirect("labels:people", project.slug)
    invitation, token = members.invite(project=project, invited_by=request.user, **form.cleaned_data)
    link = request.build_absolute_uri(reverse("join", args=[token]))
    return render(request, "labels/invited.html", {"invitation": invitation, "link": link})


@require_POST
@in_project("manage_people")
def membership(request: HttpRequest, project: Project, membership: int) -> HttpResponse:
    """Change a role, or take the person out of the project."""
    found = get_object_or_404(Membership, project=project, pk=membership)
    try:
        if request.POST.get("remove"):
            members.remove(found)
        else:
            members.change_role(found, request.POST.get("role", ""))
    except LabelsError as error:
        return said(request, error, "labels:people", project.slug)
    messages.success(request, _("Saved; it holds from the next click on."))
    return redirect("labels:people", project.slug)


@never_cache
@login_not_required
def join(request: HttpRequest, token: str) -> HttpResponse:
    """A signed-in person joins at once; anybody else makes a login first."""
    invitation = members.open_invitation(token)
    if invitation is None:
        return render(request, "registration/join_closed.html", status=404)
    signed_in = request.user.is_authenticated
    form = None if signed_in else JoinForm(request.POST or None)
    if request.method == "POST" and (signed_in or form.is_valid()):
        try:
            with transaction.atomic():
                user = request.user if signed_in else form.save()
                members.accept(invitation, user)
        except LabelsError as error:
            return said(request, error, "labels:projects")
        if not signed_in:
            login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        return redirect("labels:overview", invitation.project.slug)
    return render(request, "registration/join.html", {"invitation": invitation, "form": form})
