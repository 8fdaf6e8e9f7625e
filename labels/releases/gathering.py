"""Reads the labels of audits out of the database, all as of one moment."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

from django.db import connection, transaction
from django.utils import timezone

from labels import geo
from labels.ground_truth import CellOutcome, Outcome, State, cell_outcomes, outcomes
from labels.models import Audit, ImagerySource, Mark, Register, ReviewImage, Scene
from labels.models.audits import Queue
from labels.models.reviews import Verdict
from labels.releases import cells
from labels.releases.cells import Mine, Search
from labels.releases.inspection import Inspection
from labels.releases.snapshot import Snapshot, coordinate

UNDATED = "unknown"


@contextmanager
def one_moment() -> Iterator[None]:
    """All questions inside see the database as it was at the first, whatever annotators do meanwhile."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def gather(audits: list[Audit]) -> Snapshot:
    """The labels of these audits (of one project) now: units that were judged, and whose imagery lets labels leave."""
    with one_moment():
        return _Gathering(audits).snapshot()


def may_share_labels(source: ImagerySource, on: date) -> bool:
    """Whether labels read from this imagery may leave the house on that day."""
    expired = source.rights_expire_on is not None and source.rights_expire_on < on
    return source.may_derive_labels and source.may_share_labels and not expired


@dataclass
class Seen:
    """What the current reviews of one unit saw."""

    # (name of the source, capture date or "unknown")
    images: set[tuple[str, str]] = field(default_factory=set)
    source_ids: set[int] = field(default_factory=set)
    # Whether at least one of the images lets labels leave.
    has_rights: bool = False

    @property
    def may_leave(self) -> bool:
        """A label without any recorded image ("no image", say) rests on nobody's imagery."""
        return self.has_rights or not self.images


class _Gathering:
    def __init__(self, audits: list[Audit]):
        self.project = audits[0].project
        self.audits = {audit.pk: audit for audit in audits}
        self.seen: dict[int, Seen] = defaultdict(Seen)
        self.left_out = {audit.slug: {"n_not_judged": 0, "n_without_rights": 0} for audit in audits}

    def snapshot(self) -> Snapshot:
        records = [(q, outcome) for q in Queue.values for outcome in outcomes(*self.audits.values(), queue=q)]
        searched = [(q, outcome) for q in Queue.values for outcome in cell_outcomes(*self.audits.values(), queue=q)]
        mines = [*self._mines_of_records(records), *self._further_mines(), *self._mines_of_cells(searched)]
        searches = [*self._searches(searched)]
        inspection = self._look_at_images({evidence.cell for _, evidence in [*mines, *searches]})
        self._count_left_out([*records, *searched])
        return Snapshot(
            labels=self._labels(records),
            cells=cells.label_cells(self._free(mines), self._free(searches), self.project.country, inspection.share),
            left_out=self.left_out,
            searched=self._searched_cells(searched),
            source_ids={source for seen in self.seen.values() if seen.may_leave for source in seen.source_ids},
        )

    def _labels(self, records: list[tuple[str, Outcome]]) -> list[dict]:
        registers = dict(Register.objects.filter(project=self.project).values_list("pk", "slug"))
        rows = []
        for queue, outcome in records:
            audit = self.audits[outcome.audit_id]
            if outcome.state != State.OPEN and self.seen[outcome.unit_id].may_leave:
                register = registers[outcome.register_id]
                rows.append(label_row(outcome, self.seen[outcome.unit_id], audit, register, queue))
        return sorted(rows, key=lambda row: (row["register"], row["source_id"], row["audit"]))

    def _count_left_out(self, judged: list[tuple[str, Outcome | CellOutcome]]) -> None:
        for _, outcome in judged:
            counts = self.left_out[self.audits[outcome.audit_id].slug]
            counts["n_not_judged"] += outcome.state == State.OPEN
            counts["n_without_rights"] += outcome.state != State.OPEN and not self.seen[outcome.unit_id].may_leave

    # ---- what is known of grid cells, as (unit, evidence) ----

    def _mines_of_records(self, records: list[tuple[str, Outcome]]) -> Iterator[tuple[int, Mine]]:
        """The mine of each settled record; a dispute has none until it is settled."""
        for queue, outcome in records:
            if outcome.corrected:
                kind = self._sample_type(outcome.audit_id, queue)
                yield outcome.unit_id, Mine(_cell(outcome.corrected), outcome.mine_type, outcome.confidence, kind)

    def _further_mines(self) -> Iterator[tuple[int, Mine]]:
        """Other mines marked beside a record. Nobody stated how sure they were of these."""
        marks = Mark.objects.filter(**self._current("review__"), review__unit__grid_cell="").order_by("pk")
        columns = marks.values_list("review__unit_id", "review__unit__audit_id", "review__queue", "point", "mine_type")
        for unit, audit, queue, point, mine_type in columns.iterator():
            yield unit, Mine(_cell(point.coords), mine_type, None, self._sample_type(audit, queue))

    def _mines_of_cells(self, searched: list[tuple[str, CellOutcome]]) -> Iterator[tuple[int, Mine]]:
        """Mines marked in searched cells; those of reviews in dispute, or settled otherwise, do not count."""
        for queue, outcome in searched:
            kind = self._sample_type(outcome.audit_id, queue)
            for lon, lat, mine_type in outcome.marks:
                yield outcome.unit_id, Mine(_cell((lon, lat)), mine_type, None, kind)

    def _searches(self, searched: list[tuple[str, CellOutcome]]) -> Iterator[tuple[int, Search]]:
        for queue, outcome in searched:
            if outcome.verdict == Verdict.SEARCHED:
                kind = self._sample_type(outcome.audit_id, queue)
                yield outcome.unit_id, Search(outcome.grid_cell, outcome.label == 0, outcome.confidence, kind)

    def _searched_cells(self, searched: list[tuple[str, CellOutcome]]) -> dict[str, dict[str, int]]:
        """How many cells of each audit are 1, 0 or unknown, of those whose labels may leave."""
        counts = {audit.slug: {"1": 0, "0": 0, "unknown": 0} for audit in self.audits.values() if audit.is_of_cells}
        for _, outcome in searched:
            if outcome.state != State.OPEN and self.seen[outcome.unit_id].may_leave:
                counts[self.audits[outcome.audit_id].slug][cells.word(outcome.label)] += 1
        return counts

    def _sample_type(self, audit_id: int, queue: str) -> str:
        audit = self.audits[audit_id]
        return cells.sample_type(audit.frame, audit.design, queue)

    def _free(self, evidence: Iterable[tuple[int, Mine | Search]]) -> list[Mine | Search]:
        return [each for unit, each in evidence if self.seen[unit].may_leave]

    # ---- what was looked at ----

    def _look_at_images(self, evidence_cells: set[str]) -> Inspection:
        """One pass over the images of all current reviews."""
        scenes = Scene.objects.filter(source__project=self.project) if evidence_cells else Scene.objects.none()
        inspection = Inspection(evidence_cells, dict(scenes.values_list("sha256", "footprint")))
        sources = {source.pk: source for source in ImagerySource.objects.filter(project=self.project)}
        today = timezone.now().date()
        free = {pk for pk, source in sources.items() if may_share_labels(source, today)}
        images = ReviewImage.objects.filter(**self._current("review__")).order_by("pk")
        columns = images.values_list(
            "review__unit_id", "source_id", "captured_on", "views", "resolution_m", "scene_sha256s"
        )
        for unit, source, captured_on, views, resolution_m, scene_versions in columns.iterator(chunk_size=2000):
            seen = self.seen[unit]
            seen.images.add((sources[source].name, captured_on.isoformat() if captured_on else UNDATED))
            seen.source_ids.add(source)
            seen.has_rights |= source in free
            inspection.add(views, resolution_m, scene_versions)
        return inspection

    def _current(self, review: str = "") -> dict:
        """Clauses for the reviews that count: not superseded, not retracted, of units that are not retired."""
        return {
            f"{review}unit__audit__in": self.audits,
            f"{review}unit__retired_at__isnull": True,
            f"{review}successor__isnull": True,
            f"{review}retraction__isnull": True,
        }


def label_row(outcome: Outcome, seen: Seen, audit: Audit, register: str, queue: str) -> dict:
    """One label as it is released; columns.LABEL_COLUMNS says what each means."""
    corrected = _rounded(outcome.corrected)
    images = sorted(seen.images, key=lambda image: (image[1], image[0]))
    return {
        "register": register,
        "source_id": outcome.source_id,
        "site_record": str(outcome.site_record),
        "unit": str(outcome.unit),
        "audit": audit.slug,
        "queue": str(queue),
        "sample_type": cells.sample_type(audit.frame, audit.design, queue),
        "design": audit.design,
        "stratum": outcome.stratum,
        "inclusion_probability": outcome.inclusion_probability,
        **dict(zip(("reported_lon", "reported_lat"), _rounded(outcome.reported), strict=True)),
        **dict(zip(("corrected_lon", "corrected_lat"), corrected or (None, None), strict=True)),
        "displacement_m": None if outcome.displacement_m is None else round(outcome.displacement_m, 1),
        "tolerance_m": outcome.tolerance_m,
        "search_radius_m": outcome.search_radius_m,
        "verdict": outcome.verdict,
        "given_verdict": outcome.given_verdict,
        "state": outcome.state,
        "reason": outcome.reason,
        "n_reviews": outcome.n_reviews,
        "mine_type": outcome.mine_type,
        "activity": outcome.activity,
        "confidence": outcome.confidence,
        "confidence_stated": int(outcome.confidence is not None),
        "is_same_mine": int(outcome.is_same_mine),
        "share_seen": None if outcome.share_seen is None else round(outcome.share_seen, 4),
        "field_verified": int(outcome.is_field_verified),
        "imagery": [name for name, _ in images],
        "imagery_dates": [captured for _, captured in images],
        "observed_on": outcome.observed_on.isoformat() if outcome.observed_on else None,
        "date_precision": outcome.date_precision,
        "minerals": list(outcome.minerals),
        "region": outcome.region,
        "grid_cell": geo.grid_cell_id(*corrected) if corrected else "",
    }


def _rounded(point: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if point is None else (coordinate(point[0]), coordinate(point[1]))


def _cell(point: tuple[float, float]) -> str:
    """The cell of a point as released, so that a file agrees with itself."""
    return geo.grid_cell_id(*_rounded(point))
