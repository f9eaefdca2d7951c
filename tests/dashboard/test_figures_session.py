"""Pictures of one session whose points are known; what the published ones have wrong is right here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dashboard.figures import session as figures
from dashboard.figures import style
from pipeline.analysis import performance, psychometrics
from tests.dashboard.test_figures_parts import KINDS

NAN = np.nan
BLOCK = {
    "block": 50, "block_n_trials": 30, "block_contrasts": "[-100, 0, 100]", "block_n": "[10, 10, 0]",
    "block_n_right": "[0, 5, 0]", "block_response_time": "[0.3, 0.9, null]",
    "block_response_time_low": "[0.2, 0.7, null]", "block_response_time_high": "[0.5, 1.0, null]",
    "bias": 5.0, "threshold": 20.0, "lapse_low": 0.1, "lapse_high": 0.05,
}  # fmt: skip
TRIALS = {
    "trial_id": np.arange(6),
    "stim_on_times": np.array([1.0, 11, NAN, 31, 41, 51]),
    "go_cue_times": np.array([1.1, 11.1, 21.0, 31.1, 41.1, 51.1]),
    "response_times": np.array([1.5, 12.0, 21.25, 91.0, 41.2, 53.0]),
    "choice": np.array([-1, 1, -1, 0, 1, 1]),
    "feedback_type": np.array([1, -1, 1, -1, 1, 1]),
    "contrast_left": np.array([NAN, NAN, NAN, 1, 0.25, 1]),
    "contrast_right": np.array([1, 0.0625, 0.125, NAN, NAN, NAN]),
    "probability_left": np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
    "reward_volume": np.array([3.0, 0, 3, 0, 2, 2]),
}
EVERY = {
    "psychometric": (figures.psychometric, [BLOCK]),
    "chronometric": (figures.chronometric, [BLOCK]),
    "response times": (figures.response_time_over_trials, TRIALS),
    "choices": (figures.choices_and_rewards, TRIALS),
    "wheel": (lambda trials, **options: figures.wheel_traces(trials, *_wheel(), **options), TRIALS),
}


def _wheel(rate: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
    """One rad/s counter-clockwise from 0 to 60 s."""
    times = np.arange(0, 60, 1 / rate)
    return times, times.copy()


def _named(made, name: str):
    return next(trace for trace in made.data if trace.name.startswith(name))


def test_the_psychometric_points_are_fractions_with_wilson_intervals_of_68_percent():
    """The published bars are said to be 68 % and are 96.8 %, by the normal approximation: none at 0 of 10."""
    points, curve = figures.psychometric([BLOCK]).data
    np.testing.assert_array_equal(points.x, [-100, 0])  # no trial at 100: no point
    np.testing.assert_allclose(points.y, [0, 0.5])
    np.testing.assert_allclose(points.error_y.array, [0.0900, 0.1499], atol=1e-4)
    np.testing.assert_allclose(points.error_y.arrayminus, [0, 0.1499], atol=1e-4)
    assert points.error_y.array[1] < 0.5 * 2.145 * np.sqrt(0.25 / 10) < 0.34  # half of the published bar
    at = np.array([-100, 0, 5, 100])
    expected_values = np.interp(at, curve.x, curve.y)
    np.testing.assert_allclose(expected_values, psychometrics.curve(at, 5, 20, 0.1, 0.05), atol=1e-9)
    assert expected_values[2] == pytest.approx(0.1 + 0.85 / 2)  # half way up at the bias


def test_axes_say_what_the_interval_is():
    assert figures.psychometric([BLOCK]).layout.yaxis.title.text == "P(right), 68 % Wilson interval"
    assert figures.psychometric([BLOCK], level=0.95).layout.yaxis.title.text == "P(right), 95 % Wilson interval"
    assert figures.chronometric([BLOCK]).layout.yaxis.title.text == "Median response time (s), 68 % CI"


def test_each_block_has_its_colour_symbol_and_dash():
    made = figures.psychometric([BLOCK | {"block": prior} for prior in (20, 50, 80)])
    for prior, points, curve in zip((20, 50, 80), made.data[::2], made.data[1::2], strict=True):
        look = style.BLOCKS[prior]
        assert points.name == f"P(left) = 0.{prior // 10} (n = 30)"
        assert (points.marker.color, points.marker.symbol) == (look.color, look.symbol)
        assert (curve.line.color, curve.line.dash) == (look.color, look.dash)


def test_without_a_fit_there_are_points_and_no_curve():
    made = figures.psychometric([BLOCK | dict.fromkeys(psychometrics.PARAMETERS)])
    assert [trace.mode for trace in made.data] == ["markers"]


def test_slow_on_the_right_is_drawn_on_the_right():
    """The published medians stand in the order of left minus right: the picture is mirrored."""
    n = 40
    is_right = np.arange(n) % 2 == 1
    trials = {
        "choice": np.where(is_right, -1, 1), "probability_left": np.full(n, 0.5),
        "contrast_left": np.where(is_right, NAN, 0.5), "contrast_right": np.where(is_right, 0.5, NAN),
        "stim_on_times": np.arange(n) * 10.0, "response_times": np.arange(n) * 10.0 + np.where(is_right, 2.0, 0.5),
    }  # fmt: skip
    block = {f"block_{name}": value for name, value in performance.blocks(trials)[0.5].items()} | {"block": 50}
    block = {name.replace("block_contrast_", "block_"): [value] if np.ndim(value) else [value]
             for name, value in block.items()}  # fmt: skip
    (line,) = figures.chronometric(block).data
    assert dict(zip(line.x, line.y, strict=True)) == {-50: 0.5, 50: 2.0}
    points = figures.psychometric(block).data[0]
    assert dict(zip(points.x, points.y, strict=True)) == {-50: 0, 50: 1}


def test_the_chronometric_bars_end_at_the_intervals_of_the_tables():
    (line,) = figures.chronometric([BLOCK]).data
    np.testing.assert_array_equal(line.x, [-100, 0])  # null is no point
    np.testing.assert_allclose(line.y, [0.3, 0.9])
    np.testing.assert_allclose(line.y + line.error_y.array, [0.5, 1.0])
    np.testing.assert_allclose(line.y - line.error_y.arrayminus, [0.2, 0.7])


def test_sessions_without_0_percent_are_drawn():
    """The published code fails on them."""
    block = BLOCK | {"block_contrasts": [-100, 100], "block_n": [9, 9], "block_n_right": [1, 8]}
    block |= {f"block_response_time{end}": [0.3, 0.4] for end in ("", "_low", "_high")}
    assert list(figures.psychometric([block]).data[0].x) == [-100, 100]
    assert list(figures.chronometric([block]).data[0].x) == [-100, 100]


def test_medians_that_differ_tenfold_have_a_logarithmic_axis():
    assert figures.chronometric([BLOCK]).layout.yaxis.type is None
    wide = BLOCK | {"block_response_time": [0.2, 20, None]}
    assert figures.chronometric([wide]).layout.yaxis.type == "log"


@pytest.mark.parametrize("kind", KINDS)
def test_response_times_and_their_running_median(kind):
    """From the stimulus, else from the go cue of that trial; a trial without a response, or a start, has none."""
    made = figures.response_time_over_trials(KINDS[kind](TRIALS), window=2)
    correct, wrong, median = (_named(made, name) for name in ("correct", "wrong", "median of 2 trials"))
    np.testing.assert_array_equal(correct.x, [1, 3, 5, 6])
    np.testing.assert_allclose(correct.y, [0.5, 0.25, 0.2, 2.0])
    np.testing.assert_allclose(correct.customdata, [100, 12.5, -25, -100])  # contrasts are not rounded to 12 and 6
    assert (list(wrong.x), list(wrong.y), list(wrong.customdata)) == ([2], [1.0], [6.25])
    np.testing.assert_allclose(median.y, [0.5, 0.75, 0.625, 0.25, 0.2, 1.1])
    low, high = made.layout.yaxis.range
    assert made.layout.yaxis.type == "log" and low <= np.log10(0.2) and high >= np.log10(2)


@pytest.mark.parametrize("kind", KINDS)
def test_choices_stand_at_their_time_and_side(kind):
    made = figures.choices_and_rewards(KINDS[kind](TRIALS))
    correct, wrong, none = (_named(made, name) for name in ("correct", "wrong", "no response"))
    np.testing.assert_allclose(correct.x, np.array([1.5, 21.25, 41.2, 53.0]) / 60)
    assert (correct.y > 1).tolist() == [True, True, False, False] and (correct.y[2:] < 0).all()
    assert wrong.y[0] < 0 and none.y[0] == 0.5
    assert list(correct.customdata) == [1, 3, 5, 6]  # the number of the trial, which a click says
    np.testing.assert_allclose(_named(made, "reward so far").y, np.array([3, 3, 6, 6, 8, 10]) / 1000)
    right = _named(made, "P(choice right)")
    np.testing.assert_allclose(right.y, [1, 1 / 2, 2 / 3, 2 / 3, 2 / 4, 2 / 5])
    assert {trace.marker.symbol for trace in (correct, wrong, none)} == {"line-ns-open", "x", "circle-open"}


def test_the_prior_is_that_of_the_right_and_steps_with_the_blocks():
    n = 90
    trials = {"choice": np.ones(n), "probability_left": np.repeat([0.5, 0.2, 0.8], 30)}
    prior = _named(figures.choices_and_rewards(trials), "P(stimulus right)")
    np.testing.assert_allclose(prior.x, [1, 31, 61, 90])  # no time is known: numbers of trials
    np.testing.assert_allclose(prior.y, [0.5, 0.8, 0.2, 0.2])
    assert prior.line.shape == "hv"


def test_the_wheel_is_zero_at_the_onset_and_in_degrees():
    made = figures.wheel_traces(TRIALS, *_wheel(), chosen=[0, 2], before=0.5, after=1.0)
    for name, event in (("trial 1", 0.5), ("trial 3", 0.25)):
        trace = _named(made, name)
        np.testing.assert_allclose(np.interp([-0.5, 0, 1], trace.x, trace.y), np.degrees([-0.5, 0, 1]), atol=1e-3)
        assert event in np.round(_named(made, "response").x, 6)
    assert len({(trace.line.color, trace.line.dash) for trace in made.data if trace.mode == "lines"}) == 2
    np.testing.assert_allclose(_named(made, "response").y, np.degrees([0.5, 0.25]), atol=1e-3)


def test_many_wheel_traces_are_coloured_by_choice():
    trials = {name: np.tile(values, 2) for name, values in TRIALS.items()} | {"trial_id": np.arange(12)}
    made = figures.wheel_traces(trials, *_wheel())
    lines = [trace for trace in made.data if trace.mode == "lines"]
    assert {trace.name: (trace.line.color, trace.line.dash) for trace in lines} == {
        "choice right": (style.RIGHT, "solid"), "choice left": (style.LEFT, "dash"), "no choice": (style.GREY, "dot"),
    }  # fmt: skip
    assert sum(trace.showlegend is not False for trace in lines) == 3


def test_a_wheel_sampled_fast_is_drawn_with_few_points():
    made = figures.wheel_traces(TRIALS, *_wheel(10_000), chosen=[0])
    trace = _named(made, "trial 1")
    assert len(trace.x) <= figures.MOST_SAMPLES + 2
    np.testing.assert_allclose(np.interp([-0.5, 0, 1, 2], trace.x, trace.y), np.degrees([-0.5, 0, 1, 2]), atol=0.1)


def test_a_wheel_that_ends_before_the_trial_is_not_drawn():
    times, position = _wheel()
    made = figures.wheel_traces(TRIALS, times[times < 30], position[times < 30], chosen=[5])
    assert not made.data and "no wheel" in made.layout.annotations[0].text
    assert not figures.wheel_traces(TRIALS, np.empty(0), np.empty(0)).data


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", EVERY)
def test_every_figure_has_axes_with_units_and_its_theme(name, theme):
    draw, rows = EVERY[name]
    made = draw(rows, theme=theme)
    assert made.layout.template.layout.paper_bgcolor == style.PAPER[theme]
    axes = [made.layout[axis] for axis in made.layout if axis.startswith(("xaxis", "yaxis"))]
    assert all(any(unit in axis.title.text for unit in ("(", "Trial number")) for axis in axes), name
    assert made.to_json()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("rows", [None, [], {}, pa.table({}), pd.DataFrame()], ids=lambda rows: type(rows).__name__)
def test_without_rows_there_is_a_sentence(name, rows):
    made = EVERY[name][0](rows)
    assert not made.data and made.layout.annotations[0].text.endswith(".")


@pytest.mark.parametrize("name", EVERY)
def test_one_row_is_drawn(name):
    draw, rows = EVERY[name]
    one = rows if isinstance(rows, list) else {column: values[:1] for column, values in rows.items()}
    assert draw(one).data


@pytest.mark.parametrize("name", EVERY)
def test_rows_with_nothing_in_them_are_no_figure(name):
    draw, rows = EVERY[name]
    if isinstance(rows, list):
        empty = [{key: value if key == "block" else None for key, value in BLOCK.items()} | {"block_n_trials": 0}]
    else:
        empty = {column: np.full(6, NAN) for column in rows} | {"trial_id": np.arange(6)}
    assert not draw(empty).data


def test_trials_of_unknown_outcome_are_shown_too():
    trials = {name: TRIALS[name] for name in ("choice", "stim_on_times", "response_times")}
    assert list(_named(figures.response_time_over_trials(trials), "outcome unknown").x) == [1, 2, 5, 6]
    assert len(_named(figures.choices_and_rewards(trials), "outcome unknown").x) == 5
