"""Response and reaction times per trial, and their medians by contrast, at 0 % and along the session.

Everything is in seconds. A trial without a response (no-go) has no time, whatever the clock of its time-out says.
"""

from dataclasses import dataclass

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import Floats, Integers
from pipeline.analysis.conventions import CHOICE_NONE, Trials, n_trials, trial_signed_contrast
from pipeline.analysis.psychometrics import INTERVAL_LEVEL

ONSETS = ("stim_on_times", "go_cue_trigger_times", "go_cue_times")
"""What a response is timed from: for every trial the first of these that was recorded."""

LEAST_MOVEMENT = 0.1  # rad of wheel, below which a movement does not count as the first one
BEFORE_CUE = (
    0.2  # s before the go cue in which the animal must be still, so that an earlier movement is none of the trial
)

RUNNING_WINDOW = 10
"""Trials in the running median of the session plot."""


@dataclass(frozen=True, eq=False)
class MediansByContrast:
    """Median time at every contrast, all arrays of shape (n_contrasts,) in the order of ``contrasts``."""

    contrasts: Floats
    """Signed contrast (percent, right positive), ascending as in `psychometrics.counts`."""
    n: Integers
    """Trials with a time."""
    median: Floats
    """Seconds; NaN without such trials."""
    lower: Floats
    """Lower end of the interval of the median (s); NaN with too few trials for its level."""
    upper: Floats
    """Upper end (s)."""


def onset_times(trials: Trials) -> Floats | None:
    """Start of the time in which the mouse can respond, per trial (s); None if no column of `ONSETS` was recorded.

    The stimulus onset, and where one trial lacks it, that trial's go cue trigger, then its go cue.
    """
    recorded = [np.asarray(trials[name], dtype=np.float64) for name in ONSETS if name in trials]
    if not recorded:
        return None
    onset = recorded[0].copy()
    for other in recorded[1:]:
        missing = np.isnan(onset)
        onset[missing] = other[missing]
    return onset


def response_time(trials: Trials, with_no_go: bool = False) -> Floats | None:
    """Time from the onset to the response, per trial (s); NaN without a response; None if it was not recorded.

    The published training criteria and older plots call this the reaction time. With `with_no_go` a trial without a
    response has the time until its time-out, as the published criteria take it.

    Examples
    --------
    >>> nan = np.nan
    >>> response_time({
    ...     "response_times": np.array([1.5, 3.0, 65.0]), "choice": np.array([1, -1, 0]),
    ...     "stim_on_times": np.array([1.0, nan, 5.0]), "go_cue_times": np.array([1.1, 2.75, 5.1])})
    array([0.5 , 0.25,  nan])
    """
    n_trials(trials)
    onset = onset_times(trials)
    if onset is None or "response_times" not in trials:
        return None
    elapsed = np.asarray(trials["response_times"], dtype=np.float64) - onset
    if with_no_go or "choice" not in trials:
        return elapsed
    return np.where(trials["choice"] == CHOICE_NONE, np.nan, elapsed)


def reaction_time(trials: Trials) -> Floats | None:
    """Time from the stimulus onset to the first movement of the wheel, per trial (s); None if it was not recorded.

    NaN where the animal did not move, gave no response, or had begun to move before the stimulus.
    """
    n_trials(trials)
    if not {"first_movement_times", "stim_on_times"} <= trials.keys():
        return None
    first_movement = np.asarray(trials["first_movement_times"], dtype=np.float64)
    elapsed = first_movement - np.asarray(trials["stim_on_times"], dtype=np.float64)
    if "choice" in trials:
        elapsed = np.where(trials["choice"] == CHOICE_NONE, np.nan, elapsed)
    return np.where(elapsed < 0, np.nan, elapsed)


def no_reaction_time(trials: Trials) -> str:
    """Why there are no reaction times, in words; empty where there are.

    >>> no_reaction_time({"stim_on_times": np.array([1.0]), "choice": np.array([1])})
    'the trials have no firstMovement_times'
    """
    for name, attribute in (("first_movement_times", "firstMovement_times"), ("stim_on_times", "stimOn_times")):
        if name not in trials:
            return f"the trials have no {attribute}"
    times = reaction_time(trials)
    if times is not None and times.size and not np.isfinite(times).any():
        return "no trial has a first movement after its stimulus"
    return ""


def first_movements(trials: Trials, onsets: ArrayLike, amplitudes: ArrayLike) -> Floats | None:
    """The first movement of the wheel in each trial, from the movements found in its trace, (n_trials,), s.

    The rule of the published extraction: the first movement of more than `LEAST_MOVEMENT` that begins between
    `BEFORE_CUE` before the go cue and the feedback; NaN without one.

    Parameters
    ----------
    trials : mapping of column name to ndarray, shape (n_trials,)
        With `go_cue_times` or another of `ONSETS`, and `feedback_times` or `response_times`; else None is returned.
    onsets, amplitudes : array_like, shape (n_moves,)
        s, ascending; rad.

    Examples
    --------
    >>> trials = {"go_cue_times": np.array([1.0, 5.0]), "feedback_times": np.array([2.0, 6.0])}
    >>> first_movements(trials, [0.2, 1.1, 1.4, 4.0], [1.0, 0.02, -0.4, 0.5])
    array([1.4, nan])
    """
    n = n_trials(trials)
    cue = onset_times(trials) if "go_cue_times" not in trials else np.asarray(trials["go_cue_times"], np.float64)
    end = next(
        (np.asarray(trials[name], np.float64) for name in ("feedback_times", "response_times") if name in trials), None
    )
    if cue is None or end is None:
        return None
    large = np.abs(np.asarray(amplitudes, np.float64)) > LEAST_MOVEMENT
    starts = np.append(np.asarray(onsets, np.float64)[large], np.inf)
    first = starts[
        np.searchsorted(starts, np.where(np.isnan(cue), np.inf, cue) - BEFORE_CUE, side="right").clip(
            0, starts.size - 1
        )
    ]
    return np.where(first < np.where(np.isnan(end), -np.inf, end), first, np.nan) if n else np.empty(0)


def medians_by_contrast(
    signed_contrast: ArrayLike,
    times: ArrayLike,
    contrasts: ArrayLike | None = None,
    level: float = INTERVAL_LEVEL,
) -> MediansByContrast:
    """Median of the times at every signed contrast, with an interval from order statistics.

    The interval lies between two order statistics d places from either end, interpolated so that its coverage is
    nearly exact for any continuous distribution; unlike a bootstrap it needs no random numbers.

    Parameters
    ----------
    signed_contrast, times : array_like, shape (n_trials,)
        Percent, right positive; seconds. Trials with a NaN in either are left out.
    contrasts : array_like, optional
        Ascending levels to report, such as those of `psychometrics.counts`; default all that have a time.
    level : float
        Coverage of the interval, 0-1; default 0.68.

    Raises
    ------
    ValueError
        If contrasts and times differ in length.

    References
    ----------
    Hettmansperger and Sheather (1986), Statistics and Probability Letters 4, 75-79.

    Examples
    --------
    >>> medians = medians_by_contrast([-100, -100, -100, 0, 0, 0, 0], [0.2, 0.3, 0.4, 0.5, 0.7, 0.9, np.nan])
    >>> medians.contrasts, medians.n, medians.median
    (array([-100.,    0.]), array([3, 3]), array([0.3, 0.7]))
    """
    contrast = np.asarray(signed_contrast, dtype=np.float64)
    time = np.asarray(times, dtype=np.float64)
    if contrast.shape != time.shape or contrast.ndim != 1:
        raise ValueError(f"contrasts and times must be 1-D and alike, got {contrast.shape} and {time.shape}")
    known = np.isfinite(contrast) & np.isfinite(time)
    contrast, time = contrast[known], time[known]
    levels = np.unique(contrast) if contrasts is None else np.asarray(contrasts, dtype=np.float64)
    order = np.lexsort((time, contrast))
    contrast, time = contrast[order], time[order]
    first = np.searchsorted(contrast, levels, side="left")
    n = np.searchsorted(contrast, levels, side="right") - first
    return MediansByContrast(levels, n, *_sorted_medians(time, first, n, level))


def median_at_zero(trials: Trials, times: Floats | None = None) -> float | None:
    """Median time over the trials at 0 % contrast (s); None without such trials.

    Parameters
    ----------
    times : ndarray, shape (n_trials,), optional
        Default `response_time`, as the training criteria want it.
    """
    times = response_time(trials) if times is None else times
    contrast = trial_signed_contrast(trials)
    if times is None or contrast is None:
        return None
    return median(times[contrast == 0])


def median(times: ArrayLike) -> float | None:
    """Median of the finite times (s); None if there is none."""
    finite = np.asarray(times, dtype=np.float64)
    ordered = np.sort(finite[np.isfinite(finite)])  # numpy's median takes three times as long for a session's trials
    n = ordered.size
    return float((ordered[(n - 1) // 2] + ordered[n // 2]) / 2) if n else None


def running_median(times: ArrayLike, window: int = RUNNING_WINDOW) -> Floats:
    """Median of each trial and the ``window - 1`` before it (fewer at the start), NaN values left out.

    Parameters
    ----------
    times : array_like, shape (n_trials,)
    window : int
        Trials, at least 1.

    Returns
    -------
    ndarray, shape (n_trials,)
        NaN only where the whole window is NaN.

    Raises
    ------
    ValueError
        If the window is below 1.

    Examples
    --------
    >>> running_median([3.0, 1.0, np.nan, 5.0], window=2)
    array([3., 2., 1., 5.])
    """
    if window < 1:
        raise ValueError(f"a running median needs a window of at least 1 trial, got {window}")
    times = np.asarray(times, dtype=np.float64)
    if not times.size:
        return times
    padded = np.concatenate([np.full(window - 1, np.nan), times])
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1)
    n = np.isfinite(windows).sum(axis=1)
    rows = np.arange(times.size)
    middle = (windows[rows, np.maximum(n - 1, 0) // 2] + windows[rows, np.minimum(n // 2, window - 1)]) / 2
    return np.where(n > 0, middle, np.nan)


def _sorted_medians(values: Floats, first: Integers, n: Integers, level: float) -> tuple[Floats, Floats, Floats]:
    """Median and interval of each run values[first:first + n], every run ascending.

    d is the largest rank for which the order statistics d and n + 1 - d cover the median with at least the level, by
    the binomial distribution; d + 1 covers it with less; the ends are interpolated between the two.
    """
    middle, lower, upper = (np.full(n.size, np.nan) for _ in range(3))
    some = n > 0
    middle[some] = (values[first[some] + (n[some] - 1) // 2] + values[first[some] + n[some] // 2]) / 2
    tail = (1 - level) / 2
    enough = some & (0.5 ** np.maximum(n, 1) <= tail)
    start, size = first[enough], n[enough]
    d = np.floor(scipy.special.bdtrik(tail, size, 0.5)).astype(np.int64) + 1
    d -= scipy.special.bdtr(d - 1.0, size, 0.5) > tail
    d += scipy.special.bdtr(d.astype(np.float64), size, 0.5) <= tail
    wide = 1 - 2 * scipy.special.bdtr(d - 1.0, size, 0.5)
    narrow = 1 - 2 * np.minimum(scipy.special.bdtr(d.astype(np.float64), size, 0.5), 0.5)
    share = (wide - level) / (wide - narrow)
    weight = (size - d) * share / (d + (size - 2 * d) * share)
    lower[enough] = (1 - weight) * values[start + d - 1] + weight * values[start + d]
    upper[enough] = (1 - weight) * values[start + size - d] + weight * values[start + size - d - 1]
    return middle, lower, upper
