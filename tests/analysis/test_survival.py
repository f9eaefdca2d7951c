"""The survival estimates against scipy's, which were written by others, and against answers that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.analysis import survival

times = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=40)


def split(cases):
    durations, observed = (np.array(part) for part in zip(*cases, strict=True))
    return durations, observed.astype(bool)


@settings(max_examples=60, deadline=None)
@given(times)
def test_curve_and_interval_equal_scipys(cases):
    durations, observed = split(cases)
    survival_curve = survival.kaplan_meier(durations, observed)
    other = stats.ecdf(stats.CensoredData(durations[observed], right=durations[~observed])).sf
    assert np.array_equal(survival_curve.times, other.quantiles)
    assert np.allclose(survival_curve.survival, other.probabilities)
    with np.errstate(all="ignore"):
        interval = other.confidence_interval(method="log-log")
    inside = np.isfinite(survival_curve.lower)
    assert np.allclose(survival_curve.lower[inside], interval.low.probabilities[inside])
    assert np.allclose(survival_curve.upper[inside], interval.high.probabilities[inside])


@settings(max_examples=60, deadline=None)
@given(times, times)
def test_log_rank_equals_scipys_for_two_groups(one, other):
    groups = [split(one), split(other)]
    comparison = survival.log_rank(groups)
    if not any(observed.any() for _, observed in groups):
        assert np.isnan(comparison.p_value)
        return
    with np.errstate(all="ignore"):
        expected = stats.logrank(*(stats.CensoredData(time[seen], right=time[~seen]) for time, seen in groups))
    if np.isfinite(expected.statistic):  # scipy has none where nobody is left to compare with
        assert comparison.statistic == pytest.approx(expected.statistic**2, abs=1e-9)
        assert comparison.p_value == pytest.approx(expected.pvalue, abs=1e-9)


def test_without_censoring_the_curve_is_the_fraction_left():
    survival_curve = survival.kaplan_meier([4, 1, 3, 2], [True] * 4)
    assert survival_curve.survival == pytest.approx([0.75, 0.5, 0.25, 0])
    assert survival_curve.median == 2
    assert (survival_curve.n, survival_curve.events.tolist(), survival_curve.censored.tolist()) == (4, [1] * 4, [0] * 4)


def test_those_who_are_never_trained_keep_the_curve_up():
    """Leaving them out, as a histogram of training times does, would say that all are trained by day 10."""
    survival_curve = survival.kaplan_meier([10, 40, 40, 40], [True, False, False, False])
    assert survival_curve.survival == pytest.approx([0.75, 0.75])
    assert np.isnan(survival_curve.median)


def test_equal_groups_do_not_differ_and_more_than_two_are_compared():
    group = ([3, 5, 8], [True, True, False])
    comparison = survival.log_rank([group, group, group])
    assert comparison.statistic == pytest.approx(0, abs=1e-12)
    assert comparison.p_value == pytest.approx(1)


def test_nobody_and_impossible_times():
    assert survival.kaplan_meier([], []).n == 0
    assert np.isnan(survival.kaplan_meier([], []).median)
    with pytest.raises(ValueError, match="not negative"):
        survival.kaplan_meier([-1], [True])
    with pytest.raises(ValueError, match="alike"):
        survival.kaplan_meier([1, 2], [True])
