"""Root mean squares and spectra of channels: equal to scipy's, and known signals recovered, from any chunks."""

import numpy as np
import pytest
import scipy.signal

from pipeline.analysis import signals


@pytest.mark.parametrize("segment", [64, 65, 256])
def test_spectrum_is_welchs(segment):
    """One chunk: as scipy computes it with the same window, overlap and detrending."""
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 3, (1000, 3)) + [0.0, 100.0, -5.0]
    statistics = signals.channel_statistics([samples], 500.0, segment=segment)
    frequencies, power = scipy.signal.welch(
        samples, 500.0, "hann", segment, noverlap=segment - max(segment // 2, 1), detrend="constant", axis=0
    )
    np.testing.assert_allclose(statistics.frequencies, frequencies)
    np.testing.assert_allclose(statistics.power, power.T, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(statistics.rms, samples.std(axis=0), rtol=1e-6)


def test_counts_of_an_analogue_converter_become_microvolts():
    """int16 samples with a gain for each channel; power goes with the square of the gain."""
    rng = np.random.default_rng(1)
    counts = rng.normal(0, 20, (4000, 2)).astype(np.int16)
    scale = np.array([2.34375, 4.6875])
    statistics = signals.channel_statistics([counts], 30_000.0, scale, 256)
    plain = signals.channel_statistics([counts * scale], 30_000.0, segment=256)
    np.testing.assert_allclose(statistics.rms, plain.rms, rtol=1e-6)
    np.testing.assert_allclose(statistics.power, plain.power, rtol=1e-5)


def test_power_adds_up_to_the_variance():
    """Parseval: the integral of the density over frequency is the mean square, for many chunks as for one."""
    rng = np.random.default_rng(2)
    chunks = [rng.normal(0, 2, (n, 4)) for n in (3000, 1500, 4096, 100)]
    statistics = signals.channel_statistics(chunks, 2500.0, segment=512)
    assert statistics.n_samples == 8696 and statistics.n_segments == 10 + 4 + 15
    np.testing.assert_allclose(statistics.power.sum(axis=1) * 2500 / 512, statistics.rms**2, rtol=0.1)
    np.testing.assert_allclose(statistics.rms, 2, rtol=0.05)


def test_a_rhythm_is_found_on_its_channel():
    """8 Hz on the second channel alone."""
    time = np.arange(10_000) / 1000
    samples = np.random.default_rng(3).normal(0, 1, (time.size, 2))
    samples[:, 1] += 5 * np.sin(2 * np.pi * 8 * time)
    statistics = signals.channel_statistics(np.split(samples, 2), 1000.0, segment=1000)
    assert statistics.frequencies[statistics.power[1].argmax()] == 8
    assert statistics.power[1].max() > 50 * statistics.power[0].max()


def test_offsets_that_are_large_or_step_between_chunks_do_not_count():
    """The mean of each chunk goes in double precision before anything is rounded."""
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 1, (2000, 1))
    statistics = signals.channel_statistics([noise[:1000] + 1e6, noise[1000:] - 1e6], 1000.0)
    np.testing.assert_allclose(statistics.rms, 1, rtol=0.05)


def test_chunks_shorter_than_a_segment_have_no_spectrum():
    """Nor has nothing at all an RMS; neither is an error."""
    statistics = signals.channel_statistics([np.ones((10, 2)), np.ones((0, 2))], 1000.0, segment=64)
    assert statistics.rms.tolist() == [0, 0] and np.isnan(statistics.power).all()
    assert signals.channel_statistics([], 1000.0).rms.size == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: signals.ChannelStatistics(0.0), "sampling_rate must be positive"),
        (lambda: signals.ChannelStatistics(1.0, segment=1), "a segment needs two samples"),
        (lambda: signals.channel_statistics([np.zeros(5)], 1.0), "a chunk must be"),
        (lambda: signals.channel_statistics([np.zeros((5, 2))], 1.0, [1.0]), "2 channels but 1 scales"),
        (lambda: signals.channel_statistics([np.zeros((5, 2)), np.zeros((5, 3))], 1.0), "3 channels after chunks of 2"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    """With a sentence that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        call()
