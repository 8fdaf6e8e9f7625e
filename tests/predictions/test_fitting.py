"""Heads that differ in cells are fitted apart; what no label enters is kept and changes no number."""

import numpy as np
import pytest

from predictions import fitting
from predictions.blocks import block_buffers, spatial_blocks
from predictions.classifier import Kept, RidgePath
from predictions.decomposition import Decomposition
from predictions.fitting import Chances, Heads
from predictions.run_inputs import judging_weights
from tests.predictions import worlds
from tests.predictions.trained import ground


class Memory:
    def __init__(self):
        self.kept: dict[bytes, Kept] = {}
        self.n_loaded = 0

    def load(self, weights):
        found = self.kept.get(weights.tobytes())
        self.n_loaded += found is not None
        return found

    def save(self, weights, kept):
        self.kept[weights.tobytes()] = kept


def inputs(seed: int = 0) -> tuple:
    cells, features, has_mine = ground(seed)
    rng = np.random.default_rng(seed)
    y = np.stack([has_mine, has_mine | (rng.random(len(cells)) < 0.05)], axis=1).astype(float)
    weights = np.repeat(rng.uniform(0.5, 2, (len(cells), 1)), 2, axis=1)
    blocks, _ = spatial_blocks(cells, size_km=5)
    rest = {
        "blocks": blocks,
        "buffers": block_buffers(cells, blocks),
        "judged": np.repeat(rng.random((len(cells), 1)) < 0.3, 2, axis=1),
        "judged_weight": np.ones((len(cells), 2)),
    }
    return features, y, weights, rest


def test_heads_of_the_same_weights_share_a_decomposition():
    X, y, weights, rest = inputs()
    assert len(Heads().fit(X, y, weights, **rest).models) == 1
    weights[:20, 1] = 0
    assert len(Heads().fit(X, y, weights, **rest).models) == 2


def test_each_head_is_what_it_would_be_alone():
    X, y, weights, rest = inputs()
    weights[:20, 0] = 0
    both = Heads().fit(X, y, weights, **rest)
    groups = np.arange(len(X)) % 3
    empty = [np.zeros(0, dtype=int)] * 3
    for head in range(2):
        alone = RidgePath().fit(
            X,
            y[:, head],
            weights[:, head],
            blocks=rest["blocks"],
            buffers=rest["buffers"],
            judged=rest["judged"][:, head],
            judged_weight=rest["judged_weight"][:, head],
        )
        assert both.out_of_block[:, head] == pytest.approx(alone.choice_.scores[:, 0], abs=1e-10)
        assert both.predict(X.astype(np.float32))[:, head] == pytest.approx(
            alone.predict(X.astype(np.float32)), abs=1e-5
        )
        assert both.penalty(head)["chosen"] == alone.choice_.penalty[0]
        assert both.importance(head).shape == (24,)
        expected = alone.out_of_group(groups, empty)[:, 0]
        assert both.out_of_group(groups, empty)[:, head] == pytest.approx(expected, abs=1e-10)


def test_what_is_kept_changes_no_bit():
    X, y, weights, rest = inputs()
    weights[:20, 0] = 0
    memory = Memory()
    first = Heads(keeper=memory).fit(X, y, weights, **rest)
    other = np.where(np.random.default_rng(9).random(y.shape) < 0.1, 1 - y, y)
    again = Heads(keeper=memory).fit(X, other, weights, **rest)
    fresh = Heads().fit(X, other, weights, **rest)
    assert memory.n_loaded == 2
    assert np.array_equal(again.out_of_block, fresh.out_of_block)
    assert np.array_equal(again.coefficients, fresh.coefficients)
    assert not np.array_equal(again.out_of_block, first.out_of_block)


def test_rows_of_one_decomposition_at_a_time_are_held_and_no_bit_changes(monkeypatch):
    X, y, weights, rest = inputs()
    weights[:20, 0] = 0
    groups, empty = np.arange(len(X)) % 3, [np.zeros(0, dtype=int)] * 3
    others = np.random.default_rng(1).permutation(y[:, :1])

    def told(heads):
        steps = [heads.out_of_block, heads.coefficients, heads.out_of_group(groups, empty), heads.relabelled(others)]
        steps.append(heads.out_of_group(groups[::-1], empty))
        return steps

    roomy = Heads().fit(X, y, weights, **rest)
    n_rotated, rotated = [], Decomposition.rotated
    monkeypatch.setattr(Decomposition, "rotated", lambda self, X: (n_rotated.append(held(tight)), rotated(self, X))[1])
    monkeypatch.setattr(fitting, "ROWS_BYTES", 0)

    def held(heads):
        return sum(model.has_rows for model in heads.models)

    tight = Heads()
    tight.fit(X, y, weights, **rest)
    assert held(roomy) == 2 and held(tight) == 1
    assert all(map(np.array_equal, told(tight), told(roomy)))
    assert held(tight) == 1
    assert n_rotated == [0] * 4  # nothing else is held while rows are made: of two fits, then twice of the other one
    assert [bool(model.leave_out_.operators) for model in Heads(keeper=Memory()).fit(X, y, weights, **rest).models] == [
        True,
        False,
    ]


def test_other_labels_of_the_first_head_are_judged_by_the_same_model():
    X, y, weights, rest = inputs()
    heads = Heads().fit(X, y, weights, **rest)
    found = heads.relabelled(np.stack([y[:, 0], np.random.default_rng(1).permutation(y[:, 0])], axis=1))
    assert found.shape == (len(X), 2)
    assert np.corrcoef(found[:, 0], y[:, 0])[0, 1] > np.corrcoef(found[:, 1], y[:, 0])[0, 1] + 0.2


def test_chances_need_both_classes_and_a_score():
    scores, y, rows = np.array([0.1, np.nan, 0.4, 0.9]), np.array([0, 1, 0, 1.0]), np.arange(4)
    blocks = np.arange(4)
    assert Chances.fit(scores, y, rows[:3], np.ones(3), blocks, is_of_records=False) is None
    found = Chances.fit(scores, y, rows, np.ones(4), blocks, is_of_records=False)
    assert found.rows.tolist() == [0, 2, 3]
    assert found.out_of_block.shape == (3,)


def test_withheld_cells_are_no_negatives_to_the_choice_of_the_penalty():
    """Without a searched cell the choice looks at all cells fitted: a claim nobody checked is not one of them."""
    world = worlds.world(seed=6)
    n = len(world.cells)
    mines = np.flatnonzero(world.truth)[::3]
    withheld = np.setdiff1d(np.flatnonzero(world.truth), mines)
    is_mine = np.isin(np.arange(n), mines)[:, None]
    fit_weights = np.where(np.isin(np.arange(n), withheld), 0.0, 1.0)[:, None]
    records = {"y": is_mine.astype(float), "is_judged": is_mine, "sample_weights": np.zeros(n)}
    problem = worlds.problem(world, fit_weights=fit_weights, is_suggested=np.zeros(n, bool), **records)

    def chosen(rows):
        model = RidgePath(penalties=np.logspace(-2, 5, 8), n_extensions=0).fit(
            world.features[rows],
            problem.y[rows],
            problem.fit_weights[rows, 0],
            blocks=np.unique(problem.blocks[rows], return_inverse=True)[1],
            judged=problem.is_judged[rows],
            judged_weight=judging_weights(problem)[rows, 0],
        )
        return model.choice_.losses

    assert chosen(np.arange(n)) == pytest.approx(chosen(np.flatnonzero(problem.fit_weights[:, 0])))
