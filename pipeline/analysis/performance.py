"""How a mouse did in a session: counts, fractions correct, and everything by signed contrast and by block.

Fractions are over trials with a response: a no-go is counted apart (``n_no_go``, ``n_easy_no_go``), neither as correct
nor as wrong. Whoever needs it as wrong, as the published training criteria do, divides by ``n_easy + n_easy_no_go``.
Only where the task rewards no-go trials is a no-go an answer like the others (see `conventions.answered`).
"""

from typing import Any

import numpy as np

from pipeline.analysis import reaction_times
from pipeline.analysis.arrays import AnyArray, Booleans, Floats
from pipeline.analysis.conventions import (
    CHOICE_NONE,
    Trials,
    answered,
    block_prior,
    easy_trials,
    n_trials,
    responded,
    right_choice,
    trial_correct,
    trial_signed_contrast,
)
from pipeline.analysis.psychometrics import counts

_TIMES = {"response_time": reaction_times.response_time, "reaction_time": reaction_times.reaction_time}


def session_performance(trials: Trials) -> dict[str, object]:
    """Counts, fractions correct, response and reaction times of one session, ready to be a row.

    Correct is what was rewarded (or, without feedback, the choice to the side of the stimulus), so that 0 % trials
    count like all others.

    Parameters
    ----------
    trials : mapping of column name to ndarray, shape (n_trials,)

    Returns
    -------
    dict
        ``n_trials``, and, each None where the columns it needs are missing:
        ``n_responses``, ``n_no_go``, ``n_correct`` : int;
        ``performance`` : float, fraction correct over trials with a response, 0-1;
        ``n_easy``, ``n_easy_correct``, ``n_easy_no_go`` : int, where abs(contrast) >= 50 %: responses, correct, no-go;
        ``performance_easy`` : float, ``n_easy_correct`` of the easy responses, 0-1; None without such responses;
        ``response_time``, ``response_time_easy``, ``response_time_zero`` : float, median time from stimulus to response
        of all trials, of easy ones and at 0 % contrast (s);
        ``reaction_time``, ``reaction_time_easy``, ``reaction_time_zero`` : float, the same to the first movement (s);
        ``reaction_time_note`` : str, why there are none;
        and the arrays of `by_contrast`.

    Raises
    ------
    ValueError
        If the columns differ in length.

    Examples
    --------
    >>> nan = np.nan
    >>> row = session_performance({
    ...     "choice": np.array([1, 1, -1, 0]), "feedback_type": np.array([1, -1, 1, -1]),
    ...     "contrast_left": np.array([1.0, nan, nan, 0.5]), "contrast_right": np.array([nan, 0.5, 0.0, nan])})
    >>> row["n_responses"], row["n_no_go"], round(row["performance"], 3), row["performance_easy"]
    (3, 1, 0.667, 0.5)
    """
    total = n_trials(trials)
    row: dict[str, object] = dict.fromkeys(
        ("n_responses", "n_no_go", "n_correct", "performance", "n_easy", "n_easy_correct", "n_easy_no_go")
        + ("performance_easy", *(f"{name}{which}" for name in _TIMES for which in ("", "_easy", "_zero")))
    )
    row["n_trials"] = total
    easy = easy_trials(trials)
    if "choice" in trials:
        response, no_go = responded(trials["choice"]), np.asarray(trials["choice"]) == CHOICE_NONE
        row["n_responses"], row["n_no_go"] = int(response.sum()), int(no_go.sum())
        correct, answer = trial_correct(trials), answered(trials)
        if correct is not None and answer is not None:
            row["n_correct"], row["performance"] = _fraction(correct[answer])
        if easy is not None:
            row["n_easy"], row["n_easy_no_go"] = int((easy & response).sum()), int((easy & no_go).sum())
            if correct is not None and answer is not None:
                row["n_easy_correct"], row["performance_easy"] = _fraction(correct[easy & answer])
    for name, measure in _TIMES.items():
        times = measure(trials)
        if times is not None:
            row[name] = reaction_times.median(times)
            row[f"{name}_zero"] = reaction_times.median_at_zero(trials, times)
        if times is not None and easy is not None:
            row[f"{name}_easy"] = reaction_times.median(times[easy])
    row["reaction_time_note"] = reaction_times.no_reaction_time(trials)
    return row | by_contrast(trials)


def by_contrast(trials: Trials, which: Booleans | None = None) -> dict[str, AnyArray | None]:
    """Counts and median response times at every signed contrast that had a response, all in one order.

    Parameters
    ----------
    trials : mapping of column name to ndarray, shape (n_trials,)
    which : ndarray of bool, shape (n_trials,), optional
        Trials to take; default all.

    Returns
    -------
    dict
        Arrays of shape (n_contrasts,), None where the columns they need are missing:
        ``contrasts`` (percent, right positive, ascending), ``contrast_n``, ``contrast_n_right``,
        ``contrast_n_correct``, ``contrast_response_time`` (median, s) and the ends of its 68 % interval,
        ``contrast_response_time_low`` and ``contrast_response_time_high``.
    """
    names: tuple[str, ...] = ("contrasts", "contrast_n", "contrast_n_right", "contrast_n_correct")
    names += ("contrast_response_time", "contrast_response_time_low", "contrast_response_time_high")
    table: dict[str, AnyArray | None] = dict.fromkeys(names)
    contrast = trial_signed_contrast(trials)
    if contrast is None or "choice" not in trials:
        return table
    taken = np.ones(contrast.size, dtype=bool) if which is None else which
    right = np.where(taken, right_choice(trials["choice"]), np.nan)
    levels, n, n_right = counts(contrast, right)
    table |= {"contrasts": levels, "contrast_n": n, "contrast_n_right": n_right}
    correct = trial_correct(trials)
    if correct is not None:
        rewarded = contrast[(correct == 1) & np.isfinite(right)]
        level_index = np.searchsorted(levels, rewarded)
        table["contrast_n_correct"] = np.bincount(level_index, minlength=levels.size).astype(np.int64)
    times = reaction_times.response_time(trials)
    if times is not None:
        medians = reaction_times.medians_by_contrast(contrast, np.where(np.isfinite(right), times, np.nan), levels)
        table["contrast_response_time"] = medians.median
        table["contrast_response_time_low"] = medians.lower
        table["contrast_response_time_high"] = medians.upper
    return table


def blocks(trials: Trials, task_kind: str = "") -> dict[float, dict[str, Any]]:
    """`by_contrast` and ``n_trials`` for every prior of `block_prior`, keyed by it (fraction, 0-1), ascending.

    Parameters
    ----------
    trials : mapping of column name to ndarray, shape (n_trials,)
    task_kind : of the protocol, see `pipeline.analysis.protocols`; empty where it is not known

    In biased sessions the keys are 0.2, 0.5 and 0.8, in training sessions 0.5. Trials without a prior belong to no
    block; without the column there are no blocks.

    Examples
    --------
    >>> by_prior = blocks({
    ...     "probability_left": np.repeat([0.5, 0.8], [1, 20]), "choice": np.repeat([1, -1, 1], [1, 5, 15]),
    ...     "contrast_left": np.repeat([1.0, 0.25], [1, 20]), "contrast_right": np.full(21, np.nan)})
    >>> {probability: (block["n_trials"], block["contrast_n_right"]) for probability, block in by_prior.items()}
    {0.5: (1, array([0])), 0.8: (20, array([5]))}
    """
    n_trials(trials)
    probability = block_prior(trials, task_kind)
    if probability is None:
        return {}
    by_prior: dict[float, dict[str, Any]] = {}
    for value in np.unique(probability[np.isfinite(probability)]):
        which = probability == value
        by_prior[float(value)] = {"n_trials": int(which.sum()), **by_contrast(trials, which)}
    return by_prior


def _fraction(correct: Floats) -> tuple[int, float | None]:
    """Number correct and their fraction of the known ones, None if none is known."""
    known = correct[np.isfinite(correct)]
    return int(known.sum()), (float(known.mean()) if known.size else None)
