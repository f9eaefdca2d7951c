"""Correlograms: at which lags the spikes of a unit follow each other, or those of one unit those of another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis import _correlogram_kernels as kernels
from pipeline.analysis import _threads
from pipeline.analysis.arrays import Floats, Integers, plain
from pipeline.analysis.spikes import checked_groups

__all__ = ["Correlograms", "autocorrelograms", "cross_correlogram", "cross_correlograms"]


@dataclass(frozen=True)
class Correlograms:
    """Counts of pairs of spikes by lag."""

    lags: Floats  # (n_bins,) centres, s; an edge lies at zero
    counts: Integers  # (k, n_bins)
    n_spikes: Integers  # (k,), of the units that the lags count from
    bin: float  # s

    @property
    def rates(self) -> Floats:
        """Rate of the following spikes at each lag, Hz, (k, n_bins); NaN without spikes."""
        n = np.where(self.n_spikes > 0, self.n_spikes, np.nan)
        return self.counts / (n[:, np.newaxis] * self.bin)


def autocorrelograms(
    times: ArrayLike, offsets: ArrayLike, window: float = 0.02, bin: float = 0.0002, threads: int | None = None
) -> Correlograms:
    """Autocorrelograms of all units from -`window` to `window`; a spike is not paired with itself.

    Parameters
    ----------
    times : (n,) array, s, grouped by unit, ascending within each (see `pipeline.analysis.spikes.group`)
    offsets : (k + 1,) array, where each unit's spikes begin
    window : s, largest lag, a whole number of bins
    bin : s, width of a bin; a lag on an edge counts in the bin farther from zero
    threads : how many threads to use, by default all usable cores

    Raises
    ------
    ValueError
        If the bin is not positive, the window is not a whole number of bins, or offsets do not fit.

    Examples
    --------
    >>> correlograms = autocorrelograms([0.0, 0.0015, 0.003], [0, 3], window=0.002, bin=0.001)
    >>> correlograms.lags.tolist(), correlograms.counts.tolist()
    ([-0.0015, -0.0005, 0.0005, 0.0015], [[2, 0, 0, 2]])
    """
    times, offsets = checked_groups(times, offsets)
    n_bins = _n_bins(window, bin)
    half = np.zeros((offsets.size - 1, n_bins), dtype=np.int64)

    def piece(first: int, last: int) -> None:
        own = offsets[first : last + 1]
        kernels.forward_lags(plain(times[own[0] : own[-1]]), own - own[0], float(bin), half[first:last])

    _threads.run(piece, _threads.balanced_pieces(offsets, 32), threads)
    counts = np.concatenate([half[:, ::-1], half], axis=1)
    return Correlograms(_centres(n_bins, bin), counts, np.diff(offsets), float(bin))


def cross_correlogram(times: ArrayLike, others: ArrayLike, window: float = 0.02, bin: float = 0.0002) -> Correlograms:
    """Lags of one unit's spikes after those of another, from -`window` to `window`, as a single row.

    Parameters
    ----------
    times : (n,) array, s, ascending: the unit that the lags count from
    others : (m,) array, s, ascending; right of zero are spikes that follow
    window : s, largest lag, a whole number of bins
    bin : s, width of a bin; a lag on an edge counts in the bin to its right

    Examples
    --------
    >>> cross_correlogram([1.0, 2.0], [1.0005, 1.9985], window=0.002, bin=0.001).counts
    array([[1, 0, 1, 0]])
    """
    times, others = plain(np.asarray(times)), plain(np.asarray(others))
    if times.ndim != 1 or others.ndim != 1:
        raise ValueError(f"times must be one-dimensional: {times.shape}, {others.shape}")
    n_bins = _n_bins(window, bin)
    counts = np.zeros((1, 2 * n_bins), dtype=np.int64)
    kernels.cross_lags(times, others, -n_bins * float(bin), float(bin), counts[0])
    return Correlograms(_centres(n_bins, bin), counts, np.array([times.size]), float(bin))


def cross_correlograms(
    times: ArrayLike,
    offsets: ArrayLike,
    unit: int,
    window: float = 0.02,
    bin: float = 0.0002,
    threads: int | None = None,
) -> Correlograms:
    """Cross-correlograms of one unit with every unit: row i holds the lags of unit i after the unit's spikes.

    The row of the unit itself is its autocorrelogram with each spike's pairing with itself, at zero, left out.

    >>> cross_correlograms([1.0, 2.0, 1.0005, 1.9985], [0, 2, 4], unit=0, window=0.002, bin=0.001).counts
    array([[0, 0, 0, 0],
           [1, 0, 1, 0]])
    """
    times, offsets = checked_groups(times, offsets)
    if not 0 <= unit < offsets.size - 1:
        raise ValueError(f"no unit {unit} among {offsets.size - 1}")
    own = times[offsets[unit] : offsets[unit + 1]]

    def row(other: int) -> Integers:
        counts: Integers = cross_correlogram(own, times[offsets[other] : offsets[other + 1]], window, bin).counts[0]
        return counts

    counts = np.array(_threads.run(row, [(other,) for other in range(offsets.size - 1)], threads))
    n_bins = counts.shape[1] // 2
    counts[unit] = autocorrelograms(own, [0, own.size], window, bin, threads=1).counts[0]
    return Correlograms(_centres(n_bins, bin), counts, np.full(counts.shape[0], own.size), float(bin))


def _n_bins(window: float, bin: float) -> int:
    """Bins on each side of zero."""
    if not 0 < bin < np.inf:
        raise ValueError(f"bin must be positive, not {bin}")
    n_bins = round(window / bin)
    if n_bins < 1 or abs(n_bins * bin - window) > 1e-6 * bin:
        raise ValueError(f"the window must be a whole number of bins of {bin} s, not {window} s")
    return n_bins


def _centres(n_bins: int, bin: float) -> Floats:
    """Centres of the bins on both sides of zero, s."""
    return (np.arange(-n_bins, n_bins, dtype=np.float64) + 0.5) * bin
