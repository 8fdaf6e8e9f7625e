"""The process that opens a register of a stranger: `python -m labels.ingest.child`, started by `confined` only.

It knows no database, no models and no secret; of Django only the translations. It reads one request (JSON) and answers
with lines of JSON, some followed by as many bytes as they say: {"facts": …}, {"rows": […]}, {"n_rows": n},
{"copy_rows": n, "bytes": n}, {"distinct": {…}}, {"dates": {…}}; or {"refused": "sentence"}, or {"sheets": [names]}.
The last one is {"end": true}.
"""

import gc
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Protocol

from django.utils.translation import gettext as _

from labels import isolation
from labels.errors import BadInput
from labels.ingest import dates, formats
from labels.ingest.archives import SheetNeeded
from labels.ingest.raw import Facts, RawRow

HEAD_BYTES = 1_000_000
FIRST_ROWS = 200
# Answers are cut at so many bytes, whatever the number of their rows.
ANSWER_BYTES = 4 * 2**20
RAW_ROWS = 500


class FileReader(Protocol):
    facts: Facts

    def rows(self) -> Iterator[RawRow]: ...

    def count(self) -> int | None: ...


def main() -> int:
    answers = isolation.own_output().detach()
    request = json.load(sys.stdin)
    isolation.die_with(request["parent"])
    isolation.limit(request["memory_mib"], request["cpu_s"], request["file_mib"])
    gc.set_threshold(100_000, 20, 20)  # rows make no cycles; looking for some takes a tenth of the time
    try:
        isolation.speak(request["language"])
        TASKS[request["task"]](request, answers)
        answer(answers, {"end": True})
    except BadInput as error:
        answer(answers, {"refused": str(error)})
    except SheetNeeded as error:
        answer(answers, {"sheets": error.sheets})
    except RecursionError:
        answer(answers, {"refused": _("The file is nested too deeply to be read.")})
    except MemoryError:
        answer(answers, {"refused": _("The file needs more memory than a reader may have. Cut it into parts.")})
    return 0


def answer(answers: BinaryIO, line: dict, data: bytes = b"") -> None:
    if data:
        line = line | {"bytes": len(data)}
    answers.write(json.dumps(line).encode() + b"\n" + data)
    answers.flush()


def open_file(request: dict) -> FileReader:
    """The reader for this file, told by its content; BadInput in words where none can read it."""
    path = Path(request["path"])
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if formats.gdal_kind(head):
        from labels.ingest.vectors import VectorReader

        return VectorReader(
            path,
            head,
            request["sheet"],
            folder=Path(request["folder"]),
            drivers=request["drivers"],
            unpacked_mib=request["unpacked_mib"],
        )
    if formats.is_geojson(head):
        from labels.ingest.geojson import GeoJsonReader

        return GeoJsonReader(path, head)
    if formats.is_table(head):
        from labels.ingest.tables import CsvReader

        return CsvReader(path, head)
    raise BadInput(formats.not_readable(head))


# ---- tasks ----


def tell_facts(request: dict, answers: BinaryIO) -> None:
    """What the file is, and its first rows, as many as are asked for first on a page."""
    reader = open_file(request)
    first, size, is_whole = [], 0, True
    for raw in reader.rows():
        if len(first) == FIRST_ROWS or size > ANSWER_BYTES:
            is_whole = False
            break
        first.append(_plain(raw))
        size += _size(raw)
    answer(answers, {"facts": asdict(reader.facts), "first_rows": first, "is_whole": is_whole})


def tell_rows(request: dict, answers: BinaryIO) -> None:
    """Every row, as the file states it."""
    reader = open_file(request)
    batch, size = [], 0
    for raw in islice(reader.rows(), request["n_rows"]):
        batch.append(_plain(raw))
        size += _size(raw)
        if len(batch) >= RAW_ROWS or size > ANSWER_BYTES:
            answer(answers, {"rows": batch})
            batch, size = [], 0
    answer(answers, {"rows": batch})


def tell_observations(request: dict, answers: BinaryIO) -> None:
    """Every row after the given one, read under the mapping, as lines for COPY."""
    from labels.ingest.copying import line_of
    from labels.ingest.rows import RowReader

    reader = open_file(request)
    if request["n_rows"] is None:
        answer(answers, {"n_rows": reader.count()})
    read = RowReader(request["mapping"], request["own_words"]).read
    after, batch_rows = request["after"], request["batch_rows"]
    lines: list[str] = []
    size = 0
    for raw in islice(reader.rows(), request["n_rows"]):
        if raw.file_row <= after:
            continue
        line = line_of(raw.file_row, read(raw))
        lines.append(line)
        size += len(line)
        if len(lines) >= batch_rows or size > ANSWER_BYTES:
            _answer_lines(answers, lines)
            lines, size = [], 0
    if lines:
        _answer_lines(answers, lines)


def _answer_lines(answers: BinaryIO, lines: list[str]) -> None:
    answer(answers, {"copy_rows": len(lines)}, "".join(lines).encode())


def tell_distinct(request: dict, answers: BinaryIO) -> None:
    """How many different values the columns have."""
    seen: dict[str, set[int]] = {column: set() for column in request["columns"]}
    for raw in islice(open_file(request).rows(), request["n_rows"]):
        for column, values in seen.items():
            values.add(hash(raw.values.get(column, "")))
    answer(answers, {"distinct": {column: len(values) for column, values in seen.items()}})


def tell_dates(request: dict, answers: BinaryIO) -> None:
    """In which order the dates of a column state day and month, and how many are a 1 January."""
    raws = islice(open_file(request).rows(), request["n_rows"])
    column = request["columns"][0]
    survey = dates.Survey()
    values = (survey.noted(raw.values.get(column, ""), raw.is_spreadsheet) for raw in raws)
    try:
        found = {"order": dates.order_of(values)}
    except dates.AmbiguousOrder as error:
        found = {"ambiguous": error.examples}
    for _value in values:  # the order may be known before the last row
        pass
    answer(answers, {"dates": found | {"n_dated": survey.n_dated, "n_january_first": survey.n_january_first}})


TASKS = {
    "facts": tell_facts,
    "rows": tell_rows,
    "observations": tell_observations,
    "distinct": tell_distinct,
    "dates": tell_dates,
}


def _plain(raw: RawRow) -> list:
    refusal = raw.refusal and [raw.refusal.column, raw.refusal.value, raw.refusal.reason]
    return [raw.file_row, raw.values, raw.geometry, refusal, raw.is_spreadsheet]


def _size(raw: RawRow) -> int:
    return sum(map(len, raw.values.values())) + (len(str(raw.geometry)) if raw.geometry else 0)


if __name__ == "__main__":
    sys.exit(main())
