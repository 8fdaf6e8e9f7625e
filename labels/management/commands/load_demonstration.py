"""Makes the demonstration project: a fictional country, its registers with known errors, imagery, audits, reviews.

What a person needs to look around comes at once; imagery and reviews come as queued jobs, shown on the jobs page.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labels import jobs
from labels.demonstration import loading, loading_provider
from labels.demonstration.recipe import RECIPES
from labels.errors import LabelsError
from labels.management.progress import printer
from labels.models import Job, Project


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--recipe", choices=sorted(RECIPES), default="wandara", help="all of it, or a corner")
        parser.add_argument("--files", type=Path, metavar="FOLDER", help="keep the registers' files and the truth here")
        parser.add_argument("--provider", metavar="URL", help="where serve_demonstration_provider listens: add it, too")
        parser.add_argument("--now", action="store_true", help="do the jobs here, one after another, without a worker")
        parser.add_argument(
            "--wait", type=int, default=0, metavar="S", help="wait so many seconds at most for the first pictures"
        )

    def handle(self, *args, **options) -> None:
        try:
            project = self._load(options)
            if options["provider"]:
                loading_provider.add(project, options["provider"], self.stdout.write)
            if options["now"]:
                self._do_now(project)
            elif options["wait"]:
                self._wait(project, options["wait"])
        except LabelsError as error:
            raise CommandError(str(error), returncode=1) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted; run the same command again to go on.", returncode=130) from None
        self.stdout.write(f"The demonstration is ready: {project.name}.{self._still_to_come(project)}")

    def _load(self, options: dict) -> Project:
        recipe = RECIPES[options["recipe"]]
        if options["files"]:
            return loading.load(self.stdout.write, recipe=recipe, files=options["files"])
        with TemporaryDirectory() as folder:
            return loading.load(self.stdout.write, recipe=recipe, files=Path(folder))

    def _do_now(self, project: Project) -> None:
        """The reviews are asked for by the last of the imagery, so look again after each job."""
        while job := self._waiting(project).order_by("pk").first():
            self.stdout.write(str(job))
            jobs.run(job.pk)
            job.refresh_from_db()
            if job.is_over and job.state != Job.State.DONE:
                raise LabelsError(f"{job} stopped: {job.error or job.state}")
            if not job.is_over:
                time.sleep(1)  # another process has it, or had it: it is free again when its heartbeat stopped

    def _wait(self, project: Project, seconds: int) -> None:
        """Until the coarse pictures of the whole country are there."""
        show, until = printer(self.stderr), time.monotonic() + seconds
        while time.monotonic() < until:
            first = loading.first_pictures(project)
            if all(job.is_over for job in first):
                break
            show("first pictures", sum(round(100 * (job.share_done or 0)) for job in first), 100 * len(first))
            time.sleep(0.5)

    def _waiting(self, project: Project):
        kinds = (Job.Kind.DRAW_SCENES, Job.Kind.JUDGE_DEMONSTRATION)
        return project.jobs.filter(kind__in=kinds, state__in=[Job.State.QUEUED, Job.State.RUNNING])

    def _still_to_come(self, project: Project) -> str:
        n_jobs = self._waiting(project).count()
        if not n_jobs:
            return ""
        return f" {n_jobs} jobs still bring imagery and reviews: see the project's jobs page."
