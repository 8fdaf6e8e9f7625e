"""What follows when a register or the areas changed: where its records lie, what looks wrong, which may be one site."""

from labels import placement, register_map
from labels.duplicates import find_duplicates
from labels.flags import flag_records
from labels.jobs import RunningJob
from labels.models import Project, Register


def settle_register(register: Register, *, job: RunningJob | None = None) -> None:
    """After an import: areas first, then what looks wrong in them, then distances, then duplicates."""
    placement.place_records(register=register, job=job, between=lambda: flag_records(register=register, job=job))
    register_map.remake([register.pk])
    find_duplicates(register=register, job=job)


def settle_withdrawal(register: Register, *, job: RunningJob | None = None) -> int:
    """After an edition was withdrawn; returns how many records no standing edition names: they lie nowhere now."""
    n_left = placement.unplace_records(register)
    settle_register(register, job=job)
    return n_left


def settle_project(project: Project, *, job: RunningJob | None = None) -> None:
    """After areas changed. Duplicates do not depend on them."""
    placement.place_records(project=project, job=job, between=lambda: flag_records(project=project, job=job))
    register_map.remake(list(project.registers.values_list("pk", flat=True)))
