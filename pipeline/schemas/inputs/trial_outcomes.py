"""What happened in each trial of any task, as analyses over groups of trials take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import paradigms
from pipeline.analysis import conventions
from pipeline.database import registry
from pipeline.paradigms import outcomes

behavior = registry.tables_of("behavior")


@dataclass(frozen=True, eq=False)
class TrialOutcomes:
    """Arrays (n_trials,); None where the trials do not say."""

    columns: dict[str, np.ndarray]  # all columns of the trials
    starts: np.ndarray | None  # s from session start
    ends: np.ndarray  # s from session start, NaN where unknown
    correct: np.ndarray | None  # 1, 0; NaN where unknown or, but for tasks that reward it, without a response
    responded: np.ndarray  # bool
    latency: np.ndarray | None  # from the start of the response window to the response, s
    missing: str  # what cannot be told, and why; empty: nothing


def read(key: Mapping[str, Any]) -> TrialOutcomes:
    """The outcomes of the trials of one task, by the description of the task where a lab gives one.

    Parameters
    ----------
    key : primary key of `behavior.TrialSet`
    """
    name = (behavior.TrialSet & behavior.task_of(key)).fetch1("paradigm")
    trials = behavior.fetch_trials(key)
    size = len(next(iter(trials.values()), ()))
    missing: list[str] = []
    if name:
        judged = outcomes.read_outcomes(trials, paradigms.named(name))
        missing += judged.notes
        responded, latency = (judged.choice >= 0) & ~judged.early, judged.response_time
        correct = np.where(judged.counts, judged.correct, np.nan)
    else:
        choice = np.asarray(trials.get("choice", np.full(size, np.nan)), dtype=np.float64)
        responded = np.isfinite(choice) & (choice != conventions.CHOICE_NONE)
        known = conventions.trial_correct(trials) if "choice" in trials else None
        correct = np.full(size, np.nan) if known is None else np.where(responded, known, np.nan)
        starts = trials.get("go_cue_times", trials.get("stim_on_times"))
        latency = None
        if starts is not None and "response_times" in trials:
            latency = np.where(responded, trials["response_times"] - starts, np.nan)
    if not np.isfinite(correct).any():
        missing.append("nothing is known about correct trials")
    starts = trials.get("intervals_0")
    ends = np.asarray(trials.get("intervals_1", np.full(size, np.nan)), dtype=np.float64)
    is_known = bool(np.isfinite(correct).any())
    return TrialOutcomes(
        trials, starts, ends, correct if is_known else None, responded, latency, "; ".join(missing)[:500]
    )
