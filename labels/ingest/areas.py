"""Taking reference polygons in: provinces, commercial mines, protected and permit areas, as layers with versions."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.contrib.gis.geos import MultiPolygon
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg import sql

from labels import placement
from labels.errors import BadInput
from labels.ingest import uploads
from labels.ingest.headers import folded
from labels.ingest.readers import RawRow, Reader, file_sha256, open_rows
from labels.ingest.refusals import Refusal, RowRefused
from labels.ingest.registers import file_of
from labels.ingest.shapes import polygons_from_geojson, refuse
from labels.ingest.staging import batches
from labels.jobs import RunningJob, work
from labels.models import Job, Project, ReferenceArea, ReferenceLayer
from labels.models.areas import AreaKind

BATCH_AREAS = 500
SHOWN = 500
MAX_NAME = 300

_name = re.compile(
    r"name|nom|nome|nombre|nam|shapename|area name|site name|name (en|fr|pt|es)|(name|nom|nome|nombre) ?[0-5]"
    r"|adm[0-5] ?(name|nom|en|fr|pt|es)"
)
_code = re.compile(r"iso( ?a3| ?3166 ?2)?|shapeiso|code|pcode|adm[0-5] ?p?code|hasc( ?[0-5])?|cod|codigo")

# What the shapes are staged in while a job reads them; it vanishes with the job's connection.
STAGED = """
CREATE TEMP TABLE staged_area (
    file_row integer PRIMARY KEY, name text, code text, attributes jsonb, stated geometry(MultiPolygon, 4326)
)
"""

# Mending is PostGIS's ST_MakeValid; lines and points that it leaves over are dropped. What was mended is reported.
MEND = """
ALTER TABLE staged_area ADD geometry geometry(MultiPolygon, 4326), ADD mended text;
UPDATE staged_area SET
    mended = CASE WHEN ST_IsValid(stated) THEN '' ELSE split_part(ST_IsValidReason(stated), '[', 1) END,
    geometry = CASE WHEN ST_IsValid(stated) THEN stated
                    ELSE ST_Multi(ST_CollectionExtract(ST_MakeValid(stated), 3)) END
"""

PUBLISH = """
INSERT INTO labels_referencearea (layer_id, name, code, geometry, area_km2, attributes)
SELECT %s, name, code, geometry, ST_Area(geometry::geography) / 1e6, attributes
FROM staged_area WHERE NOT ST_IsEmpty(geometry) ORDER BY file_row
"""

SAME_NAMES = """
SELECT NOT EXISTS (
    (SELECT name, code, count(*) FROM staged_area WHERE NOT ST_IsEmpty(geometry) GROUP BY 1, 2
     EXCEPT SELECT name, code, count(*) FROM labels_referencearea WHERE layer_id = %(layer)s GROUP BY 1, 2)
    UNION ALL
    (SELECT name, code, count(*) FROM labels_referencearea WHERE layer_id = %(layer)s GROUP BY 1, 2
     EXCEPT SELECT name, code, count(*) FROM staged_area WHERE NOT ST_IsEmpty(geometry) GROUP BY 1, 2)
)
"""


def guess_name_field(columns: Iterable[str]) -> str:
    """The property that names an area; empty where none does. Several are asked about, never chosen from."""
    candidates = [c for c in columns if _name.fullmatch(folded(c))]
    if len(candidates) > 1:
        raise BadInput(f"Several properties could be the name: {', '.join(candidates)}. Choose with --name-field NAME.")
    return candidates[0] if candidates else ""


def guess_code_field(columns: Iterable[str]) -> str:
    """The property that holds an official code, if exactly one does."""
    candidates = [c for c in columns if _code.fullmatch(folded(c))]
    return candidates[0] if len(candidates) == 1 else ""


def parameters_of(
    *,
    kind: str,
    layer: str = "",
    level: int = 1,
    name_field: str | None = None,
    code_field: str | None = None,
    path: Path | None = None,
    upload=None,
) -> dict:
    """The parameters of a LOAD_AREAS job; fields that are None are guessed, so that a question comes at once."""
    source = uploads.path_of(upload) if upload else path
    file_name = upload.file_name if upload else path.name
    reader = open_polygons(source)
    columns = reader.facts.columns
    for field in filter(None, (name_field, code_field)):
        if field not in columns:
            raise BadInput(f"The shapes have no property {field!r}; they have {', '.join(columns) or 'none'}.")
    where = {"upload": str(upload.uuid)} if upload else {"path": str(path.resolve())}
    return where | {
        "kind": AreaKind(kind).value,
        "layer": (layer or Path(file_name).stem)[:200],
        "level": level,
        "name_field": guess_name_field(columns) if name_field is None else name_field,
        "code_field": guess_code_field(columns) if code_field is None else code_field,
        "file_name": file_name,
        "file_sha256": file_sha256(source),
    }


def open_polygons(path: Path) -> Reader:
    reader = open_rows(path)
    if not reader.facts.has_geometry:
        raise BadInput(
            _("This is %(format)s, which holds no polygons; give GeoJSON.") % {"format": reader.facts.format}
        )
    return reader


@work(Job.Kind.LOAD_AREAS)
def load_areas(job: RunningJob) -> dict:
    """Read the shapes, mend them, publish the layer in one transaction, place the project's records anew."""
    refused = _stage(job)
    n_unchanged = 0
    job.begin(_("publishing"))
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=job.job.project_id)
        _mend()
        report = _report(refused)
        layer = _same_layer(project, job.parameters)
        if layer:
            n_unchanged = layer.areas.count()
        else:
            layer = _publish(project, job.parameters)
        _run("DROP TABLE staged_area")
        job.still_mine()
    n_areas = layer.areas.count()
    placement.place_records(project=project, job=job)
    uploads.discard(job.parameters.get("upload"))
    line = _("%(loaded)d areas loaded, %(unchanged)d unchanged, %(refused)d refused") % {
        "loaded": n_areas - n_unchanged,
        "unchanged": n_unchanged,
        "refused": len(refused),
    }
    page = {"page": reverse("labels:areas", args=[project.slug]), "layer": layer.pk, "sentence": line}
    return page | {"n_areas": n_areas, "n_refused": len(refused)} | report


def _stage(job: RunningJob) -> list[tuple[int, Refusal]]:
    """Read the file into a temporary table; returns the refused shapes."""
    path = file_of(job.parameters)
    if file_sha256(path) != job.parameters["file_sha256"]:
        raise BadInput(_("The file changed after its import was asked for; ask again."))
    _run("DROP TABLE IF EXISTS pg_temp.staged_area")
    _run(STAGED)
    job.begin(_("reading shapes"))
    refused: list[tuple[int, Refusal]] = []
    n_done = 0
    for batch in batches(open_polygons(path).rows(), BATCH_AREAS):
        _copy(_taken(batch, job.parameters, refused))
        n_done += len(batch)
        job.progress(n_done)
    if n_done == len(refused):
        raise BadInput(_nothing_taken(n_done, refused))
    return refused


def _nothing_taken(n_rows: int, refused: list[tuple[int, Refusal]]) -> str:
    if not refused:
        return "The file holds no shapes."
    row, refusal = refused[0]
    told = {"n": f"{n_rows:,}", "row": row, "reason": refusal.reason}
    return _("None of the %(n)s shapes can be taken in; shape %(row)s: %(reason)s.") % told


def _taken(batch: list[RawRow], parameters: dict, refused: list[tuple[int, Refusal]]) -> Iterator[tuple]:
    for raw in batch:
        try:
            yield _area(raw, parameters)
        except RowRefused as row_refused:
            refused.append((raw.file_row, row_refused.refusal))


def _area(raw: RawRow, parameters: dict) -> tuple:
    if raw.refusal:
        raise RowRefused(raw.refusal)
    shape: MultiPolygon = polygons_from_geojson(raw.geometry)
    name = raw.values.get(parameters["name_field"], "").strip()
    code = raw.values.get(parameters["code_field"], "").strip()
    if len(name) > MAX_NAME or len(code) > 100:
        raise refuse(
            parameters["name_field"],
            name,
            _("the name is longer than %(n)d or the code than 100 characters") % {"n": MAX_NAME},
        )
    attributes = json.dumps({column: value for column, value in raw.values.items() if value}, ensure_ascii=False)
    return raw.file_row, name, code, attributes, shape.hexewkb.decode()


def _copy(rows: Iterable[tuple]) -> None:
    with connection.cursor() as cursor, cursor.copy("COPY staged_area FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _mend() -> None:
    _run(MEND)
    _run("ANALYZE staged_area")


def _report(refused: list[tuple[int, Refusal]]) -> dict:
    """What was mended, named by us or refused. Holds no coordinates: job rows are read by operators."""
    mended = _run("SELECT file_row, name, mended FROM staged_area WHERE mended <> '' ORDER BY file_row").fetchall()
    unnamed = [row for (row,) in _run("SELECT file_row FROM staged_area WHERE name = '' ORDER BY file_row").fetchall()]
    _run("UPDATE staged_area SET name = 'unnamed (shape ' || file_row || ')' WHERE name = ''")
    return {
        "n_mended": len(mended),
        "mended": [{"row": row, "name": name, "reason": reason} for row, name, reason in mended[:SHOWN]],
        "n_unnamed": len(unnamed),
        "unnamed": unnamed[:SHOWN],
        "refused": [{"row": row, "reason": refusal.reason} for row, refusal in refused[:SHOWN]],
    }


def _same_layer(project: Project, parameters: dict) -> ReferenceLayer | None:
    """The current layer of that name, if it came from this file read in the same way."""
    layer = _current_layer(project, parameters)
    if layer is None or (layer.file_sha256, layer.level) != (parameters["file_sha256"], parameters["level"]):
        return None
    return layer if _run(SAME_NAMES, {"layer": layer.pk}).fetchone()[0] else None


def _current_layer(project: Project, parameters: dict) -> ReferenceLayer | None:
    return project.reference_layers.filter(
        kind=parameters["kind"], name=parameters["layer"], retired_at__isnull=True
    ).first()


def _publish(project: Project, parameters: dict) -> ReferenceLayer:
    """A new version of the layer; the one of the same name retires."""
    now = timezone.now()
    project.reference_layers.filter(kind=parameters["kind"], name=parameters["layer"], retired_at__isnull=True).update(
        retired_at=now
    )
    layer = ReferenceLayer.objects.create(
        project=project,
        kind=parameters["kind"],
        name=parameters["layer"],
        level=parameters["level"],
        file_name=parameters["file_name"][:255],
        file_sha256=parameters["file_sha256"],
        loaded_at=now,
    )
    _run(PUBLISH, [layer.pk])
    if not ReferenceArea.objects.filter(layer=layer).exists():
        raise BadInput(_("No area is left: every shape is without extent."))
    return layer


def _run(statement: str, parameters: object = None):
    cursor = connection.cursor()
    cursor.execute(sql.SQL(statement), parameters)
    return cursor
