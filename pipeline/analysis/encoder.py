"""Rotary encoders: the unit in which the trace of a wheel comes, proven from the trace, and the trace in radians.

An encoder counts ticks, so the positions of a trace differ by whole ticks, and the size of a tick gives the unit away.
Where a trace was interpolated between the samples of the encoder, the corners of its straight pieces still lie on whole
ticks. A unit that neither shows must be stated: it is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import Floats

ENCODER_CYCLES = 1024  # cycles per turn of the rig's rotary encoder; X1, X2 and X4 decoding give 1, 2 and 4 ticks each
WHEEL_RADIUS = 3.1  # cm
TICK = 2 * np.pi / (4 * ENCODER_CYCLES)  # rad, one tick with X4 decoding, in which the detector's thresholds are stated
TURN = {
    "rad": 2 * np.pi,
    "cm": 2 * np.pi * WHEEL_RADIUS,
    "mm": 20 * np.pi * WHEEL_RADIUS,
    "deg": 360.0,
    "ticks": 4.0 * ENCODER_CYCLES,
    "x2ticks": 2.0 * ENCODER_CYCLES,
    "x1ticks": 1.0 * ENCODER_CYCLES,
}
"""One turn of the wheel in each unit; centimetres and millimetres are those at its rim, ticks those of X4 decoding.

A trace of whole ticks does not show how many make a turn: without a statement, or an angle that begins again after a
turn, they are taken for those of X4 decoding, with a note."""
FASTEST = 100.0
"""A wheel that turns faster than this (rad/s; 3.1 m/s at the rim) was not turned by a mouse."""

DAY = 86_400.0  # s, longer than any session
LONGEST = 4 * 3600.0  # s, of a session whose times were in another unit
SHORTEST = 60.0  # s, of the same
BUSIEST = 2.0  # rad/s, on average over such a session
SPEEDS = (0.1, 30.0)  # rad/s, between which half of the way of a wheel is gone faster, half slower

_COUNTERS = tuple(2.0**bits for bits in (16, 32))  # ticks after which a counter of so many bits begins again
_ON_TICKS = 0.9  # share of the steps that must be whole ticks
_WHOLE = 0.02  # ticks within which a step is whole; chance steps are so in 4 % of all cases
_LOOKED_AT = 20_000  # steps, or up to twice as many, that are enough to look at
_ENOUGH = 5  # corners that an interpolated trace must have


class UnknownUnit(ValueError):
    """The unit of a trace is neither stated nor can it be proven."""


@dataclass(frozen=True, eq=False)
class WheelPosition:
    """A trace in radians, and how it came to be."""

    position: Floats  # (n,) rad, wraps and resets of the counter taken out
    unit: str  # of the input, a key of TURN
    tick: float  # rad, one tick of the encoder; NaN where the unit was stated and nothing shows the tick
    n_wraps: int  # places where the counter began again
    n_resets: int  # places where it was set to another value, faster than a mouse turns the wheel
    assumed: bool = False  # the positions are whole ticks, and nothing says how many make a turn

    @property
    def notes(self) -> tuple[str, ...]:
        """What was repaired, in words."""
        said = ((self.n_wraps, "counter wrapped"), (self.n_resets, "counter was reset"))
        notes = tuple(f"the {what} {n} time{'s' * (n != 1)}; taken out" for n, what in said if n)
        if self.assumed:
            notes += (
                f"whole ticks, taken as {TURN['ticks']:.0f} a turn; state ticks, x2ticks or x1ticks in wheel_units",
            )
        return notes


def in_radians(position: ArrayLike, timestamps: ArrayLike, unit: str | None = None) -> WheelPosition:
    """A wheel trace in radians, its unit proven by the trace unless it is stated.

    Parameters
    ----------
    position : (n,) array
    timestamps : (n,) array, s, strictly increasing
    unit : a key of `TURN`; None: proven

    Raises
    ------
    UnknownUnit
        The unit is not stated and the trace does not prove one, or the trace proves another than is stated.
    ValueError
        The arrays differ in length, hold NaN or infinity, or the timestamps do not rise.

    Examples
    --------
    >>> turned = ticks_to_radians([0, 1, 2, 1, 2, 3], ticks_per_turn=2048)
    >>> wheel = in_radians(turned * WHEEL_RADIUS, np.arange(6.0))
    >>> wheel.unit, bool(np.allclose(wheel.position, turned))
    ('cm', True)
    """
    position, timestamps = checked_trace(position, timestamps)
    if unit is not None and unit not in TURN:
        raise ValueError(f"unit must be one of {', '.join(TURN)}, not {unit!r}")
    proven = recognise(position)
    if proven is not None and proven[0] == "ticks" and unit in ("x1ticks", "x2ticks"):
        proven = (unit, 1.0)
    turn = _ticks_of_a_turn(position) if proven is not None and proven[0] == "ticks" and unit is None else None
    if turn is not None:
        proven = (turn, 1.0)
    if proven is not None and unit not in (None, proven[0]):
        raise UnknownUnit(f"the unit is stated as {unit}, but the positions differ by whole ticks in {proven[0]}")
    if proven is None and unit is None and np.any(position != position[:1]):
        raise UnknownUnit("the positions differ by whole ticks in none of the known units")
    name, tick = proven or (unit or "rad", float("nan"))
    tick *= 2 * np.pi / TURN[name]
    steady, n_wraps, n_resets = _to_radians(position, name), 0, 0
    if steady.size > 1 and np.abs(np.diff(steady)).max() > np.pi:
        steady, n_wraps = _without_wraps(steady, tick)
        steady, n_resets = _without_resets(steady, timestamps)
    assumed = name == "ticks" and unit is None and turn is None
    return WheelPosition(steady, name, tick, n_wraps, n_resets, assumed)


def in_seconds(position: ArrayLike, timestamps: ArrayLike) -> tuple[Floats, str]:
    """The times of a trace (rad) in seconds, and what was found about them in words, empty where they are sound.

    Times that span more than a day are in ms, us or ns, if then the session has a length that sessions have and the
    wheel turns as fast as mice turn it.

    Raises
    ------
    ValueError
        The times span more than a day and are in none of these units.

    Examples
    --------
    >>> times, said = in_seconds(np.arange(200) / 5, np.arange(200) * 1e6)
    >>> float(times[-1]), said
    (199.0, 'times are in us: the wheel was not turned for 55278 hours; read as such')
    """
    position, times = np.asarray(position, dtype=float), np.asarray(timestamps, dtype=float)
    steps, spans = np.abs(np.diff(position)), np.diff(times)
    if not steps.any():
        return times, ""
    length = float(np.ptp(times))
    if length > DAY:
        for scale, unit in ((1e3, "ms"), (1e6, "us"), (1e9, "ns")):
            too_slow, not_too_fast = (_is_slower(steps, spans, speed / scale) for speed in SPEEDS)
            shortest = max(SHORTEST, float(steps.sum()) / BUSIEST)
            if shortest <= length / scale <= LONGEST and not_too_fast and not too_slow:
                said = f"times are in {unit}: the wheel was not turned for {length / 3600:.0f} hours; read as such"
                return times / scale, said
        raise ValueError(f"the times span {length / 3600:.0f} hours; they are in none of s, ms, us and ns")
    if abs(times[0]) > DAY:
        return times, f"the first sample is {times[0]:.6g} s from the start of the session: times of another clock"
    if _is_slower(steps, spans, SPEEDS[0] / 20):
        return times, "the wheel turns much slower than a mouse turns it: the times are perhaps not in seconds"
    return times, ""


def _is_slower(steps: Floats, spans: Floats, speed: float) -> bool:
    """Whether half of the way or more was gone slower than a speed, in the units of the two."""
    return bool(2 * steps[steps < speed * spans].sum() >= steps.sum())


def _ticks_of_a_turn(position: Floats) -> str | None:
    """The unit of whole ticks that a counter proves which begins again after each turn."""
    steps, spread = np.diff(position), float(np.ptp(position))
    for unit in ("x1ticks", "x2ticks", "ticks"):
        turn = TURN[unit]
        large = np.abs(steps) > turn / 2
        if 0.9 * turn < spread < turn and large.any() and (np.abs(np.abs(steps[large]) - turn) < 0.05 * turn).all():
            return unit
    return None


def recognise(position: ArrayLike) -> tuple[str, float] | None:
    """Unit and size of one tick (in that unit) that a trace proves; None where it proves none or does not move.

    The largest tick tells the unit of which nearly all steps are multiples: the steps of the samples, else those
    between the corners of a trace that was interpolated. Of the decodings in that unit the one counts whose tick is
    nearest to the median step.

    Examples
    --------
    >>> recognise(np.degrees(ticks_to_radians([0, 1, 2, 1, 2, 3, 5])))
    ('deg', 0.087890625)
    >>> recognise([0.0, 0.3, 0.5, 1.1]) is None
    True
    """
    position = np.asarray(position, dtype=float)
    noise = _resolution(position)
    for is_interpolated in (False, True):
        steps = np.abs(np.diff(_corners(position, noise) if is_interpolated else position))
        steps = steps[steps > 2 * noise]
        steps = steps[:: max(1, steps.size // _LOOKED_AT)]
        if steps.size < (_ENOUGH if is_interpolated else 1):
            continue
        usual = float(np.median(steps))
        alike: dict[str, list[float]] = {}  # only of the first unit that fits
        for name, tick in _known_ticks():
            if (not alike or name in alike) and _are_whole(steps, usual, tick, noise):
                alike.setdefault(name, []).append(tick)
        for name, ticks in alike.items():
            return name, min(ticks, key=lambda tick: abs(np.log(tick / usual)))
    return None


def ticks_to_radians(ticks: ArrayLike, ticks_per_turn: float = 4 * ENCODER_CYCLES) -> Floats:
    """Encoder ticks to radians; 1024, 2048 and 4096 ticks per turn are X1, X2 and X4 decoding.

    >>> ticks_to_radians([0, 1024, -4096]).round(4)
    array([ 0.    ,  1.5708, -6.2832])
    """
    if not ticks_per_turn > 0:
        raise ValueError(f"ticks_per_turn must be positive, not {ticks_per_turn}")
    return np.asarray(ticks, dtype=float) * (2 * np.pi / ticks_per_turn)


def tick_size(position: ArrayLike) -> float:
    """The size of one encoder tick in the unit of the position, for the detector's thresholds.

    That of the unit which the trace proves, see `recognise`; where it proves none, or does not move, that of radians
    with X4 decoding.

    >>> position = ticks_to_radians([0, 1, 2, 1, 2, 3], ticks_per_turn=1024)
    >>> round(tick_size(position) / (2 * np.pi / 1024), 6)
    1.0
    """
    position, _ = checked_trace(position, np.arange(np.size(position), dtype=float))
    proven = recognise(position)
    return TICK if proven is None else proven[1]


def checked_trace(position: ArrayLike, timestamps: ArrayLike) -> tuple[Floats, Floats]:
    """Both as contiguous float64, or a ValueError that says what is wrong with them."""
    position = np.ascontiguousarray(position, dtype=float)
    timestamps = np.ascontiguousarray(timestamps, dtype=float)
    if position.ndim != 1 or timestamps.ndim != 1:
        raise ValueError(f"position and timestamps must be one-dimensional: {position.shape}, {timestamps.shape}")
    if position.size != timestamps.size:
        raise ValueError(f"{position.size} positions but {timestamps.size} timestamps")
    for name, values in (("position", position), ("timestamps", timestamps)):
        n_bad = values.size - np.count_nonzero(np.isfinite(values))
        if n_bad:
            raise ValueError(f"{name} holds NaN or infinity in {n_bad} of {values.size} samples")
    falls = np.flatnonzero(timestamps[1:] <= timestamps[:-1])
    if falls.size:
        raise ValueError(f"timestamps must rise strictly; {falls.size} do not, the first after sample {falls[0]}")
    return position, timestamps


def _are_whole(steps: Floats, usual: float, tick: float, noise: float) -> bool:
    """Whether steps (the median is `usual`) of values stored with this much noise are multiples of a tick."""
    if 2 * noise >= tick / 4 or usual <= tick / 2:
        return False
    whole = steps / tick
    off = np.abs(whole - np.rint(whole))
    return bool(np.count_nonzero(off <= _WHOLE + 2 * noise / tick) >= _ON_TICKS * steps.size)


def _to_radians(position: Floats, unit: str) -> Floats:
    if unit == "rad":
        return position
    if unit.endswith("ticks"):
        return ticks_to_radians(position, TURN[unit])
    return position / {"cm": WHEEL_RADIUS, "mm": 10 * WHEEL_RADIUS, "deg": 180 / np.pi}[unit]


def _known_ticks() -> Iterator[tuple[str, float]]:
    """Unit and size of a tick, the largest first."""
    ticks = [("ticks", 1.0)]
    ticks += [
        (name, TURN[name] / (ENCODER_CYCLES * decoding))
        for name in ("rad", "cm", "mm", "deg")
        for decoding in (1, 2, 4)
    ]
    return iter(sorted(ticks, key=lambda one: -one[1]))


def _resolution(position: Floats) -> float:
    """How finely the values are stored: half a unit in the last place of the type that holds them all."""
    largest = float(np.abs(position).max(initial=0.0))
    single = np.array_equal(position.astype(np.float32).astype(float), position)
    whole = single and np.array_equal(position, np.rint(position))
    return 0.0 if whole else largest * float(np.finfo(np.float32 if single else np.float64).eps)


def _corners(position: Floats, noise: float) -> Floats:
    """Where the straight pieces of an evenly interpolated trace meet, as far as pieces of three samples or more do.

    A corner between samples i and i + 1 bends the trace at both and nowhere near; one that lies on a sample bends it
    there only. The corner is where the lines through the samples before and after it meet.
    """
    if position.size < 6:
        return np.empty(0)
    bend = np.diff(position, 2)  # at sample 1, 2, …
    limit = 8 * noise + 1e-13
    bent = np.abs(bend) > limit
    straight = ~bent
    # A corner on a sample: straight, bent, straight.
    on = np.flatnonzero(straight[:-2] & bent[1:-1] & straight[2:]) + 2
    # A corner between two samples: straight, bent, bent, straight.
    i = np.flatnonzero(straight[:-3] & bent[1:-2] & bent[2:-1] & straight[3:]) + 2
    before, after = position[i] - position[i - 1], position[i + 2] - position[i + 1]
    turn = before - after
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (position[i + 1] - position[i] - after) / turn
        level = position[i] + before * share
    good = (np.abs(turn) > 20 * limit) & (share > -1e-3) & (share < 1 + 1e-3)
    at = np.concatenate([on, i[good] + 0.5])
    return np.concatenate([position[on], level[good]])[np.argsort(at, kind="stable")]


def _without_wraps(position: Floats, tick: float) -> tuple[Floats, int]:
    """The trace (rad) without the steps by which a counter, or an angle, begins again; and how many there were."""
    steps = np.diff(position)
    large = np.abs(steps) > np.pi
    usual = np.abs(steps[~large]).max(initial=0.0)
    spread = np.ptp(position)
    periods = [2 * np.pi, *((counter * tick for counter in _COUNTERS) if np.isfinite(tick) else ())]
    for period in periods:
        residual = steps - period * np.rint(steps / period)
        wraps = large & (np.abs(np.rint(steps / period)) == 1) & (np.abs(residual) < 0.05 * period)
        # The values of a counter lie within one of its periods, and it moves little between two samples.
        if wraps.any() and spread <= period * (1 + 1e-9) and usual < period / 2:
            corrected = np.where(wraps, residual, steps)
            return position[0] + np.concatenate([[0.0], np.cumsum(corrected)]), int(wraps.sum())
    return position, 0


def _without_resets(position: Floats, timestamps: Floats) -> tuple[Floats, int]:
    """The trace (rad) without the steps of a turn or more that are faster than a mouse; and how many there were."""
    steps = np.diff(position)
    jumps = np.abs(steps) > np.pi
    if jumps.any():
        jumps &= np.abs(steps) > FASTEST * np.diff(timestamps)
    if not jumps.any():
        return position, 0
    removed = np.concatenate([[0.0], np.cumsum(np.where(jumps, steps, 0.0))])
    return position - removed, int(jumps.sum())
