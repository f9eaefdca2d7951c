"""The inner loops of `pipeline.analysis.spikes`: a stable counting sort and what follows from it, by blocks."""

import numpy as np

from pipeline.analysis._jit import njit


@njit
def count_ids(ids, lowest, counts):
    """Add the number of occurrences of each id to ``counts[id - lowest]``."""
    for i in range(ids.size):
        counts[ids[i] - lowest] += 1


@njit
def place(ids, lowest, first, position, order):
    """Write ``first + i`` for each id to the next free place of its group; `position` is that place and moves on."""
    for i in range(ids.size):
        group = ids[i] - lowest
        order[position[group]] = first + i
        position[group] += 1


@njit
def gather(values, order, offsets, first, last, block, out):
    """``out[i] = values[order[i]]`` for those i for which ``first <= order[i] < last``, by blocks of `values`.

    Within a cluster `order` rises. A block is small enough to stay in the cache while all clusters take from it what
    is theirs; going cluster by cluster through all values instead would fetch each of them from memory by itself.
    """
    n_clusters = offsets.size - 1
    position = np.empty(n_clusters, np.int64)
    for cluster in range(n_clusters):
        own = order[offsets[cluster] : offsets[cluster + 1]]
        position[cluster] = offsets[cluster] + np.searchsorted(own, first)
    for begin in range(first, last, block):
        end = min(begin + block, last)
        for cluster in range(n_clusters):
            i = position[cluster]
            stop = offsets[cluster + 1]
            while i < stop and order[i] < end:
                out[i] = values[order[i]]
                i += 1
            position[cluster] = i
