from django.core.management.base import CommandParser

from labels import audit_opening
from labels.errors import BadInput
from labels.management.progress import ProjectCommand
from labels.models import Job, Project, Register


class Command(ProjectCommand):
    help = "Open an audit: draw its units from a register, or from the grid cells of the project's provinces."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--audit", required=True, metavar="A", help="the audit's name")
        parser.add_argument("--register", metavar="R", help="the register's short name (records)")
        parser.add_argument("--frame", choices=["records", "cells"], default="records")
        parser.add_argument(
            "--design",
            choices=["census", "srs"],
            help="census: every located record; srs: a simple random sample of cells",
        )
        parser.add_argument("--n", type=int, metavar="N", help="how many cells to draw")
        parser.add_argument("--reviews-per-unit", type=int, default=1, metavar="N")
        parser.add_argument("--same-site-m", type=float, default=250, metavar="M")
        parser.add_argument("--seed", type=int, default=1, help="of the draw, and of the order of handing out")

    def work(self, project: Project, options: dict) -> None:
        if not audit_opening.slug_for(options["audit"]):
            raise BadInput("--audit: use at least one letter or digit in the name.")
        common = {
            "name": options["audit"],
            "reviews_per_unit": options["reviews_per_unit"],
            "same_site_m": options["same_site_m"],
            "seed": options["seed"],
        }
        if options["frame"] == "cells":
            self._draw_cells(project, options, common)
        else:
            self._draw_records(project, options, common)

    def _draw_records(self, project: Project, options: dict, common: dict) -> None:
        if options["design"] == "srs" or options["n"] is not None:
            raise BadInput("Of records only a census can be drawn: leave out --design srs and --n.")
        if not options["register"]:
            raise BadInput("--register: name the register whose records are to be judged.")
        asked = audit_opening.parameters(register=_register(project, options["register"]), **common)
        job = self.run_job(project, Job.Kind.OPEN_AUDIT, options["audit"], asked)
        self.stdout.write(
            f"{job.result['units']} units, {job.result['without_position']} records without a position left out"
        )

    def _draw_cells(self, project: Project, options: dict, common: dict) -> None:
        if options["design"] == "census":
            raise BadInput("Of grid cells only a simple random sample can be drawn: give --design srs.")
        if options["register"]:
            raise BadInput("--register: grid cells belong to no register, leave it out.")
        if options["n"] is None:
            raise BadInput("--n: say how many grid cells to draw.")
        asked = audit_opening.cell_parameters(n=options["n"], **common)
        job = self.run_job(project, Job.Kind.OPEN_AUDIT, options["audit"], asked)
        self.stdout.write(f"{job.result['units']} of {job.result['population']} grid cells")


def _register(project: Project, slug: str) -> Register:
    register = project.registers.filter(slug=slug).first()
    if register is None:
        known = ", ".join(project.registers.values_list("slug", flat=True)) or "none"
        raise BadInput(f"There is no register {slug!r} in {project.slug} (there are: {known}).")
    return register
