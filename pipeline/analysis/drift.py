"""Activity along the probe: drift map, depth histograms of rate and amplitude, activity by depth around events.

Depths are micrometres from the tip; spikes without a depth (NaN) are left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis import _drift_kernels as kernels
from pipeline.analysis.arrays import Floats, Integers, plain
from pipeline.analysis.peths import bin_centres

__all__ = ["DepthPeth", "DepthProfile", "DriftMap", "depth_peth", "depth_profile", "drift_map"]


@dataclass(frozen=True)
class DriftMap:
    """Spikes by time and depth over a whole recording."""

    times: Floats  # (n_times,) centres, s
    depths: Floats  # (n_depths,) centres, um from the tip
    rate: Floats  # (n_times, n_depths), Hz
    amp: Floats | None  # (n_times, n_depths), mean amplitude in the unit of the input; NaN where no spikes


@dataclass(frozen=True)
class DepthProfile:
    """Activity by depth over a whole recording."""

    depths: Floats  # (n_depths,) centres, um from the tip
    rate: Floats  # (n_depths,), Hz
    amp: Floats | None  # (n_depths,), mean amplitude in the unit of the input; NaN where no spikes


@dataclass(frozen=True)
class DepthPeth:
    """Activity by depth around an event."""

    bins: Floats  # (n_bins,) centres, s from the event
    depths: Floats  # (n_depths,) centres, um from the tip
    rate: Floats  # (n_depths, n_bins), mean over events, Hz
    baseline: Floats  # (n_depths,), mean rate in the baseline window, Hz
    n: int  # events

    @property
    def normalised(self) -> Floats:
        """(rate - baseline) / (baseline + 1 Hz), (n_depths, n_bins): as IBL's pages show it."""
        baseline = self.baseline[:, np.newaxis]
        return (self.rate - baseline) / (baseline + 1)


def drift_map(
    times: ArrayLike,
    depths: ArrayLike,
    amps: ArrayLike | None = None,
    time_bin: float = 1.0,
    depth_bin: float = 20.0,
    window: tuple[float, float] | None = None,
    depth_range: tuple[float, float] | None = None,
) -> DriftMap:
    """Rate, and mean amplitude, of all spikes by time and depth.

    Parameters
    ----------
    times : (n,) array, s, in any order
    depths : (n,) array, um from the tip; NaN are left out
    amps : (n,) array, any unit, or None
    time_bin, depth_bin : s, um
    window : start and end, s; by default 0 (or the first spike, if earlier) to the last spike
    depth_range : um; by default 0 (or the lowest spike, if lower) to the highest spike

    Raises
    ------
    ValueError
        If lengths differ, bins are not positive or ranges are empty.

    Examples
    --------
    >>> drift = drift_map([0.5, 0.6, 1.5], [10.0, 30.0, 30.0], time_bin=1.0, depth_bin=20.0)
    >>> drift.times, drift.depths, drift.rate
    (array([0.5, 1.5]), array([10., 30.]), array([[1., 1.],
           [0., 1.]]))
    """
    times, depths, amps = _checked(times, depths, amps)
    start, time_bin, n_times = _bins(times, time_bin, window, "window")
    low, depth_bin, n_depths = _bins(depths, depth_bin, depth_range, "depth_range")
    counts = np.zeros((n_times, n_depths), dtype=np.int64)
    totals = np.zeros((n_times, n_depths))
    kernels.count_2d(times, depths, _NONE if amps is None else amps, start, time_bin, low, depth_bin, counts, totals)
    return DriftMap(
        times=start + (np.arange(n_times, dtype=np.float64) + 0.5) * time_bin,
        depths=low + (np.arange(n_depths, dtype=np.float64) + 0.5) * depth_bin,
        rate=counts / time_bin,
        amp=None if amps is None else _mean(totals, counts),
    )


def depth_profile(
    times: ArrayLike,
    depths: ArrayLike,
    amps: ArrayLike | None = None,
    depth_bin: float = 20.0,
    window: tuple[float, float] | None = None,
    depth_range: tuple[float, float] | None = None,
) -> DepthProfile:
    """Rate, and mean amplitude, of all spikes by depth; parameters as in `drift_map`.

    The rate is that over the window, by default from the first to the last spike.

    >>> profile = depth_profile([0.0, 1.0, 2.0], [10.0, 30.0, 30.0], depth_bin=20.0)
    >>> profile.depths, profile.rate
    (array([10., 30.]), array([0.5, 1. ]))
    """
    times, depths, amps = _checked(times, depths, amps)
    if window is None:
        window = (float(times.min()), float(times.max())) if times.size else (0.0, 0.0)
    duration = window[1] - window[0]
    low, depth_bin, n_depths = _bins(depths, depth_bin, depth_range, "depth_range")
    counts = np.zeros((1, n_depths), dtype=np.int64)
    totals = np.zeros((1, n_depths))
    # One bin of time that the last spike, at its end, belongs to.
    whole = np.nextafter(duration, np.inf)
    kernels.count_2d(times, depths, _NONE if amps is None else amps, window[0], whole, low, depth_bin, counts, totals)
    return DepthProfile(
        depths=low + (np.arange(n_depths, dtype=np.float64) + 0.5) * depth_bin,
        rate=counts[0] / duration if duration > 0 else np.full(n_depths, np.nan),
        amp=None if amps is None else _mean(totals[0], counts[0]),
    )


def depth_peth(
    times: ArrayLike,
    depths: ArrayLike,
    events: ArrayLike,
    pre: float = 0.3,
    post: float = 1.0,
    bin: float = 0.01,
    depth_bin: float = 80.0,
    baseline: tuple[float, float] = (-0.3, 0.0),
    baseline_events: ArrayLike | None = None,
    depth_range: tuple[float, float] | None = None,
) -> DepthPeth:
    """Mean rate of all spikes by depth around an event.

    Parameters
    ----------
    times : (n,) array, s, ascending
    depths : (n,) array, um from the tip; NaN are left out
    events : (n_events,) array, s; NaN are left out
    pre, post, bin : s
    depth_bin : um
    baseline : start and end of the baseline window, s from the event
    baseline_events : (m,) array, s, events that the baseline is taken from (IBL takes stimulus onset for all events);
        by default `events`
    depth_range : um; by default 0 (or the lowest spike, if lower) to the highest spike

    Raises
    ------
    ValueError
        If lengths differ, times fall, bins are not positive or windows are empty.

    Examples
    --------
    >>> peth = depth_peth([0.95, 1.05, 2.05], [10, 10, 90], [1.0, 2.0], 0.1, 0.1, 0.1, baseline=(-0.1, 0.0))
    >>> peth.depths, peth.rate, peth.baseline
    (array([ 40., 120.]), array([[5., 5.],
           [0., 5.]]), array([5., 0.]))
    """
    times, depths, _ = _checked(times, depths, None)
    if np.any(np.diff(times) < 0):
        raise ValueError("times must rise")
    start, end = baseline
    if not start < end:
        raise ValueError(f"the baseline window must begin before it ends, not {start}, {end}")
    centres = bin_centres(pre, post, bin)
    low, depth_bin, n_depths = _bins(depths, depth_bin, depth_range, "depth_range")

    def rates(moments: ArrayLike, first: float, width: float, n_bins: int) -> tuple[Floats, int]:
        known = np.asarray(moments, dtype=float)
        known = known[~np.isnan(known)]
        counts = np.zeros((n_depths, n_bins), dtype=np.int64)
        kernels.count_around(times, depths, known + first, float(width), low, depth_bin, counts)
        return counts / (known.size * width) if known.size else np.full(counts.shape, np.nan), known.size

    rate, n = rates(events, centres[0] - bin / 2, bin, centres.size)
    before, _ = rates(events if baseline_events is None else baseline_events, start, end - start, 1)
    return DepthPeth(centres, low + (np.arange(n_depths, dtype=np.float64) + 0.5) * depth_bin, rate, before[:, 0], n)


_NONE = np.empty(0)  # what kernels take for no amplitudes


def _checked(times: ArrayLike, depths: ArrayLike, amps: ArrayLike | None) -> tuple[Floats, Floats, Floats | None]:
    """Times, depths and amplitudes, if any, of the spikes whose depth is known, as float64."""
    when, where = plain(np.asarray(times)), plain(np.asarray(depths))
    sizes = None if amps is None else plain(np.asarray(amps))
    shapes = {values.shape for values in (when, where, sizes) if values is not None}
    if len(shapes) > 1 or when.ndim != 1:
        raise ValueError(f"times, depths and amps must be one-dimensional and alike, not {sorted(shapes)}")
    known = ~np.isnan(where)
    if not known.all():
        when, where = when[known], where[known]
        sizes = None if sizes is None else sizes[known]
    return when, where, sizes


def _bins(values: Floats, width: float, limits: tuple[float, float] | None, name: str) -> tuple[float, float, int]:
    """Lower end, width and number of bins over the limits, or from 0 to the largest value."""
    if not 0 < width < np.inf:
        raise ValueError(f"bins must be wider than 0, not {width}")
    if limits is None:
        if values.size == 0:
            return 0.0, float(width), 0
        low = min(0.0, np.floor(values.min() / width) * width)
        return float(low), float(width), int((values.max() - low) / width) + 1
    low, high = limits
    if not low < high:
        raise ValueError(f"{name} must begin before it ends, not {limits}")
    return float(low), float(width), int(np.ceil((high - low) / width - 1e-9))


def _mean(totals: Floats, counts: Integers) -> Floats:
    """Totals over counts, NaN where there is nothing."""
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
