"""Trials tables of known origin, recognised by columns that nothing else has, and what their columns are in ALF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from exchange.nwb.reading import as_array

IBL_TO_NWB = frozenset({"gabor_stimulus_contrast", "gabor_stimulus_side", "mouse_wheel_choice"})
"""Columns by which tables written by IBL-to-nwb are known."""

_TIMES = {
    "gabor_stimulus_onset_time": "stimOn_times",
    "gabor_stimulus_offset_time": "stimOff_times",
    "auditory_cue_time": "goCue_times",
    "choice_registration_time": "response_times",
    "feedback_time": "feedback_times",
    "first_wheel_movement_time": "firstMovement_times",
    "wheel_movement_onset_time": "firstMovement_times",
}
_CHOICES = {"clockwise": 1, "none": 0, "no_go": 0, "counter_clockwise": -1}


def recognised(columns: Mapping[str, Any]) -> str:
    """The convention of a trials table; empty where it is of none that is known."""
    return "IBL-to-nwb" if columns.keys() >= IBL_TO_NWB else ""


def trials(convention: str, columns: Mapping[str, Any]) -> dict[str, tuple[np.ndarray, list[str], str]]:
    """ALF attribute -> its values, the columns they come from, and what was done.

    Raises
    ------
    ValueError : a column holds what the convention does not know.
    """
    if convention != "IBL-to-nwb":
        return {}

    def of(name: str) -> np.ndarray:
        return as_array(columns[name].data)

    contrast, side = of("gabor_stimulus_contrast").astype(float) / 100, of("gabor_stimulus_side").astype(str)
    both = ["gabor_stimulus_contrast", "gabor_stimulus_side"]
    if unknown := set(side) - {"left", "right", "none", ""}:
        raise ValueError(f"gabor_stimulus_side holds {', '.join(sorted(unknown))}")
    attributes = {
        f"contrast{name.title()}": (np.where(side == name, contrast, np.nan), both, "percent as fraction, by side")
        for name in ("left", "right")
    }
    made: list[tuple[str, str, Callable[[np.ndarray], np.ndarray], str]] = [
        ("choice", "mouse_wheel_choice", _choices, "clockwise is +1, counter-clockwise -1"),
        ("feedbackType", "is_mouse_rewarded", lambda v: np.where(v.astype(bool), 1, -1), "+1 reward, -1 error"),
        ("rewardVolume", "reward_volume_uL", lambda v: v.astype(float), "uL"),
        ("probabilityLeft", "probability_left", lambda v: v.astype(float), "as it is"),
        *((target, source, lambda v: v.astype(float), "s") for source, target in _TIMES.items()),
    ]
    for target, source, convert, text in made:
        if source in columns and target not in attributes:
            attributes[target] = (convert(of(source)), [source], text)
    return attributes


def _choices(values: np.ndarray) -> np.ndarray:
    if unknown := set(values.astype(str)) - _CHOICES.keys():
        raise ValueError(f"mouse_wheel_choice holds {', '.join(sorted(unknown))}")
    return np.array([_CHOICES[str(value)] for value in values])
