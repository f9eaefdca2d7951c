"""The signs of the task, held against real mice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis import conventions
from tests.analysis import real_sessions
from tests.analysis.real_sessions import KS014, TRIALS_TEST, needs_real_data

LEVELS = (0.0, 0.0625, 0.125, 0.25, 0.5, 1.0)
stimuli = st.lists(st.tuples(st.sampled_from(LEVELS), st.booleans(), st.sampled_from([-1, 0, 1])), max_size=40)


def columns(drawn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """contrast_left, contrast_right, choice of drawn (contrast, on the right?, choice)."""
    left = np.array([np.nan if right else contrast for contrast, right, _ in drawn])
    right = np.array([contrast if right else np.nan for contrast, right, _ in drawn])
    return left, right, np.array([choice for *_, choice in drawn], dtype=float)


def test_right_is_positive_and_absent_is_zero():
    result = conventions.signed_contrast([1, np.nan, 0.25, np.nan, np.nan], [np.nan, 0.5, np.nan, 0, np.nan])
    assert result.tolist() == [-100, 50, -25, 0, 0]
    assert not np.signbit(result[3:]).any(), "0 % is one level, not two"


def test_contrasts_keep_their_quarter_percent():
    """A published heatmap rounds 6.25 to 6 and 12.5 to 12; the levels of the task must survive as they are."""
    result = conventions.signed_contrast(np.full(3, np.nan), [0.0625, 0.125, 0.25])
    assert result.tolist() == [6.25, 12.5, 25.0]


def test_float32_files_give_the_same_levels_as_float64():
    fractions = np.array([0.0625, 0.1, 0.3, 0.7])
    blank = np.full(4, np.nan)
    in_float32 = conventions.signed_contrast(blank.astype(np.float32), fractions.astype(np.float32))
    np.testing.assert_array_equal(in_float32, conventions.signed_contrast(blank, fractions))


@given(stimuli)
def test_mirroring_the_task_mirrors_every_sign(drawn):
    left, right, choice = columns(drawn)
    np.testing.assert_array_equal(
        conventions.signed_contrast(left, right), -conventions.signed_contrast(right, left) + 0.0
    )
    np.testing.assert_array_equal(conventions.stimulus_side(left, right), -conventions.stimulus_side(right, left))
    np.testing.assert_array_equal(
        conventions.correct_by_side(choice, left, right), conventions.correct_by_side(-choice, right, left)
    )
    np.testing.assert_array_equal(conventions.right_choice(choice), 1 - conventions.right_choice(-choice))


def test_no_go_and_missing_choices_are_neither_left_nor_right():
    choice = [-1, 1, 0, np.nan]
    assert conventions.responded(choice).tolist() == [True, True, False, False]
    np.testing.assert_array_equal(conventions.right_choice(choice), [1, 0, np.nan, np.nan])


def test_the_side_is_unknown_where_both_or_no_contrasts_are_given():
    np.testing.assert_array_equal(conventions.stimulus_side([0, np.nan], [0, np.nan]), [np.nan, np.nan])


def test_correct_falls_back_to_the_side_where_feedback_is_missing():
    nan = np.nan
    columns = {
        "feedback_type": np.array([1, nan, nan, -1]),
        "choice": np.array([1, -1, 1, 0]),
        "contrast_left": np.array([0.0, nan, nan, 0.5]),
        "contrast_right": np.array([nan, 0.0, 1.0, nan]),
    }
    np.testing.assert_array_equal(conventions.trial_correct(columns), [1, 1, 0, 0])
    del columns["feedback_type"]
    np.testing.assert_array_equal(conventions.trial_correct(columns), [1, 1, 0, 0])
    assert conventions.trial_correct({"choice": np.array([1])}) is None


def test_columns_of_different_length_are_an_error():
    with pytest.raises(ValueError, match="one length"):
        conventions.n_trials({"choice": np.zeros(3), "feedback_type": np.zeros(2)})
    assert conventions.n_trials({}) == 0


@needs_real_data
@pytest.mark.parametrize(
    ("subject", "date"),
    [(s, d) for s in (KS014, TRIALS_TEST) for d in real_sessions.days(s)],
    ids=lambda v: str(v)[-10:],
)
def test_side_and_feedback_agree_on_every_trial_of_real_mice(subject, date):
    """Includes the trials at 0 %, where the side is only in which contrast column is not NaN."""
    session = real_sessions.trials(subject, date)
    by_side = conventions.correct_by_side(session["choice"], session["contrast_left"], session["contrast_right"])
    np.testing.assert_array_equal(by_side, conventions.correct_by_feedback(session["feedback_type"]))


@needs_real_data
def test_a_trained_mouse_goes_where_the_stimulus_is():
    session = real_sessions.trials(KS014, "2019-08-22")
    contrast = conventions.trial_signed_contrast(session)
    right = conventions.right_choice(session["choice"])
    assert right[contrast == 100].mean() > 0.9
    assert right[contrast == -100].mean() < 0.1


@needs_real_data
def test_debiasing_draws_are_no_blocks():
    """A training session writes the probability of each debiasing draw: one prior of 0.5, not ten curves."""
    for mouse, first_biased in ((KS014, "9999"), (TRIALS_TEST, "2020-08-28")):
        for date in real_sessions.days(mouse):
            priors = set(np.unique(conventions.block_prior(real_sessions.trials(mouse, date))))
            assert priors == ({0.2, 0.5, 0.8} if date >= first_biased else {0.5}), date


@given(st.lists(st.sampled_from([0.2, 0.8]), min_size=1, max_size=8), st.integers(20, 100))
def test_blocks_of_the_task_are_kept(priors, length):
    column = np.repeat([0.5, *priors], length)
    np.testing.assert_array_equal(conventions.block_prior({"probability_left": column}), column)


def test_no_trials_have_no_prior():
    assert conventions.block_prior({"probability_left": np.empty(0)}).size == 0
    assert conventions.block_prior({}) is None
