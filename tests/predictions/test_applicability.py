import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from predictions.applicability import Applicability


@pytest.fixture
def training():
    rng = np.random.default_rng(6)
    return rng.normal(size=(400, 5)) * [1, 10, 0.1, 1, 1] + [0, 50, 0, 3, 0], np.arange(400) // 20


IMPORTANCE = np.array([2.0, 1.0, 0.5, 0.0, 1.0])


def by_hand(X, groups, new):
    Z, W = ((A - X.mean(axis=0)) / X.std(axis=0) * IMPORTANCE for A in (X, new))
    unit = pdist(Z).mean()
    between = cdist(Z, Z)
    between[groups[:, None] == groups] = np.inf
    own = between.min(axis=1) / unit
    low, high = np.quantile(own, [0.25, 0.75])
    return cdist(W, Z).min(axis=1) / unit, own[own <= high + 1.5 * (high - low)].max()


def test_it_is_the_published_dissimilarity(training):
    X, groups = training
    new = np.random.default_rng(1).normal(size=(50, 5)) * 2 + X.mean(axis=0)
    distance, threshold = by_hand(X, groups, new)
    fitted = Applicability.fit(X, IMPORTANCE, groups)
    np.testing.assert_allclose(fitted.distance(new), distance, rtol=1e-4, atol=1e-5)
    assert fitted.threshold == pytest.approx(threshold, rel=1e-4)


def test_likes_of_the_training_cells_lie_inside_and_strangers_outside(training):
    X, groups = training
    fitted, rng = Applicability.fit(X, IMPORTANCE, groups), np.random.default_rng(2)
    like = rng.normal(size=(2000, 5)) * X.std(axis=0) + X.mean(axis=0)
    assert fitted.is_outside(fitted.distance(like)).mean() < 0.08
    assert fitted.is_outside(fitted.distance(like + X.std(axis=0) * [8, 0, 0, 0, 0])).all()
    # What does not matter to the fit makes no cell a stranger.
    assert fitted.is_outside(fitted.distance(like + X.std(axis=0) * [0, 0, 0, 80, 0])).mean() < 0.08


def test_the_unit_of_a_feature_changes_nothing(training):
    X, groups = training
    scale = np.array([1000, 0.01, 1, 1, 7])
    other = Applicability.fit(X * scale + 4, IMPORTANCE, groups)
    fitted = Applicability.fit(X, IMPORTANCE, groups)
    assert other.threshold == pytest.approx(fitted.threshold, rel=1e-3)
    np.testing.assert_allclose(other.distance(X[:9] * scale + 5), fitted.distance(X[:9] + 1 / scale), atol=2e-3)


def test_cells_alike_within_blocks_are_compared_with_other_blocks(training):
    X, groups = training
    alike = X[groups * 20] + np.random.default_rng(3).normal(size=X.shape) * 0.01 * X.std(axis=0)
    with_blocks = Applicability.fit(alike, IMPORTANCE, groups)
    without = Applicability.fit(alike, IMPORTANCE, np.zeros(len(X)))
    assert with_blocks.threshold > 5 * without.threshold


def test_projections_keep_distances_of_many_features():
    rng = np.random.default_rng(9)
    latent = rng.normal(size=(600, 8))
    X = (latent @ rng.normal(size=(8, 300)) + 0.3 * rng.normal(size=(600, 300))).astype(np.float32)
    groups, importance = np.arange(600) // 30, rng.random(300)
    new = (2 * rng.normal(size=(200, 8))) @ rng.normal(size=(8, 300))
    projected = Applicability.fit(X, importance, groups)
    exact = Applicability.fit(X, importance, groups, n_projections=300)
    assert projected.reference.shape == (600, 64)
    assert np.corrcoef(projected.distance(new), exact.distance(new))[0, 1] > 0.8
    assert np.median(projected.distance(new) / exact.distance(new)) == pytest.approx(1, abs=0.15)
    assert projected.threshold == pytest.approx(exact.threshold, rel=0.25)


def test_missing_features_lie_outside(training):
    X, groups = training
    hole = X.copy()
    hole[3, 1] = np.nan
    fitted = Applicability.fit(hole, IMPORTANCE, groups)
    assert len(fitted.reference) == 399
    distance = fitted.distance(hole[2:5])
    assert np.isnan(distance).tolist() == [False, True, False]
    assert fitted.is_outside(distance).tolist() == [False, True, False]
    assert fitted.distance(np.zeros((0, 5))).shape == (0,)


def test_what_cannot_be_learned_is_refused(training):
    X, groups = training
    with pytest.raises(ValueError, match="at least two training cells"):
        Applicability.fit(X[:1], IMPORTANCE, groups[:1])
    with pytest.raises(ValueError, match="no feature both varies"):
        Applicability.fit(X, np.zeros(5), groups)
    with pytest.raises(ValueError, match="no feature both varies"):
        Applicability.fit(np.ones((20, 5)), IMPORTANCE, groups[:20])
    with pytest.raises(ValueError, match="5 features and importance of 4"):
        Applicability.fit(X, IMPORTANCE[:4], groups)


def test_it_comes_back_from_its_arrays(training):
    X, groups = training
    fitted = Applicability.fit(X, IMPORTANCE, groups)
    again = Applicability.from_arrays(fitted.to_arrays())
    assert again.threshold == fitted.threshold
    np.testing.assert_array_equal(again.distance(X), fitted.distance(X))
