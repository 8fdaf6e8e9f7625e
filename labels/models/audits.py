"""A designed sample of units to judge, and who is to judge which."""

import uuid

from django.conf import settings
from django.contrib.gis.db import models
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labels.models.registers import LocationPrecision

COARSE = {"tolerance_m": 1000, "search_radius_m": 5000}


def default_search_rules() -> dict:
    """Tolerance and search radius per location precision (rules of judgement)."""
    rules = {precision: dict(COARSE) for precision in LocationPrecision.values}
    rules[LocationPrecision.GPS] = {"tolerance_m": 100, "search_radius_m": 1000}
    return rules


def check_search_rules(rules: dict) -> None:
    for precision in LocationPrecision.values:
        rule = rules.get(precision, {}) if isinstance(rules, dict) else {}
        tolerance, radius = rule.get("tolerance_m", 0), rule.get("search_radius_m", 0)
        if not (isinstance(tolerance, int | float) and isinstance(radius, int | float) and 0 < tolerance <= radius):
            raise ValidationError(
                _("%(precision)s: give a tolerance_m above 0 and a search_radius_m at least as large."),
                params={"precision": precision},
            )


class Queue(models.TextChoices):
    """The probability sample feeds reliability; model-ordered suggestions feed training only. Never mixed."""

    SAMPLE = "sample", _("sample")
    SUGGESTED = "suggested", _("suggested")


class Audit(models.Model):
    class Frame(models.TextChoices):
        RECORDS = "records", _("records of a register")
        CELLS = "cells", _("grid cells")

    class Design(models.TextChoices):
        CENSUS = "census", _("census")
        SRS = "srs", _("simple random sample")
        STRATIFIED = "stratified", _("stratified random sample")
        SYSTEMATIC = "systematic", _("systematic sample")
        CLUSTER = "cluster", _("cluster sample")

    project = models.ForeignKey("labels.Project", models.CASCADE, related_name="audits")
    slug = models.SlugField(_("short name"), max_length=50)
    name = models.CharField(_("name"), max_length=200)
    frame = models.CharField(_("frame"), max_length=20, choices=Frame.choices, default=Frame.RECORDS)
    register = models.ForeignKey("labels.Register", models.PROTECT, null=True, blank=True, related_name="audits")
    design = models.CharField(_("design"), max_length=20, choices=Design.choices, default=Design.CENSUS)
    seed = models.BigIntegerField(_("seed"), default=1)
    strata = models.JSONField(_("strata"), default=list, blank=True)
    # Size of the frame when drawn, and its records that state no position (they cannot be judged from imagery).
    n_population = models.PositiveIntegerField(default=0, editable=False)
    n_unlocated = models.PositiveIntegerField(default=0, editable=False)
    reviews_per_unit = models.PositiveSmallIntegerField(_("reviews per unit"), default=1)
    search_rules = models.JSONField(
        _("tolerance and search radius"), default=default_search_rules, validators=[check_search_rules]
    )
    same_site_m = models.FloatField(_("same site within (m)"), default=250)
    is_blind = models.BooleanField(_("blind"), default=True)
    n_panes = models.PositiveSmallIntegerField(_("panes"), default=2)
    guideline_version = models.CharField(max_length=20, default="1")
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    opened_at = models.DateTimeField(_("opened"), default=timezone.now, editable=False)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)

    class Meta:
        verbose_name = _("audit")
        verbose_name_plural = _("audits")
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="audit_slug_in_project"),
            models.CheckConstraint(
                condition=models.Q(frame="records", register__isnull=False)
                | models.Q(frame="cells", register__isnull=True),
                name="audit_of_records_has_register",
            ),
            models.CheckConstraint(condition=models.Q(reviews_per_unit__gte=1), name="audit_wants_reviews"),
            models.CheckConstraint(condition=models.Q(same_site_m__gt=0), name="audit_same_site_positive"),
        ]

    def __str__(self):
        return self.name

    @property
    def is_of_cells(self) -> bool:
        return self.frame == self.Frame.CELLS


class SampleUnitQuerySet(models.QuerySet):
    def current(self):
        """Units that count: those retired since their record moved are left out."""
        return self.filter(retired_at__isnull=True)

    def retired(self):
        return self.filter(retired_at__isnull=False)


class SampleUnit(models.Model):
    """What is judged: a SiteRecord, with the Observation it was drawn from, or a grid cell."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    audit = models.ForeignKey(Audit, models.PROTECT, related_name="units")
    site_record = models.ForeignKey("labels.SiteRecord", models.PROTECT, null=True, related_name="units")
    observation = models.ForeignKey("labels.Observation", models.PROTECT, null=True, related_name="+")
    grid_cell = models.CharField(max_length=40, blank=True)
    stratum = models.CharField(max_length=200, blank=True)
    # Probability that this unit was drawn; null in the suggested queue, which is no probability sample.
    inclusion_probability = models.FloatField(null=True)
    queue = models.CharField(max_length=20, choices=Queue.choices, default=Queue.SAMPLE)
    tolerance_m = models.FloatField()
    search_radius_m = models.FloatField()
    # Retired when its record's published position changed after it was drawn: a new unit of the record asks to be
    # judged instead. Its reviews stay; if the position comes back, so does the unit.
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = SampleUnitQuerySet.as_manager()

    class Meta:
        verbose_name = _("sample unit")
        verbose_name_plural = _("sample units")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(site_record__isnull=False, observation__isnull=False, grid_cell="")
                | (models.Q(site_record__isnull=True, observation__isnull=True) & ~models.Q(grid_cell="")),
                name="unit_is_record_or_cell",
            ),
            models.CheckConstraint(
                condition=models.Q(queue="sample", inclusion_probability__gt=0, inclusion_probability__lte=1)
                | models.Q(queue="suggested", inclusion_probability__isnull=True),
                name="unit_of_sample_has_probability",
            ),
            models.CheckConstraint(
                condition=models.Q(tolerance_m__gt=0, search_radius_m__gte=models.F("tolerance_m")),
                name="unit_search_disc_holds_tolerance",
            ),
            models.UniqueConstraint(
                fields=["audit", "site_record"],
                condition=models.Q(site_record__isnull=False, retired_at__isnull=True),
                name="record_once_per_audit",
            ),
            models.UniqueConstraint(
                fields=["audit", "grid_cell"], condition=~models.Q(grid_cell=""), name="cell_once_per_audit"
            ),
        ]
        # Few units are retired: those that count are found by leaving these out.
        indexes = [
            models.Index(fields=["audit"], name="unit_retired", condition=models.Q(retired_at__isnull=False)),
        ]

    def __str__(self):
        return str(self.uuid)


class Assignment(models.Model):
    """One wanted review of a unit: open, leased to somebody until a time, or done by a Review.

    Queue state, not a counter. A late verdict is always accepted: it fills any open Assignment of its unit, else adds
    one that is done at once.
    """

    class State(models.TextChoices):
        OPEN = "open", _("open")
        LEASED = "leased", _("leased")
        DONE = "done", _("done")

    unit = models.ForeignKey(SampleUnit, models.CASCADE, related_name="assignments")
    audit = models.ForeignKey(Audit, models.CASCADE, related_name="assignments")
    queue = models.CharField(max_length=20, choices=Queue.choices, default=Queue.SAMPLE)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    # Who holds or did it; also set on an open row that waits for one person (after an undo).
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="assignments")
    leased_until = models.DateTimeField(null=True)
    leased_at = models.DateTimeField(null=True)  # when it was handed to whom it is leased; renewals leave it
    review = models.OneToOneField("labels.Review", models.PROTECT, null=True, related_name="assignment")
    order_key = models.FloatField()

    class Meta:
        verbose_name = _("assignment")
        verbose_name_plural = _("assignments")
        constraints = [
            models.UniqueConstraint(fields=["unit", "annotator"], name="one_assignment_per_unit_and_annotator"),
            models.CheckConstraint(
                condition=models.Q(state="open", review__isnull=True, leased_until__isnull=True)
                | models.Q(state="leased", review__isnull=True, annotator__isnull=False, leased_until__isnull=False)
                | models.Q(state="done", review__isnull=False, annotator__isnull=False, leased_until__isnull=True),
                name="assignment_state_complete",
            ),
        ]
        indexes = [
            models.Index(
                fields=["audit", "queue", "order_key"],
                name="assignment_open",
                condition=~models.Q(state="done"),
            ),
            models.Index(fields=["audit", "annotator"], name="assignment_of_annotator"),
        ]

    def __str__(self):
        return f"{self.unit_id} {self.state}"


class Exposure(models.Model):
    """Append-only: this person knows others' reviews, a score or the gold answer of the unit and may not review it."""

    class What(models.TextChoices):
        REVIEWS = "reviews", _("reviews")
        RELEASE = "release", _("release")
        SCORE = "score", _("score")
        GOLD = "gold", _("gave the gold answer")

    unit = models.ForeignKey(SampleUnit, models.CASCADE, related_name="exposures")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    what = models.CharField(max_length=20, choices=What.choices)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("exposure")
        verbose_name_plural = _("exposures")
        constraints = [models.UniqueConstraint(fields=["unit", "user"], name="exposed_once")]

    def __str__(self):
        return f"{self.user_id} {self.unit_id}"
