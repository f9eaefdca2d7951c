"""Wheel traces whose movements are known: minimum-jerk turns sampled, as a rotary encoder does, once per tick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

RESPONSE_ANGLE = 35 / 4 / 31  # rad of wheel that carry the stimulus 35 deg: 4 deg/mm, wheel radius 31 mm
_PHASE = np.linspace(0, 1, 2001)
_TRAVEL = _PHASE**3 * (10 - 15 * _PHASE + 6 * _PHASE**2)  # minimum jerk: fraction of the way at each phase


class Wheel(NamedTuple):
    """A trace and the movements in it. Positive is anti-clockwise: towards a right choice (choice -1)."""

    timestamps: np.ndarray  # s, irregular, strictly increasing, shape (n_samples,)
    position: np.ndarray  # rad, shape (n_samples,)
    onsets: np.ndarray  # s, first tick of each movement, shape (n_moves,)
    offsets: np.ndarray  # s, last tick of each movement
    amplitudes: np.ndarray  # rad, signed


def simulate_wheel(
    trials: Mapping[str, np.ndarray], seed: int | np.random.Generator = 0, ticks: int = 1024, spontaneous: float = 0.3
) -> Wheel:
    """A wheel trace that fits the `trials` of `session.simulate_trials`.

    Every trial with a response has one movement, whose first tick is at its first_movement_times (to 0.1 ms), which
    crosses the response angle (0.28 rad) at its response_times and goes on to 0.35 to 1.2 rad. A fraction
    `spontaneous` of the trials is followed by a small movement (0.1 to 0.3 rad) of either direction. The encoder
    (`ticks` per revolution: 1024 on a training rig, 4096 on an ephys rig) jitters by 20 us and flickers by one tick.

    Examples
    --------
    >>> from ingest.simulate.session import SessionParams, simulate_trials
    >>> trials = simulate_trials(SessionParams(n_trials=50), seed=3)
    >>> wheel = simulate_wheel(trials, seed=3)
    >>> bool(np.all(np.diff(wheel.timestamps) > 0)), len(wheel.onsets) >= np.sum(trials["choice"] != 0)
    (True, np.True_)
    """
    rng = np.random.default_rng(seed)
    step = 2 * np.pi / ticks
    chosen = np.flatnonzero(trials["choice"])
    n_ticks = np.rint(rng.uniform(0.35, 1.2, len(chosen)) / step).astype(int)
    first, response = trials["first_movement_times"][chosen], trials["response_times"][chosen]
    phase_first, phase_cross = _phase_at(0.5 / n_ticks), _phase_at(RESPONSE_ANGLE / (n_ticks * step))
    duration = (response - first) / (phase_cross - phase_first)
    begin = first - duration * phase_first
    direction = -trials["choice"][chosen]

    drifting = np.flatnonzero(rng.random(len(trials["choice"])) < spontaneous)
    few = np.rint(rng.uniform(0.1, 0.3, len(drifting)) / step).astype(int)
    begin = np.concatenate([begin, trials["intervals_1"][drifting] - 0.1])
    duration = np.concatenate([duration, rng.uniform(0.15, 0.22, len(drifting))])
    direction = np.concatenate([direction, rng.choice([-1, 1], len(drifting))])
    n_ticks = np.concatenate([n_ticks, few])

    firsts = np.cumsum(n_ticks) - n_ticks
    tick = np.arange(n_ticks.sum()) - np.repeat(firsts, n_ticks)
    when = np.repeat(begin, n_ticks) + np.repeat(duration, n_ticks) * _phase_at(
        (tick + 0.5) / np.repeat(n_ticks, n_ticks)
    )
    when = when + rng.uniform(-1e-5, 1e-5, len(when))
    delta = np.repeat(direction, n_ticks)
    onsets, offsets = (f.reduceat(when, firsts) if len(when) else when for f in (np.minimum, np.maximum))

    flicker = trials["intervals_0"][rng.random(len(trials["choice"])) < 0.2] + 0.15
    back = flicker + rng.uniform(0.01, 0.03, len(flicker))
    ones = np.ones(len(flicker), dtype=int)
    all_when = np.concatenate([[0.0], when, flicker, back])
    all_delta = np.concatenate([[0], delta, ones, -ones])
    order = np.argsort(all_when)
    in_time = np.argsort(onsets)
    return Wheel(
        timestamps=all_when[order],
        position=np.cumsum(all_delta[order]) * step,
        onsets=onsets[in_time],
        offsets=offsets[in_time],
        amplitudes=(direction * n_ticks * step)[in_time],
    )


def _phase_at(travel: np.ndarray) -> np.ndarray:
    """Phase (0-1 of the duration) at which a minimum-jerk movement has gone the fraction `travel` of its way."""
    return np.interp(travel, _TRAVEL, _PHASE)
