"""Which units respond to an event and which tell conditions apart: rates, rank tests, corrected p-values.

Tests are the usual rank tests in their normal approximation with correction for ties, computed for all units at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import ArrayLike, NDArray

from pipeline.analysis import _peth_kernels as kernels
from pipeline.analysis import _threads
from pipeline.analysis.arrays import AnyArray, Booleans, Floats, Integers, Numbers, plain
from pipeline.analysis.spikes import checked_groups

__all__ = [
    "Responsiveness",
    "Selectivity",
    "benjamini_hochberg",
    "modulated_fraction",
    "more_than_chance",
    "period_selectivity",
    "responsiveness",
    "selectivity",
    "trial_groups",
    "window_counts",
]


@dataclass(frozen=True)
class Responsiveness:
    """Response of each unit to an event; all arrays (k,)."""

    baseline_rate: Floats  # Hz
    response_rate: Floats  # Hz
    statistic: Floats  # z of the signed-rank test, positive where the rate rises
    p_value: Floats  # two-sided; 1 where no trial differs, NaN without events
    p_corrected: Floats  # after Benjamini and Hochberg over the units
    responsive: Booleans  # p_corrected below alpha


@dataclass(frozen=True)
class Selectivity:
    """How well each unit's count tells two groups of trials apart; all arrays (k,)."""

    rate_0: Floats  # Hz, trials of group 0
    rate_1: Floats  # Hz, trials of group 1
    index: Floats  # -1 to 1: 2 AUC - 1, positive where group 1 has more spikes; NaN where a group is empty
    p_value: Floats  # two-sided rank-sum test; 1 where all counts are equal
    p_corrected: Floats  # after Benjamini and Hochberg over the units
    selective: Booleans  # p_corrected below alpha


def window_counts(
    times: ArrayLike,
    offsets: ArrayLike,
    events: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    threads: int | None = None,
) -> NDArray[np.int32]:
    """Spikes of each unit in a window beside each event.

    Parameters
    ----------
    times : (n,) array, s, grouped by unit, ascending within each
    offsets : (k + 1,) array, where each unit's spikes begin
    events : (n_events,) array, s, not NaN
    start, end : s from the event, one value or one per event; the end does not belong to the window

    Returns
    -------
    (k, n_events) int32 array

    Examples
    --------
    >>> window_counts([0.9, 1.1, 1.2, 2.1], [0, 3, 4], [1.0, 2.0], 0.0, 0.5)
    array([[2, 0],
           [0, 1]], dtype=int32)
    """
    times, offsets = checked_groups(times, offsets)
    events = np.asarray(events, dtype=float)
    if events.ndim != 1 or np.isnan(events).any():
        raise ValueError("events must be one-dimensional and not NaN")
    starts = np.ascontiguousarray(events + start)
    ends = np.ascontiguousarray(events + end)
    out = np.zeros((offsets.size - 1, events.size), dtype=np.int32)

    def piece(first: int, last: int) -> None:
        own = offsets[first : last + 1]
        kernels.window_counts(plain(times[own[0] : own[-1]]), own - own[0], starts, ends, out[first:last])

    _threads.run(piece, _threads.balanced_pieces(offsets, 32), threads)
    return out


def responsiveness(
    times: ArrayLike,
    offsets: ArrayLike,
    events: ArrayLike,
    baseline: tuple[float, float] = (-0.5, 0.0),
    response: tuple[float, float] = (0.0, 0.5),
    alpha: float = 0.05,
    baseline_events: ArrayLike | None = None,
    threads: int | None = None,
) -> Responsiveness:
    """Compare each unit's rate after an event with that before it, by Wilcoxon's signed-rank test over trials.

    Trials whose rates are equal are left out of the test (Wilcoxon's own rule), ties share their rank, no continuity
    correction: `scipy.stats.wilcoxon` with method "asymptotic". IBL's `responsive_units` makes the same comparison.

    Parameters
    ----------
    times : (n,) array, s, grouped by unit, ascending within each
    offsets : (k + 1,) array, where each unit's spikes begin
    events : (n_events,) array, s; NaN are left out
    baseline, response : start and end of the windows, s from the event
    alpha : level for `responsive`, compared with the corrected p-value
    baseline_events : (n_events,) array, s, the moment of the same trial that the baseline window counts from; NaN are
        left out; by default `events`

    Raises
    ------
    ValueError
        If a window is empty or lengths do not fit.

    Examples
    --------
    >>> events = np.arange(1.0, 31.0)
    >>> units = responsiveness(np.sort(np.r_[events + 0.1, events + 0.2]), [0, 60], events)
    >>> units.baseline_rate, units.response_rate, units.responsive
    (array([0.]), array([4.]), array([ True]))
    """
    for name, (start, end) in (("baseline", baseline), ("response", response)):
        if not start < end:
            raise ValueError(f"the {name} window must begin before it ends, not {start}, {end}")
    moments = np.asarray(events, dtype=float)
    before_events = moments if baseline_events is None else np.asarray(baseline_events, dtype=float)
    if moments.shape != before_events.shape:
        raise ValueError(f"{moments.size} events but {before_events.size} baseline_events")
    used = ~np.isnan(moments) & ~np.isnan(before_events)
    moments, before_events = moments[used], before_events[used]
    before = window_counts(times, offsets, before_events, *baseline, threads=threads) / (baseline[1] - baseline[0])
    after = window_counts(times, offsets, moments, *response, threads=threads) / (response[1] - response[0])
    z, p = _signed_rank(after - before)
    corrected = benjamini_hochberg(p)
    n = max(moments.size, 1)
    empty = np.nan if moments.size == 0 else 1.0
    return Responsiveness(
        before.sum(axis=1) / n * empty, after.sum(axis=1) / n * empty, z, p, corrected, corrected < alpha
    )


def selectivity(
    times: ArrayLike,
    offsets: ArrayLike,
    events: ArrayLike,
    groups: ArrayLike,
    window: tuple[float, float] = (0.0, 0.5),
    alpha: float = 0.05,
    threads: int | None = None,
) -> Selectivity:
    """Compare each unit's counts between two groups of trials, by the rank-sum (Mann-Whitney) test.

    Normal approximation with correction for ties and without continuity correction: `scipy.stats.mannwhitneyu` with
    method "asymptotic" and use_continuity False. Conditions that come in blocks, and rates that drift, make
    neighbouring trials alike, and such p-values too small.

    Parameters
    ----------
    times : (n,) array, s, grouped by unit, ascending within each
    offsets : (k + 1,) array, where each unit's spikes begin
    events : (n_events,) array, s; NaN are left out
    groups : (n_events,) array, 0 and 1; trials with other values (-1, NaN) are left out; see `trial_groups`
    window : start and end, s from the event
    alpha : level for `selective`, compared with the corrected p-value

    Raises
    ------
    ValueError
        If the window is empty or lengths do not fit.

    Examples
    --------
    >>> events, groups = np.arange(1.0, 21.0), np.arange(20) % 2
    >>> units = selectivity(events[groups == 1] + 0.1, [0, 10], events, groups)
    >>> units.rate_0, units.rate_1, units.index, units.selective
    (array([0.]), array([2.]), array([1.]), array([ True]))
    """
    start, end = window
    if not start < end:
        raise ValueError(f"the window must begin before it ends, not {start}, {end}")
    events, groups = np.asarray(events, dtype=float), np.asarray(groups)
    if events.shape != groups.shape:
        raise ValueError(f"{events.size} events but groups of shape {groups.shape}")
    used = ~np.isnan(events) & ((groups == 0) | (groups == 1))
    one = groups[used] == 1
    counts = window_counts(times, offsets, events[used], start, end, threads=threads)
    index, p = _rank_sum(counts, one)
    corrected = benjamini_hochberg(p)
    with np.errstate(invalid="ignore"):
        rates = [counts[:, chosen].sum(axis=1) / np.count_nonzero(chosen) / (end - start) for chosen in (~one, one)]
    return Selectivity(rates[0], rates[1], index, p, corrected, corrected < alpha)


def period_selectivity(
    times: ArrayLike,
    offsets: ArrayLike,
    intervals: ArrayLike,
    groups: ArrayLike,
    alpha: float = 0.05,
    threads: int | None = None,
) -> Selectivity:
    """Compare each unit's rate in a period of the trials between two groups of trials, by the rank-sum test.

    As `selectivity`, but for periods whose length may differ from trial to trial: what is ranked is the rate in each.

    Parameters
    ----------
    times : (n,) array, s, grouped by unit, ascending within each
    offsets : (k + 1,) array, where each unit's spikes begin
    intervals : (n_trials, 2) array, start and end of the period, s; trials with NaN or without length are left out
    groups : (n_trials,) array, 0 and 1; trials with other values are left out
    alpha : level for `selective`, compared with the corrected p-value

    Raises
    ------
    ValueError
        If lengths do not fit.

    Examples
    --------
    >>> starts, groups = np.arange(1.0, 21.0), np.arange(20) % 2
    >>> units = period_selectivity(starts[groups == 1] + 0.1, [0, 10], np.column_stack([starts, starts + 0.5]), groups)
    >>> units.rate_0, units.rate_1, units.index, units.selective
    (array([0.]), array([2.]), array([1.]), array([ True]))
    """
    intervals, groups = np.asarray(intervals, dtype=float), np.asarray(groups)
    if intervals.shape != (groups.size, 2):
        raise ValueError(f"{groups.size} groups but intervals of shape {intervals.shape}")
    with np.errstate(invalid="ignore"):
        used = (intervals[:, 1] > intervals[:, 0]) & ((groups == 0) | (groups == 1))
    start, length = intervals[used, 0], np.diff(intervals[used]).ravel()
    one = groups[used] == 1
    rates = np.round(window_counts(times, offsets, start, 0.0, length, threads=threads) / length, 9)
    index, p = _rank_sum(rates, one)
    corrected = benjamini_hochberg(p)
    nan = np.full(len(rates), np.nan)
    means = [rates[:, chosen].mean(axis=1) if chosen.any() else nan for chosen in (~one, one)]
    return Selectivity(means[0], means[1], index, p, corrected, corrected < alpha)


def trial_groups(trials: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.int8]]:
    """The splits of trials that selectivity is asked for, as far as the session has their columns.

    Each is an (n_trials,) int8 array: side (0 left, 1 right stimulus), choice (0 left, 1 right), feedback (0 error,
    1 reward), block (0 mostly left, 1 mostly right); -1 where a trial belongs to neither.

    >>> trials = {"choice": [1, -1, 0], "probability_left": [0.8, 0.5, 0.2]}
    >>> {name: group.tolist() for name, group in trial_groups(trials).items()}
    {'choice': [0, 1, -1], 'block': [0, -1, 1]}
    """
    columns = {name: np.asarray(values, dtype=float) for name, values in trials.items() if name in _SPLIT_COLUMNS}
    groups: dict[str, tuple[Booleans, Booleans]] = {}
    if {"contrast_left", "contrast_right"} <= columns.keys():
        left, right = ~np.isnan(columns["contrast_left"]), ~np.isnan(columns["contrast_right"])
        groups["side"] = (left & ~right, right & ~left)
    if "choice" in columns:
        groups["choice"] = (columns["choice"] == 1, columns["choice"] == -1)
    if "feedback_type" in columns:
        groups["feedback"] = (columns["feedback_type"] == -1, columns["feedback_type"] == 1)
    if "probability_left" in columns:
        groups["block"] = (columns["probability_left"] > 0.5, columns["probability_left"] < 0.5)
    return {name: np.select([zero, one], [0, 1], -1).astype(np.int8) for name, (zero, one) in groups.items()}


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """p-values corrected for their number so that the false discovery rate is controlled.

    Benjamini and Hochberg (1995), J R Stat Soc B 57: 289-300: the smallest level at which each would be called a
    discovery. NaN stay NaN and do not count.

    >>> benjamini_hochberg([0.01, 0.04, np.nan, 0.03]).round(3)
    array([0.03, 0.04,  nan, 0.04])
    """
    p_values = np.asarray(p_values, dtype=float)
    out = np.full(p_values.shape, np.nan)
    known = ~np.isnan(p_values)
    p = p_values[known]
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise ValueError("p-values must lie between 0 and 1")
    order = np.argsort(p)
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    out[known] = corrected
    return out


def modulated_fraction(modulated: ArrayLike, labels: ArrayLike) -> tuple[AnyArray, Integers, Floats]:
    """The fraction of modulated units for each label, for instance brain region.

    Returns
    -------
    labels : (m,) array, ascending
    n_units : (m,) array
    fraction : (m,) array, 0-1

    Examples
    --------
    >>> modulated_fraction([True, False, True], ["CA1", "CA1", "VISp"])
    (array(['CA1', 'VISp'], dtype='<U4'), array([2, 1]), array([0.5, 1. ]))
    """
    modulated = np.asarray(modulated, dtype=bool)
    names, inverse, n = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    if inverse.shape != modulated.shape:
        raise ValueError(f"{modulated.size} units but {inverse.size} labels")
    return names, n, np.bincount(inverse, modulated, names.size) / n


def more_than_chance(n_modulated: ArrayLike, n_units: ArrayLike, alpha: float = 0.05) -> Floats:
    """The chance that of `n_units` at least `n_modulated` pass a test at level `alpha` where none is modulated.

    One-sided binomial test; units are taken as independent, which those recorded together are not quite.

    >>> more_than_chance([0, 1, 3], [10, 10, 10]).round(3)
    array([1.   , 0.401, 0.012])
    """
    chance: Floats = scipy.special.bdtrc(np.asarray(n_modulated) - 1.0, np.asarray(n_units), alpha)
    return chance


_SPLIT_COLUMNS = ("contrast_left", "contrast_right", "choice", "feedback_type", "probability_left")


def _signed_rank(differences: Floats) -> tuple[Floats, Floats]:
    """z and two-sided p of Wilcoxon's signed-rank test for each row."""
    z = np.full(differences.shape[0], np.nan)
    p = np.full(differences.shape[0], np.nan)
    if differences.shape[1] == 0:
        return z, p
    for row, values in enumerate(differences):
        d = np.round(values[values != 0], 9)
        if d.size == 0:
            z[row], p[row] = 0.0, 1.0
            continue
        ranks = scipy.stats.rankdata(np.abs(d))
        ties = np.unique(ranks, return_counts=True)[1].astype(float)
        n = d.size
        mean = n * (n + 1) / 4
        variance = n * (n + 1) * (2 * n + 1) / 24 - (ties**3 - ties).sum() / 48
        z[row] = (ranks[d > 0].sum() - mean) / np.sqrt(variance)
        p[row] = 2 * scipy.special.ndtr(-abs(z[row]))
    return z, p


def _rank_sum(counts: Numbers, one: Booleans) -> tuple[Floats, Floats]:
    """2 AUC - 1 and two-sided p of the rank-sum test of the columns `one` against the others, for each row."""
    n1 = np.count_nonzero(one)
    n0 = one.size - n1
    if n0 == 0 or n1 == 0:
        return np.full(counts.shape[0], np.nan), np.full(counts.shape[0], np.nan)
    ranks = scipy.stats.rankdata(counts, axis=1)
    u = ranks[:, one].sum(axis=1) - n1 * (n1 + 1) / 2
    n = n0 + n1
    ties = np.array([(t.astype(float) ** 3 - t).sum() for t in (np.unique(r, return_counts=True)[1] for r in ranks)])
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (u - n0 * n1 / 2) / np.sqrt(n0 * n1 / 12 * (n + 1 - ties.reshape(-1) / (n * (n - 1))))
    p = np.where(np.isnan(z), 1.0, 2 * scipy.special.ndtr(-np.abs(z)))
    return 2 * u / (n0 * n1) - 1, p
