import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from labels.intervals import clopper_pearson_interval, effective_sample_size, quantile_interval, wilson_interval
from labels.reliability import (
    MINE_NEARBY,
    Design,
    IntervalKind,
    design_share,
    reader_error_interval,
    share_of,
    shrunken_rates,
    verdict_shares,
)

verdict_lists = st.lists(st.sampled_from(["confirm", "move", "reject", "unsure"]), min_size=1, max_size=60)


class TestIntervalsOfAShare:
    @pytest.mark.parametrize(
        ("k", "n", "low", "high"),
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
    )
    def test_wilson_gives_the_published_limits(self, k, n, low, high):
        """Newcombe (1998), Table I, method 3."""
        assert wilson_interval(k, n) == pytest.approx((low, high), abs=5e-5)

    @pytest.mark.parametrize(
        ("k", "n", "low", "high"),
        [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
    )
    def test_clopper_pearson_gives_the_published_limits(self, k, n, low, high):
        """Newcombe (1998), Table I, method 5."""
        assert clopper_pearson_interval(k, n) == pytest.approx((low, high), abs=5e-5)

    @given(st.integers(1, 500), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
    def test_both_agree_with_statsmodels(self, n, data, confidence):
        k = data.draw(st.integers(0, n))
        for ours, method in [(wilson_interval, "wilson"), (clopper_pearson_interval, "beta")]:
            theirs = proportion_confint(k, n, alpha=1 - confidence, method=method)
            assert ours(k, n, confidence) == pytest.approx(tuple(np.clip(theirs, 0, 1)), abs=1e-9)

    @given(st.integers(1, 300), st.data())
    def test_counting_the_others_mirrors_the_interval(self, n, data):
        k = data.draw(st.integers(0, n))
        low, high = wilson_interval(k, n)
        assert wilson_interval(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)
        assert 0 <= low <= k / n <= high <= 1

    @pytest.mark.parametrize(("k", "n", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0), (1, 5, 95)])
    def test_impossible_counts_are_refused(self, k, n, confidence):
        for interval in (wilson_interval, clopper_pearson_interval):
            with pytest.raises(ValueError):
                interval(k, n, confidence)

    def test_nothing_judged_leaves_everything_open(self):
        assert wilson_interval(0, 0) == (0.0, 1.0) == clopper_pearson_interval(0, 0)

    def test_wilson_covers_what_it_says(self):
        """Exactly, by summing binomial probabilities over a grid of n and share."""
        coverage = []
        for n in (15, 30, 50, 100, 300):
            low, high = np.array([wilson_interval(k, n) for k in range(n + 1)]).T
            for p in np.linspace(0.02, 0.98, 49):
                coverage.append(stats.binom.pmf(np.arange(n + 1), n, p) @ ((low <= p) & (p <= high)))
        assert 0.945 < np.mean(coverage) < 0.96
        assert min(coverage) > 0.90  # the known dips of Wilson's interval

    def test_shares_of_a_finite_register_cover_what_they_say(self):
        """Exactly, by summing hypergeometric probabilities; a register of 200, half or a tenth of it judged."""
        coverage = []
        for n in (20, 60, 100, 180):
            shares = [share_of(k, n, population=200) for k in range(n + 1)]
            low, high = np.array([(share.low, share.high) for share in shares]).T
            for held in range(4, 197, 4):
                chance = stats.hypergeom.pmf(np.arange(n + 1), 200, held, n)
                coverage.append(chance @ ((low <= held / 200 + 1e-12) & (held / 200 - 1e-12 <= high)))
        assert 0.945 < np.mean(coverage) < 0.97
        assert min(coverage) > 0.85


class TestShare:
    def test_a_census_has_no_sampling_error(self):
        share = share_of(3, 12, population=12)
        assert (share.kind, share.low, share.high) == (IntervalKind.CENSUS, None, None)
        assert share.is_census and not share.is_small
        assert share.share == 0.25

    def test_a_small_sample_is_small_and_a_sample_of_thirty_is_not(self):
        assert share_of(3, 29, population=30).is_small
        assert not share_of(3, 30).is_small

    def test_a_sample_nearly_complete_is_nearly_certain(self):
        share = share_of(300, 990, population=1000)
        assert 0.300 <= share.low < share.share < share.high <= 0.310  # 300 of the 1,000 are known to count
        assert share_of(1, 999, population=1000).low == 0.001
        assert effective_sample_size(990, 1000) == pytest.approx(990 * 999 / 10)

    def test_none_of_thirty_gets_the_exact_interval(self):
        share = share_of(0, 30)
        assert share.kind == IntervalKind.EXACT
        assert (share.low, share.high) == pytest.approx((0, 1 - 0.025 ** (1 / 30)))

    def test_nothing_judged_is_undefined(self):
        share = share_of(0, 0, population=100)
        assert (share.kind, share.share, share.low, share.high) == (IntervalKind.UNDEFINED, None, None, None)
        assert share.is_small

    def test_more_judged_than_there_are_is_refused(self):
        with pytest.raises(ValueError):
            share_of(1, 11, population=10)


class TestVerdictShares:
    def test_unsure_is_counted_both_ways(self):
        shares = verdict_shares({"confirm": 45, "move": 15, "reject": 35, "unsure": 5})
        assert shares.nearby_at_least.k == 60 and shares.nearby_at_most.k == 65
        assert [shares.confirm.share, shares.move.share, shares.reject.share, shares.unsure.share] == [
            0.45,
            0.15,
            0.35,
            0.05,
        ]

    @given(verdict_lists)
    def test_a_list_and_its_counts_say_the_same(self, verdicts):
        counts = {verdict: verdicts.count(verdict) for verdict in verdicts}
        shares = verdict_shares(verdicts)
        assert shares == verdict_shares(counts)
        assert sum(s.share for s in (shares.confirm, shares.move, shares.reject, shares.unsure)) == pytest.approx(1)

    @given(verdict_lists)
    def test_duplicating_every_record_keeps_the_shares(self, verdicts):
        once, twice = verdict_shares(verdicts), verdict_shares(verdicts * 2)
        assert once.reject.share == twice.reject.share
        assert twice.reject.high - twice.reject.low < once.reject.high - once.reject.low

    def test_a_census_with_double_readings_shows_reader_error_alone(self):
        double = [("confirm", "move")] * 50 + [("reject", "reject")] * 40 + [("confirm", "reject")] * 10
        shares = verdict_shares({"confirm": 500, "reject": 500}, population=1000, double_read=double)
        assert shares.confirm.is_census and shares.confirm.low is None
        assert 0.38 < shares.nearby_at_least.reader_low < 1 - 0.5 / (80 / 90)  # the bound itself, all false alarms
        assert 0.5 / (100 / 110) < shares.nearby_at_least.reader_high < 0.60  # and all misses
        assert verdict_shares({"confirm": 5}, population=5).confirm.reader_low is None

    def test_an_equal_design_gives_the_plain_shares(self):
        verdicts = ["confirm"] * 30 + ["move"] * 10 + ["reject"] * 50 + ["unsure"] * 10
        plain, weighted = verdict_shares(verdicts), verdict_shares(verdicts, design=Design(weights=np.full(100, 7.0)))
        assert weighted.reject.share == plain.reject.share
        assert weighted.reject.n_effective == pytest.approx(99)  # s² divides by n - 1
        assert (weighted.reject.low, weighted.reject.high) == pytest.approx(
            (plain.reject.low, plain.reject.high), abs=2e-3
        )

    def test_it_refuses_what_it_cannot_judge(self):
        with pytest.raises(ValueError):
            verdict_shares(["confirm", "perhaps"])
        with pytest.raises(ValueError):
            verdict_shares(["confirm"], design=Design([1.0]), double_read=[("move", "move")])


class TestDesignShare:
    def test_stratified_variance_is_the_textbook_one(self):
        """Cochran (1977), section 5.12: v = sum W² (1 - f) p q / (n - 1)."""
        sizes, drawn, counted = {"north": 800, "south": 200}, {"north": 40, "south": 20}, {"north": 30, "south": 2}
        y = np.concatenate([np.arange(drawn[h]) < counted[h] for h in sizes])
        strata = np.repeat(list(sizes), list(drawn.values()))
        weights = np.array([sizes[h] / drawn[h] for h in strata])
        share = design_share(y, Design(weights, strata, stratum_sizes=sizes))
        p = 0.8 * 0.75 + 0.2 * 0.1
        v = 0.64 * 0.95 * 0.75 * 0.25 / 39 + 0.04 * 0.9 * 0.1 * 0.9 / 19
        assert share.share == pytest.approx(p)
        assert share.n_effective == pytest.approx(p * (1 - p) / v)
        assert share.design_effect == pytest.approx(60 * v / (p * (1 - p)))
        assert share.population == 1000

    def test_clusters_count_once(self):
        """Units that repeat their cluster's answer tell no more than one of them."""
        y = np.repeat([True, False, True, True, False, False, True, False], 5)
        share = design_share(y, Design(np.ones(40), clusters=np.repeat(np.arange(8), 5)))
        single = design_share(y[::5], Design(np.ones(8)))
        assert share.n_effective == pytest.approx(single.n_effective)
        assert (share.low, share.high) == pytest.approx((single.low, single.high))

    def test_cluster_numbers_may_repeat_between_strata(self):
        y = np.array([1, 0, 1, 1, 0, 0, 1, 0], dtype=bool)
        strata = np.repeat(["a", "b"], 4)
        repeated = design_share(y, Design(np.ones(8), strata, clusters=[1, 1, 2, 2, 1, 1, 2, 2]))
        assert repeated == design_share(y, Design(np.ones(8), strata, clusters=[1, 1, 2, 2, 3, 3, 4, 4]))

    def test_a_census_of_every_stratum_has_no_sampling_error(self):
        share = design_share([True, False, True], Design(np.ones(3), ["a", "a", "b"], stratum_sizes={"a": 2, "b": 1}))
        assert share.is_census and share.population == 3

    def test_a_stratum_not_judged_yet_is_not_in_the_population(self):
        share = design_share([True, False], Design(np.ones(2), ["a", "a"], stratum_sizes={"a": 20, "b": 80}))
        assert share.population == 20

    def test_one_cluster_leaves_the_interval_undefined(self):
        share = design_share([True, False], Design(np.ones(2), clusters=[1, 1]))
        assert share.kind == IntervalKind.UNDEFINED and share.share == 0.5 and share.low is None

    def test_a_part_of_the_sample_is_estimated_within_the_whole(self):
        y = np.array([True, False, True, False, True, True])
        within = np.array([True, True, True, True, False, False])
        share = design_share(y, Design(np.array([1.0, 3, 1, 3, 9, 9])), within)
        assert (share.k, share.n, share.share) == (2, 4, 0.25)
        nothing = design_share(y, Design(np.ones(6)), np.zeros(6, bool))
        assert nothing.kind == IntervalKind.UNDEFINED and nothing.share is None

    def test_agreeing_units_fall_back_on_kish(self):
        share = design_share([False] * 4, Design(np.array([1.0, 1, 1, 3])))
        assert share.n_effective == pytest.approx(36 / 12)
        assert share.low == 0 < share.high < 1

    def test_strata_that_agree_within_do_not_feign_certainty(self):
        share = design_share([True] * 9 + [False] * 7, Design([1.1] * 9 + [3.7] * 7, ["a"] * 9 + ["b"] * 7))
        assert share.n_effective < 16
        assert share.high - share.low > 0.2

    @pytest.mark.parametrize(
        "design",
        [
            Design([1.0]),
            Design([1.0, 0.0]),
            Design([np.nan, 1.0]),
            Design([1.0, 1.0], stratum_sizes={0: 1}),
            Design([1.0, 1.0], ["a", "b"], stratum_sizes={"a": 5}),
        ],
    )
    def test_designs_that_do_not_fit_are_refused(self, design):
        with pytest.raises(ValueError):
            design_share([True, False], design)

    def test_stratified_intervals_cover_what_they_say(self):
        rng = np.random.default_rng(7)
        coverage = [
            self.stratified_coverage(rng, sizes, drawn, shares)
            for sizes, drawn in [([1000, 600, 300], [50, 30, 15]), ([5000, 500], [60, 60]), ([60] * 8, [15] * 8)]
            for shares in ([0.3] * 8, np.linspace(0.1, 0.9, 8), np.linspace(0.2, 0.02, 8))
        ]
        assert 0.93 < np.mean(coverage) < 0.97
        assert min(coverage) > 0.90

    @staticmethod
    def stratified_coverage(rng, sizes, drawn, shares, runs=300):
        sizes, drawn = np.array(sizes), np.array(drawn)
        held = np.round(sizes * np.array(shares)[: len(sizes)]).astype(int)
        truth = held.sum() / sizes.sum()
        strata = np.repeat(np.arange(len(sizes)), drawn)
        design = Design((sizes / drawn)[strata], strata, stratum_sizes=dict(enumerate(sizes.tolist())))
        place = np.concatenate([np.arange(n) for n in drawn])
        hits = 0
        for _ in range(runs):
            counts = rng.hypergeometric(held, sizes - held, drawn)
            share = design_share(place < counts[strata], design)
            hits += share.low <= truth <= share.high
        return hits / runs

    def test_cluster_intervals_cover_what_they_say(self):
        """Blocks of 3 to 12 records that resemble each other, 15 blocks in each of two strata."""
        rng = np.random.default_rng(8)
        hits, runs = 0, 600
        mean, concentration = 0.35, 4
        for _ in range(runs):
            sizes = rng.integers(3, 13, 30)
            clusters = np.repeat(np.arange(30), sizes)
            rate = rng.beta(mean * concentration, (1 - mean) * concentration, 30)[clusters]
            y = rng.random(clusters.size) < rate
            share = design_share(y, Design(np.ones(y.size), strata=clusters // 15, clusters=clusters))
            hits += share.low <= mean <= share.high
        assert 0.925 < hits / runs < 0.975


class TestReaderError:
    def simulated_coverage(self, rng, *, share, sensitivity, specificity, n=2000, m=250, shared=0.0, runs=80):
        """A census of n units by five readers of differing skill, m of them read twice; how often the truth is in."""
        truth = np.arange(n) < share * n
        hits = 0
        for _ in range(runs):
            units = rng.permutation(truth)
            seen = units ^ (rng.random(n) < shared)  # what fools one reader fools all
            first = rng.integers(0, 5, n)
            second = (first + rng.integers(1, 5, n)) % 5
            skill = np.clip(1 + 0.02 * rng.standard_normal((2, 5)), None, 1 / max(sensitivity, specificity))
            yes, no = sensitivity * skill[0], specificity * skill[1]
            one, two = (np.where(seen, rng.random(n) < yes[r], rng.random(n) >= no[r]) for r in (first, second))
            readings = [
                ("move" if a else "reject", "move" if b else "reject") for a, b in zip(one[:m], two[:m], strict=True)
            ]
            low, high = reader_error_interval(readings, {"move"}, k=int(one.sum()), n=n, population=n)
            hits += low <= share <= high
        return hits / runs

    def test_it_covers_the_true_share_whatever_readers_mistake(self):
        """Bounds, not a 93-97 % interval: 95 % where all errors are of one kind, more where they are mixed."""
        rng = np.random.default_rng(11)
        skills = [(0.95, 0.95), (0.9, 1.0), (1.0, 0.9), (0.85, 0.95), (0.99, 0.99)]
        coverage = [
            self.simulated_coverage(rng, share=share, sensitivity=sensitivity, specificity=specificity)
            for share in (0.15, 0.5, 0.8)
            for sensitivity, specificity in skills
        ]
        assert min(coverage) >= 0.92
        assert np.mean(coverage) > 0.97

    def test_it_does_not_cover_errors_that_all_readers_share(self):
        """Documented: a mine hidden from everyone shows in no disagreement."""
        rng = np.random.default_rng(12)
        coverage = self.simulated_coverage(rng, share=0.2, sensitivity=0.99, specificity=0.99, shared=0.06, runs=40)
        assert coverage < 0.5

    def test_readers_who_never_differ_leave_little_doubt(self):
        readings = [("move", "move")] * 60 + [("reject", "reject")] * 40
        low, high = reader_error_interval(readings, {"move"}, k=600, n=1000, population=1000)
        assert 0.55 < low < 0.6 < high < 0.65

    def test_it_is_undefined_without_double_readings_of_either_kind(self):
        for readings in ([], [("move",)], [("move", "move")] * 9, [("reject", "reject")] * 9):
            assert reader_error_interval(readings, MINE_NEARBY, k=3, n=9, population=9) is None
        assert reader_error_interval([("move", "reject")], MINE_NEARBY, k=0, n=0) is None

    def test_one_readers_class_is_anothers_chance(self):
        """Readers who agree no better than chance leave everything open."""
        readings = [("move", "reject"), ("reject", "move"), ("move", "move"), ("reject", "reject")] * 10
        assert reader_error_interval(readings, {"move"}, k=50, n=100, population=100) == (0.0, 1.0)

    @given(st.lists(st.lists(st.sampled_from(["move", "reject"]), min_size=2, max_size=4), min_size=1, max_size=30))
    def test_counting_the_others_mirrors_it(self, readings):
        yes = reader_error_interval(readings, {"move"}, k=30, n=80, population=100)
        no = reader_error_interval(readings, {"reject"}, k=50, n=80, population=100)
        if yes is None:
            assert no is None
        else:
            assert yes[0] <= 30 / 80 <= yes[1]
            assert no == pytest.approx((1 - yes[1], 1 - yes[0]), abs=1e-9)

    def test_a_sample_leaves_more_doubt_than_a_census(self):
        readings = [("move", "move")] * 60 + [("reject", "reject")] * 40 + [("move", "reject")] * 8
        census = reader_error_interval(readings, {"move"}, k=300, n=500, population=500)
        sample = reader_error_interval(readings, {"move"}, k=300, n=500)
        assert sample[0] < census[0] and census[1] < sample[1]


class TestQuantileInterval:
    def test_ten_values_bracket_their_median_between_the_second_and_the_ninth(self):
        """Conover (1999), Practical Nonparametric Statistics, Table A3: n = 10, 0.9785."""
        assert quantile_interval(np.arange(1, 11), 0.5) == (2, 9)

    @pytest.mark.parametrize(("q", "least"), [(0.5, 6), (0.9, 36)])
    def test_too_few_values_have_no_interval(self, q, least):
        assert quantile_interval(np.arange(least - 1), q) is None
        assert quantile_interval(np.arange(least), q) is not None
        assert quantile_interval([], q) is None

    @pytest.mark.parametrize("q", [0.5, 0.9])
    def test_it_covers_what_it_says(self, q):
        """A skewed distribution; displacements are. Mean over sizes within 0.93-0.97."""
        rng = np.random.default_rng(3)
        truth = stats.lognorm.ppf(q, 1.0)
        coverage = []
        for n in (40, 75, 150, 300):
            intervals = [quantile_interval(rng.lognormal(size=n), q) for _ in range(300)]
            coverage.append(np.mean([low <= truth <= high for low, high in intervals]))
        assert 0.94 < np.mean(coverage) < 0.97


class TestShrunkenRates:
    def test_areas_of_few_units_are_drawn_further(self):
        rates = shrunken_rates([3, 30, 4, 40, 2, 25], [4, 40, 20, 200, 20, 200])
        assert 0.75 - rates.rate[0] > 0.75 - rates.rate[1] > 0
        assert (rates.low < rates.rate).all() and (rates.rate < rates.high).all()

    def test_it_finds_what_is_published_of_the_rat_tumours(self):
        """Gelman et al., section 5.3: alpha, beta about 2.4, 14.3; the last experiment, 4 of 14, about 0.21."""
        k = "0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2 2 1 5 2 5 3 2 7 7 3 3 2 9 10"
        k += " 4 4 4 4 4 4 4 10 4 4 4 5 11 12 5 5 6 5 6 6 6 6 16 15 15 9 4"
        n = "20 20 20 20 20 20 20 19 19 19 19 18 18 17 20 20 20 20 19 19 18 18 25 24 23 20 20 20 20 20 20 10"
        n += " 49 19 46 27 17 49 47 20 20 13 48 50 20 20 20 20 20 20 20 48 19 19 19 22 46 49 20 20 23 19 22 20 20 20"
        n += " 52 46 47 24 14"
        rates = shrunken_rates(np.array(k.split(), int), np.array(n.split(), int))
        assert rates.common_rate == pytest.approx(2.4 / 16.7, abs=0.005)
        assert rates.concentration == pytest.approx(2.4 + 14.3, rel=0.15)
        assert rates.rate[-1] == pytest.approx(0.21, abs=0.01)

    def test_an_area_without_units_gets_the_common_distribution(self):
        rates = shrunken_rates([5, 6, 4, 5, 0], [50, 50, 50, 50, 0])
        assert rates.rate[4] == pytest.approx(rates.common_rate, abs=1e-9)
        assert rates.high[4] - rates.low[4] > max(rates.high[:4] - rates.low[:4])

    def test_the_highest_are_the_likeliest_to_be_among_the_highest(self):
        k = np.array([1, 2, 3, 30, 32, 35, 2, 1])
        rates = shrunken_rates(k, np.full(8, 40), top=3)
        assert set(np.argsort(-rates.among_highest)[:3]) == {3, 4, 5}
        assert rates.among_highest.sum() == pytest.approx(3)

    def test_the_same_seed_gives_the_same_answer(self):
        first, again = (shrunken_rates([1, 5, 9], [10, 10, 10], seed=4) for _ in range(2))
        assert np.array_equal(first.low, again.low)

    def test_two_areas_are_too_few_to_learn_from(self):
        assert shrunken_rates([1, 2, 0], [5, 5, 0]) is None
        with pytest.raises(ValueError):
            shrunken_rates([1, 2, 6], [5, 5, 5])

    def test_it_covers_what_it_says(self):
        rng = np.random.default_rng(9)
        coverage = []
        for mu, m in [(0.2, 4), (0.2, 20), (0.3, 100), (0.05, 20)]:
            for _ in range(25):
                n = rng.integers(10, 60, 16)
                truth = rng.beta(mu * m, (1 - mu) * m, 16)
                rates = shrunken_rates(rng.binomial(n, truth), n, n_draws=1000)
                coverage.append(np.mean((rates.low <= truth) & (truth <= rates.high)))
        assert 0.92 < np.mean(coverage) < 0.97
