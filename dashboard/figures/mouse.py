"""One animal over its days: learning, water and weight, trials, reaction times, contrasts, fits; and days compared.

All figures over dates take the same `marks` (see `dates.marks`) and stand one above the other with `build.stack`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import curves, dates, style, thresholds
from dashboard.figures.build import Trace, axis, figure, log_ticks, second_axis, stack
from dashboard.figures.dates import Mark, marks
from dashboard.figures.rows import Columns, Rows, columns, iso

__all__ = [
    "chronometric_by_date",
    "contrast_heatmap",
    "fit_parameters",
    "learning_curve",
    "marks",
    "performance_and_reaction_time",
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
                "customdata": np.column_stack((one.dates("summary_date").astype(str), one.numbers("day_trials"))),
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


def water_and_weight(
    days: Rows,
    waters: Rows = None,
    *,
    implants: Rows = None,
    least: float = 0.85,
    critical: float = 0.75,
    marks: Sequence[Mark] = (),
    theme: str = "light",
) -> go.Figure:
    """Water given (bars by type, left) and weight (right) against the date, with the weights that are allowed.

    Parameters
    ----------
    days : rows of `action.WaterStatus`.
    waters : `water_date` (of the lab), `water_type`, `water_volume` (mL), one row for each administration or each sum;
        without them the bars are `water_reward` and `water_supplement`.
    implants : `implant_date`, `implant_weight` (g), each from its date on; the fractions hold for the animal without.
    least : least weight that the lab allows, fraction of the expected weight (`reference_weight_pct +
        zscore_weight_pct` of `lab.Lab`).
    critical : weight below which an animal is taken off restriction, the same.
    """
    chosen = columns(days).ordered("status_date")
    when = chosen.dates("status_date")
    x = iso(when)
    traces = _water_bars(chosen, columns(waters), x)
    expected_water = chosen.numbers("expected_water")
    if np.isfinite(expected_water).any():
        traces.append(
            _line(x, expected_water, "needed", style.BLUE, "%{y:.2f} mL needed", dash="dot", shape="hvh", width=1.2)
        )
    if "day_adlib" in chosen and (free := chosen.numbers("day_adlib") == 1).any():
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "free access",
                "x": iso(when[free]),
                "y": np.zeros(int(free.sum())),
                "cliponaxis": False,
                "marker": {"color": style.BLUE, "symbol": "triangle-up", "size": 7},
                "hovertemplate": "free access to water<extra></extra>",
            }  # fmt: skip
        )
    weight, expected = chosen.numbers("day_weight"), chosen.numbers("expected_weight")
    carried = _carried(when, columns(implants))
    limits = []
    for part, name, color in ((least, "least", style.LEAST), (critical, "critical", style.CRITICAL)):
        limit = carried + part * (expected - carried)
        limits.append(limit)
        if np.isfinite(limit).any():
            words = f"{name} weight, {100 * part:g} %"
            traces.append(_line(x, limit, words, color, f"{words}: %{{y:.1f}} g", dash="dashdot", width=1.5) | _RIGHT)
    if np.isfinite(weight).any():
        percent = chosen.numbers("weight_pct")
        line = _line(x, weight, "weight", style.WEIGHT, "%{y:.1f} g, %{customdata:.0f} % of expected", width=2.2)
        traces.append(line | _RIGHT | {"customdata": percent, "connectgaps": True, "mode": "lines+markers"})
    shown = np.concatenate([weight, *limits])
    shown = shown[np.isfinite(shown)]
    low, high = (shown.min(), shown.max()) if shown.size else (0, 1)
    given = _stacked_height(traces)
    marked = dates.lines(marks, when)
    restricted = [
        {
            "type": "rect", "x0": f"{first}T00:00", "x1": f"{last}T23:59", "y0": 0, "y1": 1, "yref": "paper",
            "fillcolor": style.RESTRICTED, "line": {"width": 0}, "layer": "below", "name": "restriction",
        }
        for first, last in dates.runs(when, chosen.numbers("restricted") == 1)
    ]  # fmt: skip
    layout = {
        "barmode": "stack", "bargap": 0.25, "hovermode": "x unified",
        "xaxis": dates.axis(when, marks),
        "yaxis": axis("Water (mL a day)", range=[0, 2 * max(given, 0.5)], showgrid=False),
        "yaxis2": second_axis("Weight (g)", style.WEIGHT, range=[low - 1.1 * max(high - low, 1), high + 0.12 * max(
            high - low, 1)]),
        "shapes": [*restricted, *marked.get("shapes", [])],
        "annotations": marked.get("annotations", []),
        "margin": _TWO_AXES,
    }  # fmt: skip
    return figure(traces, layout, theme, "There are no weighings and no water yet.")


def trial_counts_and_duration(days: Rows, *, marks: Sequence[Mark] = (), theme: str = "light") -> go.Figure:
    """Trials (left) and minutes in the task (right) against the date, from rows of `DailySummary`."""
    chosen = columns(days).ordered("summary_date")
    when = chosen.dates("summary_date")
    x, n_trials, minutes = iso(when), chosen.numbers("day_trials"), chosen.numbers("day_minutes")
    traces: list[Trace] = []
    if chosen.n:
        line = _line(
            x, n_trials, "trials", style.MAIN, "%{y:.0f} trials in %{customdata:.0f} session(s)", symbol="circle"
        )
        traces.append(line | {"customdata": chosen.numbers("day_sessions")})
    if np.isfinite(minutes).any():
        traces.append(_line(x, minutes, "duration", style.SECOND, "%{y:.0f} min", symbol="square") | _RIGHT)
    layout = {
        "hovermode": "x unified", "xaxis": dates.axis(when, marks), "margin": _TWO_AXES,
        "yaxis": _colored("Trials (count)", style.MAIN, range=[0, np.nanmax(n_trials, initial=0) + 50]),
        "yaxis2": second_axis("Duration (min)", style.SECOND, rangemode="tozero"),
    } | dates.lines(marks, when)  # fmt: skip
    return figure(traces, layout, theme, "There is no session with trials yet.")


def performance_and_reaction_time(
    days: Rows, *, rules: Any = None, marks: Sequence[Mark] = (), theme: str = "light"
) -> go.Figure:
    """Correct on easy trials (left) and median reaction time (right, logarithmic) against the date.

    Parameters
    ----------
    days : rows of `DailySummary`.
    rules : criteria, whose thresholds of the performance are drawn.
    """
    chosen = columns(days).ordered("summary_date")
    when = chosen.dates("summary_date")
    x, easy, times = iso(when), chosen.numbers("day_performance_easy"), chosen.numbers("day_reaction_time")
    traces: list[Trace] = []
    if np.isfinite(easy).any():
        line = _line(x, 100 * easy, "easy trials", style.MAIN, "%{y:.1f} % of easy trials, %{customdata:.1f} % of all",
                     symbol="circle")  # fmt: skip
        traces.append(line | {"customdata": 100 * chosen.numbers("day_performance")})
    if np.isfinite(times).any():
        shown = np.where(times > 0, times, np.nan)
        traces.append(_line(x, shown, "reaction time", style.SECOND, "median %{y:.2f} s", symbol="square") | _RIGHT)
    marked = dates.lines(marks, when)
    drawn = thresholds.shapes(thresholds.thresholds(rules, "performance_easy", _TRAINED), scale=100)
    layout = {
        "hovermode": "x unified", "xaxis": dates.axis(when, marks), "margin": _TWO_AXES,
        "yaxis": _colored("Correct on easy trials (%)", style.MAIN, range=[0, 105]),
        "yaxis2": second_axis("Median reaction time (s)", style.SECOND, **log_ticks(-1, 1)),
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
    sizes = [len(one) for one in contrasts]
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
        "margin": _TWO_AXES,
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
                _line(iso(pooled.dates("session_date")), window, "pooled for the criteria", style.GREEN,
                      f"pooled sessions, %{{x|%d %b %Y}}<br>{title} %{{y:.3g}}", width=1.3)
                | {"yaxis": yref, "legendgroup": "pooled", "showlegend": place == 0}
            )  # fmt: skip
        found = thresholds.thresholds(rules, measure, _TRAINED if statuses is None else statuses)
        found = [line for line in found if line.probability_left is None]
        shapes += thresholds.shapes(found, yref, mirrored=measure == "bias_size")
    marked = dates.lines(marks, when)
    layout["xaxis"]["anchor"] = "y4"
    layout |= {"shapes": [*shapes, *marked.get("shapes", [])], "annotations": marked.get("annotations", [])}
    return figure(traces, layout, theme, "There is no psychometric fit yet.")


_TRAINED = ("trained_1a", "trained_1b")
_RIGHT = {"yaxis": "y2"}
_TWO_AXES = {"r": 60}
_PARAMETERS = (
    ("threshold", "Threshold (%)", [0, 100], "threshold"),
    ("bias", "Bias (%)", [-100, 100], "bias_size"),
    ("lapse_low", "Lapse low (0-1)", [0, 1], "lapse_low"),
    ("lapse_high", "Lapse high (0-1)", [0, 1], "lapse_high"),
)


def _line(
    x: list[str], y: np.ndarray, name: str, color: str, words: str, *, dash: str = "solid", width: float = 1.8,
    symbol: str = "", shape: str = "linear",
) -> Trace:  # fmt: skip
    made = {
        "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "hovertemplate": words + "<extra></extra>",
        "line": {"color": color, "dash": dash, "width": width, "shape": shape},
    }  # fmt: skip
    return made | {"mode": "lines+markers", "marker": {"color": color, "symbol": symbol, "size": 5}} if symbol else made


def _colored(title: str, color: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title, "font": {"color": color}}, "tickfont": {"color": color}} | more


def _water_bars(days: Columns, waters: Columns, x: list[str]) -> list[Trace]:
    """One trace for each water type, in the order of the lookup, volumes of one day and type added."""
    if not waters.n:
        parts = (("water_reward", "in sessions", style.BLUE), ("water_supplement", "outside sessions", style.TEAL))
        return [
            _bar(x, days.numbers(column), name, color)
            for column, name, color in parts
            if np.nansum(days.numbers(column)) > 0
        ]
    when, volumes, types = waters.dates("water_date"), waters.numbers("water_volume"), waters.texts("water_type")
    order = list(style.WATERS)
    names = sorted(set(types), key=lambda name: (order.index(name) if name in order else len(order), name))
    traces = []
    for name in names:
        which = (types == name) & np.isfinite(volumes)
        if which.any():
            on, day = np.unique(when[which], return_inverse=True)
            traces.append(_bar(iso(on), np.bincount(day, volumes[which]), name, style.water_color(name)))
    return traces


def _bar(x: list[str], y: np.ndarray, name: str, color: str) -> Trace:
    return {
        "type": "bar", "x": x, "y": y, "name": name, "marker": {"color": color, "line": {"width": 0}},
        "hovertemplate": f"%{{y:.2f}} mL {name}<extra></extra>",
    }  # fmt: skip


def _stacked_height(traces: list[Trace]) -> float:
    """The highest of the stacked bars (and of the water that is needed)."""
    total: dict[str, float] = {}
    for trace in traces:
        if trace["type"] == "bar":
            for day, volume in zip(trace["x"], np.nan_to_num(trace["y"]), strict=True):
                total[day] = total.get(day, 0.0) + volume
    needed = [np.nanmax(trace["y"]) for trace in traces if trace["name"] == "needed"]
    return max([*total.values(), *needed], default=0.0)


def _carried(when: np.ndarray, implants: Columns) -> np.ndarray:
    """Weight of the implants on each day, g; of several the latest."""
    since, weights = implants.dates("implant_date"), implants.numbers("implant_weight")
    order = np.argsort(since)
    place = np.searchsorted(since[order], when, side="right")
    return np.append(0.0, weights[order])[place]
