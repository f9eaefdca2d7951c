"""The wheel of one session in radians, from its files: what its movements are found in and what a page draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pipeline import paradigms
from pipeline.alf.reasons import refuse
from pipeline.analysis import encoder, trial_checks
from pipeline.errors import InvalidData
from pipeline.schemas.inputs import files
from pipeline.settings import settings


class WheelTrace(NamedTuple):
    """A wheel as its files have it, in radians."""

    times: np.ndarray  # (n,) s from session start, strictly increasing
    turned: encoder.WheelPosition
    dropped: int  # samples that were left out: their time is missing or not after the one before
    clock: str  # what was found about the times, in words; empty where they are sound


def read(key: Mapping[str, Any]) -> WheelTrace:
    """Read the wheel; its unit is what the setting `wheel_units` states for the lab, else what the trace proves.

    Raises
    ------
    InvalidData : a file is absent, refused or not as it was registered; the unit is neither stated nor
        proven; or the times are in no known unit.
    """
    wheel = files.read_object(key, "wheel", required=("position", "timestamps"))
    times = wheel.values["timestamps"]
    positions, stated = wheel.values["position"], settings().wheel_units.get(key["lab"])
    try:
        turned = encoder.in_radians(positions, times, stated)
    except encoder.UnknownUnit as error:
        raise refuse(str(wheel.paths[0]), "unknown_unit", str(error), "position") from error
    try:
        seconds, clock = encoder.in_seconds(turned.position, times)
    except ValueError as error:
        raise refuse(str(wheel.paths[0]), "wrong_clock", str(error), "timestamps") from error
    if seconds is not times:  # jumps that are faster than a mouse are found in seconds
        turned = encoder.in_radians(positions, seconds, stated)
    return WheelTrace(seconds, turned, wheel.dropped, clock)


_OF_CHOICES = (
    "choice", "stim_on_times", "go_cue_trigger_times", "go_cue_times", "response_times", "feedback_times",
    "feedback_type", "contrast_left", "contrast_right",  # by which another code of the choices is recognised
)  # fmt: skip


def choices(key: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The trials of the same task, their choices and times, from the files; empty where there are none to compare with.

    So where the lab describes the task itself: what its choices mean is not that of a wheel.
    """
    if paradigms.described():
        return {}
    try:
        trials = files.read_trials(key).values
    except InvalidData:  # no trials; or what is wrong with them: once that is mended, the wheel is outdated
        return {}
    return trial_checks.repaired({name: trials[name] for name in _OF_CHOICES if name in trials})
