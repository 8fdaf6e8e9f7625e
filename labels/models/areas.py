"""Reference polygons: provinces and districts, commercial mines, protected areas, permit areas, terrain."""

from django.contrib.gis.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class AreaKind(models.TextChoices):
    ADMIN = "admin", _("admin area")
    COMMERCIAL = "commercial", _("commercial mine")
    PROTECTED = "protected", _("protected area")
    PERMIT = "permit", _("permit area")
    TERRAIN = "terrain", _("terrain")


class ReferenceLayer(models.Model):
    """One loaded set of polygons. Loading a layer of the same name again makes a new version and retires the old.

    Boundaries change: a layer says from when to when its areas held (`valid_from`, `valid_to`; open ends are null).
    """

    project = models.ForeignKey("labels.Project", models.CASCADE, related_name="reference_layers")
    kind = models.CharField(_("kind"), max_length=20, choices=AreaKind.choices)
    name = models.CharField(_("name"), max_length=200)
    level = models.PositiveSmallIntegerField(_("level"), default=1, help_text=_("1 for provinces, 2 for districts"))
    version = models.PositiveIntegerField(_("version"), default=1)
    valid_from = models.DateField(_("boundaries since"), null=True, blank=True)
    valid_to = models.DateField(_("boundaries until"), null=True, blank=True)
    # The layer whose areas hold these, such as the provinces of districts.
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")
    attribution = models.CharField(_("attribution"), max_length=300, blank=True)
    file_name = models.CharField(max_length=255, blank=True)
    file_sha256 = models.CharField(max_length=64)
    loaded_at = models.DateTimeField(_("loaded"), default=timezone.now)
    retired_at = models.DateTimeField(_("retired"), null=True, blank=True)

    class Meta:
        verbose_name = _("reference layer")
        verbose_name_plural = _("reference layers")
        ordering = ["kind", "level", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind", "name"],
                condition=models.Q(retired_at__isnull=True),
                name="one_current_layer_of_a_name",
            ),
            models.CheckConstraint(
                condition=models.Q(valid_from__isnull=True)
                | models.Q(valid_to__isnull=True)
                | models.Q(valid_from__lte=models.F("valid_to")),
                name="layer_valid_from_before_to",
            ),
        ]

    def __str__(self):
        return self.name


class ReferenceArea(models.Model):
    layer = models.ForeignKey(ReferenceLayer, models.CASCADE, related_name="areas")
    name = models.CharField(_("name"), max_length=300)
    code = models.CharField(_("code"), max_length=100, blank=True)
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")
    geometry = models.MultiPolygonField(_("shape"), srid=4326)
    area_km2 = models.FloatField(_("area (km²)"))
    attributes = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("reference area")
        verbose_name_plural = _("reference areas")
        ordering = ["name"]

    def __str__(self):
        return self.name
