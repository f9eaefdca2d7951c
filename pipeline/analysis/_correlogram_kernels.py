"""The inner loops of `pipeline.analysis.correlograms`."""

from pipeline.analysis._jit import njit


@njit
def forward_lags(times, offsets, width, counts):
    """Add to ``counts[unit, bin]`` each pair of a unit's spikes by the lag of the later one."""
    n_bins = counts.shape[1]
    for unit in range(offsets.size - 1):
        last = offsets[unit + 1]
        for i in range(offsets[unit], last):
            for j in range(i + 1, last):
                place = int((times[j] - times[i]) / width + 1e-9)
                if place >= n_bins:
                    break
                counts[unit, place] += 1


@njit
def cross_lags(times, others, start, width, counts):
    """Add to ``counts[bin]`` each spike of the others by its lag after each spike, in bins from `start`."""
    begin = 0
    for i in range(times.size):
        zero = times[i] + start
        while begin < others.size and others[begin] < zero - 1e-9 * width:
            begin += 1
        for j in range(begin, others.size):
            place = int((others[j] - zero) / width + 1e-9)
            if place >= counts.size:
                break
            counts[place] += 1
