"""Taking an import back."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from labels import editions
from labels.errors import LabelsError
from labels.models import Project
from labels.views.doors import in_project, said


class WithdrawForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=editions.MAX_REASON)
    is_meant = forms.BooleanField(label=_("Withdraw this edition"))


@require_POST
@in_project("import_register")
def edition_withdraw(request: HttpRequest, project: Project, register: str, number: int) -> HttpResponse:
    """A job does it; the page of the edition shows the form."""
    found = get_object_or_404(project.registers, slug=register)
    edition = get_object_or_404(found.editions.select_related("register__project"), number=number)
    here = ("labels:edition", project.slug, found.slug, number)
    form = WithdrawForm(request.POST)
    if not form.is_valid():
        return said(request, _NOT_MEANT, *here)
    try:
        job = editions.withdraw_edition(edition, request.user, form.cleaned_data["reason"])
    except LabelsError as error:
        return said(request, error, *here)
    return redirect("labels:job", project.slug, job.uuid)


_NOT_MEANT = LabelsError(_("Say why the edition is withdrawn, in at most 300 characters, and tick that you mean it."))
