"""Quality metrics of sorted units from their spikes' times, amplitudes and depths.

Names, definitions and sources of the metrics are in `unit_metrics`. Units are independent of each other: they are
computed on all usable cores, and the memory needed beside the input is that of the units in hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis import _refractory, _threads
from pipeline.analysis import _unit_kernels as kernels
from pipeline.analysis.arrays import AnyArray, Floats, Integers, Numbers, plain
from pipeline.analysis.spikes import checked_groups

__all__ = ["METRICS", "MetricRules", "spike_width", "unit_metrics"]

METRICS = (
    "n_spikes",
    "firing_rate",
    "presence_ratio",
    "presence_ratio_std",
    "isi_violations_hill",
    "isi_violations_llobet",
    "refractory_confidence",
    "refractory_contamination",
    "n_spikes_below_2ms",
    "refractory_pass",
    "amplitude_cutoff",
    "noise_cutoff",
    "missed_spikes",
    "amp_min",
    "amp_max",
    "amp_median",
    "amp_std_db",
    "drift",
    "drift_ptp",
    "ibl_label",
)

_AMPLITUDE_METRICS = (  # as the kernel orders them
    "amp_min",
    "amp_max",
    "amp_median",
    "amp_std_db",
    "noise_cutoff",
    "missed_spikes",
    "amplitude_cutoff",
)
LABEL_CRITERIA = ("refractory_confidence", "noise_cutoff", "amp_median")
"""Metrics that decide about ibl_label."""


@dataclass(frozen=True)
class MetricRules:
    """Parameters of the metrics; the defaults are those of IBL where IBL has the metric."""

    refractory_period: float = 0.0015  # s, of the Hill and Llobet metrics
    censored_period: float = 0.0001  # s, spikes nearer to each other than this are one spike seen twice
    presence_window: float = 10.0  # s
    partial_window: bool = False  # also count windows that the end cuts off, as IBL's published presence ratios do
    sampling_rate: float = 30000.0  # Hz, of the lags of the sliding refractory period
    max_refractory_period: float = 0.01  # s, refractory periods tried: one sample to this
    min_refractory_period: float = 0.0005  # s, shorter ones are not believed
    contamination: float = 10.0  # percent, tolerated by the sliding refractory period
    confidence: float = 90.0  # percent
    noise_quantile: float = 0.25
    noise_bins: int = 100  # edges from 0 to the largest amplitude
    noise_threshold: float = 5.0  # standard deviations
    spikes_per_bin: int = 10  # of the amplitude histogram of missed_spikes
    missed_sigma: float = 4.0  # bins, smoothing of that histogram
    missed_min_bins: int = 50
    cutoff_bins: int = 100  # of the amplitude histogram of amplitude_cutoff
    cutoff_sigma: float = 3.0  # bins, smoothing of that histogram
    cutoff_spikes_per_bin: int = 5  # fewer on average: no amplitude_cutoff
    amp_threshold: float = 50.0  # uV, of the IBL label
    drift_interval: float = 60.0  # s
    drift_min_spikes: int = 100  # in an interval


def unit_metrics(
    times: ArrayLike,
    offsets: ArrayLike,
    amps: ArrayLike | None = None,
    depths: ArrayLike | None = None,
    window: tuple[float, float] | None = None,
    rules: MetricRules | None = None,
    threads: int | None = None,
) -> dict[str, AnyArray]:
    """Metrics of all units.

    Parameters
    ----------
    times : (n,) array, s, grouped by unit, ascending within each (see `pipeline.analysis.spikes.group`)
    offsets : (k + 1,) array, where each unit's spikes begin
    amps : (n,) array, **uV**, or None; values that are NaN or not above zero do not count
    depths : (n,) array, um from the tip, or None; NaN do not count
    window : start and end of the recording, s; spikes outside do not count. By default the first and the last of all
        spikes.
    rules : parameters of the metrics
    threads : how many threads to use, by default all usable cores

    Returns
    -------
    dict of name to (k,) array in the order of `METRICS`, float64 except where said; NaN where a metric is not defined,
    with so few spikes or without amplitudes or depths. With n spikes of a unit in a window of T seconds:

    n_spikes : int64
    firing_rate : n / T, Hz
    presence_ratio : fraction 0-1 of the whole windows of 10 s in which the unit fires
    presence_ratio_std : standard deviation of its spikes in those windows
    isi_violations_hill : rate of intervals below 1.5 ms in the time open to violations, 2 n (1.5 - 0.1 ms), over the
        unit's rate; 0 for a pure unit, above 1 where there are more violations than chance would give. Spikes within
        0.1 ms after another are left out. Hill et al. (2011) J Neurosci 31: 8699-8705, in the linear form of Steinmetz
        and of the Allen Institute; brainbox `contamination`
    isi_violations_llobet : fraction 0-1 of spikes that are others', if these come from many neurons. Of n_v pairs
        between t_c = 0.1 and t_r = 1.5 ms: 1 - sqrt(1 - n_v (T - 2 n t_c) / (n^2 (t_r - t_c))); 1 where there is no
        root. Llobet et al. (2022) bioRxiv 2022.02.08.479192, equation 3
    refractory_confidence : largest confidence 0-100 %, over refractory periods from 0.5 to 10 ms, that fewer than 10 %
        of the spikes are others', given the Poisson probability of more pairs than were seen; the rate is taken
        from the autocorrelogram at 1 to 2 s. Sliding refractory period of Steinmetz, Roth and IBL: white paper "Spike
        sorting pipeline for the International Brain Laboratory" (2022), package slidingRP
    refractory_contamination : lowest contamination, of 0.5, 1 … 34.5 %, with a confidence of 90 % or more
    n_spikes_below_2ms : int64, pairs of spikes nearer than 2 ms (61 samples)
    refractory_pass : bool, refractory_contamination is 10 % or less
    amplitude_cutoff : fraction 0-0.5 of all spikes that lay below the detection threshold, if the lower tail of the
        amplitudes were like the upper: what lies above the highest amplitude that is as frequent as the lowest, over
        itself and n. Histogram of 100 bins, smoothed over 3; 500 spikes or more. Hill et al. (2011), Allen Institute
        and SpikeInterface
    noise_cutoff : the second lowest occupied of 99 bins of amplitude from 0, less the mean over the upper half of the
        bins above the peak, in standard deviations of the latter. IBL white paper (2022)
    missed_spikes : like amplitude_cutoff, in n / 10 bins smoothed over 4, as the share of the seen spikes that lie
        above the amplitude nearest in frequency to the lowest; more than 500 spikes. brainbox `missed_spikes_est`
    amp_min, amp_max : uV
    amp_median : geometric median, uV
    amp_std_db : standard deviation of the amplitudes in decibel
    drift : way of the depth from spike to spike in both directions, um/h; noise of the depths adds to it. brainbox
    drift_ptp : range of the median depth in intervals of 60 s with 100 spikes or more, um. SpikeInterface
    ibl_label : mean of three passes: refractory_confidence of 90 % or more, noise_cutoff below 5, amp_median above
        50 uV; 1 is what IBL calls a good unit. NaN where one of the three is not known (no amplitudes, too few spikes),
        where brainbox counts it as failed

    Raises
    ------
    ValueError
        If lengths differ, offsets do not fit, times fall within a unit or are not finite, or the window is empty.

    Examples
    --------
    >>> metrics = unit_metrics([0.0, 0.5, 0.501, 9.0, 3.0, 20.0], [0, 4, 4, 6])
    >>> metrics["n_spikes"], metrics["firing_rate"], metrics["presence_ratio"]
    (array([4, 0, 2]), array([0.2, 0. , 0.1]), array([0.5, 0. , 0.5]))
    """
    rules = rules or MetricRules()
    times, offsets = checked_groups(times, offsets)
    amplitudes = None if amps is None else np.asarray(amps)
    places = None if depths is None else np.asarray(depths)
    for name, values in (("amps", amplitudes), ("depths", places)):
        if values is not None and values.shape != times.shape:
            raise ValueError(f"{times.size} times but {name} of shape {values.shape}")
    bounds = _window(times, offsets, window)

    def piece(first: int, last: int) -> dict[str, AnyArray]:
        spikes = slice(offsets[first], offsets[last])
        return _metrics(
            plain(times[spikes]),
            offsets[first : last + 1] - offsets[first],
            None if amplitudes is None else plain(amplitudes[spikes]),
            None if places is None else plain(places[spikes]),
            bounds,
            rules,
        )

    # Several pieces for each thread: none waits long for the last one, and little memory is in use at a time.
    pieces = _threads.balanced_pieces(offsets, 32) or [(0, 0)]
    parts = _threads.run(piece, pieces, threads)
    return {name: np.concatenate([part[name] for part in parts]) for name in METRICS}


def spike_width(templates: ArrayLike, sampling_rate: float) -> Floats:
    """Time from the trough of each template to the peak that follows it, ms.

    The channel on which the template is largest counts. Where the largest deflection is upward, the width is the time
    from that peak to the trough that follows it, with a negative sign (as in ALF's clusters.peakToTrough); the lower
    end of narrow-spiking and wide-spiking classes is commonly put at 0.35 to 0.45 ms.

    Parameters
    ----------
    templates : (k, n_samples) or (k, n_samples, n_channels) array, any unit; NaN where a channel is absent
    sampling_rate : Hz

    Returns
    -------
    (k,) array, ms; NaN for flat or absent templates

    Examples
    --------
    >>> spike_width([[0, -5, -1, 2, 1], [0, 3, 1, -1, 0], [0, 0, 0, 0, 0]], 10_000.0)
    array([ 0.2, -0.2,  nan])
    """
    templates = np.asarray(templates, dtype=float)
    if templates.ndim == 2:
        templates = templates[:, :, np.newaxis]
    if templates.ndim != 3:
        raise ValueError(f"templates must be (k, n_samples) or (k, n_samples, n_channels), not {templates.shape}")
    if not sampling_rate > 0:
        raise ValueError(f"sampling_rate must be positive, not {sampling_rate}")
    k, n_samples, n_channels = templates.shape
    if 0 in templates.shape:
        return np.full(k, np.nan)
    known: Floats = np.nan_to_num(templates)
    largest = np.ptp(known, axis=1).argmax(axis=1)
    wave: Floats = np.take_along_axis(known, largest[:, np.newaxis, np.newaxis], axis=2)[:, :, 0]
    extreme = np.abs(wave).argmax(axis=1)
    sign = np.sign(np.take_along_axis(wave, extreme[:, np.newaxis], axis=1))
    after = np.where(np.arange(n_samples) >= extreme[:, np.newaxis], -sign * wave, -np.inf).argmax(axis=1)
    width = (after - extreme) * -sign[:, 0] / sampling_rate * 1000
    return np.where(sign[:, 0] == 0, np.nan, width)


def _metrics(
    times: Floats,
    offsets: Integers,
    amps: Floats | None,
    depths: Floats | None,
    bounds: tuple[float, float],
    rules: MetricRules,
) -> dict[str, AnyArray]:
    """All metrics of some units, on one thread."""
    start, end = bounds
    duration = end - start if end > start else np.nan
    inside = (times >= start) & (times <= end)
    if not inside.all():
        if np.isnan(times).any():
            raise ValueError("times must not be NaN")
        falls = np.flatnonzero(np.diff(times) < 0) + 1
        if not np.isin(falls, offsets).all():
            raise ValueError("times must rise within each unit")
        offsets = np.concatenate([[0], np.cumsum(inside)])[offsets]
        times = times[inside]
        amps, depths = (None if values is None else values[inside] for values in (amps, depths))
    k = offsets.size - 1
    counts = np.zeros((k, 6), dtype=np.int64)
    lags = np.zeros((k, np.arange(0, rules.max_refractory_period, 1 / rules.sampling_rate).size), dtype=np.int64)
    presence = np.zeros((k, 2))
    kernels.trains(
        times,
        offsets,
        start,
        rules.refractory_period,
        rules.censored_period,
        rules.sampling_rate,
        rules.presence_window,
        _n_windows(end - start, rules),
        counts,
        lags,
        presence,
    )
    if counts[:, kernels.N_BACKWARDS].any():
        raise ValueError("times must rise within each unit")
    n = counts[:, kernels.N_SPIKES]
    out = {"n_spikes": n, "firing_rate": n / duration, "presence_ratio": presence[:, 0]}
    out["presence_ratio_std"] = presence[:, 1]
    period, censored = rules.refractory_period, rules.censored_period
    kept, short, pairs = (counts[:, i] for i in (kernels.N_KEPT, kernels.N_SHORT, kernels.N_PAIRS))
    out["isi_violations_hill"] = _refractory.hill(kept, short, duration, period, censored)
    out["isi_violations_llobet"] = _refractory.llobet(n, pairs, duration, period, censored)
    out |= _refractory.sliding_period(
        n,
        counts[:, kernels.N_SECOND],
        lags,
        rules.sampling_rate,
        rules.min_refractory_period,
        rules.contamination,
        rules.confidence,
    )
    out |= _amplitude_metrics(k, amps, offsets, rules)
    drift = np.full((k, 2), np.nan)
    if depths is not None:
        kernels.drifts(times, depths, offsets, start, rules.drift_interval, rules.drift_min_spikes, drift)
    out["drift"] = drift[:, 0] / duration * 3600
    out["drift_ptp"] = drift[:, 1]
    out["ibl_label"] = _label(out, rules)
    return out


def _label(out: Mapping[str, AnyArray], rules: MetricRules) -> Floats:
    """The share of the criteria that are met; NaN where one of them is not known."""
    passes = [
        out["refractory_confidence"] >= rules.confidence,
        out["noise_cutoff"] < rules.noise_threshold,
        out["amp_median"] > rules.amp_threshold,
    ]
    unknown = np.any([np.isnan(out[name]) for name in LABEL_CRITERIA], axis=0)
    return np.where(unknown, np.nan, np.mean(passes, axis=0))


def _amplitude_metrics(k: int, amps: Floats | None, offsets: Integers, rules: MetricRules) -> dict[str, Floats]:
    """Metrics that only the amplitudes are needed for; NaN without them."""
    columns = np.full((k, len(_AMPLITUDE_METRICS)), np.nan)
    if amps is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(amps)
        kernels.amplitudes(
            amps,
            logs,
            offsets,
            rules.noise_quantile,
            rules.noise_bins - 1,
            rules.spikes_per_bin,
            rules.missed_min_bins,
            _gaussian_weights(rules.missed_sigma),
            rules.cutoff_bins,
            rules.cutoff_spikes_per_bin,
            _gaussian_weights(rules.cutoff_sigma),
            columns,
        )
    return dict(zip(_AMPLITUDE_METRICS, columns.T.copy(), strict=True))


def _window(times: Numbers, offsets: Integers, window: tuple[float, float] | None) -> tuple[float, float]:
    """Start and end of the recording, s."""
    if window is not None:
        start, end = map(float, window)
        if not start < end:
            raise ValueError(f"the window must begin before it ends, not {window}")
        return start, end
    filled = np.flatnonzero(np.diff(offsets))
    if filled.size == 0:
        return 0.0, 0.0
    start, end = float(times[offsets[filled]].min()), float(times[offsets[filled + 1] - 1].max())
    if not np.isfinite(start + end):
        raise ValueError("times must be finite")
    return start, end


def _n_windows(duration: float, rules: MetricRules) -> int:
    """How many windows presence is asked in."""
    if rules.partial_window:
        return max(np.arange(0, duration + rules.presence_window / 2, rules.presence_window).size, 1)
    return max(int(duration / rules.presence_window + 1e-9), 1)


def _gaussian_weights(sigma: float) -> Floats:
    """One half of a Gaussian filter cut off at four standard deviations, the middle weight first."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 / sigma**2 * np.arange(-radius, radius + 1) ** 2)
    half: Floats = (weights / weights.sum())[radius:].copy()
    return half
