from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from srframework.report.significance import FEWEST, MOST, interval_over_seeds, seeds_for_difference


@given(
    values=st.lists(st.floats(-1, 1), min_size=2, max_size=8),
)
def test_the_interval_over_seeds_is_scipys(values):
    low, high = interval_over_seeds(values)
    mean, error = float(stats.tmean(values)), float(stats.sem(values))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    assert (low, high) == (pytest.approx(mean - half, abs=1e-9), pytest.approx(mean + half, abs=1e-9))


@pytest.mark.parametrize("deviation", [0.005, 0.01, 0.02, 0.05])
def test_that_many_seeds_find_the_difference_with_the_power(deviation):
    def power(seeds):
        limit = stats.t.ppf(0.975, seeds - 1)
        return 1 - stats.nct.cdf(limit, seeds - 1, 0.01 / deviation * math.sqrt(seeds))

    seeds = seeds_for_difference(0.01, deviation, power=0.8)
    assert power(seeds) == pytest.approx(0.8, abs=0.06) or seeds <= 5
    assert power(seeds) >= 0.78


@pytest.mark.parametrize(
    ("difference", "deviation", "seeds"), [(0.01, 0.0, FEWEST), (0.0, 0.01, None), (0.01, 1.0, None), (-0.02, 0.02, 7)]
)
def test_ends(difference, deviation, seeds):
    assert seeds_for_difference(difference, deviation) == seeds


@given(st.floats(1e-3, 0.1), st.floats(1e-3, 0.1))
def test_a_smaller_difference_and_more_power_need_no_fewer_seeds(difference, deviation):
    count = seeds_for_difference(difference, deviation) or MOST
    assert (seeds_for_difference(difference / 2, deviation) or MOST) >= count
    assert (seeds_for_difference(difference, deviation, power=0.9) or MOST) >= count
