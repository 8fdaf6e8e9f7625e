"""Making the flags of registers anew. The only writer of RecordFlag; every row can be dropped and remade."""

from collections.abc import Iterator

from django.db import connection, transaction
from django.utils.translation import gettext as _

from labels.flags.rules import RULES, THRESHOLDS
from labels.flags.sources import PLACED, Source, staged
from labels.flags.surroundings import N_STEPS, clear_away, lay_out, run
from labels.jobs import RunningJob
from labels.models import Project, Register

LOCK = 7415  # advisory lock: two flaggings of one project take turns, so that the later one's answer stays

FOUND = "CREATE TEMP TABLE doubt_found (site_record_id bigint, register_id bigint, code text, detail jsonb)"

FIND = """
INSERT INTO doubt_found SELECT found.id, found.register_id, %(code)s, found.detail
FROM (RULE) AS found(id, register_id, detail)
"""

FORGET = """
DELETE FROM labels_recordflag flag
WHERE flag.register_id = ANY(%(registers)s) AND NOT EXISTS (
    SELECT FROM doubt_found found WHERE found.site_record_id = flag.site_record_id AND found.code = flag.code
)
"""

WRITE = """
INSERT INTO labels_recordflag (site_record_id, register_id, code, detail)
SELECT site_record_id, register_id, code, detail FROM doubt_found found
WHERE NOT EXISTS (
    SELECT FROM labels_recordflag flag WHERE flag.site_record_id = found.site_record_id
    AND flag.code = found.code AND flag.detail = found.detail
)
ORDER BY site_record_id
ON CONFLICT (site_record_id, code) DO UPDATE SET detail = excluded.detail
"""


def flag_records(
    *, register: Register | None = None, project: Project | None = None, job: RunningJob | None = None
) -> dict[str, int]:
    """Make the flags of a register, or of all registers of a project, anew; returns how many records each code has.

    Call it after placing: after each import or withdrawal, and after areas were loaded. Only differences are written,
    in one short transaction at the end.
    """
    project = register.project if register else project
    registers = list(project.registers.filter(pk=register.pk) if register else project.registers.order_by("pk"))
    if job:
        job.begin(_("looking for what seems wrong"), N_STEPS + len(RULES) + 1)
    key = [LOCK, project.pk % 2**31]
    run("SELECT pg_advisory_lock(%s, %s)", key)
    try:
        told = {"registers": [register.pk for register in registers]}
        for step, _cursor in enumerate(_find(project, registers, PLACED, told), start=1):
            if job:
                job.progress(step)
        return _write([register.pk for register in registers], job)
    finally:
        clear_away()
        if not connection.needs_rollback:
            run("SELECT pg_advisory_unlock(%s, %s)", key)


def preview_flags(table: str, *, project: Project | None, register: Register | None) -> dict[str, int]:
    """How many staged rows of a file would be flagged, by code; stores nothing.

    `table` is one of labels.ingest.staging. Without a project yet there are no areas, and nothing is said of regions;
    the register, which may not be saved yet, lends its words for regions.
    """
    registers = [register] if register else []
    told = {"register": (register and register.pk) or 0}
    try:
        for _cursor in _find(project, registers, staged(table), told):
            pass
        return _counts()
    finally:
        clear_away()


def _find(project: Project | None, registers: list[Register], source: Source, told: dict) -> Iterator:
    yield from lay_out(project.pk if project else None, registers, source, told)
    run(FOUND)
    for code, rule in RULES.items():
        yield run(FIND.replace("RULE", rule), THRESHOLDS | {"code": code})
    yield run("CREATE INDEX ON doubt_found (site_record_id, code); ANALYZE doubt_found")


@transaction.atomic
def _write(registers: list[int], job: RunningJob | None) -> dict[str, int]:
    run(FORGET, {"registers": registers})
    run(WRITE)
    if job:
        job.still_mine()
    return _counts()


def _counts() -> dict[str, int]:
    return dict(run("SELECT code, count(*) FROM doubt_found GROUP BY code ORDER BY code").fetchall())
