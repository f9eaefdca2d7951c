"""Random forms of one session give the same trials; every contradiction between columns is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.simulate import Psychometric, SessionParams, simulate_trials
from pipeline.analysis.trial_checks import check_trials, worst

BLOCKS = {0.5: Psychometric(), 0.2: Psychometric(bias=8), 0.8: Psychometric(bias=-8)}
SESSIONS = {
    ("training", seed): simulate_trials(SessionParams(n_trials=200, no_go_rate=0.0, stim_on_missing=0.0), seed)
    for seed in range(3)
} | {
    ("biased", seed): simulate_trials(SessionParams(500, BLOCKS, no_go_rate=0.0, stim_on_missing=0.0), seed)
    for seed in range(3)
}


def is_time(name: str) -> bool:
    return name.endswith("_times") or name.startswith("intervals_")


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(which=st.sampled_from(sorted(SESSIONS)), data=st.data())
def test_random_forms_of_one_truth_give_the_same_trials(which, data):
    truth, kind = SESSIONS[which], which[0]
    form = {name: values.copy() for name, values in truth.items()}
    told = set()
    unit = data.draw(st.sampled_from([1, 1, 1e3, 1e6, 1e9]))
    alone = data.draw(st.lists(st.sampled_from([name for name in truth if is_time(name)]), max_size=3, unique=True))
    for name in filter(is_time, truth):
        form[name] = truth[name] * (1e3 if unit == 1 and name in alone else unit)
    told |= {"time_unit"} if unit > 1 or alone else set()
    if data.draw(st.booleans()):
        left = data.draw(st.sampled_from([0, 1]))
        codes = np.where(truth["choice"] == 1, left, 1 - left)
        form["choice"] = codes.astype(data.draw(st.sampled_from([bool, np.int8, np.float64])))
        told.add("choice_code")
    if kind == "biased" and data.draw(st.booleans()):
        form["probability_left"] = 1 - truth["probability_left"]
        told.add("prior_against_sides")
    if data.draw(st.booleans()):
        form["reward_volume"] = truth["reward_volume"] / 1000
        told.add("reward")
    if data.draw(st.booleans()):
        for name in ("contrast_left", "contrast_right"):
            form[name] = form[name].astype(np.float32)
    result, checks = check_trials(form, kind)
    assert {check.check for check in checks if check.outcome == "WARNING"} == told, checks
    assert worst(checks) == ("WARNING" if told else "PASS")
    for name, values in truth.items():
        np.testing.assert_allclose(result[name].astype(float), values.astype(float), rtol=1e-9, err_msg=name)


def _rolled(*names):
    return lambda trials: {name: np.roll(trials[name], 1) for name in names}


def _scaled(factor):
    return lambda trials: {name: trials[name] * factor for name in filter(is_time, trials)}


def _other_side(trials):
    return {"contrast_left": trials["contrast_right"], "contrast_right": trials["contrast_left"]}


FAULTS = {
    "sides": ("choice_against_feedback", _other_side),
    "choice": ("choice_against_feedback", lambda t: {"choice": -t["choice"]}),
    "feedback": ("choice_against_feedback", lambda t: {"feedback_type": -t["feedback_type"]}),
    "choice of the trial before": ("choice_against_feedback", _rolled("choice")),
    "feedback of the trial before": ("choice_against_feedback", _rolled("feedback_type")),
    "stimulus of the trial before": ("choice_against_feedback", _rolled("contrast_left", "contrast_right")),
    "always rewarded": ("choice_against_feedback", lambda t: {"feedback_type": np.ones_like(t["feedback_type"])}),
    "minutes": ("time_unit", _scaled(1 / 60)),
    "samples at 30 kHz": ("time_unit", _scaled(30_000)),
    "unix time": ("time_origin", lambda t: {name: t[name] + 1.7e9 for name in filter(is_time, t)}),
    "every trial twice": ("overlap", lambda t: {name: np.repeat(values, 2) for name, values in t.items()}),
    "response before stimulus": ("order_of_events", lambda t: {"response_times": t["stim_on_times"] - 0.5}),
    "water on errors": ("reward", lambda t: {"reward_volume": np.full(len(t["choice"]), 3.0)}),
    "water in litres": ("reward", lambda t: {"reward_volume": t["reward_volume"] * 1e-6}),
}  # fmt: skip
PRIORS = {
    "no blocks": lambda prior: np.full_like(prior, 0.5),
    "one block": lambda prior: np.full_like(prior, 0.8),
    "0 and 1": lambda prior: (prior > 0.5).astype(float),
    "late": lambda prior: np.roll(prior, 45),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("which", sorted(SESSIONS))
def test_a_contradiction_is_named(fault, which):
    check, change = FAULTS[fault]
    _, result = check_trials(SESSIONS[which] | change(SESSIONS[which]), which[0])
    named = {item.check: item for item in result if item.outcome != "PASS"}
    assert check in named, (fault, result)
    assert named[check].detail


@pytest.mark.parametrize("fault", PRIORS)
@pytest.mark.parametrize("seed", range(3))
def test_a_prior_that_the_stimuli_contradict_is_named_and_left(fault, seed):
    trials = SESSIONS["biased", seed]
    prior = PRIORS[fault](trials["probability_left"])
    result, checks = check_trials(trials | {"probability_left": prior}, "biased")
    assert "prior_against_sides" in {check.check for check in checks if check.outcome == "WARNING"}, checks
    np.testing.assert_array_equal(result["probability_left"], prior)
