import numpy as np
import pytest
from scipy import stats

from predictions import metrics, quantities
from predictions.bootstrap import Resamples, limits


def test_blocks_are_drawn_whole_and_as_many_as_there_are():
    blocks = np.array(["b", "a", "b", "c", "a", "b"])
    drawn = Resamples.of(blocks, n_resamples=500, seed=1)
    assert drawn.counts.shape == (500, 3)
    assert (drawn.counts.sum(axis=1) == 3).all()
    times = np.concatenate(list(drawn.chunks()))
    assert (times[:, 0] == times[:, 2]).all() and (times[:, 1] == times[:, 4]).all()
    assert times.mean() == pytest.approx(1, abs=0.1)


def test_chunks_change_no_number(monkeypatch):
    rng = np.random.default_rng(2)
    drawn = Resamples.of(rng.integers(0, 30, 200), n_resamples=50, seed=3)
    values = rng.random(200).astype(np.float32)
    whole = drawn.of_statistic(lambda times: times @ values)
    monkeypatch.setattr("predictions.bootstrap._CHUNK", 1000)
    np.testing.assert_array_equal(drawn.of_statistic(lambda times: times @ values).shape, whole.shape)
    np.testing.assert_allclose(drawn.of_statistic(lambda times: times @ values), whole, rtol=1e-5)


def test_one_block_or_few_give_no_interval_and_say_so():
    assert limits(np.ones(100), 1) == (None, None, quantities.ONE_BLOCK)
    assert limits(np.ones(100), 4) == (None, None, quantities.FEW_BLOCKS)
    # Two blocks hold all positives: one resample in seven has none.
    y, scores = np.zeros(100), np.arange(100) / 100
    y[[3, 97]] = 1
    found = metrics.summary(y, scores, None, np.arange(100), budget=5, k=5)
    assert found["ap"]["value"] is not None
    assert (found["ap"]["low"], found["ap"]["reason"]) == (None, quantities.FEW_BLOCKS)


def test_limits_are_percentiles_of_what_is_defined():
    values = np.append(np.arange(1000), np.nan)
    low, high, reason = limits(values, 50)
    assert (low, high, reason) == (pytest.approx(24.975), pytest.approx(974.025), "")


def test_the_intervals_of_a_ranking_cover():
    """300 worlds of 80 blocks whose cells share a level: how often the limits hold AUC and AP of the population."""
    rng = np.random.default_rng(20261123)

    def world(n_blocks, size=8):
        levels = np.repeat(rng.normal(size=n_blocks), size)
        y = (rng.random(n_blocks * size) < stats.norm.cdf(levels * 0.7 - 0.8)).astype(int)
        return y, y + 0.5 * levels + rng.normal(size=n_blocks * size), np.repeat(np.arange(n_blocks), size)

    y, scores, _ = world(60_000)
    truth = {"auc": metrics.area_under_curve(y, scores), "ap": metrics.average_precision(y, scores)}
    covered = {"auc": 0, "ap": 0}
    for seed in range(300):
        found = metrics.summary(
            *world(80)[:2], None, np.repeat(np.arange(80), 8), budget=50, k=50, n_resamples=300, seed=seed
        )
        for name in covered:
            covered[name] += found[name]["low"] <= truth[name] <= found[name]["high"]
    assert 0.92 <= covered["auc"] / 300 <= 0.98, covered
    assert 0.92 <= covered["ap"] / 300 <= 0.98, covered
