"""The inner loops of `pipeline.analysis.units`: for each unit one pass over its times, amplitudes and depths."""

import math

import numpy as np

from pipeline.analysis._jit import njit

# Columns of what `trains` counts.
N_SPIKES, N_KEPT, N_SHORT, N_PAIRS, N_SECOND, N_BACKWARDS = range(6)


@njit
def trains(times, offsets, start, end, refractory, censored, sampling_rate, window, n_windows, counts, lags, presence):
    """Count, for each unit's train, what the metrics of times are made of.

    Columns of `counts`: spikes from `start` to `end`; those of them that do not follow another within `censored`;
    intervals between the latter shorter than `refractory`; pairs of spikes with a lag between `censored` and
    `refractory`; pairs with a lag of 1 s or more and less than 2 s; steps back in time. `lags`: pairs with a lag of
    0, 1, 2… samples. `presence`: fraction of windows with a spike, standard deviation of the spikes in a window.
    """
    in_window = np.empty(n_windows, np.int64)
    n_lags = lags.shape[1]
    second = int(sampling_rate)
    for unit in range(offsets.size - 1):
        first, last = offsets[unit], offsets[unit + 1]
        while first < last and times[first] < start:
            first += 1
        while last > first and times[last - 1] > end:
            last -= 1
        in_window[:] = 0
        kept, short, pairs, far, backwards = 0, 0, 0, 0, 0
        previous_kept = -np.inf
        near, distant = first, first  # first spikes one second and two seconds after the present one
        for i in range(first, last):
            t = times[i]
            if i > first and t < times[i - 1]:
                backwards += 1
            place = int((t - start) / window)
            if place < n_windows:
                in_window[place] += 1
            if i == first or t - times[i - 1] > censored:
                kept += 1
                short += t - previous_kept < refractory
                previous_kept = t
            sample = int(t * sampling_rate)
            j = i + 1
            while j < last:
                lag = int(times[j] * sampling_rate) - sample
                interval = times[j] - t
                if interval < refractory:
                    pairs += interval > censored
                elif lag >= n_lags:
                    break
                if 0 <= lag < n_lags:
                    lags[unit, lag] += 1
                j += 1
            near = max(near, i)
            while near < last and int(times[near] * sampling_rate) - sample < second:
                near += 1
            distant = max(distant, near)
            while distant < last and int(times[distant] * sampling_rate) - sample < 2 * second:
                distant += 1
            far += distant - near
        counts[unit, 0] = last - first
        counts[unit, 1] = kept
        counts[unit, 2] = short
        counts[unit, 3] = pairs
        counts[unit, 4] = far
        counts[unit, 5] = backwards
        present, total, squares = 0, 0, 0
        for k in range(n_windows):
            present += in_window[k] > 0
            total += in_window[k]
            squares += in_window[k] * in_window[k]
        presence[unit, 0] = present / n_windows
        presence[unit, 1] = math.sqrt(max(squares * n_windows - total * total, 0)) / n_windows


@njit
def positive(values, first, last, out):
    """Copy the finite values above zero to the front of `out` and say how many there are."""
    n = 0
    for i in range(first, last):
        if 0.0 < values[i] < np.inf:
            out[n] = values[i]
            n += 1
    return n


@njit
def histogram(values, low, high, counts):
    """Count values in ``counts.size`` equal bins from `low` to `high`; edges and ties as in `numpy.histogram`."""
    n = counts.size
    counts[:] = 0
    if low == high:
        low, high = low - 0.5, high + 0.5
    step = (high - low) / n
    for i in range(values.size):
        place = min(int((values[i] - low) / (high - low) * n), n - 1)
        if values[i] < place * step + low:
            place -= 1
        elif place < n - 1 and values[i] >= (place + 1) * step + low:
            place += 1
        counts[place] += 1


@njit
def smooth(counts, weights, reflect, out):
    """Filter with symmetric weights (the first is the middle one); beyond the ends reflected, or the end's value."""
    n = counts.size
    for i in range(n):
        total = counts[i] * weights[0]
        for k in range(weights.size - 1, 0, -1):
            left, right = i - k, i + k
            if reflect:
                while left < 0 or left >= n:
                    left = -left - 1 if left < 0 else 2 * n - 1 - left
                while right < 0 or right >= n:
                    right = -right - 1 if right < 0 else 2 * n - 1 - right
            else:
                left, right = max(left, 0), min(right, n - 1)
            total += (counts[left] + counts[right]) * weights[k]
        out[i] = total


@njit
def noise_cutoff(counts, quantile):
    """How many standard deviations the second lowest occupied bin lies above the mean of the highest occupied ones."""
    n = counts.size
    peak = np.argmax(counts)
    above = 0
    for i in range(peak, n - 1):
        above += counts[i] > 0
    begin = int(math.ceil(2 * quantile * above + peak))
    size, total = 0, 0
    for i in range(begin, n):
        if counts[i] > 0:
            size += 1
            total += counts[i]
    if size == 0:
        return np.nan
    mean = total / size
    variance = 0.0
    for i in range(begin, n):
        if counts[i] > 0:
            variance += (counts[i] - mean) ** 2
    if variance == 0.0:
        return np.nan
    occupied = 0
    for i in range(n):
        occupied += counts[i] > 0
        if occupied == 2:
            return (counts[i] - mean) / math.sqrt(variance / size)
    return np.nan


@njit
def share_beyond_mirror(pdf):
    """Share of a distribution beyond the point above its peak where it is as low as at its lower end."""
    peak = np.argmax(pdf)
    cutoff = peak
    for i in range(peak, pdf.size):
        if abs(pdf[i] - pdf[0]) < abs(pdf[cutoff] - pdf[0]):
            cutoff = i
    beyond, total = 0.0, 0.0
    for i in range(pdf.size):
        total += pdf[i]
        if i >= cutoff:
            beyond += pdf[i]
    return beyond / total


@njit
def missing_below(pdf, n):
    """Fraction missing of all, seen and missing, if the lower tail were like the upper, and `n` were seen."""
    last = 0
    for i in range(pdf.size):
        if pdf[i] >= pdf[0]:
            last = i
    missing = 0.0
    for i in range(last + 1, pdf.size):
        missing += pdf[i]
    return missing / (n + missing)


@njit
def amplitudes(
    amps, offsets, quantile, n_noise, per_bin, min_bins, weights, n_cutoff, per_cutoff_bin, cutoff_weights, out
):
    """For each unit: smallest, largest and median amplitude, spread in dB, noise cutoff, missed spikes, cutoff."""
    for unit in range(offsets.size - 1):
        first, last = offsets[unit], offsets[unit + 1]
        buffer = np.empty(last - first)
        n = positive(amps, first, last, buffer)
        if n == 0:
            continue
        values = buffer[:n]
        low, high = values.min(), values.max()
        out[unit, 0] = low
        out[unit, 1] = high
        shift = math.log(values[0])
        total, squares = 0.0, 0.0
        for i in range(n):
            log = math.log(values[i]) - shift
            total += log
            squares += log * log
        if n > 1:
            variance = max(squares - total * total / n, 0.0) / (n - 1)
            out[unit, 3] = 20 / math.log(10) * math.sqrt(variance)
            noise = np.empty(n_noise, np.int64)
            histogram(values, 0.0, high, noise)
            out[unit, 4] = noise_cutoff(noise, quantile)
        if n > per_bin * min_bins:
            counts = np.empty(n // per_bin, np.int64)
            histogram(values, low, high, counts)
            pdf = np.empty(counts.size)
            smooth(counts, weights, True, pdf)
            out[unit, 5] = min(share_beyond_mirror(pdf), 0.5)
        if n >= n_cutoff * per_cutoff_bin:
            counts = np.empty(n_cutoff, np.int64)
            histogram(values, low, high, counts)
            pdf = np.empty(counts.size)
            smooth(counts, cutoff_weights, False, pdf)
            out[unit, 6] = min(missing_below(pdf, n), 0.5)
        upper = np.partition(values, n // 2)[n // 2 :]
        if n % 2:
            out[unit, 2] = upper[0]
        else:
            out[unit, 2] = math.sqrt(np.partition(values, n // 2)[: n // 2].max() * upper[0])


@njit
def drifts(times, depths, offsets, start, end, interval, min_spikes, out):
    """For each unit: way that its depth went from spike to spike, um; range of its median depth over intervals, um."""
    for unit in range(offsets.size - 1):
        first, last = offsets[unit], offsets[unit + 1]
        known = np.empty(last - first)
        n, before = 0, 0
        way, present = 0.0, -1
        low, high, n_intervals = np.inf, -np.inf, 0
        for i in range(first, last + 1):
            place = -2
            if i < last:
                if not (start <= times[i] <= end) or np.isnan(depths[i]):
                    continue
                place = int((times[i] - start) / interval)
            if place != present:
                if n - before >= min_spikes:
                    middle = np.median(known[before:n])
                    low, high = min(low, middle), max(high, middle)
                    n_intervals += 1
                before, present = n, place
            if i < last:
                if n > 0:
                    way += abs(depths[i] - known[n - 1])
                known[n] = depths[i]
                n += 1
        if n > 0:
            out[unit, 0] = way
        if n_intervals > 1:
            out[unit, 1] = high - low
