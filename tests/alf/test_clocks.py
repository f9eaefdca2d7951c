"""Protects sparse clocks and indices: what cannot be used is named, what can gives the times that ONE gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one.alf.io import ts2vec

from pipeline.alf import clocks


@given(st.integers(2, 50), st.floats(-100, 100), st.floats(0.001, 5))
def test_a_clock_gives_the_times_that_one_gives(n_samples, start, step):
    pairs = np.array([[0, start], [n_samples - 1, start + step * (n_samples - 1)]])
    assert np.allclose(clocks.times_of_samples(pairs, n_samples), ts2vec(pairs, n_samples))
    full = np.linspace(start, start + step, n_samples)
    assert np.array_equal(clocks.times_of_samples(full[:, None], n_samples), full)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([[0, 0.0], [5, 1.0]], "span samples 0 to 5"),
        ([[2, 0.0], [9, 1.0]], "span samples 2 to 9"),
        ([[0, 1.0], [9, 1.0]], "the time 1 is not after 1"),
        ([[9, 0.0], [0, 1.0]], "the sample 0 is not after 9"),
        ([[0, 0.0], [9, np.nan]], "finite"),
        ([[0, 0.0]], "at least 2"),
    ],
)
def test_a_clock_that_cannot_be_used_says_why(pairs, said):
    assert said in clocks.wrong_clock(np.array(pairs), 10)
    with pytest.raises(ValueError):
        clocks.times_of_samples(np.array(pairs), 10)


@given(st.lists(st.integers(-2, 12), min_size=1, max_size=20), st.integers(1, 10))
def test_an_index_is_used_only_where_all_rows_are_there(rows, n_rows):
    wrong = clocks.wrong_reference(np.array(rows), n_rows, "channels")
    assert (wrong == "") == (min(rows) >= 0 and max(rows) < n_rows)


def test_an_index_counted_from_1_is_asked_about():
    assert "counted from 1?" in clocks.wrong_reference(np.array([1, 2, 3]), 3, "channels")
    assert "whole numbers" in clocks.wrong_reference(np.array([0.5]), 3, "channels")
