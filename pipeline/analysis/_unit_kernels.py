"""The inner loops of `pipeline.analysis.units`: for each unit one pass over its times, amplitudes and depths."""

import math

import numpy as np

from pipeline.analysis._jit import njit

# Columns of what `trains` counts.
N_SPIKES, N_KEPT, N_SHORT, N_PAIRS, N_SECOND, N_BACKWARDS = range(6)


@njit
def longest(offsets):
    """Spikes of the unit that has most, but one at least."""
    n = 1
    for unit in range(offsets.size - 1):
        n = max(n, offsets[unit + 1] - offsets[unit])
    return n


@njit
def trains(times, offsets, start, refractory, censored, sampling_rate, window, n_windows, counts, lags, presence):
    """Count, for each unit's train, what the metrics of times are made of.

    Columns of `counts`: spikes; those of them that do not follow another within `censored`; intervals between the
    latter shorter than `refractory`; pairs of spikes with a lag between `censored` and `refractory`; pairs with a lag
    of 1 s or more and less than 2 s; steps back in time. `lags`: pairs with a lag of 0, 1, 2… samples. `presence`:
    fraction of windows with a spike, standard deviation of the spikes in a window.
    """
    in_window = np.empty(n_windows, np.int64)
    samples = np.empty(longest(offsets), np.int64)
    n_lags = lags.shape[1]
    for unit in range(offsets.size - 1):
        train = times[offsets[unit] : offsets[unit + 1]]
        n = train.size
        for i in range(n):
            samples[i] = int(train[i] * sampling_rate)
        kept, short, pairs, backwards = 0, 0, 0, 0
        previous, previous_kept = -np.inf, -np.inf
        for i in range(n):
            t = train[i]
            interval = t - previous
            backwards += not interval >= 0
            if interval > censored:
                kept += 1
                short += t - previous_kept < refractory
                previous_kept = t
            previous = t
            if interval < refractory:
                pairs += close_pairs(train, i, refractory, censored)
        counts[unit, 0] = n
        counts[unit, 1] = kept
        counts[unit, 2] = short
        counts[unit, 3] = pairs
        counts[unit, 4] = seconds_apart(samples[:n], int(sampling_rate))
        counts[unit, 5] = backwards
        for i in range(n):
            for j in range(i + 1, n):
                lag = samples[j] - samples[i]
                if lag >= n_lags:
                    break
                lags[unit, max(lag, 0)] += 1
        windows(train, start, window, in_window)
        present, total, squares = 0, 0, 0
        for k in range(n_windows):
            present += in_window[k] > 0
            total += in_window[k]
            squares += in_window[k] * in_window[k]
        presence[unit, 0] = present / n_windows
        presence[unit, 1] = math.sqrt(max(squares * n_windows - total * total, 0)) / n_windows


@njit
def close_pairs(train, later, refractory, censored):
    """Spikes before the spike `later` that are nearer than `refractory` and farther than `censored`."""
    n = 0
    for i in range(later - 1, -1, -1):
        interval = train[later] - train[i]
        if interval >= refractory:
            break
        n += interval > censored
    return n


@njit
def seconds_apart(samples, second):
    """Pairs of spikes from one second up to, not including, two seconds apart: two merges without branches."""
    n = samples.size
    total = 0
    for seconds in range(1, 3):
        before = 0
        i, j = 0, 0
        while j < n:
            near = samples[j] - samples[i] < seconds * second
            before += 0 if near else j
            i += not near
            j += near
        before += n * (n - i)
        total = before - total
    return total


@njit
def windows(train, start, window, counts):
    """Count a train's spikes in windows; what lies beyond the last is left out."""
    counts.fill(0)
    place, same_until = -1, -np.inf
    for t in train:
        if t >= same_until:
            place = int((t - start) / window)
            same_until = start + (place + 1) * window * (1 - 1e-12)
        if place < counts.size:
            counts[place] += 1


@njit
def histogram(values, low, high, counts):
    """Count values in ``counts.size`` equal bins from `low` to `high`; edges and ties as in `numpy.histogram`."""
    n = counts.size
    counts.fill(0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    step, density = (high - low) / n, n / (high - low)
    for value in values:
        place = min(int((value - low) * density), n - 1)
        place -= value < place * step + low
        place += place < n - 1 and value >= (place + 1) * step + low
        counts[place] += 1


@njit
def smooth(counts, weights, reflect, out):
    """Filter with symmetric weights (the first is the middle one); beyond the ends reflected, or the end's value."""
    n, reach = counts.size, weights.size - 1
    padded = np.empty(n + 2 * reach)
    for i in range(n):
        padded[reach + i] = counts[i]
    for k in range(1, reach + 1):
        left, right = -k, n - 1 + k
        if reflect:
            while left < 0 or left >= n:
                left = -left - 1 if left < 0 else 2 * n - 1 - left
            while right < 0 or right >= n:
                right = -right - 1 if right < 0 else 2 * n - 1 - right
        padded[reach - k] = counts[max(left, 0)]
        padded[reach + n - 1 + k] = counts[min(right, n - 1)]
    for i in range(n):
        out[i] = padded[reach + i] * weights[0]
    for k in range(reach, 0, -1):
        for i in range(n):
            out[i] += (padded[reach + i - k] + padded[reach + i + k]) * weights[k]


@njit
def middle_values(values, counts, low, high):
    """The two middle values (the same one twice where their number is odd), found by way of their histogram."""
    n = values.size
    step = (high - low) / counts.size
    below, first = 0, 0
    while below + counts[first] <= (n - 1) // 2:
        below += counts[first]
        first += 1
    last, until = first, below + counts[first]
    while until <= n // 2:
        last += 1
        until += counts[last]
    at_least = first * step + low if first > 0 else -np.inf
    less_than = (last + 1) * step + low if last < counts.size - 1 else np.inf
    middle = np.empty(until - below)
    size = 0
    for value in values:
        if at_least <= value < less_than:
            middle[size] = value
            size += 1
    middle.sort()
    return middle[(n - 1) // 2 - below], middle[n // 2 - below]


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
    """Share of a distribution beyond the point above its peak where it is as low as at its lower end.

    Of points that are equally near but for rounding the first counts.
    """
    peak = int(np.argmax(pdf))
    cutoff = peak
    for i in range(peak, pdf.size):
        if abs(pdf[i] - pdf[0]) < abs(pdf[cutoff] - pdf[0]) - 1e-9 * pdf[peak]:
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
    amps, logs, offsets, quantile, n_noise, per_bin, min_bins, weights, n_cutoff, per_cutoff_bin, cutoff_weights, out
):
    """For each unit: smallest, largest and median amplitude, spread in dB, noise cutoff, missed spikes, cutoff.

    `logs` are the natural logarithms of the amplitudes; amplitudes without a finite one are left out.
    """
    buffer = np.empty(longest(offsets))
    noise, cutoff = np.empty(n_noise, np.int64), np.empty(n_cutoff, np.int64)
    pdf = np.empty(max(buffer.size // per_bin, n_cutoff))
    missed = np.empty(pdf.size, np.int64)
    for unit in range(offsets.size - 1):
        n = 0
        total, squares, shift = 0.0, 0.0, 0.0
        for i in range(offsets[unit], offsets[unit + 1]):
            if np.isfinite(logs[i]):
                if n == 0:
                    shift = logs[i]
                buffer[n] = amps[i]
                n += 1
                total += logs[i] - shift
                squares += (logs[i] - shift) ** 2
        if n == 0:
            continue
        values = buffer[:n]
        low, high = values.min(), values.max()
        out[unit, 0] = low
        out[unit, 1] = high
        histogram(values, 0.0, high, noise)
        if n > 1:
            out[unit, 3] = 20 / math.log(10) * math.sqrt(max(squares - total * total / n, 0.0) / (n - 1))
            out[unit, 4] = noise_cutoff(noise, quantile)
        if n > per_bin * min_bins and low < high:
            n_bins = n // per_bin
            histogram(values, low, high, missed[:n_bins])
            smooth(missed[:n_bins], weights, True, pdf[:n_bins])
            out[unit, 5] = min(share_beyond_mirror(pdf[:n_bins]), 0.5)
            one, other = middle_values(values, missed[:n_bins], low, high)
        else:
            one, other = middle_values(values, noise, 0.0, high)
        out[unit, 2] = math.sqrt(one) * math.sqrt(other)
        if n >= n_cutoff * per_cutoff_bin and low < high:
            histogram(values, low, high, cutoff)
            smooth(cutoff, cutoff_weights, False, pdf[:n_cutoff])
            out[unit, 6] = min(missing_below(pdf[:n_cutoff], n), 0.5)


@njit
def drifts(times, depths, offsets, start, interval, min_spikes, out):
    """For each unit: way that its depth went from spike to spike, um; range of its median depth over intervals, um."""
    known = np.empty(longest(offsets))
    counts = np.empty(64, np.int64)
    for unit in range(offsets.size - 1):
        n, before, n_intervals = 0, 0, 0
        way, lowest, highest = 0.0, np.inf, -np.inf
        until = -np.inf  # a time that the present interval reaches for certain
        place = -1
        for i in range(offsets[unit], offsets[unit + 1]):
            t = times[i]
            if np.isnan(depths[i]):
                continue
            if t >= until:
                now = int((t - start) / interval)
                until = start + (now + 1) * interval * (1 - 1e-12)
                if now != place and n - before >= min_spikes:
                    middle = median(known[before:n], counts)
                    lowest, highest = min(lowest, middle), max(highest, middle)
                    n_intervals += 1
                if now != place:
                    before, place = n, now
            if n > 0:
                way += abs(depths[i] - known[n - 1])
            known[n] = depths[i]
            n += 1
        if n > 0:
            out[unit, 0] = way
        if n - before >= min_spikes and n > 0:
            middle = median(known[before:n], counts)
            lowest, highest = min(lowest, middle), max(highest, middle)
            n_intervals += 1
        if n_intervals > 1:
            out[unit, 1] = highest - lowest


@njit
def median(values, counts):
    """The median, with `counts` as room for a histogram."""
    low, high = values.min(), values.max()
    if low == high:
        return low
    histogram(values, low, high, counts)
    one, other = middle_values(values, counts, low, high)
    return 0.5 * (one + other)
