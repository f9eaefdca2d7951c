"""The wheel: the unit of its position as it is in the file, and its smoothed velocity."""

from __future__ import annotations

from typing import Any

import numpy as np
from pynwb import TimeSeries

from exchange.nwb.source import AlfObject
from pipeline.analysis import encoder, wheel

UNITS = {"rad": "radians", "cm": "centimeters", "mm": "millimeters", "deg": "degrees"}
"""Units of `pipeline.analysis.encoder` as NWB spells them."""

_TEXT = (
    "Velocity of the wheel, counter-clockwise positive: position at 1000 Hz, low-pass at 20 Hz (Butterworth, order 8, "
    "forward and backward)."
)


def unit_of(position: np.ndarray) -> str:
    """The unit of positions as NWB spells it, proven by the size of the encoder's steps; `n.a.` where it is not.

    >>> unit_of(np.arange(50) * 2 * np.pi / 4096)
    'radians'
    """
    recognised = encoder.recognise(position) if len(position) > 1 else None
    return UNITS.get(recognised[0], "n.a.") if recognised else "n.a."


def add_velocity(builder: Any, one: AlfObject) -> None:
    """Smoothed velocity at an even rate; computed, and not read back."""
    position, times = one.get("position"), one.get("timestamps")
    if one.name != "wheel" or position is None or times is None:
        return
    seconds, values = np.asarray(times.values, float), np.asarray(position.values, float)
    if seconds.ndim != 1 or values.shape != seconds.shape:
        return
    good = np.isfinite(seconds) & np.isfinite(values)
    seconds, values = seconds[good], values[good]
    rising = np.concatenate([[True], seconds[1:] > np.maximum.accumulate(seconds)[:-1]]) if len(seconds) else good
    try:
        trace = wheel.resample(encoder.in_radians(values[rising], seconds[rising]).position, seconds[rising])
        velocity, _ = wheel.smooth_velocity(trace)
    except ValueError as error:
        builder.notes.append(f"no velocity of the wheel: {error}")
        return
    if len(velocity) > 1:
        builder.module("behavior").add(
            TimeSeries(
                name=builder.free_name(f"wheel_velocity_smoothed{one.suffix}"),
                description=_TEXT,
                unit="radians/s",
                data=builder.wrap(velocity),
                rate=trace.sampling_rate,
                starting_time=float(trace.times[0]),
            )  # fmt: skip
        )
