"""A wheel that turns against the choices is noticed, in whatever unit it came; a sound one is not accused."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.simulate import SessionParams, simulate_trials
from ingest.simulate.wheel import simulate_wheel
from pipeline.analysis.wheel_direction import against_choices

TRIALS = simulate_trials(SessionParams(n_trials=80), seed=4)
WHEEL = simulate_wheel(TRIALS, 4)


def test_a_sound_wheel_passes():
    assert against_choices(WHEEL.position, WHEEL.timestamps, TRIALS) == ("PASS", "")


@pytest.mark.parametrize("flipped", ["wheel", "choice"])
def test_an_inverted_sign_fails(flipped):
    position, trials = WHEEL.position, dict(TRIALS)
    if flipped == "wheel":
        position = -position
    else:
        trials["choice"] = -trials["choice"]
    outcome, said = against_choices(position, WHEEL.timestamps, trials)
    assert outcome == "FAIL" and "against the choice" in said


def test_times_of_another_clock_are_a_doubt():
    outcome, said = against_choices(WHEEL.position, WHEEL.timestamps + 5.0, TRIALS)
    assert outcome == "WARNING" and "clock" in said


@pytest.mark.parametrize("absent", [["choice"], ["response_times", "feedback_times"], ["all"]])
def test_without_the_columns_nothing_is_said(absent):
    trials = {} if absent == ["all"] else {name: one for name, one in TRIALS.items() if name not in absent}
    assert against_choices(WHEEL.position, WHEEL.timestamps, trials) == ("PASS", "")


def test_missing_times_and_few_trials_are_no_error():
    trials = {name: np.asarray(one, dtype=float)[:15] for name, one in TRIALS.items()}
    trials["response_times"][3:6] = np.nan
    assert against_choices(-WHEEL.position, WHEEL.timestamps, trials) == ("PASS", "")
    assert against_choices(WHEEL.position[:1], WHEEL.timestamps[:1], TRIALS) == ("PASS", "")
