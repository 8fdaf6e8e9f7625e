import numpy as np
import pytest

from predictions import intensity, quantities
from predictions.calibration import Calibration
from predictions.intensity import totals
from predictions.readers import reader_variance

N_AREAS, N_CELLS = 16, 256
AREAS = np.repeat(np.arange(N_AREAS), N_CELLS)


def means(y):
    return y.reshape(N_AREAS, -1).mean(axis=1)


def country(rng, base=0.1):
    """Truth of 16 areas of 256 cells, and scores that know a part of it."""
    lean = np.repeat(rng.normal(0, 0.8, N_AREAS), N_CELLS) + rng.normal(0, 1.3, len(AREAS))
    level = np.log(base / (1 - base)) - 0.6
    y = (rng.random(len(AREAS)) < 1 / (1 + np.exp(-(1.3 * lean + level)))).astype(float)
    return y, 1 / (1 + np.exp(-(lean + rng.normal(0, 0.8, len(AREAS)) + level)))


def drawn(rng, m=30):
    return np.concatenate([area * N_CELLS + rng.permutation(N_CELLS)[:m] for area in range(N_AREAS)])


def by_score(rng, f, m=30):
    """Half of each area's cells from its top tenth of scores."""
    rows, weights = [], []
    for area in range(N_AREAS):
        order = area * N_CELLS + np.argsort(-f[area * N_CELLS : (area + 1) * N_CELLS])
        for part, n in ((order[: N_CELLS // 10], m // 2), (order[N_CELLS // 10 :], m - m // 2)):
            rows.append(rng.permutation(part)[:n])
            weights.append(np.full(n, len(part) / n))
    return np.concatenate(rows), np.concatenate(weights)


def held(found, truth, national) -> tuple[list, bool]:
    return [t.low <= truth[t.area] <= t.high for t in found[1:]], found[0].low <= national <= found[0].high


def coverage(seed, n_worlds, n_samples, sample, base=0.1):
    rng, areas, everywhere = np.random.default_rng(seed), [], []
    for _ in range(n_worlds):
        y, f = country(rng, base)
        for _ in range(n_samples):
            one, all_of_it = held(sample(rng, y, f), means(y), y.mean())
            areas.append(one)
            everywhere.append(all_of_it)
    return np.mean(areas), np.mean(everywhere)


# --- coverage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m, base", [(10, 0.04), (30, 0.1), (60, 0.25)])
def test_the_truth_lies_within_the_limits_as_often_as_said(m, base):
    def sample(rng, y, f):
        rows = drawn(rng, m)
        return totals(f, AREAS, searched=rows, y=y[rows], weights=np.full(len(rows), N_CELLS / m))

    areas, everywhere = coverage(11, 15, 10, sample, base)
    assert 0.93 <= areas <= 0.97, areas
    assert 0.90 <= everywhere <= 0.99, everywhere  # of 150 samples: this figure itself errs by 0.018


def test_it_covers_where_high_scores_were_searched_more():
    def sample(rng, y, f):
        rows, weights = by_score(rng, f)
        return totals(f, AREAS, searched=rows, y=y[rows], weights=weights)

    areas, everywhere = coverage(12, 15, 10, sample)
    assert 0.93 <= areas <= 0.97, areas
    assert 0.90 <= everywhere <= 0.99, everywhere


@pytest.mark.parametrize("m, base, rule", [(30, 0.1, "platt"), (80, 0.2, "isotonic")])
def test_it_covers_with_probabilities_calibrated_on_the_same_cells(m, base, rule):
    def sample(rng, y, f):
        scores = 0.3 * np.log(f / (1 - f)) + rng.normal(0, 0.1, len(f))
        rows, weights = drawn(rng, m), np.full(16 * m, N_CELLS / m)
        chances = Calibration.fit(scores[rows], y[rows], weights, rule).predict(scores)
        return totals(chances, AREAS, searched=rows, y=y[rows], weights=weights)

    areas, everywhere = coverage(14, 12, 8, sample, base)
    assert 0.93 <= areas <= 0.97, areas
    assert 0.88 <= everywhere <= 1, everywhere  # of 96 samples


@pytest.mark.parametrize("m, share", [(30, 0.05), (300, 0.005)])
def test_it_covers_where_the_sample_often_holds_no_mine(m, share):
    rng, held_it = np.random.default_rng(17), []
    for _ in range(300):
        f = rng.beta(1, 1 / share - 1, size=3000)
        y = (rng.random(len(f)) < f).astype(float)
        rows = rng.permutation(len(f))[:m]
        found = totals(f, np.full(len(f), -1), searched=rows, y=y[rows])[0]
        held_it.append(found.low <= y.mean() <= found.high)
    assert np.mean(held_it) >= 0.92, np.mean(held_it)


def test_it_covers_the_true_share_although_readers_err():
    """Ten readers, each leaning his own way: on average they imagine as many mines as they miss."""

    def sample(rng, y, f):
        misses, imagines = rng.uniform(0.02, 0.40, (2, 10))
        imagines *= y.mean() / (1 - y.mean())

        def read(rows, readers):
            wrong = np.where(y[rows] > 0, misses[readers], imagines[readers])
            return np.abs(y[rows] - (rng.random(len(rows)) < wrong))

        rows = drawn(rng, 30)
        readers = rng.integers(0, 10, len(rows))
        twice = np.repeat(rng.permutation(len(AREAS))[:300], 3)
        who = np.concatenate([rng.permutation(10)[:3] for _ in range(300)])
        between = reader_variance(who, twice, read(twice, who))
        weights = np.full(len(rows), N_CELLS / 30)
        return totals(
            f,
            AREAS,
            searched=rows,
            y=read(rows, readers),
            weights=weights,
            readers=readers,
            reader_variance=between,
        )

    areas, everywhere = coverage(13, 20, 8, sample)
    assert 0.93 <= areas <= 0.97, areas
    assert 0.90 <= everywhere <= 0.99, everywhere


def test_scores_make_intervals_shorter_than_the_sample_alone():
    rng = np.random.default_rng(5)
    y, f = country(rng)
    rows = drawn(rng)
    weights = np.full(len(rows), N_CELLS / 30)
    with_scores = totals(f, AREAS, searched=rows, y=y[rows], weights=weights)
    without = totals(np.zeros(len(f)), AREAS, searched=rows, y=y[rows], weights=weights)
    assert without[0].share == pytest.approx(y[rows].mean())
    assert with_scores[0].high - with_scores[0].low < 0.9 * (without[0].high - without[0].low)
    assert np.mean([t.high - t.low for t in with_scores[1:]]) < np.mean([t.high - t.low for t in without[1:]])


# --- what goes in ----------------------------------------------------------------------------------------------------


def simple():
    rng = np.random.default_rng(7)
    y, f = country(rng)
    rows = drawn(rng)
    return y, f, rows


def test_wrong_scores_do_no_harm():
    """A score that is twice too high, or shifted, is set right by the searched cells."""
    y, f, rows = simple()
    weights = np.full(len(rows), N_CELLS / 30)
    right = totals(f, AREAS, searched=rows, y=y[rows], weights=weights)
    wrong = totals(2 * f + 0.3, AREAS, searched=rows, y=y[rows], weights=weights)
    for a, b in zip(right, wrong, strict=True):
        assert a.share == pytest.approx(b.share)
        assert (a.low, a.high) == (pytest.approx(b.low), pytest.approx(b.high))


def test_a_census_leaves_no_doubt():
    y, f, _ = simple()
    found = totals(f, AREAS, searched=np.arange(len(y)), y=y, weights=np.ones(len(y)))
    assert found[0].share == pytest.approx(y.mean())
    assert found[0].low == pytest.approx(found[0].high)
    for total in found[1:]:
        assert total.share == pytest.approx(means(y)[total.area])
        assert total.high - total.low < 1e-6


def test_border_cells_count_with_their_share_inside():
    y, f, rows = simple()
    inside = np.where(np.arange(len(f)) % 4 == 0, 0.25, 1.0)
    found = totals(f, AREAS, searched=rows, y=y[rows], inside=inside)
    assert found[0].n_cells == pytest.approx(inside.sum())
    census = totals(f, AREAS, searched=np.arange(len(y)), y=y, inside=inside)
    assert census[0].share == pytest.approx(np.average(y, weights=inside))
    assert found[3].n_cells == pytest.approx(inside[AREAS == 2].sum())


def test_cells_outside_any_area_count_everywhere_only():
    y, f, rows = simple()
    areas = np.where(AREAS == 15, -1, AREAS)
    found = totals(f, areas, searched=rows, y=y[rows])
    assert [t.area for t in found] == [-1, *range(15)]
    assert found[0].n_cells == len(f)


def test_an_area_searched_too_little_has_no_share_but_what_scores_say():
    y, f, rows = simple()
    kept = rows[(AREAS[rows] != 3) | (np.arange(len(rows)) % 30 < 4)]
    total = totals(f, AREAS, searched=kept, y=y[kept])[4]
    assert (total.n_searched, total.share, total.low, total.reason) == (4, None, None, quantities.FEW_SEARCHED)
    assert 0 < total.shrunk < 0.5


def test_without_a_sample_nothing_is_said():
    _, f, _ = simple()
    found = totals(f, AREAS, searched=[], y=[])
    assert (found[0].share, found[0].reason) == (None, quantities.NO_SAMPLE)
    assert all(total.share is None and total.shrunk is None for total in found)


def test_no_mine_found_is_no_proof_that_there_is_none():
    _, f, rows = simple()
    found = totals(f, AREAS, searched=rows, y=np.zeros(len(rows)))
    assert found[0].share == 0
    assert all(total.low == 0 and 0 < total.high < 0.2 for total in found)


def test_cells_without_imagery_tell_nothing():
    y, f, rows = simple()
    hole = f.copy()
    hole[AREAS == 2] = np.nan
    found = totals(hole, AREAS, searched=rows, y=y[rows])
    assert found[3].share is not None
    assert found[0].n_cells == len(f)


def test_areas_as_sure_as_each_other_are_drawn_alike_also_where_limits_stop_at_0():
    """Same scores, as many cells searched: sampling leaves the same open in each, however few mines were found."""
    areas = np.repeat(np.arange(6), 200)
    searched = np.arange(1200).reshape(6, 200)[:, :30].ravel()
    n_mines = np.repeat([0, 0, 1, 6, 12, 20], 30)
    y = (np.tile(np.arange(30), 6) < n_mines).astype(float)
    found = totals(np.full(1200, 0.2), areas, searched=searched, y=y, weights=np.full(180, 200 / 30))[1:]
    shares, drawn = (np.array([getattr(each, name) for each in found]) for name in ("share", "shrunk"))
    assert found[0].low == 0
    line = np.polyfit(shares, drawn, 1)
    assert 0.1 < line[0] < 0.999
    np.testing.assert_allclose(np.polyval(line, shares), drawn, atol=1e-6)


def test_the_one_area_of_a_run_is_as_sure_as_all_that_was_mapped():
    for n_mines in (0, 2, 8, 40):
        y = (np.arange(40) < n_mines).astype(float)
        everywhere, area = totals(
            np.full(4000, 0.1), np.zeros(4000, int), searched=np.arange(40), y=y, weights=np.full(40, 100.0)
        )
        assert (area.low, area.high) == pytest.approx((everywhere.low, everywhere.high), abs=0.005), n_mines


def test_shrinking_brings_areas_nearer_to_the_truth():
    rng = np.random.default_rng(3)
    raw, drawn_in = [], []
    for _ in range(25):
        y, f = country(rng)
        rows = drawn(rng, 15)
        truth = means(y)
        for total in totals(f, AREAS, searched=rows, y=y[rows])[1:]:
            raw.append((total.share - truth[total.area]) ** 2)
            drawn_in.append((total.shrunk - truth[total.area]) ** 2)
    assert np.mean(drawn_in) < 0.9 * np.mean(raw)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"searched": [1, 1]}, "searched twice"),
        ({"weights": [0.5, 2]}, "below 1"),
        ({"y": [1]}, "differ in number"),
        ({"reader_variance": 0.1}, "who judged"),
        ({"unsure": [1], "unsure_weights": [2]}, "searched twice"),
        ({"unsure": [3]}, "unsure cells differ"),
    ],
)
def test_bad_input_is_named(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        totals(np.zeros(5), np.zeros(5, int), **({"searched": [1, 2], "y": [0, 1]} | changes))


# --- unsure cells ----------------------------------------------------------------------------------------------------


def test_bounds_are_the_estimate_with_unsure_cells_all_clear_or_all_mined():
    y, f, rows = simple()
    searched, unsure = rows[::2], rows[1::2]
    weights = np.full(len(rows), N_CELLS / 30)

    def found(**more):
        about = {"searched": searched, "y": y[searched], "weights": weights[::2]}
        return totals(np.zeros(len(f)), AREAS, **about | more)

    bounded = found(unsure=unsure, unsure_weights=weights[1::2])
    for at, value in (("share_if_clear", 0.0), ("share_if_mined", 1.0)):
        filled = np.concatenate([y[searched], np.full(len(unsure), value)])
        whole = found(searched=np.concatenate([searched, unsure]), y=filled, weights=weights)
        assert [getattr(total, at) for total in bounded] == pytest.approx([total.share for total in whole])
    plain = found()
    assert [total.n_unsure for total in bounded[:2]] == [240, 15]
    assert [(a.share, a.low, a.high) for a in bounded] == [(a.share, a.low, a.high) for a in plain]
    assert all(total.share_if_clear == total.share == total.share_if_mined for total in plain)


def test_bounds_hold_the_truth_where_mines_make_readers_hesitate():
    """Half of the mines are unsure: the share alone is far too low."""
    rng, held_it, missed = np.random.default_rng(8), [], []
    for _ in range(40):
        y, f = country(rng, 0.2)
        rows = drawn(rng, 30)
        is_unsure = rng.random(len(rows)) < np.where(y[rows] > 0, 0.5, 0.1)
        about = {"weights": np.full((~is_unsure).sum(), 8.0), "unsure_weights": np.full(is_unsure.sum(), 8.0)}
        sure = rows[~is_unsure]
        total = totals(f, AREAS, searched=sure, y=y[sure], unsure=rows[is_unsure], **about)[0]
        held_it.append(total.share_if_clear < y.mean() < total.share_if_mined)
        missed.append(total.high < y.mean())
    assert np.mean(held_it) >= 0.95
    assert np.mean(missed) > 0.5


def test_areas_may_be_named_by_their_rows_and_overlap():
    y, f, rows = simple()
    by_number = totals(f, AREAS, searched=rows, y=y[rows])
    held_by = {area: np.flatnonzero(area == AREAS) for area in range(N_AREAS)} | {99: np.arange(700)}
    by_rows = totals(f, held_by, searched=rows, y=y[rows])
    for one, other in zip(by_number, by_rows, strict=False):
        assert (one.area, one.share, one.low, one.high) == pytest.approx(
            (other.area, other.share, other.low, other.high)
        )
    assert (
        by_rows[-1].area == 99
        and by_rows[-1].n_searched
        == by_rows[1].n_searched + by_rows[2].n_searched + ((rows >= 512) & (rows < 700)).sum()
    )


# --- readers ---------------------------------------------------------------------------------------------------------


def test_the_variance_between_readers_is_found_again():
    rng, found, true = np.random.default_rng(4), [], []
    for _ in range(30):
        lean = rng.uniform(0, 0.2, 8)
        units = np.repeat(np.arange(2000), 2)
        readers = np.concatenate([rng.permutation(8)[:2] for _ in range(2000)])
        y = (rng.random(4000) < 0.2 + lean[readers]).astype(int)
        found.append(reader_variance(readers, units, y))
        true.append(lean.var(ddof=1))
    assert np.mean(found) == pytest.approx(np.mean(true), rel=0.1)


def test_readers_who_share_no_units_say_nothing_of_each_other():
    assert reader_variance(["a", "b"], [1, 2], [0, 1]) is None
    assert reader_variance([], [], []) is None
    assert reader_variance(["a", "b"] * 3, [1, 1, 2, 2, 3, 3], [1, 1, 0, 0, 1, 1]) == 0


def test_one_reader_of_all_is_the_least_sure():
    y, f, rows = simple()
    alone = totals(f, AREAS, searched=rows, y=y[rows], reader_variance=0.001, readers=np.zeros(len(rows)))
    shared = totals(f, AREAS, searched=rows, y=y[rows], reader_variance=0.001, readers=np.arange(len(rows)) % 10)
    assert alone[0].high - alone[0].low > shared[0].high - shared[0].low
    assert isinstance(alone[0], intensity.Total)
