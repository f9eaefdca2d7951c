"""Wheel movements: equal to what IBL's published detector found in real traces, and right about simulated ones."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import encoder, wheel

TICK = 2 * np.pi / 4096  # rad
REAL = Path(__file__).parents[3] / "shared/realdata/alf/ibllib_fixtures/Subjects/wheel_test"


def simulate(onsets, durations, amplitudes, rate=1000.0, length=None):
    """Times (s) and position (rad) of minimum-jerk movements, on an even time axis."""
    times = np.arange(0, length or onsets[-1] + durations[-1] + 1.0, 1 / rate)
    position = np.zeros_like(times)
    for onset, duration, amplitude in zip(onsets, durations, amplitudes, strict=True):
        x = np.clip((times - onset) / duration, 0, 1)
        position += amplitude * (10 * x**3 - 15 * x**4 + 6 * x**5)
    return times, position


def record(times, position, tick=TICK):
    """What an encoder writes of a movement: a sample at each change of its tick count, and the ends."""
    ticks = np.floor(position / tick + 0.5)
    keep = np.flatnonzero(np.r_[True, np.diff(ticks) != 0, True][:-1])
    keep = np.unique(np.r_[keep, keep[1:] - 1, times.size - 1])
    return times[keep], ticks[keep] * tick


@pytest.mark.skipif(not REAL.exists(), reason="real recordings are not here")
@pytest.mark.parametrize(
    ("date", "tick"),
    [
        pytest.param("2020-01-01", 1.0, id="ticks"),
        pytest.param("2020-01-02", 2 * np.pi * encoder.WHEEL_RADIUS / 4096, id="centimetres, X4 decoding"),
    ],
)
def test_finds_what_the_published_detector_finds_in_real_traces(date, tick):
    """The expected moves were computed by ibllib with its default thresholds in encoder ticks."""
    position = np.load(REAL / date / "001/alf/_ibl_wheel.position.npy")
    timestamps = np.load(REAL / date / "001/alf/_ibl_wheel.timestamps.npy")
    expected = np.load(REAL / date / "001/expected_moves.npz")
    moves = wheel.movements(position, timestamps, tick=tick)
    assert len(moves) == expected["onsets"].size
    np.testing.assert_allclose(moves.onsets, expected["onsets"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(moves.offsets, expected["offsets"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(moves.peak_amplitude, expected["peak_amplitudes"], rtol=0, atol=1e-9)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_recovers_simulated_minimum_jerk_movements(data):
    """Onset and offset where the true curve crosses the detector's thresholds; peak velocity 1.875 A/D at half time."""
    n = data.draw(st.integers(1, 5))
    durations = np.array(data.draw(st.lists(st.floats(0.2, 0.6), min_size=n, max_size=n)))
    gaps = np.array(data.draw(st.lists(st.floats(0.6, 2.0), min_size=n, max_size=n)))
    size = st.floats(0.2, 1.5).flatmap(lambda a: st.sampled_from([a, -a]))
    amplitudes = np.array(data.draw(st.lists(size, min_size=n, max_size=n)))
    onsets = np.cumsum(gaps) + np.r_[0, np.cumsum(durations)[:-1]]
    times, position = record(*simulate(onsets, durations, amplitudes))
    moves = wheel.movements(position, times, tick=TICK)
    assert len(moves) == n
    # Near its ends a minimum-jerk movement covers 10 x^3 of its amplitude in the fraction x of its duration.
    slack = 1.25 * durations * np.cbrt(np.array([[2.5], [9.0]]) * TICK / (10 * np.abs(amplitudes))) + 0.005
    assert np.all(np.abs(moves.onsets - onsets) <= slack[0])
    assert np.all(np.abs(moves.offsets - onsets - durations) <= slack[1])
    np.testing.assert_allclose(moves.peak_amplitude, amplitudes, atol=12 * TICK)
    np.testing.assert_allclose(moves.peak_velocity_times, onsets + durations / 2, atol=0.1)
    np.testing.assert_allclose(moves.peak_velocity, 1.875 * amplitudes / durations, rtol=0.35)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from([-1, 1]), min_size=2, max_size=400), st.integers(0, 2**31))
def test_spans_are_ordered_disjoint_and_long_enough(steps, seed):
    """Whatever the trace: onset < offset, movements at least min_gap apart and min_duration long, inside the trace."""
    times = np.cumsum(np.random.default_rng(seed).exponential(0.02, len(steps))) + 1.0
    position = np.cumsum(steps) * TICK
    moves = wheel.movements(position, times, tick=TICK)
    rules = wheel.MovementRules()
    assert np.all(moves.offsets - moves.onsets >= rules.min_duration)
    assert np.all(moves.onsets[1:] - moves.offsets[:-1] >= rules.min_gap)
    if len(moves):
        assert moves.onsets[0] >= times[0]
        assert moves.offsets[-1] <= times[-1]


def by_definition(position, timestamps, tick, rules):
    """Onsets and offsets, and the samples at which a window of the resampled trace moves, step by step."""
    trace = wheel.resample(position, timestamps, rules.sampling_rate)
    window = round(rules.time_window * rules.sampling_rate)
    threshold = rules.position_threshold * tick * (1 + 1e-9)
    even = trace.position
    moving = np.array([np.ptp(even[i : i + window]) > threshold for i in range(even.size)])
    moving[-1] = False
    edges = np.diff(np.r_[0, moving.astype(int), 0])
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    spans = []
    for a, b in zip(first, last, strict=True):
        if spans and (a - spans[-1][1]) / rules.sampling_rate < rules.min_gap:
            spans[-1][1] = b
        else:
            spans.append([a, b])
    for span in spans:
        near = np.flatnonzero(np.abs(even[span[0] : span[0] + window] - even[span[0]]) <= rules.onset_threshold * tick)
        span[0] += near[-1]
    spans = [span for span in spans if trace.times[span[1]] - trace.times[span[0]] >= rules.min_duration]
    joined = []
    for a, b in spans:
        if joined and trace.times[a] - trace.times[joined[-1][1]] < rules.min_gap:
            joined[-1][1] = b
        else:
            joined.append([a, b])
    onsets, offsets = (trace.times[[span[i] for span in joined]] if joined else np.empty(0) for i in (0, 1))
    return trace, onsets, offsets


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.integers(2, 400), st.sampled_from([0.001, 0.02, 0.1]), st.floats(0.2, 0.8))
def test_the_one_pass_equals_the_definition(seed, n, gap, tendency):
    """Against the rules taken one after the other over the whole resampled trace."""
    chance = np.random.default_rng(seed)
    times = np.cumsum(chance.exponential(gap, n) + 1e-6)
    position = np.cumsum(chance.choice([-1, 1], n, p=[tendency, 1 - tendency])) * TICK
    rules = wheel.MovementRules()
    moves = wheel.movements(position, times, tick=TICK)
    if times[-1] - times[0] <= 0.001:
        assert not len(moves)
        return
    trace, onsets, offsets = by_definition(position, times, TICK, rules)
    np.testing.assert_array_equal(moves.onsets, onsets)
    np.testing.assert_array_equal(moves.offsets, offsets)
    changes, _ = wheel.direction_changes(trace, onsets, offsets)
    np.testing.assert_array_equal(moves.direction_changes, changes)


def test_scale_of_the_position_does_not_matter():
    """The same movements in ticks, radians and centimetres, with the tick recognised from the trace."""
    times, position = record(*simulate([1.0, 3.0], [0.4, 0.3], [0.8, -0.5], rate=20e3))
    in_ticks = np.round(position / TICK)
    steps_of_one = np.flatnonzero(np.abs(np.diff(in_ticks)) <= 1)
    assert steps_of_one.size == times.size - 1
    for size in (1.0, TICK, 2 * np.pi / 1024, encoder.WHEEL_RADIUS * TICK):
        assert encoder.tick_size(in_ticks * size) == pytest.approx(size)
        moves = wheel.movements(in_ticks * size, times)
        assert len(moves) == 2
        np.testing.assert_allclose(moves.peak_amplitude / size, [0.8 / TICK, -0.5 / TICK], atol=12)


def test_resampling_is_linear_interpolation():
    """Against numpy, at uneven timestamps."""
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.0005, 0.05, 300))
    position = np.cumsum(rng.normal(size=300))
    trace = wheel.resample(position, times)
    np.testing.assert_allclose(trace.position, np.interp(trace.times, times, position), atol=1e-9)
    assert trace.times[-1] < times[-1] <= trace.times[-1] + 2e-3


def test_velocity_and_acceleration_of_a_slow_oscillation():
    """2 Hz lies well under the 20 Hz corner and passes unchanged; 100 Hz does not pass."""
    times = np.arange(0, 5, 1e-3)
    angle = 2 * np.pi * 2 * times
    trace = wheel.resample(np.sin(angle) + 0.01 * np.sin(2 * np.pi * 100 * times), times)
    velocity, acceleration = wheel.smooth_velocity(trace)
    middle = slice(500, 4000)
    np.testing.assert_allclose(velocity[middle], (4 * np.pi * np.cos(angle))[:-1][middle], atol=0.02)
    np.testing.assert_allclose(acceleration[middle], (-((4 * np.pi) ** 2) * np.sin(angle))[:-1][middle], atol=1.0)
    assert wheel.smooth_velocity(wheel.resample([0.0, 0.01], [0.0, 0.01]))[0].size == 10
    with pytest.raises(ValueError, match="corner_frequency"):
        wheel.smooth_velocity(trace, corner_frequency=600.0)


def test_direction_changes_of_a_movement_that_turns_round_twice():
    """Turning points of a zigzag, and none in a movement that goes one way."""
    times = np.array([0.0, 1.0, 1.3, 1.6, 1.9, 3.0, 3.3, 4.5])
    position = np.array([0.0, 0.0, 0.6, -0.2, 0.4, 0.4, 1.0, 1.0])
    trace = wheel.resample(position, times)
    moves = wheel.movements(position, times, tick=TICK)
    assert len(moves) == 2
    changes, index = wheel.direction_changes(trace, moves.onsets, moves.offsets)
    np.testing.assert_allclose(changes, [1.3, 1.6], atol=0.003)
    assert index.tolist() == [0, 0]
    with pytest.raises(ValueError, match="onsets"):
        wheel.direction_changes(trace, [1.0], [])


def test_first_movement_is_the_first_large_one_between_quiescence_and_the_end():
    """Flinches do not count, nor movements of other trials; NaN times and empty trials give none."""
    movements = wheel.Movements(
        onsets=np.array([0.5, 0.95, 1.2, 1.5, 3.0, 5.1]),
        offsets=np.array([0.6, 1.0, 1.3, 1.7, 3.2, 5.2]),
        peak_amplitude=np.array([0.3, 0.05, -0.4, 0.2, 0.05, -0.1]),
        peak_velocity=np.ones(6),
        peak_velocity_times=np.ones(6),
    )
    cue = np.array([1.0, 2.9, np.nan, 5.2, 7.0])
    end = np.array([1.6, 3.5, 4.0, 6.0, 8.0])
    first = wheel.first_movements(movements, cue, end)
    np.testing.assert_array_equal(first.times, [1.2, np.nan, np.nan, 5.1, np.nan])
    assert first.index.tolist() == [2, -1, -1, 5, -1]
    assert first.is_final.tolist() == [False, False, False, True, False]
    shorter = wheel.first_movements(movements, cue, end, quiescence=np.full(5, 0.05))
    assert np.isnan(shorter.times[3])
    with pytest.raises(ValueError, match="alike"):
        wheel.first_movements(movements, cue, end[:2])


def test_totals():
    """Displacement keeps the sign, distance does not; both are NaN where nothing was recorded."""
    _, position = simulate([1.0, 3.0], [0.4, 0.4], [0.8, -0.5])
    assert wheel.total_displacement(position) == pytest.approx(0.3)
    assert wheel.total_distance(position) == pytest.approx(1.3)
    assert np.isnan(wheel.total_displacement([]))
    assert np.isnan(wheel.total_distance([]))


@pytest.mark.parametrize(
    ("position", "timestamps", "message"),
    [
        ([0.0, np.nan, 1.0], [0.0, 1.0, 2.0], "position holds NaN or infinity in 1 of 3"),
        ([0.0, 1.0], [0.0, np.inf], "timestamps holds NaN"),
        ([0.0, 1.0, 2.0], [0.0, 2.0, 1.0], "1 do not, the first after sample 1"),
        ([0.0, 1.0], [0.0, 0.0], "rise strictly"),
        ([0.0, 1.0], [0.0], "2 positions but 1 timestamps"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "one-dimensional"),
    ],
)
def test_bad_traces_are_refused_with_the_reason(position, timestamps, message):
    """A trace that cannot be right is named, not analysed."""
    with pytest.raises(ValueError, match=message):
        wheel.movements(position, timestamps)


@pytest.mark.parametrize(
    ("position", "timestamps"), [([], []), ([1.0], [0.0]), ([0.0, 0.0], [0.0, 5.0]), ([0.0, 1.0], [0.0, 0.0004])]
)
def test_traces_too_short_or_still_have_no_movements(position, timestamps):
    """Empty results, of the right types."""
    moves = wheel.movements(position, timestamps)
    assert len(moves) == 0
    assert moves.peak_velocity.dtype == float


def test_movement_cut_off_by_either_end_of_the_trace_is_kept():
    """A wheel that turns all the time is one movement from the first to the last sample."""
    times = np.arange(0, 3, 0.01)
    moves = wheel.movements(times * 2.0, times, tick=TICK)
    assert len(moves) == 1
    assert moves.onsets[0] == pytest.approx(0.0, abs=0.005)
    assert moves.offsets[0] == pytest.approx(times[-1], abs=0.01)
