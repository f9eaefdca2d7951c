"""Psychometric and chronometric curves: one per block of a session, or one per session and block to compare days."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import Trace, axis, figure, log_ticks
from dashboard.figures.rows import Columns, Rows, columns
from pipeline.analysis import psychometrics

CONTRAST = "Signed contrast (%, right positive)"
_X = {"range": [-108, 108], "tickvals": [-100, -50, -25, 0, 25, 50, 100], "zeroline": True}
_GRID = np.linspace(-100, 100, 201)


def psychometric(blocks: Rows, *, by: str = "block", level: float = psychometrics.INTERVAL_LEVEL, theme: str = "light",
                 height: int = 340) -> go.Figure:  # fmt: skip
    """Choices to the right against contrast, with the fitted curve of the tables; nothing is fitted here.

    Parameters
    ----------
    blocks : rows of `PsychometricFit.Block`.
    by : `block` colours by block; `session` by session, with the dash and the symbol of the block.
    level : coverage of the Wilson intervals, 0-1.
    """
    chosen = columns(blocks)
    traces: list[Trace] = []
    contrasts, n, right = (chosen.lists(f"block_{name}") for name in ("contrasts", "n", "n_right"))
    parameters = np.stack([chosen.numbers(name) for name in psychometrics.PARAMETERS], axis=-1)
    for row, (look, label, group) in enumerate(_looks(chosen, by)):
        taken = n[row] > 0
        if not taken.any():
            continue
        x, shown, k = contrasts[row][taken], n[row][taken], right[row][taken]
        p = k / shown
        lower, upper = psychometrics.wilson_interval(k, shown, level)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": label,
                "legendgroup": group,
                "x": x,
                "y": p,
                "marker": {"color": look.color, "symbol": look.symbol, "size": 7},
                "error_y": _bars(p, lower, upper, look.color),
                "customdata": np.column_stack((k, shown)),
                "hovertemplate": f"{label}<br>%{{x:g}} %: P(right) %{{y:.2f}}<br>%{{customdata[0]:d}} of "
                "%{customdata[1]:d} trials<extra></extra>",
            }  # fmt: skip
        )
        if np.isfinite(parameters[row]).all():
            bias, threshold, low, high = parameters[row]
            words = f"bias {bias:.1f} %, threshold {threshold:.1f} %<br>lapses {low:.2f} (low), {high:.2f} (high)"
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": f"{label}, fit",
                    "legendgroup": group,
                    "showlegend": False,
                    "x": _GRID,
                    "y": psychometrics.curve(_GRID, *parameters[row]),
                    "line": {"color": look.color, "dash": look.dash, "width": 2},
                    "hovertemplate": f"{label}, fit<br>{words}<extra></extra>",
                }  # fmt: skip
            )
    layout: dict[str, Any] = {
        "height": height, "hovermode": "closest",
        "xaxis": axis(CONTRAST, **_X),
        "yaxis": axis(f"P(right), {100 * level:g} % Wilson interval", range=[-0.05, 1.05],
                      tickvals=[0, 0.25, 0.5, 0.75, 1]),
    }  # fmt: skip
    return figure(traces, layout, theme, "There is no psychometric curve: no trials with contrasts and choices.")


def chronometric(blocks: Rows, *, by: str = "block", theme: str = "light", height: int = 340) -> go.Figure:
    """Median time from the stimulus to the response against contrast, with the intervals of the tables.

    The order of the medians is that of `block_contrasts`, right positive, as in the psychometric curve.

    Parameters
    ----------
    blocks, by : as for `psychometric`. The bars are the 68 % intervals of the medians from order statistics.
    """
    chosen = columns(blocks)
    traces: list[Trace] = []
    contrasts, n = chosen.lists("block_contrasts"), chosen.lists("block_n")
    parts = [chosen.lists(f"block_response_time{end}") for end in ("", "_low", "_high")]
    for row, (look, label, group) in enumerate(_looks(chosen, by)):
        middle, lower, upper = (part[row] for part in parts)
        known = np.isfinite(middle)
        if not known.any():
            continue
        x, y = contrasts[row][known], middle[known]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": label,
                "legendgroup": group,
                "x": x,
                "y": y,
                "marker": {"color": look.color, "symbol": look.symbol, "size": 7},
                "line": {"color": look.color, "dash": look.dash, "width": 1.5},
                "error_y": _bars(y, lower[known], upper[known], look.color),
                "customdata": n[row][known],
                "hovertemplate": f"{label}<br>%{{x:g}} %: median %{{y:.3g}} s<br>%{{customdata:d}} responses"
                "<extra></extra>",
            }  # fmt: skip
        )
    layout = {
        "height": height, "hovermode": "closest",
        "xaxis": axis(CONTRAST, **_X),
        "yaxis": axis(f"Median response time (s), {100 * psychometrics.INTERVAL_LEVEL:g} % CI") | _time_axis(parts[0]),
    }  # fmt: skip
    return figure(traces, layout, theme, "There are no response times: no times of stimulus and response.")


def _looks(chosen: Columns, by: str) -> list[tuple[style.Look, str, str]]:
    """Look, label and legend group of each row."""
    blocks = [style.block(prior) for prior in chosen.numbers("block")] if "block" in chosen else []
    if by == "block":
        return [(look, f"{look.label} (n = {n:.0f})", look.label) for look, n in zip(
            blocks, chosen.numbers("block_n_trials"), strict=True)]  # fmt: skip
    days, numbers = chosen.dates("session_date").astype(str), chosen.numbers("session_number")
    names = [f"{day}" + (f" no. {number:.0f}" if number > 1 else "") for day, number in zip(days, numbers, strict=True)]
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return [
        (
            style.Look("", style.nth(order[name]).color, look.dash, look.symbol),
            f"{name}, {look.label}",
            name,
        )
        for name, look in zip(names, blocks, strict=True)
    ]


def _bars(middle: np.ndarray, lower: np.ndarray, upper: np.ndarray, color: str) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "array": upper - middle, "arrayminus": middle - lower,
        "color": color, "thickness": 1, "width": 0,
    }  # fmt: skip


def _time_axis(times: list[np.ndarray]) -> dict[str, Any]:
    """From 0 where all medians are alike; logarithmic where they differ more than tenfold."""
    known = np.concatenate([*times, np.empty(0)])
    known = known[np.isfinite(known) & (known > 0)]
    if known.size and known.max() > 10 * known.min():
        return log_ticks(int(np.floor(np.log10(known.min()))), int(np.ceil(np.log10(known.max()))))
    return {"rangemode": "tozero"}
