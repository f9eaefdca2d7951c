"""What the tables of behavior hold of licks, frames, pupils and the wheel: columns of a row, from checked arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.analysis import wheel
from pipeline.analysis.arrays import AnyArray, Floats

ONE_BOUT = 1.0
"""Licks less than this apart, in s, belong to one bout."""


def licks(times: Floats) -> dict[str, Any]:
    """Columns of Lick, from times in s, ascending."""
    intervals = np.diff(times)
    within_bout = intervals[intervals < ONE_BOUT]
    return {
        "n_licks": len(times),
        "first_lick": known_end(times, 0),
        "last_lick": known_end(times, -1),
        "lick_interval": float(np.median(within_bout)) if within_bout.size else None,
    }


def frames(times: Floats) -> dict[str, Any]:
    """Columns of Camera.View, from the times of all frames in s, NaN where one is missing."""
    intervals = np.diff(times[np.isfinite(times)])
    usual = float(np.median(intervals)) if intervals.size else 0.0
    return {
        "n_frames": len(times),
        "frame_rate": 1 / usual if usual else None,
        "first_frame": known_end(times, 0),
        "last_frame": known_end(times, -1),
        "longest_gap": float(intervals.max()) if intervals.size else None,
    }


def pupil(diameter: Floats) -> dict[str, Any]:
    """Columns of Pupil.View, from diameters in px, NaN where the pupil was not seen."""
    seen = diameter[np.isfinite(diameter)]
    return {
        "n_pupil_samples": len(diameter),
        "pupil_diameter": float(np.median(seen)) if seen.size else None,
        "pupil_diameter_sd": float(np.std(seen)) if seen.size else None,
        "pupil_missing": 1 - seen.size / diameter.size if diameter.size else None,
    }


def wheel_trace(position: Floats, times: Floats) -> dict[str, Any]:
    """Columns of WheelMoveSet about the whole trace, from positions in rad and times in s."""
    return {
        "wheel_start": known_end(times, 0),
        "wheel_end": known_end(times, -1),
        "wheel_displacement": wheel.total_displacement(position),
        "wheel_distance": wheel.total_distance(position),
    }


def moves(found: wheel.Movements) -> dict[str, AnyArray]:
    """Columns of WheelMoveSet.Move."""
    return {
        "move_id": np.arange(len(found)),
        "move_onset": found.onsets,
        "move_offset": found.offsets,
        "move_amplitude": found.peak_amplitude,
        "peak_velocity": found.peak_velocity,
        "peak_velocity_time": found.peak_velocity_times,
    }


def known_end(values: Floats | None, index: int) -> float | None:
    """The first (0) or last (-1) value that is not NaN; None where there is none."""
    if values is None or not len(values):
        return None
    if not np.isnan(values[index]):
        return float(values[index])
    known = values[~np.isnan(values)]
    return float(known[index]) if len(known) else None
