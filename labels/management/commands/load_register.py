"""Take a register in from a file: `load_register FILE --project P --register R --map source_id=pcode`."""

from contextlib import nullcontext
from pathlib import Path

from django.core.management.base import CommandParser
from django.db import transaction
from django.utils.text import slugify

from labels import editions, workflow
from labels.errors import BadInput
from labels.ingest import meanings, registers
from labels.ingest.fields import FIELD_NAMES, POSITION, parse_choices
from labels.ingest.readers import Facts, Reader, file_sha256, open_rows
from labels.ingest.reports import write_report
from labels.management.progress import ProjectCommand, date_argument
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
        parser.add_argument(
            "--value",
            action="append",
            default=[],
            metavar="FIELD:WORD=CODE",
            help="what a word of the register means, such as mineral:Manvenve=manganese; kept with the register. "
            f"Fields: {', '.join(meanings.FIELDS)}",
        )
        parser.add_argument("--sheet", default="", help="the sheet or layer, where the file has several")
        parser.add_argument("--name", help="the register's name, when it is made")
        parser.add_argument("--publisher", help="who publishes the register")
        parser.add_argument("--licence", help="the terms it came under")
        parser.add_argument(
            "--published", type=date_argument, metavar="DATE", help="when the list was published, as 2021-06-30"
        )
        parser.add_argument("--dry-run", action="store_true", help="store nothing; say what would happen")
        parser.add_argument("--report", type=Path, metavar="FILE.csv", help="write the refused rows to this file")

    def handle(self, *args, **options) -> None:
        with transaction.atomic() if options["dry_run"] else nullcontext():
            super().handle(*args, **options)
            if options["dry_run"]:
                transaction.set_rollback(True)

    def work(self, project: Project, options: dict) -> None:
        path, slug = options["file"], _register_slug(options)
        if options["published"]:
            editions.check_published(options["published"])
        known = project.registers.filter(slug=slug).first()
        chosen = parse_choices(options["map"]) | ({"crs": options["crs"]} if options["crs"] else {})
        sheet = options["sheet"] or chosen.get("sheet") or (known.column_mapping.get("sheet") if known else "")
        reader = open_rows(path, sheet or "")
        mapping = registers.choose_mapping(reader, known, chosen)
        self._say(reader.facts, mapping)
        register = _register(project, slug, options)
        if options["value"]:
            meanings.keep(register, meanings.parse_values(options["value"]))
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
        if not facts.has_geometry and POSITION.isdisjoint(mapping):
            self.stdout.write("No column is read as a position: every record is kept without one. See --map.")

    def _preview(
        self, path: Path, register: Register, mapping: dict[str, str], report: Path | None, reader: Reader
    ) -> None:
        known = registers.known_edition(register, file_sha256(path), mapping)
        found = registers.preview(path, mapping=mapping, register=register, reader=reader)
        self._say_meanings(found.meanings)
        for code, n in found.trial.flags.items():
            self.stdout.write(f"Would be flagged {code}: {n} rows.")
        self._say_refusals(found.refusals, report)
        self.stdout.write("Dry run: nothing was stored.")
        self.stdout.write(str(registers.unchanged_tally(known) if known else found.tally))

    def _load(self, project: Project, register: Register, mapping: dict[str, str], options: dict) -> None:
        parameters = registers.parameters_of(register, mapping, path=options["file"], published_on=options["published"])
        left = editions.left_behind(register, Job.Kind.LOAD_REGISTER, parameters)
        job = self.run_job(project, Job.Kind.LOAD_REGISTER, register.slug, parameters, left_behind=left)
        edition = Edition.objects.get(pk=job.result["edition"])
        self._say_unread(job.result["unread_words"])
        self._say_refusals(list(registers.refused_rows(edition)), options["report"])
        if job.result["n_unlocated"]:
            self.stdout.write(f"{job.result['n_unlocated']} rows state no position; kept without one.")
        if job.result["n_vanished"]:
            n = job.result["n_vanished"]
            self.stdout.write(f"{n} records of the edition before are not in this one; they stay, marked so.")
        if later := edition.published_later():
            self.stdout.write(
                f"Edition {later.number} was published later than this one; the latest import counts all the same."
            )
        for sentence in workflow.CarriedOver(**job.result["carried"]).sentences():
            self.stdout.write(sentence)
        self.stdout.write(job.result["sentence"])

    def _say_meanings(self, found: list[meanings.Meaning]) -> None:
        for each in found:
            unknown = [word for word in each.asked if not word.is_own]
            if unknown:
                self.stdout.write(f"Words of {each.name} that are not known: {', '.join(map(_said, unknown))}.")
                self.stdout.write(f"Say what they mean with --value {each.name}:WORD=CODE.")

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


def _said(word: meanings.Word) -> str:
    perhaps = f", perhaps {word.suggested}" if word.suggested else ""
    return f"{word.text} ({word.n}{perhaps})"


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
