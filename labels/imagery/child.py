"""The process that opens a hostile picture: `python -m labels.imagery.child`, started by `sandbox` only.

It knows no Django, no database and no secret. It reads one request (JSON) from its input and writes lines of JSON:
{"stage", "done", "total"} while it works, {"finished": stage, …} after check and warp, then {"result": …} or
{"refused": "sentence"}. A request that brings a plan goes on after the check, one that says `is_warped` after the warp.
"""

import json
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TextIO

from labels import isolation


def main() -> int:
    answers = isolation.own_output()
    request = json.load(sys.stdin)
    isolation.die_with(request["parent"])
    isolation.limit(request["memory_mib"], request["cpu_s"], request["file_mib"])

    from labels.imagery.opening import ImageRefused

    try:
        _answer(answers, result=_do(request, answers))
    except ImageRefused as error:
        _answer(answers, refused=str(error))
    except MemoryError:
        _answer(answers, refused="The picture needs more memory than a reader may have. Cut it into parts.")
    return 0


def _do(request: dict, answers: TextIO) -> dict:
    import rasterio
    from rasterio.errors import RasterioError

    from labels.imagery import opening
    from labels.imagery.gdal_copy import CopyFailed

    with rasterio.Env() as env:
        extra = set(env.drivers()) - opening.ALLOWED_DRIVERS
        if extra:
            raise RuntimeError(f"drivers that must not be here: {sorted(extra)[:5]}")
        try:
            return _stages(request, answers)
        except (RasterioError, rasterio._err.CPLE_BaseError, CopyFailed, OSError) as error:
            raise opening.ImageRefused(f"The picture is damaged or cannot be written: {_short(error)}") from error


def _stages(request: dict, answers: TextIO) -> dict:
    from labels.imagery import planning, preparation

    def report(stage: str, n_done: int, n_total: int | None) -> None:
        _answer(answers, stage=stage, done=n_done, total=n_total)

    folder, checked = Path(request["folder"]), request["checked"]
    if not request["is_warped"]:
        checked = _check_and_warp(request, folder, report, answers)
    plan = planning.from_json(checked["plan"])
    n_layers = len(plan.layers)
    prepared = [folder / name for name in preparation.PREPARED[:n_layers]]
    for number, path in enumerate(prepared):

        def written(stage: str, n_done: int, n_total: int, before: int = 100 * number) -> None:
            report(stage, before + n_done, n_total * n_layers)

        written("write", 0, 100)
        preparation.write_cog(folder / preparation.WARPED[number], path, plan, written)
    return preparation.describe(prepared, plan, checked["facts"])


def _check_and_warp(request: dict, folder: Path, report, answers: TextIO) -> dict:
    from labels.imagery import opening, planning, preparation
    from labels.imagery.wishes import Wish

    path = opening.checked_path(request["path"], request["roots"])
    report("check", 0, None)
    with opening.open_raster(path) as original:
        checked = request["checked"]
        if not checked:
            wish = {name: tuple(value) if isinstance(value, list) else value for name, value in request["wish"].items()}
            plan = planning.make_plan(original, Wish(**wish), report)
            checked = {"plan": planning.as_json(plan), "facts": _facts(original, path, request)}
            checked |= {"n_bytes": plan.n_bytes}
            _answer(answers, finished="check", **checked)
        plan = planning.from_json(checked["plan"])
        warped = [folder / name for name in preparation.WARPED[: len(plan.layers)]]
        preparation.warp(original, plan, warped, report)
    _answer(answers, finished="warp", files=[path.name for path in warped])
    return checked


def _facts(original, path: Path, request: dict) -> dict:
    from labels.imagery import planning

    captured = asdict(_captured(original, path, request["roots"] if request["has_sidecars"] else []))
    captured["on"] = captured["on"] and captured["on"].isoformat()
    return {
        "resolution_m": planning.ground_resolution_m(original),
        "captured": captured,
        "original": {
            "crs": original.crs.to_string()[:200],
            "size_px": [original.width, original.height],
            "dtype": original.dtypes[0],
            "n_bands": original.count,
        },
    }


def _captured(original, path: Path, roots: list):
    """The capture date that the picture's tags and the files beside it agree on."""
    from labels.imagery import capture_date, opening

    tags = dict(original.tags())
    for namespace in ("IMAGERY", "EXIF"):
        tags.update(original.tags(ns=namespace))
    statements, notes = capture_date.in_tags(tags), []
    for sidecar in capture_date.sidecars_of(path) if roots else []:
        try:
            statements += capture_date.in_sidecar(opening.checked_path(sidecar, roots))
        except ValueError as error:
            notes.append(str(error))
        except opening.ImageRefused:
            notes.append(f"{sidecar.name} leads out of the folder and was not read.")
    today = date.today()  # noqa: DTZ011  a bound on impossible dates only
    found = capture_date.agreed(statements, today)
    return capture_date.Captured(found.on, found.by, " ".join(filter(None, [found.note, *notes])))


def _answer(answers: TextIO, **line) -> None:
    answers.write(json.dumps(line) + "\n")
    answers.flush()


def _short(error: Exception) -> str:
    """The error's first line without paths."""
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return " ".join(word for word in line.split() if "/" not in word)[:200]


if __name__ == "__main__":
    sys.exit(main())
