import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from predictions import baselines, curves, judging, metrics, quantities, reasons, strata, validation
from tests.predictions import worlds


@pytest.fixture(scope="module")
def world():
    return worlds.world(seed=1)


@pytest.fixture(scope="module")
def problem(world):
    return worlds.problem(world)


@pytest.fixture(scope="module")
def rungs(world, problem):
    return validation.ladder(problem, worlds.ridge(world.features, problem.y))


def of(rungs, key, negatives):
    (found,) = [rung for rung in rungs if (rung["key"], rung["negatives"]) == (key, negatives)]
    return found


# --- the ladder ------------------------------------------------------------------------------------------------------


def test_the_one_to_quote_first_comes_first(rungs):
    assert [(rung["key"], rung["negatives"]) for rung in rungs] == [
        ("sample", "all_searched"),
        ("areas", "random"),
        ("areas", "hard"),
        ("blocks", "random"),
        ("blocks", "hard"),
        ("random", "random"),
        ("random", "hard"),
    ]
    assert [rung["is_optimistic"] for rung in rungs] == [False] * 5 + [True] * 2
    assert all(rung["reason"] == "" for rung in rungs)
    assert of(rungs, "areas", "random")["n_groups"] == 4


def test_figures_are_fit_for_json(rungs):
    assert json.loads(json.dumps(rungs, allow_nan=False)) == rungs


def test_the_sample_is_judged_by_its_weights_out_of_block(world, problem, rungs):
    scores = worlds.ridge(world.features, problem.y)(problem.blocks, problem.buffers)[:, 0]
    rows = problem.sample_weights > 0
    found = of(rungs, "sample", "all_searched")["metrics"]
    expected = metrics.average_precision(problem.y[rows, 0], scores[rows], problem.sample_weights[rows])
    assert found["ap"]["value"] == pytest.approx(expected)
    assert found["n"] == 500
    assert found["prevalence"] == pytest.approx(problem.prevalence())
    assert found["ap"]["low"] < expected < found["ap"]["high"]


def test_random_and_hard_negatives_share_no_figure(problem):
    random_rows, _, _ = validation.judged_rows(problem, "random")
    hard_rows, _, _ = validation.judged_rows(problem, "hard")
    clear = problem.y[:, 0] == 0
    assert not (problem.is_suggested & (problem.sample_weights == 0))[random_rows[clear[random_rows]]].any()
    assert problem.is_suggested[hard_rows[clear[hard_rows]]].all()
    # Presumed zeros are judged by nothing.
    assert problem.is_judged[np.concatenate([random_rows, hard_rows]), 0].all()


def test_mines_that_a_score_led_to_flatter_no_score(world, problem):
    """Suggested mines score high by choice; with random negatives they would make any ranking look better."""
    is_unseen = (world.truth == 1) & ~problem.is_judged[:, 0] & (world.features[:, 0] > 1.5)
    found = np.flatnonzero(is_unseen)
    assert len(found) > 20
    judged, suggested, y = problem.is_judged.copy(), problem.is_suggested.copy(), problem.y.copy()
    judged[found] = True
    suggested[found] = True
    y[found] = 1
    more = replace(problem, is_judged=judged, is_suggested=suggested, y=y)
    for negatives in ("random", "all_searched"):
        before, after = validation.judged_rows(problem, negatives), validation.judged_rows(more, negatives)
        assert np.array_equal(before[0], after[0]) and np.array_equal(before[1], after[1])
    assert np.isin(found, validation.judged_rows(more, "hard")[0]).all()


def test_strata_blend_no_suggested_cells_with_the_sample(world, problem):
    scores = worlds.ridge(world.features, problem.y)(problem.blocks, problem.buffers)
    fit = SimpleNamespace(problem=problem, heads=SimpleNamespace(out_of_block=scores))
    (row,) = judging._strata(fit, {"region": np.full(len(scores), "all")}, scores[:, 0])
    suggested = problem.is_suggested & (problem.sample_weights == 0)
    assert suggested.sum() > 20
    assert row["n"] == (problem.is_judged[:, 0] & ~suggested).sum()


def test_hard_negatives_are_harder(rungs):
    for key in ("areas", "blocks", "random"):
        hard, easy = of(rungs, key, "hard")["metrics"], of(rungs, key, "random")["metrics"]
        assert hard["auc"]["value"] < easy["auc"]["value"] - 0.1


def test_rungs_with_records_are_weighted_to_the_samples_prevalence(problem, rungs):
    for key, negatives in (("blocks", "random"), ("areas", "hard")):
        found = of(rungs, key, negatives)
        assert found["weighting"] == "prevalence"
        assert found["metrics"]["prevalence"] == pytest.approx(problem.prevalence())
    _, weights, _ = validation.judged_rows(problem, "random")
    assert weights.sum() == pytest.approx(problem.n_mapped)


def test_without_mines_in_the_sample_cells_count_as_they_are(problem):
    none = problem.is_judged & ~((problem.sample_weights > 0) & (problem.y[:, 0] > 0))[:, None]
    _, weights, weighting = validation.judged_rows(replace(problem, is_judged=none), "hard")
    assert weighting == "none"
    assert len(set(weights)) == 1


def test_neighbours_leak_into_random_folds():
    """Features that say where a cell is flatter a model that remembers; only random folds believe it."""
    world = worlds.world(seed=4)
    problem = worlds.problem(world, n_sample=900)
    found = validation.ladder(problem, worlds.neighbours(world.cells.astype(float), world.truth))
    optimistic, honest = of(found, "random", "random")["metrics"], of(found, "blocks", "random")["metrics"]
    assert optimistic["ap"]["value"] > honest["ap"]["value"] + 0.05


def test_baselines_stand_beside_each_rung(rungs, problem):
    for rung in rungs:
        assert set(rung["baselines"]) == {"prevalence", "interpolation", "colour"}
        base = rung["baselines"]["prevalence"]
        assert base["ap"]["value"] == pytest.approx(base["prevalence"])
        assert base["auc"]["value"] == pytest.approx(0.5)
        assert base["brier"]["value"] == pytest.approx(base["prevalence"] * (1 - base["prevalence"]), rel=0.05)
        assert rung["metrics"]["ap"]["value"] > base["ap"]["value"]
        assert rung["baselines"]["interpolation"]["n"] == rung["metrics"]["n"]


def test_calibration_gives_probabilities(world, problem):
    def calibrate(scores, y, weights, groups):
        assert len(scores) == len(groups)
        return np.full(len(scores), np.average(y, weights=weights))

    found = validation.ladder(problem, worlds.ridge(world.features, problem.y), calibrate=calibrate)[0]
    share = problem.prevalence()
    assert found["metrics"]["brier"]["value"] == pytest.approx(share * (1 - share))
    assert found["baselines"]["colour"]["brier"]["value"] == pytest.approx(share * (1 - share))


def test_any_mining_has_figures_of_its_own(world, problem):
    also = np.column_stack([problem.y[:, 0], np.maximum(problem.y[:, 0], world.features[:, 0] > 1.5)])
    two = replace(problem, y=also, is_judged=np.repeat(problem.is_judged, 2, axis=1))
    found = validation.ladder(two, worlds.ridge(world.features, also))[0]
    assert found["any_mining"]["n_positive"] > found["metrics"]["n_positive"]


def test_a_rung_that_cannot_be_says_why(world, problem):
    scorer = worlds.ridge(world.features, problem.y)
    no_sample = validation.ladder(
        replace(problem, sample_weights=np.zeros(len(world.cells)), areas=np.zeros(len(world.cells), int)), scorer
    )
    assert of(no_sample, "sample", "all_searched")["reason"] == quantities.NO_SAMPLE
    assert of(no_sample, "areas", "hard")["reason"] == quantities.ONE_AREA
    assert of(no_sample, "blocks", "random")["reason"] == quantities.NO_RANDOM_NEGATIVES
    assert of(no_sample, "blocks", "hard")["reason"] == ""
    assert of(no_sample, "blocks", "hard")["weighting"] == "none"
    none_hard = validation.ladder(replace(problem, is_suggested=None, is_near=None), scorer)
    missing = of(none_hard, "blocks", "hard")
    assert missing["reason"] == quantities.NO_HARD_NEGATIVES
    assert missing["metrics"]["ap"] == quantities.missing(0, quantities.NO_HARD_NEGATIVES)
    nothing = validation.ladder(replace(problem, is_judged=np.zeros_like(problem.is_judged)), scorer)
    assert {rung["reason"] for rung in nothing} == {quantities.NOTHING_JUDGED}


def test_every_reason_has_a_sentence():
    assert len(quantities.REASONS) > 10
    assert set(quantities.REASONS) <= set(reasons.SENTENCES)


def test_cells_without_a_score_are_not_judged(world, problem):
    scorer = worlds.ridge(world.features, problem.y)

    def half(groups, buffers):
        scores = scorer(groups, buffers)
        scores[::2] = np.nan
        return scores

    found = validation.ladder(problem, half)[0]["metrics"]
    assert found["n"] == (problem.sample_weights[1::2] > 0).sum()


def test_a_model_from_elsewhere_is_judged_on_this_countrys_sample(world, problem):
    found = validation.elsewhere(problem, world.features[:, 0])
    assert [(rung["key"], rung["negatives"]) for rung in found] == [
        ("elsewhere", "all_searched"),
        ("elsewhere", "random"),
        ("elsewhere", "hard"),
    ]
    rows = problem.sample_weights > 0
    expected = metrics.average_precision(problem.y[rows, 0], world.features[rows, 0], problem.sample_weights[rows])
    assert found[0]["metrics"]["ap"]["value"] == pytest.approx(expected)
    assert set(found[0]["baselines"]) == {"prevalence"}


def test_cells_that_touch_a_mark():
    cells = np.array([[-3, 7], [-1, 7], [0, 9], [2, 8], [1, 8]])
    assert validation.touching(cells, [[0, 8]]).tolist() == [False, True, True, False, True]
    assert not validation.touching(cells, np.zeros((0, 2))).any()


# --- baselines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["prevalence", "interpolation", "colour"])
def test_a_guess_never_sees_its_own_group_or_buffer(world, name):
    weights = np.ones(len(world.cells))

    def guess(y):
        first = {"interpolation": (world.cells,), "colour": (world.features[:, :3],), "prevalence": ()}[name]
        return getattr(baselines, name)(*first, y, weights, world.blocks, world.buffers)

    hidden = world.blocks == 5
    hidden[world.buffers[5]] = True
    other = np.where(hidden, 1 - world.truth, world.truth)
    np.testing.assert_allclose(guess(other)[world.blocks == 5], guess(world.truth)[world.blocks == 5], atol=1e-9)
    assert not np.allclose(guess(other), guess(world.truth))


def test_interpolation_is_the_mean_of_near_labels():
    cells = np.array([[0, 0], [1, 0], [3, 0], [50, 0]])
    found = baselines.interpolation(
        cells, [0, 1, 0, 0], [1, 1, 1, 0], [0, 1, 2, 3], [np.zeros(0, int)] * 4, n_neighbours=2
    )
    assert found[0] == pytest.approx(1 / (1 + 1 / 9))
    assert found[1] == pytest.approx(0)


def test_colour_equals_a_ridge_fitted_again(world):
    colours, y = world.features[:, :2] * 30 + 100, world.truth
    found = baselines.colour(colours, y, np.ones(len(y)), world.blocks, world.buffers, penalty=1e-6)
    left = world.blocks != 3
    left[world.buffers[3]] = False
    X = np.column_stack([np.ones(len(y)), colours, colours**2])
    again = X @ np.linalg.lstsq(X[left], y[left], rcond=None)[0]
    np.testing.assert_allclose(found[world.blocks == 3], again[world.blocks == 3], atol=1e-4)


def test_a_cell_without_colour_has_no_guess(world):
    colours = world.features[:, :3].copy()
    colours[7] = np.nan
    found = baselines.colour(colours, world.truth, np.ones(len(colours)), world.blocks, world.buffers)
    assert np.isnan(found[7]) and np.isfinite(np.delete(found, 7)).all()


# --- curves ----------------------------------------------------------------------------------------------------------


def test_what_is_said_to_be_likely_comes_true_as_often():
    rng = np.random.default_rng(8)
    p = rng.random(4000) ** 2
    y = (rng.random(4000) < p).astype(int)
    found = curves.reliability(y, p, np.ones(4000), np.arange(4000) // 10)
    assert sum(b["share"]["n"] for b in found["bins"]) == 4000
    assert found["ece"] < 0.03
    held = [b["share"]["low"] <= b["mean_score"] <= b["share"]["high"] for b in found["bins"]]
    assert sum(held) >= 9
    twice = curves.reliability(
        np.append(y, y), np.append(p, p), None, np.append(np.arange(4000), np.arange(4000)) // 10
    )
    assert twice["ece"] == pytest.approx(found["ece"], abs=1e-9)


def test_equal_probabilities_stay_in_one_bin():
    found = curves.reliability([0, 1, 0, 1, 1], [0.2, 0.2, 0.2, 0.2, 0.9], None, np.arange(5))
    assert [(b["mean_score"], b["share"]["n"]) for b in found["bins"]] == [
        (pytest.approx(0.2), 4),
        (pytest.approx(0.9), 1),
    ]
    # One of one: the interval does not claim to know.
    assert found["bins"][1]["share"]["low"] < 0.5
    assert curves.reliability([], [], None, []) == {"bins": [], "ece": None}


def test_weights_count_in_a_bin():
    found = curves.reliability([1, 0], [0.5, 0.5], [3, 1], [0, 1])
    assert found["bins"][0]["share"]["value"] == pytest.approx(0.75)


def test_a_share_in_blocks_is_less_sure_than_one_of_single_cells():
    rng = np.random.default_rng(2)
    blocks = np.arange(400) // 10
    counted = (rng.random(40) < 0.5)[blocks]
    _, low, high = curves.share_interval(counted, np.ones(400), np.arange(400))
    _, wider_low, wider_high = curves.share_interval(counted, np.ones(400), blocks)
    assert wider_high - wider_low > 2 * (high - low)


def test_shares_of_clustered_cells_are_covered():
    rng = np.random.default_rng(17)
    blocks, held = np.arange(240) // 6, 0
    for _ in range(600):
        level = rng.beta(1.2, 4.8, size=40)
        counted = rng.random(240) < level[blocks]
        _, low, high = curves.share_interval(counted, rng.choice([1.0, 2.0], 240), blocks)
        held += low <= 0.2 <= high
    assert 0.93 <= held / 600 <= 0.97, held / 600


def test_each_threshold_says_what_it_finds(world, problem):
    scores = worlds.ridge(world.features, problem.y)(problem.blocks, problem.buffers)[:, 0]
    rows = problem.sample_weights > 0
    found = curves.thresholds(
        problem.y[rows, 0],
        scores[rows],
        problem.sample_weights[rows],
        problem.blocks[rows],
        mapped=np.append(scores, np.nan),
        at=[0.05, 0.1, 0.3, 9.0],
    )
    assert [t["n_above"] for t in found] == [(scores >= t).sum() for t in (0.05, 0.1, 0.3)] + [0]
    called = scores[rows] >= 0.1
    assert found[1]["precision"]["value"] == pytest.approx(problem.y[rows, 0][called].mean())
    assert found[1]["recall"]["value"] == pytest.approx((problem.y[rows, 0] * called).sum() / problem.y[rows, 0].sum())
    assert found[1]["recall"]["low"] < found[1]["recall"]["value"] < found[1]["recall"]["high"]
    assert found[3]["precision"]["reason"] == quantities.NOTHING_ABOVE
    assert (found[3]["recall"]["value"], found[3]["recall"]["low"]) == (0, 0)
    assert found[3]["recall"]["high"] > 0
    recalls = [t["recall"]["value"] for t in found]
    assert recalls == sorted(recalls, reverse=True)


# --- strata ----------------------------------------------------------------------------------------------------------


def industrial(seed=0, n=3000):
    """Near commercial mines the model calls everything a mine: recall rises, and so does what is wrongly named."""
    rng = np.random.default_rng(seed)
    blocks = np.arange(n) // 20
    on = rng.random(n) < 0.3
    y = (rng.random(n) < 0.3).astype(int)
    scores = y + 1.2 * on + rng.normal(size=n) * 0.7
    return y, scores, blocks, np.where(on, "on", "over_5_km")


def test_recall_alone_would_flatter_commercial_mines():
    y, scores, blocks, level = industrial()
    on, far = strata.by_stratum(
        y, scores, None, blocks, {"distance_to_commercial": level}, threshold=1.0, n_permutations=300
    )
    assert (on["level"], far["level"]) == ("on", "over_5_km")
    assert on["recall"]["value"] > far["recall"]["value"] + 0.3
    assert on["fpr"]["value"] > far["fpr"]["value"] + 0.3
    assert on["auc"]["value"] == pytest.approx(far["auc"]["value"], abs=0.05)
    assert on["p_value"] < 0.01 and on["p_value_fpr"] < 0.01
    assert json.loads(json.dumps([on, far], allow_nan=False)) == [on, far]
    for row in (on, far):
        for name in ("recall", "fpr", "auc"):
            assert row[name]["low"] < row[name]["value"] < row[name]["high"]


def test_equal_levels_are_found_different_as_often_as_said():
    rng = np.random.default_rng(3)
    p = []
    for seed in range(200):
        called = rng.random(200) < np.repeat(rng.random(20), 10)
        inside, weights = rng.random(200) < 0.4, rng.random(200) + 0.5
        p.append(strata.within_blocks(called, inside, weights, np.arange(200) // 10, 99, seed))
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.09
    assert np.mean(p) == pytest.approx(0.5, abs=0.07)


def test_what_does_not_vary_within_blocks_is_not_tested():
    blocks = np.arange(100) // 10
    called = np.arange(100) % 2 == 0
    assert strata.within_blocks(called, blocks < 5, np.ones(100), blocks) is None
    assert strata.within_blocks(np.ones(100), np.arange(100) % 3 == 0, np.ones(100), blocks) is None


def test_a_mineral_is_known_of_mines_only():
    y, scores, blocks, _ = industrial(n=400)
    mineral = np.where(y == 1, np.where(np.arange(400) % 2, "gold", "tin"), "")
    rows = strata.by_stratum(y, scores, None, blocks, {"mineral": mineral}, threshold=1.0)
    assert [row["level"] for row in rows] == ["gold", "tin"]
    assert rows[0]["n"] == rows[0]["n_positive"]
    assert rows[0]["fpr"] == quantities.missing(0, quantities.NO_NEGATIVE)
    assert rows[0]["auc"]["reason"] == quantities.NO_NEGATIVE
    assert rows[0]["p_value_fpr"] is None


def test_distances_to_commercial_mines_have_words():
    found = strata.distance_levels([0, 1, 2000, 2001, 5000, 5001, np.inf, np.nan])
    assert found.tolist() == [
        "on", "under_2_km", "under_2_km", "2_to_5_km", "2_to_5_km", "over_5_km", "over_5_km", "",
    ]  # fmt: skip
