"""The process that opens a hostile picture: `python -m labels.imagery.child`, started by `sandbox` only.

It knows no Django, no database and no secret. It reads one request (JSON) from its input and writes lines of JSON:
{"stage", "done", "total"} while it works, then {"result": …} or {"refused": "sentence"}.
"""

import json
import sys
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

    with rasterio.Env() as env:
        extra = set(env.drivers()) - opening.ALLOWED_DRIVERS
        if extra:
            raise RuntimeError(f"drivers that must not be here: {sorted(extra)[:5]}")
        path = opening.checked_path(request["path"], request["roots"])
        try:
            return _prepare(path, Path(request["folder"]), answers)
        except (RasterioError, rasterio._err.CPLE_BaseError) as error:
            raise opening.ImageRefused(f"The picture is damaged or cannot be written: {_short(error)}") from error


def _prepare(path: Path, folder: Path, answers: TextIO) -> dict:
    from labels.imagery import opening, preparation

    def report(stage: str, n_done: int, n_total: int | None) -> None:
        _answer(answers, stage=stage, done=n_done, total=n_total)

    report("check", 0, None)
    with opening.open_raster(path) as original:
        plan = preparation.make_plan(original)
        warped, prepared = folder / "warped.tif", folder / "prepared.tif"
        preparation.warp(original, plan, warped, report)
        report("write", 0, None)
        preparation.write_cog(warped, prepared, plan)
        warped.unlink()
        return preparation.as_json(preparation.describe(original, plan, prepared))


def _answer(answers: TextIO, **line) -> None:
    answers.write(json.dumps(line) + "\n")
    answers.flush()


def _short(error: Exception) -> str:
    """The error's first line without paths."""
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return " ".join(word for word in line.split() if "/" not in word)[:200]


if __name__ == "__main__":
    sys.exit(main())
