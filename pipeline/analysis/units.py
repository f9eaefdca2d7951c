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

_AMPLITUDE_METRICS = (  # as the kernel orders them
    "amp_min",
    "amp_max",
    "amp_median",
    "amp_std_db",
    "noise_cutoff",
    "missed_spikes",
    "amplitude_cutoff",
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
    amps, depths = (None if values is None else np.asarray(values) for values in (amps, depths))
    for name, values in (("amps", amps), ("depths", depths)):
        if values is not None and values.shape != times.shape:
            raise ValueError(f"{times.size} times but {name} of shape {values.shape}")
    bounds = _window(times, offsets, window)

    def piece(first: int, last: int) -> dict[str, NDArray]:
        spikes = slice(offsets[first], offsets[last])
        return _metrics(
            _plain(times[spikes]),
            offsets[first : last + 1] - offsets[first],
            *(None if values is None else _plain(values[spikes]) for values in (amps, depths)),
            bounds,
            rules,
        )

    # Several pieces for each thread: none waits long for the last one, and little memory is in use at a time.
    pieces = _threads.balanced_pieces(offsets, 32) or [(0, 0)]
    found = _threads.run(piece, pieces, threads)
    return {name: np.concatenate([part[name] for part in found]) for name in METRICS}


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


def _metrics(
    times: NDArray,
    offsets: NDArray,
    amps: NDArray | None,
    depths: NDArray | None,
    bounds: tuple[float, float],
    rules: MetricRules,
) -> dict[str, NDArray]:
    """All metrics of some units, on one thread."""
    start, end = bounds
    duration = end - start if end > start else np.nan
    inside = (times >= start) & (times <= end)
    if not inside.all():
        if np.isnan(times).any():
            raise ValueError("times must not be NaN")
        offsets = np.concatenate([[0], np.cumsum(inside)])[offsets]
        times, amps, depths = (None if values is None else values[inside] for values in (times, amps, depths))
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
    out["isi_violations_hill"] = _hill(counts, duration, rules)
    out["isi_violations_llobet"] = _llobet(counts, duration, rules)
    out |= _sliding_refractory_period(counts, lags, rules)
    out |= _amplitude_metrics(k, amps, offsets, rules)
    drift = np.full((k, 2), np.nan)
    if depths is not None:
        kernels.drifts(times, depths, offsets, start, rules.drift_interval, rules.drift_min_spikes, drift)
    out["drift"] = drift[:, 0] / duration * 3600
    out["drift_ptp"] = drift[:, 1]
    passes = [
        out["refractory_confidence"] >= rules.confidence,
        out["noise_cutoff"] < rules.noise_threshold,
        out["amp_median"] > rules.amp_threshold,
    ]
    out["ibl_label"] = np.full(k, np.nan) if amps is None else np.mean(passes, axis=0)
    return out


def _amplitude_metrics(k: int, amps: NDArray | None, offsets: NDArray, rules: MetricRules) -> dict[str, NDArray]:
    """Metrics that only the amplitudes are needed for; NaN without them."""
    found = np.full((k, len(_AMPLITUDE_METRICS)), np.nan)
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
            found,
        )
    return dict(zip(_AMPLITUDE_METRICS, found.T.copy(), strict=True))


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
    with np.errstate(divide="ignore", invalid="ignore"):
        return counts[:, kernels.N_SHORT] / time / (n / duration)


def _llobet(counts: NDArray, duration: float, rules: MetricRules) -> NDArray:
    """Fraction of contaminating spikes under the assumption of many contaminating neurons."""
    n = counts[:, kernels.N_SPIKES]
    censored = rules.censored_period
    time = n.astype(float) ** 2 * (rules.refractory_period - censored)
    with np.errstate(divide="ignore", invalid="ignore"):
        pure = 1 - counts[:, kernels.N_PAIRS] * (duration - 2 * n * censored) / time
    return np.clip(1 - np.sqrt(np.maximum(pure, 0)), 0, 1)


def _sliding_refractory_period(counts: NDArray, lags: NDArray, rules: MetricRules) -> dict[str, NDArray]:
    """The sliding refractory period of all units."""
    n = counts[:, kernels.N_SPIKES]
    levels = np.arange(0.5, 35, 0.5)
    sample = 1 / rules.sampling_rate
    periods = np.arange(lags.shape[1]) * sample + sample / 2
    below_2ms = lags[:, : np.flatnonzero(periods > 0.002)[0] + 1].sum(axis=1)
    # For as many violations the longest period gives the most confidence: keep the last of each run of equal counts.
    observed = np.cumsum(lags, axis=1)
    candidate = np.append(np.diff(observed, axis=1) > 0, np.ones((n.size, 1), dtype=bool), axis=1)
    candidate &= (periods > rules.min_refractory_period) & (n > 0)[:, np.newaxis]
    unit, period = np.nonzero(candidate)
    observed = observed[unit, period]
    first_of_unit = np.flatnonzero(np.diff(unit, prepend=-1))
    rate = counts[unit, kernels.N_SECOND] / n[unit]

    def confidence_at(level: NDArray) -> NDArray:
        """The largest confidence that each unit's contamination is below a level, given as a row of `levels`."""
        expected = rate * (levels[level[unit]] / 100) * (periods[period] + sample / 2) * 2 * n[unit]
        best = np.full(n.size, -np.inf)
        if unit.size:
            best[n > 0] = np.maximum.reduceat(100 * (1 - pdtr(observed, expected)), first_of_unit)
        return best

    tolerated = np.full(n.size, np.flatnonzero(levels >= rules.contamination)[0])
    confidence = np.where(n > 0, confidence_at(tolerated), np.nan)
    # Confidence rises with the level: halve the range of levels that the lowest sufficient one lies in.
    low, high = np.zeros(n.size, dtype=np.int64), np.full(n.size, levels.size)
    while np.any(low < high):
        middle = np.minimum((low + high) // 2, levels.size - 1)
        enough = confidence_at(middle) >= rules.confidence
        low, high = np.where(enough | (low == high), low, middle + 1), np.where(enough, middle, high)
    contamination = np.append(levels, np.nan)[low]
    return {
        "refractory_confidence": confidence,
        "refractory_contamination": np.where(n > 0, contamination, np.nan),
        "n_spikes_below_2ms": below_2ms,
        "refractory_pass": contamination <= rules.contamination,
    }


def _gaussian_weights(sigma: float) -> NDArray:
    """One half of a Gaussian filter cut off at four standard deviations, the middle weight first."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 / sigma**2 * np.arange(-radius, radius + 1) ** 2)
    return (weights / weights.sum())[radius:].copy()
