"""Long work: asking for it, taking it, saying how far it is, ending it (DESIGN decision 6).

The row is the truth. `ask` writes it and sends its id through Celery after commit; `run` takes it by a conditional
UPDATE that raises the fencing token, so that a message delivered twice does nothing the second time and a worker that
was given up on can no longer write.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from labels.errors import Conflict, JobCancelled, JobLost, LabelsError
from labels.models import Job, Project

log = logging.getLogger(__name__)

Work = Callable[["RunningJob"], dict | None]
Check = Callable[[Project, dict], None]
_work: dict[str, Work] = {}
_checks: dict[str, Check] = {}
_followers: dict[str, list[Callable[[Job], None]]] = {}


def work(kind: str, *, may_be_asked: Check | None = None) -> Callable[[Work], Work]:
    """Register the function that does jobs of this kind; it is called with a RunningJob and returns the result.

    `may_be_asked` is called with the project and the parameters before a job's row is written, in the same
    transaction; it raises a sentence where the work cannot be asked for now.
    """

    def register(function: Work) -> Work:
        _work[kind] = function
        if may_be_asked:
            _checks[kind] = may_be_asked
        return function

    return register


def after(*kinds: str) -> Callable[[Callable[[Job], None]], Callable[[Job], None]]:
    """Register a function that is called with each done job of these kinds, by the worker that did it.

    It asks for what comes next. A worker can be killed in between, so what it asks for must come about otherwise, too.
    """

    def register(function: Callable[[Job], None]) -> Callable[[Job], None]:
        for kind in kinds:
            _followers.setdefault(kind, []).append(function)
        return function

    return register


def _written(**fields) -> Job:
    """A new row, if the work may be asked for. Call it inside a transaction."""
    if fields["kind"] in _checks:
        _checks[fields["kind"]](fields["project"], fields["parameters"])
    return Job.objects.create(**fields)


@transaction.atomic
def ask(*, project, kind: str, subject: str = "", requested_by=None, parameters: dict | None = None) -> Job:
    """Ask for work: the row now, the message after commit."""
    job = _written(
        project=project,
        kind=kind,
        subject=subject[:200],
        requested_by=requested_by,
        parameters=parameters or {},
        language=get_language() or settings.LANGUAGE_CODE,
    )
    transaction.on_commit(lambda: send(job))
    return job


def send(job: Job) -> None:
    """Send the job's id to the workers. Without Redis the job stays queued and beat sends it again."""
    from labels.tasks import run_job  # the task imports this module

    Job.objects.filter(pk=job.pk).update(sent_at=timezone.now())
    try:
        run_job.apply_async((job.pk,), queue=job.queue)
    except run_job.OperationalError as error:
        log.warning("Job %s waits: the message queue does not answer (%s).", job.pk, type(error).__name__)


def resend_silent() -> int:
    """Send again what nobody works on: queued without a message, or running without a heartbeat."""
    silent = timezone.now() - timedelta(seconds=settings.JOB_SILENCE_S)
    waiting = Q(state=Job.State.QUEUED) & (Q(sent_at__isnull=True) | Q(sent_at__lt=silent))
    stuck = Q(state=Job.State.RUNNING, heartbeat_at__lt=silent)
    jobs = list(Job.objects.filter(waiting | stuck))
    for job in jobs:
        send(job)
    return len(jobs)


def cancel(job: Job) -> None:
    """A queued job ends at once; a running one at its next progress report."""
    ended = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(
        state=Job.State.CANCELLED, finished_at=timezone.now(), cancel_requested=True
    )
    if not ended:
        Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(cancel_requested=True)


def retry(job: Job, *, requested_by) -> Job:
    """Ask again for work that failed or was cancelled, with the same parameters, in the name of who asks now."""
    return ask(
        project=job.project,
        kind=job.kind,
        subject=job.subject,
        requested_by=requested_by,
        parameters=job.parameters,
    )


class RunningJob:
    """A taken job: the work reports through it and learns from it that it should stop."""

    report_every_s = 0.5

    def __init__(self, job: Job):
        self.job = job
        self.token = job.token
        self._reported_at = 0.0

    @property
    def parameters(self) -> dict:
        return self.job.parameters

    def begin(self, stage: str, n_total: int | None = None) -> None:
        """Start a stage of the work."""
        self._write(stage=stage[:100], stage_started_at=timezone.now(), n_done=0, n_total=n_total)

    def progress(self, n_done: int, n_total: int | None = None) -> None:
        """Say how far the stage is; cheap enough for inner loops. Raises JobCancelled or JobLost."""
        if monotonic() - self._reported_at < self.report_every_s:
            return
        fields = {"n_done": n_done}
        if n_total is not None:
            fields["n_total"] = n_total
        self._write(**fields)

    def counted(self, items: Iterable, n_total: int | None = None) -> Iterator:
        """Pass items through, reporting how many went by."""
        for number, item in enumerate(items, start=1):
            yield item
            self.progress(number, n_total)

    def still_mine(self) -> None:
        """Call last in the transaction that publishes the result: raises JobLost if another worker took over.

        It locks the job's row, and until the transaction ends neither heartbeat nor cancel gets through.
        """
        rows = Job.objects.select_for_update().filter(pk=self.job.pk, token=self.token, state=Job.State.RUNNING)
        if not rows.exists():
            raise JobLost

    def _write(self, **fields) -> None:
        self._reported_at = monotonic()
        mine = Job.objects.filter(pk=self.job.pk, token=self.token, state=Job.State.RUNNING)
        if not mine.update(heartbeat_at=timezone.now(), **fields):
            raise JobLost
        if mine.filter(cancel_requested=True).exists():
            raise JobCancelled


class ForegroundJob(RunningJob):
    """The same work run by a management command: progress goes to a callback."""

    def __init__(self, job: Job, report: Callable[[str, int, int | None], None]):
        super().__init__(job)
        self._report = report
        self._stage = ""

    def _write(self, **fields) -> None:
        super()._write(**fields)
        self._stage = fields.get("stage", self._stage)
        self._report(self._stage, fields.get("n_done", 0), fields.get("n_total"))


def take(job_id: int, *, is_abandoned: bool = False) -> Job | None:
    """Take a queued job, or a running one whose heartbeat stopped. None when there is nothing to do.

    With `is_abandoned` the caller knows that whoever ran it is dead, however short ago, and wants it done all the same.
    """
    now = timezone.now()
    silent = now if is_abandoned else now - timedelta(seconds=settings.JOB_SILENCE_S)
    free = Q(state=Job.State.QUEUED) | Q(state=Job.State.RUNNING, heartbeat_at__lt=silent)
    with transaction.atomic():
        job = Job.objects.select_for_update(skip_locked=True).filter(free, pk=job_id).first()
        if job is None:
            return None
        if job.n_attempts >= Job.MAX_ATTEMPTS and not is_abandoned:
            with override(job.language):
                sentence = _("It stopped without a word %(n)d times; see the worker's log.") % {"n": job.n_attempts}
            _end(job, Job.State.FAILED, error=sentence)
            return None
        Job.objects.filter(pk=job.pk).update(
            state=Job.State.RUNNING,
            token=F("token") + 1,
            n_attempts=F("n_attempts") + 1,
            started_at=job.started_at or now,
            heartbeat_at=now,
        )
        job.refresh_from_db()
    return job


def run(job_id: int) -> Job | None:
    """Take the job and do it. None when another worker has it or it is over."""
    job = take(job_id)
    if job is None:
        return None
    running = RunningJob(job)
    with _heartbeat(running):
        return _perform(running)


def run_now(
    *, project, kind: str, subject: str = "", parameters: dict, report: Callable[[str, int, int | None], None]
) -> Job:
    """Do the work in this process, under a job row like any other; errors are raised to the caller."""
    with transaction.atomic():
        job = _written(project=project, kind=kind, subject=subject[:200], parameters=parameters, sent_at=timezone.now())
    return _run_here(take(job.pk), report)


def resume_now(job: Job, *, report: Callable[[str, int, int | None], None]) -> Job:
    """Go on in this process with a job whose own one is dead. Were it alive after all, the raised token stops it."""
    taken = take(job.pk, is_abandoned=True)
    if taken is None:
        raise Conflict(_("This work is over by now."))
    return _run_here(taken, report)


def give_up(job: Job, reason: str) -> None:
    """End a job whose process is dead and that nobody shall go on with."""
    _end(job, Job.State.FAILED, error=reason)


def _run_here(job: Job, report: Callable[[str, int, int | None], None]) -> Job:
    running = ForegroundJob(job, report)
    try:
        with _heartbeat(running):
            return _perform(running, quiet=False)
    except KeyboardInterrupt:
        _end(job, Job.State.CANCELLED)
        raise


def _perform(running: RunningJob, quiet: bool = True) -> Job:
    job = running.job
    try:
        with override(job.language):
            result = _work[job.kind](running)
    except JobLost:
        log.warning("Job %s was taken over by another worker.", job.pk)
    except JobCancelled as error:
        _end(job, Job.State.CANCELLED, error=str(error))
    except LabelsError as error:
        _end(job, Job.State.FAILED, error=str(error))
        if not quiet:
            raise
    except Exception as error:
        log.exception("Job %s failed.", job.pk)
        with override(job.language):
            sentence = _("Something went wrong that is not your fault (%(error)s).") % {"error": type(error).__name__}
        _end(job, Job.State.FAILED, error=sentence)
        if not quiet:
            raise
    else:
        if _end(job, Job.State.DONE, result=result or {}):
            _follow(job)
    job.refresh_from_db()
    return job


def _follow(job: Job) -> None:
    """The job is done, whatever becomes of what is to follow it."""
    for function in _followers.get(job.kind, []):
        try:
            function(job)
        except LabelsError as error:
            log.warning("After job %s: %s", job.pk, error)
        except Exception:
            log.exception("What follows job %s could not be asked for.", job.pk)


def _end(job: Job, state: str, **fields) -> bool:
    """End the job if this worker still holds it."""
    mine = Job.objects.filter(pk=job.pk, token=job.token, state__in=[Job.State.QUEUED, Job.State.RUNNING])
    return bool(mine.update(state=state, finished_at=timezone.now(), **fields))


@contextmanager
def _heartbeat(running: RunningJob) -> Iterator[None]:
    """Beat while a long step (a warp, a COPY) reports nothing. A thread with its own connection."""
    stop = threading.Event()

    def beat():
        try:
            while not stop.wait(settings.JOB_SILENCE_S / 4):
                mine = Job.objects.filter(pk=running.job.pk, token=running.token, state=Job.State.RUNNING)
                mine.update(heartbeat_at=timezone.now())
        finally:
            connection.close()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
