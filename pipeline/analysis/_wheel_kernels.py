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


@njit
def moving_spans(times, values, period, n_samples, window, threshold, even, filled):
    """First and last sample of each run of windows in which the resampled trace varies by more than the threshold.

    A window starts at each sample and ends, at the latest, at the last. Blocks of `window` samples are cut into pieces:
    all windows that start in one piece have the pieces between it and the next block's in common. Where these vary by
    more than the threshold, all of the windows move; where not even all pieces that they touch do, none does. In the
    other pieces the maximum of a window is the largest of a suffix maximum of the piece that it starts in, the maximum
    of those in common, and a prefix maximum of the piece that it ends in (van Herk; Gil and Werman): the cost does not
    depend on `window`. Only stretches in which the samples of the encoder vary by more than the threshold are
    resampled: `even` is written there, block by block, and `filled` says which.
    """
    n_blocks = (n_samples + window - 1) // window
    left = np.empty(n_blocks + 2, np.int64)  # the encoder's sample at or before the start of each block
    high = np.full(n_blocks + 2, -np.inf)
    low = np.full(n_blocks + 2, np.inf)
    j = 0
    last = times.size - 2
    for b in range(n_blocks + 1):
        t = times[0] + min(b * window, n_samples) * period
        while j < last and times[j + 1] <= t:
            j += 1
        left[b] = j
    left[n_blocks + 1] = last
    for b in range(n_blocks):
        for i in range(left[b], min(left[b + 1] + 1, last + 1) + 1):
            high[b] = max(high[b], values[i])
            low[b] = min(low[b], values[i])
    n_pieces = 8
    while window % n_pieces:
        n_pieces -= 1
    size = window // n_pieces
    highest = np.empty(2 * n_pieces)  # of the pieces of a block and of the next
    lowest = np.empty(2 * n_pieces)
    known = -1  # the block whose pieces are the second half of these
    suffix_high = np.empty(size)
    suffix_low = np.empty(size)
    firsts = []
    lasts = []
    is_moving = False
    for b in range(n_blocks):
        if max(high[b], high[b + 1]) - min(low[b], low[b + 1]) <= threshold:
            if is_moving:
                lasts.append(b * window)
                is_moving = False
            continue
        fill_block(times, values, period, n_samples, window, left, even, filled, b)
        fill_block(times, values, period, n_samples, window, left, even, filled, b + 1)
        if known == b:
            highest[:n_pieces] = highest[n_pieces:]
            lowest[:n_pieces] = lowest[n_pieces:]
        else:
            extremes(even, n_samples, b * window, size, highest[:n_pieces], lowest[:n_pieces])
        extremes(even, n_samples, (b + 1) * window, size, highest[n_pieces:], lowest[n_pieces:])
        known = b + 1
        for piece in range(n_pieces):
            start = b * window + piece * size
            end = min(start + size, n_samples)
            if start >= end:
                break
            common_high = -np.inf
            common_low = np.inf
            for other in range(piece + 1, piece + n_pieces):
                common_high = highest[other] if highest[other] > common_high else common_high
                common_low = lowest[other] if lowest[other] < common_low else common_low
            top = max(common_high, max(highest[piece], highest[piece + n_pieces]))
            bottom = min(common_low, min(lowest[piece], lowest[piece + n_pieces]))
            if top - bottom <= threshold:
                if is_moving:
                    lasts.append(start)
                    is_moving = False
                continue
            if common_high - common_low > threshold and end < n_samples:
                if not is_moving:
                    firsts.append(start)
                    is_moving = True
                continue
            running_high = common_high
            running_low = common_low
            for i in range(end - 1, start - 1, -1):
                running_high = even[i] if even[i] > running_high else running_high
                running_low = even[i] if even[i] < running_low else running_low
                suffix_high[i - start] = running_high
                suffix_low[i - start] = running_low
            running_high = -np.inf
            running_low = np.inf
            for i in range(start, end):
                entering = i + window - 1
                if i > start and entering < n_samples:
                    running_high = even[entering] if even[entering] > running_high else running_high
                    running_low = even[entering] if even[entering] < running_low else running_low
                now = max(suffix_high[i - start], running_high) - min(suffix_low[i - start], running_low) > threshold
                if i == n_samples - 1:
                    now = False  # a movement that the trace cuts off ends at the last sample
                if now and not is_moving:
                    firsts.append(i)
                elif is_moving and not now:
                    lasts.append(i)
                is_moving = now
    if is_moving:
        lasts.append(n_samples - 1)
    out = np.empty((2, len(firsts)), np.int64)
    for m in range(len(firsts)):
        out[0, m] = firsts[m]
        out[1, m] = lasts[m]
    return out, left


@njit
def extremes(even, n_samples, begin, size, highest, lowest):
    """Write the largest and the smallest sample of each piece of a block that begins there."""
    for piece in range(highest.size):
        high = -np.inf
        low = np.inf
        for i in range(begin + piece * size, min(begin + (piece + 1) * size, n_samples)):
            high = even[i] if even[i] > high else high
            low = even[i] if even[i] < low else low
        highest[piece] = high
        lowest[piece] = low


@njit
def fill_block(times, values, period, n_samples, window, left, even, filled, block):
    """Write one block of the resampled trace, unless it is there."""
    if block * window >= n_samples or filled[block]:
        return
    filled[block] = True
    j = left[block]
    last = times.size - 2
    slope = (values[j + 1] - values[j]) / (times[j + 1] - times[j])
    for k in range(block * window, min((block + 1) * window, n_samples)):
        t = times[0] + k * period
        if j < last and times[j + 1] <= t:
            while j < last and times[j + 1] <= t:
                j += 1
            slope = (values[j + 1] - values[j]) / (times[j + 1] - times[j])
        even[k] = values[j] + slope * (t - times[j])


@njit
def describe_spans(times, values, period, n_samples, window, left, even, filled, first, last, weights, rate):
    """For each span: the sample farthest from its start, that of the largest velocity, the velocity there, reversals.

    The velocity is the smoothed one of the detector: steps of the trace through the 10 `weights`, times the rate.
    """
    farthest = np.empty(first.size, np.int64)
    fastest = np.empty(first.size, np.int64)
    peak = np.empty(first.size)
    samples = []
    spans = []
    for m in range(first.size):
        for block in range(max(first[m] - 5, 0) // window, min(last[m] + 5, n_samples - 1) // window + 1):
            fill_block(times, values, period, n_samples, window, left, even, filled, block)
        origin = even[first[m]]
        farthest[m] = first[m]
        fastest[m] = first[m]
        begin, end = first[m] - 4, last[m] + 6  # the steps to these samples go into the velocities of the span
        steps = np.zeros(end - begin)
        for i in range(max(begin, 1), min(end, n_samples)):
            steps[i - begin] = even[i] - even[i - 1]
        speeds = np.zeros(last[m] + 1 - first[m])
        for j in range(10):  # weight by weight, which the compiler turns into vector instructions
            weight = weights[9 - j]
            for i in range(speeds.size):
                speeds[i] += steps[i + j] * weight
        sign = 0.0
        peak[m] = speeds[0] * rate
        farthest_yet = 0.0
        for k in range(first[m], last[m] + 1):
            speed = speeds[k - first[m]] * rate
            if first[m] < k < last[m]:
                if abs(speed) > abs(peak[m]):
                    fastest[m] = k
                    peak[m] = speed
                if abs(even[k] - origin) > farthest_yet:
                    farthest[m] = k
                    farthest_yet = abs(even[k] - origin)
            now = np.sign(speed)
            if now != 0.0:
                if sign != 0.0 and now != sign:
                    samples.append(k)
                    spans.append(m)
                sign = now
    changes = np.empty((2, len(samples)), np.int64)
    for i in range(len(samples)):
        changes[0, i] = samples[i]
        changes[1, i] = spans[i]
    return farthest, fastest, peak, changes
