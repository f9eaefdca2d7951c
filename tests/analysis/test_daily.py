"""Daily summaries pool all trials of a date and count training days whatever the order of the sessions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.daily import summarise_days
from pipeline.analysis.performance import session_performance


def trials(n: int, seed: int = 0, times: bool = True) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    left = random.random(n) < 0.5
    contrast = random.choice([0, 0.125, 0.5, 1.0], n)
    start = np.cumsum(random.uniform(2, 5, n))
    columns = {
        "choice": random.choice([1, -1, 0], n),
        "feedback_type": random.choice([1, -1], n),
        "contrast_left": np.where(left, contrast, np.nan),
        "contrast_right": np.where(left, np.nan, contrast),
    }
    if times:
        columns |= {"intervals_0": start, "intervals_1": start + 2, "stim_on_times": start}
        columns["response_times"] = start + random.lognormal(-1, 0.5, n)
    return columns


def test_a_day_with_one_session_is_that_session():
    one = trials(300)
    day, row = summarise_days(["2026-01-05"], [one]), session_performance(one)
    assert day.n_trials[0] == 300
    assert day.performance[0] == pytest.approx(row["performance"])
    assert day.performance_easy[0] == pytest.approx(row["performance_easy"])
    assert day.response_time[0] == pytest.approx(row["response_time"])
    assert day.minutes[0] == pytest.approx((one["intervals_1"][-1] - one["intervals_0"][0]) / 60)


def test_sessions_of_one_date_are_pooled_not_averaged():
    """A day of 10 and of 290 trials is the day of 300 trials."""
    whole = trials(300, times=False)
    parts = [{name: values[part] for name, values in whole.items()} for part in (slice(10), slice(10, None))]
    split, joined = summarise_days(["2026-01-05"] * 2, parts), summarise_days(["2026-01-05"], [whole])
    assert split.n_sessions[0] == 2
    for name in ("n_trials", "performance", "performance_easy"):
        assert getattr(split, name)[0] == pytest.approx(getattr(joined, name)[0])


def test_columns_that_one_session_lacks_do_not_count_as_zero():
    """Sessions without times leave the median to those with times; days without any have NaN."""
    with_times, without = trials(50, 1), trials(50, 2, times=False)
    days = summarise_days(["2026-01-05", "2026-01-05", "2026-01-06"], [with_times, without, without])
    assert days.response_time[0] == pytest.approx(session_performance(with_times)["response_time"])
    assert np.isnan(days.response_time[1])
    assert np.isnan(days.minutes[1])


def test_training_days_are_dates_and_habituation_is_none():
    dates = ["2026-01-05", "2026-01-06", "2026-01-06", "2026-01-08", "2026-01-09", "2026-01-10", "2026-01-12"]
    days = summarise_days(dates, [trials(5)] * 7, [False, True, True, True, True, True, True])
    assert days.training_day.tolist() == [0, 1, 2, 3, 4, 5]
    assert days.training_week.tolist() == [0, 0, 0, 0, 0, 0]
    later = summarise_days([*dates, "2026-01-13"], [trials(5)] * 8)
    assert later.training_week.tolist() == [0, 0, 0, 0, 0, 1, 1], "the sixth day begins the second week"


@given(st.permutations(range(5)))
def test_the_order_of_arrival_does_not_matter(order):
    dates = np.array(["2026-01-05", "2026-01-05", "2026-01-06", "2026-01-09", "2026-01-09"])
    sessions = [trials(20 + i, i) for i in range(5)]
    first, other = summarise_days(dates, sessions), summarise_days(dates[order], [sessions[i] for i in order])
    for name in vars(first):
        values = getattr(first, name)
        assert (
            values == pytest.approx(getattr(other, name), nan_ok=True)
            if values.dtype.kind == "f"
            else (values == getattr(other, name)).all()
        )


def test_no_session_is_no_day():
    assert summarise_days([], []).dates.size == 0


def test_arguments_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="1 dates, 2 sessions"):
        summarise_days(["2026-01-05"], [trials(1), trials(1)])
