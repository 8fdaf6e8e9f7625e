"""Questions of pages about flags."""

from dataclasses import dataclass

from django.db.models import Count
from django.db.models.fields.json import KeyTextTransform

from labels.flags import codes
from labels.models import Project, RecordFlag, Register, SiteRecord
from labels.models.areas import AreaKind


@dataclass(frozen=True)
class FlagOfRecord:
    code: str
    label: str
    sentence: str


def flag_counts(register: Register) -> list[tuple[str, str, int]]:
    """(code, label, number of records) of each flag the register has, in the order of the catalogue."""
    counted = dict(register.flags.values_list("code").annotate(n=Count("pk")))
    return [(flag.code, str(flag.label), counted[flag.code]) for flag in codes.CATALOGUE if flag.code in counted]


def flags_of(record: SiteRecord) -> list[FlagOfRecord]:
    """The flags of one record as people read them."""
    details = dict(RecordFlag.objects.filter(site_record=record).values_list("code", "detail"))
    return [
        FlagOfRecord(flag.code, str(flag.label), flag.sentence(details[flag.code]))
        for flag in codes.CATALOGUE
        if flag.code in details
    ]


def unknown_regions(register: Register) -> dict[str, int]:
    """Stated names that no current admin area has, with the number of their records, most frequent first."""
    return _counted(register, codes.REGION_UNKNOWN, "stated")


def split_of_region_unlike(register: Register) -> dict[str, int]:
    """How many of the records that state another region than they lie in are of which kind (codes.SPLITS)."""
    counted = _counted(register, codes.REGION_UNLIKE, "split")
    return {split: counted.get(split, 0) for split in codes.SPLITS}


def _counted(register: Register, code: str, key: str) -> dict[str, int]:
    flags = register.flags.filter(code=code).annotate(said=KeyTextTransform(key, "detail"))
    return dict(flags.values_list("said").annotate(n=Count("pk")).order_by("-n", "said"))


def can_tell_outside(project: Project) -> bool:
    """Whether admin areas are loaded: without them nothing is known of a country's border or its regions' names."""
    return project.reference_layers.filter(kind=AreaKind.ADMIN, retired_at=None).exists()
