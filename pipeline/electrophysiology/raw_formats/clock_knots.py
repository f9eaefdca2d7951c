"""Samples between which the clock of a recording is linear: every ten seconds, and beside each gap."""

from __future__ import annotations

from typing import Any

import numpy as np

KNOT = 10.0  # s between the samples whose times are taken
LONGEST_STEP = 2.0  # samples between two neighbours; a longer or a backward step is a gap
MOST_GAPS = 100_000
_ROWS = 1 << 22  # times that are read at once


def of_times(times: Any, rate: float) -> np.ndarray | None:
    """The samples whose times tell those of all others.

    Parameters
    ----------
    times : (n,) of each sample, in units of which `rate` are as long as a sample takes; read in pieces.
    rate : of these units, samples per unit.

    Returns
    -------
    Samples, ascending; None where there are fewer than two, time goes back, or there are gaps everywhere.

    Examples
    --------
    >>> of_times(np.array([0.0, 0.1, 0.2, 0.9, 1.0]), 10.0).tolist()
    [0, 2, 3, 4]
    """
    n = len(times)
    if n < 2:
        return None
    gaps: list[np.ndarray] = []
    for first in range(0, n - 1, _ROWS):
        some = np.asarray(times[first : first + _ROWS + 1])
        steps: np.ndarray = np.diff(some.astype(np.int64 if some.dtype.kind in "iu" else np.float64))
        if (steps < 0).any():
            return None
        gaps.append(first + np.flatnonzero(steps * rate > LONGEST_STEP))
    gap = np.concatenate(gaps)
    if len(gap) > MOST_GAPS:
        return None
    step = max(1, round(KNOT * rate)) if rate > 1 else max(1, round(KNOT * 30_000))
    return np.unique(np.concatenate([np.arange(0, n, step), [n - 1], gap, gap + 1]))
