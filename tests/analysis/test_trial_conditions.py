"""Conditions on trials: what the grammar accepts means what numpy says; everything else is refused with its place."""

from __future__ import annotations

import contextlib
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.trial_conditions import InvalidCondition, parse

N = 50
RANDOM = np.random.default_rng(0)
TRIALS = {
    "contrastRight": RANDOM.choice([np.nan, 0, 0.125, 0.5, 1], N),
    "choice": RANDOM.choice([-1, 0, 1], N),
    "earlyLick": RANDOM.random(N) < 0.3,
    "odour": np.array(["", "mint", "rose", "musk", None] * 10, object),
}


def comparisons() -> st.SearchStrategy[tuple[str, np.ndarray]]:
    """A comparison as text and, by numpy, where it is (known true, known false)."""

    def of(name: str, sign: str, value: float) -> tuple[str, tuple[np.ndarray, np.ndarray]]:
        column = np.asarray(TRIALS[name], float)
        known = ~np.isnan(column)
        true = {"==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater,
                ">=": np.greater_equal}[sign](column, value)  # fmt: skip
        return f"{name} {sign} {value!r}", (known & true, known & ~true)

    names = st.sampled_from(["contrastRight", "choice"])
    return st.builds(of, names, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), st.sampled_from([0, 0.125, 1.0]))


def conditions() -> st.SearchStrategy[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    def both(pair, word):
        (a, (at, af)), (b, (bt, bf)) = pair
        truth = (at & bt, af | bf) if word == "and" else (at | bt, af & bf)
        return f"({a}) {word} ({b})", truth

    return st.recursive(
        comparisons(),
        lambda inner: st.one_of(
            st.builds(both, st.tuples(inner, inner), st.sampled_from(["and", "or"])),
            inner.map(lambda one: (f"not ({one[0]})", one[1][::-1])),
        ),
        max_leaves=8,
    )


@pytest.mark.slow
@given(conditions())
def test_a_condition_means_what_numpy_says(case):
    text, (true, _) = case
    np.testing.assert_array_equal(parse(text).holds(TRIALS), true)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("earlyLick", TRIALS["earlyLick"]),
        ("not earlyLick", ~TRIALS["earlyLick"]),
        ('odour == "mint"', TRIALS["odour"] == "mint"),
        ("odour in ['mint', 'rose']", np.isin(TRIALS["odour"].astype(str), ["mint", "rose"])),
        ("choice not in [0, 1]", TRIALS["choice"] == -1),
        ("contrastRight == missing", np.isnan(TRIALS["contrastRight"])),
        ("odour != missing", np.array([bool(odour) for odour in TRIALS["odour"]])),
        ("0 <= contrastRight < 0.5", (TRIALS["contrastRight"] >= 0) & (TRIALS["contrastRight"] < 0.5)),
        ("-choice * 2 + 1 == 3", TRIALS["choice"] == -1),
        ("choice == 1 or choice == -1 and earlyLick",
         (TRIALS["choice"] == 1) | (TRIALS["choice"] == -1) & TRIALS["earlyLick"]),
        ("true", np.ones(N, bool)),
    ],
)  # fmt: skip
def test_what_the_grammar_offers(text, expected):
    np.testing.assert_array_equal(parse(text).holds(TRIALS), expected)


@pytest.mark.parametrize(
    "text",
    ["", "choice ==", "choice == 1 choice", "(choice == 1", "choice.sum() > 1", "choice.real == 1", "sum(choice) > 1",
     "__import__('os')", "choice[0] == 1", "choice == 1; earlyLick", "choice = 1", "lambda: 1", "choice == 1 if 2",
     "contrastRight", "0.5", "'text'", "missing", "missing == missing", "choice < missing", "odour == 1",
     "odour + 1 == 2", "choice in []", "choice in 1", "choice == 'a\\'", "colour == 1", "choice == 1 and 3"],
)  # fmt: skip
def test_everything_else_is_refused(text):
    with pytest.raises(InvalidCondition):
        parse(text).holds(TRIALS)


def test_an_error_names_the_place_and_a_column_that_is_meant():
    with pytest.raises(InvalidCondition, match="character 11"):
        parse("choice == ) 1")
    with pytest.raises(InvalidCondition, match="did you mean contrastRight"):
        parse("contrastright == 1").holds(TRIALS)


def test_a_long_or_deep_condition_is_read_or_refused_without_trouble():
    long = " or ".join(["choice == 1"] * 600)
    assert parse(long).holds(TRIALS).sum() == (TRIALS["choice"] == 1).sum()
    for text in ("(" * 5000 + "choice == 1" + ")" * 5000, "not " * 2400 + "(choice == 1)", "-" * 9000 + "choice == 1",
                 "choice" + " + choice" * 1200 + " == 1", "choice == 1" + " or choice == 1" * 10_000):  # fmt: skip
        began = time.process_time()
        with contextlib.suppress(InvalidCondition):
            parse(text).holds(TRIALS)
        assert time.process_time() - began < 5, "it must not grow faster than the text"
