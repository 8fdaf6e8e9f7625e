"""An import keeps pace with a bare COPY of its rows, and asks a fixed number of questions whatever it holds."""

from importlib import import_module

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

bench = import_module("tests.bench.import")

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_import_is_not_far_from_copying(tmp_path):
    """Ratios only, and loose ones: ./dev bench import tells the real ones (at least 0.40, at most 15 and 300 MiB)."""
    figures = bench.measure(tmp_path, 20_000, 1, quiet_s=0)
    assert figures["vs_copy"] >= 0.2
    assert figures["phases_vs_copy"] <= 15
    assert figures["peak_mib"] <= 300


def test_more_rows_ask_no_more_questions(tmp_path):
    asked = []
    project = bench._project()
    for n_rows in (50, 2_000):
        path = tmp_path / f"{n_rows}.csv"
        bench.write_register(path, n_rows)
        with CaptureQueriesContext(connection) as questions:
            bench.import_once(project, path, n_rows)
        # A slow machine reports its progress more often.
        asked.append([q["sql"] for q in questions if "labels_job" not in q["sql"] and "SAVEPOINT" not in q["sql"]])
    assert len(asked[0]) == len(asked[1])
