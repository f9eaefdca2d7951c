"""Pictures of groups of mice whose points are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dashboard.figures import lab as figures


def _days(**courses: list[float]) -> dict[str, list]:
    """Rows of mice that all have the group of their first letter; one value for each training day."""
    rows: dict[str, list] = {"subject": [], "group": [], "training_day": [], "day_performance_easy": []}
    for name, values in courses.items():
        for day, value in enumerate(values, 1):
            rows["subject"].append(name)
            rows["group"].append(name[0])
            rows["training_day"].append(day)
            rows["day_performance_easy"].append(value)
    return rows


def _trace(made, name: str):
    return next(trace for trace in made.data if trace.name.startswith(name))


def test_the_learning_curve_is_the_mean_over_mice_in_percent():
    made = figures.learning_curves(_days(a1=[0.5, 0.7], a2=[0.7, 0.9], b1=[0.4]), fewest=1)
    curve = _trace(made, "a (n = 2)")
    np.testing.assert_allclose(curve.x, [1, 2])
    np.testing.assert_allclose(curve.y, [60, 80])
    assert made.layout.yaxis.title.text == "Correct on easy trials (%)"
    assert list(_trace(made, "b (n = 1)").y) == [40]


def test_the_interval_is_that_of_student_and_stays_possible():
    values = [0.5, 0.6, 0.7, 0.9]
    made = figures.learning_curves(_days(**{f"a{i}": [value] for i, value in enumerate(values)}), fewest=2)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    np.testing.assert_allclose(_trace(made, "a (n").customdata[0], [4, 100 * low, 100 * high])
    band = _trace(made, "a, interval")
    np.testing.assert_allclose(band.y, [100 * high, 100 * low])
    high_ones = figures.learning_curves(_days(a1=[0.9], a2=[1.0]), fewest=2)
    assert max(_trace(high_ones, "a, interval").y) == 100


def test_few_survivors_have_no_mean_but_are_counted():
    """When most mice have left, the mean is that of slow learners: it ends, and the number of mice tells why."""
    made = figures.learning_curves(_days(a1=[0.5, 0.6, 0.7], a2=[0.5, 0.6], a3=[0.5]), fewest=2)
    assert np.isfinite(_trace(made, "a (n").y).tolist() == [True, True, False]
    counts = _trace(made, "a, mice")
    assert list(counts.y) == [3, 2, 1] and counts.yaxis == "y2"


def test_a_small_group_has_a_mean_while_half_of_it_trains():
    made = figures.learning_curves(_days(a1=[0.5, 0.6, 0.7], a2=[0.5, 0.6], a3=[0.5]))
    assert np.isfinite(_trace(made, "a (n").y).tolist() == [True, True, False]


def test_a_gap_in_the_days_and_days_without_the_measure_are_no_points():
    rows = _days(a1=[0.5, 0.6, 0.7], a2=[0.5, np.nan, 0.9])
    rows["training_day"] = [1, 2, 5, 1, 2, 5]
    made = figures.learning_curves(rows, fewest=1)
    curve = _trace(made, "a (n")
    np.testing.assert_allclose(curve.y, [50, 60, np.nan, np.nan, 80])
    assert list(_trace(made, "a, mice").y) == [2, 1, 0, 0, 2]


def test_each_mouse_is_one_line_with_a_gap_before_the_next():
    made = figures.learning_curves(_days(a1=[0.5, 0.6], a2=[0.7, 0.8]))
    faint = _trace(made, "a, each mouse")
    np.testing.assert_allclose(faint.y, [50, 60, np.nan, 70, 80])
    assert list(faint.text) == ["a1", "a1", "", "a2", "a2"]
    without = figures.learning_curves(_days(a1=[0.5, 0.6], a2=[0.7, 0.8]), each=False)
    assert not [trace for trace in without.data if "each mouse" in trace.name]


def test_mice_of_one_name_in_two_labs_are_two():
    rows = _days(a=[0.5]) | {"lab": ["x"]}
    both = {name: [*values, *values] for name, values in rows.items()} | {"lab": ["x", "y"]}
    assert _trace(figures.learning_curves(both), "a (n = 2)").customdata[0][0] == 2


def test_a_group_keeps_its_colour_in_all_figures():
    days = _days(b1=[0.5, 0.6])
    mice = {"subject": ["b1"], "group": ["b"], "days": [3], "reached": [True], "day_trials": [400]}
    groups = ["a", "b"]
    curve = _trace(figures.learning_curves(days, groups=groups), "b (n")
    steps = _trace(figures.survival(mice, groups=groups), "b (1")
    box = _trace(figures.distribution(mice, "day_trials", groups=groups), "b")
    assert curve.line.color == steps.line.color == box.line.color
    assert curve.line.color != _trace(figures.learning_curves(days), "b (n").line.color


def test_survival_falls_at_each_day_and_marks_those_that_are_not_there_yet():
    mice = {
        "subject": ["m1", "m2", "m3", "m4", "m5"], "group": ["a"] * 5, "days": [5, 3, 10, 5, 8],
        "reached": [True, True, False, False, True],
    }  # fmt: skip
    made = figures.survival(mice, "trained 1a")
    curve = _trace(made, "a (3 of 5)")
    np.testing.assert_allclose(curve.x, [0, 3, 5, 8, 10])
    np.testing.assert_allclose(curve.y, [100, 80, 60, 30, 30])
    assert curve.line.shape == "hv"
    assert made.layout.yaxis.title.text == "Not yet trained 1a (% of mice)"
    waiting = _trace(made, "a, not yet")
    assert list(waiting.x) == [5, 10] and list(waiting.text) == ["m4", "m3"]
    np.testing.assert_allclose(waiting.y, [60, 30])
    band = _trace(made, "a, interval")
    assert np.isfinite(band.x).all() and np.isfinite(band.y).all()


def test_survival_of_a_group_that_all_arrived_ends_at_nought():
    mice = {"subject": ["m1", "m2"], "group": ["a", "a"], "days": [4, 6], "reached": [True, True]}
    made = figures.survival(mice)
    assert list(_trace(made, "a (2 of 2)").y) == [100, 50, 0]
    assert not [trace for trace in made.data if "not yet" in trace.name]
    assert max(_trace(made, "a, interval").x) == 6


def test_every_mouse_is_a_point_of_its_distribution():
    mice = [
        {"subject": "m1", "group": "a", "day_performance_easy": 0.9},
        {"subject": "m2", "group": "a", "day_performance_easy": None},
        {"subject": "m3", "group": "a very long name of a line", "day_performance_easy": 0.5},
    ]
    made = figures.distribution(mice, "day_performance_easy")
    assert [list(trace.x) for trace in made.data] == [[90], [50]]
    assert list(made.data[0].text) == ["m1"] and len(made.data[1].y[0]) == 18
    assert made.data[0].boxpoints == "all"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_a_sentence(theme):
    for made in (
        figures.learning_curves(None, theme=theme),
        figures.survival([], theme=theme),
        figures.distribution({"group": ["a"], "days": [None]}, "days", theme=theme),
    ):
        assert not made.data and made.layout.annotations[0].text
