"""Judgements. Every table here is append-only, guarded by triggers: a changed mind is a new row."""

import uuid

from django.conf import settings
from django.contrib.gis.db import models
from django.contrib.postgres.fields import ArrayField
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labels.models.audits import Queue


class Verdict(models.TextChoices):
    CONFIRM = "confirm", _("confirm")
    MOVE = "move", _("move")
    REJECT = "reject", _("reject")
    UNSURE = "unsure", _("unsure")
    # A grid cell that was looked through; its mines are Marks, possibly none.
    SEARCHED = "searched", _("searched")


class RejectReason(models.TextChoices):
    NATURAL_GROUND = "natural_ground", _("natural ground")
    OTHER_LAND_USE = "other_land_use", _("other land use")
    INDUSTRIAL_ONLY = "industrial_only", _("industrial mine only")
    NO_ACTIVITY = "no_activity", _("licence area without visible activity")


class UnsureReason(models.TextChoices):
    CLOUD = "cloud", _("cloud")
    NO_IMAGE = "no_image", _("no image")
    TOO_COARSE = "too_coarse", _("image too coarse")
    PREDATES_REPORT = "predates_report", _("image predates the report")
    COULD_BE_HIDDEN = "could_be_hidden", _("could be hidden (underground, canopy)")
    AMBIGUOUS_GROUND = "ambiguous_ground", _("ambiguous ground")
    SEVERAL_CANDIDATES = "several_candidates", _("several candidates")


class MineType(models.TextChoices):
    ARTISANAL = "artisanal", _("artisanal")
    COMMERCIAL = "commercial", _("commercial")
    BOTH = "both", _("both")


class Activity(models.TextChoices):
    ACTIVE = "active", _("active")
    ABANDONED = "abandoned", _("abandoned")
    CANNOT_TELL = "cannot_tell", _("can't tell")


class SizeClass(models.TextChoices):
    """Extent of the dug ground."""

    UNDER_025_HA = "under_025", _("under 0.25 ha")
    UNDER_1_HA = "under_1", _("0.25 to 1 ha")
    UNDER_5_HA = "under_5", _("1 to 5 ha")
    OVER_5_HA = "over_5", _("over 5 ha")


class Sign(models.TextChoices):
    BARE_PIT = "bare_pit", _("bare pit")
    SPOIL = "spoil", _("spoil")
    TURBID_POND = "turbid_pond", _("turbid pond")
    TAILINGS = "tailings", _("tailings")
    CAMP = "camp", _("camp")
    DREDGE = "dredge", _("dredge")
    MECHANISED = "mechanised", _("mechanised")


class Judgement(models.Model):
    """The fields a Review, an Adjudication and a GoldAnswer share, with the rules of judgement as constraints."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True)
    unit = models.ForeignKey("labels.SampleUnit", models.PROTECT, related_name="%(class)ss")
    verdict = models.CharField(_("verdict"), max_length=10, choices=Verdict.choices)
    reason = models.CharField(
        _("reason"), max_length=30, blank=True, choices=RejectReason.choices + UnsureReason.choices
    )
    # The mine of this record: the reported point of a confirm unless marked, the nearest dug ground of a move.
    mark = models.PointField(_("position of the mine"), srid=4326, null=True, blank=True)
    mine_type = models.CharField(_("mine type"), max_length=20, blank=True, choices=MineType.choices)
    activity = models.CharField(_("activity"), max_length=20, blank=True, choices=Activity.choices)
    size_class = models.CharField(_("size"), max_length=20, blank=True, choices=SizeClass.choices)
    signs = ArrayField(
        models.CharField(max_length=20, choices=Sign.choices), default=list, blank=True, verbose_name=_("signs")
    )
    # 1 to 5; null is "not stated", and stays so.
    confidence = models.PositiveSmallIntegerField(_("confidence"), null=True, blank=True)
    # This mine belongs to a nearer record: a second record on one mine.
    is_same_mine = models.BooleanField(_("same mine as another record"), default=False)
    note = models.TextField(_("note"), blank=True)
    tolerance_m = models.FloatField()
    search_radius_m = models.FloatField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=models.Q(verdict="reject", reason__in=RejectReason.values)
                | models.Q(verdict="unsure", reason__in=UnsureReason.values)
                | (models.Q(reason="") & ~models.Q(verdict__in=["reject", "unsure"])),
                name="%(class)s_reason_fits_verdict",
            ),
            models.CheckConstraint(
                condition=models.Q(verdict__in=["confirm", "move"], mark__isnull=False)
                | (models.Q(mark__isnull=True) & ~models.Q(verdict__in=["confirm", "move"])),
                name="%(class)s_mark_fits_verdict",
            ),
            models.CheckConstraint(
                condition=models.Q(mine_type="") | models.Q(verdict__in=["confirm", "move"]),
                name="%(class)s_type_only_of_a_mine",
            ),
            models.CheckConstraint(condition=models.Q(verdict__in=Verdict.values), name="%(class)s_verdict_known"),
            models.CheckConstraint(
                condition=models.Q(confidence__isnull=True) | models.Q(confidence__range=(1, 5)),
                name="%(class)s_confidence_1_to_5",
            ),
        ]


class Review(Judgement):
    """One annotator's judgement of one unit. Its uuid is made in the browser: resent, it stays one row."""

    class Input(models.TextChoices):
        KEY = "key", _("keyboard")
        MOUSE = "mouse", _("mouse")
        TOUCH = "touch", _("touch")
        FORM = "form", _("form without script")
        PROGRAM = "program", _("program")

    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="reviews")
    queue = models.CharField(max_length=20, choices=Queue.choices)
    supersedes = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="successor")
    # Share of the search disc (or cell) seen at a zoom that shows a 10 m pit, where imagery has data; null: not known.
    share_seen = models.FloatField(null=True, blank=True)
    # Share of the unit's grid cell on screen at such a zoom, where imagery has data; null: not known.
    proportion_inspected = models.FloatField(null=True, blank=True)
    # Seconds: looking (browser, idle time cut), and from hand-out to receipt (server).
    think_time_s = models.FloatField(_("time taken (s)"), null=True, blank=True)
    held_time_s = models.FloatField(null=True, blank=True)
    # What the annotator was shown beside the imagery, the guideline and the program that showed it.
    shown = models.JSONField(default=dict, blank=True)
    # How the images stood on screen: {"panes": 2, "mode": "panes" or "swipe", "light": false}.
    layout = models.JSONField(default=dict, blank=True)
    was_cold = models.BooleanField(default=False)
    kind_of_check = models.CharField(max_length=20, blank=True)  # "", gold, foil, repeat; never sent to a browser
    guideline_version = models.CharField(max_length=20)
    app_version = models.CharField(max_length=40)
    locale = models.CharField(max_length=10, blank=True)
    input = models.CharField(max_length=10, choices=Input.choices)
    viewport = models.CharField(max_length=20, blank=True)  # "1440x900@1"
    # When the browser says the verdict was given: a claim, only the server's time orders rows.
    claimed_at = models.DateTimeField(null=True, blank=True)
    lease_was_lost = models.BooleanField(default=False)

    class Meta(Judgement.Meta):
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        constraints = [
            *Judgement.Meta.constraints,
            models.CheckConstraint(
                condition=models.Q(share_seen__isnull=True) | models.Q(share_seen__range=(0, 1)),
                name="review_share_seen_0_to_1",
            ),
            models.CheckConstraint(
                condition=models.Q(proportion_inspected__isnull=True) | models.Q(proportion_inspected__range=(0, 1)),
                name="review_proportion_inspected_0_to_1",
            ),
        ]
        indexes = [
            models.Index(fields=["unit", "annotator"], name="review_of_unit"),
            models.Index(fields=["annotator", "-created_at"], name="review_of_annotator"),
        ]

    def __str__(self):
        return f"{self.annotator}: {self.verdict}"


class Mark(models.Model):
    """Another mine seen while judging a unit: trains the model and lists unrecorded sites, never the record's rate."""

    review = models.ForeignKey(Review, models.PROTECT, related_name="marks")
    point = models.PointField(srid=4326)
    mine_type = models.CharField(max_length=20, choices=MineType.choices, default=MineType.ARTISANAL)

    class Meta:
        verbose_name = _("mark")
        verbose_name_plural = _("marks")

    def __str__(self):
        return f"{self.review_id} {self.mine_type}"


class ReviewImage(models.Model):
    """One image that was on screen while judging, as it was shown."""

    class Sight(models.TextChoices):
        SEEN = "seen", _("mine seen")
        NOT_SEEN = "not_seen", _("mine not seen")
        CANNOT_TELL = "cannot_tell", _("can't tell")

    review = models.ForeignKey(Review, models.PROTECT, related_name="images")
    pane = models.PositiveSmallIntegerField()
    source = models.ForeignKey("labels.ImagerySource", models.PROTECT, related_name="+")
    # Which of the source's images: a provider's name for its date; empty for scenes, which the capture date names.
    key = models.CharField(max_length=200, blank=True)
    # The source's revision while it was looked at.
    version = models.CharField(max_length=64, blank=True)
    # Copied as they were shown: a scene may be re-made later.
    scene_sha256s = ArrayField(models.CharField(max_length=64), default=list)
    captured_on = models.DateField(null=True, blank=True)
    captured_known_by = models.CharField(max_length=10)
    resolution_m = models.FloatField(null=True, blank=True)
    offset_east_m = models.FloatField(default=0)
    offset_north_m = models.FloatField(default=0)
    sight = models.CharField(max_length=20, choices=Sight.choices, blank=True)
    was_on_screen_at_verdict = models.BooleanField(default=True)
    zoom = models.FloatField(null=True, blank=True)
    # Every settled view: [{"bounds": [west, south, east, north], "zoom": 16, "ms": 2400}, ...]
    views = models.JSONField(default=list)
    dwell_ms = models.PositiveIntegerField(default=0)
    n_tiles = models.PositiveIntegerField(default=0)
    n_tiles_missing = models.PositiveIntegerField(default=0)
    adjustments = models.JSONField(default=dict, blank=True)  # brightness, contrast, bands

    class Meta:
        verbose_name = _("image seen")
        verbose_name_plural = _("images seen")

    def __str__(self):
        return f"{self.review_id} {self.captured_on}"

    @property
    def seconds(self) -> float:
        return self.dwell_ms / 1000

    @property
    def adjusted(self) -> list[tuple[str, float]]:
        """What of the picture was changed on screen, each with its word."""
        words = {
            "brightness": _("brightness"),
            "contrast": _("contrast"),
            "gamma": _("gamma"),
            "false_colour": _("false colour"),
        }
        return [(words.get(name, name), value) for name, value in sorted(self.adjustments.items())]


class Retraction(models.Model):
    """An undone Review: it stays, counts no more, and its unit returns to the annotator."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True)
    review = models.OneToOneField(Review, models.PROTECT, related_name="retraction")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("retraction")
        verbose_name_plural = _("retractions")

    def __str__(self):
        return str(self.review_id)


class Adjudication(Judgement):
    """The decision where reviews of a unit disagree; a later one supersedes it."""

    adjudicator = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="adjudications")
    settled_with = models.ForeignKey(Review, models.PROTECT, null=True, blank=True, related_name="+")
    supersedes = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="successor")

    class Meta(Judgement.Meta):
        verbose_name = _("adjudication")
        verbose_name_plural = _("adjudications")
        constraints = [
            *Judgement.Meta.constraints,
            models.UniqueConstraint(
                fields=["unit"], condition=models.Q(supersedes__isnull=True), name="one_first_adjudication"
            ),
        ]

    def __str__(self):
        return f"{self.unit_id}: {self.verdict}"


class GoldAnswer(Judgement):
    """What a unit is known to be, to measure annotators against. Never sent to one; a later answer supersedes it."""

    given_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="gold_answers")
    supersedes = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="successor")

    class Meta(Judgement.Meta):
        verbose_name = _("gold answer")
        verbose_name_plural = _("gold answers")
        constraints = [
            *Judgement.Meta.constraints,
            # With `supersedes` unique this makes the answers of a unit one chain, so that one of them is current.
            models.UniqueConstraint(
                fields=["unit"], condition=models.Q(supersedes__isnull=True), name="one_first_gold_answer"
            ),
        ]

    def __str__(self):
        return f"{self.unit_id}: {self.verdict}"
