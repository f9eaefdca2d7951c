"""Wheel movements: from position samples to velocity, movements, direction changes and each trial's first movement.

The detector is the one that IBL publishes with its `_ibl_wheelMoves` datasets (`brainbox.behavior.wheel.movements`,
described in the docstring of `movements`), written again.
"""

import threading
from dataclasses import dataclass, field

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import ArrayLike

from pipeline.analysis import _wheel_kernels as kernels
from pipeline.analysis.arrays import Booleans, Floats, Integers
from pipeline.analysis.encoder import FASTEST, WheelPosition, checked_trace, tick_size

__all__ = [
    "FirstMovements",
    "MovementRules",
    "Movements",
    "WheelTrace",
    "direction_changes",
    "first_movements",
    "movements",
    "notes",
    "resample",
    "smooth_velocity",
    "total_distance",
    "total_displacement",
]


_SMOOTHING = np.exp(-0.5 * ((np.arange(10) - 4.5) / 1.8) ** 2)
_SMOOTHING /= _SMOOTHING.sum()
"""Weights of the detector's velocity: a Gaussian of 10 samples, standard deviation 1.8 samples."""

_LARGEST_KEPT = 8_000_000
"""Samples of a trace, more than two hours, for which memory is kept."""
_spaces = threading.local()


@dataclass(frozen=True)
class MovementRules:
    """Parameters of the detector; the defaults are the published ones. Positions count in encoder ticks."""

    sampling_rate: float = 1000.0  # Hz, of the resampled trace
    position_threshold: float = 8.0  # ticks that the wheel must turn within `time_window` to count as moving
    time_window: float = 0.2  # s
    min_gap: float = 0.1  # s, movements nearer to each other than this are one
    onset_threshold: float = 1.5  # ticks from rest at which a movement has begun
    min_duration: float = 0.05  # s, shorter movements are dropped


@dataclass(frozen=True)
class WheelTrace:
    """Position on an even time axis."""

    times: Floats  # (n,) s
    position: Floats  # (n,) in the unit of the input, rad for ALF wheels
    sampling_rate: float  # Hz


@dataclass(frozen=True)
class Movements:
    """Detected movements, in order of time; all arrays have one entry per movement."""

    onsets: Floats  # s
    offsets: Floats  # s
    peak_amplitude: Floats  # largest excursion from the position at onset, signed, rad (unit of the position)
    peak_velocity: Floats  # velocity where its size is largest, signed, rad/s
    peak_velocity_times: Floats  # s
    direction_changes: Floats = field(
        default_factory=lambda: np.empty(0)
    )  # times in movements where it turned round, s

    def __len__(self) -> int:
        return self.onsets.size


@dataclass(frozen=True)
class FirstMovements:
    """The first large movement of each trial; all arrays have one entry per trial."""

    times: Floats  # s, NaN where there is none
    index: Integers  # which movement, -1 where there is none
    is_final: Booleans  # no other movement began before the trial's end


def resample(position: ArrayLike, timestamps: ArrayLike, sampling_rate: float = 1000.0) -> WheelTrace:
    """Linear interpolation onto an even time axis from the first timestamp up to, not including, the last.

    Parameters
    ----------
    position : (n,) array, rad (or any unit)
    timestamps : (n,) array, s, strictly increasing
    sampling_rate : Hz

    Raises
    ------
    ValueError
        If the arrays differ in length, hold NaN or infinity, or the timestamps do not rise. Fewer than two samples
        give an empty trace.

    Examples
    --------
    >>> resample([0.0, 1.0], [0.0, 0.004]).position
    array([0.  , 0.25, 0.5 , 0.75])
    """
    position, timestamps = checked_trace(position, timestamps)
    if not sampling_rate > 0:
        raise ValueError(f"sampling_rate must be positive, not {sampling_rate}")
    if position.size < 2:
        return WheelTrace(np.empty(0), np.empty(0), float(sampling_rate))
    period = 1.0 / sampling_rate
    n_samples = int(np.ceil((timestamps[-1] - timestamps[0]) / period))
    times = timestamps[0] + period * np.arange(n_samples)
    even = kernels.resample_linear(timestamps, position, timestamps[0], period, n_samples)
    return WheelTrace(times, even, float(sampling_rate))


def smooth_velocity(trace: WheelTrace, corner_frequency: float = 20.0, order: int = 8) -> tuple[Floats, Floats]:
    """Velocity and acceleration of a low-passed trace.

    The position goes forward and backward through a Butterworth low-pass (IBL's standard: order 8, corner at 20 Hz; no
    phase shift), then through central differences.

    Returns
    -------
    velocity : (n,) array, rad/s
    acceleration : (n,) array, rad/s^2
        Zeros where the trace has fewer than two samples; traces too short for the filter's padding are differentiated
        unfiltered.

    Examples
    --------
    >>> trace = resample([0.0, 2.0], [0.0, 1.0])
    >>> velocity, acceleration = smooth_velocity(trace)
    >>> round(float(velocity[300:700].mean()), 3)
    2.0
    """
    if not 0 < corner_frequency < trace.sampling_rate / 2:
        raise ValueError(
            f"corner_frequency must lie between 0 and {trace.sampling_rate / 2} Hz, not {corner_frequency}"
        )
    position = trace.position
    if position.size < 2:
        return np.zeros(position.size), np.zeros(position.size)
    sections = scipy.signal.butter(order, corner_frequency, fs=trace.sampling_rate, output="sos")
    # The padding that sosfiltfilt uses by default; each section with a zero at the origin needs one sample less.
    if position.size > 3 * (2 * len(sections) + 1):
        position = scipy.signal.sosfiltfilt(sections, position)
    velocity = np.gradient(position) * trace.sampling_rate
    return velocity, np.gradient(velocity) * trace.sampling_rate


def movements(
    position: ArrayLike,
    timestamps: ArrayLike,
    *,
    tick: float | None = None,
    rules: MovementRules | None = None,
) -> Movements:
    """Find the movements of the wheel.

    On the trace resampled to `rules.sampling_rate`: (1) a sample moves if position varies by more than
    `position_threshold` within the `time_window` that starts there; (2) gaps below `min_gap` are closed; (3) the onset
    is the last sample of the first moving window within `onset_threshold` of where that window began, the offset the
    first sample that does not move; (4) movements under `min_duration` are dropped and gaps below `min_gap` closed
    again. A movement so begins and ends a little inside the true one.

    Parameters
    ----------
    position : (n,) array, rad (or any unit in which `tick` is given)
    timestamps : (n,) array, s, strictly increasing
    tick : size of one encoder tick in the unit of position; by default recognised by `tick_size`
    rules : the detector's parameters

    Raises
    ------
    ValueError
        If the arrays differ in length, hold NaN or infinity, or the timestamps do not rise. Fewer than two samples
        give no movements.

    Examples
    --------
    A wheel that rests, turns by 1 rad in half a second, and rests again:

    >>> moves = movements([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.5, 3.0], tick=2 * np.pi / 4096)
    >>> moves.onsets.round(2), moves.offsets.round(2), moves.peak_amplitude.round(2), moves.peak_velocity.round(1)
    (array([1.]), array([1.49]), array([0.98]), array([2.]))
    """
    rules = rules or MovementRules()
    position, timestamps = checked_trace(position, timestamps)
    tick = tick_size(position) if tick is None else float(tick)
    if not tick > 0:
        raise ValueError(f"tick must be positive, not {tick}")
    if not rules.sampling_rate > 0:
        raise ValueError(f"sampling_rate must be positive, not {rules.sampling_rate}")
    period = 1.0 / rules.sampling_rate
    n_samples = int(np.ceil((timestamps[-1] - timestamps[0]) / period)) if position.size > 1 else 0
    if n_samples < 2:
        return Movements(*(np.empty(0) for _ in range(6)))
    window = max(round(rules.time_window * rules.sampling_rate), 1)
    even, filled = _space(n_samples), np.zeros(n_samples // window + 2, dtype=np.bool_)
    axis = (timestamps, position, period, n_samples, window)
    # Positions are whole ticks: a range of exactly the threshold must not exceed it by rounding, whatever the unit.
    spans, left = kernels.moving_spans(*axis, rules.position_threshold * tick * (1 + 1e-9), even, filled)
    first, last = _movement_spans(spans, even, timestamps[0], period, window, tick, rules)
    farthest, fastest, peak_velocity, changes = kernels.describe_spans(
        *axis, left, even, filled, first, last, _SMOOTHING, rules.sampling_rate
    )

    def at(samples: Integers) -> Floats:
        times: Floats = timestamps[0] + period * samples
        return times

    return Movements(
        onsets=at(first),
        offsets=at(last),
        peak_amplitude=even[farthest] - even[first],
        peak_velocity=peak_velocity,
        peak_velocity_times=at(fastest),
        direction_changes=at(changes[0]),
    )


def direction_changes(trace: WheelTrace, onsets: ArrayLike, offsets: ArrayLike) -> tuple[Floats, Integers]:
    """Times within movements at which the wheel turned round.

    The velocity is that of the detector (10-sample Gaussian of standard deviation 1.8 samples); a change is the first
    sample with the sign opposite to the last non-zero sign.

    Returns
    -------
    times : (k,) array, s
    index : (k,) array, the movement each change lies in

    Examples
    --------
    >>> trace = resample([0.0, 1.0, 0.0], [0.0, 0.5, 1.0])
    >>> times, index = direction_changes(trace, [0.1], [0.9])
    >>> times.round(2), index
    (array([0.5]), array([0]))
    """
    onsets, offsets = np.asarray(onsets, dtype=float), np.asarray(offsets, dtype=float)
    if onsets.shape != offsets.shape:
        raise ValueError(f"{onsets.size} onsets but {offsets.size} offsets")
    if trace.times.size == 0 or onsets.size == 0:
        return np.empty(0), np.empty(0, dtype=np.int64)
    half = 0.5 / trace.sampling_rate
    first = np.searchsorted(trace.times, onsets - half)
    last = np.minimum(np.searchsorted(trace.times, offsets - half), trace.times.size - 1)
    samples, index = kernels.reversals(_detector_velocity(trace), first, last)
    return trace.times[samples], index


def first_movements(
    moves: Movements,
    cue_times: ArrayLike,
    end_times: ArrayLike,
    *,
    quiescence: ArrayLike = 0.2,
    min_amplitude: float = 0.1,
) -> FirstMovements:
    """The first movement of each trial that is large enough to be one.

    It begins after the cue less the enforced quiescence (a movement may begin within the quiescent period, below the
    task's threshold) and before the trial's end, and its peak amplitude is at least `min_amplitude`, about a third of
    what a response takes. The rule of IBL's `firstMovement_times`.

    Parameters
    ----------
    moves : movements of the session
    cue_times : (n_trials,) array, s, go cue (or the earlier of stimulus onset and go cue)
    end_times : (n_trials,) array, s, feedback or response; trials with NaN in either time have no first movement
    quiescence : s, one value or one per trial
    min_amplitude : rad

    Examples
    --------
    >>> moves = movements([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.5, 3.0], tick=2 * np.pi / 4096)
    >>> first_movements(moves, [0.9, 2.0], [1.6, 2.5]).times.round(2)
    array([ 1., nan])
    """
    cue_times, end_times = np.asarray(cue_times, dtype=float), np.asarray(end_times, dtype=float)
    if cue_times.ndim != 1 or cue_times.shape != end_times.shape:
        raise ValueError(
            f"cue_times and end_times must be one-dimensional and alike: {cue_times.shape}, {end_times.shape}"
        )
    known = ~np.isnan(cue_times + end_times)
    earliest = np.where(known, cue_times - quiescence, np.inf)
    latest = np.where(known, end_times, -np.inf)
    large = np.flatnonzero(np.abs(moves.peak_amplitude) >= min_amplitude)
    candidate = np.searchsorted(moves.onsets[large], earliest, side="right")
    index = np.append(large, -1)[candidate]
    onset = np.append(moves.onsets, np.nan)[index]
    has_one = onset < latest
    index = np.where(has_one, index, -1)
    last_in_trial = np.searchsorted(moves.onsets, latest, side="left") - 1
    return FirstMovements(np.where(has_one, onset, np.nan), index, has_one & (index == last_in_trial))


def notes(turned: WheelPosition, moves: Movements, dropped: int = 0) -> list[str]:
    """What was repaired in a trace, or is odd about its movements, in words.

    Parameters
    ----------
    turned : the trace
    moves : its movements
    dropped : samples that were left out since their time was missing or not after the one before
    """
    said = []
    if dropped:
        said.append(f"{dropped} sample{'s' * (dropped != 1)} left out: no time, or one not after the time before")
    said += turned.notes
    fast = np.abs(moves.peak_velocity) > FASTEST
    if fast.any():
        largest = float(np.abs(moves.peak_velocity).max())
        said.append(f"{int(fast.sum())} movements are faster than a mouse turns the wheel, up to {largest:.0f} rad/s")
    return said


def total_displacement(position: ArrayLike) -> float:
    """Where the wheel ended relative to where it began, signed; NaN without samples.

    >>> total_displacement([0.0, 2.0, -1.0])
    -1.0
    """
    position = np.asarray(position, dtype=float)
    return float(position[-1] - position[0]) if position.size else float("nan")


def total_distance(position: ArrayLike) -> float:
    """The way the wheel went, both directions added; NaN without samples.

    >>> total_distance([0.0, 2.0, -1.0])
    5.0
    """
    position = np.asarray(position, dtype=float)
    return float(np.abs(np.diff(position)).sum()) if position.size else float("nan")


def _space(n_samples: int) -> Floats:
    """Memory for a trace, the same for all of this thread: to get new memory takes as long as finding the movements."""
    if n_samples > _LARGEST_KEPT:
        return np.empty(n_samples)
    space = getattr(_spaces, "space", None)
    if space is None or space.size < n_samples:
        space = _spaces.space = np.empty(n_samples)
    return space[:n_samples]


def _movement_spans(
    spans: Integers, even: Floats, start: float, period: float, window: int, tick: float, rules: MovementRules
) -> tuple[Integers, Integers]:
    """First and last sample of each movement, from the runs of samples that move."""
    first, last = spans
    first, last = _close_gaps(first, last, (first[1:] - last[:-1]) / rules.sampling_rate < rules.min_gap)
    first = kernels.refine_onset(even, first, window, rules.onset_threshold * tick)
    begin, end = start + period * first, start + period * last
    long_enough = end - begin >= rules.min_duration
    first, last, begin, end = first[long_enough], last[long_enough], begin[long_enough], end[long_enough]
    return _close_gaps(first, last, begin[1:] - end[:-1] < rules.min_gap)


def _close_gaps(first: Integers, last: Integers, too_near: Booleans) -> tuple[Integers, Integers]:
    """Join each span to the next where `too_near` says so."""
    if first.size < 2:
        return first, last
    return first[np.append(True, ~too_near)], last[np.append(~too_near, True)]


def _detector_velocity(trace: WheelTrace) -> Floats:
    """Velocity through the detector's smoothing window: a Gaussian of 10 samples, standard deviation 1.8 samples."""
    if trace.position.size == 0:
        return np.empty(0)
    steps = np.diff(trace.position, prepend=trace.position[0])
    smooth = np.convolve(steps, _SMOOTHING)
    return smooth[5 : 5 + steps.size] * trace.sampling_rate
