"""Rows as lines of PostgreSQL's COPY in text format, in the order of the staging table's columns."""

import re
from dataclasses import fields
from functools import lru_cache

from labels.ingest.refusals import Refusal
from labels.ingest.rows import Observed

OBSERVED_COLUMNS = [field.name for field in fields(Observed)]
COLUMNS = [*OBSERVED_COLUMNS, "refused_column", "refused_value", "refused_reason"]

_NULL = "\\N"
_BYTES = "\\\\x"
_NOT_REFUSED = "\t\\N\t\\N\t\\N\n"
_NOT_OBSERVED = "\t\\N" * (len(OBSERVED_COLUMNS) - 1)
_special = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def line_of(file_row: int, read: Observed | Refusal) -> str:
    return _observed(read) if isinstance(read, Observed) else _refused(file_row, read)


def _observed(o: Observed) -> str:
    cells = (
        str(o.file_row),
        _NULL if o.source_id is None else _text(o.source_id),
        _BYTES + o.content_hash.hex(),
        _BYTES + o.row_hash.hex(),
        o.observed_on.isoformat() if o.observed_on else _NULL,
        _text(o.date_precision),
        _text(o.kind),
        _NULL if o.lon is None else repr(o.lon),
        _NULL if o.lat is None else repr(o.lat),
        o.polygon or _NULL,
        _text(o.location_method),
        _text(o.location_precision),
        _text(o.name),
        _text(o.stated_region),
        _array(tuple(o.minerals)),
        _array(tuple(o.minerals_original)),
        _text(o.legal_status),
        _text(o.trade_status),
        _text(o.legal_status_code),
        _text(o.trade_status_code),
        _array(tuple(o.row_flags)),
        # JSON has escaped every character that ends a cell or a line.
        o.attributes.replace("\\", "\\\\"),
    )
    return "\t".join(cells) + _NOT_REFUSED


def _refused(file_row: int, refusal: Refusal) -> str:
    said = "\t".join(_text(_storable(text)) for text in (refusal.column, refusal.value, refusal.reason))
    return f"{file_row}{_NOT_OBSERVED}\t{said}\n"


def _text(text: str) -> str:
    return _special.sub(lambda found: _ESCAPES[found[0]], text) if _special.search(text) else text


def _storable(text: str) -> str:
    return text.replace("\0", "").encode(errors="replace").decode()


@lru_cache(maxsize=10_000)
def _array(texts: tuple[str, ...]) -> str:
    """Mineral codes and words repeat in millions of rows."""
    quoted = ('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    return _text("{" + ",".join(quoted) + "}")
