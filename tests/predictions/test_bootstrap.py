import numpy as np
import pytest
from scipy import special

from predictions import gains, metrics, quantities
from predictions.bootstrap import Resamples, effective_blocks, limits, without_each
from predictions.ranking import Ranking

N_COUNTRIES = 150


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
    # One block holds all mines: without it there is nothing to rank.
    y, scores = np.zeros(100), np.arange(100) / 100
    y[[30, 31, 32, 33, 34, 35]] = 1
    found = metrics.summary(y, scores, None, np.arange(100) // 10, budget=5, k=5)
    assert found["ap"]["value"] is not None
    assert (found["ap"]["low"], found["ap"]["reason"]) == (None, quantities.FEW_BLOCKS)


def test_limits_are_percentiles_of_what_is_defined():
    values = np.append(np.arange(1000), np.nan)
    low, high, reason = limits(values, 50)
    assert (low, high, reason) == (pytest.approx(24.975), pytest.approx(974.025), "")


def mined(rng, n_blocks=80, size=7, n_mines=15, spread=1.5):
    """Blocks whose cells share a level that mines and scores follow."""
    sizes = rng.poisson(size - 1, n_blocks) + 1
    blocks = np.repeat(np.arange(n_blocks), sizes)
    levels = rng.normal(size=n_blocks)[blocks]
    base = special.logit(n_mines / (n_blocks * size)) - spread**2 / 2.6
    y = (rng.random(len(blocks)) < special.expit(base + spread * levels)).astype(float)
    return y, 1.4 * y + 0.5 * levels + rng.normal(size=len(y)), blocks


@pytest.mark.parametrize("n_mines", [5, 8, 15, 30, 60])
def test_the_intervals_of_a_ranking_cover(n_mines):
    """Countries of 80 blocks, by number of mines judged: how often limits hold what the whole population says."""
    rng = np.random.default_rng(n_mines)
    y, scores, _ = mined(rng, n_blocks=30_000, n_mines=n_mines * 375)
    share = 0.1
    whole = Ranking(y, scores).all_ranked(share * len(y), 0)[0]
    truth = dict(zip(("ap", "auc", "recall_at_budget"), whole[:3], strict=True))
    held, narrow = {name: [] for name in truth}, []
    while len(narrow) < N_COUNTRIES:
        y, scores, blocks = mined(rng, n_mines=n_mines)
        if not max(5, 0.5 * n_mines) <= y.sum() <= 1.7 * n_mines:
            continue
        found = metrics.summary(y, scores, None, blocks, budget=share * len(y), k=30, n_resamples=100)
        for name in truth:
            if found[name]["low"] is not None:
                held[name].append(found[name]["low"] <= truth[name] <= found[name]["high"])
        if n_mines > 8:
            narrow.append(False)
            continue
        drawn = Resamples.of(blocks, 100).of_statistic(Ranking(y, scores).area_under_curve)
        low, high, _ = limits(drawn, 80)
        narrow.append(low is not None and low <= truth["auc"] <= high)
    coverage = {name: np.mean(each) for name, each in held.items()}
    assert all(len(each) > 0.7 * N_COUNTRIES for each in held.values())  # the rest: mines of too few blocks
    assert all(each >= 0.92 for each in coverage.values()), coverage
    assert n_mines == 5 or max(coverage["ap"], coverage["auc"]) <= 0.99, coverage
    if n_mines <= 8:
        assert np.mean(narrow) < 0.9  # percentiles of draws: what this replaces


def test_a_gain_covers():
    """Two rankings of the same few mines; the difference of their average precisions."""
    rng, held = np.random.default_rng(4), []

    def two(n_blocks, n_mines):
        y, scores, blocks = mined(rng, n_blocks=n_blocks, n_mines=n_mines)
        return y, scores, scores + 0.6 * y + 0.5 * rng.normal(size=len(y)), blocks

    y, first, last, _ = two(30_000, 15 * 375)
    truth = metrics.average_precision(y, last) - metrics.average_precision(y, first)
    while len(held) < N_COUNTRIES:
        y, first, last, blocks = two(80, 15)
        if y.sum() < 8:
            continue
        scores = np.column_stack([first, last])
        labels = {"register": y, "searched_added": y}
        found = gains.gain(labels, lambda _, s=scores: s, truth=y, weights=np.ones(len(y)), blocks=blocks)["gain_ap"]
        held.append(found["low"] <= truth <= found["high"])
    assert 0.92 <= np.mean(held) <= 0.985, np.mean(held)


def test_fewer_than_five_mines_have_no_interval():
    rng = np.random.default_rng(1)
    for n_mines, reason in ((4, quantities.FEW_MINES), (5, "")):
        y = np.zeros(200)
        y[: 10 * n_mines : 10] = 1
        scores = 0.3 * y + rng.normal(size=200)
        found = metrics.summary(y, scores, None, np.arange(200) // 5, budget=100, k=20)
        for name in ("ap", "auc", "recall_at_budget"):
            if not 0 < found[name]["value"] < 1:  # of a handful that are all alike: a share's own interval
                continue
            assert (found[name]["low"] is None, found[name]["reason"]) == (bool(reason), reason), name
        assert found["precision_at_k"]["low"] is not None
    few_clear = metrics.summary(1 - y, y + rng.normal(size=200), None, np.arange(200) // 5, budget=40, k=20)
    assert few_clear["auc"]["low"] is not None and few_clear["ap"]["low"] is not None


def test_leaving_a_block_out_is_drawing_all_others_once():
    rng = np.random.default_rng(6)
    y, scores, blocks = mined(rng, n_blocks=9)
    left_out = without_each(blocks, Ranking(y, scores).precision_and_area)
    for block in range(9):
        rest = blocks != block
        expected = metrics.average_precision(y[rest], scores[rest]), metrics.area_under_curve(y[rest], scores[rest])
        assert left_out[block] == pytest.approx(expected)
    assert effective_blocks(blocks, np.ones(len(blocks))) < 9
    assert effective_blocks(["a", "b", "b"], [1, 0.5, 0.5]) == pytest.approx(2)
