"""Goes on with the demonstration where its reviews are there: features of its country, a training run, the run chosen.

The worker does so by itself; this asks for the next step where that was missed, or does all of it here (--now).
"""

import time

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labels import jobs
from labels.demonstration.loading import PROJECT
from labels.errors import LabelsError
from labels.management.progress import printer
from labels.models import Job, Project
from predictions import demonstration


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--now", action="store_true", help="do the jobs here, one after another, without a worker")

    def handle(self, *args, **options) -> None:
        project = Project.objects.filter(slug=PROJECT["slug"]).first()
        if project is None:
            raise CommandError("There is no demonstration: run load_demonstration first.", returncode=2)
        try:
            said = demonstration.go_on(project)
            if options["now"]:
                said = self._do_now(project, said)
        except LabelsError as error:
            raise CommandError(str(error), returncode=2) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted; run the same command again to go on.", returncode=130) from None
        self.stdout.write(said)

    def _do_now(self, project: Project, said: str) -> str:
        """What follows a job is asked for when it is done."""
        show = printer(self.stderr)
        while job := self._waiting(project).order_by("pk").first():
            show(str(job), 0, None)
            if jobs.run(job.pk) is None:
                time.sleep(1)  # another process has it
            job.refresh_from_db()
            if job.is_over and job.state != Job.State.DONE:
                raise LabelsError(f"{job} stopped: {job.error or job.state}")
            said = demonstration.go_on(project)
        return said

    def _waiting(self, project: Project):
        kinds = (Job.Kind.FEATURIZE, Job.Kind.TRAIN)
        return project.jobs.filter(kind__in=kinds, state__in=[Job.State.QUEUED, Job.State.RUNNING])
