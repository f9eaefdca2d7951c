"""What all figures are made of: rows of any kind, colours that everyone can tell apart, axes, days, thresholds."""

from __future__ import annotations

import datetime
import itertools

import numpy as np
import pandas as pd
import plotly.io
import pyarrow as pa
import pytest

from dashboard import figures
from dashboard.figures import build, dates, style, thresholds
from dashboard.figures.rows import columns
from pipeline.analysis.criteria import IBL_PIPELINE_2021

DAY = datetime.date(2026, 1, 5)  # a Monday
ROWS = [{"n": 3, "day": DAY, "name": "a", "list": "[1, null]"}, {"n": None, "day": None, "name": None, "list": None}]
TABLE = pa.table({"n": pa.array([3, None], pa.int32()), "day": pa.array([DAY, None]), "name": ["a", None],
                  "list": ["[1, null]", None]})  # fmt: skip

KINDS = {
    "arrays": lambda rows: rows,
    "pyarrow": lambda rows: pa.table({name: pa.array(values, from_pandas=True) for name, values in rows.items()}),
    "pandas": pd.DataFrame,
    "dicts": lambda rows: pd.DataFrame(rows).to_dict("records"),
}
"""Makes rows of every kind from a mapping of columns."""


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        TABLE,
        TABLE.to_pandas(),
        pd.DataFrame(ROWS).set_index("name"),
        {"n": [3, None], "day": [DAY, None], "name": ["a", None], "list": [[1, None], None]},
        {"n": np.array([3, np.nan]), "day": np.array(["2026-01-05", "NaT"], "datetime64[ns]"),
         "name": pd.Series(["a", None]), "list": [np.array([1, np.nan]), None]},
    ],
    ids=["dicts", "pyarrow", "pandas", "pandas with an index", "lists", "arrays"],
)  # fmt: skip
def test_rows_of_every_kind_are_the_same_columns(rows):
    shown_columns = columns(rows)
    assert shown_columns.n == 2
    np.testing.assert_array_equal(shown_columns.numbers("n"), [3, np.nan])
    assert shown_columns.dates("day").astype(str).tolist() == ["2026-01-05", "NaT"]
    assert shown_columns.texts("name").tolist() == ["a", ""]
    lists = shown_columns.lists("list")
    np.testing.assert_array_equal(lists[0], [1, np.nan])
    assert lists[1].size == 0
    assert np.isnan(shown_columns.numbers("not there")).all() and shown_columns.texts("not there").tolist() == ["", ""]


@pytest.mark.parametrize("rows", [None, [], {}, pa.table({}), pd.DataFrame(), TABLE.slice(0, 0)])
def test_no_rows_are_no_columns_to_fail_on(rows):
    shown_columns = columns(rows)
    assert shown_columns.n == 0 and shown_columns.numbers("n").size == 0 and shown_columns.dates("day").size == 0
    assert shown_columns.ordered("n").n == 0


def test_what_has_no_rows_is_refused():
    with pytest.raises(TypeError, match="not int"):
        columns(3)
    with pytest.raises(ValueError, match="unequal length"):
        columns({"a": [1], "b": [1, 2]})


def test_figures_are_found_as_documented():
    """`from dashboard import figures; figures.mouse.learning_curve(rows)` is how notebooks ask."""
    made = figures.mouse.learning_curve([{"training_day": 1, "day_performance_easy": 0.5, "session_date": DAY}])
    shown = plotly.io.renderers["plotly_mimetype"].to_mimebundle(made.to_plotly_json())
    assert shown["application/vnd.plotly.v1+json"]["data"][0]["type"] == "scatter"
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = figures.nothing_such


def _luminance(color: str) -> float:
    parts = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))


def _contrast(one: str, other: str) -> float:
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


COLORS = {
    *style.PALETTE, *style.WATERS.values(), style.CORRECT, style.WRONG, style.NO_RESPONSE, style.LEFT, style.RIGHT,
    style.WEIGHT, style.LEAST, style.CRITICAL,
    *(look.color for looks in (style.BLOCKS, style.STATUSES, style.EVENTS) for look in looks.values()),
}  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_is_seen_on_both_papers(theme):
    """WCAG asks for 3 to 1 for graphics, 4.5 to 1 for text. Nor is any written on a scale 0-1, as the published are."""
    assert all(_contrast(color, style.PAPER[theme]) >= 3 for color in COLORS)
    assert _contrast(style.INK[theme], style.PAPER[theme]) >= 4.5


# What people without cones for green or red see (Vienot, Brettel and Mollon 1999), on linear RGB.
DEUTERANOPE = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
PROTANOPE = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])


@pytest.mark.parametrize("seen", [DEUTERANOPE, PROTANOPE])
def test_what_is_compared_differs_for_the_colour_blind(seen):
    def look(color: str) -> np.ndarray:
        return seen @ np.array([(int(color[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)])

    blocks = [block.color for block in style.BLOCKS.values()]
    pairs = [*itertools.combinations(blocks, 2), (style.LEFT, style.RIGHT), (style.MAIN, style.SECOND)]
    assert all(np.linalg.norm(look(one) - look(other)) > 0.15 for one, other in pairs)


def test_colour_never_stands_alone():
    for looks in (list(style.BLOCKS.values()), [style.nth(i) for i in range(8)]):
        assert len({look_.symbol for look_ in looks}) == len(looks)
    assert len({block.dash for block in style.BLOCKS.values()}) == 3
    assert len({(item.color, item.dash) for item in map(style.nth, range(32))}) == 32
    assert all(item.label and item.short for item in (*style.STATUSES.values(), *style.EVENTS.values()))


def test_a_new_water_type_has_the_same_colour_every_time():
    """The published site draws it at random."""
    assert {style.water_color("Beer") for _ in range(5)} == {style.water_color("Beer")} <= set(style.PALETTE)


def test_a_theme_that_is_none_is_refused():
    with pytest.raises(ValueError, match="light or dark"):
        style.template("blue")


def test_a_second_axis_has_ticks_of_its_own():
    """plotly puts them where the left axis has its own, at odd numbers."""
    assert build.second_axis("Weight (g)", style.GREY)["tickmode"] == "auto"
    assert "tickmode" not in build.second_axis("Time (s)", style.GREY, **build.log_ticks(-1, 1))


def test_log_ticks_are_plain_numbers():
    ticks = build.log_ticks(-1, 1)
    assert ticks["range"] == [-1, 1] and ticks["ticktext"] == ["0.1", "1", "10"]


def test_a_figure_changes_its_theme_and_nothing_else():
    made = figures.mouse.learning_curve([{"training_day": 1, "day_performance_easy": 0.5}], rules=IBL_PIPELINE_2021)
    dark = build.themed(made, "dark")
    assert dark.layout.template.layout.paper_bgcolor == style.PAPER["dark"]
    assert build.themed(dark, "light").to_json() == made.to_json()


def test_stacked_figures_keep_their_points_axes_and_lines():
    days = {"session_date": [DAY, DAY + datetime.timedelta(1)], "day_trials": [300, 400], "day_minutes": [40, 50],
            "day_performance_easy": [0.5, 0.9], "day_response_time": [1, 2], "day_sessions": [1, 1]}  # fmt: skip
    marks = dates.marks({"trained_1a": str(DAY)})
    parts = [figures.mouse.trial_counts_and_duration(days, marks=marks),
             figures.mouse.performance_and_response_time(days, rules=IBL_PIPELINE_2021, marks=marks)]  # fmt: skip
    made = build.stack([*parts, build.figure([], {})])
    assert [list(trace.y) for trace in made.data] == [[300, 400], [40, 50], [50, 90], [1, 2]]
    assert [trace.yaxis for trace in made.data] == ["y", "y2", "y3", "y4"]
    spans = [made.layout[name].domain for name in ("yaxis", "yaxis3")]
    assert spans[0][1] == 1 and spans[1][0] == 0 and spans[0][0] > spans[1][1]
    lines = [shape for shape in made.layout.shapes if shape.y0 == shape.y1]
    assert [(shape.yref, shape.y0) for shape in lines] == [("y3", 80), ("y3", 90)]
    upright = [shape for shape in made.layout.shapes if shape.x0 == str(DAY)]
    assert np.allclose([(shape.y0, shape.y1) for shape in upright], spans)
    assert sum(note.name == "mark" for note in made.layout.annotations) == 1  # the top says it for all


def test_nothing_to_stack_is_a_sentence():
    assert build.stack([]).layout.annotations[0].text == "There is nothing to show."


def test_marks_are_the_first_days():
    marks = dates.marks(
        {"in_training": "2026-01-05", "trained_1a": "2026-02-01", "unbiasable": "2026-05-01"},
        birth_date="2025-09-01", first_rig_date="2026-03-01", first_ephys_date=datetime.date(2026, 4, 1),
    )  # fmt: skip
    assert [(mark.day, mark.look.short) for mark in marks] == [
        ("2026-02-01", "1a"), ("2026-03-01", "on rig"), ("2026-03-30", "7 months"), ("2026-04-01", "ephys"),
        ("2026-05-01", "unbiasable"),
    ]  # fmt: skip
    public = dates.marks({"trained_1b": "2026-03-01", "trained_1a": "2026-02-01"}, birth_date="2025-09-01", public=True)
    assert [(mark.day, mark.look.label) for mark in public] == [("2026-02-01", "trained")]
    assert dates.marks({"untrainable": "2026-03-01"}, public=True) == [] == dates.marks(None)


def test_marks_outside_the_days_are_left_out():
    days = np.array(["2026-01-05", "2026-01-09"], "datetime64[D]")
    marks = dates.marks({"trained_1a": "2026-01-07", "trained_1b": "2026-06-01"})
    drawn = dates.lines(marks, days)
    assert [shape["x0"] for shape in drawn["shapes"]] == ["2026-01-07"]
    assert dates.axis(days, marks)["range"] == ["2026-01-04T08:00", "2026-01-10T16:00"]


def test_thresholds_are_those_of_the_rules():
    def words(measure: str) -> list[str]:
        return [line.words for line in thresholds.thresholds(IBL_PIPELINE_2021, measure, ("trained_1a", "trained_1b"))]

    assert words("threshold") == ["1a < 19", "1b < 20"]
    assert words("bias_size") == ["1a < 16", "1b < 10"]
    assert words("lapse_low") == ["1a < 0.2", "1b < 0.1"]
    assert words("performance_easy") == ["1a > 0.8", "1b > 0.9"]
    assert thresholds.thresholds(None, "threshold") == []
    both = thresholds.shapes(thresholds.thresholds(IBL_PIPELINE_2021, "bias_size", ["trained_1a"]), mirrored=True)
    assert [shape["y0"] for shape in both] == [16, -16]
