"""The inner loops of `pipeline.analysis.wheel`, one pass over the samples each."""

import numpy as np

from pipeline.analysis._jit import njit


@njit
def resample_linear(times, values, start, period, n_samples):
    """Values at ``start + k * period`` on the straight lines between the samples of a rising time axis."""
    out = np.empty(n_samples)
    left = 0
    last = times.size - 2
    for k in range(n_samples):
        t = start + k * period
        while left < last and times[left + 1] <= t:
            left += 1
        slope = (values[left + 1] - values[left]) / (times[left + 1] - times[left])
        out[k] = values[left] + slope * (t - times[left])
    return out


@njit
def exceeds_range(position, window, threshold):
    """Whether max - min over the `window` samples that start at each sample is above the threshold.

    Windows end at the last sample. The maximum of a window is the larger of a suffix maximum of the block of `window`
    samples it starts in and a prefix maximum of the next block (van Herk; Gil and Werman): the cost does not depend on
    `window`.
    """
    n = position.size
    out = np.empty(n, np.bool_)
    high = np.empty(window)
    low = np.empty(window)
    for start in range(0, n, window):
        end = min(start + window, n)
        running_high = position[end - 1]
        running_low = running_high
        for i in range(end - 1, start - 1, -1):
            running_high = max(running_high, position[i])
            running_low = min(running_low, position[i])
            high[i - start] = running_high
            low[i - start] = running_low
        out[start] = high[0] - low[0] > threshold
        running_high = -np.inf
        running_low = np.inf
        for i in range(start + 1, end):
            entering = i + window - 1
            if entering < n:
                running_high = max(running_high, position[entering])
                running_low = min(running_low, position[entering])
            out[i] = max(high[i - start], running_high) - min(low[i - start], running_low) > threshold
    return out


@njit
def refine_onset(position, first, window, threshold):
    """For each window start, the last sample of the window within `threshold` of the position at the start."""
    out = np.empty(first.size, np.int64)
    for m in range(first.size):
        start = first[m]
        last = min(start + window, position.size) - 1
        while last > start and abs(position[last] - position[start]) > threshold:
            last -= 1
        out[m] = last
    return out


@njit
def largest_between(values, first, last):
    """For each span ``first <= k < last``, the first k at which ``abs(values[k])`` is largest."""
    out = np.empty(first.size, np.int64)
    for m in range(first.size):
        best = first[m]
        for k in range(first[m] + 1, last[m]):
            if abs(values[k]) > abs(values[best]):
                best = k
        out[m] = best
    return out


@njit
def farthest_between(position, first, last):
    """For each span, the first k in ``first <= k < last`` at which the position is farthest from that at `first`."""
    out = np.empty(first.size, np.int64)
    for m in range(first.size):
        origin = position[first[m]]
        best = first[m]
        for k in range(first[m] + 1, last[m]):
            if abs(position[k] - origin) > abs(position[best] - origin):
                best = k
        out[m] = best
    return out


@njit
def reversals(velocity, first, last):
    """Samples within the spans where the velocity has the sign opposite to its last non-zero sign, and their spans."""
    samples = []
    spans = []
    for m in range(first.size):
        sign = 0.0
        for k in range(first[m], last[m] + 1):
            now = np.sign(velocity[k])
            if now != 0.0:
                if sign != 0.0 and now != sign:
                    samples.append(k)
                    spans.append(m)
                sign = now
    n = len(samples)
    out = np.empty((2, n), np.int64)
    for i in range(n):
        out[0, i] = samples[i]
        out[1, i] = spans[i]
    return out
