"""`manage.py reliability`: three formats, exit statuses, sentences."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from labels.groupings import GROUP_KEYS
from labels.spreadsheets import safe_text
from tests.factories import make_register
from tests.judging import judge_all, make_audit, units_of


def run(project, *arguments) -> str:
    out = io.StringIO()
    call_command("reliability", "--project", project.slug, *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def judged(project, annotator):
    audit = make_audit(make_register(project, name="Cadastre"), 10, stated_region="=1+1", minerals=["gold"])
    judge_all(units_of(audit), annotator, "ccccmmrrru")
    return audit


def test_table_is_aligned_and_complete(project, judged):
    lines = run(project, "--by", "mineral").splitlines()
    assert "Judged: 10 of 10 units (all of them: no sampling error)." in lines[1]
    header, rule, every, gold = lines[4:8]
    assert set(rule) == {"-"}
    assert header.split()[:3] == ["Mineral", "units", "n"]
    assert every.startswith("all   ")
    assert gold.index("40.0 % (16.8-68.7)") == every.index("40.0 % (16.8-68.7)")


def test_small_samples_are_marked(project, annotator):
    judge_all(units_of(make_audit(make_register(project), 10)), annotator, "cc")
    assert "n under 30" in run(project)


def test_json_is_complete_and_dated(project, judged):
    figures = json.loads(run(project, "--by", "mineral,year", "--format", "json"))
    assert figures["computed_at"].endswith("+00:00")
    assert figures["definitions"]["reject"]
    assert figures["overall"]["confirm"] == {
        "k": 4,
        "n": 10,
        "share": 0.4,
        "low": pytest.approx(0.16818, abs=1e-5),
        "high": pytest.approx(0.68733, abs=1e-5),
        "interval": "census",
        "reader_low": None,
        "reader_high": None,
    }
    assert figures["groups"][0]["key"] == {"mineral": "gold", "year": "2021"}


def test_csv_has_a_row_per_group_with_n_share_and_interval(project, judged):
    rows = list(csv.DictReader(io.StringIO(run(project, "--by", "mineral", "--format", "csv"))))
    assert [row["mineral"] for row in rows] == ["", "gold"]
    for row in rows:
        figures = [row[f"reject_{part}"] for part in ("n", "k", "share", "low", "high")]
        assert figures == ["10", "3", "0.3", "0.107791", "0.603222"]
    assert rows[0]["median_m"].startswith("300")


def test_csv_runs_no_formula(project, judged):
    rows = list(csv.DictReader(io.StringIO(run(project, "--by", "stated_region", "--format", "csv"))))
    assert rows[1]["stated_region"] == rows[1]["group"] == "'=1+1"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "＝1", "\r=1"])
def test_formulas_are_neutralised(text):
    assert safe_text(text) == "'" + text


@pytest.mark.parametrize("text", ["", "Kessou", "a=b", "Bas-Loma", "3"])
def test_plain_text_stays(text):
    assert safe_text(text) == text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--by", "colour"], "Use any of: region, stated_region"),
        (["--audit", "second"], "There are: first"),
        (["--tolerance-m", "0"], "metres above 0"),
    ],
)
def test_bad_arguments_end_with_2_and_a_sentence(project, judged, arguments, sentence):
    with pytest.raises(CommandError, match=sentence) as error:
        run(project, *arguments)
    assert error.value.returncode == 2


def test_unknown_project_ends_with_2(db):
    with pytest.raises(CommandError, match="no project 'none'") as error:
        call_command("reliability", "--project", "none")
    assert error.value.returncode == 2


def test_project_without_an_audit_is_said(project):
    assert "no audit of records yet" in run(project)
    assert json.loads(run(project, "--format", "json"))["overall"]["n_units"] == 0
    assert len(run(project, "--format", "csv").splitlines()) == 2


def test_nothing_judged_is_said(project):
    make_audit(make_register(project), 3)
    assert "Nothing is judged yet: 3 units wait for their first review." in run(project)


def test_terminal_obeys_no_published_word(project, annotator):
    audit = make_audit(make_register(project), 1, stated_region="A\x1b[2J\nB")
    judge_all(units_of(audit), annotator, "c")
    assert "A [2J B" in run(project, "--by", "stated_region")


# ---- documentation ----

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "reliability.md").read_text()


def test_every_key_is_documented():
    assert {key for key in GROUP_KEYS if f"| `{key}` |" not in DOCUMENT} == set()


def test_every_column_is_documented(project, judged):
    names = set(re.findall(r"`([a-z0-9_…]+)`", DOCUMENT))
    patterns = [re.escape(name).replace("…", ".+") + "$" for name in names]
    columns = run(project, "--format", "csv").splitlines()[0].split(",")
    assert [column for column in columns if not any(re.match(pattern, column) for pattern in patterns)] == []
