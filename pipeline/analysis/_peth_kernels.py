"""The inner loops of `pipeline.analysis.peths` and `responses`: spikes around events, unit by unit."""

import numpy as np

from pipeline.analysis._jit import njit


@njit
def bin_spikes(times, offsets, starts, width, counts):
    """Add to ``counts[unit, event, bin]`` the spikes in equal bins of `width` from each event's start."""
    n_bins = counts.shape[2]
    for unit in range(offsets.size - 1):
        train = times[offsets[unit] : offsets[unit + 1]]
        for event in range(starts.size):
            i = np.searchsorted(train, starts[event])
            while i < train.size:
                place = int((train[i] - starts[event]) / width)
                if place >= n_bins:
                    break
                counts[unit, event, place] += 1
                i += 1


@njit
def smoothed_moments(times, offsets, starts, groups, width, n_bins, weights, margin, total, squares):
    """Add to `total` and `squares` (unit, group, bin) each event's smoothed counts and their squares.

    Counts in `n_bins` bins are filtered with symmetric weights (the first is the middle one) as if there were no
    spikes beyond; the `margin` bins at either end are left out.
    """
    row = np.zeros(n_bins)
    reach = weights.size - 1
    for unit in range(offsets.size - 1):
        train = times[offsets[unit] : offsets[unit + 1]]
        for event in range(starts.size):
            i = np.searchsorted(train, starts[event])
            found = False
            while i < train.size:
                place = int((train[i] - starts[event]) / width)
                if place >= n_bins:
                    break
                found = True
                for k in range(max(place - reach, 0), min(place + reach + 1, n_bins)):
                    row[k] += weights[abs(k - place)]
                i += 1
            if found:
                group = groups[event]
                for k in range(margin, n_bins - margin):
                    total[unit, group, k - margin] += row[k]
                    squares[unit, group, k - margin] += row[k] * row[k]
                row[:] = 0.0


@njit
def window_counts(times, offsets, starts, ends, counts):
    """``counts[unit, event]``: spikes from each start up to, not including, the end."""
    for unit in range(offsets.size - 1):
        train = times[offsets[unit] : offsets[unit + 1]]
        for event in range(starts.size):
            counts[unit, event] = np.searchsorted(train, ends[event]) - np.searchsorted(train, starts[event])
