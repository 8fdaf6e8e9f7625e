"""Loads pictures into an imagery source: checks each, prepares it as an aligned COG, adds it as a scene."""

from pathlib import Path

from django.core.management.base import CommandParser

from labels.errors import BadInput
from labels.imagery import loading, wishes
from labels.management.progress import ProjectCommand
from labels.models import Job, Project, Scene


class Command(ProjectCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("files", nargs="+", metavar="FILE", help="GeoTIFF files")
        parser.add_argument("--name", required=True, metavar="N", help="the source they belong to; made if new")
        parser.add_argument("--acquired", metavar="DATE", help="capture date of all the files (YYYY-MM-DD)")
        parser.add_argument("--bands", metavar="R,G,B", default="", help="bands to show, such as 3,2,1 or 3,2,1,nir=4")
        parser.add_argument("--stretch", metavar="LOW,HIGH", default="", help="values that become black and white")
        parser.add_argument("--attribution", default="", help="who must be named beside the pictures")

    def work(self, project: Project, options: dict) -> None:
        acquired = loading.stated_date(options["acquired"])
        files = [self.file(name) for name in options["files"]]
        wish = {name: options[name] for name in ("bands", "stretch")}
        wishes.wish(**wish)
        source = loading.source_named(project, options["name"], attribution=options["attribution"])
        parameters = loading.parameters(source, files, acquired=acquired, **wish)
        job = self.run_job(project, Job.Kind.LOAD_IMAGERY, source.name, parameters)
        for scene in Scene.objects.filter(uuid__in=job.result["created"] + job.result["dated"]):
            self.stdout.write(
                f"{scene.original_name}: {scene.captured_on or 'date unknown'}, {scene.resolution_m:.2f} m,"
                f" zoom {scene.min_zoom}-{scene.max_zoom}, {scene.size_bytes / 1e6:.2f} MB"
                + (", false colour" if scene.false_colour_path else "")
            )
        for note in job.result["notes"]:
            self.stdout.write(note)
        counts = {outcome: len(job.result[outcome]) for outcome in ("created", "dated", "unchanged")}
        self.stdout.write(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))

    def file(self, name: str) -> tuple[str, str]:
        path = Path(name)
        if not path.is_file():
            raise BadInput(f"There is no file {name!r}.")
        return str(path.resolve()), path.name
