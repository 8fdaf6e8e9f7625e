"""Taking a register in: a file and a mapping become an edition, in a job that can be killed at any moment."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path

from django.db import transaction
from django.db.models import Max, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg import sql

from labels import editions, settling
from labels.errors import BadInput
from labels.ingest import dates, meanings, trial, unread, uploads
from labels.ingest.fields import may_hold_id, resolve_mapping
from labels.ingest.meanings import Meaning
from labels.ingest.readers import CopyLines, Facts, RawRow, Reader, file_sha256, first_rows, open_rows
from labels.ingest.staging import BATCH_ROWS, Staging, drop_abandoned, refresh_statistics
from labels.ingest.tally import Tally
from labels.ingest.trial import Trial
from labels.jobs import RunningJob, work
from labels.models import Edition, Job, Register
from labels.workflow.carrying_over import CarriedOver, carry_over

ROWS_FOR_GUESSING = 200_000
DATE_CHOICES = ("date_order", "january_first")


@dataclass
class Preview:
    """What an import would do, found out without storing anything."""

    facts: Facts
    tally: Tally
    # (row, column, value, reason)
    refusals: list[tuple[int, str, str, str]]
    is_whole_file: bool = True
    first_rows: list[RawRow] = field(default_factory=list)
    # Of a register that is there: doubts and a map, and the words of its fields with their codes.
    trial: Trial = field(default_factory=Trial)
    meanings: list[Meaning] = field(default_factory=list)


def choose_mapping(reader: Reader, register: Register | None, chosen: dict[str, str]) -> dict[str, str]:
    """The mapping for this file; the question about a doubtful id column carries distinct counts."""
    saved = register.column_mapping if register else {}
    facts = reader.facts
    doubtful = [] if saved or "source_id" in chosen else [c for c in facts.columns if may_hold_id(c)]
    counts = distinct_counts(reader, doubtful) if len(doubtful) > 1 else {}
    mapping = resolve_mapping(
        facts.columns,
        chosen=chosen | {"sheet": facts.sheet},
        saved=saved,
        n_distinct=counts,
        has_geometry=facts.has_geometry,
    )
    is_same_column = bool(saved) and mapping.get("observed_on") == saved.get("observed_on")
    if not is_same_column:
        mapping = {name: value for name, value in mapping.items() if name in chosen or name not in DATE_CHOICES}
    return with_date_choices(reader, mapping, may_guess_year=not is_same_column)


def with_date_choices(reader: Reader, mapping: dict[str, str], *, may_guess_year: bool = True) -> dict[str, str]:
    """The mapping with the order of day and month, and with 1 January read as a year where it is suspiciously frequent.

    What was chosen is kept. A guess is said in the notes of the file. BadInput asks where the day and the month cannot
    be told.
    """
    column = mapping.get("observed_on")
    may_guess_year = may_guess_year and "january_first" not in mapping and "date_precision" not in mapping
    if not column or ("date_order" in mapping and not may_guess_year):
        return mapping
    told = reader.dates_told(column, ROWS_FOR_GUESSING)
    found = dict(mapping)
    if "date_order" not in mapping:
        if told.ambiguous:
            words = _(
                "The dates of %(column)s do not tell the day from the month (%(examples)s). Choose which comes first: "
                "date_order=day_first or date_order=month_first."
            )
            raise BadInput(words % {"column": column, "examples": ", ".join(told.ambiguous)})
        found |= {"date_order": told.order} if told.order else {}
    if may_guess_year and dates.is_january_first_suspicious(told.n_dated, told.n_january_first):
        words = _(
            "%(n)s of %(total)s dates in %(column)s are a 1 January, far more than one day in 365: they are read as "
            "the year alone. If they are days, choose january_first=day."
        )
        told_counts = {"n": f"{told.n_january_first:,}", "total": f"{told.n_dated:,}", "column": column}
        reader.facts.notes.append(words % told_counts)
        found["january_first"] = "year"
    return found


def distinct_counts(reader: Reader, columns: list[str]) -> dict[str, int]:
    """Distinct values of each column, over the first rows of a very long file."""
    return reader.distinct_counts(columns, ROWS_FOR_GUESSING)


def parameters_of(
    register: Register,
    mapping: dict[str, str],
    *,
    path: Path | None = None,
    upload=None,
    file_name: str = "",
    published_on: date | None = None,
) -> dict:
    """The parameters of a LOAD_REGISTER job. A path comes from a command only; people's files are named by upload."""
    where = {"upload": str(upload.uuid)} if upload else {"path": str(path.resolve())}
    source = uploads.path_of(upload) if upload else path
    published_on = published_on or (upload.published_on if upload else None)
    return where | {
        "register": register.pk,
        "published_on": published_on.isoformat() if published_on else "",
        "mapping": mapping,
        "file_name": file_name or (upload.file_name if upload else path.name),
        "file_sha256": file_sha256(source),
    }


def preview(
    path: Path,
    *,
    mapping: dict[str, str],
    register: Register | None = None,
    n_rows: int | None = None,
    reader: Reader | None = None,
) -> Preview:
    """Read the file (or its first rows) as an import would, and store nothing. A reader of it spares a process."""
    reader = reader or open_rows(path, mapping.get("sheet", ""))
    own_words = register.value_mapping if register else {}
    staging = Staging("staging_preview", temporary=True)
    with transaction.atomic():
        staging.drop()
        staging.create()
        for lines in reader.observations(mapping, own_words, batch_rows=BATCH_ROWS, n_rows=n_rows):
            if isinstance(lines, CopyLines):
                staging.copy(lines)
        staging.identify(register.pk if register else None)
        found = Preview(
            facts=reader.facts,
            tally=staging.tally(),
            refusals=staging.refusals(),
            is_whole_file=n_rows is None,
            first_rows=first_rows(reader, 5),
        )
        if register:
            found.trial = trial.of_rows(staging.name, register)
            found.meanings = meanings.of_rows(sql.Identifier(staging.name), mapping, register)
        staging.drop()
    return found


@work(Job.Kind.LOAD_REGISTER, may_be_asked=editions.check_free)
def load_register(job: RunningJob) -> dict:
    """Stage the rows in committed batches, publish them in one transaction, place the records."""
    register = Register.objects.get(pk=job.parameters["register"], project=job.job.project)
    with editions.one_change_at_a_time(register, is_resumed=job.job.n_attempts > 1):
        edition = Edition.objects.filter(job=job.job).first() or _known_edition(register, job.parameters)
        edition = edition or _stage_and_publish(job, register)
        refresh_statistics()
        with editions.said_if_cancelled(
            _("Edition %(number)d is stored, but its records are not placed everywhere yet."), edition
        ):
            settling.settle_register(register, job=job)
            carried = carry_over(register, job=job)
        editions.set_published(edition, job.parameters.get("published_on", ""))
    uploads.discard(job.parameters.get("upload"))
    tally = tally_of(edition) if edition.job_id == job.job.pk else unchanged_tally(edition)
    return _result(edition, tally, carried, job.parameters["mapping"])


def _result(edition: Edition, tally: Tally, carried: CarriedOver, mapping: dict[str, str]) -> dict:
    return {
        "edition": edition.pk,
        "number": edition.number,
        "sentence": str(tally),
        "page": reverse("labels:register", args=[edition.register.project.slug, edition.register.slug]),
        "unread_words": unread.of_edition(edition, mapping),
        "n_vanished": edition.n_vanished,
        "carried": carried.as_dict(),
    } | asdict(tally)


def tally_of(edition: Edition) -> Tally:
    """What the import of this edition did."""
    return Tally(
        edition.n_created,
        edition.n_updated,
        edition.n_unchanged,
        edition.n_refused,
        edition.n_rows,
        edition.edition_rows.filter(observation__point=None).count(),
    )


def unchanged_tally(edition: Edition) -> Tally:
    """What importing the same file again does: nothing."""
    done = tally_of(edition)
    return replace(done, n_created=0, n_updated=0, n_unchanged=done.n_created + done.n_updated + done.n_unchanged)


def refused_rows(edition: Edition) -> QuerySet:
    """(row, column, value, reason) of each row that the edition did not take."""
    return edition.refused_rows.values_list("file_row", "column", "value", "reason").order_by("file_row", "pk")


def known_edition(register: Register, file_hash: str, mapping: dict[str, str]) -> Edition | None:
    """The register's latest edition, if the same file made it under the same mapping."""
    latest = register.latest_edition()
    made_of = (file_hash, mapping_sha256(mapping, register.value_mapping))
    return latest if latest and (latest.file_sha256, latest.mapping_sha256) == made_of else None


def mapping_sha256(mapping: dict[str, str], value_mapping: dict) -> str:
    text = json.dumps([mapping, value_mapping], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _known_edition(register: Register, parameters: dict) -> Edition | None:
    return known_edition(register, parameters["file_sha256"], parameters["mapping"])


def _stage_and_publish(job: RunningJob, register: Register) -> Edition:
    drop_abandoned()
    staging = Staging(f"staging_register_{job.job.pk}")
    # The words of a register may be answered anew while its import runs: rows are read, and named, by one set of them.
    read_as = mapping_sha256(job.parameters["mapping"], register.value_mapping)
    staging.create(read_as)
    _stage(job, staging, register)
    job.begin(_("publishing"))
    return _publish(job, staging, register, read_as)


def _stage(job: RunningJob, staging: Staging, register: Register) -> None:
    path = file_of(job.parameters)
    if file_sha256(path) != job.parameters["file_sha256"]:
        raise BadInput(_("The file changed after its import was asked for; ask again."))
    n_done = staging.n_rows()
    mapping = job.parameters["mapping"]
    job.begin(_("reading rows"))
    reader = open_rows(path, mapping.get("sheet", ""))
    n_total = None
    for found in reader.observations(mapping, register.value_mapping, after=staging.last_row(), batch_rows=BATCH_ROWS):
        if not isinstance(found, CopyLines):
            n_total = found
            continue
        with transaction.atomic():
            job.still_mine()
            staging.copy(found)
        n_done += found.n_rows
        job.progress(n_done, n_total)


def file_of(parameters: dict) -> Path:
    """The file that a job reads."""
    path = uploads.path_from_uuid(parameters["upload"]) if "upload" in parameters else Path(parameters["path"])
    if not path.is_file():
        raise BadInput(_("The file %(name)s is no longer there; send it again.") % {"name": parameters["file_name"]})
    return path


@transaction.atomic
def _publish(job: RunningJob, staging: Staging, register: Register, read_as: str) -> Edition:
    register = Register.objects.select_for_update().get(pk=register.pk)
    staging.identify(register.pk)
    tally = staging.tally()
    if not tally.n_rows:
        raise BadInput(_("The file has no rows under its header."))
    edition = _edition(register, job, tally, read_as)
    staging.publish(register.pk, edition.pk)
    edition.n_vanished = editions.count_vanished(edition)
    edition.save(update_fields=["n_vanished"])
    Register.objects.filter(pk=register.pk).update(column_mapping=job.parameters["mapping"])
    staging.drop()
    job.still_mine()
    return edition


def _edition(register: Register, job: RunningJob, tally: Tally, read_as: str) -> Edition:
    now = timezone.now()
    return Edition.objects.create(
        register=register,
        number=(register.editions.aggregate(last=Max("number"))["last"] or 0) + 1,
        published_on=job.parameters.get("published_on") or None,
        file_name=job.parameters["file_name"][:255],
        file_sha256=job.parameters["file_sha256"],
        mapping_sha256=read_as,
        job=job.job,
        loaded_at=now,
        completed_at=now,
        n_rows=tally.n_rows,
        n_created=tally.n_created,
        n_updated=tally.n_updated,
        n_unchanged=tally.n_unchanged,
        n_refused=tally.n_refused,
    )
