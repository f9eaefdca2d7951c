"""The inner loops of `pipeline.analysis.drift`: counts by depth and time."""

import numpy as np

from pipeline.analysis._jit import njit


@njit
def count_2d(times, depths, amps, start, time_bin, low, depth_bin, counts, totals):
    """Add each spike to ``counts[time bin, depth bin]`` and its amplitude to `totals`; others are left out.

    Where there are no amplitudes, `amps` is empty.
    """
    n_times, n_depths = counts.shape
    for i in range(times.size):
        t, d = (times[i] - start) / time_bin, (depths[i] - low) / depth_bin
        if 0 <= t < n_times and 0 <= d < n_depths:
            counts[int(t), int(d)] += 1
            if amps.size:
                totals[int(t), int(d)] += amps[i]


@njit
def count_around(times, depths, starts, width, low, depth_bin, counts):
    """Add to ``counts[depth bin, bin]`` the spikes in equal bins of `width` from each start; `times` rise."""
    n_depths, n_bins = counts.shape
    for event in range(starts.size):
        i = np.searchsorted(times, starts[event])
        while i < times.size:
            place = int((times[i] - starts[event]) / width)
            if place >= n_bins:
                break
            d = (depths[i] - low) / depth_bin
            if 0 <= d < n_depths:
                counts[int(d), place] += 1
            i += 1
