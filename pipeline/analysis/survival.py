"""Times to an event where some have not had it yet: the Kaplan-Meier curve, its interval, and the test of two or more.

Here the event is a status of training and the time is counted in training days; an animal that is still in training,
or that left before it was trained, is censored: it counts for as long as it was seen and no longer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import Booleans, Floats, Integers


@dataclass(frozen=True, eq=False)
class Survival:
    """Fraction still without the event after each distinct time, arrays of shape (n_times,), times ascending."""

    times: Floats
    at_risk: Integers  # seen just before the time and without the event until then
    events: Integers  # had the event at the time
    censored: Integers  # were last seen at the time, without the event
    survival: Floats  # 0-1, just after the time
    lower: Floats  # ends of the interval, 0-1; NaN where the curve is 1 or 0
    upper: Floats

    @property
    def n(self) -> int:
        """How many there were at the start."""
        return int(self.at_risk[0]) if self.at_risk.size else 0

    @property
    def median(self) -> float:
        """The first time at which half or fewer are left; NaN where more than half never had the event."""
        reached = np.flatnonzero(self.survival <= 0.5 + 1e-12)
        return float(self.times[reached[0]]) if reached.size else float("nan")


class LogRank(NamedTuple):
    """Whether the groups differ: chi-square with `n_groups - 1` degrees of freedom."""

    statistic: float
    p_value: float


def kaplan_meier(durations: ArrayLike, observed: ArrayLike, level: float = 0.95) -> Survival:
    """The product-limit estimate of the fraction without the event.

    Someone censored at a time is still at risk at that time. The interval is that of Greenwood's variance on the
    scale log(-log), so that it stays within 0 and 1.

    Parameters
    ----------
    durations : (n,) array, time to the event or to when last seen, not negative
    observed : (n,) array of bool, whether the event was seen; False: censored
    level : coverage of the interval, 0-1

    Raises
    ------
    ValueError
        If the two differ in length, or a duration is negative or not finite.

    References
    ----------
    Kaplan and Meier (1958), J. Am. Stat. Assoc. 53, 457-481; Kalbfleisch and Prentice (1980), section 1.3.

    Examples
    --------
    >>> curve = kaplan_meier([3, 5, 5, 8, 10], [True, True, False, True, False])
    >>> curve.times, curve.at_risk, curve.survival.round(3)
    (array([ 3.,  5.,  8., 10.]), array([5, 4, 2, 1]), array([0.8, 0.6, 0.3, 0.3]))
    >>> curve.median
    8.0
    """
    durations, observed = _checked(durations, observed)
    times, when = np.unique(durations, return_inverse=True)
    events = np.bincount(when, observed, times.size).astype(int)
    leaving = np.bincount(when, minlength=times.size)
    at_risk = durations.size - np.cumsum(leaving) + leaving
    survival = np.cumprod(1 - events / at_risk)
    z = scipy.special.ndtri(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(events / (at_risk * (at_risk - events)))
        half = z * np.sqrt(variance) / np.abs(np.log(survival))
        inside = (survival > 0) & (survival < 1)
        lower = np.where(inside, survival ** np.exp(half), np.nan)
        upper = np.where(inside, survival ** np.exp(-half), np.nan)
    return Survival(times, at_risk, events, leaving - events, survival, lower, upper)


def log_rank(groups: Sequence[tuple[ArrayLike, ArrayLike]]) -> LogRank:
    """Test of the hypothesis that all groups have one curve.

    Parameters
    ----------
    groups : (durations, observed) of each group, as for `kaplan_meier`

    Returns
    -------
    LogRank
        NaN where there are fewer than two groups, or no event.

    References
    ----------
    Mantel (1966), Cancer Chemotherapy Reports 50, 163-170.

    Examples
    --------
    >>> early, late = ([6, 7, 10, 15, 19, 25], [1, 0, 1, 1, 0, 1]), ([12, 20, 30, 31, 40, 44], [1, 1, 1, 0, 1, 0])
    >>> test = log_rank([early, late])
    >>> round(test.statistic, 2), round(test.p_value, 3)
    (3.29, 0.07)
    """
    checked = [_checked(*group) for group in groups]
    checked = [group for group in checked if group[0].size]
    times = np.unique(np.concatenate([durations[observed] for durations, observed in checked] or [np.empty(0)]))
    if len(checked) < 2 or not times.size:
        return LogRank(float("nan"), float("nan"))
    at_risk = np.array([[(durations >= time).sum() for time in times] for durations, _ in checked], dtype=float)
    events = np.array([[(durations[seen] == time).sum() for time in times] for durations, seen in checked], dtype=float)
    total, total_events = at_risk.sum(axis=0), events.sum(axis=0)
    share = at_risk / total
    excess = (events - share * total_events).sum(axis=1)
    scale = np.divide(total_events * (total - total_events), total - 1, out=np.zeros_like(total), where=total > 1)
    covariance = (np.eye(len(checked))[:, :, None] * share[:, None] - share[:, None] * share[None]) * scale
    statistic = float(excess @ np.linalg.pinv(covariance.sum(axis=2)) @ excess)
    return LogRank(statistic, float(scipy.special.chdtrc(len(checked) - 1, statistic)))


def _checked(durations: ArrayLike, observed: ArrayLike) -> tuple[Floats, Booleans]:
    durations = np.asarray(durations, dtype=float)
    observed = np.asarray(observed, dtype=bool)
    if durations.ndim != 1 or durations.shape != observed.shape:
        raise ValueError(f"durations and observed must be 1-D and alike, got {durations.shape} and {observed.shape}")
    if not np.all(np.isfinite(durations) & (durations >= 0)):
        raise ValueError("durations must be finite and not negative")
    return durations, observed
