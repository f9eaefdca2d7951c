"""Sparse clocks and cross-references, resolved in one place for all ALF objects.

`timestamps` of a time series may hold pairs (sample, time): the clock of a few samples, between which is interpolated.
An attribute that is named like another object holds rows of that object, counted from 0.
"""

from __future__ import annotations

import numpy as np


def wrong_clock(timestamps: np.ndarray, n_samples: int | None = None) -> str:
    """What is wrong with a sparse clock, in words; empty where it can be used.

    Parameters
    ----------
    timestamps : numpy.ndarray, shape (n_pairs, 2)
        Sample (from 0) and its time, s.
    n_samples : int, optional
        How many samples the series has; the pairs must then span all of them.

    >>> wrong_clock(np.array([[0, 1.0], [9, 0.5]]), 10)
    'row 1 (from 0): the time 0.5 is not after 1'
    >>> wrong_clock(np.array([[0, 1.0], [9, 1.5]]), 10)
    ''
    """
    if timestamps.ndim != 2 or timestamps.shape[1] != 2 or timestamps.dtype.kind not in "fiu":
        return f"shape {timestamps.shape} of {timestamps.dtype} where pairs (sample, time) are expected"
    values = timestamps.astype(np.float64)
    if not np.isfinite(values).all():
        return "a sample or a time is not a finite number"
    if len(values) < 2:
        return f"{len(values)} pairs of sample and time; at least 2 are needed"
    for column, what in ((0, "sample"), (1, "time")):
        steps = np.flatnonzero(np.diff(values[:, column]) <= 0)
        if steps.size:
            row = int(steps[0]) + 1
            return f"row {row} (from 0): the {what} {values[row, column]:g} is not after {values[row - 1, column]:g}"
    first, last = values[0, 0], values[-1, 0]
    if n_samples is not None and (first > 0 or last < n_samples - 1):
        return f"the pairs span samples {first:g} to {last:g}, the series has samples 0 to {n_samples - 1}"
    return ""


def times_of_samples(timestamps: np.ndarray, n_samples: int) -> np.ndarray:
    """The time of each sample of a series.

    Parameters
    ----------
    timestamps : numpy.ndarray, shape (n_samples,), (n_samples, 1) or (n_pairs, 2)
        Times, or pairs (sample, time).
    n_samples : int
        How many samples the series has.

    Returns
    -------
    numpy.ndarray, shape (n_samples,)
        Times, s.

    Raises
    ------
    ValueError
        The clock cannot be used (see `wrong_clock`), or there are not as many times as samples.

    >>> times_of_samples(np.array([[0, 10.0], [4, 12.0]]), 5)
    array([10. , 10.5, 11. , 11.5, 12. ])
    """
    timestamps = np.asarray(timestamps)
    if timestamps.ndim == 2 and timestamps.shape[1] == 1:
        timestamps = timestamps[:, 0]
    if timestamps.ndim == 1:
        if len(timestamps) != n_samples:
            raise ValueError(f"{len(timestamps)} times for {n_samples} samples")
        return timestamps.astype(np.float64)
    if wrong := wrong_clock(timestamps, n_samples):
        raise ValueError(wrong)
    times: np.ndarray = np.interp(np.arange(n_samples), timestamps[:, 0], timestamps[:, 1])
    return times


def wrong_reference(rows: np.ndarray, n_rows: int | None, target: str) -> str:
    """What is wrong with an attribute that indexes another object, in words; empty where it can be used.

    Parameters
    ----------
    rows : numpy.ndarray
        Rows of the other object, from 0, of any shape.
    n_rows : int or None
        How many rows that object has; None where that is not known.
    target : str
        Name of the other object.

    >>> wrong_reference(np.array([0, 3]), 3, "channels")
    'it names row 3 of channels, which has 3 rows (counted from 0)'
    """
    rows = np.asarray(rows)
    if rows.dtype.kind not in "fiu":
        return f"values of type {rows.dtype} where rows of {target} are expected"
    if not rows.size:
        return ""
    if rows.dtype.kind == "f" and not (np.isfinite(rows).all() and (rows == np.trunc(rows)).all()):
        return f"rows of {target} are whole numbers"
    low, high = rows.min(), rows.max()
    if low < 0:
        return f"it names row {int(low)} of {target}; rows are counted from 0"
    if n_rows is not None and high >= n_rows:
        one_too_many = " : is it counted from 1?" if low == 1 and high == n_rows else ""
        return f"it names row {int(high)} of {target}, which has {n_rows} rows (counted from 0){one_too_many}"
    return ""
