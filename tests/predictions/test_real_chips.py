"""Real Sentinel-2 chips of mines in Amazonia: the model sees more in them than their colours."""

import numpy as np
import pytest

from labels import geo
from tests.bench import _real_chips, _real_countries
from tests.conftest import SHARED_DATA

FILE = SHARED_DATA / _real_chips.FILE


@pytest.fixture(scope="module")
def chips():
    if not FILE.is_file():
        pytest.skip("the real chips (../shared/data/imagery) are not on this machine")
    return _real_chips.read(SHARED_DATA)


def test_positives_within_a_kilometre_stay_together(chips):
    with np.load(FILE, allow_pickle=False) as file:
        places = np.column_stack([file["lon"], file["lat"]])
    rng = np.random.default_rng(5)
    mines = np.flatnonzero(chips.y == 1)
    for one in rng.choice(mines, 40, replace=False):
        away = geo.displacement_m(np.broadcast_to(places[one], places[mines].shape), places[mines])
        near = mines[away < 0.99 * _real_chips.GROUP_M]
        assert (chips.groups[near] == chips.groups[one]).all() and (chips.folds[near] == chips.folds[one]).all()


def test_negatives_are_held_out_by_runs_of_numbers(chips):
    folds = chips.folds[chips.y == 0]
    assert (np.diff(folds) >= 0).all() and len(np.unique(folds)) == _real_chips.N_FOLDS


def test_every_fold_holds_both_classes(chips):
    for fold in range(_real_chips.N_FOLDS):
        assert set(chips.y[chips.folds == fold]) == {0, 1}


def test_features_tell_mines_better_than_colours(chips):
    """Optimistic figures (negatives have no places); that the one beats the other is what holds."""
    plain = _real_chips.judged(_real_chips.colours(chips), chips, n_resamples=200)
    features = _real_chips.convolutional(chips, 256, scales=(1,), halves="both")
    found = _real_chips.judged(features, chips, n_resamples=200)
    for name in ("auc", "ap"):
        assert found[name]["low"] > plain[name]["value"], name
    assert found["auc"]["value"] > 0.82 and 0.65 < plain["auc"]["value"] < 0.82
    assert found["n"] == 2408 and found["n_positive"] == 992


# ---- one country and another ----


@pytest.fixture(scope="module")
def places(chips):
    return _real_countries.read(SHARED_DATA, chips)


def test_a_point_in_a_hole_is_outside():
    """A country west of Greenwich that is not square, with a lake, and an island of it."""
    land = np.array([(-70, 2), (-60, 2), (-60, 8), (-70, 8), (-70, 2)])
    lake, island = land * 0.2 + (-52, 4), np.array([(-50, 0), (-49, 0), (-49, 1), (-50, 0)])
    points = np.array([(-69, 3), (-65, 5), (-61, 7.9), (-3, 3), (-49.2, 0.3), (-49.9, 0.9), (np.nan, np.nan)])
    found = _real_countries.inside(*points.T, [land, lake, island])
    assert found.tolist() == [True, False, True, False, True, False, False]


def test_mines_are_of_the_country_that_holds_them(chips, places):
    assert places.names == ["other countries", "Venezuela", "Ecuador"]
    names, n = np.unique(places.place, return_counts=True)
    assert dict(zip(names, n, strict=True)) == {"": 1416, "Venezuela": 317, "Ecuador": 219, "other countries": 456}
    assert ((places.place == "") == (chips.y == 0)).all()


def test_no_negative_is_on_both_sides_and_each_search_is_cut_once(chips, places):
    for same_year in (False, True):
        sides = [_real_countries.sides(places, name, same_year=same_year) for name in ("Venezuela", "Ecuador")]
        learned, judged = (np.concatenate([getattr(each, of) for each in sides]) for of in ("learned", "judged"))
        assert not set(learned) & set(judged)
        for each in sides:
            assert abs(len(each.learned) - len(each.judged)) < 6
    changes = np.count_nonzero(np.diff(places.is_first_half[chips.y == 0].astype(int)))
    assert changes == 2 * 6 - 1  # six searches, one after the other


def test_colours_of_one_country_tell_less_in_another(chips, places):
    """Of one year each; what holds of colours in seconds, the bench says of the model."""
    features = _real_chips.colours(chips)
    sides = {name: _real_countries.sides(places, name, same_year=True) for name in ("Venezuela", "Ecuador")}
    judged = {
        (there, here): _real_countries.judged(features, chips, places, sides[there], sides[here], n_resamples=200)
        for there in sides
        for here in sides
    }
    assert judged["Ecuador", "Venezuela"]["auc"]["high"] < judged["Venezuela", "Venezuela"]["auc"]["low"]
    assert judged["Venezuela", "Ecuador"]["auc"]["value"] < judged["Ecuador", "Ecuador"]["auc"]["value"]
    assert judged["Venezuela", "Ecuador"]["n_positive"] == 219 and judged["Ecuador", "Venezuela"]["n_positive"] == 311
