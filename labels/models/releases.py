"""Snapshots of labels that left the house, immutable and named by their content."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Release(models.Model):
    """An immutable snapshot of labels. `content_sha256` is the hash of its canonical rows (labels.releases)."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labels.Project", models.PROTECT, related_name="releases")
    number = models.PositiveIntegerField(_("release"))
    purpose = models.CharField(_("purpose"), max_length=300, blank=True)
    content_sha256 = models.CharField(_("content hash"), max_length=64)
    n_labels = models.PositiveIntegerField(_("labels"))
    n_left_out = models.PositiveIntegerField(_("left out for lack of rights"), default=0)
    # Fields, counts, audits, licences and attributions: what a stranger needs to use the file.
    data_card = models.JSONField(default=dict)
    job = models.OneToOneField("labels.Job", models.PROTECT, null=True, related_name="release")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    made_at = models.DateTimeField(_("made"), default=timezone.now)

    class Meta:
        verbose_name = _("release")
        verbose_name_plural = _("releases")
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="release_number_in_project"),
            models.UniqueConstraint(fields=["project", "content_sha256"], name="same_content_is_one_release"),
        ]

    def __str__(self):
        return f"{self.project} {self.number}"


class ReleaseFile(models.Model):
    class Format(models.TextChoices):
        GEOJSON = "geojson", "GeoJSON"
        CSV = "csv", "CSV"
        GPKG = "gpkg", "GeoPackage"
        GEOPARQUET = "geoparquet", "GeoParquet"
        MOSAIKS = "mosaiks", "MOSAIKS CSV"

    release = models.ForeignKey(Release, models.PROTECT, related_name="files")
    format = models.CharField(_("format"), max_length=20, choices=Format.choices)
    path = models.CharField(max_length=200, editable=False)  # inside MEDIA_ROOT, made from the release's uuid
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField(_("size"))
    n_rows = models.PositiveIntegerField(_("rows"))

    class Meta:
        verbose_name = _("file of a release")
        verbose_name_plural = _("files of a release")
        constraints = [models.UniqueConstraint(fields=["release", "format"], name="format_once_per_release")]

    def __str__(self):
        return f"{self.release} {self.format}"
