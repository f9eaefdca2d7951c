"""Spikes grouped by cluster: the order of grouping, where each cluster's spikes are, and values in that order.

Sorters write spikes in order of time; every analysis of units wants them cluster by cluster.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.analysis import _spike_kernels as kernels
from pipeline.analysis import _threads
from pipeline.analysis.arrays import AnyArray, Integers, Numbers

__all__ = ["Grouping", "gather", "group", "number", "spikes_in_window", "times_of"]

WIDEST = 1 << 20  # distance of the lowest from the highest id up to which ids are counted directly
BLOCK = 1 << 15  # values that stay in a core's cache


@dataclass(frozen=True)
class Grouping:
    """Where the spikes of each cluster are once they are ordered by cluster and, within a cluster, as before."""

    order: NDArray[np.int32 | np.int64]  # (n,) int32 or int64: position, before grouping, of each spike after it
    cluster_ids: Integers  # (k,), ascending
    offsets: Integers  # (k + 1,): spikes offsets[i] to offsets[i + 1], not included, belong to cluster_ids[i]

    def __len__(self) -> int:
        return self.cluster_ids.size

    @property
    def n_spikes(self) -> Integers:
        """Spikes of each cluster, (k,)."""
        return np.diff(self.offsets)

    def index(self, cluster_id: int) -> int:
        """Which row of `cluster_ids` a cluster is; KeyError where there is no such cluster."""
        row = int(np.searchsorted(self.cluster_ids, cluster_id))
        if row == self.cluster_ids.size or self.cluster_ids[row] != cluster_id:
            raise KeyError(cluster_id)
        return row

    def span(self, cluster_id: int) -> slice:
        """The slice of grouped arrays that holds a cluster's spikes; KeyError where there is no such cluster."""
        row = self.index(cluster_id)
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))


def group(clusters: ArrayLike, cluster_ids: ArrayLike | None = None, threads: int | None = None) -> Grouping:
    """Group spikes by cluster, keeping their order within each.

    Parameters
    ----------
    clusters : (n,) array of integers, the cluster of each spike; ids need not be contiguous
    cluster_ids : (k,) array of integers, the clusters to have in the result, with or without spikes; by default those
        that have spikes. Every spike's cluster must be among them.
    threads : how many threads to use, by default all usable cores

    Raises
    ------
    ValueError
        If the ids are not integers or not one-dimensional, or spikes belong to clusters not among `cluster_ids`.

    Examples
    --------
    >>> groups = group([7, 2, 7, 2, 9])
    >>> groups.order.tolist(), groups.cluster_ids.tolist(), groups.offsets.tolist()
    ([1, 3, 0, 2, 4], [2, 7, 9], [0, 2, 4, 5])
    """
    clusters = _integers(clusters, "clusters")
    wanted = None if cluster_ids is None else np.unique(_integers(cluster_ids, "cluster_ids").astype(np.int64))
    if clusters.size == 0:
        wanted = np.empty(0, dtype=np.int64) if wanted is None else wanted
        return Grouping(np.empty(0, dtype=np.int32), wanted, np.zeros(wanted.size + 1, dtype=np.int64))
    clusters, lowest, names = _countable(clusters)
    blocks = _threads.even_pieces(clusters.size, threads, at_least=1 << 16)
    counted = np.zeros((len(blocks), names.size), dtype=np.int64)
    to_count = [(clusters[first:last], lowest, counted[i]) for i, (first, last) in enumerate(blocks)]
    _threads.run(kernels.count_ids, to_count, threads)
    n_spikes = counted.sum(axis=0)
    # Each block writes a cluster's spikes behind those that the blocks before it have of the same cluster.
    places = np.cumsum(n_spikes) - n_spikes + np.cumsum(counted, axis=0) - counted
    width: type[np.int32 | np.int64] = np.int32 if clusters.size < 1 << 31 else np.int64
    order = np.empty(clusters.size, dtype=width)
    to_place = [(clusters[first:last], lowest, first, places[i], order) for i, (first, last) in enumerate(blocks)]
    _threads.run(kernels.place, to_place, threads)

    present = n_spikes > 0
    if wanted is None:
        wanted, sizes = names[present], n_spikes[present]
    else:
        missing = np.setdiff1d(names[present], wanted)
        if missing.size:
            raise ValueError(f"{missing.size} clusters have spikes but are not among cluster_ids, first {missing[0]}")
        sizes = np.zeros(wanted.size, dtype=np.int64)
        sizes[np.searchsorted(wanted, names[present])] = n_spikes[present]
    return Grouping(order, wanted, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


def number(clusters: ArrayLike) -> tuple[NDArray[np.integer], NDArray[np.int32], Integers]:
    """Number clusters from 0 in order of their names, without sorting where the names are small.

    Parameters
    ----------
    clusters : (n,) array of integers, 0 or larger

    Returns
    -------
    names, (k,) ascending; place among these of each spike, (n,) int32; and spikes of each, (k,): as of `numpy.unique`

    Examples
    --------
    >>> [values.tolist() for values in number([7, 3, 7])]
    [[3, 7], [1, 0, 1], [1, 2]]
    """
    values = np.asarray(clusters)
    largest = int(values.max(initial=0))
    if values.dtype.kind not in "iu" or largest > max(4 * len(values), 1 << 16) or values.min(initial=0) < 0:
        names, places, counts = np.unique(values, return_inverse=True, return_counts=True)
        return names, places.astype(np.int32), counts
    every = np.bincount(values, minlength=largest + 1)
    there = every > 0
    place = (np.cumsum(there) - 1).astype(np.int32)
    return np.flatnonzero(there).astype(values.dtype), place[values], every[there]


def gather(values: ArrayLike, grouping: Grouping, threads: int | None = None) -> AnyArray:
    """Values of all spikes (times, amplitudes, depths), in the order of the grouping.

    >>> gather([0.1, 0.2, 0.3, 0.4, 0.5], group([7, 2, 7, 2, 9]))
    array([0.2, 0.4, 0.1, 0.3, 0.5])
    """
    values = np.asarray(values)
    if values.shape[:1] != grouping.order.shape:
        raise ValueError(f"{values.shape[0] if values.ndim else 'no'} values but {grouping.order.size} spikes")
    if values.ndim != 1 or values.dtype.kind not in "iuf" or values.dtype.itemsize not in (4, 8):
        return values[grouping.order]
    kind, values = values.dtype, np.require(values, requirements=["C", "W"])
    values = values.view(np.float64 if kind.itemsize == 8 else np.float32)  # only moved: one kernel for each width
    out = np.empty_like(values)
    block = max(BLOCK, 16 * len(grouping))
    pieces = [
        (values, grouping.order, grouping.offsets, first, last, block, out)
        for first, last in _threads.even_pieces(values.size, threads, at_least=1 << 16)
    ]
    _threads.run(kernels.gather, pieces, threads)
    return out.view(kind)


def times_of(times: ArrayLike, grouping: Grouping, cluster_id: int) -> AnyArray:
    """Times of one cluster's spikes, from times that are not yet grouped, s; KeyError where there is no such cluster.

    >>> times_of([0.1, 0.2, 0.3, 0.4, 0.5], group([7, 2, 7, 2, 9]), 7)
    array([0.1, 0.3])
    """
    return np.asarray(times)[grouping.order[grouping.span(cluster_id)]]


def spikes_in_window(times: ArrayLike, offsets: ArrayLike, start: float, end: float) -> tuple[Integers, Integers]:
    """For each unit, the first of its spikes at or after `start` and the first at or after `end`, as row numbers.

    Parameters
    ----------
    times : (n,) array, s, grouped by unit, ascending within each
    offsets : (k + 1,) array, where each unit's spikes begin
    start, end : s

    Examples
    --------
    >>> spikes_in_window([0.1, 0.5, 0.9, 0.2, 0.6], [0, 3, 5], 0.2, 0.8)
    (array([1, 3]), array([2, 5]))
    """
    times, offsets = checked_groups(times, offsets)
    first = np.empty(offsets.size - 1, dtype=np.int64)
    last = np.empty_like(first)
    for unit in range(first.size):
        begin, stop = offsets[unit], offsets[unit + 1]
        first[unit], last[unit] = begin + np.searchsorted(times[begin:stop], [start, end])
    return first, last


def checked_groups(times: ArrayLike, offsets: ArrayLike) -> tuple[Numbers, Integers]:
    """Times and the offsets of units as arrays, or a ValueError that says why they do not fit together."""
    times, offsets = np.asarray(times), np.asarray(offsets)
    if times.ndim != 1 or offsets.ndim != 1 or offsets.size < 1:
        raise ValueError(f"times and offsets must be one-dimensional: {times.shape}, {offsets.shape}")
    if not np.issubdtype(offsets.dtype, np.integer):
        raise ValueError(f"offsets must be integers, not {offsets.dtype}")
    offsets = offsets.astype(np.int64, copy=False)
    if offsets[0] != 0 or offsets[-1] != times.size or np.any(np.diff(offsets) < 0):
        raise ValueError(f"offsets must rise from 0 to the number of spikes, {times.size}")
    return times, offsets


def _integers(ids: ArrayLike, name: str) -> NDArray[np.integer]:
    """One-dimensional integers, or a ValueError."""
    ids = np.asarray(ids)
    if ids.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, not {ids.shape}")
    if ids.size == 0:
        return ids.astype(np.int64)
    if not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"{name} must be integers, not {ids.dtype}")
    return ids


def _countable(clusters: NDArray[np.integer]) -> tuple[NDArray[np.int32 | np.int64], int, Integers]:
    """Ids of a type and range that can be counted, the lowest of them, and the cluster that each count stands for."""
    lowest, highest = int(clusters.min()), int(clusters.max())
    if highest - lowest >= WIDEST or highest > np.iinfo(np.int64).max:
        names, clusters = np.unique(clusters, return_inverse=True)
        return clusters.astype(np.int32), 0, names.astype(np.int64)
    small = lowest >= -(1 << 31) and highest < 1 << 31
    plain = np.require(clusters, np.int32 if small else np.int64, ["C", "W"])
    return plain, lowest, np.arange(lowest, highest + 1)
