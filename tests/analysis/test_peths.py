"""PETHs and rasters: equal to direct counts, to the published definition of smoothing, and right about known rates."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import peths, spikes

REAL = Path(__file__).parents[3] / "shared/realdata/alf/ibllib_fixtures/Subjects/ephys_test/2020-02-01/001"


def trains(rng, n_units, duration=30.0, top_rate=40.0):
    """Grouped times of Poisson units on a 30 kHz clock, some of them silent, and their offsets."""
    sizes = rng.poisson(duration * top_rate * rng.random(n_units) ** 3)
    times = [np.sort(np.round(rng.uniform(0, duration, n) * 30_000) / 30_000) for n in sizes]
    return np.concatenate([np.empty(0), *times]), np.concatenate([[0], np.cumsum(sizes)])


def direct_counts(times, offsets, events, n_before, n_bins, width):
    """Counts unit by unit, event by event, spike by spike."""
    out = np.zeros((offsets.size - 1, len(events), n_bins), dtype=int)
    for unit in range(offsets.size - 1):
        for e, event in enumerate(events):
            start = event - n_before * width
            for t in times[offsets[unit] : offsets[unit + 1]]:
                place = np.floor((t - start) / width)
                if 0 <= place < n_bins:
                    out[unit, e, int(place)] += 1
    return out


def published_smoothing(counts, sigma, margin):
    """Each event's counts through the Gaussian window of brainbox's `calculate_peths` (sigma and margin in bins)."""
    n_bins = counts.shape[2]
    size = n_bins - 1 if n_bins % 2 == 0 else n_bins
    window = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / sigma) ** 2)
    window /= window.sum()
    smoothed = np.zeros(counts.shape)
    for index in np.ndindex(counts.shape[:2]):
        full = np.convolve(counts[index], window, mode="full")
        smoothed[index] = full[(size - 1) // 2 :][:n_bins]
    return smoothed[:, :, margin : n_bins - margin]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**31),
    st.integers(0, 5),
    st.integers(0, 6),
    st.sampled_from([(0.2, 0.5, 0.025), (0.0, 0.3, 0.1), (1.0, 0.0, 0.07), (0.5, 0.5, 0.5)]),
)
def test_counts_equal_a_direct_count(seed, n_units, n_events, window):
    """For any trains and events, within the recording and beyond its ends, in any order, NaN among them."""
    rng = np.random.default_rng(seed)
    times, offsets = trains(rng, n_units, duration=5.0)
    events = rng.uniform(-1, 6, n_events)
    events[rng.random(n_events) < 0.2] = np.nan
    pre, post, width = window
    n_before = int(np.ceil(pre / width - 1e-9))
    n_bins = n_before + int(np.ceil(post / width - 1e-9))
    binned = peths.counts(times, offsets, events, pre, post, width)
    assert binned.shape[2] == peths.bin_centres(pre, post, width).size
    np.testing.assert_array_equal(binned, direct_counts(times, offsets, events, n_before, n_bins, width))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 8), st.sampled_from([0.0, 0.01, 0.025, 0.06]))
def test_means_and_deviations_equal_the_published_definition(seed, n_units, n_events, smoothing):
    """Gaussian smoothing of each event's counts, with a margin of five deviations that is cut off again."""
    rng = np.random.default_rng(seed)
    times, offsets = trains(rng, n_units, duration=5.0)
    events = rng.uniform(0, 5, n_events)
    width, n_before, n_after = 0.025, 8, 20
    margin = 5 * int(np.ceil(smoothing / width))
    direct = direct_counts(times, offsets, events, n_before + margin, n_before + n_after + 2 * margin, width)
    expected = (published_smoothing(direct, smoothing / width, margin) if smoothing else direct) / width
    histograms = peths.peths(times, offsets, events, 0.2, 0.5, width, smoothing)
    assert histograms.n == n_events
    np.testing.assert_allclose(histograms.mean, expected.mean(axis=1), atol=1e-9)
    np.testing.assert_allclose(histograms.std, expected.std(axis=1), atol=1e-6)
    if n_events > 1:
        np.testing.assert_allclose(histograms.sem, expected.std(axis=1, ddof=1) / np.sqrt(n_events), atol=1e-6)
    else:
        assert np.isnan(histograms.sem).all()


def test_conditions_split_the_events():
    """Each condition is the PETH of its own events; events without time or label belong to none."""
    rng = np.random.default_rng(3)
    times, offsets = trains(rng, 4)
    events = np.sort(rng.uniform(2, 28, 40))
    labels = rng.choice([-100.0, 6.25, np.nan], 40)
    events[5] = np.nan
    histograms = peths.peths(times, offsets, events, 0.5, 1.0, conditions=labels)
    assert histograms.conditions.tolist() == [-100.0, 6.25] and histograms.mean.shape == (4, 2, 60)
    for i, label in enumerate(histograms.conditions):
        own = peths.peths(times, offsets, events[labels == label], 0.5, 1.0)
        assert histograms.n[i] == own.n == np.count_nonzero((labels == label) & ~np.isnan(events))
        np.testing.assert_allclose(histograms.mean[:, i], own.mean, atol=1e-9)
        np.testing.assert_allclose(histograms.sem[:, i], own.sem, atol=1e-9)


def test_neither_order_of_events_nor_threads_matter():
    """Sums are taken over events in order of time, on any number of threads."""
    rng = np.random.default_rng(4)
    times, offsets = trains(rng, 9)
    events = rng.uniform(0, 30, 50)
    one = peths.peths(times, offsets, events, 0.3, 0.3, threads=1)
    other = peths.peths(times, offsets, rng.permutation(events), 0.3, 0.3, threads=3)
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.std, other.std)


def test_a_known_response_is_recovered():
    """A unit that fires at 5 Hz, and at 40 Hz from 0.1 to 0.3 s after each of 400 events."""
    rng = np.random.default_rng(5)
    events = 1.0 + 2.0 * np.arange(400)
    evoked = np.concatenate([event + rng.uniform(0.1, 0.3, rng.poisson(35 * 0.2)) for event in events])
    times = np.sort(np.r_[rng.uniform(0, 802, rng.poisson(5 * 802)), evoked])
    histograms = peths.peths(times, [0, times.size], events, 0.5, 0.5, 0.01, 0.01)
    plateau = (histograms.bins > 0.14) & (histograms.bins < 0.26)
    rest = (histograms.bins < 0.05) | (histograms.bins > 0.36)
    assert histograms.mean[0, plateau].mean() == pytest.approx(40, abs=2)
    assert histograms.mean[0, rest].mean() == pytest.approx(5, abs=0.7)


@pytest.mark.skipif(not REAL.exists(), reason="real recordings are not here")
def test_peths_of_a_real_recording_equal_a_direct_count():
    """289 clusters, ids not contiguous, around 18 real events in two groups."""
    times = np.load(REAL / "alf/probe00/spikes.times.npy")
    clusters = np.load(REAL / "alf/probe00/spikes.clusters.npy")
    events, groups = np.load(REAL / "event_times.npy"), np.load(REAL / "event_groups.npy")
    grouping = spikes.group(clusters)
    grouped = spikes.gather(times, grouping)
    binned = peths.counts(grouped, grouping.offsets, events, 0.5, 1.0, 0.05)
    expected = np.zeros_like(binned)
    for e, event in enumerate(events):
        place = np.floor((times - (event - 10 * 0.05)) / 0.05)
        inside = (place >= 0) & (place < 30)
        row = np.searchsorted(grouping.cluster_ids, clusters[inside])
        np.add.at(expected, (row, e, place[inside].astype(int)), 1)
    assert len(grouping) == np.unique(clusters).size
    np.testing.assert_array_equal(binned, expected)
    split = peths.peths(grouped, grouping.offsets, events, 0.5, 1.0, 0.05, 0, conditions=groups)
    for i, group in enumerate(split.conditions):
        np.testing.assert_allclose(split.mean[:, i], expected[:, groups == group].mean(axis=1) / 0.05, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**31), st.integers(0, 30), st.integers(0, 6))
def test_the_raster_holds_each_spike_of_each_window_once(seed, n_spikes, n_events):
    """In order of the trials, and of time within each; windows may overlap."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 3, n_spikes))
    events = rng.uniform(-0.5, 3.5, n_events)
    events[rng.random(n_events) < 0.2] = np.nan
    trial, time = peths.raster(times, events, 0.3, 0.6)
    expected = [(i, t - e) for i, e in enumerate(events) for t in times if e - 0.3 <= t < e + 0.6]
    assert trial.tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(time, [t for _, t in expected])


def test_the_population_rate_counts_every_spike_of_whole_bins():
    """A rest at the end that is shorter than a bin is left out; one of exactly a bin is not, whatever the rounding."""
    centres, rate = peths.population_rate([0.05, 0.15, 0.16, 0.29, 0.31], 0.0, 0.3, 0.1)
    np.testing.assert_allclose(centres, [0.05, 0.15, 0.25])
    np.testing.assert_allclose(rate, [10, 20, 10])
    assert peths.population_rate([0.1], 0.0, 0.25, 0.1)[1].size == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: peths.peths([1.0], [0, 1], [1.0], 0.1, 0.1, bin=0.0), "bin must be positive"),
        (lambda: peths.peths([1.0], [0, 1], [1.0], 0.0, 0.0), "window from 0.0 s before to 0.0 s after"),
        (lambda: peths.peths([1.0], [0, 1], [1.0], 0.1, 0.1, smoothing=-1.0), "smoothing must not be negative"),
        (lambda: peths.peths([1.0], [0, 1], [1.0], 0.1, 0.1, conditions=[1, 2]), "1 events but conditions"),
        (lambda: peths.counts([1.0], [0, 1], [[1.0]], 0.1, 0.1, 0.1), "events must be one-dimensional"),
        (lambda: peths.population_rate([1.0], 1.0, 1.0, 0.1), "an end after the start"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    """With a sentence that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        call()
