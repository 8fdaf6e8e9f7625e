"""What looks wrong in a register, derived from its records: flags and proposed duplicates. None alters a record."""

from django.conf import settings
from django.contrib.gis.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class RecordFlag(models.Model):
    """A doubt about the current Observation of a record. Only labels.flags writes it; all rows can be made anew."""

    site_record = models.ForeignKey("labels.SiteRecord", models.CASCADE, related_name="flags")
    register = models.ForeignKey("labels.Register", models.CASCADE, related_name="flags")
    # One of labels.flags.codes.
    code = models.CharField(_("flag"), max_length=40)
    # What the sentence about it names: regions, distances. Never coordinates.
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("flag")
        verbose_name_plural = _("flags")
        constraints = [models.UniqueConstraint(fields=["site_record", "code"], name="record_flagged_once")]
        indexes = [models.Index(fields=["register", "code"], name="flags_of_register")]

    def __str__(self):
        return f"{self.site_record_id}: {self.code}"


class DuplicatePair(models.Model):
    """Two records, or two observations under one id, that may be one and the same. Proposed by labels.duplicates.

    A repeated id is a pair of observations of one record: both records are that one. Else the observations are null.
    """

    class Reason(models.TextChoices):
        REPEATED_ID = "repeated_id", _("same id and date, other position or spelling")
        SAME_NAME = "same_name", _("near, and of the same or a like name")
        SAME_PLACE = "same_place", _("at the same place, of another name")
        NEAR = "near", _("near, of another name")

    project = models.ForeignKey("labels.Project", models.CASCADE, related_name="duplicate_pairs")
    # By id: the first is the one that was there first.
    first_record = models.ForeignKey("labels.SiteRecord", models.CASCADE, related_name="+")
    second_record = models.ForeignKey("labels.SiteRecord", models.CASCADE, related_name="+")
    first_observation = models.ForeignKey("labels.Observation", models.CASCADE, null=True, related_name="+")
    second_observation = models.ForeignKey("labels.Observation", models.CASCADE, null=True, related_name="+")
    reason = models.CharField(_("why"), max_length=20, choices=Reason.choices)
    is_across_registers = models.BooleanField(_("in two registers"), default=False)
    # Null where one of them states no position.
    distance_m = models.FloatField(_("distance (m)"), null=True)
    # Of the folded names, between 0 and 1; null where one has none.
    name_similarity = models.FloatField(_("likeness of the names"), null=True)
    found_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("proposed duplicate")
        verbose_name_plural = _("proposed duplicates")
        constraints = [
            models.UniqueConstraint(
                fields=["first_record", "second_record", "first_observation", "second_observation"],
                nulls_distinct=False,
                name="pair_proposed_once",
            ),
        ]
        indexes = [models.Index(fields=["project", "reason"], name="pairs_of_project")]

    def __str__(self):
        return f"{self.first_record_id} = {self.second_record_id}?"


class DuplicateDecision(models.Model):
    """Append-only: what a person decided about a pair. The latest one holds; the records stay as they are."""

    class Decision(models.TextChoices):
        MERGE = "merge", _("one site")
        KEEP = "keep", _("two sites")

    pair = models.ForeignKey(DuplicatePair, models.PROTECT, related_name="decisions")
    decision = models.CharField(_("decision"), max_length=10, choices=Decision.choices)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("decision about a duplicate")
        verbose_name_plural = _("decisions about duplicates")

    def __str__(self):
        return f"{self.pair_id}: {self.decision}"
