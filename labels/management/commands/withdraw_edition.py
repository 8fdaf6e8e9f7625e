"""Take an import back: `withdraw_edition --project P --register R --edition N --reason …`."""

from django.core.management.base import CommandParser

from labels import editions
from labels.errors import BadInput
from labels.management.progress import ProjectCommand
from labels.models import Edition, Job, Project


class Command(ProjectCommand):
    help = "Withdraw one edition of a register: what it said counts no more, nothing is erased. The last line says so."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--register", required=True, metavar="R", help="the register's short name")
        parser.add_argument("--edition", required=True, type=int, metavar="N", help="the edition's number")
        parser.add_argument("--reason", required=True, help="why it is withdrawn; kept with the edition")

    def work(self, project: Project, options: dict) -> None:
        edition = _edition(project, options)
        parameters = editions.withdrawal_of(edition, options["reason"])
        left = editions.left_behind(edition.register, Job.Kind.WITHDRAW_EDITION, parameters)
        subject = f"{edition.register.slug}: {edition.number}"
        job = self.run_job(project, Job.Kind.WITHDRAW_EDITION, subject, parameters, left_behind=left)
        self.stdout.write(job.result["sentence"])


def _edition(project: Project, options: dict) -> Edition:
    slug, number = options["register"], options["edition"]
    register = project.registers.filter(slug=slug).first()
    if register is None:
        known = ", ".join(project.registers.order_by("slug").values_list("slug", flat=True)) or "none yet"
        raise BadInput(f"This project has no register {slug!r}. Its registers: {known}.")
    edition = register.editions.filter(number=number).select_related("register__project").first()
    if edition is None:
        known = ", ".join(map(str, register.editions.order_by("number").values_list("number", flat=True))) or "none yet"
        raise BadInput(f"The register {slug} has no edition {number}. Its editions: {known}.")
    return edition
