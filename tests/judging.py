"""Audits judged by hand: a test says what each unit was judged to be, and where."""

from django.contrib.auth import get_user_model
from django.utils import timezone

from labels import workflow
from labels.models import Audit, Register, Review, SampleUnit
from labels.models.audits import Queue
from tests.factories import make_record

M_PER_DEGREE_OF_LAT = 110_580.0  # near 6 degrees north, good to a metre over a kilometre
REASONS = {"reject": "natural_ground", "unsure": "cloud"}


def open_audit(register: Register, slug: str = "first", **fields) -> Audit:
    fields = {"opened_by": _lead(), "name": slug.title()} | fields
    return workflow.open_census(project=register.project, register=register, slug=slug, **fields)


def _lead():
    return get_user_model().objects.get_or_create(username="opener")[0]


def make_audit(register: Register, n: int, **observation) -> Audit:
    """A census of a register of `n` records of this kind, added to those it holds."""
    for _ in range(n):
        make_record(register, **observation)
    return open_audit(register)


def units_of(audit: Audit, **where) -> list[SampleUnit]:
    """The units of the audit in the order they were drawn, by fields of their observation."""
    fields = {f"observation__{name}": value for name, value in where.items()}
    return list(audit.units.filter(queue=Queue.SAMPLE, **fields).select_related("observation").order_by("pk"))


def judge(unit: SampleUnit, annotator, verdict: str, *, moved_m: float = 300, **fields) -> Review:
    """One current review; a move's mark lies `moved_m` north of the reported point."""
    point = unit.observation.point.clone()
    if verdict == "move":
        point.y += moved_m / M_PER_DEGREE_OF_LAT
    values = {
        "unit": unit,
        "annotator": annotator,
        "queue": unit.queue,
        "verdict": verdict,
        "reason": REASONS.get(verdict, ""),
        "mark": point if verdict in ("confirm", "move") else None,
        "tolerance_m": unit.tolerance_m,
        "search_radius_m": unit.search_radius_m,
        "guideline_version": "1",
        "app_version": "test",
        "input": Review.Input.PROGRAM,
        "created_at": timezone.now(),
    }
    return Review.objects.create(**values | fields)


def judge_all(units, annotator, verdicts: str) -> None:
    """Verdicts by their first letters, one per unit: "ccmru"."""
    words = {"c": "confirm", "m": "move", "r": "reject", "u": "unsure"}
    for unit, letter in zip(units, verdicts, strict=False):
        judge(unit, annotator, words[letter])
