"""Does the wheel turn the way the choices say? By ALF's convention positions grow counter-clockwise, choice -1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis.conventions import Trials, responded
from pipeline.analysis.reaction_times import LEAST_MOVEMENT, onset_times

__all__ = ["against_choices"]

FEWEST = 20  # trials with a choice and a turn from which their agreement tells something
INVERTED = 0.9  # share of these trials that disagree from which a sign is inverted
DOUBTFUL = 0.25  # share from which something else is wrong, e.g. the clock


def against_choices(position: ArrayLike, timestamps: ArrayLike, trials: Trials) -> tuple[str, str]:
    """An outcome, PASS, WARNING or FAIL (the sign is inverted), and what was found in words, empty for PASS.

    Parameters
    ----------
    position : (n,) array, rad, counter-clockwise positive
    timestamps : (n,) array, s, strictly increasing
    trials : mapping of column name to ndarray, shape (n_trials,); `choice`, an onset and `response_times` or
        `feedback_times` are needed, else nothing is said

    Examples
    --------
    >>> turns = np.tile([0.0, 0.0, 0.5, 0.5, 0.0], 20)
    >>> trials = {"choice": np.full(20, -1), "stim_on_times": np.arange(20) + 0.2,
    ...           "response_times": np.arange(20) + 0.6}
    >>> against_choices(turns, np.arange(100) / 5, trials)
    ('PASS', '')
    >>> against_choices(-turns, np.arange(100) / 5, trials)[1]
    'the wheel turns against the choice in 20 of 20 trials: the sign of one of them is inverted'
    """
    position, timestamps = np.asarray(position, dtype=float), np.asarray(timestamps, dtype=float)
    begin = onset_times(trials)
    end = trials.get("response_times", trials.get("feedback_times"))
    if begin is None or end is None or "choice" not in trials or timestamps.size < 2:
        return "PASS", ""
    choice, end = np.asarray(trials["choice"], dtype=float), np.asarray(end, dtype=float)
    with np.errstate(invalid="ignore"):
        within = (begin >= timestamps[0]) & (end <= timestamps[-1]) & (begin < end) & responded(choice)
    turned = np.interp(end[within], timestamps, position) - np.interp(begin[within], timestamps, position)
    large = np.abs(turned) >= LEAST_MOVEMENT
    n_trials = int(large.sum())
    if n_trials < FEWEST:
        return "PASS", ""
    n_against = int((np.sign(turned[large]) == np.sign(choice[within][large])).sum())
    said = f"the wheel turns against the choice in {n_against} of {n_trials} trials"
    if n_against >= INVERTED * n_trials:
        return "FAIL", f"{said}: the sign of one of them is inverted"
    if n_against >= DOUBTFUL * n_trials:
        return "WARNING", f"{said}: the times of the two are perhaps not of one clock"
    return "PASS", ""
