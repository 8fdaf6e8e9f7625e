"""How reliable a project's registers are, in the terminal."""

import json

from django.core.management.base import CommandParser

from labels import report_formats
from labels.groupings import GROUP_KEYS
from labels.management.progress import ProjectCommand
from labels.models import Project
from labels.reports import reliability_of


class Command(ProjectCommand):
    help = (
        "Shares of confirm, move, reject and unsure with n and 95 % intervals, displacement of moved records, "
        "overall and by group."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--audit", default="", metavar="A", help="short name of the audit; otherwise the newest with reviews"
        )
        parser.add_argument("--by", default="", metavar="KEY,…", help=f"any of {', '.join(GROUP_KEYS)}")
        parser.add_argument(
            "--tolerance-m",
            type=float,
            metavar="M",
            help="a mine within M metres is at the point, for every unit",
        )
        parser.add_argument("--format", choices=["table", "json", "csv"], default="table")

    def work(self, project: Project, options: dict) -> None:
        by = [name.strip() for name in options["by"].split(",") if name.strip()]
        report = reliability_of(project, audit=options["audit"], by=by, tolerance_m=options["tolerance_m"])
        if options["format"] == "json":
            text = json.dumps(report_formats.as_json(report), indent=2, ensure_ascii=False) + "\n"
        elif options["format"] == "csv":
            text = report_formats.as_csv(report)
        else:
            text = report_formats.as_table(report)
        self.stdout.write(text, ending="")
