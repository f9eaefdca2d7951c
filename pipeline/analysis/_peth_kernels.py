"""The inner loops of `pipeline.analysis.peths` and `responses`: spikes around events, unit by unit."""

import numpy as np

from pipeline.analysis._jit import njit


@njit
def seek(train, time, guess):
    """The first spike at or after a time: from a guess on in steps that double, then by halves.

    Events mostly come in order, with few spikes from one to the next; a search through the whole train costs three to
    four times as much.
    """
    n = train.size
    if guess >= n or train[guess] >= time:
        low, high = 0, guess
    else:
        low, step = guess, 1
        while low + step < n and train[low + step] < time:
            low += step
            step *= 2
        low, high = low + 1, min(low + step, n)
    while low < high:
        middle = (low + high) >> 1
        if train[middle] < time:
            low = middle + 1
        else:
            high = middle
    return low


@njit
def bin_spikes(times, offsets, starts, width, counts):
    """Add to ``counts[unit, event, bin]`` the spikes in equal bins of `width` from each event's start."""
    n_bins = counts.shape[2]
    for unit in range(offsets.size - 1):
        train = times[offsets[unit] : offsets[unit + 1]]
        first = 0
        for event in range(starts.size):
            first = seek(train, starts[event], first)
            i = first
            while i < train.size:
                place = int((train[i] - starts[event]) / width)
                if place >= n_bins:
                    break
                counts[unit, event, place] += 1
                i += 1


@njit
def smoothed_squares(times, offsets, starts, groups, width, n_bins, weights, margin, counts, squares):
    """Add to `counts` (unit, group, bin) each event's spikes, and to `squares` the squares of its smoothed counts.

    Counts in `n_bins` bins are filtered with the weights, an odd number of them, as if there were no spikes beyond;
    `squares` lacks the `margin` bins at either end.
    """
    reach = weights.size // 2
    row = np.zeros(n_bins + 2 * reach)
    kept = row[reach + margin : reach + n_bins - margin]
    for unit in range(offsets.size - 1):
        train = times[offsets[unit] : offsets[unit + 1]]
        first = 0
        for event in range(starts.size):
            first = seek(train, starts[event], first)
            i = first
            while i < train.size:
                place = int((train[i] - starts[event]) / width)
                if place >= n_bins:
                    break
                counts[unit, groups[event], place] += 1
                around = row[place : place + weights.size]
                for k in range(weights.size):
                    around[k] += weights[k]
                i += 1
            if i > first:
                total = squares[unit, groups[event]]
                for k in range(kept.size):
                    total[k] += kept[k] * kept[k]
                row[:] = 0.0


@njit
def window_counts(times, offsets, starts, ends, counts):
    """``counts[unit, event]``: spikes from each start up to, not including, the end."""
    for unit in range(offsets.size - 1):
        train = times[offsets[unit] : offsets[unit + 1]]
        first = 0
        for event in range(starts.size):
            first = seek(train, starts[event], first)
            counts[unit, event] = max(seek(train, ends[event], first) - first, 0)
