"""Real Sentinel-2 chips of mines in Amazonia: the model sees more in them than their colours."""

import numpy as np
import pytest

from labels import geo
from tests.bench import _real_chips
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
