"""People in a project: inviting, joining, changing roles, leaving."""

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labels.errors import BadInput, Conflict
from labels.models import Assignment, Invitation, Membership, Project
from labels.models.projects import Role

INVITATION_DAYS = 7


def invite(*, project: Project, role: str, invited_by, note: str = "") -> tuple[Invitation, str]:
    """An invitation and its token; the token is told once and only its hash is kept."""
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        project=project,
        role=role,
        note=note,
        invited_by=invited_by,
        token_hash=_hash(token),
        expires_at=timezone.now() + timedelta(days=INVITATION_DAYS),
    )
    return invitation, token


def open_invitation(token: str) -> Invitation | None:
    found = Invitation.objects.select_related("project").filter(token_hash=_hash(token)).first()
    return found if found and found.is_open else None


@transaction.atomic
def accept(invitation: Invitation, user) -> Membership:
    """Use the link up and join; a link opens once, also when clicked twice at the same moment."""
    used = Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(
        accepted_by=user, accepted_at=timezone.now()
    )
    if not used:
        raise Conflict(_("This link has been used already; ask for a new one."))
    member, is_new = Membership.objects.get_or_create(
        project=invitation.project, user=user, defaults={"role": invitation.role}
    )
    if not is_new:
        raise Conflict(_("You are a member of this project already."))
    return member


@transaction.atomic
def change_role(member: Membership, role: str) -> None:
    if role not in Role.values:
        raise BadInput(_("Choose one of the four roles."))
    _keep_an_admin(member, role)
    member.role = role
    member.save(update_fields=["role"])


@transaction.atomic
def remove(member: Membership) -> None:
    """Take the person out; units leased to them go back to the queue, their reviews stay."""
    _keep_an_admin(member, None)
    Assignment.objects.filter(audit__project=member.project, annotator=member.user).exclude(state="done").update(
        state=Assignment.State.OPEN, annotator=None, leased_until=None
    )
    member.delete()


def _keep_an_admin(member: Membership, role: str | None) -> None:
    """A project without an admin could never be mended from inside."""
    others = Membership.objects.select_for_update().filter(project=member.project, role=Role.ADMIN)
    if member.role == Role.ADMIN and role != Role.ADMIN and not others.exclude(pk=member.pk).exists():
        raise Conflict(_("This is the project's last admin: make somebody else admin first."))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
