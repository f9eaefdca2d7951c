"""Session performance, held against real sessions and the published mistakes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis import performance, psychometrics
from tests.analysis import real_sessions
from tests.analysis.real_sessions import KS014, TRIALS_TEST, needs_real_data

NAN = np.nan


def session(contrast, choice, feedback=None, **columns) -> dict[str, np.ndarray]:
    """Trials with these signed contrasts (percent); feedback as the task gives it unless stated."""
    contrast, choice = np.asarray(contrast, float), np.asarray(choice)
    if feedback is None:
        feedback = np.where((np.sign(contrast) == -choice) & (choice != 0), 1, -1)
    return {
        "contrast_left": np.where(contrast < 0, -contrast / 100, NAN),
        "contrast_right": np.where(contrast >= 0, contrast / 100, NAN),
        "choice": choice,
        "feedback_type": np.asarray(feedback),
    } | {name: np.asarray(values) for name, values in columns.items()}


@needs_real_data
def test_rewarded_trials_at_zero_contrast_count_as_correct():
    """Published code counts them as wrong and finds 0.728 where the export of the same database has 0.777."""
    row = performance.session_performance(real_sessions.trials(KS014, "2019-08-23"))
    assert row["performance"] == pytest.approx(0.777, abs=5e-4)
    assert row["n_trials"] == row["n_responses"] == 646
    assert row["n_correct"] == row["contrast_n_correct"].sum() == 502


def test_an_easy_performance_of_zero_stays_zero():
    """Published code stores 0.0 as missing."""
    row = performance.session_performance(session([-100, 50, 6.25], [-1, 1, -1]))
    assert row["performance_easy"] == 0.0
    assert row["performance_easy"] is not None
    assert (row["n_easy"], row["n_easy_correct"]) == (2, 0)


def test_easy_performance_is_missing_without_easy_trials():
    row = performance.session_performance(session([6.25, -25], [-1, 1]))
    assert row["performance_easy"] is None
    assert row["n_easy"] == 0
    assert row["performance"] == 1.0


def test_easy_starts_at_50_percent():
    row = performance.session_performance(session([50, -50, 49.9, 100], [-1, 1, -1, -1]))
    assert row["n_easy"] == 3


def test_a_no_go_is_neither_correct_nor_wrong_and_is_counted():
    row = performance.session_performance(session([100, 100, -100, 0], [-1, 0, 1, 0]))
    assert (row["n_trials"], row["n_responses"], row["n_no_go"]) == (4, 2, 2)
    assert row["performance"] == row["performance_easy"] == 1.0
    assert row["n_easy_correct"] / (row["n_easy"] + row["n_easy_no_go"]) == pytest.approx(2 / 3)
    assert row["contrasts"].tolist() == [-100, 100]
    assert row["contrast_n"].tolist() == [1, 1]


def test_missing_columns_give_none_and_the_rest_stays():
    row = performance.session_performance({"response_times": np.array([1.0, 2.0])})
    assert row["n_trials"] == 2
    assert row["reaction_time_note"] == "the trials have no firstMovement_times"
    assert {value for name, value in row.items() if name not in ("n_trials", "reaction_time_note")} == {None}
    no_feedback = session([100, -100], [-1, -1])
    del no_feedback["feedback_type"]
    row = performance.session_performance(no_feedback)
    assert row["performance"] == 0.5
    assert row["response_time"] is None
    no_contrast = {name: no_feedback[name] for name in ("choice",)} | {"feedback_type": np.array([1, -1])}
    row = performance.session_performance(no_contrast)
    assert row["performance"] == 0.5
    assert row["performance_easy"] is None
    assert row["contrasts"] is None


def test_the_keys_are_the_same_whatever_was_recorded():
    full = session([100, 0], [-1, 1], response_times=[1.0, 2.0], stim_on_times=[0.5, 1.0], probability_left=[0.5, 0.5])
    assert performance.session_performance(full).keys() == performance.session_performance({}).keys()


def test_a_session_without_trials_has_no_fractions():
    row = performance.session_performance(session([], []))
    assert (row["n_trials"], row["n_correct"], row["performance"], row["performance_easy"]) == (0, 0, None, None)
    assert row["contrasts"].size == 0


def test_integer_columns_may_come_as_floats_with_nan():
    row = performance.session_performance(session([100, 100, -100], [-1.0, NAN, 1.0], [1.0, NAN, -1.0]))
    assert (row["n_responses"], row["n_no_go"], row["performance"]) == (2, 0, 0.5)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([-100, -25, -6.25, 0, 12.5, 50]), st.sampled_from([-1, 0, 1]), st.sampled_from([-1, 1])
        ),
        max_size=60,
    )
)
def test_counts_by_contrast_add_up_to_the_session(drawn):
    contrast, choice, feedback = (np.array(column) for column in zip(*drawn, strict=True)) if drawn else ([], [], [])
    feedback = np.where(np.asarray(choice) == 0, -1, feedback)
    trials = session(contrast, choice, feedback)
    row = performance.session_performance(trials)
    assert row["contrast_n"].sum() == row["n_responses"] == row["n_trials"] - row["n_no_go"]
    assert row["contrast_n_correct"].sum() == row["n_correct"]
    assert row["contrast_n_right"].sum() == np.sum(np.asarray(choice) == -1)
    easy = np.abs(row["contrasts"]) >= 50
    assert row["contrast_n_correct"][easy].sum() == row["n_easy_correct"]


def test_blocks_are_keyed_by_the_probability_itself():
    """Published tables code blocks as 20/50/80 in one place and 1/0/2 in another."""
    prior = np.repeat(np.array([0.8, 0.2, 0.5, np.nan], dtype=np.float32), 20)
    block_rows = performance.blocks(session([100] * 80, [-1] * 80, probability_left=prior))
    assert list(block_rows) == [0.2, 0.5, 0.8]
    assert [block["n_trials"] for block in block_rows.values()] == [20, 20, 20]
    assert performance.blocks(session([100], [-1])) == {}


def test_parameters_of_the_blocks_stay_with_their_probability():
    """A published plot swaps threshold and lapses of the 0.2 and 0.8 blocks."""
    rng = np.random.default_rng(3)
    probability = np.repeat([0.2, 0.8], 4000)
    contrast = rng.choice([-100, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 100], probability.size)
    threshold = np.where(probability == 0.2, 12, 30)
    right = rng.random(probability.size) < psychometrics.curve(contrast, 0, threshold, 0.05, 0.05)
    block_rows = performance.blocks(session(contrast, np.where(right, -1, 1), probability_left=probability))
    problems = [(block["contrasts"], block["contrast_n"], block["contrast_n_right"]) for block in block_rows.values()]
    fits = dict(zip(block_rows, psychometrics.fit_batch(problems), strict=True))
    assert fits[0.2].threshold == pytest.approx(12, abs=3)
    assert fits[0.8].threshold == pytest.approx(30, abs=6)


@needs_real_data
def test_blocks_of_a_real_biased_session_add_up():
    trials = real_sessions.trials(TRIALS_TEST, "2020-09-01")
    block_rows = performance.blocks(trials)
    assert list(block_rows) == [0.2, 0.5, 0.8]
    whole = performance.session_performance(trials)
    assert sum(block["contrast_n"].sum() for block in block_rows.values()) == whole["n_responses"]
    assert sum(block["contrast_n_correct"].sum() for block in block_rows.values()) == whole["n_correct"]


@needs_real_data
def test_a_training_session_is_one_block_with_all_its_trials():
    """It writes the probability of each debiasing draw, 0.0 to 0.8 here: those are no priors."""
    block_rows = performance.blocks(real_sessions.trials(KS014, "2019-08-10"))
    assert {prior: block["n_trials"] for prior, block in block_rows.items()} == {0.5: 735}
