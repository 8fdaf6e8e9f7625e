"""Features of grid cells, training runs on them, and what a run says of areas. Rows name files; files hold numbers."""

import uuid
from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labels.models import ImagerySource, Job, Project, ReferenceArea, Release


class FeatureSet(models.Model):
    """Numbers that describe each grid cell of an area: computed from one imagery source, or imported from a file.

    In `folder`: a file for each chunk while it is made, `features.npz` once all are there (predictions.storage).
    """

    class Kind(models.TextChoices):
        COMPUTED = "computed", _("computed from imagery")
        IMPORTED = "imported", _("imported")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="feature_sets")
    slug = models.SlugField(_("short name"), max_length=60)
    name = models.CharField(_("name"), max_length=120)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices, default=Kind.COMPUTED)
    source = models.ForeignKey(ImagerySource, models.PROTECT, null=True, blank=True, related_name="feature_sets")
    # Of which capture date ("unknown" for pictures without one); empty: the newest of each place.
    image_date = models.CharField(_("capture date"), max_length=10, blank=True)
    # Empty: all the project's top-level admin areas.
    area = models.ForeignKey(ReferenceArea, models.PROTECT, null=True, blank=True, related_name="+")
    # How they are made: the parameters of predictions.features.RandomConvolutionalFeatures.
    options = models.JSONField(default=dict, blank=True)
    filters_sha256 = models.CharField(_("hash of the filters"), max_length=64, blank=True)
    # Of the cells and their features; empty until all are there.
    content_sha256 = models.CharField(_("content hash"), max_length=64, blank=True)
    n_cells = models.PositiveIntegerField(_("grid cells"), null=True, blank=True)
    n_without_imagery = models.PositiveIntegerField(_("without imagery"), null=True, blank=True)
    n_columns = models.PositiveIntegerField(_("features of a cell"), null=True, blank=True)
    original_name = models.CharField(_("file"), max_length=200, blank=True)
    note = models.TextField(_("note"), blank=True)
    job = models.OneToOneField(Job, models.PROTECT, null=True, blank=True, related_name="feature_set")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    asked_at = models.DateTimeField(_("asked for"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("feature set")
        verbose_name_plural = _("feature sets")
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="feature_set_in_project")]

    def __str__(self):
        return self.name

    @property
    def is_ready(self) -> bool:
        return bool(self.content_sha256)

    @property
    def folder(self) -> Path:
        return Path(settings.MEDIA_ROOT) / "features" / str(self.uuid)


class FeatureChunk(models.Model):
    """A run of a feature set's cells, computed by whichever worker takes it first (predictions.featurizing)."""

    feature_set = models.ForeignKey(FeatureSet, models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField()
    n_cells = models.PositiveIntegerField()
    # Who took it, raised at each taking; until when nobody else may. A worker that was killed leaves it to run out.
    token = models.PositiveIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    # Of the chunk's file, once it is there.
    sha256 = models.CharField(max_length=64, blank=True)
    cpu_s = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["feature_set", "number"], name="chunk_once_in_feature_set")]
        indexes = [
            models.Index(fields=["feature_set", "number"], name="chunk_to_do", condition=models.Q(sha256="")),
        ]

    def __str__(self):
        return f"{self.feature_set_id}/{self.number}"


class TrainingRun(models.Model):
    """One reproducible fit: the same labels, features, options and code give the same bytes.

    `figures` holds everything its pages show, as predictions.training writes it (docs/model.md names each).
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="training_runs")
    number = models.PositiveIntegerField(_("training run"))
    feature_set = models.ForeignKey(FeatureSet, models.PROTECT, related_name="runs")
    # Empty until the job has made one of the labels as they are now.
    release = models.ForeignKey(Release, models.PROTECT, null=True, blank=True, related_name="runs")
    # Only cells of this area are learned from and mapped; empty: all cells of the feature set.
    area = models.ForeignKey(ReferenceArea, models.PROTECT, null=True, blank=True, related_name="+")
    is_by_rule = models.BooleanField(_("started by the rule"), default=False)
    options = models.JSONField(default=dict, blank=True)
    labels_sha256 = models.CharField(_("hash of the labels"), max_length=64, blank=True)
    features_sha256 = models.CharField(_("hash of the features"), max_length=64, blank=True)
    code_version = models.CharField(_("code version"), max_length=64, blank=True)
    # Of the artefact; empty until the run is done.
    content_sha256 = models.CharField(_("content hash"), max_length=64, blank=True)
    figures = models.JSONField(default=dict, blank=True)
    # A person's choice, once: the run whose map the project goes by.
    is_current = models.BooleanField(_("current"), default=False)
    chosen_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    chosen_at = models.DateTimeField(null=True, blank=True)
    job = models.OneToOneField(Job, models.PROTECT, null=True, blank=True, related_name="training_run")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    asked_at = models.DateTimeField(_("asked for"), default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("training run")
        verbose_name_plural = _("training runs")
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="run_number_in_project"),
            models.UniqueConstraint(
                fields=["project"], name="one_current_run_in_project", condition=models.Q(is_current=True)
            ),
            models.CheckConstraint(
                name="current_run_is_done", condition=models.Q(is_current=False) | ~models.Q(content_sha256="")
            ),
        ]

    def __str__(self):
        return _("Training run %(number)d") % {"number": self.number}

    @property
    def is_done(self) -> bool:
        return bool(self.content_sha256)

    @property
    def folder(self) -> Path:
        """`model.npz` (the artefact), `scores.npz` (of the cells, in and out of block) and `map.tif` lie here."""
        return Path(settings.MEDIA_ROOT) / "runs" / str(self.uuid)


class AreaTotal(models.Model):
    """How many of an area's grid cells hold artisanal mining, with its interval (predictions.intensity)."""

    run = models.ForeignKey(TrainingRun, models.CASCADE, related_name="area_totals")
    # Empty: all that was mapped.
    area = models.ForeignKey(ReferenceArea, models.PROTECT, null=True, related_name="+")
    n_cells = models.FloatField(_("grid cells"))  # border cells count with their share inside
    n_searched = models.PositiveIntegerField(_("searched"))  # of the probability sample
    # Shares of the area's cells; empty where the sample cannot say.
    share = models.FloatField(null=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    # Drawn towards what the scores say, for display beside the others.
    shrunk = models.FloatField(null=True)
    reason = models.CharField(max_length=200, blank=True)
    # Drawn, but nobody could tell: the share lies between these were all of them clear, or all with mines.
    n_unsure = models.PositiveIntegerField(default=0)
    share_if_clear = models.FloatField(null=True)
    share_if_mined = models.FloatField(null=True)

    class Meta:
        verbose_name = _("total of an area")
        verbose_name_plural = _("totals of areas")
        constraints = [
            models.UniqueConstraint(fields=["run", "area"], name="area_once_in_run", nulls_distinct=False),
        ]

    def __str__(self):
        return f"{self.run_id} {self.area_id}"


class RetrainingRule(models.Model):
    """After so many new labels a run is started by itself."""

    project = models.OneToOneField(Project, models.CASCADE, related_name="retraining_rule")
    feature_set = models.ForeignKey(FeatureSet, models.PROTECT, related_name="+")
    every_n_labels = models.PositiveIntegerField(_("new labels"), default=200)
    is_on = models.BooleanField(_("on"), default=True)
    # Why it can start nothing any more, as a key of predictions.reasons; empty while it can.
    stopped_because = models.CharField(max_length=60, blank=True)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    set_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("retraining rule")
        verbose_name_plural = _("retraining rules")
        constraints = [
            models.CheckConstraint(name="every_at_least_one_label", condition=models.Q(every_n_labels__gte=1)),
        ]

    def __str__(self):
        return f"{self.project_id}: {self.every_n_labels}"
