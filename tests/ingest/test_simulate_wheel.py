"""The movements that a simulated wheel trace claims to hold are in it, where and as large as it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.simulate import Psychometric, SessionParams, simulate_trials, simulate_wheel
from ingest.simulate.wheel import RESPONSE_ANGLE


@pytest.fixture(params=[1024, 4096], ids=["training rig", "ephys rig"])
def trials_and_wheel(request):
    trials = simulate_trials(SessionParams(n_trials=300, no_go_rate=0.05), seed=8)
    return trials, simulate_wheel(trials, seed=8, ticks=request.param), 2 * np.pi / request.param


def _position_at(wheel, times):
    return wheel.position[np.searchsorted(wheel.timestamps, times, side="right") - 1]


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 60), seed=st.integers(0, 2**32), no_go=st.sampled_from([0.0, 0.3, 1.0]))
def test_trace_is_what_an_encoder_gives(n, seed, no_go):
    """Time strictly increases, each sample is one tick from the one before, and movements do not overlap."""
    trials = simulate_trials(
        SessionParams(n_trials=n, no_go_rate=no_go, blocks={0.5: Psychometric(0, 80, 0.4, 0.4)}), seed
    )
    wheel = simulate_wheel(trials, seed)
    assert np.all(np.diff(wheel.timestamps) > 0)
    assert np.allclose(np.abs(np.diff(wheel.position)), 2 * np.pi / 1024)
    assert np.all(wheel.offsets > wheel.onsets)
    assert np.all(wheel.onsets[1:] > wheel.offsets[:-1])
    assert len(wheel.onsets) >= np.sum(trials["choice"] != 0)


def test_every_response_has_a_movement_towards_the_choice(trials_and_wheel):
    """First tick at first_movement_times, response angle reached at response_times, anti-clockwise for choice -1."""
    trials, wheel, step = trials_and_wheel
    responded = trials["choice"] != 0
    first, response = trials["first_movement_times"][responded], trials["response_times"][responded]
    index = np.searchsorted(wheel.onsets, first - 1e-3)
    assert np.allclose(wheel.onsets[index], first, atol=2e-4)
    turned = _position_at(wheel, response) - _position_at(wheel, first - 1e-3)
    direction = -trials["choice"][responded]
    assert np.allclose(turned * direction, RESPONSE_ANGLE, atol=1.6 * step)
    assert np.all(np.sign(wheel.amplitudes[index]) == direction)
    assert np.all(wheel.offsets[index] > response)


def test_amplitudes_are_those_of_the_trace(trials_and_wheel):
    _, wheel, step = trials_and_wheel
    turned = _position_at(wheel, wheel.offsets + 1e-6) - _position_at(wheel, wheel.onsets - 1e-6)
    assert np.allclose(turned, wheel.amplitudes, atol=step / 100)
    assert np.abs(wheel.amplitudes).min() > 0.09
    assert np.abs(wheel.amplitudes).max() < 1.21


def test_wheel_is_still_between_movements(trials_and_wheel):
    """Between two movements the wheel never leaves its place by more than one tick of flicker."""
    _, wheel, step = trials_and_wheel
    inside = np.searchsorted(wheel.onsets, wheel.timestamps + 1e-9) - np.searchsorted(
        wheel.offsets, wheel.timestamps - 1e-9
    )
    still = np.flatnonzero(inside == 0)
    rest = np.concatenate([[0.0], np.cumsum(wheel.amplitudes)])[np.searchsorted(wheel.offsets, wheel.timestamps[still])]
    assert len(still) > 20
    assert np.all(np.abs(wheel.position[still] - rest) < 1.01 * step)


def test_quiescence_holds_before_each_stimulus(trials_and_wheel):
    trials, wheel, _ = trials_and_wheel
    stim_on = trials["go_cue_trigger_times"]
    last = wheel.offsets[(np.searchsorted(wheel.offsets, stim_on) - 1).clip(min=0)]
    assert np.all((stim_on - last > 0.2) | (last > stim_on))
    moving = (wheel.onsets[:, None] < stim_on) & (wheel.offsets[:, None] > stim_on)
    assert not moving.any()


def test_spontaneous_movements_can_be_left_out():
    trials = simulate_trials(SessionParams(n_trials=100, no_go_rate=0.1), seed=1)
    wheel = simulate_wheel(trials, seed=1, spontaneous=0.0)
    assert len(wheel.onsets) == np.sum(trials["choice"] != 0)
