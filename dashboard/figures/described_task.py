"""A task that a lab describes: its psychometric curves on their own axis, choices by level, and choices over blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import Trace, axis, figure
from pipeline.analysis import curves, psychometrics

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


def _colors(n: int) -> list[str]:
    return [style.nth(number).color for number in range(n)]
