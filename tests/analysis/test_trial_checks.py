"""Columns that contradict each other are repaired where that is certain, flagged where it is not, never passed over."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import performance
from pipeline.analysis.conventions import block_prior
from pipeline.analysis.trial_checks import check_refused, check_trials, repaired, worst


def session(seed=0, n=300, skill=0.85, no_go=0.03):
    """A sound session of a trained animal."""
    chance = np.random.default_rng(seed)
    right = chance.random(n) < 0.5
    size = chance.choice([0.0, 0.0625, 0.125, 0.25, 1.0], n)
    correct = chance.random(n) < skill
    chosen_right = right == correct
    withheld = chance.random(n) < no_go
    start = np.cumsum(chance.uniform(4, 9, n))
    trials = {
        "intervals_0": start,
        "intervals_1": start + 3.5,
        "stim_on_times": start + 0.6,
        "go_cue_times": start + 0.61,
        "response_times": start + 0.7 + chance.gamma(2, 0.3, n).clip(max=2),
        "choice": np.where(withheld, 0, np.where(chosen_right, -1, 1)),
        "feedback_type": np.where(correct & ~withheld, 1, -1),
        "contrast_left": np.where(right, np.nan, size),
        "contrast_right": np.where(right, size, np.nan),
        "probability_left": np.full(n, 0.5),
    }
    trials["feedback_times"] = trials["response_times"] + 0.001
    return trials


def outcomes(result):
    return {item.check: item.outcome for item in result if item.outcome != "PASS"}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(["", "training", "biased", "ephys", "other"]))
def test_a_sound_session_passes_unchanged(seed, kind):
    trials = session(seed, n=150 if kind in ("biased", "ephys") else 300)  # such a protocol may begin without blocks
    checked, result = check_trials(trials, kind)
    assert worst(result) == "PASS", outcomes(result)
    assert all(np.array_equal(checked[name], trials[name], equal_nan=True) for name in trials)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    coding=st.sampled_from(["0 left", "0 right", "false left", "false right"]),
    scale=st.sampled_from([1, 1e3, 1e6]),
)
def test_other_codes_and_clocks_give_the_same_trials(seed, coding, scale):
    """A session without no-go trials, its choice coded 0 and 1, its times in ms or us."""
    trials = session(seed, no_go=0)
    form = dict(trials)
    one_is_left = coding.endswith("right")
    form["choice"] = (trials["choice"] == (1 if one_is_left else -1)).astype(int)
    for name in form:
        if name.endswith("_times") or name.startswith("intervals"):
            form[name] = trials[name] * scale
    checked, result = check_trials(form, "training")
    assert worst(result) == "WARNING"
    assert outcomes(result).keys() == ({"choice_code", "time_unit"} if scale > 1 else {"choice_code"})
    np.testing.assert_array_equal(checked["choice"], trials["choice"])
    alone, unknown = repaired(form), check_trials(form)[0]
    for name in trials:
        np.testing.assert_allclose(checked[name], trials[name], rtol=1e-12)
        np.testing.assert_array_equal(
            alone[name], unknown[name], "what is repaired does not depend on the other checks"
        )
    expected = performance.session_performance(trials)["performance"]
    assert performance.session_performance(checked)["performance"] == expected


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_an_inverted_choice_fails(seed):
    trials = session(seed)
    _, result = check_trials(dict(trials) | {"choice": -trials["choice"]})
    assert outcomes(result) == {"choice_against_feedback": "FAIL"}


def test_choices_of_0_and_1_without_feedback_fail():
    trials = session(no_go=0)
    trials["choice"] = (trials["choice"] == 1).astype(int)
    del trials["feedback_type"]
    assert outcomes(check_trials(trials, "training")[1])["choice_code"] == "FAIL"


@pytest.mark.parametrize(
    ("change", "check", "outcome", "words"),
    [
        ({"response_times": lambda t: t["stim_on_times"] - 0.1}, "order_of_events", "FAIL", "response comes before"),
        ({"feedback_times": lambda t: t["intervals_1"] + 1.0}, "order_of_events", "FAIL", "the end comes before"),
        (
            {"response_times": lambda t: t["response_times"] - np.where(np.arange(300) == 3, 2.0, 0)},
            "order_of_events", "WARNING", "in 1 trials",
        ),
        ({"intervals_1": lambda t: t["intervals_1"] + np.where(np.arange(300) == 299, 4000, 0)}, "durations", "WARNING",
         "1 trials last longer than 30 minutes"),
        ({"contrast_left": lambda t: np.nan_to_num(t["contrast_left"], nan=0.25)}, "both_sides", "WARNING", "both"),
    ],
)  # fmt: skip
def test_what_cannot_be_repaired_is_flagged(change, check, outcome, words):
    trials = session()
    trials |= {name: value(trials) for name, value in change.items()}
    if check == "both_sides":
        del trials["feedback_type"]
    collected = {item.check: item for item in check_trials(trials, "training")[1]}
    assert collected[check].outcome == outcome
    assert words in collected[check].detail


def test_responses_that_nothing_scores_are_counted():
    """Zeros instead of NaN on the other side, and no feedback: the side of a trial at 0 % is lost."""
    trials = session(no_go=0)
    n_zero = int(np.sum(np.nan_to_num(trials["contrast_left"]) + np.nan_to_num(trials["contrast_right"]) == 0))
    form = dict(trials)
    del form["feedback_type"]
    form["contrast_left"], form["contrast_right"] = (np.nan_to_num(trials[f"contrast_{s}"]) for s in ("left", "right"))
    collected = {item.check: item for item in check_trials(form)[1]}
    assert (collected["unscored"].outcome, collected["unscored"].n_trials) == ("WARNING", n_zero)
    assert f"{n_zero} of them at zero contrast" in collected["unscored"].detail


def test_all_trials_at_zero_on_one_side_are_flagged():
    trials = session()
    zero = np.nan_to_num(trials["contrast_right"], nan=1) == 0
    trials["contrast_left"] = np.where(zero, 0.0, trials["contrast_left"])
    trials["contrast_right"] = np.where(zero, np.nan, trials["contrast_right"])
    assert outcomes(check_trials(trials, "training")[1])["sides_at_zero"] == "WARNING"


@pytest.mark.parametrize(
    ("kind", "prior", "expected", "flagged"),
    [
        pytest.param("training", [0.5, 0.3, 0.5, 0.9] * 75, {0.5}, False, id="debiasing"),
        pytest.param("", [0.5, 0.3, 0.5, 0.9] * 75, {0.5}, True, id="debiasing, no protocol"),
        pytest.param("other", [0.2, 0.8] * 150, {0.2, 0.8}, False, id="a cue draws the prior"),
        pytest.param("", [0.2, 0.8] * 150, {0.2, 0.8}, False, id="a cue draws the prior, no protocol"),
        pytest.param("other", np.tile(np.repeat([0.3, 0.7], 8), 19)[:300], {0.3, 0.7}, False, id="blocks of 8"),
        pytest.param("biased", [0.2, 0.8] * 150, {0.2, 0.8}, True, id="alternating"),
        pytest.param("biased", np.repeat([0.5, 0.2, 0.8, 0.2], [90, 70, 70, 70]), {0.2, 0.5, 0.8}, False, id="blocks"),
    ],
)
def test_the_prior_is_read_as_its_protocol_means_it(kind, prior, expected, flagged):
    trials = session() | {"probability_left": np.array(prior)}
    read = block_prior(trials, kind)
    assert set(np.unique(read[np.isfinite(read)])) == expected
    assert ("prior" in outcomes(check_trials(trials, kind)[1])) == flagged
    if kind == "biased" and flagged:
        assert np.isfinite(read).sum() == 2, "but for the first and the last, the block of no trial is known"


@pytest.mark.slow
@given(st.integers(0, 10_000), st.sampled_from([np.float16, "tenths", "whole"]))
def test_times_that_are_too_coarse_for_responses_are_flagged(seed, kind):
    trials = session(seed)
    for name in [name for name in trials if name.endswith("_times")]:
        values = trials[name]
        rounded = {"tenths": np.round(values, 1), "whole": np.floor(values)}
        trials[name] = rounded[kind] if isinstance(kind, str) else values.astype(kind)
    collected = {item.check: item for item in check_trials(trials, "training")[1]}
    assert collected["resolution"].outcome == "WARNING"
    assert "response_times" in collected["resolution"].detail


@pytest.mark.slow
@given(st.integers(0, 10_000), st.sampled_from(["choice", "probability_left", "contrast"]), st.integers(1, 200))
def test_trials_of_which_something_is_missing_are_counted(seed, what, count):
    trials = {name: np.array(values, float) for name, values in session(seed).items()}
    for name in (name for name in trials if name.startswith(what)):
        trials[name][:count] = np.nan
    collected = {item.check: item for item in check_trials(trials, "training")[1]}
    assert (collected["missing"].outcome, collected["missing"].n_trials) == ("WARNING", count)


def test_a_no_go_that_was_rewarded_and_a_session_without_responses_are_told_apart():
    trials = session(no_go=0.2)
    rewarded = trials | {"feedback_type": np.where(trials["choice"] == 0, 1, trials["feedback_type"])}
    result = outcomes(check_trials(rewarded, "training")[1])
    assert result["rewarded_no_go"] == "FAIL"
    assert outcomes(check_trials(rewarded, "other")[1])["rewarded_no_go"] == "WARNING"
    assert "rewarded_no_go" not in outcomes(check_trials(rewarded, "habituation")[1])
    silent = trials | {"choice": np.zeros(300, int), "feedback_type": np.full(300, -1)}
    assert outcomes(check_trials(silent, "training")[1]) == {"choice_code": "WARNING"}


def test_a_prior_that_contradicts_the_sides_is_flagged_in_a_protocol_that_nobody_knows():
    trials = session(n=600)
    drawn = trials | {"probability_left": np.where(np.arange(600) % 2, 0.2, 0.8)}
    assert outcomes(check_trials(drawn, "other")[1]) == {"prior_against_sides": "WARNING"}
    assert worst(check_trials(trials, "other")[1]) == "PASS"


def test_columns_in_quarantine_are_named():
    (finding,) = check_refused({"choice": "value_range", "response_times": "time_backwards"}, 300)
    assert (finding.outcome, finding.n_trials) == ("WARNING", 300)
    assert "choice (value_range), response_times (time_backwards)" in finding.detail
    assert check_refused({}, 300) == []
