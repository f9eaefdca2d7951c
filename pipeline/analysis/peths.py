"""Activity around events: counts, peri-event time histograms (PETHs) of many units at once, and rasters of one.

Times are seconds; rates are spikes per second. Events that are NaN (trials without the event) are left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.analysis import _peth_kernels as kernels
from pipeline.analysis import _threads
from pipeline.analysis.arrays import AnyArray, Floats, Integers, plain
from pipeline.analysis.spikes import checked_groups

__all__ = ["Peths", "bin_centres", "counts", "peths", "population_rate", "raster"]


@dataclass(frozen=True)
class Peths:
    """Mean activity of each unit around an event, for all events or for each condition apart."""

    bins: Floats  # (n_bins,) centres, s from the event
    mean: Floats  # (k, n_bins) or, with conditions, (k, c, n_bins), Hz; NaN for a condition without events
    std: Floats  # the same shape, Hz: standard deviation over events (divided by n, not n - 1)
    n: int | Integers  # events, or (c,) events of each condition
    conditions: AnyArray | None = None  # (c,) labels, ascending

    @property
    def sem(self) -> Floats:
        """Standard error of the mean (from the deviation divided by n - 1), Hz; NaN below two events."""
        n = np.asarray(self.n, dtype=float)[..., np.newaxis]
        return self.std / np.sqrt(np.where(n > 1, n - 1, np.nan))


def bin_centres(pre: float, post: float, bin: float) -> Floats:
    """Centres of the bins from `pre` before to `post` after an event, s; an edge lies at the event.

    The window is widened to whole bins on each side.

    >>> bin_centres(0.1, 0.2, 0.1).round(2)
    array([-0.05,  0.05,  0.15])
    """
    before, after = _n_bins(pre, post, bin)
    edges = np.arange(-before, after + 1) * bin
    return (edges[:-1] + edges[1:]) / 2


def counts(
    times: ArrayLike,
    offsets: ArrayLike,
    events: ArrayLike,
    pre: float,
    post: float,
    bin: float,
    threads: int | None = None,
) -> NDArray[np.int16]:
    """Spikes of each unit in bins around each event.

    Parameters
    ----------
    times : (n,) array, s, grouped by unit, ascending within each (see `pipeline.analysis.spikes.group`)
    offsets : (k + 1,) array, where each unit's spikes begin
    events : (n_events,) array, s; NaN gives zeros
    pre, post : s, how far the window reaches before and after the event
    bin : s, width of a bin; a spike on an edge belongs to the later bin
    threads : how many threads to use, by default all usable cores

    Returns
    -------
    (k, n_events, n_bins) int16 array; `bin_centres` gives the times of the bins

    Raises
    ------
    ValueError
        If the bin is not positive, the window is empty, or offsets do not fit.

    Examples
    --------
    >>> counts([0.9, 1.05, 1.06, 2.0], [0, 3, 4], [1.0, 2.0], 0.1, 0.1, 0.1)
    array([[[1, 2],
            [0, 0]],
    <BLANKLINE>
           [[0, 0],
            [0, 1]]], dtype=int16)
    """
    times, offsets = checked_groups(times, offsets)
    before, after = _n_bins(pre, post, bin)
    events = _events(events)
    starts = np.where(np.isnan(events), np.inf, events) - before * bin
    out = np.zeros((offsets.size - 1, events.size, before + after), dtype=np.int16)

    def piece(first: int, last: int) -> None:
        own = offsets[first : last + 1]
        kernels.bin_spikes(plain(times[own[0] : own[-1]]), own - own[0], starts, float(bin), out[first:last])

    _threads.run(piece, _threads.balanced_pieces(offsets, 32), threads)
    return out


def peths(
    times: ArrayLike,
    offsets: ArrayLike,
    events: ArrayLike,
    pre: float,
    post: float,
    bin: float = 0.025,
    smoothing: float = 0.025,
    conditions: ArrayLike | None = None,
    threads: int | None = None,
) -> Peths:
    """Peri-event time histograms of all units.

    Each event's counts are filtered with a Gaussian before the mean and the deviation are taken. Values equal those of
    brainbox's `calculate_peths`: spikes up to five standard deviations (rounded up to bins) outside the window take
    part in the filter.

    Parameters
    ----------
    times : (n,) array, s, grouped by unit, ascending within each (see `pipeline.analysis.spikes.group`)
    offsets : (k + 1,) array, where each unit's spikes begin
    events : (n_events,) array, s; NaN are left out
    pre, post : s, how far the window reaches before and after the event
    bin : s, width of a bin
    smoothing : s, standard deviation of the Gaussian; 0 for none
    conditions : (n_events,) array of labels (numbers or strings), or None; events whose label is NaN are left out
    threads : how many threads to use, by default all usable cores

    Raises
    ------
    ValueError
        If the bin is not positive, smoothing negative, the window empty, or lengths do not fit.

    Examples
    --------
    >>> histograms = peths([0.95, 1.05, 2.05], [0, 3], [1.0, 2.0], 0.1, 0.1, 0.1, smoothing=0)
    >>> histograms.mean, histograms.std, histograms.n
    (array([[ 5., 10.]]), array([[5., 0.]]), 2)
    >>> peths([0.95, 1.05, 2.05], [0, 3], [1.0, 2.0], 0.1, 0.1, 0.1, 0, conditions=["a", "b"]).mean
    array([[[10., 10.],
            [ 0., 10.]]])
    """
    times, offsets = checked_groups(times, offsets)
    before, after = _n_bins(pre, post, bin)
    if not 0 <= smoothing < np.inf:
        raise ValueError(f"smoothing must not be negative, not {smoothing}")
    events = _events(events)
    groups, labels = _groups(events, conditions)
    n_groups = 1 if labels is None else labels.size
    used = np.flatnonzero(groups >= 0)
    used = used[np.argsort(events[used], kind="stable")]
    margin = 5 * int(np.ceil(smoothing / bin - 1e-9))
    starts = events[used] - (before + margin) * bin
    n_bins = before + after + 2 * margin
    weights = _weights(smoothing / bin, n_bins)
    binned = np.zeros((offsets.size - 1, n_groups, n_bins), dtype=np.int64)
    squares = np.zeros((offsets.size - 1, n_groups, before + after))

    def piece(first: int, last: int) -> None:
        own = offsets[first : last + 1]
        kernels.smoothed_squares(
            plain(times[own[0] : own[-1]]),
            own - own[0],
            starts,
            groups[used],
            float(bin),
            n_bins,
            weights,
            margin,
            binned[first:last],
            squares[first:last],
        )

    _threads.run(piece, _threads.balanced_pieces(offsets, 32), threads)
    n = np.bincount(groups[used], minlength=n_groups)
    # Smoothing is linear: the mean of smoothed counts is the smoothed mean.
    steps = np.abs(np.subtract.outer(np.arange(n_bins), np.arange(margin, n_bins - margin)))
    half = np.append(weights[weights.size // 2 :], 0)
    smooth = half[np.minimum(steps, half.size - 1)]
    with np.errstate(invalid="ignore"):
        mean = binned @ smooth / n[:, np.newaxis]
        squares /= n[:, np.newaxis]
        variance = squares - mean**2
        std = np.sqrt(np.where(variance <= 16 * np.finfo(float).eps * squares, 0, variance))  # that is rounding
    centres = bin_centres(pre, post, bin)
    if labels is None:
        return Peths(centres, mean[:, 0] / bin, std[:, 0] / bin, int(n[0]))
    return Peths(centres, mean / bin, std / bin, n, labels)


def raster(times: ArrayLike, events: ArrayLike, pre: float, post: float) -> tuple[Integers, Floats]:
    """Spikes of one unit around events.

    Parameters
    ----------
    times : (n,) array, s, ascending, of one unit
    events : (n_events,) array, s; NaN have no spikes
    pre, post : s, how far the window reaches before and after the event; its end does not belong to it

    Returns
    -------
    trial : (m,) int64 array, which event
    time : (m,) array, s from that event, ascending within each

    Examples
    --------
    >>> trial, time = raster([0.9, 1.1, 2.0], [1.0, np.nan, 2.0], 0.2, 0.2)
    >>> trial, time.round(2)
    (array([0, 0, 2]), array([-0.1,  0.1,  0. ]))
    """
    times = np.asarray(times, dtype=float)
    events = _events(events)
    known = np.flatnonzero(~np.isnan(events))
    first = np.searchsorted(times, events[known] - pre)
    n = np.maximum(np.searchsorted(times, events[known] + post) - first, 0)
    trial = np.repeat(known, n)
    spike = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first, n)
    return trial, times[spike] - events[trial]


def population_rate(times: ArrayLike, start: float, end: float, bin: float) -> tuple[Floats, Floats]:
    """Rate of all spikes together over time.

    Parameters
    ----------
    times : (n,) array, s, in any order
    start, end : s
    bin : s, width of a bin; a rest at the end shorter than a bin is left out

    Returns
    -------
    centres : (n_bins,) array, s
    rate : (n_bins,) array, Hz

    Examples
    --------
    >>> population_rate([0.1, 0.2, 1.5], 0.0, 2.0, 1.0)
    (array([0.5, 1.5]), array([2., 1.]))
    """
    if not bin > 0 or not end > start:
        raise ValueError(f"need a bin above zero and an end after the start, not {bin}, {start} to {end}")
    edges = start + np.arange(int((end - start) / bin + 1e-9) + 1) * bin
    return (edges[:-1] + edges[1:]) / 2, np.histogram(times, edges)[0] / bin if edges.size > 1 else np.empty(0)


def _n_bins(pre: float, post: float, bin: float) -> tuple[int, int]:
    """Bins before and after the event; a window that is whole bins but for rounding stays so."""
    if not 0 < bin < np.inf:
        raise ValueError(f"bin must be positive, not {bin}")
    before, after = int(np.ceil(pre / bin - 1e-9)), int(np.ceil(post / bin - 1e-9))
    if before + after < 1:
        raise ValueError(f"the window from {pre} s before to {post} s after the event is empty")
    return before, after


def _events(events: ArrayLike) -> Floats:
    """Times of events as contiguous float64, or a ValueError."""
    events = np.ascontiguousarray(events, dtype=float)
    if events.ndim != 1:
        raise ValueError(f"events must be one-dimensional, not {events.shape}")
    return events


def _groups(events: Floats, conditions: ArrayLike | None) -> tuple[Integers, AnyArray | None]:
    """Number of each event's condition, -1 where the event or its label is NaN; and the labels."""
    known = np.isfinite(events)
    if conditions is None:
        return np.where(known, 0, -1), None
    conditions = np.asarray(conditions)
    if conditions.shape != events.shape:
        raise ValueError(f"{events.size} events but conditions of shape {conditions.shape}")
    if np.issubdtype(conditions.dtype, np.floating):
        known = known & ~np.isnan(conditions)
    labels, inverse = np.unique(conditions[known], return_inverse=True)
    groups = np.full(events.size, -1)
    groups[known] = inverse
    return groups, labels


def _weights(sigma: float, n_bins: int) -> Floats:
    """The Gaussian filter, an odd number of weights; as long as brainbox's, less what is below 1e-18 of its peak."""
    if sigma == 0:
        return np.ones(1)
    reach = ((n_bins - 1 if n_bins % 2 == 0 else n_bins) - 1) // 2
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    scaled: Floats = (weights / weights.sum())[weights > 1e-18]
    return scaled
