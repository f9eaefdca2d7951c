"""One animal over its days: learning, water and weight, trials, response times, contrasts, fits; and days compared.

All figures over dates take the same `marks` (see `dates.marks`) and stand one above the other with `build.stack`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import curves, dates, style, thresholds
from dashboard.figures.build import (
    ON_RIGHT,
    ROOM_FOR_TWO,
    Trace,
    axis,
    colored_axis,
    figure,
    line_trace,
    log_ticks,
    second_axis,
    stack,
)
from dashboard.figures.dates import Mark, marks
from dashboard.figures.rows import Rows, columns, iso
from dashboard.figures.water import water_and_weight

__all__ = [
    "chronometric_by_date",
    "contrast_heatmap",
    "fit_parameters",
    "learning_curve",
    "marks",
    "performance_and_response_time",
    "psychometric_by_date",
    "stack",
    "trial_counts_and_duration",
    "water_and_weight",
]

psychometric_by_date = partial(curves.psychometric, by="session")
"""`curves.psychometric` of several sessions, coloured by session."""
chronometric_by_date = partial(curves.chronometric, by="session")
"""`curves.chronometric` of several sessions, coloured by session."""


def learning_curve(days: Rows, *, rules: Any = None, theme: str = "light") -> go.Figure:
    """Correct on easy trials against the day of training, one line for each animal.

    Parameters
    ----------
    days : rows of `DailySummary`; with `subject` where they are of several animals.
    rules : criteria, whose thresholds are drawn (see `thresholds.thresholds`).
    """
    chosen = columns(days)
    chosen = chosen.where(chosen.numbers("training_day") > 0).ordered("training_day")
    subjects = chosen.texts("subject")
    traces: list[Trace] = []
    for number, name in enumerate(dict.fromkeys(sorted(subjects))):
        one, look = chosen.where(subjects == name), style.nth(number)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name or "all trials",
                "x": one.numbers("training_day"),
                "y": 100 * one.numbers("day_performance_easy"),
                "line": {"color": look.color, "dash": look.dash, "width": 1.8},
                "marker": {"color": look.color, "symbol": look.symbol, "size": 5},
                "customdata": np.column_stack((one.dates("session_date").astype(str), one.numbers("day_trials"))),
                "hovertemplate": f"{name}<br>day %{{x}}, %{{customdata[0]}}<br>%{{y:.1f}} % of easy trials correct<br>"
                "%{customdata[1]:.0f} trials<extra></extra>",
            }  # fmt: skip
        )
    layout = {
        "showlegend": len(traces) > 1, "hovermode": "closest",
        "xaxis": axis("Training day", rangemode="tozero"),
        "yaxis": axis("Correct on easy trials (%)", range=[0, 103]),
        "shapes": thresholds.shapes(thresholds.thresholds(rules, "performance_easy", _TRAINED), scale=100),
    }  # fmt: skip
    return figure(traces, layout, theme, "There is no day of training yet.")


def trial_counts_and_duration(days: Rows, *, marks: Sequence[Mark] = (), theme: str = "light") -> go.Figure:
    """Trials (left) and minutes in the task (right) against the date, from rows of `DailySummary`."""
    chosen = columns(days).ordered("session_date")
    when = chosen.dates("session_date")
    x, n_trials, minutes = iso(when), chosen.numbers("day_trials"), chosen.numbers("day_minutes")
    traces: list[Trace] = []
    if chosen.n:
        line = line_trace(
            x, n_trials, "trials", style.MAIN, "%{y:.0f} trials in %{customdata:.0f} session(s)", symbol="circle"
        )
        traces.append(line | {"customdata": chosen.numbers("day_sessions")})
    if np.isfinite(minutes).any():
        traces.append(line_trace(x, minutes, "duration", style.SECOND, "%{y:.0f} min", symbol="square") | ON_RIGHT)
    layout = {
        "hovermode": "x unified", "xaxis": dates.axis(when, marks), "margin": ROOM_FOR_TWO,
        "yaxis": colored_axis("Trials (count)", style.MAIN, range=[0, np.nanmax(n_trials, initial=0) + 50]),
        "yaxis2": second_axis("Duration (min)", style.SECOND, rangemode="tozero"),
    } | dates.lines(marks, when)  # fmt: skip
    return figure(traces, layout, theme, "There is no session with trials yet.")


def performance_and_response_time(
    days: Rows, *, rules: Any = None, marks: Sequence[Mark] = (), theme: str = "light"
) -> go.Figure:
    """Correct on easy trials (left) and median response time (right, logarithmic) against the date.

    Where the task has no easy trials, the correct ones of all.

    Parameters
    ----------
    days : rows of `DailySummary`.
    rules : criteria, whose thresholds of the performance are drawn.
    """
    chosen = columns(days).ordered("session_date")
    when = chosen.dates("session_date")
    x, easy, times = iso(when), chosen.numbers("day_performance_easy"), chosen.numbers("day_response_time")
    traces: list[Trace] = []
    what = "Correct on easy trials (%)"
    if np.isfinite(easy).any():
        words = "%{y:.1f} % of easy trials, %{customdata:.1f} % of all"
        line = line_trace(x, 100 * easy, "easy trials", style.MAIN, words, symbol="circle")
        traces.append(line | {"customdata": 100 * chosen.numbers("day_performance")})
    elif np.isfinite(chosen.numbers("day_performance")).any():
        all_trials = 100 * chosen.numbers("day_performance")
        traces.append(line_trace(x, all_trials, "all trials", style.MAIN, "%{y:.1f} %", symbol="circle"))
        what = "Correct (%)"
    if np.isfinite(times).any():
        shown = np.where(times > 0, times, np.nan)
        traces.append(
            line_trace(x, shown, "response time", style.SECOND, "median %{y:.2f} s", symbol="square") | ON_RIGHT
        )
    marked = dates.lines(marks, when)
    drawn = thresholds.shapes(thresholds.thresholds(rules, "performance_easy", _TRAINED), scale=100)
    layout = {
        "hovermode": "x unified", "xaxis": dates.axis(when, marks), "margin": ROOM_FOR_TWO,
        "yaxis": colored_axis(what, style.MAIN, range=[0, 105]),
        "yaxis2": second_axis("Median response time (s)", style.SECOND, **log_ticks(-1, 1)),
        "shapes": [*drawn, *marked.get("shapes", [])], "annotations": marked.get("annotations", []),
    }  # fmt: skip
    return figure(traces, layout, theme, "There is no performance yet: no trials with choice and outcome.")


def contrast_heatmap(
    rows: Rows, *, prior: float | None = None, marks: Sequence[Mark] = (), theme: str = "light"
) -> go.Figure:
    """Fraction of choices to the right by signed contrast and date; a gap on every day without such trials.

    Parameters
    ----------
    rows : rows of `SessionPerformance` (all trials), or of `PsychometricFit.Block`; sessions of one date are pooled.
    prior : only blocks with this prior on the left, percent; all trials when not given.
    """
    chosen = columns(rows)
    names = ("block_contrasts", "block_n", "block_n_right")
    if "contrasts" in chosen:
        names = ("contrasts", "contrast_n", "contrast_n_right")
    if prior is not None:
        chosen = chosen.where(np.round(chosen.numbers("block")) == round(prior))
    when = chosen.dates("session_date")
    contrasts, n, right = (chosen.lists(name) for name in names)
    sizes = [len(contrast) for contrast in contrasts]
    traces: list[Trace] = []
    if sum(sizes):
        all_days = dates.complete(when)
        levels, level = np.unique(np.concatenate(contrasts), return_inverse=True)
        cell = level * all_days.size + np.repeat((when - all_days[0]).astype(int), sizes)
        shape = levels.size * all_days.size
        shown = np.bincount(cell, np.concatenate(n), shape).reshape(levels.size, -1)
        chose = np.bincount(cell, np.concatenate(right), shape).reshape(levels.size, -1)
        with np.errstate(invalid="ignore"):
            fraction = np.where(shown > 0, chose / shown, np.nan)
        traces.append(
            {
                "type": "heatmap",
                "x": iso(all_days),
                "y": [f"{value:g}" for value in levels],
                "z": fraction,
                "customdata": shown,
                "coloraxis": "coloraxis",
                "hoverongaps": False,
                "ygap": 1,
                "xgap": 1,
                "hovertemplate": "%{x|%a %d %b %Y}, %{y} %<br>P(right) %{z:.2f}, n = %{customdata:d}<extra></extra>",
            }  # fmt: skip
        )
    bar = {
        "title": {"text": "P(right)", "side": "right"}, "thickness": 10, "tickvals": [0, 0.5, 1], "x": 1.01,
        "outlinewidth": 0,
    }  # fmt: skip
    layout = {
        "xaxis": dates.axis(when, marks),
        "yaxis": axis("Signed contrast (%)", type="category", showgrid=False),
        "coloraxis": {"cmin": 0, "cmax": 1, "colorbar": bar, "colorscale": style.diverging(theme)},
        "margin": ROOM_FOR_TWO,
    } | dates.lines(marks, when)  # fmt: skip
    return figure(traces, layout, theme, "There are no choices at known contrasts yet.")


def fit_parameters(
    blocks: Rows,
    *,
    rules: Any = None,
    windows: Rows = None,
    statuses: Sequence[str] | None = None,
    marks: Sequence[Mark] = (),
    theme: str = "light",
) -> go.Figure:
    """Threshold, bias and both lapses of every session's fits, one above the other, with the criteria.

    Parameters
    ----------
    blocks : rows of `PsychometricFit.Block`; open symbols where the data do not determine the curve.
    rules : criteria, whose thresholds are drawn.
    windows : rows of `SessionTrainingStatus`: the fits to the last sessions pooled, which the criteria judge, as lines.
    statuses : draw the criteria of these statuses only; by default of both trained ones.
    """
    chosen = columns(blocks).ordered("session_date")
    pooled = columns(windows).ordered("session_date")
    when = np.concatenate((chosen.dates("session_date"), pooled.dates("session_date")))
    block = np.round(chosen.numbers("block"))
    # null where there was nothing to fit; such rows draw nothing
    open_ = chosen.numbers("identifiable") == 0
    traces: list[Trace] = []
    shapes: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"height": 560, "hovermode": "closest", "xaxis": dates.axis(when, marks)}
    for place, (name, title, span, measure) in enumerate(_PARAMETERS):
        yref = f"y{place + 1 if place else ''}"
        top = 1 - place * 0.257
        layout["yaxis" + yref[1:]] = axis(title, range=span, domain=[max(0.0, top - 0.229), top], anchor="x")
        values, errors = chosen.numbers(name), chosen.numbers(f"{name}_error")
        for prior in np.unique(block[np.isfinite(block)]):
            which, look = (block == prior) & np.isfinite(values), style.block(prior)
            symbols = [look.symbol + ("-open" if is_open else "") for is_open in open_[which]]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": look.label,
                    "legendgroup": look.label,
                    "showlegend": place == 0,
                    "x": iso(chosen.dates("session_date")[which]),
                    "y": values[which],
                    "yaxis": yref,
                    "customdata": errors[which],
                    "marker": {"color": look.color, "symbol": symbols, "size": 6},
                    "hovertemplate": f"{look.label}, %{{x|%d %b %Y}}<br>{title} %{{y:.3g}} ± %{{customdata:.2g}} "
                    "(standard error)<extra></extra>",
                }  # fmt: skip
            )
        window = pooled.numbers(f"window_{name}")
        if np.isfinite(window).any():
            traces.append(
                line_trace(iso(pooled.dates("session_date")), window, "pooled for the criteria", style.GREEN,
                      f"pooled sessions, %{{x|%d %b %Y}}<br>{title} %{{y:.3g}}", width=1.3)
                | {"yaxis": yref, "legendgroup": "pooled", "showlegend": place == 0}
            )  # fmt: skip
        lines = thresholds.thresholds(rules, measure, _TRAINED if statuses is None else statuses)
        lines = [line for line in lines if line.probability_left is None]
        shapes += thresholds.shapes(lines, yref, mirrored=measure == "bias_size")
    marked = dates.lines(marks, when)
    layout["xaxis"]["anchor"] = "y4"
    layout |= {"shapes": [*shapes, *marked.get("shapes", [])], "annotations": marked.get("annotations", [])}
    return figure(traces, layout, theme, "There is no psychometric fit yet.")


_TRAINED = ("trained_1a", "trained_1b")
_PARAMETERS = (
    ("threshold", "Threshold (%)", [0, 100], "threshold"),
    ("bias", "Bias (%)", [-100, 100], "bias_size"),
    ("lapse_low", "Lapse low (0-1)", [0, 1], "lapse_low"),
    ("lapse_high", "Lapse high (0-1)", [0, 1], "lapse_high"),
)
