"""The signs of the task, in one place: which choice code is right, what a signed contrast is, what counts as correct.

Every other analysis takes sides, signs and codes from here and from nowhere else.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import AnyArray, Booleans, Floats, Integers
from pipeline.analysis.protocols import BLOCKED

Trials = Mapping[str, AnyArray]
"""Trials as the analyses see them: column name -> 1-D array, all of one length; what was not recorded is absent."""

CHOICE_LEFT = 1
"""ALF code of a wheel turned clockwise: the mouse reports a stimulus on the left."""
CHOICE_RIGHT = -1
"""ALF code of a wheel turned counter-clockwise: the mouse reports a stimulus on the right."""
CHOICE_NONE = 0
"""ALF code of a trial that ended without a response (no-go)."""

FEEDBACK_CORRECT = 1
FEEDBACK_ERROR = -1

NO_PRIOR = 0.5
"""Probability of the left side where neither is favoured."""

EASY_CONTRAST = 50.0
"""Contrasts of at least this size count as easy (percent)."""


def n_trials(trials: Trials) -> int:
    """Number of trials: the common length of the columns, 0 for an empty mapping.

    Raises
    ------
    ValueError
        If the columns differ in length or one of them is not 1-D.
    """
    shapes = {np.shape(column) for column in trials.values()}
    if any(len(shape) != 1 for shape in shapes) or len(shapes) > 1:
        lengths = {name: np.shape(column) for name, column in trials.items()}
        raise ValueError(f"trials need 1-D columns of one length, got {lengths}")
    return shapes.pop()[0] if shapes else 0


def zero_without(contrast: ArrayLike) -> Floats:
    """The contrast on one side, 0 where there is no stimulus (NaN)."""
    values = np.asarray(contrast, dtype=np.float64)
    return np.where(np.isnan(values), 0.0, values)


def signed_contrast(contrast_left: ArrayLike, contrast_right: ArrayLike) -> Floats:
    """Contrast in percent, right positive; NaN on a side (no stimulus there) counts as 0.

    Rounded to 1e-4 %, so that contrasts stored as float32 fall into the same level as those stored as float64.

    Parameters
    ----------
    contrast_left, contrast_right : array_like, shape (n_trials,)
        Fractions 0-1, NaN where no stimulus was on that side.

    Examples
    --------
    >>> signed_contrast([1.0, np.nan, 0.0625, np.nan], [np.nan, 0.125, np.nan, 0.0])
    array([-100.  ,   12.5 ,   -6.25,    0.  ])
    """
    left, right = zero_without(contrast_left), zero_without(contrast_right)
    return np.round((right - left) * 100, 4) + 0.0  # + 0.0 turns -0.0 into 0.0


def stimulus_side(contrast_left: ArrayLike, contrast_right: ArrayLike) -> Floats:
    """Side of the stimulus, +1 right and -1 left, also at 0 % contrast; NaN where both or neither side is given as 0.

    At 0 % the task still has a rewarded side: it is the side whose contrast is 0 and not NaN.

    Examples
    --------
    >>> stimulus_side([1.0, np.nan, 0.0, 0.0], [np.nan, 0.0, np.nan, 0.0])
    array([-1.,  1., -1., nan])
    """
    left = np.asarray(contrast_left, dtype=np.float64)
    right = np.asarray(contrast_right, dtype=np.float64)
    side = np.sign(zero_without(right) - zero_without(left))
    blank = side == 0
    given_right, given_left = np.isfinite(right), np.isfinite(left)
    return np.where(blank, np.where(given_right == given_left, np.nan, np.where(given_right, 1.0, -1.0)), side)


def responded(choice: ArrayLike) -> Booleans:
    """Boolean mask of trials with a left or a right choice (neither no-go nor missing)."""
    codes = np.asarray(choice, dtype=np.float64)
    has_side: Booleans = (codes == CHOICE_LEFT) | (codes == CHOICE_RIGHT)
    return has_side


def answered(trials: Trials) -> Booleans | None:
    """Boolean mask of the trials whose outcome is an answer of the animal; None without the column `choice`.

    These are the trials with a response. Where the task rewards it to withhold a response (some no-go trial of the
    session was rewarded), a no-go is an answer like the others, and every trial with a known choice counts.

    Examples
    --------
    >>> answered({"choice": np.array([1, -1, 0]), "feedback_type": np.array([1, -1, -1])})
    array([ True,  True, False])
    >>> answered({"choice": np.array([1, -1, 0]), "feedback_type": np.array([1, -1, 1])})
    array([ True,  True,  True])
    """
    if "choice" not in trials:
        return None
    codes = np.asarray(trials["choice"], dtype=np.float64)
    taken = responded(codes)
    no_go = codes == CHOICE_NONE
    if "feedback_type" in trials and np.any(no_go & (np.asarray(trials["feedback_type"]) == FEEDBACK_CORRECT)):
        either: Booleans = taken | no_go
        return either
    return taken


def right_choice(choice: ArrayLike) -> Floats:
    """1.0 for a choice to the right, 0.0 to the left, NaN without a choice (no-go or missing).

    Examples
    --------
    >>> right_choice([-1, 1, 0])
    array([ 1.,  0., nan])
    """
    codes = np.asarray(choice, dtype=np.float64)
    return np.where(responded(codes), (codes == CHOICE_RIGHT).astype(np.float64), np.nan)


def correct_by_feedback(feedback_type: ArrayLike) -> Floats:
    """1.0 for a rewarded trial, 0.0 for an error or a no-go, NaN where the feedback is missing."""
    feedback = np.asarray(feedback_type, dtype=np.float64)
    return np.where(np.isfinite(feedback), (feedback == FEEDBACK_CORRECT).astype(np.float64), np.nan)


def correct_by_side(choice: ArrayLike, contrast_left: ArrayLike, contrast_right: ArrayLike) -> Floats:
    """1.0 where the choice was the side of the stimulus, 0.0 where not (or no-go), NaN where either is unknown.

    Examples
    --------
    >>> correct_by_side([1, 1, 0, -1], [1.0, np.nan, 0.25, np.nan], [np.nan, 0.5, np.nan, 0.0])
    array([1., 0., 0., 1.])
    """
    side = stimulus_side(contrast_left, contrast_right)
    codes = np.asarray(choice, dtype=np.float64)
    chosen = np.where(codes == CHOICE_RIGHT, 1.0, np.where(codes == CHOICE_LEFT, -1.0, 0.0))
    return np.where(np.isfinite(side) & np.isfinite(codes), (chosen == side).astype(np.float64), np.nan)


def trial_signed_contrast(trials: Trials) -> Floats | None:
    """Signed contrast (percent, right positive) of every trial, None without both contrast columns."""
    if "contrast_left" not in trials or "contrast_right" not in trials:
        return None
    return signed_contrast(trials["contrast_left"], trials["contrast_right"])


def easy_trials(trials: Trials) -> Booleans | None:
    """Boolean mask of easy trials: those that the column `is_easy` says, else those of at least `EASY_CONTRAST`.

    None without either. The column is that of tasks whose stimulus is not a contrast.
    """
    if "is_easy" in trials:
        said: Booleans = np.asarray(trials["is_easy"]) == 1
        return said
    contrast = trial_signed_contrast(trials)
    return None if contrast is None else np.abs(contrast) >= EASY_CONTRAST


def trial_correct(trials: Trials) -> Floats | None:
    """1.0, 0.0 or NaN per trial: by feedback where there is feedback, else by choice and side; None without either.

    The two agree on every trial of the real sessions that the tests read, 0 % contrast included.
    """
    by_feedback = correct_by_feedback(trials["feedback_type"]) if "feedback_type" in trials else None
    if by_feedback is not None and not np.isnan(by_feedback).any():
        return by_feedback
    if not {"choice", "contrast_left", "contrast_right"} <= trials.keys():
        return by_feedback
    by_side = correct_by_side(trials["choice"], trials["contrast_left"], trials["contrast_right"])
    return by_side if by_feedback is None else np.where(np.isnan(by_feedback), by_side, by_feedback)


SHORTEST_BLOCK = 10  # trials
"""A prior that changes faster than this is no block."""
MANY_SHORT = 0.05
"""Share of the trials in runs too short for blocks from which on the column is not what the protocol makes."""


class PriorRuns(NamedTuple):
    """How long the prior of each trial lasts; NaN belong to no run."""

    length: Integers
    """Trials in the run of each trial; 0 without a prior."""
    is_short: Booleans
    """Whether the run is shorter than `SHORTEST_BLOCK`, and not the first or the last, which a session may cut off."""


def prior_runs(probability_left: ArrayLike) -> PriorRuns:
    """The runs of equal priors, trials without one left out.

    Examples
    --------
    >>> prior_runs([0.5, 0.5, 0.2, 0.8, 0.8]).length
    array([2, 2, 1, 2, 2])
    """
    prior = np.asarray(probability_left, dtype=np.float64).round(4)
    is_known = np.isfinite(prior)
    known = prior[is_known]
    starts = np.flatnonzero(np.append(True, known[1:] != known[:-1])[: known.size])
    lengths = np.diff(np.append(starts, known.size))
    short = lengths < SHORTEST_BLOCK
    short[:1] = short[-1:] = False
    length, is_short = np.zeros(prior.size, dtype=np.int64), np.zeros(prior.size, dtype=bool)
    length[is_known], is_short[is_known] = np.repeat(lengths, lengths), np.repeat(short, lengths)
    return PriorRuns(length, is_short)


def is_debiased(probability_left: ArrayLike) -> bool:
    """Whether the column holds what the debiasing of the training protocol leaves in it.

    While it trains, the IBL task repeats a missed stimulus on a side drawn again, and writes that draw's probability
    into the column: a run of one trial or two, of which the animal cannot know, with a probability that depends on the
    last choices. (Two priors p and 1 - p alone are none of that.)

    Examples
    --------
    >>> is_debiased([0.5, 0.3, 0.5, 0.9]), is_debiased(np.repeat([0.5, 0.2, 0.8], 30)), is_debiased([0.2, 0.8] * 9)
    (True, False, False)
    """
    prior = np.asarray(probability_left, dtype=np.float64).round(4)
    values = np.unique(prior[np.isfinite(prior) & (prior != NO_PRIOR)])
    return _changes_fast(prior) and not (values.size == 2 and bool(np.isclose(values.sum(), 1)))


def _changes_fast(prior: Floats) -> bool:
    """Whether the runs of priors other than 0.5 are, in their median, too short for blocks."""
    known = prior[np.isfinite(prior)]
    starts = np.flatnonzero(np.append(True, known[1:] != known[:-1])[: known.size])
    biased = np.diff(np.append(starts, known.size))[known[starts] != NO_PRIOR]
    return bool(biased.size) and bool(np.median(biased) < SHORTEST_BLOCK)


def block_prior(trials: Trials, task_kind: str = "") -> Floats | None:
    """The prior that the stimulus is on the left, per trial, as the animal can know it; None without the column.

    Parameters
    ----------
    trials : mapping of column name to ndarray, shape (n_trials,)
    task_kind : of the protocol, see `pipeline.analysis.protocols`. In training, and where the kind is not known,
        debiasing (`is_debiased`) is one block of 0.5. In the kinds with blocks, runs that are too short for a block
        are NaN where they are many: which block the animal was in is not known. Elsewhere the column is what it says.

    Blocks last 20 trials or more (36 to 57 in the median of the real biased sessions, 1 to 2 in the training ones).

    Examples
    --------
    >>> block_prior({"probability_left": np.array([0.5, 0.3, 0.5, 0.9])})
    array([0.5, 0.5, 0.5, 0.5])
    >>> np.unique(block_prior({"probability_left": np.repeat([0.5, 0.2, 0.8], 30)}))
    array([0.2, 0.5, 0.8])
    """
    if "probability_left" not in trials:
        return None
    prior = np.asarray(trials["probability_left"], dtype=np.float64).round(4)
    if task_kind in BLOCKED:
        short = prior_runs(prior).is_short
        return np.where(short, np.nan, prior) if short.size and short.mean() >= MANY_SHORT else prior
    debiased = _changes_fast(prior) if task_kind == "training" else task_kind == "" and is_debiased(prior)
    return np.where(np.isfinite(prior), NO_PRIOR, np.nan) if debiased else prior
