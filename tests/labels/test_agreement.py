import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from labels.agreement import (
    MINIMUM_UNITS,
    agreement_interval,
    cohen_kappa,
    gwet_ac1,
    krippendorff_alpha,
    rating_counts,
    share_leaving_out,
)

VERDICTS = ["confirm", "move", "reject", "unsure"]
pairs = st.lists(st.tuples(st.sampled_from(VERDICTS), st.sampled_from(VERDICTS)), min_size=2, max_size=40)

# Rows are the first abstractor, columns the second: the table of the irrCAC vignette (Gwet 2014), not symmetric.
ABSTRACTORS = [[13, 0, 0], [0, 20, 7], [0, 4, 56]]
# Krippendorff (2011), section C: twelve units, four observers, some silent.
FOUR_OBSERVERS = [
    "11.1", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", ".555", "..11", "..3.",
]  # fmt: skip


def judged(table):
    return [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]


def four_observers():
    return [[None if label == "." else label for label in unit] for unit in FOUR_OBSERVERS]


class TestCohenKappa:
    def test_it_gives_the_published_value(self):
        assert cohen_kappa(*zip(*judged(ABSTRACTORS), strict=True)) == pytest.approx(0.7964094, abs=1e-7)

    def test_it_gives_the_value_of_a_worked_two_by_two_table(self):
        """20 and 15 agreed of 50, 5 and 10 not: 0.4 (the usual textbook table)."""
        assert cohen_kappa(*zip(*judged([[20, 5], [10, 15]]), strict=True)) == pytest.approx(0.4)

    @pytest.mark.filterwarnings("ignore::RuntimeWarning:statsmodels")
    @given(pairs)
    def test_it_agrees_with_statsmodels(self, units):
        table = np.zeros((4, 4))
        for a, b in units:
            table[VERDICTS.index(a), VERDICTS.index(b)] += 1
        assume(len({label for unit in units for label in unit}) > 1)
        ours = cohen_kappa(*zip(*units, strict=True))
        assert ours == pytest.approx(cohens_kappa(table).kappa, abs=1e-12)

    @given(pairs)
    def test_swapping_the_annotators_changes_nothing(self, units):
        first, second = zip(*units, strict=True)
        assert cohen_kappa(first, second) == pytest.approx(cohen_kappa(second, first), nan_ok=True)

    @given(pairs)
    def test_duplicating_every_record_changes_nothing(self, units):
        first, second = zip(*units, strict=True)
        assert cohen_kappa(first, second) == pytest.approx(cohen_kappa(first * 2, second * 2), nan_ok=True)

    def test_one_class_is_undefined(self):
        assert np.isnan(cohen_kappa(["reject"] * 5, ["reject"] * 5))
        assert np.isnan(cohen_kappa([], []))
        assert cohen_kappa(["reject"] * 5, ["confirm"] * 5) == 0

    def test_annotators_judge_the_same_units(self):
        with pytest.raises(ValueError):
            cohen_kappa(["move"], [])


class TestKrippendorffAlpha:
    def test_it_gives_the_published_values(self):
        """Krippendorff (2011): binary 0.095, nominal 0.692, four observers with missing labels 0.743."""
        binary = zip("0100000010", "1110010000", strict=True)
        nominal = zip("aabbdcccedda", "babbbccceddd", strict=True)
        assert krippendorff_alpha(rating_counts(list(binary))) == pytest.approx(0.095, abs=5e-4)
        assert krippendorff_alpha(rating_counts(list(nominal))) == pytest.approx(0.692, abs=5e-4)
        assert krippendorff_alpha(rating_counts(four_observers())) == pytest.approx(0.743, abs=5e-4)

    @given(pairs)
    def test_it_is_fleiss_kappa_but_for_a_small_sample_term(self, units):
        """With r labels on each of n units, 1 - alpha = (1 - kappa) (nr - 1) / nr."""
        assume(len({label for unit in units for label in unit}) > 1)
        counts = rating_counts(units)
        n = counts.sum()
        expected = 1 - (1 - fleiss_kappa(counts)) * (n - 1) / n
        assert krippendorff_alpha(counts) == pytest.approx(expected, abs=1e-9)

    def test_one_class_or_no_pairs_is_undefined(self):
        assert np.isnan(krippendorff_alpha(rating_counts([("reject", "reject")] * 4)))
        assert np.isnan(krippendorff_alpha(rating_counts([("reject",), ("move", None)])))
        assert np.isnan(krippendorff_alpha(rating_counts([])))

    @given(pairs)
    def test_single_readings_and_unused_classes_change_nothing(self, units):
        plain = krippendorff_alpha(rating_counts(units, VERDICTS))
        more = krippendorff_alpha(rating_counts([*units, ("move",), ("reject", None)], [*VERDICTS, "never"]))
        assert plain == pytest.approx(more, nan_ok=True)


class TestGwetAC1:
    def test_it_gives_the_published_values(self):
        """irrCAC: cont3x3abstractors 0.8493305; cac.raw4raters, which are Krippendorff's observers, 0.77544."""
        assert gwet_ac1(rating_counts(judged(ABSTRACTORS))) == pytest.approx(0.8493305, abs=1e-7)
        assert gwet_ac1(rating_counts(four_observers())) == pytest.approx(0.77544, abs=5e-6)

    def test_it_holds_up_where_nearly_all_are_of_one_class(self):
        counts = rating_counts([("reject", "reject")] * 95 + [("reject", "move")] * 5, VERDICTS)
        assert gwet_ac1(counts) > 0.9
        assert krippendorff_alpha(counts) < 0

    def test_one_class_among_several_is_full_agreement(self):
        assert gwet_ac1(rating_counts([("reject", "reject")] * 4, VERDICTS)) == 1
        assert np.isnan(gwet_ac1(rating_counts([("reject", "reject")] * 4)))
        assert np.isnan(gwet_ac1(rating_counts([("reject",)], VERDICTS)))
        assert np.isnan(gwet_ac1(rating_counts([])))

    @given(pairs)
    def test_order_of_annotators_and_duplicates_change_nothing(self, units):
        swapped = [(b, a) for a, b in units] * 2
        assert gwet_ac1(rating_counts(units, VERDICTS)) == pytest.approx(gwet_ac1(rating_counts(swapped, VERDICTS)))


class TestRatingCounts:
    def test_it_counts_labels_in_the_order_of_the_classes(self):
        counts = rating_counts([("move", "reject", "move"), ("confirm", None)], VERDICTS)
        assert counts.tolist() == [[0, 2, 1, 0], [1, 0, 0, 0]]

    def test_an_unknown_label_is_refused(self):
        with pytest.raises(ValueError):
            rating_counts([("perhaps",)], VERDICTS)


class TestAgreementInterval:
    def test_it_covers_what_it_says(self):
        rng = np.random.default_rng(5)
        large = self.readings(rng, 100_000)
        for measure in (krippendorff_alpha, gwet_ac1):
            truth, runs, hits = measure(large), 60, 0
            for run in range(runs):
                low, high = agreement_interval(measure, self.readings(rng, 100), n_resamples=120, seed=run)
                hits += low <= truth <= high
            assert 0.87 <= hits / runs <= 0.99

    @staticmethod
    def readings(rng, n, error=0.2):
        truth = rng.choice(4, n, p=[0.45, 0.15, 0.35, 0.05])
        counts = np.zeros((n, 4))
        for _ in range(2):
            said = np.where(rng.random(n) < error, rng.choice(4, n), truth)
            counts[np.arange(n), said] += 1
        return counts

    def test_it_is_undefined_for_few_units_or_one_class(self):
        few = rating_counts([("move", "reject")] * (MINIMUM_UNITS - 1))
        assert agreement_interval(krippendorff_alpha, few) is None
        assert agreement_interval(krippendorff_alpha, rating_counts([("move", "move")] * 80)) is None


class TestShareLeavingOut:
    def test_one_strict_annotator_shows(self):
        annotators, verdicts = ["ama", "ama", "kofi", "kofi"], ["reject", "reject", "confirm", "move"]
        assert share_leaving_out(annotators, verdicts, {"confirm", "move"}) == {"ama": 1.0, "kofi": 0.0}

    def test_without_the_only_annotator_nothing_is_left(self):
        assert np.isnan(share_leaving_out(["ama"], ["move"], {"move"})["ama"])
        with pytest.raises(ValueError):
            share_leaving_out(["ama"], [], {"move"})
