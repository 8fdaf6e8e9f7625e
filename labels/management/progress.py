"""What management commands share: the project they work in, progress on the terminal, errors as sentences."""

import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import date
from time import monotonic

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils.text import slugify

from labels import jobs
from labels.errors import BadInput, LabelsError
from labels.models import Job, Project


class ProjectCommand(BaseCommand):
    """A command on one project. It ends with 0 only when the work is done, with 2 and a sentence for bad input."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, metavar="P", help="the project's short name (slug)")
        parser.add_argument("--country", metavar="ISO3", help="make the project if it does not exist, for this country")

    def handle(self, *args, **options) -> None:
        try:
            self.work(project_from(options), options)
        except LabelsError as error:
            raise CommandError(str(error), returncode=2) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted; run the same command again to go on.", returncode=130) from None
        except DatabaseError as error:
            raise CommandError(f"The database refused: {str(error).splitlines()[0]}", returncode=1) from error

    def work(self, project: Project, options: dict) -> None:
        raise NotImplementedError

    def run_job(
        self, project: Project, kind: str, subject: str, parameters: dict, *, left_behind: Job | None = None
    ) -> Job:
        """Do the work of a job here, showing its progress; or go on with one whose process was killed."""
        if left_behind:
            self.stderr.write("Going on where a killed process left this work.")
            return jobs.resume_now(left_behind, report=printer(self.stderr))
        return jobs.run_now(
            project=project, kind=kind, subject=subject, parameters=parameters, report=printer(self.stderr)
        )


def date_argument(text: str) -> date:
    """The type of an argument that is a date."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date; write it as 2021-06-30.") from None


def project_from(options: dict) -> Project:
    """The project a command names; made when it does not exist and a country is given."""
    slug, country = options["project"], options.get("country")
    project = Project.objects.filter(slug=slug).first()
    if project:
        return project
    if not country:
        raise BadInput(f"There is no project {slug!r}. Give --country ISO3 (for example COD) to make it.")
    if slug != slugify(slug):
        raise BadInput(f"{slug!r} cannot be a project's short name: use small letters, digits and hyphens.")
    if not (len(country) == 3 and country.isalpha() and country.isupper()):
        raise BadInput(f"--country {country!r}: write the three capital letters of ISO 3166, for example COD.")
    return Project.objects.create(slug=slug, name=slug.replace("-", " ").capitalize(), country=country)


def printer(stream) -> Callable[[str, int, int | None], None]:
    """Show progress: one line rewritten on a terminal, otherwise a line when the stage changes or 5 s have passed."""
    last = {"stage": None, "at": 0.0}
    on_terminal = sys.stderr.isatty()

    def show(stage: str, n_done: int, n_total: int | None) -> None:
        line = f"{stage}: {n_done:,}" + (f" of {n_total:,}" if n_total else "") if n_done or n_total else stage
        if on_terminal:
            stream.write(f"\r\033[K{line}", ending="")
            stream.flush()
        elif stage != last["stage"] or monotonic() - last["at"] > 5:
            stream.write(line)
            last.update(stage=stage, at=monotonic())

    return show
