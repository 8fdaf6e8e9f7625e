"""The dated imports of a register: which of them stand, what the latest no longer names, taking one back.

A register changes by one job at a time: an import, or the withdrawal of one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from time import monotonic, sleep

from django.db import connection, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labels import access, jobs, settling
from labels.errors import BadInput, Conflict, JobCancelled, NotAllowed
from labels.jobs import RunningJob, work
from labels.models import Edition, Job, Project, Register
from labels.workflow.carrying_over import carry_over
from labels.workflow.locks import one_at_a_time

LOCK = 7412  # advisory lock: one change of a register at a time, freed when its connection dies
CHANGES = (Job.Kind.LOAD_REGISTER, Job.Kind.WITHDRAW_EDITION)
# The server looks every two seconds whether the process it works for is still there.
WAIT_FOR_THE_DEAD_S = 10.0
MAX_REASON = 300

VANISHED = """
SELECT count(*) FROM (
    SELECT observation.site_record_id
    FROM labels_editionrow row JOIN labels_observation observation ON observation.id = row.observation_id
    WHERE row.edition_id = %s
    EXCEPT
    SELECT observation.site_record_id
    FROM labels_editionrow row JOIN labels_observation observation ON observation.id = row.observation_id
    WHERE row.edition_id = %s
) AS vanished
"""


# ---- what stands ----


def count_vanished(edition: Edition) -> int:
    """How many records of the standing edition before this one it does not name."""
    before = edition.register.editions.standing().filter(number__lt=edition.number).order_by("-number").first()
    if before is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(VANISHED, [before.pk, edition.pk])
        return cursor.fetchone()[0]


def check_published(published_on: date) -> None:
    """A list cannot have been published after tomorrow, wherever on earth it was."""
    if published_on > timezone.now().date() + timedelta(days=1):
        raise BadInput(_("The date of publication, %(date)s, lies in the future.") % {"date": published_on.isoformat()})


def set_published(edition: Edition, published_on: str) -> None:
    """Date an edition that the same file made before; an empty date leaves it as it was."""
    if published_on:
        Edition.objects.filter(pk=edition.pk).update(published_on=published_on)


# ---- one change at a time ----


def unfinished(register: Register) -> QuerySet[Job]:
    """Imports and withdrawals of the register that run or wait."""
    return register.project.jobs.filter(
        kind__in=CHANGES, state__in=[Job.State.QUEUED, Job.State.RUNNING], parameters__register=register.pk
    )


def check_free(project: Project, parameters: dict) -> None:
    """Refuse, in words, to ask for a change of a register while another runs or waits."""
    register = Register.objects.filter(project=project, pk=parameters.get("register")).first()
    if register is None:
        return  # the work itself says so
    one_at_a_time("change of register", register.pk)
    other = unfinished(register).first()
    if other:
        raise Conflict(
            _("%(register)s has a job that is %(state)s (%(kind)s). Wait until it is over, or cancel it.")
            % {"register": register.name, "state": other.get_state_display(), "kind": other.get_kind_display()}
        )


@contextmanager
def one_change_at_a_time(register: Register, *, is_resumed: bool = False) -> Iterator[None]:
    """Hold the register while it is changed; Conflict where somebody holds it.

    A job that goes on after its worker was killed waits a little for the server to notice that death.
    """
    if not (_is_let_go(register) and _try_lock(register) if is_resumed else _try_lock(register)):
        raise Conflict(
            _("Another import of the register %(register)s is running; wait until it is over.")
            % {"register": register.name}
        )
    with connection.cursor() as cursor:
        cursor.execute("SET client_connection_check_interval = '2s'")
    try:
        yield
    finally:
        if not connection.needs_rollback:
            _unlock(register)


@contextmanager
def said_if_cancelled(words: str, edition: Edition) -> Iterator[None]:
    """Past the point where cancelling undoes the work: say what stays, and how to end it."""
    try:
        yield
    except JobCancelled as error:
        told = words % {"number": edition.number}
        raise JobCancelled(" ".join([told, _("Try again to finish the work.")])) from error


def left_behind(register: Register, kind: str, parameters: dict) -> Job | None:
    """The job of this very work whose process was killed, to go on with. One of other work is ended.

    A running job that holds no lock is nobody's. Were it only about to take it, raising its token would stop it.
    """
    job = unfinished(register).filter(state=Job.State.RUNNING).first()
    if job is None or not _is_let_go(register):
        return None
    if (job.kind, job.parameters) == (kind, parameters):
        return job
    jobs.give_up(job, _("It was killed, and something else was asked for instead."))
    return None


def _is_let_go(register: Register) -> bool:
    give_up_at = monotonic() + WAIT_FOR_THE_DEAD_S
    while not _try_lock(register):
        if monotonic() > give_up_at:
            return False
        sleep(0.2)
    _unlock(register)
    return True


def _try_lock(register: Register) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK, register.pk % 2**31])
        return cursor.fetchone()[0]


def _unlock(register: Register) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK, register.pk % 2**31])


# ---- taking an import back ----


def withdraw_edition(edition: Edition, user, reason: str) -> Job:
    """Ask for the withdrawal of an import: what it said counts no more, and nothing of it is erased."""
    return jobs.ask(
        project=edition.register.project,
        kind=Job.Kind.WITHDRAW_EDITION,
        subject=f"{edition.register.slug}: {edition.number}",
        requested_by=user,
        parameters=withdrawal_of(edition, reason),
    )


def withdrawal_of(edition: Edition, reason: str) -> dict:
    """The parameters of a WITHDRAW_EDITION job."""
    reason = reason.strip()
    if not reason:
        raise BadInput(_("Say why the edition is withdrawn: the reason is kept with it."))
    if len(reason) > MAX_REASON or "\0" in reason:
        raise BadInput(_("The reason must be text of at most %(n)d characters.") % {"n": MAX_REASON})
    return {"register": edition.register_id, "edition": edition.pk, "reason": reason}


def _may_be_withdrawn(project: Project, parameters: dict) -> None:
    edition = Edition.objects.filter(register__project=project, pk=parameters["edition"]).first()
    if edition and edition.is_withdrawn and not _is_half_withdrawn(edition):
        raise Conflict(_("Edition %(number)d is withdrawn already.") % {"number": edition.number})
    check_free(project, parameters)


def _is_half_withdrawn(edition: Edition) -> bool:
    """Whether its withdrawal was cancelled or failed after the mark: records may still lie where it said."""
    asked = Job.objects.filter(kind=Job.Kind.WITHDRAW_EDITION, parameters__edition=edition.pk)
    return asked.exists() and not asked.filter(state=Job.State.DONE).exists()


@work(Job.Kind.WITHDRAW_EDITION, may_be_asked=_may_be_withdrawn)
def withdraw(job: RunningJob) -> dict:
    """Mark the edition, then place the register's records by the editions that are left."""
    asked_by, project = job.job.requested_by, job.job.project
    if asked_by and not access.can(asked_by, "import_register", project):
        raise NotAllowed(_("You may no longer import registers in this project."))
    edition = Edition.objects.select_related("register__project").get(
        pk=job.parameters["edition"], register__project=project
    )
    with one_change_at_a_time(edition.register, is_resumed=job.job.n_attempts > 1):
        _mark_withdrawn(job, edition)
        with said_if_cancelled(
            _("Edition %(number)d is withdrawn, but its records are not placed anew everywhere yet."), edition
        ):
            n_left = settling.settle_withdrawal(edition.register, job=job)
            carried = carry_over(edition.register, job=job)
    sentence = _("Edition %(number)d is withdrawn.") % {"number": edition.number}
    if n_left:
        words = ngettext("%(n)d record is in no edition any more.", "%(n)d records are in no edition any more.", n_left)
        sentence = f"{sentence} {words % {'n': n_left}}"
    return {
        "edition": edition.pk,
        "n_unplaced": n_left,
        "carried": carried.as_dict(),
        "sentence": " ".join([sentence, *carried.sentences()]),
        "page": reverse("labels:edition", args=[project.slug, edition.register.slug, edition.number]),
    }


@transaction.atomic
def _mark_withdrawn(job: RunningJob, edition: Edition) -> None:
    """Once: a job that was killed after this goes on with the placing."""
    marked = Edition.objects.filter(pk=edition.pk, withdrawn_at__isnull=True).update(
        withdrawn_at=timezone.now(), withdrawn_by=job.job.requested_by, withdrawn_reason=job.parameters["reason"]
    )
    if marked:
        after = edition.register.editions.standing().filter(number__gt=edition.number).order_by("number").first()
        if after:  # what it no longer names, it no longer names of another edition
            Edition.objects.filter(pk=after.pk).update(n_vanished=count_vanished(after))
        else:
            _restore_mapping(edition.register)
        access.note_access(job.job.requested_by, job.job.project, "withdraw_edition", edition, edition.n_rows)
    job.still_mine()


def _restore_mapping(register: Register) -> None:
    """The columns may have been what was wrong: the next import reads them as the latest edition did, or asks anew."""
    latest = register.latest_edition()
    if latest is None or latest.job:
        mapping = latest.job.parameters.get("mapping", {}) if latest else {}
        Register.objects.filter(pk=register.pk).update(column_mapping=mapping)
