"""A simulated session holds what its parameters say, and no event comes before its cause."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.simulate import Psychometric, SessionParams, signed_contrast, simulate_trials
from ingest.simulate.session import TRAINING_CONTRASTS

BIASED = {
    0.5: Psychometric(1, 14, 0.06, 0.03),
    0.2: Psychometric(-9, 14, 0.06, 0.03),
    0.8: Psychometric(11, 14, 0.06, 0.03),
}


@st.composite
def session_params(draw):
    curve = st.builds(Psychometric, st.floats(-60, 60), st.floats(5, 100), st.floats(0, 0.49), st.floats(0, 0.49))
    training = draw(st.booleans())
    return SessionParams(
        n_trials=draw(st.integers(1, 400)),
        blocks={0.5: draw(curve)} if training else {p: draw(curve) for p in (0.5, 0.2, 0.8)},
        contrasts=draw(st.sampled_from(TRAINING_CONTRASTS)),
        debias=draw(st.booleans()),
        no_go_rate=draw(st.floats(0, 1)),
        rt_easy=draw(st.floats(0.05, 5)),
        rt_zero=draw(st.floats(0.05, 20)),
        stim_on_missing=draw(st.floats(0, 1)),
    )


@settings(max_examples=60, deadline=None)
@given(params=session_params(), seed=st.integers(0, 2**32))
def test_no_event_precedes_its_cause(params, seed):
    """Start, stimulus, go cue, movement, response, feedback, stimulus off, end, next start: always in this order."""
    trials = simulate_trials(params, seed)
    assert {len(values) for values in trials.values()} == {params.n_trials}
    order = "stim_on_times go_cue_times first_movement_times response_times feedback_times stim_off_times intervals_1"
    before = trials["intervals_0"]
    for name in order.split():
        seen = ~np.isnan(trials[name])
        assert np.all(trials[name][seen] >= before[seen]), name
        before = np.where(seen, trials[name], before)
    assert np.all(trials["intervals_1"][:-1] < trials["intervals_0"][1:])
    assert np.all(trials["go_cue_trigger_times"] <= trials["go_cue_times"])
    assert np.all(trials["intervals_0"] + trials["quiescence_period"] < trials["go_cue_times"])
    no_go = trials["choice"] == 0
    assert np.array_equal(np.isnan(trials["first_movement_times"]), no_go)


@settings(max_examples=40, deadline=None)
@given(params=session_params(), seed=st.integers(0, 2**32))
def test_outcome_follows_from_stimulus_and_choice(params, seed):
    """A stimulus is on one side; feedback and water follow from it and the choice; values are in their ranges."""
    trials = simulate_trials(params, seed)
    left = ~np.isnan(trials["contrast_left"])
    assert np.array_equal(left, np.isnan(trials["contrast_right"]))
    correct = trials["choice"] == np.where(left, 1, -1)
    assert np.array_equal(trials["feedback_type"], np.where(correct, 1, -1))
    assert np.array_equal(trials["reward_volume"], np.where(correct, params.reward_volume, 0))
    shown = np.where(left, trials["contrast_left"], trials["contrast_right"])
    assert set(shown.tolist()) <= set(params.contrasts)
    assert set(trials["choice"].tolist()) <= {-1, 0, 1}
    assert set(trials["probability_left"].tolist()) <= set(params.blocks)


def test_same_seed_same_session():
    first, second, other = (simulate_trials(SessionParams(blocks=BIASED), seed) for seed in (4, 4, 5))
    assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)
    assert not np.array_equal(first["response_times"], other["response_times"])


@pytest.mark.parametrize("blocks", [{0.5: Psychometric(-8, 25, 0.2, 0.05)}, BIASED], ids=["training", "biased"])
def test_choices_follow_the_psychometric_function(blocks):
    """In each block, at each contrast, the fraction of right choices is within 4 standard errors of its probability."""
    params = SessionParams(n_trials=60_000, blocks=blocks, no_go_rate=0.05)
    trials = simulate_trials(params, seed=1)
    signed, responded = signed_contrast(trials), trials["choice"] != 0
    for block, curve in blocks.items():
        for contrast in np.unique(signed):
            chosen = trials["choice"][(trials["probability_left"] == block) & (signed == contrast) & responded]
            p = curve.p_right(contrast)
            assert abs(np.mean(chosen == -1) - p) < 4 * np.sqrt(p * (1 - p) / len(chosen)), (block, contrast)
    assert abs(np.mean(~responded) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / params.n_trials)


def test_reaction_times_have_the_stated_median():
    params = SessionParams(n_trials=40_000, rt_easy=0.4, rt_zero=1.5, rt_sigma=0.4, stim_on_missing=0.0)
    trials = simulate_trials(params, seed=2)
    reaction, contrast = trials["response_times"] - trials["stim_on_times"], np.abs(signed_contrast(trials)) / 100
    for c in params.contrasts:
        median = np.median(reaction[(contrast == c) & (trials["choice"] != 0)])
        assert median == pytest.approx(params.rt_median(c), rel=0.03)
    assert params.rt_median(1.0) == pytest.approx(0.4)
    assert params.rt_median(0.0) == pytest.approx(1.5)


def test_blocks_are_as_in_the_biased_task():
    """90 trials at 0.5, then 0.2 and 0.8 in turn, 20 to 100 trials each; the stimulus side follows the probability."""
    trials = simulate_trials(SessionParams(n_trials=20_000, blocks=BIASED), seed=3)
    probability = trials["probability_left"]
    borders = np.flatnonzero(np.diff(probability)) + 1
    assert borders[0] == 90
    assert set(probability[:90]) == {0.5}
    lengths = np.diff(borders)
    assert lengths.min() >= 20
    assert lengths.max() <= 100
    assert np.all(probability[borders[:-1]] + probability[borders[1:]] == 1)
    left = ~np.isnan(trials["contrast_left"])
    for block in (0.2, 0.8):
        assert np.mean(left[probability == block]) == pytest.approx(block, abs=0.02)
    zero = np.mean(signed_contrast(trials) == 0)
    assert zero == pytest.approx(1 / 9, abs=0.01)


def test_training_task_repeats_easy_contrasts_after_errors():
    params = SessionParams(
        n_trials=5_000, contrasts=TRAINING_CONTRASTS[1], debias=True, blocks={0.5: Psychometric(0, 40, 0.3, 0.3)}
    )
    trials = simulate_trials(params, seed=4)
    contrast = np.abs(signed_contrast(trials))
    after_error = (trials["feedback_type"][:-1] == -1) & (contrast[:-1] >= 50)
    assert np.array_equal(trials["rep_num"][1:] > 1, after_error)
    assert np.all(contrast[1:][after_error] == contrast[:-1][after_error])
    assert np.all(simulate_trials(SessionParams(debias=False))["rep_num"] == 1)


def test_repeats_lean_against_the_preferred_side():
    """A mouse that answers right nine times in ten gets most of its repeated trials on the left."""
    one_sided = SessionParams(
        n_trials=4_000, contrasts=(1.0,), debias=True, blocks={0.5: Psychometric(0, 20, 0.9, 0.0)}
    )
    trials = simulate_trials(one_sided, seed=5)
    repeated = trials["rep_num"] > 1
    assert np.mean(~np.isnan(trials["contrast_left"][repeated])) > 0.7
