"""The fictional annotators err as often as their skill says, and the whole demonstration is as large as it is told."""

import re
from dataclasses import fields
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from labels import geo
from labels.demonstration.annotators import CAREFUL, EXPERT, HASTY, USUAL, Annotator, Answer
from labels.demonstration.loading_work import SKILLS
from labels.demonstration.recipe import LOOKS, WANDARA
from labels.demonstration.registers import RATES, SEARCH_RADIUS_M, ErrorRates, Truth
from labels.models.reviews import MineType, RejectReason, Sign, SizeClass, UnsureReason, Verdict

DOCS = Path(__file__).resolve().parents[2] / "docs" / "demonstration.md"


@pytest.fixture(scope="module")
def located() -> list[tuple[Truth, tuple[float, float], bool]]:
    """Every site with a position: its truth, the reported point, whether it is a licence."""
    return [
        (fact, (visit.lon, visit.lat), visit.polygon is not None)
        for register in WANDARA.registers.values()
        for fact in register.truth
        for visit in [next(v for v in register.visits if v.source_id == fact.source_id)]
        if visit.lon is not None
    ]


def answers(located, skill, n_rounds: int = 1) -> list[tuple[Truth, tuple[float, float], Answer]]:
    annotator = Annotator(WANDARA.country, LOOKS, skill)
    rng = np.random.default_rng(3)
    return [
        (fact, point, annotator.judge(fact, point, rng, is_licence=is_licence))
        for _ in range(n_rounds)
        for fact, point, is_licence in located
    ]


def test_an_expert_answers_by_the_rules(located):
    for fact, _, answer in answers(located, EXPERT):
        assert answer.verdict == fact.expected_verdict
        assert answer.is_same_mine == fact.expected_same_mine
        if answer.verdict == "unsure":
            assert answer.reason == fact.expected_reason != ""
        if answer.verdict == "move":
            away = geo.displacement_m(answer.mark, (fact.expected_lon, fact.expected_lat))
            assert away < 25 or fact.expected_lon is None


def test_an_expert_says_what_clouds_hide(located):
    clear = Annotator(WANDARA.country, LOOKS, EXPERT)
    overcast = Annotator(WANDARA.country, LOOKS, EXPERT, lambda x, y: np.ones(np.shape(x), bool))
    for fact, point, is_licence in located[:200]:
        rng = np.random.default_rng(1)
        if fact.expected_verdict == "reject":
            assert overcast.judge(fact, point, rng, is_licence=is_licence).reason == "cloud"
            assert clear.judge(fact, point, rng, is_licence=is_licence).verdict == "reject"


def test_the_country_is_clouded_here_and_there():
    rng = np.random.default_rng(2)
    west, south, east, north = WANDARA.country.x0, WANDARA.country.y0, WANDARA.country.x1, WANDARA.country.y1
    hidden = WANDARA.clouded(rng.uniform(west, east, 20_000), rng.uniform(south, north, 20_000))
    assert 0.002 < hidden.mean() < 0.05


def test_few_who_never_found_a_mine_say_they_stood_there():
    for register in WANDARA.registers.values():
        latest = {visit.source_id: visit for visit in register.visits}
        stood = [f for f in register.truth if f.precision == "gps" and latest[f.source_id].kind == "on site"]
        assert len(stood) >= 30
        assert sum(f.mine is None for f in stood) <= 0.1 * len(stood)


def test_a_mine_belongs_to_one_record():
    for register in WANDARA.registers.values():
        facts = [f for f in register.truth if f.expected_mine is not None]
        owners = [f.expected_mine for f in facts if not f.expected_same_mine]
        assert len(owners) == len(set(owners)) == len({f.expected_mine for f in facts})


def test_unmistakable_is_only_what_two_dates_show(located):
    mines = WANDARA.country.mines
    for _, _, answer in answers(located, CAREFUL):
        if answer.mine is not None and answer.confidence == 5:
            assert all(mines[answer.mine].is_visible(on) for on in LOOKS)


def test_answers_are_ones_a_person_could_give(located):
    for fact, point, answer in answers(located, HASTY):
        assert answer.verdict in Verdict.values
        assert answer.reason in {"": [""], "reject": RejectReason.values, "unsure": UnsureReason.values}.get(
            answer.verdict if answer.verdict in ("reject", "unsure") else ""
        )
        assert (answer.mine_type in MineType.values) == (answer.verdict in ("confirm", "move"))
        assert set(answer.signs) <= set(Sign.values)
        assert answer.size_class in ["", *SizeClass.values]
        assert answer.confidence in (None, 1, 2, 3, 4, 5)
        if answer.mark:
            assert geo.displacement_m(point, answer.mark) <= SEARCH_RADIUS_M[fact.precision]


@pytest.mark.parametrize("skill", [CAREFUL, USUAL, HASTY])
def test_mistakes_are_as_frequent_as_the_skill_says(located, skill):
    given = answers(located, skill, n_rounds=8)
    active = [a for f, _, a in given if f.expected_active]
    empty = [a for f, _, a in given if f.expected_verdict == "reject" and f.on_look_alike is None]
    decided = 1 - skill.hesitates
    for hits, whole, expected in (
        (sum(a.verdict == "reject" for a in active), len(active), decided * skill.misses),
        (sum(a.verdict in ("confirm", "move") for a in empty), len(empty), decided * skill.imagines),
        (sum(a.verdict == "unsure" for a in active), len(active), skill.hesitates),
    ):
        assert hits / whole == pytest.approx(expected, abs=4 * sqrt(expected * (1 - expected) / whole))


def test_cells_are_searched_with_the_mines_inside_them_marked():
    annotator = Annotator(WANDARA.country, LOOKS, EXPERT)
    rng, n_marks = np.random.default_rng(5), 0
    for cell in WANDARA.country.land_cells.tolist():
        for lon, lat, _ in annotator.search(tuple(cell), rng).other_mines:
            assert (np.floor(lon * 100), np.floor(lat * 100)) == tuple(cell)
            n_marks += 1
    assert n_marks >= 280


def test_the_demonstration_is_as_large_as_it_is_told(located):
    n_open = sum(fact.source_id.startswith("WDA") for fact, *_ in located) - WANDARA.n_reviewed["cadastre"]
    assert n_open >= 220
    assert sum(WANDARA.n_reviewed.values()) >= 200
    assert len(WANDARA.country.land_cells) <= 1500
    assert {name: len(register.truth) for name, register in WANDARA.registers.items()} == WANDARA.n_records
    told = DOCS.read_text()
    for number in (len(WANDARA.country.land_cells), len(WANDARA.country.provinces), len(WANDARA.country.districts)):
        assert f"{number:,}" in told
    assert f"{WANDARA.n_reviewed['cadastre']} of {n_open + WANDARA.n_reviewed['cadastre']} units" in told


def test_registers_overlap(located):
    mines = [{f.mine for f in register.truth if f.mine is not None} for register in WANDARA.registers.values()]
    assert len(mines[0] & mines[1]) >= 30


def test_the_documented_error_rates_are_the_ones_drawn():
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \|", DOCS.read_text(), re.MULTILINE)
    told = {name: (float(cadastre), float(survey)) for name, cadastre, survey in rows}
    asked = {
        field.name: (getattr(RATES["cadastre"], field.name), getattr(RATES["survey"], field.name))
        for field in fields(ErrorRates)
    }
    assert told == asked


def test_the_documented_skills_are_the_real_ones():
    rows = re.findall(r"^\| (annotator\d) \| (.+) \|$", DOCS.read_text(), re.MULTILINE)
    told = {name: [float(re.sub(r"[^\d.]", "", cell)) for cell in cells.split("|")] for name, cells in rows}
    assert told == {
        name: pytest.approx(
            [100 * s.misses, 100 * s.imagines, 100 * s.hesitates, 100 * s.takes_another, s.blur_m, s.seconds]
        )
        for name, s in SKILLS.items()
    }
