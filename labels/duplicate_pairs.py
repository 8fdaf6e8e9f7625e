"""Proposed duplicates as people decide about them: the pairs of a project, and one decision."""

from django.db import models
from django.db.models import OuterRef, Prefetch, Q, QuerySet, Subquery

from labels.models import DuplicateDecision, DuplicatePair, Observation, Placement, Project, SiteRecord


def pairs_of(project: Project) -> QuerySet[DuplicatePair]:
    """Each with `decided`, the decision that holds (the latest), or None."""
    latest = DuplicateDecision.objects.filter(pair=OuterRef("pk")).order_by("-pk")
    return DuplicatePair.objects.filter(project=project).annotate(
        decided=Subquery(latest.values("decision")[:1], output_field=models.CharField()),
        decided_by_name=Subquery(latest.values("decided_by__username")[:1]),
        decided_at=Subquery(latest.values("decided_at")[:1]),
    )


def of_register(pairs: QuerySet[DuplicatePair], slug: str) -> QuerySet[DuplicatePair]:
    return pairs.filter(Q(first_record__register__slug=slug) | Q(second_record__register__slug=slug))


def pairs_of_record(record: SiteRecord) -> list[DuplicatePair]:
    """The pairs of one record, each with `other`, the record it may be one with; a repeated id has none."""
    of_record = Q(first_record=record) | Q(second_record=record)
    pairs = with_sides(pairs_of(record.register.project).filter(of_record))
    for pair in pairs:
        is_one_record = pair.first_record_id == pair.second_record_id
        pair.other = None if is_one_record else pair.sides[pair.first_record_id == record.pk]
    return list(pairs)


def with_sides(pairs: QuerySet[DuplicatePair]) -> list[DuplicatePair]:
    """Each with `sides`: two dicts of its record, and of the observation that speaks for it."""
    named = pairs.select_related("first_observation", "second_observation").prefetch_related(
        *(
            Prefetch(side, SiteRecord.objects.select_related("register", "placement__observation"))
            for side in ("first_record", "second_record")
        )
    )
    found = list(named)
    for pair in found:
        pair.sides = (
            _side(pair.first_record, pair.first_observation),
            _side(pair.second_record, pair.second_observation),
        )
    return found


def _side(record: SiteRecord, observation: Observation | None) -> dict:
    placement: Placement | None = getattr(record, "placement", None)
    said = observation or (placement and placement.observation)
    return {"record": record, "observation": said, "point": said and said.point}
