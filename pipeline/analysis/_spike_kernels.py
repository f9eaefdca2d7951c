"""The inner loops of `pipeline.analysis.spikes`: a stable counting sort whose blocks may run at the same time."""

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
