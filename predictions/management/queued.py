"""What the commands of the model share: work that workers do while the command watches, and work found half done."""

import time
from collections.abc import Callable

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from labels import jobs
from labels.errors import BadInput
from labels.management.progress import ProjectCommand, printer
from labels.models import Job, Project, ReferenceArea
from labels.models.areas import AreaKind

SETTLE_S = 3


def area_named(project: Project, name: str | None, *, kind: str | None = None) -> ReferenceArea | None:
    """The current area of that name and kind, of the highest level; None where none is named."""
    if not name:
        return None
    current = ReferenceArea.objects.filter(layer__project=project, layer__retired_at__isnull=True, name=name)
    current = current.exclude(layer__kind=AreaKind.TERRAIN)  # a name of many polygons
    if kind is not None:
        current = current.filter(layer__kind=kind)
    found = current.select_related("layer__project").order_by("layer__level", "pk").first()
    if found is None:
        raise BadInput(f"--area: this project has no current area {name!r}.")
    return found


class QueuedCommand(ProjectCommand):
    """Does its job here, or has it done by workers (--queue)."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--queue", action="store_true", help="have the workers do it; interrupting this command leaves them at it"
        )
        parser.add_argument("--no-wait", action="store_true", help="with --queue: do not wait for the end")

    def check_waiting(self, options: dict) -> None:
        if options["no_wait"] and not options["queue"]:
            raise BadInput("--no-wait goes with --queue.")

    def watch(self, job: Job, options: dict) -> bool:
        """Show how far the workers are; whether the work is done by now."""
        if options["no_wait"]:
            self.stdout.write(f"Asked for: {job}, job {job.uuid}.")
            return False
        self.stderr.write("The workers do it; interrupting this command leaves them at it.")
        self.follow(job)
        return True

    def follow(self, job: Job, meanwhile: Callable[[], bool] = lambda: False) -> None:
        """Until the job is over; `meanwhile` may do a part of it, and says whether it did."""
        show = printer(self.stderr)
        while True:
            job.refresh_from_db()
            if job.is_over:
                break
            show(job.stage or str(job.get_state_display()), job.n_done, job.n_total)
            if not meanwhile():
                time.sleep(0.5)
        if job.state != Job.State.DONE:
            raise CommandError(job.error or f"The work was {job.state}.", returncode=1)

    def go_on_here(self, job: Job) -> None:
        """A job that nobody works on, in this process."""
        self.stderr.write("Going on where this work was left.")
        jobs.resume_now(job, report=printer(self.stderr))

    def is_alive(self, job: Job) -> bool:
        """Whether a process works on it, by its heartbeat: the dead have none."""
        if job.state != Job.State.RUNNING:
            return False
        heard, until = job.heartbeat_at, time.monotonic() + settings.JOB_SILENCE_S / 4 + SETTLE_S
        while time.monotonic() < until:
            job.refresh_from_db()
            if job.is_over or job.heartbeat_at != heard:
                return not job.is_over
            time.sleep(0.25)
        return False
