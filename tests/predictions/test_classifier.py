"""The classifier says what refits would say, without refitting."""

import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score

from predictions import classifier
from predictions.classifier import Decomposition, LeaveOut, PenaltyAtEdge, RidgePath, choose_penalty, path_scores

PENALTIES = np.array([0.01, 1.0, 100.0])


def frame(n: int, p: int, *, heads: int = 2, unfitted: float = 0.15, seed: int = 0):
    """Features of unequal spread far from zero, weights with zeros, labels that are nan where the weight is 0."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * rng.uniform(0.1, 3, p) + 5
    weights = rng.uniform(0.2, 3, n)
    weights[rng.random(n) < unfitted] = 0
    y = (X[:, :1] + rng.normal(size=(n, heads)) > 5.5).astype(float)
    y[weights == 0] = np.nan
    cells = rng.permutation([(column, row) for column in range(-20, 25) for row in range(795, 835)])[:n]
    return X, y, weights, cells


def refitted(X, y, weights, decomposition, penalty, out, rows):
    Z = (X - decomposition.mean) / decomposition.scale
    fitted = ~out & (weights > 0)
    return Ridge(alpha=penalty).fit(Z[fitted], y[fitted], sample_weight=weights[fitted]).predict(Z[rows])


@pytest.mark.parametrize(("n", "p"), [(700, 60), (300, 500), (500, 8)])
def test_leaving_blocks_and_buffers_out_equals_refits(n, p):
    X, y, weights, cells = frame(n, p)
    blocks, _ = classifier.spatial_blocks(cells)
    near = classifier.block_buffers(cells, blocks)
    decomposition = Decomposition.of(X, weights)
    found = path_scores(decomposition, y, PENALTIES, blocks, near)
    assert found.shape == (3, n, 2)
    assert blocks.max() >= 10
    for number, penalty in enumerate(PENALTIES):
        for block in range(blocks.max() + 1):
            out = blocks == block
            rows = np.flatnonzero(out)
            out[near[block]] = True
            expected = refitted(X, y, weights, decomposition, penalty, out, rows)
            assert np.abs(found[number, rows] - expected).max() < 1e-8


def test_large_groups_left_out_equal_refits_too():
    """More rows out than directions: the rest is solved instead."""
    X, y, weights, _ = frame(600, 40)
    groups = classifier.random_groups(600, n_groups=3)
    decomposition = Decomposition.of(X, weights)
    found = path_scores(decomposition, y, [5.0], groups)[0]
    for group in range(3):
        out = groups == group
        expected = refitted(X, y, weights, decomposition, 5.0, out, np.flatnonzero(out))
        assert found[out] == pytest.approx(expected, abs=1e-8)


def test_leaving_most_of_the_frame_out_copies_little_of_it():
    rng = np.random.default_rng(8)
    X, y = rng.normal(size=(12_000, 120)).astype(np.float32), (rng.random((12_000, 1)) < 0.1).astype(float)
    decomposition = Decomposition.of(X)
    areas = (np.arange(len(X)) >= 11_000).astype(int)
    tracemalloc.start()
    path_scores(decomposition, y, PENALTIES[:2], areas)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.5 * decomposition.rows.nbytes


def test_means_and_scales_are_those_of_the_weighted_fitted_rows():
    X, _, weights, _ = frame(400, 5)
    found = Decomposition.of(X, weights)
    assert found.mean == pytest.approx(np.average(X, axis=0, weights=weights))
    assert found.scale == pytest.approx(np.sqrt(np.average((X - found.mean) ** 2, axis=0, weights=weights)))


def test_a_fit_equals_scikit_learn_and_a_whole_number_weight_is_a_repeated_row():
    X, y, _, _ = frame(300, 20, unfitted=0)
    weights = np.random.default_rng(3).integers(1, 4, 300).astype(float)
    model = RidgePath(penalties=[7.0]).fit(X, y[:, 0], weights)
    often = np.repeat(np.arange(300), weights.astype(int))
    Z = (X - model.decomposition_.mean) / model.decomposition_.scale
    # Weights are scaled to a mean of 1, so the repeated rows weigh as much as their mean says.
    theirs = Ridge(alpha=7.0 * weights.mean()).fit(Z[often], y[often, 0])
    assert model.predict(X) == pytest.approx(theirs.predict(Z), abs=1e-4)
    scores = X @ model.coefficients_[:, 0] + model.intercept_[0]
    assert scores == pytest.approx(theirs.predict(Z), abs=1e-9)


def test_features_in_float32_by_chunks_give_the_same(monkeypatch):
    X, y, weights, _ = frame(500, 30)
    X = X.astype(np.float32)
    whole = Decomposition.of(X.astype(np.float64), weights)
    monkeypatch.setattr("predictions.decomposition.CHUNK_ROWS", 64)
    parts = Decomposition.of(X, weights)
    blocks = classifier.index_blocks(500)
    assert path_scores(parts, y, PENALTIES, blocks) == pytest.approx(
        path_scores(whole, y, PENALTIES, blocks), abs=1e-10
    )


def test_a_column_without_spread_and_a_doubled_column_do_no_harm():
    X, y, weights, _ = frame(300, 10)
    X = np.column_stack([X, np.full(300, 3.3), X[:, 0]])
    scores = path_scores(Decomposition.of(X, weights), y, PENALTIES, classifier.index_blocks(300))
    assert np.isfinite(scores).all()
    assert np.abs(scores).max() < 5


def test_bad_frames_are_named():
    X = np.ones((5, 2))
    for features, weights in [(X[0], None), (X, np.ones(4)), (X, -np.ones(5)), (X, np.eye(5)[0]), (X * np.nan, None)]:
        with pytest.raises(ValueError, match=r"shape|weight|finite|row"):
            Decomposition.of(features, weights)


def test_a_block_that_holds_everything_gets_no_score():
    X, y, weights, _ = frame(100, 5)
    scores = path_scores(Decomposition.of(X, weights), y, PENALTIES, np.zeros(100, dtype=int))
    assert np.isnan(scores).all()


def test_rows_of_no_block_get_no_score_but_are_fitted():
    X, y, weights, _ = frame(200, 5, unfitted=0)
    blocks = np.where(np.arange(200) < 40, 0, -1)
    found = path_scores(Decomposition.of(X, weights), y, [1.0], blocks)[0]
    assert np.isnan(found[40:]).all()
    assert np.isfinite(found[:40]).all()


def test_new_labels_are_judged_from_what_was_kept_of_the_features():
    X, y, weights, cells = frame(700, 60)
    blocks, _ = classifier.spatial_blocks(cells)
    near = classifier.block_buffers(cells, blocks)
    model = RidgePath(PENALTIES, n_extensions=0, keep_bytes=2**28).fit(X, y, weights, blocks=blocks, buffers=near)
    assert not model.leave_out_.needs_rows(PENALTIES)
    changed = np.where(np.random.default_rng(1).random(y.shape) < 0.1, 1 - y, y)
    fresh = RidgePath(PENALTIES, n_extensions=0).fit(X, changed, weights, blocks=blocks, buffers=near)
    again = model.refit(changed, blocks=blocks)
    assert np.array_equal(again.choice_.scores, fresh.choice_.scores, equal_nan=True)
    assert np.array_equal(again.coefficients_, fresh.coefficients_)
    # Stored without the rows, which the features give.
    stored = Decomposition.from_arrays(model.decomposition_.to_arrays())
    model.decomposition_ = stored
    model.leave_out_ = LeaveOut(stored, blocks, near, operators=model.leave_out_.operators)
    lean = model.refit(changed, blocks=blocks, features=X)
    assert lean.choice_.scores == pytest.approx(fresh.choice_.scores, abs=1e-9, nan_ok=True)


def test_operators_beyond_the_room_given_are_not_kept():
    X, y, weights, _ = frame(200, 40)
    model = RidgePath(PENALTIES, n_extensions=0, keep_bytes=10_000).fit(X, y, weights)
    assert model.leave_out_.operators == {}


def paths(n: int = 400, heads: int = 1, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = (rng.random((n, heads)) < 0.3).astype(float)
    noise = np.array([2.0, 0.7, 0.2, 1.5])[:, None, None]
    return y + noise * rng.normal(size=(4, n, heads)), y, np.logspace(-1, 2, 4), np.arange(n) // 20


def test_each_block_is_judged_by_the_others_alone():
    scores, y, penalties, blocks = paths()
    scores[0, blocks == 3] = y[blocks == 3]  # perfect at the first penalty in block 3
    scores[0, blocks != 3] += 50
    choice = choose_penalty(scores, y, penalties, blocks)
    for block in (3, 7):
        others = blocks != block
        losses = ((scores[:, others, 0] - y[others, 0]) ** 2).mean(axis=1)
        assert choice.penalty_of_block[block, 0] == penalties[losses.argmin()]
        chosen = np.flatnonzero(penalties == choice.penalty_of_block[block, 0])[0]
        assert np.array_equal(choice.scores[blocks == block], scores[chosen, blocks == block])


def test_average_precision_decides_from_two_hundred_audited_positives_on():
    scores, y, penalties, blocks = paths(2000, seed=1)
    scores[:] = np.round(scores, 1)  # ties
    weights = np.random.default_rng(2).uniform(0.5, 3, 2000)
    choice = choose_penalty(scores, y, penalties, blocks, weights=weights)
    assert choice.criterion == ("average_precision",)
    expected = [1 - average_precision_score(y[:, 0], each[:, 0], sample_weight=weights) for each in scores]
    assert choice.losses[:, 0] == pytest.approx(expected)
    others = blocks != 5
    without = [average_precision_score(y[others, 0], each[others, 0], sample_weight=weights[others]) for each in scores]
    assert choice.penalty_of_block[5, 0] == penalties[np.argmax(without)]
    few = np.cumsum(y[:, 0]) <= 199
    assert choose_penalty(scores, y, penalties, blocks, judged=few).criterion == ("squared",)


def test_labels_nobody_audited_do_not_choose():
    scores, y, penalties, blocks = paths()
    judged = np.arange(400) % 2 == 0
    changed = np.where(judged[:, None], y, 1 - y)
    one, other = (choose_penalty(scores, labels, penalties, blocks, judged=judged) for labels in (y, changed))
    assert np.array_equal(one.losses, other.losses)
    assert np.array_equal(one.penalty_of_block, other.penalty_of_block)


def test_without_an_audited_label_of_each_class_all_labels_choose():
    scores, y, penalties, blocks = paths()
    choice = choose_penalty(scores, y, penalties, blocks, judged=y[:, 0] == 1)
    assert choice.losses[:, 0] == pytest.approx(((scores[:, :, 0] - y[:, 0]) ** 2).mean(axis=1))


def test_of_losses_as_good_the_larger_penalty_wins():
    scores, y, penalties, blocks = paths()
    scores[1] = y + (scores[2] - y) * (1 - 1e-5)
    assert choose_penalty(scores, y, penalties, blocks).penalty[0] == penalties[2]


def test_heads_choose_for_themselves():
    scores, y, penalties, blocks = paths(heads=2)
    scores[3, :, 1] = y[:, 1]
    choice = choose_penalty(scores, y, penalties, blocks)
    assert choice.penalty.tolist() == [penalties[2], penalties[3]]
    assert choice.at_edge.tolist() == [False, True]


def test_the_path_goes_on_where_its_end_is_best():
    X, y, weights, _ = frame(400, 30, heads=1)
    short = RidgePath([1e-4, 1e-3, 1e-2]).fit(X, y, weights)
    assert len(short.choice_.penalties) > 3
    assert short.choice_.penalty[0] > 1e-2
    assert not short.choice_.at_edge[0]
    wide = RidgePath(short.choice_.penalties, n_extensions=0).fit(X, y, weights)
    assert wide.choice_.penalty == pytest.approx(short.choice_.penalty)


def test_it_warns_where_even_the_longer_path_ends_too_soon():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 40)), (rng.random(300) < 0.5).astype(float)
    with pytest.warns(PenaltyAtEdge, match="end of the path"):
        model = RidgePath([1e-6, 1e-5], n_extensions=1).fit(X, y)
    assert model.choice_.at_edge[0]


def test_it_is_an_estimator_that_scikit_learn_can_clone():
    model = RidgePath(penalties=[1.0, 2.0], criterion="squared")
    copy = clone(model).set_params(n_extensions=0)
    given = copy.get_params()
    assert (given["penalties"], given["criterion"], given["n_extensions"]) == ([1.0, 2.0], "squared", 0)
    assert model.n_extensions == 3
    with pytest.raises(ValueError, match="no parameter"):
        model.set_params(alpha=1)


def test_scores_of_left_out_groups_are_refits_at_a_penalty_nearby():
    X, y, weights, cells = frame(600, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PenaltyAtEdge)
        model = RidgePath().fit(X, y, weights, blocks=classifier.spatial_blocks(cells)[0])
    groups = np.where(cells[:, 0] < 0, 0, np.where(cells[:, 0] < 15, 1, -1))
    near = classifier.block_buffers(cells, groups)
    near = near[-2:]  # of the groups 0 and 1
    found = model.out_of_group(groups, near)
    assert np.isnan(found[groups < 0]).all()
    out = groups == 1
    rows = np.flatnonzero(out)
    out[near[1]] = True
    w = model.decomposition_.weights
    candidates = [
        refitted(X, y, w, model.decomposition_, penalty, out, rows)[:, 0] for penalty in model.choice_.penalties
    ]
    assert min(np.abs(found[rows, 0] - each).max() for each in candidates) < 1e-8


def test_country_scores_keep_the_features_precision_and_say_nan_for_nan():
    X, y, weights, _ = frame(1500, 50)
    model = RidgePath([1.0, 10.0], n_extensions=0, criterion="squared")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PenaltyAtEdge)
        model.fit(X, y, weights)
    features = X.astype(np.float32)
    features[7, 3] = np.nan
    found = model.predict(features)
    assert found.dtype == np.float32
    assert np.isnan(found[7]).all()
    kept = np.arange(1500) != 7
    assert found[kept] == pytest.approx(X[kept] @ model.coefficients_ + model.intercept_, abs=1e-4)
