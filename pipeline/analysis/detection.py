"""Detection: hits, misses, false alarms and correct rejections of a go/no-go task, sensitivity and criterion."""

from dataclasses import dataclass

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import ArrayLike

__all__ = ["Detection", "detection"]


@dataclass(frozen=True)
class Detection:
    """Counts and rates; NaN where there are no trials of a kind."""

    n_hits: int
    n_misses: int
    n_false_alarms: int
    n_correct_rejections: int
    hit_rate: float  # of go trials, 0-1
    false_alarm_rate: float  # of no-go trials, 0-1
    d_prime: float  # standard deviations
    criterion: float  # standard deviations; positive: responds rarely


def detection(go: ArrayLike, responded: ArrayLike) -> Detection:
    """How well an animal tells go from no-go trials.

    d' = z(H) - z(F) and c = -(z(H) + z(F)) / 2, from the rates with 1/2 added to each count and 1 to each number of
    trials, so that rates of 0 and 1 give finite values.

    Parameters
    ----------
    go, responded : (n_trials,) arrays of 0, 1 and NaN; trials with a NaN are left out

    Raises
    ------
    ValueError
        If the two differ in length.

    References
    ----------
    Green and Swets (1966), Signal detection theory and psychophysics. Hautus (1995), Behavior Research Methods,
    Instruments & Computers 27: 46-51 (log-linear correction).

    Examples
    --------
    >>> rates = detection([1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 1, 0, 0, 0])
    >>> rates.n_hits, rates.n_false_alarms, rates.hit_rate, round(rates.d_prime, 2), abs(round(rates.criterion, 2))
    (3, 1, 0.75, 1.05, 0.0)
    """
    go, responded = np.asarray(go, dtype=np.float64), np.asarray(responded, dtype=np.float64)
    if go.shape != responded.shape or go.ndim != 1:
        raise ValueError(f"go and responses must be 1-D and alike, got {go.shape} and {responded.shape}")
    known = np.isfinite(go) & np.isfinite(responded)
    is_go, did = go[known] == 1, responded[known] == 1
    hits, misses = int(np.sum(is_go & did)), int(np.sum(is_go & ~did))
    alarms, rejections = int(np.sum(~is_go & did)), int(np.sum(~is_go & ~did))
    nan = float("nan")
    d_prime = criterion = nan
    if hits + misses and alarms + rejections:
        z_hit = float(scipy.special.ndtri((hits + 0.5) / (hits + misses + 1)))
        z_alarm = float(scipy.special.ndtri((alarms + 0.5) / (alarms + rejections + 1)))
        d_prime, criterion = z_hit - z_alarm, -(z_hit + z_alarm) / 2
    return Detection(
        hits, misses, alarms, rejections,
        hits / (hits + misses) if hits + misses else nan,
        alarms / (alarms + rejections) if alarms + rejections else nan,
        d_prime, criterion,
    )  # fmt: skip
