"""Which cells a fit looks at, what is known of each, and how many cells each stands for."""

from datetime import date

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labels import geo
from labels.models import ImagerySource
from labels.releases import making
from predictions import labelling, storage
from predictions.labelling import ANY_MINING, ARTISANAL, Frame, Status
from predictions.models import FeatureSet
from predictions.storage import Features
from tests.factories import make_area, make_record, make_register, make_source, square
from tests.labelled import judge, make_audit, make_cell_unit, make_unit

pytestmark = pytest.mark.django_db

# West of Greenwich, north of the equator; 40 x 40 cells, two provinces.
WEST, SOUTH, SIDE = -11.0, 6.0, 40


def at(column: int, row: int) -> tuple[float, float]:
    """The middle of a cell of the country, counted from its south west."""
    return round(WEST + column / 100 + 0.005, 3), round(SOUTH + row / 100 + 0.005, 3)


@pytest.fixture
def country(project):
    make_area(project, square(WEST, SOUTH, 0.2), name="Kessou")
    make_area(project, square(WEST, SOUTH + 0.2, 0.2), name="Loma")
    return project


def features_of(n_missing: int = 0) -> Features:
    columns, rows = np.meshgrid(np.arange(-1100, -1100 + SIDE), np.arange(600, 600 + SIDE))
    cells = np.column_stack([columns.ravel(), rows.ravel()]).astype(np.int32)
    cells = cells[storage.sorted_cells(cells)]
    missing = np.zeros(len(cells), np.float32)
    missing[:n_missing] = 1  # in the north west
    nothing = np.zeros((len(cells), 3), np.float32)
    return Features(cells, np.zeros((len(cells), 1), np.float32), nothing, nothing, missing)


def frame_of(project, features=None, **options) -> Frame:
    release = making.make_release(project, making.audits_to_release(project)).release
    return Frame.of(release, FeatureSet(project=project), features or features_of(), **options)


def here(frame: Frame, column: int, row: int) -> int:
    return int(storage.rows_of(frame.cells, storage.cells_of(*np.array([at(column, row)]).T))[0])


def seen(source: ImagerySource, **more) -> dict:
    return {"seen": source, "confidence": 4} | more


@pytest.fixture
def audited(country):
    """One of each: a confirm, a move, a reject, an unsure, a doubtful one, a record nobody judged."""
    source = make_source(country)
    audit = make_audit(country)
    units = {
        name: make_unit(audit, at=at(*place), **more)
        for name, place, more in [
            ("confirm", (3, 3), {"minerals": ["gold", "coltan"], "legal_status_code": "licensed"}),
            ("move", (8, 3), {"minerals": ["gold"]}),
            ("reject", (13, 3), {}),
            ("unsure", (18, 3), {}),
            ("doubtful", (23, 3), {}),
            ("commercial", (28, 3), {}),
        ]
    }
    judge(units["confirm"], "confirm", **seen(source, size_class="under_1"))
    judge(units["move"], "move", mark=at(8, 5), **seen(source))
    judge(units["reject"], "reject", **seen(source))
    judge(units["unsure"], "unsure", **seen(source))
    judge(units["doubtful"], "confirm", **seen(source, confidence=2))
    judge(units["commercial"], "confirm", **seen(source, mine_type="commercial"))
    make_record(audit.register, at=at(33, 3))
    return country


def test_each_kind_of_answer_makes_its_kind_of_cell(audited):
    frame = frame_of(audited)
    expected = {
        (3, 3): (Status.POSITIVE, Status.POSITIVE),
        (8, 5): (Status.POSITIVE, Status.POSITIVE),
        (8, 3): (Status.UNLABELLED, Status.UNLABELLED),  # moved out of
        (13, 3): (Status.UNLABELLED, Status.UNLABELLED),  # a reject is no negative by itself
        (18, 3): (Status.WITHHELD, Status.WITHHELD),
        (23, 3): (Status.WITHHELD, Status.WITHHELD),
        (28, 3): (Status.WITHHELD, Status.POSITIVE),
        (33, 3): (Status.WITHHELD, Status.WITHHELD),  # a claim nobody checked
        (4, 4): (Status.UNLABELLED, Status.UNLABELLED),  # a neighbour
    }
    for place, statuses in expected.items():
        assert tuple(frame.status[here(frame, *place)]) == statuses, place
    assert frame.y.sum(axis=0).tolist() == [2, 3]
    withheld = frame.status == Status.WITHHELD
    assert (frame.weights[withheld] == 0).all() and (frame.weights[frame.rows][~withheld[frame.rows]] > 0).all()
    assert frame.is_judged().sum() == 2
    assert frame.is_record[here(frame, 3, 3)] and frame.is_commercial[here(frame, 28, 3)]


def test_the_frame_is_records_and_neighbours_and_a_background_that_stands_for_the_rest(audited):
    frame = frame_of(audited, background_ratio=3)
    assert 300 <= frame.in_frame.sum() < 500  # 63 near records or mines, 300 drawn
    assert frame.design_weights.sum() == pytest.approx(SIDE**2)
    assert (frame.design_weights[~frame.in_frame] == 0).all()
    assert (frame.design_weights[frame.is_near] == 1).all()
    assert frame.is_near.sum() == 9 * 7 + 6  # the mark two cells north adds two rows of three
    for area, name in enumerate(["Kessou", "Loma"]):
        assert frame.areas_of[area].name == name
        assert frame.design_weights[frame.areas == area].sum() == pytest.approx(
            400
        )  # neither loses to the other, nor to what lies outside both


def test_a_seed_draws_the_same_background_and_new_labels_hardly_change_it(audited):
    first, again = frame_of(audited), frame_of(audited)
    assert (first.in_frame == again.in_frame).all() and first.labels_sha256 == again.labels_sha256
    other = frame_of(audited, seed=1)
    assert (first.in_frame != other.in_frame).sum() > 100
    audit = audited.audits.get()
    judge(make_unit(audit, at=at(5, 30)), "confirm", **seen(audited.imagery_sources.get()))
    later = frame_of(audited)
    assert later.labels_sha256 != first.labels_sha256
    assert (first.in_frame != later.in_frame).sum() <= 14


def test_searched_cells_are_negatives_only_when_clear(country):
    source, audit = make_source(country), make_audit(country, "cells", frame="cells")
    units = [make_cell_unit(audit, geo.grid_cell_id(*at(column, 5))) for column in (5, 15, 25, 35)]
    clear = {"captured_on": date(2022, 5, 1), "share_seen": 0.95}
    for unit, fields in zip(units, [clear, clear | {"confidence": 1}, {"share_seen": 0.4}, clear], strict=True):
        lon, lat = geo.grid_cell_centre(unit.grid_cell)
        others = [(lon, lat, "artisanal")] if unit is units[3] else []
        judge(unit, "searched", others=others, **seen(source) | fields)
    frame = frame_of(country)
    found = [Status(frame.status[here(frame, column, 5), ARTISANAL]) for column in (5, 15, 25, 35)]
    assert found[3] == Status.POSITIVE
    assert found[0] == Status.NEGATIVE
    assert found[1] == found[2] == Status.WITHHELD  # doubtful, and not seen through
    assert frame.sample_weights[here(frame, 35, 5)] == pytest.approx(10)
    assert frame.sample_weights[here(frame, 25, 5)] == 0 and frame.in_frame[here(frame, 25, 5)]


def test_a_commercial_mine_in_the_sample_is_of_the_sample_of_any_mining_alone(country):
    source, audit = make_source(country), make_audit(country, "cells", frame="cells")
    for column, types in ((5, ["commercial"]), (15, ["artisanal"])):
        unit = make_cell_unit(audit, geo.grid_cell_id(*at(column, 5)))
        others = [(*geo.grid_cell_centre(unit.grid_cell), each) for each in types]
        judge(unit, "searched", others=others, **seen(source, captured_on=date(2022, 5, 1), share_seen=0.95))
    frame = frame_of(country)
    commercial, artisanal = here(frame, 5, 5), here(frame, 15, 5)
    assert tuple(frame.status[commercial]) == (Status.WITHHELD, Status.POSITIVE)
    assert frame.sample_weights[[commercial, artisanal]] == pytest.approx(10)
    # Nothing is known of artisanal mines there: totals must not count it as a cell without.
    assert frame.is_sample[artisanal] and not frame.is_sample[commercial]


def test_what_hardly_was_looked_at_is_no_negative():
    row = {"label": 0, "confidence": 4, "proportion_inspected": 0.9}
    assert labelling.statuses_of(row) == (Status.NEGATIVE, Status.NEGATIVE)
    assert labelling.statuses_of(row | {"proportion_inspected": 0.1}) == (Status.WITHHELD, Status.WITHHELD)
    assert labelling.statuses_of(row | {"proportion_inspected": None}) == (Status.NEGATIVE, Status.NEGATIVE)
    assert labelling.statuses_of(row | {"label": 1, "proportion_inspected": 0.1})[0] == Status.POSITIVE
    assert labelling.statuses_of(row | {"label": 1, "confidence": 2})[0] == Status.WITHHELD
    assert labelling.statuses_of(row | {"label": None}) == (Status.WITHHELD, Status.POSITIVE)


def test_commercial_areas_are_any_mining_and_never_silent_negatives(audited):
    make_area(audited, square(WEST + 0.1, SOUTH + 0.08, 0.03), kind="commercial", name="Pit")
    frame = frame_of(audited)
    inside = [here(frame, column, row) for column in (10, 11, 12) for row in (8, 9, 10)]
    assert (frame.status[inside, ARTISANAL] == Status.WITHHELD).all()
    assert (frame.status[inside, ANY_MINING] == Status.POSITIVE).all()
    assert frame.in_frame[inside].all() and frame.is_commercial[inside].all()
    bands = frame.stratum("distance_to_commercial")
    assert bands[here(frame, 3, 3)] == "over_5_km" and bands[here(frame, 8, 5)] == "2_to_5_km"


def test_labels_without_the_right_to_train_are_withheld_and_counted(audited):
    ImagerySource.objects.update(may_train=False)
    frame = frame_of(audited)
    assert not frame.is_judged().any() and frame.n_left_out > 0 and frame.left_out_by_source
    assert frame.status[here(frame, 3, 3), ARTISANAL] == Status.WITHHELD


def test_cells_without_pictures_are_in_no_frame(audited):
    features = features_of()
    features.missing[here(frame_of(audited), 3, 3)] = 0.5
    frame = frame_of(audited, features)
    assert not frame.in_frame[here(frame, 3, 3)] and frame.n_outside_features == 1
    assert frame.y.sum(axis=0).tolist() == [1, 2]


def test_strata_come_from_reports_reviews_and_areas(audited):
    frame = frame_of(audited)
    one = np.array([here(frame, 3, 3)])
    found = {name: frame.stratum(name, one)[0] for name in frame.strata}
    assert found == {
        "region": "Kessou", "mineral": "gold", "formality": "licensed", "size": "under_1",
        "terrain": "", "distance_to_commercial": "",
    }  # fmt: skip
    assert frame.stratum("mineral")[here(frame, 13, 3)] == ""


def test_terrain_is_told_of_judged_cells(audited):
    make_area(audited, square(WEST, SOUTH, 0.05), kind="terrain", name="hills")
    make_area(audited, square(WEST + 0.05, SOUTH, 0.2), kind="terrain", name="river plain")
    frame = frame_of(audited)
    assert frame.levels["terrain"] == ["hills", "river plain"]
    assert frame.stratum("terrain")[here(frame, 3, 3)] == "hills"
    assert frame.stratum("terrain")[here(frame, 8, 5)] == "river plain"
    assert (frame.stratum("terrain")[~frame.is_judged(ARTISANAL) & ~frame.is_judged(ANY_MINING)] == "").all()
    # Before the distance to commercial mines, as pages show it.
    assert list(frame.strata)[-2:] == ["terrain", "distance_to_commercial"]


def test_steps_say_what_the_audit_changed(audited):
    frame = frame_of(audited)
    values = {
        place: [frame.steps[name][here(frame, *place)] for name in labelling.STEPS]
        for place in [(3, 3), (8, 3), (8, 5), (13, 3), (33, 3)]
    }
    assert values[3, 3] == [1, 1, 1, 1]
    assert values[8, 3][:3] == [1, 1, 0] and np.isnan(values[8, 3][3])
    assert values[8, 5] == [0, 0, 1, 1]
    assert values[13, 3][:3] == [1, 0, 0]
    assert values[33, 3][:3] == [1, 1, 1]
    assert frame.steps["registered"].sum() == 7


def test_records_on_one_cell_are_one_label(country):
    source, audit = make_source(country), make_audit(country)
    for place in (at(3, 3), (at(3, 3)[0] + 0.001, at(3, 3)[1])):
        judge(make_unit(audit, at=place), "confirm", **seen(source))
    frame = frame_of(country)
    assert frame.is_judged().sum() == 1 and frame.steps["registered"].sum() == 1


def test_the_number_of_questions_does_not_grow_with_the_labels(audited):
    with CaptureQueriesContext(connection) as few:
        frame_of(audited)
    source, audit = audited.imagery_sources.get(), audited.audits.get()
    for column in range(20):
        judge(make_unit(audit, at=at(column, 20)), "confirm", **seen(source))
        make_record(make_register(audited), at=at(column, 30))
    release = making.make_release(audited, making.audits_to_release(audited)).release
    with CaptureQueriesContext(connection) as many:
        Frame.of(release, FeatureSet(project=audited), features_of())
    assert len(many) <= 10 and len(many) <= len(few)
