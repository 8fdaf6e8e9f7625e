"""Take reference polygons in: `load_areas FILE --project P --kind admin`."""

from pathlib import Path

from django.core.management.base import CommandParser

from labels.ingest import areas
from labels.management.progress import ProjectCommand
from labels.models import Job, Project
from labels.models.areas import AreaKind

SHOWN = 20


class Command(ProjectCommand):
    help = "Take polygons in from GeoJSON, a zipped shapefile, a GeoPackage or KML. The last line says what happened."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path)
        parser.add_argument("--kind", required=True, choices=AreaKind.values)
        parser.add_argument("--layer", default="", metavar="NAME", help="the layer's name; else the file's")
        parser.add_argument("--level", type=int, default=1, help="1 for provinces, 2 for districts")
        parser.add_argument("--name-field", metavar="F", help="the property that names an area; '' for none")
        parser.add_argument("--code-field", metavar="F", help="the property that holds its code; '' for none")

    def work(self, project: Project, options: dict) -> None:
        parameters = areas.parameters_of(
            path=options["file"],
            kind=options["kind"],
            layer=options["layer"],
            level=options["level"],
            name_field=options["name_field"],
            code_field=options["code_field"],
        )
        job = self.run_job(project, Job.Kind.LOAD_AREAS, parameters["layer"], parameters)
        self._say(job.result, parameters)
        self.stdout.write(job.result["sentence"])

    def _say(self, result: dict, parameters: dict) -> None:
        named = f"Names from {parameters['name_field']}" if parameters["name_field"] else "No property names the areas"
        self.stdout.write(f"{named}; layer {parameters['layer']!r}.")
        for mended in result["mended"][:SHOWN]:
            self.stdout.write(f"Mended shape {mended['row']}, {mended['name'] or 'unnamed'}: {mended['reason']}.")
        for refused in result["refused"][:SHOWN]:
            self.stdout.write(f"Refused shape {refused['row']}: {refused['reason']}.")
        if result["n_unnamed"]:
            first = ", ".join(str(row) for row in result["unnamed"][:SHOWN])
            self.stdout.write(f"{result['n_unnamed']} areas have no name and are called 'unnamed (shape N)': {first}.")
        for what, n in (("mended", result["n_mended"]), ("refused", result["n_refused"])):
            if n > SHOWN:
                self.stdout.write(f"{n} shapes {what} in all.")
