"""From one session's trials to what the training criteria need to know of it."""

import datetime

import numpy as np

from pipeline.analysis import protocols, reaction_times
from pipeline.analysis.conventions import (
    EASY_CONTRAST,
    NO_PRIOR,
    Trials,
    answered,
    block_prior,
    n_trials,
    responded,
    right_choice,
    trial_correct,
    trial_signed_contrast,
)
from pipeline.analysis.criteria import LEFT_OUT, WRONG
from pipeline.analysis.training import SessionRecord


def session_record(
    trials: Trials,
    session_date: datetime.date,
    session_number: int,
    task_protocol: str = "",
    on_ephys_rig: bool = False,
    start_delay: float = float("nan"),
    no_go: str = LEFT_OUT,
    trials_qc: str = "NOT_SET",
    task_collection: str = "",
) -> SessionRecord:
    """Count the trials of a session by block and contrast.

    Parameters
    ----------
    trials : mapping of column name to ndarray, shape (n_trials,)
    start_delay : s before the first trial
    trials_qc : outcome of the checks of the trials, which a rule set may ask for
    task_collection : which task of the session, where it has several
    no_go : what a trial without a response is, as `RuleSet.no_go` states it: "left_out" (it counts in `n_trials` only)
        or "wrong" (an error in `performance_easy`, a trial that did not go to the right in the counts, and its time
        until the time-out, where that was recorded, a reaction time)

    Returns
    -------
    A record for `pipeline.analysis.training.evaluate`. Without choice or contrasts there are no counts, without
    `probability_left` the block is 0.5.

    Examples
    --------
    >>> record = session_record({
    ...     "choice": np.array([1, -1, -1, 0]), "feedback_type": np.array([1, 1, -1, -1]),
    ...     "contrast_left": np.array([1.0, np.nan, 0.0, np.nan]),
    ...     "contrast_right": np.array([np.nan, 0.5, np.nan, 0.5])}, datetime.date(2026, 1, 5), 1)
    >>> record.n_trials, record.performance_easy, record.signed_contrast, record.n, record.n_right
    (4, 1.0, array([-100.,    0.,   50.]), array([1, 1, 1]), array([0, 1, 1]))
    """
    facts = (session_date, session_number, task_protocol, on_ephys_rig, start_delay, n_trials(trials))
    task = (trials_qc, task_collection)
    contrast, correct, answer = trial_signed_contrast(trials), trial_correct(trials), answered(trials)
    if contrast is None or answer is None:
        return SessionRecord(*facts, float("nan"), [], [], [], [], (), *task)
    known = np.isfinite(np.asarray(trials["choice"], dtype=np.float64))
    response = known if no_go == WRONG else responded(trials["choice"])
    easy = (known if no_go == WRONG else answer) & (np.abs(contrast) >= EASY_CONTRAST)
    scored = correct[easy] if correct is not None else np.empty(0)
    performance_easy = float(np.nanmean(scored)) if np.isfinite(scored).any() else float("nan")
    probability = block_prior(trials, protocols.kind(task_protocol))
    if probability is None:
        probability = np.full(contrast.size, NO_PRIOR)
    taken = response & np.isfinite(contrast) & np.isfinite(probability)
    cells, which = np.unique(np.column_stack((probability, contrast))[taken], axis=0, return_inverse=True)
    chosen = np.nan_to_num(right_choice(trials["choice"])[taken])
    right = np.bincount(which.ravel(), chosen, minlength=len(cells)).astype(int)
    times = reaction_times.response_time(trials, with_no_go=no_go == WRONG)
    at_zero = times[(contrast == 0) & np.isfinite(times)] if times is not None else ()
    count = np.bincount(which.ravel(), minlength=len(cells))
    return SessionRecord(*facts, performance_easy, cells[:, 0], cells[:, 1], count, right, at_zero, *task)
