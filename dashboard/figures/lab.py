"""Groups of mice compared: learning curves, time until a status, and how a value is spread over the mice.

All take a column `group`; `groups` gives their order and with it their colours, so that a group looks the same in all
figures. Every mouse counts once, however many sessions it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from scipy.special import stdtrit

from dashboard.figures import style
from dashboard.figures.build import Trace, axis, figure
from dashboard.figures.rows import Columns, Rows, columns
from pipeline.analysis.survival import kaplan_meier


class Measure(NamedTuple):
    """How a value is called, its axis with the unit, by what it is multiplied, its format, and what it can be."""

    label: str
    axis: str
    scale: float = 1
    form: str = ".1f"
    limits: tuple[float, float] | None = None


MEASURES = {
    "day_performance_easy": Measure("Performance, easy trials", "Correct on easy trials (%)", 100, limits=(0, 100)),
    "day_performance": Measure("Performance, all trials", "Correct (%)", 100, limits=(0, 100)),
    "day_trials": Measure("Trials a day", "Trials a day (count)", form=".0f"),
    "day_response_time": Measure("Response time", "Median response time (s)", form=".2f"),
    "day_minutes": Measure("Time in the task", "Time in the task (min a day)", form=".0f"),
}
"""Columns of `DailySummary` that are followed over the days."""

VALUES = MEASURES | {
    "days": Measure("Days to status", "Training days (count)", form=".0f"),
    "window_bias": Measure("Bias", "Bias (% contrast, right positive)"),
    "window_threshold": Measure("Threshold", "Threshold (% contrast)"),
    "window_lapse_low": Measure("Lapses on the left", "Lapse, low (fraction)", form=".3f"),
    "window_lapse_high": Measure("Lapses on the right", "Lapse, high (fraction)", form=".3f"),
}
"""Columns with one value for each mouse; the fit is that of the sessions that its status is judged by."""

NAMED = 80
"""Up to so many mice their lines say their names: more cannot be told apart."""


def learning_curves(
    days: Rows,
    measure: str = "day_performance_easy",
    *,
    groups: Sequence[str] | None = None,
    each: bool = True,
    level: float = 0.95,
    fewest: int = 5,
    theme: str = "light",
    height: int = 440,
) -> go.Figure:
    """A measure against the day of training: mean over the mice of each group with its interval; below, how many mice.

    Mice leave when they are trained, so that late days are those of slow learners: the number of mice tells.

    Parameters
    ----------
    days : one row for each mouse and day: subject, group, training_day, the measure; lab where there are several.
    measure : one of `MEASURES`.
    each : draw the curve of each mouse too, faint.
    level : coverage of Student's interval of the mean, 0-1.
    fewest : the mean is drawn for days with as many mice, or with half of the group where that is less.

    Raises
    ------
    KeyError : no such measure.
    """
    what = MEASURES[measure]
    chosen = columns(days)
    values = what.scale * chosen.numbers(measure)
    chosen = _with_mice(chosen.where(np.isfinite(values) & (chosen.numbers("training_day") > 0)))
    n_mice = int(chosen["mouse"].max()) + 1 if chosen.n else 0
    lines: list[Trace] = []
    bands: list[Trace] = []
    faint: list[Trace] = []
    counts: list[Trace] = []
    for name, one, look in _each_group(chosen.ordered("mouse", "training_day"), groups):
        day, y = one.numbers("training_day").astype(int), what.scale * one.numbers(measure)
        mean, half, n = _course(day, y, level)
        x = np.arange(1, mean.size + 1)
        shown = n >= min(fewest, -(-n.max() // 2))
        if each:
            faint.append(_each(one, y, name, look, n_mice=n_mice))
        middle = np.where(shown, mean, np.nan)
        edges = np.clip([middle - half, middle + half], *(what.limits or (-np.inf, np.inf)))
        bands += _bands(x, edges[0], edges[1], name, look)
        lines.append({
            "type": "scatter", "mode": "lines", "name": f"{_short(name)} (n = {_n_mice(one)})", "legendgroup": name,
            "x": x, "y": middle, "line": {"color": look.color, "dash": look.dash, "width": 2.4},
            "customdata": np.column_stack((n, *edges)),
            "hovertemplate": f"<b>{name}</b>, day %{{x}}<br>mean %{{y:{what.form}}} (%{{customdata[1]:{what.form}}} to "
            f"%{{customdata[2]:{what.form}}})<br>%{{customdata[0]}} mice<extra></extra>",
        })  # fmt: skip
        counts.append({
            "type": "scatter", "mode": "lines", "name": f"{name}, mice", "legendgroup": name, "showlegend": False,
            "x": x, "y": n, "yaxis": "y2", "line": {"color": look.color, "dash": look.dash, "width": 1.5,
                                                    "shape": "hvh"},
            "hovertemplate": f"<b>{name}</b>, day %{{x}}: %{{y}} mice<extra></extra>",
        })  # fmt: skip
    layout = {
        "height": height, "hovermode": "closest", "showlegend": len(lines) > 1,
        "xaxis": axis("Training day", rangemode="tozero", anchor="y2"),
        "yaxis": axis(what.axis, domain=[0.27, 1], **({"range": [0, 103]} if what.limits else {"rangemode": "tozero"})),
        "yaxis2": axis("Mice (count)", domain=[0, 0.18], rangemode="tozero", nticks=4),
    }  # fmt: skip
    return figure([*faint, *bands, *lines, *counts], layout, theme, "No day of training has this measure.")


def survival(
    mice: Rows,
    status: str = "trained",
    *,
    groups: Sequence[str] | None = None,
    level: float = 0.95,
    theme: str = "light",
    height: int = 380,
) -> go.Figure:
    """The share of mice that do not have a status yet against the day of training (Kaplan-Meier).

    A mouse without it counts for as long as it was trained: the tick on its group's curve is its last day so far.

    Parameters
    ----------
    mice : one row for each mouse: subject, group, days (until the status, or so far), reached (bool).
    status : what the status is called.
    level : coverage of the interval (Greenwood's, on the scale log(-log)), 0-1.
    """
    chosen = columns(mice)
    chosen = _with_mice(chosen.where(np.isfinite(chosen.numbers("days"))))
    traces: list[Trace] = []
    for name, one, look in _each_group(chosen, groups):
        days, reached = one.numbers("days"), one.numbers("reached") == 1
        curve = kaplan_meier(days, reached, level)
        x, y = np.append(0, curve.times), 100 * np.append(1, curve.survival)
        legend = f"{_short(name)} ({reached.sum()} of {one.n})"
        lower, upper = (100 * np.append(1, end) for end in (curve.lower, curve.upper))
        lower, upper = (np.where(y == 100, 100, end) for end in (lower, upper))
        n_known = int(np.isfinite(lower).sum())  # it has no interval once nobody is left
        band = [
            _steps(x[: n_known + 1], np.append(end[:n_known], end[n_known - 1])[: x.size]) for end in (upper, lower)
        ]
        traces.append({
            "type": "scatter", "mode": "lines", "name": f"{name}, interval", "legendgroup": name, "showlegend": False,
            "x": np.concatenate((band[0][0], band[1][0][::-1])), "y": np.concatenate((band[0][1], band[1][1][::-1])),
            "fill": "toself", "fillcolor": style.faint(look.color, 0.12), "line": {"width": 0}, "hoverinfo": "skip",
        })  # fmt: skip
        traces.append({
            "type": "scatter", "mode": "lines", "name": legend, "legendgroup": name, "x": x, "y": y,
            "line": {"color": look.color, "dash": look.dash, "width": 2.2, "shape": "hv"},
            "customdata": np.column_stack((np.append(one.n, curve.at_risk), np.append(0, curve.events))),
            "hovertemplate": f"<b>{name}</b>, day %{{x}}<br>%{{y:.0f}} % not yet {status}<br>%{{customdata[1]}} of "
            "%{customdata[0]} on that day<extra></extra>",
        })  # fmt: skip
        waiting = np.sort(days[~reached])
        if waiting.size:
            order = np.argsort(days[~reached], kind="stable")
            traces.append({
                "type": "scatter", "mode": "markers", "name": f"{name}, not yet", "legendgroup": name,
                "showlegend": False, "x": waiting, "y": y[np.searchsorted(x, waiting)],
                "marker": {"color": look.color, "symbol": "line-ns-open", "size": 9, "line": {"width": 1.6}},
                "text": one.texts("subject")[~reached][order],
                "hovertemplate": "%{text}: not yet after %{x} days<extra></extra>",
            })  # fmt: skip
    layout = {
        "height": height, "hovermode": "closest",
        "xaxis": axis("Training day", rangemode="tozero"),
        "yaxis": axis(f"Not yet {status} (% of mice)", range=[-3, 103]),
    }  # fmt: skip
    return figure(traces, layout, theme, "There is no mouse with days of training.")


def distribution(
    mice: Rows, value: str, *, groups: Sequence[str] | None = None, theme: str = "light", height: int = 0
) -> go.Figure:
    """How a value is spread over the mice of each group: every mouse as a point, median and quartiles as a box.

    Parameters
    ----------
    mice : one row for each mouse: subject, group, the value.
    value : one of `VALUES`.

    Raises
    ------
    KeyError : no such value.
    """
    what = VALUES[value]
    chosen = columns(mice)
    chosen = _with_mice(chosen.where(np.isfinite(chosen.numbers(value))))
    traces: list[Trace] = []
    for name, one, look in _each_group(chosen, groups):
        traces.append({
            "type": "box", "orientation": "h", "name": name, "showlegend": False,
            "x": what.scale * one.numbers(value), "y": np.full(one.n, _short(name), dtype=object),
            "text": one.texts("subject"), "boxpoints": "all", "jitter": 0.7, "pointpos": 0, "width": 0.62,
            "marker": {"color": look.color, "symbol": look.symbol, "size": 5, "opacity": 0.7},
            "line": {"color": look.color, "width": 1.4}, "fillcolor": style.faint(look.color, 0.14),
            "hovertemplate": f"%{{text}}: %{{x:{what.form}}}<extra></extra>", "hoveron": "points",
        })  # fmt: skip
    layout = {
        "height": height or 78 + 30 * max(2, len(traces)), "hovermode": "closest", "boxgap": 0.2,
        "margin": {"t": 12},
        "xaxis": axis(what.axis, showgrid=True),
        "yaxis": axis("", type="category", autorange="reversed", showgrid=False, ticks=""),
    }  # fmt: skip
    return figure(traces, layout, theme, "No mouse has this value.")


def _with_mice(chosen: Columns) -> Columns:
    """The rows with a column `mouse`, the number of each mouse from 0: names can be the same in two labs."""
    numbers: dict[tuple[str, str], int] = {}
    pairs = zip(chosen.texts("lab"), chosen.texts("subject"), strict=True)
    mice = np.array([numbers.setdefault(pair, len(numbers)) for pair in pairs], dtype=np.int64)
    return Columns(chosen | {"mouse": mice})


def _each_group(chosen: Columns, groups: Sequence[str] | None) -> Iterator[tuple[str, Columns, style.Look]]:
    """Name, rows and look of each group that has rows, in their order (by default the largest first)."""
    own = chosen.texts("group")
    names = groups
    if names is None:
        sizes = {name: _n_mice(chosen.where(own == name)) for name in dict.fromkeys(own)}
        names = sorted(sizes, key=lambda name: (-sizes[name], name))
    for number, name in enumerate(names):
        rows = chosen.where(own == name)
        if rows.n:
            yield name, rows, style.nth(number)


def _n_mice(chosen: Columns) -> int:
    return np.unique(chosen["mouse"]).size


def _course(day: np.ndarray, values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, half the width of its interval (NaN for one value) and number of values of each day from 1."""
    n = np.bincount(day)[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(day, values)[1:] / n
        squares = np.bincount(day, (values - mean[day - 1]) ** 2)[1:]
        half = stdtrit(n - 1, 0.5 + level / 2) * np.sqrt(squares / (n - 1) / n)
    return mean, np.where(n > 1, half, np.nan), n


def _bands(x: np.ndarray, lower: np.ndarray, upper: np.ndarray, name: str, look: style.Look) -> list[Trace]:
    """The interval around a curve, one polygon for each run of days that has one."""
    known = np.isfinite(lower)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], known.view(np.int8), [0]))))
    traces = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        part = slice(start, end)
        traces.append({
            "type": "scatter", "mode": "lines", "name": f"{name}, interval", "legendgroup": name, "showlegend": False,
            "x": np.concatenate((x[part], x[part][::-1])),
            "y": np.concatenate((upper[part], lower[part][::-1])),
            "fill": "toself", "fillcolor": style.faint(look.color), "line": {"width": 0}, "hoverinfo": "skip",
        })  # fmt: skip
    return traces


def _each(one: Columns, y: np.ndarray, name: str, look: style.Look, n_mice: int) -> Trace:
    """The curves of all mice of a group as one trace with gaps between them."""
    gaps = np.flatnonzero(np.diff(one["mouse"])) + 1
    line = {"color": style.faint(look.color, max(0.12, min(0.4, 6 / n_mice))), "width": 1}
    trace = {
        "type": "scatter", "mode": "lines", "name": f"{name}, each mouse", "legendgroup": name, "showlegend": False,
        "x": np.insert(one.numbers("training_day"), gaps, np.nan), "y": np.insert(y, gaps, np.nan), "line": line,
    }  # fmt: skip
    if n_mice > NAMED:
        return trace | {"hoverinfo": "skip"}
    text = np.insert(one.texts("subject"), gaps, "")
    return trace | {"text": text, "hovertemplate": "%{text}, day %{x}: %{y:.3g}<extra></extra>"}


def _steps(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a line that keeps its value until the next x."""
    return np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]


def _short(name: str, most: int = 18) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
