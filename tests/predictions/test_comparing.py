"""Two runs side by side: labels, skill, scores, records."""

import numpy as np
import pytest

from labels.errors import BadInput
from labels.releases import making
from predictions import comparing
from predictions.comparing import Change
from tests.factories import make_project, make_record, make_register
from tests.labelled import judge, make_audit, make_unit
from tests.predictions.maps import grid_cells, make_run, rising, scores_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def register(project):
    return make_register(project)


def released(project, audit):
    return making.make_release(project, [audit]).release


def test_labels_are_counted_by_what_they_became(project, register):
    audit = make_audit(project, "census", register=register)
    units = [make_unit(audit, at=(-10.7, 6.8 - k / 50)) for k in range(4)]
    for unit in units[:3]:
        judge(unit, "reject")
    before = released(project, audit)
    judge(units[0], "confirm")  # a changed mind
    judge(units[3], "confirm")
    changes = comparing.label_changes(before, released(project, audit))
    assert Change("", "confirm", 1) in changes.records
    assert changes.n_same_records == 2
    assert sum(change.n for change in changes.records) == 2
    assert {change.after for change in changes.cells} == {"1"}
    assert changes.n_changed == 2 + sum(change.n for change in changes.cells)


def test_the_same_release_changes_nothing(project, register):
    audit = make_audit(project, "census", register=register)
    judge(make_unit(audit, at=(-10.7, 6.8)), "confirm")
    release = released(project, audit)
    changes = comparing.label_changes(release, release)
    assert (changes.records, changes.cells, changes.n_same_records) == ([], [], 1)


def test_labels_that_are_not_at_hand_are_said_to_be_so(project):
    changes = comparing.label_changes(None, None)
    assert changes.records is None and changes.cells is None and changes.n_changed == 0


def test_rungs_are_paired_by_question_and_negatives():
    def ladder(*rungs):
        return {"ladder": [{"key": key, "negatives": negatives, "of": of} for key, negatives, of in rungs]}

    pairs = comparing.skill_pairs(
        ladder(("blocks", "random", "a"), ("areas", "random", "b")),
        ladder(("sample", "all_searched", "c"), ("blocks", "random", "d")),
    )
    told = [(pair.key, pair.before and pair.before["of"], pair.after and pair.after["of"]) for pair in pairs]
    assert told == [("sample", None, "c"), ("blocks", "a", "d"), ("areas", "b", None)]


def test_scores_are_compared_on_the_cells_that_both_have(project):
    cells = grid_cells()
    before = make_run(project, scores_of(cells))
    fewer = cells[10:]
    after = make_run(project, scores_of(fewer, rising(cells)[10:] + 0.25))
    moves = comparing.compare(before, after).moves
    assert (moves.n_cells, moves.n_only_before, moves.n_only_after) == (1190, 10, 0)
    assert moves.median == pytest.approx(0.25) and moves.largest == pytest.approx(0.25, abs=1e-6)
    assert moves.correlation == pytest.approx(1)


def test_equal_scores_have_no_correlation(project):
    flat = scores_of(grid_cells(), np.full(1200, 0.5))
    moves = comparing.compare(make_run(project, flat), make_run(project, flat)).moves
    assert moves.correlation is None and moves.median == 0


def test_the_records_whose_score_moved_most_come_first_with_their_ranks(project, register):
    """Three records in cells of the first row; the westernmost rises past the others, the next falls a little."""
    records = [make_record(register, at=(-10.805 + k / 100, 6.985)) for k in range(3)]
    make_record(register, at=(3.0, 3.0))  # off the map
    make_record(register, at=None)
    cells = grid_cells()
    changed = rising(cells)
    changed[0] += 0.5
    changed[1] -= 0.01
    found = comparing.compare(make_run(project), make_run(project, scores_of(cells, changed)))
    assert found.n_records == 3
    assert [moved.record for moved in found.moved] == [records[0], records[1]]
    first, second = found.moved
    assert (first.before, first.after) == (0, 0.5) and first.change == 0.5
    assert (first.rank_before, first.rank_after, first.rank_change) == (3, 1, 2)
    assert (second.rank_before, second.rank_after, second.rank_change) == (2, 3, -1)
    assert len(comparing.compare(*(found.before, found.after), n=1).moved) == 1


def test_a_project_without_records_has_none_that_moved(project):
    found = comparing.compare(make_run(project), make_run(project))
    assert (found.n_records, found.moved) == (0, [])


def test_runs_of_two_projects_are_not_compared(project):
    with pytest.raises(BadInput, match="one project"):
        comparing.compare(make_run(project), make_run(make_project()))
