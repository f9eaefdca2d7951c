"""Response times per trial and their medians, held against naive definitions and the published mistakes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis import conventions, performance, psychometrics, reaction_times
from tests.analysis import real_sessions
from tests.analysis.real_sessions import KS014, PHOTOMETRY, TRIALS_TEST, needs_real_data

NAN = np.nan
times_of_trials = st.lists(st.one_of(st.just(NAN), st.floats(0.01, 60)), max_size=50)


def test_every_trial_without_a_stimulus_time_falls_back_on_its_own_go_cue():
    """Published code takes one branch for the whole session and adds NaN rows to it."""
    trials = {
        "response_times": np.array([2.0, 4.0, 6.0, 8.0]),
        "stim_on_times": np.array([1.0, NAN, NAN, NAN]),
        "go_cue_trigger_times": np.array([1.5, 3.5, NAN, NAN]),
        "go_cue_times": np.array([1.5, 3.5, 5.25, NAN]),
    }
    np.testing.assert_array_equal(reaction_times.response_time(trials), [1.0, 0.5, 0.75, NAN])


def test_the_inputs_are_left_as_they_were():
    trials = {"response_times": np.ones(2), "stim_on_times": np.array([NAN, 0.0]), "go_cue_times": np.zeros(2)}
    reaction_times.response_time(trials)
    np.testing.assert_array_equal(trials["stim_on_times"], [NAN, 0.0])


def test_a_time_out_is_not_a_response():
    trials = {"response_times": np.array([1.0, 61.0]), "stim_on_times": np.zeros(2), "choice": np.array([1, 0])}
    np.testing.assert_array_equal(reaction_times.response_time(trials), [1.0, NAN])


def test_what_was_not_recorded_is_none():
    response = {"response_times": np.ones(1)}
    assert reaction_times.response_time(response) is None
    assert reaction_times.response_time({"stim_on_times": np.ones(1)}) is None
    assert reaction_times.reaction_time(response) is None
    assert reaction_times.median_at_zero(response) is None
    assert reaction_times.response_time(response | {"go_cue_times": np.zeros(1)}).tolist() == [1.0]


def test_medians_stand_at_the_contrasts_of_the_psychometric_counts():
    """Published code orders times by left - right and the contrasts beside them by right - left: a mirrored plot."""
    contrast = np.repeat([-100.0, 100.0], 20)
    trials = {
        "contrast_left": np.where(contrast < 0, 1.0, NAN),
        "contrast_right": np.where(contrast > 0, 1.0, NAN),
        "choice": np.where(contrast > 0, -1, 1),
        "response_times": np.where(contrast > 0, 0.2, 0.9),  # fast to the right
        "stim_on_times": np.zeros(contrast.size),
    }
    row = performance.session_performance(trials)
    assert row["contrasts"].tolist() == [-100, 100]
    assert row["contrast_n_right"].tolist() == [0, 20]
    assert row["contrast_response_time"].tolist() == [0.9, 0.2]


def test_a_session_without_zero_contrast_has_no_median_there():
    """Published code raises IndexError in biased sessions without 0 % trials."""
    trials = {
        "contrast_left": np.array([1.0, NAN]),
        "contrast_right": np.array([NAN, 0.5]),
        "response_times": np.ones(2),
        "stim_on_times": np.zeros(2),
    }
    assert reaction_times.median_at_zero(trials) is None
    trials["contrast_right"][1] = 0
    assert reaction_times.median_at_zero(trials) == 1.0


@given(st.lists(st.tuples(st.sampled_from([-100.0, 0.0, 6.25]), st.one_of(st.just(NAN), st.floats(0, 9))), max_size=60))
def test_medians_are_those_of_numpy(drawn):
    contrast, times = np.array(drawn, dtype=float).reshape(-1, 2).T
    levels = np.array([-100.0, -50.0, 0.0, 6.25])
    medians = reaction_times.medians_by_contrast(contrast, times, levels)
    for level, n, median, lower, upper in zip(
        levels, medians.n, medians.median, medians.lower, medians.upper, strict=True
    ):
        here = times[(contrast == level) & np.isfinite(times)]
        assert n == here.size
        np.testing.assert_allclose(median, np.median(here) if here.size else NAN, rtol=1e-12)
        if here.size >= 3:
            assert here.min() - 1e-12 <= lower <= median + 1e-12
            assert median - 1e-12 <= upper <= here.max() + 1e-12
        else:
            assert np.isnan(lower) and np.isnan(upper)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "level"), [(5, 0.68), (12, 0.68), (37, 0.68), (200, 0.68), (12, 0.95), (200, 0.95)])
def test_the_interval_covers_the_median_as_often_as_it_says(n, level):
    """The published label says 68 % and the bars show something else."""
    rng = np.random.default_rng(n)
    repeats = 4000
    times = rng.lognormal(0, 1, (repeats, n))
    owner = np.repeat(np.arange(repeats, dtype=float), n)
    medians = reaction_times.medians_by_contrast(owner, times.ravel(), level=level)
    covered = np.mean((medians.lower <= 1) & (medians.upper >= 1))
    assert covered == pytest.approx(level, abs=0.03)


def test_too_few_trials_have_a_median_and_no_interval():
    medians = reaction_times.medians_by_contrast([0, 0, 5], [1.0, 2.0, 3.0])
    assert medians.median.tolist() == [1.5, 3.0]
    assert np.isnan(medians.lower).all() and np.isnan(medians.upper).all()


@given(times_of_trials, st.integers(1, 15))
def test_the_running_median_is_that_of_pandas(times, window):
    expected = pd.Series(times, dtype=float).rolling(window, min_periods=1).median()
    np.testing.assert_allclose(reaction_times.running_median(times, window), expected, rtol=1e-12)


def test_a_window_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least 1"):
        reaction_times.running_median([1.0], 0)
    with pytest.raises(ValueError, match="alike"):
        reaction_times.medians_by_contrast([1.0], [1.0, 2.0])


@needs_real_data
@pytest.mark.parametrize("date", real_sessions.days(TRIALS_TEST))
def test_real_medians_match_their_definition_and_their_counts(date):
    trials = real_sessions.trials(TRIALS_TEST, date)
    row = performance.session_performance(trials)
    contrast = conventions.trial_signed_contrast(trials)
    elapsed = (trials["response_times"] - trials["stim_on_times"])[trials["choice"] != 0]
    responded = contrast[trials["choice"] != 0]
    np.testing.assert_array_equal(
        row["contrasts"], psychometrics.counts(contrast, conventions.right_choice(trials["choice"]))[0]
    )
    for level, median in zip(row["contrasts"], row["contrast_response_time"], strict=True):
        assert median == pytest.approx(np.nanmedian(elapsed[responded == level]))
    assert row["response_time_zero"] == pytest.approx(np.nanmedian(elapsed[responded == 0]))


@needs_real_data
def test_sessions_without_times_have_no_reaction_times():
    row = performance.session_performance(real_sessions.trials(KS014, "2019-08-22"))
    assert row["response_time"] is None
    assert row["contrast_response_time"] is None


@needs_real_data
def test_movements_start_before_their_response():
    table = pd.read_parquet(next(PHOTOMETRY.glob("*/*/alf/_ibl_trials.table.pqt")))
    trials = {
        "first_movement_times": table["firstMovement_times"].to_numpy(),
        "stim_on_times": table["stimOn_times"].to_numpy(),
        "response_times": table["response_times"].to_numpy(),
        "choice": table["choice"].to_numpy(),
    }
    movement, response = reaction_times.reaction_time(trials), reaction_times.response_time(trials)
    known = np.isfinite(movement) & np.isfinite(response)
    assert known.sum() > 400, "where the movement did not begin before the stimulus"
    assert np.mean(movement[known] <= response[known]) > 0.99
    assert reaction_times.median(movement) < reaction_times.median(response)


@given(data=st.data())
def test_the_first_movement_is_the_first_large_one_of_its_trial(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n_trials, n_moves = data.draw(st.integers(1, 20)), data.draw(st.integers(0, 60))
    cue = np.cumsum(rng.uniform(1, 3, n_trials))
    end = cue + rng.uniform(0.1, 0.9, n_trials)
    cue[rng.random(n_trials) < 0.1] = np.nan
    onsets, amplitudes = np.sort(rng.uniform(0, 40, n_moves)), rng.normal(0, 0.2, n_moves)
    movements = reaction_times.first_movements({"go_cue_times": cue, "feedback_times": end}, onsets, amplitudes)
    for i in range(n_trials):
        own = (onsets > cue[i] - 0.2) & (onsets < end[i]) & (np.abs(amplitudes) > 0.1)
        assert np.array_equal(movements[i], onsets[own][0] if own.any() else np.nan, equal_nan=True)


def test_a_session_without_reaction_times_says_why():
    stimulus, choice = np.array([1.0, 2.0]), np.array([1, 0])
    assert "firstMovement_times" in reaction_times.no_reaction_time({"stim_on_times": stimulus, "choice": choice})
    moved = {"stim_on_times": stimulus, "first_movement_times": np.array([np.nan, 2.5]), "choice": choice}
    assert "no trial" in reaction_times.no_reaction_time(moved)
    assert reaction_times.no_reaction_time(moved | {"first_movement_times": np.array([1.2, np.nan])}) == ""
