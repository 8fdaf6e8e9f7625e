"""What a register claims: questions about its records as they are placed now."""

from django.db.models import CharField, Count, F, Func, Q, QuerySet, Value
from django.db.models.functions import NullIf

from labels.models import Placement, Register


class Unnest(Func):
    function = "unnest"
    set_returning = True
    output_field = CharField()


def records_of(register: Register) -> QuerySet[Placement]:
    """Each record with its current observation and region."""
    return register.placements.select_related("site_record", "observation", "region").defer("observation__attributes")


def named_like(records: QuerySet[Placement], text: str) -> QuerySet[Placement]:
    """Records whose name or id holds the text."""
    return records.filter(Q(observation__name__icontains=text) | Q(site_record__source_id__icontains=text))


def totals(register: Register) -> dict[str, int]:
    return register.placements.aggregate(
        n_records=Count("pk"),
        n_unlocated=Count("pk", filter=Q(reported_point=None)),
        n_in_commercial=Count("pk", filter=Q(commercial_area__isnull=False)),
        n_in_protected=Count("pk", filter=Q(protected_area__isnull=False)),
    )


def by_region(register: Register) -> QuerySet:
    """(name or None, records) of each province that holds records."""
    return _counted(register, F("region__name"))


def by_mineral(register: Register) -> QuerySet:
    """A record of two minerals counts in both."""
    return _counted(register, Unnest("observation__minerals"))


def by_status(register: Register, field: str) -> QuerySet:
    return _counted(register, NullIf(F(f"observation__{field}"), Value("")))


def _counted(register: Register, what) -> QuerySet:
    return register.placements.annotate(what=what).values_list("what").annotate(n=Count("pk")).order_by("-n", "what")
