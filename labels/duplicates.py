"""Records that may be one site, proposed to a person. Nothing is merged: a decision is a row of its own.

Records are compared that lie within the radius of their registers, in one register and across those of one project; and
rows that repeat an id and a date with another position or spelling. The search itself is in labels.near_records.
"""

from django.db import connection, transaction
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labels import near_records
from labels.errors import BadInput
from labels.jobs import RunningJob, ask, work
from labels.models import DuplicateDecision, DuplicatePair, Job, Project, Register

LOCK = 7414  # advisory lock: two searches of one project take turns, so that the later one's answer stays

# Pairs of the registers that were asked about, that no longer hold and that nobody has decided.
FORGET = """
DELETE FROM labels_duplicatepair pair
USING labels_siterecord first, labels_siterecord second
WHERE pair.project_id = %(project)s AND first.id = pair.first_record_id AND second.id = pair.second_record_id
  AND (first.register_id = ANY(%(asked)s) OR second.register_id = ANY(%(asked)s))
  AND NOT EXISTS (SELECT FROM labels_duplicatedecision decision WHERE decision.pair_id = pair.id)
  AND NOT EXISTS (
      SELECT FROM near_pair found
      WHERE found.first_id = pair.first_record_id AND found.second_id = pair.second_record_id
      AND found.first_observation_id IS NOT DISTINCT FROM pair.first_observation_id
      AND found.second_observation_id IS NOT DISTINCT FROM pair.second_observation_id
  )
"""

# A decided pair keeps the figures it was decided by.
PROPOSE = """
INSERT INTO labels_duplicatepair AS pair (
    project_id, first_record_id, second_record_id, first_observation_id, second_observation_id,
    reason, is_across_registers, distance_m, name_similarity, found_at
)
SELECT %(project)s, first_id, second_id, first_observation_id, second_observation_id,
       reason, is_across, metres, likeness, now()
FROM near_pair ORDER BY first_id, second_id
ON CONFLICT (first_record_id, second_record_id, first_observation_id, second_observation_id) DO UPDATE
SET reason = excluded.reason, distance_m = excluded.distance_m, name_similarity = excluded.name_similarity
WHERE (pair.reason, pair.distance_m, pair.name_similarity)
      IS DISTINCT FROM (excluded.reason, excluded.distance_m, excluded.name_similarity)
  AND NOT EXISTS (SELECT FROM labels_duplicatedecision decision WHERE decision.pair_id = pair.id)
"""

COUNT = "SELECT reason, count(*), count(*) FILTER (WHERE is_across) FROM near_pair GROUP BY reason"


def find_duplicates(
    *, register: Register | None = None, project: Project | None = None, job: RunningJob | None = None
) -> dict[str, int]:
    """Propose the pairs of a register with everything in its project, or all pairs of a project.

    Returns how many hold now, by reason; `across` of them in two registers; `crowded` records of which only the nearest
    few were compared. Undecided pairs that no longer hold are dropped, decided ones are left alone.
    """
    project = register.project if register else project
    registers = list(project.registers.order_by("pk"))
    asked = [register.pk] if register else [each.pk for each in registers]
    if job:
        job.begin(_("looking for duplicates"))
    key = [LOCK, project.pk % 2**31]
    near_records.run("SELECT pg_advisory_lock(%s, %s)", key)
    try:
        for n_done, n_total in near_records.search(registers, asked):
            if job:
                job.progress(n_done, n_total)
        return _write(project, asked, job)
    finally:
        if not connection.needs_rollback:
            near_records.run(near_records.DROP)
            near_records.run("SELECT pg_advisory_unlock(%s, %s)", key)


@transaction.atomic
def _write(project: Project, asked: list[int], job: RunningJob | None) -> dict[str, int]:
    # Nobody decides while pairs are dropped.
    near_records.run("LOCK TABLE labels_duplicatedecision IN SHARE MODE")
    told = {"project": project.pk, "asked": asked}
    n_dropped = near_records.run(FORGET, told).rowcount
    near_records.run(PROPOSE, told)
    if job:
        job.still_mine()
    found = dict.fromkeys(DuplicatePair.Reason.values, 0) | {"across": 0}
    for reason, n, n_across in near_records.run(COUNT).fetchall():
        found[reason] = n
        found["across"] += n_across
    return found | {"crowded": near_records.n_crowded(), "dropped": n_dropped}


LARGEST_RADIUS_M = 5000


def ask_search(project: Project, radius_m: float | None = None, *, requested_by=None) -> Job:
    """Ask for a search of the whole project, within another radius (metres) where one is given."""
    if radius_m is not None:
        if not 1 <= radius_m <= LARGEST_RADIUS_M:
            raise BadInput(_("The radius must lie between 1 and %(n)d metres.") % {"n": LARGEST_RADIUS_M})
        project.registers.update(duplicate_radius_m=radius_m)
    return ask(project=project, kind=Job.Kind.FIND_DUPLICATES, subject=project.name, requested_by=requested_by)


@work(Job.Kind.FIND_DUPLICATES)
def search_again(job: RunningJob) -> dict:
    found = find_duplicates(project=job.job.project, job=job)
    n_pairs = sum(found[reason] for reason in DuplicatePair.Reason.values)
    sentence = ngettext(
        "%(pairs)s pair of records may be one site; %(across)s in two registers.",
        "%(pairs)s pairs of records may be one site; %(across)s in two registers.",
        n_pairs,
    ) % {"pairs": n_pairs, "across": found["across"]}
    return found | {"sentence": sentence, "page": reverse("labels:duplicates", args=[job.job.project.slug])}


def decide(pair: DuplicatePair, decision: str, user) -> DuplicateDecision:
    """Write down what a person decided; the records stay as they are, and deciding again replaces nothing."""
    if decision not in DuplicateDecision.Decision.values:
        raise BadInput(_("Say whether the two are one site or two sites."))
    with transaction.atomic():
        # While a search drops pairs this waits, and the pair may be gone afterwards.
        near_records.run("LOCK TABLE labels_duplicatedecision IN ROW EXCLUSIVE MODE")
        if not DuplicatePair.objects.filter(pk=pair.pk).exists():
            raise BadInput(_("This pair is no longer proposed: the register has changed. Look at the list again."))
        return DuplicateDecision.objects.create(pair=pair, decision=decision, decided_by=user)
