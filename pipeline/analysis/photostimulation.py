"""What light does: to the performance of an animal, and to units that express an opsin (optotagging)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import AnyArray, Booleans, Floats, Integers
from pipeline.analysis.responses import benjamini_hochberg, window_counts

__all__ = ["Tagging", "compare_performance", "events_of", "optotagging", "trials_of"]


def trials_of(onsets: ArrayLike, starts: ArrayLike, ends: ArrayLike) -> Integers:
    """The trial in which each event begins, (n,) int64; -1 where it begins in none.

    Parameters
    ----------
    onsets : (n,) s
    starts, ends : (n_trials,) s; a trial without an end lasts until the next begins

    Examples
    --------
    >>> trials_of([0.5, 2.5, 3.1, 9.0], [0.0, 2.0, 3.0], [1.0, 2.4, 4.0])
    array([ 0, -1,  2, -1])
    """
    onsets, starts, ends = (np.asarray(item, dtype=np.float64) for item in (onsets, starts, ends))
    order = np.argsort(starts, kind="stable")
    order = order[np.isfinite(starts[order])]
    if not order.size:
        return np.full(onsets.shape, -1)
    place = np.searchsorted(starts[order], onsets, side="right") - 1
    trial = order[np.clip(place, 0, None)]
    last = np.where(np.isfinite(ends[trial]), ends[trial], np.inf)
    with np.errstate(invalid="ignore"):
        return np.where((place >= 0) & (onsets <= last), trial, -1)


def compare_performance(
    correct: ArrayLike | None, responded: ArrayLike, latency: ArrayLike | None, group: ArrayLike
) -> dict[str, Any]:
    """How an animal did in two groups of trials, and whether they differ.

    Parameters
    ----------
    correct : (n_trials,) 1 or 0; NaN where it is not known, as in trials without a response. None: unknown in all
    responded : (n_trials,) bool
    latency : (n_trials,) time to the response, s; NaN without one. None: not recorded
    group : (n_trials,) 0 and 1; other trials are left out

    Returns
    -------
    dict
        For each group ``n``, ``n_correct`` (None where unknown), ``performance`` (fraction correct of the trials of
        which it is known, 0-1), ``response_rate`` (0-1), ``response_time`` (median, s), as lists of two, None where
        there is nothing to count; ``performance_p`` and ``response_p`` by Fisher's exact test, ``response_time_p`` by
        the rank-sum test, 0-1; None where a group is empty.

    Examples
    --------
    >>> comparison = compare_performance([1, 1, 1, 1, 0, 0, 0, 0], np.ones(8, bool), None, [0, 0, 0, 0, 1, 1, 1, 1])
    >>> comparison["performance"], round(comparison["performance_p"], 4)
    ([1.0, 0.0], 0.0286)
    """
    group, responded = np.asarray(group), np.asarray(responded, dtype=bool)
    known = np.full(group.shape, np.nan) if correct is None else np.asarray(correct, dtype=np.float64)
    times = np.full(group.shape, np.nan) if latency is None else np.asarray(latency, dtype=np.float64)
    parts = [group == 0, group == 1]
    judged = [known[part & np.isfinite(known)] for part in parts]
    answers = [responded[part] for part in parts]
    delays = [times[part & np.isfinite(times)] for part in parts]
    return {
        "n": [int(part.sum()) for part in parts],
        "n_correct": [int(item.sum()) if item.size else None for item in judged],
        "performance": [float(item.mean()) if item.size else None for item in judged],
        "response_rate": [float(answer.mean()) if answer.size else None for answer in answers],
        "response_time": [float(np.median(delay)) if delay.size else None for delay in delays],
        "performance_p": _fisher(*judged),
        "response_p": _fisher(*answers),
        "response_time_p": _rank_sum(*delays),
    }


@dataclass(frozen=True, eq=False)
class Tagging:
    """What light does to units; arrays (k,), NaN where there are no pulses."""

    reliability: Floats  # fraction of the pulses that a spike follows within the window, 0-1
    baseline: Floats  # the same for windows as long before the pulses, 0-1
    latency: Floats  # median time of the first spike, s; NaN without one
    jitter: Floats  # standard deviation of that time, s
    p_value: Floats  # that a spike is as likely before: exact sign test over the pulses, 0-1
    p_corrected: Floats  # after Benjamini and Hochberg over the units
    tagged: Booleans


def optotagging(
    times: ArrayLike,
    offsets: ArrayLike,
    onsets: ArrayLike,
    window: float = 0.01,
    alpha: float = 0.01,
    least_reliability: float = 0.1,
    largest_latency: float = 0.008,
) -> Tagging:
    """Which units follow pulses of light so soon, and so often, that they answer to it directly.

    A unit is tagged if spikes within `window` after the pulses are more frequent than in the window before them
    (one-sided, corrected p below `alpha`), in at least `least_reliability` of the pulses beyond the baseline, with a
    median latency of at most `largest_latency`.

    Parameters
    ----------
    times : (n,) s, grouped by unit, ascending within each
    offsets : (k + 1,) where each unit's spikes begin
    onsets : (m,) of the pulses, s; NaN are left out
    window, largest_latency : s

    Examples
    --------
    >>> onsets = np.arange(1.0, 31.0)
    >>> spikes = np.concatenate([onsets + 0.003, onsets + 0.5])
    >>> tagging = optotagging(spikes, [0, 30, 60], onsets)
    >>> tagging.tagged, tagging.latency.round(4)
    (array([ True, False]), array([0.003,   nan]))
    """
    times, offsets = np.asarray(times, dtype=np.float64), np.asarray(offsets)
    pulses = np.sort(np.asarray(onsets, dtype=np.float64))
    pulses = pulses[np.isfinite(pulses)]
    k = len(offsets) - 1
    if not pulses.size:
        nan = np.full(k, np.nan)
        return Tagging(nan, nan, nan, nan, nan, nan, np.zeros(k, bool))
    after = window_counts(times, offsets, pulses, 0.0, window) > 0
    before = window_counts(times, offsets, pulses, -window, 0.0) > 0
    only_after, only_before = (after & ~before).sum(axis=1), (before & ~after).sum(axis=1)
    p = scipy.stats.binom.sf(only_after - 1, only_after + only_before, 0.5)
    latency, jitter = np.full(k, np.nan), np.full(k, np.nan)
    for unit in range(k):
        own = times[offsets[unit] : offsets[unit + 1]]
        first = own[np.clip(np.searchsorted(own, pulses), 0, max(len(own) - 1, 0))] - pulses if len(own) else own
        first = first[(first >= 0) & (first < window)]
        if first.size:
            latency[unit], jitter[unit] = np.median(first), np.std(first)
    corrected = benjamini_hochberg(p)
    gain = after.mean(axis=1) - before.mean(axis=1)
    with np.errstate(invalid="ignore"):
        tagged = (corrected < alpha) & (gain >= least_reliability) & (latency <= largest_latency)
    return Tagging(after.mean(axis=1), before.mean(axis=1), latency, jitter, p, corrected, tagged)


def _fisher(a: Floats | Booleans, b: Floats | Booleans) -> float | None:
    """p-value that two groups of 0 and 1 have the same share of 1; None where one is empty."""
    if not a.size or not b.size:
        return None
    table = [[int(item.sum()), int(item.size - item.sum())] for item in (a, b)]
    return min(1.0, float(scipy.stats.fisher_exact(table)[1]))


def _rank_sum(a: Floats, b: Floats) -> float | None:
    if not a.size or not b.size:
        return None
    return float(scipy.stats.mannwhitneyu(a, b, alternative="two-sided").pvalue)


def events_of(columns: Mapping[str, AnyArray]) -> tuple[Floats, dict[str, AnyArray]]:
    """The onset of each pulse or train (s), and what else the columns of an ALF object say: offset, power, site.

    Raises
    ------
    ValueError
        The object has neither intervals nor times of one dimension, or an event ends before it begins.

    Examples
    --------
    >>> onset, rest = events_of({"intervals_0": np.array([1.0, 3.0]), "intervals_1": np.array([1.5, 3.5])})
    >>> onset, list(rest)
    (array([1., 3.]), ['offset'])
    """
    properties: dict[str, AnyArray] = {}
    if "intervals_0" in columns:
        onset, offset = (np.asarray(columns[name], dtype=np.float64) for name in ("intervals_0", "intervals_1"))
        if (wrong := np.flatnonzero(offset < onset)).size:
            raise ValueError(f"row {wrong[0]}: it ends at {offset[wrong[0]]:g} s, before it begins")
        properties["offset"] = offset
    elif "times" in columns and np.ndim(columns["times"]) == 1:
        onset = np.asarray(columns["times"], dtype=np.float64)
    else:
        raise ValueError("neither intervals nor times of the events")
    power = columns.get("power")
    if power is not None and power.ndim == 1 and power.dtype.kind in "biuf":
        properties["power"] = power.astype(np.float64)
    site = next((columns[name] for name in ("site", "location", "stimulus") if name in columns), None)
    if site is not None and site.ndim == 1:
        properties["site"] = np.array(["" if value is None else str(value)[:64] for value in site.tolist()], object)
    return onset, properties
