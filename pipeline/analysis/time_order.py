"""Which samples of a clock to keep, so that it runs forward: the most that can be kept."""

import bisect

import numpy as np

from pipeline.analysis.arrays import Booleans, Floats

__all__ = ["in_order"]


def in_order(times: Floats) -> Booleans:
    """A mask that drops as few rows as possible so that the times rise strictly; NaN are dropped.

    >>> in_order(np.array([0.0, 1.0, 1.0, 9.0, 2.0, 3.0]))
    array([ True,  True, False, False,  True,  True])
    """
    known = np.isfinite(times)
    clock = times[known]
    if not np.any(clock[1:] <= clock[:-1]):
        return known
    # Longest rising subsequence: last[k] is the row with the smallest time that ends a rising run of k + 1 rows.
    last: list[int] = []
    ends: list[float] = []
    before = np.full(clock.size, -1)
    for row, time in enumerate(clock.tolist()):
        place = bisect.bisect_left(ends, time)
        before[row] = last[place - 1] if place else -1
        if place == len(ends):
            ends.append(time)
            last.append(row)
        elif time < ends[place]:
            ends[place], last[place] = time, row
    kept = np.zeros(clock.size, bool)
    row = last[-1]
    while row >= 0:
        kept[row] = True
        row = before[row]
    known[known] = kept
    return known
