"""Log lines without places: tile addresses, views of maps, rows that PostgreSQL quotes, tokens of invitation links."""

import logging
import re

_secrets = [
    (re.compile(r"(/imagery/[^/\s]+/)\d+/\d+/\d+"), r"\1…"),
    (re.compile(r"(/tiles/)\d+/\d+/\d+"), r"\1…"),
    (re.compile(r"(\bbbox=)[^&\s\"']+"), r"\1…"),
    (re.compile(r"(/join/)[^/\s?]+"), r"\1…"),
    (re.compile(r"^(DETAIL|CONTEXT|LINE \d+):.*(\n[ \t]+\^)?", re.MULTILINE), r"\1: …"),
]


class Discreet(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for pattern, instead in _secrets:
            line = pattern.sub(instead, line)
        return line
