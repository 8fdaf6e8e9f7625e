"""Asks a provider of imagery again what it has; with --clear-tiles, forgets its kept tiles."""

from django.core.management.base import CommandParser

from labels.errors import BadInput
from labels.imagery.providers import cache, listing
from labels.management.progress import ProjectCommand
from labels.models import ImagerySource, Project


class Command(ProjectCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("provider", help="the source's short name")
        parser.add_argument("--clear-tiles", action="store_true", help="forget the tiles that are kept")

    def work(self, project: Project, options: dict) -> None:
        source = (
            project.imagery_sources.exclude(kind=ImagerySource.Kind.SCENES).filter(slug=options["provider"]).first()
        )
        if source is None:
            raise BadInput(f"The project has no provider {options['provider']!r}.")
        listed = listing.refresh(source)
        if options["clear_tiles"]:
            cache.forget(source.uuid)
        counts = {name: getattr(listed, name) for name in ("created", "updated", "unchanged", "removed")}
        self.stdout.write(", ".join(f"{count} {name}" for name, count in counts.items()))
