"""docs/data-dictionary.md and the code say the same."""

from pathlib import Path

from labels.models import ReleaseFile
from labels.releases.cells import sample_type
from labels.releases.columns import CELL_COLUMNS, LABEL_COLUMNS, as_markdown
from labels.releases.formats import KINDS
from labels.seen_table import SEEN_COLUMNS

DICTIONARY = (Path(__file__).resolve().parents[2] / "docs" / "data-dictionary.md").read_text()


def test_every_exported_column_is_in_the_dictionary_as_the_code_says_it():
    for columns in (LABEL_COLUMNS, CELL_COLUMNS, SEEN_COLUMNS):
        assert as_markdown(columns) in DICTIONARY


def test_the_dictionary_names_no_other_column():
    tables = [as_markdown(columns) for columns in (LABEL_COLUMNS, CELL_COLUMNS, SEEN_COLUMNS)]
    assert sum(line.startswith("| `") for line in DICTIONARY.splitlines()) == sum(
        line.startswith("| `") for table in tables for line in table.splitlines()
    ) + len(ReleaseFile.Format)


def test_every_format_is_in_the_dictionary_with_its_extension():
    for format, kind in KINDS.items():
        assert f"| `{format.value}` | `.{kind.extension}` |" in DICTIONARY


def test_the_sample_types_are_those_of_the_dictionary():
    meaning = next(column.meaning for column in CELL_COLUMNS if column.name == "sample_type")
    for frame in ("records", "cells"):
        for design in ("census", "srs", "stratified"):
            for queue in ("sample", "suggested"):
                assert sample_type(frame, design, queue) in meaning
