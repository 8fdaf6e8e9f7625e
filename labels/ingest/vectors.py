"""Workbooks, zipped shapefiles, GeoPackages and KML, read by GDAL with the one driver that is needed.

Only the reading process (labels.ingest.child) imports this: GDAL never meets a stranger's file in a worker.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.ingest import archives, crs, formats
from labels.ingest.archives import SheetNeeded
from labels.ingest.headings import LOOKED_AT, distinct, find_heading
from labels.ingest.raw import MAX_COLUMNS, Facts, RawRow
from labels.ingest.shapes import too_many_corners
from labels.ingest.tables import rows_under, too_long, unstorable
from labels.ingest.wkb import NoShape, as_geojson

BATCH_ROWS = 500
# What KML says of the look of a place.
LOOKS = {"kml_id", "altitudeMode", "tessellate", "extrude", "visibility", "drawOrder", "icon", "snippet"}
OPTIONS = {
    "OGR_XLSX_HEADERS": "DISABLE",
    "OGR_XLSX_FIELD_TYPES": "STRING",
    "LIBKML_ID_FIELD": "kml_id",
    "PROJ_NETWORK": "OFF",
    "PROJ_CURL_ENABLED": "OFF",
}
OTHER_KINDS = {"gpkg": ("GPKG", "GeoPackage"), "kml": ("LIBKML", "KML")}


class VectorReader:
    """One table of a file; `folder` is an empty one of ours, for what has to be unpacked."""

    def __init__(self, path: Path, head: bytes, sheet: str, *, folder: Path, drivers: list[str], unpacked_mib: int):
        self.path, self.driver, name, sheets = _prepared(path, formats.gdal_kind(head), sheet, folder, unpacked_mib)
        self.pyogrio = _only(self.driver, drivers)
        with self._errors(name):
            layers = [str(layer) for layer, _kind in self.pyogrio.list_layers(self.path)]
            if not layers:
                raise BadInput(_("The file holds no table."))
            self.layer = _layer(layers, sheet if self.driver != "ESRI Shapefile" else "")
        sheets = sheets or (layers if len(layers) > 1 else [])
        self.facts = Facts(name, [], sheets=sheets, sheet=sheet if len(sheets) > 1 else "")
        self.name = name
        self._look()

    def _look(self) -> None:
        """Find out columns and coordinate system."""
        with self._open() as (meta, batches):
            self.facts.has_geometry = meta["geometry_type"] not in (None, "None") and self.driver != "XLSX"
            if self.driver == "ESRI Shapefile":
                self.facts.encoding = str(meta["encoding"] or "")
            fields = [str(field) for field in meta["fields"]]
            self.fields = [field for field in fields if self.driver != "LIBKML" or field not in LOOKS]
            if self.driver == "XLSX":
                self.heading = find_heading(list(islice(self._cells(batches), LOOKED_AT)))
                self.facts.columns = self.heading.columns
                self.facts.notes += self.heading.notes
            else:
                self.facts.columns = distinct([field.strip() for field in self.fields], self.facts.notes)
        if len(self.facts.columns) > MAX_COLUMNS:
            told = {"n": len(self.facts.columns), "limit": MAX_COLUMNS}
            raise BadInput(_("The file has %(n)d columns; at most %(limit)d can be read.") % told)
        if self.facts.has_geometry:
            if not meta["crs"]:
                words = _("The file does not state its coordinate system. Add it (for a shapefile, its .prj).")
                raise BadInput(words)
            self.move = crs.to_degrees(meta["crs"])

    def rows(self) -> Iterator[RawRow]:
        with self._open() as (meta, batches):
            if self.driver == "XLSX":
                yield from rows_under(self.heading, self._cells(batches), is_spreadsheet=True)
            else:
                shape = (meta["geometry_name"] or "wkb_geometry") if self.facts.has_geometry else ""
                yield from self._features(batches, shape)

    def count(self) -> int | None:
        with self._errors(self.name):
            info = self.pyogrio.read_info(self.path, layer=self.layer, force_feature_count=True)
        return max(0, int(info["features"]) - (self.heading.row if self.driver == "XLSX" else 0))

    def _cells(self, batches) -> Iterator[tuple[int, list[str]]]:
        """Rows of a workbook with their numbers."""
        row = 0
        for batch in batches:
            columns = [[_text(value) for value in batch.column(field).to_pylist()] for field in self.fields]
            for cells in zip(*columns, strict=True):
                row += 1
                yield row, list(cells)

    def _features(self, batches, shape: str) -> Iterator[RawRow]:
        file_row = 0
        for batch in batches:
            columns = [[_text(value) for value in batch.column(field).to_pylist()] for field in self.fields]
            shapes = batch.column(shape).to_pylist() if shape else [None] * batch.num_rows
            cells = zip(*columns, strict=True) if columns else ([] for _shape in shapes)
            for texts, wkb in zip(cells, shapes, strict=True):
                file_row += 1
                geometry = self._geometry(wkb)
                if geometry is None and not any(text.strip() for text in texts):
                    continue
                values = dict(zip(self.facts.columns, texts, strict=True))
                refusal = unstorable(values) or too_long(values) or too_many_corners(geometry)
                yield RawRow(file_row, values, None if refusal else geometry, refusal)

    def _geometry(self, wkb: bytes | None) -> dict | None:
        if not wkb:
            return None
        try:
            return as_geojson(wkb, self.move)
        except NoShape:
            return {"type": "damaged", "coordinates": []}

    @contextmanager
    def _open(self):
        with (
            self._errors(self.name),
            self.pyogrio.open_arrow(self.path, layer=self.layer, use_pyarrow=True, batch_size=BATCH_ROWS) as opened,
        ):
            yield opened

    @contextmanager
    def _errors(self, name: str):
        from pyogrio.errors import DataLayerError, DataSourceError

        try:
            yield
        except (DataSourceError, DataLayerError, RuntimeError, ValueError) as error:
            print(repr(error), file=sys.stderr)
            words = _("This looks like a file of the kind %(name)s, but it is damaged.")
            raise BadInput(words % {"name": name}) from error


def _prepared(path: Path, kind: str, sheet: str, folder: Path, unpacked_mib: int) -> tuple[Path, str, str, list[str]]:
    """A name of ours for the file, the one driver that may open it, the format, and the tables of an archive."""
    if kind == "zip":
        path, driver, name, sheets = archives.unpack(path, folder, sheet, unpacked_mib)
    else:
        driver, name = OTHER_KINDS[kind]
        target = folder / f"data.{kind}"
        target.symlink_to(path)
        path, sheets = target, []
    if driver == "LIBKML":
        archives.refuse_entities(path)
    return path, driver, name, sheets


def _only(driver: str, drivers: list[str]):
    """pyogrio with one driver registered: GDAL knows only a list of those to leave out."""
    os.environ["GDAL_SKIP"] = ",".join(sorted(set(drivers) - {driver}))
    import pyogrio

    left = set(pyogrio.list_drivers())
    if left != {driver}:
        print(f"drivers that must not be here: {sorted(left)[:5]}", file=sys.stderr)
        raise BadInput(_("This file cannot be opened safely on this machine, so it is not opened."))
    pyogrio.set_gdal_config_options(OPTIONS)
    return pyogrio


def _layer(layers: list[str], sheet: str) -> str:
    if sheet in layers:
        return sheet
    if sheet or len(layers) > 1:
        raise SheetNeeded(layers)
    return layers[0]


def _text(value: object) -> str:
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
