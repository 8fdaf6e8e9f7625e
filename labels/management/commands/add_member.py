from django.contrib.auth import get_user_model
from django.core.management.base import CommandParser

from labels.errors import BadInput
from labels.management.progress import ProjectCommand
from labels.models import Membership, Project
from labels.models.projects import Role


class Command(ProjectCommand):
    help = "Make somebody with a login a member of a project: how the first admin gets in; others join by a link."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--user", required=True, metavar="NAME", help="the login's name")
        parser.add_argument("--role", required=True, choices=Role.values)

    def work(self, project: Project, options: dict) -> None:
        user = get_user_model().objects.filter(username=options["user"]).first()
        if user is None:
            raise BadInput(f"There is no login {options['user']!r}. Make one with: manage.py createsuperuser")
        Membership.objects.update_or_create(project=project, user=user, defaults={"role": options["role"]})
        self.stdout.write(f"{user.username} is {options['role']} of {project.slug}.")
