"""What a register claims: questions about its records as they are placed now."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from django.db import connection
from django.db.models import CharField, Count, Func, Q, QuerySet

from labels.flags import codes as flag_codes
from labels.models import DuplicatePair, RecordFlag, ReferenceArea, Register

# Beside a code stand the words that a register itself uses for it: the most frequent ones.
SHOWN_ORIGINALS = 4
CODED = ("legal_status_code", "trade_status_code", "location_precision")


class Unnest(Func):
    function = "unnest"
    set_returning = True
    output_field = CharField()


def totals(register: Register) -> dict[str, int]:
    """Every count is of records; `n_vanished` are those that the latest edition no longer names."""
    return register.placements.aggregate(
        n_records=Count("pk"),
        n_unlocated=Count("pk", filter=Q(reported_point=None)),
        n_vanished=Count("pk", filter=~Q(edition=register.latest_edition())),
        n_in_commercial=Count("pk", filter=Q(commercial_area__isnull=False)),
        n_in_protected=Count("pk", filter=Q(protected_area__isnull=False)),
    )


@dataclass(frozen=True)
class Tables:
    """What is counted in one pass: (value, records) of each group, in no order."""

    region: dict[int | None, int]
    year: dict[int | None, int]
    legal_status_code: dict[str, int]
    trade_status_code: dict[str, int]
    location_precision: dict[str, int]


# A scan of a million records takes its time: once, not once a table.
COUNT = """
SELECT CASE WHEN GROUPING(region_id) = 0 THEN 'region' WHEN GROUPING(observed_year) = 0 THEN 'year'
            WHEN GROUPING(legal_status_code) = 0 THEN 'legal_status_code'
            WHEN GROUPING(trade_status_code) = 0 THEN 'trade_status_code' ELSE 'location_precision' END,
       coalesce(region_id, observed_year), coalesce(legal_status_code, trade_status_code, location_precision), count(*)
FROM labels_placement WHERE register_id = %s
GROUP BY GROUPING SETS (
    (region_id), (observed_year), (legal_status_code), (trade_status_code), (location_precision)
)
"""

# Of ten thousand records: the frequent words show in them, and the join takes no seconds.
ORIGINALS = """
SELECT placed.legal_status_code, placed.trade_status_code, placed.location_precision,
       btrim(said.legal_status), btrim(said.trade_status), btrim(said.location_method), count(*)
FROM (SELECT * FROM labels_placement WHERE register_id = %s LIMIT 10000) AS placed
JOIN labels_observation said ON said.id = placed.observation_id
GROUP BY GROUPING SETS ((1, 4), (2, 5), (3, 6))
"""


def tables(register: Register) -> Tables:
    counted = {each.name: {} for each in fields(Tables)}
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [register.pk])
        for name, number, code, n in cursor.fetchall():
            counted[name][number if name in ("region", "year") else code] = n
    return Tables(**counted)


def region_names(regions: Iterable[int | None]) -> dict[int, str]:
    return dict(ReferenceArea.objects.filter(pk__in=[pk for pk in regions if pk]).values_list("pk", "name"))


def originals(register: Register) -> dict[str, dict[str, list[str]]]:
    """Field -> code -> the register's own words for it, the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(ORIGINALS, [register.pk])
        counted = sorted(cursor.fetchall(), key=lambda row: -row[6])
    words: dict[str, dict[str, list[str]]] = {name: {} for name in CODED}
    for row in counted:
        for place, name in enumerate(words):
            code, word = row[place], row[place + 3]
            said = words[name].setdefault(code, []) if word else []
            if len(said) < SHOWN_ORIGINALS:
                said.append(word)
    return words


def by_mineral(register: Register) -> list[tuple[str, int]]:
    """A record of two minerals counts in both; one of none counts under an empty code."""
    named = register.placements.annotate(code=Unnest("minerals")).values_list("code").annotate(n=Count("pk"))
    unnamed = register.placements.filter(minerals=[]).count()
    return sorted(named, key=lambda row: (-row[1], row[0])) + ([("", unnamed)] if unnamed else [])


def by_flag(register: Register) -> list[tuple[str, int]]:
    """(code, records) of each doubt that holds of some record."""
    counted = RecordFlag.objects.filter(register=register).values_list("code").annotate(n=Count("pk"))
    return sorted(counted, key=lambda row: (-row[1], row[0]))


def by_split(register: Register) -> dict[str, int]:
    """Of the flag `region_unlike`: how many records by how it came about."""
    unlike = RecordFlag.objects.filter(register=register, code=flag_codes.REGION_UNLIKE)
    return {split: n for split, n in unlike.values_list("detail__split").annotate(n=Count("pk")) if split}


def unknown_regions(register: Register) -> list[tuple[str, int]]:
    """The stated regions that no area is called, the most frequent first."""
    unknown = RecordFlag.objects.filter(register=register, code=flag_codes.REGION_UNKNOWN)
    counted = unknown.values_list("detail__stated").annotate(n=Count("pk"))
    return sorted(counted, key=lambda row: (-row[1], str(row[0])))


def undecided_duplicates(register: Register) -> QuerySet[DuplicatePair]:
    """Pairs with a record of this register that nobody has decided about."""
    of_register = Q(first_record__register=register) | Q(second_record__register=register)
    return DuplicatePair.objects.filter(of_register, project=register.project_id, decisions=None)
