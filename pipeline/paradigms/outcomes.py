"""From the trials of a described task to what the animal did in each, by the description; arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.analysis import conventions, curves, trial_conditions
from pipeline.analysis.arrays import AnyArray, Booleans, Floats, Integers
from pipeline.paradigms.description import TaskDescription

__all__ = ["NO_RESPONSE", "UNKNOWN", "Outcomes", "conventional", "read_outcomes"]

NO_RESPONSE = -1
UNKNOWN = -2

_REPLACED = ("choice", "feedback_type", "contrast_left", "contrast_right", "probability_left", "stim_on_times",
             "go_cue_trigger_times", "go_cue_times", "response_times", "first_movement_times")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What happened in each trial; all arrays (n_trials,). Unknown is NaN."""

    choice: Integers  # index into the choices of the task, NO_RESPONSE or UNKNOWN
    correct: Floats  # 1, 0
    rewarded: Floats  # 1, 0
    go: Floats  # 1, 0: a response was right; NaN in tasks other than go/no-go
    early: Booleans  # responded before it may
    level: AnyArray  # of the stimulus: float, or str where levels have names
    is_easy: Booleans | None  # None where the task does not say what is easy
    started: Floats | None  # s from session start
    responded: Floats | None  # s from session start
    moved: Floats | None  # s from session start
    notes: tuple[str, ...]  # what could not be told, and why

    @property
    def counts(self) -> Booleans:
        """Trials in which the choice is known and not early: those that all measures are over."""
        return (self.choice != UNKNOWN) & ~self.early

    @property
    def response_time(self) -> Floats | None:
        """Time from the start to the response (s); NaN without a response; None where it was not recorded."""
        if self.started is None or self.responded is None:
            return None
        return np.where((self.choice >= 0) & ~self.early, self.responded - self.started, np.nan)


def read_outcomes(trials: Mapping[str, AnyArray], task: TaskDescription) -> Outcomes:
    """Read the trials by a description; what the trials lack is unknown, and said in `notes`.

    Parameters
    ----------
    trials : column -> (n_trials, …) array, as `behavior.fetch_trials` returns them

    Examples
    --------
    >>> task = TaskDescription("tones", ("*",), choices=((1, "low"), (2, "high")), correct="choice == side")
    >>> outcomes = read_outcomes({"choice": np.array([1, 2, 0, 7]), "side": np.array([1, 1, 2, 2])}, task)
    >>> outcomes.choice, outcomes.correct, outcomes.notes[0]
    (array([ 0,  1, -1, -2]), array([ 1.,  0.,  0., nan]), '1 trials have a choice that the task does not describe: 7')
    """
    size = len(next(iter(trials.values()), ()))
    notes: list[str] = []
    choice = _choices(trials, task, size, notes)
    go = _condition(trials, task.go, "go", size, notes)
    early = _condition(trials, task.early, "early", size, notes) == 1
    if task.design == "go_no_go":
        correct = np.where(choice == UNKNOWN, np.nan, np.where(np.isnan(go), np.nan, (choice >= 0) == (go == 1)))
    else:
        correct = np.where(choice == UNKNOWN, np.nan, _condition(trials, task.correct, "correct", size, notes))
    level, is_easy = _levels(trials, task, size, notes)
    starts = [np.asarray(trials[name], dtype=float) for name in task.starts if name in trials]
    started = None
    for start in starts:
        started = start if started is None else np.where(np.isnan(started), start, started)
    responded, moved = (
        np.asarray(trials[name], dtype=float) if name in trials else None for name in (task.responds, task.moves)
    )
    if task.design != "passive":
        if started is None:
            notes.append(f"no response times: the trials have none of {', '.join(task.starts)}")
        elif responded is None:
            notes.append(f"no response times: the trials have no column {task.responds}")
    rewarded = _condition(trials, task.rewarded, "rewarded", size, notes if task.design == "foraging" else [])
    return Outcomes(choice, correct, rewarded, go, early, level, is_easy, started, responded, moved, tuple(notes))


def conventional(trials: Mapping[str, AnyArray], task: TaskDescription | None) -> dict[str, AnyArray]:
    """The trials in the columns and codes of `pipeline.analysis.conventions`, which the analyses of all tasks take.

    Of two alternatives the first is left and the second right; of more, and in go/no-go, every response is left. Trials
    with an early response have no choice. Trials of the program's own tasks are returned as they are, and so are those
    of a task that nobody describes.

    Examples
    --------
    >>> task = TaskDescription("sniff", ("*",), "go_no_go", choices=((1, "lick"),), go="odour == 1")
    >>> columns = conventional({"choice": np.array([1, 0, 1]), "odour": np.array([1, 2, 2])}, task)
    >>> columns["choice"], columns["feedback_type"]
    (array([1., 0., 1.]), array([ 1.,  1., -1.]))
    """
    if task is None or task.is_built_in:
        return dict(trials)
    outcomes = read_outcomes(trials, task)
    kept = {name: values for name, values in trials.items() if name not in _REPLACED and values.ndim == 1}
    right = (
        outcomes.choice == 1
        if len(task.choices) == 2 and task.design != "go_no_go"
        else np.zeros(len(outcomes.choice), bool)
    )
    side = np.where(right, conventions.CHOICE_RIGHT, conventions.CHOICE_LEFT)
    code = np.where(
        outcomes.choice >= 0, side, np.where(outcomes.choice == NO_RESPONSE, conventions.CHOICE_NONE, np.nan)
    )
    if task.design != "passive":
        kept["choice"] = np.where(outcomes.counts, code, np.nan)
    if task.correct and task.design != "passive":
        outcome = np.where(outcomes.correct == 1, conventions.FEEDBACK_CORRECT, conventions.FEEDBACK_ERROR)
        kept["feedback_type"] = np.where(outcomes.counts & np.isfinite(outcomes.correct), outcome, np.nan)
    if outcomes.is_easy is not None:
        kept["is_easy"] = outcomes.is_easy
    moments = (
        ("stim_on_times", outcomes.started),
        ("response_times", outcomes.responded),
        ("first_movement_times", outcomes.moved),
    )
    return kept | {name: values for name, values in moments if values is not None}


def _choices(trials: Mapping[str, AnyArray], task: TaskDescription, size: int, notes: list[str]) -> Integers:
    if task.design == "passive":
        return np.full(size, UNKNOWN)
    if task.choice not in trials:
        notes.append(f"nothing about choices: the trials have no column {task.choice}")
        return np.full(size, UNKNOWN)
    given = np.asarray(trials[task.choice])
    is_text = given.dtype.kind in "OUS"
    coded = [(code, place) for place, (code, _) in enumerate(task.choices)]
    coded += [(code, NO_RESPONSE) for code in task.no_choice]
    index = np.full(size, UNKNOWN)
    for code, place in coded:
        if isinstance(code, str) == is_text:
            index[given == code] = place
    missing = np.array([value is None or value == "" for value in given.tolist()]) if is_text else given != given
    odd = (index == UNKNOWN) & ~missing
    if odd.any():
        listed = ", ".join(str(item) for item in sorted(set(given[odd].tolist()), key=str)[:5])
        notes.append(f"{odd.sum()} trials have a choice that the task does not describe: {listed}")
    return index


def _condition(trials: Mapping[str, AnyArray], expression: str, name: str, size: int, notes: list[str]) -> Floats:
    """1 where it holds, 0 where its `not` holds, NaN elsewhere."""
    if not expression:
        return np.full(size, np.nan)
    parsed = trial_conditions.parse(expression)
    if lacking := [column for column in parsed.columns if column not in trials]:
        notes.append(f"{name} is not known: the trials have no column {', '.join(lacking)}")
        return np.full(size, np.nan)
    holds = parsed.holds(trials, size)
    fails = trial_conditions.parse(f"not ({expression})").holds(trials, size)
    return np.where(holds, 1.0, np.where(fails, 0.0, np.nan))


def _levels(
    trials: Mapping[str, AnyArray], task: TaskDescription, size: int, notes: list[str]
) -> tuple[AnyArray, Booleans | None]:
    """The level of the stimulus, and whether it is easy."""
    stimulus = task.stimulus
    if stimulus is None:
        return np.full(size, np.nan), None
    if stimulus.column not in trials:
        notes.append(f"nothing by {stimulus.axis}: the trials have no column {stimulus.column}")
        return np.full(size, np.nan), None
    values = np.asarray(trials[stimulus.column])
    if values.dtype.kind not in "bfiu":
        return np.array(["" if value is None else str(value) for value in values.tolist()], dtype=np.str_), None
    level = values.astype(np.float64)
    if values.dtype == np.float32:
        level = np.array(
            [float(f"{value:.6g}") for value in level.tolist()]
        )  # as the rig meant it: 0.1, not 0.10000000149
    if stimulus.easy is None:
        return level, None
    distance = np.abs(curves.axis_positions(level, stimulus.scale, stimulus.reference))
    return level, np.nan_to_num(distance, nan=-1.0) >= stimulus.easy - 1e-9
