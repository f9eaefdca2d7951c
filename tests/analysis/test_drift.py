"""Activity along the probe: equal to numpy's histograms, and right about where and when simulated units fire."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import drift


def spikes(seed, n):
    """Times (s, ascending), depths (um) and amplitudes (uV)."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0, 50, n)), rng.uniform(0, 400, n), rng.lognormal(4, 0.3, n)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(0, 200), st.sampled_from([None, (10.0, 40.0)]))
def test_the_map_is_a_histogram_of_time_and_depth(seed, n, window):
    """Rates and mean amplitudes in every bin; each spike with a depth is in the map once."""
    times, depths, amps = spikes(seed, n)
    depths[::7] = np.nan
    result = drift.drift_map(times, depths, amps, 2.0, 50.0, window, (0.0, 400.0))
    edges = [np.r_[result.times - 1, result.times[-1:] + 1], np.r_[result.depths - 25, result.depths[-1:] + 25]]
    if result.times.size == 0:
        assert np.isnan(depths).all() and result.rate.shape == (0, 8)
        return
    known = ~np.isnan(depths)
    counts = np.histogram2d(times[known], depths[known], edges)[0]
    np.testing.assert_allclose(result.rate, counts / 2)
    totals = np.histogram2d(times[known], depths[known], edges, weights=amps[known])[0]
    np.testing.assert_allclose(result.amp[counts > 0], totals[counts > 0] / counts[counts > 0])
    assert np.isnan(result.amp[counts == 0]).all()
    if window is None:
        assert result.rate.sum() * 2 == known.sum()


def test_the_profile_is_the_map_over_all_times():
    """Rates over the whole window, mean amplitudes of all spikes at a depth."""
    times, depths, amps = spikes(1, 5000)
    profile = drift.depth_profile(times, depths, amps, 50.0)
    edges = np.arange(0, 401, 50)
    counts = np.histogram(depths, edges)[0]
    np.testing.assert_allclose(profile.rate, counts / (times[-1] - times[0]))
    np.testing.assert_allclose(profile.amp, np.histogram(depths, edges, weights=amps)[0] / counts)
    assert profile.rate.sum() * (times[-1] - times[0]) == pytest.approx(times.size)
    half = drift.depth_profile(times, depths, window=(10.0, 20.0), depth_bin=50.0)
    inside = (times >= 10) & (times <= 20)
    np.testing.assert_allclose(half.rate, np.histogram(depths[inside], edges)[0] / 10)
    assert half.amp is None


def test_a_moving_unit_draws_a_slope():
    """The depth with the highest rate follows the unit; its amplitude is where it is."""
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 100, 20_000))
    depths = np.r_[100 + times, rng.uniform(0, 400, 5000)]
    result = drift.drift_map(np.r_[times, rng.uniform(0, 100, 5000)], depths, time_bin=10, depth_bin=10)
    np.testing.assert_allclose(result.depths[result.rate.argmax(axis=1)], 105 + result.times - 5, atol=10)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(0, 300), st.integers(0, 6))
def test_the_depth_peth_counts_spikes_around_events(seed, n, n_events):
    """In every depth and bin as spike by spike; NaN events and spikes without a depth are left out."""
    times, depths, _ = spikes(seed, n)
    depths[::9] = np.nan
    events = np.random.default_rng(seed).uniform(-1, 51, n_events)
    events[::4] = np.nan
    known = events[~np.isnan(events)]
    peth = drift.depth_peth(times, depths, events, 0.3, 1.0, 0.1, 80.0, (-0.2, 0.0), depth_range=(0.0, 400.0))
    assert peth.rate.shape == (5, 13) and peth.n == known.size
    if known.size == 0:
        assert np.isnan(peth.rate).all() and np.isnan(peth.normalised).all()
        return
    counts, before = np.zeros((5, 13)), np.zeros(5)
    for event in known:
        for t, d in zip(times, depths, strict=True):
            place = np.floor((t - (event - 0.3)) / 0.1)
            if 0 <= place < 13 and not np.isnan(d):
                counts[int(d // 80), int(place)] += 1
            if event - 0.2 <= t < event and not np.isnan(d):
                before[int(d // 80)] += 1
    np.testing.assert_allclose(peth.rate, counts / known.size / 0.1)
    np.testing.assert_allclose(peth.baseline, before / known.size / 0.2)
    np.testing.assert_allclose(peth.normalised, (peth.rate.T - peth.baseline).T / (peth.baseline[:, None] + 1))


def test_the_baseline_may_come_from_other_events():
    """IBL takes what precedes the stimulus as the baseline of all events."""
    times = np.arange(0.05, 20, 0.1)
    times = times[(times % 4) > 2]  # silent for two seconds, active for two
    peth = drift.depth_peth(times, np.full(times.size, 10.0), [3.0, 7.0], baseline_events=[1.5, 5.5])
    assert peth.baseline[0] == 0 and peth.rate.mean() > 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: drift.drift_map([1.0], [1.0, 2.0]), "one-dimensional and alike"),
        (lambda: drift.drift_map([1.0], [1.0], time_bin=0.0), "bins must be wider than 0"),
        (lambda: drift.drift_map([1.0], [1.0], window=(1.0, 1.0)), "window must begin before it ends"),
        (lambda: drift.depth_profile([1.0], [1.0], depth_range=(5.0, 1.0)), "depth_range must begin"),
        (lambda: drift.depth_peth([2.0, 1.0], [1.0, 1.0], [1.0]), "times must rise"),
        (lambda: drift.depth_peth([1.0], [1.0], [1.0], baseline=(0.0, 0.0)), "baseline window"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    """With a sentence that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        call()
