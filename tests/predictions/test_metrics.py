import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from labels import intervals
from predictions import metrics, quantities
from predictions.ranking import Ranking

# Ten cells from the highest score down; two tie at 0.6.
Y = np.array([1, 1, 0, 1, 0, 0, 0, 1, 0, 0])
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


@st.composite
def judged(draw):
    """Truth, scores with many ties, weights, some of them 0."""
    n = draw(st.integers(2, 40))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda v: 0 < sum(v) < n))
    scores = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    weights = draw(st.lists(st.floats(0.01, 50), min_size=n, max_size=n))
    return np.array(y), np.array(scores) / 9, np.array(weights)


@settings(max_examples=60, deadline=None)
@given(judged())
def test_it_agrees_with_scikit_learn(problem):
    y, scores, weights = problem
    assert metrics.average_precision(y, scores, weights) == pytest.approx(
        oracle.average_precision_score(y, scores, sample_weight=weights), abs=1e-10
    )
    assert metrics.area_under_curve(y, scores, weights) == pytest.approx(
        oracle.roc_auc_score(y, scores, sample_weight=weights), abs=1e-10
    )
    assert metrics.brier(y, scores, weights) == pytest.approx(
        oracle.brier_score_loss(y, scores, sample_weight=weights), abs=1e-12
    )
    assert metrics.log_loss(y, scores, weights) == pytest.approx(
        oracle.log_loss(y, scores, sample_weight=weights), abs=1e-10
    )


def test_it_gives_the_worked_figures():
    # Precisions where a mine is found: 1/1, 2/2, 3/5 (the tie counts as one step), 4/8.
    assert metrics.average_precision(Y, SCORES) == pytest.approx((1 + 1 + 3 / 5 + 4 / 8) / 4)
    # Of 24 pairs: 6 + 6 won by the first two, 4 and a half by the third, 2 by the last.
    assert metrics.area_under_curve(Y, SCORES) == pytest.approx((6 + 6 + 4.5 + 2) / 24)
    assert metrics.recall_at_budget(Y, SCORES, budget=3) == 2 / 4
    assert metrics.precision_at_k(Y, SCORES, k=3) == 2 / 3


def test_cells_that_tie_at_the_end_of_the_budget_count_in_proportion():
    # The fourth inspection falls on one of two equal cells, one of which has a mine.
    assert metrics.recall_at_budget(Y, SCORES, budget=4) == 2.5 / 4
    assert metrics.precision_at_k(Y, SCORES, k=4) == 2.5 / 4
    everything_ties = np.full(10, 0.3)
    assert metrics.recall_at_budget(Y, everything_ties, budget=5) == pytest.approx(0.5)
    assert metrics.precision_at_k(Y, everything_ties, k=5) == pytest.approx(0.4)
    assert metrics.average_precision(Y, everything_ties) == pytest.approx(0.4)


def test_a_budget_is_spent_in_cells_as_the_weights_count_them():
    weights = np.array([10, 1, 1, 1])
    y, scores = np.array([1, 0, 1, 0]), np.array([4, 3, 2, 1])
    assert metrics.recall_at_budget(y, scores, weights, budget=5) == pytest.approx(5 / 11)
    assert metrics.recall_at_budget(y, scores, weights, budget=11) == pytest.approx(10 / 11)
    assert metrics.recall_at_budget(y, scores, weights, budget=99) == 1
    assert metrics.precision_at_k(y, scores, weights, k=2) == pytest.approx(10 / 11)
    assert metrics.precision_at_k(y, scores, weights, k=99) == pytest.approx(11 / 13)


@settings(max_examples=40, deadline=None)
@given(judged(), st.data())
def test_a_cell_drawn_twice_counts_as_two_cells(problem, data):
    y, scores, weights = problem
    times = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(y), max_size=len(y))))
    again = np.repeat(np.arange(len(y)), times)
    drawn = Ranking(y, scores, weights).all_ranked(weights.sum() / 4, len(y) / 3, times[None].astype(float))[0]
    alone = Ranking(y[again], scores[again], weights[again])
    # A resample keeps the share that is inspected, not the number.
    expected = alone.all_ranked(weights[again].sum() / 4, len(again) / 3)[0]
    np.testing.assert_allclose(drawn, expected, atol=1e-9)


def test_what_cannot_be_said_is_nan():
    assert np.isnan(metrics.average_precision([0, 0], [1, 2]))
    assert np.isnan(metrics.area_under_curve([1, 1], [1, 2]))
    assert np.isnan(metrics.recall_at_budget([0, 0], [1, 2], budget=1))
    assert np.isnan(metrics.precision_at_k([], [], k=3))
    assert np.isnan(metrics.brier([], []))
    assert metrics.average_precision([1, 1], [1, 2]) == 1


@pytest.mark.parametrize(
    "y, scores, weights, complaint",
    [
        ([1, 0], [1], None, "differ in shape"),
        ([1, 2], [1, 1], None, "truth is 0 or 1"),
        ([1, np.nan], [1, 1], None, "truth is 0 or 1"),
        ([1, 0], [1, np.nan], None, "not finite"),
        ([1, 0], [1, 0], [1, -1], "weights are 0 or more"),
    ],
)
def test_bad_input_is_named(y, scores, weights, complaint):
    with pytest.raises(ValueError, match=complaint):
        metrics.average_precision(y, scores, weights)


def _summary(y, scores, blocks=None, **kwargs):
    blocks = np.arange(len(y)) if blocks is None else blocks
    return metrics.summary(y, scores, None, blocks, **({"budget": 3, "k": 3} | kwargs))


def test_a_summary_holds_every_figure_with_its_interval():
    rng = np.random.default_rng(3)
    y = (rng.random(600) < 0.3).astype(int)
    scores = rng.normal(size=600) + y
    found = _summary(y, scores, np.arange(600) // 6, budget=60, k=50)
    assert set(found) == {*metrics.NAMES, "budget", "k", "n", "n_positive", "prevalence"}
    for name in ("ap", "auc", "recall_at_budget", "precision_at_k"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"], name
        assert found[name]["n"] == 600
    assert found["ap"]["value"] == pytest.approx(metrics.average_precision(y, scores))
    assert (found["n_positive"], found["prevalence"]) == (y.sum(), pytest.approx(y.mean()))
    assert found["brier"]["reason"] == quantities.NO_PROBABILITIES
    with_probabilities = _summary(y, scores, probabilities=np.full(600, 0.3))
    assert with_probabilities["brier"]["value"] == pytest.approx(metrics.brier(y, np.full(600, 0.3)))


def test_nothing_found_within_the_budget_is_as_unsure_as_a_share_of_its_mines():
    """Draws of blocks move the budget's end, so a few of them find a mine: their percentiles end far too low."""
    y, scores = np.zeros(800), -np.arange(800.0)
    y[[85, 160, 250, 330, 420, 500, 610, 720]] = 1
    none = _summary(y, scores, np.arange(800) // 10, budget=80, k=80)
    everything = _summary(y, -np.abs(scores), np.arange(800) // 10, budget=722, k=80)
    mines = intervals.wilson_interval(0, 8)[1]
    assert none["recall_at_budget"]["value"] == 0
    assert none["recall_at_budget"]["high"] == pytest.approx(mines)
    assert none["precision_at_k"]["high"] == pytest.approx(intervals.wilson_interval(0, 80)[1])
    assert everything["recall_at_budget"]["value"] == 1
    assert everything["recall_at_budget"]["low"] == pytest.approx(1 - mines)


def test_a_perfect_ranking_of_few_mines_is_not_beyond_doubt():
    y = np.array([1] * 8 + [0] * 60)
    perfect = _summary(y, np.linspace(2, 1, 68), budget=20, k=5)
    for name in ("ap", "auc", "recall_at_budget"):
        assert perfect[name]["value"] == perfect[name]["high"] == 1 and 0.5 < perfect[name]["low"] < 0.9, name
    worthless = _summary(y, np.linspace(1, 2, 68), budget=2, k=5)
    for name in ("auc", "recall_at_budget", "precision_at_k"):
        assert worthless[name]["value"] == worthless[name]["low"] == 0 and 0.1 < worthless[name]["high"] < 0.6, name
    many = _summary(np.repeat(y, 50), np.repeat(np.linspace(2, 1, 68), 50), budget=1000, k=5)
    assert many["auc"]["low"] > 0.98


def test_a_summary_says_why_a_figure_is_missing():
    nothing = _summary([], [])
    assert all(nothing[name]["reason"] == quantities.NOTHING_JUDGED for name in metrics.NAMES)
    assert nothing["prevalence"] is None
    none_positive = _summary([0] * 9, np.arange(9) / 9)
    assert none_positive["ap"] == quantities.missing(9, quantities.NO_POSITIVE)
    assert none_positive["precision_at_k"]["value"] == 0
    all_positive = _summary([1] * 9, np.arange(9) / 9)
    assert all_positive["auc"]["reason"] == quantities.NO_NEGATIVE
    assert all_positive["ap"]["value"] == 1
    assert _summary(Y, SCORES, budget=None)["recall_at_budget"]["reason"] == quantities.NO_BUDGET


def test_the_same_seed_gives_the_same_limits():
    rng = np.random.default_rng(5)
    y, scores = (rng.random(200) < 0.4).astype(int), rng.random(200)
    four, again, five = (_summary(y, scores, seed=seed, budget=60) for seed in (4, 4, 5))
    assert four == again
    assert four["recall_at_budget"] != five["recall_at_budget"]
