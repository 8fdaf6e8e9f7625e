from django.core.management.base import BaseCommand, CommandError

from labels.demonstration import loading
from labels.errors import LabelsError


class Command(BaseCommand):
    help = "Make the demonstration project: a fictional country, its imagery, a register with known errors, an audit."

    def handle(self, *args, **options) -> None:
        try:
            project = loading.load(self.stdout.write)
        except LabelsError as error:
            raise CommandError(str(error), returncode=1) from error
        self.stdout.write(f"The demonstration is ready: {project.name}.")
