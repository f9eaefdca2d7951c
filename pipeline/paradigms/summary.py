"""How an animal did in one session of a described task: counts, rates, curves and blocks, from its trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.analysis import curves, detection, foraging, reaction_times
from pipeline.analysis.arrays import AnyArray, Integers
from pipeline.paradigms.description import TaskDescription
from pipeline.paradigms.outcomes import NO_RESPONSE, Outcomes, read_outcomes

__all__ = ["Summary", "summarise"]

ALL_TRIALS = "all"


@dataclass(frozen=True)
class Summary:
    """What the tables of a described task hold of one session; None where it is not known."""

    counts: dict[str, Any]
    measures: dict[str, Any]  # name -> number or list of numbers, by the design
    choices: list[dict[str, Any]]  # one for each alternative
    levels: list[dict[str, Any]]  # one for each level of the stimulus
    curves: list[dict[str, Any]]  # one for all trials, and one for each kind of block
    blocks: list[dict[str, Any]]  # one for each block
    notes: tuple[str, ...]


def summarise(trials: Mapping[str, AnyArray], task: TaskDescription) -> Summary:
    """Summarise the trials of one session.

    Parameters
    ----------
    trials : column -> (n_trials, …) array, as `behavior.fetch_trials` returns them

    Examples
    --------
    >>> task = TaskDescription("tones", ("*",), choices=((1, "low"), (2, "high")), correct="choice == side")
    >>> summary = summarise({"choice": np.array([1, 2, 0, 1]), "side": np.array([1, 1, 2, 1])}, task)
    >>> summary.counts["n_answered"], summary.counts["n_no_response"], round(summary.counts["fraction_correct"], 3)
    (3, 1, 0.667)
    """
    outcomes = read_outcomes(trials, task)
    notes = list(outcomes.notes)
    judged = outcomes.counts if task.design == "go_no_go" else outcomes.counts & (outcomes.choice >= 0)
    correct = outcomes.correct[judged & np.isfinite(outcomes.correct)]
    times = outcomes.response_time
    counts = {
        "n_answered": int(np.sum(outcomes.counts & (outcomes.choice >= 0))),
        "n_no_response": int(np.sum(outcomes.counts & (outcomes.choice == NO_RESPONSE))),
        "n_early": int(outcomes.early.sum()) if task.early else None,
        "n_judged": int(correct.size),
        "n_judged_correct": int(correct.sum()),
        "fraction_correct": float(correct.mean()) if correct.size else None,
        "median_response_time": None if times is None else reaction_times.median(times),
    }
    columns = [trials[name] for name in task.blocks if name in trials]
    if lacking := [name for name in task.blocks if name not in trials]:
        notes.append(f"blocks lack the column {', '.join(lacking)}")
    block = foraging.runs_of_blocks(*columns) if columns else None
    return Summary(
        counts,
        _measures(outcomes, task, block),
        [_choice(outcomes, place, label) for place, label in enumerate(task.labels)],
        _levels(outcomes, task),
        _curves(outcomes, task, columns, notes),
        _blocks(outcomes, task, trials, block),
        tuple(notes),
    )


def _measures(outcomes: Outcomes, task: TaskDescription, block: Integers | None) -> dict[str, Any]:
    """What only tasks of this design have."""
    measures: dict[str, Any] = {}
    if task.early:
        measures["early_fraction"] = float(outcomes.early.mean()) if outcomes.early.size else None
    if task.design == "go_no_go":
        seen = detection.detection(
            np.where(outcomes.counts, outcomes.go, np.nan), np.where(outcomes.counts, outcomes.choice >= 0, np.nan)
        )
        measures |= vars(seen)
    if task.design == "foraging":
        n, choice = len(task.choices), np.where(outcomes.counts, outcomes.choice, NO_RESPONSE)
        made = choice >= 0
        measures["reward_rate"] = (
            float(np.nanmean(outcomes.rewarded[made])) if np.isfinite(outcomes.rewarded[made]).any() else None
        )
        stay, shift = foraging.stay_rates(choice, outcomes.rewarded)
        measures |= {"stay_after_reward": stay, "stay_after_no_reward": shift}
        fit = foraging.history_regression(choice, outcomes.rewarded, n)
        measures |= {f"history_{name}": value for name, value in vars(fit).items()}
        if block is not None:
            law = foraging.matching(choice, outcomes.rewarded, block, n)
            measures |= {"matching_sensitivity": law.sensitivity, "matching_bias": law.bias}
    return {name: _plain(value) for name, value in measures.items()}


def _choice(outcomes: Outcomes, place: int, label: str) -> dict[str, Any]:
    which = outcomes.counts & (outcomes.choice == place)
    return {"choice_label": label, "choice_n": int(which.sum())} | {
        f"choice_n_{name}": int(np.nansum(values[which])) if np.isfinite(values[which]).any() else None
        for name, values in (("correct", outcomes.correct), ("rewarded", outcomes.rewarded))
    }


def _levels(outcomes: Outcomes, task: TaskDescription) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    times = outcomes.response_time
    is_name = outcomes.level.dtype.kind == "U"
    known = outcomes.level != "" if is_name else np.isfinite(outcomes.level)
    for number, level in enumerate(np.unique(outcomes.level[known])):
        which = outcomes.counts & (outcomes.level == level)
        judged = which if task.design == "go_no_go" else which & (outcomes.choice >= 0)
        correct = outcomes.correct[judged & np.isfinite(outcomes.correct)]
        middle = (
            None if times is None else reaction_times.medians_by_contrast(np.zeros(which.sum()), times[which], [0.0])
        )
        rows.append(
            {
                "level_id": number,
                "level_name": str(level) if is_name else f"{level:g}",
                "level_value": None if is_name else float(level),
                "level_n": int(which.sum()),
                "level_n_responses": int(np.sum(outcomes.choice[which] >= 0)),
                "level_n_by_choice": [int(np.sum(outcomes.choice[which] == k)) for k in range(len(task.choices))],
                "level_n_correct": int(correct.sum()) if correct.size else None,
            }
            | {
                f"level_response_time{end}": _plain(getattr(middle, name)[0]) if middle is not None else None
                for end, name in (("", "median"), ("_low", "lower"), ("_high", "upper"))
            }
        )
    return rows


def _curves(
    outcomes: Outcomes, task: TaskDescription, columns: list[AnyArray], notes: list[str]
) -> list[dict[str, Any]]:
    """The curve of all trials, and of each kind of block where there are between 2 and 10 kinds."""
    stimulus = task.stimulus
    if stimulus is None or task.design not in ("alternatives", "go_no_go"):
        return []
    if outcomes.level.dtype.kind == "U":
        notes.append(f"no curve: the levels of {stimulus.column} are names")
        return []
    two = len(task.choices) == 2 and task.design == "alternatives"
    if task.design == "go_no_go":
        what, yes = "response", np.where(outcomes.counts, (outcomes.choice >= 0).astype(float), np.nan)
    elif two:
        what, yes = (
            task.labels[1],
            np.where(outcomes.counts & (outcomes.choice >= 0), (outcomes.choice == 1).astype(float), np.nan),
        )
    else:
        what, yes = "correct", np.where(outcomes.counts & (outcomes.choice >= 0), outcomes.correct, np.nan)
    position = curves.axis_positions(outcomes.level, stimulus.scale, stimulus.reference)
    if what == "correct" and stimulus.reference is not None:
        position = np.abs(position)
    guess = 1 / len(task.choices) if what == "correct" else None
    kinds = [(ALL_TRIALS, np.ones(len(yes), bool))]
    if columns:
        names = [", ".join(f"{name}={value:g}" if isinstance(value, float | int) else f"{name}={value}"
                           for name, value in zip(task.blocks, row, strict=False))
                 for row in zip(*(column.tolist() for column in columns), strict=True)]  # fmt: skip
        distinct = sorted(set(names))
        kinds += [(item[:255], np.array(names) == item) for item in distinct] if 2 <= len(distinct) <= 10 else []
    rows = []
    for kind, which in kinds:
        used = which & np.isfinite(yes) & np.isfinite(position)
        places, inverse = np.unique(np.round(position[used], 9), return_inverse=True)
        n, n_yes = np.bincount(inverse, minlength=len(places)), np.bincount(inverse, yes[used], len(places))
        fit = curves.fit(places, n, n_yes, task.curve, guess)
        centre = curves.level_at(fit.centre, stimulus.scale, stimulus.reference) if np.isfinite(fit.centre) else None
        rows.append(
            {
                "curve_block": kind,
                "curve_of": what,
                "curve_function": task.curve,
                "curve_positions": places.tolist(),
                "curve_n": n.tolist(),
                "curve_n_yes": np.rint(n_yes).astype(int).tolist(),
                "curve_centre_level": centre,
                "curve_log_likelihood": _plain(fit.log_likelihood),
                "curve_identifiable": fit.identifiable,
            }
            | {f"curve_{name}": _plain(value) for name, value in zip(curves.PARAMETERS, fit.parameters, strict=True)}
            | {f"curve_{name}_error": _plain(error)
               for name, error in zip(curves.PARAMETERS, fit.standard_errors, strict=True)}
        )  # fmt: skip
    return rows


def _blocks(
    outcomes: Outcomes, task: TaskDescription, trials: Mapping[str, AnyArray], block: Integers | None
) -> list[dict[str, Any]]:
    if block is None or not len(block):
        return []
    rows = []
    starts = np.flatnonzero(np.append(True, block[1:] != block[:-1]))
    for number, (first, end) in enumerate(zip(starts, np.append(starts[1:], len(block)), strict=True)):
        which = np.zeros(len(block), bool)
        which[first:end] = True
        which &= outcomes.counts
        by_choice = [int(np.sum(outcomes.choice[which] == k)) for k in range(len(task.choices))]
        rewards = [
            int(np.sum(outcomes.rewarded[which & (outcomes.choice == k)] == 1)) for k in range(len(task.choices))
        ]
        correct = outcomes.correct[which & np.isfinite(outcomes.correct)]
        rows.append(
            {
                "block_id": number,
                "block_first_trial": int(first),
                "block_last_trial": int(end) - 1,
                "block_values": {name: _plain(trials[name][first]) for name in task.blocks if name in trials},
                "block_n_by_choice": by_choice,
                "block_n_rewarded": rewards,
                "block_n_correct": int(correct.sum()) if correct.size else None,
            }
        )
    return rows


def _plain(value: Any) -> Any:
    """A value as JSON has it: lists for arrays, None for NaN."""
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
