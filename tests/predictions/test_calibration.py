"""Scores become probabilities that mean what they say."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from predictions import calibration, judging, quantities
from predictions.calibration import Calibration
from tests.predictions import worlds


def judged(n: int, seed: int = 0, slope: float = 1.0, intercept: float = 0.0):
    """Scores, labels and weights; P(y) = expit(intercept + slope logit s)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 1.5, n)
    y = rng.random(n) < 1 / (1 + np.exp(-(intercept + slope * logits)))
    return 1 / (1 + np.exp(-logits)), y.astype(float), rng.uniform(0.5, 4, n)


def test_it_takes_isotonic_from_a_thousand_cells_with_two_hundred_positives_on():
    scores, y, weights = judged(1000)
    y[:] = 0
    y[:200] = 1
    assert Calibration.fit(scores, y, weights).method == "isotonic"
    assert Calibration.fit(scores[1:], y[1:], weights[1:]).method == "platt"
    y[0] = 0
    assert Calibration.fit(scores, y, weights).method == "platt"


def test_isotonic_equals_scikit_learn_away_from_certainty():
    scores, y, weights = judged(1500)
    ours = Calibration.fit(scores, y, weights, "isotonic")
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, y, sample_weight=weights)
    at = np.linspace(-0.1, 1.1, 500)
    expected = theirs.predict(at)
    inside = (expected > 0.1) & (expected < 0.9)
    assert inside.sum() > 200
    assert ours.predict(at)[inside] == pytest.approx(expected[inside], abs=1e-9)


def test_isotonic_is_monotone_and_never_certain():
    scores, y, weights = judged(1500, seed=1)
    found = Calibration.fit(scores, y, weights, "isotonic").predict(np.linspace(-1, 2, 300))
    assert (np.diff(found) >= 0).all()
    assert found.min() > 0
    assert found.max() < 1


def test_platt_equals_weighted_logistic_regression_on_his_targets():
    scores, y, weights = judged(300)
    ours = Calibration.fit(scores, y, weights, "platt")
    share = np.average(y, weights=weights)
    high = (y.sum() + 1) / (y.sum() + 2)
    low = min(1 / ((1 - y).sum() + 2), share * (1 - high) / (1 - share))
    targets = np.where(y == 1, high, low)
    rows = np.tile(scores, 2)[:, None]
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=2000).fit(
        rows, np.repeat([1, 0], 300), sample_weight=np.concatenate([weights * targets, weights * (1 - targets)])
    )
    assert ours.knots[0] == pytest.approx([theirs.intercept_[0], theirs.coef_[0, 0]], rel=1e-4)


def test_platt_does_not_raise_what_is_rare_by_weight():
    """Half of the sample from few high-scoring cells: mines are a tenth of the sample and 0.15 % of the country."""
    rng = np.random.default_rng(5)
    scores = np.concatenate([rng.normal(3, 1, 30), rng.normal(2, 1, 30), rng.normal(0, 1, 240)])
    y, weights = (np.arange(300) < 30).astype(float), np.where(np.arange(300) < 60, 1.0, 83.0)
    found = Calibration.fit(scores, y, weights, "platt").predict(scores)
    assert np.average(found, weights=weights) == pytest.approx(np.average(y, weights=weights), rel=0.05)


def test_platt_stays_finite_where_scores_part_the_classes():
    found = Calibration.fit(np.arange(20.0), (np.arange(20) >= 10).astype(float)).predict(np.arange(20.0))
    assert np.isfinite(found).all()
    assert 0.5 < found[10] < 1


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_one_class_alone_gives_a_share_short_of_certainty(y):
    found = Calibration.fit(np.arange(8.0), np.full(8, y)).predict(np.array([-5.0, 3.0, 50.0]))
    assert len(set(found)) == 1
    assert found[0] == pytest.approx(0.9 if y else 0.1)


def test_scores_that_run_backwards_say_nothing():
    found = Calibration.fit(np.arange(40.0), (np.arange(40) < 20).astype(float), rule="platt")
    assert found.knots[0, 1] == 0


def test_a_weight_of_three_is_a_cell_three_times():
    scores, y, _ = judged(1200, seed=2)
    weights = np.where(np.arange(1200) % 2, 3.0, 1.0)
    often = np.repeat(np.arange(1200), weights.astype(int))
    one = Calibration.fit(scores, y, weights, "isotonic").predict(scores)
    other = Calibration.fit(scores[often], y[often], None, "isotonic").predict(scores)
    inside = (one > 0.1) & (one < 0.9)
    assert one[inside] == pytest.approx(other[inside], abs=1e-9)


def test_it_comes_back_from_arrays_and_keeps_missing_scores():
    for rule in ("isotonic", "platt"):
        fitted = Calibration.fit(*judged(400), rule)
        again = Calibration.from_arrays(fitted.to_arrays())
        at = np.array([0.1, np.nan, 0.7])
        assert np.array_equal(again.predict(at), fitted.predict(at), equal_nan=True)
        assert np.isnan(again.predict(at)[1])


@pytest.mark.parametrize(
    ("scores", "y", "weights"),
    [([0.1, np.nan], [0, 1], None), ([0.1, 0.2], [0, 2], None), ([0.1], [0, 1], None), ([0.1, 0.2], [0, 1], [0, 0])],
)
def test_bad_input_is_named(scores, y, weights):
    with pytest.raises(ValueError, match=r"score|label|shape|judged"):
        Calibration.fit(np.array(scores), np.array(y), None if weights is None else np.array(weights))


def test_cross_calibration_never_sees_the_own_block():
    scores, y, weights = judged(600, seed=3)
    blocks = np.arange(600) // 30
    found = calibration.cross_calibrated(scores, y, weights, blocks, n_folds=5)
    changed = y.copy()
    changed[blocks % 5 == 2] = 1 - changed[blocks % 5 == 2]
    again = calibration.cross_calibrated(scores, changed, weights, blocks, rule="platt", n_folds=5)
    assert np.array_equal(found[blocks % 5 == 2], again[blocks % 5 == 2])
    assert not np.array_equal(found[blocks % 5 == 0], again[blocks % 5 == 0])


def test_cox_finds_slope_and_intercept():
    scores, y, weights = judged(20_000, seed=4, slope=0.6, intercept=-0.4)
    found = calibration.cox(scores, y, weights, np.arange(20_000) // 100)
    assert found.slope["low"] < 0.6 < found.slope["high"]
    assert found.intercept["low"] < -0.4 < found.intercept["high"]
    assert found.slope["high"] - found.slope["low"] < 0.15


def test_intervals_of_cox_cover_what_they_should_when_blocks_err_together():
    """Each block's cells share an error of the logit: 400 repeats, 60 blocks of 12 cells."""
    hits, slopes, repeats = 0, [], 400
    rng = np.random.default_rng(5)
    large = rng.normal(0, 1.2, 400_000), rng.normal(0, 0.5, 400_000)
    # With a shared error the population's own slope is flatter than that within a block: take it from many cells.
    y = (rng.random(400_000) < 1 / (1 + np.exp(-(large[0] + large[1])))).astype(float)
    truth = calibration.cox(1 / (1 + np.exp(-large[0])), y).slope["value"]
    for _ in range(repeats):
        logits = rng.normal(0, 0.8, (60, 1)) + rng.normal(0, 0.9, (60, 12))
        chances = 1 / (1 + np.exp(-(logits + rng.normal(0, 0.5, (60, 1)))))
        y = (rng.random((60, 12)) < chances).astype(float).ravel()
        found = calibration.cox(1 / (1 + np.exp(-logits.ravel())), y, None, np.repeat(np.arange(60), 12)).slope
        slopes.append(found["value"])
        hits += found["low"] <= truth <= found["high"]
    assert 0.92 <= hits / repeats <= 0.98
    assert np.mean(slopes) == pytest.approx(truth, abs=0.05)


def test_cox_says_why_it_cannot():
    few = calibration.cox(np.linspace(0.1, 0.9, 30), (np.arange(30) < 4).astype(float))
    assert few.slope["value"] is None
    assert few.slope["reason"] == "too_few"
    flat = calibration.cox(np.full(60, 0.4), np.arange(60) % 2)
    assert flat.intercept["reason"] == "no_variation"
    together = calibration.cox(np.linspace(0.1, 0.9, 60), np.arange(60) % 2, None, np.arange(60) // 30)
    assert together.slope["reason"] == quantities.FEW_BLOCKS


# --- what a run calibrates on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampled", ["both kinds", "clear cells alone", "nothing"])
def test_without_mines_in_the_sample_probabilities_are_of_mines_known_of(sampled):
    """They then add up to the mines that are known of among the cells of the fit, not to those there are."""
    of = worlds.world(3)
    problem = worlds.problem(of, n_records=120)
    is_sampled = problem.sample_weights > 0
    if sampled == "clear cells alone":
        is_sampled &= problem.y[:, 0] == 0
    elif sampled == "nothing":
        is_sampled &= False
    weights = np.where(is_sampled, problem.sample_weights, 0.0)
    problem = replace(problem, sample_weights=weights, fit_weights=problem.fit_weights[:, None])
    scores = of.features[:, :1]
    fit = judging.judged(problem, SimpleNamespace(out_of_block=scores))
    assert fit.chances[0].is_of_records == (sampled != "both kinds")
    told = fit.probabilities(scores)[:, 0].mean()
    if sampled == "both kinds":
        assert told == pytest.approx(of.truth.mean(), rel=0.2)
        assert judging.reliability(fit)["bins"]
    else:
        assert told == pytest.approx(problem.y[:, 0].mean(), rel=0.05) and told < 0.8 * of.truth.mean()
        assert judging.reliability(fit)["slope"]["reason"] == quantities.NO_SAMPLE
