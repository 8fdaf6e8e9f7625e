"""Registers taken in from small files, for tests of what later imports do. A row is (id, lon, lat)."""

from io import StringIO
from pathlib import Path

from django.core.management import call_command
from django.db.models import Q

from labels.models import (
    Edition,
    EditionRow,
    Observation,
    Placement,
    RefusedRow,
    Register,
    SampleUnit,
    SiteRecord,
)


def write_list(path: Path, *rows: tuple, **more_columns: str) -> Path:
    """A CSV of these rows; a further column holds the same text in each row."""
    lines = [",".join(["id", "longitude", "latitude", *more_columns])]
    for row in rows:
        cells = ["" if cell is None else str(cell) for cell in row]
        lines.append(",".join([*cells, *more_columns.values()]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(command: str, *arguments: str) -> list[str]:
    """The command's lines."""
    out = StringIO()
    call_command(command, *map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue().splitlines()


def load(path: Path, *options: str, register: str = "list", project: str = "wandara") -> list[str]:
    return run("load_register", path, "--project", project, "--country", "WDR", "--register", register, *options)


def withdraw(number: int, reason: str = "the wrong file", *, register: str = "list", project: str = "wandara"):
    options = ["--project", project, "--register", register, "--edition", number, "--reason", reason]
    return run("withdraw_edition", *options)


def positions(register: Register) -> dict[str, tuple[float, float] | None]:
    placed = Placement.objects.filter(register=register).values_list("site_record__source_id", "reported_point")
    return {source_id: point.coords if point else None for source_id, point in placed}


def contents(register: Register) -> dict[str, list[tuple]]:
    """Every row of the register's evidence and placements, without the ids that a database deals out."""
    own = [f.name for f in Observation._meta.fields if f.name not in ("id", "site_record", "first_edition")]
    areas = ["admin_area", "region", "commercial_area", "protected_area", "permit_area"]
    of_observation = ["observation__site_record__source_id", "observation__row_hash", "observation__occurrence"]
    units = SampleUnit.objects.annotate(is_retired=Q(retired_at__isnull=False))
    rows = {
        "edition": Edition.objects.filter(register=register).values_list(
            "number", "published_on", "file_sha256", "mapping_sha256", "n_rows", "n_created", "n_updated",
            "n_unchanged", "n_refused", "n_vanished", "withdrawn_reason",
        ),
        "siterecord": SiteRecord.objects.filter(register=register).values_list("source_id", "first_edition__number"),
        "observation": Observation.objects.filter(site_record__register=register).values_list(
            "site_record__source_id", "first_edition__number", *own
        ),
        "editionrow": EditionRow.objects.filter(edition__register=register).values_list(
            "edition__number", "file_row", *of_observation
        ),
        "refusedrow": RefusedRow.objects.filter(edition__register=register).values_list(
            "edition__number", "file_row", "column", "value", "reason"
        ),
        "placement": Placement.objects.filter(register=register).values_list(
            "site_record__source_id", "edition__number", "reported_point", "commercial_distance_m", *of_observation,
            *(f"{area}__name" for area in areas),
        ),
        "unit": units.filter(site_record__register=register).values_list(
            "audit__slug", "site_record__source_id", *of_observation, "queue", "stratum", "inclusion_probability",
            "is_retired", "assignments__state",
        ),
    }  # fmt: skip
    return {name: sorted((_plain(row) for row in found), key=repr) for name, found in rows.items()}


def _plain(row: tuple) -> tuple:
    return tuple(bytes(c) if isinstance(c, memoryview) else c.hex if hasattr(c, "hexewkb") else c for c in row)
