"""What governments publish. Identity (SiteRecord) and evidence (Observation) are append-only; where a record lies
(Placement) is derived from them and can be dropped and remade."""

import uuid

from django.conf import settings
from django.contrib.gis.db import models
from django.contrib.postgres.fields import ArrayField
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class LocationPrecision(models.TextChoices):
    """How the published position was found; decides the tolerance and the search radius of its review."""

    GPS = "gps", _("GPS at the site")
    VILLAGE = "village", _("village or place name")
    DIGITISED = "digitised", _("digitised from a map or image")
    APPROXIMATE = "approximate", _("approximation")
    UNKNOWN = "unknown", _("not stated")


class LegalStatus(models.TextChoices):
    """Codes beside a register's own words; which of them count as formal is for reports to say."""

    LICENSED = "licensed", _("licensed")
    PENDING = "pending", _("licence applied for")
    EXPIRED = "expired", _("licence expired or withdrawn")
    UNLICENSED = "unlicensed", _("without licence")
    UNKNOWN = "unknown", _("not stated")


class TradeStatus(models.TextChoices):
    """What a qualification or certification scheme says of a site, as codes beside its own words."""

    QUALIFIED = "qualified", _("qualified (green)")
    PROVISIONAL = "provisional", _("provisional (yellow)")
    DISQUALIFIED = "disqualified", _("disqualified (red)")
    NOT_ASSESSED = "not_assessed", _("not assessed")
    UNKNOWN = "unknown", _("not stated")


class Register(models.Model):
    """A published list of ASM sites, with the terms it came under and how its columns are read."""

    project = models.ForeignKey("labels.Project", models.CASCADE, related_name="registers")
    slug = models.SlugField(_("short name"), max_length=50)
    name = models.CharField(_("name"), max_length=200)
    publisher = models.CharField(_("publisher"), max_length=200, blank=True)
    licence = models.CharField(_("licence"), max_length=200, blank=True)
    agreed_purposes = models.TextField(_("agreed purposes"), blank=True)
    agreed_fields = models.TextField(_("fields covered by the agreement"), blank=True)
    destroy_by = models.DateField(_("destroy by"), null=True, blank=True)
    # Records nearer to each other than this may be one site: labels.duplicates proposes them to a person.
    duplicate_radius_m = models.FloatField(_("duplicates within (m)"), default=300)
    already_public_source = models.URLField(_("already public at"), blank=True)
    # field -> column of the file, e.g. {"source_id": "pcode"}; labels.ingest.fields lists the fields.
    column_mapping = models.JSONField(default=dict, blank=True)
    # field -> {original word: code}, kept for a later import of the same register.
    value_mapping = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("register")
        verbose_name_plural = _("registers")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="register_slug_in_project")]

    def __str__(self):
        return self.name

    def latest_edition(self) -> "Edition | None":
        """The standing edition that says where the register's records are now."""
        return self.editions.standing().order_by("-number").first()


class EditionQuerySet(models.QuerySet):
    def standing(self):
        """Editions that count: taken in whole, and not withdrawn."""
        return self.filter(completed_at__isnull=False, withdrawn_at__isnull=True)


class Edition(models.Model):
    """One import of a register: a file, dated. Importing the latest edition's file again under the same mapping makes
    no new one. A withdrawn edition stands for nothing any more; its rows stay."""

    register = models.ForeignKey(Register, models.PROTECT, related_name="editions")
    number = models.PositiveIntegerField(_("edition"))
    published_on = models.DateField(_("published"), null=True, blank=True)
    file_name = models.CharField(_("file"), max_length=255)
    file_sha256 = models.CharField(max_length=64)
    mapping_sha256 = models.CharField(max_length=64)
    job = models.OneToOneField("labels.Job", models.SET_NULL, null=True, related_name="edition")
    loaded_at = models.DateTimeField(_("loaded"), default=timezone.now)
    completed_at = models.DateTimeField(null=True, blank=True)
    n_rows = models.PositiveIntegerField(_("rows"), default=0)
    n_created = models.PositiveIntegerField(_("created"), default=0)
    n_updated = models.PositiveIntegerField(_("updated"), default=0)
    n_unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    n_refused = models.PositiveIntegerField(_("refused"), default=0)
    # Records of the edition before that this one no longer names.
    n_vanished = models.PositiveIntegerField(_("not in this edition"), default=0)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, blank=True)
    withdrawn_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    withdrawn_reason = models.CharField(_("reason of the withdrawal"), max_length=300, blank=True)

    objects = EditionQuerySet.as_manager()

    class Meta:
        verbose_name = _("edition")
        verbose_name_plural = _("editions")
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["register", "number"], name="edition_number_in_register"),
        ]

    def __str__(self):
        return f"{self.register}, {self.number}"

    @property
    def is_withdrawn(self) -> bool:
        return self.withdrawn_at is not None

    @property
    def is_standing(self) -> bool:
        """Whether what it says counts."""
        return self.completed_at is not None and not self.is_withdrawn

    def published_later(self) -> "Edition | None":
        """A standing edition that was imported before this one and published after it: this one counts all the same."""
        if not (self.published_on and self.is_standing):
            return None
        before = self.register.editions.standing().filter(number__lt=self.number, published_on__gt=self.published_on)
        return before.order_by("-published_on").first()


class SiteRecord(models.Model):
    """The identity of one site in a register. Never edited: what the register says about it are its Observations."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    register = models.ForeignKey(Register, models.PROTECT, related_name="site_records")
    # The register's own id; without an id column, the hash of the row and its occurrence number in the file.
    source_id = models.CharField(_("id in the register"), max_length=200)
    first_edition = models.ForeignKey(Edition, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("site record")
        verbose_name_plural = _("site records")
        constraints = [models.UniqueConstraint(fields=["register", "source_id"], name="source_id_in_register")]

    def __str__(self):
        return self.source_id


class Observation(models.Model):
    """One row of a register, as published. Append-only."""

    class Kind(models.TextChoices):
        ON_SITE = "on_site", _("visited on site")
        THIRD_PARTY = "third_party", _("told by a third party")
        REMOTE = "remote", _("seen in imagery")
        UNKNOWN = "unknown", _("not stated")

    class DatePrecision(models.TextChoices):
        DAY = "day", _("day")
        MONTH = "month", _("month")
        YEAR = "year", _("year")
        UNKNOWN = "unknown", _("not stated")

    site_record = models.ForeignKey(SiteRecord, models.PROTECT, related_name="observations")
    first_edition = models.ForeignKey(Edition, models.PROTECT, related_name="observations")
    file_row = models.PositiveIntegerField(_("row of the file"))
    # sha256 over every original attribute and how it was read (a new mapping is a new reading); `occurrence` tells
    # identical rows of one file apart.
    row_hash = models.BinaryField(max_length=32)
    occurrence = models.PositiveSmallIntegerField(default=1)
    observed_on = models.DateField(_("reported on"), null=True)
    date_precision = models.CharField(max_length=10, choices=DatePrecision.choices, default=DatePrecision.UNKNOWN)
    kind = models.CharField(_("kind of observation"), max_length=20, choices=Kind.choices, default=Kind.UNKNOWN)
    point = models.PointField(_("published position"), srid=4326, null=True, spatial_index=False)
    polygon = models.MultiPolygonField(_("published polygon"), srid=4326, null=True, spatial_index=False)
    location_method = models.CharField(_("location method"), max_length=200, blank=True)
    location_precision = models.CharField(
        max_length=20, choices=LocationPrecision.choices, default=LocationPrecision.UNKNOWN
    )
    name = models.CharField(_("name"), max_length=300, blank=True)
    stated_region = models.CharField(_("stated region"), max_length=300, blank=True)
    # Harmonised codes beside the original words, in the same order.
    minerals = ArrayField(models.CharField(max_length=40), default=list)
    minerals_original = ArrayField(models.CharField(max_length=200), default=list)
    legal_status = models.CharField(_("legal status"), max_length=200, blank=True)
    trade_status = models.CharField(_("trade status"), max_length=200, blank=True)
    legal_status_code = models.CharField(max_length=20, choices=LegalStatus.choices, default=LegalStatus.UNKNOWN)
    trade_status_code = models.CharField(max_length=20, choices=TradeStatus.choices, default=TradeStatus.UNKNOWN)
    # Codes of labels.flags that the row alone tells, before anything is known of its surroundings (such as 0,0).
    row_flags = ArrayField(models.CharField(max_length=40), default=list)
    # Column -> text; empty cells are left out.
    attributes = models.JSONField(_("every column, as published"), default=dict)

    class Meta:
        verbose_name = _("observation")
        verbose_name_plural = _("observations")
        constraints = [
            models.UniqueConstraint(
                fields=["site_record", "row_hash", "occurrence"], name="observation_once_per_record"
            ),
            models.CheckConstraint(
                condition=models.Q(observed_on__isnull=False) | models.Q(date_precision="unknown"),
                name="observation_date_has_precision",
            ),
        ]

    def __str__(self):
        return f"{self.site_record_id}, row {self.file_row}"


class EditionRow(models.Model):
    """An Observation stands in an edition; a row that vanished from the next one simply has no row there."""

    edition = models.ForeignKey(Edition, models.CASCADE, related_name="edition_rows")
    observation = models.ForeignKey(Observation, models.CASCADE, related_name="edition_rows")
    file_row = models.PositiveIntegerField()

    class Meta:
        verbose_name = _("row of an edition")
        verbose_name_plural = _("rows of an edition")
        constraints = [models.UniqueConstraint(fields=["edition", "observation"], name="observation_once_per_edition")]

    def __str__(self):
        return f"{self.edition_id}: {self.file_row}"


class RefusedRow(models.Model):
    """A row of a file that was not taken in, and why."""

    edition = models.ForeignKey(Edition, models.CASCADE, related_name="refused_rows")
    file_row = models.PositiveIntegerField(_("row"))
    column = models.CharField(_("column"), max_length=200, blank=True)
    value = models.CharField(_("value"), max_length=500, blank=True)
    reason = models.CharField(_("reason"), max_length=300)

    class Meta:
        verbose_name = _("refused row")
        verbose_name_plural = _("refused rows")
        ordering = ["file_row"]

    def __str__(self):
        return f"{self.file_row}: {self.reason}"


def _square(axis: str, to_zero: int) -> models.GeneratedField:
    """Which of the 2^24 columns of the globe (rows are as high) the point lies in; generated, so never forgotten."""
    template = f"floor(({axis}(%(expressions)s) + {to_zero}) * (16777216 / 360.0::float8))::integer"
    return models.GeneratedField(
        expression=models.Func("reported_point", template=template),
        output_field=models.IntegerField(null=True),
        db_persist=True,
        null=True,
    )


class Placement(models.Model):
    """Where a record lies, derived: its current Observation, the area of each kind that holds its reported point, and
    the distance to the nearest commercial mine. Only labels.placement writes it; dropping all rows loses nothing."""

    site_record = models.OneToOneField(SiteRecord, models.CASCADE, primary_key=True, related_name="placement")
    register = models.ForeignKey(Register, models.CASCADE, related_name="placements")
    # The latest Observation by date (ties by row) among those that state a position; else the latest of all.
    observation = models.ForeignKey(Observation, models.CASCADE, related_name="+")
    # The latest edition that names the record; older than the register's latest one: "not in this edition".
    edition = models.ForeignKey(Edition, models.CASCADE, related_name="+", db_index=False)
    reported_point = models.PointField(srid=4326, null=True)
    # What that observation says, beside where it lies: pages and maps of a million records ask this one table.
    minerals = ArrayField(models.CharField(max_length=40), default=list)
    observed_year = models.PositiveSmallIntegerField(null=True)
    legal_status_code = models.CharField(max_length=20, choices=LegalStatus.choices, default=LegalStatus.UNKNOWN)
    trade_status_code = models.CharField(max_length=20, choices=TradeStatus.choices, default=TradeStatus.UNKNOWN)
    location_precision = models.CharField(
        max_length=20, choices=LocationPrecision.choices, default=LocationPrecision.UNKNOWN
    )
    # The square of the finest map (labels.register_map) that holds the point.
    map_x = _square("ST_X", 180)
    map_y = _square("ST_Y", 90)
    # Deepest area of its kind that holds the point; null when none does or the point is null.
    admin_area = models.ForeignKey("labels.ReferenceArea", models.SET_NULL, null=True, related_name="+")
    commercial_area = models.ForeignKey("labels.ReferenceArea", models.SET_NULL, null=True, related_name="+")
    protected_area = models.ForeignKey("labels.ReferenceArea", models.SET_NULL, null=True, related_name="+")
    permit_area = models.ForeignKey("labels.ReferenceArea", models.SET_NULL, null=True, related_name="+")
    # The top-level admin area (province) that holds the point, by which reports group.
    region = models.ForeignKey("labels.ReferenceArea", models.SET_NULL, null=True, related_name="+")
    # Metres on the ellipsoid; 0 inside a commercial mine; null without a point or without commercial mines.
    commercial_distance_m = models.FloatField(null=True)
    placed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("placement")
        verbose_name_plural = _("placements")

    def __str__(self):
        return f"{self.site_record_id}"


class MapCell(models.Model):
    """How many records of a register lie in a square of its map. Derived from Placement; only labels.register_map
    writes it, and makes all rows of a register anew whenever its records were placed."""

    register = models.ForeignKey(Register, models.CASCADE, related_name="map_cells", db_index=False)
    # The globe's 360° are cut into 2^level columns; rows are as high as columns are wide and count from the south pole.
    level = models.PositiveSmallIntegerField()
    # Of which records, as an address filters them (`mineral=gold`); empty for all.
    facet = models.CharField(max_length=80, default="")
    x = models.PositiveIntegerField()
    y = models.PositiveIntegerField()
    n = models.PositiveIntegerField()

    class Meta:
        verbose_name = _("cell of a map")
        verbose_name_plural = _("cells of a map")
        constraints = [models.UniqueConstraint(fields=["register", "facet", "level", "x", "y"], name="map_cell_once")]

    def __str__(self):
        return f"{self.register_id}: {self.level}/{self.x}/{self.y}"
