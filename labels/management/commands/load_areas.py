"""Take reference polygons in: `load_areas FILE --project P --kind admin`."""

from pathlib import Path

from django.core.management.base import CommandParser

from labels.ingest import areas, hierarchy
from labels.management.progress import ProjectCommand, date_argument
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
        parser.add_argument(
            "--level",
            type=int,
            choices=range(10),
            metavar="N",
            help="0 for countries, 1 for provinces, 2 for districts; else one below the parent's",
        )
        parser.add_argument("--name-field", metavar="F", help="the property that names an area; '' for none")
        parser.add_argument("--code-field", metavar="F", help="the property that holds its code; '' for none")

        parser.add_argument("--sheet", default="", help="the layer of the file, where it has several")
        parser.add_argument("--parent", metavar="LAYER", help="the layer whose areas hold these, by its name")
        parser.add_argument(
            "--parent-field", default="", metavar="F", help="the property with the parent's name or code"
        )
        parser.add_argument("--valid-from", type=date_argument, metavar="DATE", help="boundaries since, as 2015-07-01")
        parser.add_argument("--valid-to", type=date_argument, metavar="DATE", help="boundaries until")

    def work(self, project: Project, options: dict) -> None:
        parent = hierarchy.find_parent(project, options["parent"], options["kind"]) if options["parent"] else None
        parameters = areas.parameters_of(
            path=options["file"],
            kind=options["kind"],
            layer=options["layer"],
            level=options["level"],
            name_field=options["name_field"],
            code_field=options["code_field"],
            sheet=options["sheet"],
            parent=parent,
            parent_field=options["parent_field"],
            valid_from=options["valid_from"],
            valid_to=options["valid_to"],
        )
        job = self.run_job(project, Job.Kind.LOAD_AREAS, parameters["layer"], parameters)
        self._say(job.result, parameters)
        self.stdout.write(job.result["tally"])

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
        for doubt in result["doubts"][:SHOWN]:
            self.stdout.write(_doubt(doubt))
        for what, n in (
            ("mended", result["n_mended"]),
            ("refused", result["n_refused"]),
            ("in doubt about their parent", result["n_doubts"]),
        ):
            if n > SHOWN:
                self.stdout.write(f"{n} shapes {what} in all.")
        for remark in result["remarks"]:
            self.stdout.write(remark)


def _doubt(told: dict) -> str:
    which = f"Shape {told['row']}, {told['name']}"
    if told["doubt"] == "outside":
        named = f" and states {told['stated']!r}, which is none" if told["stated"] else ""
        return f"{which}, lies in no parent{named}."
    if told["doubt"] == "unknown":
        return f"{which}, states the parent {told['stated']!r}, which is none; it lies in {told['parent']}."
    lies_in = told["lies_in"] or "no parent"
    return f"{which}, hangs under {told['parent']} as stated, and lies in {lies_in}."
