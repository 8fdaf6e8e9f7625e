"""Tests in several processes at once: each has its own Redis database, as it has its own test database.

Loaded before the settings are read (pyproject.toml).
"""

import os
import re

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
FIRST = 8  # ./dev, REDIS_OF_TEST_PROCESSES: of the second process; the first has the database it was given


def _own_database(url: str, number: int) -> str:
    return re.sub(r"(virtual_host=|/)\d+$", rf"\g<1>{FIRST - 1 + number}", url) if number else url


if "REDIS_URL" in os.environ:
    os.environ["REDIS_URL"] = _own_database(os.environ["REDIS_URL"], int(WORKER.removeprefix("gw")))
