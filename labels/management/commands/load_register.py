"""Take a register in from a file: `load_register FILE --project P --register R --map source_id=pcode`."""

from contextlib import nullcontext
from pathlib import Path

from django.core.management.base import CommandParser
from django.db import transaction
from django.utils.text import slugify

from labels.errors import BadInput
from labels.ingest import registers
from labels.ingest.fields import FIELD_NAMES, parse_choices
from labels.ingest.readers import Facts, Reader, file_sha256, open_rows
from labels.ingest.reports import write_report
from labels.management.progress import ProjectCommand
from labels.models import Edition, Job, Project, Register

SHOWN_REFUSALS = 20


class Command(ProjectCommand):
    help = "Take a register in from a table, a workbook or a file of shapes. The last line says what happened."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path)
        parser.add_argument("--register", required=True, metavar="R", help="the register's short name; made if missing")
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="FIELD=COLUMN",
            help="read this field from that column; an empty column means none; utm_zone=35S, "
            f"coordinate_order=lat_lon and date_order=day_first hold for every row. Fields: {', '.join(FIELD_NAMES)}",
        )
        parser.add_argument("--crs", default="", metavar="EPSG:N", help="the coordinate system of x and y in a table")
        parser.add_argument("--sheet", default="", help="the sheet or layer, where the file has several")
        parser.add_argument("--name", help="the register's name, when it is made")
        parser.add_argument("--publisher", help="who publishes the register")
        parser.add_argument("--licence", help="the terms it came under")
        parser.add_argument("--dry-run", action="store_true", help="store nothing; say what would happen")
        parser.add_argument("--report", type=Path, metavar="FILE.csv", help="write the refused rows to this file")

    def handle(self, *args, **options) -> None:
        with transaction.atomic() if options["dry_run"] else nullcontext():
            super().handle(*args, **options)
            if options["dry_run"]:
                transaction.set_rollback(True)

    def work(self, project: Project, options: dict) -> None:
        path, slug = options["file"], _register_slug(options)
        known = project.registers.filter(slug=slug).first()
        chosen = parse_choices(options["map"]) | ({"crs": options["crs"]} if options["crs"] else {})
        sheet = options["sheet"] or chosen.get("sheet") or (known.column_mapping.get("sheet") if known else "")
        reader = open_rows(path, sheet or "")
        mapping = registers.choose_mapping(reader, known, chosen)
        self._say(reader.facts, mapping)
        register = _register(project, slug, options)
        if options["dry_run"]:
            self._preview(path, register, mapping, options["report"], reader)
        else:
            self._load(project, register, mapping, options)

    def _say(self, facts: Facts, mapping: dict[str, str]) -> None:
        separated = f", {facts.encoding}, separated by {facts.delimiter!r}" if facts.delimiter else ""
        self.stdout.write(f"{facts.format}{separated}, {len(facts.columns)} columns.")
        for note in facts.notes:
            self.stdout.write(note)
        self.stdout.write("Reads " + ", ".join(f"{name} from {column}" for name, column in mapping.items()) + ".")
        if "source_id" not in mapping:
            self.stdout.write("No id column: a record is told apart by the content of its row.")

    def _preview(
        self, path: Path, register: Register, mapping: dict[str, str], report: Path | None, reader: Reader
    ) -> None:
        known = registers.known_edition(register, file_sha256(path), mapping)
        found = registers.preview(path, mapping=mapping, register=register, reader=reader)
        self._say_unread(found.unread_words)
        self._say_refusals(found.refusals, report)
        for flag, n in found.row_flags.items():
            self.stdout.write(f"Flagged {flag}: {n} rows.")
        self.stdout.write("Dry run: nothing was stored.")
        self.stdout.write(str(registers.unchanged_tally(known) if known else found.tally))

    def _load(self, project: Project, register: Register, mapping: dict[str, str], options: dict) -> None:
        parameters = registers.parameters_of(register, mapping, path=options["file"])
        job = self.run_job(project, Job.Kind.LOAD_REGISTER, register.slug, parameters)
        edition = Edition.objects.get(pk=job.result["edition"])
        self._say_unread(job.result["unread_words"])
        self._say_refusals(list(registers.refused_rows(edition)), options["report"])
        if job.result["n_unlocated"]:
            self.stdout.write(f"{job.result['n_unlocated']} rows state no position; kept without one.")
        self.stdout.write(job.result["sentence"])

    def _say_unread(self, unread: dict[str, dict[str, int]]) -> None:
        for field, words in unread.items():
            listed = ", ".join(f"{word} ({n})" for word, n in words.items())
            self.stdout.write(f"Words of {field} that are not known, kept as they are: {listed}.")

    def _say_refusals(self, refusals: list[tuple[int, str, str, str]], report: Path | None) -> None:
        for row, column, value, reason in refusals[:SHOWN_REFUSALS]:
            where = f"row {row}, {column} = {value!r}" if column else f"row {row}"
            self.stdout.write(f"Refused {where}: {reason}.")
        if len(refusals) > SHOWN_REFUSALS:
            more = len(refusals) - SHOWN_REFUSALS
            self.stdout.write(f"Refused {more} more rows; --report FILE.csv writes all of them.")
        if report:
            _write(report, refusals)


def _write(report: Path, refusals: list[tuple[int, str, str, str]]) -> None:
    try:
        with report.open("w", encoding="utf-8", newline="") as stream:
            write_report(refusals, stream)
    except OSError as error:
        raise BadInput(f"The report {report} cannot be written: {error.strerror}.") from error


def _register_slug(options: dict) -> str:
    slug = options["register"]
    if slug != slugify(slug) or len(slug) > 50:
        raise BadInput(f"{slug!r} cannot be a register's short name: use at most 50 small letters, digits, hyphens.")
    return slug


def _register(project: Project, slug: str, options: dict) -> Register:
    """The register of that short name, made if there is none."""
    stated = {name: options[name] for name in ("name", "publisher", "licence") if options[name]}
    register, made = Register.objects.get_or_create(
        project=project, slug=slug, defaults={"name": slug.replace("-", " ").capitalize()} | stated
    )
    if stated and not made:
        Register.objects.filter(pk=register.pk).update(**stated)
    return register
