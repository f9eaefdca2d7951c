"""How contaminated units are, from counts of pairs of spikes too near to each other; see `pipeline.analysis.units`."""

import numpy as np
import scipy  # its modules are imported when they are first used

from pipeline.analysis.arrays import AnyArray, Floats, Integers

__all__ = ["LEVELS", "hill", "llobet", "sliding_period"]

LEVELS = np.arange(0.5, 35, 0.5)  # percent, the contaminations that the sliding refractory period tries


def hill(n: Integers, violations: Integers, duration: float, period: float, censored: float) -> Floats:
    """Rate of violations in the time open to them, over the unit's rate; times in s."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return violations / (2 * n * (period - censored)) / (n / duration)


def llobet(n: Integers, pairs: Integers, duration: float, period: float, censored: float) -> Floats:
    """Fraction of others' spikes, 0-1, from the pairs with lags between the censored and the refractory period."""
    with np.errstate(divide="ignore", invalid="ignore"):
        pure = 1 - pairs * (duration - 2 * n * censored) / (n.astype(float) ** 2 * (period - censored))
    fraction: Floats = np.clip(1 - np.sqrt(np.maximum(pure, 0)), 0, 1)
    return fraction


def sliding_period(
    n: Integers,
    n_distant: Integers,
    lags: Integers,
    sampling_rate: float,
    shortest: float,
    tolerated: float,
    confidence: float,
) -> dict[str, AnyArray]:
    """The sliding refractory period of all units.

    Parameters
    ----------
    n : (k,) spikes
    n_distant : (k,) pairs from 1 s to 2 s apart
    lags : (k, n_lags) pairs 0, 1, 2… samples apart
    sampling_rate : Hz
    shortest : s, shortest refractory period believed
    tolerated, confidence : percent
    """
    sample = 1 / sampling_rate
    periods = np.arange(lags.shape[1]) * sample + sample / 2
    # For as many violations the longest period gives the most confidence: keep the last of each run of equal counts.
    observed = np.cumsum(lags, axis=1)
    candidate = np.append(np.diff(observed, axis=1) > 0, np.ones((n.size, 1), dtype=bool), axis=1)
    candidate &= (periods > shortest) & (n > 0)[:, np.newaxis]
    unit, period = np.nonzero(candidate)
    observed = observed[unit, period]
    first_of_unit = np.flatnonzero(np.diff(unit, prepend=-1))
    rate = n_distant[unit] / n[unit]

    def confidence_at(level: Integers) -> Floats:
        """The largest confidence that each unit's contamination is below its level, a row of `LEVELS`."""
        expected = rate * (LEVELS[level[unit]] / 100) * (periods[period] + sample / 2) * 2 * n[unit]
        best = np.full(n.size, -np.inf)
        if unit.size:
            best[n > 0] = np.maximum.reduceat(100 * (1 - scipy.special.pdtr(observed, expected)), first_of_unit)
        return best

    reached = confidence_at(np.full(n.size, min(np.searchsorted(LEVELS, tolerated), LEVELS.size - 1)))
    # Confidence rises with the level: halve the range in which the lowest sufficient one lies.
    low, high = np.zeros(n.size, dtype=np.int64), np.full(n.size, LEVELS.size)
    while np.any(low < high):
        middle = np.minimum((low + high) // 2, LEVELS.size - 1)
        enough = confidence_at(middle) >= confidence
        low, high = np.where(enough | (low == high), low, middle + 1), np.where(enough, middle, high)
    contamination = np.append(LEVELS, np.nan)[low]
    return {
        "refractory_confidence": np.where(n > 0, reached, np.nan),
        "refractory_contamination": contamination,
        "n_spikes_below_2ms": lags[:, : np.searchsorted(periods, 0.002, side="right") + 1].sum(axis=1),
        "refractory_pass": contamination <= tolerated,
    }
