"""Which pulse of a line belongs to which frame of a camera, by the numbers of the frames and the input pins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.analysis.arrays import Booleans, Floats, Integers

FEWEST = 3
"""Changes of a pin that prove where the first frame is."""
SHARE = 0.8
"""Of the changes of a pin that have to agree."""


@dataclass(frozen=True)
class FrameTimes:
    """Time of each frame (s), and what was not as expected."""

    times: Floats
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Embedded:
    """What a camera writes into each frame.

    Attributes
    ----------
    count : (n,) int64, number of the frame from 0; those that were dropped are passed over
    pins : (n, 4) bool, level of its input pins; None where they were not written
    register : (n,) int64, of its clock; None where it was not written
    """

    count: Integers
    pins: Booleans | None = None
    register: Integers | None = None


def read_embedded(content: bytes) -> Embedded:
    """What `_iblrig_…Camera.frameData.bin` holds: four float64 a frame: time of the computer (100 ns), register of the
    camera's clock, number of the frame, pins.

    Raises
    ------
    ValueError : it is not that.
    """
    if not content or len(content) % 32:
        raise ValueError(f"frame data have 32 byte for each frame, not {len(content)} byte in all")
    rows = _whole(np.frombuffer(content, "<f8").reshape(-1, 4), "frame data")
    return Embedded(_counted(rows[:, 2]), read_pins(rows[:, 3]), rows[:, 1])


def read_count(content: bytes) -> Integers:
    """Numbers of the frames from 0, from `_iblrig_…Camera.frame_counter.bin`: a float64 each.

    >>> read_count(np.array([700.0, 701.0, 704.0]).tobytes())
    array([0, 1, 4])
    """
    return _counted(_numbers(content, "the frame counter"))


def read_pins(values: bytes | Integers) -> Booleans:
    """Levels of the four input pins in each frame, from `_iblrig_…Camera.GPIO.bin`: a float64 each, whose upper four
    of 32 bits are the pins 1 to 4.

    >>> read_pins(np.array([0.0, 2.0**28]).tobytes()).astype(int).tolist()
    [[0, 0, 0, 0], [0, 0, 0, 1]]
    """
    whole = _numbers(values, "the levels of the pins") if isinstance(values, bytes) else values
    if ((whole < 0) | (whole >> 32 != 0) | (whole & 0xFFFFFFF != 0)).any():
        raise ValueError("the levels of the pins are not in the upper four of 32 bits")
    levels: Booleans = (whole[:, None] >> np.arange(31, 27, -1)) & 1 == 1
    return levels


def numbers(own: Floats) -> Integers:
    """Numbers of frames from 0 by the times that the camera gave them (s): a gap of two periods is a dropped frame.

    >>> numbers(np.array([0.0, 0.033, 0.067, 0.133, 0.166]))
    array([0, 1, 2, 4, 5])
    """
    if own.size < 2:
        return np.arange(own.size)
    steps = np.rint(np.diff(own) / np.median(np.diff(own))).astype(np.int64)
    return np.concatenate([[0], np.cumsum(np.maximum(steps, 1))])


def first_pulse(
    count: Integers, pins: Booleans | None, pulses: Floats, events: Mapping[int, Floats]
) -> tuple[int, str] | None:
    """Which pulse is that of the first frame, with the reason; None where nothing tells.

    A pin that went up in a frame did so between the pulse before and that of the frame. The pulses of another line
    which went up at the same moments tell therefore which pulse is that of which frame. Without pins, as many pulses
    as frames tell it too.

    Parameters
    ----------
    count : (n,) array of int, from 0
    pins : (n, 4) array of bool
    pulses : (m,) array, s, ascending: one for each frame that the camera took
    events : line -> (k,) array, s, ascending: when other lines went up

    Examples
    --------
    >>> pulses, pins = np.arange(100) / 30, np.zeros((60, 4), bool)
    >>> for frame in (5, 22, 31): pins[frame, 3] = True
    >>> at = pulses[np.array([5, 22, 31]) + 17] - 0.01
    >>> first_pulse(np.arange(60), pins, pulses, {4: at})
    (17, 'pin 4 went up 3 times as line 4 did')
    """
    n_taken = int(count[-1]) + 1
    for pin, levels in enumerate([] if pins is None else pins.T):
        ups = np.flatnonzero(np.diff(levels.astype(np.int8)) == 1) + 1
        if len(ups) < FEWEST:
            continue
        by_line: dict[int, tuple[int, int]] = {}
        for line, at in events.items():
            at = at[(at > pulses[0]) & (at <= pulses[-1])]
            if not len(at):
                continue
            there = np.searchsorted(pulses, at)
            shifts = (there[None, :] - count[ups][:, None]).ravel()
            shifts = shifts[(shifts >= 0) & (shifts + n_taken <= len(pulses))]
            if not shifts.size:
                continue
            values, times = np.unique(shifts, return_counts=True)
            best = int(times.argmax())
            rest = np.delete(times, best)
            if times[best] >= max(SHARE * len(ups), FEWEST) and (not rest.size or rest.max() < times[best]):
                by_line[line] = int(values[best]), int(times[best])
        if len({shift for shift, _ in by_line.values()}) == 1:
            line, (shift, n) = max(by_line.items(), key=lambda one: one[1][1])
            return shift, f"pin {pin + 1} went up {n} times as line {line} did"
    if len(pulses) == n_taken:
        return 0, "there are as many pulses as frames"
    return None


def by_pauses(count: Integers, own: Floats, pulses: Floats) -> tuple[int, str] | None:
    """Which pulse is that of the first frame, by pauses of the camera; None where they do not tell.

    A camera that was started to look at the picture, stopped, and started again to record leaves a pause between the
    pulses. Its own clock shows each pause within the recording. The frames lie where the pauses of both are the same.

    Parameters
    ----------
    count : (n,) array of int, from 0
    own : (n,) array, s, times of the frames by the clock of the camera
    pulses : (m,) array, s, ascending: one for each frame that the camera took

    Examples
    --------
    >>> preview, recording = np.arange(40) / 30, 5 + np.arange(60) / 30
    >>> by_pauses(np.arange(60), np.arange(60) / 30, np.r_[preview, recording])
    (40, 'the pulses pause where the frames begin')
    >>> by_pauses(np.arange(50), np.arange(50) / 30, np.r_[preview, recording]) is None
    True
    """
    n_taken = int(count[-1]) + 1
    if own.size != count.size or own.size < 2 or len(pulses) < n_taken:
        return None
    steps = np.rint(np.diff(pulses) / np.median(np.diff(pulses))).astype(np.int64)
    gaps = np.flatnonzero(steps > 1)
    if not gaps.size:
        return None
    longer = np.rint(np.diff(own) / np.median(np.diff(own) / np.diff(count))).astype(np.int64) - np.diff(count)
    paused = np.flatnonzero(longer > 0)
    if not paused.size:
        bounds = np.concatenate([[0], gaps + 1, [len(pulses)]])
        room = np.maximum(np.diff(bounds) - n_taken + 1, 0)
        first = int(bounds[int(room.argmax())])
        return (first, "the pulses pause where the frames begin") if room.sum() == 1 else None
    known = set(zip(count[paused].tolist(), longer[paused].tolist(), strict=True))
    fitting = []
    for first in (gaps - count[paused[0]]).tolist():
        inside = gaps[(gaps >= first) & (gaps < first + n_taken - 1)]
        same = set(zip((inside - first).tolist(), (steps[inside] - 1).tolist(), strict=True)) == known
        if same and 0 <= first <= len(pulses) - n_taken:
            fitting.append(first)
    return (fitting[0], f"{len(known)} pauses of the pulses are those of the camera") if len(fitting) == 1 else None


def extended(times: Floats, n_frames: int) -> Floats:
    """As many times as frames: a few at the end are cut, or follow at the usual distance."""
    if n_frames > times.size:
        step = float(np.median(np.diff(times)))
        times = np.concatenate([times, times[-1] + step * np.arange(1, n_frames - times.size + 1)])
    return times[:n_frames]


def _numbers(content: bytes, what: str) -> Integers:
    if len(content) % 8:
        raise ValueError(f"{what} has 8 byte for each frame, not {len(content)} byte in all")
    return _whole(np.frombuffer(content, "<f8"), what)


def _whole(values: Floats, what: str) -> Integers:
    if not (np.isfinite(values).all() and (values == np.rint(values)).all() and (np.abs(values) < 2.0**63).all()):
        raise ValueError(f"{what} holds numbers that are not whole")
    return values.astype(np.int64)


def _counted(values: Integers) -> Integers:
    """Numbers from 0; a counter of 32 bits may begin again."""
    steps = np.diff(values)
    steps = np.where(steps < -(1 << 31), steps + (1 << 32), steps)
    if (steps < 1).any():
        raise ValueError(f"the frame counter goes back at frame {int(np.argmax(steps < 1)) + 1}")
    return np.concatenate([[0], np.cumsum(steps)]) if values.size else values
