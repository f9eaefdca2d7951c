"""Responsiveness and selectivity: the tests that scipy has, and the right units found in simulations."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import responses


def grouped(trains):
    """Trains of several units, and where each begins."""
    return np.concatenate([np.empty(0), *trains]), np.cumsum([0, *map(len, trains)])


def trains_with_counts(counts, events, start):
    """Trains whose units have so many spikes after each event's start."""
    rows = [
        [event + start + 0.001 * (i + 1) for event, n in zip(events, row, strict=True) for i in range(n)]
        for row in counts
    ]
    return [np.sort(np.array(row)) for row in rows]


COUNTS = st.integers(1, 12).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 4), min_size=n, max_size=n), min_size=1, max_size=4)
)


@settings(deadline=None, max_examples=60)
@given(COUNTS, st.integers(0, 2**31))
def test_responsiveness_is_wilcoxons_signed_rank_test(counts, seed):
    """p-values as scipy's, ties and all; 1 where no trial differs."""
    counts = np.array(counts)
    before = np.random.default_rng(seed).permuted(counts, axis=1)
    events = 10.0 * np.arange(1, counts.shape[1] + 1)
    pairs = zip(trains_with_counts(before, events, -0.5), trains_with_counts(counts, events, 0.0), strict=True)
    times, offsets = grouped([np.sort(np.r_[a, b]) for a, b in pairs])
    responses_of_units = responses.responsiveness(times, offsets, events, (-0.5, 0.0), (0.0, 0.5))
    np.testing.assert_allclose(responses_of_units.baseline_rate, before.mean(axis=1) / 0.5)
    np.testing.assert_allclose(responses_of_units.response_rate, counts.mean(axis=1) / 0.5)
    for unit, (a, b) in enumerate(zip(before, counts, strict=True)):
        if np.array_equal(a, b):
            assert responses_of_units.p_value[unit] == 1 and responses_of_units.statistic[unit] == 0
        else:
            expected = scipy.stats.wilcoxon(b, a, method="asymptotic", correction=False)
            np.testing.assert_allclose(responses_of_units.p_value[unit], expected.pvalue, rtol=1e-9)
            assert abs(responses_of_units.statistic[unit]) == pytest.approx(abs(expected.zstatistic))
    np.testing.assert_allclose(
        responses_of_units.p_corrected, scipy.stats.false_discovery_control(responses_of_units.p_value)
    )


def test_windows_of_different_length_are_compared_by_rate():
    """Twice the spikes in twice the time is no response, though no count is equal."""
    events = 10.0 * np.arange(1, 31)
    baseline = trains_with_counts(np.full((1, 30), 1), events, -0.1)[0]
    response = trains_with_counts(np.full((1, 30), 3), events, 0.0)[0]
    responses_of_units = responses.responsiveness(
        np.sort(np.r_[baseline, response]), [0, 120], events, (-0.1, 0.0), (0.0, 0.3)
    )
    assert responses_of_units.p_value[0] == 1 and not responses_of_units.responsive[0]


@settings(deadline=None, max_examples=60)
@given(COUNTS, st.integers(0, 2**31))
def test_selectivity_is_the_rank_sum_test(counts, seed):
    """Index and p-values as scipy's Mann-Whitney test; trials of neither group are left out."""
    counts = np.array(counts)
    rng = np.random.default_rng(seed)
    events = 10.0 * np.arange(1, counts.shape[1] + 1)
    groups = rng.choice([0.0, 1.0, -1.0, np.nan], events.size, p=[0.4, 0.4, 0.1, 0.1])
    times, offsets = grouped(trains_with_counts(counts, events, 0.0))
    selective = responses.selectivity(times, offsets, events, groups, (0.0, 0.5))
    zero, one = counts[:, groups == 0], counts[:, groups == 1]
    if zero.shape[1] == 0 or one.shape[1] == 0:
        assert np.isnan(selective.index).all() and np.isnan(selective.p_value).all() and not selective.selective.any()
        return
    np.testing.assert_allclose(selective.rate_0, zero.mean(axis=1) / 0.5)
    np.testing.assert_allclose(selective.rate_1, one.mean(axis=1) / 0.5)
    for unit, (a, b) in enumerate(zip(zero, one, strict=True)):
        expected = scipy.stats.mannwhitneyu(b, a, method="asymptotic", use_continuity=False)
        np.testing.assert_allclose(selective.index[unit], 2 * expected.statistic / (a.size * b.size) - 1, atol=1e-12)
        all_equal = np.unique(np.r_[a, b]).size == 1
        np.testing.assert_allclose(selective.p_value[unit], 1 if all_equal else expected.pvalue, rtol=1e-9)


def test_the_units_that_respond_are_found_and_few_others():
    """30 of 200 units fire twice as much after 300 events, 10 of them only after events of group 1."""
    rng = np.random.default_rng(0)
    events, groups = 2.0 + 2.0 * np.arange(300), rng.integers(0, 2, 300)
    trains = []
    for unit in range(200):
        own = [rng.uniform(0, 604, rng.poisson(8 * 604))]
        driven = events if unit < 20 else events[groups == 1] if unit < 30 else []
        own += [event + rng.uniform(0, 0.3, rng.poisson(8 * 0.3)) for event in driven]
        trains.append(np.sort(np.concatenate(own)))
    times, offsets = grouped(trains)
    responses_of_units = responses.responsiveness(times, offsets, events, (-0.3, 0.0), (0.0, 0.3))
    assert responses_of_units.responsive[:30].all() and np.count_nonzero(responses_of_units.responsive[30:]) <= 4
    assert (responses_of_units.statistic[:30] > 0).all()
    tells = responses.selectivity(times, offsets, events, groups, (0.0, 0.3))
    assert tells.selective[20:30].all() and np.count_nonzero(tells.selective) <= 13
    assert (tells.index[20:30] > 0.2).all() and np.abs(tells.index[30:]).max() < 0.25


def test_events_that_are_missing_do_not_count():
    """NaN events are trials without the event; with no event at all nothing is known."""
    times = np.array([1.1, 1.2, 5.1, 5.3])
    responses_of_units = responses.responsiveness(times, [0, 4], [1.0, np.nan, 5.0])
    assert responses_of_units.response_rate[0] == 4
    none = responses.responsiveness(times, [0, 4], [np.nan])
    assert np.isnan([none.baseline_rate, none.response_rate, none.p_value, none.p_corrected]).all()
    assert not none.responsive.any()


def test_trials_are_split_by_what_the_session_has():
    """Sides by where there is a stimulus (a contrast of 0 has one), choices and blocks by their signs."""
    nan = np.nan
    trials = {
        "contrast_left": [1.0, nan, 0.0, nan],
        "contrast_right": [nan, 0.25, nan, nan],
        "choice": [1, -1, 0, nan],
        "feedback_type": [1, -1, -1, nan],
        "probability_left": [0.8, 0.2, 0.5, nan],
    }
    collected = {name: groups.tolist() for name, groups in responses.trial_groups(trials).items()}
    assert collected == {
        "side": [0, 1, 0, -1],
        "choice": [0, 1, -1, -1],
        "feedback": [1, 0, 0, -1],
        "block": [0, 1, -1, -1],
    }
    assert responses.trial_groups({"choice": [1]}).keys() == {"choice"}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), max_size=20))
def test_correction_is_that_of_benjamini_and_hochberg(p_values):
    """As scipy computes it; NaN do not count."""
    adjusted = responses.benjamini_hochberg([*p_values, np.nan])
    assert np.isnan(adjusted[-1])
    if p_values:
        np.testing.assert_allclose(adjusted[:-1], scipy.stats.false_discovery_control(p_values), atol=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: responses.responsiveness([1.0], [0, 1], [1.0], baseline=(0.0, 0.0)), "baseline window must begin"),
        (lambda: responses.selectivity([1.0], [0, 1], [1.0], [0], window=(0.5, 0.1)), "window must begin"),
        (lambda: responses.selectivity([1.0], [0, 1], [1.0], [0, 1]), "1 events but groups"),
        (lambda: responses.window_counts([1.0], [0, 1], [np.nan], 0, 1), "events must be one-dimensional and not NaN"),
        (lambda: responses.benjamini_hochberg([1.5]), "between 0 and 1"),
        (lambda: responses.modulated_fraction([True], ["a", "b"]), "1 units but 2 labels"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    """With a sentence that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        call()
