import json
import secrets

import numpy as np
import pytest

from predictions import gains, metrics, quantities, simulation

N_SEEDS, N_DRAWN = 10, 3


# --- steps -----------------------------------------------------------------------------------------------------------


def test_each_step_keeps_the_ones_before_it():
    nan = np.nan
    found = gains.steps_of(
        registered=[1, 1, 1, 0, 0],
        kept=[1, 0, 1, 0, 0],
        moved=[1, 0, 0, 1, 0],
        searched=[nan, nan, 1, 0, 1],
    )
    assert list(found) == list(gains.STEPS)
    assert [labels.tolist() for labels in found.values()] == [
        [1, 1, 1, 0, 0],
        [1, 0, 1, 0, 0],
        [1, 0, 0, 1, 0],
        [1, 0, 1, 0, 1],
    ]


def rows(seed=0, n=600, better=1.5):
    """A scorer whose scores know the truth the better the later the step."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.3).astype(float)
    skill = np.linspace(0.5, 0.5 + better, 4)
    scores = truth[:, None] * skill + rng.normal(size=(n, 1))
    labels = gains.steps_of(rng.random(n) < 0.2, rng.random(n) < 0.2, rng.random(n) < 0.2, np.full(n, np.nan))
    return truth, labels, lambda given: scores[:, : given.shape[1]]


def test_the_gain_is_paired():
    truth, labels, scorer = rows()
    weights, blocks = np.linspace(1, 3, 600), np.arange(600) // 12
    found = gains.gain(labels, scorer, truth=truth, weights=weights, blocks=blocks, error_rates_from="here")
    expected = [metrics.average_precision(truth, column, weights) for column in scorer(np.zeros((600, 4))).T]
    assert [step["ap"]["value"] for step in found["steps"]] == pytest.approx(expected)
    gain = found["gain_ap"]
    assert gain["value"] == pytest.approx(expected[-1] - expected[0])
    assert 0 < gain["low"] < gain["value"] < gain["high"]
    assert found["is_measurable"] is True
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["n_judged"], found["n_judged_positive"], found["error_rates_from"]) == (600, truth.sum(), "here")
    # Apart the two intervals would be much less sure of the difference than together.
    first, last = found["steps"][0]["ap"], found["steps"][-1]["ap"]
    assert gain["high"] - gain["low"] < (last["high"] - first["low"]) - (last["low"] - first["high"])


def test_the_same_labels_bring_no_measurable_gain():
    truth, labels, scorer = rows(better=0)
    found = gains.gain(labels, scorer, truth=truth, weights=np.ones(600), blocks=np.arange(600) // 12)
    assert found["gain_ap"]["value"] == 0
    assert not found["is_measurable"]


def test_a_loss_is_no_gain():
    truth, labels, scorer = rows(better=-1.5)
    found = gains.gain(labels, scorer, truth=truth, weights=np.ones(600), blocks=np.arange(600) // 12)
    assert found["gain_ap"]["high"] < 0
    assert not found["is_measurable"]


def test_only_judged_cells_count():
    truth, labels, scorer = rows()
    some = np.where(np.arange(600) % 2, truth, np.nan)
    weights = np.where(np.arange(600) % 3, 1.0, 0.0)
    found = gains.gain(labels, scorer, truth=some, weights=weights, blocks=np.arange(600) // 12)
    assert found["n_judged"] == ((np.arange(600) % 2 > 0) & (weights > 0)).sum()


def test_changes_are_counted_in_cells_unless_given():
    truth, labels, scorer = rows()
    about = {"truth": truth, "weights": np.ones(600), "blocks": np.arange(600) // 12}
    found = gains.gain(labels, scorer, **about)
    steps = list(labels.values())
    assert [step["n_changed"] for step in found["steps"]] == [
        steps[0].sum(),
        (steps[0] != steps[1]).sum(),
        (steps[1] != steps[2]).sum(),
        0,
    ]
    assert gains.gain(labels, scorer, n_changed={"moved": 91}, **about)["steps"][2]["n_changed"] == 91


def test_among_mines_alone_nothing_is_gained_or_lost():
    _, labels, scorer = rows()
    truth = np.where(np.arange(600) < 40, 1.0, np.nan)
    found = gains.gain(labels, scorer, truth=truth, weights=np.ones(600), blocks=np.arange(600) // 12)
    assert (found["gain_ap"]["value"], found["gain_ap"]["reason"]) == (None, quantities.NO_NEGATIVE)
    assert all(step["ap"]["value"] is None for step in found["steps"]) and not found["is_measurable"]


def test_without_judged_mines_it_says_why():
    truth, labels, scorer = rows()
    about = {"weights": np.ones(600), "blocks": np.arange(600) // 12}
    found = gains.gain(labels, scorer, truth=np.zeros(600), **about)
    assert found["gain_ap"] == quantities.missing(600, quantities.NO_POSITIVE)
    assert len(found["steps"]) == 4
    assert not found["is_measurable"]
    assert gains.gain(labels, scorer, truth=truth * np.nan, **about)["gain_ap"]["reason"] == quantities.NOTHING_JUDGED
    one_block = gains.gain(labels, scorer, truth=truth, weights=np.ones(600), blocks=np.zeros(600))
    assert one_block["gain_ap"]["value"] > 0
    assert (one_block["gain_ap"]["low"], one_block["is_measurable"]) == (None, False)


# --- simulated countries ---------------------------------------------------------------------------------------------


def test_the_simulated_register_errs_as_the_reference_says():
    """Reference audits: 41 % [37-45] of labelled cells are right and 43 % [38-48] of true ones are labelled."""
    right, found = [], []
    for seed in range(6):
        country = simulation.country(seed)
        recorded = simulation.register(country, seed)
        cells = np.unique(recorded.reported)
        right.append(country.truth[cells].mean())
        found.append(np.isin(country.mine_cells, cells).mean())
        assert 0.04 < country.truth.mean() < 0.12
    assert 0.35 < np.mean(right) < 0.50
    assert 0.33 < np.mean(found) < 0.50


def test_the_simulated_annotator_mends_most_records():
    country = simulation.country(1)
    recorded = simulation.register(country, 1)
    moved = recorded.verdict == "moved"
    assert (country.truth[recorded.marked[moved]] == 1).all()
    rejected = recorded.verdict == "rejected"
    away = np.hypot(*(recorded.points[:, None] - country.mines[None]).transpose(2, 0, 1)).min(axis=1)
    assert (away[rejected] * simulation.CELL_M > simulation.SEARCH_RADIUS_M).mean() > 0.7
    assert 0.01 < (recorded.verdict == "unsure").mean() < 0.1


def test_a_seed_gives_the_same_country_again():
    first, again = simulation.country(3), simulation.country(3)
    np.testing.assert_array_equal(first.features, again.features)
    assert simulation.gain_of(3, side=24, n_sample=250, n_suggested=50) == simulation.gain_of(
        3, side=24, n_sample=250, n_suggested=50
    )


def test_auditing_buys_average_precision():
    """On the mean of ten countries, three of which nobody has seen before."""
    seeds = [*range(N_SEEDS - N_DRAWN), *(secrets.randbelow(10**9) for _ in range(N_DRAWN))]
    about = {"side": 40, "n_sample": 700, "n_suggested": 200}
    found = {seed: simulation.gain_of(seed, **about) for seed in seeds}
    gained = {seed: each["gain_ap"]["value"] for seed, each in found.items()}
    assert np.mean(list(gained.values())) > 0, f"gains by seed: {gained}"
    assert all(each["error_rates_from"] for each in found.values())
    assert all(each["n_judged"] > 600 and each["n_judged_positive"] > 20 for each in found.values()), gained
