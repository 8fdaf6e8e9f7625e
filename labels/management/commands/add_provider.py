"""Adds a provider of imagery to a project, and asks it what it has."""

from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandParser

from labels.errors import BadInput
from labels.imagery import loading
from labels.imagery.providers import listing
from labels.management.progress import ProjectCommand
from labels.models import ImagerySource, Project
from labels.models.projects import ImageryPolicy

Kind = ImagerySource.Kind
RIGHTS = ("view", "cache", "derive_labels", "share_labels", "train")


class Command(ProjectCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("address", help="with {z}, {x}, {y}, {date} and {key} where they belong")
        parser.add_argument("--kind", required=True, choices=[kind for kind in Kind.values if kind != Kind.SCENES])
        parser.add_argument("--name", required=True, metavar="N")
        parser.add_argument("--attribution", default="", help="who must be named beside the pictures")
        parser.add_argument("--key-file", type=Path, metavar="FILE", help="a file that holds the key and nothing else")
        parser.add_argument("--date", action="append", default=[], metavar="DATE", help="a date there is; repeat it")
        parser.add_argument(
            "--option", action="append", default=[], metavar="NAME=VALUE", help="layer, style, collection, releases …"
        )
        parser.add_argument(
            "--may", default="view", help=f"what its licence allows, separated by commas: {', '.join(RIGHTS)}"
        )
        parser.add_argument("--evidence", default="", help="what the rights rest on")
        parser.add_argument(
            "--through-server", action="store_true", help="let the project's pages ask providers through our server"
        )

    def work(self, project: Project, options: dict) -> None:
        source = self.source(project, options)
        listing.check_address(source, frozenset(settings.IMAGERY_ALLOWED_HOSTS))
        if options["through_server"]:
            Project.objects.filter(pk=project.pk).update(imagery_policy=ImageryPolicy.THROUGH_SERVER)
            project.refresh_from_db()
        if project.imagery_policy != ImageryPolicy.THROUGH_SERVER:
            raise BadInput("The project uses local imagery only; add --through-server to let our server ask providers.")
        if ImagerySource.objects.filter(project=project, slug=source.slug).exists():
            raise BadInput(f"The project has a source {source.slug!r} already; refresh_provider asks it again.")
        source.save()
        try:
            listed = listing.refresh(source)
        except Exception:
            source.delete()  # nothing is left of a provider that could not be asked
            raise
        self.stdout.write(f"{source.slug}: {listed.created} dates")

    def source(self, project: Project, options: dict) -> ImagerySource:
        may = {word.strip() for word in options["may"].split(",") if word.strip()}
        if unknown := may - set(RIGHTS):
            raise BadInput(f"--may {', '.join(sorted(unknown))}: write some of {', '.join(RIGHTS)}.")
        slug = loading.slug_of(options["name"])
        if slug is None:
            raise BadInput(f"{options['name']!r} cannot be the name of a source: use letters or digits.")
        return ImagerySource(
            project=project,
            slug=slug,
            name=options["name"][:200],
            attribution=options["attribution"][:300],
            evidence=options["evidence"][:300],
            kind=options["kind"],
            address=options["address"],
            access_key=_key(options["key_file"]),
            options=_options(options["option"], options["date"]),
            **{f"may_{right}": right in may for right in RIGHTS},
        )


def _key(path: Path | None) -> str:
    """Never an argument: those are seen by everybody on the machine."""
    if path is None:
        return ""
    try:
        return path.read_text().strip()[:500]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--key-file {path} cannot be read.") from error


def _options(pairs: list[str], dates: list[str]) -> dict:
    found: dict = {"dates": dates} if dates else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadInput(f"--option {pair!r}: write NAME=VALUE.")
        found[name] = _value(name, value)
    return found


def _value(name: str, value: str):
    if name in ("bbox", "bounds"):
        try:
            return [float(edge) for edge in value.split(",")]
        except ValueError:
            raise BadInput(f"--option {name}: write west,south,east,north in degrees.") from None
    if name in ("min_zoom", "max_zoom", "max_items"):
        if not value.isdigit():
            raise BadInput(f"--option {name}: write a whole number.")
        return int(value)
    return value.split(",") if name == "blanks" else value
