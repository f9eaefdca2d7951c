"""Do the columns of a session's trials agree with each other? Checks across columns, each with an outcome and words.

What is certain is repaired, and the outcome says so; what is not is flagged. PASS: nothing was found; WARNING: usable,
with something to know; FAIL: what the animal did cannot be told from these columns, and the summaries leave them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from pipeline.analysis import _trial_times as times
from pipeline.analysis._trial_findings import FEWEST, Checked, Finding, passed, worst
from pipeline.analysis.arrays import AnyArray, Booleans
from pipeline.analysis.conventions import (
    CHOICE_LEFT,
    CHOICE_NONE,
    CHOICE_RIGHT,
    FEEDBACK_CORRECT,
    FEEDBACK_ERROR,
    MANY_SHORT,
    NO_PRIOR,
    SHORTEST_BLOCK,
    Trials,
    is_debiased,
    prior_runs,
    responded,
    stimulus_side,
    trial_correct,
    zero_without,
)
from pipeline.analysis.protocols import BLOCKED, NOT_TRAINING, OTHER

__all__ = ["UNUSABLE", "Finding", "check_refused", "check_times", "check_trials", "repaired", "worst"]

UNUSABLE = "FAIL"
"""Sessions with this outcome are left out of training and of the summaries of performance."""

FEWEST_DRAWN = 60  # trials from which the share of a side means something
LONGEST_UNBIASED = 200  # trials at 0.5 with which a protocol with blocks may begin
SMALLEST_DROP = 0.3  # uL that a valve gives
SURE_LOG = 20.0  # difference of log likelihoods from which one reading is certain
SURE = 0.99  # share of trials that must agree before a column is read in another way


def check_trials(trials: Trials, task_kind: str = "") -> tuple[dict[str, AnyArray], list[Finding]]:
    """The trials, repaired where that is certain, and what each check found that could be made.

    Parameters
    ----------
    trials : mapping of column name to ndarray, shape (n_trials,)
    task_kind : of the protocol, see `pipeline.analysis.protocols`; empty where it is not known

    Examples
    --------
    >>> turned = {"choice": np.repeat([0, 1], 20), "feedback_type": np.ones(40),
    ...           "contrast_left": np.repeat([0.5, np.nan], 20), "contrast_right": np.repeat([np.nan, 0.5], 20)}
    >>> repaired, findings = check_trials(turned)
    >>> np.unique(repaired["choice"]).tolist(), findings[0].outcome, findings[0].detail
    ([-1, 1], 'WARNING', 'choice is coded 0 = left, 1 = right, as feedback and sides prove; read as such')
    """
    findings = []
    trials = dict(trials)
    for check in _CHECKS:
        trials, finding = check(trials, task_kind)
        if finding is not None:
            findings.append(finding)
    return dict(trials), findings


def repaired(trials: Trials) -> dict[str, AnyArray]:
    """The trials of `check_trials` without its findings: only the checks are made that can change a column."""
    trials = dict(trials)
    for check in _REPAIRS:
        trials, _ = check(trials, "")
    return dict(trials)


def check_times(trials: Trials) -> tuple[dict[str, AnyArray], list[Finding]]:
    """The checks that hold for any task: the unit of the times. What choices and stimuli mean is not known here."""
    checked, finding = times.time_unit(trials, OTHER)
    return dict(checked), [] if finding is None else [finding]


def check_refused(refused: Mapping[str, str], size: int) -> list[Finding]:
    """That columns are in quarantine, so that nothing is known of what they say.

    Parameters
    ----------
    refused : column -> reason
    size : how many trials there are
    """
    if not refused:
        return []
    named = ", ".join(f"{column} ({reason})" for column, reason in sorted(refused.items()))
    return [Finding("refused_columns", "WARNING", size, f"in quarantine, and null here: {named}")]


def _choice_code(trials: Trials, task_kind: str) -> Checked:
    """Choices coded 0 and 1 (or false and true), where feedback and sides prove which is which."""
    if "choice" not in trials:
        return trials, None
    codes = np.asarray(trials["choice"], dtype=float)
    n_zero, n_one = int(np.sum(codes == CHOICE_NONE)), int(np.sum(codes == CHOICE_LEFT))
    if np.any(codes == CHOICE_RIGHT) or n_zero + n_one < FEWEST or n_zero < 0.05 * (n_zero + n_one):
        return trials, None
    if not n_one and "feedback_type" in trials and not np.any(np.asarray(trials["feedback_type"]) == FEEDBACK_CORRECT):
        detail = f"the animal responded in none of {n_zero} trials"
        return trials, Finding("choice_code", "WARNING", n_zero, detail)
    readings = {}
    for name, left in (("1 = left, 0 = right", 1), ("0 = left, 1 = right", 0)):
        read = np.where(np.isnan(codes), np.nan, np.where(codes == left, CHOICE_LEFT, CHOICE_RIGHT))
        share, n_known = _agreement(dict(trials) | {"choice": read})
        if n_known >= FEWEST and share >= SURE:
            readings[name] = read
    if len(readings) == 1:
        ((name, read),) = readings.items()
        choice = read if np.isnan(read).any() else read.astype(np.int64)
        ordered = ", ".join(sorted(name.split(", ")))
        detail = f"choice is coded {ordered}, as feedback and sides prove; read as such"
        return dict(trials) | {"choice": choice}, Finding("choice_code", "WARNING", codes.size, detail)
    share = n_zero / (n_zero + n_one)
    detail = f"no choice to the right (-1) in {codes.size} trials, and {n_zero} without one (0): perhaps coded 0 and 1"
    is_odd = share >= 0.2 and "go" not in task_kind
    return trials, Finding("choice_code", "FAIL" if is_odd else "WARNING", n_zero, detail)


def _agreement(trials: Trials) -> tuple[float, int]:
    """Share of the trials whose feedback is what choice and side say, and of how many."""
    side = stimulus_side(trials["contrast_left"], trials["contrast_right"]) if _has_sides(trials) else None
    if side is None or not {"choice", "feedback_type"} <= trials.keys():
        return float("nan"), 0
    feedback = np.asarray(trials["feedback_type"], dtype=float)
    known = responded(trials["choice"]) & np.isfinite(side) & np.isin(feedback, (FEEDBACK_CORRECT, FEEDBACK_ERROR))
    chosen = np.where(np.asarray(trials["choice"]) == CHOICE_RIGHT, 1.0, -1.0)
    agrees = (chosen == side) == (feedback == FEEDBACK_CORRECT)
    return (float(agrees[known].mean()) if known.any() else float("nan")), int(known.sum())


def _has_sides(trials: Trials) -> bool:
    return {"contrast_left", "contrast_right"} <= trials.keys()


def _choice_against_feedback(trials: Trials, task_kind: str) -> Checked:
    share, n_known = _agreement(trials)
    if not n_known:
        return trials, None
    n_wrong = round((1 - share) * n_known)
    if n_wrong == 0:
        return trials, passed("choice_against_feedback")
    detail = f"feedback contradicts choice and side of the stimulus in {n_wrong} of {n_known} trials"
    if share < 1 - SURE and n_known >= FEWEST:
        detail += ": the sign of the choice, or the sides, are exchanged"
    is_bad = share < 0.95 and n_known >= FEWEST
    return trials, Finding("choice_against_feedback", "FAIL" if is_bad else "WARNING", n_wrong, detail)


def _rewarded_no_go(trials: Trials, task_kind: str) -> Checked:
    """Where the stimulus is on one side, the tasks with choices reward no animal that does not respond."""
    if not _has_sides(trials) or not {"choice", "feedback_type"} <= trials.keys() or task_kind in NOT_TRAINING:
        return trials, None
    sided = zero_without(trials["contrast_left"]) != zero_without(trials["contrast_right"])
    rewarded = np.asarray(trials["feedback_type"]) == FEEDBACK_CORRECT
    wrong = int(np.sum(sided & rewarded & (np.asarray(trials["choice"]) == CHOICE_NONE)))
    if not wrong:
        return trials, passed("rewarded_no_go")
    detail = (
        f"feedback is positive in {wrong} trials without a response to a stimulus on one side; they count as correct"
    )
    is_bad = wrong > 0.05 * sided.size and sided.size >= FEWEST and task_kind not in ("", OTHER)
    return trials, Finding("rewarded_no_go", "FAIL" if is_bad else "WARNING", wrong, detail)


def _missing(trials: Trials, task_kind: str) -> Checked:
    """Trials of which the choice, the stimulus or the block is not known."""
    absent = {}
    for name in ("choice", "probability_left"):
        if name in trials:
            absent[name] = np.isnan(np.asarray(trials[name], dtype=float))
    if _has_sides(trials):
        sides = [np.isnan(np.asarray(trials[name], dtype=float)) for name in ("contrast_left", "contrast_right")]
        absent["the contrast on both sides"] = sides[0] & sides[1]
    if not absent:
        return trials, None
    said = [
        f"{name} is missing in {int(gaps.sum())} of {gaps.size} trials" for name, gaps in absent.items() if gaps.any()
    ]
    if not said:
        return trials, passed("missing")
    return trials, Finding(
        "missing", "WARNING", int(np.logical_or.reduce(list(absent.values())).sum()), "; ".join(said)
    )


def _prior(trials: Trials, task_kind: str) -> Checked:
    """Blocks in the protocols that have them; where none is known, that debiasing was assumed."""
    if "probability_left" not in trials:
        return trials, None
    prior = np.asarray(trials["probability_left"], dtype=float)
    if not task_kind and is_debiased(prior):
        detail = "probability_left changes from trial to trial; since no protocol is known, it is taken for debiasing"
        return trials, Finding("prior", "WARNING", int(np.sum(prior != NO_PRIOR)), detail)
    if task_kind not in BLOCKED:
        return trials, passed("prior")
    runs = prior_runs(prior)
    short = runs.is_short
    if not short.size or short.mean() < MANY_SHORT:
        return trials, passed("prior")
    first = int(np.flatnonzero(short)[0])
    detail = (
        f"probability_left changes after fewer than {SHORTEST_BLOCK} trials in {int(short.sum())} trials, from trial "
        f"{first} on, which no {task_kind} protocol does; the block of these trials is not known"
    )
    return trials, Finding("prior", "WARNING", int(short.sum()), detail)


def _prior_against_sides(trials: Trials, task_kind: str) -> Checked:
    """In protocols with blocks, and in those that nobody knows, the sides are drawn with probability_left."""
    if task_kind not in (*BLOCKED, OTHER) or "probability_left" not in trials or not _has_sides(trials):
        return trials, None
    prior = np.asarray(trials["probability_left"], dtype=float)
    side = stimulus_side(trials["contrast_left"], trials["contrast_right"])
    known = np.isfinite(prior) & np.isfinite(side)
    if known.sum() < FEWEST_DRAWN:
        return trials, None
    left, probability = side[known] < 0, prior[known]
    if (probability == NO_PRIOR).all():
        if known.sum() < LONGEST_UNBIASED or task_kind not in BLOCKED:
            return trials, passed("prior_against_sides")
        detail = f"probability_left is {NO_PRIOR} in all {int(known.sum())} trials of a {task_kind} protocol: no blocks"
        return trials, Finding("prior_against_sides", "WARNING", int(known.sum()), detail)
    inside = probability.clip(0.01, 0.99)
    as_written = float(np.log(np.where(left, inside, 1 - inside)).sum())
    exchanged = float(np.log(np.where(left, 1 - inside, inside)).sum())
    wrong = [level for level in np.unique(probability) if _differs(left[probability == level], float(level))]
    if not wrong:
        return trials, passed("prior_against_sides")
    mirrored = any(_differs(left[probability == level], 1 - float(level)) for level in np.unique(probability))
    if exchanged > as_written + SURE_LOG and not mirrored:
        detail = "probability_left is that of the right side, as the sides of the stimuli prove; read as such"
        repaired = dict(trials) | {"probability_left": np.round(1 - prior, 10)}
        return repaired, Finding("prior_against_sides", "WARNING", int(known.sum()), detail)
    shares = ", ".join(f"{left[probability == item].mean():.2f} where it says {item:g}" for item in wrong[:3])
    detail = f"probability_left contradicts the sides of the stimuli: they are left in {shares}"
    return trials, Finding("prior_against_sides", "WARNING", int(np.isin(probability, wrong).sum()), detail)


def _differs(left: Booleans, probability: float) -> bool:
    """Whether a share is further from its probability than five standard errors and a tenth."""
    spread = 5 * np.sqrt(max(probability * (1 - probability), 0.01) / max(left.size, 1))
    return left.size >= FEWEST_DRAWN / 2 and abs(float(left.mean()) - probability) > max(spread, 0.1)


def _reward(trials: Trials, task_kind: str) -> Checked:
    """Volumes in mL are read as such, since no valve gives nanolitres; water belongs to rewarded trials."""
    if "reward_volume" not in trials:
        return trials, None
    volume = np.asarray(trials["reward_volume"], dtype=float)
    given = volume[np.isfinite(volume) & (volume > 0)]
    if given.size < FEWEST:
        return trials, None
    usual, said, n_wrong = float(np.median(given)), [], 0
    repaired = dict(trials)
    if 5e-4 <= usual <= 0.05:
        repaired["reward_volume"] = volume * 1000
        said, n_wrong = ["reward_volume is in mL: no valve gives so little in uL; read as such"], given.size
    elif not SMALLEST_DROP <= usual <= 100:
        said, n_wrong = [f"reward_volume is {usual:.3g} uL in most rewarded trials, which no valve gives"], given.size
    if "feedback_type" in trials:
        feedback = np.asarray(trials["feedback_type"], dtype=float)
        unearned = (feedback == FEEDBACK_ERROR) & (volume > 0)
        dry = (feedback == FEEDBACK_CORRECT) & (volume == 0)
        n_errors, n_correct = int((feedback == FEEDBACK_ERROR).sum()), int((feedback == FEEDBACK_CORRECT).sum())
        if unearned.sum() > 0.05 * max(n_errors, FEWEST):
            said.append(
                f"reward_volume says that water was given in {int(unearned.sum())} trials with negative feedback"
            )
        if dry.sum() > 0.05 * max(n_correct, FEWEST):
            said.append(f"reward_volume is 0 in {int(dry.sum())} rewarded trials")
        n_wrong = max(n_wrong, int((unearned | dry).sum()))
    return repaired, Finding("reward", "WARNING", n_wrong, "; ".join(said)) if said else passed("reward")


def _both_sides(trials: Trials, task_kind: str) -> Checked:
    if not _has_sides(trials):
        return trials, None
    both = (zero_without(trials["contrast_left"]) > 0) & (zero_without(trials["contrast_right"]) > 0)
    if not both.any():
        return trials, passed("both_sides")
    detail = f"a stimulus on both sides in {int(both.sum())} trials; their contrast is right minus left"
    return trials, Finding("both_sides", "WARNING", int(both.sum()), detail)


def _unscored(trials: Trials, task_kind: str) -> Checked:
    """Responses of which nothing says whether they were correct, so that performance leaves them out."""
    correct = trial_correct(trials)
    if correct is None or "choice" not in trials:
        return trials, None
    unknown = responded(trials["choice"]) & np.isnan(correct)
    if not unknown.any():
        return trials, passed("unscored")
    where = ""
    if _has_sides(trials):
        zero = (zero_without(trials["contrast_left"]) == 0) & (zero_without(trials["contrast_right"]) == 0)
        where = f", {int((unknown & zero).sum())} of them at zero contrast"
    detail = f"nothing says whether {int(unknown.sum())} responses{where} were correct; performance leaves them out"
    return trials, Finding("unscored", "WARNING", int(unknown.sum()), detail)


def _sides_at_zero(trials: Trials, task_kind: str) -> Checked:
    """At zero contrast the rewarded side is drawn like any other."""
    if not _has_sides(trials) or task_kind not in ("training", "biased", "ephys"):
        return trials, None
    contrast = np.abs(zero_without(trials["contrast_left"])) + np.abs(zero_without(trials["contrast_right"]))
    side = stimulus_side(trials["contrast_left"], trials["contrast_right"])[contrast == 0]
    side = side[np.isfinite(side)]
    if side.size < 3 * FEWEST:
        return trials, None
    if abs(side.mean()) < 1:
        return trials, passed("sides_at_zero")
    detail = f"all {side.size} trials at zero contrast are on the {'right' if side[0] > 0 else 'left'}"
    return trials, Finding("sides_at_zero", "WARNING", side.size, detail)


_CHECKS: tuple[Callable[[Trials, str], Checked], ...] = (
    times.time_unit,
    times.time_origin,
    times.overlap,
    _choice_code,
    _choice_against_feedback,
    times.order_of_events,
    times.durations,
    times.resolution,
    _missing,
    _rewarded_no_go,
    _prior,
    _prior_against_sides,
    _reward,
    _both_sides,
    _unscored,
    _sides_at_zero,
)
_REPAIRS = (times.time_unit, _choice_code, _prior_against_sides, _reward)
"""Those that can change a column, in the same order."""
