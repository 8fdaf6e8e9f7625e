"""Who works on what: projects, the people in them, and the record of who looked at or took out what."""

import uuid
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

iso3 = RegexValidator(r"^[A-Z]{3}$", _("Write the three capital letters of the country's ISO 3166 code."))


def check_time_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(_("Write a time zone as in “Africa/Kinshasa”."))


class Role(models.TextChoices):
    """One role per person and project; each may also do what the one before it may (labels.access)."""

    ANNOTATOR = "annotator", _("annotator")
    ADJUDICATOR = "adjudicator", _("adjudicator")
    LEAD = "lead", _("lead")
    ADMIN = "admin", _("admin")


class ImageryPolicy(models.TextChoices):
    LOCAL = "local", _("local imagery only")
    THROUGH_SERVER = "through_server", _("providers through our server")


class Project(models.Model):
    """One country team's workspace."""

    slug = models.SlugField(_("short name"), max_length=50, unique=True)
    name = models.CharField(_("name"), max_length=200)
    country = models.CharField(_("country (ISO 3166 alpha-3)"), max_length=3, validators=[iso3])
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC", validators=[check_time_zone])
    languages = models.JSONField(_("languages"), default=list, blank=True)
    imagery_policy = models.CharField(
        _("imagery policy"), max_length=20, choices=ImageryPolicy.choices, default=ImageryPolicy.LOCAL
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("project")
        verbose_name_plural = _("projects")
        ordering = ["name"]

    def __str__(self):
        return self.name


class Membership(models.Model):
    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=20, choices=Role.choices)
    joined_at = models.DateTimeField(_("joined"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="one_role_per_project"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self):
        return f"{self.user} ({self.get_role_display()}, {self.project})"


class Invitation(models.Model):
    """A one-time link; only the hash of its token is kept."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="invitations")
    role = models.CharField(_("role"), max_length=20, choices=Role.choices)
    note = models.CharField(_("for whom"), max_length=200, blank=True)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires"))
    accepted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    accepted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")

    def __str__(self):
        return f"{self.get_role_display()}, {self.project}"

    @property
    def is_open(self) -> bool:
        return self.accepted_at is None and timezone.now() < self.expires_at


class AccessRecord(models.Model):
    """Append-only: who revealed or took out what, and when. Holds no coordinates."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, models.PROTECT, related_name="access_records")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    action = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    n_rows = models.PositiveIntegerField(null=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("access record")
        verbose_name_plural = _("access records")
        ordering = ["-at"]

    def __str__(self):
        return f"{self.action} {self.subject}"
