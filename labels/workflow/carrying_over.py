"""After a register changed: reviews carry over where the published position is the same; where it is not, the unit is
retired and a new one of the same record asks to be judged.

What is right is read from units and placements alone, not from what an import did: done twice it does nothing the
second time, killed it is done again, and a position that comes back brings its unit back.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from django.db import connection, transaction
from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labels import geo
from labels.jobs import RunningJob
from labels.models import Assignment, Audit, Exposure, Observation, Register, SampleUnit
from labels.workflow.locks import one_at_a_time

BATCH_RECORDS = 1000

# Whether the register still says the place a unit was drawn at: the point to a millionth of a degree (0.1 m: files lose
# digits on their way), and a licence's boundary, corner by corner where it was written with other digits.
SAME_PLACE_DEG = 1e-6
SAME_PLACE = f"""(
    placement.reported_point IS NOT NULL
    AND abs(ST_X(placement.reported_point) - ST_X(drawn.point)) <= {SAME_PLACE_DEG}
    AND abs(ST_Y(placement.reported_point) - ST_Y(drawn.point)) <= {SAME_PLACE_DEG}
    AND CASE
        WHEN drawn.polygon IS NOT DISTINCT FROM told.polygon THEN true
        WHEN drawn.polygon IS NULL OR told.polygon IS NULL THEN false
        WHEN ST_NPoints(drawn.polygon) <> ST_NPoints(told.polygon) OR ST_NPoints(drawn.polygon) > 2000 THEN false
        ELSE ST_HausdorffDistance(drawn.polygon, told.polygon) <= {SAME_PLACE_DEG} END
)"""

UNITS = f"""
    SELECT unit.id, unit.audit_id, unit.site_record_id, unit.retired_at IS NULL AS is_current,
           placement.reported_point IS NOT NULL AS has_place, placement.observation_id AS told_id,
           coalesce({SAME_PLACE}, false) AS is_there
    FROM labels_sampleunit unit
    JOIN labels_siterecord record ON record.id = unit.site_record_id
    JOIN labels_observation drawn ON drawn.id = unit.observation_id
    LEFT JOIN labels_placement placement ON placement.site_record_id = record.id
    LEFT JOIN labels_observation told ON told.id = placement.observation_id
"""  # noqa: S608  made of constants

# Of each record of an audit: the unit that counts, one (perhaps retired) that was drawn where the record now is, the
# last one, and the observation that says where. Only those that are not as they should be.
AMISS = f"""
SELECT audit_id, site_record_id,
       max(id) FILTER (WHERE is_current) AS current_id,
       max(id) FILTER (WHERE is_there) AS there_id,
       max(id) AS last_id,
       max(told_id) FILTER (WHERE has_place) AS told_id
FROM ({UNITS} WHERE unit.audit_id = ANY(%(audits)s) AND record.register_id = %(register)s
      AND (%(records)s::bigint[] IS NULL OR unit.site_record_id = ANY(%(records)s))) AS unit
GROUP BY audit_id, site_record_id
HAVING count(*) FILTER (WHERE is_current AND is_there) = 0 AND (bool_or(is_current) OR bool_or(has_place))
ORDER BY site_record_id, audit_id
"""  # noqa: S608  made of constants


@dataclass
class CarriedOver:
    """What a change of a register did to the audits of its records that are open."""

    # Records that moved: a new unit asks to be judged. Of these, some had been judged where they were.
    n_asked: int = 0
    n_asked_again: int = 0
    # Records that are back where they were: their earlier unit counts again, with its reviews.
    n_returned: int = 0
    # Records that lie nowhere now: their unit is retired and none replaces it.
    n_without_place: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)

    def sentences(self) -> list[str]:
        """For people; nothing where nothing moved."""
        said = []
        if self.n_asked:
            words = ngettext(
                "%(n)d unit has moved and asks to be judged, %(again)d of them again.",
                "%(n)d units have moved and ask to be judged, %(again)d of them again.",
                self.n_asked,
            )
            said.append(words % {"n": self.n_asked, "again": self.n_asked_again})
        if self.n_returned:
            words = ngettext(
                "%(n)d unit is back where it was judged.",
                "%(n)d units are back where they were judged.",
                self.n_returned,
            )
            said.append(words % {"n": self.n_returned})
        if self.n_without_place:
            words = ngettext(
                "%(n)d unit lies nowhere any more and is left out.",
                "%(n)d units lie nowhere any more and are left out.",
                self.n_without_place,
            )
            said.append(words % {"n": self.n_without_place})
        return said


@dataclass(frozen=True)
class _Amiss:
    audit_id: int
    site_record_id: int
    current_id: int | None
    there_id: int | None
    last_id: int
    told_id: int | None


def carry_over(register: Register, *, job: RunningJob | None = None) -> CarriedOver:
    """Bring the units of this register's records, in audits that are not closed, to where the records are now.

    Call it when the records have been placed. Each batch is its own transaction.
    """
    done = CarriedOver()
    audits = list(
        Audit.objects.filter(project=register.project_id, closed_at__isnull=True).values_list("pk", flat=True)
    )
    if not audits:
        return done
    records = sorted({each.site_record_id for each in _amiss(register, audits)})
    if records and job:
        job.begin(_("carrying reviews over"), len(records))
    for n_before, batch in _batches(records):
        if job:
            job.progress(n_before)
        _carry_batch(register, batch, done)
    return done


def _batches(records: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    for start in range(0, len(records), BATCH_RECORDS):
        yield start, list(islice(records, start, start + BATCH_RECORDS))


def _amiss(register: Register, audits: list[int], records: list[int] | None = None) -> list[_Amiss]:
    with connection.cursor() as cursor:
        cursor.execute(AMISS, {"audits": audits, "register": register.pk, "records": records})
        return [_Amiss(*row) for row in cursor]


@transaction.atomic
def _carry_batch(register: Register, records: list[int], done: CarriedOver) -> None:
    """Looks again under a lock: an audit may have been opened or closed, or another pass been here, meanwhile."""
    one_at_a_time("carry over", register.pk)
    audits = Audit.objects.select_for_update(no_key=True).filter(project=register.project_id, closed_at__isnull=True)
    audits = {audit.pk: audit for audit in audits}
    amiss = _amiss(register, list(audits), records)
    _retire([each.current_id for each in amiss if each.current_id])
    _bring_back([(each.current_id, each.there_id) for each in amiss if each.there_id])
    moved = [each for each in amiss if not each.there_id and each.told_id]
    _replace(audits, moved)
    done.n_asked += len(moved)
    done.n_asked_again += _n_judged_before(moved)
    done.n_returned += sum(each.there_id is not None for each in amiss)
    done.n_without_place += sum(each.told_id is None for each in amiss)


def _retire(units: list[int]) -> None:
    """Out of the queue. A verdict that is on its way finds no assignment, and makes one that is done at once."""
    SampleUnit.objects.filter(pk__in=units).update(retired_at=timezone.now())
    Assignment.objects.filter(unit__in=units).exclude(state=Assignment.State.DONE).delete()


def _bring_back(pairs: list[tuple[int | None, int]]) -> None:
    """Each second unit in place of the first, with its reviews; the looks that it still lacks are asked for."""
    SampleUnit.objects.filter(pk__in=[there for _current, there in pairs]).update(retired_at=None)
    units = SampleUnit.objects.select_related("audit", "observation").annotate(n_looks=Count("assignments"))
    units = units.in_bulk([unit for pair in pairs for unit in pair if unit])
    back = [units[there] for _current, there in pairs]
    Assignment.objects.bulk_create(each for unit in back for each in _looks(unit, unit.n_looks))
    _carry_exposures([(units[current], units[there]) for current, there in pairs if current])


def _replace(audits: dict[int, Audit], moved: list[_Amiss]) -> None:
    """New units, as opening the audit would have drawn them, in place of the last ones of their records."""
    last = SampleUnit.objects.select_related("observation").in_bulk([each.last_id for each in moved])
    told = Observation.objects.in_bulk([each.told_id for each in moved])
    made = [(last[each.last_id], _drawn_anew(last[each.last_id], audits, told[each.told_id])) for each in moved]
    SampleUnit.objects.bulk_create([unit for _before, unit in made])
    Assignment.objects.bulk_create(each for _before, unit in made for each in _looks(unit))
    _carry_exposures(made)


def _drawn_anew(unit: SampleUnit, audits: dict[int, Audit], told: Observation) -> SampleUnit:
    audit = audits[unit.audit_id]
    return SampleUnit(
        audit=audit,
        site_record_id=unit.site_record_id,
        observation=told,
        stratum=unit.stratum,
        inclusion_probability=unit.inclusion_probability,
        queue=unit.queue,
        **audit.search_rules[told.location_precision],
    )


def _looks(unit: SampleUnit, n_before: int = 0) -> Iterator[Assignment]:
    """The looks that the audit wants of the unit and that nobody has given, among the others in shuffled order."""
    shuffle = random.Random(f"{unit.audit.seed} {unit.observation_id}")  # noqa: S311  an order, not a secret
    for look in range(n_before, unit.audit.reviews_per_unit):
        yield Assignment(unit=unit, audit=unit.audit, queue=unit.queue, order_key=look + shuffle.random())


def _carry_exposures(pairs: list[tuple[SampleUnit, SampleUnit]]) -> None:
    """Who knows what others saw at the first place may not judge the second where their search discs share ground.

    Who gave the gold answer of the first, or reviewed it, may: they know their own opinion only, of another place.
    """
    near = {before.pk: unit for before, unit in pairs if _share_ground(before, unit)}
    known = Exposure.objects.filter(unit__in=near).exclude(what=Exposure.What.GOLD)
    Exposure.objects.bulk_create(
        (Exposure(unit=near[each.unit_id], user_id=each.user_id, what=each.what, at=each.at) for each in known),
        ignore_conflicts=True,
    )


def _share_ground(before: SampleUnit, unit: SampleUnit) -> bool:
    [apart_m] = geo.displacement_m([before.observation.point.coords], [unit.observation.point.coords])
    return apart_m < before.search_radius_m + unit.search_radius_m


def _n_judged_before(moved: list[_Amiss]) -> int:
    """Of how many of these an earlier unit has a review."""
    earlier = Assignment.objects.filter(
        state=Assignment.State.DONE, audit__in={each.audit_id for each in moved}, unit__retired_at__isnull=False
    ).filter(unit__site_record__in=[each.site_record_id for each in moved])
    judged = set(earlier.values_list("audit_id", "unit__site_record_id"))
    return len(judged & {(each.audit_id, each.site_record_id) for each in moved})


# ---- what pages say ----

MOVED_SINCE = f"""
SELECT count(*) FROM ({UNITS} WHERE unit.audit_id = %s AND unit.retired_at IS NULL) AS unit WHERE NOT is_there
"""  # noqa: S608  made of constants

# Of an audit's records that had another unit before: those whose present one nobody has judged while somebody had
# judged an earlier one; and those that have none now.
MOVED_HERE = """
SELECT count(*) FILTER (WHERE n_current = 1 AND n_judged_before > 0 AND n_judged_now = 0),
       count(*) FILTER (WHERE n_current = 0)
FROM (
    SELECT site_record_id,
           count(*) FILTER (WHERE retired_at IS NULL) AS n_current,
           count(*) FILTER (WHERE retired_at IS NULL AND is_judged) AS n_judged_now,
           count(*) FILTER (WHERE retired_at IS NOT NULL AND is_judged) AS n_judged_before
    FROM (
        SELECT unit.site_record_id, unit.retired_at, EXISTS (
                   SELECT FROM labels_assignment done WHERE done.unit_id = unit.id AND done.state = 'done'
               ) AS is_judged
        FROM labels_sampleunit unit
        WHERE unit.audit_id = %(audit)s AND unit.site_record_id IN (
            SELECT site_record_id FROM labels_sampleunit WHERE audit_id = %(audit)s AND retired_at IS NOT NULL
        )
    ) AS unit
    GROUP BY site_record_id
) AS record
"""


@dataclass(frozen=True)
class Moved:
    """How an audit stands to what its register says by now."""

    # Of a closed audit, which stays as it is: its records that now lie elsewhere, or nowhere.
    n_moved_since: int = 0
    # Of an open one: units that were judged where their record was, and not yet where it is.
    n_again: int = 0
    # Records of the sample that lie nowhere now: no unit stands for them.
    n_left_out: int = 0


def moved_in(audit: Audit) -> Moved:
    if audit.is_of_cells:
        return Moved()
    with connection.cursor() as cursor:
        if audit.closed_at:
            cursor.execute(MOVED_SINCE, [audit.pk])
            return Moved(n_moved_since=cursor.fetchone()[0])
        cursor.execute(MOVED_HERE, {"audit": audit.pk})
        n_again, n_left_out = cursor.fetchone()
    return Moved(n_again=n_again, n_left_out=n_left_out)
