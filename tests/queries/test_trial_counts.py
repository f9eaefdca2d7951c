"""Trials that fulfil a condition are counted over all sessions as `fetch_trials` chooses them in each."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ingest
from neurojoint.cli import main
from pipeline import behavior, selection
from pipeline.analysis.trial_conditions import InvalidCondition, parse
from pipeline.errors import UserError
from pipeline.queries.condition_sql import to_sql
from pipeline.queries.sessions import find_sessions
from pipeline.queries.trial_counts import count_trials
from pipeline.worker import drain

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


def write(root, subject, n, **columns):
    alf = root / "lab" / "Subjects" / subject / "2024-05-06" / "001" / "alf"
    alf.mkdir(parents=True)
    starts = np.arange(n) * 5.0
    np.save(alf / "_ibl_trials.intervals.npy", np.column_stack([starts, starts + 4]))
    for name, values in columns.items():
        np.save(alf / f"_lab_trials.{name}.npy", values)


@pytest.fixture
def labs(database, tmp_path):
    random = np.random.default_rng(3)
    for subject, n in (("m1", 60), ("m2", 47)):
        right = np.where(random.random(n) < 0.5, random.choice([0, 0.25, 1.0], n), np.nan)
        response = np.where(random.random(n) < 0.2, np.nan, np.arange(n) * 5.0 + random.random(n))
        write(
            tmp_path, subject, n, choice=random.choice([-1, 0, 1], n), contrastRight=right, response_times=response,
            included=random.random(n) < 0.7, goCue_times=np.arange(n) * 5.0 + 0.2,
            tone=random.choice([1000, 2000], n).astype(np.float32 if subject == "m1" else np.int64),
        )  # fmt: skip
    write(tmp_path, "m3", 20, choice=np.ones(20, int))  # has neither contrasts nor tones
    ingest.register(tmp_path)
    drain([behavior.TrialSet])


def by_fetching(condition):
    result = {}
    for key in behavior.TrialSet.to_dicts():
        try:
            n = len(behavior.fetch_trials(key, condition)["choice"])
        except InvalidCondition:
            continue
        if n:
            result[key["subject"]] = n
    return result


def counts(condition, period=None):
    table = count_trials(condition, period)
    return dict(zip(table["subject"].to_pylist(), table["n_fulfilling"].to_pylist(), strict=True))


COLUMNS = ("choice", "contrast_right", "response_times", "intervals_0", "go_cue_times")
_numbers = st.sampled_from(["0", "1", "0.25", "-1", "missing", "2.5", "100", "1e2"])
_values = st.one_of(
    st.sampled_from(COLUMNS),
    st.sampled_from(["response_times - go_cue_times", "choice + 1", "0.5 - contrast_right", "-choice"]),
)
_comparisons = st.one_of(
    st.tuples(_values, st.sampled_from(["==", "!="]), _numbers).map(" ".join),
    st.tuples(_values, st.sampled_from(["<", ">=", "=="]), _values).map(" ".join),
    st.sampled_from(["included", "not included", "included == 1", "choice in [-1, 0]", "choice not in [1]", "true"]),
)
_conditions = st.recursive(
    _comparisons,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda one: f"({' '.join(one)})"),
        inner.map(lambda one: f"not ({one})"),
    ),
    max_leaves=5,
)


def test_the_database_counts_what_numpy_counts(labs):
    kinds = dict.fromkeys(COLUMNS, "number") | {"included": "bool"}

    @given(_conditions)
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    def check(expression):
        assert to_sql(parse(expression), kinds), "the database can count these"
        expected = by_fetching(expression)
        assert counts(expression) == expected

    check()


@pytest.mark.parametrize(
    "condition",
    ["tone >= 2000", "tone == 1000 and choice == 1", "not tone == 1000 or choice == missing", "2 * choice > 1",
     "contrast_right / choice > 0", "tone == 3000"],
)  # fmt: skip
def test_columns_that_only_files_have_and_calculations_are_counted_too(labs, condition):
    assert counts(condition) == by_fetching(condition)


def test_sessions_are_found_by_condition_and_period(labs):
    selection.TrialCondition.define("high", "tone == 2000 and choice == 1")
    selection.Period.define("reaction", "go_cue_times", "response_times", (0.0, 0.1))
    expected = by_fetching("high")
    sessions = find_sessions(condition="high")
    assert dict(zip(sessions["subject"].to_pylist(), sessions["n_fulfilling"].to_pylist(), strict=True)) == expected
    most = max(expected.values())
    assert find_sessions(condition="high", min_trials=most + 1).num_rows == 0
    with_period = {
        row["subject"]: int(np.isfinite(
            selection.Period.intervals("reaction", behavior.fetch_trials(row, "high"))[:, 0]
        ).sum())
        for row in behavior.TrialSet.to_dicts() if row["subject"] in expected
    }  # fmt: skip
    assert counts("high", "reaction") == with_period and with_period != expected
    said = CliRunner().invoke(main, ["find", "sessions", "--condition", "high", "--period", "reaction"])
    assert said.exit_code == 0 and f"{with_period['m1']} as asked" in said.output and "/m3/" not in said.output


def test_what_cannot_be_counted_is_refused(labs):
    for wrong, words in (("low", "no condition called low"), ("tones > 1", "did you mean tone"),
                         ('choice == "left"', "text"), ('tone == "left"', "text")):  # fmt: skip
        with pytest.raises(UserError, match=words):
            count_trials(wrong)
    with pytest.raises(UserError, match="no period delay"):
        count_trials("choice == 1", "delay")
