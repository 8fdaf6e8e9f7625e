"""Work that can take minutes is a row first: PostgreSQL holds its truth, Celery only carries its id."""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Job(models.Model):
    """One piece of long work.

    Redis may deliver a message twice or late, so a worker *takes* a job by a conditional UPDATE that raises `token`;
    every later write of that worker names the token, and a worker that was given up on writes nothing (labels.jobs).
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    class Kind(models.TextChoices):
        LOAD_REGISTER = "load_register", _("register import")
        LOAD_AREAS = "load_areas", _("area import")
        LOAD_IMAGERY = "load_imagery", _("imagery preparation")
        FETCH_IMAGERY = "fetch_imagery", _("fetching of a provider's imagery")
        OPEN_AUDIT = "open_audit", _("drawing of an audit")
        MAKE_RELEASE = "make_release", _("release")
        WITHDRAW_EDITION = "withdraw_edition", _("withdrawal of an import")
        FIND_DUPLICATES = "find_duplicates", _("search for duplicates")
        DRAW_SCENES = "draw_scenes", _("demonstration imagery")
        JUDGE_DEMONSTRATION = "judge_demonstration", _("demonstration reviews")
        FEATURIZE = "featurize", _("features of grid cells")
        IMPORT_FEATURES = "import_features", _("import of features")
        TRAIN = "train", _("training run")
        JUDGE_ELSEWHERE = "judge_elsewhere", _("judging of a run from another project")

    MAX_ATTEMPTS = 3
    # A stage younger than this says nothing yet about its end.
    SOONEST_FORECAST = timedelta(seconds=3)
    # Long rows of work, asked for at once by a program: they have a queue of their own, so that what a person asks for
    # waits for one of them at most.
    SLOW_KINDS = frozenset({Kind.DRAW_SCENES, Kind.JUDGE_DEMONSTRATION, Kind.FEATURIZE})

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labels.Project", models.CASCADE, related_name="jobs")
    kind = models.CharField(_("kind"), max_length=40, choices=Kind.choices)
    subject = models.CharField(_("subject"), max_length=200, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=State.choices, default=State.QUEUED)
    # Ids and options only: never coordinates (task arguments and rows of jobs are read by operators).
    parameters = models.JSONField(default=dict, blank=True)
    result = models.JSONField(default=dict, blank=True)
    error = models.TextField(_("reason of the failure"), blank=True)
    stage = models.CharField(_("stage"), max_length=100, blank=True)
    stage_started_at = models.DateTimeField(null=True, blank=True)
    n_done = models.PositiveBigIntegerField(_("done"), default=0)
    n_total = models.PositiveBigIntegerField(_("of"), null=True, blank=True)
    token = models.PositiveIntegerField(default=0, editable=False)
    n_attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    cancel_requested = models.BooleanField(default=False)
    # What the work says (stages, errors, its result) is said in the language of who asked for it.
    language = models.CharField(_("language"), max_length=10, default="en", editable=False)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(_("asked for"), default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(
                fields=["state", "heartbeat_at"],
                name="job_unfinished",
                condition=models.Q(state__in=["queued", "running"]),
            ),
            models.Index(fields=["project", "-created_at"], name="job_of_project"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["done", "failed", "cancelled"], finished_at__isnull=False)
                | models.Q(state__in=["queued", "running"], finished_at__isnull=True),
                name="job_finished_when_over",
            )
        ]

    def __str__(self):
        return f"{self.get_kind_display()} {self.subject}".strip()

    @property
    def queue(self) -> str:
        """The message queue its id is sent through."""
        return settings.SLOW_QUEUE if self.kind in self.SLOW_KINDS else settings.CELERY_TASK_DEFAULT_QUEUE

    @property
    def is_over(self) -> bool:
        return self.state in (self.State.DONE, self.State.FAILED, self.State.CANCELLED)

    @property
    def share_done(self) -> float | None:
        """Between 0 and 1, or None while the total is unknown."""
        if self.state == self.State.DONE:
            return 1.0
        if not self.n_total:
            return None
        return min(1.0, self.n_done / self.n_total)

    @property
    def expected_end(self) -> datetime | None:
        """When the running stage will be over if it goes on as it went; None until that can be told."""
        if self.state != self.State.RUNNING or not (self.stage_started_at and self.n_total and self.n_done):
            return None
        now = timezone.now()
        passed = now - self.stage_started_at
        if passed < self.SOONEST_FORECAST:
            return None
        return now + passed * (max(0, self.n_total - self.n_done) / self.n_done)
