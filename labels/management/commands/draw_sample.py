from django.core.management.base import CommandParser

from labels import audit_opening
from labels.errors import BadInput
from labels.management.progress import ProjectCommand
from labels.models import Job, Project


class Command(ProjectCommand):
    help = "Open an audit: draw its units from a register."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--audit", required=True, metavar="A", help="the audit's name")
        parser.add_argument("--register", required=True, metavar="R", help="the register's short name")
        parser.add_argument("--frame", choices=["records"], default="records")
        parser.add_argument("--design", choices=["census"], default="census", help="every located record")
        parser.add_argument("--reviews-per-unit", type=int, default=1, metavar="N")
        parser.add_argument("--same-site-m", type=float, default=250, metavar="M")
        parser.add_argument("--seed", type=int, default=1, help="of the order in which units are handed out")

    def work(self, project: Project, options: dict) -> None:
        register = project.registers.filter(slug=options["register"]).first()
        if register is None:
            known = ", ".join(project.registers.values_list("slug", flat=True)) or "none"
            raise BadInput(f"There is no register {options['register']!r} in {project.slug} (there are: {known}).")
        if not audit_opening.slug_for(options["audit"]):
            raise BadInput("--audit: use at least one letter or digit in the name.")
        asked = audit_opening.parameters(
            name=options["audit"],
            register=register,
            reviews_per_unit=options["reviews_per_unit"],
            same_site_m=options["same_site_m"],
            seed=options["seed"],
        )
        job = self.run_job(project, Job.Kind.OPEN_AUDIT, options["audit"], asked)
        self.stdout.write(
            f"{job.result['units']} units, {job.result['without_position']} records without a position left out"
        )
