"""Dated pictures of the ground, and what we may do with them."""

import uuid

from django.conf import settings
from django.contrib.gis.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# The largest registration offset a source may carry: tiles look this far around themselves for pictures.
MAX_OFFSET_M = 1000


class DateKnownBy(models.TextChoices):
    """How a capture date is known."""

    STATED = "stated", _("stated when loaded")
    FILE = "file", _("read from the file")
    PROVIDER = "provider", _("told by the provider")
    UNKNOWN = "unknown", _("unknown")


class ImagerySource(models.Model):
    """A named set of scenes, or a provider of tiles, with its attribution and rights."""

    class Kind(models.TextChoices):
        SCENES = "scenes", _("pictures on our server")
        XYZ = "xyz", _("XYZ tiles")
        TMS = "tms", _("TMS tiles")
        WMTS = "wmts", _("WMTS")
        WMS = "wms", _("WMS")
        TILEJSON = "tilejson", _("TileJSON")
        STAC = "stac", _("STAC catalogue")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labels.Project", models.CASCADE, related_name="imagery_sources")
    slug = models.SlugField(_("short name"), max_length=50)
    name = models.CharField(_("name"), max_length=200)
    attribution = models.CharField(_("attribution"), max_length=300, blank=True)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.SCENES)
    # Of a provider: where it is asked, with {z}, {x}, {y}, {date} and {key} to be filled in. The key never leaves the
    # server: no page, log line or release holds it.
    address = models.CharField(_("address"), max_length=1000, blank=True)
    access_key = models.CharField(_("access key"), max_length=500, blank=True)
    # What its protocol needs beside the address: layer, style, format, tile matrix set, collection, asset, zooms.
    options = models.JSONField(default=dict, blank=True)
    # Grows with every change of what its tiles show (triggers): browsers and servers keep tiles under it.
    revision = models.PositiveBigIntegerField(default=1, editable=False)
    may_view = models.BooleanField(_("may be viewed"), default=True)
    may_cache = models.BooleanField(_("may be cached"), default=True)
    may_derive_labels = models.BooleanField(_("labels may be derived"), default=True)
    may_share_labels = models.BooleanField(_("derived labels may be shared"), default=True)
    may_train = models.BooleanField(_("models may be trained"), default=True)
    purpose = models.CharField(_("limited to the purpose"), max_length=300, blank=True)
    evidence = models.CharField(_("evidence of the rights"), max_length=300, blank=True)
    # A file of the evidence, inside MEDIA_ROOT: the licence, a letter. A replaced one stays on the disk.
    evidence_path = models.CharField(max_length=200, blank=True, editable=False)
    evidence_name = models.CharField(max_length=255, blank=True, editable=False)
    evidence_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    # Who last compared the rights with the evidence.
    rights_reviewed_on = models.DateField(_("rights reviewed"), null=True, blank=True, editable=False)
    rights_reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, editable=False, related_name="+"
    )
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
            models.CheckConstraint(
                condition=models.Q(kind="scenes", address="", access_key="")
                | (~models.Q(kind="scenes") & ~models.Q(address="")),
                name="imagery_address_of_providers",
            ),
        ]

    def __str__(self):
        return self.name


class Scene(models.Model):
    """One picture: a cloud-optimised GeoTIFF aligned with web tiles, its footprint and its date."""

    DateKnownBy = DateKnownBy

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
    # The same picture in near-infrared, red and green, on the same grid, where its bands allow.
    false_colour_path = models.CharField(max_length=200, blank=True, editable=False)
    false_colour_sha256 = models.CharField(max_length=64, blank=True, editable=False)
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


class ProviderDate(models.Model):
    """One date, or one release, that a provider offers; annotators step through them as through dated scenes."""

    DateKnownBy = DateKnownBy

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    source = models.ForeignKey(ImagerySource, models.CASCADE, related_name="dates")
    # What the provider calls it: the words that {date} becomes, a release number, the id of a STAC item.
    key = models.CharField(_("provider's name"), max_length=200)
    # When the picture was taken; the day of its publication is another thing and never stands in for it.
    captured_on = models.DateField(_("captured"), null=True, blank=True)
    captured_known_by = models.CharField(max_length=10, choices=DateKnownBy.choices, default=DateKnownBy.UNKNOWN)
    published_on = models.DateField(_("published"), null=True, blank=True)
    # Where it shows something; null where the provider does not say.
    footprint = models.MultiPolygonField(_("footprint"), srid=4326, null=True, blank=True)
    resolution_m = models.FloatField(_("resolution (m)"), null=True, blank=True)
    min_zoom = models.PositiveSmallIntegerField(default=0)
    max_zoom = models.PositiveSmallIntegerField(default=19)
    # Its own address where it differs from the source's, and its own options.
    address = models.CharField(_("address"), max_length=1000, blank=True)
    options = models.JSONField(default=dict, blank=True)
    listed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("date of a provider")
        verbose_name_plural = _("dates of a provider")
        ordering = ["captured_on", "key"]
        constraints = [
            models.UniqueConstraint(fields=["source", "key"], name="provider_date_once"),
            models.CheckConstraint(
                condition=models.Q(captured_on__isnull=True, captured_known_by="unknown")
                | (models.Q(captured_on__isnull=False) & ~models.Q(captured_known_by="unknown")),
                name="provider_date_known_or_unknown",
            ),
        ]

    def __str__(self):
        return f"{self.source_id} {self.key}"


class CaptureLookup(models.Model):
    """When a release's picture of a coarse tile was taken, as its provider answered once.

    Releases of one mosaic are published on a day and made of pictures of many; a row without a date is the answer that
    the provider does not know.
    """

    # Coarser than any search disc: the provider is asked for the middle of such a tile, never for a site.
    ZOOM = 13

    date = models.ForeignKey(ProviderDate, models.CASCADE, related_name="lookups")
    x = models.PositiveIntegerField()
    y = models.PositiveIntegerField()
    captured_on = models.DateField(null=True)
    resolution_m = models.FloatField(null=True)
    asked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("capture date of a release")
        verbose_name_plural = _("capture dates of releases")
        constraints = [models.UniqueConstraint(fields=["date", "x", "y"], name="capture_lookup_once")]

    def __str__(self):
        return f"{self.date_id} {self.captured_on or ''}".strip()
