"""Measures sorted spikes in the raw samples: waveform of each unit, amplitude and depth of each spike, in V and um.

Sorters give templates in units of their own (whitened, scaled); what is measured in the samples means the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

N_SAMPLES, TROUGH = 82, 30  # of a waveform, and the sample of it at the spike's time; at 30 kHz
N_CHANNELS = 32  # of a stored waveform
N_NEAR = 12  # channels from which amplitude and depth are taken
N_AVERAGED = 200  # spikes in a waveform, at most
_SECONDS = 1.0  # read at once


FAR_AWAY, FEWEST_UNITS = 200.0, 3
"""Where more than half of as many units are so far (um) from their templates, the raw recording is another one."""


@dataclass(frozen=True)
class Recording:
    """A raw recording as it is measured.

    Attributes
    ----------
    volts : function (first, last) -> samples x channels, V, of the neural channels.
    n_samples, sampling_rate : Hz.
    positions : channels x 2, um, across and along the shank.
    """

    volts: Callable[[int, int], np.ndarray]
    n_samples: int
    sampling_rate: float
    positions: np.ndarray


@dataclass(frozen=True)
class Measured:
    """Rows are clusters in ascending order of their numbers, or spikes."""

    waveforms: np.ndarray  # V, clusters x samples x channels, float32
    waveforms_channels: np.ndarray  # clusters x channels, best first
    peak_to_trough: np.ndarray  # ms, clusters
    amps: np.ndarray  # V, spikes: trough to peak on the best channel
    depths: np.ndarray  # um, spikes: from the tip


def measure(recording: Recording, samples: np.ndarray, clusters: np.ndarray, seed: int = 0) -> Measured:
    """Measure spikes in a recording, which is read twice, a second at a time.

    The waveform of a cluster is the mean over 200 of its spikes, each less its own mean. The amplitude of a spike is
    the factor by which the waveform on the 12 channels nearest to the best one fits it best, times the waveform's
    amplitude; its depth the mean of these channels' positions, weighted by the square of the fit of the best channel's
    course.

    Parameters
    ----------
    samples, clusters : of the spikes, ascending samples; clusters are 0, 1, …
    """
    k = int(clusters.max()) + 1
    chosen = _choose(clusters, k, np.random.default_rng(seed))
    means, best, by_distance = _means(recording, samples, clusters, chosen)
    near = by_distance[:, :N_NEAR]
    stored = by_distance[:, :N_CHANNELS]
    course = means[np.arange(k), :, best]
    on_near = np.take_along_axis(means, near[:, None], axis=2)
    factor = np.ptp(course, axis=1) / np.maximum((on_near**2).sum(axis=(1, 2)), 1e-30)
    amps, depths = np.empty(len(samples)), np.empty(len(samples))
    for cut, at in _pieces(recording, samples):
        mine = clusters[at]
        snippets = cut(np.arange(len(mine)), near[mine])
        amps[at] = np.einsum("stc,stc->s", snippets, on_near[mine], optimize=True) * factor[mine]
        fit = np.einsum("stc,st->sc", snippets, course[mine], optimize=True).clip(min=0) ** 2
        fit += 1e-12 * fit.max(initial=0) + 1e-30
        depths[at] = (fit * recording.positions[near[mine], 1]).sum(axis=1) / fit.sum(axis=1)
    return Measured(
        waveforms=np.take_along_axis(means, stored[:, None], axis=2).astype(np.float32),
        waveforms_channels=stored,
        peak_to_trough=(course.argmax(axis=1) - course.argmin(axis=1)) / recording.sampling_rate * 1e3,
        amps=amps,
        depths=depths,
    )


@dataclass(frozen=True)
class Waveforms:
    """Mean waveforms; rows are clusters in ascending order of their numbers. NaN where no spike could be cut out."""

    waveforms: np.ndarray  # V, clusters x samples x channels, float32
    channels: np.ndarray  # clusters x channels, best first
    peak_to_trough: np.ndarray  # ms, clusters
    amplitudes: np.ndarray  # V, clusters: trough to peak of the mean on the best channel
    spikes: np.ndarray  # which spikes were averaged, ascending


def mean_waveforms(
    recording: Recording, samples: np.ndarray, clusters: np.ndarray, most_seconds: int = 120, seed: int = 0
) -> Waveforms:
    """Mean waveforms of clusters without reading the whole recording; parameters as in `measure`.

    The spikes are those in `most_seconds` seconds, spread evenly over the recording; a cluster with fewer than ten
    spikes in these has up to ten others.
    """
    rng = np.random.default_rng(seed)
    k = int(clusters.max()) + 1
    n_seconds = max(1, int(np.ceil(recording.n_samples / recording.sampling_rate)))
    read = np.zeros(n_seconds, bool)
    read[np.unique(np.linspace(0, n_seconds - 1, min(n_seconds, most_seconds)).astype(int))] = True
    inside = np.flatnonzero(read[(samples // round(_SECONDS * recording.sampling_rate)).clip(0, n_seconds - 1)])
    chosen = inside[_choose(clusters[inside], k, rng)]
    rare = np.flatnonzero(np.bincount(clusters[chosen], minlength=k) < 10)
    others = np.flatnonzero(np.isin(clusters, rare)) if len(rare) else rare
    chosen = np.union1d(chosen, others[_choose(clusters[others], k, rng, 10)])
    means, best, by_distance = _means(recording, samples, clusters, chosen)
    course, stored = means[np.arange(k), :, best], by_distance[:, :N_CHANNELS]
    return Waveforms(
        np.take_along_axis(means, stored[:, None], axis=2).astype(np.float32),
        stored,
        (course.argmax(axis=1) - course.argmin(axis=1)) / recording.sampling_rate * 1e3,
        np.ptp(course, axis=1),
        chosen,
    )


def doubt(measured: Waveforms, by_templates: np.ndarray | None, positions: np.ndarray | None) -> str:
    """Why the raw recording cannot be the one that was sorted; empty where nothing speaks against it.

    Parameters
    ----------
    by_templates : (n units,) best channel of each by the sorter's templates; None where that is not known.
    positions : (n channels, 2) um.
    """
    known = np.nan_to_num(measured.amplitudes) > 0
    if not known.any():
        return "waveforms and amplitudes were not measured: the raw recording is flat where the spikes are"
    if by_templates is None or positions is None:
        return ""
    away = np.hypot(*(positions[measured.channels[:, 0]] - positions[by_templates])[:, :2].T)
    elsewhere = int((~known | (away > FAR_AWAY)).sum())
    if len(known) < FEWEST_UNITS or 2 * elsewhere <= len(known):
        return ""
    return (
        f"waveforms and amplitudes were not measured: {elsewhere} of {len(known)} units are elsewhere in the raw "
        "recording than the templates say; is it the one that was sorted?"
    )


def _means(
    recording: Recording, samples: np.ndarray, clusters: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean waveform (clusters x samples x channels), best channel, and channels by distance from it."""
    k = int(clusters.max()) + 1
    sums = np.zeros((k, N_SAMPLES, len(recording.positions)))
    for cut, at in _pieces(recording, samples[chosen]):
        which = chosen[at]
        for item in np.unique(clusters[which]):
            sums[item] += cut(np.flatnonzero(clusters[which] == item), None).sum(axis=0)
    means = sums / np.maximum(np.bincount(clusters[chosen], minlength=k), 1)[:, None, None]
    best = np.ptp(means, axis=1).argmax(axis=1)
    distance = np.hypot(*(recording.positions[best][:, None] - recording.positions[None]).transpose(2, 0, 1))
    return means, best, np.argsort(distance, axis=1, kind="stable")


def _choose(clusters: np.ndarray, k: int, rng: np.random.Generator, most: int = N_AVERAGED) -> np.ndarray:
    """Spikes for the mean waveforms, ascending: of each cluster at most `most`, at random."""
    shuffled = rng.permutation(len(clusters))
    order = shuffled[np.argsort(clusters[shuffled], kind="stable")]
    counts = np.bincount(clusters, minlength=k)
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[place < most])


def _pieces(
    recording: Recording, samples: np.ndarray
) -> Iterator[tuple[Callable[[np.ndarray, np.ndarray | None], np.ndarray], np.ndarray]]:
    """Go through the recording: a function that cuts out spikes of the piece, and the indices of its spikes.

    The function takes which of these spikes, and channels (spikes x channels; none: all), and gives float32 snippets
    (spikes x samples x channels) less their mean. Beyond the ends of the recording the last sample is repeated.
    """
    step, after = round(_SECONDS * recording.sampling_rate), N_SAMPLES - TROUGH
    window = np.arange(N_SAMPLES) - TROUGH
    for first in range(0, recording.n_samples, step):
        low, high = np.searchsorted(samples, [first, first + step])
        if low == high:
            continue
        begin, end = max(first - TROUGH, 0), min(first + step + after, recording.n_samples)
        block = np.asarray(recording.volts(begin, end), np.float32)
        at = (samples[low:high, None] + window - begin).clip(0, end - begin - 1)

        def cut(
            which: np.ndarray, channels: np.ndarray | None, block: np.ndarray = block, at: np.ndarray = at
        ) -> np.ndarray:
            pieces = block[at[which]] if channels is None else block[at[which][:, :, None], channels[:, None]]
            return pieces - pieces.mean(axis=1, keepdims=True)

        yield cut, np.arange(low, high)
