import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labels.displacement import CIRCULAR_NORMAL_TAIL, TOO_FEW, displacement_summary, share_within

distances = st.lists(st.floats(0, 5000), min_size=1, max_size=80)


class TestSummary:
    def test_it_sums_up_a_worked_example(self):
        summary = displacement_summary([100, 200, 300, 400, 1000], radius_m=1000)
        assert (summary.n, summary.median_m, summary.ce90_m) == (5, 300, 760)
        assert summary.rmse_m == pytest.approx(np.sqrt(1_300_000 / 5))
        assert summary.share_near_radius == 0.2
        assert (summary.median_interval_m, summary.median_reason) == (None, TOO_FEW)
        assert (summary.ce90_interval_m, summary.ce90_reason) == (None, TOO_FEW)

    def test_intervals_come_with_enough_displacements(self):
        assert displacement_summary(np.arange(6.0)).median_interval_m == (0, 5)
        summary = displacement_summary(np.arange(100.0))
        assert summary.median_reason is None and summary.ce90_reason is None
        low, high = summary.ce90_interval_m
        assert low < summary.ce90_m < high

    def test_circular_normal_errors_have_the_known_tail(self):
        rng = np.random.default_rng(1)
        summary = displacement_summary(np.hypot(*rng.normal(0, 150, (2, 200_000))))
        assert summary.tail_ratio == pytest.approx(CIRCULAR_NORMAL_TAIL, abs=0.01)
        assert pytest.approx(np.sqrt(np.log(10)), abs=1e-4) == CIRCULAR_NORMAL_TAIL

    def test_a_mixture_shows_in_the_tail(self):
        rng = np.random.default_rng(1)
        mixed = np.hypot(*rng.normal(0, np.where(rng.random(5000) < 0.95, 30, 2000), (2, 5000)))
        assert displacement_summary(mixed).tail_ratio < 0.5

    def test_nothing_displaced_is_undefined_and_all_on_the_spot_has_no_tail(self):
        assert displacement_summary([]) is None
        summary = displacement_summary([0.0, 0.0])
        assert (summary.median_m, summary.rmse_m, summary.tail_ratio, summary.share_near_radius) == (0, 0, None, None)

    @given(distances, st.randoms())
    def test_the_order_of_records_does_not_matter(self, values, random):
        shuffled = random.sample(values, len(values))
        one, other = displacement_summary(values), displacement_summary(shuffled)
        assert one.rmse_m == pytest.approx(other.rmse_m)
        assert (one.median_m, one.ce90_m, one.median_interval_m) == (
            other.median_m,
            other.ce90_m,
            other.median_interval_m,
        )

    @given(distances)
    def test_twice_as_far_is_twice_the_summary(self, values):
        one, two = displacement_summary(values), displacement_summary(2 * np.array(values))
        assert two.median_m == pytest.approx(2 * one.median_m) and two.rmse_m == pytest.approx(2 * one.rmse_m)

    @pytest.mark.parametrize(
        ("values", "radius"), [([-1.0], None), ([np.nan], None), ([1200.0], 1000), ([1.0], 0), (3.0, None)]
    )
    def test_impossible_displacements_are_refused(self, values, radius):
        with pytest.raises(ValueError):
            displacement_summary(values, radius)


class TestShareWithin:
    def test_all_records_are_the_denominator(self):
        shares = share_within([0, 50, 51, 240, 900], 20)
        assert {tolerance: share.k for tolerance, share in shares.items()} == {50: 2, 100: 3, 250: 4, 500: 4, 1000: 5}
        assert shares[1000].share == 0.25 and shares[1000].n == 20

    def test_nothing_is_said_beyond_the_search_radius(self):
        shares = share_within([10, 400], 10, radius_m=500)
        assert shares[500].k == 2 and shares[1000] is None

    def test_a_census_has_no_sampling_error(self):
        assert share_within([10], 10, population=10)[50].is_census

    @given(distances, st.integers(0, 50))
    def test_shares_never_fall_as_the_tolerance_grows(self, values, rejected):
        shares = [share.share for share in share_within(values, len(values) + rejected).values()]
        assert shares == sorted(shares)

    @given(distances)
    def test_duplicating_every_record_keeps_the_shares(self, values):
        once, twice = share_within(values, len(values) + 3), share_within(values * 2, 2 * len(values) + 6)
        assert [share.share for share in once.values()] == [share.share for share in twice.values()]

    def test_more_mines_than_records_are_refused(self):
        with pytest.raises(ValueError):
            share_within([1, 2], 1)
