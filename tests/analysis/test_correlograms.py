"""Correlograms: every pair of spikes within the window counted once for each order, and known lags recovered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import correlograms

TRAIN = st.lists(st.integers(0, 300), max_size=40).map(sorted)  # samples of 1 ms, ties among them


def direct(times, others, n_bins, width):
    """Lags in samples, bins of `width` samples whose left edge belongs to them."""
    counts = np.zeros(2 * n_bins, dtype=int)
    for a in times:
        for b in others:
            place = (b - a) // width + n_bins
            if 0 <= place < 2 * n_bins:
                counts[place] += 1
    return counts


@settings(deadline=None, max_examples=60)
@given(TRAIN, TRAIN, st.integers(1, 6), st.integers(1, 8))
def test_cross_correlograms_count_every_pair(times, others, n_bins, width):
    """Also pairs on the edges of bins, where rounding of seconds must not move them."""
    result = correlograms.cross_correlogram(
        np.array(times) / 1000, np.array(others) / 1000, n_bins * width / 1000, width / 1000
    )
    np.testing.assert_array_equal(result.counts[0], direct(times, others, n_bins, width))
    assert result.n_spikes[0] == len(times) and result.lags.size == 2 * n_bins


@settings(deadline=None, max_examples=60)
@given(st.lists(TRAIN, min_size=1, max_size=3), st.integers(1, 6), st.integers(1, 8))
def test_autocorrelograms_count_every_pair_in_both_orders(trains, n_bins, width):
    """Symmetric about zero, without the pair that a spike makes with itself."""
    times = np.concatenate([np.array(train, dtype=float) for train in trains]) / 1000
    offsets = np.cumsum([0, *map(len, trains)])
    result = correlograms.autocorrelograms(times, offsets, n_bins * width / 1000, width / 1000)
    for unit, train in enumerate(trains):
        right = np.zeros(n_bins, dtype=int)
        for i, a in enumerate(train):
            for b in train[i + 1 :]:
                if (b - a) // width < n_bins:
                    right[(b - a) // width] += 1
        np.testing.assert_array_equal(result.counts[unit], np.r_[right[::-1], right])


def test_a_refractory_period_and_a_synaptic_delay_are_seen():
    """No spikes within 3 ms of another; the second unit follows the first by 2 ms in half of the cases."""
    rng = np.random.default_rng(0)
    times = np.cumsum(0.003 + rng.exponential(0.05, 20_000))
    followers = np.sort(np.r_[times[::2] + 0.002, rng.uniform(0, times[-1], 5000)])
    own = correlograms.autocorrelograms(times, [0, times.size], 0.02, 0.001)
    assert own.counts[0, np.abs(own.lags) < 0.003].sum() == 0
    rate = times.size / times[-1]
    assert own.rates[0, np.abs(own.lags) > 0.015].mean() == pytest.approx(rate, rel=0.1)
    both = correlograms.cross_correlogram(times, followers, 0.02, 0.001)
    assert both.lags[both.counts[0].argmax()] in (pytest.approx(0.0015), pytest.approx(0.0025))
    assert both.counts[0].max() >= 10_000


def test_one_unit_against_all():
    """Each row is the cross-correlogram with that unit; the unit's own row is its autocorrelogram."""
    rng = np.random.default_rng(1)
    trains = [np.sort(rng.uniform(0, 20, n)) for n in (300, 0, 500)]
    times, offsets = np.concatenate(trains), np.cumsum([0, 300, 0, 500])
    result = correlograms.cross_correlograms(times, offsets, 2, 0.05, 0.005)
    for other in (0, 1):
        expected = correlograms.cross_correlogram(trains[2], trains[other], 0.05, 0.005)
        np.testing.assert_array_equal(result.counts[other], expected.counts[0])
    own = correlograms.autocorrelograms(times, offsets, 0.05, 0.005)
    np.testing.assert_array_equal(result.counts[2], own.counts[2])
    assert np.isnan(own.rates[1]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: correlograms.autocorrelograms([1.0], [0, 1], bin=0.0), "bin must be positive"),
        (lambda: correlograms.autocorrelograms([1.0], [0, 1], 0.01, 0.003), "whole number of bins"),
        (lambda: correlograms.cross_correlograms([1.0], [0, 1], unit=1), "no unit 1 among 1"),
        (lambda: correlograms.cross_correlogram([[1.0]], [1.0]), "times must be one-dimensional"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    """With a sentence that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        call()
