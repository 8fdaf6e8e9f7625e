"""The labels of grid cells: 1 if a marked artisanal mine, 0 only if searched and clear, else unknown."""

import csv
from datetime import date

import pytest

from labels import rules
from labels.releases import cells
from labels.releases.cells import Mine, Search
from labels.releases.columns import CELL_COLUMNS
from labels.releases.gathering import gather
from tests.factories import make_scene, make_source, square
from tests.labelled import judge, make_audit, make_cell_unit, make_unit

CELL = "lon_-10.695__lat_6.405"
INSIDE = (-10.6951, 6.4042)


def rows(*evidence, inspected=None):
    mines = [each for each in evidence if isinstance(each, Mine)]
    searches = [each for each in evidence if isinstance(each, Search)]
    return cells.label_cells(mines, searches, "WDR", lambda cell: inspected)


def mine(mine_type="artisanal", confidence=4, sample_type="record_census", cell=CELL):
    return Mine(cell, mine_type, confidence, sample_type)


def test_a_marked_artisanal_mine_makes_its_cell_1():
    (row,) = rows(mine(), inspected=0.75)
    assert row == {
        "lon": -10.695,
        "lat": 6.405,
        "unique_id": CELL,
        "country": "WDR",
        "sample_type": "record_census",
        "mine_type": "artisanal",
        "confidence": 4,
        "label": 1,
        "proportion_inspected": 0.75,
        "confidence_stated": 1,
        "image_id": "lat_6--405__lon_-10--695",
    }
    assert set(row) | {"may_train"} == {column.name for column in CELL_COLUMNS}


def test_a_clear_search_makes_its_cell_0():
    (row,) = rows(Search(CELL, True, None, "random_cell"))
    assert (row["label"], row["mine_type"], row["sample_type"], row["confidence"], row["confidence_stated"]) == (
        0,
        "",
        "random_cell",
        3,
        0,
    )


@pytest.mark.parametrize(
    ("shares", "n_marks", "clear"),
    [([0.8], 0, True), ([0.79], 0, False), ([None], 0, False), ([0.9, 0.5], 0, False), ([1.0], 1, False)],
)
def test_a_search_is_clear_from_80_percent_with_nothing_marked(shares, n_marks, clear):
    assert rules.is_clear_search(shares, n_marks) is clear


def test_a_search_that_is_not_clear_leaves_the_cell_out():
    assert rows(Search(CELL, False, 5, "random_cell")) == []


def test_a_mine_wins_over_a_clear_search_so_that_no_cell_has_two_labels():
    (row,) = rows(Search(CELL, True, 5, "random_cell"), mine(confidence=3))
    assert row["label"] == 1


def test_a_commercial_mine_alone_leaves_the_artisanal_label_unknown():
    (row,) = rows(mine("commercial"), Search(CELL, True, 5, "random_cell"))
    assert (row["label"], row["mine_type"]) == (None, "commercial")


@pytest.mark.parametrize("other", ["artisanal", "both", ""])
def test_an_artisanal_mine_beside_a_commercial_one_makes_1_and_both(other):
    (row,) = rows(mine("commercial", confidence=5), mine(other, confidence=4))
    assert (row["label"], row["mine_type"], row["confidence"]) == (1, "both", 4)


def test_a_mine_type_not_stated_stays_so_and_counts_as_artisanal():
    (row,) = rows(mine(""))
    assert (row["label"], row["mine_type"]) == (1, "")


def test_a_confidence_not_stated_is_written_as_3():
    (row,) = rows(mine(confidence=None))
    assert (row["confidence"], row["confidence_stated"]) == (3, 0)


def test_the_surest_mine_of_a_cell_speaks_and_a_stated_3_goes_before_a_silent_one():
    (row,) = rows(mine(confidence=2), mine(confidence=None), mine(confidence=3))
    assert (row["confidence"], row["confidence_stated"]) == (3, 1)


def test_the_sample_goes_before_a_suggestion():
    (row,) = rows(mine(confidence=5, sample_type="suggested"), mine(confidence=2))
    assert (row["sample_type"], row["confidence"]) == ("record_census", 2)


@pytest.mark.parametrize(
    ("frame", "design", "queue", "expected"),
    [
        ("records", "census", "sample", "record_census"),
        ("records", "srs", "sample", "record_sample"),
        ("records", "census", "suggested", "suggested"),
        ("cells", "srs", "sample", "random_cell"),
        ("cells", "stratified", "sample", "stratified_cell"),
        ("cells", "srs", "suggested", "suggested"),
    ],
)
def test_the_sample_type_follows_frame_design_and_queue(frame, design, queue, expected):
    assert cells.sample_type(frame, design, queue) == expected


# ---- from the database ----


def cells_of(*audits) -> dict[str, dict]:
    return {row["unique_id"]: row for row in gather(list(audits)).cells}


def test_a_move_labels_the_cell_of_the_mine_and_says_nothing_of_the_reported_one(project):
    audit = make_audit(project)
    judge(make_unit(audit, at=(-10.7049, 6.4001)), "move", mark=INSIDE)
    assert [(row["unique_id"], row["label"]) for row in gather([audit]).cells] == [(CELL, 1)]


def test_a_point_west_of_greenwich_and_south_of_the_equator_is_in_its_own_cell(project):
    audit = make_audit(project)
    judge(make_unit(audit, at=(-0.1249, -11.1301)), "confirm")
    (row,) = gather([audit]).cells
    assert (row["unique_id"], row["lon"], row["lat"]) == ("lon_-0.125__lat_-11.135", -0.125, -11.135)
    assert row["image_id"] == "lat_-11--135__lon_-0--125"


def test_a_reject_is_no_negative_however_much_was_seen(project):
    audit = make_audit(project)
    judge(make_unit(audit), "reject", share_seen=1.0)
    snapshot = gather([audit])
    assert len(snapshot.labels) == 1
    assert snapshot.cells == []


def test_a_dispute_labels_no_cell_until_it_is_settled(project):
    audit = make_audit(project)
    unit = make_unit(audit)
    judge(unit, "confirm")
    judge(unit, "reject", by="bruno")
    assert gather([audit]).cells == []


def test_another_mine_marked_beside_a_rejected_record_labels_its_cell(project):
    audit = make_audit(project)
    judge(make_unit(audit), "reject", others=[(*INSIDE, "artisanal")], confidence=5)
    row = cells_of(audit)[CELL]
    assert (row["label"], row["confidence"], row["confidence_stated"]) == (1, 3, 0)


def test_two_records_on_one_cell_are_one_row(project):
    audit = make_audit(project)
    judge(make_unit(audit, at=INSIDE), "confirm")
    judge(make_unit(audit, at=(-10.6991, 6.4091)), "confirm")
    assert len(gather([audit]).cells) == 1


def test_a_searched_cell_with_nothing_marked_is_0_and_with_a_mark_is_1(project):
    audit = make_audit(project, "cells", frame="cells", design="srs")
    judge(make_cell_unit(audit, CELL), "searched", share_seen=0.85, confidence=4)
    judge(make_cell_unit(audit, "lon_-10.685__lat_6.405"), "searched", share_seen=0.5)
    marked = judge(
        make_cell_unit(audit, "lon_-10.675__lat_6.405"),
        "searched",
        share_seen=0.9,
        others=[(-10.6755, 6.4042, "artisanal")],
    )
    assert marked.marks.count() == 1
    found = {name: (row["label"], row["sample_type"]) for name, row in cells_of(audit).items()}
    assert found == {CELL: (0, "random_cell"), "lon_-10.675__lat_6.405": (1, "random_cell")}


# ---- how much of a cell was seen ----

WEST_HALF = {"bounds": [-10.71, 6.39, -10.695, 6.42], "zoom": 16, "ms": 2000}


def share_of(project, views, footprint=None, scenes=("ab",), **judging):
    source = make_source(project)
    make_scene(source, footprint=footprint or square(-10.71, 6.39, 0.03), sha256="ab")
    audit = make_audit(project)
    judge(make_unit(audit, at=INSIDE), "confirm", seen=source, views=views, scenes=list(scenes), **judging)
    return cells_of(audit)[CELL]["proportion_inspected"]


def test_the_share_is_what_the_views_covered(project):
    assert share_of(project, [WEST_HALF]) == pytest.approx(0.5, abs=1e-4)


def test_views_from_far_out_show_no_pit(project):
    assert share_of(project, [WEST_HALF | {"zoom": 12}]) is None


def test_ground_without_data_was_not_seen(project):
    south_half = square(-10.71, 6.375, 0.03)
    assert share_of(project, [WEST_HALF], south_half) == pytest.approx(0.25, abs=1e-4)


def test_images_that_are_no_longer_known_leave_the_share_unknown(project):
    assert share_of(project, [WEST_HALF], scenes=["gone"]) is None


def test_views_of_several_reviews_add_up_once(project):
    source = make_source(project)
    make_scene(source, footprint=square(-10.71, 6.39, 0.03), sha256="ab", captured_on=date(2022, 5, 1))
    audit = make_audit(project)
    unit = make_unit(audit, at=INSIDE)
    upper = WEST_HALF | {"bounds": [-10.71, 6.405, -10.68, 6.42]}
    judge(unit, "confirm", seen=source, views=[WEST_HALF], scenes=["ab"])
    judge(unit, "confirm", by="bruno", seen=source, views=[WEST_HALF, upper], scenes=["ab"])
    assert cells_of(audit)[CELL]["proportion_inspected"] == pytest.approx(0.75, abs=1e-4)


def test_the_file_has_exactly_the_columns_of_the_notebooks(tmp_path, project):
    from labels.releases import formats

    audit = make_audit(project)
    judge(make_unit(audit, at=INSIDE), "confirm")
    formats.write("mosaiks", gather([audit]), "0" * 64, tmp_path / "cells.csv")
    with (tmp_path / "cells.csv").open() as file:
        header, row = csv.reader(file)
    assert ",".join(header) == (
        "lon,lat,unique_id,country,sample_type,mine_type,confidence,label,proportion_inspected,confidence_stated,image_id,"
        "may_train"
    )
    assert row == f"-10.695,6.405,{CELL},WDR,record_census,,3,1,,0,lat_6--405__lon_-10--695,1".split(",")
