"""Quality metrics of sorted units from their spikes' times, amplitudes and depths, and criteria on such metrics.

Names, definitions and sources are listed in `unit_metrics`. Units are independent of each other: they are computed on
all usable cores, and the memory needed beside the input is that of the units in hand.
"""

import difflib
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import pdtr

from pipeline.analysis import _threads
from pipeline.analysis import _unit_kernels as kernels
from pipeline.analysis.spikes import checked_groups

__all__ = ["METRICS", "MetricRules", "apply_criteria", "spike_width", "unit_metrics"]

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

OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


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
) -> dict[str, NDArray]:
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
    dict of name to (k,) array; float64 except where said. NaN where a metric cannot be computed.

    Raises
    ------
    ValueError
        If lengths differ, offsets do not fit, times fall within a unit or are not finite, or the window is empty.

    Examples
    --------
    >>> found = unit_metrics([0.0, 0.5, 0.501, 9.0, 3.0, 20.0], [0, 4, 4, 6])
    >>> found["n_spikes"], found["firing_rate"], found["presence_ratio"]
    (array([4, 0, 2]), array([0.2, 0. , 0.1]), array([0.5, 0. , 0.5]))
    """
    rules = rules or MetricRules()
    times, offsets = checked_groups(times, offsets)
    extra = {}
    for name, values in (("amps", amps), ("depths", depths)):
        if values is not None:
            extra[name] = np.asarray(values)
            if extra[name].shape != times.shape:
                raise ValueError(f"{times.size} times but {name} of shape {extra[name].shape}")
    k = offsets.size - 1
    start, end = _window(times, offsets, window)
    n_windows = _n_windows(end - start, rules)
    n_lags = np.arange(0, rules.max_refractory_period, 1 / rules.sampling_rate).size
    counts = np.zeros((k, 6), dtype=np.int64)
    lags = np.zeros((k, n_lags), dtype=np.int64)
    presence = np.zeros((k, 2))
    amplitude = np.full((k, 7), np.nan)
    drift = np.full((k, 2), np.nan)

    def piece(first: int, last: int) -> None:
        spikes = slice(offsets[first], offsets[last])
        own = offsets[first : last + 1] - offsets[first]
        t = _plain(times[spikes])
        kernels.trains(
            t,
            own,
            start,
            end,
            rules.refractory_period,
            rules.censored_period,
            rules.sampling_rate,
            rules.presence_window,
            n_windows,
            counts[first:last],
            lags[first:last],
            presence[first:last],
        )
        if "amps" in extra:
            kernels.amplitudes(
                _plain(extra["amps"][spikes]),
                own,
                rules.noise_quantile,
                rules.noise_bins - 1,
                rules.spikes_per_bin,
                rules.missed_min_bins,
                _gaussian_weights(rules.missed_sigma),
                rules.cutoff_bins,
                rules.cutoff_spikes_per_bin,
                _gaussian_weights(rules.cutoff_sigma),
                amplitude[first:last],
            )
        if "depths" in extra:
            kernels.drifts(
                t,
                _plain(extra["depths"][spikes]),
                own,
                start,
                end,
                rules.drift_interval,
                rules.drift_min_spikes,
                drift[first:last],
            )

    _threads.run(piece, _threads.balanced_pieces(offsets, 32), threads)
    if counts[:, kernels.N_BACKWARDS].any():
        raise ValueError(f"times must rise within a unit; they fall in {np.count_nonzero(counts[:, 5])} units")
    n = counts[:, kernels.N_SPIKES]
    duration = end - start
    with np.errstate(divide="ignore", invalid="ignore"):
        out: dict[str, NDArray] = {
            "n_spikes": n,
            "firing_rate": n / duration if duration > 0 else np.full(k, np.nan),
            "presence_ratio": presence[:, 0],
            "presence_ratio_std": presence[:, 1],
            "isi_violations_hill": _hill(counts, duration, rules),
            "isi_violations_llobet": _llobet(counts, duration, rules),
        }
    out |= _sliding_refractory_period(counts, lags, rules)
    columns = ("amp_min", "amp_max", "amp_median", "amp_std_db", "noise_cutoff", "missed_spikes", "amplitude_cutoff")
    out |= {name: amplitude[:, i].copy() for i, name in enumerate(columns)}
    out["drift"] = drift[:, 0] / duration * 3600 if duration > 0 else np.full(k, np.nan)
    out["drift_ptp"] = drift[:, 1].copy()
    passes = [
        out["refractory_confidence"] >= rules.confidence,
        out["noise_cutoff"] < rules.noise_threshold,
        out["amp_median"] > rules.amp_threshold,
    ]
    out["ibl_label"] = np.mean(passes, axis=0) if "amps" in extra else np.full(k, np.nan)
    return {name: out[name] for name in METRICS}


def spike_width(templates: ArrayLike, sampling_rate: float) -> NDArray:
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
    templates = np.nan_to_num(templates)
    largest = np.ptp(templates, axis=1).argmax(axis=1)
    wave = np.take_along_axis(templates, largest[:, np.newaxis, np.newaxis], axis=2)[:, :, 0]
    extreme = np.abs(wave).argmax(axis=1)
    sign = np.sign(np.take_along_axis(wave, extreme[:, np.newaxis], axis=1))
    after = np.where(np.arange(n_samples) >= extreme[:, np.newaxis], -sign * wave, -np.inf).argmax(axis=1)
    width = (after - extreme) * -sign[:, 0] / sampling_rate * 1000
    return np.where(sign[:, 0] == 0, np.nan, width)


def apply_criteria(metrics: Mapping[str, ArrayLike], rules: Iterable[Mapping[str, Any]]) -> NDArray:
    """Which units meet all rules.

    Parameters
    ----------
    metrics : name to (k,) array
    rules : each a mapping with `metric`, `op` (one of < <= > >= == !=) and `value`. A metric that is NaN meets no rule.

    Returns
    -------
    (k,) bool array

    Raises
    ------
    ValueError
        If a rule names a metric that is not there (near names are told) or an operator that does not exist, or the
        metrics differ in length.

    Examples
    --------
    >>> metrics = {"firing_rate": [0.1, 5.0, np.nan], "ibl_label": [1, 1, 1]}
    >>> apply_criteria(metrics, [{"metric": "firing_rate", "op": ">", "value": 0.2}])
    array([False,  True, False])
    """
    columns = {name: np.asarray(values) for name, values in metrics.items()}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"metrics must be one-dimensional and of equal length, not {sorted(shapes)}")
    passed = np.ones(next(iter(shapes)), dtype=bool)
    for rule in rules:
        name, op, value = rule["metric"], rule["op"], rule["value"]
        if name not in columns:
            near = difflib.get_close_matches(str(name), columns, n=3)
            raise ValueError(f"no metric {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
        if op not in OPERATORS:
            raise ValueError(f"no operator {op!r}; there are {' '.join(OPERATORS)}")
        column = columns[name]
        passed &= OPERATORS[op](column, value)
        if np.issubdtype(column.dtype, np.floating):
            passed &= ~np.isnan(column)
    return passed


def _plain(values: NDArray) -> NDArray:
    """Contiguous writable float64, the one type that the kernels are compiled for; a copy only where it is not so."""
    return np.require(values, np.float64, ["C", "W"])


def _window(times: NDArray, offsets: NDArray, window: tuple[float, float] | None) -> tuple[float, float]:
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


def _hill(counts: NDArray, duration: float, rules: MetricRules) -> NDArray:
    """Rate of refractory violations over the unit's rate."""
    n = counts[:, kernels.N_KEPT]
    time = 2 * n * (rules.refractory_period - rules.censored_period)
    return counts[:, kernels.N_SHORT] / time / (n / duration) if duration > 0 else np.full(n.size, np.nan)


def _llobet(counts: NDArray, duration: float, rules: MetricRules) -> NDArray:
    """Fraction of contaminating spikes under the assumption of many contaminating neurons."""
    n = counts[:, kernels.N_SPIKES]
    censored = rules.censored_period
    d = 1 - counts[:, kernels.N_PAIRS] * (duration - 2 * n * censored) / (
        n.astype(float) ** 2 * (rules.refractory_period - censored)
    )
    return np.where(n == 0, np.nan, np.clip(1 - np.sqrt(np.maximum(d, 0)), 0, 1))


def _sliding_refractory_period(counts: NDArray, lags: NDArray, rules: MetricRules) -> dict[str, NDArray]:
    """The sliding refractory period of all units."""
    n = counts[:, kernels.N_SPIKES]
    levels = np.arange(0.5, 35, 0.5)
    sample = 1 / rules.sampling_rate
    periods = np.arange(lags.shape[1]) * sample + sample / 2
    believed = periods > rules.min_refractory_period
    observed = np.cumsum(lags, axis=1)
    confidence = np.full(n.size, np.nan)
    contamination = np.full(n.size, np.nan)
    for unit in np.flatnonzero(n):
        rate = counts[unit, kernels.N_SECOND] / n[unit]
        expected = rate * (levels[:, None] / 100) * (periods[believed] + sample / 2) * 2 * n[unit]
        matrix = 100 * (1 - pdtr(observed[unit, believed], expected))
        confidence[unit] = matrix[np.flatnonzero(levels >= rules.contamination)[0]].max()
        enough = np.flatnonzero((matrix >= rules.confidence).any(axis=1))
        contamination[unit] = levels[enough[0]] if enough.size else np.nan
    return {
        "refractory_confidence": confidence,
        "refractory_contamination": contamination,
        "n_spikes_below_2ms": lags[:, : np.flatnonzero(periods > 0.002)[0] + 1].sum(axis=1),
        "refractory_pass": contamination <= rules.contamination,
    }


def _gaussian_weights(sigma: float) -> NDArray:
    """One half of a Gaussian filter cut off at four standard deviations, the middle weight first."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 / sigma**2 * np.arange(-radius, radius + 1) ** 2)
    return (weights / weights.sum())[radius:].copy()
