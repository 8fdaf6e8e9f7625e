"""What a register claims: questions about its records as they are placed now."""

from collections import defaultdict

from django.db.models import CharField, Count, F, Func, Q, QuerySet, TextField

from labels import doubt_words
from labels.models import DuplicatePair, Placement, RecordFlag, ReferenceArea, Register
from labels.register_filters import latest_edition

# Beside a code stand the words that a register itself uses for it: the most frequent ones.
SHOWN_ORIGINALS = 4


class Unnest(Func):
    function = "unnest"
    set_returning = True
    output_field = CharField()


def totals(register: Register) -> dict[str, int]:
    """Every count is of records; `n_vanished` are those that the latest edition no longer names."""
    return register.placements.aggregate(
        n_records=Count("pk"),
        n_unlocated=Count("pk", filter=Q(reported_point=None)),
        n_vanished=Count("pk", filter=~Q(edition=latest_edition(register))),
        n_in_commercial=Count("pk", filter=Q(commercial_area__isnull=False)),
        n_in_protected=Count("pk", filter=Q(protected_area__isnull=False)),
    )


def by_region(register: Register) -> list[tuple[int | None, str, int]]:
    """(id, name, records) of each province that holds records; the last are in none."""
    counted = register.placements.values_list("region_id").annotate(n=Count("pk")).values_list("region_id", "n")
    return _named(dict(counted))


def _named(counts: dict[int | None, int]) -> list[tuple[int | None, str, int]]:
    names = dict(ReferenceArea.objects.filter(pk__in=[pk for pk in counts if pk]).values_list("pk", "name"))
    rows = [(pk, names.get(pk, ""), n) for pk, n in counts.items()]
    return sorted(rows, key=lambda row: (row[0] is None, -row[2], row[1]))


def by_mineral(register: Register) -> list[tuple[str, int]]:
    """A record of two minerals counts in both; one of none counts under an empty code."""
    named = register.placements.annotate(code=Unnest("minerals")).values_list("code").annotate(n=Count("pk"))
    unnamed = register.placements.filter(minerals=[]).count()
    return sorted(named, key=lambda row: (-row[1], row[0])) + ([("", unnamed)] if unnamed else [])


def by_year(register: Register) -> list[tuple[int | None, int]]:
    """The year of the current observation, the earliest first; the last state none."""
    counted = register.placements.values_list("observed_year").annotate(n=Count("pk"))
    return sorted(counted, key=lambda row: (row[0] is None, row[0]))


def by_code(register: Register, field: str) -> list[tuple[str, int]]:
    """Of a field of codes of Placement, the largest first."""
    counted = register.placements.values_list(field).annotate(n=Count("pk"))
    return sorted(counted, key=lambda row: (-row[1], row[0]))


class Trimmed(Func):
    function = "btrim"
    output_field = TextField()


def originals(register: Register, code: str, original: str) -> dict[str, list[str]]:
    """Code -> the register's own words for it, the most frequent first."""
    said = (
        register.placements.annotate(word=Trimmed(F(f"observation__{original}")))
        .exclude(word="")
        .values_list(code, "word")
        .annotate(n=Count("pk"))
    )
    words = defaultdict(list)
    for value, word, _n in sorted(said, key=lambda row: -row[2]):
        words[value].append(word)
    return {value: found[:SHOWN_ORIGINALS] for value, found in words.items()}


def by_flag(register: Register) -> list[tuple[str, int]]:
    """(code, records) of each doubt that holds of some record."""
    counted = RecordFlag.objects.filter(register=register).values_list("code").annotate(n=Count("pk"))
    return sorted(counted, key=lambda row: (-row[1], row[0]))


def by_split(register: Register) -> dict[str, int]:
    """Of the flag `region_unlike`: how many records by how it came about."""
    unlike = RecordFlag.objects.filter(register=register, code=doubt_words.REGION_UNLIKE)
    return {split: n for split, n in unlike.values_list("detail__split").annotate(n=Count("pk")) if split}


def unknown_regions(register: Register) -> list[tuple[str, int]]:
    """The stated regions that no area is called, the most frequent first."""
    unknown = RecordFlag.objects.filter(register=register, code=doubt_words.REGION_UNKNOWN)
    counted = unknown.values_list("detail__stated").annotate(n=Count("pk"))
    return sorted(counted, key=lambda row: (-row[1], str(row[0])))


def undecided_duplicates(register: Register) -> QuerySet[DuplicatePair]:
    """Pairs with a record of this register that nobody has decided about."""
    of_register = Q(first_record__register=register) | Q(second_record__register=register)
    return DuplicatePair.objects.filter(of_register, project=register.project_id, decisions=None)


def records_of(register: Register) -> QuerySet[Placement]:
    """Each record with its current observation and region."""
    return register.placements.select_related("site_record", "observation", "region").defer("observation__attributes")
