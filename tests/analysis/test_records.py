"""From trials to a training record: no trial is lost or counted twice."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from pipeline.analysis.performance import blocks, session_performance
from pipeline.analysis.records import session_record
from tests.analysis.test_daily import trials

DAY = datetime.date(2026, 1, 5)


def test_counts_are_those_of_the_psychometric_functions():
    one = trials(500)
    one["probability_left"] = np.repeat([0.5, 0.2, 0.8], [100, 200, 200])
    record = session_record(one, DAY, 1)
    for probability, block in blocks(one).items():
        cells = record.probability_left == probability
        np.testing.assert_array_equal(record.signed_contrast[cells], block["contrasts"])
        np.testing.assert_array_equal(record.n[cells], block["contrast_n"])
        np.testing.assert_array_equal(record.n_right[cells], block["contrast_n_right"])
    row = session_performance(one)
    assert record.n.sum() == row["n_responses"]
    assert record.performance_easy == row["performance_easy"]
    assert np.median(record.zero_contrast_rt) == row["response_time_zero"]


def test_a_session_without_choices_has_a_record_without_counts():
    record = session_record({"contrast_left": np.ones(3), "contrast_right": np.full(3, np.nan)}, DAY, 1)
    assert (record.n_trials, len(record.n)) == (3, 0)
    assert np.isnan(record.performance_easy)


def test_without_times_the_reaction_times_are_unknown_not_zero():
    assert len(session_record(trials(50, times=False), DAY, 1).zero_contrast_rt) == 0


def test_a_no_go_is_wrong_or_left_out_as_the_rule_set_says():
    one = {
        "choice": np.array([1, -1, 0, 0]), "feedback_type": np.array([1, 1, -1, -1]),
        "contrast_left": np.array([1.0, np.nan, 0.5, 0.0]), "contrast_right": np.array([np.nan, 1.0, np.nan, np.nan]),
        "stim_on_times": np.array([1.0, 5.0, 9.0, 100.0]), "response_times": np.array([2.0, 6.0, 69.0, 160.0]),
    }  # fmt: skip
    left_out, wrong = (session_record(one, DAY, 1, no_go=rule) for rule in ("left_out", "wrong"))
    assert (left_out.performance_easy, wrong.performance_easy) == (1.0, pytest.approx(2 / 3))
    assert (left_out.signed_contrast.tolist(), left_out.n.tolist()) == ([-100, 100], [1, 1])
    assert (wrong.signed_contrast.tolist(), wrong.n.tolist()) == ([-100, -50, 0, 100], [1, 1, 1, 1])
    assert wrong.n_right.tolist() == [0, 0, 0, 1]
    assert (list(left_out.zero_contrast_rt), list(wrong.zero_contrast_rt)) == ([], [60.0])
