"""Signals around events: exact where the signal is linear, unknown where nothing was recorded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.aligned import align, average


@given(st.lists(st.floats(0.01, 0.05), min_size=3, max_size=60), st.lists(st.floats(-0.5, 3), max_size=8))
def test_a_linear_signal_is_exact_and_nothing_is_made_up_outside(steps, events):
    times = np.cumsum(steps)
    lags, result = align(times, 3 * times - 1, events, (-0.1, 0.1), 0.02, gap=1.0)
    wanted = np.asarray(events, float).reshape(-1, 1) + lags
    inside = (wanted >= times[0]) & (wanted <= times[-1])
    np.testing.assert_allclose(result[inside], (3 * wanted - 1)[inside], atol=1e-9)
    assert np.isnan(result[~inside]).all() and lags[0] == -0.1 and np.isclose(lags[-1], 0.1)


def test_gaps_and_missing_values_are_unknown():
    times = np.r_[np.arange(0, 1, 0.01), np.arange(2, 3, 0.01)]
    values = np.ones_like(times)
    values[50] = np.nan
    _, result = align(times, values, [0.3, 0.495, 1.5, np.nan], (-0.001, 0.001), 0.001)
    assert np.isfinite(result[0]).all() and np.isnan(result[1:]).all()


def test_averages_are_those_of_numpy():
    random = np.random.default_rng(0)
    rows, labels = random.normal(size=(40, 5)), np.repeat(["a", "b", ""], [20, 15, 5])
    averages = average(rows, np.arange(5), labels)
    assert averages.conditions == ["a", "b"]
    np.testing.assert_allclose(averages.mean[1], rows[20:35].mean(axis=0))
    np.testing.assert_allclose(averages.sem[0], rows[:20].std(axis=0, ddof=1) / np.sqrt(20))
    assert np.isnan(average(np.full((2, 3), np.nan), np.arange(3)).mean).all()
    with pytest.raises(ValueError, match="ascend"):
        align([0, 0], [1, 2], [0], (-1, 1), 0.1)
