"""What the animal did, by the description; the program's own task is left as it is."""

from __future__ import annotations

import numpy as np

from pipeline import paradigms
from pipeline.analysis import performance
from pipeline.paradigms import Stimulus, TaskDescription
from pipeline.paradigms.outcomes import conventional, read_outcomes
from pipeline.paradigms.summary import summarise


def test_trials_of_the_programs_own_task_are_left_as_they_are():
    trials = {"choice": np.array([1, -1]), "contrast_left": np.array([0.5, np.nan])}
    for task in (paradigms.IBL, None, paradigms.PASSIVE):
        conventional_trials = conventional(trials, task)
        assert conventional_trials.keys() == trials.keys() and all(
            conventional_trials[name] is trials[name] for name in trials
        )


def test_choices_in_words_and_trials_that_lack_them():
    task = TaskDescription("odour", ("*",), choice="port", choices=(("L", "left"), ("R", "right")), no_choice=("none",),
                           correct='port == "L"')  # fmt: skip
    port = np.array(["L", "R", "none", None, "X"], dtype=object)
    outcomes_read = read_outcomes({"port": port}, task)
    assert outcomes_read.choice.tolist() == [0, 1, -1, -2, -2] and "X" in outcomes_read.notes[0]
    assert outcomes_read.correct[:3].tolist() == [1, 0, 0] and np.isnan(outcomes_read.correct[3:]).all()


def test_an_early_response_counts_for_nothing_else():
    task = TaskDescription("delay", ("*",), choices=((1, "left"), (2, "right")), correct="choice == side",
                           early="earlyLick")  # fmt: skip
    trials = {
        "choice": np.array([1, 1, 2, 0]),
        "side": np.array([1, 2, 2, 1]),
        "earlyLick": np.array([0, 1, 0, 0]) == 1,
    }
    summary = summarise(trials, task)
    assert summary.counts["n_early"] == 1 and summary.measures["early_fraction"] == 0.25
    assert (summary.counts["n_answered"], summary.counts["fraction_correct"]) == (2, 1.0)
    row = performance.session_performance(conventional(trials, task))
    assert (row["n_responses"], row["n_no_go"], row["performance"]) == (2, 1, 1.0)


def test_performance_of_any_design_is_that_of_the_common_table():
    random = np.random.default_rng(0)
    n = 300
    level = random.choice([1000.0, 2000.0, 4000.0, 8000.0], n)
    choice = random.integers(0, 4, n)
    task = TaskDescription("tones", ("*",), choices=((1, "a"), (2, "b"), (3, "c")), correct="choice == target",
                           stimulus=Stimulus("level", "frequency", "Hz", "log", 2800.0, easy=1.0))  # fmt: skip
    trials = {"choice": choice, "target": random.integers(1, 4, n), "level": level, "feedback_type": np.ones(n)}
    row, summary = performance.session_performance(conventional(trials, task)), summarise(trials, task)
    assert row["performance"] == summary.counts["fraction_correct"] == np.mean((choice == trials["target"])[choice > 0])
    easy = np.isin(level, [1000.0, 8000.0]) & (choice > 0)
    assert row["n_easy"] == easy.sum() and row["performance_easy"] == (choice == trials["target"])[easy].mean()
    assert row["contrasts"] is None
    assert [curve["curve_of"] for curve in summary.curves] == ["correct"] and summary.curves[0][
        "curve_lapse_low"
    ] == 1 / 3


def test_a_session_without_the_columns_says_what_is_lacking():
    task = TaskDescription("sniff", ("*",), "go_no_go", choices=((1, "lick"),), go="odour == 1", blocks=("p",),
                           stimulus=Stimulus("concentration"))  # fmt: skip
    summary = summarise({"intervals_0": np.arange(3.0)}, task)
    text = " ".join(summary.notes)
    assert all(word in text for word in ("choice", "odour", "concentration", "blocks lack the column p"))
    assert summary.counts["fraction_correct"] is None and summary.measures["d_prime"] is None
