"""A task that a lab describes: its psychometric curves on their own axis, choices by level, and choices over blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import Trace, axis, figure
from pipeline.analysis import curves, psychometrics
from pipeline.paradigms.description import Stimulus

Row = Mapping[str, Any]
HEIGHT = 340


def task_curves(
    rows: Sequence[Row], title: str, scale: str = "linear", reference: float | None = None, theme: str = "light"
) -> go.Figure:
    """Probability of a choice against the level of the stimulus, with the fitted curves of the tables.

    Parameters
    ----------
    rows : rows of `TaskPerformance.Curve`, with lists
    title : of the axis of the stimulus, with its unit
    scale, reference : of the levels, by which positions are turned into levels
    """
    traces: list[Trace] = []
    colors = _colors(len(rows))
    for row, color in zip(rows, colors, strict=True):
        places, n, yes = (np.asarray(row[f"curve_{name}"], dtype=float) for name in ("positions", "n", "n_yes"))
        if not places.size:
            continue
        lower, upper = psychometrics.wilson_interval(yes, n)
        p = yes / n
        name = "all trials" if row["curve_block"] == "all" else row["curve_block"]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": name, "legendgroup": name,
                "x": [curves.level_at(place, scale, reference) for place in places], "y": p,
                "marker": {"color": color, "size": 7},
                "error_y": {"type": "data", "symmetric": False, "array": upper - p, "arrayminus": p - lower,
                            "color": color, "thickness": 1.2, "width": 0},
                "customdata": np.column_stack((yes, n)),
                "hovertemplate": "%{x:g}: %{y:.2f}<br>%{customdata[0]:d} of %{customdata[1]:d} trials<extra></extra>",
            }
        )  # fmt: skip
        parameters = [row[f"curve_{parameter}"] for parameter in curves.PARAMETERS]
        if None not in parameters:
            grid = np.linspace(places.min(), places.max(), 101)
            centre, width, low, high = parameters
            traces.append(
                {
                    "type": "scatter", "mode": "lines", "name": f"{name}, fit", "legendgroup": name,
                    "showlegend": False,
                    "x": [curves.level_at(item, scale, reference) for item in grid],
                    "y": curves.evaluate(grid, centre, width, low, high, row["curve_function"]),
                    "line": {"color": color, "width": 2}, "hoverinfo": "skip",
                }
            )  # fmt: skip
    what = rows[0]["curve_of"] if rows else "choice"
    layout: dict[str, Any] = {
        "height": HEIGHT, "hovermode": "closest",
        "xaxis": axis(title, **({"type": "log"} if scale == "log" else {})),
        "yaxis": axis(f"P({what}), 68 % Wilson interval", range=[-0.05, 1.05], tickvals=[0, 0.25, 0.5, 0.75, 1]),
    }  # fmt: skip
    return figure(traces, layout, theme, "There is no psychometric curve: no levels with choices.")


def choices_by_level(rows: Sequence[Row], labels: Sequence[str], title: str, theme: str = "light") -> go.Figure:
    """Fraction of trials with each choice, at each level of the stimulus.

    Parameters
    ----------
    rows : rows of `TaskPerformance.Level`, with lists
    labels : of the choices, in the order of the task's description
    """
    names = [row["level_name"] for row in rows]
    n = np.array([max(row["level_n"], 1) for row in rows])
    counts = np.array([row["level_n_by_choice"] for row in rows], dtype=float).reshape(len(rows), len(labels))
    parts = [*counts.T, n - counts.sum(axis=1)]
    names_of, colors = [*labels, "no response"], [*_colors(len(labels)), style.GREY]
    traces: list[Trace] = [
        {"type": "bar", "name": label, "x": names, "y": part / n, "marker": {"color": color}, "customdata": part,
         "hovertemplate": "%{x}: %{y:.2f}, %{customdata:d} trials<extra>" + label + "</extra>"}
        for label, part, color in zip(names_of, parts, colors, strict=True)
    ] if rows else []  # fmt: skip
    layout: dict[str, Any] = {"height": HEIGHT, "barmode": "stack", "xaxis": axis(title, type="category"),
                              "yaxis": axis("Fraction of trials", range=[0, 1])}  # fmt: skip
    return figure(traces, layout, theme, "The trials have no levels of a stimulus.")


def choices_over_blocks(rows: Sequence[Row], labels: Sequence[str], theme: str = "light") -> go.Figure:
    """Fraction of choices (line) and of rewards (dots) of each alternative, block by block.

    Parameters
    ----------
    rows : rows of `TaskPerformance.Block` in order, with lists
    labels : of the choices, in the order of the task's description
    """
    traces: list[Trace] = []
    middle = [(row["block_first_trial"] + row["block_last_trial"]) / 2 + 1 for row in rows]
    for kind, column, look in (
        ("choices", "block_n_by_choice", {"mode": "lines", "line": {"width": 2, "shape": "hvh"}}),
        ("rewards", "block_n_rewarded", {"mode": "markers", "marker": {"size": 7, "symbol": "circle-open"}}),
    ):
        counts = np.array([row[column] for row in rows], dtype=float).reshape(len(rows), len(labels))
        total = counts.sum(axis=1, keepdims=True)
        share = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
        for place, (label, color) in enumerate(zip(labels, _colors(len(labels)), strict=True)):
            paint = {
                name: value | {"color": color} if isinstance(value, dict) else value for name, value in look.items()
            }
            name = f"{label}, {kind}"
            traces.append({"type": "scatter", "name": name, "x": middle, "y": share[:, place],
                           "hovertemplate": f"trial %{{x:.0f}}: %{{y:.2f}}<extra>{name}</extra>"} | paint)  # fmt: skip
    layout: dict[str, Any] = {"height": HEIGHT, "xaxis": axis("Trial"),
                              "yaxis": axis("Fraction of choices, of rewards", range=[-0.05, 1.05])}  # fmt: skip
    return figure(traces if rows else [], layout, theme, "The trials have no blocks.")


FRACTIONS = {
    "fraction_correct": "correct", "hit_rate": "hits", "false_alarm_rate": "false alarms",
    "early_fraction": "early responses", "reward_rate": "rewarded", "stay_after_reward": "stays after reward",
    "stay_after_no_reward": "stays after none",
}  # fmt: skip
"""Column or measure of `TaskPerformance` that is a fraction of trials -> what it is called."""


def fractions_over_days(rows: Sequence[Row], theme: str = "light") -> go.Figure:
    """What fraction of trials was correct, hit, rewarded … in each session, against the date.

    Parameters
    ----------
    rows : rows of `TaskPerformance` in order, with session_date and `measures` as a mapping
    """
    traces = _over_days(rows, FRACTIONS, 100, "%{y:.0f} %")
    layout: dict[str, Any] = {"height": HEIGHT, "hovermode": "x unified", "xaxis": axis("Date", type="date"),
                              "yaxis": axis("Fraction of trials (%)", range=[-3, 103])}  # fmt: skip
    return figure(traces, layout, theme, "No fraction of the trials is known.")


def detection_over_days(rows: Sequence[Row], theme: str = "light") -> go.Figure:
    """Sensitivity and criterion of a go/no-go task in each session, against the date; parameters as above."""
    traces = _over_days(rows, {"d_prime": "d′", "criterion": "criterion"}, 1, "%{y:.2f}")
    layout: dict[str, Any] = {"height": HEIGHT, "hovermode": "x unified", "xaxis": axis("Date", type="date"),
                              "yaxis": axis("Standard deviations of the evidence")}  # fmt: skip
    return figure(traces, layout, theme, "The task has no hits and false alarms.")


def centre_over_days(rows: Sequence[Row], title: str, scale: str = "linear", theme: str = "light") -> go.Figure:
    """The level at the centre of the psychometric curve over all trials of each session, against the date.

    Parameters
    ----------
    rows : as above, with `curves`
    title, scale : of the axis of the stimulus
    """
    known = [
        (row["session_date"], curve["curve_centre_level"])
        for row in rows
        for curve in row["curves"]
        if curve["curve_block"] == "all" and curve["curve_centre_level"] is not None and curve["curve_identifiable"]
    ]
    trace: Trace = {
        "type": "scatter", "mode": "lines+markers", "name": "centre", "x": [str(day) for day, _ in known],
        "y": [level for _, level in known], "line": {"color": style.BLUE, "width": 2},
        "hovertemplate": "%{y:.4g}<extra>centre</extra>",
    }  # fmt: skip
    layout: dict[str, Any] = {"height": HEIGHT, "xaxis": axis("Date", type="date"),
                              "yaxis": axis(title, **({"type": "log"} if scale == "log" else {}))}  # fmt: skip
    return figure([trace] if known else [], layout, theme, "The data do not determine a curve.")


def axis_title(stimulus: Stimulus) -> str:
    """The title of the axis of a stimulus, with its unit.

    >>> axis_title(Stimulus("tone", "frequency", "Hz"))
    'Frequency (Hz)'
    """
    return stimulus.axis.capitalize() + (f" ({stimulus.unit})" if stimulus.unit else "")


def curve_axis(rows: Sequence[Row], stimulus: Stimulus) -> tuple[str, str, float | None]:
    """Title, scale and reference of the axis of curves, which those of correct trials count from the reference."""
    if rows and rows[0]["curve_of"] == "correct" and stimulus.reference is not None:
        return f"Distance from {stimulus.reference:g}", "linear", 0.0
    return axis_title(stimulus), stimulus.scale, stimulus.reference


def _over_days(rows: Sequence[Row], named: Mapping[str, str], factor: float, words: str) -> list[Trace]:
    traces: list[Trace] = []
    days = [str(row["session_date"]) for row in rows]
    for place, (name, label) in enumerate(named.items()):
        given = [row[name] if name in row else row["measures"].get(name) for row in rows]
        values = np.array([np.nan if value is None else value for value in given], dtype=float)
        if not np.isfinite(values).any():
            continue
        look = style.nth(place)
        traces.append({"type": "scatter", "mode": "lines+markers", "name": label, "x": days, "y": factor * values,
                       "line": {"color": look.color, "width": 2},
                       "marker": {"symbol": style.SYMBOLS[place % len(style.SYMBOLS)], "size": 7},
                       "hovertemplate": f"{words}<extra>{label}</extra>"})  # fmt: skip
    return traces


def _colors(n: int) -> list[str]:
    return [style.nth(number).color for number in range(n)]
