"""Taking reference polygons in: provinces, mines, protected and permit areas, terrain, as layers with versions."""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

from django.contrib.gis.geos import MultiPolygon
from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from psycopg import sql

from labels import settling
from labels.errors import BadInput
from labels.ingest import hierarchy, uploads
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
    file_row integer PRIMARY KEY, name text, code text, stated_parent text, attributes jsonb,
    stated geometry(MultiPolygon, 4326)
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
INSERT INTO labels_referencearea (layer_id, name, code, parent_id, geometry, area_km2, attributes)
SELECT %s, name, code, parent_id, geometry, ST_Area(geometry::geography) / 1e6, attributes
FROM staged_area WHERE NOT ST_IsEmpty(geometry) ORDER BY file_row
"""

SAME_AREAS = """
SELECT NOT EXISTS (
    (SELECT name, code, parent_id, count(*) FROM staged_area WHERE NOT ST_IsEmpty(geometry) GROUP BY 1, 2, 3
     EXCEPT SELECT name, code, parent_id, count(*) FROM labels_referencearea WHERE layer_id = %(layer)s
     GROUP BY 1, 2, 3)
    UNION ALL
    (SELECT name, code, parent_id, count(*) FROM labels_referencearea WHERE layer_id = %(layer)s GROUP BY 1, 2, 3
     EXCEPT SELECT name, code, parent_id, count(*) FROM staged_area WHERE NOT ST_IsEmpty(geometry)
     GROUP BY 1, 2, 3)
)
"""


class NameAsked(BadInput):
    """Several properties could name the areas: one has to be chosen."""


def guess_name_field(columns: Iterable[str]) -> str:
    """The property that names an area; empty where none does. Several are asked about, never chosen from."""
    candidates = [c for c in columns if _name.fullmatch(folded(c))]
    if len(candidates) > 1:
        words = _("Several properties could be the name: %(names)s. Choose one of them (--name-field NAME).")
        raise NameAsked(words % {"names": ", ".join(candidates)})
    return candidates[0] if candidates else ""


def guess_code_field(columns: Iterable[str]) -> str:
    """The property that holds an official code, if exactly one does."""
    candidates = [c for c in columns if _code.fullmatch(folded(c))]
    return candidates[0] if len(candidates) == 1 else ""


def parameters_of(
    *,
    kind: str,
    layer: str = "",
    level: int | None = None,
    name_field: str | None = None,
    code_field: str | None = None,
    sheet: str = "",
    parent: ReferenceLayer | None = None,
    parent_field: str = "",
    valid_from: date | None = None,
    valid_to: date | None = None,
    path: Path | None = None,
    upload=None,
) -> dict:
    """The parameters of a LOAD_AREAS job; fields that are None are guessed, so that a question comes at once."""
    source = uploads.path_of(upload) if upload else path
    file_name = upload.file_name if upload else path.name
    layer = (layer or Path(file_name).stem)[:200]
    reader = open_polygons(source, sheet)
    columns = reader.facts.columns
    for field in filter(None, (name_field, code_field, parent_field)):
        if field not in columns:
            words = _("The shapes have no property '%(field)s'; they have %(columns)s.")
            raise BadInput(words % {"field": field, "columns": ", ".join(columns) or _("none")})
    name_field = guess_name_field(columns) if name_field is None else name_field
    if kind == AreaKind.TERRAIN:
        _check_terrain(name_field, columns, parent)
    _check_dates(valid_from, valid_to)
    where = {"upload": str(upload.uuid)} if upload else {"path": str(path.resolve())}
    return where | {
        "kind": AreaKind(kind).value,
        "layer": layer,
        "level": _level(level, parent, kind, layer, parent_field),
        "name_field": name_field,
        "code_field": guess_code_field(columns) if code_field is None else code_field,
        "sheet": reader.facts.sheet,
        "parent": {"kind": parent.kind, "name": parent.name} if parent else None,
        "parent_field": parent_field,
        "valid_from": valid_from.isoformat() if valid_from else None,
        "valid_to": valid_to.isoformat() if valid_to else None,
        "file_name": file_name,
        "file_sha256": file_sha256(source),
    }


def _check_terrain(name_field: str, columns: Iterable[str], parent: ReferenceLayer | None) -> None:
    """Terrain says nothing but its name, the class, which polygons share; nothing holds it or hangs under it."""
    if not name_field:
        words = _(
            "Terrain is told by its names: choose the property that names the class of each polygon (--name-field "
            "NAME); there are %(names)s."
        )
        raise NameAsked(words % {"names": ", ".join(columns) or _("none")})
    if parent is not None:
        raise BadInput(_("Terrain hangs under no other areas: leave the parent out."))


def _check_dates(valid_from: date | None, valid_to: date | None) -> None:
    if valid_from and valid_to and valid_from > valid_to:
        raise BadInput(_("These boundaries would end before they begin: exchange the two dates."))


def _level(level: int | None, parent: ReferenceLayer | None, kind: str, layer: str, parent_field: str) -> int:
    if parent is None:
        if parent_field:
            raise BadInput(_("A property that names the parent needs the layer of the parents (--parent LAYER)."))
        return 1 if level is None else level
    if parent.kind == AreaKind.TERRAIN:
        raise BadInput(_("Nothing hangs under terrain: choose a layer of other areas as the parent."))
    if (parent.kind, parent.name) == (kind, layer):
        raise BadInput(_("A layer cannot be its own parent: give the layer another name."))
    if level is not None and level <= parent.level:
        words = _("%(parent)s has level %(level)d: what hangs under it has a deeper one.")
        raise BadInput(words % {"parent": parent.name, "level": parent.level})
    return parent.level + 1 if level is None else level


def open_polygons(path: Path, sheet: str = "") -> Reader:
    reader = open_rows(path, sheet)
    if not reader.facts.has_geometry:
        raise BadInput(
            _("This is %(format)s, which holds no polygons; give GeoJSON, a zipped shapefile, GeoPackage or KML.")
            % {"format": reader.facts.format}
        )
    return reader


@work(Job.Kind.LOAD_AREAS)
def load_areas(job: RunningJob) -> dict:
    """Read the shapes, mend them, publish the layer in one transaction; place the records anew, but for terrain."""
    refused = _stage(job)
    n_unchanged = 0
    job.begin(_("publishing"))
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=job.job.project_id)
        parent = _parent(project, job.parameters)
        _mend()
        report = _report(refused, parent)
        layer = _same_layer(project, parent, job.parameters)
        if layer:
            n_unchanged = layer.areas.count()
            _set_dates(layer, job.parameters)
        else:
            layer = _publish(project, parent, job.parameters)
        _run("DROP TABLE staged_area")
        job.still_mine()
    n_areas = layer.areas.count()
    if layer.kind != AreaKind.TERRAIN:  # nothing that is known of records depends on it
        settling.settle_project(project, job=job)
    uploads.discard(job.parameters.get("upload"))
    line = _("%(loaded)d areas loaded, %(unchanged)d unchanged, %(refused)d refused") % {
        "loaded": n_areas - n_unchanged,
        "unchanged": n_unchanged,
        "refused": len(refused),
    }
    remarks = _remarks(report, layer)
    page = {
        "page": reverse("labels:areas", args=[project.slug]),
        "layer": layer.pk,
        "sentence": " ".join([f"{line}.", *remarks]) if remarks else line,
        "tally": line,
        "remarks": remarks,
    }
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
    for batch in batches(open_polygons(path, job.parameters.get("sheet", "")).rows(), BATCH_AREAS):
        _copy(_taken(batch, job.parameters, refused))
        n_done += len(batch)
        job.progress(n_done)
    if n_done == len(refused):
        raise BadInput(_nothing_taken(n_done, refused))
    return refused


def _nothing_taken(n_rows: int, refused: list[tuple[int, Refusal]]) -> str:
    if not refused:
        return _("The file holds no shapes.")
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
    stated_parent = raw.values.get(parameters.get("parent_field", ""), "").strip()
    if len(name) > MAX_NAME or len(code) > 100:
        raise refuse(
            parameters["name_field"],
            name,
            _("the name is longer than %(n)d or the code than 100 characters") % {"n": MAX_NAME},
        )
    if not name and parameters["kind"] == AreaKind.TERRAIN:
        raise refuse(parameters["name_field"], name, _("it has no name, which is all that terrain says"))
    attributes = json.dumps({column: value for column, value in raw.values.items() if value}, ensure_ascii=False)
    return raw.file_row, name, code, stated_parent, attributes, shape.hexewkb.decode()


def _copy(rows: Iterable[tuple]) -> None:
    with connection.cursor() as cursor, cursor.copy("COPY staged_area FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _mend() -> None:
    _run(MEND)
    _run("ANALYZE staged_area")


def _report(refused: list[tuple[int, Refusal]], parent: ReferenceLayer | None) -> dict:
    """What was mended, named by us, refused, or hangs in doubt under its parents.

    Holds no coordinates: job rows are read by operators.
    """
    mended = _run("SELECT file_row, name, mended FROM staged_area WHERE mended <> '' ORDER BY file_row").fetchall()
    unnamed = [row for (row,) in _run("SELECT file_row FROM staged_area WHERE name = '' ORDER BY file_row").fetchall()]
    _run("UPDATE staged_area SET name = 'unnamed (shape ' || file_row || ')' WHERE name = ''")
    hierarchy.hang(parent)
    doubts = hierarchy.doubts() if parent else []
    return {
        "n_outside": sum(each["doubt"] == "outside" for each in doubts),
        "n_doubts": len(doubts),
        "doubts": doubts[:SHOWN],
        "n_mended": len(mended),
        "mended": [{"row": row, "name": name, "reason": reason} for row, name, reason in mended[:SHOWN]],
        "n_unnamed": len(unnamed),
        "unnamed": unnamed[:SHOWN],
        "refused": [{"row": row, "reason": refusal.reason} for row, refusal in refused[:SHOWN]],
    }


def _parent(project: Project, parameters: dict) -> ReferenceLayer | None:
    """The layer asked for, in its version of now."""
    asked = parameters.get("parent")
    return hierarchy.find_parent(project, asked["name"], asked["kind"]) if asked else None


def _same_layer(project: Project, parent: ReferenceLayer | None, parameters: dict) -> ReferenceLayer | None:
    """The current layer of that name, if it came from this file read in the same way; of older boundaries their own."""
    versions = _versions(project, parameters)
    current = versions.filter(retired_at__isnull=True).first()
    layer = current
    if current and _is_older(current, parameters):
        layer = versions.filter(valid_to=parameters["valid_to"]).order_by("-version").first()
    made_of = (parameters["file_sha256"], parameters["level"], parent.pk if parent else None)
    if layer is None or (layer.file_sha256, layer.level, layer.parent_id) != made_of:
        return None
    return layer if _run(SAME_AREAS, {"layer": layer.pk}).fetchone()[0] else None


def _versions(project: Project, parameters: dict) -> QuerySet[ReferenceLayer]:
    return project.reference_layers.filter(kind=parameters["kind"], name=parameters["layer"])


def _is_older(current: ReferenceLayer, parameters: dict) -> bool:
    """Whether these boundaries ended before the current ones did: they are kept as history and retire nothing."""
    valid_to = parameters.get("valid_to")
    return bool(valid_to) and (current.valid_to is None or date.fromisoformat(valid_to) < current.valid_to)


def _set_dates(layer: ReferenceLayer, parameters: dict) -> None:
    """The same boundaries may be dated later; a date that is not given stays."""
    given = {name: parameters[name] for name in ("valid_from", "valid_to") if parameters.get(name)}
    valid_from, valid_to = (given.get(name) or getattr(layer, name) for name in ("valid_from", "valid_to"))
    if valid_from and valid_to and str(valid_from) > str(valid_to):
        raise BadInput(_("These boundaries would end before they begin: exchange the two dates."))
    if given:
        ReferenceLayer.objects.filter(pk=layer.pk).update(**given)


def _publish(project: Project, parent: ReferenceLayer | None, parameters: dict) -> ReferenceLayer:
    """A new version of the layer; the current one of the same name retires, unless the new one is its past."""
    now = timezone.now()
    versions = _versions(project, parameters)
    before = versions.filter(retired_at__isnull=True).first()
    is_past = before is not None and _is_older(before, parameters)
    if before and not is_past:
        versions.filter(pk=before.pk).update(retired_at=now)
    layer = ReferenceLayer.objects.create(
        project=project,
        kind=parameters["kind"],
        name=parameters["layer"],
        level=parameters["level"],
        version=(versions.aggregate(last=Max("version"))["last"] or 0) + 1,
        valid_from=parameters.get("valid_from"),
        valid_to=parameters.get("valid_to"),
        parent=parent,
        file_name=parameters["file_name"][:255],
        file_sha256=parameters["file_sha256"],
        loaded_at=now,
        retired_at=now if is_past else None,
    )
    _run(PUBLISH, [layer.pk])
    if not ReferenceArea.objects.filter(layer=layer).exists():
        raise BadInput(_("No area is left: every shape is without extent."))
    if before and not is_past:
        hierarchy.hang_again(before, layer)
    return layer


def _remarks(report: dict, layer: ReferenceLayer) -> list[str]:
    """What a person should know beside the counts."""
    remarks = []
    if layer.retired_at and layer.valid_to:
        remarks.append(_("These are older boundaries than the current ones, which stay."))
    if report["n_outside"]:
        words = ngettext("%(n)d area lies in no parent.", "%(n)d areas lie in no parent.", report["n_outside"])
        remarks.append(words % {"n": report["n_outside"]})
    return remarks


def _run(statement: str, parameters: object = None):
    cursor = connection.cursor()
    cursor.execute(sql.SQL(statement), parameters)
    return cursor
