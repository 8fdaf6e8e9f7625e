"""The row report: which rows were refused, and why, as CSV."""

import csv
import re
from collections.abc import Iterable
from typing import TextIO

from labels.spreadsheets import safe_text

HEADER = ["row", "column", "value", "reason"]
_number = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?", re.ASCII)


def write_report(rows: Iterable[tuple[int, str, str, str]], stream: TextIO) -> None:
    """Rows are (row, column, value, reason). Texts are made harmless to spreadsheets; a refused -95.2 stays."""
    writer = csv.writer(stream)
    writer.writerow(HEADER)
    for row, column, value, reason in rows:
        shown = value if _number.fullmatch(value) else safe_text(value)
        writer.writerow([row, safe_text(column), shown, reason])
