"""Sampled signals around events: breathing, position of a tongue, pupil or any other, resampled and averaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import Floats, Integers, Numbers, Texts

__all__ = ["AlignedSignal", "AlignedTrials", "align", "average"]


@dataclass(frozen=True, eq=False)
class AlignedSignal:
    """Average of a signal around events."""

    times: Numbers  # (n_times,) s from the event, as given
    mean: Floats  # (c, n_times) in the unit of the signal; NaN without events
    sem: Floats  # (c, n_times) standard error over events
    n: Integers  # (c, n_times) events with a value
    conditions: list[str]  # (c,) `all` without a split


@dataclass(frozen=True, eq=False)
class AlignedTrials:
    """A signal around the event of each trial."""

    times: Floats  # (n_times,) s from the event
    values: Floats  # (n_trials, n_times) in the unit of the signal; NaN where it is not known
    conditions: Texts  # (n_trials,) empty where a trial has none, is not chosen, or has no event


def align(
    times: ArrayLike,
    values: ArrayLike,
    events: ArrayLike,
    window: tuple[float, float],
    step: float,
    gap: float | None = None,
) -> tuple[Floats, Floats]:
    """The signal at equal steps around each event, by linear interpolation between its samples.

    Parameters
    ----------
    times : (n,) s, ascending
    values : (n,) NaN where the signal is not known
    events : (m,) s; NaN gives a row of NaN
    window : start and end, s from the event; both belong to it
    step : s
    gap : s; between samples further apart the signal is not known. By default 5 times the median interval

    Returns
    -------
    lags : (n_times,) s from the event
    aligned : (m, n_times) NaN outside of the recording, in gaps, and beside a value that is NaN

    Raises
    ------
    ValueError
        If times do not ascend, lengths differ, or the window is empty.

    Examples
    --------
    >>> lags, signals = align([0.0, 1.0, 2.0, 3.0], [0.0, 10.0, 20.0, 30.0], [1.5, 2.75], (-0.5, 0.5), 0.5)
    >>> lags, signals
    (array([-0.5,  0. ,  0.5]), array([[10. , 15. , 20. ],
           [22.5, 27.5,  nan]]))
    """
    times, values, events = (np.asarray(item, dtype=np.float64) for item in (times, values, events))
    if times.shape != values.shape or times.ndim != 1:
        raise ValueError(f"times and values must be 1-D and alike, got {times.shape} and {values.shape}")
    if np.any(np.diff(times) <= 0):
        raise ValueError("times must ascend")
    if not window[0] < window[1] or not step > 0:
        raise ValueError(f"the window must begin before it ends, in steps above 0: {window}, {step}")
    n_times = int(np.floor((window[1] - window[0]) / step + 1e-9)) + 1
    lags = window[0] + step * np.arange(n_times, dtype=np.float64)
    if times.size < 2:
        return lags, np.full((events.size, lags.size), np.nan)
    gap = 5 * float(np.median(np.diff(times))) if gap is None else gap
    wanted = events[:, None] + lags
    with np.errstate(invalid="ignore"):
        inside = (wanted >= times[0]) & (wanted <= times[-1])
    place = np.clip(np.searchsorted(times, np.where(inside, wanted, times[0]), side="right") - 1, 0, times.size - 2)
    width = times[place + 1] - times[place]
    share = (wanted - times[place]) / width
    left, right = values[place], values[place + 1]
    interpolated = np.where(share == 0, left, np.where(share == 1, right, left + (right - left) * share))
    known = inside & ((width <= gap) | (share == 0) | (share == 1))
    return lags, np.where(known, interpolated, np.nan)


def average(aligned: ArrayLike, lags: ArrayLike, labels: ArrayLike | None = None) -> AlignedSignal:
    """Mean and standard error over the events of each condition; values that are NaN are left out.

    Parameters
    ----------
    aligned, lags : from `align`
    labels : (m,) condition of each event, strings; events without one (empty) are left out

    Examples
    --------
    >>> averaged = average([[1.0, 2.0], [3.0, np.nan]], [0.0, 0.1])
    >>> averaged.mean, averaged.n
    (array([[2., 2.]]), array([[2, 1]]))
    """
    aligned = np.asarray(aligned, dtype=np.float64)
    given = np.full(len(aligned), "all") if labels is None else np.asarray(labels, dtype=np.str_)
    names = [name for name in np.unique(given).tolist() if name] or ["all"]
    mean, sem, n = [], [], []
    for name in names:
        part = aligned[given == name]
        count = np.isfinite(part).sum(axis=0)
        total = np.nansum(part, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            middle = total / count
            spread = np.sqrt(np.nansum((part - middle) ** 2, axis=0) / (count - 1) / count)
        mean.append(np.where(count > 0, middle, np.nan))
        sem.append(np.where(count > 1, spread, np.nan))
        n.append(count)
    return AlignedSignal(np.asarray(lags), np.array(mean), np.array(sem), np.array(n), names)
