"""Opening an audit: which units it draws, and how many reviews it wants of each."""

import random

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.models import Assignment, Audit, Placement, SampleUnit


@transaction.atomic
def open_census(
    *, project, register, slug: str, name: str, opened_by=None, seed: int = 1, reviews_per_unit: int = 1, **rule_fields
) -> Audit:
    """An audit of every located record of a register: each is a unit of inclusion probability 1."""
    audit = Audit(
        project=project,
        register=register,
        slug=slug,
        name=name,
        opened_by=opened_by,
        seed=seed,
        reviews_per_unit=reviews_per_unit,
        design=Audit.Design.CENSUS,
        **rule_fields,
    )
    try:
        audit.full_clean()
    except ValidationError as error:
        raise BadInput(" ".join(error.messages)) from error
    placements = Placement.objects.filter(register=register)
    audit.n_population = placements.count()
    located = placements.filter(reported_point__isnull=False).select_related("observation").order_by("site_record_id")
    audit.n_unlocated = audit.n_population - located.count()
    if audit.n_population == audit.n_unlocated:
        raise BadInput(
            _("%(register)s holds no record with a position: import its records first.") % {"register": register}
        )
    audit.save()
    _add_units(audit, located, inclusion_probability=1.0)
    return audit


def _add_units(audit: Audit, placements, inclusion_probability: float) -> None:
    units = [
        SampleUnit(
            audit=audit,
            site_record_id=placement.site_record_id,
            observation=placement.observation,
            stratum="all",
            inclusion_probability=inclusion_probability,
            **audit.search_rules[placement.observation.location_precision],
        )
        for placement in placements.iterator(chunk_size=5000)
    ]
    SampleUnit.objects.bulk_create(units, batch_size=2000)
    add_assignments(audit, units, random.Random(audit.seed))  # noqa: S311  an order, not a secret


def add_assignments(audit: Audit, units: list[SampleUnit], shuffle: random.Random) -> None:
    """Want `reviews_per_unit` reviews of each unit, in shuffled order: all first looks before the second ones."""
    wanted = [
        Assignment(unit=unit, audit=audit, queue=unit.queue, order_key=look + shuffle.random())
        for look in range(audit.reviews_per_unit)
        for unit in units
    ]
    Assignment.objects.bulk_create(wanted, batch_size=5000)
