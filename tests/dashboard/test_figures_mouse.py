"""Pictures of one animal over its days whose points and lines are known; errors of the published ones are not there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dashboard.figures import dates, style
from dashboard.figures import mouse as figures
from pipeline.analysis import performance
from pipeline.analysis.criteria import IBL_PIPELINE_2021
from tests.dashboard.test_figures_parts import KINDS

NAN = np.nan
DATES = np.array(["2026-01-05", "2026-01-06", "2026-01-08"], "datetime64[D]")
DAYS = {
    "session_date": DATES, "training_day": [1, 2, 3], "day_sessions": [1, 1, 2], "day_trials": [300, 410, 900],
    "day_minutes": [40.0, 45.0, 90.0], "day_performance": [0.5, 0.7, 0.8], "day_performance_easy": [0.0, 0.75, 0.95],
    "day_response_time": [2.0, 0.5, 0.3],
}  # fmt: skip
WATER = {
    "session_date": DATES, "restricted": [1, 1, 0], "day_weight": [20.0, 19.0, NAN], "weight_pct": [95.0, 90.0, NAN],
    "expected_weight": [21.0, 21.0, 21.0], "expected_water": [0.8, 0.8, NAN], "water_reward": [0.5, 0.6, 0.0],
    "water_supplement": [0.3, 0.0, 0.0], "day_adlib": [0, 0, 1],
}  # fmt: skip
BLOCKS = {
    "session_date": np.repeat(DATES[:2], 2), "session_number": [1, 1, 1, 1], "block": [20, 80, 20, 80],
    "block_n_trials": [9] * 4, "block_contrasts": [[-12.5, -6.25, 6.25]] * 4,
    "block_n": [[4, 5, 0]] * 4, "block_n_right": [[4, 5, 0], [0, 1, 0], [2, 5, 0], [0, 0, 0]],
    **{f"block_response_time{end}": [[0.3, 0.4, None]] * 4 for end in ("", "_low", "_high")},
    "bias": [-8.0, 8, -9, 9], "threshold": [30.0, 40, 31, 41], "lapse_low": [0.21, 0.41, 0.22, 0.42],
    "lapse_high": [0.31, 0.51, 0.32, 0.52],
    **{f"{name}_error": [1.0] * 4 for name in ("bias", "threshold", "lapse_low", "lapse_high")},
    "identifiable": [True, True, False, True],
}  # fmt: skip
HEAT = {
    "session_date": DATES, "contrasts": [[-100.0, 6.25], [-100.0, 12.5], [-100.0]],
    "contrast_n": [[4, 2], [5, 4], [0]], "contrast_n_right": [[1, 2], [0, 3], [0]],
}  # fmt: skip
EVERY = {
    "learning": (figures.learning_curve, DAYS),
    "water": (figures.water_and_weight, WATER),
    "counts": (figures.trial_counts_and_duration, DAYS),
    "performance": (figures.performance_and_response_time, DAYS),
    "heatmap": (figures.contrast_heatmap, HEAT),
    "fits": (figures.fit_parameters, BLOCKS),
    "psychometric": (figures.psychometric_by_date, BLOCKS),
    "chronometric": (figures.chronometric_by_date, BLOCKS),
}


def _named(made, name: str, axis: str | None = None):
    return next(item for item in made.data if item.name.startswith(name) and (axis is None or item.yaxis == axis))


def _text(axis) -> list[str]:
    return [str(day)[:10] for day in axis]


@pytest.mark.parametrize("kind", KINDS)
def test_the_learning_curve_in_percent_by_training_day(kind):
    made = figures.learning_curve(KINDS[kind](DAYS), rules=IBL_PIPELINE_2021)
    (line,) = made.data
    np.testing.assert_array_equal(line.x, [1, 2, 3])
    np.testing.assert_allclose(line.y, [0, 75, 95])  # none correct is 0, which the published tables lose
    assert [(shape.y0, shape.label.text) for shape in made.layout.shapes] == [(80, "1a > 0.8"), (90, "1b > 0.9")]
    assert made.layout.yaxis.title.text == "Correct on easy trials (%)"


def test_learning_curves_of_several_animals_are_told_apart():
    rows = pd.concat([pd.DataFrame(DAYS).assign(subject=name) for name in ("b", "a")])
    made = figures.learning_curve(rows)
    assert [line.name for line in made.data] == ["a", "b"] and made.layout.showlegend
    assert len({(line.line.color, line.marker.symbol) for line in made.data}) == 2


def test_days_before_training_are_no_training_days():
    assert list(figures.learning_curve(DAYS | {"training_day": [0, 1, 2]}).data[0].x) == [1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_trials_on_the_left_and_minutes_on_the_right(kind):
    made = figures.trial_counts_and_duration(KINDS[kind](DAYS))
    trials, minutes = made.data
    assert _text(trials.x) == DATES.astype(str).tolist()
    assert (list(trials.y), trials.yaxis) == ([300, 410, 900], None)
    assert (list(minutes.y), minutes.yaxis) == ([40, 45, 90], "y2")
    assert list(made.layout.yaxis.range) == [0, 950]
    assert trials.marker.symbol != minutes.marker.symbol


@pytest.mark.parametrize("kind", KINDS)
def test_performance_in_percent_and_response_times_on_a_logarithmic_axis(kind):
    made = figures.performance_and_response_time(KINDS[kind](DAYS), rules=IBL_PIPELINE_2021)
    easy, times = made.data
    np.testing.assert_allclose(easy.y, [0, 75, 95])
    np.testing.assert_allclose(times.y, [2, 0.5, 0.3])
    assert made.layout.yaxis2.type == "log" and list(made.layout.yaxis2.range) == [-1, 1]
    assert made.layout.yaxis2.title.text == "Median response time (s)"


def test_performance_counts_all_contrasts():
    """The published number of correct trials leaves those at 0 % out, so the fraction of all trials falls."""
    trials = {"choice": np.array([-1, -1, 1, 1]), "feedback_type": np.array([1, 1, 1, -1]),
              "contrast_left": np.array([NAN, NAN, 0, 0]), "contrast_right": np.array([1, 0, NAN, NAN])}  # fmt: skip
    measures = performance.session_performance(trials)
    day = {"session_date": DATES[:1], "day_performance_easy": [measures["performance_easy"]],
           "day_performance": [measures["performance"]]}  # fmt: skip
    easy = figures.performance_and_response_time(day).data[0]
    assert (list(easy.y), list(easy.customdata)) == ([100], [75])


def test_marks_are_vertical_lines_with_names():
    marks = figures.marks({"trained_1a": "2026-01-06", "in_training": "2026-01-05"}, first_rig_date="2026-01-07")
    for draw, rows in (EVERY[name] for name in ("water", "counts", "performance", "heatmap", "fits")):
        made = draw(rows, marks=marks)
        upright = [(shape.x0, shape.line.color) for shape in made.layout.shapes if shape.x0 == shape.x1]
        assert upright == [("2026-01-06", style.STATUSES["trained_1a"].color),
                           ("2026-01-07", style.EVENTS["ephys_rig"].color)]  # fmt: skip
        assert [note.text for note in made.layout.annotations] == ["1a", "on rig"]


@pytest.mark.parametrize("kind", KINDS)
def test_water_by_type_and_weight_with_its_limits(kind):
    waters = {"water_date": DATES[[0, 0, 1]], "water_type": ["Water", "Hydrogel", "Water"],
              "water_volume": [0.5, 0.3, 0.6]}  # fmt: skip
    made = figures.water_and_weight(KINDS[kind](WATER), KINDS[kind](waters))
    water, gel = _named(made, "Water"), _named(made, "Hydrogel")
    assert dict(zip(_text(water.x), water.y, strict=True)) == {"2026-01-05": 0.5, "2026-01-06": 0.6}
    assert dict(zip(_text(gel.x), gel.y, strict=True)) == {"2026-01-05": 0.3}
    assert made.layout.barmode == "stack" and water.marker.color != gel.marker.color
    np.testing.assert_allclose(_named(made, "least weight, 85 %").y, 0.85 * 21)
    np.testing.assert_allclose(_named(made, "critical weight, 75 %").y, 0.75 * 21)
    weight = _named(made, "weight")
    np.testing.assert_array_equal(weight.y, [20, 19, NAN])
    assert weight.yaxis == "y2" and made.layout.yaxis.title.text == "Water (mL a day)"
    (band,) = [shape for shape in made.layout.shapes if shape.type == "rect"]
    assert (band.x0, band.x1) == ("2026-01-05T00:00", "2026-01-06T23:59")
    assert _text(_named(made, "free access").x) == ["2026-01-08"]


def test_an_implant_weighs_the_same_whatever_the_animal_does():
    """85 % of the animal and all of the implant, from its date on."""
    implants = {"implant_date": DATES[1:2], "implant_weight": [1.0]}
    made = figures.water_and_weight(WATER, implants=implants)
    np.testing.assert_allclose(_named(made, "least").y, [0.85 * 21, 1 + 0.85 * 20, 1 + 0.85 * 20])


def test_without_administrations_the_bars_are_reward_and_supplement():
    made = figures.water_and_weight(WATER)
    assert list(_named(made, "in sessions").y) == [0.5, 0.6, 0]
    assert list(_named(made, "outside sessions").y) == [0.3, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_heatmap_has_exact_contrasts_and_gaps(kind):
    """The published rows are 6 and 12, and sessions with other blocks than 0.5 are not shown."""
    (cells,) = figures.contrast_heatmap(KINDS[kind](HEAT)).data
    assert list(cells.y) == ["-100", "6.25", "12.5"]
    assert list(cells.x) == ["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08"]
    np.testing.assert_array_equal(cells.z, [[0.25, 0, NAN, NAN], [1, NAN, NAN, NAN], [NAN, 0.75, NAN, NAN]])


def test_sessions_of_one_date_are_pooled():
    (cells,) = figures.contrast_heatmap(HEAT | {"session_date": DATES[[0, 0, 0]]}).data
    assert cells.z[0, 0] == 1 / 9 and cells.customdata[0, 0] == 9


def test_the_heatmap_of_one_block():
    (cells,) = figures.contrast_heatmap(BLOCKS, prior=20).data
    np.testing.assert_array_equal(cells.z, [[1, 0.5], [1, 1], [NAN, NAN]])


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_has_the_colour_of_its_own_block(kind):
    """ibllib swaps the blocks 0.2 and 0.8 of threshold and lapses; one code tells blocks, the percent on the left."""
    made = figures.fit_parameters(KINDS[kind](BLOCKS), rules=IBL_PIPELINE_2021)
    for place, name in enumerate(("threshold", "bias", "lapse_low", "lapse_high"), 1):
        axis = "y" if place == 1 else f"y{place}"
        for prior, start in ((20, 0), (80, 1)):
            dots = _named(made, f"P(left) = 0.{prior // 10}", axis)
            assert dots.marker.color == style.BLOCKS[prior].color
            assert list(dots.y) == BLOCKS[name][start::2]
            assert _text(dots.x) == ["2026-01-05", "2026-01-06"]
    lines = [(shape.yref, shape.y0) for shape in made.layout.shapes]
    assert lines == [("y", 19), ("y", 20), ("y2", 16), ("y2", -16), ("y2", 10), ("y2", -10),
                     ("y3", 0.2), ("y3", 0.1), ("y4", 0.2), ("y4", 0.1)]  # fmt: skip
    assert list(_named(made, "P(left) = 0.2", "y").marker.symbol) == ["square", "square-open"]  # not determined: open


def test_the_fits_that_are_judged_are_a_line():
    windows = {"session_date": DATES[:2], **{f"window_{name}": [1.0, 2.0] for name in
               ("threshold", "bias", "lapse_low", "lapse_high")}}  # fmt: skip
    made = figures.fit_parameters(BLOCKS, windows=windows)
    assert [list(trace.y) for trace in made.data if trace.name == "pooled for the criteria"] == [[1, 2]] * 4


def test_days_compared_have_a_colour_each_and_the_symbol_of_the_block():
    made = figures.psychometric_by_date(BLOCKS)
    points = [trace for trace in made.data if trace.mode == "markers"]
    assert [trace.name for trace in points[:2]] == ["2026-01-05, P(left) = 0.2", "2026-01-05, P(left) = 0.8"]
    assert points[0].marker.color == points[1].marker.color != points[2].marker.color
    assert [trace.marker.symbol for trace in points] == ["square", "diamond"] * 2


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", EVERY)
def test_every_figure_has_axes_with_units_and_its_theme(name, theme):
    draw, rows = EVERY[name]
    made = draw(rows, theme=theme)
    assert made.layout.template.layout.plot_bgcolor == style.PAPER[theme]
    axes = [made.layout[axis] for axis in made.layout if axis.startswith(("xaxis", "yaxis"))]
    assert all("(" in axis.title.text or axis.title.text in ("Date", "Training day") for axis in axes)
    assert made.to_json()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("rows", [None, [], {}, pa.table({}), pd.DataFrame()], ids=lambda rows: type(rows).__name__)
def test_without_rows_there_is_a_sentence(name, rows):
    made = EVERY[name][0](rows)
    assert not made.data and made.layout.annotations[0].text.endswith(".")


@pytest.mark.parametrize("name", EVERY)
def test_one_row_is_drawn(name):
    draw, rows = EVERY[name]
    assert draw({column: values[:1] for column, values in rows.items()}).data


@pytest.mark.parametrize("name", EVERY)
def test_rows_with_nothing_but_their_key_do_no_harm(name):
    draw, rows = EVERY[name]
    keys = {"session_date", "session_number", "block", "training_day", "day_trials"}
    empty = {column: values if column in keys else [None] * 4 for column, values in rows.items()}
    n = min(len(values) for values in empty.values())
    made = draw({column: values[:n] for column, values in empty.items()})
    values = np.concatenate([np.asarray(trace.y, float) for trace in made.data if trace.type != "bar"] or [[]])
    assert made.to_json() and (name in ("counts", "learning", "water") or not np.isfinite(values).any())


def test_the_days_of_marks_do_not_move_the_axis_by_much():
    made = figures.trial_counts_and_duration(DAYS, marks=dates.marks({"trained_1a": "2027-01-01"}))
    assert made.layout.xaxis.range[1] == "2026-01-09T16:00"
