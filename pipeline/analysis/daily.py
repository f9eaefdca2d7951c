"""An animal's days: the sessions of one date pooled, and which day of training it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis import reaction_times
from pipeline.analysis.arrays import Dates, Floats, Integers
from pipeline.analysis.conventions import (
    Trials,
    answered,
    easy_trials,
    n_trials,
    trial_correct,
)

DAYS_PER_WEEK = 5
"""Training days in a training week, as the IBL counts them."""


@dataclass(frozen=True, eq=False)
class Days:
    """One entry per date, ascending; NaN where no session of the day has the columns that a value takes."""

    dates: Dates  # datetime64[D]
    n_sessions: Integers
    n_trials: Integers
    minutes: Floats  # from the first to the last trial, sessions added, min
    performance: Floats  # fraction correct over trials with a response, 0-1
    performance_easy: Floats  # the same where abs(contrast) >= 50 %, 0-1
    response_time: Floats  # median from stimulus to response, s
    response_time_easy: Floats  # the same where abs(contrast) >= 50 %, s
    reaction_time: Floats  # median from stimulus to the first movement of the wheel, s
    reaction_time_easy: Floats  # the same where abs(contrast) >= 50 %, s
    training_day: Integers  # dates with a session that counts, up to this one, from 1; 0 before the first
    training_week: Integers  # (training_day - 1) // 5, from 0


def summarise_days(
    dates: ArrayLike,
    sessions: Sequence[Trials],
    counts: ArrayLike | None = None,
    numbers: ArrayLike | None = None,
) -> Days:
    """Pool the trials of all sessions of each date; of a session with several tasks, all of them.

    Parameters
    ----------
    dates : (n_sessions,) array of dates, in any order
    sessions : (n_sessions,) mappings of column name to ndarray, shape (n_trials,)
    counts : (n_sessions,) array of bool, which sessions are training; by default all (habituation does not count)
    numbers : (n_sessions,) array, the number of the session on its date; equal ones are tasks of one session; by
        default each is a session

    Raises
    ------
    ValueError
        If the arguments differ in length.

    Examples
    --------
    >>> one = {"choice": np.array([1, -1]), "feedback_type": np.array([1, -1]),
    ...        "contrast_left": np.array([1.0, np.nan]), "contrast_right": np.array([np.nan, 0.25])}
    >>> days = summarise_days(["2026-01-06", "2026-01-05", "2026-01-06"], [one, one, one], [True, False, True])
    >>> days.n_trials, days.performance, days.performance_easy, days.training_day
    (array([2, 4]), array([0.5, 0.5]), array([1., 1.]), array([0, 1]))
    """
    dates = np.asarray(dates, dtype="datetime64[D]")
    counts = np.ones(dates.size, dtype=bool) if counts is None else np.asarray(counts, dtype=bool)
    if not dates.size == len(sessions) == counts.size:
        raise ValueError(f"{dates.size} dates, {len(sessions)} sessions and {counts.size} flags")
    days, day = np.unique(dates, return_inverse=True)
    lengths = np.array([n_trials(session) for session in sessions], dtype=np.int64)
    trial_day = np.repeat(day, lengths)
    per_trial = [_outcomes(session) for session in sessions] or [(np.empty(0),) * 4]
    correct, easy, responses, reactions = (np.concatenate(part) for part in zip(*per_trial, strict=True))
    training_day = np.cumsum(np.bincount(day, counts, days.size) > 0, dtype=np.int64)
    return Days(
        dates=days,
        n_sessions=np.bincount(day, minlength=days.size) if numbers is None else _distinct(day, numbers, days.size),
        n_trials=np.bincount(trial_day, minlength=days.size),
        minutes=_sums(day, np.array([_minutes(session) for session in sessions], dtype=float), days.size),
        performance=_means(trial_day, correct, days.size),
        performance_easy=_means(trial_day, np.where(easy == 1, correct, np.nan), days.size),
        response_time=_medians(trial_day, responses, days.size),
        response_time_easy=_medians(trial_day, np.where(easy == 1, responses, np.nan), days.size),
        reaction_time=_medians(trial_day, reactions, days.size),
        reaction_time_easy=_medians(trial_day, np.where(easy == 1, reactions, np.nan), days.size),
        training_day=training_day,
        training_week=np.maximum(training_day - 1, 0) // DAYS_PER_WEEK,
    )


def _distinct(day: Integers, numbers: ArrayLike, n_days: int) -> Integers:
    """How many different numbers each day has."""
    pairs = np.unique(np.column_stack((day, np.asarray(numbers, dtype=np.int64))), axis=0)
    return np.bincount(pairs[:, 0], minlength=n_days)


def _outcomes(trials: Trials) -> tuple[Floats, Floats, Floats, Floats]:
    """Per trial: correct (NaN without a response or where unknown), easy (1 or 0), response and reaction time (s)."""
    size = n_trials(trials)
    correct, is_easy = trial_correct(trials), easy_trials(trials)
    times = (reaction_times.response_time(trials), reaction_times.reaction_time(trials))
    answer = answered(trials)
    correct = np.full(size, np.nan) if correct is None or answer is None else np.where(answer, correct, np.nan)
    easy = np.zeros(size) if is_easy is None else is_easy.astype(float)
    responses, reactions = (np.full(size, np.nan) if time_ is None else time_ for time_ in times)
    return correct, easy, responses, reactions


def _minutes(trials: Trials) -> float:
    if "intervals_0" not in trials or "intervals_1" not in trials:
        return float("nan")
    times = np.concatenate((trials["intervals_0"], trials["intervals_1"]))
    times = times[np.isfinite(times)]
    return float(np.ptp(times)) / 60 if times.size else float("nan")


def _sums(group: Integers, values: Floats, n_groups: int) -> Floats:
    """Sum of the known values of each group, NaN where none is known."""
    known = np.isfinite(values)
    total = np.bincount(group[known], values[known], n_groups)
    return np.where(np.bincount(group[known], minlength=n_groups) > 0, total, np.nan)


def _means(group: Integers, values: Floats, n_groups: int) -> Floats:
    known = np.bincount(group[np.isfinite(values)], minlength=n_groups)
    return _sums(group, values, n_groups) / np.maximum(known, 1)


def _medians(group: Integers, values: Floats, n_groups: int) -> Floats:
    known = np.isfinite(values)
    group, values = group[known], values[known]
    order = np.lexsort((values, group))
    values, size = values[order], np.bincount(group, minlength=n_groups)
    start = np.cumsum(size) - size
    padded: Floats = np.append(values, np.nan)
    low = np.where(size > 0, start + (size - 1) // 2, values.size)
    high = np.where(size > 0, start + size // 2, values.size)
    return (padded[low] + padded[high]) / 2
