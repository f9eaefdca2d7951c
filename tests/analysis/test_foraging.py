"""Foraging: a simulated animal's weights on history are found again; two options are the usual logistic regression."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from pipeline.analysis import foraging


def forager(n_options, reward, no_reward, size, seed, probabilities=None):
    """Choices and rewards of an animal with known weights on its last trials; rewards in blocks of 60."""
    random = np.random.default_rng(seed)
    table = np.array(
        probabilities
        if probabilities is not None
        else [np.roll([0.7, *[0.15] * (n_options - 1)], k) for k in range(n_options)]
    )
    choices, rewards = np.zeros(size, int), np.zeros(size, bool)
    for trial in range(size):
        odds = np.zeros(n_options)
        for lag, (won, lost) in enumerate(zip(reward, no_reward, strict=True), 1):
            if trial >= lag:
                odds[choices[trial - lag]] += won if rewards[trial - lag] else lost
        p = np.exp(odds) / np.exp(odds).sum()
        choices[trial] = random.choice(n_options, p=p)
        rewards[trial] = random.random() < table[trial // 60 % len(table), choices[trial]]
    return choices, rewards


@pytest.mark.parametrize("n_options", [2, 3])
def test_the_weights_of_a_simulated_animal_are_found_again(n_options):
    choices, rewards = forager(n_options, [1.5, 0.6], [-0.4, 0.2], 6000, 3)
    weights = foraging.history_regression(choices, rewards, n_options, lags=2)
    for estimate, error, truth in (
        (weights.reward, weights.reward_error, [1.5, 0.6]), (weights.no_reward, weights.no_reward_error, [-0.4, 0.2]),
    ):  # fmt: skip
        assert (np.abs(estimate - truth) < 4 * error).all() and (error < 0.15).all()
    assert np.abs(weights.bias).max() < 0.2


def test_two_options_are_the_logistic_regression_on_history():
    choices, rewards = forager(2, [1.0], [0.3], 400, 4)
    signed = np.where(choices == 1, 1.0, -1.0)
    design = np.column_stack([np.ones(399), (signed * rewards)[:-1], (signed * ~rewards)[:-1]])
    loss = lambda w: np.logaddexp(0, -signed[1:] * (design @ w)).sum() + 0.005 * (w**2).sum()  # noqa: E731
    expected = minimize(loss, np.zeros(3)).x
    regression = foraging.history_regression(choices, rewards, 2, lags=1)
    np.testing.assert_allclose([regression.bias[1], regression.reward[0], regression.no_reward[0]], expected, atol=1e-4)


def test_too_few_trials_give_no_weights():
    assert np.isnan(foraging.history_regression([0, 1, 0], [1, 0, 1], 2).reward).all()


def test_an_animal_that_matches_has_sensitivity_one_and_its_bias():
    blocks = np.repeat(np.arange(4), 1000)
    share = np.repeat([0.2, 0.4, 0.6, 0.8], 1000)
    odds = share / (1 - share) * np.exp(0.5)
    random = np.random.default_rng(6)
    choices = (random.random(4000) < odds / (1 + odds)).astype(int)
    # rewards in the ratio of the shares, whatever is chosen
    rewarded = (
        random.random(4000) < np.where(choices == 1, share / (odds / (1 + odds)), (1 - share) / (1 / (1 + odds))) / 4
    )
    matched = foraging.matching(choices, rewarded, blocks, 2)
    assert abs(matched.sensitivity - 1) < 0.15 and abs(matched.bias[0] - 0.5) < 0.15
    assert np.isnan(foraging.matching(choices[:1000], rewarded[:1000], blocks[:1000], 2).sensitivity), "one block"


def test_trials_without_a_choice_belong_to_no_pair():
    assert foraging.stay_rates([0, -1, 0, 0], [1, 0, 0, 0]) == (pytest.approx(np.nan, nan_ok=True), 1.0)
    assert foraging.runs_of_blocks([np.nan, np.nan, 1.0]).tolist() == [0, 0, 1]
