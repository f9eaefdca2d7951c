"""The unit of a wheel is proven by its ticks in whatever form it comes, and never guessed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import encoder, wheel


def trace(seed: int, n: int = 3000):
    """Times (s) and ticks of a wheel that turns to and fro, a sample a tick as an encoder writes them."""
    chance = np.random.default_rng(seed)
    direction = np.repeat(chance.choice([-1, 1], n // 50), 50)
    gaps = chance.gamma(2.0, 0.004, direction.size)
    return np.cumsum(gaps), np.cumsum(direction)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    unit=st.sampled_from(["cm", "deg", "mm", "rad", "ticks"]),
    decoding=st.sampled_from([1, 2, 4]),
    rate=st.sampled_from([None, 1000, 500]),
    single=st.booleans(),
)
def test_any_form_of_one_trace_is_the_same_in_radians(seed, unit, decoding, rate, single):
    """In every unit, as it was recorded or interpolated, in single or double precision."""
    times, ticks = trace(seed)
    turn = encoder.TURN["ticks"] if unit == "ticks" else decoding * encoder.ENCODER_CYCLES
    position = ticks * (encoder.TURN[unit] / turn)
    expected = ticks * (2 * np.pi / turn)
    if rate:
        even = np.arange(times[0], times[-1], 1 / rate)
        position, expected = np.interp(even, times, position), np.interp(even, times, expected)
        times = even
    radians = encoder.in_radians(position.astype(np.float32) if single else position, times)
    assert radians.unit == unit
    np.testing.assert_allclose(radians.position, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), offset=st.integers(-40, 40), form=st.sampled_from(["uint16", "uint32", "angle"]))
def test_a_counter_that_begins_anew_does_not_jump(seed, offset, form):
    times, ticks = trace(seed)
    period = {"uint16": 2**16, "uint32": 2**32, "angle": 4096}[form]
    wrapped = (ticks - ticks[0] + offset) % period
    radians = encoder.in_radians(wrapped * (encoder.TICK if form == "angle" else 1), times)
    turned = (ticks - ticks[0]) * encoder.TICK
    np.testing.assert_allclose(radians.position - radians.position[0], turned, atol=1e-6)
    assert bool(radians.n_wraps) == bool(np.any(np.abs(np.diff(wrapped)) > 1))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(50, 5000), st.sampled_from([-1, 1]), st.integers(1, 2900))
def test_a_reset_is_taken_out_and_said(seed, jump, sign, where):
    times, ticks = trace(seed)
    jump = sign * np.rint(jump / encoder.TICK) * encoder.TICK
    position = ticks * encoder.TICK + np.where(np.arange(ticks.size) >= where, jump, 0)
    radians = encoder.in_radians(position, times)
    assert radians.n_resets == 1
    assert "reset" in radians.notes[0]
    assert wheel.total_distance(radians.position) == pytest.approx(
        (ticks.size - 2) * encoder.TICK, abs=2 * encoder.TICK
    )


def test_a_trace_that_proves_nothing_needs_a_stated_unit():
    times = np.arange(0, 20, 0.001)
    smooth = np.cumsum(np.sin(times) + np.cos(np.sqrt(7) * times)) * 1e-3
    with pytest.raises(encoder.UnknownUnit, match="in none of the known units"):
        encoder.in_radians(smooth, times)
    radians = encoder.in_radians(smooth, times, "cm")
    np.testing.assert_allclose(radians.position, smooth / encoder.WHEEL_RADIUS)
    with pytest.raises(ValueError, match="unit must be one of"):
        encoder.in_radians(smooth, times, "inch")


def test_a_stated_unit_that_the_trace_refutes_is_an_error():
    times, ticks = trace(0)
    with pytest.raises(encoder.UnknownUnit, match="stated as cm, but"):
        encoder.in_radians(ticks * encoder.TICK, times, "cm")


def test_a_wheel_that_never_turned_has_no_unit_to_prove():
    radians = encoder.in_radians(np.zeros(5), np.arange(5.0))
    assert radians.unit == "rad"
    assert not radians.position.any()


def test_speeds_that_no_mouse_reaches_are_said():
    times, ticks = trace(1)
    turned = encoder.in_radians(ticks * encoder.TICK, times)
    assert wheel.notes(turned, wheel.movements(turned.position, times, tick=encoder.TICK)) == []
    fast = encoder.in_radians(np.arange(0, 400, 4) * 1.0, np.arange(100) * 2e-5)
    said = wheel.notes(fast, wheel.movements(np.arange(1000) * 0.5, np.arange(1000) * 1e-3, tick=encoder.TICK), 2)
    assert said[0].startswith("2 samples left out")
    assert any("faster than a mouse" in value for value in said)
