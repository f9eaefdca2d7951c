"""Frames of a camera in the clock of the session: its own time stamps, and the pulses that it was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.analysis import frames
from pipeline.analysis.arrays import Floats, Integers
from pipeline.analysis.clocks import Clock
from pipeline.analysis.frames import FrameTimes

_CYCLES_PER_SECOND, _CYCLES = 8000, 128  # the counter of a FireWire clock: 7 bits of s, 13 of 1/8000 s, 12 of 1/3072
_OFFSETS = 3072


def read_stamps(text: str) -> Floats:
    """Times of the frames by the camera's clock (s from the first), from `_iblrig_…Camera.timestamps.ssv`.

    A line holds the register of a FireWire clock (7 bits of seconds, 13 of cycles, 12 of offset), which begins again
    after 128 s, and the time of the computer, in either order.

    >>> read_stamps("2020-08-19T12:42:57.79-04:00 0\\n2020-08-19T12:42:57.82-04:00 1089536").round(4)
    array([0.    , 0.0332])
    >>> read_stamps("0 2020-08-19T12:42:57.79\\n1089536 2020-08-19T12:42:57.82").round(4)
    array([0.    , 0.0332])
    """
    values = []
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        words = [word for word in line.replace(",", " ").split() if word.isdigit()]
        if not line.strip():
            continue
        if len(words) != 1:
            if number == len(lines) and not text.endswith("\n"):  # cut off while it was written
                break
            raise ValueError(f"line {number} of the time stamps has {len(words)} whole numbers, not one")
        values.append(int(words[0]))
    return unwrap(np.array(values, dtype=np.int64))


def unwrap(register: Integers) -> Floats:
    """Values of the register of a FireWire clock as s from the first one; it begins again after 128 s."""
    seconds = (register >> 25) + ((register >> 12) & 0x1FFF) / _CYCLES_PER_SECOND
    seconds = seconds + (register & 0xFFF) / (_CYCLES_PER_SECOND * _OFFSETS)
    laps = np.concatenate([[0], np.cumsum(np.diff(seconds) < -_CYCLES / 2)]) if seconds.size else seconds
    times: Floats = seconds + _CYCLES * laps
    since_first: Floats = times - times[:1].sum()
    return since_first


def pulses(records: Sequence[Mapping[str, Any]], port: str = "Port1") -> Floats:
    """When the state machine saw the camera's exposure (s from the start of the first trial)."""
    times = []
    for record in records:
        behavior = record["behavior_data"]
        begin = behavior["Trial start timestamp"] - behavior["Bpod start timestamp"]
        events = behavior["Events timestamps"].get(f"{port}In", [])
        times += [begin + float(at) for at in events]
    return np.unique(np.array(times, dtype=float))


def align(own: Floats, pulses: Floats, n_frames: int, count: Integers | None = None) -> FrameTimes:
    """The times of all frames by the state machine's clock.

    The state machine sees no pulses between trials. How many frames lie in a gap follows from the period; the first
    frame is taken to be that of the first pulse, as in the published extraction, since the rig starts the camera with
    the state machine. The camera's own clock is then fitted to the pulses in pieces of a minute.

    Parameters
    ----------
    own : (n,) array, s, times of the frames by the camera's clock
    pulses : (m,) array, s, ascending
    n_frames : in the video
    count : (n,) array of int, numbers of the frames from 0, which pass over those that were dropped; by default what
        the camera's clock says

    Raises
    ------
    ValueError
        There are too few pulses, fewer frames than pulses, or the clocks differ by more than a third of a period.

    Examples
    --------
    >>> own = np.arange(300) / 30
    >>> seen = 2 + own[[*range(100), *range(150, 300)]] * 1.0001
    >>> align(own, seen, 300).times[[0, 120, 299]].round(3)
    array([ 2.   ,  6.   , 11.968])
    """
    if pulses.size < 10:
        raise ValueError(f"the state machine saw {pulses.size} pulses of this camera")
    notes = ["the first frame is taken to be that of the first pulse"]
    count = frames.numbers(own) if count is None else count
    if own.size != n_frames:
        notes.append(f"the video has {n_frames} frames, the camera wrote {own.size} time stamps")
        if abs(own.size - n_frames) > max(5, 0.001 * n_frames):
            raise ValueError(f"the video has {n_frames} frames, but the camera wrote {own.size} time stamps")
    if n_lost := int(count[-1]) + 1 - own.size:
        notes.append(f"the camera dropped {n_lost} frames")
    period = float(np.median(np.diff(pulses)))
    frame = np.concatenate([[0], np.cumsum(np.rint(np.diff(pulses) / period).astype(np.int64))])
    if frame[-1] > count[-1]:
        raise ValueError(
            f"the pulses are those of {frame[-1] + 1} frames, but there are {count[-1] + 1}: frames were dropped"
        )
    there = np.interp(frame, count, own)
    piece = np.floor((there - there[0]) / 60.0).astype(np.int64)
    knots = [np.flatnonzero(piece == item) for item in np.unique(piece)]
    source = np.array([there[0], *(there[knot].mean() for knot in knots if knot.size > 9), there[-1]])
    target = np.array([pulses[0], *(pulses[knot].mean() for knot in knots if knot.size > 9), pulses[-1]])
    ascending = np.concatenate([[True], np.diff(source) > 0])
    clock = Clock(source[ascending], target[ascending])
    residual = float(np.abs(clock.convert(there) - pulses).max())
    if residual > period / 3:
        raise ValueError(
            f"the times of the camera and its pulses differ by up to {residual * 1000:.0f} ms: frames were dropped, or "
            "the first frame is not that of the first pulse"
        )
    return FrameTimes(frames.extended(clock.convert(own), n_frames), tuple(notes))
