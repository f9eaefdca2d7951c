"""Licks, frames of cameras, pupils and readings of the air as rigs write them: their units, clocks, gaps and faults.

Each function returns what can be used, and notes in words about what was repaired, left out or is odd.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import Floats

__all__ = ["Air", "air", "frame_times", "joined", "lick_times", "pupil"]

DAY = 86_400.0  # s, longer than any session
LONGEST = DAY / 2  # s, of a session whose times were in another unit
SHORTEST = 300.0  # s, of such a session
BUSIEST = 4.0  # licks/s on average over a session
FRAME_INTERVALS = (0.002, 0.2)  # s; cameras at rigs take 5 to 500 frames a second
RARE = 20.0  # s between licks, in the median, from which the times are perhaps not in seconds
ENOUGH = 50  # licks whose median interval means something
_UNITS = ((1e3, "ms"), (1e6, "us"), (1e9, "ns"))

PUPIL_COLUMNS = ("pupilDiameter_smooth", "pupilDiameter_raw")
AIR_FIELDS = {"temperature": "Temperature_C", "air_pressure": "AirPressure_mb", "relative_humidity": "RelativeHumidity"}
"""Column -> what rigs call it."""
AIR_LIMITS = {
    "temperature": (5.0, 50.0, "deg C"),
    "air_pressure": (500.0, 1100.0, "mbar"),
    "relative_humidity": (2.0, 100.0, "percent"),
}
"""Column -> between which a reading at a rig lies, and its unit; a sensor that failed writes 0, or -999."""


def lick_times(times: ArrayLike) -> tuple[Floats, list[str]]:
    """The times of licks in seconds, ascending, and notes.

    Times that span more than a day are in ms, us or ns where exactly one of these makes them a session.

    Parameters
    ----------
    times : (n,) as the file has them; NaN where one is missing

    Examples
    --------
    >>> seconds, notes = lick_times(np.arange(4000) * 500.0)
    >>> float(seconds[-1]), notes
    (1999.5, ['times are in ms: they span 555 hours; read as such'])
    """
    every = np.asarray(times, dtype=float)
    known = np.sort(every[np.isfinite(every)])
    notes = _counted(every.size - known.size, "lick has no time", "licks have no time")
    span = float(np.ptp(known)) if known.size else 0.0
    if span > DAY:
        shortest = max(SHORTEST, known.size / BUSIEST)
        fitting = [(scale, unit) for scale, unit in _UNITS if shortest <= span / scale <= LONGEST]
        if len(fitting) == 1:
            ((scale, unit),) = fitting
            notes.append(f"times are in {unit}: they span {span / 3600:.0f} hours; read as such")
            known = known / scale
        else:
            notes.append(f"times span {span / 3600:.0f} hours: they are not in seconds")
    intervals = np.diff(known)
    if intervals.size >= ENOUGH and np.median(intervals) > RARE and span <= DAY:
        notes.append(f"the median time between licks is {np.median(intervals):.3g} s: perhaps not in seconds")
    notes += _counted(int(np.sum(intervals == 0)), "lick has the time of another", "licks have the time of another")
    return known, notes + _other_clock(known)


def frame_times(times: ArrayLike) -> tuple[Floats, list[str]]:
    """The times of the frames of a camera in seconds, and notes; the order and number of the frames stay.

    No camera at a rig takes fewer than 5 or more than 500 frames a second: what it takes tells the unit.

    Parameters
    ----------
    times : (n_frames,) as the file has them; NaN where one is missing

    Examples
    --------
    >>> seconds, notes = frame_times(np.arange(4) * 20.0)
    >>> seconds.tolist(), notes
    ([0.0, 0.02, 0.04, 0.06], ['times are in ms: a camera does not take 0.05 frames a second; read as such'])
    """
    seconds = np.asarray(times, dtype=float)
    known = seconds[np.isfinite(seconds)]
    notes = _counted(seconds.size - known.size, "frame has no time", "frames have no time")
    intervals = np.diff(known)
    usual = float(np.median(intervals)) if intervals.size else np.nan
    low, high = FRAME_INTERVALS
    if usual == 0:
        notes.append("most frames have the time of the one before: these are no times of frames")
    elif np.isfinite(usual) and not low <= usual <= high:
        fitting = [(scale, unit) for scale, unit in _UNITS if low <= usual / scale <= high]
        if fitting:
            scale, unit = fitting[0]
            notes.append(f"times are in {unit}: a camera does not take {1 / usual:.3g} frames a second; read as such")
            seconds, known = seconds / scale, known / scale
        else:
            notes.append(f"{1 / usual:.3g} frames a second: the times are perhaps numbers of frames, or not in seconds")
    repeated = 0 if usual == 0 else int(np.sum(intervals == 0))
    notes += _counted(repeated, "frame has the time of the one before", "frames have the time of the one before")
    return seconds, notes + _other_clock(known)


def pupil(features: Mapping[str, ArrayLike], n_frames: int | None = None) -> tuple[Floats, list[str]]:
    """The diameters of a pupil, NaN where it was not seen (also where it says 0 or less), and notes.

    Parameters
    ----------
    features : column -> (n_samples,); the smoothed diameter goes before the raw one, px
    n_frames : how many frames the camera took, where that is known

    Raises
    ------
    KeyError
        No column is about a pupil.
    ValueError
        The diameters are not numbers.

    Examples
    --------
    >>> seen, notes = pupil({"pupilDiameter_raw": [12.0, 0.0, 13.0, np.inf]})
    >>> seen.tolist(), notes
    ([12.0, nan, 13.0, nan], ['1 frame has a diameter of 0 or less; taken as not seen'])
    """
    if not any("pupil" in column.lower() for column in features):
        raise KeyError("no column is about a pupil")
    n_samples = len(np.asarray(next(iter(features.values()))))
    notes = [] if n_frames in (None, n_samples) else [f"{n_samples} rows where the camera has {n_frames} frames"]
    diameter, found = np.full(n_samples, np.nan), [f"no column {' or '.join(PUPIL_COLUMNS)}"]
    for column in (name for name in PUPIL_COLUMNS if name in features):
        try:
            diameter = np.array(features[column], dtype=float)
        except ValueError:
            raise ValueError(f"{column} holds text that is no number") from None
        with np.errstate(invalid="ignore"):
            empty = diameter <= 0
        diameter[empty | ~np.isfinite(diameter)] = np.nan
        words = "a diameter of 0 or less; taken as not seen"
        found = _counted(int(empty.sum()), f"frame has {words}", f"frames have {words}")
        if np.isfinite(diameter).any():
            break
    return diameter, notes + found


class Air(NamedTuple):
    """What a file of the ambient sensor says."""

    n_readings: int
    medians: dict[str, float | None]  # of the columns of AIR_FIELDS
    notes: list[str]


def air(content: Any) -> Air:
    """Medians of the readings of the ambient sensor, over those that a room can have.

    Parameters
    ----------
    content : the lines of the file: a mapping for each reading, or one of lists, a number in each or all in one

    Examples
    --------
    >>> air([{"Temperature_C": [24.0]}, {"Temperature_C": ["24.5"]}, {"Temperature_C": 0.0}])[1:]
    ... # doctest: +NORMALIZE_WHITESPACE
    ({'temperature': 24.25, 'air_pressure': None, 'relative_humidity': None},
     ['1 of 3 readings of temperature not from 5 to 50 deg C; left out',
      'no number in AirPressure_mb', 'no number in RelativeHumidity'])
    """
    readings = [{str(name).lower(): value for name, value in row.items()} for row in _rows(content)]
    medians: dict[str, float | None] = {}
    notes = []
    for column, field in AIR_FIELDS.items():
        known = np.array([_number(reading.get(field.lower())) for reading in readings])
        known = known[np.isfinite(known)]
        low, high, unit = AIR_LIMITS[column]
        usable = known[(known >= low) & (known <= high)]
        medians[column] = float(np.median(usable)) if usable.size else None
        if not known.size:
            notes.append(f"no number in {field}")
        elif usable.size < known.size:
            left_out = f"{known.size - usable.size} of {known.size} readings of {column}"
            notes.append(f"{left_out} not from {low:g} to {high:g} {unit}; left out")
    return Air(len(readings), medians, notes)


def _rows(content: Any) -> Iterator[Mapping[str, Any]]:
    """The readings, also where a line holds several of them."""
    for item in content if isinstance(content, list) else [content]:
        if isinstance(item, list):
            yield from _rows(item)
        elif isinstance(item, dict):
            lists = [value for value in item.values() if isinstance(value, list)]
            lengths = {len(value) for value in lists}
            if len(lists) == len(item) and len(lengths) == 1 and lengths != {1}:
                yield from (dict(zip(item, values, strict=True)) for values in zip(*lists, strict=True))
            else:
                yield item


def _number(value: Any) -> float:
    """A number as a rig writes it: plain, as text, or in a list, however deep, that holds one; else NaN."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return float("nan")
    try:
        return float(value.replace(",", ".") if isinstance(value, str) else value)
    except ValueError:
        return float("nan")


def _other_clock(times: Floats) -> list[str]:
    if not times.size or abs(float(times[0])) < DAY:
        return []
    return [f"the first is {times[0]:.6g} s from the start of the session: times of another clock"]


def _counted(number: int, one: str, several: str) -> list[str]:
    return [f"{number} {one if number == 1 else several}"] if number else []


def joined(notes: Iterable[str], size: int) -> str:
    """Notes as the text of a column of that many characters."""
    return "; ".join(notes)[:size]
