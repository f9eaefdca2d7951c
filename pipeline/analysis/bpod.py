"""Trials and wheel from what the rig's state machine (Bpod) and its rotary encoder wrote: pure functions.

Times are seconds from the start of the first trial. Each trial's record holds the times at which its states began and
ended and those of its inputs: BNC1 is the photodiode on the screen, BNC2 the sound card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.analysis.arrays import AnyArray, Booleans, Floats, Integers
from pipeline.analysis.clocks import match_pulses

TICKS_PER_TURN = 1024  # the rig's encoder with X1 decoding
PHOTODIODE_SINCE = 5
"""From this version of the rig's software on, the photodiode shows each change of the stimulus."""


class BadTrials(ValueError):
    """A record of a trial cannot be used; the message says which, and what is wrong."""


@dataclass(frozen=True)
class Trials:
    """The trials of a session.

    Attributes
    ----------
    table : column -> (n,) array, as in `_ibl_trials.table`
    more : attribute -> array, of what is a file of its own
    notes : what could not be read, in words
    """

    table: dict[str, AnyArray]
    more: dict[str, AnyArray]
    notes: tuple[str, ...] = ()


def trials(records: Sequence[Mapping[str, Any]], version: int = PHOTODIODE_SINCE) -> Trials:
    """The trials of a session of the choice-world tasks.

    Parameters
    ----------
    records : one for each trial, as in `_iblrig_taskData.raw.jsonable`
    version : major version of the rig's software

    Raises
    ------
    BadTrials
        There are none, or one lacks what every trial has.
    """
    if not records:
        raise BadTrials("there are no trials")
    read = [_trial(number, one, version) for number, one in enumerate(records)]
    columns = {name: np.array([item[name] for item in read]) for name in read[0]}
    for name in ("choice", "feedbackType", "repNum"):
        columns[name] = columns[name].astype(np.int64)
    columns["repNum"] = _repetitions(columns.pop("is_repeat"))
    notes = []
    if n_doubtful := int(columns.pop("is_doubtful").sum()):
        notes.append(
            f"{n_doubtful} trials state another outcome (trial_correct) than their states show; it is taken as stated"
        )
    starts = np.array([_behavior(number, one)["Bpod start timestamp"] for number, one in enumerate(records)])
    if np.ptp(starts) > 1e-3:
        notes.append(
            "the state machine was started again within the session: times of its parts may not be of one clock"
        )
    falls = np.flatnonzero(np.diff(columns["intervals_0"]) <= 0)
    if falls.size:
        raise BadTrials(f"trial {falls[0] + 2} begins before trial {falls[0] + 1}")
    for name, words in (("stimOn_times", "photodiode"), ("goCue_times", "go tone")):
        n_missing = int(np.isnan(columns[name]).sum())
        if n_missing:
            notes.append(f"{n_missing} of {len(read)} trials show no {words}: {name} is NaN there")
    in_table = (
        "intervals_0", "intervals_1", "goCue_times", "response_times", "choice", "stimOn_times", "contrastLeft",
        "contrastRight", "feedback_times", "feedbackType", "rewardVolume", "probabilityLeft",
    )  # fmt: skip
    more = {name: values for name, values in columns.items() if name not in in_table}
    return Trials({name: columns[name] for name in in_table}, more, tuple(notes))


def _trial(number: int, record: Mapping[str, Any], version: int) -> dict[str, Any]:
    """The columns of one trial; whatever is wrong with its record, the message names the trial."""
    try:
        return _columns(number, record, version)
    except (TypeError, AttributeError, KeyError, IndexError, ValueError) as error:
        if isinstance(error, BadTrials):
            raise
        raise BadTrials(f"trial {number + 1} cannot be read ({type(error).__name__}: {error})") from None


def _columns(number: int, record: Mapping[str, Any], version: int) -> dict[str, Any]:
    behavior = _behavior(number, record)
    begin = behavior["Trial start timestamp"] - behavior["Bpod start timestamp"]
    if not np.isfinite(begin):
        raise BadTrials(f"trial {number + 1} has no start")
    length = behavior["Trial end timestamp"] - behavior["Trial start timestamp"]
    states, events = behavior["States timestamps"], behavior["Events timestamps"]

    def state(name: str, which: int = 0) -> float:
        visits = states.get(name)
        return float(visits[0][which]) if visits and visits[0][which] is not None else np.nan

    def first(times: Floats, since: float, until: float = np.inf) -> float:
        later = times[(times >= since) & (times < until)]
        return float(later[0]) if later.size else np.nan

    sound = np.sort(np.asarray(events.get("BNC2High") or [], dtype=float))
    screen = np.sort(np.asarray([*(events.get("BNC1High") or []), *(events.get("BNC1Low") or [])], dtype=float))
    if version < PHOTODIODE_SINCE:  # it was not fixed to the screen: what it shows is no change of the stimulus
        screen = screen[:0]
    position = _number(number, record, "position")
    side = np.sign(position)
    if side == 0:
        raise BadTrials(f"trial {number + 1} shows its stimulus in the middle: its side is not known")
    no_go, failed = not np.isnan(state("no_go")), state("error")
    rewarded, erred = not np.isnan(state("reward")), no_go or not np.isnan(failed)
    correct = _is_correct(number, record, rewarded, erred)
    response = state("closed_loop", 1)
    if np.isnan(response):
        raise BadTrials(f"trial {number + 1} has no end of its closed loop")
    failed = state("no_go") if no_go else failed
    stim_on, cue_trigger = state("stim_on"), state("play_tone")
    cue_trigger = state("closed_loop") if np.isnan(cue_trigger) else cue_trigger
    cue = first(sound, cue_trigger - 1e-9, response)
    feedback = state("reward") if np.isnan(failed) else first(sound, failed, length)
    feedback = failed if np.isnan(feedback) else feedback
    off_trigger = state("no_go") if no_go else state("exit_state")
    if not np.isnan(state("hide_stim")):
        off_trigger = state("hide_stim")
    on = first(screen, stim_on, response)
    off = first(screen, off_trigger) if not np.isnan(off_trigger) else np.nan
    between = screen[(screen > on) & (screen < off)] if not np.isnan(off) else screen[:0]
    contrast = abs(_contrast(number, record))
    return {
        "intervals_0": begin, "intervals_1": begin + length, "response_times": begin + response,
        "goCue_times": begin + cue, "goCueTrigger_times": begin + cue_trigger, "stimOn_times": begin + on,
        "stimOnTrigger_times": begin + stim_on, "stimOff_times": begin + off,
        "stimOffTrigger_times": begin + off_trigger,
        "stimFreeze_times": begin + (np.nan if no_go or not between.size else float(between[-1])),
        "itiIn_times": begin + state("exit_state"), "errorCueTrigger_times": begin + failed,
        "feedback_times": begin + feedback, "choice": 0 if no_go else -side if correct else side,
        "feedbackType": 1 if correct else -1, "contrastLeft": contrast if side < 0 else np.nan,
        "contrastRight": contrast if side > 0 else np.nan,
        "rewardVolume": _number(number, record, "reward_amount") if correct else 0.0,
        "probabilityLeft": _number(number, record, "stim_probability_left"),
        "quiescencePeriod": _number(number, record, "quiescent_period"), "repNum": 0,
        "is_repeat": _is_repeat(record), "is_doubtful": rewarded != erred and correct != rewarded,
    }  # fmt: skip


def _behavior(number: int, record: Mapping[str, Any]) -> Mapping[str, Any]:
    behavior = record.get("behavior_data")
    needed = ("Bpod start timestamp", "Trial start timestamp", "Trial end timestamp", "States timestamps",
              "Events timestamps")  # fmt: skip
    if not isinstance(behavior, Mapping) or any(name not in behavior for name in needed):
        raise BadTrials(f"trial {number + 1} has no times of its states")
    return behavior


def _number(number: int, record: Mapping[str, Any], name: str) -> float:
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise BadTrials(f"trial {number + 1} has no {name}")
    return float(value)


def _is_correct(number: int, record: Mapping[str, Any], rewarded: bool, failed: bool) -> bool:
    """What the rig says; where it says nothing, whether the state of reward or that of error was reached."""
    told = record.get("trial_correct")
    if not isinstance(told, bool):
        if rewarded == failed:
            raise BadTrials(f"trial {number + 1} has no trial_correct, and no state tells whether it was")
        return rewarded
    return told


def _contrast(number: int, record: Mapping[str, Any]) -> float:
    """As a fraction; older rigs write the object that chose it."""
    for value in (record.get("signed_contrast"), record.get("contrast"), _value(record.get("contrast"))):
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1:
            return float(value)
    raise BadTrials(f"trial {number + 1} has no contrast")


def _value(entry: Any) -> Any:
    return entry.get("value") if isinstance(entry, Mapping) else None


def _is_repeat(record: Mapping[str, Any]) -> bool:
    contrast = record.get("contrast")
    return isinstance(contrast, Mapping) and contrast.get("type") == "RepeatContrast"


def _repetitions(is_repeat: Booleans) -> Integers:
    """How often each trial's stimulus was repeated.

    >>> _repetitions(np.array([False, True, True, False, True]))
    array([0, 1, 2, 0, 1])
    """
    count, counts = 0, []
    for item in is_repeat:
        count = count + 1 if item else 0
        counts.append(count)
    return np.array(counts, dtype=np.int64)


@dataclass(frozen=True)
class Encoder:
    """What an encoder file holds: times (s, by the clock of the encoder, unwrapped) and values."""

    times: Floats
    values: Integers
    n_dropped: int = 0


def read_encoder(text: str) -> Encoder:
    """The lines of `_iblrig_encoderPositions.raw.ssv` or `…Events.raw.ssv`, of any version of the rig.

    Lines that were cut off, have no time or are there twice are dropped and counted. Times are microseconds in a
    counter of 32 bits that begins again after 71.6 min; older rigs write them into the second column.
    """
    times: list[int] = []
    values: list[int] = []
    n_bad = 0
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        old = words[0] in ("Position", "Event")
        kept = [words[1], words[-2] if len(words) > 3 else ""] if old and len(words) > 2 else words[:2]
        try:
            microseconds, value = int(kept[0]), int(kept[1])
            if not 0 <= microseconds < 1 << 32 or abs(value) > 1 << 15 or (old and len(words) < 4):
                raise ValueError
        except (ValueError, IndexError):
            n_bad += 1
            continue
        times.append(microseconds)
        values.append(value)
    at: Floats = np.array(times, dtype=np.float64)
    steps = np.diff(at)
    laps = np.concatenate([[0], np.cumsum(steps < -(1 << 31))]) if at.size else np.empty(0)
    at = at + laps * float(1 << 32)
    order = np.argsort(at, kind="stable")  # a piece that was written twice, or late, lies in the middle of others
    at, sorted_values = at[order], np.array(values, dtype=np.int64)[order]
    again = (
        np.concatenate([[False], (np.diff(at) == 0) & (np.diff(sorted_values) == 0)])
        if at.size
        else np.empty(0, dtype=bool)
    )
    return Encoder(at[~again] * 1e-6, sorted_values[~again], n_bad + int(again.sum()))


@dataclass(frozen=True)
class Wheel:
    """Position of the wheel (rad, counter-clockwise positive) at times (s), and what was repaired."""

    times: Floats
    position: Floats
    notes: tuple[str, ...] = ()


def wheel(positions: Encoder, events: Encoder, closed_loop: Floats) -> Wheel:
    """The wheel in the clock of the session.

    The encoder notes when the state machine enters the closed loop of each trial (event 3); between these moments its
    clock is interpolated, and beyond them extended.

    Parameters
    ----------
    positions, events : of the encoder; positions are ticks, set to 0 in each trial
    closed_loop : (n_trials,) array, s, when the closed loop began

    Raises
    ------
    BadTrials
        Fewer than two trials can be matched.
    """
    notes = []
    at = events.times[events.values == 3]
    if at.size > 1 and closed_loop.size > 1 and np.median(np.diff(at)) * 500 < np.median(np.diff(closed_loop)):
        at = at * 1e3  # older rigs write milliseconds
    encoder_at, session_at = _matched(at, closed_loop)
    if encoder_at.size < 2:
        raise BadTrials("the events of the encoder match fewer than two trials")
    if encoder_at.size < closed_loop.size:
        notes.append(f"{closed_loop.size - encoder_at.size} trials have no event of the encoder")
    slope = np.diff(session_at) / np.diff(encoder_at)
    times = np.interp(positions.times, encoder_at, session_at)
    before, after = positions.times < encoder_at[0], positions.times > encoder_at[-1]
    times[before] = session_at[0] + (positions.times[before] - encoder_at[0]) * slope[0]
    times[after] = session_at[-1] + (positions.times[after] - encoder_at[-1]) * slope[-1]
    steps = np.diff(positions.values)
    resets = (positions.values[1:] == 0) & (np.abs(steps) > 1)
    steps[resets] = 0
    steps, n_wraps = _unwrapped(steps)
    if n_wraps:
        notes.append(f"the encoder's count started over {n_wraps} times; these jumps were taken out")
    ticks = positions.values[:1].sum() + np.concatenate([[0], np.cumsum(steps)]) if positions.values.size else steps
    rising = np.concatenate([[True], np.diff(times) > 0]) if times.size else np.empty(0, dtype=bool)
    if not rising.all():
        notes.append(f"{int((~rising).sum())} samples of the wheel have the time of the one before; left out")
    if positions.n_dropped or events.n_dropped:
        notes.append(f"{positions.n_dropped + events.n_dropped} damaged lines of the encoder were left out")
    return Wheel(times[rising], -ticks[rising] * (2 * np.pi / TICKS_PER_TURN), tuple(notes))


def _unwrapped(steps: Integers) -> tuple[Integers, int]:
    """Steps between samples without those at which the count started over: after 16 bits, or after a whole turn.

    No wheel turns half a turn within a sample, and a jump within a sixteenth of a turn of the count's range is its end.

    >>> _unwrapped(np.array([1, -65535, 2, 1021, -3]))
    (array([ 1,  1,  2, -3, -3]), 2)
    """
    unwrapped = steps.copy()
    for span in (1 << 16, TICKS_PER_TURN):
        ends = np.abs(np.abs(unwrapped) - span) <= TICKS_PER_TURN // 16
        unwrapped = np.where(ends, unwrapped - np.sign(unwrapped) * span, unwrapped)
    return unwrapped, int((unwrapped != steps).sum())


def _matched(encoder: Floats, session: Floats) -> tuple[Floats, Floats]:
    """The moments that both clocks have: as they are where the first ones fit, else matched by their intervals."""
    n = min(encoder.size, session.size)
    if n and np.abs(np.diff(encoder[:n]) - np.diff(session[:n])).max(initial=0.0) < 0.01:
        return encoder[:n], session[:n]

    first, second = match_pulses(encoder, session, tolerance=0.01)
    return encoder[first], session[second]
