"""Dated pictures of the ground, and what we may do with them."""

import uuid

from django.contrib.gis.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# The largest registration offset a source may carry: tiles look this far around themselves for pictures.
MAX_OFFSET_M = 1000


class ImagerySource(models.Model):
    """A named set of scenes, with its attribution and rights."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labels.Project", models.CASCADE, related_name="imagery_sources")
    slug = models.SlugField(_("short name"), max_length=50)
    name = models.CharField(_("name"), max_length=200)
    attribution = models.CharField(_("attribution"), max_length=300, blank=True)
    may_view = models.BooleanField(_("may be viewed"), default=True)
    may_cache = models.BooleanField(_("may be cached"), default=True)
    may_derive_labels = models.BooleanField(_("labels may be derived"), default=True)
    may_share_labels = models.BooleanField(_("derived labels may be shared"), default=True)
    may_train = models.BooleanField(_("models may be trained"), default=True)
    purpose = models.CharField(_("limited to the purpose"), max_length=300, blank=True)
    evidence = models.CharField(_("evidence of the rights"), max_length=300, blank=True)
    rights_expire_on = models.DateField(_("rights expire"), null=True, blank=True)
    # Measured shift of the imagery against the ground, metres east and north, added to every position read from it.
    offset_east_m = models.FloatField(_("offset east (m)"), default=0)
    offset_north_m = models.FloatField(_("offset north (m)"), default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("imagery source")
        verbose_name_plural = _("imagery sources")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="imagery_slug_in_project"),
            models.CheckConstraint(
                condition=models.Q(
                    offset_east_m__range=(-MAX_OFFSET_M, MAX_OFFSET_M),
                    offset_north_m__range=(-MAX_OFFSET_M, MAX_OFFSET_M),
                ),
                name="imagery_offset_within_1_km",
            ),
        ]

    def __str__(self):
        return self.name


class Scene(models.Model):
    """One picture: a cloud-optimised GeoTIFF aligned with web tiles, its footprint and its date."""

    class DateKnownBy(models.TextChoices):
        STATED = "stated", _("stated when loaded")
        FILE = "file", _("read from the file")
        UNKNOWN = "unknown", _("unknown")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    source = models.ForeignKey(ImagerySource, models.CASCADE, related_name="scenes")
    # Inside MEDIA_ROOT, made from the uuid; never from the name a person gave.
    path = models.CharField(max_length=200, editable=False)
    original_name = models.CharField(_("file"), max_length=255)
    original_sha256 = models.CharField(max_length=64)
    sha256 = models.CharField(_("version"), max_length=64)
    footprint = models.MultiPolygonField(_("footprint"), srid=4326)
    captured_on = models.DateField(_("captured"), null=True, blank=True)
    captured_known_by = models.CharField(max_length=10, choices=DateKnownBy.choices, default=DateKnownBy.UNKNOWN)
    resolution_m = models.FloatField(_("resolution (m)"))
    min_zoom = models.PositiveSmallIntegerField()
    max_zoom = models.PositiveSmallIntegerField()
    n_bands = models.PositiveSmallIntegerField()
    # What was done to the original: its coordinate system, size, type, the bands shown, what hid pixels, the stretch.
    preparation = models.JSONField(default=dict, blank=True, editable=False)
    size_bytes = models.PositiveBigIntegerField()
    job = models.ForeignKey("labels.Job", models.SET_NULL, null=True, blank=True, related_name="scenes")
    loaded_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("scene")
        verbose_name_plural = _("scenes")
        ordering = ["captured_on", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "original_sha256", "captured_on"],
                nulls_distinct=False,
                name="scene_once_per_source_and_date",
            ),
            models.CheckConstraint(
                condition=models.Q(captured_on__isnull=True, captured_known_by="unknown")
                | (models.Q(captured_on__isnull=False) & ~models.Q(captured_known_by="unknown")),
                name="scene_date_known_or_unknown",
            ),
        ]

    def __str__(self):
        return f"{self.source_id} {self.captured_on or ''}".strip()
