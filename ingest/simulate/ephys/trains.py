"""Spike trains from what generates them: a rate in steps, a refractory period, spikes of other neurons, lost spikes."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from .units import EVENTS, Unit


class Train(NamedTuple):
    """The spikes of one unit in order of time."""

    samples: np.ndarray  # int64
    scale: np.ndarray  # float64, amplitude over the mean amplitude of the unit
    foreign: np.ndarray  # bool, spikes of other neurons


def simulate_train(
    unit: Unit, trials: dict[str, np.ndarray] | None, duration: float, sample_rate: float, rng: np.random.Generator
) -> Train:
    """The train of a unit in a session of `duration` s.

    Own spikes are a Poisson process with a dead time, whose hazard is raised so that the rate is the stated one; those
    of other neurons are a Poisson process of the same course. Spikes are lost by their amplitude, from below.
    """
    edges, rates = rate_steps(unit, trials, duration)
    rates = rates / (1 - unit.missed)
    own = (1 - unit.contamination) * rates
    dead = round(unit.refractory * sample_rate)
    samples = (poisson(edges, own / (1 - own * unit.refractory), rng) * sample_rate).astype(np.int64)
    samples = without_short_intervals(samples, dead)
    others = (poisson(edges, unit.contamination * rates, rng) * sample_rate).astype(np.int64)
    foreign = np.zeros(len(samples) + len(others), bool)
    foreign[len(samples) :] = True
    samples = np.concatenate([samples, others])
    z = rng.standard_normal(len(samples))
    if unit.missed:
        detected = z > NormalDist().inv_cdf(unit.missed)
        samples, foreign, z = samples[detected], foreign[detected], z[detected]
    order = np.argsort(samples, kind="stable")
    samples, foreign, z = samples[order], foreign[order], z[order]
    hours = (samples / sample_rate - duration / 2) / 3600
    scale = (1 + unit.amplitude_sd * z) * (1 + unit.amplitude_drift * hours)
    return Train(samples, scale.clip(min=0.02), foreign)


def rate_steps(unit: Unit, trials: dict[str, np.ndarray] | None, duration: float) -> tuple[np.ndarray, np.ndarray]:
    """Edges (s, n + 1) of the steps in which the rate of a unit is constant, and the rates (Hz, n).

    Examples
    --------
    >>> edges, rates = rate_steps(Unit(depth=100, rate=4, gaps=((6.0, 8.0),)), None, 10.0)
    >>> edges.tolist(), rates.tolist()
    ([0.0, 6.0, 8.0, 10.0], [4.0, 0.0, 4.0])
    """
    times, changes = [np.array([0.0])], [np.array([1.0])]
    for response in unit.responses:
        if trials is None:
            break
        change = response.gain * response.weights(trials)
        begin = trials[EVENTS[response.event]] + response.latency
        on = ~np.isnan(begin) & (change != 0)
        times += [begin[on], begin[on] + response.duration]
        changes += [change[on], -change[on]]
    time, change = np.concatenate(times).clip(0, duration), np.concatenate(changes)
    order = np.argsort(time, kind="stable")
    time, factor = time[order], np.cumsum(change[order])
    bounds = np.array([bound for gap in unit.gaps for bound in gap]).clip(0, duration)
    edges = np.unique(np.concatenate([time, bounds, [duration]]))
    middle = (edges[:-1] + edges[1:]) / 2
    rates = unit.rate * np.maximum(factor[np.searchsorted(time, middle) - 1], 0)
    for first, last in unit.gaps:
        rates[(middle > first) & (middle < last)] = 0
    return edges, rates


def poisson(edges: np.ndarray, rates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Times (s, ascending) of a Poisson process with these rates (Hz) between these edges (s), by rescaling time."""
    expected = np.concatenate([[0.0], np.cumsum(np.diff(edges) * rates)])
    steps = rng.standard_exponential(rng.poisson(expected[-1]) + 1).cumsum()
    return np.interp(steps[:-1] * (expected[-1] / steps[-1]), expected, edges)


def without_short_intervals(samples: np.ndarray, dead: int) -> np.ndarray:
    """Ascending `samples` without those that follow a kept one by fewer than `dead`.

    >>> without_short_intervals(np.array([0, 2, 4, 6, 20]), 5).tolist()
    [0, 6, 20]
    """
    while True:
        short = np.diff(samples) < dead
        if not short.any():
            return samples
        short[1:] &= ~short[:-1]
        samples = np.delete(samples, np.flatnonzero(short) + 1)
