"""The process that opens a register of a stranger: `python -m labels.ingest.child`, started by `confined` only.

It knows no Django, no database and no secret. It reads one request (JSON) and writes lines of JSON: {"facts": …}, then
where asked {"rows": [[values, geometry], …]} and {"end": true}; or {"refused": "sentence"}, or {"sheets": [names]}.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from labels import isolation
from labels.ingest import archives
from labels.ingest.archives import FileRefused, SheetNeeded
from labels.ingest.wkb import Corners, NoShape, as_geojson

BATCH_ROWS = 500
# What KML says of the look of a place.
LOOKS = {"kml_id", "altitudeMode", "tessellate", "extrude", "visibility", "drawOrder", "icon", "snippet"}
OPTIONS = {
    "OGR_XLSX_HEADERS": "FORCE",
    "OGR_XLSX_FIELD_TYPES": "STRING",
    "LIBKML_ID_FIELD": "kml_id",
    "PROJ_NETWORK": "OFF",
    "PROJ_CURL_ENABLED": "OFF",
}


def main() -> int:
    answers = isolation.own_output()
    request = json.load(sys.stdin)
    isolation.die_with(request["parent"])
    isolation.limit(request["memory_mib"], request["cpu_s"], request["file_mib"])
    try:
        for line in _answers(request):
            answer(answers, line)
    except FileRefused as error:
        answer(answers, {"refused": str(error)})
    except SheetNeeded as error:
        answer(answers, {"sheets": error.sheets})
    except MemoryError:
        answer(answers, {"refused": "The file needs more memory than a reader may have. Cut it into parts."})
    return 0


def answer(answers: TextIO, line: dict) -> None:
    answers.write(json.dumps(line) + "\n")
    answers.flush()


def _answers(request: dict) -> Iterator[dict]:
    path, driver, name, sheets = _prepared(request)
    pyogrio = _only(driver, request["drivers"])
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        layers = [str(layer) for layer, _ in pyogrio.list_layers(path)]
        if not layers:
            raise FileRefused("The file holds no table.")
        layer = _layer(layers, request["sheet"] if driver != "ESRI Shapefile" else "")
        sheets = sheets or (layers if len(layers) > 1 else [])
        yield from _rows(pyogrio, path, driver, name, layer, sheets, request["with_rows"])
    except (DataSourceError, DataLayerError, RuntimeError, UnicodeDecodeError) as error:
        print(error, file=sys.stderr)
        raise FileRefused(f"This looks like a file of the kind {name}, but it is damaged.") from error


def _prepared(request: dict) -> tuple[Path, str, str, list[str]]:
    """A name of ours for the file, and the one driver that may open it."""
    path, folder = Path(request["path"]), Path(request["folder"])
    if request["kind"] == "zip":
        path, driver, name, sheets = archives.unpack(path, folder, request["sheet"], request["unpacked_mib"])
    else:
        driver, name = {"gpkg": ("GPKG", "GeoPackage"), "kml": ("LIBKML", "KML")}[request["kind"]]
        target = folder / f"data.{request['kind']}"
        target.symlink_to(path)
        path, sheets = target, []
    if driver == "LIBKML":
        _refuse_entities(path)
    return path, driver, name, sheets


def _refuse_entities(path: Path) -> None:
    with path.open("rb") as file:
        tail = b""
        while chunk := file.read(archives.CHUNK):
            archives.refuse_dtd(tail + chunk)
            tail = chunk[-16:]


def _only(driver: str, drivers: list[str]):
    """pyogrio with one driver registered: GDAL knows only a list of those to leave out."""
    os.environ["GDAL_SKIP"] = ",".join(sorted(set(drivers) - {driver}))
    import pyogrio

    left = set(pyogrio.list_drivers())
    if left != {driver}:
        raise RuntimeError(f"drivers that must not be here: {sorted(left)[:5]}")
    pyogrio.set_gdal_config_options(OPTIONS)
    return pyogrio


def _layer(layers: list[str], sheet: str) -> str:
    if sheet in layers:
        return sheet
    if sheet or len(layers) > 1:
        raise SheetNeeded(layers)
    return layers[0]


def _rows(
    pyogrio, path: Path, driver: str, name: str, layer: str, sheets: list[str], with_rows: bool
) -> Iterator[dict]:
    with pyogrio.open_arrow(path, layer=layer, use_pyarrow=True, batch_size=BATCH_ROWS) as (meta, reader):
        shape = (meta["geometry_name"] or "wkb_geometry") if meta["geometry_type"] not in (None, "None") else ""
        columns = [column for column in map(str, meta["fields"]) if driver != "LIBKML" or column not in LOOKS]
        to_degrees = _to_degrees(meta["crs"]) if shape else None
        facts = {"format": name, "columns": columns, "has_geometry": bool(shape), "sheets": sheets}
        facts["encoding"] = str(meta["encoding"] or "") if driver == "ESRI Shapefile" else ""
        yield {"facts": facts}
        if not with_rows:
            return
        for batch in reader:
            cells = [[_text(value) for value in batch.column(column).to_pylist()] for column in columns]
            shapes = batch.column(shape).to_pylist() if shape else [None] * batch.num_rows
            values = zip(*cells, strict=True) if cells else ([] for _ in shapes)
            rows = zip(values, (_geometry(wkb, to_degrees) for wkb in shapes), strict=True)
            yield {"rows": [[list(row), geometry] for row, geometry in rows]}
    yield {"end": True}


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


def _geometry(wkb: bytes | None, to_degrees: Callable[[Corners], Corners]) -> dict | None:
    if not wkb:
        return None
    try:
        return as_geojson(wkb, to_degrees)
    except NoShape:
        return {"type": "damaged", "coordinates": []}


def _to_degrees(stated: str | None) -> Callable[[Corners], Corners]:
    if not stated:
        raise FileRefused("The file does not state its coordinate system. Add it (for a shapefile, its .prj).")
    from rasterio.crs import CRS
    from rasterio.errors import CRSError
    from rasterio.warp import transform

    if stated in ("EPSG:4326", "OGC:CRS84"):
        return lambda corners: corners
    try:
        crs, degrees = CRS.from_wkt(stated) if "[" in stated else CRS.from_string(stated), CRS.from_epsg(4326)
    except CRSError as error:
        raise FileRefused("The coordinate system that the file states is not known.") from error

    def moved(corners: Corners) -> Corners:
        lons, lats = transform(crs, degrees, [x for x, _ in corners], [y for _, y in corners])
        return list(zip(lons, lats, strict=True))

    return moved


if __name__ == "__main__":
    sys.exit(main())
