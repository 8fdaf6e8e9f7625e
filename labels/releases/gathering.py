"""Reads the labels of audits out of the database, all as of one moment."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connection, transaction

from labels import geo, rules
from labels.ground_truth import CellOutcome, Outcome, State, cell_outcomes, outcomes
from labels.imagery import rights
from labels.imagery.rights import Lack, Use
from labels.inspection import LOOK_FIELDS, Footprints, Inspection, Look
from labels.models import Audit, Mark, Register, ReviewImage
from labels.models.audits import Queue
from labels.models.reviews import Verdict
from labels.releases import cells
from labels.releases.cells import Mine, Search
from labels.releases.snapshot import Snapshot, coordinate

UNDATED = "unknown"
# In the rows of a snapshot and in no file: the sources of each review behind the row, by short name. Whether labels may
# train is asked of it again later, because a right can end after a release was made.
RESTS_ON = "rests_on"


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


def gather(audits: list[Audit], purpose: str = "") -> Snapshot:
    """The labels of these audits (of one project) now: units that were judged, and whose imagery lets labels leave."""
    with one_moment():
        return _Gathering(audits, purpose).snapshot()


@dataclass(frozen=True, order=True)
class SeenImage:
    captured: str  # ISO, or "unknown"
    name: str
    source: str  # its short name
    key: str
    offset: str  # "east north", metres, as it was when it was looked at


@dataclass
class Seen:
    """What the current reviews of one unit saw."""

    images: set[SeenImage] = field(default_factory=set)
    # By review, the sources of its images.
    reviews: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    # The same of images whose tiles did not come: they count only where nothing else was shown.
    not_shown: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def lacking(self, lacks: dict[int, Lack | None]) -> Lack | None:
        """Why the unit's label may not be used so; None when it may.

        A review's imagery has the right when one of its images has it, and a label only when the imagery of every
        review behind it has. A label without any recorded image ("no image", say) rests on nobody's imagery.
        """
        return next(iter(sorted(self._failing(lacks).values(), key=_gravity)), None)

    def sources_lacking(self, lacks: dict[int, Lack | None]) -> set[tuple[int, Lack]]:
        """The sources for which the label is left out."""
        return {(source, lacks[source]) for review in self._failing(lacks) for source in self.reviews[review]}

    def _failing(self, lacks: dict[int, Lack | None]) -> dict[int, Lack]:
        """Reviews without any image of that right, each with the mildest of its images' lacks."""
        return {
            review: max((lacks[source] for source in sources), key=_gravity)
            for review, sources in self.reviews.items()
            if all(lacks[source] for source in sources)
        }


def _gravity(lack: Lack) -> int:
    return list(Lack).index(lack)


class _Gathering:
    def __init__(self, audits: list[Audit], purpose: str):
        self.project = audits[0].project
        self.audits = {audit.pk: audit for audit in audits}
        self.sources = {source.pk: source for source in self.project.imagery_sources.select_related("project")}
        self.share, self.train = (
            {pk: rights.lacking(source, use, purpose=purpose) for pk, source in self.sources.items()}
            for use in (Use.SHARE_LABELS, Use.TRAIN)
        )
        self.seen: dict[int, Seen] = defaultdict(Seen)
        self.left_out = {audit.slug: {"n_not_judged": 0, "n_without_rights": 0} for audit in audits}
        self.reasons: Counter[Lack] = Counter()
        self.reasons_of: Counter[tuple[int, Lack]] = Counter()

    def snapshot(self) -> Snapshot:
        records = [(q, outcome) for q in Queue.values for outcome in outcomes(*self.audits.values(), queue=q)]
        searched = [(q, outcome) for q in Queue.values for outcome in cell_outcomes(*self.audits.values(), queue=q)]
        mines = [*self._mines_of_records(records), *self._further_mines(), *self._mines_of_cells(searched)]
        searches = [*self._searches(searched)]
        inspection = self._look_at_images({evidence.cell for _, evidence in [*mines, *searches]})
        self._count_left_out([*records, *searched])
        hidden = {mine.cell for unit, mine in mines if not self._may_leave(unit)}
        clear = [(unit, search) for unit, search in searches if search.cell not in hidden]
        rows = cells.label_cells(self._free(mines), self._free(clear), self.project.country, inspection.share)
        return Snapshot(
            labels=self._labels(records),
            cells=self._with_rights(rows, [*mines, *clear]),
            left_out=self.left_out,
            without_rights={str(reason): n for reason, n in self.reasons.items()},
            without_rights_of=self._reasons_by_source(),
            n_cells_left_out=len({search.cell for unit, search in searches if search.cell in hidden}),
            searched=self._searched_cells(searched),
            source_ids={
                source
                for unit, seen in self.seen.items()
                if self._may_leave(unit)
                for sources in seen.reviews.values()
                for source in sources
            },
        )

    # ---- rights ----

    def _may_leave(self, unit: int) -> bool:
        return self.seen[unit].lacking(self.share) is None

    def _rests_on(self, units: Iterable[int]) -> dict:
        """What a later question about rights needs: the sources of each review behind these units."""
        found = {
            tuple(sorted(self.sources[source].slug for source in sources))
            for unit in units
            for sources in self.seen[unit].reviews.values()
        }
        may_train = all(self.seen[unit].lacking(self.train) is None for unit in units)
        return {"may_train": int(may_train), RESTS_ON: [list(slugs) for slugs in sorted(found)]}

    def _with_rights(self, rows: list[dict], evidence: list[tuple[int, Mine | Search]]) -> list[dict]:
        """The rows of cells, each with the imagery of every unit that says something of the cell and may leave."""
        units: dict[str, set[int]] = defaultdict(set)
        for unit, each in evidence:
            if self._may_leave(unit):
                units[each.cell].add(unit)
        return [row | self._rests_on(units[row["unique_id"]]) for row in rows]

    def _reasons_by_source(self) -> list[dict]:
        counted = [
            {"source": self.sources[pk].slug, "name": self.sources[pk].name, "reason": str(reason), "n_labels": n}
            for (pk, reason), n in self.reasons_of.items()
        ]
        return sorted(counted, key=lambda each: (each["source"], each["reason"]))

    def _labels(self, records: list[tuple[str, Outcome]]) -> list[dict]:
        registers = dict(Register.objects.filter(project=self.project).values_list("pk", "slug"))
        rows = []
        for queue, outcome in records:
            audit = self.audits[outcome.audit_id]
            if outcome.state != State.OPEN and self._may_leave(outcome.unit_id):
                register = registers[outcome.register_id]
                row = label_row(outcome, self.seen[outcome.unit_id], audit, register, queue)
                rows.append(row | self._rests_on([outcome.unit_id]))
        return sorted(rows, key=lambda row: (row["register"], row["source_id"], row["audit"]))

    def _count_left_out(self, judged: list[tuple[str, Outcome | CellOutcome]]) -> None:
        for _, outcome in judged:
            counts = self.left_out[self.audits[outcome.audit_id].slug]
            if outcome.state == State.OPEN:
                counts["n_not_judged"] += 1
            elif reason := self.seen[outcome.unit_id].lacking(self.share):
                counts["n_without_rights"] += 1
                self.reasons[reason] += 1
                self.reasons_of.update(self.seen[outcome.unit_id].sources_lacking(self.share))

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
            if outcome.state != State.OPEN and self._may_leave(outcome.unit_id):
                counts[self.audits[outcome.audit_id].slug][cells.word(outcome.label)] += 1
        return counts

    def _sample_type(self, audit_id: int, queue: str) -> str:
        audit = self.audits[audit_id]
        return cells.sample_type(audit.frame, audit.design, queue)

    def _free(self, evidence: Iterable[tuple[int, Mine | Search]]) -> list[Mine | Search]:
        return [each for unit, each in evidence if self._may_leave(unit)]

    # ---- what was looked at ----

    def _look_at_images(self, evidence_cells: set[str]) -> Inspection:
        """One pass over the images of all current reviews."""
        footprints = Footprints.of_sources(project=self.project) if evidence_cells else Footprints({}, {})
        inspection = Inspection(evidence_cells, footprints)
        images = ReviewImage.objects.filter(**self._current("review__")).order_by("pk")
        columns = images.values_list("review__unit_id", "review_id", "captured_on", *LOOK_FIELDS)
        for unit, review, captured_on, *fields in columns.iterator(chunk_size=2000):
            look = Look(*fields)
            seen, source = self.seen[unit], self.sources[look.source_id]
            offset = f"{round(look.offset_east_m, 1):g} {round(look.offset_north_m, 1):g}"
            captured = captured_on.isoformat() if captured_on else UNDATED
            seen.images.add(SeenImage(captured, source.name, source.slug, look.key, offset))
            # A verdict rests on what was shown: an image whose tiles never came gives it no right.
            was_shown = look.views and rules.was_shown(look.n_tiles, look.n_tiles_missing)
            reviews = seen.reviews if was_shown else seen.not_shown
            reviews[review].add(source.pk)
            inspection.add(look)
        for seen in self.seen.values():
            for review, named in seen.not_shown.items():
                seen.reviews.setdefault(review, named)
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
    images = sorted(seen.images)
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
        "imagery": [image.name for image in images],
        "imagery_dates": [image.captured for image in images],
        "imagery_sources": [image.source for image in images],
        "imagery_keys": [image.key for image in images],
        "imagery_offsets_m": [image.offset for image in images],
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
