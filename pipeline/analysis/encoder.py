"""Rotary encoders: a trace of the position of a wheel, the unit in which it comes, and radians."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

ENCODER_CYCLES = 1024  # cycles per turn of the rig's rotary encoder; X1, X2 and X4 decoding give 1, 2 and 4 ticks each
WHEEL_RADIUS = 3.1  # cm
TICK = 2 * np.pi / (4 * ENCODER_CYCLES)  # rad, one tick with X4 decoding, in which the detector's thresholds are stated


def ticks_to_radians(ticks: ArrayLike, ticks_per_turn: float = 4 * ENCODER_CYCLES) -> NDArray:
    """Encoder ticks to radians; 1024, 2048 and 4096 ticks per turn are X1, X2 and X4 decoding.

    >>> ticks_to_radians([0, 1024, -4096]).round(4)
    array([ 0.    ,  1.5708, -6.2832])
    """
    if not ticks_per_turn > 0:
        raise ValueError(f"ticks_per_turn must be positive, not {ticks_per_turn}")
    return np.asarray(ticks, dtype=float) * (2 * np.pi / ticks_per_turn)


def tick_size(position: ArrayLike) -> float:
    """The size of one encoder tick in the unit of the position, recognised by the median size of its steps.

    Known are ticks (1), radians and centimetres at the rim of the 3.1 cm wheel, with X1, X2 or X4 decoding; the
    nearest is taken, as IBL's extractor does (ratios are compared here, so the choice does not depend on the unit).
    Steps of zero do not count. A trace without steps is taken for radians with X4 decoding.

    >>> position = ticks_to_radians([0, 1, 2, 1, 2, 3], ticks_per_turn=1024)
    >>> round(tick_size(position) / (2 * np.pi / 1024), 6)
    1.0
    """
    position, _ = checked_trace(position, np.arange(np.size(position), dtype=float))
    steps = np.abs(np.diff(position))
    steps = steps[steps > 0]
    turn = ENCODER_CYCLES * np.array([4, 2, 1])
    known = np.concatenate([2 * np.pi / turn, 2 * np.pi * WHEEL_RADIUS / turn, [1.0]])
    if steps.size == 0:
        return float(known[0])
    return float(known[np.argmin(np.abs(np.log(known / np.median(steps))))])


def to_radians(position: ArrayLike) -> tuple[NDArray, str]:
    """Position in radians, and the unit that it came in (rad, cm or ticks), recognised by the size of its steps.

    Centimetres are those at the rim of the wheel; ticks are taken for X4 decoding.

    >>> turned, unit = to_radians(ticks_to_radians([0, 1, 2, 1], ticks_per_turn=2048) * WHEEL_RADIUS)
    >>> turned.round(4), unit
    (array([0.    , 0.0031, 0.0061, 0.0031]), 'cm')
    """
    position, tick = np.asarray(position, dtype=float), tick_size(position)
    if tick == 1:
        return ticks_to_radians(position), "ticks"
    in_rad = np.isclose(tick, 2 * np.pi / ENCODER_CYCLES / np.array([4, 2, 1])).any()
    return (position, "rad") if in_rad else (position / WHEEL_RADIUS, "cm")


def checked_trace(position: ArrayLike, timestamps: ArrayLike) -> tuple[NDArray, NDArray]:
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
