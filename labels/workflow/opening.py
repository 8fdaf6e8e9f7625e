"""Opening an audit: which units it draws, and how many reviews it wants of each."""

import random

import numpy as np
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from labels import geo
from labels.errors import BadInput
from labels.models import Assignment, Audit, Placement, ReferenceArea, SampleUnit
from labels.models.areas import AreaKind
from labels.models.registers import LocationPrecision


@transaction.atomic
def open_census(
    *, project, register, slug: str, name: str, opened_by=None, seed: int = 1, reviews_per_unit: int = 1, **rule_fields
) -> Audit:
    """An audit of every located record of a register: each is a unit of inclusion probability 1."""
    audit = _checked(
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


@transaction.atomic
def open_cell_search(
    *, project, slug: str, name: str, n: int, seed: int, opened_by=None, reviews_per_unit: int = 1, **rule_fields
) -> Audit:
    """An audit of `n` grid cells to be searched for mines, drawn at random from all whose centre lies in the project.

    The frame is made of the current level-1 admin areas; the same areas, `n` and seed draw the same cells.
    """
    audit = _checked(
        project=project,
        slug=slug,
        name=name,
        opened_by=opened_by,
        seed=seed,
        reviews_per_unit=reviews_per_unit,
        frame=Audit.Frame.CELLS,
        design=Audit.Design.SRS,
        **rule_fields,
    )
    centres = _cells_of(project)
    audit.n_population = len(centres)
    if not 1 <= n <= len(centres):
        raise BadInput(
            _("The project's areas hold %(population)d grid cells: draw at least 1 and at most so many, not %(n)d.")
            % {"population": len(centres), "n": n}
        )
    audit.save()
    chosen = sorted(random.Random(seed).sample(range(len(centres)), n))  # noqa: S311  a sample, not a secret
    _add_cells(audit, geo.grid_cell_ids(*centres[chosen].T).tolist(), inclusion_probability=n / len(centres))
    return audit


def _checked(**fields) -> Audit:
    audit = Audit(**fields)
    try:
        audit.full_clean()
    except ValidationError as error:
        raise BadInput(" ".join(error.messages)) from error
    return audit


def _cells_of(project) -> np.ndarray:
    """Centres of the grid cells of the project's current provinces."""
    provinces = ReferenceArea.objects.filter(
        layer__project=project, layer__kind=AreaKind.ADMIN, layer__level=1, layer__retired_at__isnull=True
    )
    if not provinces.exists():
        raise BadInput(_("This project has no admin areas of level 1 to draw cells from: load its provinces first."))
    return geo.cell_centres_in_areas(_rings(area) for area in provinces.only("geometry").iterator(chunk_size=50))


def _rings(area: ReferenceArea) -> list[np.ndarray]:
    return [np.array(ring) for polygon in area.geometry.coords for ring in polygon]


def _add_cells(audit: Audit, cells: list[str], inclusion_probability: float) -> None:
    units = [
        SampleUnit(
            audit=audit,
            grid_cell=cell,
            stratum="all",
            inclusion_probability=inclusion_probability,
            # A cell has no reported point: nothing is computed from these, but every judgement states them.
            **audit.search_rules[LocationPrecision.GPS],
        )
        for cell in cells
    ]
    SampleUnit.objects.bulk_create(units, batch_size=2000)
    add_assignments(audit, units, random.Random(audit.seed))  # noqa: S311  an order, not a secret


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
